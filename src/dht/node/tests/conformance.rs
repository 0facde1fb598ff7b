//! What the specifications demand of a node, one by one; the table is in [`crate::dht`].

use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;

use super::{INFOHASH, MINUTE, addr, exchange, node, query, random_id, reply, response};
use crate::dht::bloom::Bloom;
use crate::dht::krpc::{Body, Message, Nodes, Query, Response, Values, Want, compact};
use crate::dht::sim::{Links, Network};
use crate::dht::{Contact, Event, Family, Lookup, Node, NodeConfig};
use crate::types::{InfoHash, Time};

/// Longest payload of BEP 32.
const MAX_PAYLOAD: usize = 1024;

fn v6(number: u16) -> SocketAddr {
    SocketAddr::from(([0x2a00, number, 0, 0, 0, 0, 0, 1], 6881))
}

fn addr_of(family: Family, number: u16) -> SocketAddr {
    if family == Family::V6 { v6(number) } else { addr(number) }
}

fn get_peers(want: Option<Want>, scrape: bool) -> Query<'static> {
    Query::GetPeers { infohash: INFOHASH, want, no_seeds: false, scrape }
}

/// A node that knows `contacts` others of its family, and as many of the other one.
fn node_among(family: Family, contacts: u16) -> Node {
    let config = NodeConfig { family, reply_bytes_per_second: u32::MAX, ..NodeConfig::default() };
    let mut node = Node::new(config, random_id(0), 1, Time::ZERO);
    for number in 1..=contacts {
        let contact = Contact { id: random_id(number), addr: addr_of(family, number) };
        node.add_contact(Time::ZERO, contact);
        while let Some(sent) = node.poll_transmit() {
            let transaction = Message::parse(&sent.payload).unwrap().transaction;
            let body = Body::Response(Response::new(contact.id));
            let answer = Message { transaction, body, version: None, read_only: false, external: None }.encode();
            node.handle_datagram(Time::ZERO, sent.to, &answer);
        }
    }
    let other = if family == Family::V6 { Family::V4 } else { Family::V6 };
    let twins = (1..=contacts).map(|number| Contact { id: random_id(number), addr: addr_of(other, number) });
    node.set_other_family(twins);
    node
}

/// Announces a peer, with the token that this takes.
fn announce(node: &mut Node, now: Time, from: SocketAddr, port: u16, seed: bool) {
    let sent = exchange(node, now, from, &query(get_peers(None, false)));
    let token = response(&sent).token.unwrap().to_vec();
    let announce =
        Query::AnnouncePeer { infohash: INFOHASH, port, implied_port: false, token: &token, seed: Some(seed) };
    let sent = exchange(node, now, from, &query(announce));
    assert!(matches!(reply(&sent).unwrap().body, Body::Response(_)));
}

#[test]
fn unknown_methods_get_204_or_the_way_to_their_target() {
    let mut node = node_among(Family::V4, 20);
    let without: [&[u8]; 4] = [
        b"d1:q4:vote1:t2:tt1:y1:qe",
        b"d1:ade1:q4:vote1:t2:tt1:y1:qe",
        b"d1:ad2:id20:abcdefghij0123456789e1:q4:vote1:t2:tt1:y1:qe",
        b"d1:ad2:id20:abcdefghij01234567895:token1:x1:v2:hie1:q3:put1:t2:tt1:y1:qe",
    ];
    for datagram in without {
        let sent = exchange(&mut node, Time::ZERO, addr(50), datagram);
        assert!(matches!(reply(&sent).unwrap().body, Body::Error { code: 204, .. }), "{datagram:?}");
    }
    let target = random_id(3);
    let sent = exchange(&mut node, Time::ZERO, addr(50), &query(Query::Other { method: b"get", target }));
    assert_eq!(response(&sent).nodes.iter().next().map(|contact| contact.id), Some(target));
    let no_id = b"d1:ad6:target20:mnopqrstuvwxyz123456e1:q3:get1:t2:tt1:y1:qe";
    let sent = exchange(&mut node, Time::ZERO, addr(50), no_id);
    assert!(matches!(reply(&sent).unwrap().body, Body::Error { code: 203, .. }));
    assert_eq!((node.stats().other_queries, node.stats().malformed), (5, 1));
}

#[test]
fn transaction_ids_of_any_length_are_echoed() {
    let mut node = node(0);
    for length in [0, 1, 2, 4, 20, 33, 400, 900] {
        let transaction = vec![b'x'; length];
        let body = Body::Query { id: random_id(9000), query: Query::FindNode { target: random_id(3), want: None } };
        let ask = Message { transaction: &transaction, body, version: None, read_only: false, external: None };
        let sent = exchange(&mut node, Time::ZERO, addr(50), &ask.encode());
        let echoed = sent.iter().any(|sent| {
            let message = Message::parse(sent).unwrap();
            message.transaction == transaction && matches!(message.body, Body::Response(_))
        });
        assert!(echoed, "{length}");
    }
}

