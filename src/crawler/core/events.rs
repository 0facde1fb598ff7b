//! What the nodes tell, and who is told of it.

use std::net::SocketAddr;

use super::{Core, CoreEvent, Heard, MAX_TRANSMITS, Purpose};
use crate::crawler::filter::{Observation, SightingKind, Verdict};
use crate::crawler::manners::LOOK_AGAIN;
use crate::crawler::monitors::Told;
use crate::crawler::own::Role;
use crate::dht::{Contact, Event, LookupId, Transmit};
use crate::types::{InfoHash, Time};

/// Sightings and groups of peers that wait for the shell; about 100 B each. More are lost and counted. The end of a search
/// is always told.
pub(super) const MAX_EVENTS: usize = 4_096;

/// Liars whom all nodes forget, in a second.
const MAX_SHUNS: u32 = 32;

/// How a lookup ended.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// Nodes that took an announce.
    announced: u32,
    closest: Vec<Contact>,
}

impl Core {
    /// Takes everything out of the nodes that were touched, and of those that this touches.
    pub(super) fn settle(&mut self, now: Time) {
        while let Some(number) = self.touched.pop_front() {
            self.settle_node(now, number);
        }
        while let Some((monitor, transmit)) = self.monitors.poll_transmit() {
            let (question, to) = (transmit.question, transmit.to);
            if !self.transmit(now, self.roles.socket_of_monitor(monitor), transmit)
                && let Some(question) = question
            {
                self.monitors.unsent(question, to);
            }
        }
    }

    /// The same of one node.
    pub(super) fn settle_node(&mut self, now: Time, number: u32) {
        loop {
            let mut has_unsent = false;
            while let Some(event) = self.nodes[number as usize].poll_event() {
                self.take_event(now, number, event);
            }
            let socket = self.roles.socket_of_node(number);
            while let Some(transmit) = self.nodes[number as usize].poll_transmit() {
                let (question, to) = (transmit.question, transmit.to);
                if !self.transmit(now, socket, transmit)
                    && let Some(question) = question
                {
                    // It may ask another then, so this goes on until nobody wants to be asked.
                    self.nodes[number as usize].unsent(now, question, to);
                    has_unsent = true;
                }
            }
            if !has_unsent {
                break;
            }
        }
        self.timers.arm(number, self.nodes[number as usize].poll_timeout());
        if self.held_until.is_none() && !self.manners.has_room(now) {
            self.counters.pauses += 1;
            self.held_until = Some(now + LOOK_AGAIN);
            self.nodes.iter_mut().for_each(|node| node.hold(true));
        }
    }

    /// Lets the nodes ask again if there is room by now, one after the other as long as there is: all at once would use up
    /// seconds of it.
    pub(super) fn let_go(&mut self, now: Time) {
        for _ in 0..self.nodes.len() {
            if !self.manners.has_room(now) {
                self.held_until = Some(now + LOOK_AGAIN);
                self.nodes.iter_mut().for_each(|node| node.hold(true));
                return;
            }
            let number = self.let_go_next % self.nodes.len();
            self.let_go_next = number + 1;
            self.nodes[number].hold(false);
            self.nodes[number].handle_timeout(now);
            self.settle_node(now, number as u32);
        }
        self.held_until = None;
    }

    /// Puts a datagram out for the shell; false if it is held back.
    fn transmit(&mut self, now: Time, socket: u32, transmit: Transmit) -> bool {
        if self.transmits.len() >= MAX_TRANSMITS {
            self.counters.transmits_dropped += 1;
            return false;
        }
        let admitted = self.manners.admits(now, socket, &transmit);
        if admitted {
            self.counters.datagrams_out += 1;
            self.counters.bytes_out += transmit.payload.len() as u64;
            self.transmits.push_back((socket, transmit));
        } else if transmit.question.is_some() {
            self.counters.withheld += 1;
        } else {
            self.counters.answers_withheld += 1;
        }
        admitted
    }

    fn take_event(&mut self, now: Time, node: u32, event: Event) {
        match event {
            Event::Sighting { infohash, kind, from, from_id } => {
                let socket = self.roles.socket_of_node(node);
                self.observe(now, socket, Contact { id: from_id, addr: from }, infohash, kind.into());
            }
            Event::Samples { from, infohashes, .. } => {
                self.counters.samples_shown += 1;
                let socket = self.roles.socket_of_node(node);
                for infohash in infohashes {
                    self.observe(now, socket, from, infohash, SightingKind::Sample);
                }
            }
            Event::Peers { lookup, peers, .. } => {
                if let Some(Purpose::Search(search)) = self.tasks.get(&(node, lookup)).map(|task| task.purpose) {
                    let peers = self.searches.news(search, peers);
                    if !peers.is_empty() {
                        self.hand_out(CoreEvent::Peers { search, peers });
                    }
                }
            }
            Event::LookupDone { lookup, closest, announced, .. } => {
                self.lookup_ended(now, node, lookup, Ended { announced, closest });
            }
            Event::Visited { addr, answered, named } => self.sweeping.visited(addr, answered, &named),
            // Neither scrapes nor twins in the other address family are asked for here.
            Event::Scraped { .. } | Event::OtherFamily(_) => {}
            Event::ContactSeen(contact) => self.share(now, node, contact),
            Event::ExternalAddress(ip) => {
                self.upkeep.seen_as.insert(node, ip.to_canonical());
            }
        }
    }

