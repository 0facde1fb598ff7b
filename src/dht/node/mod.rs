//! The node: where datagrams, time, table and lookups meet.

mod client;
mod fills;
mod server;
#[cfg(test)]
mod tests;
mod upkeep;
mod verify;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::api::{Contact, Event, Family, Lookup, LookupId, NodeConfig, NodeStats, TooManyLookups, Transmit, Urgency};
use super::krpc::{Body, METHOD_UNKNOWN, Message, ParseError};
use super::lookup::Walk;
use super::pending::{Pending, Purpose};
use super::responder::Responder;
use super::samples::SampleMemory;
use super::table::Table;
use super::votes::Votes;
use crate::types::{InfoHash, NodeId, Time};
use upkeep::Upkeep;

/// Lookups that a shell may have running.
pub const MAX_LOOKUPS: usize = 32;

/// The same of those that persons wait for, besides.
const MAX_FOR_PERSONS: usize = 8;

/// Datagrams that wait for the shell. When full, new ones are lost, as on a full socket: whoever waits will ask again.
const MAX_TRANSMITS: usize = 512;

/// Events that wait for the shell. When full, sightings, samples and new contacts are lost; peers at twice as many. The
/// end of a lookup or a visit is always told: there are no more of these than were started.
const MAX_EVENTS: usize = 2048;

/// Contacts from hearsay that wait for being verified, one of a block of addresses, in IPv6 few of a wider one. When full, further ones are ignored.
const MAX_HEARSAY: usize = 256;

/// Contacts of the other address family that are kept for askers.
const MAX_OTHER_FAMILY: usize = 64;

/// A DHT node; see [the module](super) for how to drive it.
#[derive(Debug)]
pub struct Node {
    config: NodeConfig,
    id: NodeId,
    table: Table,
    responder: Responder,
    votes: Votes,
    pending: Pending,
    walks: BTreeMap<LookupId, Walk>,
    next_lookup: u64,
    samples: SampleMemory,
    upkeep: Upkeep,
    hearsay: VecDeque<Contact>,
    /// Good contacts of the address family that is not ours, for those who want them (BEP 32).
    other_family: Vec<Contact>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
    /// The latest time that was told; for what only looks.
    now: Time,
    stats: NodeStats,
}

