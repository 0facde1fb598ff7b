//! What those do who forge, and who have many addresses.

use std::net::SocketAddr;
use std::time::Duration;

use super::{INFOHASH, MINUTE, addr, answer, befriended, exchange, query, questions, random_id, reply};
use crate::dht::krpc::Query;
use crate::dht::{Contact, Family, Node, NodeConfig};
use crate::types::Time;

/// A query that is answered with an error.
const UNKNOWN: &[u8] = b"d1:q4:vote1:t2:tt1:y1:qe";

/// How many of so many pings are answered.
fn pings_from(node: &mut Node, now: Time, from: SocketAddr, count: usize) -> usize {
    let ping = query(Query::Ping);
    (0..count).filter(|_| reply(&exchange(node, now, from, &ping)).is_some()).count()
}

/// The source of a query can be forged; an answer comes from whom we asked.
#[test]
fn a_flood_in_the_name_of_a_contact_does_not_cost_it_its_place() {
    let mut node = befriended();
    let check = Time::ZERO + 15 * MINUTE;
    assert!(pings_from(&mut node, check, addr(1), 60) < 60);
    assert_eq!(pings_from(&mut node, check, addr(1), 1), 0, "queries in its name are not heard");
    node.handle_timeout(check);
    let asked = questions(&mut node, 1).remove(0);
    answer(&mut node, check, 1, &asked);
    node.handle_timeout(check + 2 * MINUTE);
    assert_eq!(node.contacts().map(|contact| contact.addr).collect::<Vec<_>>(), [addr(1)]);
}

#[test]
fn a_liar_is_shunned_however_many_flood() {
    let mut node = befriended();
    for number in 100..500 {
        (0..51).for_each(|_| drop(exchange(&mut node, Time::ZERO, addr(number), UNKNOWN)));
    }
    let now = Time::ZERO + MINUTE;
    assert_eq!(pings_from(&mut node, now, addr(100), 1), 0, "they are banned");
    node.shun(now, addr(1));
    assert_eq!((pings_from(&mut node, now, addr(1), 1), pings_from(&mut node, now, addr(2), 1)), (0, 1));
    for number in [1, 3] {
        node.add_contact(now, Contact { id: random_id(number), addr: addr(number) });
        assert_eq!(questions(&mut node, number).len(), usize::from(number == 3));
    }
    assert_eq!(node.contacts().map(|contact| contact.addr).collect::<Vec<_>>(), [addr(2)]);
}

/// Errors are short: in a node that may say little, they would always take what is left before a whole answer fits.
#[test]
fn who_asks_wrongly_does_not_keep_others_from_being_answered() {
    let config = NodeConfig { reply_bytes_per_second: 2048, ..NodeConfig::default() };
    let mut node = Node::new(config, random_id(0), 1, Time::ZERO);
    let token = b"guess".as_slice();
    let announce = query(Query::AnnouncePeer { infohash: INFOHASH, port: 9, implied_port: false, token, seed: None });
    let (mut answered, mut errors) = (0, 0);
    for tick in 0..30_000_u16 {
        let now = Time::ZERO + Duration::from_millis(20) * tick.into();
        let datagram = if tick % 2 == 0 { &announce[..] } else { UNKNOWN };
        errors += usize::from(reply(&exchange(&mut node, now, addr(tick), datagram)).is_some());
        if tick % 50 == 0 {
            answered += pings_from(&mut node, now, addr(30_000 + tick / 50), 1);
        }
    }
    // Ten minutes of fifty errors and one ping a second.
    assert_eq!(answered, 600);
    assert!((1_500..=3_000).contains(&errors), "{errors} errors of about 60 bytes: an eighth of all");
}

/// A /48 has 65,536 blocks of its own, a /32 as many of those.
#[test]
fn one_ipv6_prefix_cannot_take_the_places_of_those_who_are_verified() {
    let config = NodeConfig { family: Family::V6, ..NodeConfig::default() };
    let mut node = Node::new(config, random_id(0), 1, Time::ZERO);
    let offer = |node: &mut Node, now: Time, number: u16, segments: [u16; 4]| {
        let [a, b, c, d] = segments;
        let addr = SocketAddr::from(([a, b, c, d, 0, 0, 0, 1], 6881));
        node.add_contact(now, Contact { id: random_id(number), addr });
        addr
    };
    let asked =
        |node: &mut Node| std::iter::from_fn(|| node.poll_transmit()).map(|transmit| transmit.to).collect::<Vec<_>>();
    for number in 0..1000 {
        offer(&mut node, Time::ZERO, number, [0x2a00, 1, 1, number]);
    }
    assert_eq!(asked(&mut node).len(), 2, "of a /48");
    for number in 0..1000 {
        offer(&mut node, Time::ZERO, number, [0x2a00, 1, number, 1]);
    }
    assert_eq!(asked(&mut node).len(), 2, "of a /32");
    assert!(node.fills().iter().all(|fill| fill.of != "contacts to be verified" || fill.entries == 0));
    // They do not answer and come again; others get their turn all the same, at once.
    for second in 0..60_u16 {
        let now = Time::ZERO + Duration::from_secs(second.into());
        node.handle_timeout(now);
        for number in 0..100 {
            offer(&mut node, now, number, [0x2a00, 1, number, second]);
        }
        drop(asked(&mut node));
        let other = offer(&mut node, now, 2000 + second, [0x2a01, second, 1, 1]);
        assert_eq!(asked(&mut node), [other]);
    }
}
