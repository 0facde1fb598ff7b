//! What goes into a node and what comes out of it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::types::{InfoHash, NodeId, Scope};

/// How a node behaves.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Ask, but answer nothing and be in nobody's table (BEP 43): for hosts behind a symmetric NAT.
    pub read_only: bool,
    /// Answer, but ask as read-only nodes do, so as to be in nobody's table: for who is to be found through others of the
    /// same address.
    pub unlisted: bool,
    /// Nothing outside is sent to or believed.
    pub scope: Scope,
    /// Family of the socket; addresses of the other are ignored.
    pub family: Family,
    /// Make the four largest buckets 16, 8, 4 and 2 times as large, as libtorrent does: up to 300 contacts in place of
    /// 160, and lookups are a hop shorter.
    pub wide_table: bool,
    /// There is a twin in the other address family: contacts for it are asked for while joining (BEP 32).
    pub dual_stack: bool,
    /// Most infohashes in the peer store.
    pub max_torrents: usize,
    /// Most peers in the peer store, all infohashes together.
    pub max_peers: usize,
    /// Ids that answer as one, out of one store and with one account of each host; 1: a node by itself.
    pub ids: u32,
    /// Most bytes a second spent on answering strangers, on average; a burst of four seconds' worth is allowed.
    pub reply_bytes_per_second: u32,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            read_only: false,
            unlisted: false,
            scope: Scope::Public,
            family: Family::V4,
            wide_table: true,
            dual_stack: false,
            max_torrents: 2000,
            max_peers: 8000,
            ids: 1,
            reply_bytes_per_second: 32 * 1024,
        }
    }
}

/// Address family of a node's socket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Family {
    #[default]
    V4,
    V6,
}

impl Family {
    /// The family of an address; an IPv4 address inside IPv6 counts as IPv4.
    pub fn of(ip: IpAddr) -> Self {
        if ip.to_canonical().is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// A node of the DHT and where to reach it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Contact {
    pub id: NodeId,
    pub addr: SocketAddr,
}

/// What a datagram is for. Where there is little room, what comes first here waits first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// To hear more: samples, and showing ourselves.
    Sampling,
    /// A lookup that nobody waits for.
    Background,
    /// What keeps a table.
    Upkeep,
    /// The answer to a question of somebody else.
    Answer,
    /// A lookup that a person waits for.
    Person,
}

/// A datagram to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    pub to: SocketAddr,
    pub payload: Vec<u8>,
    pub urgency: Urgency,
    /// Of a query: what names it to [`Node::unsent`](super::Node::unsent) if it is not sent after all. None: a reply.
    pub question: Option<[u8; 4]>,
}

/// What somebody wanted with an infohash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SightingKind {
    /// Peers. The infohash may be a decoy: clients ask for obfuscated ones and for their own id.
    GetPeers,
    /// To be listed as a peer; only reported with a valid token of ours, so neither sender nor address is forged.
    Announce {
        /// TCP port, on the sender's IP; never 0.
        port: u16,
        /// Whether the peer has everything, if it says (BEP 33).
        seed: Option<bool>,
    },
}

/// What a node has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Somebody named an infohash. `from_id` is what the sender calls itself.
    Sighting { infohash: InfoHash, kind: SightingKind, from: SocketAddr, from_id: NodeId },
    /// Peers that a lookup found, each reported once a lookup, all within the scope.
    Peers { lookup: LookupId, infohash: InfoHash, peers: Vec<SocketAddr> },
    /// A lookup is over. `closest` answered, closest first; `announced` of them took our announce.
    LookupDone { lookup: LookupId, closest: Vec<Contact>, announced: u32, peers: u32 },
    /// A node showed what it has stored (BEP 51): `total` in all if it says, others after `interval`.
    Samples { from: Contact, infohashes: Vec<InfoHash>, total: Option<i64>, interval: Duration },
    /// How many peers a scrape counted: those that have everything and the others. Told just before its lookup is done.
    Scraped { lookup: LookupId, infohash: InfoHash, seeds: u32, peers: u32 },
    /// A visit is over; `named` are the contacts that it brought, none if it was not answered.
    Visited { addr: SocketAddr, answered: bool, named: Vec<Contact> },
    /// Answered us for the first time: worth sharing and keeping.
    ContactSeen(Contact),
    /// Hearsay of the other address family, for the twin there (BEP 32).
    OtherFamily(Contact),
    /// Enough independent nodes agree that this is our address (BEP 42); told again when it changes.
    ExternalAddress(IpAddr),
}

/// Something to find out. All of them walk towards a point of the id space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// The nodes closest to an id.
    FindNode(NodeId),
    /// Peers of a torrent.
    GetPeers(InfoHash),
    /// How many peers a torrent has (BEP 33), and these as well.
    Scrape(InfoHash),
    /// Peers of a torrent, and then being listed at the closest nodes. Port 0: the UDP port as others see it.
    Announce { infohash: InfoHash, port: u16, seed: bool },
    /// What the nodes on the way to an id have stored (BEP 51).
    Sample(NodeId),
}

/// Names a lookup of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LookupId(pub u64);

/// A node runs as many lookups as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this node runs {limit} lookups already; wait for one to end or cancel one")]
pub struct TooManyLookups {
    pub limit: usize,
}

/// How full a table is that strangers can put something into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// What it holds.
    pub of: &'static str,
    pub entries: usize,
    /// Whatever strangers send, there are never more.
    pub bound: usize,
}

impl Fill {
    /// Of two tables of the same kind the fuller one.
    #[must_use]
    pub fn fuller(self, other: Self) -> Self {
        let (mine, others) = (self.entries as u128 * other.bound as u128, other.entries as u128 * self.bound as u128);
        if others > mine { other } else { self }
    }
}

/// Counters since the node was made, and three gauges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeStats {
    /// Gauge: contacts in the table that are good.
    pub contacts: u64,
    /// Gauge: infohashes in the peer store.
    pub torrents: u64,
    /// Gauge: peers in the peer store.
    pub stored_peers: u64,
    pub datagrams_in: u64,
    pub datagrams_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Queries from others, by kind.
    pub pings: u64,
    pub find_nodes: u64,
    pub get_peers: u64,
    pub announces: u64,
    pub samples: u64,
    pub other_queries: u64,
    /// Replies that belong to a query of ours, errors included.
    pub replies: u64,
    /// Queries of ours that nobody answered.
    pub timeouts: u64,
    /// Queries of ours that were not sent after all; they are asked again later.
    pub unsent: u64,
    /// Dropped: not a message.
    pub malformed: u64,
    /// Dropped: sender or family out of scope, or ourselves.
    pub out_of_scope: u64,
    /// Dropped: the sender asks too often.
    pub flooding: u64,
    /// Not answered: the budget for replies is spent.
    pub over_budget: u64,
    /// Dropped: a reply to nothing that we asked.
    pub unsolicited: u64,
    /// Announces without a valid token.
    pub bad_tokens: u64,
    /// Datagrams that were not sent since the shell did not take them.
    pub transmits_lost: u64,
    /// Events that were not told since the shell did not take them.
    pub events_lost: u64,
}
