//! Builds the rooms and joins them in the order in which the data goes; the only place where everything meets.

mod budget;
pub mod checkup;
mod commands;
mod disk;
mod fetching;
mod foundation;
mod held;
mod indexing;
mod log;
mod service;
mod snapshots;
mod source;
mod status;
mod storage;
mod supervise;
mod tasks;
mod torrents;
mod traces;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::catalogue::Opening;
use crate::config::{BoardProfile, Config, PowerOff};
use crate::control::server::Server;
use crate::control::{self, BudgetStatus, Handle, PanelStatus, Status};
use crate::crawler::Crawler;
use crate::panel::Frame;
use crate::swarm::Swarm;
use crate::system::health::Machine;
use crate::system::{power, setup};
use crate::ui::{Curtain, Farewell};
use budget::Governor;
use commands::Desk;
use fetching::Fetching;
use foundation::{Foundation, make_folder, open_panel, start_player};
use indexing::CatalogueJobs;
use service::{Service, Vitals};
use storage::Storage;
use supervise::Supervisor;
use tasks::Tasks;
use traces::Traces;

pub use log::log_to;
pub use status::resident_bytes;

/// How long the tasks may take to end before the process does.
const SHUTDOWN_BOUND: Duration = Duration::from_secs(10);

/// How long the system may take to end this process when it has been asked to switch the machine off.
const SWITCH_OFF_PATIENCE: Duration = Duration::from_secs(30);

/// Worker threads of the runtime: sound, catalogue and crawler have threads of their own, so two leave nobody waiting.
const WORKER_THREADS: usize = 2;

/// Why the jukebox did not start or did not go on; the text says what to do.
pub type RunError = Box<dyn std::error::Error + Send + Sync>;

/// A running jukebox.
#[derive(Debug)]
pub struct Jukebox {
    control: Handle,
    frames: watch::Receiver<Frame>,
    crawler: Crawler,
    swarm: Swarm,
    supervisor: Supervisor,
    socket: PathBuf,
    traces: Arc<Traces>,
    farewell: Farewell,
    cancel: CancellationToken,
}

/// Runs a jukebox until it is told to end by a signal or a face. `mistakes` are what the configuration is without, for
/// people.
///
/// # Errors
/// If it cannot start, or a task that it cannot do without fails.
pub fn run(config: &Config, board: &BoardProfile, mistakes: &[String]) -> Result<(), RunError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKER_THREADS).enable_all().build()?;
    let outcome = runtime.block_on(async {
        let cancel = CancellationToken::new();
        end_on_signals(cancel.clone())?;
        let service = Service::begin();
        let jukebox = Jukebox::start_in_spite_of(mistakes, config, board, cancel).await?;
        let (traces, farewell) = (Arc::clone(&jukebox.traces), jukebox.farewell.clone());
        traces.tell_on_panic();
        let _attended = service.attend(jukebox.vitals());
        if let Err(error) = jukebox.wait().await {
            tracing::error!("{}", traces.last_words());
            return Err(error);
        }
        if farewell.is_asked() {
            switch_off(config).await?;
            tell_that_it_is_safe(&farewell).await;
        }
        Ok(())
    });
    // A thread that hangs in a broken device or file must not keep the process.
    runtime.shutdown_timeout(SHUTDOWN_BOUND);
    outcome
}

/// Cancels the token on SIGINT and SIGTERM, from now on and within a runtime.
///
/// # Errors
/// If the signals cannot be taken over.
pub fn end_on_signals(cancel: CancellationToken) -> Result<(), RunError> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = cancel.cancelled() => {}
        }
        cancel.cancel();
    });
    Ok(())
}

/// Asks the system to switch the machine off, and waits for its word that this process is to end.
///
/// # Errors
/// If nobody switches it off: better a jukebox that plays than one that sits there dark.
async fn switch_off(config: &Config) -> Result<(), RunError> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let how = power_off(config);
    tracing::info!(?how, "the machine is to be switched off");
    tokio::task::spawn_blocking(move || power::ask(&how)).await??;
    match tokio::time::timeout(SWITCH_OFF_PATIENCE, terminate.recv()).await {
        Ok(_) => Ok(()),
        Err(_) => {
            Err("nobody has switched the machine off; enable silverstream-poweroff.path, or set [system] power_off to \
                       what does"
                .into())
        }
    }
}

