//! Nodes that are hardly more than an id.
//!
//! A few dozen [`dht::Node`](crate::dht::Node)s with tables of their own know the network and search in it. Thousands more
//! would hear more and need not know anything by themselves: these are *monitors*, after Memon and Rejaie ("Large-scale
//! monitoring of DHT traffic", IPTPS 2009). To others a monitor is a node as any: it answers every query, gives tokens,
//! takes announces. But all of them answer out of one [`ContactBook`] and one store of peers, ask through one table of open
//! questions, and keep one account of each host. So a monitor takes its id, its place in the index and its socket.
//!
//! What keeps a monitor in other nodes' tables is that it asks them. Each contact of the book is asked once in
//! [`CONTACT_ROUND`] by the monitor closest to it ([`Monitors::home`]), always the same one, since many clients keep one node
//! of an address only; and each monitor asks the contacts closest to itself once in [`MONITOR_ROUND`]. They are asked for the
//! monitor's own id, so that they name those who live beside it: thus the book fills with the monitors' neighbours.

mod questions;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::book::ContactBook;
use super::generations::Generations;
use super::own::Own;
use super::placement::IdIndex;
use crate::dht::krpc::{Body, METHOD_UNKNOWN, Message, ParseError, Query, Response};
use crate::dht::{
    Asked, Contact, Family, MAX_NODES_PER_REPLY, NodeConfig, NodeStats, Responder, SightingKind, Transmit, VERSION,
};
use crate::types::{InfoHash, NodeId, Time};
use questions::Questions;

/// Each contact is asked once in this time, before others stop to name it (15 minutes in BEP 5).
const CONTACT_ROUND: Duration = Duration::from_secs(10 * 60);
/// Each monitor shows itself to its neighbours once in this time.
const MONITOR_ROUND: Duration = Duration::from_secs(30 * 60);
/// Neighbours that it asks then.
const NEIGHBOURS: usize = 3;
/// Neighbourhood of a monitor that is worth knowing though the book is full: what it names when it is asked.
const NEIGHBOURHOOD: usize = 8;
/// Questions a second, at most; what is due beyond takes its turn later.
const MAX_RATE: u32 = 500;
/// Questions at once, so that a group after a pause is no burst.
const MAX_GROUP: u32 = 16;
/// Time until the next look if nobody was to be asked.
const IDLE: Duration = Duration::from_millis(200);
/// Contacts from hearsay that wait for being asked; beyond it they are ignored, and named again.
const MAX_HEARSAY: usize = 4_096;
/// A stranger that did not answer is not asked again for this time.
const STRANGER_AGAIN: Duration = Duration::from_secs(10 * 60);
/// Strangers that are remembered as asked, per generation; about 60 B each.
const MAX_STRANGERS: usize = 16_384;

/// What the monitors share with the nodes that have tables.
#[derive(Debug)]
pub struct Shared<'a> {
    pub book: &'a mut ContactBook,
    pub own: &'a Own,
}

/// What somebody told one of the monitors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    pub infohash: InfoHash,
    pub kind: SightingKind,
    pub from: Contact,
}

/// Somebody who is to be asked whether it is there, and by which monitor.
#[derive(Debug, Clone, Copy)]
struct Hearsay {
    contact: Contact,
    by: u32,
}

/// All monitors; see the module.
#[derive(Debug)]
pub struct Monitors {
    config: NodeConfig,
    ids: Vec<NodeId>,
    index: IdIndex,
    responder: Responder,
    questions: Questions,
    hearsay: VecDeque<Hearsay>,
    strangers: Generations<SocketAddr, ()>,
    /// Whose turn it was last among the contacts, and whose it is among the monitors.
    contact_turn: NodeId,
    monitor_turn: usize,
    /// Questions of both rounds that are due, in thousandths.
    contacts_due: u64,
    monitors_due: u64,
    next: Time,
    worked: Time,
    last_heard: Option<Time>,
    transmits: VecDeque<(u32, Transmit)>,
    stats: NodeStats,
    rng: ChaCha8Rng,
}

