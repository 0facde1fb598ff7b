//! Nodes that come and go while the crawler runs.

use super::*;
use crate::config::{IdStrategy, Zone};
use crate::crawler::own::MAX_TABLES;
use crate::crawler::placement;
use crate::crawler::stats::CoreStats;
use crate::dht::Node;
use crate::dht::krpc::{Body, Message, Query};

/// Sockets for as many nodes as there are in these tests at most.
const SOCKETS: u16 = 128;

fn sockets() -> Vec<SocketAddr> {
    World::config(SOCKETS, 5, Saved::default()).sockets
}

/// Whether each of as many intervals as there are IDs has one.
fn is_even(ids: &[NodeId]) -> bool {
    let mut intervals: Vec<_> = ids.iter().map(|id| placement::interval_of(id, ids.len() as u32)).collect();
    intervals.sort_unstable();
    intervals.into_iter().eq(0..ids.len() as u32)
}

fn ids(core: &Core) -> Vec<NodeId> {
    core.ids().collect()
}

#[test]
fn nodes_that_are_added_join_through_those_that_are_there() {
    let mut world = World::new(40, 31);
    let mut core = crawler(&world, 8);
    world.run(Some(&mut core), MINUTE);
    let before = ids(&core);
    core.resize(world.now, 16, &sockets());
    assert_eq!((core.node_count(), &ids(&core)[..8]), (16, &before[..]), "those that are there stay");
    let resolved =
        |world: &World| world.heard.iter().filter(|(_, event)| *event == CoreEvent::ResolveBootstrap).count();
    let asked = resolved(&world);
    world.run(Some(&mut core), MINUTE);
    assert!(core.nodes.iter().all(|node| node.stats().contacts >= 4), "{:?}", core.stats());
    assert_eq!(resolved(&world), asked, "no bootstrap host is asked for it");
    core.resize(world.now, 128, &sockets());
    assert_eq!((core.nodes.len(), core.monitors.ids().len()), (MAX_TABLES as usize, 64));
    assert!(is_even(&ids(&core)), "as if all had been placed at once");
    world.run(Some(&mut core), MINUTE * 3);
    assert!(core.nodes.iter().all(|node| node.stats().contacts >= 4), "{:?}", core.stats());
}

#[test]
fn nodes_that_rest_are_silent_and_come_back_as_they_were() {
    let mut world = World::new(40, 32);
    let mut core = crawler(&world, SOCKETS);
    // Until the sweep has just begun.
    while core.stats().visits == 0 {
        world.run(Some(&mut core), MINUTE / 60);
    }
    let before = ids(&core);
    let search = core.find_peers(world.now, infohash(3), Waits::Person).unwrap();
    assert!(core.tasks.keys().any(|(node, _)| *node >= 4), "somebody who goes looks something up");
    let stats = core.stats();
    core.resize(world.now, 4, &sockets());
    assert_eq!(ids(&core), before[..4]);
    assert_eq!(core.searches.len(), 1, "who waits for peers waits on");
    assert!(core.tasks.keys().all(|(node, _)| *node < 4));
    let after = core.stats();
    let totals = |stats: &CoreStats| [stats.datagrams_in, stats.bytes_in, stats.unsolicited];
    assert_eq!(totals(&after), totals(&stats), "what was counted stays counted");
    assert!(after.bytes_out > stats.bytes_out, "its lookup is begun anew at once");
    assert!(after.contacts < stats.contacts, "what is there now is that of four");
    assert_eq!(core.stats().zones_swept, 0);
    world.trace.clear();
    world.heard.clear();
    world.run(Some(&mut core), MINUTE * 3);
    let done = world.heard.iter().any(|(_, event)| *event == CoreEvent::SearchDone { search });
    assert!(done, "a search does not get lost with its node");
    let stats = core.stats();
    assert!(stats.zones_swept >= 1 && stats.visits >= 30, "nor does the sweep wait for what was asked: {stats:?}");
    let from = SocketAddr::from(([90, 1, 2, 3], 4444));
    let ping = Message {
        transaction: b"tt",
        body: Body::Query { id: NodeId([7; 20]), query: Query::Ping },
        version: None,
        read_only: true,
        external: None,
    };
    let answers = |core: &mut Core, socket| {
        core.handle_datagram(world.now, socket, from, &ping.encode());
        std::iter::from_fn(|| core.poll_transmit()).filter(|(_, transmit)| transmit.to == from).count()
    };
    let shed = core.stats().shed;
    assert_eq!((answers(&mut core, 3), answers(&mut core, 4)), (1, 0));
    assert_eq!(core.stats().shed, shed + 1);
    let saved = core.saved(world.now);
    assert_eq!(saved.nodes, before, "all are kept for the next run");
    core.resize(world.now, u32::from(SOCKETS), &sockets());
    assert_eq!(ids(&core), before);
    let again = Core::new(World::config(8, 9, saved), world.now);
    assert_eq!(ids(&again), before[..8], "fewer begin with the same");
    // So few bear only so much of one address.
    world.run(Some(&mut core), MINUTE * 5);
    assert!(core.nodes.iter().all(|node| node.stats().contacts >= 4), "{:?}", core.stats());
}

