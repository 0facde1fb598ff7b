//! The tasks that join the rooms, each under its supervisor.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::budget::Governor;
use super::commands::{self, Desk};
use super::foundation::Playing;
use super::indexing::{self, CatalogueJobs, CrawlerPeers};
use super::snapshots;
use super::source::Songs;
use super::status::{self, Sources};
use super::storage::Keeper;
use super::supervise::{Restart, Supervisor, TaskError, Tick};
use super::traces::{self, Traces};
use crate::audio::{AudioError, Rounds};
use crate::catalogue::Catalogue;
use crate::control::server::{Limits, Server};
use crate::control::{Handle, PanelStatus, Request, Status};
use crate::crawler::{Crawler, CrawlerStatus, Sighting, Waits};
use crate::metadata::{Indexer, JobSource, PeerSource};
use crate::panel::{Display, Frame, Gesture};
use crate::player::PlayerHandle;
use crate::search::Searcher;
use crate::swarm::Swarm;
use crate::types::InfoHash;
use crate::ui::{self, Farewell};

/// Longest round of a task that only passes things on within the process.
const PROMPT: Duration = Duration::from_secs(20);

/// Longest round of a task that waits for the card, which may hold a write up for many seconds when it is worn or busy with
/// itself.
const CARD: Duration = Duration::from_secs(120);

/// Longest round where the first answers of the search are waited for, which reads the words of millions of songs from
/// the card at its start; and of the indexer, which may wait for the slowest of its workers (`FetchLimits::total`).
const LONG: Duration = Duration::from_secs(300);

/// Lookups of peers for downloads at once.
const MAX_SEARCHES: usize = 8;

/// Peers that are handed to a download at once.
const PEER_BATCH: usize = 32;

/// Everything that the tasks own.
pub struct Tasks {
    pub server: Server,
    pub control: Handle,
    pub requests: mpsc::Receiver<Request>,
    pub desk: Desk,
    pub playing: Playing,
    pub keeper: Keeper,
    pub sightings: mpsc::Receiver<Vec<Sighting>>,
    pub catalogue: Catalogue,
    pub searcher: Searcher,
    pub indexer: Arc<Indexer<CatalogueJobs, CrawlerPeers>>,
    pub governor: Governor<CatalogueJobs, CrawlerPeers>,
    pub sources: Sources,
    pub status: watch::Sender<Arc<Status>>,
    pub display: Box<dyn Display>,
    pub gestures: mpsc::Receiver<Gesture>,
    pub frames: watch::Sender<Frame>,
    /// How far the knob was turned.
    pub turned: watch::Sender<PanelStatus>,
    /// What to tell at the display.
    pub notice: Option<String>,
    pub farewell: Farewell,
    pub traces: Arc<Traces>,
    pub needs: mpsc::Receiver<InfoHash>,
    pub swarm: Swarm,
    pub crawler: Crawler,
}

