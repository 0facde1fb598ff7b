//! How much of a zone of the DHT one process on a board hears: thousands of monitors against a world of real addresses.
//!
//! After Memon and Rejaie ("Large-scale monitoring of DHT traffic", IPTPS 2009), whose Montra watched with 32,000 monitors.
//! The shipped program runs as a process of its own on one processor, in a network of its own; on another the world answers
//! for all its nodes, and its clients search and announce. What they announced is known there, so also what was missed.

mod findings;
mod load;

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::child::{ChildConfig, ChildJukebox, ChildNetwork};
use super::private::{self, Datagrams};
use super::udp::{UdpConfig, UdpWorld};
use super::{Experiment, LabError, Options, Report};
use crate::types::Rate;
use findings::{Announces, Findings, Pairs, Step};
use load::{Load, Zone};

/// Thousands of monitors; see the module.
pub const EXPERIMENT: Experiment = Experiment {
    name: "montra",
    summary: "what 32,768 nodes in one process hear of a zone of a network of 100,000 addresses, and what they take",
    targets: "at most 128 MiB; at least 50,000 messages a second on one core with the 99th percentile of replies under 5 ms; \
              at least 90 % of announces inside the zone; lookups of others lengthened by less than 1 %",
    run,
};

/// Set for the copy that runs inside: where it leaves its findings.
const INSIDE: &str = "SILVERSTREAM_LAB_FINDINGS";
/// First port of the program's nodes; the last of 32,768 is below 65,536.
const FIRST_PORT: u16 = 7000;
/// Routers that the program is told.
const ROUTERS: usize = 8;

/// Resident memory that the program may take, and that is its target.
const MEMORY: u64 = 128 << 20;
/// How long after [`Size::settling`] it may take until all nodes are at work, and how often it is asked.
const MOST_PATIENCE: Duration = Duration::from_secs(300);
const GLANCE: Duration = Duration::from_secs(5);
/// A line of a gigabit a second, so that the processor is what bounds it.
const LINE: Rate = Rate(125_000_000);
/// Files that the program has open beside its sockets.
const OTHER_FILES: u64 = 1_024;

/// How large an experiment is.
struct Size {
    /// Of the program.
    nodes: u32,
    world: usize,
    torrents: usize,
    zone: Zone,
    /// For the program to become known.
    settling: Duration,
    /// Messages a second while it does.
    quiet: u32,
    /// Lookups that are made with and without it.
    pairs: usize,
    /// Messages a second that are offered one after the other, each for so long.
    steps: &'static [u32],
    step: Duration,
}

const QUICK: Size = Size {
    nodes: 2_048,
    world: 20_000,
    torrents: 20_000,
    zone: Zone { prefix: 0x50, bits: 4 },
    settling: Duration::from_secs(40),
    quiet: 500,
    pairs: 1_000,
    steps: &[10_000, 25_000, 55_000],
    step: Duration::from_secs(4),
};
const FULL: Size = Size {
    nodes: 32_768,
    world: 100_000,
    torrents: 100_000,
    zone: Zone { prefix: 0x50, bits: 4 },
    settling: Duration::from_secs(120),
    quiet: 500,
    pairs: 4_000,
    steps: &[5_000, 10_000, 20_000, 35_000, 55_000],
    step: Duration::from_secs(20),
};

fn run(options: &Options) -> Result<Report, LabError> {
    if let Some(path) = std::env::var_os(INSIDE) {
        let findings = measure(options)?;
        let failed = LabError::failed::<std::io::Error>("the findings cannot be handed over");
        std::fs::write(path, serde_json::to_vec(&findings).map_err(|error| failed(error.into()))?).map_err(failed)?;
        // The copy outside makes the report.
        return Ok(Report { experiment: EXPERIMENT.name.into(), ..Report::default() });
    }
    Ok(from_inside(options)?.report(options))
}

/// Runs the experiment in a network of its own.
fn from_inside(options: &Options) -> Result<Findings, LabError> {
    let failed = LabError::failed::<std::io::Error>(private::NOT_HAD);
    let folder = super::stage::folder()?;
    let path = folder.path().join("findings.json");
    let mut arguments: Vec<OsString> = ["lab", EXPERIMENT.name, "--seed"].map(Into::into).into();
    arguments.push(options.seed.to_string().into());
    arguments.extend(options.quick.then(|| "--quick".into()));
    let output = private::command(std::env::current_exe().map_err(&failed)?)
        .args(arguments)
        .env(INSIDE, &path)
        .output()
        .map_err(&failed)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(LabError::failed("the experiment could not be carried out in a network of its own")(said));
    }
    let text = std::fs::read(&path).map_err(&failed)?;
    serde_json::from_slice(&text).map_err(|error| failed(error.into()))
}

