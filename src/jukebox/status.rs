//! One state of the jukebox out of the states of its rooms.

use std::path::Path;
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
use crate::system::health::Machine;
use crate::system::limits;
use crate::types::Clock;

/// The state is published at least so often; what plays is published at once.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);

/// A Wi-Fi that was set up and is not there so long after the start is told, in seconds. Boards join within 20.
const WIFI_PATIENCE_S: u64 = 60;

/// Whether the network is there since the start. Once it was, its absence is the router's matter and not the settings'.
#[derive(Debug, Clone)]
pub struct WifiWatch {
    machine: Machine,
    was_there: bool,
}

impl WifiWatch {
    /// On this machine.
    pub fn on(machine: Machine) -> Self {
        Self { machine, was_there: false }
    }

    fn problem(&mut self, uptime_s: u64) -> Option<String> {
        if self.was_there {
            return None;
        }
        let trouble = self.machine.wifi_trouble();
        self.was_there = trouble.is_none();
        trouble.filter(|_| uptime_s >= WIFI_PATIENCE_S).map(str::to_owned)
    }
}

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
    pub wifi: WifiWatch,
}

impl Sources {
    fn collect(&mut self) -> Status {
        let crawler = self.crawler.borrow().clone();
        let counts = *self.counts.borrow();
        let indexer = *self.indexer.borrow();
        let swarm = self.swarm.stats();
        let uptime_s = self.clock.now().as_millis() / 1000;
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            board: self.board.clone(),
            uptime_s,
            memory: MemoryStatus { rss_bytes: resident_bytes() },
            limits: limits::held(Path::new("/")),
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
            problems: self.problems.iter().cloned().chain(self.wifi.problem(uptime_s)).collect(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wi_fi_that_never_joins_is_told_after_a_minute_and_one_that_did_never() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("data/system/wpa_supplicant.conf", "");
        write("sys/class/net/wlan0/phy80211/index", "0");
        write("sys/class/net/wlan0/operstate", "down\n");
        let mut watch = WifiWatch::on(Machine::at(root.path(), std::path::Path::new("none")));
        assert_eq!(watch.problem(WIFI_PATIENCE_S - 1), None);
        assert!(watch.problem(WIFI_PATIENCE_S).unwrap().contains("not joined"));
        write("sys/class/net/wlan0/operstate", "up\n");
        assert_eq!(watch.problem(90), None);
        write("sys/class/net/wlan0/operstate", "down\n");
        assert_eq!(watch.problem(900), None, "a router that restarts at night must not light the display");
    }
}
