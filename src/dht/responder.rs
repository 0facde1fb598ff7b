//! What a node answers with, whichever its id: tokens, peers, and how much it says to strangers.
//!
//! One node has one; nodes that share their knowledge share theirs.

use std::net::SocketAddr;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::api::{Contact, Family, Fill, NodeConfig, NodeStats, SightingKind};
use super::bloom::{BLOOM_LEN, Bloom};
use super::guard::{Budget, Guard};
use super::krpc::compact::{PEER_V4_LEN, PEER_V6_LEN, push_contact, push_peer};
use super::krpc::{Body, Message, Nodes, PROTOCOL_ERROR, Query, Response, Sample, Samples, Scrape, Values, Want};
use super::shunned::Shunned;
use super::store::{PeerStore, SAMPLE_INTERVAL};
use super::table::K;
use super::token::Tokens;
use crate::types::{InfoHash, NodeId, Time};

/// Client and version in our messages (BEP 20): Silverstream Jukebox 0.1.
pub const VERSION: &[u8] = b"SJ\x00\x01";

/// Longest reply in bytes, with which a datagram crosses every path in one piece (BEP 32).
pub const MAX_REPLY: usize = 1024;

/// Peers drawn for a reply; what does not fit is left out.
const MAX_VALUES: usize = 50;

/// Of the bytes that are spent on replies, one in so many may go to errors: who only asks wrongly must not silence us to
/// those who ask well, who are answered only if a whole [`MAX_REPLY`] is left.
const PART_OF_ERRORS: u32 = 8;

/// A query, and which of our ids it came to.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub own: NodeId,
    pub asker: Contact,
    pub transaction: &'a [u8],
    pub query: &'a Query<'a>,
}

/// What comes of a query.
#[derive(Debug, Default)]
pub struct Served {
    /// The infohash that was named, and why.
    pub sighting: Option<(InfoHash, SightingKind)>,
    /// The datagram to send back, if any.
    pub reply: Option<Vec<u8>>,
}

/// The token of an announce is not one that the sender was given lately.
struct BadToken;

/// Gives the good contacts of a family that are closest to a target, closest first, at most [`K`].
pub type Near<'a> = &'a dyn Fn(Family, &[u8; NodeId::LEN]) -> Vec<Contact>;

/// See the module.
#[derive(Debug)]
pub struct Responder {
    family: Family,
    read_only: bool,
    ids: u32,
    tokens: Tokens,
    store: PeerStore,
    guard: Guard,
    shunned: Shunned,
    /// Of all replies.
    budget: Budget,
    /// Of errors among them.
    errors: Budget,
}

