//! Answering others.

use std::net::SocketAddr;

use super::{Node, VERSION};
use crate::dht::api::{Contact, Event, Family, SightingKind};
use crate::dht::bloom::{BLOOM_LEN, Bloom};
use crate::dht::krpc::compact::{PEER_V4_LEN, PEER_V6_LEN, push_contact, push_peer};
use crate::dht::krpc::{Body, Message, Nodes, PROTOCOL_ERROR, Query, Response, Sample, Samples, Scrape, Values, Want};
use crate::dht::store::SAMPLE_INTERVAL;
use crate::dht::table::K;
use crate::types::{InfoHash, NodeId, Time};

/// Longest reply in bytes, with which a datagram crosses every path in one piece (BEP 32).
pub const MAX_REPLY: usize = 1024;

/// Peers drawn for a reply; what does not fit is left out.
const MAX_VALUES: usize = 50;

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
}

impl Node {
    /// Takes in a query of `asker`.
    pub(super) fn handle_query(
        &mut self,
        now: Time,
        asker: Contact,
        transaction: &[u8],
        query: &Query<'_>,
        read_only: bool,
    ) {
        if !read_only {
            self.consider(now, asker, true);
        }
        let answer = match *query {
            Query::Ping => {
                self.stats.pings += 1;
                Answer::default()
            }
            Query::FindNode { target, want } => {
                self.stats.find_nodes += 1;
                self.nodes_near(now, &target.0, want)
            }
            Query::GetPeers { infohash, want, no_seeds, scrape } => {
                self.stats.get_peers += 1;
                self.sight(asker, infohash, SightingKind::GetPeers);
                self.peers_of(now, asker.addr, infohash, (want, no_seeds, scrape))
            }
            Query::AnnouncePeer { infohash, port, implied_port, token, seed } => {
                self.stats.announces += 1;
                if !self.tokens.accepts(now, asker.addr.ip(), token) {
                    self.stats.bad_tokens += 1;
                    return self.refuse(now, asker.addr, transaction, (PROTOCOL_ERROR, "bad token"));
                }
                let port = if implied_port { asker.addr.port() } else { port };
                self.sight(asker, infohash, SightingKind::Announce { port, seed });
                let peer = SocketAddr::new(asker.addr.ip(), port);
                self.store.announce(now, infohash, peer, seed.unwrap_or_default());
                Answer::default()
            }
            Query::SampleInfohashes { target, want } => {
                self.stats.samples += 1;
                self.sample(now, &target.0, want)
            }
            Query::Other { target, .. } => {
                self.stats.other_queries += 1;
                self.nodes_near(now, &target.0, None)
            }
        };
        self.answer(now, asker.addr, transaction, answer);
    }

    fn sight(&mut self, asker: Contact, infohash: InfoHash, kind: SightingKind) {
        self.tell(Event::Sighting { infohash, kind, from: asker.addr, from_id: asker.id });
    }

    /// The closest contacts of the families that are wanted (BEP 32): ours if nothing is said.
    fn nodes_near(&self, now: Time, target: &[u8; 20], want: Option<Want>) -> Answer {
        let own = self.config.family;
        let want = want.unwrap_or(Want { v4: own == Family::V4, v6: own == Family::V6 });
        let near = |family: Family, wanted: bool| {
            let mut nodes = Vec::new();
            let push = |contact: &Contact| push_contact(&mut nodes, contact);
            match (wanted, family == own) {
                (false, _) => {}
                (true, true) => self.table.closest(now, target, K).iter().for_each(push),
                (true, false) => self.closest_of_other_family(target, K).iter().for_each(push),
            }
            nodes
        };
        Answer { nodes: near(Family::V4, want.v4), nodes6: near(Family::V6, want.v6), ..Answer::default() }
    }

    fn peers_of(
        &mut self,
        now: Time,
        asker: SocketAddr,
        infohash: InfoHash,
        (want, no_seeds, scrape): (Option<Want>, bool, bool),
    ) -> Answer {
        let mut answer = self.nodes_near(now, &infohash.0, want);
        answer.token = Some(self.tokens.issue(now, asker.ip()));
        answer.filters = scrape.then(|| self.store.filters(now, &infohash)).flatten();
        for peer in self.store.draw(now, &infohash, no_seeds, MAX_VALUES) {
            push_peer(&mut answer.values, peer);
        }
        answer
    }

    fn sample(&mut self, now: Time, target: &[u8; 20], want: Option<Want>) -> Answer {
        let samples: Vec<u8> = self.store.sample(now).iter().flat_map(|infohash| infohash.0).collect();
        let total = i64::try_from(self.store.torrents()).unwrap_or(i64::MAX);
        Answer { samples: Some((samples, total)), ..self.nodes_near(now, target, want) }
    }

    fn answer(&mut self, now: Time, to: SocketAddr, transaction: &[u8], mut answer: Answer) {
        let length = self.encoded(to, transaction, &answer).len();
        if length > MAX_REPLY {
            self.shorten(&mut answer, length - MAX_REPLY);
        }
        let payload = self.encoded(to, transaction, &answer);
        self.reply(now, to, payload);
    }

    fn encoded(&self, to: SocketAddr, transaction: &[u8], answer: &Answer) -> Vec<u8> {
        reply(to, transaction, Body::Response(answer.response(self.id)))
    }

    /// Leaves out what the asker can best do without, until at least `excess` bytes are saved: contacts of the family
    /// that it did not ask over, then peers, then filters, then samples, then contacts.
    fn shorten(&self, answer: &mut Answer, excess: usize) {
        let (other, own) = match self.config.family {
            Family::V4 => (&mut answer.nodes6, &mut answer.nodes),
            Family::V6 => (&mut answer.nodes, &mut answer.nodes6),
        };
        let mut left = excess;
        left = left.saturating_sub(std::mem::take(other).len());
        // All peers in one reply are of one family, so of one length.
        let value = if self.config.family == Family::V4 { PEER_V4_LEN } else { PEER_V6_LEN };
        let values = answer.values.len().saturating_sub(left.next_multiple_of(value));
        left = left.saturating_sub(answer.values.len() - values);
        answer.values.truncate(values);
        if left > 0 && answer.filters.take().is_some() {
            left = left.saturating_sub(BLOOM_LEN * 2);
        }
        if left > 0
            && let Some((samples, _)) = &mut answer.samples
        {
            let keep = samples.len().saturating_sub(left.next_multiple_of(InfoHash::LEN));
            left = left.saturating_sub(samples.len() - keep);
            samples.truncate(keep);
        }
        if left > 0 {
            own.clear();
        }
    }

    /// Answers a query with an error.
    pub(super) fn refuse(&mut self, now: Time, to: SocketAddr, transaction: &[u8], (code, text): (i64, &str)) {
        self.reply(now, to, reply(to, transaction, Body::Error { code, text: text.as_bytes() }));
    }

    /// Sends a reply within the budget. A read-only node sends none (BEP 43), and none is longer than a datagram may be:
    /// that happens only if the transaction id alone fills it.
    fn reply(&mut self, now: Time, to: SocketAddr, payload: Vec<u8>) {
        if self.config.read_only {
            return;
        }
        if payload.len() > MAX_REPLY {
            self.stats.malformed += 1;
        } else if self.budget.spend(now, payload.len()) {
            self.transmit(to, payload);
        } else {
            self.stats.over_budget += 1;
        }
    }
}

fn reply(to: SocketAddr, transaction: &[u8], body: Body<'_>) -> Vec<u8> {
    Message { transaction, body, version: Some(VERSION), read_only: false, external: Some(to) }.encode()
}