fn measure(options: &Options) -> Result<Findings, LabError> {
    let size = if options.quick { &QUICK } else { &FULL };
    let config = UdpConfig { nodes: size.world, torrents: size.torrents, seed: options.seed };
    let mut udp = UdpWorld::open(config)?;
    let folder = super::stage::folder()?;
    let nodes = nodes_allowed(size.nodes);
    let child = on_processors(|| start((size, nodes), &udp, folder.path()))?;
    let mut load = Load::new(&udp.live, size.zone, options.seed ^ 2);

    let mut findings = Findings::default();
    load.run(&mut udp, size.settling, size.quiet)?;
    // Nodes are put to work step by step, and later where the world has but the same processor.
    let end = udp.now() + MOST_PATIENCE;
    while child.status()?.dht.nodes < nodes && udp.now() < end {
        load.run(&mut udp, GLANCE, size.quiet)?;
    }
    // What is heard is asked of a program that all its nodes are at work in, and that others know.
    load.announces = Announces::default();
    findings.settled = child.memory().resident;
    let random = load.pairs(&mut udp, size.pairs, false)?;
    let inside = load.pairs(&mut udp, size.pairs, true)?;
    (findings.bystanders, findings.inside) = (Pairs::of(&random), Pairs::of(&inside));
    for offered in size.steps {
        findings.steps.push(step(&child, &mut udp, &mut load, (*offered, size.step))?);
    }
    findings.announces = load.announces;
    let memory = child.memory();
    (findings.resident, findings.peak) = (memory.resident, memory.peak);
    let status = child.status()?;
    findings.nodes = status.dht.nodes.into();
    findings.contacts = status.dht.contacts;
    (findings.nodes_wanted, findings.nodes_allowed) = (size.nodes.into(), nodes.into());
    findings.said = status.budget.sentence;
    findings.world = udp.live.world.len() as u64;
    findings.zone = size.zone.to_string();
    findings.outsiders = udp.live.knowledge.outsiders.len() as u64;
    findings.entries = udp.live.knowledge.outsiders.entries() as u64;
    Ok(findings)
}

/// Offers so many messages a second for so long and counts what comes of it.
fn step(
    child: &ChildJukebox,
    udp: &mut UdpWorld,
    load: &mut Load,
    (offered, time): (u32, Duration),
) -> Result<Step, LabError> {
    // Into the swing first: what is under way at this rate.
    load.run(udp, time / 4, offered)?;
    udp.live.replies = Default::default();
    let (kernel, world, cpu, began) = (Datagrams::now(), udp.live.counts, child.cpu_time(), udp.now());
    let own = own_cpu_time();
    load.run(udp, time, offered)?;
    let (kernel, counts) = (Datagrams::now().since(kernel), udp.live.counts);
    let seconds = (udp.now() - began).as_secs_f64();
    let own = own_cpu_time().saturating_sub(own).as_secs_f64();
    let cpu = child.cpu_time().saturating_sub(cpu).as_secs_f64();
    // The kernel counts for both of us, and what it counts as received a program has read.
    let read = kernel.received.saturating_sub(counts.received - world.received);
    let wrote = kernel.sent.saturating_sub(counts.sent - world.sent);
    Ok(Step {
        offered: offered.into(),
        messages: (read + wrote) as f64 / seconds,
        read: read as f64 / seconds,
        cores: cpu / seconds,
        world_cores: own / seconds,
        median_ms: udp.live.replies.percentile(0.5) / 1000.0,
        high_ms: udp.live.replies.percentile(0.99) / 1000.0,
        unanswered: counts.unanswered - world.unanswered,
        dropped: kernel.dropped,
    })
}

/// Processor time of this process, which is the world.
fn own_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

fn start((size, nodes): (&Size, u32), udp: &UdpWorld, folder: &Path) -> Result<ChildJukebox, LabError> {
    // Private: what a home's line and router bear is not what is measured here.
    let network = ChildNetwork {
        listen: (private::HOST, FIRST_PORT).into(),
        id_strategy: size.zone.strategy(),
        scope: "private",
        upload: Some(LINE),
    };
    ChildJukebox::start(&ChildConfig {
        folder: folder.join("jukebox"),
        bootstrap: udp.routers(ROUTERS),
        network,
        output: "null".into(),
        budget: "1 GiB".into(),
        nodes: Some(nodes),
        memory: Some(MEMORY),
        groups: Vec::new(),
        log: folder.join("log"),
    })
}

/// Each node has a socket: so many of `wanted` as the machine lets a process have.
fn nodes_allowed(wanted: u32) -> u32 {
    let files = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX).saturating_sub(OTHER_FILES);
    u32::try_from(files).unwrap_or(u32::MAX).clamp(1, wanted)
}

/// Starts something on the last processor and goes on with the others, so that what is measured has one of its own. With one
/// processor both share it.
fn on_processors<T>(start: impl FnOnce() -> Result<T, LabError>) -> Result<T, LabError> {
    let failed =
        |error: rustix::io::Errno| LabError::failed("processors cannot be chosen")(std::io::Error::from(error));
    let mut ours = sched_getaffinity(None).map_err(failed)?;
    let Some(last) = (0..CpuSet::MAX_CPU).rev().find(|cpu| ours.is_set(*cpu)).filter(|_| ours.count() > 1) else {
        return start();
    };
    let mut its = CpuSet::new();
    its.set(last);
    sched_setaffinity(None, &its).map_err(failed)?;
    let started = start();
    ours.unset(last);
    sched_setaffinity(None, &ours).map_err(failed)?;
    started
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ports_of_all_nodes_fit() {
        for size in [&QUICK, &FULL] {
            assert!(u32::from(FIRST_PORT) + size.nodes <= 65_536);
            assert!(size.steps.is_sorted() && size.steps.last().is_some_and(|most| *most >= 50_000));
        }
    }
}
