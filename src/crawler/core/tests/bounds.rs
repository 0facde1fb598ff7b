//! What strangers, the line and the router bear of us, whoever asks for what.

use super::*;
use crate::crawler::manners::FLOW_LIFE;

/// What a stranger asks.
fn ping() -> Vec<u8> {
    let body = Body::Query { id: NodeId([7; 20]), query: Query::Ping };
    Message { transaction: b"aa", body, version: None, read_only: false, external: None }.encode()
}

/// libtorrent bans an address for 50 messages in ten seconds, and all of our nodes are on one.
#[test]
fn nobody_hears_too_much_from_all_of_our_nodes_together() {
    let mut world = World::new(20, 11);
    let mut core = crawler(&world, 64);
    for minute in 0..6 {
        for number in 0..20_u8 {
            let infohash = infohash(number.wrapping_add(minute * 20));
            world.start(usize::from(number), Lookup::Announce { infohash, port: 9000, seed: false });
            let _ = core.find_peers(world.now, infohash, Waits::Nobody);
        }
        world.run(Some(&mut core), MINUTE);
    }
    let stats = core.stats();
    let joined = core.nodes.iter().filter(|node| node.stats().contacts >= 10).count();
    println!("{joined} of 64 joined; {stats:?}");
    assert!(joined >= 60, "{joined}");
    assert!(stats.withheld > 0, "nothing had to wait, so nothing was tried");
    let mut most = 0;
    for node in 0..20 {
        let times: Vec<Time> = world.trace.iter().filter(|(_, to, _)| *to == addr(node)).map(|(at, ..)| *at).collect();
        for (first, at) in times.iter().enumerate() {
            let within = times[first..].iter().take_while(|later| later.since(*at) < Duration::from_secs(10)).count();
            most = most.max(within as u32);
        }
    }
    assert!(most > 15 && most <= 40, "{most}");
}

/// As many lookups as may be are under way for the index, and questions are held back; nobody waits for that.
#[test]
fn what_a_person_waits_for_does_not_queue_behind_the_index() {
    let mut world = World::new(40, 12);
    let limits = Limits { questions_per_second: 20, ..Limits::default() };
    let mut core = Core::new(CoreConfig { limits, ..World::config(1, 5, Saved::default()) }, world.now);
    world.run(Some(&mut core), MINUTE * 2);
    world.start(9, Lookup::Announce { infohash: infohash(1), port: 9009, seed: true });
    world.run(Some(&mut core), MINUTE);
    let search = |core: &mut Core, now, waits| {
        while core.find_peers(now, infohash(200), Waits::Nobody).is_ok() {}
        assert!(core.held_until.is_some() && core.tasks.len() == 32, "{} lookups", core.tasks.len());
        core.find_peers(now, infohash(1), waits).unwrap()
    };
    let begun = world.now;
    let search = search(&mut core, begun, Waits::Person);
    world.run(Some(&mut core), Duration::from_secs(3));
    let is_found =
        |(_, event): &(Time, CoreEvent)| matches!(event, CoreEvent::Peers { search: of, .. } if *of == search);
    assert!(world.heard.iter().any(is_found), "{:?}", core.stats());
}

#[test]
fn who_lies_is_forgotten_by_all() {
    let mut world = World::new(40, 13);
    let mut core = crawler(&world, 8);
    world.run(Some(&mut core), MINUTE * 2);
    let know_of = |core: &Core, liar: SocketAddr| {
        core.nodes.iter().filter(|node| node.contacts().any(|one| one.addr == liar)).count()
    };
    let liar = (0..40).map(addr).max_by_key(|addr| know_of(&core, *addr)).unwrap();
    let know = |core: &Core| know_of(core, liar);
    assert!(know(&core) > 1);
    core.shun(world.now, 0, liar);
    assert_eq!(know(&core), 0);
    world.run(Some(&mut core), MINUTE);
    assert_eq!(know(&core), 0, "nor does it come back at once");
}

