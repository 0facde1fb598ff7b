//! What a member of the world says to a question of an outsider.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use super::outsiders::Outsiders;
use super::torrents::SAMPLE_INTERVAL;
use super::{Kind, Torrents, World, mix};
use crate::dht::krpc::{
    Body, METHOD_UNKNOWN, Message, Nodes, PROTOCOL_ERROR, Query, Response, Sample, Samples, Values, compact,
};
use crate::types::{InfoHash, NodeId, Time};

/// Peers in an answer, so that it fits a packet.
const MAX_VALUES: usize = 50;
/// Announces of outsiders that are kept, the oldest give way.
const MAX_STORED: usize = 16_384;

/// Who asks, where, and when.
#[derive(Debug, Clone, Copy)]
pub struct Asking {
    pub member: u32,
    pub from: SocketAddr,
    pub now: Time,
}

/// Peers that outsiders announced, by the member that was told.
#[derive(Debug, Default)]
pub struct Announced {
    peers: HashMap<(u32, InfoHash), Vec<SocketAddr>>,
    order: VecDeque<(u32, InfoHash, SocketAddr)>,
}

impl Announced {
    fn insert(&mut self, member: u32, infohash: InfoHash, peer: SocketAddr) {
        let peers = self.peers.entry((member, infohash)).or_default();
        if peers.contains(&peer) {
            return;
        }
        peers.push(peer);
        self.order.push_back((member, infohash, peer));
        if self.order.len() > MAX_STORED
            && let Some((member, infohash, peer)) = self.order.pop_front()
            && let Some(peers) = self.peers.get_mut(&(member, infohash))
        {
            peers.retain(|other| *other != peer);
            if peers.is_empty() {
                self.peers.remove(&(member, infohash));
            }
        }
    }

    fn peers(&self, member: u32, infohash: &InfoHash) -> &[SocketAddr] {
        self.peers.get(&(member, *infohash)).map_or(&[], Vec::as_slice)
    }
}

/// What the members know beside each other.
#[derive(Debug)]
pub struct Knowledge {
    pub torrents: Torrents,
    pub outsiders: Outsiders,
    pub announced: Announced,
}

impl Knowledge {
    /// The reply; the member answers at all.
    pub fn reply(&mut self, world: &World, asking: Asking, transaction: &[u8], query: &Query<'_>) -> Vec<u8> {
        let Asking { member, from, now } = asking;
        let kind = world.kind(member);
        let target = match query {
            Query::FindNode { target, .. } | Query::Other { target, .. } => Some(target.0),
            Query::GetPeers { infohash, .. } => Some(infohash.0),
            Query::SampleInfohashes { target, .. } => Some(target.0),
            Query::Ping | Query::AnnouncePeer { .. } => None,
        };
        let mut nodes = Vec::new();
        for party in target.map(|target| self.outsiders.named(world, member, &target, now)).unwrap_or_default() {
            compact::push_contact(&mut nodes, &self.outsiders.contact(world, party));
        }
        let token = token(member, from);
        let (mut values, mut samples) = (Vec::new(), Vec::new());
        let mut refused = None;
        match query {
            Query::GetPeers { infohash, .. } => values = self.values(world, member, infohash),
            Query::SampleInfohashes { .. } => samples = self.torrents.sample(world, member, now).infohashes,
            Query::AnnouncePeer { infohash, port, implied_port, token: given, .. } => {
                if *given == token {
                    let port = if *implied_port { from.port() } else { *port };
                    self.announced.insert(member, *infohash, SocketAddr::new(from.ip(), port));
                } else {
                    refused = Some((PROTOCOL_ERROR, b"invalid token".as_slice()));
                }
            }
            _ => {}
        }
        let sampled = matches!(query, Query::SampleInfohashes { .. });
        if sampled && kind == Kind::Old {
            refused = Some((METHOD_UNKNOWN, b"Method Unknown"));
        }
        let response = Response {
            nodes: Nodes::v4(&nodes),
            token: matches!(query, Query::GetPeers { .. }).then_some(token.as_slice()),
            values: (!values.is_empty()).then(|| Values::pushed(&values)),
            sample: (sampled && matches!(kind, Kind::Full | Kind::Liar)).then(|| Sample {
                samples: Samples(&samples),
                total: Some(self.torrents.stored_at(member).len() as i64),
                interval: Some(SAMPLE_INTERVAL.as_secs() as i64),
            }),
            ..Response::new(world.id(member))
        };
        let body = refused.map_or(Body::Response(response), |(code, text)| Body::Error { code, text });
        Message { transaction, body, version: None, read_only: false, external: Some(from) }.encode()
    }

    fn values(&self, world: &World, member: u32, infohash: &InfoHash) -> Vec<u8> {
        let mut values = Vec::new();
        let torrent = self.torrents.find(infohash).filter(|torrent| self.torrents.stored_at(member).contains(torrent));
        let peers = torrent.map_or(&[][..], |torrent| self.torrents.peers(torrent));
        let members = peers.iter().map(|(peer, _)| world.addr(*peer));
        for peer in self.announced.peers(member, infohash).iter().copied().chain(members).take(MAX_VALUES) {
            compact::push_peer(&mut values, peer);
        }
        values
    }
}

/// Bound to the member and the address of who asks.
fn token(member: u32, from: SocketAddr) -> [u8; 8] {
    let ip = match from.ip().to_canonical() {
        std::net::IpAddr::V4(ip) => u64::from(ip.to_bits()),
        std::net::IpAddr::V6(ip) => ip.to_bits() as u64,
    };
    mix(ip, u64::from(member) ^ 0x0070_6b65).to_be_bytes()
}

/// A question of a member.
pub fn question(id: NodeId, transaction: u32, query: Query<'_>) -> Vec<u8> {
    let transaction = &transaction.to_be_bytes();
    Message { transaction, body: Body::Query { id, query }, version: None, read_only: false, external: None }.encode()
}
