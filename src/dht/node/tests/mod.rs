//! A node by itself, and among others under virtual time.

mod alone;
mod conformance;
mod floods;
mod worlds;

use std::net::SocketAddr;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::dht::krpc::{Body, Message, Query, Response};
use crate::dht::{Contact, Node, NodeConfig};
use crate::types::{InfoHash, NodeId, Time};

const INFOHASH: InfoHash = InfoHash([0x5a; 20]);
const MINUTE: Duration = Duration::from_secs(60);

/// Public addresses, each in a block of its own.
fn addr(number: u16) -> SocketAddr {
    let [high, low] = number.to_be_bytes();
    SocketAddr::from(([80, high, low, 7], 6881))
}

fn random_id(number: u16) -> NodeId {
    NodeId(ChaCha8Rng::seed_from_u64(u64::from(number) + 1000).random())
}

fn node(number: u16) -> Node {
    Node::new(NodeConfig::default(), random_id(number), number.into(), Time::ZERO)
}

/// Datagrams of somebody who is no node of ours.
fn query(query: Query<'_>) -> Vec<u8> {
    let body = Body::Query { id: random_id(9000), query };
    Message { transaction: b"tt", body, version: None, read_only: false, external: None }.encode()
}

/// A node on its own and what it sends to `to` when it gets `datagram` from there.
fn exchange(node: &mut Node, now: Time, from: SocketAddr, datagram: &[u8]) -> Vec<Vec<u8>> {
    node.handle_datagram(now, from, datagram);
    std::iter::from_fn(|| node.poll_transmit()).map(|transmit| transmit.payload).collect()
}

/// The one reply to a query, without the questions that go with it.
fn reply(sent: &[Vec<u8>]) -> Option<Message<'_>> {
    sent.iter().filter_map(|datagram| Message::parse(datagram).ok()).find(|message| message.transaction == b"tt")
}

fn response<'a>(sent: &'a [Vec<u8>]) -> Response<'a> {
    match reply(sent).expect("a reply").body {
        Body::Response(response) => response,
        other => unreachable!("not a response: {other:?}"),
    }
}

/// Whoever has `number` answers a question.
fn answer(node: &mut Node, now: Time, number: u16, question: &[u8]) {
    let body = Body::Response(Response::new(random_id(number)));
    let transaction = Message::parse(question).unwrap().transaction;
    let reply = Message { transaction, body, version: None, read_only: false, external: None }.encode();
    node.handle_datagram(now, addr(number), &reply);
}

/// What a node asks whoever has `number`; what it sends to others is lost.
fn questions(node: &mut Node, number: u16) -> Vec<Vec<u8>> {
    let sent = std::iter::from_fn(|| node.poll_transmit());
    sent.filter(|transmit| transmit.to == addr(number)).map(|transmit| transmit.payload).collect()
}

/// A node with two contacts, 1 and 2.
fn befriended() -> Node {
    let mut node = node(0);
    for number in [1, 2] {
        node.add_contact(Time::ZERO, Contact { id: random_id(number), addr: addr(number) });
        let ping = questions(&mut node, number).remove(0);
        answer(&mut node, Time::ZERO, number, &ping);
    }
    assert_eq!(node.contacts().count(), 2);
    node
}
