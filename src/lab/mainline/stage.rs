//! A crawler in the world, under virtual time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::torrents::{SAMPLE_INTERVAL, Shown};
use super::{Kind, Machine, Torrents, World, mix};
use crate::config::IdStrategy;
use crate::crawler::{Core, CoreConfig, CoreEvent, Limits, Saved};
use crate::dht::Contact;
use crate::dht::krpc::{Body, METHOD_UNKNOWN, Message, Nodes, Query, Response, Sample, Samples, compact};
use crate::types::{InfoHash, NodeId, Scope, Time};

/// The crawler's address.
pub const CRAWLER: Ipv4Addr = Ipv4Addr::new(81, 2, 3, 4);
/// Port of its first node.
const FIRST_PORT: u16 = 7000;
/// A datagram there and back again, least and most.
const ROUND_TRIP_MS: (u64, u64) = (20, 300);

/// A datagram on its way to the crawler: when it arrives, its number, the node of the crawler, the sender, the content.
type Arrival = Reverse<(Time, u64, u32, SocketAddr, Vec<u8>)>;

/// What the crawler sent that is no question to the world: replies to what the experiment asked.
#[derive(Debug)]
pub struct Reply {
    /// Which node of the crawler.
    pub from: u32,
    pub to: SocketAddr,
    pub payload: Vec<u8>,
}

/// What the crawler asked of the world.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    pub node: u32,
    /// With sample_infohashes.
    pub sample: bool,
    /// Whether it answers.
    pub answered: bool,
    pub at: Time,
}

/// A crawler in a world.
pub struct Stage {
    pub world: Arc<World>,
    pub torrents: Arc<Torrents>,
    pub core: Core,
    pub machine: Machine,
    /// Which crawler of the world this is.
    crawler: u32,
    config: CoreConfig,
    pub now: Time,
    arrivals: BinaryHeap<Arrival>,
    sent: u64,
    /// Infohashes that samples named truly, by torrent.
    pub shown: Vec<bool>,
}

/// Where a crawler stands in a world.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub ip: Ipv4Addr,
    pub nodes: u16,
    pub seed: u64,
    pub strategy: IdStrategy,
}

impl Place {
    /// The ids that its nodes will have.
    pub fn ids(&self) -> Vec<NodeId> {
        Core::new(self.config(), Time::ZERO).ids().collect()
    }

    fn config(&self) -> CoreConfig {
        let sockets = (0..self.nodes).map(|node| SocketAddr::from((self.ip, FIRST_PORT + node))).collect();
        let saved = Saved { external: Some(self.ip.into()), ..Saved::default() };
        let limits = Limits::NONE;
        CoreConfig { strategy: self.strategy, scope: Scope::Public, seed: self.seed, sockets, limits, saved }
    }
}

