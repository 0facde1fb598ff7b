//! Answering others.

use std::net::SocketAddr;

use super::{Node, VERSION};
use crate::dht::api::{Contact, Event, Family, SightingKind};
use crate::dht::krpc::compact::{push_contact, push_peer};
use crate::dht::krpc::{
    Body, METHOD_UNKNOWN, Message, Nodes, PROTOCOL_ERROR, Query, Response, Sample, Samples, Values, Want,
};
use crate::dht::store::SAMPLE_INTERVAL;
use crate::dht::table::K;
use crate::types::{InfoHash, Time};

/// Peers in a reply: as many as leave it below the smallest MTU of IPv6, 1280 bytes, nodes and all.
const MAX_VALUES_V4: usize = 50;
const MAX_VALUES_V6: usize = 25;

/// The variable parts of an answer, which the response borrows.
#[derive(Default)]
struct Answer {
    nodes: Vec<u8>,
    token: Option<[u8; 8]>,
    values: Vec<u8>,
    samples: Option<(Vec<u8>, i64)>,
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
            Query::GetPeers { infohash, want, no_seeds } => {
                self.stats.get_peers += 1;
                self.sight(asker, infohash, SightingKind::GetPeers);
                self.peers_of(now, asker.addr, infohash, want, no_seeds)
            }
            Query::AnnouncePeer { infohash, port, implied_port, token, seed } => {
                self.stats.announces += 1;
                if !self.tokens.accepts(now, asker.addr.ip(), token) {
                    self.stats.bad_tokens += 1;
                    return self.refuse(now, asker.addr, transaction, "bad token");
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
                let Some(target) = target else {
                    return self.answer_error(now, asker.addr, transaction, METHOD_UNKNOWN, "method unknown");
                };
                self.nodes_near(now, &target.0, None)
            }
        };
        self.answer(now, asker.addr, transaction, &answer);
    }

    fn sight(&mut self, asker: Contact, infohash: InfoHash, kind: SightingKind) {
        self.tell(Event::Sighting { infohash, kind, from: asker.addr, from_id: asker.id });
    }

    /// The closest contacts, if the asker takes our family.
    fn nodes_near(&self, now: Time, target: &[u8; 20], want: Option<Want>) -> Answer {
        let ours = |want: Want| if self.config.family == Family::V4 { want.v4 } else { want.v6 };
        let mut nodes = Vec::new();
        if want.is_none_or(ours) {
            self.table.closest(now, target, K).iter().for_each(|contact| push_contact(&mut nodes, contact));
        }
        Answer { nodes, ..Answer::default() }
    }

    fn peers_of(
        &mut self,
        now: Time,
        asker: SocketAddr,
        infohash: InfoHash,
        want: Option<Want>,
        no_seeds: bool,
    ) -> Answer {
        let mut answer = self.nodes_near(now, &infohash.0, want);
        answer.token = Some(self.tokens.issue(now, asker.ip()));
        let count = if self.config.family == Family::V4 { MAX_VALUES_V4 } else { MAX_VALUES_V6 };
        for peer in self.store.draw(now, &infohash, no_seeds, count) {
            push_peer(&mut answer.values, peer);
        }
        answer
    }

    fn sample(&mut self, now: Time, target: &[u8; 20], want: Option<Want>) -> Answer {
        let samples: Vec<u8> = self.store.sample(now).iter().flat_map(|infohash| infohash.0).collect();
        let total = i64::try_from(self.store.torrents()).unwrap_or(i64::MAX);
        Answer { samples: Some((samples, total)), ..self.nodes_near(now, target, want) }
    }

    fn answer(&mut self, now: Time, to: SocketAddr, transaction: &[u8], answer: &Answer) {
        let mut response = Response::new(self.id);
        match self.config.family {
            Family::V4 => response.nodes = Nodes::v4(&answer.nodes),
            Family::V6 => response.nodes6 = Nodes::v6(&answer.nodes),
        }
        response.token = answer.token.as_ref().map(|token| token.as_slice());
        response.values = (!answer.values.is_empty()).then(|| Values::pushed(&answer.values));
        response.sample = answer.samples.as_ref().map(|(samples, total)| Sample {
            samples: Samples(samples),
            total: Some(*total),
            interval: i64::try_from(SAMPLE_INTERVAL.as_secs()).ok(),
        });
        self.reply(now, to, transaction, Body::Response(response));
    }

    /// Answers a query that lacks something.
    pub(super) fn refuse(&mut self, now: Time, to: SocketAddr, transaction: &[u8], reason: &str) {
        self.answer_error(now, to, transaction, PROTOCOL_ERROR, reason);
    }

    fn answer_error(&mut self, now: Time, to: SocketAddr, transaction: &[u8], code: i64, text: &str) {
        self.reply(now, to, transaction, Body::Error { code, text: text.as_bytes() });
    }

    /// Sends a reply within the budget. A read-only node sends none (BEP 43).
    fn reply(&mut self, now: Time, to: SocketAddr, transaction: &[u8], body: Body<'_>) {
        if self.config.read_only {
            return;
        }
        let message = Message { transaction, body, version: Some(VERSION), read_only: false, external: Some(to) };
        let payload = message.encode();
        if self.budget.spend(now, payload.len()) {
            self.transmit(to, payload);
        } else {
            self.stats.over_budget += 1;
        }
    }
}
