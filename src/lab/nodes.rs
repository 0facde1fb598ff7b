#![doc = include_str!("nodes/nodes.md")]

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::mainline::stage::Place;
use super::mainline::{Mix, STRICT_OF_TEN, Torrents, World, mix};
use super::{Experiment, LabError, Options, Report};
use crate::config::IdStrategy;
use crate::types::Time;
use findings::Findings;
use listener::{Listener, Point, Way};
use traffic::Traffic;

mod findings;
mod listener;
mod plots;
mod traffic;

/// What each further node brings.
pub const EXPERIMENT: Experiment = Experiment {
    name: "nodes",
    summary: "infohashes and contacts over time by number of nodes, spread or random, with samples, on a slow processor",
    targets: "8 nodes hear at least 3.4 times what one hears (half as much again for each doubling); one node with samples knows more than all without",
    run,
};

/// Our crawlers: one address each.
const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(81, 2, 3, 4);
/// Seeds are worked on by so many threads at most: a world of 200,000 nodes with what is said in it takes 0.2 GB.
const MAX_THREADS: usize = 4;

/// How large an experiment is.
#[derive(Debug, Clone, Copy)]
struct Size {
    nodes: usize,
    torrents: usize,
    /// Nodes of the crawlers, ascending.
    counts: &'static [u16],
    /// Those of them that also sample.
    sampling: &'static [u16],
    seeds: u64,
    time: Duration,
    /// Datagrams a second that the slow processor has time for.
    capacity: f64,
    /// Clients of ten that keep one node an address only.
    strict_of_ten: u64,
    /// Nothing but crawlers that listen, with ids spread.
    listening_only: bool,
}

/// The part of the network that is ours is the same in both, as is the part of ours that the processor has time for.
const QUICK: Size = Size {
    nodes: 20_000,
    torrents: 4_000,
    counts: &[1, 2, 4, 8, 16, 32, 64],
    sampling: &[1, 8, 64],
    seeds: 3,
    time: Duration::from_secs(3600),
    capacity: 8.0,
    strict_of_ten: STRICT_OF_TEN,
    listening_only: false,
};
const FULL: Size = Size {
    nodes: 200_000,
    torrents: 40_000,
    counts: &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
    sampling: &[1, 8, 64, 512],
    seeds: 5,
    time: Duration::from_secs(3 * 3600),
    capacity: 64.0,
    ..QUICK
};
/// Smaller networks, in which as many nodes are a larger part.
const QUICK_SMALL: Size = Size {
    nodes: 2_500,
    torrents: 500,
    sampling: &[],
    time: Duration::from_secs(30 * 60),
    listening_only: true,
    ..QUICK
};
const FULL_SMALL: Size = Size {
    nodes: 20_000,
    torrents: 4_000,
    sampling: &[],
    time: Duration::from_secs(3600),
    listening_only: true,
    ..FULL
};
/// How strict the clients of the smaller networks are.
const STRICTNESS: [u64; 3] = [0, STRICT_OF_TEN, 10];

/// A crawler of the experiment and what it had over time.
struct Run {
    seed: u64,
    strategy: IdStrategy,
    nodes: u16,
    way: Way,
    points: Vec<Point>,
    /// Infohashes that somebody shared in this world.
    live: u64,
}

fn run(options: &Options) -> Result<Report, LabError> {
    let size = if options.quick { &QUICK } else { &FULL };
    let small = if options.quick { QUICK_SMALL } else { FULL_SMALL };
    let small = STRICTNESS.map(|strict_of_ten| Size { strict_of_ten, ..small });
    let others = small.iter().map(|size| Findings::new(size, measure(size, options.seed), Vec::new())).collect();
    Ok(Findings::new(size, measure(size, options.seed), others).report(options))
}

/// All runs of all seeds, in the order of the seeds.
fn measure(size: &Size, first: u64) -> Vec<Run> {
    let next = AtomicU64::new(0);
    let worker = || {
        let seeds = std::iter::from_fn(|| {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            (seed < size.seeds).then_some(first + seed)
        });
        seeds.flat_map(|seed| in_one_world(size, seed)).collect::<Vec<_>>()
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    let mut runs: Vec<Run> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        let joined = |worker: thread::ScopedJoinHandle<'_, _>| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        workers.into_iter().flat_map(joined).collect()
    });
    runs.sort_by_key(|run| run.seed);
    runs
}

/// A crawler for each number of nodes and each strategy, all in one world, so that they differ in nothing else.
fn in_one_world(size: &Size, seed: u64) -> Vec<Run> {
    let strategies =
        if size.listening_only { &[IdStrategy::Spread][..] } else { &[IdStrategy::Spread, IdStrategy::Random] };
    let crawlers: Vec<Place> =
        (strategies.iter().flat_map(|strategy| size.counts.iter().map(|count| (*strategy, *count))))
            .zip(0..)
            .map(|((strategy, nodes), number)| {
                let ip = Ipv4Addr::from_bits(FIRST_ADDRESS.to_bits() + (number << 8));
                Place { ip, nodes, seed: mix(seed, u64::from(number)), strategy }
            })
            .collect();
    let ids: Vec<_> = crawlers.iter().map(|place| (place.ip, place.ids())).collect();
    let world = Arc::new(World::with_crawlers(size.nodes, Mix::MAINLINE, &ids, seed).with_strict(size.strict_of_ten));
    let torrents = Arc::new(Torrents::new(&world, size.torrents, seed ^ 1));
    let end = Time::ZERO + size.time;
    let traffic = Traffic::new(&world, &torrents, (crawlers.len(), end), seed ^ 2);
    let mut runs = Vec::new();
    for ((place, number), said) in crawlers.into_iter().zip(0..).zip(&traffic.to) {
        let Place { nodes, strategy, .. } = place;
        for way in ways(size, strategy, nodes) {
            let points = Listener::new(&world, &torrents, (number, place), way).hear(said, end);
            runs.push(Run { seed, strategy, nodes, way, points, live: traffic.live });
        }
    }
    runs
}

fn ways(size: &Size, strategy: IdStrategy, nodes: u16) -> Vec<Way> {
    let mut ways = vec![Way::Listening];
    if strategy == IdStrategy::Spread && !size.listening_only {
        ways.push(Way::Choked { datagrams_per_second: size.capacity });
        ways.extend(size.sampling.contains(&nodes).then_some(Way::Sampling));
    }
    ways
}

#[cfg(test)]
mod tests;