    pub(super) fn hear_monitor(&mut self, now: Time, monitor: u32, told: Told) {
        let Told { infohash, kind, from } = told;
        self.observe(now, self.roles.socket_of_monitor(monitor), from, infohash, kind.into());
    }

    /// Judges an infohash that was heard of, and tells of it if it is credible.
    fn observe(&mut self, now: Time, socket: u32, from: Contact, infohash: InfoHash, kind: SightingKind) {
        if self.own.holds(from.addr) {
            self.counters.own += 1;
            return;
        }
        let own_bits = infohash.distance(&self.id_at(socket).0).shared_bits();
        let observation = Observation { infohash, kind, source: from.addr, source_id: from.id, node: socket, own_bits };
        match self.filter.observe(now, &observation) {
            Verdict::Credible { new, earlier } => {
                if new {
                    self.count_found(kind);
                }
                for earlier in &earlier {
                    // Of others than this infohash they are the first.
                    if earlier.infohash == infohash { self.tell(earlier) } else { self.tell_found(earlier) }
                }
                self.tell(&observation);
            }
            Verdict::Held => self.counters.held += 1,
            Verdict::Repeated => {}
            Verdict::Impossible => self.counters.impossible += 1,
            Verdict::Upkeep => self.counters.upkeep += 1,
            Verdict::Shunned => {
                self.counters.shunned += 1;
                self.shun(now, socket, from.addr);
            }
        }
    }

    /// Forgets who lies and does not hear it for a while: as a rule none of our nodes. In a flood of liars, for each of whom
    /// all of them would have work, only the one that was told.
    pub(super) fn shun(&mut self, now: Time, socket: u32, addr: SocketAddr) {
        self.book.forget_address(addr);
        if self.upkeep.shuns < MAX_SHUNS {
            self.upkeep.shuns += 1;
            self.nodes.iter_mut().for_each(|node| node.shun(now, addr));
            self.monitors.shun(now, addr);
            return;
        }
        match self.roles.role(socket) {
            Role::Node(node) => self.nodes[node as usize].shun(now, addr),
            Role::Monitor(_) => self.monitors.shun(now, addr),
        }
    }

    fn count_found(&mut self, kind: SightingKind) {
        match kind {
            SightingKind::GetPeers => self.counters.found_by_get_peers += 1,
            SightingKind::Announce { .. } => self.counters.found_by_announces += 1,
            SightingKind::Sample => self.counters.found_by_samples += 1,
        }
    }

    /// Tells of an infohash that waited and is believed now.
    pub(super) fn tell_found(&mut self, observation: &Observation) {
        self.count_found(observation.kind);
        self.tell(observation);
    }

    fn tell(&mut self, observation: &Observation) {
        let Observation { infohash, kind, source, node, .. } = *observation;
        match kind {
            SightingKind::GetPeers => self.counters.seen_get_peers += 1,
            SightingKind::Announce { .. } => self.counters.seen_announces += 1,
            SightingKind::Sample => self.counters.seen_samples += 1,
        }
        self.hand_out(CoreEvent::Sighting(Heard { infohash, kind, source, node }));
    }

    /// Tells what can be done without if the shell is late.
    pub(super) fn hand_out(&mut self, event: CoreEvent) {
        if self.events.len() < MAX_EVENTS {
            self.events.push_back(event);
        } else {
            self.counters.events_lost += 1;
        }
    }

    fn lookup_ended(&mut self, now: Time, node: u32, lookup: LookupId, ended: Ended) {
        if let Some(task) = self.tasks.remove(&(node, lookup)) {
            self.conclude(now, task.purpose, ended);
            self.start_searches(now);
            self.start_announces(now);
        }
    }

    /// A lookup is over, by itself or by the clock.
    pub(super) fn conclude(&mut self, now: Time, purpose: Purpose, ended: Ended) {
        let Ended { announced, closest } = ended;
        match purpose {
            Purpose::Search(search) => {
                if self.searches.remove(search).is_some() {
                    self.counters.searches_done += 1;
                    self.events.push_back(CoreEvent::SearchDone { search });
                }
            }
            Purpose::Announce(infohash) => {
                self.announcing = self.announcing.saturating_sub(1);
                self.counters.announces_done += u64::from(announced > 0);
                self.announces.finished(now, &infohash, announced, &mut self.rng);
            }
            Purpose::Enter => self.sweeping.entered(closest),
        }
    }

    /// A contact answered `node`: it goes into the book, and the node of ours that is closest to it hears of it.
    fn share(&mut self, now: Time, node: u32, contact: Contact) {
        if !self.is_reachable(contact.addr) || !self.book.answered(now, contact, &mut self.rng) {
            return;
        }
        self.monitors.introduce(contact);
        if let Some(home) = self.index.closest(&contact.id.0).filter(|home| *home != node) {
            self.nodes[home as usize].add_contact(now, contact);
            self.touched.push_back(home);
        }
    }
}
