//! The tasks that join the rooms, each under its supervisor.

use std::sync::Arc;

use tokio::sync::{Mutex, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::commands::{self, Desk};
use super::indexing::{self, CatalogueJobs, CrawlerPeers};
use super::snapshots;
use super::source::Songs;
use super::status::{self, Sources};
use super::storage::Keeper;
use super::supervise::{Restart, Supervisor, TaskError, Tick};
use crate::audio::AudioError;
use crate::catalogue::Catalogue;
use crate::control::server::{Limits, Server};
use crate::control::{Handle, Request, Status};
use crate::crawler::{Crawler, Sighting};
use crate::metadata::{Indexer, JobSource, PeerSource};
use crate::panel::{Display, Frame, Gesture};
use crate::player::PlayerHandle;
use crate::search::Searcher;
use crate::swarm::Swarm;
use crate::types::InfoHash;
use crate::ui;

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
    pub player: PlayerHandle<Songs>,
    pub player_task: JoinHandle<Result<(), AudioError>>,
    pub keeper: Keeper,
    pub sightings: mpsc::Receiver<Vec<Sighting>>,
    pub catalogue: Catalogue,
    pub searcher: Searcher,
    pub indexer: Arc<Indexer<CatalogueJobs, CrawlerPeers>>,
    pub sources: Sources,
    pub status: watch::Sender<Arc<Status>>,
    pub display: Box<dyn Display>,
    pub gestures: mpsc::Receiver<Gesture>,
    pub frames: watch::Sender<Frame>,
    pub needs: mpsc::Receiver<InfoHash>,
    pub swarm: Swarm,
    pub crawler: Crawler,
}

impl Tasks {
    /// Starts them all. What a task owns outlives it: started again, it goes on with the same.
    pub fn start(self, supervisor: &mut Supervisor, cancel: &CancellationToken) {
        let keeper = Arc::new(Mutex::new(self.keeper));
        let token = cancel.clone();
        supervisor.spawn("storage", Restart::Always, move |tick| {
            let (keeper, token) = (Arc::clone(&keeper), token.clone());
            async move { keeper.lock().await.run(tick, token).await }
        });
        let (sightings, catalogue) = (Arc::new(Mutex::new(self.sightings)), self.catalogue.clone());
        let token = cancel.clone();
        supervisor.spawn("sightings", Restart::Always, move |tick| {
            let (sightings, catalogue, token) = (Arc::clone(&sightings), catalogue.clone(), token.clone());
            async move { indexing::record_sightings(&mut *sightings.lock().await, &catalogue, tick, token).await }
        });
        let (sources, outlet, token) = (self.sources, self.status, cancel.clone());
        supervisor.spawn("status", Restart::Always, move |tick| {
            let (sources, outlet, token) = (sources.clone(), outlet.clone(), token.clone());
            async move { status::publish(sources, &outlet, tick, token).await }
        });
        let (requests, desk) = (Arc::new(Mutex::new(self.requests)), self.desk);
        supervisor.spawn("commands", Restart::Always, move |tick| {
            let (requests, desk) = (Arc::clone(&requests), desk.clone());
            async move { commands::serve(&desk, &mut *requests.lock().await, tick).await }
        });
        let (player, catalogue, token) = (self.player, self.catalogue.clone(), cancel.clone());
        supervisor.spawn("snapshots", Restart::Always, move |tick| {
            let (player, catalogue, token) = (player.clone(), catalogue.clone(), token.clone());
            async move { snapshots::keep(player.snapshot(), player.status(), &catalogue, tick, token).await }
        });
        let needs = Arc::new(Mutex::new(self.needs));
        let (swarm, crawler, token) = (self.swarm, self.crawler.clone(), cancel.clone());
        supervisor.spawn("peers", Restart::Always, move |tick| {
            let (needs, swarm, crawler, token) = (Arc::clone(&needs), swarm.clone(), crawler.clone(), token.clone());
            async move { find_peers(&mut *needs.lock().await, &swarm, &crawler, tick, token).await }
        });
        mind_indexer(supervisor, self.indexer, cancel);
        mind_player(supervisor, self.player_task);
        mind_catalogue(supervisor, self.catalogue.clone(), cancel);
        mind_search(supervisor, self.searcher, self.catalogue, cancel);
        let crawler = self.crawler;
        supervisor.spawn("crawler", Restart::Never, move |_| {
            let crawler = crawler.clone();
            async move {
                crawler.stopped().await;
                Ok(())
            }
        });
        let (mut server, control, token) = (Some(self.server), self.control.clone(), cancel.clone());
        supervisor.spawn("control", Restart::Never, move |_| {
            let (server, control, token) = (server.take(), control.clone(), token.clone());
            async move {
                server.ok_or("the control socket is gone")?.serve(control, Limits::default(), token).await;
                Ok(())
            }
        });
        let (mut ends, control, token) =
            (Some((self.display, self.gestures, self.frames)), self.control, cancel.clone());
        supervisor.spawn("ui", Restart::Never, move |_| {
            let (ends, control, token) = (ends.take(), control.clone(), token.clone());
            async move {
                let (display, gestures, frames) = ends.ok_or("the panel is gone")?;
                ui::run(control, display, gestures, frames, token).await;
                Ok(())
            }
        });
    }
}

fn mind_indexer<J: JobSource, P: PeerSource>(
    supervisor: &mut Supervisor,
    indexer: Arc<Indexer<J, P>>,
    cancel: &CancellationToken,
) {
    let cancel = cancel.clone();
    supervisor.spawn("indexer", Restart::Always, move |tick| {
        let (indexer, cancel) = (Arc::clone(&indexer), cancel.clone());
        async move { indexing::index(&indexer, tick, cancel).await }
    });
}

// Rooms with a task or threads of their own: without one of them there is no jukebox.

/// The player ends with an error when the audio engine dies.
fn mind_player(supervisor: &mut Supervisor, task: JoinHandle<Result<(), AudioError>>) {
    let mut task = Some(task);
    supervisor.spawn("player", Restart::Never, move |_| {
        let task = task.take();
        async move { Ok(task.ok_or("the player is gone")?.await??) }
    });
}

fn mind_catalogue(supervisor: &mut Supervisor, catalogue: Catalogue, cancel: &CancellationToken) {
    let cancel = cancel.clone();
    supervisor.spawn("catalogue", Restart::Never, move |_| {
        let (catalogue, cancel) = (catalogue.clone(), cancel.clone());
        async move {
            tokio::select! {
                () = cancel.cancelled() => Ok(()),
                () = catalogue.stopped() => Err("one of its threads has died; the log says where, please report it".into()),
            }
        }
    });
}

fn mind_search(supervisor: &mut Supervisor, searcher: Searcher, catalogue: Catalogue, cancel: &CancellationToken) {
    let cancel = cancel.clone();
    supervisor.spawn("search", Restart::Never, move |_| {
        let (searcher, catalogue, cancel) = (searcher.clone(), catalogue.clone(), cancel.clone());
        async move {
            tokio::select! {
                () = cancel.cancelled() => Ok(()),
                () = searcher.stopped() => {
                    // What it could not read may be damaged: started again on an unchecked file, it would end again.
                    catalogue.distrust().await?;
                    Err("its thread has died; the log says where, and the catalogue is checked at the next start".into())
                }
            }
        }
    });
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
            infohash = needs.recv() => infohash.ok_or("the swarm has ended")?,
        };
        // With all places taken this need is left out: it is told again while it lasts.
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let mut found = crawler.find_peers(infohash).await;
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
