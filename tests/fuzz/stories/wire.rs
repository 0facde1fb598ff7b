//! The wire between the nodes of ours and the strangers: what passed, and what may.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use silverstream::dht::krpc::{Body, METHOD_UNKNOWN, Message, ParseError, Query};
use silverstream::dht::{Contact, Family, Fill, Transmit};
use silverstream::types::{InfoHash, NodeId, Scope, Time};

use super::letters::{inhabitant, point};

/// Longest reply (BEP 32).
const MAX_REPLY: usize = 1024;

/// How long a token is good at most: two rotations (BEP 5 proposes five and ten minutes).
const TOKEN_LIFE: Duration = Duration::from_secs(10 * 60);

/// Bytes of a transaction id that a reply has room for, whatever else is in it.
const LONG: usize = 500;

/// Questions of the nodes that the strangers remember, the latest.
const MAX_ASKED: usize = 256;

/// A question of a node of ours.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Number of the node.
    pub home: u32,
    pub to: SocketAddr,
    pub transaction: Vec<u8>,
    pub target: [u8; 20],
}

/// Who replies for a node of ours, or for several: gives tokens out of one secret and has one budget.
struct Responder {
    /// Most bytes a second of replies; 0 of a read-only node.
    rate: u64,
    replied: u64,
    /// Thousandths of bytes that it might reply with until it had that rate.
    earned: u128,
    since: Time,
}

impl Responder {
    /// A burst of four seconds' worth is allowed.
    fn new(rate: u64, since: Time) -> Self {
        Self { rate, replied: 0, earned: u128::from(rate) * 4000, since }
    }

    /// Bytes that it may have replied with by now.
    fn allowed(&self, now: Time) -> u128 {
        (self.earned + u128::from(self.rate) * now.since(self.since).as_millis()) / 1000
    }

    fn set_rate(&mut self, now: Time, rate: u64) {
        self.earned += u128::from(self.rate) * now.since(self.since).as_millis();
        (self.rate, self.since) = (rate, now);
    }
}

/// A token, and when it was first given.
type Token = (Vec<u8>, Time);

/// What passed over the wire.
pub struct Wire {
    pub scope: Scope,
    pub family: Family,
    home_ids: Vec<NodeId>,
    /// Of each node of ours, the number of its responder.
    responder_of: Vec<usize>,
    responders: Vec<Responder>,
    pub asked: VecDeque<Asked>,
    /// Queries that were handed in and not replied to yet: to which node, from whom, with which transaction id.
    owed: Vec<(u32, SocketAddr, Vec<u8>)>,
    /// By responder and asker, oldest first.
    tokens: BTreeMap<(usize, IpAddr), Vec<Token>>,
    /// Announces that came with a token that was good: node, announcer, infohash, port.
    announced: BTreeSet<(u32, SocketAddr, InfoHash, u16)>,
    ids: BTreeMap<SocketAddr, NodeId>,
    newcomers: u32,
    /// Who sent an answer to a question that was asked of it.
    pub answered: BTreeSet<SocketAddr>,
}

impl Wire {
    /// `rates`: what each responder may spend, in bytes a second. `homes`: of each node of ours, its id and the number of
    /// its responder.
    pub fn new(scope: Scope, family: Family, rates: &[u64], homes: impl Iterator<Item = (NodeId, usize)>) -> Self {
        let (home_ids, responder_of) = homes.unzip();
        Self {
            scope,
            family,
            home_ids,
            responder_of,
            responders: rates.iter().map(|rate| Responder::new(*rate, Time::ZERO)).collect(),
            asked: VecDeque::new(),
            owed: Vec::new(),
            tokens: BTreeMap::new(),
            announced: BTreeSet::new(),
            ids: BTreeMap::new(),
            newcomers: 1000,
            answered: BTreeSet::new(),
        }
    }

    /// The id of a node of ours.
    pub fn home_id(&self, number: u8) -> [u8; 20] {
        self.home_ids[usize::from(number) % self.home_ids.len()].0
    }

    pub fn set_home_ids(&mut self, ids: Vec<NodeId>) {
        self.home_ids = ids;
    }