impl Responder {
    /// With an empty store. `seed` decides everything random in it.
    pub fn new(config: &NodeConfig, seed: u64, now: Time) -> Self {
        // Streams of their own, so that what the network does to one does not show in another.
        let stream = |number| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(number);
            rng
        };
        Self {
            family: config.family,
            read_only: config.read_only,
            ids: config.ids,
            tokens: Tokens::new(stream(1), now),
            store: PeerStore::new(config.max_torrents, config.max_peers, stream(2)),
            guard: Guard::new(config.ids),
            shunned: Shunned::default(),
            budget: Budget::new(config.reply_bytes_per_second, now),
            errors: Budget::new(config.reply_bytes_per_second / PART_OF_ERRORS, now),
        }
    }

    /// Spends so much on replies from now on.
    pub fn set_reply_pace(&mut self, now: Time, bytes_per_second: u32) {
        self.budget.set_pace(now, bytes_per_second);
        self.errors.set_pace(now, bytes_per_second / PART_OF_ERRORS);
    }

    /// Answers as so many ids from now on.
    pub fn set_ids(&mut self, ids: u32) {
        self.ids = ids;
        self.guard.set_ids(ids);
    }

    /// How full the store and the guard are.
    pub fn fills(&self) -> impl Iterator<Item = Fill> + use<> {
        self.store.fills().into_iter().chain(self.guard.fills()).chain([self.shunned.fill()])
    }

    /// Counts a query from `from` and says whether to hear it.
    pub fn admits(&mut self, now: Time, from: SocketAddr) -> bool {
        !self.shunned.holds(now, from) && self.guard.admits(now, from)
    }

    /// Whether the host of `addr` lied lately. Who only asked too much is not meant: that may have been somebody else in
    /// its name.
    pub fn shuns(&self, now: Time, addr: SocketAddr) -> bool {
        self.shunned.holds(now, addr)
    }

    /// Hears nothing of the host of `addr`, which lied, for some minutes.
    pub fn shun(&mut self, now: Time, addr: SocketAddr) {
        self.shunned.insert(now, addr);
    }

    /// The peers that announced themselves.
    pub fn store(&self) -> &PeerStore {
        &self.store
    }

    /// Forgets what has expired; cheap if it was done lately.
    pub fn tidy(&mut self, now: Time) {
        self.store.tidy(now);
    }

    /// Serves a query.
    pub fn serve(&mut self, now: Time, asked: &Asked<'_>, near: Near<'_>, stats: &mut NodeStats) -> Served {
        let asker = asked.asker.addr;
        let Ok(sighting) = self.take(now, asked, stats) else {
            let reply = self.refuse(now, (asker, asked.transaction), (PROTOCOL_ERROR, "bad token"), stats);
            return Served { sighting: None, reply };
        };
        // In a flood, what is not sent is not worked out either.
        if self.read_only || !self.budget.has(now, MAX_REPLY) {
            stats.over_budget += u64::from(!self.read_only);
            return Served { sighting, reply: None };
        }
        let answer = match *asked.query {
            Query::Ping | Query::AnnouncePeer { .. } => Answer::default(),
            Query::FindNode { target, want } => self.nodes_near(&target.0, want, near),
            Query::GetPeers { infohash, want, no_seeds, scrape } => {
                let answer = self.nodes_near(&infohash.0, want, near);
                self.with_peers(now, answer, asker, (infohash, no_seeds, scrape))
            }
            Query::SampleInfohashes { target, want } => {
                let answer = self.nodes_near(&target.0, want, near);
                self.with_sample(now, answer, &asked.own)
            }
            Query::Other { target, .. } => self.nodes_near(&target.0, None, near),
        };
        let reply = answer.encode(asked, self.family);
        Served { sighting, reply: self.allow(now, reply, stats) }
    }

    /// Counts a query and keeps what it tells: the infohash that was named, if any.
    fn take(
        &mut self,
        now: Time,
        asked: &Asked<'_>,
        stats: &mut NodeStats,
    ) -> Result<Option<(InfoHash, SightingKind)>, BadToken> {
        let asker = asked.asker.addr;
        match *asked.query {
            Query::Ping => stats.pings += 1,
            Query::FindNode { .. } => stats.find_nodes += 1,
            Query::GetPeers { infohash, .. } => {
                stats.get_peers += 1;
                return Ok(Some((infohash, SightingKind::GetPeers)));
            }
            Query::AnnouncePeer { infohash, port, implied_port, token, seed } => {
                stats.announces += 1;
                if !self.tokens.accepts(now, asker.ip(), token) {
                    stats.bad_tokens += 1;
                    return Err(BadToken);
                }
                let port = if implied_port { asker.port() } else { port };
                self.store.announce(now, infohash, SocketAddr::new(asker.ip(), port), seed.unwrap_or_default());
                return Ok(Some((infohash, SightingKind::Announce { port, seed })));
            }
            Query::SampleInfohashes { .. } => stats.samples += 1,
            Query::Other { .. } => stats.other_queries += 1,
        }
        Ok(None)
    }

    /// The datagram that answers a query with an error, if one may be sent.
    pub fn refuse(
        &mut self,
        now: Time,
        (to, transaction): (SocketAddr, &[u8]),
        (code, text): (i64, &str),
        stats: &mut NodeStats,
    ) -> Option<Vec<u8>> {
        let reply = reply(to, transaction, Body::Error { code, text: text.as_bytes() });
        if !self.read_only && !self.errors.spend(now, reply.len()) {
            stats.over_budget += 1;
            return None;
        }
        self.allow(now, reply, stats)
    }

    /// The closest contacts of the families that are wanted (BEP 32): ours if nothing is said.
    fn nodes_near(&self, target: &[u8; NodeId::LEN], want: Option<Want>, near: Near<'_>) -> Answer {
        let own = self.family;
        let want = want.unwrap_or(Want { v4: own == Family::V4, v6: own == Family::V6 });
        let compact = |family: Family, wanted: bool| {
            let mut nodes = Vec::new();
            if wanted {
                near(family, target).iter().take(K).for_each(|contact| push_contact(&mut nodes, contact));
            }
            nodes
        };
        Answer { nodes: compact(Family::V4, want.v4), nodes6: compact(Family::V6, want.v6), ..Answer::default() }
    }

    fn with_peers(
        &mut self,
        now: Time,
        mut answer: Answer,
        asker: SocketAddr,
        (infohash, no_seeds, scrape): (InfoHash, bool, bool),
    ) -> Answer {
        answer.token = Some(self.tokens.issue(now, asker.ip()));
        answer.filters = scrape.then(|| self.store.filters(now, &infohash)).flatten();
        for peer in self.store.draw(now, &infohash, no_seeds, MAX_VALUES) {
            push_peer(&mut answer.values, peer);
        }
        answer
    }

    /// Ids that share a store show what lies around each of them, as nodes do that are told of it.
    fn with_sample(&mut self, now: Time, answer: Answer, own: &NodeId) -> Answer {
        let bytes = |infohashes: &[InfoHash]| infohashes.iter().flat_map(|infohash| infohash.0).collect();
        let (samples, total) = if self.ids > 1 {
            let (sample, total) = self.store.sample_around(now, own, self.ids);
            (bytes(&sample), total)
        } else {
            (bytes(self.store.sample(now)), self.store.torrents())
        };
        Answer { samples: Some((samples, i64::try_from(total).unwrap_or(i64::MAX))), ..answer }
    }

    /// A reply within the budget. A read-only node sends none (BEP 43), and none is longer than a datagram may be: that
    /// happens only if the transaction id alone fills it.
    fn allow(&mut self, now: Time, payload: Vec<u8>, stats: &mut NodeStats) -> Option<Vec<u8>> {
        if self.read_only {
            return None;
        }
        if payload.len() > MAX_REPLY {
            stats.malformed += 1;
            return None;
        }
        if !self.budget.spend(now, payload.len()) {
            stats.over_budget += 1;
            return None;
        }
        Some(payload)
    }
}

