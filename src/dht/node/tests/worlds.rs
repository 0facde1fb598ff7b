//! Networks of nodes.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{INFOHASH, MINUTE, addr, node, random_id};
use crate::dht::sim::{Links, Network};
use crate::dht::{Contact, Event, Family, Lookup, LookupId, Node, NodeConfig, SightingKind};
use crate::types::{InfoHash, NodeId, Scope, Time};

/// A network of `count` nodes that came one after the other, each told of the first only.
fn network(count: u16, links: Links) -> Network {
    let mut network = Network::new(7, links);
    for number in 0..count {
        network.add(addr(number), node(number));
        if number > 0 {
            network.with(addr(number), |node, now| node.bootstrap(now, &[addr(0)]));
        }
        network.run_for(Duration::from_millis(200));
    }
    network
}

fn start(network: &mut Network, at: u16, lookup: Lookup) -> LookupId {
    network.with(addr(at), |node, now| node.start(now, lookup)).unwrap().unwrap()
}

fn done(events: &[(SocketAddr, Event)], at: u16, wanted: LookupId) -> (Vec<Contact>, u32, u32) {
    let found = events.iter().find_map(|(from, event)| match event {
        Event::LookupDone { lookup, closest, announced, peers } if *from == addr(at) && *lookup == wanted => {
            Some((closest.clone(), *announced, *peers))
        }
        _ => None,
    });
    found.expect("the lookup ended")
}

/// The nodes that are truly closest.
fn truth(numbers: impl Iterator<Item = u16>, target: &[u8; 20]) -> Vec<Contact> {
    let mut all: Vec<_> = numbers.map(|number| Contact { id: random_id(number), addr: addr(number) }).collect();
    all.sort_by_key(|contact| contact.id.distance(target));
    all.truncate(8);
    all
}

#[test]
fn everybody_is_found_from_everywhere() {
    let mut network = network(100, Links::default());
    network.run_for(2 * MINUTE);
    let pairs: Vec<(u16, u16)> = (0..100).zip((0..100).rev()).collect();
    let lookups: Vec<LookupId> =
        pairs.iter().map(|(asker, sought)| start(&mut network, *asker, Lookup::FindNode(random_id(*sought)))).collect();
    let events = network.run_for(Duration::from_secs(30));
    for ((asker, sought), lookup) in pairs.into_iter().zip(lookups) {
        let (closest, _, _) = done(&events, asker, lookup);
        let expected = truth((0..100).filter(|number| *number != asker), &random_id(sought).0);
        assert_eq!(closest, expected, "{asker} seeks {sought}");
    }
    let fewest = (1..100).map(|number| network.node(addr(number)).unwrap().contacts().count()).min();
    assert!(fewest >= Some(24), "three full buckets, got {fewest:?}");
}

#[test]
fn an_announce_is_found_despite_loss() {
    let mut network = network(80, Links { loss: 0.05, ..Links::default() });
    network.run_for(2 * MINUTE);
    let announce = start(&mut network, 3, Lookup::Announce { infohash: INFOHASH, port: 7000, seed: true });
    let events = network.run_for(MINUTE);
    let (_, announced, peers) = done(&events, 3, announce);
    assert!(announced >= 6 && peers == 0, "{announced} {peers}");
    let sightings = events.iter().filter(|(_, event)| {
        let kind = SightingKind::Announce { port: 7000, seed: Some(true) };
        *event == Event::Sighting { infohash: INFOHASH, kind, from: addr(3), from_id: random_id(3) }
    });
    assert!(sightings.count() >= announced as usize);
    for asker in [5, 40, 79] {
        let lookup = start(&mut network, asker, Lookup::GetPeers(INFOHASH));
        let events = network.run_for(MINUTE);
        let peer = SocketAddr::new(addr(3).ip(), 7000);
        let told: Vec<_> = events.iter().filter(|(_, event)| matches!(event, Event::Peers { .. })).collect();
        let expected = Event::Peers { lookup, infohash: INFOHASH, peers: vec![peer] };
        assert_eq!(told, [&(addr(asker), expected)], "told once");
        assert_eq!(done(&events, asker, lookup).2, 1);
    }
}

#[test]
fn announces_expire_and_an_implied_port_is_the_udp_port() {
    let mut network = network(20, Links::default());
    network.run_for(MINUTE);
    start(&mut network, 3, Lookup::Announce { infohash: INFOHASH, port: 0, seed: false });
    network.run_for(MINUTE);
    let holders = |network: &Network| {
        (0..20).filter(|number| network.node(addr(*number)).unwrap().stored_peers(&INFOHASH, 9) == [addr(3)]).count()
    };
    assert_eq!(holders(&network), 8);
    network.run_for(50 * MINUTE);
    assert_eq!(holders(&network), 0);
}