    /// Another crawler takes the place of the one before: what that gave out is worth nothing.
    pub fn restarted(&mut self, now: Time, rates: &[u64]) {
        self.responders = rates.iter().map(|rate| Responder::new(*rate, now)).collect();
        self.asked.clear();
        self.owed.clear();
        self.tokens.clear();
        self.announced.clear();
        self.answered.clear();
    }

    /// Some of the crawler's nodes end, or others begin, and each has another part of what they may spend together. `stays`:
    /// which responders go on; what the others gave out is worth nothing.
    pub fn resized(&mut self, now: Time, rates: &[u64], stays: impl Fn(usize) -> bool) {
        for (number, (responder, rate)) in self.responders.iter_mut().zip(rates).enumerate() {
            if stays(number) {
                responder.set_rate(now, *rate);
            } else {
                *responder = Responder::new(*rate, now);
            }
        }
        self.tokens.retain(|(number, _), _| stays(*number));
    }

    /// What the node at an address calls itself.
    pub fn id_at(&self, addr: SocketAddr) -> NodeId {
        let unknown = || {
            let number = addr.to_string().bytes().fold(7, |hash: u32, byte| hash.wrapping_mul(31) ^ u32::from(byte));
            NodeId(point(&[0xa5; 20], 0, number))
        };
        self.ids.get(&addr).copied().unwrap_or_else(unknown)
    }

    /// Somebody whom nobody has heard of, that near to a point.
    pub fn newcomer(&mut self, near: &[u8; 20], bits: u8) -> Contact {
        self.newcomers += 1;
        let addr = inhabitant(self.newcomers, self.family);
        let id = NodeId(point(near, bits, self.newcomers));
        self.ids.insert(addr, id);
        Contact { id, addr }
    }

    /// The last token that the responder of a node gave to an address; empty if none.
    pub fn token(&self, home: u32, ip: IpAddr) -> &[u8] {
        self.given(home, ip).last().map_or(&[], |(token, _)| token)
    }

    fn given(&self, home: u32, ip: IpAddr) -> &[Token] {
        self.tokens.get(&(self.responder_of[home as usize], ip.to_canonical())).map_or(&[], Vec::as_slice)
    }

    /// A token that somebody has.
    pub fn any_token(&self) -> &[u8] {
        self.tokens.values().next().and_then(|given| given.last()).map_or(&[], |(token, _)| token)
    }

    /// Whether this was announced to a node, at whatever time, with a token that was good then.
    pub fn was_announced(&self, home: u32, from: SocketAddr, infohash: InfoHash, port: u16) -> bool {
        port != 0 && self.announced.contains(&(home, from, infohash, port))
    }

    fn hears_announce(&mut self, now: Time, home: u32, from: SocketAddr, query: &Query<'_>) {
        let Query::AnnouncePeer { infohash, port, implied_port, token, .. } = *query else { return };
        let is_good = |(known, given): &Token| known == token && now.since(*given) <= TOKEN_LIFE;
        if self.given(home, from.ip()).iter().any(is_good) {
            self.announced.insert((home, from, infohash, if implied_port { from.port() } else { port }));
        }
    }

    /// Whether a node may send there.
    pub fn is_inside(&self, addr: SocketAddr) -> bool {
        self.scope.admits(addr) && Family::of(addr.ip()) == self.family
    }

    /// Notes a datagram that is handed to a node.
    pub fn delivers(&mut self, now: Time, home: u32, from: SocketAddr, datagram: &[u8]) {
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        match Message::parse(datagram) {
            Ok(Message { transaction, body: Body::Query { query, .. }, .. }) => {
                self.owed.push((home, from, transaction.to_vec()));
                self.hears_announce(now, home, from, &query);
            }
            Err(ParseError::BadQuery { transaction, .. }) => self.owed.push((home, from, transaction.to_vec())),
            Ok(message) => {
                let asked = self
                    .asked
                    .iter()
                    .any(|asked| asked.home == home && asked.to == from && asked.transaction == message.transaction);
                if asked {
                    self.answered.insert(from);
                }
            }
            Err(_) => {}
        }
    }

