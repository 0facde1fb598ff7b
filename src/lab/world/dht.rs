//! A Mainline DHT of our own nodes, each on an address of its own, so that clients that keep one routing-table entry an
//! address and one a /24 a bucket treat it like the public one.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::Scope;
use crate::dht::{Event, Lookup, LookupId, Node, NodeConfig};
use crate::types::{Clock, InfoHash, NodeId};

/// Lookups that wait at a node at most; whoever orders one more waits.
const ORDER_CAPACITY: usize = 64;

/// Peers that a lookup reports and nobody has taken yet; further ones are dropped, as plenty are known then.
const PEER_CAPACITY: usize = 64;

/// Contacts that each node is told of at the start; it finds the others through them.
const FIRST_CONTACTS: usize = 4;

/// Largest datagram that is read; KRPC messages are far below.
const MAX_DATAGRAM: usize = 2048;

/// What becomes of a world's size at most: addresses are 127.64.0.1 to 127.127.255.1.
const MAX_NODES: usize = BLOCKS * 256;

/// The /16s that they are spread over.
const BLOCKS: usize = 64;

/// A running DHT.
#[derive(Debug)]
pub struct DhtWorld {
    members: Vec<Member>,
}

/// One node of the world.
#[derive(Debug, Clone)]
pub struct Member {
    /// Where it listens.
    pub addr: SocketAddr,
    orders: mpsc::Sender<Order>,
}

/// A lookup, and who wants to know the peers that it finds.
#[derive(Debug)]
struct Order {
    lookup: Lookup,
    peers: Option<mpsc::Sender<SocketAddr>>,
}

impl Member {
    /// Tells the DHT that a peer at this member's address has the torrent, on TCP port `port`.
    pub async fn announce(&self, infohash: InfoHash, port: u16) {
        self.order(Lookup::Announce { infohash, port, seed: true }, None).await;
    }

    /// Looks for peers of the torrent, as a person who wants it would.
    pub async fn want(&self, infohash: InfoHash) {
        self.order(Lookup::GetPeers(infohash), None).await;
    }

    /// Peers of the torrent, as a client would find them.
    pub async fn find(&self, infohash: InfoHash) -> Vec<SocketAddr> {
        let (peers, mut found) = mpsc::channel(PEER_CAPACITY);
        self.order(Lookup::GetPeers(infohash), Some(peers)).await;
        let mut all = Vec::new();
        while let Some(peer) = found.recv().await {
            all.push(peer);
        }
        all
    }

    async fn order(&self, lookup: Lookup, peers: Option<mpsc::Sender<SocketAddr>>) {
        // A closed channel means that the world is shutting down.
        let _ = self.orders.send(Order { lookup, peers }).await;
    }
}

/// The address of member `index`: one /24 each, neighbours in different /16s, as members of a DHT are on the Internet (the
/// crawler believes what is named in two networks that are far apart).
pub fn member_ip(index: usize) -> Ipv4Addr {
    let index = index % MAX_NODES;
    Ipv4Addr::new(127, 64 + (index % BLOCKS) as u8, (index / BLOCKS) as u8, 1)
}

impl DhtWorld {
    /// Starts `count` nodes with IDs from `seed`; they end with `cancel`.
    ///
    /// # Errors
    /// If a socket cannot be opened.
    pub async fn start(count: usize, seed: u64, clock: Clock, cancel: CancellationToken) -> io::Result<Self> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut sockets = Vec::with_capacity(count);
        for index in 0..count.min(MAX_NODES) {
            sockets.push(UdpSocket::bind((IpAddr::V4(member_ip(index)), 0)).await?);
        }
        let addrs = sockets.iter().map(UdpSocket::local_addr).collect::<io::Result<Vec<_>>>()?;
        let mut members = Vec::with_capacity(count);
        for (socket, &addr) in sockets.into_iter().zip(&addrs) {
            let config = NodeConfig { scope: Scope::Private, ..NodeConfig::default() };
            let mut node = Node::new(config, NodeId(rng.random()), rng.random(), clock.now());
            let first: Vec<SocketAddr> =
                addrs.choose_multiple(&mut rng, FIRST_CONTACTS).copied().filter(|other| *other != addr).collect();
            node.bootstrap(clock.now(), &first);
            let (orders, inbox) = mpsc::channel(ORDER_CAPACITY);
            tokio::spawn(drive(node, socket, inbox, Shell { clock, cancel: cancel.clone() }));
            members.push(Member { addr, orders });
        }
        Ok(Self { members })
    }

    /// All nodes.
    pub fn members(&self) -> &[Member] {
        &self.members
    }
}

struct Shell {
    clock: Clock,
    cancel: CancellationToken,
}

/// Longest sleep of a node without a deadline.
const IDLE: Duration = Duration::from_secs(60);

async fn drive(mut node: Node, socket: UdpSocket, mut inbox: mpsc::Receiver<Order>, shell: Shell) {
    // As many as the node allows lookups.
    let mut asked: HashMap<LookupId, mpsc::Sender<SocketAddr>> = HashMap::new();
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        while let Some(transmit) = node.poll_transmit() {
            // A datagram that cannot be sent is a lost datagram: the protocol expects them.
            let _ = socket.send_to(&transmit.payload, transmit.to).await;
        }
        while let Some(event) = node.poll_event() {
            match event {
                Event::Peers { lookup, peers, .. } => {
                    if let Some(asker) = asked.get(&lookup) {
                        for peer in peers {
                            let _ = asker.try_send(peer);
                        }
                    }
                }
                Event::LookupDone { lookup, .. } => drop(asked.remove(&lookup)),
                _ => {}
            }
        }
        let now = shell.clock.now();
        let wake = shell.clock.instant(node.poll_timeout().unwrap_or(now + IDLE));
        tokio::select! {
            () = shell.cancel.cancelled() => return,
            received = socket.recv_from(&mut buffer) => {
                if let Ok((length, from)) = received {
                    node.handle_datagram(shell.clock.now(), from, &buffer[..length]);
                }
            }
            order = inbox.recv() => match order {
                // A node with all its lookups under way leaves this one out.
                Some(Order { lookup, peers }) => {
                    if let (Ok(id), Some(peers)) = (node.start(shell.clock.now(), lookup), peers) {
                        asked.insert(id, peers);
                    }
                }
                None => return,
            },
            () = tokio::time::sleep_until(wake.into()) => node.handle_timeout(shell.clock.now()),
        }
    }
}