impl Monitors {
    /// Monitors with these ids; they are numbered in this order.
    pub fn new(config: NodeConfig, ids: Vec<NodeId>, mut rng: ChaCha8Rng, now: Time) -> Self {
        Self {
            responder: Responder::new(&config, rng.random(), now),
            config,
            index: IdIndex::new(ids.iter().copied()),
            ids,
            questions: Questions::new(ChaCha8Rng::from_rng(&mut rng)),
            hearsay: VecDeque::new(),
            strangers: Generations::new(MAX_STRANGERS, STRANGER_AGAIN),
            contact_turn: NodeId([0; NodeId::LEN]),
            monitor_turn: 0,
            contacts_due: 0,
            monitors_due: 0,
            next: now,
            worked: now,
            last_heard: None,
            transmits: VecDeque::new(),
            stats: NodeStats::default(),
            rng,
        }
    }

    /// Their ids, by number.
    pub fn ids(&self) -> &[NodeId] {
        &self.ids
    }

    /// Takes other ids, as many as before.
    pub fn set_ids(&mut self, ids: Vec<NodeId>) {
        self.index = IdIndex::new(ids.iter().copied());
        self.ids = ids;
    }

    /// The monitor that deals with a contact.
    pub fn home(&self, id: &NodeId) -> Option<u32> {
        self.index.closest(&id.0)
    }

    /// Takes in a datagram that came to the socket of `monitor`; returns what was told with it.
    pub fn handle_datagram(
        &mut self,
        now: Time,
        monitor: u32,
        (from, datagram): (SocketAddr, &[u8]),
        shared: &mut Shared<'_>,
    ) -> Option<Told> {
        self.stats.datagrams_in += 1;
        self.stats.bytes_in += datagram.len() as u64;
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        if !self.reaches(from) {
            self.stats.out_of_scope += 1;
            return None;
        }
        match Message::parse(datagram) {
            Ok(Message { transaction, body: Body::Query { id, query }, read_only, .. }) => {
                let asker = Contact { id, addr: from };
                return self.handle_query(now, monitor, (asker, transaction, &query, read_only), shared);
            }
            Ok(Message { transaction, body, .. }) => {
                self.handle_reply(now, monitor, (from, transaction, &body), shared)
            }
            Err(ParseError::BadQuery { transaction, code, reason }) => {
                let count =
                    if code == METHOD_UNKNOWN { &mut self.stats.other_queries } else { &mut self.stats.malformed };
                *count += 1;
                if self.responder.admits(now, from) {
                    let refusal = self.responder.refuse(now, (from, transaction), (code, reason), &mut self.stats);
                    refusal.into_iter().for_each(|payload| self.transmit(monitor, (from, payload), None));
                }
            }
            Err(_) => self.stats.malformed += 1,
        }
        None
    }

