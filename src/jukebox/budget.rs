//! Measures what the background work takes, and lets it do as much as the [`Controller`] decides.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::resident_bytes;
use super::supervise::{TaskError, Tick};
use crate::budget::{Bounds, Controller, Decision, FIRST, MANY, Measured, Reason, SHORTEST, Work};
use crate::catalogue::CatalogueCounts;
use crate::config::{BoardProfile, Config, NodeCount};
use crate::control::{BudgetStatus, PlayState, PlayerStatus};
use crate::crawler::{Crawler, CrawlerStatus, Pace};
use crate::metadata::{Indexer, IndexerConfig, IndexerStats, JobSource, PeerSource};
use crate::system::limits;
use crate::system::load::LoadMeter;
use crate::types::{Clock, Time};

#[cfg(test)]
mod tests;

/// Most nodes of `auto`: as many as the Silverstream paper had.
const MAX_AUTO_NODES: u32 = 512;

/// Between two measurements: whatever presses has made room after two of them.
const EVERY: Duration = Duration::from_secs(1);

/// What the system holds the process to is looked at again after this time.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Sockets to bind at the start, and nodes of them to begin with.
pub fn first_nodes(nodes: NodeCount) -> (u32, u32) {
    let sockets = match nodes {
        NodeCount::Auto => FIRST.nodes,
        NodeCount::Fixed(count) => count,
    };
    (sockets, if sockets > MANY { FIRST.nodes } else { sockets })
}

/// Where what is measured comes from, and who is told what to do.
pub struct Governor<J, P> {
    pub clock: Clock,
    pub crawler: Crawler,
    pub indexer: Arc<Indexer<J, P>>,
    pub player: watch::Receiver<PlayerStatus>,
    pub counts: watch::Receiver<CatalogueCounts>,
    pub outlet: watch::Sender<BudgetStatus>,
    /// What the board and the configuration give.
    pub bounds: Bounds,
}

/// What board and configuration give to the background work.
pub fn bounds(config: &Config, board: &BoardProfile) -> Bounds {
    let (nodes, is_forced) = match config.dht.nodes {
        // Who answers nobody is in nobody's table, and hears nothing however many nodes there are (BEP 43).
        NodeCount::Auto if config.dht.read_only => (FIRST.nodes, false),
        NodeCount::Auto => (MAX_AUTO_NODES, false),
        NodeCount::Fixed(count) => (count, true),
    };
    Bounds {
        nodes,
        is_forced,
        cores: board.cpu_share * limits::cores() as f64,
        memory: board.memory.0,
        uplink: config.network.upload.unwrap_or(board.uplink).0,
        workers: IndexerConfig::default().workers as u32,
    }
}

impl<J: JobSource, P: PeerSource> Governor<J, P> {
    /// Governs until the token is cancelled.
    ///
    /// # Errors
    /// If the player is gone.
    pub async fn run(&self, tick: Tick, cancel: CancellationToken) -> Result<(), TaskError> {
        let root = Path::new("/");
        let (mut meter, mut player) = (LoadMeter::new(root), self.player.clone());
        let (crawler, indexer) = (self.crawler.status(), self.indexer.stats());
        let mut controller = Controller::new(self.clock.now(), self.bounds);
        let (mut held_at, mut last, mut at_work) = (Time::ZERO, None::<Decision>, 0);
        let mut measured = Measured { idle: 1.0, ..Measured::default() };
        let mut due = self.clock.now();
        loop {
            tick.tick();
            let now = self.clock.now();
            if now >= held_at {
                held_at = now + LOOK_AGAIN;
                let held = limits::held(root);
                let cores = held.cores.map_or(self.bounds.cores, |cores| cores.min(self.bounds.cores));
                // Beyond the lower one the kernel makes us slow.
                let memory = [held.memory_high_bytes, held.memory_bytes];
                controller.set_machine(cores, memory.into_iter().flatten().fold(self.bounds.memory, u64::min));
            }
            // A decision shortly before the next measurement takes rates, and those are not to be of the last one again.
            if now + EVERY.saturating_sub(SHORTEST) >= due {
                let load = meter.look();
                let (late, memory) = (now.since(due), resident_bytes());
                let (cpu, throttled, others, idle) = (load.cpu, load.throttled, load.others, load.idle);
                measured = Measured { cpu, throttled, others, idle, late, memory, ..measured };
                due = now + EVERY;
            }
            measured = self.count(measured, &crawler.borrow(), *indexer.borrow(), &player.borrow_and_update());
            let decision = controller.step(now, &measured);
            if last != Some(decision) || at_work != measured.nodes {
                self.obey(controller.bounds(), last, decision, measured.nodes).await;
                (last, at_work) = (Some(decision), measured.nodes);
            }
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                changed = player.wait_for(|player| is_awaited(player) != measured.is_awaited) => drop(changed?),
                () = tokio::time::sleep_until(self.clock.instant(due).into()) => {}
            }
        }
    }

    fn count(
        &self,
        measured: Measured,
        crawler: &CrawlerStatus,
        indexer: IndexerStats,
        player: &PlayerStatus,
    ) -> Measured {
        let core = &crawler.core;
        Measured {
            bytes_out: core.bytes_out,
            bytes_in: core.bytes_in,
            heard: core.found_by_get_peers + core.found_by_announces,
            sampled: core.found_by_samples,
            fetched: indexer.fetched,
            underruns: player.underruns,
            is_awaited: is_awaited(player),
            queued: self.counts.borrow().queued,
            nodes: crawler.nodes,
            ..measured
        }
    }

    /// Has all do as much as was decided, and tells how much that is while so many nodes are at work.
    async fn obey(&self, bounds: &Bounds, last: Option<Decision>, decision: Decision, at_work: u32) {
        let work = decision.work;
        let changes = last.is_none_or(|last| last.work != work);
        if changes {
            self.indexer.set_workers(work.workers as usize);
            self.crawler.set_pace(Pace { nodes: work.nodes, samples_per_second: work.samples }).await;
        }
        let so_far = self.outlet.borrow().changes + u64::from(changes && last.is_some());
        let status = told(&decision, bounds, at_work, so_far);
        tracing::debug!(samples = work.samples, workers = work.workers, "{}", status.sentence);
        self.outlet.send_replace(status);
    }
}

/// What is told of a decision after so many changes, while so many nodes are at work.
fn told(decision: &Decision, bounds: &Bounds, at_work: u32, changes: u64) -> BudgetStatus {
    // The system may have no sockets for more, or they are on their way.
    let work = Work { nodes: decision.work.nodes.min(at_work), ..decision.work };
    let is_less = work.nodes < decision.work.nodes;
    let reason = if is_less && decision.reason == Reason::Settled { Reason::Returning } else { decision.reason };
    BudgetStatus {
        nodes: work.nodes,
        nodes_wanted: decision.wanted.nodes,
        samples_per_s: work.samples,
        workers: work.workers,
        reason: reason.name().to_owned(),
        short: reason.short().to_owned(),
        sentence: Decision { work, reason, ..*decision }.sentence(bounds),
        changes,
    }
}

/// Somebody waits for a song.
fn is_awaited(player: &PlayerStatus) -> bool {
    player.state == PlayState::Buffering
}