/// The variable parts of an answer, which the response borrows.
#[derive(Default)]
struct Answer {
    nodes: Vec<u8>,
    nodes6: Vec<u8>,
    token: Option<[u8; 8]>,
    values: Vec<u8>,
    samples: Option<(Vec<u8>, i64)>,
    filters: Option<(Bloom, Bloom)>,
}

impl Answer {
    /// The datagram, short enough if that is possible.
    fn encode(mut self, asked: &Asked<'_>, family: Family) -> Vec<u8> {
        let (to, transaction) = (asked.asker.addr, asked.transaction);
        let payload = reply(to, transaction, Body::Response(self.response(asked.own)));
        if payload.len() <= MAX_REPLY {
            return payload;
        }
        self.shorten(family, payload.len() - MAX_REPLY);
        reply(to, transaction, Body::Response(self.response(asked.own)))
    }

    fn response(&self, id: NodeId) -> Response<'_> {
        Response {
            nodes: Nodes::v4(&self.nodes),
            nodes6: Nodes::v6(&self.nodes6),
            token: self.token.as_ref().map(|token| token.as_slice()),
            values: (!self.values.is_empty()).then(|| Values::pushed(&self.values)),
            sample: self.samples.as_ref().map(|(samples, total)| Sample {
                samples: Samples(samples),
                total: Some(*total),
                interval: i64::try_from(SAMPLE_INTERVAL.as_secs()).ok(),
            }),
            scrape: self
                .filters
                .as_ref()
                .map(|(seeds, peers)| Scrape { seeds: seeds.as_bytes(), peers: peers.as_bytes() }),
            ..Response::new(id)
        }
    }

    /// Leaves out what the asker can best do without, until at least `excess` bytes are saved: contacts of the family
    /// that it did not ask over, then peers, then filters, then samples, then contacts.
    fn shorten(&mut self, family: Family, excess: usize) {
        let (other, own) = match family {
            Family::V4 => (&mut self.nodes6, &mut self.nodes),
            Family::V6 => (&mut self.nodes, &mut self.nodes6),
        };
        let mut left = excess;
        left = left.saturating_sub(std::mem::take(other).len());
        // All peers in one reply are of one family, so of one length.
        let value = if family == Family::V4 { PEER_V4_LEN } else { PEER_V6_LEN };
        let values = self.values.len().saturating_sub(left.next_multiple_of(value));
        left = left.saturating_sub(self.values.len() - values);
        self.values.truncate(values);
        if left > 0 && self.filters.take().is_some() {
            left = left.saturating_sub(BLOOM_LEN * 2);
        }
        if left > 0
            && let Some((samples, _)) = &mut self.samples
        {
            let keep = samples.len().saturating_sub(left.next_multiple_of(InfoHash::LEN));
            left = left.saturating_sub(samples.len() - keep);
            samples.truncate(keep);
        }
        if left > 0 {
            own.clear();
        }
    }
}

fn reply(to: SocketAddr, transaction: &[u8], body: Body<'_>) -> Vec<u8> {
    Message { transaction, body, version: Some(VERSION), read_only: false, external: Some(to) }.encode()
}
