//! Our side: [`Node`]s as they are shipped, each on a socket of its own, and everything that crosses it written down.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command as Process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use silverstream::dht::krpc::{Body, Message, Query};
use silverstream::dht::{Contact, Event, Family, Lookup, Node, NodeConfig};
use silverstream::types::{Clock, NodeId, Scope, Time};

use crate::common::{PATIENCE, wait_for};

/// Longest that the thread of a node sleeps, so that it sees what a test asked of its node.
const TURN: Duration = Duration::from_millis(20);

/// A datagram that crossed a node's socket.
#[derive(Debug, Clone)]
pub struct Datagram {
    pub with: SocketAddr,
    pub received: bool,
    pub bytes: Vec<u8>,
}

/// A node, and what happened to it.
pub struct State {
    pub node: Node,
    pub wire: Vec<Datagram>,
    pub events: Vec<Event>,
    clock: Clock,
}

impl State {
    pub fn now(&self) -> Time {
        self.clock.now()
    }
}

/// A running node.
pub struct Ours {
    pub addr: SocketAddr,
    pub id: NodeId,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ours {
    /// A node on a port of the system's choice.
    pub fn start(ip: IpAddr, seed: u64) -> Self {
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        let addr = socket.local_addr().unwrap();
        let config = NodeConfig { scope: Scope::Private, family: Family::of(ip), ..NodeConfig::default() };
        let clock = Clock::start();
        let id = NodeId(rand::Rng::random(&mut <rand_chacha::ChaCha8Rng as rand::SeedableRng>::seed_from_u64(seed)));
        let node = Node::new(config, id, seed, clock.now());
        let state = Arc::new(Mutex::new(State { node, wire: Vec::new(), events: Vec::new(), clock }));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (state, stop) = (Arc::clone(&state), Arc::clone(&stop));
            move || run(&socket, &state, &stop)
        });
        Self { addr, id, state, stop, thread: Some(thread) }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Starts a lookup and waits for its end; the events that belong to it.
    pub fn look_up(&self, lookup: Lookup) -> Vec<Event> {
        let id = {
            let mut state = self.state();
            let now = state.now();
            state.node.start(now, lookup).unwrap()
        };
        let of_it = |event: &&Event| match event {
            Event::Peers { lookup, .. } | Event::LookupDone { lookup, .. } | Event::Scraped { lookup, .. } => {
                *lookup == id
            }
            _ => false,
        };
        wait_for(&format!("{lookup:?} ends"), PATIENCE, || {
            let events: Vec<Event> = self.state().events.iter().filter(of_it).cloned().collect();
            events.iter().any(|event| matches!(event, Event::LookupDone { .. })).then_some(events)
        })
    }

    /// Of those with the address: what it sent here, in order.
    pub fn received_from(&self, theirs: SocketAddr) -> Vec<Vec<u8>> {
        let state = self.state();
        let from_it = state.wire.iter().filter(|datagram| datagram.received && datagram.with == theirs);
        from_it.map(|datagram| datagram.bytes.clone()).collect()
    }