#[test]
fn families_are_told_as_they_are_wanted() {
    let want = |v4, v6| Some(Want { v4, v6 });
    for family in [Family::V4, Family::V6] {
        let mut node = node_among(family, 20);
        let (plain4, plain6) = (family == Family::V4, family == Family::V6);
        for (want, v4, v6) in [
            (None, plain4, plain6),
            (want(true, false), true, false),
            (want(false, true), false, true),
            (want(true, true), true, true),
            (want(false, false), false, false),
        ] {
            let target = random_id(7);
            for query in [
                query(Query::FindNode { target, want }),
                query(get_peers(want, false)),
                query(Query::SampleInfohashes { target, want }),
            ] {
                let sent = exchange(&mut node, Time::ZERO, addr_of(family, 99), &query);
                let response = response(&sent);
                let (nodes, nodes6) = (response.nodes.iter().count(), response.nodes6.iter().count());
                assert_eq!((nodes, nodes6), (usize::from(v4) * 8, usize::from(v6) * 8), "{family:?} {want:?}");
                assert!(response.nodes.iter().all(|contact| contact.addr.is_ipv4()));
                assert!(response.nodes6.iter().all(|contact| contact.addr.is_ipv6()));
            }
        }
    }
}

#[test]
fn a_dual_stack_asks_for_both_families_while_joining_only() {
    let config = NodeConfig { dual_stack: true, ..NodeConfig::default() };
    let mut node = Node::new(config, random_id(0), 1, Time::ZERO);
    node.bootstrap(Time::ZERO, &[addr(1)]);
    let sent = node.poll_transmit().unwrap();
    let asked = Message::parse(&sent.payload).unwrap();
    let Body::Query { query: Query::FindNode { want, .. }, .. } = asked.body else { unreachable!("not find_node") };
    assert_eq!(want, Some(Want { v4: true, v6: true }));
    let outside = Contact { id: random_id(6), addr: "[fe80::1]:6881".parse().unwrap() };
    let twin = Contact { id: random_id(5), addr: v6(5) };
    let mut nodes6 = Vec::new();
    [outside, twin].iter().for_each(|contact| compact::push_contact(&mut nodes6, contact));
    let body = Body::Response(Response { nodes6: Nodes::v6(&nodes6), ..Response::new(random_id(1)) });
    let transaction = asked.transaction;
    let answer = Message { transaction, body, version: None, read_only: false, external: None }.encode();
    node.handle_datagram(Time::ZERO, addr(1), &answer);
    let told: Vec<Event> = std::iter::from_fn(|| node.poll_event()).collect();
    assert_eq!(told, [Event::OtherFamily(twin)], "and nothing out of scope");
    let mut settled = node_among(Family::V4, 20);
    settled.start(Time::ZERO, Lookup::GetPeers(INFOHASH)).unwrap();
    let sent = settled.poll_transmit().unwrap();
    assert!(
        Message::parse(&sent.payload).unwrap().body == Body::Query { id: random_id(0), query: get_peers(None, false) }
    );
}

#[test]
fn mapped_addresses_are_the_addresses_they_map() {
    let mapped: SocketAddr = "[::ffff:80.0.0.9]:6881".parse().unwrap();
    let plain: SocketAddr = "80.0.0.9:6881".parse().unwrap();
    let bytes: [u8; 18] = std::array::from_fn(|at| match at {
        10 | 11 => 0xff,
        12 => 80,
        15 => 9,
        16 => 0x1a,
        17 => 0xe1,
        _ => 0,
    });
    assert_eq!(compact::read_addr(&bytes), Some(plain));
    let mut written = Vec::new();
    compact::push_addr(&mut written, mapped);
    assert_eq!(written, [80, 0, 0, 9, 0x1a, 0xe1]);
    let mut node = node(0);
    announce(&mut node, Time::ZERO, mapped, 7, false);
    assert_eq!(node.stored_peers(&INFOHASH, 9), [SocketAddr::new(plain.ip(), 7)]);
    let mut list = Vec::from(*b"18:");
    list.extend_from_slice(&bytes);
    assert_eq!(Values::pushed(&list).iter().collect::<Vec<_>>(), [plain]);
}

