//! Nodes that are hardly more than an id.
//!
//! A few dozen [`dht::Node`](crate::dht::Node)s with tables of their own know the network and search in it. Thousands more
//! would hear more and need not know anything by themselves: these are *monitors*, after Memon and Rejaie ("Large-scale
//! monitoring of DHT traffic", IPTPS 2009). To others a monitor is a node as any: it answers every query, gives tokens,
//! takes announces. But all of them answer out of one [`ContactBook`] and one store of peers, ask through one table of open
//! questions, and keep one account of each host. So a monitor takes its id, its place in the index and its socket.
//!
//! What keeps a monitor in other nodes' tables is that it asks them. Each contact of the book is asked once in
//! [`rounds::CONTACT_ROUND`], as far as there is room, by the monitor closest to it ([`Monitors::home`]): many clients keep
//! one node of an address only. Besides, each monitor asks the contacts closest to itself once in
//! [`rounds::MONITOR_ROUND`], for those who keep several. They are asked for the monitor's own id, so that they name those
//! who live beside it: thus the book fills with the monitors' neighbours.
//!
//! Where monitors watch a zone, only its inhabitants are to know them, and each of these its own: a client that keeps to one
//! node of an address follows the first of ours that it is told of, and far from where it wants to go that would be the
//! wrong one. So in a zone our nodes with tables are unlisted, monitors ask those outside as read-only nodes do, and they
//! introduce themselves to every inhabitant that one of our nodes finds.

mod questions;
mod rounds;
mod strangers;

use std::collections::VecDeque;
use std::net::SocketAddr;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::book::ContactBook;
use super::own::Own;
use super::placement::IdIndex;
use crate::config::Zone;
use crate::dht::krpc::{Body, METHOD_UNKNOWN, Message, ParseError, Query, Response};
use crate::dht::{
    Asked, Contact, Family, Fill, MAX_NODES_PER_REPLY, NodeConfig, NodeStats, Responder, SightingKind, Transmit,
    Urgency,
};
use crate::types::{InfoHash, NodeId, Time};
use questions::Questions;
use strangers::{Hearsay, Strangers};

/// Neighbourhood of a monitor that is worth knowing though the book is full: what it names when it is asked.
const NEIGHBOURHOOD: usize = 8;

/// Whether a question that can wait may go to this remote now.
pub type MayAsk<'a> = &'a mut dyn FnMut(SocketAddr) -> bool;

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

/// All monitors; see the module.
#[derive(Debug)]
pub struct Monitors {
    config: NodeConfig,
    /// Where they watch, if not everywhere.
    zone: Option<Zone>,
    ids: Vec<NodeId>,
    index: IdIndex,
    responder: Responder,
    questions: Questions,
    strangers: Strangers,
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
    /// How full everything is that strangers can put something into.
    pub fn fills(&self) -> Vec<Fill> {
        let mut fills = vec![self.questions.fill()];
        fills.extend(self.strangers.fills());
        fills.extend(self.responder.fills());
        fills
    }

    /// Monitors with these ids, all in `zone` if there is one; they are numbered in this order.
    pub fn new(config: NodeConfig, (ids, zone): (Vec<NodeId>, Option<Zone>), mut rng: ChaCha8Rng, now: Time) -> Self {
        Self {
            responder: Responder::new(&config, rng.random(), now),
            config,
            zone,
            index: IdIndex::new(ids.iter().copied()),
            ids,
            questions: Questions::new(ChaCha8Rng::from_rng(&mut rng)),
            strangers: Strangers::default(),
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

    /// Takes other ids.
    pub fn set_ids(&mut self, ids: Vec<NodeId>) {
        self.responder.set_ids(u32::try_from(ids.len()).unwrap_or(u32::MAX));
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
        if asker.id == own {
            self.stats.out_of_scope += 1;
            return None;
        }
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
        let fresh = self.strangers.has_place(now, contact.addr)
            && self.reaches(contact.addr)
            && !shared.own.holds(contact.addr)
            && shared.book.is_stranger(&contact)
            && self.is_useful(&contact, shared.book);
        if fresh {
            self.strangers.add(now, hearsay);
        }
    }

    /// One of our unlisted nodes found an inhabitant of the zone, which is to know its monitor too.
    pub fn introduce(&mut self, contact: Contact) {
        if self.zone.is_some_and(|zone| zone.holds(&contact.id))
            && let Some(by) = self.home(&contact.id)
        {
            self.strangers.put_back(Hearsay { contact, by });
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

    /// Does not hear whoever lies for some minutes.
    pub fn shun(&mut self, now: Time, addr: SocketAddr) {
        self.responder.shun(now, addr);
        self.strangers.forget(addr);
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
            let urgency = if question.is_some() { Urgency::Sampling } else { Urgency::Answer };
            self.transmits.push_back((monitor, Transmit { to, payload, urgency, question }));
        } else {
            self.stats.out_of_scope += 1;
        }
    }
}
