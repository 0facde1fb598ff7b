//! Real libtorrent searches and announces, half of it privately, while liars name what does not exist: what our crawler
//! believes of it is compared with what is true and with what came to it over the wire.
//!
//! The network is a world of the lab, so that it is deep enough for private lookups to hide something: libtorrent hides
//! nothing in a network of a hundred nodes. The world only answers; everything that our crawler is asked comes from
//! libtorrent and from the liars, and what it samples is the world's. The rules are those of the simulated form,
//! `silverstream lab truth`.

#![cfg(all(feature = "soak", feature = "simulations"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic, in its helpers too")]

mod common;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command as Process, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::cache;
use serde_json::{Value, json};
use silverstream::config::IdStrategy;
use silverstream::crawler::{Crawler, CrawlerConfig, Sighting, SightingKind};
use silverstream::lab::private;
use silverstream::lab::udp::{UdpConfig, UdpWorld};
use silverstream::types::{Clock, InfoHash, Scope};
use tokio::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;

/// Sessions of libtorrent, each in a /16 of its own as strangers are.
const SESSIONS: u8 = 60;
/// Torrents that they have.
const TORRENTS: usize = 1_200;
/// The world around them.
const WORLD: UdpConfig = UdpConfig { nodes: 5_000, torrents: 5_000, seed: 5 };
/// Nodes of ours, all on one address, and the port of the first.
const NODES: u16 = 256;
const FIRST_PORT: u16 = 7_000;
/// How long it takes in all; `SOAK_MINUTES` sets another time.
const MINUTES: u64 = 60;
/// A client announces again after this time (libtorrent), or after a quarter of the whole time if that is shorter.
const PERIOD: Duration = Duration::from_secs(15 * 60);
/// What is believed later than this after two rounds of the clients has had its time.
const SLACK: Duration = Duration::from_secs(120);
/// How long metadata takes, and of how many torrents of ten somebody gives it.
const FETCHING: Duration = Duration::from_secs(60);
const FETCHED: u8 = 6;
/// Named again by the same after this time, it is another question than the first (`crawler::filter`).
const LATER: Duration = Duration::from_secs(5 * 60);
/// Set for the copy inside the namespace.
const INSIDE: &str = "SILVERSTREAM_TRUTH_INSIDE";

/// The process of `tests/real/dht_truth.py`.
struct Sessions {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Sessions {
    fn start(orders: &Value) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/dht_truth.py");
        let mut process = Process::new(cache("venv").join("bin/python"));
        process.args(["-W", "ignore"]).arg(script).arg(orders.to_string());
        let mut child = process.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take().expect("it is piped");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, stdin, stdout }
    }

    fn read(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("the sessions said {line:?}: {error}"))
    }

    fn report(&mut self) -> Value {
        writeln!(self.stdin, "{}", json!({"do": "report"})).unwrap();
        self.read()
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves the world on a thread until it is told to stop; its torrents, routers, and addresses that none of it has.
struct Around {
    torrents: HashSet<InfoHash>,
    routers: Vec<SocketAddr>,
    free: Vec<Ipv4Addr>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Around {
    fn start() -> Self {
        let mut udp = UdpWorld::open(WORLD).unwrap();
        let torrents = udp.live.knowledge.torrents.infohashes.iter().copied().collect();
        let routers = udp.routers(8);
        let free = (1..=SESSIONS).map(|number| {
            let mut hosts = (38..=u8::MAX).map(|host| Ipv4Addr::new(80, number, 0, host));
            hosts.find(|ip| udp.live.world.at((*ip, 6881).into()).is_none()).expect("the world is sparse")
        });
        let free = free.collect();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                udp.turn().unwrap();
            }
        });
        Self { torrents, routers, free, stop, thread: Some(thread) }
    }
}

impl Drop for Around {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// What the crawler believed first of each, in the order in which it did, kept by a task that also does as if the
/// metadata of most true ones arrived, as the jukebox does.
type Believed = Arc<std::sync::Mutex<HashMap<InfoHash, Sighting>>>;

async fn keep(crawler: Crawler, mut sightings: Receiver<Vec<Sighting>>, real: HashSet<InfoHash>, kept: Believed) {
    while let Some(batch) = sightings.recv().await {
        for sighting in batch {
            let new = kept.lock().unwrap().insert(sighting.infohash, sighting).is_none();
            if new && real.contains(&sighting.infohash) && sighting.infohash.0[19] % 10 < FETCHED {
                let crawler = crawler.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(FETCHING).await;
                    crawler.proved(sighting.infohash).await;
                });
            }
        }
    }
}

/// Whose word it was.
fn deceiver(sighting: &Sighting) -> &'static str {
    let IpAddr::V4(ip) = sighting.source.ip() else { return "nobody" };
    match ip.octets() {
        [90, 1, 1, 1] => "inventor",
        [91, 2, 2, _] => "crowd",
        [92, 3, 3, 3] => "flooder",
        [93, 4, ..] => "block",
        [94, 5, 5, 5] => "stubborn liar",
        [80, _, 0, _] => "libtorrent",
        _ if sighting.kind == SightingKind::Sample => "samples",
        _ => "others",
    }
}

