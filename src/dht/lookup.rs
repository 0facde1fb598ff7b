//! One lookup: a walk towards a point of the id space that asks ever closer nodes.
//!
//! Pure bookkeeping: who is known, who is asked next, whether it is over. The node sends and receives.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::api::{Contact, Fill, Lookup, Urgency};
use super::bloom::Tally;
use super::origin::{Block, Host};
use super::table::K;
use crate::types::{Distance, InfoHash, Time};

/// Questions that may be under way at a time, not counting those that have stalled.
const ALPHA: usize = 3;

/// Questions that may be under way at a time, stalled ones included: each that stalls lets one more go out.
const MAX_IN_FLIGHT: usize = 8;

/// Questions in all. A lookup in the public DHT takes 20 to 40; a liar could lead it on for ever.
const MAX_ASKED: usize = 100;

/// Nodes that are remembered, the closest ones.
const MAX_CANDIDATES: usize = 64;

/// Nodes that are taken from one reply; honest ones name 8, or 16 with both families.
pub const MAX_NODES_PER_REPLY: usize = 20;

/// A candidate to whom the question could not be sent is asked again after this time.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// How often: for ten seconds, after which everybody bears us again.
const MAX_WITHHELD: u8 = 5;

/// Peers that one lookup reports.
const MAX_PEERS: usize = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Asked,
    /// Asked, and slow to answer.
    Stalled,
    Answered,
    /// To be asked, but not before this time.
    Withheld(Time),
    Failed,
}

#[derive(Debug)]
struct Candidate {
    contact: Contact,
    distance: Distance,
    state: State,
    /// How often a question to it could not be sent.
    withheld: u8,
    token: Option<Box<[u8]>>,
}

/// A lookup under way.
#[derive(Debug)]
pub struct Walk {
    pub kind: Lookup,
    pub urgency: Urgency,
    /// Routers that are still to be asked.
    routers: Vec<SocketAddr>,
    /// Of these, those to whom the question could not be sent, and how often that may still happen.
    routers_withheld: Vec<SocketAddr>,
    router_tries: usize,
    /// Closest first; one a host and one a block of addresses.
    candidates: Vec<Candidate>,
    in_flight: usize,
    stalled: usize,
    asked: usize,
    /// When the first of those withheld is asked again.
    next_again: Option<Time>,
    peers: BTreeSet<SocketAddr>,
    /// Announces that are under way; none before the walk is over.
    announcing: Option<usize>,
    /// Announces that were taken.
    pub announced: u32,
    /// What a scrape counted.
    pub tally: Tally,
}

/// What to do for a lookup.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask somebody for closer nodes.
    Ask(Contact),
    /// Ask a router, whose id is not known.
    AskRouter(SocketAddr),
    /// Wait for answers.
    Wait,
    /// The walk has arrived.
    Arrived,
}

impl Lookup {
    /// Where it goes.
    pub fn target(&self) -> [u8; 20] {
        match self {
            Self::FindNode(id) | Self::Sample(id) => id.0,
            Self::GetPeers(infohash) | Self::Scrape(infohash) | Self::Announce { infohash, .. } => infohash.0,
        }
    }

    /// The torrent it is about.
    pub fn infohash(&self) -> Option<InfoHash> {
        match self {
            Self::FindNode(_) | Self::Sample(_) => None,
            Self::GetPeers(infohash) | Self::Scrape(infohash) | Self::Announce { infohash, .. } => Some(*infohash),
        }
    }
}

impl Walk {
    /// A walk that begins at `start`, and at `routers`.
    pub fn new(kind: Lookup, urgency: Urgency, start: Vec<Contact>, routers: Vec<SocketAddr>) -> Self {
        let mut walk = Self {
            kind,
            urgency,
            router_tries: routers.len() * usize::from(MAX_WITHHELD),
            routers,
            routers_withheld: Vec::new(),
            candidates: Vec::new(),
            in_flight: 0,
            stalled: 0,
            asked: 0,
            next_again: None,
            peers: BTreeSet::new(),
            announcing: None,
            announced: 0,
            tally: Tally::default(),
        };
        start.into_iter().for_each(|contact| walk.offer(contact));
        walk
    }

