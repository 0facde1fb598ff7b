//! One node and datagrams by hand.

use std::net::SocketAddr;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{INFOHASH, MINUTE, addr, answer, befriended, exchange, node, query, questions, random_id, reply, response};
use crate::dht::krpc::{Body, Message, Query, Response};
use crate::dht::{Contact, Event, Lookup, Node, NodeConfig, SightingKind};
use crate::types::Time;

#[test]
fn tokens_are_demanded_and_expire() {
    let mut node = node(0);
    let asker = addr(50);
    let now = Time::from_millis(1);
    let sent = exchange(
        &mut node,
        now,
        asker,
        &query(Query::GetPeers { infohash: INFOHASH, want: None, no_seeds: false, scrape: false }),
    );
    let token = response(&sent).token.unwrap().to_vec();
    let announce = |token: &[u8]| {
        query(Query::AnnouncePeer { infohash: INFOHASH, port: 9, implied_port: false, token, seed: None })
    };
    for (later, from, token, good) in [
        (Duration::ZERO, asker, &token[..], true),
        (4 * MINUTE, asker, &token[..], true),
        (11 * MINUTE, asker, &token[..], false),
        (Duration::ZERO, addr(51), &token[..], false),
        (Duration::ZERO, asker, b"guess".as_slice(), false),
    ] {
        let sent = exchange(&mut node, now + later, from, &announce(token));
        let body = reply(&sent).unwrap().body;
        assert_eq!(matches!(body, Body::Response(_)), good, "{later:?} {from}");
        assert_eq!(matches!(body, Body::Error { code: 203, .. }), !good);
    }
    let stats = node.stats();
    assert_eq!((stats.announces, stats.bad_tokens, stats.torrents), (5, 3, 1));
    let announces = std::iter::from_fn(|| node.poll_event())
        .filter(|event| matches!(event, Event::Sighting { kind: SightingKind::Announce { .. }, .. }));
    assert_eq!(announces.count(), 2);
}

#[test]
fn replies_say_what_others_need() {
    let mut node = node(0);
    let asker = addr(50);
    let sent = exchange(&mut node, Time::ZERO, asker, &query(Query::Ping));
    let message = reply(&sent).unwrap();
    assert_eq!(message.external, Some(asker));
    assert_eq!(message.version, Some(b"SJ\x00\x01".as_slice()));
    assert_eq!(response(&sent).id, random_id(0));
    let unknown = exchange(&mut node, Time::ZERO, asker, b"d1:q4:vote1:t2:tt1:y1:qe");
    assert!(matches!(reply(&unknown).unwrap().body, Body::Error { code: 204, .. }));
    let bad = exchange(&mut node, Time::ZERO, asker, b"d1:ade1:q4:ping1:t2:tt1:y1:qe");
    assert!(matches!(reply(&bad).unwrap().body, Body::Error { code: 203, .. }));
}

#[test]
fn a_read_only_node_asks_and_never_answers() {
    let config = NodeConfig { read_only: true, ..NodeConfig::default() };
    let mut quiet = Node::new(config, random_id(1), 1, Time::ZERO);
    let sent = exchange(&mut quiet, Time::ZERO, addr(50), &query(Query::Ping));
    assert!(reply(&sent).is_none());
    assert!(sent.iter().all(|datagram| Message::parse(datagram).unwrap().read_only), "asks with ro");
    let mut other = node(2);
    let told = exchange(&mut other, Time::ZERO, addr(1), &sent[0]);
    assert_eq!(told.len(), 1, "answered, but not asked back");
}

#[test]
fn floods_are_bounded_in_replies_and_memory() {
    let mut node = node(0);
    let find = query(Query::FindNode { target: random_id(3), want: None });
    let mut replies = 0;
    for _ in 0..10_000 {
        replies += exchange(&mut node, Time::ZERO, addr(60), &find).len();
    }
    assert!(replies <= 51, "{replies}");
    assert_eq!(node.stats().flooding, 9950);
    // From all over, with forged addresses.
    let mut bytes = 0;
    for number in 0..60_000 {
        let now = Time::from_millis(u64::from(number) / 60);
        bytes += exchange(&mut node, now, addr(number), &find).iter().map(Vec::len).sum::<usize>();
    }
    let stats = node.stats();
    assert!(bytes < 200_000 && stats.over_budget > 50_000, "{bytes} {stats:?}");
    // A shell that does not listen.
    for number in 0..20_000_u16 {
        let mut hash = INFOHASH;
        hash.0[..2].copy_from_slice(&number.to_be_bytes());
        let ask = query(Query::GetPeers { infohash: hash, want: None, no_seeds: false, scrape: false });
        node.handle_datagram(Time::from_millis(100_000 + u64::from(number)), addr(number), &ask);
    }
    assert!(std::iter::from_fn(|| node.poll_transmit()).count() <= 512);
    assert!(std::iter::from_fn(|| node.poll_event()).count() <= 2048);
    assert!(node.stats().events_lost > 0 && node.stats().transmits_lost > 0);
}

