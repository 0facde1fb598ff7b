//! A network of nodes under virtual time for tests, deterministic by its seed.
//!
//! Datagrams take a random time to arrive or are lost; a node that is removed is silent from then on. Whoever is no
//! [`Node`] takes part through [`Network::inject`].

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Event, Node, Transmit};
use crate::types::Time;

/// How the links are.
#[derive(Debug, Clone)]
pub struct Links {
    /// One way, in milliseconds.
    pub delay_ms: RangeInclusive<u64>,
    /// Part of the datagrams that is lost, 0 to 1.
    pub loss: f64,
}

impl Default for Links {
    /// Like the public Internet on a good day.
    fn default() -> Self {
        Self { delay_ms: 10..=120, loss: 0.0 }
    }
}

/// Something that happens at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Arrival { from: SocketAddr, to: SocketAddr, payload: Vec<u8> },
    Timeout(SocketAddr),
}

/// A node and when it is woken next.
#[derive(Debug)]
struct Member {
    node: Node,
    wakes: Option<Time>,
}

/// The network. Time passes in [`Self::run_for`] only.
#[derive(Debug)]
pub struct Network {
    links: Links,
    rng: ChaCha8Rng,
    now: Time,
    members: HashMap<SocketAddr, Member>,
    /// What comes, soonest first; the number keeps the order of what comes at the same time.
    agenda: BinaryHeap<Reverse<(Time, u64, Happening)>>,
    scheduled: u64,
    delivered: u64,
}

impl Network {
    /// An empty network at time zero.
    pub fn new(seed: u64, links: Links) -> Self {
        Self {
            links,
            rng: ChaCha8Rng::seed_from_u64(seed),
            now: Time::ZERO,
            members: HashMap::new(),
            agenda: BinaryHeap::new(),
            scheduled: 0,
            delivered: 0,
        }
    }

    /// The time in the network.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Datagrams that reached a node.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Adds a node, or replaces the one at the address.
    pub fn add(&mut self, addr: SocketAddr, node: Node) {
        self.members.insert(addr, Member { node, wakes: None });
        self.settle(addr);
    }

    /// Takes a node off the network; datagrams to it vanish.
    pub fn remove(&mut self, addr: SocketAddr) -> Option<Node> {
        self.members.remove(&addr).map(|member| member.node)
    }

    /// The node at an address.
    pub fn node(&self, addr: SocketAddr) -> Option<&Node> {
        self.members.get(&addr).map(|member| &member.node)
    }

    /// Does something with the node at an address, such as starting a lookup, and sends what it has to send. None if
    /// there is no node.
    pub fn with<T>(&mut self, addr: SocketAddr, act: impl FnOnce(&mut Node, Time) -> T) -> Option<T> {
        let outcome = act(&mut self.members.get_mut(&addr)?.node, self.now);
        self.settle(addr);
        Some(outcome)
    }

    /// Sends a datagram as somebody who need not be a node.
    pub fn inject(&mut self, from: SocketAddr, to: SocketAddr, payload: Vec<u8>) {
        if self.rng.random_bool(self.links.loss.clamp(0.0, 1.0)) {
            return;
        }
        let delay = Duration::from_millis(self.rng.random_range(self.links.delay_ms.clone()));
        self.schedule(self.now + delay, Happening::Arrival { from, to, payload });
    }

    /// Lets time pass, and returns what the nodes told, in order.
    pub fn run_for(&mut self, time: Duration) -> Vec<(SocketAddr, Event)> {
        let mut events = Vec::new();
        self.run_for_each(time, |addr, _, event| events.push((addr, event)));
        events
    }

    /// Lets time pass, and hands over what the nodes tell, for networks that tell too much to keep.
    pub fn run_for_each(&mut self, time: Duration, mut hear: impl FnMut(SocketAddr, Time, Event)) {
        let end = self.now + time;
        while self.agenda.peek().is_some_and(|Reverse((at, ..))| *at <= end) {
            let Some(Reverse((at, _, happening))) = self.agenda.pop() else { break };
            self.now = at;
            let addr = match happening {
                Happening::Timeout(addr) => {
                    let Some(member) = self.members.get_mut(&addr).filter(|member| member.wakes == Some(at)) else {
                        continue;
                    };
                    member.wakes = None;
                    member.node.handle_timeout(at);
                    addr
                }
                Happening::Arrival { from, to, payload } => {
                    if let Some(member) = self.members.get_mut(&to) {
                        self.delivered += 1;
                        member.node.handle_datagram(at, from, &payload);
                    }
                    to
                }
            };
            self.settle(addr);
            while let Some(event) = self.members.get_mut(&addr).and_then(|member| member.node.poll_event()) {
                hear(addr, at, event);
            }
        }
        self.now = end;
    }

    fn schedule(&mut self, at: Time, happening: Happening) {
        self.scheduled += 1;
        self.agenda.push(Reverse((at, self.scheduled, happening)));
    }

    /// Sends what a node has to send and notes when it wants to be woken.
    fn settle(&mut self, addr: SocketAddr) {
        while let Some(Transmit { to, payload, .. }) =
            self.members.get_mut(&addr).and_then(|it| it.node.poll_transmit())
        {
            self.inject(addr, to, payload);
        }
        let Some(member) = self.members.get_mut(&addr) else { return };
        let wanted = member.node.poll_timeout().map(|at| at.max(self.now));
        let Some(at) = wanted.filter(|at| member.wakes.is_none_or(|wakes| *at < wakes)) else { return };
        member.wakes = Some(at);
        self.schedule(at, Happening::Timeout(addr));
    }
}
