//! Whether the work in the background keeps to what there is of the machine, beside a song that plays.
//!
//! The shipped program in groups of the kernel's that hold it to a part of a core and of the memory (cgroups(7)), so this runs
//! as root only. First with `nodes = "auto"` and a quarter of a core: then all cores are made busy by somebody else for a
//! while. Then with 512 nodes and a tenth of a core, and a flood of datagrams to all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::child::ChildJukebox;
use super::flood::loopback::{Flood, dht_ports};
use super::report::Series;
use super::stage::{self, Scenery, Stage};
use super::world::music::{Lengths, write_releases};
use super::{Experiment, LabError, Options, Report, Target};
use crate::control::{Command, PlayState, Status};
use crate::types::{NodeId, TrackId};
use cage::Cage;

mod cage;

/// Whether it yields and comes back.
pub const EXPERIMENT: Experiment = Experiment {
    name: "budget",
    summary: "nodes = \"auto\" on a quarter of a core and 64 MiB, with a second load on the machine, and 512 nodes on a tenth \
              of a core, flooded; a song plays (as root, for groups of the kernel's)",
    targets: "settles without a restart, at less than 25 % of a core; gives way within 5 s and comes back; 512 nodes are shed to 256 at \
              most under a flood, and it says so; answers within 2 s; at most 64 MiB; 0 underruns",
    run,
};

/// Memory of both.
const MEMORY: u64 = 64 << 20;
/// Hundredths of a core.
const QUARTER: u64 = 25;
const TENTH: u64 = 10;
/// Nodes that are asked for, and datagrams in a millisecond to them.
const FORCED: u32 = 512;
const FLOOD_PER_MS: u64 = 10;
/// Length of the songs, in seconds.
const SONG_S: f32 = 60.0;
/// How long a jukebox with a part of a core may take to know some songs, and to begin one.
const PATIENCE: Duration = Duration::from_secs(120);
/// Songs that are enough to begin, and how often each is queued: more than is heard.
const ENOUGH_TRACKS: u64 = 4;
const ROUNDS: usize = 4;
/// Least part of the looks at which a song is to be heard; between two songs it may be another's turn.
const SOUNDING: f64 = 95.0;
/// Most decisions while it is settled: two changes are tried in that time, and undone.
const SETTLED_CHANGES: f64 = 4.0;
/// How often it is looked at.
const GLANCE: Duration = Duration::from_millis(250);
/// The figure of a target that was never reached.
const NEVER_S: f64 = 999.0;

struct Times {
    settling: Duration,
    busy: Duration,
    coming_back: Duration,
    flooded: Duration,
}

const QUICK: Times = Times {
    settling: Duration::from_secs(40),
    busy: Duration::from_secs(10),
    coming_back: Duration::from_secs(60),
    flooded: Duration::from_secs(20),
};
const FULL: Times = Times {
    settling: Duration::from_secs(120),
    busy: Duration::from_secs(30),
    coming_back: Duration::from_secs(90),
    flooded: Duration::from_secs(90),
};

/// What a time of looking saw.
#[derive(Debug, Default)]
struct Seen {
    /// Longest time that the control socket took to answer.
    slowest: Duration,
    /// Fewest and most nodes at work.
    nodes: (u32, u32),
    /// The last time that nothing pressed and no change was being tried.
    settled: Option<Status>,
}

/// A jukebox that plays in its cage.
struct Act {
    // Before the cage, which is to be empty when it goes.
    stage: Stage,
    cage: Cage,
    begun: Instant,
    first: Status,
    /// Nodes at work, and how many of others are asked for samples a second, at seconds since the beginning.
    nodes: Vec<(f64, f64)>,
    samples: Vec<(f64, f64)>,
    looks: u32,
    /// Of these, those at which a song was to be heard.
    sounding: u32,
}

fn run(options: &Options) -> Result<Report, LabError> {
    let times = if options.quick { QUICK } else { FULL };
    let mut report =
        Report { experiment: "budget".into(), seed: options.seed, quick: options.quick, ..Report::default() };
    quarter(options, &times, &mut report)?;
    tenth(options, &times, &mut report)?;
    Ok(report)
}

