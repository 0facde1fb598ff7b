//! How well the crawler sweeps the network for samples (BEP 51), with a restart in the middle.

use std::time::Duration;

use super::mainline::stage::{self, Happening, Stage};
use super::mainline::{Kind, Mix, Torrents, World};
use super::{Experiment, LabError, Options, Report, Target};
use crate::config::IdStrategy;
use crate::crawler::CoreEvent;
use crate::crawler::sweep::INTERVAL_MAX;
use crate::types::Time;

/// Coverage and manners of the sweep.
pub const EXPERIMENT: Experiment = Experiment {
    name: "sweep",
    summary: "asking every node of the network for a sample of what it stores, once, with a restart in the middle",
    targets: "at least 95 % of the sampled infohashes; at most 1.05 visits a node and 500 requests a second; no interval broken",
    run,
};

/// Samples asked for in a second; the rest up to 500 is for the nodes' own needs.
const RATE: u32 = 340;
const MAX_RATE: f64 = 500.0;
/// Nodes of the crawler.
const CRAWLERS: u16 = 8;
/// To know the size of the network, and again after the restart.
const SETTLING: Duration = Duration::from_secs(120);
/// Looked at the network this often.
const GLANCE: Duration = Duration::from_secs(5);
/// After the first sweep, so long into the second that broken intervals would show.
const SECOND: Duration = Duration::from_secs(10 * 60);

struct Size {
    nodes: usize,
    torrents: usize,
}

const QUICK: Size = Size { nodes: 20_000, torrents: 20_000 };
const FULL: Size = Size { nodes: 1_000_000, torrents: 1_000_000 };

/// What was seen of one node.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// In the first sweep.
    visits: u32,
    /// When it last answered: who asked learned of the interval only then.
    last: Option<Time>,
}

struct Scene {
    stage: Stage,
    seed: u64,
    seen: Vec<Seen>,
    /// Requests of any kind, by second.
    requests: Vec<u32>,
    broken: u64,
    swept: bool,
    believed: std::collections::HashSet<u32>,
    invented: u64,
}

fn run(options: &Options) -> Result<Report, LabError> {
    let size = if options.quick { QUICK } else { FULL };
    let scene = Scene::new(&size, options.seed).play();
    Ok(scene.report(options))
}

impl Scene {
    fn new(size: &Size, seed: u64) -> Self {
        let mut stage = Stage::new(CRAWLERS, seed, IdStrategy::Spread, |ids| {
            let world = World::new(size.nodes, Mix::MAINLINE, (stage::CRAWLER, ids), seed);
            let torrents = Torrents::new(&world, size.torrents, seed ^ 1);
            (world, torrents)
        });
        stage.core.set_sample_rate(0);
        let seen = vec![Seen::default(); stage.world.len()];
        Self {
            stage,
            seed,
            seen,
            requests: Vec::new(),
            broken: 0,
            swept: false,
            believed: std::collections::HashSet::new(),
            invented: 0,
        }
    }

    fn play(mut self) -> Self {
        self.settle();
        let (mut restarted, mut done_before) = (false, 0);
        // A bound for a sweep that does not end: it would be told by its figures.
        let limit = self.stage.now + Duration::from_secs(self.seen.len() as u64 / u64::from(RATE) * 3 + 600);
        while self.stage.now < limit && !self.swept {
            self.run_for(GLANCE);
            let visited = self.seen.iter().filter(|seen| seen.visits > 0).count();
            if !restarted && visited * 3 > self.seen.len() {
                restarted = true;
                done_before = self.stage.core.stats().zones_swept;
                self.stage.restart(self.seed ^ 3);
                self.settle();
            }
            // The zone under way is begun anew after the restart.
            let stats = self.stage.core.stats();
            self.swept = restarted && done_before + stats.zones_swept >= stats.zones;
        }
        self.swept = true;
        let second = (INTERVAL_MAX + SECOND).as_secs();
        (0..second / 60).for_each(|_| self.run_for(Duration::from_secs(60)));
        self
    }

    /// Gets to know the network before anybody is sampled.
    fn settle(&mut self) {
        self.stage.core.set_sample_rate(0);
        self.run_for(SETTLING);
        self.stage.core.set_sample_rate(RATE);
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.stage.now + time;
        let Self { stage, seen, requests, broken, swept, believed, invented, .. } = self;
        stage.run_until(end, |stage, happening| match happening {
            Happening::Asked(asked) => {
                let second = (asked.at.as_millis() / 1000) as usize;
                requests.resize(requests.len().max(second + 1), 0);
                requests[second] += 1;
                if asked.sample {
                    let seen = &mut seen[asked.node as usize];
                    seen.visits += u32::from(!*swept);
                    let showed = matches!(stage.world.kind(asked.node), Kind::Full | Kind::Liar);
                    *broken += u64::from(showed && seen.last.is_some_and(|last| asked.at.since(last) < INTERVAL_MAX));
                    seen.last = if asked.answered { Some(asked.at) } else { seen.last };
                }
            }
            Happening::Told(CoreEvent::Sighting(heard)) => match stage.torrents.find(&heard.infohash) {
                Some(torrent) => drop(believed.insert(torrent)),
                None => *invented += 1,
            },
            Happening::Told(_) | Happening::Replied(_) => {}
        });
    }

    fn report(self, options: &Options) -> Report {
        let mut report =
            Report { experiment: "sweep".into(), seed: options.seed, quick: options.quick, ..Report::default() };
        let Stage { world, torrents, shown, core, .. } = &self.stage;
        let samplers: Vec<u32> = (0..world.len() as u32).filter(|node| world.kind(*node) == Kind::Full).collect();
        let mut there = vec![false; torrents.infohashes.len()];
        samplers.iter().flat_map(|node| torrents.stored_at(*node)).for_each(|torrent| there[*torrent as usize] = true);
        let all = there.iter().filter(|there| **there).count() as f64;
        let sampled = there.iter().zip(shown).filter(|(there, shown)| **there && **shown).count() as f64;
        let visits: u32 = self.seen.iter().map(|seen| seen.visits).sum();
        let visited = self.seen.iter().filter(|seen| seen.visits > 0).count() as f64;
        let reachable = samplers.iter().filter(|node| self.seen[**node as usize].visits > 0).count() as f64;
        let most = self.requests.iter().copied().max().unwrap_or_default();
        report.figure("infohashes sampled", 100.0 * sampled / all, "%", Some(Target::AtLeast(95.0)));
        report.figure("visits a node", f64::from(visits) / visited, "", Some(Target::AtMost(1.05)));
        report.figure("requests, most in a second", f64::from(most), "", Some(Target::AtMost(MAX_RATE)));
        report.figure("intervals broken", self.broken as f64, "", Some(Target::AtMost(0.0)));
        report.figure("believed", 100.0 * self.believed.len() as f64 / all, "%", None);
        report.figure("believed wrongly", self.invented as f64, "", None);
        report.figure("samplers visited", 100.0 * reachable / samplers.len() as f64, "%", None);
        report.figure("nodes visited", visited, "", None);
        report.figure("infohashes to be found", all, "", None);
        report.figure("zones", core.stats().zones as f64, "", None);
        report
            .notes
            .push("the crawler is restarted after a third of the nodes; visits are those of the first sweep".into());
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small form of the experiment, so that what it measures stays measured.
    #[test]
    fn a_small_network_is_swept_once() {
        let scene = Scene::new(&Size { nodes: 2_000, torrents: 500 }, 3).play();
        let report = scene.report(&Options { quick: true, seed: 3, out: None });
        assert!(report.met(), "{}", report.to_text());
    }
}
