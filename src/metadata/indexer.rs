//! The worker pool that turns infohashes into named tracks.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::fetch::{FetchError, FetchLimits, FetchedInfo, Flows, fetch};
use super::info::{InfoError, TorrentInfo};
use super::schedule::{self, Failure};
use super::tracks::{TrackRecord, track_records};
use crate::types::InfoHash;

/// Peers waiting to be asked for one infohash. When full, whoever finds more waits.
const PEER_CHANNEL: usize = 16;

/// Pause after the source had nothing to do.
const IDLE_POLL: Duration = Duration::from_secs(1);

/// How long the end of the pool may take to hand back what was under way.
const SHUTDOWN: Duration = Duration::from_secs(2);

/// An infohash to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    pub infohash: InfoHash,
    /// Failed attempts before this one.
    pub attempts: u32,
    /// Peers known already, best first.
    pub peers: Vec<SocketAddr>,
}

/// What became of a [`Job`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// There is music in it.
    Music {
        info: TorrentInfo,
        /// At least one.
        tracks: Vec<TrackRecord>,
        /// The info dictionary as fetched; see [`super::torrent::build`].
        info_bytes: Bytes,
    },
    /// Fetched, and there is nothing to play in it. Not to be fetched again.
    NotMusic { name: String },
    /// Not fetched, or not usable.
    Failed {
        /// For people.
        reason: String,
        /// When to try again; none to give up.
        retry: Option<Duration>,
        /// Whether it counts as an attempt; false if the failure was our own.
        counts: bool,
    },
}

/// Where jobs come from and results go to.
pub trait JobSource: Send + Sync + 'static {
    /// At most `max` infohashes that are due, best first, and never one that is under way.
    fn next(&self, max: usize) -> impl Future<Output = Vec<Job>> + Send;
    /// Called once for every job handed out. The result is safe, or given up, when this returns.
    fn finished(&self, infohash: InfoHash, outcome: Outcome) -> impl Future<Output = ()> + Send;
}

/// Who finds more peers.
pub trait PeerSource: Send + Sync + 'static {
    /// Looks up peers of the torrent; the channel ends when no more come. Dropping it ends the search.
    fn find(&self, infohash: InfoHash) -> impl Future<Output = mpsc::Receiver<SocketAddr>> + Send;

    /// The metadata was fetched, so whoever named the infohash said the truth.
    fn proved(&self, _infohash: InfoHash) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// Bounds of the pool.
#[derive(Debug, Clone)]
pub struct IndexerConfig {
    /// Torrents fetched at once.
    pub workers: usize,
    /// TCP connections at once, for all torrents together.
    pub connections: usize,
    /// Bytes of metadata under way, for all torrents together.
    pub memory: usize,
    /// How long known peers are tried before more are looked up in the DHT.
    pub lookup_after: Duration,
    /// Bounds of each fetch.
    pub limits: FetchLimits,
    /// For the jitter of retries.
    pub seed: u64,
}

impl Default for IndexerConfig {
    fn default() -> Self {
        Self {
            workers: 16,
            connections: 64,
            memory: 8 << 20,
            lookup_after: Duration::from_secs(2),
            limits: FetchLimits::default(),
            seed: 0,
        }
    }
}

/// Counters since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IndexerStats {
    /// Torrents being fetched now.
    pub active: usize,
    /// Metadata fetched, music or not.
    pub fetched: u64,
    /// Of those, without music.
    pub not_music: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Turns of the pool's loop: stands still only if the pool does (for a watchdog).
    pub ticks: u64,
}

/// A pool of workers, to be [`run`](Self::run). Its counters outlive a run that fails.
pub struct Indexer<J, P> {
    config: Arc<IndexerConfig>,
    jobs: Arc<J>,
    peers: Arc<P>,
    workers: Arc<AtomicUsize>,
    stats: watch::Sender<IndexerStats>,
}

