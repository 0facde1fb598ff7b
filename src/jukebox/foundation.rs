//! Opens the rooms, each with its part of the configuration.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::RunError;
use super::budget;
use super::disk;
use super::fetching::Fetching;
use super::held::HeldTorrents;
use super::indexing::{CatalogueJobs, CrawlerPeers};
use super::snapshots;
use super::source::Songs;
use super::storage::{Rooms, Storage};
use super::torrents::Torrents;
use super::traces::{self, Traces};
use crate::audio::{AudioError, Engine, EngineConfig, OutputSpec, Rounds};
use crate::catalogue::{Catalogue, CatalogueOptions};
use crate::config::{BoardProfile, Config, Scope};
use crate::crawler::{Crawler, CrawlerConfig, Limits, Sighting};
use crate::metadata::{FetchLimits, Indexer, IndexerConfig};
use crate::panel::{self, Display, DisplaySpec, GESTURE_CAPACITY, Gesture, KnobSpec};
use crate::player::{self, PlayerHandle};
use crate::search::Searcher;
use crate::swarm::{Swarm, SwarmConfig, peers_for};
use crate::types::{Clock, UnixTime};

/// The rooms that hold data, open.
pub struct Foundation {
    pub clock: Clock,
    pub traces: Arc<Traces>,
    pub catalogue: Catalogue,
    pub searcher: Searcher,
    pub crawler: Crawler,
    pub sightings: mpsc::Receiver<Vec<Sighting>>,
    pub swarm: Swarm,
    pub held: HeldTorrents,
    /// Folders of catalogue and music, in this order, as they really are called.
    pub own: Arc<[PathBuf]>,
}

impl Foundation {
    pub async fn open(config: &Config, board: &BoardProfile, cancel: &CancellationToken) -> Result<Self, RunError> {
        let clock = Clock::start();
        let traces = Arc::new(Traces::new(clock));
        let index = &config.index;
        make_folder(&index.path, "[index] path")?;
        make_folder(&config.storage.path, "[storage] path")?;
        let options = CatalogueOptions { budget: index.budget, keep_torrents: index.keep_torrents };
        let folder = index.path.clone();
        let catalogue = tokio::task::spawn_blocking(move || Catalogue::open(&folder, options)).await??;
        let clock = clock.not_before(latest(&catalogue).await?);
        // Before anything is fetched to the folder or forgotten since it is not there.
        disk::recognise(&config.storage.path, &catalogue).await?;
        let searcher = Searcher::start(&catalogue)?;
        let own = [&index.path, &config.storage.path].map(|path| path.canonicalize().unwrap_or_else(|_| path.clone()));
        let own: Arc<[PathBuf]> = own.into();
        let held = HeldTorrents::open(&index.path.join("torrents"), index.budget, catalogue.clone())?;
        let (nodes, at_work) = budget::first_nodes(config.dht.nodes);
        let crawler_config = CrawlerConfig {
            nodes,
            at_work,
            id_strategy: config.dht.id_strategy,
            listen: config.dht.listen,
            bootstrap: config.dht.bootstrap.clone(),
            scope: config.network.scope,
            seed: rand::random(),
            limits: Some(limits(config, board)),
            contacts_file: Some(index.path.join("contacts")),
        };
        let (crawler, sightings) = Crawler::start(crawler_config, clock, cancel.clone()).await?;
        let swarm_config = SwarmConfig {
            music: config.storage.path.clone(),
            listen: config.dht.listen,
            upload: Some(config.network.upload.unwrap_or(board.uplink)),
            max_peers: peers_for(board.memory.0),
            private_scope: config.network.scope == Scope::Private,
            stall_time: None,
        };
        let swarm = Swarm::start(swarm_config).await?;
        Ok(Self { clock, traces, catalogue, searcher, crawler, sightings, swarm, held, own })
    }

    /// What the storage works with.
    pub fn rooms(&self) -> Rooms {
        Rooms {
            music: self.own[1].clone(),
            traces: Arc::clone(&self.traces),
            catalogue: self.catalogue.clone(),
            swarm: self.swarm.clone(),
            crawler: self.crawler.clone(),
            held: self.held.clone(),
            clock: self.clock,
        }
    }

    /// What `add` and `share` work with.
    pub fn torrents(&self, jobs: CatalogueJobs, fetching: Fetching) -> Torrents {
        Torrents {
            catalogue: self.catalogue.clone(),
            jobs,
            fetching,
            own: self.own.clone(),
            held: self.held.clone(),
            swarm: self.swarm.clone(),
            crawler: self.crawler.clone(),
            clock: self.clock,
        }
    }

