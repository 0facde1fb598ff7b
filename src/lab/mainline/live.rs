//! A world that real programs talk to, without sockets and clocks.
//!
//! [`LiveWorld`] answers for all of its members, keeps what they know of outsiders, lets them ask those now and then, and
//! runs their searches, whose questions to outsiders are true datagrams. Who owns a socket hands in what came and sends
//! what is to be sent; see [`crate::lab::udp`].

use std::collections::{HashMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use super::answers::{Announced, Asking, Knowledge, question};
use super::outsiders::{Outsiders, Party};
use super::search::{Company, Round, Search};
use super::{Kind, Torrents, World};
use crate::dht::Contact;
use crate::dht::krpc::{Body, Message, Query, Response};
use crate::lab::histogram::Histogram;
use crate::types::{InfoHash, NodeId, Time};

/// An answer is waited for so long.
const PATIENCE: Duration = Duration::from_secs(2);
/// Every member looks at its table once in this time.
const TENDING: Duration = Duration::from_secs(30);
/// Members that do so at once, at most: what is due after a pause takes its turn later.
const MAX_TENDING: usize = 256;
/// Outsiders that it asks then, at most.
const MAX_ASKED: usize = 2;
/// Searches at a time, at most.
const MAX_SEARCHES: usize = 16_384;
/// TCP port that clients announce.
const PEER_PORT: u16 = 6881;

/// A datagram of a member to an outsider.
#[derive(Debug)]
pub struct Datagram {
    pub member: u32,
    pub to: SocketAddrV4,
    pub payload: Vec<u8>,
    /// Of a question.
    transaction: Option<u32>,
}

/// What a search is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To find who is closest.
    Look,
    /// To announce the client to them.
    Announce,
}

/// A search that is over.
#[derive(Debug)]
pub struct Finished {
    /// As the caller numbered it.
    pub tag: u32,
    pub purpose: Purpose,
    pub search: Search,
    /// Outsiders that took the announce.
    pub took: u32,
}

#[derive(Debug)]
struct Running {
    tag: u32,
    purpose: Purpose,
    search: Search,
    /// Announces under way, and those that were taken.
    offered: u32,
    took: u32,
}

/// Why something was asked.
#[derive(Debug, Clone, Copy)]
enum Reason {
    Step(u32),
    Announce(u32),
    Tending,
}

#[derive(Debug, Clone, Copy)]
struct Pending {
    member: u32,
    outsider: u32,
    sent: Duration,
    reason: Reason,
}

/// What happened so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub sent: u64,
    pub received: u64,
    /// Questions of outsiders.
    pub questions: u64,
    /// Of ours that were not answered.
    pub unanswered: u64,
    /// To nobody, from a member's address, no message, or an answer to nothing.
    pub strays: u64,
}

/// All of it; see the module.
#[derive(Debug)]
pub struct LiveWorld {
    pub world: World,
    pub knowledge: Knowledge,
    searches: HashMap<u32, Running>,
    pending: HashMap<u32, Pending>,
    /// Transactions in the order in which they were sent, answered or not.
    order: VecDeque<(Duration, u32)>,
    next: u32,
    tending: usize,
    tended: Duration,
    outgoing: VecDeque<Datagram>,
    finished: VecDeque<Finished>,
    pub counts: Counts,
    /// From a question to its answer, in microseconds.
    pub replies: Histogram,
}

impl LiveWorld {
    pub fn new(world: World, torrents: Torrents) -> Self {
        let outsiders = Outsiders::new(world.len());
        Self {
            knowledge: Knowledge { torrents, outsiders, announced: Announced::default() },
            world,
            searches: HashMap::new(),
            pending: HashMap::new(),
            order: VecDeque::new(),
            next: 0,
            tending: 0,
            tended: Duration::ZERO,
            outgoing: VecDeque::new(),
            finished: VecDeque::new(),
            counts: Counts::default(),
            replies: Histogram::default(),
        }
    }