#[test]
fn nothing_leaves_the_scope() {
    let mut node = node(0);
    for outside in ["127.0.0.1:6881", "10.0.0.1:6881", "80.0.0.1:0", "[2a00::1]:6881", "224.0.0.1:6881"] {
        let outside = outside.parse().unwrap();
        assert!(exchange(&mut node, Time::ZERO, outside, &query(Query::Ping)).is_empty());
        node.add_contact(Time::ZERO, Contact { id: random_id(7), addr: outside });
        node.bootstrap(Time::ZERO, &[outside]);
        assert_eq!(node.poll_transmit(), None, "{outside}");
    }
    assert_eq!(node.stats().out_of_scope, 5);
    // Mapped into IPv6 it is the same IPv4 address.
    let mapped = "[::ffff:80.0.0.9]:6881".parse().unwrap();
    assert!(reply(&exchange(&mut node, Time::ZERO, mapped, &query(Query::Ping))).is_some());
}

#[test]
fn replies_count_only_from_whom_was_asked() {
    let mut node = node(0);
    let asked = Contact { id: random_id(5), addr: addr(5) };
    node.add_contact(Time::ZERO, asked);
    let ping = node.poll_transmit().unwrap().payload;
    let transaction = Message::parse(&ping).unwrap().transaction.to_vec();
    let answer = |transaction: &[u8]| {
        let body = Body::Response(Response::new(asked.id));
        Message { transaction, body, version: None, read_only: false, external: None }.encode()
    };
    node.handle_datagram(Time::ZERO, addr(6), &answer(&transaction));
    node.handle_datagram(Time::ZERO, addr(5), &answer(b"xxxx"));
    node.handle_datagram(Time::ZERO, addr(5), &answer(b""));
    assert_eq!((node.contacts().count(), node.stats().unsolicited), (0, 3));
    node.handle_datagram(Time::ZERO, addr(5), &answer(&transaction));
    assert_eq!(node.contacts().collect::<Vec<_>>(), [asked]);
    assert_eq!(node.poll_event(), Some(Event::ContactSeen(asked)));
    node.handle_datagram(Time::ZERO, addr(5), &answer(&transaction));
    assert_eq!(node.stats().unsolicited, 4, "answered once");
}

#[test]
fn any_datagram_is_survived() {
    let mut node = node(0);
    let mut rng = ChaCha8Rng::seed_from_u64(99);
    let find = query(Query::FindNode { target: random_id(3), want: None });
    for number in 0..5000_u16 {
        let mut datagram = find.clone();
        let at = rng.random_range(0..datagram.len());
        datagram[at] = rng.random();
        datagram.truncate(rng.random_range(0..=find.len()));
        node.handle_datagram(Time::from_millis(number.into()), addr(number), &datagram);
        node.handle_timeout(Time::from_millis(number.into()));
        while node.poll_transmit().is_some() {}
    }
    let stats = node.stats();
    assert_eq!(stats.datagrams_in, 5000);
    assert!(stats.malformed > 4000, "{stats:?}");
}

/// Most clients say nothing to a method that they do not know.
#[test]
fn who_is_silent_about_samples_is_asked_for_contacts_and_stays_one() {
    let mut node = befriended();
    let start = Time::from_millis(10);
    node.start(start, Lookup::Sample(random_id(1))).unwrap();
    let asked = questions(&mut node, 1);
    assert!(asked.iter().any(|datagram| is_query(datagram, |query| matches!(query, Query::SampleInfohashes { .. }))));
    // Others answer meanwhile, so it is not the link that is down.
    let soon = start + Duration::from_secs(3);
    node.add_contact(soon, Contact { id: random_id(3), addr: addr(3) });
    let ping = questions(&mut node, 3).remove(0);
    answer(&mut node, soon, 3, &ping);
    let late = start + Duration::from_secs(7);
    node.handle_timeout(late);
    let again = questions(&mut node, 1);
    assert!(
        again.iter().any(|datagram| is_query(datagram, |query| matches!(query, Query::FindNode { .. }))),
        "{again:?}"
    );
    assert!(node.contacts().any(|contact| contact.addr == addr(1)));
    for datagram in &again {
        answer(&mut node, late, 1, datagram);
    }
    assert!(node.contacts().any(|contact| contact.addr == addr(1)));
}