    /// Whether nobody outside the node waits for it.
    pub fn is_internal(&self) -> bool {
        self.urgency == Urgency::Upkeep
    }

    /// How much it has collected.
    pub fn fills(&self) -> [Fill; 4] {
        let [filters, named] = self.tally.fills();
        [
            Fill { of: "candidates of a lookup", entries: self.candidates.len(), bound: MAX_CANDIDATES },
            Fill { of: "peers of a lookup", entries: self.peers.len(), bound: MAX_PEERS },
            filters,
            named,
        ]
    }

    /// Considers a node that somebody named.
    pub fn offer(&mut self, contact: Contact) {
        let distance = contact.id.distance(&self.kind.target());
        let (host, block) = (Host::of(contact.addr), Block::of(contact.addr));
        // A node that changed its id is still known by the old one to some: asking at the closer place tells.
        self.candidates.retain(|known| {
            known.contact.addr != contact.addr || known.state != State::New || known.distance <= distance
        });
        let taken = self.candidates.iter().any(|known| {
            known.contact.id == contact.id
                || Host::of(known.contact.addr) == host
                || Block::of(known.contact.addr) == block
        });
        if taken || self.announcing.is_some() {
            return;
        }
        let at = self.candidates.partition_point(|known| known.distance < distance);
        if at >= MAX_CANDIDATES {
            return;
        }
        self.candidates.insert(at, Candidate { contact, distance, state: State::New, withheld: 0, token: None });
        self.candidates.truncate(MAX_CANDIDATES);
    }

    /// What to do now. Call again after [`Step::Ask`] and [`Step::AskRouter`].
    pub fn step(&mut self) -> Step {
        let may_ask = self.in_flight.saturating_sub(self.stalled) < ALPHA
            && self.in_flight < MAX_IN_FLIGHT
            && self.asked < MAX_ASKED;
        if may_ask && let Some(router) = self.routers.pop() {
            self.went_out();
            return Step::AskRouter(router);
        }
        let hopeful = |known: &&mut Candidate| !matches!(known.state, State::Failed | State::Stalled);
        let mut answered = 0;
        let mut waiting = false;
        let mut next = None;
        for known in self.candidates.iter_mut().filter(hopeful).take(K) {
            match known.state {
                State::Answered => answered += 1,
                State::New => next = next.or(Some(known)),
                _ => waiting = true,
            }
        }
        match next {
            Some(known) if may_ask => {
                known.state = State::Asked;
                let contact = known.contact;
                self.went_out();
                Step::Ask(contact)
            }
            Some(_) if self.asked < MAX_ASKED => Step::Wait,
            _ if waiting || !self.routers_withheld.is_empty() || (answered < K && self.in_flight > 0) => Step::Wait,
            _ => Step::Arrived,
        }
    }

    fn went_out(&mut self) {
        self.in_flight += 1;
        self.asked += 1;
    }