    fn handle_query(
        &mut self,
        now: Time,
        monitor: u32,
        (asker, transaction, query, read_only): (Contact, &[u8], &Query<'_>, bool),
        shared: &Shared<'_>,
    ) -> Option<Told> {
        let own = *self.ids.get(monitor as usize)?;
        if !self.responder.admits(now, asker.addr) {
            self.stats.flooding += 1;
            return None;
        }
        if !read_only {
            // It knows this monitor; another one of the same address would be nothing to it.
            self.consider(now, Hearsay { contact: asker, by: monitor }, shared);
        }
        let family = self.config.family;
        let near = |wanted: Family, target: &[u8; NodeId::LEN]| {
            if wanted == family { shared.book.good(now, target, NEIGHBOURHOOD) } else { Vec::new() }
        };
        let asked = Asked { own, asker, transaction, query };
        let served = self.responder.serve(now, &asked, &near, &mut self.stats);
        served.reply.into_iter().for_each(|payload| self.transmit(monitor, (asker.addr, payload), None));
        served.sighting.map(|(infohash, kind)| Told { infohash, kind, from: asker })
    }

    fn handle_reply(
        &mut self,
        now: Time,
        monitor: u32,
        (from, transaction, body): (SocketAddr, &[u8], &Body<'_>),
        shared: &mut Shared<'_>,
    ) {
        let Some(contact) = self.questions.take(transaction, from) else {
            self.stats.unsolicited += 1;
            return;
        };
        self.stats.replies += 1;
        self.last_heard = Some(now);
        match body {
            Body::Response(response) => self.take_response(now, (monitor, contact), response, shared),
            // It lives.
            _ => {
                shared.book.answered(now, contact, &mut self.rng);
            }
        }
    }

    fn take_response(
        &mut self,
        now: Time,
        (monitor, asked): (u32, Contact),
        response: &Response<'_>,
        shared: &mut Shared<'_>,
    ) {
        let contact = Contact { id: response.id, addr: asked.addr };
        if contact.id != asked.id {
            // It was restarted, or lies; the old one is gone either way.
            shared.book.forget_address(asked.addr);
        }
        if self.ids.get(monitor as usize).is_none_or(|own| *own == contact.id) {
            return;
        }
        shared.book.answered(now, contact, &mut self.rng);
        let nodes = if self.config.family == Family::V4 { response.nodes } else { response.nodes6 };
        for contact in nodes.iter().take(MAX_NODES_PER_REPLY) {
            if let Some(by) = self.home(&contact.id) {
                self.consider(now, Hearsay { contact, by }, shared);
            }
        }
    }

    /// Puts a stranger on the list of those that are asked, if there is a use for it.
    fn consider(&mut self, now: Time, hearsay: Hearsay, shared: &Shared<'_>) {
        let Hearsay { contact, .. } = hearsay;
        let fresh = self.hearsay.len() < MAX_HEARSAY
            && self.reaches(contact.addr)
            && !shared.own.holds(contact.addr)
            && shared.book.is_stranger(&contact)
            && self.is_useful(&contact, shared.book)
            && self.strangers.get(now, &contact.addr).is_none();
        if fresh {
            self.strangers.insert(now, contact.addr, ());
            self.hearsay.push_back(hearsay);
        }
    }

    /// Whether there is room for it in the book, or it is a closer neighbour of a monitor than those it knows.
    fn is_useful(&self, contact: &Contact, book: &ContactBook) -> bool {
        if !book.is_full() {
            return true;
        }
        let Some(home) = self.home(&contact.id).and_then(|home| self.ids.get(home as usize)) else { return false };
        let known = book.nearest(&home.0, NEIGHBOURHOOD);
        known.last().is_none_or(|last| contact.id.distance(&home.0) < last.id.distance(&home.0))
    }

    /// When [`Self::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Option<Time> {
        let expiry = self.questions.next_expiry();
        let next = Some(self.next).filter(|_| !self.ids.is_empty());
        next.into_iter().chain(expiry).min()
    }

    /// Asks who is to be asked, if there is room for questions that can wait, and forgets who did not answer.
    pub fn handle_timeout(&mut self, now: Time, book: &mut ContactBook, has_room: bool) {
        self.expire(now, book);
        if self.ids.is_empty() || now < self.next {
            return;
        }
        self.responder.tidy(now);
        let passed = u64::try_from(now.since(self.worked).as_millis()).unwrap_or(u64::MAX).min(1_000);
        self.worked = now;
        let due = |rounds: usize, round: Duration| rounds as u64 * passed * 1_000 / round.as_millis().max(1) as u64;
        let group = u64::from(MAX_GROUP) * 1_000;
        self.contacts_due = (self.contacts_due + due(book.len(), CONTACT_ROUND)).min(group);
        self.monitors_due = (self.monitors_due + due(self.ids.len() * NEIGHBOURS, MONITOR_ROUND)).min(group);
        let mut asked = 0;
        while has_room
            && asked < MAX_GROUP
            && let Some(count) = self.ask_next(now, book)
        {
            asked += count;
        }
        // As many as were asked take their time; who has nothing to ask looks again soon.
        let pause = Duration::from_millis(u64::from(asked.max(MAX_GROUP / 4)) * 1_000 / u64::from(MAX_RATE));
        self.next = now + if asked > 0 { pause } else { IDLE };
    }

    /// Asks whoever is due next; returns what that counts for, None if nobody is.
    fn ask_next(&mut self, now: Time, book: &mut ContactBook) -> Option<u32> {
        if self.questions.is_full() {
            return None;
        }
        if let Some(Hearsay { contact, by }) = self.hearsay.pop_front() {
            self.ask(now, by, contact, book);
            return Some(1);
        }
        if self.contacts_due >= 1_000
            && let Some((contact, asked)) = book.after(&self.contact_turn)
        {
            self.contacts_due -= 1_000;
            self.contact_turn = contact.id;
            if now.since(asked) >= CONTACT_ROUND / 2
                && let Some(home) = self.home(&contact.id)
            {
                self.ask(now, home, contact, book);
            }
            return Some(1);
        }
        if self.monitors_due >= 1_000 * NEIGHBOURS as u64 {
            self.monitors_due -= 1_000 * NEIGHBOURS as u64;
            let monitor = self.monitor_turn % self.ids.len();
            self.monitor_turn = monitor + 1;
            for contact in book.nearest(&self.ids[monitor].0, NEIGHBOURS) {
                self.ask(now, monitor as u32, contact, book);
            }
            return Some(NEIGHBOURS as u32);
        }
        None
    }

    /// Asks `contact` for the contacts closest to the monitor itself.
    fn ask(&mut self, now: Time, monitor: u32, contact: Contact, book: &mut ContactBook) {
        let Some(own) = self.ids.get(monitor as usize).copied() else { return };
        if !book.ask(now, &contact) {
            return;
        }
        let transaction = self.questions.push(now, contact);
        let message = Message {
            transaction: &transaction,
            body: Body::Query { id: own, query: Query::FindNode { target: own, want: None } },
            version: Some(VERSION),
            read_only: self.config.read_only,
            external: None,
        };
        self.transmit(monitor, (contact.addr, message.encode()), Some(transaction));
    }

    fn expire(&mut self, now: Time, book: &mut ContactBook) {
        while let Some((contact, sent)) = self.questions.next_expired(now) {
            self.stats.timeouts += 1;
            // If nobody at all answered meanwhile, it is our own link that is down.
            if self.last_heard.is_some_and(|heard| heard > sent) {
                book.failed(&contact);
            }
        }
    }

    /// Does not hear whoever lies for some minutes.
    pub fn shun(&mut self, now: Time, addr: SocketAddr) {
        self.responder.ban(now, addr);
        self.hearsay.retain(|hearsay| hearsay.contact.addr != addr);
    }

    /// Peers of a torrent that announced themselves to a monitor, latest first, at most `count`.
    pub fn stored_peers(&self, infohash: &InfoHash, count: usize) -> Vec<SocketAddr> {
        self.responder.store().latest(infohash, count)
    }

    /// A question was not sent after all; nobody is blamed for the answer that will not come.
    pub fn unsent(&mut self, question: [u8; 4], to: SocketAddr) {
        if self.questions.take(&question, to).is_some() {
            self.stats.unsent += 1;
        }
    }

    /// The next datagram to send, and from the socket of which monitor.
    pub fn poll_transmit(&mut self) -> Option<(u32, Transmit)> {
        self.transmits.pop_front()
    }

    /// The counters of all of them; contacts are the book's.
    pub fn stats(&self) -> NodeStats {
        let store = self.responder.store();
        NodeStats { torrents: store.torrents() as u64, stored_peers: store.peers() as u64, ..self.stats }
    }

    fn reaches(&self, addr: SocketAddr) -> bool {
        self.config.scope.admits(addr) && Family::of(addr.ip()) == self.config.family
    }

    /// Every datagram goes through here, so nothing leaves the scope. The core takes them all after every call.
    fn transmit(&mut self, monitor: u32, (to, payload): (SocketAddr, Vec<u8>), question: Option<[u8; 4]>) {
        if self.reaches(to) {
            self.stats.datagrams_out += 1;
            self.stats.bytes_out += payload.len() as u64;
            self.transmits.push_back((monitor, Transmit { to, payload, question }));
        } else {
            self.stats.out_of_scope += 1;
        }
    }
}
