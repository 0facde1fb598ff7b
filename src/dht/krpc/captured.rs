//! Messages that real clients wrote to our nodes, in `tests/fixtures/krpc`; see `tests/dht_interop/README.md`.

use std::fmt::Write as _;
use std::path::Path;

use super::*;
use crate::dht::bloom::Bloom;

/// Everything that is read of a message, in one line.
fn describe(message: &Message<'_>) -> String {
    let mut text = match &message.body {
        Body::Query { id, query } => format!("{query:?} by {id}"),
        Body::Error { code, text } => format!("error {code} {:?}", String::from_utf8_lossy(text)),
        Body::Response(response) => describe_response(response),
    };
    let _ = write!(text, "; t {:?}", message.transaction.escape_ascii().to_string());
    if let Some(version) = message.version {
        let _ = write!(text, ", v {:?}", version.escape_ascii().to_string());
    }
    if let Some(external) = message.external {
        let _ = write!(text, ", ip {external}");
    }
    if message.read_only {
        text.push_str(", ro");
    }
    text
}

fn describe_response(response: &Response<'_>) -> String {
    let mut text = format!("response of {}", response.id);
    for (name, nodes) in [("nodes", response.nodes), ("nodes6", response.nodes6)] {
        if let Some(first) = nodes.iter().next() {
            let _ = write!(text, ", {} {name} from {} at {}", nodes.iter().count(), first.id, first.addr);
        }
    }
    if let Some(token) = response.token {
        let _ = write!(text, ", token of {}", token.len());
    }
    if let Some(values) = response.values {
        let _ = write!(text, ", values {:?}", values.iter().collect::<Vec<_>>());
    }
    if let Some(Sample { samples, total, interval }) = response.sample {
        let samples: Vec<_> = samples.iter().map(|sample| sample.to_string()).collect();
        let _ = write!(text, ", samples {samples:?} of {total:?} for {interval:?}");
    }
    if let Some(Scrape { seeds, peers }) = response.scrape {
        let count = |filter: &[u8; BLOOM_LEN]| {
            let mut bloom = Bloom::default();
            bloom.unite(filter);
            bloom.estimate()
        };
        let _ = write!(text, ", filters with {:.0} seeds and {:.0} peers", count(seeds), count(peers));
    }
    text
}

#[test]
fn what_clients_wrote_is_read() {
    let root = Path::new("tests/fixtures/krpc");
    let folder = |path: &Path| {
        let mut entries: Vec<_> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        entries
    };
    let mut read = String::new();
    for client in folder(root) {
        for file in folder(&client) {
            let datagram = std::fs::read(&file).unwrap();
            let message = Message::parse(&datagram).unwrap();
            let again = message.encode();
            assert_eq!(Message::parse(&again), Ok(message.clone()), "{}", file.display());
            let same = if again == datagram { "" } else { " (we write it otherwise)" };
            let name = file.strip_prefix(root).unwrap().display().to_string();
            let _ = writeln!(read, "{name}{same}\n  {}", describe(&message));
        }
    }
    insta::assert_snapshot!(read);
}
