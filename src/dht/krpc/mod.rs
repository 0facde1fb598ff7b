//! KRPC, the messages of the DHT (BEP 5, with BEP 20, 32, 33, 42, 43 and 51).
//!
//! [`Message::parse`] borrows everything from the datagram; [`Message::encode`] writes the same types back.

#[cfg(test)]
mod captured;
pub mod compact;
mod encode;
mod parse;
#[cfg(test)]
mod tests;

pub use compact::{Nodes, Samples, Values};
pub use parse::ParseError;

use std::net::SocketAddr;

use crate::dht::bloom::BLOOM_LEN;
use crate::types::{InfoHash, NodeId};

/// Longest datagram that is read, in bytes; replies in the wild stay below an Ethernet frame.
pub const MAX_DATAGRAM: usize = 2048;

/// Longest token that is kept and given back, in bytes; clients use 4 to 20.
pub const MAX_TOKEN: usize = 64;

/// Error code for a query that lacks something or has a bad token (BEP 5).
pub const PROTOCOL_ERROR: i64 = 203;

/// Error code for a method that is not known (BEP 5).
pub const METHOD_UNKNOWN: i64 = 204;

/// One datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    /// Chosen by who asks, echoed by who answers.
    pub transaction: &'a [u8],
    pub body: Body<'a>,
    /// Client and version (BEP 20).
    pub version: Option<&'a [u8]>,
    /// The sender answers no queries and belongs in no table (BEP 43).
    pub read_only: bool,
    /// The receiver's address as the sender sees it (BEP 42); port 0 if only the IP was written.
    pub external: Option<SocketAddr>,
}

/// What a message is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body<'a> {
    Query { id: NodeId, query: Query<'a> },
    Response(Response<'a>),
    Error { code: i64, text: &'a [u8] },
}

/// Address families that are asked for (BEP 32).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Want {
    pub v4: bool,
    pub v6: bool,
}

/// A query with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query<'a> {
    Ping,
    FindNode {
        target: NodeId,
        want: Option<Want>,
    },
    GetPeers {
        infohash: InfoHash,
        want: Option<Want>,
        /// Peers that have everything are not wanted (BEP 33).
        no_seeds: bool,
        /// The crowd is to be counted (BEP 33).
        scrape: bool,
    },
    AnnouncePeer {
        infohash: InfoHash,
        /// TCP port; the UDP source port is meant if `implied_port`.
        port: u16,
        implied_port: bool,
        token: &'a [u8],
        /// Whether the peer has everything (BEP 33); unsaid by most.
        seed: Option<bool>,
    },
    /// BEP 51.
    SampleInfohashes {
        target: NodeId,
        want: Option<Want>,
    },
    /// A method that is not known here, with a target or an infohash. It is answered like find_node, as libtorrent does,
    /// so that lookups of later extensions find their way through older nodes.
    Other {
        method: &'a [u8],
        target: NodeId,
    },
}

/// The answer to a query; which fields are there depends on the query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response<'a> {
    pub id: NodeId,
    /// IPv4 contacts.
    pub nodes: Nodes<'a>,
    /// IPv6 contacts (BEP 32).
    pub nodes6: Nodes<'a>,
    /// Permission to announce.
    pub token: Option<&'a [u8]>,
    /// Peers.
    pub values: Option<Values<'a>>,
    /// BEP 51.
    pub sample: Option<Sample<'a>>,
    /// BEP 33.
    pub scrape: Option<Scrape<'a>>,
}

/// The peers of a torrent that a node knows, for counting (BEP 33).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scrape<'a> {
    /// Filter of those that have everything.
    pub seeds: &'a [u8; BLOOM_LEN],
    /// Filter of the others.
    pub peers: &'a [u8; BLOOM_LEN],
}

/// What a node has stored (BEP 51).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample<'a> {
    /// Some of its infohashes.
    pub samples: Samples<'a>,
    /// How many it has, if it says.
    pub total: Option<i64>,
    /// Seconds until it will show others, if it says.
    pub interval: Option<i64>,
}

impl Response<'_> {
    /// An answer that says nothing but who answers.
    pub fn new(id: NodeId) -> Self {
        let (nodes, nodes6) = (Nodes::empty_v4(), Nodes::empty_v6());
        Self { id, nodes, nodes6, token: None, values: None, sample: None, scrape: None }
    }
}
