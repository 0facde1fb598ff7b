//! Who is compared, and what each does to hear: all that its interface lets somebody do who wants to hear much.
//!
//! Each appends the infohashes that it hears to its standard output, 20 bytes each, as often as it hears them.

use std::io::{self, Write};
use std::net::{SocketAddr, SocketAddrV4};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use silverstream::config::IdStrategy;
use silverstream::crawler::{Crawler, CrawlerConfig, Limits, Pace};
use silverstream::lab::{LabError, private};
use silverstream::types::{Clock, Scope};
use tokio_util::sync::CancellationToken;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// Where a contender finds addresses to begin with, separated by commas.
pub const BOOTSTRAP: &str = "SILVERSTREAM_BOOTSTRAP";
/// Of every contender, other than that of the world; ours takes the ports that follow for its further nodes.
const PORT: u16 = 7000;
/// What was heard goes out after this time at the latest.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// One who is compared.
#[derive(Debug, Clone, Copy)]
pub struct Contender {
    pub name: &'static str,
    /// How it hears, for the report.
    pub hears_by: &'static str,
}

/// Ours is the first.
pub const ALL: &[Contender] = &[
    Contender {
        name: OURS,
        hears_by: "what its filter believes of what 8 nodes are asked and told, and of samples; it visits as many nodes a second as libtorrent",
    },
    Contender {
        name: LIBTORRENT,
        hears_by: "alerts of get_peers and announces that come, and dht_sample_infohashes of every node it is told of",
    },
    Contender { name: "librqbit-dht", hears_by: "its trace of queries that come; it has no other way, and no BEP 51" },
    Contender { name: "mainline", hears_by: "its RequestFilter in server mode; it has no BEP 51" },
];
const OURS: &str = "our crawler";
const LIBTORRENT: &str = "libtorrent";
/// Nodes of ours, all on one address: the default of the jukebox.
const NODES: u32 = 8;
/// Nodes that are visited for samples in a second, by ours and by `tests/real/dht_beside.py`.
const SAMPLES_A_SECOND: u32 = 250;
/// Of ours: there is no home's router here, and the others know no such bounds. Strangers are spared all the same.
const LIMITS: Limits = Limits { questions_per_second: 1_000, to_remote: 40, ..Limits::NONE };

impl Contender {
    /// Its process; `role` is how a copy of this program is told what to be.
    pub fn command(&self, role: &str) -> Result<Vec<std::ffi::OsString>, LabError> {
        if self.name == LIBTORRENT {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/dht_beside.py");
            return Ok([python(), script].map(Into::into).into());
        }
        let program = std::env::current_exe().map_err(LabError::failed("this program is not found"))?;
        Ok(["env".into(), format!("{role}={}", self.name).into(), program.into()].into())
    }
}

/// The environment that `.ci/setup test` makes.
fn python() -> std::path::PathBuf {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(Into::into).or_else(home).unwrap_or_default();
    cache.join("silverstream/venv/bin/python")
}

