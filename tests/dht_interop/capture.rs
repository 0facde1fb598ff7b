//! Messages as the clients wrote them, for `tests/fixtures/krpc`: written there when `SILVERSTREAM_CAPTURE` is set.

use std::collections::BTreeMap;
use std::path::Path;

use silverstream::dht::krpc::{Body, Message};

use crate::ours::query_method;

/// What distinguishes messages of which one each is enough.
fn kind(datagram: &[u8]) -> Option<String> {
    let message = Message::parse(datagram).ok()?;
    Some(match &message.body {
        Body::Query { .. } => format!("query-{}", query_method(datagram)?),
        Body::Error { code, .. } => format!("error-{code}"),
        Body::Response(response) => {
            let parts = [
                (response.nodes.iter().next().is_some(), "-nodes"),
                (response.nodes6.iter().next().is_some(), "-nodes6"),
                (response.token.is_some(), "-token"),
                (response.values.is_some(), "-values"),
                (response.sample.is_some(), "-samples"),
                (response.scrape.is_some(), "-filters"),
            ];
            let parts: String = parts.iter().filter(|(there, _)| *there).map(|(_, part)| *part).collect();
            format!("reply{parts}")
        }
    })
}

/// Keeps the longest message of each kind.
pub fn write(client: &str, datagrams: impl Iterator<Item = Vec<u8>>) {
    if std::env::var_os("SILVERSTREAM_CAPTURE").is_none() {
        return;
    }
    let mut kept: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for datagram in datagrams {
        let Some(kind) = kind(&datagram) else { continue };
        let best = kept.entry(kind).or_default();
        if datagram.len() > best.len() {
            *best = datagram;
        }
    }
    let folder = Path::new("tests/fixtures/krpc").join(client.to_lowercase());
    std::fs::create_dir_all(&folder).unwrap();
    for (kind, datagram) in kept {
        std::fs::write(folder.join(kind), datagram).unwrap();
    }
}