fn is_query(datagram: &[u8], is_it: impl Fn(&Query<'_>) -> bool) -> bool {
    matches!(Message::parse(datagram).unwrap().body, Body::Query { query, .. } if is_it(&query))
}

/// Whoever has a block of addresses sends from all of them, under other ids each time.
#[test]
fn one_block_cannot_fill_what_waits_to_be_verified() {
    let mut node = node(0);
    for number in 0..2000_u16 {
        let [_, last] = number.to_be_bytes();
        let contact = Contact { id: random_id(number), addr: SocketAddr::from(([90, 1, 1, last], 1000 + number)) };
        node.add_contact(Time::ZERO, contact);
    }
    let verified = |node: &mut Node| std::iter::from_fn(|| node.poll_transmit()).count();
    assert_eq!(verified(&mut node), 1);
    assert!(node.fills().iter().all(|fill| fill.of != "contacts to be verified" || fill.entries == 0));
    let others: Vec<_> = (1..=100).map(addr).collect();
    for (number, addr) in (1..).zip(&others) {
        node.add_contact(Time::ZERO, Contact { id: random_id(number), addr: *addr });
    }
    // Nobody answers: the next are asked as the first are given up.
    let mut asked = std::collections::BTreeSet::new();
    for second in 0..60 {
        node.handle_timeout(Time::from_millis(second * 1000));
        asked.extend(std::iter::from_fn(|| node.poll_transmit()).map(|transmit| transmit.to));
    }
    assert!(others.iter().all(|addr| asked.contains(addr)), "{} of {}", asked.len(), others.len());
}

/// In a flood nothing is answered, but all is heard.
#[test]
fn what_is_not_answered_is_heard_all_the_same() {
    let config = NodeConfig { reply_bytes_per_second: 100, ..NodeConfig::default() };
    let mut node = Node::new(config, random_id(0), 1, Time::ZERO);
    let ask = query(Query::GetPeers { infohash: INFOHASH, want: None, no_seeds: false, scrape: false });
    let mut replies = 0;
    for number in 0..100 {
        replies += usize::from(reply(&exchange(&mut node, Time::ZERO, addr(number), &ask)).is_some());
    }
    let sightings = std::iter::from_fn(|| node.poll_event()).filter(|event| matches!(event, Event::Sighting { .. }));
    assert_eq!(sightings.count(), 100);
    let stats = node.stats();
    assert!((1..=4).contains(&replies), "{replies}");
    assert_eq!((stats.get_peers, stats.over_budget), (100, 100 - replies as u64));
}

#[test]
fn who_is_shunned_does_not_come_back_by_answering() {
    let mut node = node(0);
    let liar = Contact { id: random_id(5), addr: addr(5) };
    node.add_contact(Time::ZERO, liar);
    let ping = node.poll_transmit().unwrap().payload;
    node.shun(Time::ZERO, liar.addr);
    let transaction = Message::parse(&ping).unwrap().transaction;
    let body = Body::Response(Response::new(liar.id));
    let pong = Message { transaction, body, version: None, read_only: false, external: None }.encode();
    node.handle_datagram(Time::ZERO, liar.addr, &pong);
    node.add_contact(Time::ZERO, liar);
    assert_eq!((node.contacts().count(), node.poll_transmit(), node.stats().replies), (0, None, 1));
    node.add_contact(Time::ZERO + 6 * MINUTE, liar);
    assert!(node.poll_transmit().is_some(), "after a while it gets another chance");
}

#[test]
fn a_mapped_address_that_is_offered_is_asked_as_what_it_is() {
    let mapped = "[::ffff:80.0.5.7]:6881".parse().unwrap();
    let mut node = node(0);
    node.add_contact(Time::ZERO, Contact { id: random_id(5), addr: mapped });
    assert_eq!(node.poll_transmit().unwrap().to, addr(5));
    assert!(node.visit(Time::ZERO, mapped, Query::FindNode { target: random_id(1), want: None }));
    assert_eq!(node.poll_transmit().unwrap().to, addr(5));
    node.bootstrap(Time::ZERO, &[mapped]);
    assert_eq!(node.poll_transmit().unwrap().to, addr(5));
}
