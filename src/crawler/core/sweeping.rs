//! The pace of the sweep, and which of our nodes asks.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Core, MAX_TRANSMITS, Purpose, Waits};
use crate::crawler::stats::CoreStats;
use crate::crawler::sweep::{SavedSweep, Step, Sweep};
use crate::dht::krpc::Query;
use crate::dht::{Contact, Fill, Lookup};
use crate::types::Time;

/// Nodes visited in a second until somebody sets it, as the jukebox does at once: a board that shares its line with music
/// visits a million nodes in a day.
const DEFAULT_RATE: u32 = 10;
/// Highest rate that can be set; a thousandth of the network in a second.
const MAX_RATE: u32 = 10_000;
/// Time between two groups of visits at least: one wake-up of ours serves a group, and its answers come soon after each
/// other.
const MIN_PAUSE: Duration = Duration::from_millis(50);
/// Nothing is visited before the size of the network can be told from our neighbourhood: two estimates in succession agree.
/// Where they never do, as among a handful of nodes, it begins after this time.
const SETTLING: Duration = Duration::from_secs(60);

/// The sweep and its pace.
#[derive(Debug)]
pub(super) struct Sweeping {
    sweep: Sweep,
    /// Visits a second.
    rate: u32,
    next: Time,
    /// Whether the size of the network is still to be told.
    is_settling: bool,
    /// Of our nodes, who asks next.
    turn: usize,
}

impl Sweeping {
    pub fn new(now: Time, saved: &SavedSweep) -> Self {
        Self { sweep: Sweep::new(now, saved), rate: DEFAULT_RATE, next: now + SETTLING, is_settling: true, turn: 0 }
    }

    /// When something may be due.
    pub fn next(&self) -> Time {
        self.next
    }

    /// Takes a new estimate of the size of the network; see [`Sweep::set_depth`]. `lonely`: some of our nodes know next to
    /// nobody, so it may grow yet.
    pub fn set_depth(&mut self, now: Time, depth: u32, lonely: bool) {
        if self.is_settling && !lonely && depth > 0 && depth == self.sweep.depth() {
            self.is_settling = false;
            self.next = self.next.min(now);
        }
        self.sweep.set_depth(depth);
    }

    pub fn saved(&self, now: Time) -> SavedSweep {
        self.sweep.saved(now)
    }

    pub fn visited(&mut self, addr: SocketAddr, answered: bool, named: &[Contact]) {
        self.sweep.visited(addr, answered, named);
    }

    /// The way into a zone is to be looked up anew.
    pub fn turned_back(&mut self) {
        self.sweep.turned_back();
    }

    pub fn entered(&mut self, contacts: Vec<Contact>) {
        self.sweep.entered(contacts);
    }

    pub fn fill(&self) -> Fill {
        self.sweep.fill()
    }

    pub fn add_to(&self, stats: &mut CoreStats) {
        stats.visits = self.sweep.visits();
        (stats.zones_swept, stats.zones) = self.sweep.zones();
    }

    /// Visits in a group, and the pause until the next one.
    fn group(&self) -> (u32, Duration) {
        let rate = self.rate.max(1);
        let count = (rate * MIN_PAUSE.as_millis() as u32 / 1_000).max(1);
        (count, Duration::from_millis(u64::from((count * 1_000).div_ceil(rate))))
    }
}

impl Core {
    /// Sets how many nodes are visited for a sample in a second; 0: none.
    pub fn set_sample_rate(&mut self, per_second: u32) {
        self.sweeping.rate = per_second.min(MAX_RATE);
    }

    /// Asks whom the sweep wants asked now.
    pub(super) fn sweep(&mut self, now: Time) {
        if now < self.sweeping.next {
            return;
        }
        let (count, pause) = self.sweeping.group();
        // What the shell is late by is no loss, but a group that was left out is not made up for.
        self.sweeping.next = (self.sweeping.next + pause).max(now);
        if !self.manners.has_spare_room(now) {
            return;
        }
        if self.sweeping.rate == 0 || !self.is_connected() {
            self.sweeping.next = now + Duration::from_secs(1);
            return;
        }
        for _ in 0..count {
            if self.transmits.len() >= MAX_TRANSMITS / 2 || !self.manners.has_spare_room(now) {
                break;
            }
            match self.sweeping.sweep.next(now, &mut self.rng) {
                Step::Wait => break,
                Step::Enter(target) => {
                    let what = (Purpose::Enter, Waits::Nobody);
                    if self.start_lookup(now, &target.0, Lookup::FindNode(target), what).is_none() {
                        self.sweeping.entered(Vec::new());
                    }
                    break;
                }
                Step::Visit { contact, target } => {
                    if !self.visit(now, contact, Query::SampleInfohashes { target, want: None }) {
                        break;
                    }
                }
                Step::AskPlainly { contact, target } => {
                    if !self.visit(now, contact, Query::FindNode { target, want: None }) {
                        break;
                    }
                }
            }
        }
    }

    /// Lets the next of our nodes that has room ask, if the contact bears it; false if none has.
    fn visit(&mut self, now: Time, contact: Contact, query: Query<'static>) -> bool {
        if self.own.holds(contact.addr) || !self.is_reachable(contact.addr) {
            self.sweeping.sweep.skipped(contact.addr);
            return true;
        }
        if !self.manners.may_ask(now, contact.addr) {
            self.sweeping.sweep.withheld(contact);
            return true;
        }
        for _ in 0..self.nodes.len() {
            let number = self.sweeping.turn % self.nodes.len();
            self.sweeping.turn = number + 1;
            if self.nodes[number].visit(now, contact.addr, query.clone()) {
                self.settle_node(now, number as u32);
                return true;
            }
        }
        self.sweeping.sweep.postponed(contact);
        false
    }
}