impl<J: JobSource, P: PeerSource> Indexer<J, P> {
    /// A pool that does nothing yet.
    pub fn new(config: IndexerConfig, jobs: Arc<J>, peers: Arc<P>) -> Self {
        let workers = Arc::new(AtomicUsize::new(config.workers));
        Self { config: Arc::new(config), jobs, peers, workers, stats: watch::channel(IndexerStats::default()).0 }
    }

    /// Fetches so many at once from now on, [`IndexerConfig::workers`] at most; none begin while there are more.
    pub fn set_workers(&self, workers: usize) {
        self.workers.store(workers.min(self.config.workers), Ordering::Relaxed);
    }

    /// The counters as they change.
    pub fn stats(&self) -> watch::Receiver<IndexerStats> {
        self.stats.subscribe()
    }

    /// Works until the token is cancelled; then what is under way is given back as failed by our own fault, within
    /// about 2 seconds. May be run again after a panic: the source hands out anew what was lost with it in its time.
    pub async fn run(&self, cancel: CancellationToken) {
        let pool = Pool {
            flows: Flows::new(self.config.connections, self.config.memory),
            rng: ChaCha8Rng::seed_from_u64(self.config.seed),
            config: Arc::clone(&self.config),
            workers: Arc::clone(&self.workers),
            jobs: Arc::clone(&self.jobs),
            peers: Arc::clone(&self.peers),
            cancel,
            stats: self.stats.clone(),
            active: HashMap::new(),
            running: JoinSet::new(),
        };
        pool.run().await;
    }
}

/// How a worker ended.
enum Ended {
    Fetched(Box<Outcome>),
    Unusable(InfoError),
    Failed(FetchError),
    /// The reader panicked, or the runtime is shutting down.
    Unread(JoinError),
}

struct Pool<J, P> {
    config: Arc<IndexerConfig>,
    jobs: Arc<J>,
    peers: Arc<P>,
    workers: Arc<AtomicUsize>,
    flows: Flows,
    rng: ChaCha8Rng,
    cancel: CancellationToken,
    stats: watch::Sender<IndexerStats>,
    /// What runs, by task, so that a job is finished even if its task dies.
    active: HashMap<Id, Job>,
    running: JoinSet<Ended>,
}

impl<J: JobSource, P: PeerSource> Pool<J, P> {
    async fn run(mut self) {
        while !self.cancel.is_cancelled() {
            // Not inside a select: jobs that are handed out must not get lost.
            let workers = self.workers.load(Ordering::Relaxed);
            let free = workers.saturating_sub(self.running.len());
            if free > 0 {
                self.jobs.next(free).await.into_iter().for_each(|job| self.begin(job));
            }
            self.publish();
            let cancel = self.cancel.clone();
            tokio::select! {
                () = cancel.cancelled() => {}
                Some(ended) = self.running.join_next_with_id() => self.settle(ended).await,
                // With a worker to spare the source is asked again, however long the others take; and there may be more of them.
                () = tokio::time::sleep(IDLE_POLL) => {}
            }
        }
        self.wind_up().await;
    }

    fn begin(&mut self, job: Job) {
        let (sender, peers) = mpsc::channel(PEER_CHANNEL);
        let source = self.peers.clone();
        let (config, flows, cancel) = (self.config.clone(), self.flows.clone(), self.cancel.clone());
        let (infohash, known) = (job.infohash, job.peers.clone());
        let task = self.running.spawn(async move {
            let feeding = feed(infohash, known, config.lookup_after, &*source, sender);
            let fetching = fetch(infohash, peers, &config.limits, &flows, &cancel);
            // The fetch decides when it is over; the feeder may end before it, and is dropped with it.
            let fetched = tokio::select! {
                fetched = fetching => fetched,
                never = async { feeding.await; std::future::pending().await } => never,
            };
            match fetched {
                Ok(fetched) => {
                    source.proved(infohash).await;
                    interpret(fetched).await
                }
                Err(error) => Ended::Failed(error),
            }
        });
        self.active.insert(task.id(), job);
    }