    /// Fetches the metadata of what is heard of.
    pub fn indexer(&self, jobs: CatalogueJobs, scope: Scope) -> Arc<Indexer<CatalogueJobs, CrawlerPeers>> {
        let limits = FetchLimits { scope, ..FetchLimits::default() };
        let config = IndexerConfig { limits, seed: rand::random(), ..IndexerConfig::default() };
        Arc::new(Indexer::new(config, Arc::new(jobs), Arc::new(CrawlerPeers(self.crawler.clone()))))
    }

    /// What the player is given songs from.
    pub fn songs(&self, storage: Storage, fetching: Fetching, cancel: &CancellationToken) -> Songs {
        Songs {
            traces: Arc::clone(&self.traces),
            catalogue: self.catalogue.clone(),
            crawler: self.crawler.clone(),
            swarm: self.swarm.clone(),
            storage,
            held: self.held.clone(),
            fetching,
            gate: Arc::default(),
            cancel: cancel.clone(),
        }
    }
}

/// What all nodes together may do. At home there is no router in between, and nobody else on the line: there only what the
/// configuration says holds.
fn limits(config: &Config, board: &BoardProfile) -> Limits {
    let said = config.dht.limits;
    let (said, otherwise) = match config.network.scope {
        Scope::Public => (said.or(board.dht), Limits::default()),
        Scope::Private => (said, Limits::NONE),
    };
    let bytes_per_second = said.rate.map(|rate| u32::try_from(rate.0).unwrap_or(u32::MAX));
    Limits {
        questions_per_second: said.questions.unwrap_or(otherwise.questions_per_second),
        datagrams_per_second: said.datagrams.unwrap_or(otherwise.datagrams_per_second),
        bytes_per_second: bytes_per_second.unwrap_or(otherwise.bytes_per_second),
        flows: said.flows.unwrap_or(otherwise.flows),
        to_remote: said.to_remote.unwrap_or(otherwise.to_remote),
        answers: !config.dht.read_only,
    }
}

/// The latest moment that the music on the disk is known to be from.
async fn latest(catalogue: &Catalogue) -> Result<UnixTime, RunError> {
    let stored = catalogue.stored_all().await?;
    Ok(stored.iter().map(|row| row.last_played.max(row.added)).max().unwrap_or_default())
}

pub fn make_folder(path: &Path, key: &str) -> Result<(), RunError> {
    std::fs::create_dir_all(path).map_err(|error| {
        format!("cannot make the folder {}: {error}; set {key} to a folder that this user may write", path.display())
            .into()
    })
}

/// The player, its task, and signs of life of the threads that make the sound.
pub struct Playing {
    pub player: PlayerHandle<Songs>,
    pub task: JoinHandle<Result<(), AudioError>>,
    pub sound: Rounds,
}

pub async fn start_player(
    config: &Config,
    board: &BoardProfile,
    songs: Songs,
    traces: &Arc<Traces>,
    cancel: &CancellationToken,
) -> Result<Playing, RunError> {
    let snapshot = snapshots::load(&songs.catalogue).await?;
    let output: OutputSpec = config.audio.output.as_ref().unwrap_or(&board.audio).parse()?;
    let (engine, events) = Engine::start(EngineConfig { output, volume: snapshot.volume })?;
    let sound = engine.rounds();
    let events = traces::tap(events, Arc::clone(traces));
    let (player, task) = player::start(Arc::new(songs), engine, events, snapshot, cancel.clone());
    Ok(Playing { player, task, sound })
}

/// The panel's ends within the process.
pub struct PanelEnds {
    pub display: Box<dyn Display>,
    /// What is not there of it, for whom the rest shows it.
    pub notice: Option<String>,
    pub gestures: mpsc::Sender<Gesture>,
    pub inbox: mpsc::Receiver<Gesture>,
}

/// Opens the panel of the configuration or the board. A jukebox whose display or knob is missing or broken plays all
/// the same: it is a warning, and the command line does what the knob would.
pub fn open_panel(config: &Config, board: &BoardProfile, cancel: &CancellationToken) -> Result<PanelEnds, RunError> {
    let mut display: DisplaySpec = config.panel.display.as_ref().unwrap_or(&board.display).parse()?;
    let mut knob: KnobSpec = config.panel.knob.as_ref().unwrap_or(&board.knob).parse()?;
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        // A simulated panel is for people at a terminal.
        display = if matches!(display, DisplaySpec::Simulated { .. }) { DisplaySpec::None } else { display };
        knob = if knob == KnobSpec::Simulated { KnobSpec::None } else { knob };
    }
    let (gestures, inbox) = mpsc::channel(GESTURE_CAPACITY);
    let panel = panel::open(&display, &knob, gestures.clone(), cancel);
    for problem in &panel.problems {
        tracing::warn!(%problem, "the jukebox runs without a part of its panel");
    }
    let notice = panel.problems.first().map(ToString::to_string);
    Ok(PanelEnds { display: panel.display, notice, gestures, inbox })
}