impl Node {
    /// A node that knows nobody. `seed` decides everything random in it.
    pub fn new(config: NodeConfig, id: NodeId, seed: u64, now: Time) -> Self {
        // Streams of their own, so that what the network does to one does not show in another; 1 and 2 are the responder's.
        let stream = |number| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(number);
            rng
        };
        Self {
            id,
            table: Table::new(id, config.wide_table),
            responder: Responder::new(&config, seed, now),
            votes: Votes::default(),
            pending: Pending::new(stream(3)),
            walks: BTreeMap::new(),
            next_lookup: 0,
            samples: SampleMemory::default(),
            upkeep: Upkeep::new(stream(4), now),
            hearsay: VecDeque::new(),
            other_family: Vec::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            now,
            stats: NodeStats::default(),
            config,
        }
    }

    /// Its own id.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Takes another id, say one that is valid for an external address just learnt; contacts and peers are kept.
    pub fn set_id(&mut self, now: Time, id: NodeId) {
        self.now = self.now.max(now);
        self.id = id;
        self.table = self.table.recentred(id);
        self.upkeep.rejoin(now);
    }

    /// Spends so much on replies from now on; for nodes that share a line with ever more or fewer others.
    pub fn set_reply_pace(&mut self, now: Time, bytes_per_second: u32) {
        self.responder.set_reply_pace(now, bytes_per_second);
    }

    /// Is to be found through others of the same address from now on, or by itself ([`NodeConfig::unlisted`]).
    pub fn set_unlisted(&mut self, unlisted: bool) {
        self.config.unlisted = unlisted;
    }

    /// Takes in a datagram from `from`.
    pub fn handle_datagram(&mut self, now: Time, from: SocketAddr, datagram: &[u8]) {
        self.now = self.now.max(now);
        self.stats.datagrams_in += 1;
        self.stats.bytes_in += datagram.len() as u64;
        let from = canonical(from);
        if !self.reaches(from) {
            self.stats.out_of_scope += 1;
            return;
        }
        match Message::parse(datagram) {
            Ok(Message { transaction, body: Body::Query { id, query }, read_only, .. }) => {
                if !self.responder.admits(now, from) {
                    self.stats.flooding += 1;
                } else if id == self.id {
                    self.stats.out_of_scope += 1;
                } else {
                    self.handle_query(now, Contact { id, addr: from }, transaction, &query, read_only);
                }
            }
            Ok(message) => self.handle_reply(now, from, &message),
            Err(ParseError::BadQuery { transaction, code, reason }) => {
                let count =
                    if code == METHOD_UNKNOWN { &mut self.stats.other_queries } else { &mut self.stats.malformed };
                *count += 1;
                if self.responder.admits(now, from) {
                    let refusal = self.responder.refuse(now, (from, transaction), (code, reason), &mut self.stats);
                    if let Some(refusal) = refusal {
                        self.transmit((from, refusal), Urgency::Answer, None);
                    }
                }
            }
            Err(_) => self.stats.malformed += 1,
        }
    }

    /// Does what is due. May be called at any time.
    pub fn handle_timeout(&mut self, now: Time) {
        self.now = self.now.max(now);
        self.expire_questions(now);
        self.tend(now);
    }

    /// When [`Self::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Option<Time> {
        let again = self.walks.values().filter_map(Walk::next_again).min();
        [self.pending.next_deadline(), again].into_iter().flatten().chain([self.upkeep.due()]).min()
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// Lets the node ask nobody until it is let go again; what it has asked, what others ask it, and lookups that persons
    /// wait for go on. It is for many nodes that share one line.
    pub fn hold(&mut self, held: bool) {
        self.pending.hold(held);
    }

    /// A query was not sent, say because its receiver has had enough of us. Nobody is blamed for the answer that will not
    /// come: a lookup goes on with others and comes back to it, a stranger is asked in its next turn.
    pub fn unsent(&mut self, now: Time, question: [u8; 4], to: SocketAddr) {
        self.now = self.now.max(now);
        let Some(question) = self.pending.take(&question, to) else { return };
        self.stats.unsent += 1;
        match (question.purpose, question.contact()) {
            (Purpose::Walk { lookup, .. }, _) => {
                if let Some(walk) = self.walks.get_mut(&lookup) {
                    match question.id {
                        Some(_) => walk.withheld(now, to, question.stalled),
                        None => walk.router_withheld(now, to, question.stalled),
                    }
                    self.advance(now, lookup);
                }
            }
            (Purpose::Verify, Some(contact)) if self.hearsay.len() < MAX_HEARSAY => self.hearsay.push_back(contact),
            _ => self.give_up(now, &question),
        }
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Enters the DHT through `routers`, which are asked but not kept as contacts for it; they may become contacts when
    /// others name them, as any node. They are asked again, with back-off, while the node knows too few.
    pub fn bootstrap(&mut self, now: Time, routers: &[SocketAddr]) {
        self.now = self.now.max(now);
        let (scope, family) = (self.config.scope, self.config.family);
        let usable = routers
            .iter()
            .copied()
            .map(canonical)
            .filter(|addr| scope.admits(*addr) && Family::of(addr.ip()) == family);
        self.upkeep.set_routers(now, usable);
        self.tend(now);
    }

    /// Offers a contact from hearsay; it is asked in its turn if there is a place for it, and kept if it answers.
    pub fn add_contact(&mut self, now: Time, contact: Contact) {
        self.now = self.now.max(now);
        self.consider(now, Contact { addr: canonical(contact.addr), ..contact }, true);
    }

    /// Forgets a node that lies, and neither hears it nor takes it in again for some minutes.
    pub fn shun(&mut self, now: Time, addr: SocketAddr) {
        let addr = canonical(addr);
        self.table.remove(addr);
        self.hearsay.retain(|contact| contact.addr != addr);
        self.responder.shun(now, addr);
    }

    /// Forgets all contacts at addresses that fit, say those that turn out to be our own.
    pub fn forget(&mut self, fits: impl Fn(SocketAddr) -> bool) {
        let gone: Vec<_> = self.table.entries().map(|entry| entry.contact.addr).filter(|addr| fits(*addr)).collect();
        gone.into_iter().for_each(|addr| self.table.remove(addr));
        self.hearsay.retain(|contact| !fits(contact.addr));
    }

    /// Tells the node of good contacts in the other address family, of a twin that a dual stack has there (BEP 32); they
    /// replace those told before. Who asks for both families gets the closest of them. At most 64 are kept.
    pub fn set_other_family(&mut self, contacts: impl IntoIterator<Item = Contact>) {
        let (scope, family) = (self.config.scope, self.config.family);
        let fits = |contact: &Contact| scope.admits(contact.addr) && Family::of(contact.addr.ip()) != family;
        let contacts = contacts.into_iter().map(|contact| Contact { addr: canonical(contact.addr), ..contact });
        self.other_family = contacts.filter(fits).take(MAX_OTHER_FAMILY).collect();
    }

    /// Starts a lookup that nobody waits for.
    ///
    /// # Errors
    /// If [`MAX_LOOKUPS`] are running.
    pub fn start(&mut self, now: Time, lookup: Lookup) -> Result<LookupId, TooManyLookups> {
        let urgency = if matches!(lookup, Lookup::Sample(_)) { Urgency::Sampling } else { Urgency::Background };
        self.start_within(now, lookup, urgency, MAX_LOOKUPS)
    }

    /// Starts a lookup that a person waits for: it goes on while the node is held, and is not delayed by other lookups.
    ///
    /// # Errors
    /// If too many of its kind are running.
    pub fn start_for_person(&mut self, now: Time, lookup: Lookup) -> Result<LookupId, TooManyLookups> {
        self.start_within(now, lookup, Urgency::Person, MAX_FOR_PERSONS)
    }

    fn start_within(
        &mut self,
        now: Time,
        lookup: Lookup,
        urgency: Urgency,
        limit: usize,
    ) -> Result<LookupId, TooManyLookups> {
        self.now = self.now.max(now);
        let is_alike = |walk: &&Walk| (walk.urgency == Urgency::Person) == (urgency == Urgency::Person);
        if self.walks.values().filter(|walk| !walk.is_internal()).filter(is_alike).count() >= limit {
            return Err(TooManyLookups { limit });
        }
        Ok(self.walk(now, lookup, urgency))
    }

    /// Ends a lookup without an event. Events that it left are not taken back.
    pub fn cancel(&mut self, lookup: LookupId) {
        if self.walks.get(&lookup).is_some_and(|walk| !walk.is_internal()) {
            self.walks.remove(&lookup);
        }
    }

    /// The good contacts: those that answered the last question, not longer than about a quarter of an hour ago.
    pub fn contacts(&self) -> impl Iterator<Item = Contact> + '_ {
        self.table.entries().filter(|entry| entry.is_good(self.now)).map(|entry| entry.contact)
    }

    /// The good contacts closest to `target`, closest first.
    pub fn closest(&self, target: &[u8; 20], count: usize) -> Vec<Contact> {
        self.table.closest(self.now, target, count)
    }

    /// Peers of a torrent that announced themselves here, latest first, at most `count`.
    pub fn stored_peers(&self, infohash: &InfoHash, count: usize) -> Vec<SocketAddr> {
        self.responder.store().latest(infohash, count)
    }

    /// The counters.
    pub fn stats(&self) -> NodeStats {
        NodeStats {
            contacts: self.contacts().count() as u64,
            torrents: self.responder.store().torrents() as u64,
            stored_peers: self.responder.store().peers() as u64,
            ..self.stats
        }
    }

    /// Whether packets may go to `addr` and come from it.
    fn reaches(&self, addr: SocketAddr) -> bool {
        self.config.scope.admits(addr) && Family::of(addr.ip()) == self.config.family
    }

    /// Puts a datagram out for the shell. Every datagram goes through here, so nothing leaves the scope.
    fn transmit(&mut self, (to, payload): (SocketAddr, Vec<u8>), urgency: Urgency, question: Option<[u8; 4]>) {
        if !self.reaches(to) {
            self.stats.out_of_scope += 1;
        } else if self.transmits.len() >= MAX_TRANSMITS {
            self.stats.transmits_lost += 1;
        } else {
            self.stats.datagrams_out += 1;
            self.stats.bytes_out += payload.len() as u64;
            self.transmits.push_back(Transmit { to, payload, urgency, question });
        }
    }

    fn tell(&mut self, event: Event) {
        let limit = match event {
            Event::LookupDone { .. } | Event::Scraped { .. } | Event::Visited { .. } => usize::MAX,
            Event::Peers { .. } => MAX_EVENTS * 2,
            _ => MAX_EVENTS,
        };
        if self.events.len() < limit {
            self.events.push_back(event);
        } else {
            self.stats.events_lost += 1;
        }
    }
}

/// An IPv4 address inside IPv6 as the IPv4 address that it is: only as that it is known when it answers.
fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}