    /// Takes what a node sends, which must be right.
    pub fn takes(&mut self, now: Time, home: u32, transmit: &Transmit) {
        let Transmit { to, payload, question, .. } = transmit;
        assert!((home as usize) < self.home_ids.len(), "node {home} is not at work");
        assert!(self.is_inside(*to), "sent to {to}, which is outside");
        assert_eq!(to.ip(), to.ip().to_canonical(), "a socket of the family cannot send there");
        let message = Message::parse(payload).expect("what is sent is a message");
        assert_eq!(question.is_some(), matches!(message.body, Body::Query { .. }), "{message:?}");
        let Body::Query { query, .. } = &message.body else { return self.takes_reply(now, home, transmit, &message) };
        let target = match query {
            Query::Ping => [0; 20],
            Query::FindNode { target, .. } | Query::SampleInfohashes { target, .. } => target.0,
            Query::GetPeers { infohash, .. } | Query::AnnouncePeer { infohash, .. } => infohash.0,
            Query::Other { .. } => unreachable!("a node asks only what it knows"),
        };
        assert!(payload.len() <= 256, "a question of {} bytes", payload.len());
        self.asked.truncate(MAX_ASKED - 1);
        self.asked.push_front(Asked { home, to: *to, transaction: message.transaction.to_vec(), target });
    }

    fn takes_reply(&mut self, now: Time, home: u32, Transmit { to, payload, .. }: &Transmit, message: &Message<'_>) {
        let asker = (home, *to, message.transaction.to_vec());
        let owed = self.owed.iter().position(|owed| *owed == asker);
        self.owed.swap_remove(owed.unwrap_or_else(|| panic!("a reply to {to}, who did not ask: {message:?}")));
        assert!(payload.len() <= MAX_REPLY, "a reply of {} bytes", payload.len());
        let number = self.responder_of[home as usize];
        let responder = &mut self.responders[number];
        responder.replied += payload.len() as u64;
        let (replied, allowed) = (responder.replied, responder.allowed(now));
        assert!(u128::from(replied) <= allowed, "{replied} bytes of replies, {allowed} are allowed");
        if let Body::Response(response) = &message.body
            && let Some(token) = response.token
        {
            let given = self.tokens.entry((number, to.ip())).or_default();
            if given.last().is_none_or(|(last, _)| last != token) {
                given.push((token.to_vec(), now));
            }
        }
    }

    /// The nodes were asked for all that they had to send; what is not replied to now never is.
    pub fn is_drained(&mut self) {
        self.owed.clear();
    }
}

/// Datagrams that were handed in, by what they must count as.
#[derive(Default)]
pub struct Delivered {
    pub outside: u64,
    pub unreadable: u64,
    pub replies: u64,
    pub queries: u64,
    /// Of the queries, those whose transaction id may leave no room for a reply: these count as malformed too.
    pub long: u64,
}

impl Delivered {
    pub fn all(&self) -> u64 {
        self.outside + self.unreadable + self.replies + self.queries
    }

    pub fn add(&mut self, is_inside: bool, letter: &[u8]) {
        let (kind, transaction) = match Message::parse(letter) {
            _ if !is_inside => (&mut self.outside, None),
            Ok(Message { transaction, body: Body::Query { .. }, .. }) => (&mut self.queries, Some(transaction)),
            Ok(_) => (&mut self.replies, None),
            Err(ParseError::BadQuery { transaction, code: METHOD_UNKNOWN, .. }) => {
                (&mut self.queries, Some(transaction))
            }
            Err(ParseError::BadQuery { transaction, .. }) => (&mut self.unreadable, Some(transaction)),
            Err(_) => (&mut self.unreadable, None),
        };
        *kind += 1;
        self.long += u64::from(transaction.is_some_and(|transaction| transaction.len() > LONG));
    }
}

/// Fails if a table holds more than it may.
pub fn assert_bounds(fills: &[Fill]) {
    for Fill { of, entries, bound } in fills {
        assert!(entries <= bound, "{of}: {entries}, at most {bound}");
    }
}