#[test]
fn the_dead_are_evicted_and_replaced() {
    let mut network = network(120, Links::default());
    network.run_for(5 * MINUTE);
    let dead: BTreeSet<SocketAddr> = (1..50).map(addr).collect();
    dead.iter().for_each(|addr| drop(network.remove(*addr)));
    let known = |network: &Network| -> usize {
        let node = network.node(addr(100)).unwrap();
        node.contacts().filter(|contact| dead.contains(&contact.addr)).count()
    };
    assert!(known(&network) > 10, "{}", known(&network));
    network.run_for(40 * MINUTE);
    assert_eq!(known(&network), 0);
    let table = network.node(addr(100)).unwrap().contacts().count();
    assert!(table >= 25, "{table}");
    let lookup = start(&mut network, 100, Lookup::FindNode(random_id(20)));
    let events = network.run_for(MINUTE);
    let living = std::iter::once(0).chain(50..100).chain(101..120);
    assert_eq!(done(&events, 100, lookup).0, truth(living, &random_id(20).0));
}

#[test]
fn a_link_that_is_down_costs_no_contacts() {
    let mut network = network(30, Links::default());
    network.run_for(5 * MINUTE);
    let before = network.node(addr(9)).unwrap().contacts().count();
    let alone = network.remove(addr(9)).unwrap();
    let mut island = Network::new(1, Links { loss: 1.0, ..Links::default() });
    island.run_for(5 * MINUTE);
    island.add(addr(9), alone);
    island.run_for(60 * MINUTE);
    let mut back = island.remove(addr(9)).unwrap();
    assert_eq!(back.contacts().count(), 0, "nobody is good");
    back.handle_timeout(island.now());
    network.run_for(60 * MINUTE);
    network.add(addr(9), back);
    network.run_for(10 * MINUTE);
    let after = network.node(addr(9)).unwrap().contacts().count();
    assert!(after * 10 >= before * 9, "{before} {after}");
}

#[test]
fn samples_are_given_and_taken() {
    let mut network = network(30, Links::default());
    network.run_for(MINUTE);
    let hashes: BTreeSet<InfoHash> = (0..15).map(|number| InfoHash(random_id(500 + number).0)).collect();
    for (asker, infohash) in hashes.iter().enumerate() {
        start(&mut network, asker as u16, Lookup::Announce { infohash: *infohash, port: 1, seed: false });
        network.run_for(Duration::from_secs(5));
    }
    let gather = |network: &mut Network| {
        let mut seen = BTreeSet::new();
        for target in hashes.iter().map(|hash| NodeId(hash.0)) {
            start(network, 29, Lookup::Sample(target));
            for (_, event) in network.run_for(Duration::from_secs(10)) {
                if let Event::Samples { infohashes, total, interval, .. } = event {
                    assert_eq!((total, interval), (Some(infohashes.len() as i64), 10 * MINUTE));
                    seen.extend(infohashes);
                }
            }
        }
        seen
    };
    assert_eq!(gather(&mut network), hashes);
    assert!(gather(&mut network).is_empty(), "nobody is asked twice within the interval");
}

#[test]
fn the_external_address_is_learnt() {
    let mut network = network(20, Links::default());
    let mut told = BTreeSet::new();
    network.run_for_each(20 * MINUTE, |at, _, event| {
        if let Event::ExternalAddress(ip) = event {
            assert!(told.insert((at, ip)), "told once");
        }
    });
    network.add(addr(30), node(30));
    network.with(addr(30), |node, now| node.bootstrap(now, &[addr(2)]));
    let events = network.run_for(MINUTE);
    let told: Vec<IpAddr> = events
        .iter()
        .filter(|(at, _)| *at == addr(30))
        .filter_map(|(_, event)| if let Event::ExternalAddress(ip) = event { Some(*ip) } else { None })
        .collect();
    assert_eq!(told, [addr(30).ip()]);
}

