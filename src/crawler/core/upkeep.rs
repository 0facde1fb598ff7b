//! What is done regularly: contacts for the lonely, bootstrap, sampling, estimates, deadlines.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

use rand::Rng;

use super::events::Ended;
use super::{Core, CoreEvent, Upkeep};
use crate::crawler::book::MAX_CONTACTS;
use crate::crawler::own::Roles;
use crate::crawler::placement::{self, IdIndex};
use crate::dht::Contact;
use crate::types::{NodeId, Time};

/// Time between two rounds of regular work.
const TICK: Duration = Duration::from_secs(1);
/// A node with fewer contacts is lonely: it is given some, and counts as a reason to bootstrap.
const MIN_CONTACTS: u64 = 4;
/// Nodes looked at in one round; with more, a full turn takes several rounds.
const NODES_PER_TICK: usize = 256;
/// Contacts that a lonely node is given at once, closest to it.
const CONTACTS_GIVEN: usize = 16;
/// A lonely node is given contacts again after this time.
const HELP_AGAIN: Duration = Duration::from_secs(15);
/// Lonely nodes that ask the bootstrap hosts at once; the others live on what these find.
const MAX_ASK_ROUTERS: usize = 8;
/// Rounds between two estimates of the size of the network.
const DEPTH_EVERY: u64 = 10;
/// Nodes whose neighbourhoods are looked at for an estimate, and whose contacts are kept.
const NODES_SURVEYED: usize = 64;
/// Neighbours whose distance tells the depth: those that store what is announced to us (BEP 5, k).
const NEIGHBOURS: usize = 8;
/// Fewer contacts than these do not displace the ones of the run before: we may only be offline.
const ENOUGH_TO_FORGET: usize = 256;
/// IDs change at most this often for a new address: each change costs our place in others' tables.
const BIND_AGAIN: Duration = Duration::from_secs(3600);

impl Upkeep {
    pub(super) fn new(now: Time, nodes: usize) -> Self {
        Self {
            next_tick: now,
            ticks: 0,
            lonely: (0u32..).take(nodes).collect(),
            helped: vec![None; nodes],
            seen_as: BTreeMap::new(),
            shuns: 0,
            is_bound: true,
            bound: None,
        }
    }

    /// Has so many nodes; new ones are lonely.
    pub(super) fn resize(&mut self, nodes: usize) {
        self.lonely.extend((0..nodes as u32).skip(self.helped.len()));
        self.lonely.retain(|node| (*node as usize) < nodes);
        self.seen_as.retain(|node, _| (*node as usize) < nodes);
        self.helped.resize(nodes, None);
    }
}

impl Core {
    pub(super) fn tick(&mut self, now: Time) {
        self.end_overdue(now);
        self.find_lonely();
        self.help_lonely(now);
        let lonely = !self.upkeep.lonely.is_empty();
        if self.bootstrap.wants_names(now, lonely) {
            self.events.push_back(CoreEvent::ResolveBootstrap);
        }
        if self.upkeep.ticks.is_multiple_of(DEPTH_EVERY) {
            let depth = self.estimate_depth();
            self.filter.set_depth(depth);
            self.sweeping.set_depth(now, depth, lonely);
        }
        self.adopt_external(now);
        self.start_searches(now);
        self.start_announces(now);
        self.upkeep.ticks += 1;
        self.upkeep.shuns = 0;
        self.upkeep.next_tick = now + TICK;
    }

    /// Whether some node knows enough others to look anything up.
    pub(super) fn is_connected(&self) -> bool {
        self.upkeep.lonely.len() < self.nodes.len() || !self.book.is_empty()
    }

    /// Lookups normally end by themselves; searches may still wait for a first contact.
    fn end_overdue(&mut self, now: Time) {
        let overdue: Vec<_> = self
            .tasks
            .iter()
            .filter(|(_, task)| task.deadline <= now)
            .map(|(key, task)| (*key, task.purpose))
            .collect();
        for ((node, lookup), purpose) in overdue {
            self.tasks.remove(&(node, lookup));
            self.nodes[node as usize].cancel(lookup);
            self.conclude(now, purpose, Ended::default());
        }
        while let Some(search) = self.searches.overdue(now) {
            self.cancel_search(search);
            self.events.push_back(CoreEvent::SearchDone { search });
        }
    }

    fn find_lonely(&mut self) {
        let count = self.nodes.len();
        let first = (self.upkeep.ticks as usize).wrapping_mul(NODES_PER_TICK) % count.max(1);
        for number in (0..count.min(NODES_PER_TICK)).map(|offset| (first + offset) % count) {
            if self.nodes[number].stats().contacts < MIN_CONTACTS {
                self.upkeep.lonely.insert(number as u32);
            } else {
                self.upkeep.lonely.remove(&(number as u32));
            }
        }
    }

