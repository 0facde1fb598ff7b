//! The controller in worlds where it is known what is worth what.

use std::time::Duration;

use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::growth::{LEAST, MAX_SAMPLES};
use super::*;
use crate::types::Time;

mod memory;
mod own;

const SECOND: Duration = Duration::from_secs(1);

/// Memory without nodes, in bytes.
const REST_MEMORY: u64 = 20 << 20;

fn bounds() -> Bounds {
    Bounds { nodes: 512, is_forced: false, cores: 0.5, memory: 64 << 20, uplink: 1 << 20, workers: 16 }
}

/// A machine and a network, a second at a time.
struct World {
    now: Time,
    controller: Controller,
    measured: Measured,
    decision: Decision,
    /// Infohashes that a node hears in a second, and how many nodes hear anything new.
    heard_by_node: f64,
    hearing: f64,
    /// Processor time that a node, a question and a fetch take a second, and the rest.
    costs: [f64; 4],
    /// Processor that there is, in cores.
    gives: f64,
    /// The network answers.
    is_online: bool,
    /// Sockets that there are.
    sockets: u32,
    /// Nodes beyond which the sound breaks off.
    bearable: u32,
    /// Memory that a node takes, in bytes.
    node_memory: u64,
    changes: Vec<Time>,
    rng: ChaCha8Rng,
}

impl World {
    fn new(bounds: Bounds, seed: u64) -> Self {
        let mut controller = Controller::new(Time::ZERO, bounds);
        let measured = Measured { idle: 0.9, memory: REST_MEMORY, queued: 1_000, ..Measured::default() };
        let decision = controller.step(Time::ZERO, &measured);
        Self {
            now: Time::ZERO,
            controller,
            measured,
            decision,
            heard_by_node: 0.05,
            hearing: f64::INFINITY,
            costs: [0.0002, 0.0004, 0.003, 0.02],
            gives: f64::INFINITY,
            is_online: true,
            sockets: u32::MAX,
            bearable: u32::MAX,
            node_memory: 0,
            changes: Vec::new(),
            rng: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// So many on average.
    fn happen(&mut self, rate: f64) -> u64 {
        // Of many small chances.
        let tries = (rate * 4.0).ceil().max(1.0);
        (0..tries as u32).map(|_| u64::from(self.rng.random_bool((rate / tries).min(1.0)))).sum()
    }

    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now = self.now + SECOND;
            let Work { nodes, samples, workers } = self.decision.work;
            let nodes = nodes.min(self.sockets);
            self.measured.nodes = nodes;
            self.measured.underruns += u64::from(nodes > self.bearable);
            // Slowly, as tables fill.
            let memory = REST_MEMORY + u64::from(nodes) * self.node_memory;
            if self.node_memory > 0 {
                self.measured.memory = (self.measured.memory * 19 + memory) / 20;
            }
            let [node, sample, fetch, rest] = self.costs;
            let cost = f64::from(nodes) * node + f64::from(samples) * sample + f64::from(workers) * fetch + rest;
            let noise = self.rng.random_range(0.9..1.1);
            self.measured.cpu += Duration::from_secs_f64((cost * noise).min(self.gives));
            self.measured.throttled = if cost > self.gives { 0.9 } else { 0.05 };
            self.measured.bytes_out += u64::from(nodes) * 60 + u64::from(samples) * 120;
            if self.is_online {
                self.measured.bytes_in += u64::from(nodes) * 60 + u64::from(samples) * 500;
                self.measured.heard += self.happen(f64::from(nodes).min(self.hearing) * self.heard_by_node);
                self.measured.sampled += self.happen(f64::from(samples) * 0.7);
                self.measured.fetched += self.happen((f64::from(workers) * 0.1).min(1.2));
            }
            self.step();
        }
    }

    fn step(&mut self) {
        let before = self.decision.work;
        self.decision = self.controller.step(self.now, &self.measured);
        if before != self.decision.work {
            self.changes.push(self.now);
        }
    }

    fn changes_since(&self, time: Time) -> usize {
        self.changes.iter().filter(|at| **at > time).count()
    }
}

#[test]
fn nodes_grow_where_each_brings_as_much_and_stay_few_where_none_does() {
    let mut generous = World::new(bounds(), 1);
    generous.pass(6 * 3600);
    assert_eq!(generous.decision.wanted.nodes, 512, "{:?}", generous.decision);
    let mut strict = World::new(bounds(), 2);
    strict.hearing = 8.0;
    strict.pass(12 * 3600);
    assert!(strict.decision.wanted.nodes <= 16, "{:?}", strict.decision);
    let mut some = World::new(bounds(), 3);
    some.hearing = 60.0;
    some.pass(12 * 3600);
    assert!((32..=128).contains(&some.decision.wanted.nodes), "{:?}", some.decision);
}

