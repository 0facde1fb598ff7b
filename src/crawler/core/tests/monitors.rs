//! More nodes than have tables: the others answer, tend and hear as nodes do.

use std::collections::HashMap;

use super::*;
use crate::config::{IdStrategy, Zone};
use crate::crawler::CoreConfig;
use crate::crawler::own::{MAX_TABLES, Role};
use crate::dht::Node;
use crate::dht::krpc::{Response, Want};

/// Sockets of the crawler; two thirds of them are monitors.
const SOCKETS: u16 = 192;

/// A host that is no node of the world.
const STRANGER: &str = "90.1.2.3:4444";

fn monitor_sockets(core: &Core) -> Vec<u32> {
    (0..u32::from(SOCKETS)).filter(|socket| matches!(core.roles.role(*socket), Role::Monitor(_))).collect()
}

fn settled(seed: u64) -> (World, Core) {
    let mut world = World::new(40, seed);
    let mut core = crawler(&world, SOCKETS);
    world.run(Some(&mut core), MINUTE * 3);
    (world, core)
}

/// What a socket of the crawler answers to a query of `from`, read by `read`.
fn ask<T>(
    core: &mut Core,
    now: Time,
    (socket, from): (u32, &str),
    query: Query<'_>,
    read: impl Fn(&Body<'_>) -> T,
) -> T {
    let from: SocketAddr = from.parse().unwrap();
    let body = Body::Query { id: NodeId([7; 20]), query };
    let message = Message { transaction: b"long-transaction", body, version: None, read_only: true, external: None };
    core.handle_datagram(now, socket, from, &message.encode());
    let mut replies = std::iter::from_fn(|| core.poll_transmit()).filter(|(_, transmit)| transmit.to == from);
    let (by, reply) = replies.next().expect("it answers");
    assert_eq!((by, replies.next()), (socket, None), "once, and from where it was asked");
    let message = Message::parse(&reply.payload).unwrap();
    assert_eq!((message.transaction, message.external), (b"long-transaction".as_slice(), Some(from)));
    read(&message.body)
}

fn response<'a>(body: &'a Body<'a>) -> &'a Response<'a> {
    match body {
        Body::Response(response) => response,
        other => panic!("{other:?}"),
    }
}

#[test]
fn few_have_tables_and_all_have_ids() {
    let world = World::new(0, 1);
    let core = crawler(&world, SOCKETS);
    let ids: Vec<_> = core.ids().collect();
    assert_eq!((core.nodes.len(), core.monitors.ids().len()), (MAX_TABLES as usize, 192 - MAX_TABLES as usize));
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), usize::from(SOCKETS));
}

#[test]
fn a_monitor_answers_as_a_node_does() {
    let (world, mut core) = settled(21);
    let (now, socket) = (world.now, monitor_sockets(&core)[17]);
    let id = core.ids().nth(socket as usize).unwrap();
    let at = (socket, STRANGER);
    assert_eq!(ask(&mut core, now, at, Query::Ping, |body| response(body).id), id);
    let nodes = |body: &Body<'_>| response(body).nodes.iter().collect::<Vec<Contact>>();
    let target = id;
    let named = ask(&mut core, now, at, Query::FindNode { target, want: None }, nodes);
    let mut closest: Vec<_> = world.nodes.iter().map(Node::id).collect();
    closest.sort_by_key(|other| other.distance(&target.0));
    assert_eq!(named.iter().map(|contact| contact.id).collect::<Vec<_>>(), closest[..8], "those that are there");
    let v6 = Some(Want { v4: false, v6: true });
    let both = |body: &Body<'_>| (response(body).nodes.iter().count(), response(body).nodes6.iter().count());
    assert_eq!(ask(&mut core, now, at, Query::FindNode { target, want: v6 }, both), (0, 0));
    let get_peers = || Query::GetPeers { infohash: infohash(5), want: None, no_seeds: false, scrape: false };
    let token = ask(&mut core, now, at, get_peers(), |body| response(body).token.unwrap().to_vec());
    let announce =
        |token| Query::AnnouncePeer { infohash: infohash(5), port: 99, implied_port: false, token, seed: None };
    let refused = |body: &Body<'_>| matches!(body, Body::Error { code: 203, .. });
    assert!(ask(&mut core, now, at, announce(b"made up"), refused));
    assert!(ask(&mut core, now, (socket, "90.1.2.4:4444"), announce(&token), refused), "another's token");
    assert_eq!(ask(&mut core, now, at, announce(&token), |body| response(body).id), id);
    let peers = |body: &Body<'_>| response(body).values.map(|values| values.iter().collect::<Vec<_>>());
    let peer: SocketAddr = "90.1.2.3:99".parse().unwrap();
    assert_eq!(ask(&mut core, now, at, get_peers(), peers), Some(vec![peer]));
    let sample = |body: &Body<'_>| response(body).sample.unwrap().samples.iter().collect::<Vec<_>>();
    let query = Query::SampleInfohashes { target, want: None };
    assert_eq!(ask(&mut core, now + MINUTE * 11, at, query, sample), [infohash(5)]);
    let search = core.find_peers(now, infohash(5), Waits::Nobody).unwrap();
    let events: Vec<_> = std::iter::from_fn(|| core.poll_event()).collect();
    assert!(events.contains(&CoreEvent::Peers { search, peers: vec![peer] }), "what it was told is found");
}

