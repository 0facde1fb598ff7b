//! What those do who forge, and who have many addresses.

use std::net::SocketAddr;

use super::{MINUTE, addr, answer, befriended, exchange, query, questions, random_id, reply};
use crate::dht::krpc::Query;
use crate::dht::{Contact, Node};
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