#[test]
fn in_a_steady_world_little_changes() {
    for seed in 0..4 {
        let mut world = World::new(bounds(), seed);
        world.hearing = [8.0, 30.0, 100.0, f64::INFINITY][seed as usize];
        world.pass(24 * 3600);
        let since = world.now;
        world.pass(24 * 3600);
        let changes = world.changes_since(since);
        assert!(changes <= 24 * 2, "{changes} changes in a day");
    }
}

#[test]
fn a_song_that_is_waited_for_and_sound_that_breaks_off_have_the_machine_at_once() {
    let mut world = World::new(bounds(), 5);
    world.pass(3600);
    let nodes = world.decision.work.nodes;
    world.measured.is_awaited = true;
    world.now = world.now + Duration::from_millis(3);
    world.step();
    let Work { nodes: playing, samples, workers } = world.decision.work;
    assert_eq!((samples, workers), (0, 0), "in the very step");
    assert!(playing >= nodes / 2, "what was being tried is undone, and otherwise they keep their places");
    assert_eq!(world.decision.reason, Reason::Playback);
    world.pass(10);
    assert_eq!(world.decision.work.samples, 0);
    world.measured.is_awaited = false;
    world.pass(20);
    assert!(world.decision.work.samples >= 10 && world.decision.work.workers >= 8, "{:?}", world.decision);
    world.measured.underruns += 1;
    world.pass(1);
    assert_eq!((world.decision.work.nodes, world.decision.work.workers), (LEAST.nodes, 0));
    world.pass(60);
    assert!(world.decision.work.nodes >= nodes / 2, "{:?}", world.decision);
    world.measured.is_awaited = true;
    world.pass(60);
    assert!(world.decision.work.workers > 0, "a song that has no peers does not stop everything for ever");
}

#[test]
fn others_get_the_processor_within_seconds_and_it_comes_back_in_steps() {
    let mut world = World::new(bounds(), 6);
    world.pass(4 * 3600);
    let before = world.decision.work;
    assert!(before.nodes > 64, "{before:?}");
    (world.measured.idle, world.measured.others) = (0.0, 0.8);
    world.pass(2);
    assert_eq!(world.decision.work, LEAST);
    assert_eq!(world.decision.reason, Reason::Busy);
    assert!(world.decision.sentence(&bounds()).contains("other programs"), "{}", world.decision.sentence(&bounds()));
    world.pass(600);
    assert_eq!(world.decision.work, LEAST, "and as long as it lasts");
    (world.measured.idle, world.measured.others) = (0.9, 0.0);
    let mut last = world.decision.work;
    for _ in 0..60 {
        world.pass(1);
        let now = world.decision.work;
        assert!(now.nodes >= last.nodes && now.nodes - last.nodes <= before.nodes / 8 + 1, "{last:?} to {now:?}");
        last = now;
    }
    assert!(last.nodes >= before.nodes / 2 && last.samples >= 10, "{last:?} after {before:?}");
}

#[test]
fn what_is_asked_for_and_has_no_room_is_not_tried_again_and_again() {
    let forced = Bounds { is_forced: true, cores: 0.1, ..bounds() };
    let mut world = World::new(forced, 7);
    world.gives = 0.1;
    world.costs = [0.0004, 0.0004, 0.001, 0.02];
    assert_eq!(world.decision.work.nodes, LEAST.nodes, "many are not placed at once");
    world.pass(600);
    let said = world.decision.sentence(&forced);
    assert!(said.starts_with("512 nodes asked for, ") && said.ends_with("processor is used up"), "{said}");
    assert!((8..256).contains(&world.decision.work.nodes), "{said}");
    let since = world.now;
    world.pass(3600 * 6);
    let changes = world.changes_since(since);
    assert!(changes <= 6 * 24, "{changes} changes in six hours");
    world.gives = f64::INFINITY;
    world.controller.set_machine(4.0, 64 << 20);
    world.pass(60);
    assert_eq!(world.decision.work.nodes, 512, "{:?}", world.decision);
    let said = world.decision.sentence(&forced);
    assert!(said.starts_with("512 nodes at work: "), "{said}");
}

#[test]
fn more_is_tried_soon_where_there_is_more_to_have() {
    for more in [(4.0, 64 << 20), (0.5, 256 << 20)] {
        let mut world = World::new(bounds(), 10);
        world.hearing = 8.0;
        world.pass(24 * 3600);
        assert!(world.decision.wanted.nodes <= 16, "{:?}", world.decision);
        world.hearing = f64::INFINITY;
        world.controller.set_machine(more.0, more.1);
        world.pass(3600);
        assert!(world.decision.wanted.nodes >= 64, "{:?}", world.decision);
    }
}

