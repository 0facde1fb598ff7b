//! What the nodes tell, and who is told of it.

use super::{Core, CoreEvent, Heard, MAX_TRANSMITS, Purpose};
use crate::crawler::filter::{Observation, SightingKind, Verdict};
use crate::dht::{self, Contact, Event, LookupId};
use crate::types::{InfoHash, Time};

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
            while let Some(event) = self.nodes[number as usize].poll_event() {
                self.take_event(now, number, event);
            }
            let node = &mut self.nodes[number as usize];
            while let Some(transmit) = node.poll_transmit() {
                if self.transmits.len() < MAX_TRANSMITS {
                    self.transmits.push_back((number, transmit));
                } else {
                    self.counters.transmits_dropped += 1;
                }
            }
            self.timers.arm(number, node.poll_timeout());
        }
    }

    fn take_event(&mut self, now: Time, node: u32, event: Event) {
        match event {
            Event::Sighting { infohash, kind, from, from_id } => {
                let kind = match kind {
                    dht::SightingKind::GetPeers => SightingKind::GetPeers,
                    dht::SightingKind::Announce { port, seed } => SightingKind::Announce { port, seed },
                };
                self.observe(now, node, Contact { id: from_id, addr: from }, infohash, kind);
            }
            Event::Samples { from, infohashes, .. } => {
                self.counters.samples_shown += 1;
                for infohash in infohashes {
                    self.observe(now, node, from, infohash, SightingKind::Sample);
                }
            }
            Event::Peers { lookup, peers, .. } => {
                if let Some(Purpose::Search(search)) = self.tasks.get(&(node, lookup)).map(|task| task.purpose) {
                    let peers = self.searches.news(search, peers);
                    if !peers.is_empty() {
                        self.events.push_back(CoreEvent::Peers { search, peers });
                    }
                }
            }
            Event::LookupDone { lookup, closest, announced, .. } => {
                self.lookup_ended(now, node, lookup, Ended { announced, closest });
            }
            Event::Visited { answered, named, .. } => self.sweeping.visited(answered, &named),
            // Neither scrapes nor twins in the other address family are asked for here.
            Event::Scraped { .. } | Event::OtherFamily(_) => {}
            Event::ContactSeen(contact) => self.share(now, node, contact),
            Event::ExternalAddress(ip) => {
                self.upkeep.seen_as.insert(node, ip.to_canonical());
            }
        }
    }

    /// Judges an infohash that was heard of, and tells of it if it is credible.
    fn observe(&mut self, now: Time, node: u32, from: Contact, infohash: InfoHash, kind: SightingKind) {
        if self.is_own(from.addr) {
            self.counters.own += 1;
            return;
        }
        let own_bits = infohash.distance(&self.nodes[node as usize].id().0).shared_bits();
        let observation = Observation { infohash, kind, source: from.addr, source_id: from.id, node, own_bits };
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
            Verdict::Repeated => self.counters.repeated += 1,
            Verdict::Impossible => self.counters.impossible += 1,
            Verdict::Upkeep => self.counters.upkeep += 1,
            Verdict::Shunned => {
                self.counters.shunned += 1;
                self.nodes[node as usize].shun(now, from.addr);
            }
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
        self.events.push_back(CoreEvent::Sighting(Heard { infohash, kind, source, node }));
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
        if let Some(home) = self.index.closest(&contact.id.0).filter(|home| *home != node) {
            self.nodes[home as usize].add_contact(now, contact);
            self.touched.push_back(home);
        }
    }
}