/// Shows that the plug may be pulled, as late as this process can: it has been told to end, which the system does before it
/// unmounts the card, and all that has been written until now is on it. What other services still write in the second or two
/// until then is the system's; its journal and the file system's own stand a cut there as they stand any other.
async fn tell_that_it_is_safe(farewell: &Farewell) {
    let curtain = farewell.take();
    let shown = tokio::task::spawn_blocking(|| {
        rustix::fs::sync();
        curtain.into_iter().for_each(Curtain::tell_that_it_is_safe);
    });
    if tokio::time::timeout(SHUTDOWN_BOUND, shown).await.is_err() {
        tracing::warn!("the card or the display does not answer");
    }
}

fn power_off(config: &Config) -> PowerOff {
    let wish = || PowerOff::File(config.control.socket.with_file_name("poweroff"));
    config.system.power_off.clone().unwrap_or_else(wish)
}

/// What people should know of settings and card, as sentences; the log tells it, too.
fn problems(config: &Config, mistakes: &[String], opening: &Opening) -> Vec<String> {
    let mut problems: Vec<String> = mistakes.to_vec();
    problems.extend(setup::problems(&config.system.state).iter().map(ToString::to_string));
    problems.extend(Machine::default().card_troubles().into_iter().map(str::to_owned));
    problems.extend(opening.set_aside.as_ref().map(ToString::to_string));
    problems.iter().for_each(|problem| tracing::error!("{problem}"));
    problems
}

impl Jukebox {
    /// Builds and joins the rooms. The jukebox ends with `cancel`.
    ///
    /// # Errors
    /// If a folder, socket, database or device cannot be used; the text says which and what to do.
    pub async fn start(config: &Config, board: &BoardProfile, cancel: CancellationToken) -> Result<Self, RunError> {
        Self::start_in_spite_of(&[], config, board, cancel).await
    }