#[test]
fn filters_tell_seeds_from_the_others() {
    let mut node = node_among(Family::V4, 20);
    let sent = exchange(&mut node, Time::ZERO, addr(99), &query(get_peers(None, true)));
    assert_eq!(response(&sent).scrape, None, "nothing is known of it");
    for number in 100..140 {
        announce(&mut node, Time::ZERO, addr(number), 7, number < 130);
    }
    // The same host at another port is no further peer.
    announce(&mut node, Time::ZERO, addr(100), 8, true);
    let sent = exchange(&mut node, Time::ZERO, addr(99), &query(get_peers(None, true)));
    let filters = response(&sent).scrape.unwrap();
    let filter_of = |numbers: std::ops::Range<u16>| {
        let mut bloom = Bloom::default();
        numbers.for_each(|number| bloom.insert(addr(number).ip()));
        bloom
    };
    assert_eq!(filters.seeds, filter_of(100..130).as_bytes());
    assert_eq!(filters.peers, filter_of(130..140).as_bytes());
    let sent = exchange(&mut node, Time::ZERO, addr(99), &query(get_peers(None, false)));
    assert_eq!(response(&sent).scrape, None, "not asked for");
    assert_eq!(response(&sent).values.unwrap().iter().count(), 41);
}

#[test]
fn a_scrape_counts_a_torrent_over_the_network() {
    let mut network = Network::new(7, Links::default());
    for number in 0..60 {
        network.add(addr(number), node(number));
        network.with(addr(number), |node, now| node.bootstrap(now, &[addr(0)]));
        network.run_for(Duration::from_millis(200));
    }
    network.run_for(2 * MINUTE);
    for number in 0..40 {
        let lookup = Lookup::Announce { infohash: INFOHASH, port: 7, seed: number < 25 };
        network.with(addr(number), |node, now| node.start(now, lookup)).unwrap().unwrap();
    }
    network.run_for(MINUTE);
    let lookup = network.with(addr(55), |node, now| node.start(now, Lookup::Scrape(INFOHASH))).unwrap().unwrap();
    let events = network.run_for(MINUTE);
    let told: Vec<(u32, u32)> = events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Scraped { lookup: of, infohash: INFOHASH, seeds, peers } if *of == lookup => Some((*seeds, *peers)),
            _ => None,
        })
        .collect();
    let [(seeds, peers)] = told[..] else { unreachable!("told once: {told:?}") };
    assert!((24..=26).contains(&seeds) && (14..=16).contains(&peers), "{seeds} {peers}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn no_reply_is_longer_than_a_datagram_may_be(
        v6: bool, hosts in 0_u16..150, transaction in 0_usize..1900, kind in 0_u8..4, scrape: bool, both: bool,
    ) {
        let family = if v6 { Family::V6 } else { Family::V4 };
        let mut node = node_among(family, 24);
        for number in 1000..1000 + hosts {
            announce(&mut node, Time::ZERO, addr_of(family, number), 7, number % 2 == 0);
        }
        let want = both.then_some(Want { v4: true, v6: true });
        let transaction = vec![b'x'; transaction];
        let query = match kind {
            0 => Query::Ping,
            1 => Query::FindNode { target: random_id(3), want },
            2 => get_peers(want, scrape),
            _ => Query::SampleInfohashes { target: random_id(3), want },
        };
        let body = Body::Query { id: random_id(9000), query };
        let ask = Message { transaction: &transaction, body, version: None, read_only: true, external: None };
        let sent = exchange(&mut node, Time::ZERO, addr_of(family, 999), &ask.encode());
        prop_assert!(sent.iter().all(|payload| payload.len() <= MAX_PAYLOAD));
        // A plain reply takes some 90 bytes besides its transaction id.
        let answered = sent.len() == 1;
        prop_assert!(answered || transaction.len() > 900, "answered as long as there is room");
        prop_assert!(!answered || transaction.len() < 1000);
        if let Some(payload) = sent.first().filter(|_| transaction.len() <= 4) {
            let Body::Response(response) = Message::parse(payload).unwrap().body else { unreachable!("no response") };
            let own = if v6 { response.nodes6 } else { response.nodes };
            prop_assert_eq!(own.iter().count(), if kind == 0 { 0 } else { 8 }, "contacts are always told");
            prop_assert_eq!(response.scrape.is_some(), kind == 2 && scrape && hosts > 0);
            let full = if v6 || scrape { 2 } else { 50.min(hosts.into()) };
            let told = response.values.map_or(0, |values| values.iter().count());
            prop_assert!(kind != 2 || both || hosts == 0 || told >= full.min(hosts.into()), "{} peers", told);
        }
    }

    #[test]
    fn any_infohash_and_token_is_judged_by_the_address_it_came_from(hash: [u8; 20], token: Vec<u8>, port: u16) {
        let mut node = node(0);
        let token = &token[..token.len().min(64)];
        let query = query(Query::AnnouncePeer { infohash: InfoHash(hash), port: port.max(1), implied_port: false, token, seed: None });
        let sent = exchange(&mut node, Time::ZERO, addr(50), &query);
        let refused = matches!(reply(&sent).unwrap().body, Body::Error { code: 203, .. });
        prop_assert!(refused);
        prop_assert_eq!(node.stats().stored_peers, 0);
    }
}