    /// What the other answered to our queries of this method, in order.
    pub fn answers(&self, theirs: SocketAddr, method: &str) -> Vec<Vec<u8>> {
        let state = self.state();
        let with_it = || state.wire.iter().filter(|datagram| datagram.with == theirs);
        let asked: Vec<Vec<u8>> = with_it()
            .filter(|datagram| !datagram.received && query_method(&datagram.bytes) == Some(method))
            .filter_map(|datagram| Some(Message::parse(&datagram.bytes).ok()?.transaction.to_vec()))
            .collect();
        let answers = |datagram: &&Datagram| {
            let Ok(message) = Message::parse(&datagram.bytes) else { return false };
            datagram.received
                && !matches!(message.body, Body::Query { .. })
                && asked.iter().any(|transaction| transaction == message.transaction)
        };
        with_it().filter(answers).map(|datagram| datagram.bytes.clone()).collect()
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What a query asks, as far as we know it; None for all else.
pub fn query_method(datagram: &[u8]) -> Option<&'static str> {
    let Body::Query { query, .. } = Message::parse(datagram).ok()?.body else { return None };
    Some(match query {
        Query::Ping => "ping",
        Query::FindNode { .. } => "find_node",
        Query::GetPeers { .. } => "get_peers",
        Query::AnnouncePeer { .. } => "announce_peer",
        Query::SampleInfohashes { .. } => "sample_infohashes",
        Query::Other { .. } => "other",
    })
}

fn run(socket: &UdpSocket, state: &Mutex<State>, stop: &AtomicBool) {
    socket.set_read_timeout(Some(TURN)).unwrap();
    let mut buffer = [0; 4096];
    while !stop.load(Ordering::Relaxed) {
        let received = socket.recv_from(&mut buffer).ok();
        let mut state = state.lock().unwrap();
        let now = state.now();
        if let Some((length, with)) = received {
            let bytes = buffer[..length].to_vec();
            state.node.handle_datagram(now, with, &bytes);
            state.wire.push(Datagram { with, received: true, bytes });
        }
        if state.node.poll_timeout().is_some_and(|due| now >= due) {
            state.node.handle_timeout(now);
        }
        while let Some(transmit) = state.node.poll_transmit() {
            // Nobody there yet, or no longer: as lost on the way.
            let _ = socket.send_to(&transmit.payload, transmit.to);
            state.wire.push(Datagram { with: transmit.to, received: false, bytes: transmit.payload });
        }
        while let Some(event) = state.node.poll_event() {
            state.events.push(event);
        }
    }
}

/// A network of our nodes that know each other, each in a /16 of its own.
pub struct Crowd {
    pub nodes: Vec<Ours>,
}

impl Crowd {
    /// As many as fill a reply, and some more: who is last of them in the order of distance is asked for no announce.
    /// Transmission takes no part in a network of eight or fewer.
    pub const SIZE: u64 = 12;

    pub fn start(place: Place) -> Self {
        let nodes: Vec<Ours> = (0..Self::SIZE).map(|number| Ours::start(place.ip(number), number)).collect();
        for node in &nodes {
            let mut state = node.state();
            let now = state.now();
            for other in nodes.iter().filter(|other| other.id != node.id) {
                state.node.add_contact(now, Contact { id: other.id, addr: other.addr });
            }
        }
        wait_for("our nodes know each other", PATIENCE, || {
            nodes.iter().all(|node| node.state().node.contacts().count() + 1 >= nodes.len()).then_some(())
        });
        Self { nodes }
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| node.addr).collect()
    }

    /// All that came from there, in the order of our nodes.
    pub fn received_from(&self, theirs: SocketAddr) -> Vec<Vec<u8>> {
        self.nodes.iter().flat_map(|node| node.received_from(theirs)).collect()
    }
}

/// Where a conversation takes place: addresses that no other conversation has, each in a /16 of its own.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub family: Family,
    /// Of the conversations.
    pub number: u64,
}

impl Place {
    /// Addresses that a conversation has.
    const SIZE: u64 = Crowd::SIZE + 3;

    /// The address with a number below [`Self::SIZE`].
    pub fn ip(self, number: u64) -> IpAddr {
        let number = 1 + self.number * Self::SIZE + number;
        match self.family {
            Family::V4 => format!("80.{number}.0.38").parse().unwrap(),
            Family::V6 => format!("2a01:{number}::38").parse().unwrap(),
        }
    }

    pub fn client(self) -> IpAddr {
        self.ip(Crowd::SIZE)
    }

    /// Of the two strangers.
    pub fn probe(self, number: u64) -> IpAddr {
        self.ip(Crowd::SIZE + 1 + number)
    }

    /// Loopback answers for a whole block in IPv4; in IPv6 only for addresses that it has.
    pub fn prepare(self) {
        if self.family == Family::V4 {
            return;
        }
        // Transmission asks the routing table which address it would have on the Internet.
        let _ = Process::new("ip").args(["-6", "route", "replace", "2001::/16", "dev", "lo"]).status();
        for number in 0..Self::SIZE {
            let ip = format!("{}/128", self.ip(number));
            let status = Process::new("ip").args(["address", "add", &ip, "dev", "lo", "nodad"]).status().unwrap();
            assert!(status.success(), "{ip} cannot be added");
        }
    }
}
