//! More nodes, or fewer, while the crawler runs.

use std::net::SocketAddr;

use rand::Rng;

use super::events::Ended;
use super::settings::{node_config, reply_pace};
use super::{Core, Node, Purpose};
use crate::config::IdStrategy;
use crate::crawler::own::{MAX_TABLES, Roles};
use crate::crawler::placement::{self, IdIndex};
use crate::crawler::saved::Saved;
use crate::dht::QUESTION_TIMEOUT;
use crate::types::{NodeId, Time};

/// After so many times the patience with a question, every lookup of a node that nobody answers has given up.
const LONGEST_LOOKUP: u32 = 8;

/// Where `count` nodes begin, and where those that an earlier run had besides are to go on, the next one last: as `saved`
/// says, unless that is of another configuration.
pub(super) fn begin(strategy: IdStrategy, count: u32, saved: &Saved, rng: &mut impl Rng) -> (Vec<NodeId>, Vec<NodeId>) {
    let mut ids = match saved.strategy {
        Some(before) if before == strategy && placement::fits(strategy, &saved.nodes) => saved.nodes.clone(),
        _ => Vec::new(),
    };
    if ids.is_sorted() {
        // As they were kept before their order said who begins.
        placement::rank(&mut ids);
    }
    if ids.len() < count as usize {
        // Those that are there were cut for a number or its doubles, and are to fit when they are kept again.
        let cut = if ids.is_empty() { count } else { count.next_power_of_two() };
        placement::grow(strategy, &mut ids, cut, rng);
    }
    if let Some(external) = saved.external {
        placement::bind_to(external, strategy, &mut ids, rng);
    }
    let later = ids.split_off(ids.len().min(count as usize)).into_iter().rev().collect();
    (ids, later)
}

impl Core {
    /// Nodes that are at work.
    pub fn node_count(&self) -> u32 {
        self.roles.sockets()
    }

    /// Puts `count` nodes to work, at least one: those with the first sockets. `sockets` are the addresses of all of them;
    /// there are never more nodes than sockets. What the others were about is over; their IDs are kept for when they are to
    /// work again, and datagrams to them are counted and not looked at.
    pub fn resize(&mut self, now: Time, count: u32, sockets: &[SocketAddr]) {
        let count = count.min(u32::try_from(sockets.len()).unwrap_or(u32::MAX)).max(1);
        self.own.add(sockets);
        let before = self.node_count();
        let mut ids = self.all_ids();
        if ids.len() < count as usize {
            // Cut for a power of two, so that all of them are evenly spread when they have become as many.
            placement::grow(self.strategy, &mut ids, count.next_power_of_two(), &mut self.rng);
            // While the others are still to change for a new address, those that are new wait with them.
            if let Some(external) = self.own.external.filter(|_| self.upkeep.is_bound) {
                placement::bind_to(external, self.strategy, &mut ids, &mut self.rng);
            }
        }
        self.retired = ids.split_off(count as usize).into_iter().rev().collect();
        // From now on nobody is to begin anything at those that go.
        self.index = IdIndex::new(Roles::split(&ids).0.iter().copied());
        if count < before {
            self.retire(now, count.min(MAX_TABLES) as usize);
        }
        self.roles = Roles::new(count);
        self.employ(now, Roles::split(&ids).0);
        self.take_ids(now, &ids);
        self.start_searches(now);
        self.settle(now);
    }

    /// IDs of the nodes at work in the order of their sockets, and of those that are to come after them.
    pub(super) fn all_ids(&self) -> Vec<NodeId> {
        self.ids().chain(self.retired.iter().rev().copied()).collect()
    }

    /// Makes the nodes with tables that are not there yet.
    fn employ(&mut self, now: Time, ids: &[NodeId]) {
        if ids.len() > self.nodes.len() && !self.book.is_empty() {
            self.bootstrap.spare(now);
        }
        let config = node_config((self.scope, self.family), ids.len(), self.manners.answers());
        for id in ids.iter().skip(self.nodes.len()) {
            let mut node = Node::new(config.clone(), *id, self.rng.random(), now);
            node.hold(self.held_until.is_some());
            self.touched.push_back(self.nodes.len() as u32);
            self.nodes.push(node);
        }
        let pace = reply_pace(ids.len());
        let unlisted = matches!(self.strategy, IdStrategy::Zone(_)) && self.roles.sockets() > MAX_TABLES;
        for node in &mut self.nodes {
            node.set_reply_pace(now, pace);
            node.set_unlisted(unlisted);
        }
        self.timers.resize(self.nodes.len());
        self.upkeep.resize(self.nodes.len());
    }

    /// Ends the nodes with tables beyond so many. Who waits for a search waits for one of the others now, and so
    /// does the sweep for the way into a zone.
    fn retire(&mut self, now: Time, count: usize) {
        let again = |purpose| matches!(purpose, Purpose::Search(_) | Purpose::Enter);
        let handed_over = self.tasks.extract_if(.., |(node, _), task| *node as usize >= count && again(task.purpose));
        for ((node, lookup), task) in handed_over.collect::<Vec<_>>() {
            self.nodes[node as usize].cancel(lookup);
            match task.purpose {
                Purpose::Search(search) => self.searches.put_back(search),
                Purpose::Enter => self.sweeping.turned_back(),
                Purpose::Announce(_) => {}
            }
        }
        // What they asked is as if nobody answered, so that whoever waits for it goes on.
        let never = now + QUESTION_TIMEOUT * LONGEST_LOOKUP;
        for (number, node) in (0u32..).zip(self.nodes.iter_mut()).skip(count) {
            node.hold(true);
            node.handle_timeout(never);
            // A lookup that ends tells others so; nobody would hear what they answer.
            while node.poll_transmit().is_some() {}
            self.touched.push_back(number);
        }
        self.settle(now);
        let orphans: Vec<_> = self.tasks.keys().copied().filter(|(node, _)| *node as usize >= count).collect();
        for key in orphans {
            if let Some(task) = self.tasks.remove(&key) {
                self.conclude(now, task.purpose, Ended::default());
            }
        }
        self.touched.clear();
        for node in self.nodes.drain(count.min(self.nodes.len())..) {
            self.counters.add_counters(&node.stats());
        }
        self.timers.resize(self.nodes.len());
        self.upkeep.resize(self.nodes.len());
    }
}