impl Tasks {
    /// Starts them all. What a task owns outlives it: started again, it goes on with the same.
    pub fn start(self, supervisor: &mut Supervisor, cancel: &CancellationToken) {
        let keeper = Arc::new(Mutex::new(self.keeper));
        let token = cancel.clone();
        supervisor.spawn("storage", Restart::Always, CARD, move |tick| {
            let (keeper, token) = (Arc::clone(&keeper), token.clone());
            async move { keeper.lock().await.run(tick, token).await }
        });
        let (sightings, catalogue) = (Arc::new(Mutex::new(self.sightings)), self.catalogue.clone());
        let token = cancel.clone();
        supervisor.spawn("sightings", Restart::Always, CARD, move |tick| {
            let (sightings, catalogue, token) = (Arc::clone(&sightings), catalogue.clone(), token.clone());
            async move { indexing::record_sightings(&mut *sightings.lock().await, &catalogue, tick, token).await }
        });
        let (sources, outlet, token) = (self.sources, self.status, cancel.clone());
        supervisor.spawn("status", Restart::Always, PROMPT, move |tick| {
            let (sources, outlet, token) = (sources.clone(), outlet.clone(), token.clone());
            async move { status::publish(sources, &outlet, tick, token).await }
        });
        let (requests, desk) = (Arc::new(Mutex::new(self.requests)), self.desk);
        supervisor.spawn("commands", Restart::Always, LONG, move |tick| {
            let (requests, desk) = (Arc::clone(&requests), desk.clone());
            async move { commands::serve(&desk, &mut *requests.lock().await, tick).await }
        });
        let Playing { player, task, sound } = self.playing;
        follow_traces(supervisor, &player, self.crawler.status(), self.traces, cancel);
        let pinged = player.clone();
        mind_player(supervisor, task, move || {
            let player = pinged.clone();
            async move { player.ping().await }
        });
        mind_sound(supervisor, sound, cancel);
        let (catalogue, token) = (self.catalogue.clone(), cancel.clone());
        supervisor.spawn("snapshots", Restart::Always, CARD, move |tick| {
            let (player, catalogue, token) = (player.clone(), catalogue.clone(), token.clone());
            async move { snapshots::keep(player.snapshot(), player.status(), &catalogue, tick, token).await }
        });
        let needs = Arc::new(Mutex::new(self.needs));
        mind_swarm(supervisor, self.swarm.tick(), cancel);
        let (swarm, crawler, token) = (self.swarm, self.crawler.clone(), cancel.clone());
        supervisor.spawn("peers", Restart::Always, PROMPT, move |tick| {
            let (needs, swarm, crawler, token) = (Arc::clone(&needs), swarm.clone(), crawler.clone(), token.clone());
            async move { find_peers(&mut *needs.lock().await, &swarm, &crawler, tick, token).await }
        });
        mind_indexer(supervisor, self.indexer, cancel);
        let (governor, token) = (Arc::new(self.governor), cancel.clone());
        supervisor.spawn("budget", Restart::Always, PROMPT, move |tick| {
            let (governor, token) = (Arc::clone(&governor), token.clone());
            async move { governor.run(tick, token).await }
        });
        mind_catalogue(supervisor, self.catalogue.clone(), cancel);
        mind_search(supervisor, self.searcher, self.catalogue, cancel);
        mind_crawler(supervisor, self.crawler, cancel);
        let (mut server, control, token) = (Some(self.server), self.control.clone(), cancel.clone());
        supervisor.spawn("control", Restart::Never, PROMPT, move |tick| {
            let (server, control, token) = (server.take(), control.clone(), token.clone());
            async move {
                let server = server.ok_or("the control socket is gone")?.ticking(tick);
                server.serve(control, Limits::default(), token).await;
                Ok(())
            }
        });
        let (mut ends, control, token) = (
            Some((
                self.display,
                self.gestures,
                ui::Outlets {
                    frames: self.frames,
                    turned: self.turned,
                    tick: Tick::default(),
                    notice: self.notice,
                    farewell: self.farewell,
                },
            )),
            self.control,
            cancel.clone(),
        );
        supervisor.spawn("ui", Restart::Never, PROMPT, move |tick| {
            let (ends, control, token) = (ends.take(), control.clone(), token.clone());
            async move {
                let (display, gestures, outlets) = ends.ok_or("the panel is gone")?;
                ui::run(control, display, gestures, ui::Outlets { tick, ..outlets }, token).await;
                Ok(())
            }
        });
    }
}

fn follow_traces(
    supervisor: &mut Supervisor,
    player: &PlayerHandle<Songs>,
    crawler: watch::Receiver<CrawlerStatus>,
    traces: Arc<Traces>,
    cancel: &CancellationToken,
) {
    let (player, cancel) = (player.status(), cancel.clone());
    supervisor.spawn("traces", Restart::Always, PROMPT, move |tick| {
        let (player, crawler, traces, cancel) = (player.clone(), crawler.clone(), Arc::clone(&traces), cancel.clone());
        traces::follow(player, crawler, traces, tick, cancel)
    });
}

fn mind_indexer<J: JobSource, P: PeerSource>(
    supervisor: &mut Supervisor,
    indexer: Arc<Indexer<J, P>>,
    cancel: &CancellationToken,
) {
    let cancel = cancel.clone();
    supervisor.spawn("indexer", Restart::Always, LONG, move |tick| {
        let (indexer, cancel) = (Arc::clone(&indexer), cancel.clone());
        async move { indexing::index(&indexer, tick, cancel).await }
    });
}

// Rooms with a task or threads of their own: without one of them there is no jukebox. Each is asked for a sign of life from
// time to time, and the task that asks ticks when it has come.

/// The player ends with an error when the audio engine dies.
fn mind_player<P, F, E>(supervisor: &mut Supervisor, task: JoinHandle<Result<(), AudioError>>, ping: P)
where
    P: Fn() -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<(), E>> + Send,
    E: Send,
{
    let mut task = Some(task);
    supervisor.spawn("player", Restart::Never, PROMPT, move |tick| {
        let (task, ping) = (task.take(), ping.clone());
        async move {
            tokio::select! {
                ended = task.ok_or("the player is gone")? => Ok(ended??),
                never = tick_on_answers(&tick, ping) => never,
            }
        }
    });
}

/// Both threads of the engine make rounds all the time, unless the driver of the sound card hangs.
fn mind_sound(supervisor: &mut Supervisor, rounds: Rounds, cancel: &CancellationToken) {
    mind_rounds(supervisor, "sound", PROMPT, move || [rounds.conductor(), rounds.output()], cancel);
}

