//! The whole core in a small world.

mod bounds;
mod monitors;
mod resize;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::sim::{World, addr};
use super::{Core, CoreConfig, CoreEvent, Heard};
use crate::crawler::filter::SightingKind;
use crate::crawler::{Announced, Limits, MAX_SEARCHES, Saved, TooManySearches, Waits};
use crate::dht::krpc::{Body, Message, Query};
use crate::dht::{Contact, Event, Lookup, bep42};
use crate::types::{InfoHash, NodeId, Time};

const MINUTE: Duration = Duration::from_secs(60);

fn infohash(number: u8) -> InfoHash {
    // Even over the space, and no byte like the other.
    let mut id = std::array::from_fn(|index| index as u8);
    id[0] = number.wrapping_mul(37);
    InfoHash(id)
}

fn sightings(world: &World) -> Vec<Heard> {
    let sighting = |(_, event): &(Time, CoreEvent)| match event {
        CoreEvent::Sighting(heard) => Some(*heard),
        _ => None,
    };
    world.heard.iter().filter_map(sighting).collect()
}

fn found(world: &World) -> HashSet<SocketAddr> {
    let peers = |(_, event): &(Time, CoreEvent)| match event {
        CoreEvent::Peers { peers, .. } => peers.clone(),
        _ => Vec::new(),
    };
    world.heard.iter().flat_map(peers).collect()
}

fn crawler(world: &World, nodes: u16) -> Core {
    Core::new(World::config(nodes, 5, Saved::default()), world.now)
}

#[test]
fn all_nodes_join_through_one_address() {
    let mut world = World::new(40, 1);
    let mut core = crawler(&world, 16);
    world.run(Some(&mut core), MINUTE);
    assert!(core.nodes.iter().all(|node| node.stats().contacts >= 4), "{:?}", core.stats());
    assert!(core.stats().contacts_known >= 35, "{:?}", core.stats());
    let asked = world.heard.iter().filter(|(_, event)| *event == CoreEvent::ResolveBootstrap).count();
    assert_eq!(asked, 1, "the bootstrap host is asked once");
}

#[test]
fn announces_and_questions_become_sightings() {
    let mut world = World::new(40, 2);
    let mut core = crawler(&world, 8);
    world.run(Some(&mut core), MINUTE);
    // What is named once and by one is not believed.
    for _ in 0..2 {
        for number in 0..8 {
            let (infohash, port) = (infohash(number), 9000 + u16::from(number));
            world.start(10 + usize::from(number), Lookup::Announce { infohash, port, seed: true });
            world.start(20 + usize::from(number), Lookup::GetPeers(infohash));
        }
        world.run(Some(&mut core), MINUTE * 6);
    }
    let heard = sightings(&world);
    let all: HashSet<_> = heard.iter().map(|heard| heard.infohash).collect();
    // Each node of the world keeps only one of our eight, since they are on one address; so some are hard to find.
    assert!(all.len() >= 6, "{heard:?}");
    let mut announced = 0;
    for heard in heard {
        if let SightingKind::Announce { port, seed } = heard.kind {
            let number = u8::try_from(port - 9000).unwrap();
            assert_eq!((heard.infohash, seed), (infohash(number), Some(true)));
            assert_eq!(heard.source, addr(10 + usize::from(number)));
            announced += 1;
        }
    }
    assert!(announced >= 4, "{announced}");
}

#[test]
fn what_was_stored_before_us_is_sampled() {
    let mut world = World::new(40, 3);
    for number in 0..10 {
        world.start(usize::from(number), Lookup::Announce { infohash: infohash(number), port: 9000, seed: false });
    }
    world.run(None, MINUTE);
    let mut core = crawler(&world, 8);
    world.run(Some(&mut core), MINUTE * 3);
    let sampled: HashSet<_> = sightings(&world)
        .iter()
        .filter(|heard| heard.kind == SightingKind::Sample)
        .map(|heard| heard.infohash)
        .collect();
    assert_eq!(sampled.len(), 10, "{:?}", core.stats());
}

