//! One state of the jukebox out of the states of its rooms.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::supervise::{TaskBoard, TaskError, Tick};
use crate::catalogue::CatalogueCounts;
use crate::control::{DhtStatus, IndexStatus, MemoryStatus, PlayerStatus, SeedingStatus, Status, StorageStatus};
use crate::crawler::CrawlerStatus;
use crate::metadata::IndexerStats;
use crate::swarm::Swarm;
use crate::types::Clock;

/// The state is published at least so often; what plays is published at once.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);

/// Bytes of a page of memory as the kernel counts them in `/proc/self/statm`.
fn page_bytes() -> u64 {
    rustix::param::page_size() as u64
}

/// Resident memory of this process; 0 where the kernel does not say.
pub fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * page_bytes()
}

/// Where the parts of the state come from.
#[derive(Debug, Clone)]
pub struct Sources {
    pub board: String,
    pub clock: Clock,
    pub crawler: watch::Receiver<CrawlerStatus>,
    pub counts: watch::Receiver<CatalogueCounts>,
    pub indexer: watch::Receiver<IndexerStats>,
    pub player: watch::Receiver<PlayerStatus>,
    pub storage: watch::Receiver<StorageStatus>,
    pub swarm: Swarm,
    pub tasks: TaskBoard,
    pub problems: Vec<String>,
}

impl Sources {
    fn collect(&self) -> Status {
        let crawler = self.crawler.borrow().clone();
        let counts = *self.counts.borrow();
        let indexer = *self.indexer.borrow();
        let swarm = self.swarm.stats();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            board: self.board.clone(),
            uptime_s: self.clock.now().as_millis() / 1000,
            memory: MemoryStatus { rss_bytes: resident_bytes() },
            dht: DhtStatus {
                nodes: crawler.nodes,
                contacts: crawler.core.contacts,
                datagrams_in: crawler.core.datagrams_in,
                datagrams_out: crawler.core.datagrams_out,
                sightings: crawler.core.sightings(),
                infohashes: counts.infohashes,
                dropped: crawler.dropped(),
            },
            index: IndexStatus {
                queued: counts.queued,
                fetched: indexer.fetched,
                failed: indexer.failed,
                torrents: counts.torrents,
                tracks: counts.tracks,
                not_music: counts.not_music,
                bytes: counts.bytes,
            },
            player: self.player.borrow().clone(),
            storage: *self.storage.borrow(),
            seeding: SeedingStatus {
                torrents: swarm.torrents,
                uploaded_bytes: swarm.uploaded_bytes,
                downloaded_bytes: swarm.downloaded_bytes,
                peers: swarm.peers,
            },
            tasks: self.tasks.tasks(),
            problems: self.problems.clone(),
        }
    }
}

/// Publishes the state until the token is cancelled.
///
/// # Errors
/// If the player is gone.
pub async fn publish(
    mut sources: Sources,
    status: &watch::Sender<Arc<Status>>,
    tick: Tick,
    cancel: CancellationToken,
) -> Result<(), TaskError> {
    loop {
        tick.tick();
        status.send_replace(Arc::new(sources.collect()));
        tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            changed = sources.player.changed() => changed?,
            () = tokio::time::sleep(PUBLISH_EVERY) => {}
        }
    }
}