/// A copy of this program as a contender; it ends when it is killed.
pub fn run(name: &str) -> Result<ExitCode, LabError> {
    let bootstrap = std::env::var(BOOTSTRAP).map_err(LabError::failed("nobody to begin with"))?;
    let bootstrap: Vec<String> = bootstrap.split(',').map(str::to_owned).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(LabError::failed("no runtime"))?;
    match name {
        OURS => runtime.block_on(ours(bootstrap)),
        "librqbit-dht" => runtime.block_on(librqbit(bootstrap)),
        "mainline" => mainline(&bootstrap),
        _ => Err(LabError::failed("nobody is called so")(name.to_owned())),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// The crawler as the jukebox has it.
async fn ours(bootstrap: Vec<String>) -> Result<(), LabError> {
    let config = CrawlerConfig {
        nodes: NODES,
        at_work: NODES,
        id_strategy: IdStrategy::Spread,
        listen: SocketAddr::from((private::HOST, PORT)),
        bootstrap,
        scope: Scope::Public,
        seed: 1,
        limits: Some(LIMITS),
        contacts_file: None,
    };
    let (crawler, mut sightings) = Crawler::start(config, Clock::start(), CancellationToken::new())
        .await
        .map_err(LabError::failed("our crawler does not start"))?;
    crawler.set_pace(Pace { nodes: NODES, samples_per_second: SAMPLES_A_SECOND }).await;
    let failed = LabError::failed::<io::Error>("what was heard cannot be told");
    let mut out = io::stdout();
    while let Some(batch) = sightings.recv().await {
        let heard: Vec<u8> = batch.iter().flat_map(|sighting| sighting.infohash.0).collect();
        out.write_all(&heard).and_then(|()| out.flush()).map_err(&failed)?;
    }
    drop(crawler);
    Ok(())
}

/// What a contender heard and did not tell yet.
#[derive(Debug, Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Heard {
    /// `text` is the form in which the infohash follows `before` in the text of a message: 40 hexadecimal digits.
    fn add_from(&self, text: &str, before: &str) {
        let Some(at) = text.find(before) else { return };
        let digits = text[at + before.len()..].get(..40).unwrap_or_default();
        let bytes: Option<Vec<u8>> =
            (0..20).map(|byte| u8::from_str_radix(digits.get(byte * 2..byte * 2 + 2)?, 16).ok()).collect();
        if let (Some(bytes), Ok(mut heard)) = (bytes, self.0.lock()) {
            heard.extend(bytes);
        }
    }

    /// Tells what there is.
    fn flush(&self) -> Result<(), LabError> {
        let heard = self.0.lock().map(|mut heard| std::mem::take(&mut *heard)).unwrap_or_default();
        let mut out = io::stdout();
        out.write_all(&heard).and_then(|()| out.flush()).map_err(LabError::failed("what was heard cannot be told"))
    }
}

/// It tells nobody what it is asked, but its log.
async fn librqbit(bootstrap: Vec<String>) -> Result<(), LabError> {
    let heard = Heard::default();
    let subscriber = tracing_subscriber::registry().with(Trace(heard.clone()));
    tracing::subscriber::set_global_default(subscriber).map_err(LabError::failed("its log cannot be had"))?;
    let config = librqbit_dht::DhtConfig {
        bootstrap_addrs: Some(bootstrap),
        listen_addr: Some(SocketAddr::from((private::HOST, PORT))),
        ..Default::default()
    };
    let dht = librqbit_dht::DhtState::with_config(config).await.map_err(LabError::failed("librqbit-dht"))?;
    loop {
        tokio::time::sleep(FLUSH_EVERY).await;
        heard.flush()?;
        let _ = &dht;
    }
}

/// Takes the queries out of librqbit-dht's log.
struct Trace(Heard);

impl<S: Subscriber> Layer<S> for Trace {
    /// Only what it says of queries is put into words, so that the rest of its log costs it nothing. Messages of one place
    /// are told apart by their line.
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.is_event() && metadata.target() == "librqbit_dht::dht" && metadata.line() == Some(QUERY_LINE)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut Message(&self.0));
    }
}

/// Where librqbit-dht 9.1.0 says `received query from`.
const QUERY_LINE: u32 = 813;

struct Message<'a>(&'a Heard);

impl Visit for Message<'_> {
    fn record_debug(&mut self, _: &Field, value: &dyn std::fmt::Debug) {
        // `GetPeersRequest { id: …, info_hash: … }` and `AnnouncePeer { … }`.
        self.0.add_from(&format!("{value:?}"), "info_hash: ");
    }
}

/// It shows what it is asked before it answers.
#[derive(Debug, Clone)]
struct Tap(Heard);

impl mainline::RequestFilter for Tap {
    fn allow_request(&self, request: &mainline::RequestSpecific, _: SocketAddrV4) -> bool {
        // The types inside have no names outside of the crate, so its text is all there is.
        self.0.add_from(&format!("{request:?}"), "info_hash: Id(");
        true
    }
}

fn mainline(bootstrap: &[String]) -> Result<(), LabError> {
    let heard = Heard::default();
    let settings = mainline::ServerSettings { filter: Box::new(Tap(heard.clone())), ..Default::default() };
    let mut builder = mainline::Dht::builder();
    builder.server_mode().server_settings(settings).bootstrap(bootstrap);
    builder.bind_address(private::HOST).public_ip(private::HOST).port(PORT);
    let dht = builder.build().map_err(LabError::failed("mainline does not start"))?;
    loop {
        std::thread::sleep(FLUSH_EVERY);
        heard.flush()?;
        let _ = &dht;
    }
}