#[test]
fn it_is_said_of_what_there_is_no_room_for_more() {
    let said = |change: fn(&mut World)| {
        let mut world = World::new(bounds(), 9);
        change(&mut world);
        world.pass(600);
        assert_eq!((world.decision.work.nodes, world.decision.reason), (8, Reason::Settled));
        world.decision.sentence(&bounds())
    };
    assert_eq!(said(|world| world.measured.memory = 50 << 20), "8 nodes at work: the memory has no room for more");
    let busy = "8 nodes at work: the share of the processor has no room for more";
    assert_eq!(said(|world| world.costs[3] = 0.3), busy);
    // What is tried of something else meanwhile has its own words.
    let settled = |mut world: World, bounds: Bounds| {
        world.pass(90);
        while world.decision.reason != Reason::Settled {
            world.pass(1);
        }
        world.decision.sentence(&bounds)
    };
    let few = Bounds { nodes: 8, ..bounds() };
    assert_eq!(settled(World::new(few, 9), few), "8 nodes at work: as many as `auto` takes");
    let mut world = World::new(bounds(), 9);
    world.sockets = 8;
    let none = "8 nodes at work: the system has no sockets for more (the log says why)";
    assert_eq!(settled(world, bounds()), none);
    let mut world = World::new(bounds(), 9);
    world.hearing = 8.0;
    world.pass(12 * 3600);
    let said = world.decision.sentence(&bounds());
    assert!(said.ends_with("is not worth its cost") || said.contains("finding out"), "{said}");
}

#[test]
fn without_a_network_nothing_is_tried_and_nothing_is_put_off() {
    let mut world = World::new(bounds(), 12);
    world.pass(1);
    assert_eq!(world.decision.sentence(&bounds()), "8 nodes at work: looks what they bring before it tries more");
    world.is_online = false;
    world.pass(24 * 3600);
    assert_eq!(world.changes, []);
    let said = world.decision.sentence(&bounds());
    assert_eq!(said, "8 nodes at work: nobody answers (`silverstream doctor` looks why)");
    // It comes, and goes away again while a change is looked at.
    world.is_online = true;
    while world.decision.wanted.nodes == 8 {
        world.pass(1);
    }
    // It was looked at already, and nothing is clear yet.
    world.pass(40);
    assert_eq!((world.decision.wanted.nodes, world.decision.reason), (16, Reason::Trying));
    world.is_online = false;
    world.pass(3600);
    assert_eq!(world.decision.wanted.nodes, 8, "what was tried is undone");
    assert!(world.decision.sentence(&bounds()).contains("nobody answers"));
    world.is_online = true;
    world.pass(900);
    assert!(world.decision.wanted.nodes > 8, "{:?}", world.decision);
}

proptest! {
    #[test]
    fn no_bound_is_ever_exceeded(
        nodes in 1u32..40_000, is_forced: bool, workers in 1u32..20,
        moments in prop::collection::vec((any::<[bool; 4]>(), 0u64..100_000, 0u64..5_000), 1..400),
    ) {
        let bounds = Bounds { nodes, is_forced, workers, ..bounds() };
        let mut controller = Controller::new(Time::ZERO, bounds);
        let (mut now, mut measured) = (Time::ZERO, Measured::default());
        controller.step(now, &measured);
        for ([awaited, busy, throttled, broken], amount, millis) in moments {
            now = now + Duration::from_millis(millis);
            measured.is_awaited = awaited;
            (measured.idle, measured.others) = if busy { (0.0, 1.0) } else { (1.0, 0.0) };
            measured.throttled = if throttled { 1.0 } else { 0.0 };
            measured.underruns += u64::from(broken);
            measured.cpu += Duration::from_millis(amount / 100);
            measured.bytes_out += amount;
            measured.bytes_in += amount / 3;
            measured.heard += amount / 7;
            measured.memory = amount * 700;
            measured.queued = amount;
            let Decision { work, wanted, .. } = controller.step(now, &measured);
            prop_assert!((1..=nodes).contains(&work.nodes) && work.nodes <= wanted.nodes, "{:?} of {:?}", work, wanted);
            prop_assert!(work.samples <= MAX_SAMPLES && work.workers <= workers, "{:?}", work);
            if broken {
                prop_assert!(work.nodes <= LEAST.nodes && work.samples == 0 && work.workers == 0, "{:?}", work);
            }
        }
    }
}