    fn came_back(&mut self, was_stalled: bool) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.stalled = self.stalled.saturating_sub(usize::from(was_stalled));
    }

    fn find(&mut self, addr: SocketAddr) -> Option<&mut Candidate> {
        self.candidates.iter_mut().find(|known| known.contact.addr == addr)
    }

    /// The question to `addr` takes long; `was_stalled` in the following calls then.
    pub fn stalled(&mut self, addr: SocketAddr) {
        self.stalled += 1;
        if let Some(known) = self.find(addr) {
            known.state = State::Stalled;
        }
    }

    /// A question is asked again in other words, so it is under way still, but not slow yet.
    pub fn asked_again(&mut self, addr: SocketAddr, was_stalled: bool) {
        self.stalled = self.stalled.saturating_sub(usize::from(was_stalled));
        if let Some(known) = self.find(addr) {
            known.state = State::Asked;
        }
    }

    /// The question to `addr` was not sent: nobody is to blame, so it is asked again a little later.
    pub fn withheld(&mut self, now: Time, addr: SocketAddr, was_stalled: bool) {
        self.came_back(was_stalled);
        self.asked = self.asked.saturating_sub(1);
        let Some(known) = self.find(addr) else { return };
        known.withheld += 1;
        if known.withheld > MAX_WITHHELD {
            known.state = State::Failed;
            return;
        }
        let again = now + ASK_AGAIN;
        known.state = State::Withheld(again);
        self.wake_at(again);
    }

    /// The same of the question to a router.
    pub fn router_withheld(&mut self, now: Time, addr: SocketAddr, was_stalled: bool) {
        self.came_back(was_stalled);
        self.asked = self.asked.saturating_sub(1);
        if let Some(left) = self.router_tries.checked_sub(1) {
            self.router_tries = left;
            self.routers_withheld.push(addr);
            self.wake_at(now + ASK_AGAIN);
        }
    }

    fn wake_at(&mut self, again: Time) {
        self.next_again = Some(self.next_again.map_or(again, |next| next.min(again)));
    }

    /// Lets those be asked again whose time has come.
    pub fn ask_again(&mut self, now: Time) {
        if self.next_again.is_none_or(|next| now < next) {
            return;
        }
        self.next_again = None;
        self.routers.append(&mut self.routers_withheld);
        for known in &mut self.candidates {
            match known.state {
                State::Withheld(again) if again <= now => known.state = State::New,
                State::Withheld(again) => self.next_again = Some(self.next_again.map_or(again, |next| next.min(again))),
                _ => {}
            }
        }
    }

    /// When [`Self::ask_again`] has something to do.
    pub fn next_again(&self) -> Option<Time> {
        self.next_again
    }

    /// The question to `addr` will not be answered, or not usefully.
    pub fn failed(&mut self, addr: SocketAddr, was_stalled: bool) {
        self.came_back(was_stalled);
        if let Some(known) = self.find(addr) {
            known.state = State::Failed;
        }
    }

    /// `contact` answered. Its id is what it says now, which may not be what others said.
    pub fn answered(&mut self, contact: Contact, token: Option<&[u8]>, was_stalled: bool) {
        self.came_back(was_stalled);
        let Some(at) = self.candidates.iter().position(|known| known.contact.addr == contact.addr) else { return };
        let mut known = self.candidates.remove(at);
        known.state = State::Answered;
        known.token = token.map(Box::from);
        known.contact = contact;
        known.distance = contact.id.distance(&self.kind.target());
        let at = self.candidates.partition_point(|other| other.distance < known.distance);
        self.candidates.insert(at, known);
    }

    /// Which of these peers are new.
    pub fn fresh_peers(&mut self, peers: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
        let mut fresh = Vec::new();
        for peer in peers {
            if self.peers.len() < MAX_PEERS && self.peers.insert(peer) {
                fresh.push(peer);
            }
        }
        fresh
    }

    /// How many peers were found.
    pub fn peers(&self) -> u32 {
        self.peers.len() as u32
    }

    /// The closest nodes that answered, closest first.
    pub fn closest(&self) -> Vec<Contact> {
        self.arrived().map(|known| known.contact).collect()
    }

    fn arrived(&self) -> impl Iterator<Item = &Candidate> + '_ {
        self.candidates.iter().filter(|known| known.state == State::Answered).take(K)
    }

    /// Whom to announce to with which token, when the walk has arrived; empty the second time.
    pub fn announces(&mut self) -> Vec<(Contact, Box<[u8]>)> {
        if !matches!(self.kind, Lookup::Announce { .. }) || self.announcing.is_some() {
            return Vec::new();
        }
        let whom: Vec<_> = self.arrived().filter_map(|known| Some((known.contact, known.token.clone()?))).collect();
        self.announcing = Some(whom.len());
        whom
    }

    /// The token that a node gave.
    pub fn token(&self, contact: &Contact) -> Option<Box<[u8]>> {
        self.candidates.iter().find(|known| known.contact == *contact)?.token.clone()
    }

    /// An announce was taken, or given up.
    pub fn announce_ended(&mut self, taken: bool) {
        self.announcing = self.announcing.map(|under_way| under_way.saturating_sub(1));
        self.announced += u32::from(taken);
    }

    /// Whether announces are under way.
    pub fn is_announcing(&self) -> bool {
        self.announcing.is_some_and(|under_way| under_way > 0)
    }
}