#[test]
fn the_truth_is_told_among_real_libtorrent() {
    if std::env::var_os(INSIDE).is_none() {
        let test = std::env::current_exe().unwrap();
        let arguments = ["--exact", "the_truth_is_told_among_real_libtorrent", "--nocapture"];
        let status = private::command(test).args(arguments).env(INSIDE, "1").status().expect("util-linux is installed");
        assert!(status.success(), "it failed inside its namespace");
        return;
    }
    let minutes = std::env::var("SOAK_MINUTES").map_or(MINUTES, |minutes| minutes.parse().unwrap());
    let time = Duration::from_secs(60 * minutes);
    let period = PERIOD.min(time / 4);
    let around = Around::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = CrawlerConfig {
        nodes: NODES.into(),
        at_work: NODES.into(),
        id_strategy: IdStrategy::Spread,
        listen: SocketAddr::from((private::HOST, FIRST_PORT)),
        bootstrap: around.routers.iter().map(ToString::to_string).collect(),
        scope: Scope::Public,
        seed: 1,
        limits: None,
        contacts_file: None,
    };
    let cancel = CancellationToken::new();
    let (crawler, sightings) = runtime.block_on(Crawler::start(config, Clock::start(), cancel.clone())).unwrap();
    let status = crawler.status();

    let orders = json!({
        "addresses": around.free, "watched": private::HOST, "ports": (FIRST_PORT..FIRST_PORT + NODES).collect::<Vec<_>>(),
        "nodes": around.routers.iter().map(|addr| json!([addr.ip(), addr.port()])).collect::<Vec<_>>(),
        "torrents": TORRENTS, "period": period.as_secs(), "seed": 1,
    });
    let mut sessions = Sessions::start(&orders);
    let theirs = sessions.read();
    let torrents = theirs["torrents"].as_array().unwrap().iter().map(|hash| hash.as_str().unwrap().parse().unwrap());
    let theirs: HashSet<InfoHash> = torrents.collect();
    let real: HashSet<InfoHash> = around.torrents.union(&theirs).copied().collect();
    let kept = Believed::default();
    runtime.spawn(keep(crawler, sightings, real.clone(), kept.clone()));

    let start = Instant::now();
    let mut report = Value::Null;
    for minute in 1..=minutes {
        std::thread::sleep((start + Duration::from_secs(60 * minute)).saturating_duration_since(Instant::now()));
        report = sessions.report();
        let judged = Judged::of(&report, &kept.lock().unwrap(), &real, 2 * period + SLACK);
        let core = status.borrow().core;
        println!("{minute} min: {judged}; contacts {}, {}, nodes {}", core.contacts, report["kinds"], report["nodes"]);
        println!(
            "  visits {}, samples {}, flows {}, pauses {}",
            core.visits, core.samples_shown, core.flows, core.pauses
        );
    }
    let judged = Judged::of(&report, &kept.lock().unwrap(), &real, 2 * period + SLACK);
    println!("missed: {:?}", judged.missed.iter().take(20).collect::<Vec<_>>());
    assert!(judged.heard >= 100 && judged.lies >= 1000 && judged.never > 1000, "too little was tried: {judged}");
    assert!(judged.precision() >= 0.995, "{judged}");
    assert!(judged.recall() >= 0.98, "{judged}");
    cancel.cancel();
}

/// What was believed against what is true.
#[derive(Debug, Default)]
struct Judged {
    believed: usize,
    /// By whose word.
    wrong: BTreeMap<&'static str, u32>,
    /// True infohashes that a message over the wire named to us in full, early enough, and that can be believed: two
    /// addresses did, or one did again later. And those of them believed.
    heard: usize,
    found: usize,
    /// The same that one address named once. Nothing is believed for a single message, so these cannot be found by it;
    /// the simulated form, whose clients walk the same way again, has next to none.
    once: usize,
    /// Infohashes that were named to us and do not exist, and what the liars did.
    never: usize,
    lies: u64,
    /// Of those heard and not found: seconds since and between, addresses that named it, whether announced.
    missed: Vec<(InfoHash, Value)>,
}

impl Judged {
    fn of(report: &Value, believed: &HashMap<InfoHash, Sighting>, real: &HashSet<InfoHash>, last: Duration) -> Self {
        let mut judged = Self { believed: believed.len(), lies: report["lies"].as_u64().unwrap(), ..Self::default() };
        for sighting in believed.values().filter(|sighting| !real.contains(&sighting.infohash)) {
            *judged.wrong.entry(deceiver(sighting)).or_default() += 1;
        }
        for (infohash, how) in report["asked"].as_object().unwrap() {
            let infohash: InfoHash = infohash.parse().unwrap();
            if !real.contains(&infohash) {
                judged.never += 1;
            } else if how[0].as_f64().unwrap() >= last.as_secs_f64() {
                let again = how[1].as_f64().unwrap() >= LATER.as_secs_f64() || how[2].as_u64().unwrap() >= 2;
                judged.heard += usize::from(again);
                judged.once += usize::from(!again);
                match believed.contains_key(&infohash) {
                    true => judged.found += usize::from(again),
                    false if again => judged.missed.push((infohash, how.clone())),
                    false => {}
                }
            }
        }
        judged
    }

    fn precision(&self) -> f64 {
        1.0 - f64::from(self.wrong.values().sum::<u32>()) / self.believed.max(1) as f64
    }

    fn recall(&self) -> f64 {
        self.found as f64 / self.heard.max(1) as f64
    }
}

impl std::fmt::Display for Judged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { believed, wrong, heard, found, once, never, lies, .. } = self;
        write!(
            f,
            "precision {:.2} % ({believed} believed, wrong by {wrong:?}), recall {:.2} % ({found} of {heard} heard in full, \
             and {once} once only), {never} named that do not exist, {lies} turns of the liars",
            100.0 * self.precision(),
            100.0 * self.recall()
        )
    }
}