    async fn settle(&mut self, ended: Result<(Id, Ended), JoinError>) {
        let (id, ended) = match ended {
            Ok((id, ended)) => (id, Ok(ended)),
            Err(error) => (error.id(), Err(error)),
        };
        let Some(job) = self.active.remove(&id) else { return };
        let outcome = match ended {
            Ok(Ended::Fetched(outcome)) => *outcome,
            Ok(Ended::Unusable(error)) => self.failed(&job, Failure::Unusable, error.to_string()),
            Ok(Ended::Failed(error)) => self.failed(&job, failure_of(&error), error.to_string()),
            Ok(Ended::Unread(error)) | Err(error) => {
                tracing::error!(infohash = %job.infohash, %error, "a metadata worker ended unexpectedly");
                self.failed(&job, Failure::PeersFailed, "the worker ended unexpectedly".to_owned())
            }
        };
        self.stats.send_modify(|stats| match &outcome {
            Outcome::Music { .. } => stats.fetched += 1,
            Outcome::NotMusic { .. } => {
                stats.fetched += 1;
                stats.not_music += 1;
            }
            Outcome::Failed { .. } => stats.failed += 1,
        });
        self.jobs.finished(job.infohash, outcome).await;
    }

    fn failed(&mut self, job: &Job, failure: Failure, reason: String) -> Outcome {
        let retry = schedule::retry(failure, job.attempts.saturating_add(1), &mut self.rng);
        tracing::debug!(infohash = %job.infohash, reason, ?retry, "no metadata");
        Outcome::Failed { reason, retry, counts: failure != Failure::Local }
    }

    fn publish(&self) {
        self.stats.send_modify(|stats| {
            stats.active = self.running.len();
            stats.ticks += 1;
        });
    }

    /// The token is cancelled, so all workers are about to end. Every job is handed back.
    async fn wind_up(&mut self) {
        let deadline = tokio::time::Instant::now() + SHUTDOWN;
        while let Ok(Some(ended)) = tokio::time::timeout_at(deadline, self.running.join_next_with_id()).await {
            self.settle(ended).await;
        }
        self.running.abort_all();
        for (_, job) in std::mem::take(&mut self.active) {
            let outcome = self.failed(&job, Failure::Local, FetchError::Cancelled.to_string());
            self.jobs.finished(job.infohash, outcome).await;
        }
        self.publish();
    }
}

/// Hands the known peers to the fetch, and those that a lookup finds if the known ones do not lead to success soon.
async fn feed<P: PeerSource>(
    infohash: InfoHash,
    known: Vec<SocketAddr>,
    lookup_after: Duration,
    source: &P,
    sender: mpsc::Sender<SocketAddr>,
) {
    let wait = if known.is_empty() { Duration::ZERO } else { lookup_after };
    for peer in known {
        if sender.send(peer).await.is_err() {
            return;
        }
    }
    tokio::time::sleep(wait).await;
    let mut found = source.find(infohash).await;
    while let Some(peer) = found.recv().await {
        if sender.send(peer).await.is_err() {
            return;
        }
    }
}

fn failure_of(error: &FetchError) -> Failure {
    match error {
        FetchError::NoPeers => Failure::NoPeers,
        FetchError::PeersFailed(failures) if failures.dropped > 0 => Failure::Local,
        FetchError::PeersFailed(_) | FetchError::TimedOut(_) => Failure::PeersFailed,
        FetchError::Cancelled => Failure::Local,
    }
}

/// Reads and names what was fetched. On a thread for blocking work: thousands of files take a while on a small board.
async fn interpret(fetched: FetchedInfo) -> Ended {
    let FetchedInfo { info_bytes, .. } = fetched;
    let reading = tokio::task::spawn_blocking(move || match TorrentInfo::parse(&info_bytes) {
        Ok(info) => {
            let tracks = track_records(&info);
            Ended::Fetched(Box::new(if tracks.is_empty() {
                Outcome::NotMusic { name: info.name }
            } else {
                Outcome::Music { info, tracks, info_bytes }
            }))
        }
        Err(error) => Ended::Unusable(error),
    });
    match reading.await {
        Ok(ended) => ended,
        Err(error) => Ended::Unread(error),
    }
}

#[cfg(test)]
mod tests;
