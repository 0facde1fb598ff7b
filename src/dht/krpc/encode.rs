//! From a message to a datagram. Keys are written in order, as bencode demands.

use super::compact::push_addr;
use super::{Body, Message, Query, Response, Want};
use crate::bencode::Writer;
use crate::types::NodeId;

/// Room for most messages, in bytes, so that the buffer grows at most once.
const USUAL_LEN: usize = 128;

impl Message<'_> {
    /// The datagram.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(USUAL_LEN);
        writer.dict();
        let (kind, method) = match &self.body {
            Body::Query { id, query } => {
                writer.bytes(b"a");
                write_arguments(&mut writer, *id, query);
                (b"q", Some(method(query)))
            }
            Body::Error { code, text } => {
                writer.bytes(b"e").list().int(*code).bytes(text).end();
                (b"e", None)
            }
            Body::Response(_) => (b"r", None),
        };
        if let Some(external) = self.external {
            let mut addr = Vec::new();
            push_addr(&mut addr, external);
            writer.bytes(b"ip").bytes(&addr);
        }
        if let Some(method) = method {
            writer.bytes(b"q").bytes(method);
        }
        if let Body::Response(response) = &self.body {
            writer.bytes(b"r");
            write_response(&mut writer, response);
        }
        if self.read_only {
            writer.bytes(b"ro").int(1);
        }
        writer.bytes(b"t").bytes(self.transaction);
        if let Some(version) = self.version {
            writer.bytes(b"v").bytes(version);
        }
        writer.bytes(b"y").bytes(kind).end();
        writer.into_bytes()
    }
}

fn method<'a>(query: &Query<'a>) -> &'a [u8] {
    match query {
        Query::Ping => b"ping",
        Query::FindNode { .. } => b"find_node",
        Query::GetPeers { .. } => b"get_peers",
        Query::AnnouncePeer { .. } => b"announce_peer",
        Query::SampleInfohashes { .. } => b"sample_infohashes",
        Query::Other { method, .. } => method,
    }
}

fn write_arguments(writer: &mut Writer, id: NodeId, query: &Query<'_>) {
    writer.dict().bytes(b"id").bytes(id.0);
    match query {
        Query::Ping => {}
        Query::FindNode { target, want } | Query::SampleInfohashes { target, want } => {
            writer.bytes(b"target").bytes(target.0);
            write_want(writer, *want);
        }
        Query::GetPeers { infohash, want, no_seeds, scrape } => {
            writer.bytes(b"info_hash").bytes(infohash.0);
            if *no_seeds {
                writer.bytes(b"noseed").int(1);
            }
            if *scrape {
                writer.bytes(b"scrape").int(1);
            }
            write_want(writer, *want);
        }
        Query::AnnouncePeer { infohash, port, implied_port, token, seed } => {
            writer.bytes(b"implied_port").int((*implied_port).into());
            writer.bytes(b"info_hash").bytes(infohash.0).bytes(b"port").int((*port).into());
            if let Some(seed) = seed {
                writer.bytes(b"seed").int((*seed).into());
            }
            writer.bytes(b"token").bytes(token);
        }
        Query::Other { target, .. } => {
            writer.bytes(b"target").bytes(target.0);
        }
    }
    writer.end();
}

fn write_want(writer: &mut Writer, want: Option<Want>) {
    let Some(want) = want else { return };
    writer.bytes(b"want").list();
    if want.v4 {
        writer.bytes(b"n4");
    }
    if want.v6 {
        writer.bytes(b"n6");
    }
    writer.end();
}

fn write_response(writer: &mut Writer, response: &Response<'_>) {
    writer.dict();
    if let Some(scrape) = response.scrape {
        writer.bytes(b"BFpe").bytes(scrape.peers).bytes(b"BFsd").bytes(scrape.seeds);
    }
    writer.bytes(b"id").bytes(response.id.0);
    if let Some(interval) = response.sample.and_then(|sample| sample.interval) {
        writer.bytes(b"interval").int(interval);
    }
    for (key, nodes) in [(b"nodes".as_slice(), response.nodes), (b"nodes6", response.nodes6)] {
        if !nodes.as_bytes().is_empty() {
            writer.bytes(key).bytes(nodes.as_bytes());
        }
    }
    if let Some(sample) = response.sample {
        if let Some(total) = sample.total {
            writer.bytes(b"num").int(total);
        }
        writer.bytes(b"samples").bytes(sample.samples.0);
    }
    if let Some(token) = response.token {
        writer.bytes(b"token").bytes(token);
    }
    if let Some(values) = response.values {
        writer.bytes(b"values").list().raw(values.as_bytes()).end();
    }
    writer.end();
}