/// What happens in a stage, told to the experiment.
pub enum Happening<'a> {
    Asked(Asked),
    Replied(&'a Reply),
    Told(&'a CoreEvent),
}

impl Stage {
    /// A crawler with `nodes` nodes that knows some of the world, and the world around it. `build` makes the world
    /// when the ids of the crawler are known.
    pub fn new(
        nodes: u16,
        seed: u64,
        strategy: IdStrategy,
        build: impl FnOnce(&[NodeId]) -> (World, Torrents),
    ) -> Self {
        let place = Place { ip: CRAWLER, nodes, seed, strategy };
        let (world, torrents) = build(&place.ids());
        Self::in_world(Arc::new(world), Arc::new(torrents), (0, place))
    }

    /// The crawler of that number in a world that has the ids of its place.
    pub fn in_world(world: Arc<World>, torrents: Arc<Torrents>, (crawler, place): (u32, Place)) -> Self {
        let config = place.config();
        Self {
            core: Core::new(config.clone(), Time::ZERO),
            machine: Machine::default(),
            crawler,
            config,
            now: Time::ZERO,
            arrivals: BinaryHeap::new(),
            sent: 0,
            shown: vec![false; torrents.infohashes.len()],
            world,
            torrents,
        }
    }

    /// Ends the crawler and starts another with what that kept. Datagrams to the old one are lost.
    pub fn restart(&mut self, seed: u64) {
        let saved = self.core.saved(self.now);
        self.arrivals.clear();
        self.core = Core::new(CoreConfig { seed, saved, ..self.config.clone() }, self.now);
    }

    /// Sends a datagram to a node of the crawler, which arrives after `delay`.
    pub fn send(&mut self, node: u32, from: SocketAddr, payload: Vec<u8>, delay: Duration) {
        self.sent += 1;
        self.arrivals.push(Reverse((self.now + delay, self.sent, node, from, payload)));
    }

    /// A datagram arrives at a node of the crawler now; whether there was time for it.
    pub fn deliver(&mut self, node: u32, from: SocketAddr, payload: &[u8]) -> bool {
        let admitted = self.machine.admits(self.now);
        if admitted {
            self.machine.work(|| self.core.handle_datagram(self.now, node, from, payload));
        }
        admitted
    }

    /// Lets time pass until `end`.
    pub fn run_until(&mut self, end: Time, mut tell: impl FnMut(&mut Self, Happening<'_>)) {
        loop {
            self.collect(&mut tell);
            let arrival = self.arrivals.peek().map(|Reverse((at, ..))| *at);
            let next = arrival.map_or(self.core.poll_timeout(), |at| at.min(self.core.poll_timeout()));
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            if self.core.poll_timeout() <= self.now {
                self.machine.work(|| self.core.handle_timeout(self.now));
            }
            if arrival.is_some_and(|at| at <= self.now)
                && let Some(Reverse((_, _, node, from, payload))) = self.arrivals.pop()
            {
                self.deliver(node, from, &payload);
            }
        }
        self.now = self.now.max(end);
    }

    fn collect(&mut self, tell: &mut impl FnMut(&mut Self, Happening<'_>)) {
        while let Some(event) = self.core.poll_event() {
            if event == CoreEvent::ResolveBootstrap {
                let routers: Vec<_> = (0..8_u64).map(|at| mix(at, 77) % self.world.len() as u64).collect();
                let routers: Vec<_> = routers.into_iter().map(|node| self.world.addr(node as u32)).collect();
                self.core.bootstrap_resolved(self.now, &routers);
            }
            tell(self, Happening::Told(&event));
        }
        while let Some((from, transmit)) = self.core.poll_transmit() {
            if !self.machine.admits(self.now) {
                continue;
            }
            let Some(node) = self.world.at(transmit.to) else {
                tell(self, Happening::Replied(&Reply { from, to: transmit.to, payload: transmit.payload }));
                continue;
            };
            match self.answer(node, &transmit.payload) {
                Answered::NoQuestion => {
                    tell(self, Happening::Replied(&Reply { from, to: transmit.to, payload: transmit.payload }));
                }
                Answered::Question { sample, reply } => {
                    tell(self, Happening::Asked(Asked { node, sample, answered: reply.is_some(), at: self.now }));
                    let (least, most) = ROUND_TRIP_MS;
                    let delay = least + mix(u64::from(node), 5) % (most - least);
                    if let Some(reply) = reply {
                        self.send(from, transmit.to, reply, Duration::from_millis(delay));
                    }
                }
            }
        }
    }

    /// What a node of the world says to a datagram of the crawler.
    fn answer(&mut self, node: u32, payload: &[u8]) -> Answered {
        let Ok(Message { transaction, body: Body::Query { query, .. }, .. }) = Message::parse(payload) else {
            return Answered::NoQuestion;
        };
        let kind = self.world.kind(node);
        let sample = matches!(query, Query::SampleInfohashes { .. });
        if !self.world.answers(node, self.now) || kind.ignores(&query) {
            return Answered::Question { sample, reply: None };
        }
        let target = match query {
            Query::FindNode { target, .. } | Query::SampleInfohashes { target, .. } => Some(target.0),
            Query::GetPeers { infohash, .. } => Some(infohash.0),
            _ => None,
        };
        let mut nodes = Vec::new();
        for other in target.map(|target| self.world.named(node, &target, self.now)).unwrap_or_default() {
            let addr = match self.world.kind(other) {
                Kind::Ours(number) => match self.world.ours(number) {
                    ours if ours.crawler == self.crawler => self.config.sockets[ours.node as usize],
                    // Crawlers do not meet: nobody would answer.
                    _ => continue,
                },
                _ => self.world.addr(other),
            };
            compact::push_contact(&mut nodes, &Contact { id: self.world.id(other), addr });
        }
        let shown = if sample { self.torrents.sample(&self.world, node, self.now) } else { Shown::default() };
        shown.torrents.iter().for_each(|torrent| self.shown[*torrent as usize] = true);
        let total = Some(self.torrents.stored_at(node).len() as i64);
        let interval = Some(SAMPLE_INTERVAL.as_secs() as i64);
        let response = Response {
            nodes: Nodes::v4(&nodes),
            token: matches!(query, Query::GetPeers { .. }).then_some(b"token".as_slice()),
            sample: (sample && matches!(kind, Kind::Full | Kind::Liar)).then_some(Sample {
                samples: Samples(&shown.infohashes),
                total,
                interval,
            }),
            ..Response::new(self.world.id(node))
        };
        let body = match kind {
            Kind::Old if sample => Body::Error { code: METHOD_UNKNOWN, text: b"Method Unknown" },
            _ => Body::Response(response),
        };
        let external = self.config.sockets.first().copied();
        let message = Message { transaction, body, version: None, read_only: false, external };
        Answered::Question { sample, reply: Some(message.encode()) }
    }
}

/// An infohash that nobody shares, in the neighbourhood of an id.
pub fn made_up(near: NodeId, number: u64) -> InfoHash {
    let mut id = near.0;
    for (at, byte) in id.iter_mut().enumerate().skip(4) {
        *byte = mix(number, at as u64) as u8;
    }
    InfoHash(id)
}

enum Answered {
    NoQuestion,
    Question { sample: bool, reply: Option<Vec<u8>> },
}
