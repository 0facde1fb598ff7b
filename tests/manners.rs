//! Real libtorrent, with the rules of its DHT as they come, never bans the crawler.

#![cfg(feature = "soak")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic, in its helpers too")]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command as Process, Stdio};
use std::time::{Duration, Instant};

use common::{OWN_IP, cache, in_private_network};
use serde_json::{Value, json};
use silverstream::config::IdStrategy;
use silverstream::crawler::{Crawler, CrawlerConfig, CrawlerStatus, Sighting, Waits};
use silverstream::types::{Clock, InfoHash, Scope};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Sessions of libtorrent.
const NEIGHBOURS: u32 = 20;

/// Nodes of ours, all on one address.
const NODES: u32 = 64;

/// How long all live together; `SOAK_MINUTES` sets another time.
const MINUTES: u64 = 60;

/// Between two searches of ours for peers of what was heard of.
const SEARCH_EVERY: Duration = Duration::from_secs(2);

/// Torrents that we announce.
const ANNOUNCED: u8 = 20;

/// Messages within ten seconds for which libtorrent bans.
const BAN: u64 = 50;

/// So many it gets from us at some time, or there was nothing to ban.
const LIVELY: u64 = 20;

/// The sessions of `tests/real/dht_neighbours.py`.
struct Neighbours {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Neighbours {
    fn start() -> (Self, Vec<String>) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/dht_neighbours.py");
        let mut process = Process::new(cache("venv").join("bin/python"));
        process.args(["-W", "ignore"]).arg(script).arg(NEIGHBOURS.to_string()).arg(OWN_IP);
        let mut child = process.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take().expect("it is piped");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut neighbours = Self { child, stdin, stdout };
        let nodes = neighbours.read()["nodes"].as_array().unwrap().clone();
        let address = |node: &Value| format!("{}:{}", node[0].as_str().unwrap(), node[1]);
        (neighbours, nodes.iter().map(address).collect())
    }

    fn read(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("the neighbours said {line:?}: {error}"))
    }

    fn order(&mut self, what: &str) -> Value {
        writeln!(self.stdin, "{}", json!({"do": what})).unwrap();
        self.read()
    }
}

impl Drop for Neighbours {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the crawler does for the jukebox, at a lively pace: it searches for what it hears of, and announces.
async fn live(crawler: Crawler, mut sightings: Receiver<Vec<Sighting>>) {
    for number in 0..ANNOUNCED {
        let id = std::array::from_fn(|index| number.wrapping_mul(13).wrapping_add(index as u8).wrapping_mul(29));
        crawler.announce(InfoHash(id), 6881, number % 2 == 0).await;
    }
    while let Some(batch) = sightings.recv().await {
        let Some(sighting) = batch.last() else { continue };
        let mut peers = crawler.find_peers(sighting.infohash, Waits::Nobody).await;
        tokio::spawn(async move { while peers.recv().await.is_some() {} });
        tokio::time::sleep(SEARCH_EVERY).await;
    }
}

/// Datagrams that the system took of the crawler, as it counts them.
fn taken(status: &CrawlerStatus) -> u64 {
    assert_eq!(status.core.transmits_dropped, 0, "these may be counted as put out or not");
    status.core.datagrams_out - status.unsent
}

/// What the neighbours say; that nobody banned us, and that the count on the wire is whole and agrees with the crawler's own.
fn report(neighbours: &mut Neighbours, status: &mut watch::Receiver<CrawlerStatus>, runtime: &Runtime) -> Value {
    let before = taken(&status.borrow_and_update());
    let report = neighbours.order("report");
    // What is shown next may be of before the report.
    for _ in 0..2 {
        runtime.block_on(status.changed()).unwrap();
    }
    let shown = status.borrow_and_update().clone();
    let sent = report["sent"].as_u64().unwrap();
    println!("{report}\n  contacts {}, {} to {} put out", shown.core.contacts, before, taken(&shown));
    println!("  heard {}, withheld {}, flows {}", shown.core.sightings(), shown.core.withheld, shown.core.flows);
    assert_eq!(report["banned"], json!({}), "libtorrent banned us");
    // It also drops questions when it has used up what it spends on answers, whoever asks (`dht_upload_rate_limit`,
    // 8000 bytes a second): `messages_in_dropped` is no ban.
    assert_eq!(report["alerts_lost"], 0, "a ban may have been missed");
    assert_eq!(report["packets_lost"], 0, "not all on the wire was counted");
    assert!((before..=taken(&shown)).contains(&sent), "{sent} were counted on the wire");
    assert!(report["most_in_window"].as_u64().unwrap() < BAN, "counted on the wire");
    report
}

#[test]
fn libtorrent_never_bans_us() {
    if !in_private_network("libtorrent_never_bans_us") {
        return;
    }
    let (mut neighbours, nodes) = Neighbours::start();
    let config = CrawlerConfig {
        nodes: NODES,
        at_work: NODES,
        id_strategy: IdStrategy::Spread,
        listen: SocketAddr::new(OWN_IP.parse().unwrap(), 0),
        bootstrap: vec![nodes[0].clone()],
        scope: Scope::Public,
        seed: 1,
        limits: None,
        contacts_file: None,
    };
    let runtime = Runtime::new().unwrap();
    let cancel = CancellationToken::new();
    let (crawler, sightings) = runtime.block_on(Crawler::start(config, Clock::start(), cancel.clone())).unwrap();
    let mut status = crawler.status();
    runtime.spawn(live(crawler, sightings));

    let minutes = std::env::var("SOAK_MINUTES").map_or(MINUTES, |minutes| minutes.parse().unwrap());
    let start = Instant::now();
    let mut most = 0;
    for minute in 1..=minutes {
        std::thread::sleep((start + Duration::from_secs(60 * minute)).saturating_duration_since(Instant::now()));
        println!("{minute} min:");
        most = report(&mut neighbours, &mut status, &runtime)["most_in_window"].as_u64().unwrap();
    }
    assert!(most > LIVELY, "nobody got more than {most} messages in ten seconds");
    let ours = status.borrow().core;
    assert!(ours.contacts >= u64::from(NODES * NEIGHBOURS / 2), "our nodes did not all join: {ours:?}");
    assert!(ours.sightings() > 0 && ours.announces_done > 0 && ours.searches_done > 0, "nothing was done: {ours:?}");
    assert_eq!(neighbours.order("flood"), json!({"banned": true}), "a ban would not have been noticed");
    cancel.cancel();
}