    /// Gives lonely nodes contacts that others know, or that an earlier run knew.
    fn help_lonely(&mut self, now: Time) {
        if self.book.is_empty() && self.kept.is_empty() {
            return;
        }
        let helped = &self.upkeep.helped;
        let waits = |node: &u32| helped[*node as usize].is_none_or(|last| now.since(last) >= HELP_AGAIN);
        let chosen: Vec<_> = self.upkeep.lonely.iter().copied().filter(waits).take(NODES_PER_TICK).collect();
        if chosen.is_empty() {
            return;
        }
        let kept = IdIndex::new(self.kept.iter().map(|contact| contact.id));
        for number in chosen {
            // Each asks those that it is given; all at once would use up seconds of what may be asked.
            if !self.manners.has_room(now) {
                break;
            }
            let node = &mut self.nodes[number as usize];
            let id = node.id();
            let known: HashSet<_> = node.contacts().map(|contact| contact.addr).collect();
            let answered = self.book.nearest(&id.0, CONTACTS_GIVEN).into_iter();
            let answered = answered.filter(|contact| !known.contains(&contact.addr));
            // Kept contacts are many and old: while nobody answered, others of them are tried each time.
            let first = self.upkeep.helped[number as usize].is_none();
            let target = if first { id } else { NodeId(self.rng.random()) };
            let older = kept.nearest(&target.0, CONTACTS_GIVEN).into_iter().map(|at| self.kept[at as usize]);
            let given: Vec<Contact> = answered.chain(older).take(CONTACTS_GIVEN).collect();
            for contact in given {
                node.add_contact(now, contact);
            }
            self.upkeep.helped[number as usize] = Some(now);
            self.settle_node(now, number);
        }
    }

    pub(super) fn ask_routers(&mut self, now: Time, routers: &[SocketAddr]) {
        if routers.is_empty() {
            return;
        }
        let chosen: Vec<_> = self.upkeep.lonely.iter().copied().take(MAX_ASK_ROUTERS).collect();
        for number in chosen {
            self.nodes[number as usize].bootstrap(now, routers);
            self.touched.push_back(number);
        }
    }

    /// The median, over some nodes, of the leading bits that the eighth closest contact shares with the node's ID.
    fn estimate_depth(&self) -> u32 {
        let step = self.nodes.len().div_ceil(NODES_SURVEYED).max(1);
        let mut depths: Vec<_> = self
            .nodes
            .iter()
            .step_by(step)
            .map(|node| {
                let id = node.id();
                let neighbours = node.closest(&id.0, NEIGHBOURS);
                neighbours.get(NEIGHBOURS - 1).map_or(0, |contact| contact.id.distance(&id.0).shared_bits())
            })
            .collect();
        depths.sort_unstable();
        depths.get(depths.len() / 2).copied().unwrap_or(0)
    }

    /// Takes the address that most of our nodes are seen under, and IDs that are valid for it.
    fn adopt_external(&mut self, now: Time) {
        let told = self.upkeep.seen_as.len();
        let mut votes = BTreeMap::new();
        self.upkeep.seen_as.values().for_each(|ip| *votes.entry(*ip).or_insert(0usize) += 1);
        let Some((ip, count)) = votes.into_iter().max_by_key(|(_, count)| *count) else { return };
        // One node may be lied to; the only one is believed, since its own votes are from several contacts.
        let is_believed = count * 2 > told && count >= self.nodes.len().min(2);
        if is_believed && self.own.external != Some(ip) {
            tracing::info!(%ip, "external address learnt");
            self.own.external = Some(ip);
            self.upkeep.is_bound = false;
            self.forget_own();
        }
        self.bind(now);
    }

    /// Others name us to us: until we knew our address, we took that for somebody else.
    fn forget_own(&mut self) {
        let own = &self.own;
        self.book.forget_all(|addr| own.holds(addr));
        self.kept.retain(|contact| !own.holds(contact.addr));
        self.nodes.iter_mut().for_each(|node| node.forget(|addr| own.holds(addr)));
    }

    /// Takes IDs that are valid for our address, if it is a new one and they have not changed just now.
    fn bind(&mut self, now: Time) {
        let Some(ip) = self.own.external else { return };
        if self.upkeep.is_bound || self.upkeep.bound.is_some_and(|last| now.since(last) < BIND_AGAIN) {
            return;
        }
        self.upkeep.is_bound = true;
        let mut ids = self.all_ids();
        if placement::bind_to(ip, self.strategy, &mut ids, &mut self.rng) {
            self.retired = ids.split_off(self.node_count() as usize).into_iter().rev().collect();
            self.upkeep.bound = Some(now);
            self.take_ids(now, &ids);
        }
    }

    /// `ids` are in the order of the sockets.
    pub(super) fn take_ids(&mut self, now: Time, ids: &[NodeId]) {
        let (nodes, monitors) = Roles::split(ids);
        for (number, (node, id)) in (0u32..).zip(self.nodes.iter_mut().zip(nodes)) {
            if node.id() != *id {
                node.set_id(now, *id);
                self.touched.push_back(number);
            }
        }
        self.index = IdIndex::new(nodes.iter().copied());
        self.monitors.set_ids(monitors.to_vec());
    }

    /// The contacts for the next run: those that answered now, then, if these are few, those of the run before.
    pub(super) fn contacts_to_keep(&mut self, now: Time) -> Vec<Contact> {
        let step = self.nodes.len().div_ceil(NODES_SURVEYED).max(1);
        let mut good: Vec<_> = self.nodes.iter().step_by(step).flat_map(|node| node.contacts()).collect();
        good.retain(|contact| self.is_reachable(contact.addr));
        for contact in good {
            self.book.answered(now, contact, &mut self.rng);
        }
        let mut contacts = self.book.freshest();
        if contacts.len() < ENOUGH_TO_FORGET {
            let known: HashSet<_> = contacts.iter().map(|contact| contact.addr.ip()).collect();
            contacts.extend(self.kept.iter().filter(|contact| !known.contains(&contact.addr.ip())));
        }
        contacts.truncate(MAX_CONTACTS);
        contacts
    }
}