    /// Members that one may begin with: `count` that answer.
    pub fn routers(&self, count: usize) -> impl Iterator<Item = SocketAddr> + '_ {
        let step = (self.world.len() / count.max(1)).max(1);
        let spread = (0..count).filter_map(move |at| {
            let from = (at * step) as u32;
            (from..self.world.len() as u32).find(|node| self.world.kind(*node) == Kind::Full)
        });
        spread.map(|node| self.world.addr(node))
    }

    /// The next datagram to send, which is sent `now`: the time that an answer takes counts from here.
    pub fn poll_transmit(&mut self, now: Duration) -> Option<Datagram> {
        let next = self.outgoing.pop_front()?;
        self.counts.sent += 1;
        if let Some(pending) = next.transaction.and_then(|transaction| self.pending.get_mut(&transaction)) {
            pending.sent = now;
        }
        Some(next)
    }

    /// The next search that is over.
    pub fn poll_finished(&mut self) -> Option<Finished> {
        self.finished.pop_front()
    }

    /// Searches under way.
    pub fn searching(&self) -> usize {
        self.searches.len()
    }

    /// Takes in a datagram from `from` to the member at `to`.
    pub fn handle_datagram(&mut self, now: Duration, to: Ipv4Addr, from: SocketAddr, datagram: &[u8]) {
        self.counts.received += 1;
        let member = self.world.at(SocketAddr::from((to, super::PORT)));
        let (Some(member), SocketAddr::V4(from), Ok(message)) = (member, from, Message::parse(datagram)) else {
            self.counts.strays += 1;
            return;
        };
        if self.world.at(from.into()).is_some() {
            self.counts.strays += 1;
            return;
        }
        match &message.body {
            Body::Query { id, query } => self.asked(now, (member, from), *id, &message, query),
            Body::Response(response) => self.answered(now, (member, from), &message, Some(response)),
            Body::Error { .. } => self.answered(now, (member, from), &message, None),
        }
    }

    fn asked(
        &mut self,
        now: Duration,
        (member, from): (u32, SocketAddrV4),
        id: NodeId,
        message: &Message<'_>,
        query: &Query<'_>,
    ) {
        self.counts.questions += 1;
        let now = Time::ZERO + now;
        if !self.world.answers(member, now) || self.world.kind(member).ignores(query) {
            return;
        }
        let Self { world, knowledge, .. } = self;
        let payload = knowledge.reply(world, Asking { member, from: from.into(), now }, message.transaction, query);
        self.outgoing.push_back(Datagram { member, to: from, payload, transaction: None });
        if !message.read_only
            && let Some(outsider) = knowledge.outsiders.number(id, from, now)
        {
            knowledge.outsiders.heard(world, member, outsider, now);
        }
    }

    fn answered(
        &mut self,
        now: Duration,
        (member, from): (u32, SocketAddrV4),
        message: &Message<'_>,
        response: Option<&Response<'_>>,
    ) {
        let transaction = message.transaction.try_into().map(u32::from_be_bytes).ok();
        let pending = transaction.and_then(|transaction| Some((transaction, *self.pending.get(&transaction)?)));
        let expected =
            |pending: &Pending| pending.member == member && self.knowledge.outsiders.get(pending.outsider).addr == from;
        let Some((transaction, pending)) = pending.filter(|(_, pending)| expected(pending)) else {
            self.counts.strays += 1;
            return;
        };
        self.pending.remove(&transaction);
        self.replies.add(now.saturating_sub(pending.sent).as_micros() as u64);
        let clock = Time::ZERO + now;
        let id = self.knowledge.outsiders.get(pending.outsider).id;
        let Some(response) = response.filter(|response| response.id == id) else {
            // An error, or another node by now.
            self.without_answer(now, pending);
            return;
        };
        self.knowledge.outsiders.heard(&self.world, member, pending.outsider, clock);
        match pending.reason {
            Reason::Tending => {}
            Reason::Step(number) => {
                let names: Vec<Party> =
                    response.nodes.iter().filter_map(|contact| self.party(contact, clock)).collect();
                let running = self.searches.get_mut(&number);
                let over = running.is_some_and(|it| it.search.answered(pending.outsider, names, response.token));
                if over {
                    self.advance(now, number);
                }
            }
            Reason::Announce(number) => self.announced(number, true),
        }
    }

    /// Who somebody is that an outsider named.
    fn party(&mut self, contact: Contact, now: Time) -> Option<Party> {
        if let Some(member) = self.world.at(contact.addr) {
            // Members do not change their ids; another is hearsay about nobody.
            return (self.world.id(member) == contact.id).then_some(Party::Member(member));
        }
        let SocketAddr::V4(addr) = contact.addr else { return None };
        self.knowledge.outsiders.number(contact.id, addr, now).map(Party::Outsider)
    }

    fn without_answer(&mut self, now: Duration, pending: Pending) {
        self.counts.unanswered += 1;
        self.knowledge.outsiders.failed(pending.member, pending.outsider);
        match pending.reason {
            Reason::Tending => {}
            Reason::Step(number) => {
                if self.searches.get_mut(&number).is_some_and(|it| it.search.failed(pending.outsider)) {
                    self.advance(now, number);
                }
            }
            Reason::Announce(number) => self.announced(number, false),
        }
    }

    /// Does what is due; to be called every few milliseconds.
    pub fn handle_timeout(&mut self, now: Duration) {
        while let Some((sent, transaction)) = self.order.front().copied() {
            if now.saturating_sub(sent) < PATIENCE {
                break;
            }
            self.order.pop_front();
            if let Some(pending) = self.pending.remove(&transaction) {
                self.without_answer(now, pending);
            }
        }
        let members = self.world.len();
        let due = now.saturating_sub(self.tended).as_micros() * members as u128 / TENDING.as_micros();
        if due > 0 {
            self.tended = now;
            (0..due.min(MAX_TENDING as u128)).for_each(|_| self.tend(now));
        }
    }

    /// The next member asks those of its table that were silent for long.
    fn tend(&mut self, now: Duration) {
        self.tending = (self.tending + 1) % self.world.len().max(1);
        let member = self.tending as u32;
        if !self.is_up(member, now) {
            return;
        }
        let questionable = self.knowledge.outsiders.questionable(member, Time::ZERO + now);
        let ask: Vec<u32> = questionable.take(MAX_ASKED).collect();
        let target = self.world.id(member);
        for outsider in ask {
            self.ask((now, Reason::Tending), member, outsider, Query::FindNode { target, want: None });
        }
    }

    /// Whether a member is there. Those behind a NAT ask as well, they are only not reached.
    pub fn is_up(&self, member: u32, now: Duration) -> bool {
        self.world.kind(member) == Kind::Silent || self.world.answers(member, Time::ZERO + now)
    }

    fn ask(&mut self, (now, reason): (Duration, Reason), member: u32, outsider: u32, query: Query<'_>) {
        self.next = self.next.wrapping_add(1);
        let payload = question(self.world.id(member), self.next, query);
        let to = self.knowledge.outsiders.get(outsider).addr;
        self.outgoing.push_back(Datagram { member, to, payload, transaction: Some(self.next) });
        self.pending.insert(self.next, Pending { member, outsider, sent: now, reason });
        self.order.push_back((now, self.next));
    }

    /// `client` searches; the outcome is told by [`Self::poll_finished`] under `tag`. Whether there was room for it.
    pub fn search(&mut self, now: Duration, tag: u32, client: u32, target: [u8; 20], purpose: Purpose) -> bool {
        if self.searches.len() >= MAX_SEARCHES {
            return false;
        }
        let search = Search::new(client, target, Company::All, self.world.restricts(client));
        self.next = self.next.wrapping_add(1);
        let number = self.next;
        self.searches.insert(number, Running { tag, purpose, search, offered: 0, took: 0 });
        self.advance(now, number);
        true
    }

    /// The same search as it would be without outsiders.
    pub fn search_alone(&self, now: Duration, client: u32, target: [u8; 20]) -> Search {
        let mut search = Search::new(client, target, Company::Members, self.world.restricts(client));
        search.advance(&self.world, &self.knowledge.outsiders, Time::ZERO + now);
        search
    }

    fn advance(&mut self, now: Duration, number: u32) {
        let Some(running) = self.searches.get_mut(&number) else { return };
        let (client, target) = (running.search.client, running.search.target);
        match running.search.advance(&self.world, &self.knowledge.outsiders, Time::ZERO + now) {
            Round::Ask(ask) => {
                let infohash = InfoHash(target);
                for outsider in ask {
                    let query = Query::GetPeers { infohash, want: None, no_seeds: false, scrape: false };
                    self.ask((now, Reason::Step(number)), client, outsider, query);
                }
            }
            Round::Done => {
                let tokens = if running.purpose == Purpose::Announce { running.search.tokens() } else { Vec::new() };
                running.offered = tokens.len() as u32;
                for (outsider, token) in &tokens {
                    let infohash = InfoHash(target);
                    let query =
                        Query::AnnouncePeer { infohash, port: PEER_PORT, implied_port: false, token, seed: None };
                    self.ask((now, Reason::Announce(number)), client, *outsider, query);
                }
                if tokens.is_empty() {
                    self.finish(number);
                }
            }
        }
    }

    fn announced(&mut self, number: u32, took: bool) {
        let Some(running) = self.searches.get_mut(&number) else { return };
        running.took += u32::from(took);
        running.offered = running.offered.saturating_sub(1);
        if running.offered == 0 {
            self.finish(number);
        }
    }

    fn finish(&mut self, number: u32) {
        if let Some(Running { tag, purpose, search, took, .. }) = self.searches.remove(&number) {
            self.finished.push_back(Finished { tag, purpose, search, took });
        }
    }
}

#[cfg(test)]
mod tests;