#[test]
fn what_monitors_hear_is_told_with_their_socket() {
    let (mut world, mut core) = settled(22);
    let heard = |core: &mut Core, now, from: &str| {
        let socket = monitor_sockets(core)[3];
        let query = Query::GetPeers { infohash: infohash(9), want: None, no_seeds: false, scrape: false };
        ask(core, now, (socket, from), query, |_| ());
        std::iter::from_fn(|| core.poll_event()).collect::<Vec<_>>()
    };
    assert_eq!(heard(&mut core, world.now, "90.1.2.3:4444"), []);
    let told = heard(&mut core, world.now, "91.1.2.3:4444");
    let sockets: Vec<_> = told
        .iter()
        .map(|event| match event {
            CoreEvent::Sighting(Heard { node, infohash: of, .. }) if *of == infohash(9) => *node,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(sockets, [monitor_sockets(&core)[3]; 2]);
    world.run(Some(&mut core), MINUTE);
}

#[test]
fn nobody_is_asked_more_than_a_client_bears() {
    let (mut world, mut core) = settled(23);
    world.run(Some(&mut core), MINUTE * 60);
    let mut windows: HashMap<(SocketAddr, u64), u32> = HashMap::new();
    for (at, to, _) in &world.trace {
        *windows.entry((*to, at.as_millis() / 10_000)).or_default() += 1;
    }
    let most = windows.values().max().unwrap();
    // Two windows side by side stay below what libtorrent bans for, 50 in 10 s, answers included.
    assert!(*most <= 25, "{most}");
    let book = core.book.len();
    assert!(book >= 38, "{book} of 40 are still known after an hour");
}

#[test]
fn those_that_are_gone_are_forgotten() {
    let (mut world, mut core) = settled(24);
    assert!(core.book.len() >= 38);
    world.silence(20);
    world.run(Some(&mut core), MINUTE * 40);
    assert!((15..=20).contains(&core.book.len()), "{}", core.book.len());
}

#[test]
fn in_a_zone_inhabitants_know_their_own_monitor() {
    let mut world = World::new(40, 25);
    let zone = Zone::new(1 << 63, 1);
    let strategy = IdStrategy::Zone(zone);
    let mut core = Core::new(CoreConfig { strategy, ..World::config(SOCKETS, 5, Saved::default()) }, world.now);
    world.run(Some(&mut core), MINUTE * 3);
    assert!(core.book.len() >= 38, "others are known all the same");
    let (mut inhabitants, mut at_home) = (0, 0);
    for node in &world.nodes {
        let known = node.contacts().filter(|contact| contact.addr.ip() == core.own.ip());
        let known: Vec<NodeId> = known.map(|contact| contact.id).collect();
        let home = core.monitors.home(&node.id()).map(|home| core.monitors.ids()[home as usize]);
        if zone.holds(&node.id()) {
            inhabitants += 1;
            at_home += u32::from(home.is_some_and(|home| known.contains(&home)));
        }
    }
    assert!(inhabitants >= 10);
    assert!(at_home * 10 >= inhabitants * 9, "{at_home} of {inhabitants}");
}
