//! A small DHT under virtual time: plain nodes on distinct public addresses, and a crawler among them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::config::IdStrategy;
use crate::crawler::{Core, CoreConfig, CoreEvent, Limits, Saved};
use crate::dht::{Contact, Event, Lookup, Node, NodeConfig};
use crate::types::{NodeId, Scope, Time};

/// Time that a datagram travels.
const LATENCY: Duration = Duration::from_millis(25);
/// Port of every node of the world.
const PORT: u16 = 6881;
/// The address of the crawler; its nodes have ports from 7000 on.
const CRAWLER: [u8; 4] = [81, 2, 3, 4];

/// A datagram under way: when it arrives, a number that keeps the order, to, from, content.
type Travelling = Reverse<(Time, u64, SocketAddr, SocketAddr, Vec<u8>)>;

pub struct World {
    pub now: Time,
    pub nodes: Vec<Node>,
    by_addr: HashMap<SocketAddr, usize>,
    travelling: BinaryHeap<Travelling>,
    sent: u64,
    /// What the world's nodes told.
    pub told: Vec<(usize, Event)>,
    /// What the crawler told, and when.
    pub heard: Vec<(Time, CoreEvent)>,
    /// Everything that the crawler sent: time, to, length.
    pub trace: Vec<(Time, SocketAddr, usize)>,
    /// When each port of the crawler last sent to each address: what a router translates.
    translated: HashMap<(u32, SocketAddr), Time>,
    /// Whether a request to resolve the bootstrap hosts is answered with the first node.
    pub names_work: bool,
}

pub fn addr(node: usize) -> SocketAddr {
    SocketAddr::from(([80, node as u8, 1, 7], PORT))
}

impl World {
    /// Nodes that know each other already.
    pub fn new(count: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let config = NodeConfig { scope: Scope::Public, ..NodeConfig::default() };
        let nodes =
            (0..count).map(|_| Node::new(config.clone(), NodeId(rng.random()), rng.random(), Time::ZERO)).collect();
        let mut world = Self {
            now: Time::ZERO,
            nodes,
            by_addr: (0..count).map(|node| (addr(node), node)).collect(),
            travelling: BinaryHeap::new(),
            sent: 0,
            told: Vec::new(),
            heard: Vec::new(),
            trace: Vec::new(),
            translated: HashMap::new(),
            names_work: true,
        };
        let ids: Vec<_> = world.nodes.iter().map(Node::id).collect();
        for (number, node) in world.nodes.iter_mut().enumerate().skip(1) {
            node.bootstrap(Time::ZERO, &[addr(0)]);
            node.add_contact(Time::ZERO, Contact { id: ids[number - 1], addr: addr(number - 1) });
        }
        world.run(None, Duration::from_secs(60));
        world
    }

    pub fn config(nodes: u16, seed: u64, saved: Saved) -> CoreConfig {
        let sockets = (0..nodes).map(|node| SocketAddr::from((CRAWLER, 7000 + node))).collect();
        let (strategy, limits) = (IdStrategy::Spread, Limits::default());
        CoreConfig { strategy, scope: Scope::Public, seed, sockets, limits, saved }
    }

    /// Starts a lookup at a node of the world.
    pub fn start(&mut self, node: usize, lookup: Lookup) {
        self.nodes[node].start(self.now, lookup).unwrap();
    }

    /// All nodes from that number on are gone.
    pub fn silence(&mut self, from: usize) {
        self.nodes.truncate(from);
        self.by_addr.retain(|_, node| *node < from);
    }

    /// Lets time pass for the world, with or without a crawler.
    pub fn run(&mut self, mut core: Option<&mut Core>, time: Duration) {
        let end = self.now + time;
        loop {
            self.collect(core.as_deref_mut());
            let arrival = self.travelling.peek().map(|Reverse((at, ..))| *at);
            let timers = self.nodes.iter().filter_map(Node::poll_timeout);
            let next = timers.chain(arrival).chain(core.as_ref().map(|core| core.poll_timeout())).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            for node in &mut self.nodes {
                if node.poll_timeout().is_some_and(|due| due <= self.now) {
                    node.handle_timeout(self.now);
                }
            }
            if let Some(core) = core.as_deref_mut().filter(|core| core.poll_timeout() <= self.now) {
                core.handle_timeout(self.now);
            }
            self.deliver(core.as_deref_mut());
        }
        self.now = end;
    }

    /// Flows of the crawler that were in use within the time before now, as a router counts them.
    pub fn translated(&self, within: Duration) -> usize {
        self.translated.values().filter(|used| self.now.since(**used) < within).count()
    }

    /// Puts a datagram on its way to the crawler.
    pub fn send_to_crawler(&mut self, node: u16, from: SocketAddr, payload: Vec<u8>) {
        self.send(SocketAddr::from((CRAWLER, 7000 + node)), from, payload);
    }

    fn send(&mut self, to: SocketAddr, from: SocketAddr, payload: Vec<u8>) {
        self.sent += 1;
        self.travelling.push(Reverse((self.now + LATENCY, self.sent, to, from, payload)));
    }

    fn deliver(&mut self, mut core: Option<&mut Core>) {
        while self.travelling.peek().is_some_and(|Reverse((at, ..))| *at <= self.now) {
            let Some(Reverse((_, _, to, from, payload))) = self.travelling.pop() else { break };
            if let Some(node) = self.by_addr.get(&to) {
                self.nodes[*node].handle_datagram(self.now, from, &payload);
            } else if let Some(core) = core.as_deref_mut().filter(|_| to.ip() == SocketAddr::from((CRAWLER, 0)).ip()) {
                core.handle_datagram(self.now, u32::from(to.port() - 7000), from, &payload);
            }
        }
    }

    fn collect(&mut self, core: Option<&mut Core>) {
        for number in 0..self.nodes.len() {
            while let Some(event) = self.nodes[number].poll_event() {
                self.told.push((number, event));
            }
            while let Some(transmit) = self.nodes[number].poll_transmit() {
                self.send(transmit.to, addr(number), transmit.payload);
            }
        }
        let Some(core) = core else { return };
        while let Some(event) = core.poll_event() {
            if event == CoreEvent::ResolveBootstrap {
                let names = if self.names_work { vec![addr(0)] } else { Vec::new() };
                core.bootstrap_resolved(self.now, &names);
            }
            self.heard.push((self.now, event));
        }
        while let Some((node, transmit)) = core.poll_transmit() {
            self.trace.push((self.now, transmit.to, transmit.payload.len()));
            self.translated.insert((node, transmit.to), self.now);
            self.send(transmit.to, SocketAddr::from((CRAWLER, 7000 + node as u16)), transmit.payload);
        }
    }
}