    async fn start_in_spite_of(
        mistakes: &[String],
        config: &Config,
        board: &BoardProfile,
        cancel: CancellationToken,
    ) -> Result<Self, RunError> {
        if let Some(folder) = config.control.socket.parent() {
            make_folder(folder, "[control] socket")?;
        }
        // First of all: a second jukebox is refused before anything is touched.
        let server = Server::bind(&config.control.socket)?;
        // Left by a jukebox that was killed, it would switch the machine off now.
        power::forget(&power_off(config))?;
        let panel = open_panel(config, board, &cancel)?;
        let ground = Foundation::open(config, board, &cancel).await?;
        let jobs = CatalogueJobs {
            catalogue: ground.catalogue.clone(),
            clock: ground.clock,
            keep_torrents: config.index.keep_torrents,
        };
        let fetching = Fetching::new(ground.crawler.clone(), config.network.scope, cancel.clone());
        let torrents = ground.torrents(jobs.clone(), fetching.clone());
        torrents.reconcile().await?;
        let (storage, mut keeper) = Storage::new(ground.rooms(), config.storage.budget.unwrap_or(board.storage));
        let songs = ground.songs(storage.clone(), fetching, &cancel);
        let playing = start_player(config, board, songs, &ground.traces, &cancel).await?;
        let player = playing.player.clone();
        keeper.respect(player.queue());
        let indexer = ground.indexer(jobs, config.network.scope);
        let (crawler, swarm) = (ground.crawler.clone(), ground.swarm.clone());
        let mut supervisor = Supervisor::new(cancel.clone()).tracing(Arc::clone(&ground.traces));
        let (status_outlet, status) = watch::channel(Arc::new(Status::default()));
        let (turned, turns) = watch::channel(PanelStatus::default());
        let (budget_outlet, budget) = watch::channel(BudgetStatus::default());
        let governor = Governor {
            clock: ground.clock,
            crawler: crawler.clone(),
            indexer: Arc::clone(&indexer),
            player: player.status(),
            counts: ground.catalogue.watch_counts(),
            outlet: budget_outlet,
            bounds: budget::bounds(config, board),
        };
        let sources = status::Sources {
            board: board.name.clone(),
            clock: ground.clock,
            crawler: ground.crawler.status(),
            counts: ground.catalogue.watch_counts(),
            indexer: indexer.stats(),
            player: player.status(),
            storage: storage.status(),
            swarm: ground.swarm.clone(),
            budget,
            panel: turns,
            tasks: supervisor.board(),
            problems: problems(config, mistakes, ground.catalogue.opening()),
            surroundings: status::Surroundings::of(Machine::default()),
        };
        let (control, requests) = control::channel(status.clone());
        let (frame_outlet, frames) = watch::channel(Frame::default());
        let farewell = Farewell::default();
        let desk = Desk {
            clock: ground.clock,
            searcher: ground.searcher.clone(),
            player: player.clone(),
            torrents: torrents.clone(),
            status,
            frames: frames.clone(),
            gestures: panel.gestures,
            traces: Arc::clone(&ground.traces),
            farewell: farewell.clone(),
            cancel: cancel.clone(),
        };
        // Files that changed are hashed, which can take minutes; nobody has to wait for that.
        tokio::spawn(async move { torrents.restore().await });
        Tasks {
            server,
            control: control.clone(),
            requests,
            desk,
            playing,
            keeper,
            sightings: ground.sightings,
            catalogue: ground.catalogue,
            searcher: ground.searcher,
            indexer,
            governor,
            sources,
            status: status_outlet,
            display: panel.display,
            gestures: panel.inbox,
            frames: frame_outlet,
            turned,
            notice: panel.notice,
            farewell: farewell.clone(),
            traces: Arc::clone(&ground.traces),
            needs: ground.swarm.peers_wanted().ok_or("the swarm's needs are taken already")?,
            swarm: ground.swarm,
            crawler: ground.crawler,
        }
        .start(&mut supervisor, &cancel);
        let (socket, music) = (config.control.socket.display(), config.storage.path.display());
        tracing::info!(board = board.name, %socket, %music, "the jukebox runs");
        let socket = config.control.socket.clone();
        Ok(Self { control, frames, crawler, swarm, supervisor, socket, traces: ground.traces, farewell, cancel })
    }

    /// For faces within the process.
    pub fn control(&self) -> &Handle {
        &self.control
    }

    /// By what a service manager judges it.
    fn vitals(&self) -> Vitals {
        Vitals {
            status: self.control.status(),
            tasks: self.supervisor.board(),
            socket: self.socket.clone(),
            traces: Arc::clone(&self.traces),
            farewell: self.farewell.clone(),
            cancel: self.cancel.clone(),
        }
    }

    /// What the display shows.
    pub fn frames(&self) -> watch::Receiver<Frame> {
        self.frames.clone()
    }

    /// Waits until the jukebox is told to end, and ends it in order and in bounded time.
    ///
    /// # Errors
    /// If it ended since a task failed that it cannot do without.
    pub async fn wait(mut self) -> Result<(), RunError> {
        let failure = self.supervisor.wait().await;
        self.cancel.cancel();
        if !self.supervisor.shutdown(SHUTDOWN_BOUND).await {
            tracing::warn!("some tasks did not end in time and were left");
        }
        if tokio::time::timeout(SHUTDOWN_BOUND, self.swarm.stop()).await.is_err() {
            tracing::warn!("BitTorrent did not end in time; songs may have to be checked at the next start");
        }
        if tokio::time::timeout(SHUTDOWN_BOUND, self.crawler.stopped()).await.is_err() {
            tracing::warn!("the contacts of the DHT may not have been saved");
        }
        failure.map_or(Ok(()), |reason| Err(reason.into()))
    }
}