fn mind_swarm(supervisor: &mut Supervisor, rounds: Tick, cancel: &CancellationToken) {
    mind_rounds(supervisor, "swarm", CARD, move || [rounds.count()], cancel);
}

/// Ticks while all these counters go on.
fn mind_rounds<const N: usize>(
    supervisor: &mut Supervisor,
    name: &'static str,
    bound: Duration,
    count: impl Fn() -> [u64; N] + Clone + Send + Sync + 'static,
    cancel: &CancellationToken,
) {
    let cancel = cancel.clone();
    supervisor.spawn(name, Restart::Always, bound, move |tick| {
        let (count, cancel) = (count.clone(), cancel.clone());
        async move {
            let mut seen = [0; N];
            loop {
                let now = count();
                if seen.iter().zip(&now).all(|(seen, now)| seen != now) {
                    tick.tick();
                    seen = now;
                }
                tokio::select! {
                    () = cancel.cancelled() => return Ok(()),
                    () = tokio::time::sleep(Tick::IDLE) => {}
                }
            }
        }
    });
}

/// The crawler publishes its state every second.
fn mind_crawler(supervisor: &mut Supervisor, crawler: Crawler, cancel: &CancellationToken) {
    let cancel = cancel.clone();
    supervisor.spawn("crawler", Restart::Never, PROMPT, move |tick| {
        let (crawler, cancel) = (crawler.clone(), cancel.clone());
        async move {
            let mut status = crawler.status();
            loop {
                tokio::select! {
                    () = crawler.stopped() => {
                        let died = "its thread has died; the log says where, please report it";
                        return if cancel.is_cancelled() { Ok(()) } else { Err(died.into()) };
                    }
                    Ok(()) = status.changed() => tick.tick(),
                }
            }
        }
    });
}

fn mind_catalogue(supervisor: &mut Supervisor, catalogue: Catalogue, cancel: &CancellationToken) {
    let cancel = cancel.clone();
    supervisor.spawn("catalogue", Restart::Never, CARD, move |tick| {
        let (catalogue, cancel) = (catalogue.clone(), cancel.clone());
        async move {
            tokio::select! {
                () = cancel.cancelled() => Ok(()),
                () = catalogue.stopped() => Err("one of its threads has died; the log says where, please report it".into()),
                never = tick_on_answers(&tick, || catalogue.ping()) => never,
            }
        }
    });
}

fn mind_search(supervisor: &mut Supervisor, searcher: Searcher, catalogue: Catalogue, cancel: &CancellationToken) {
    let cancel = cancel.clone();
    supervisor.spawn("search", Restart::Never, LONG, move |tick| {
        let (searcher, catalogue, cancel) = (searcher.clone(), catalogue.clone(), cancel.clone());
        async move {
            tokio::select! {
                () = cancel.cancelled() => Ok(()),
                () = searcher.stopped() => {
                    // What it could not read may be damaged: started again on an unchecked file, it would end again.
                    catalogue.distrust().await?;
                    Err("its thread has died; the log says where, and the catalogue is checked at the next start".into())
                }
                never = tick_on_answers(&tick, || searcher.ping()) => never,
            }
        }
    });
}

/// Asks again and again, and ticks whenever it is answered.
async fn tick_on_answers<F, E>(tick: &Tick, ask: impl Fn() -> F) -> Result<(), TaskError>
where
    F: Future<Output = Result<(), E>>,
{
    loop {
        if ask().await.is_ok() {
            tick.tick();
        }
        tokio::time::sleep(Tick::IDLE).await;
    }
}

/// Looks up peers for downloads that lack them, until the token is cancelled.
async fn find_peers(
    needs: &mut mpsc::Receiver<InfoHash>,
    swarm: &Swarm,
    crawler: &Crawler,
    tick: Tick,
    cancel: CancellationToken,
) -> Result<(), TaskError> {
    let places = Arc::new(Semaphore::new(MAX_SEARCHES));
    loop {
        tick.tick();
        let infohash = tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            () = tokio::time::sleep(Tick::IDLE) => continue,
            infohash = needs.recv() => infohash.ok_or("the swarm has ended")?,
        };
        // With all places taken this need is left out: it is told again while it lasts.
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let mut found = crawler.find_peers(infohash, Waits::Person).await;
        let swarm = swarm.clone();
        tokio::spawn(async move {
            let mut batch = Vec::with_capacity(PEER_BATCH);
            while found.recv_many(&mut batch, PEER_BATCH).await > 0 {
                swarm.add_peers(infohash, &batch);
                batch.clear();
            }
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests;
