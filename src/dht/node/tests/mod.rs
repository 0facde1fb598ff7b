//! A node by itself, and among others under virtual time.

mod alone;
mod worlds;

use std::net::SocketAddr;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::dht::{Node, NodeConfig};
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
