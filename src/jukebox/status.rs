//! One state of the jukebox out of the states of its rooms.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::supervise::{TaskBoard, TaskError, Tick};
use crate::catalogue::CatalogueCounts;
use crate::control::{
    BudgetStatus, DhtStatus, IndexStatus, LimitsStatus, MemoryStatus, NetworkStatus, PanelStatus, PlayerStatus,
    SeedingStatus, Status, StorageStatus,
};
use crate::crawler::CrawlerStatus;
use crate::metadata::IndexerStats;
use crate::swarm::Swarm;
use crate::system::health::Machine;
use crate::types::{Clock, Time};

/// The state is published at least so often; what plays is published at once.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);

/// A Wi-Fi that was set up and is not there so long after the start is told, in seconds. Boards join within 20.
const WIFI_PATIENCE_S: u64 = 60;

/// What changes slowly is looked at so often.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The machine around the jukebox: what was seen of it last.
#[derive(Debug, Clone)]
pub struct Surroundings {
    machine: Machine,
    /// When it is looked at again.
    next: Time,
    network: NetworkStatus,
    limits: LimitsStatus,
    left_slot: Option<String>,
    /// Whether the network was there since the start. Once it was, its absence is the router's matter and not the settings'.
    was_there: bool,
    wifi_problem: Option<&'static str>,
}

impl Surroundings {
    /// Of this machine.
    pub fn of(machine: Machine) -> Self {
        Self {
            machine,
            next: Time::default(),
            network: NetworkStatus::default(),
            limits: LimitsStatus::default(),
            left_slot: None,
            was_there: false,
            wifi_problem: None,
        }
    }

    /// Looks again, if it is time.
    fn look(&mut self, now: Time) {
        if now < self.next {
            return;
        }
        self.next = now + LOOK_EVERY;
        (self.network, self.limits) = (self.machine.network(), self.machine.limits());
        self.left_slot = self.machine.left_slot();
        let trouble = self.machine.wifi_trouble();
        self.was_there |= trouble.is_none();
        self.wifi_problem = trouble.filter(|_| !self.was_there && now.as_millis() / 1000 >= WIFI_PATIENCE_S);
    }

    /// What people should know of it, as sentences.
    fn problems(&self) -> impl Iterator<Item = String> {
        // It may have hung, or been unplugged again and again before it was confirmed.
        let left = self.left_slot.as_ref().map(|slot| {
            format!(
                "The update in slot {slot} was not up for a whole minute, so the system before it runs. Install it once \
                 more."
            )
        });
        left.into_iter().chain(self.wifi_problem.map(str::to_owned))
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
    pub budget: watch::Receiver<BudgetStatus>,
    pub panel: watch::Receiver<PanelStatus>,
    pub tasks: TaskBoard,
    pub problems: Vec<String>,
    pub surroundings: Surroundings,
}

impl Sources {
    fn collect(&mut self) -> Status {
        let crawler = self.crawler.borrow().clone();
        let counts = *self.counts.borrow();
        let indexer = *self.indexer.borrow();
        let swarm = self.swarm.stats();
        let now = self.clock.now();
        self.surroundings.look(now);
        let Surroundings { network, limits, left_slot, .. } = &self.surroundings;
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            board: self.board.clone(),
            uptime_s: now.as_millis() / 1000,
            memory: MemoryStatus { rss_bytes: resident_bytes() },
            limits: *limits,
            dht: DhtStatus {
                nodes: crawler.nodes,
                contacts: crawler.core.contacts,
                datagrams_in: crawler.core.datagrams_in,
                datagrams_out: crawler.core.datagrams_out,
                sightings: crawler.core.sightings(),
                found_by_get_peers: crawler.core.found_by_get_peers,
                found_by_announces: crawler.core.found_by_announces,
                found_by_samples: crawler.core.found_by_samples,
                infohashes: counts.infohashes,
                dropped: crawler.dropped(),
                questions_withheld: crawler.core.withheld,
                answers_withheld: crawler.core.answers_withheld,
                flows: crawler.core.flows,
                shed: crawler.core.shed,
            },
            budget: self.budget.borrow().clone(),
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
            network: network.clone(),
            left_slot: left_slot.clone(),
            panel: *self.panel.borrow(),
            tasks: self.tasks.tasks(),
            problems: self.problems.iter().cloned().chain(self.surroundings.problems()).collect(),
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
        let mut around = Surroundings::of(Machine::at(root.path(), std::path::Path::new("none")));
        let mut told_at = |seconds: u64| {
            around.look(Time::from_millis(seconds * 1000));
            around.problems().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(told_at(WIFI_PATIENCE_S - 10), "");
        assert!(told_at(WIFI_PATIENCE_S).contains("not found"));
        write("run/silverstream-wifi", "wrong-password\n");
        assert!(told_at(WIFI_PATIENCE_S + 2).contains("not found"), "it is looked at every few seconds only");
        assert!(told_at(WIFI_PATIENCE_S + 10).contains("password"));
        write("sys/class/net/wlan0/operstate", "up\n");
        assert_eq!(told_at(90), "");
        write("sys/class/net/wlan0/operstate", "down\n");
        assert_eq!(told_at(900), "", "a router that restarts at night must not light the display");
        write("run/silverstream-rolled-back", "B\n");
        assert!(told_at(1000).contains("slot B was not up for a whole minute"));
    }
}