#[test]
fn sampling_waits_for_two_estimates_that_agree_or_a_minute() {
    let begins_after = |members| {
        let mut world = World::new(members, 3);
        let mut core = crawler(&world, 8);
        let began = (1..90).find(|_| {
            world.run(Some(&mut core), Duration::from_secs(1));
            core.stats().visits > 0
        });
        began.unwrap()
    };
    assert!((10..=40).contains(&begins_after(40)), "the size is known within the first estimates");
    assert!((60..=62).contains(&begins_after(5)), "too few to tell a size from");
}

#[test]
fn peers_are_found_and_searches_end() {
    let mut world = World::new(40, 4);
    world.start(9, Lookup::Announce { infohash: infohash(1), port: 9009, seed: true });
    world.run(None, MINUTE);
    let mut core = crawler(&world, 8);
    // Before anybody is known: it waits.
    let search = core.find_peers(world.now, infohash(1), Waits::Nobody).unwrap();
    world.run(Some(&mut core), MINUTE / 2);
    let mut peer = addr(9);
    peer.set_port(9009);
    assert_eq!(found(&world), HashSet::from([peer]));
    assert!(world.heard.iter().any(|(_, event)| *event == CoreEvent::SearchDone { search }));
    assert_eq!(core.stats().searches, 0);
    world.heard.clear();
    let cancelled = core.find_peers(world.now, infohash(2), Waits::Nobody).unwrap();
    core.cancel_search(cancelled);
    world.run(Some(&mut core), MINUTE);
    assert!(!world.heard.iter().any(|(_, event)| *event == CoreEvent::SearchDone { search: cancelled }));
    assert_eq!((core.stats().searches, core.tasks.len()), (0, 0));
}

#[test]
fn searches_end_even_if_nobody_answers() {
    let mut world = World::new(0, 1);
    world.names_work = false;
    let mut core = crawler(&world, 2);
    for _ in 0..MAX_SEARCHES {
        core.find_peers(world.now, infohash(1), Waits::Person).unwrap();
    }
    assert_eq!(core.find_peers(world.now, infohash(1), Waits::Person), Err(TooManySearches));
    world.run(Some(&mut core), MINUTE * 2);
    let done = world.heard.iter().filter(|(_, event)| matches!(event, CoreEvent::SearchDone { .. })).count();
    assert_eq!((done, core.stats().searches), (MAX_SEARCHES, 0));
}

#[test]
fn announces_are_repeated_so_that_nobody_forgets_us() {
    let mut world = World::new(12, 6);
    let mut core = crawler(&world, 4);
    world.run(Some(&mut core), MINUTE);
    core.announce(world.now, infohash(3), Announced { port: 5555, seed: true }).unwrap();
    for _ in 0..2 {
        world.run(Some(&mut core), MINUTE * 40);
        world.told.clear();
        world.start(7, Lookup::GetPeers(infohash(3)));
        world.run(Some(&mut core), MINUTE);
        let peers: Vec<_> = world
            .told
            .iter()
            .filter_map(|(_, event)| if let Event::Peers { peers, .. } = event { Some(peers.clone()) } else { None })
            .flatten()
            .collect();
        assert!(peers.contains(&SocketAddr::from(([81, 2, 3, 4], 5555))), "{peers:?}");
    }
    assert!(!sightings(&world).iter().any(|heard| heard.source.ip() == SocketAddr::from(([81, 2, 3, 4], 1)).ip()));
    core.withdraw(&infohash(3));
    assert_eq!(core.stats().announced, 0);
}

#[test]
fn restart_with_kept_contacts_needs_no_bootstrap() {
    let mut world = World::new(40, 7);
    let mut core = crawler(&world, 8);
    world.run(Some(&mut core), MINUTE);
    let saved = core.saved(world.now);
    assert!(saved.contacts.len() >= 35);
    world.run(None, MINUTE);
    world.heard.clear();
    let mut again = Core::new(World::config(8, 99, saved.clone()), world.now);
    assert_eq!(again.ids().collect::<Vec<_>>(), saved.nodes, "the same places");
    world.run(Some(&mut again), MINUTE);
    assert!(!world.heard.iter().any(|(_, event)| *event == CoreEvent::ResolveBootstrap));
    assert!(again.nodes.iter().all(|node| node.stats().contacts >= 4), "{:?}", again.stats());
    let other = Core::new(World::config(5, 99, saved), world.now);
    assert_eq!(other.ids().count(), 5, "another number of nodes is placed anew");
}