fn quarter(options: &Options, times: &Times, report: &mut Report) -> Result<(), LabError> {
    let mut act = Act::begin("budget-quarter", options, QUARTER, None)?;
    act.watch(times.settling / 2, |_| false)?;
    let (halfway, cpu) = (act.status()?, act.jukebox().cpu_time());
    let seen = act.watch(times.settling / 2, |_| false)?.0;
    let settled = act.status()?;
    let cpu = act.jukebox().cpu_time().saturating_sub(cpu).as_secs_f64() / (times.settling / 2).as_secs_f64();
    let changes = settled.budget.changes.saturating_sub(halfway.budget.changes) as f64;
    report.figure("auto: decisions while settled", changes, "", Some(Target::AtMost(SETTLED_CHANGES)));
    report.figure("auto: processor while settled", 100.0 * cpu, "%", Some(Target::AtMost(QUARTER as f64)));
    report.figure("auto: nodes when settled", f64::from(settled.budget.nodes), "", None);
    report.figure("auto: answers within", seen.slowest.as_secs_f64() * 1e3, "ms", None);
    report.figure("auto: turns in which it was stopped", 100.0 * act.cage.throttled(), "%", None);
    report.notes.push(format!("settled: {}", settled.budget.sentence));
    let work = |status: &Status| (status.budget.samples_per_s, status.budget.workers, status.budget.nodes);
    // On a machine that is busy by itself, nothing is to be seen of another load.
    let presses_nothing = |status: &Status| matches!(status.budget.reason.as_str(), "settled" | "trying");
    let (rest, calm) = act.watch(times.coming_back, presses_nothing)?;
    // A change that is being tried is undone by what presses.
    let before = work(rest.settled.or(seen.settled).as_ref().unwrap_or(&settled));
    let load = Load::start();
    // Not its own share: nobody but the other load is why.
    let given = |status: &Status| status.budget.reason == "busy" && work(status).0 < before.0.max(2);
    let (_, gave_way) = act.watch(times.busy, given)?;
    let busy = act.status()?;
    act.watch(times.busy, |_| false)?;
    drop(load);
    let (_, back) = act.watch(times.coming_back, |status| {
        let (samples, workers, nodes) = work(status);
        samples >= before.0 && workers >= before.1 && nodes >= before.2
    })?;
    let gave_way = gave_way.filter(|_| calm.is_some());
    // Who never went cannot come back.
    let back = back.filter(|_| gave_way.is_some());
    let after = act.status()?;
    let seconds = |after: Option<Duration>| after.map_or(NEVER_S, |time| time.as_secs_f64());
    report.figure("second load: gave way after", seconds(gave_way), "s", Some(Target::AtMost(5.0)));
    report.figure("second load: samples a second meanwhile", f64::from(busy.budget.samples_per_s), "", None);
    let patience = times.coming_back.as_secs_f64();
    report.figure("second load: came back after", seconds(back), "s", Some(Target::AtMost(patience)));
    report.notes.push(format!("with the second load: {}; afterwards: {}", busy.budget.sentence, after.budget.sentence));
    act.end("auto", report)
}

fn tenth(options: &Options, times: &Times, report: &mut Report) -> Result<(), LabError> {
    let mut act = Act::begin("budget-tenth", options, TENTH, Some(FORCED))?;
    let ports =
        dht_ports(act.stage.jukebox.pid()).map_err(LabError::failed("the jukebox's sockets cannot be found"))?;
    report.figure("512: sockets", ports.len() as f64, "", Some(Target::AtLeast(f64::from(FORCED))));
    let calm = act.watch(times.settling, |_| false)?.0;
    report.figure("512: nodes at work before the flood, most", f64::from(calm.nodes.1), "", None);
    report.notes.push(format!("before the flood: {}", act.status()?.budget.sentence));
    // Those at rest do not tell their ids.
    let nodes: Vec<_> = ports.into_iter().map(|port| (port, NodeId([0x42; NodeId::LEN]))).collect();
    let flood = Flood::start(options.seed, &nodes, FLOOD_PER_MS)?;
    let says_so =
        |status: &Status| status.budget.reason == "share" && status.budget.sentence.contains("512 nodes asked for");
    let (_, said) = act.watch(times.flooded, says_so)?;
    let told = act.status()?.budget.sentence;
    let seen = act.watch(times.flooded, |_| false)?.0;
    let status = act.status()?;
    flood.end()?;
    let said = said.map_or(NEVER_S, |time| time.as_secs_f64());
    report.figure("512: said so after", said, "s", Some(Target::AtMost(times.flooded.as_secs_f64())));
    report.figure("512: nodes at work, most", f64::from(seen.nodes.1), "", Some(Target::AtMost(f64::from(FORCED / 2))));
    report.figure("512: datagrams not looked at", status.dht.shed as f64, "", Some(Target::AtLeast(1.0)));
    let slowest = seen.slowest.as_secs_f64() * 1e3;
    report.figure("512: answers within", slowest, "ms", Some(Target::AtMost(2_000.0)));
    report.notes.push(format!("512 nodes: {told}; at the end: {}", status.budget.sentence));
    act.end("512", report)
}

