//! More nodes, or fewer, while the crawler runs.

use std::net::SocketAddr;

use rand::Rng;

use super::events::Ended;
use super::settings::{node_config, reply_pace};
use super::{Core, Node};
use crate::config::IdStrategy;
use crate::crawler::own::{MAX_TABLES, Roles};
use crate::crawler::placement;
use crate::crawler::saved::Saved;
use crate::dht::QUESTION_TIMEOUT;
use crate::types::{NodeId, Time};

/// Of the IDs that an earlier run had, those that `count` nodes begin with, and those that are to come after them, the next one
/// last. None if they are of another configuration.
pub(super) fn resume(strategy: IdStrategy, count: u32, saved: &Saved) -> (Vec<NodeId>, Vec<NodeId>) {
    let mut nodes = saved.nodes.clone();
    if nodes.is_sorted() {
        // As they were kept before their order said who begins.
        placement::rank(&mut nodes);
    }
    let (ids, later) = nodes.split_at(nodes.len().min(count as usize));
    // What was fewer fits what it was cut for.
    let fits = |ids: &[NodeId]| u32::try_from(ids.len()).is_ok_and(|count| placement::fits(strategy, count, ids));
    if saved.strategy != Some(strategy) || !fits(ids) {
        return Default::default();
    }
    (ids.to_vec(), later.iter().rev().copied().collect())
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
        let mut ids: Vec<_> = self.ids().collect();
        if count as usize <= ids.len() {
            self.retire(now, count.min(MAX_TABLES) as usize);
            self.retired.extend(ids.drain(count as usize..).rev());
        } else {
            let back = self.retired.len().saturating_sub(count as usize - ids.len());
            ids.extend(self.retired.drain(back..).rev());
            // Cut for a power of two, so that all of them are evenly spread when they have become as many.
            let cut = if ids.len() < count as usize { count.next_power_of_two() } else { count };
            placement::grow(self.strategy, &mut ids, cut, &mut self.rng);
            if let Some(external) = self.own.external {
                placement::bind_to(external, self.strategy, &mut ids, &mut self.rng);
            }
            self.retired.extend(ids.drain(count as usize..).rev());
        }
        self.roles = Roles::new(count);
        self.employ(now, Roles::split(&ids).0);
        self.take_ids(now, &ids);
        self.settle(now);
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

    /// Ends the nodes with tables beyond so many.
    fn retire(&mut self, now: Time, count: usize) {
        // What they asked is as if nobody answered, so that whoever waits for it goes on.
        let never = now + QUESTION_TIMEOUT * 8;
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
        self.nodes.truncate(count);
        self.timers.resize(self.nodes.len());
        self.upkeep.resize(self.nodes.len());
    }
}