#[test]
fn kept_contacts_survive_a_run_without_network() {
    let mut world = World::new(0, 1);
    world.names_work = false;
    let contacts = vec![crate::dht::Contact { id: NodeId([3; 20]), addr: "80.9.9.9:1".parse().unwrap() }];
    let saved = Saved { contacts: contacts.clone(), ..Saved::default() };
    let mut core = Core::new(World::config(2, 1, saved), world.now);
    world.run(Some(&mut core), MINUTE * 10);
    assert_eq!(core.saved(world.now).contacts, contacts);
    let asked: Vec<_> =
        world.heard.iter().filter(|(_, event)| *event == CoreEvent::ResolveBootstrap).map(|(at, _)| *at).collect();
    assert!(asked[0] >= Time::from_millis(10_000), "kept contacts first");
    assert!((4..12).contains(&asked.len()), "with back-off: {asked:?}");
}

#[test]
fn external_address_gives_bound_ids() {
    let mut world = World::new(40, 8);
    let mut core = crawler(&world, 8);
    world.run(Some(&mut core), MINUTE * 2);
    let external = SocketAddr::from(([81, 2, 3, 4], 1)).ip();
    assert_eq!(core.stats().external, Some(external));
    assert!(core.ids().all(|id| bep42::is_valid(&id, external)));
    let saved = core.saved(world.now);
    assert_eq!(saved.external, Some(external));
    let again = Core::new(World::config(8, 1, saved.clone()), world.now);
    assert_eq!(again.ids().collect::<Vec<_>>(), saved.nodes);
}

#[test]
fn hostile_datagrams_are_counted_and_change_nothing() {
    let mut world = World::new(40, 9);
    let mut core = crawler(&world, 2);
    world.run(Some(&mut core), MINUTE);
    let before = core.stats();
    let hostile: [&[u8]; 6] = [
        b"",
        b"garbage",
        b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:q",
        b"d1:ad2:id99999999999999999999:e1:q4:ping1:t2:aa1:y1:qe",
        &[b'l'; 2000],
        &[0xff; 2048],
    ];
    for round in 0..50u8 {
        for payload in hostile {
            world.send_to_crawler(u16::from(round % 2), SocketAddr::from(([90, round, 1, 1], 1)), payload.to_vec());
        }
        world.run(Some(&mut core), Duration::from_secs(1));
    }
    let after = core.stats();
    assert!(after.malformed >= before.malformed + 250, "{after:?}");
    assert!(after.contacts >= before.contacts.min(8) && core.touched.is_empty());
    // A node number that the shell does not have is harmless too.
    core.handle_datagram(world.now, 77, addr(1), b"x");
}

#[test]
fn nothing_out_of_scope_is_asked() {
    let mut world = World::new(0, 1);
    let contacts = ["10.0.0.1:6881", "127.0.0.1:6881", "80.1.1.1:0", "224.0.0.1:1", "[2a00::1]:1", "81.2.3.4:7000"]
        .map(|addr| crate::dht::Contact { id: NodeId([3; 20]), addr: addr.parse().unwrap() });
    let saved = Saved { contacts: contacts.to_vec(), external: Some("81.2.3.4".parse().unwrap()), ..Saved::default() };
    let mut core = Core::new(World::config(2, 1, saved), world.now);
    core.bootstrap_resolved(world.now, &contacts.map(|contact| contact.addr));
    world.run(Some(&mut core), MINUTE * 5);
    world.trace.retain(|(_, to, _)| *to != addr(0));
    assert_eq!(world.trace, []);
}

#[test]
fn the_same_seed_does_the_same() {
    let run = |seed| {
        let mut world = World::new(20, 10);
        let mut core = Core::new(World::config(4, seed, Saved::default()), world.now);
        core.announce(world.now, infohash(1), Announced { port: 1, seed: false }).unwrap();
        world.run(Some(&mut core), MINUTE * 5);
        (world.trace, core.stats())
    };
    let (first, second) = (run(1), run(1));
    assert!(first.0.len() > 100);
    assert_eq!(first, second);
    assert_ne!(first.0, run(2).0);
}
