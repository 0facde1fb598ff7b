//! From a datagram to a message.

use std::net::SocketAddr;

use super::compact::{Nodes, Samples, Values, read_addr, read_ip};
use super::{
    Body, MAX_DATAGRAM, MAX_TOKEN, METHOD_UNKNOWN, Message, PROTOCOL_ERROR, Query, Response, Sample, Scrape, Want,
};
use crate::bencode::{self, BencodeError, Limits, Value};
use crate::types::{InfoHash, NodeId};

/// KRPC itself needs three levels, a BEP 44 value may bring a few more. A reply full of peers has about 250 items.
const LIMITS: Limits = Limits { depth: 10, items: 512 };

/// Why a datagram is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError<'a> {
    /// Longer than [`MAX_DATAGRAM`].
    #[error("longer than {MAX_DATAGRAM} bytes")]
    TooLong,
    /// Not bencode.
    #[error("not bencode: it {0}")]
    Bencode(#[from] BencodeError),
    /// Bencode, but not KRPC.
    #[error("not KRPC: {0}")]
    NotKrpc(&'static str),
    /// A query that can be answered with an error only: 203 if it lacks something, 204 if its method is not known.
    #[error("bad query: {reason}")]
    BadQuery { transaction: &'a [u8], code: i64, reason: &'static str },
}

/// The fields of the outermost dictionary.
#[derive(Default)]
struct Fields<'a> {
    transaction: Option<&'a [u8]>,
    kind: Option<&'a [u8]>,
    method: Option<&'a [u8]>,
    arguments: Option<Value<'a>>,
    response: Option<Value<'a>>,
    error: Option<Value<'a>>,
    external: Option<SocketAddr>,
    version: Option<&'a [u8]>,
    read_only: bool,
}

impl<'a> Message<'a> {
    /// Reads a datagram.
    ///
    /// # Errors
    /// If it is no message, or exceeds a bound.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, ParseError<'a>> {
        if datagram.len() > MAX_DATAGRAM {
            return Err(ParseError::TooLong);
        }
        let fields = Fields::read(bencode::parse(datagram, LIMITS)?)?;
        let transaction = fields.transaction.ok_or(ParseError::NotKrpc("no transaction id"))?;
        let body = match fields.kind {
            Some(b"q") => {
                read_query(&fields).map_err(|(code, reason)| ParseError::BadQuery { transaction, code, reason })?
            }
            Some(b"r") => Body::Response(read_response(fields.response).map_err(ParseError::NotKrpc)?),
            Some(b"e") => read_error(fields.error),
            _ => return Err(ParseError::NotKrpc("neither query, response nor error")),
        };
        let Fields { version, read_only, external, .. } = fields;
        Ok(Self { transaction, body, version, read_only, external })
    }
}

impl<'a> Fields<'a> {
    fn read(message: Value<'a>) -> Result<Self, ParseError<'a>> {
        let mut fields = Self::default();
        for (key, value) in message.dict().ok_or(ParseError::NotKrpc("not a dictionary"))? {
            match key {
                b"t" => fields.transaction = value.bytes(),
                b"y" => fields.kind = value.bytes(),
                b"q" => fields.method = value.bytes(),
                b"a" => fields.arguments = Some(value),
                b"r" => fields.response = Some(value),
                b"e" => fields.error = Some(value),
                b"ip" => fields.external = value.bytes().and_then(read_external),
                b"v" => fields.version = value.bytes(),
                b"ro" => fields.read_only = value.int() == Some(1),
                _ => {}
            }
        }
        Ok(fields)
    }
}

/// Some nodes write the IP without a port.
fn read_external(bytes: &[u8]) -> Option<SocketAddr> {
    read_addr(bytes).or_else(|| read_ip(bytes).map(|ip| SocketAddr::new(ip, 0)))
}

/// The arguments of a query.
#[derive(Default)]
struct Arguments<'a> {
    id: Option<NodeId>,
    target: Option<NodeId>,
    infohash: Option<InfoHash>,
    want: Option<Want>,
    port: Option<u16>,
    implied_port: bool,
    token: Option<&'a [u8]>,
    no_seeds: bool,
    scrape: bool,
    seed: Option<bool>,
}

fn flag(value: Value<'_>) -> bool {
    value.int().is_some_and(|number| number != 0)
}