#[test]
fn our_own_new_address_is_forgotten_at_once_and_ids_follow_later() {
    let mut world = World::new(40, 13);
    let mut core = crawler(&world, 8);
    world.run(Some(&mut core), MINUTE * 2);
    let ids: Vec<_> = core.ids().collect();
    assert!(core.upkeep.bound.is_some(), "they changed for the address that we had");
    // As strangers name it to us before we know that it is ours.
    let us = Contact { id: NodeId([3; 20]), addr: "85.6.7.8:7003".parse().unwrap() };
    core.book.answered(world.now, us, &mut core.rng);
    for node in 0..8 {
        core.upkeep.seen_as.insert(node, us.addr.ip());
    }
    world.run(Some(&mut core), Duration::from_secs(2));
    assert_eq!(core.own.external, Some(us.addr.ip()));
    assert!(core.book.nearest(&us.id.0, 1)[0] != us);
    assert_eq!(core.ids().collect::<Vec<_>>(), ids, "each change costs our place in others' tables");
    // As if an hour had passed.
    core.upkeep.bound = None;
    world.run(Some(&mut core), Duration::from_secs(2));
    assert!(core.ids().all(|id| bep42::is_valid(&id, us.addr.ip())));
}

#[test]
fn who_reads_only_answers_nobody_and_says_so() {
    let mut world = World::new(40, 14);
    let limits = Limits { answers: false, ..Limits::default() };
    let mut core = Core::new(CoreConfig { limits, ..World::config(100, 5, Saved::default()) }, world.now);
    world.run(Some(&mut core), MINUTE * 3);
    assert!(core.stats().contacts_known > 30);
    for socket in 0..100 {
        core.handle_datagram(world.now, socket, "90.1.2.3:4444".parse().unwrap(), &ping());
    }
    let sent: Vec<_> = std::iter::from_fn(|| core.poll_transmit()).collect();
    for (_, transmit) in &sent {
        let message = Message::parse(&transmit.payload).unwrap();
        assert!(matches!(message.body, Body::Query { .. }) && message.read_only);
    }
    assert!(!sent.is_empty());
}

/// What leaves us is counted as it leaves, and no router has to translate more than it is said to bear.
#[test]
fn flows_and_datagrams_are_as_they_are_counted() {
    let mut world = World::new(60, 15);
    let limits = Limits { flows: 128, ..Limits::default() };
    let mut core = Core::new(CoreConfig { limits, ..World::config(200, 5, Saved::default()) }, world.now);
    let mut most = 0;
    for round in 0..20_u8 {
        for number in 0..20 {
            world.start(usize::from(number), Lookup::GetPeers(infohash(number + round)));
            let _ = core.find_peers(world.now, infohash(number.wrapping_mul(3)), Waits::Person);
        }
        for second in 0..30_u8 {
            // Each is another flow if it is answered.
            for stranger in 0..10 {
                world.send_to_crawler(u16::from(second), ([90, round, second, stranger], 1).into(), ping());
            }
            world.run(Some(&mut core), Duration::from_secs(1));
            let flows = world.translated(FLOW_LIFE);
            assert!(flows <= 128, "{flows}");
            most = most.max(flows);
        }
    }
    assert!(most > 112, "{most}: what must not wait may use them all");
    let stats = core.stats();
    assert_eq!(stats.datagrams_out, world.trace.len() as u64);
    assert_eq!(stats.bytes_out, world.trace.iter().map(|(_, _, bytes)| *bytes as u64).sum::<u64>());
    assert!(stats.withheld > 0 && stats.answers_withheld > 0, "{stats:?}");
}

#[test]
fn a_late_shell_loses_peers_and_no_end() {
    let world = World::new(0, 1);
    let mut core = crawler(&world, 1);
    let search = core.find_peers(world.now, infohash(1), Waits::Nobody).unwrap();
    let peers = vec![addr(1)];
    (0..10_000).for_each(|_| core.hand_out(CoreEvent::Peers { search, peers: peers.clone() }));
    core.handle_timeout(world.now + MINUTE);
    assert!(core.fills().iter().all(|fill| fill.entries <= fill.bound), "{:?}", core.fills());
    let told: Vec<_> = std::iter::from_fn(|| core.poll_event()).collect();
    assert_eq!(told.iter().filter(|event| **event == CoreEvent::SearchDone { search }).count(), 1);
    let told = told.iter().filter(|event| matches!(event, CoreEvent::Peers { .. })).count() as u64;
    assert!(told > 1000 && told + core.stats().events_lost == 10_000, "{told}");
}