impl Act {
    /// A world, a jukebox in a cage, and a song that plays.
    fn begin(name: &str, options: &Options, percent: u64, nodes: Option<u32>) -> Result<Self, LabError> {
        let cage = Cage::new(name, percent, MEMORY)
            .map_err(LabError::failed("no group of processes can be made; run it as root where /sys/fs/cgroup can be written to, which is not so in most containers"))?;
        let folder = stage::folder()?;
        let releases = write_releases(&folder.path().join("releases"), options.seed, Lengths { track_s: SONG_S })
            .map_err(LabError::failed("the music cannot be written"))?;
        let scenery = Scenery { nodes, groups: cage.doors(), ..Scenery::of(releases) };
        let mut stage = Stage::open(name, options, folder, scenery)?;
        stage.jukebox.wait_until(PATIENCE, |jukebox| {
            jukebox.status().ok().filter(|status| status.index.tracks >= ENOUGH_TRACKS)
        })?;
        let mut tracks: Vec<TrackId> = stage.tracks(None)?.into_iter().map(|hit| hit.track).collect();
        tracks.sort_unstable();
        tracks.dedup();
        stage.jukebox.ask(&Command::QueueAdd { tracks: tracks.repeat(ROUNDS) })?;
        stage.jukebox.ask(&Command::Play { track: None })?;
        let first = stage.jukebox.wait_until(PATIENCE, |jukebox| {
            jukebox.status().ok().filter(|status| status.player.state == PlayState::Playing)
        })?;
        Ok(Self {
            stage,
            cage,
            begun: Instant::now(),
            first,
            nodes: Vec::new(),
            samples: Vec::new(),
            looks: 0,
            sounding: 0,
        })
    }

    fn jukebox(&mut self) -> &mut ChildJukebox {
        &mut self.stage.jukebox
    }

    fn status(&mut self) -> Result<Status, LabError> {
        self.jukebox().status()
    }

    /// Looks for `time` or until there is what is waited for; when that was.
    fn watch(&mut self, time: Duration, is_it: impl Fn(&Status) -> bool) -> Result<(Seen, Option<Duration>), LabError> {
        let (begun, mut seen) = (Instant::now(), Seen { nodes: (u32::MAX, 0), ..Seen::default() });
        while begun.elapsed() < time {
            let asked = Instant::now();
            let status = self.status()?;
            seen.slowest = seen.slowest.max(asked.elapsed());
            self.looks += 1;
            self.sounding += u32::from(status.player.state == PlayState::Playing);
            let nodes = status.budget.nodes;
            seen.nodes = (seen.nodes.0.min(nodes), seen.nodes.1.max(nodes));
            let at = self.begun.elapsed().as_secs_f64();
            self.nodes.push((at, f64::from(nodes)));
            self.samples.push((at, f64::from(status.budget.samples_per_s)));
            let is_found = is_it(&status);
            if status.budget.reason == "settled" {
                seen.settled = Some(status);
            }
            if is_found {
                return Ok((seen, Some(begun.elapsed())));
            }
            thread::sleep(GLANCE);
        }
        Ok((seen, None))
    }

    /// What all of it did to the music and to the process.
    fn end(mut self, name: &str, report: &mut Report) -> Result<(), LabError> {
        let last = self.status()?;
        let restarts = last.tasks.iter().map(|task| task.restarts).sum::<u64>() + self.cage.killed();
        let underruns = last.player.underruns.saturating_sub(self.first.player.underruns);
        let memory = self.jukebox().memory().peak as f64 / (1024.0 * 1024.0);
        report.figure(&format!("{name}: restarts"), restarts as f64, "", Some(Target::AtMost(0.0)));
        report.figure(&format!("{name}: underruns"), underruns as f64, "", Some(Target::AtMost(0.0)));
        let sounding = 100.0 * f64::from(self.sounding) / f64::from(self.looks.max(1));
        report.figure(&format!("{name}: looks at which it played"), sounding, "%", Some(Target::AtLeast(SOUNDING)));
        let most = (MEMORY >> 20) as f64;
        report.figure(&format!("{name}: resident at most"), memory, "MiB", Some(Target::AtMost(most)));
        report.figure(&format!("{name}: decisions"), last.budget.changes as f64, "", None);
        for (what, y_label, points) in
            [("nodes", "nodes", self.nodes), ("samples", "nodes asked for samples, a second", self.samples)]
        {
            report.series.push(Series { name: format!("{name}-{what}"), x_label: "seconds", y_label, points });
        }
        Ok(())
    }
}

/// Threads that use all cores up, as another program would.
struct Load {
    ends: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Load {
    fn start() -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let busy = |_| {
            let ends = Arc::clone(&ends);
            thread::spawn(move || {
                while !ends.load(Ordering::Relaxed) {
                    std::hint::black_box((0..10_000_u64).fold(1, |value: u64, step| value.wrapping_mul(31) ^ step));
                }
            })
        };
        let threads = (0..cores * 2).map(busy).collect();
        Self { ends, threads }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