#[test]
fn ids_last_over_rest_and_restarts_where_our_address_is_known() {
    let zone = IdStrategy::Zone(Zone::new(0x50 << 56, 4));
    for strategy in [IdStrategy::Spread, IdStrategy::Bep42, IdStrategy::Random, zone] {
        for count in [8, 64, 100, 512] {
            let external = Some("81.2.3.4".parse().unwrap());
            let config = |count, seed, saved| CoreConfig { strategy, ..World::config(count, seed, saved) };
            let mut core = Core::new(config(count, 9, Saved { external, ..Saved::default() }), Time::ZERO);
            let before = ids(&core);
            let sockets = config(count, 9, Saved::default()).sockets;
            for fewer in [8, 3, 70, 5] {
                core.resize(Time::ZERO, fewer, &sockets);
                core.resize(Time::ZERO, fewer * 2, &sockets);
                let now = core.ids().count();
                assert_eq!(ids(&core), before[..now], "{strategy:?} {count} {fewer}");
                let again = Core::new(config(count, 10, core.saved(Time::ZERO)), Time::ZERO);
                assert_eq!(ids(&again), before, "{strategy:?} {count} {fewer}");
            }
            // Those that became more in time last, too.
            let mut core = Core::new(config(8, 9, Saved { external, ..Saved::default() }), Time::ZERO);
            core.resize(Time::ZERO, count.into(), &sockets);
            let (grown, saved) = (ids(&core), core.saved(Time::ZERO));
            assert_eq!(ids(&Core::new(config(count, 10, saved), Time::ZERO)), grown, "{strategy:?} {count}");
        }
    }
}

#[test]
fn ids_last_when_another_number_is_asked_for_again_and_again() {
    for counts in [[300, 400, 512], [50, 64, 80], [8, 10, 12], [100, 150, 220]] {
        for seed in 0..20 {
            let mut saved = Saved { external: Some("81.2.3.4".parse().unwrap()), ..Saved::default() };
            let mut before: Vec<NodeId> = Vec::new();
            for (count, number) in counts.into_iter().zip(0..) {
                let mut core = Core::new(World::config(count, seed + 100 * number, saved), Time::ZERO);
                assert_eq!(ids(&core)[..before.len()], before, "{counts:?} {seed}");
                (before, saved) = (ids(&core), core.saved(Time::ZERO));
            }
        }
    }
}

#[test]
fn ids_that_were_kept_in_ascending_order_are_taken_over() {
    let world = World::new(1, 34);
    let mut nodes = ids(&crawler(&world, SOCKETS));
    nodes.sort_unstable();
    let saved = Saved { strategy: Some(IdStrategy::Spread), nodes: nodes.clone(), ..Saved::default() };
    for count in [8, SOCKETS] {
        let began = ids(&Core::new(World::config(count, 9, saved.clone()), world.now));
        assert!(began.iter().all(|id| nodes.contains(id)), "others know them");
        assert!(is_even(&began[..8]), "and those that begin lie evenly");
    }
}

#[test]
fn any_number_at_any_time_is_survived() {
    let mut world = World::new(20, 33);
    let mut core = crawler(&world, 8);
    for (step, count) in [1, 0, 7, 65, 64, 200, 3, 128, 2].into_iter().enumerate() {
        core.find_peers(world.now, infohash(step as u8), Waits::Nobody).unwrap();
        core.resize(world.now, count, &sockets());
        assert_eq!(core.node_count(), count.clamp(1, u32::from(SOCKETS)));
        assert_eq!(core.nodes.len(), core.node_count().min(MAX_TABLES) as usize);
        world.run(Some(&mut core), MINUTE / 4);
        assert!(core.fills().iter().all(|fill| fill.entries <= fill.bound), "{:?}", core.fills());
    }
    world.run(Some(&mut core), MINUTE * 2);
    assert_eq!(core.stats().searches, 0, "all of them ended");
    let distinct: HashSet<_> = core.nodes.iter().map(Node::id).collect();
    assert_eq!(distinct.len(), 2);
}