#[test]
fn lookups_are_bounded_and_can_be_cancelled() {
    let mut node = node(0);
    for number in 0..40 {
        node.add_contact(Time::ZERO, Contact { id: random_id(number), addr: addr(number) });
    }
    let ids: Vec<_> = (0..32).map(|_| node.start(Time::ZERO, Lookup::GetPeers(INFOHASH))).collect();
    // Nobody is known yet: they end at once, with an event each.
    assert!(ids.iter().all(Result::is_ok));
    assert_eq!(std::iter::from_fn(|| node.poll_event()).count(), 32);
    let mut network = network(30, Links::default());
    let all: Vec<_> = (0..33)
        .map(|_| network.with(addr(9), |node, now| node.start(now, Lookup::GetPeers(INFOHASH))).unwrap())
        .collect();
    assert!(all[..32].iter().all(Result::is_ok) && all[32].is_err());
    network.with(addr(9), |node, _| all[..31].iter().flatten().for_each(|lookup| node.cancel(*lookup)));
    let events = network.run_for(MINUTE);
    let ended = events.iter().filter(|(at, event)| *at == addr(9) && matches!(event, Event::LookupDone { .. }));
    assert_eq!(ended.count(), 1);
}

#[test]
fn a_changed_id_takes_the_contacts_along() {
    let mut network = network(40, Links::default());
    network.run_for(2 * MINUTE);
    let before = network.node(addr(9)).unwrap().contacts().count();
    let id = crate::dht::bep42::generate(addr(9).ip(), &mut ChaCha8Rng::seed_from_u64(5));
    network.with(addr(9), |node, now| node.set_id(now, id));
    network.run_for(MINUTE);
    let node = network.node(addr(9)).unwrap();
    assert_eq!(node.id(), id);
    assert!(node.contacts().count() * 10 >= before * 8);
    let lookup = start(&mut network, 20, Lookup::FindNode(id));
    let events = network.run_for(MINUTE);
    assert_eq!(done(&events, 20, lookup).0[0], Contact { id, addr: addr(9) });
}

#[test]
fn the_same_works_in_ipv6_and_on_loopback() {
    let v6 = |number: u16| SocketAddr::from(([0x2a00, number, 0, 0, 0, 0, 0, 1], 6881));
    let loopback = |number: u16| SocketAddr::from(([127, 0, 0, 1], 10_000 + number));
    for (family, scope) in [(Family::V6, Scope::Public), (Family::V4, Scope::Private)] {
        let addr = |number| if family == Family::V6 { v6(number) } else { loopback(number) };
        let mut network = Network::new(3, Links::default());
        for number in 0..30 {
            let config = NodeConfig { family, scope, ..NodeConfig::default() };
            network.add(addr(number), Node::new(config, random_id(number), number.into(), Time::ZERO));
            network.with(addr(number), |node, now| node.bootstrap(now, &[addr(0)]));
            network.run_for(Duration::from_millis(500));
        }
        network.run_for(MINUTE);
        let announce = Lookup::Announce { infohash: INFOHASH, port: 4000, seed: false };
        network.with(addr(4), |node, now| node.start(now, announce)).unwrap().unwrap();
        network.run_for(MINUTE);
        network.with(addr(25), |node, now| node.start(now, Lookup::GetPeers(INFOHASH))).unwrap().unwrap();
        let events = network.run_for(MINUTE);
        let peer = SocketAddr::new(addr(4).ip(), 4000);
        assert!(events.iter().any(|(_, event)| matches!(event, Event::Peers { peers, .. } if peers == &[peer])));
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let mut network = network(40, Links { loss: 0.1, ..Links::default() });
        start(&mut network, 3, Lookup::GetPeers(INFOHASH));
        (network.run_for(5 * MINUTE), network.delivered())
    };
    assert_eq!(run(), run());
}

#[test]
fn remembered_contacts_are_all_verified_and_bring_the_node_in() {
    let mut network = network(60, Links::default());
    network.run_for(MINUTE);
    network.add(addr(200), node(200));
    network.with(addr(200), |node, now| {
        // Half of what was remembered is gone by now.
        for number in (30..60).flat_map(|number| [number + 1000, number]) {
            node.add_contact(now, Contact { id: random_id(number), addr: addr(number) });
        }
    });
    network.run_for(MINUTE);
    let known: BTreeSet<Contact> = network.node(addr(200)).unwrap().contacts().collect();
    let living = (30..60).map(|number| Contact { id: random_id(number), addr: addr(number) });
    assert_eq!(living.filter(|contact| !known.contains(contact)).collect::<Vec<_>>(), []);
    let lookup = start(&mut network, 5, Lookup::FindNode(random_id(200)));
    let events = network.run_for(MINUTE);
    assert_eq!(done(&events, 5, lookup).0[0].addr, addr(200));
}