impl<'a> Arguments<'a> {
    fn read(arguments: Value<'a>) -> Option<Self> {
        let mut read = Self::default();
        for (key, value) in arguments.dict()? {
            match key {
                b"id" => read.id = value.bytes().and_then(NodeId::from_slice),
                b"target" => read.target = value.bytes().and_then(NodeId::from_slice),
                b"info_hash" => read.infohash = value.bytes().and_then(InfoHash::from_slice),
                b"want" => read.want = read_want(value),
                b"port" => read.port = value.int().and_then(|port| u16::try_from(port).ok()),
                b"implied_port" => read.implied_port = flag(value),
                b"token" => read.token = value.bytes().filter(|token| token.len() <= MAX_TOKEN),
                b"noseed" => read.no_seeds = flag(value),
                b"scrape" => read.scrape = flag(value),
                b"seed" => read.seed = Some(flag(value)),
                _ => {}
            }
        }
        Some(read)
    }
}

fn read_want(value: Value<'_>) -> Option<Want> {
    let mut want = Want::default();
    for family in value.list()? {
        match family.bytes() {
            Some(b"n4") => want.v4 = true,
            Some(b"n6") => want.v6 = true,
            _ => {}
        }
    }
    Some(want)
}

fn is_known(method: &[u8]) -> bool {
    matches!(method, b"ping" | b"find_node" | b"get_peers" | b"announce_peer" | b"sample_infohashes")
}

/// The query, or the error that answers it.
fn read_query<'a>(fields: &Fields<'a>) -> Result<Body<'a>, (i64, &'static str)> {
    let method = fields.method.ok_or((PROTOCOL_ERROR, "no method"))?;
    let arguments = fields.arguments.and_then(Arguments::read).unwrap_or_default();
    if !is_known(method) && arguments.target.is_none() && arguments.infohash.is_none() {
        return Err((METHOD_UNKNOWN, "method unknown"));
    }
    read_known(method, &arguments).map_err(|reason| (PROTOCOL_ERROR, reason))
}

fn read_known<'a>(method: &'a [u8], arguments: &Arguments<'a>) -> Result<Body<'a>, &'static str> {
    let id = arguments.id.ok_or("no id of 20 bytes")?;
    let want = arguments.want;
    let target = arguments.target.ok_or("no target of 20 bytes");
    let infohash = arguments.infohash.ok_or("no info_hash of 20 bytes");
    let query = match method {
        b"ping" => Query::Ping,
        b"find_node" => Query::FindNode { target: target?, want },
        b"get_peers" => {
            Query::GetPeers { infohash: infohash?, want, no_seeds: arguments.no_seeds, scrape: arguments.scrape }
        }
        b"announce_peer" => Query::AnnouncePeer {
            infohash: infohash?,
            port: match arguments.port {
                Some(port) if port != 0 || arguments.implied_port => port,
                None if arguments.implied_port => 0,
                _ => return Err("no port"),
            },
            implied_port: arguments.implied_port,
            token: arguments.token.ok_or("no token")?,
            seed: arguments.seed,
        },
        b"sample_infohashes" => Query::SampleInfohashes { target: target?, want },
        _ => Query::Other { method, target: target.or(infohash.map(|infohash| NodeId(infohash.0)))? },
    };
    Ok(Body::Query { id, query })
}

fn read_response(response: Option<Value<'_>>) -> Result<Response<'_>, &'static str> {
    let mut id = None;
    let mut read = Response::new(NodeId([0; NodeId::LEN]));
    let (mut samples, mut total, mut interval) = (None, None, None);
    let (mut seeds, mut peers) = (None, None);
    for (key, value) in response.and_then(Value::dict).ok_or("no response dictionary")? {
        match key {
            b"id" => id = value.bytes().and_then(NodeId::from_slice),
            b"nodes" => read.nodes = Nodes::v4(value.bytes().unwrap_or_default()),
            b"nodes6" => read.nodes6 = Nodes::v6(value.bytes().unwrap_or_default()),
            b"token" => read.token = value.bytes().filter(|token| token.len() <= MAX_TOKEN),
            b"values" => read.values = Values::read(value),
            b"samples" => samples = value.bytes().map(Samples),
            b"num" => total = value.int(),
            b"interval" => interval = value.int(),
            b"BFsd" => seeds = value.bytes().and_then(|filter| filter.try_into().ok()),
            b"BFpe" => peers = value.bytes().and_then(|filter| filter.try_into().ok()),
            _ => {}
        }
    }
    read.id = id.ok_or("no id of 20 bytes")?;
    read.sample = samples.map(|samples| Sample { samples, total, interval });
    read.scrape = seeds.zip(peers).map(|(seeds, peers)| Scrape { seeds, peers });
    Ok(read)
}

fn read_error(error: Option<Value<'_>>) -> Body<'_> {
    let mut items = error.and_then(Value::list).into_iter().flatten();
    let code = items.next().and_then(Value::int).unwrap_or_default();
    Body::Error { code, text: items.next().and_then(Value::bytes).unwrap_or_default() }
}
