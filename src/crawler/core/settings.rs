//! How many peers and replies our nodes allow themselves.

use crate::dht::{Family, NodeConfig};
use crate::types::Scope;

/// Infohashes and peers that the peer stores of eight nodes or more together hold at least room for; shared among them. Nodes that were made when
/// there were fewer keep their share: 64 that came one by one after the first 8 hold 1 + 1/9 + 1/10 + … + 1/64 times as much,
/// about three.
const STORED_TORRENTS: usize = 16_000;
const STORED_PEERS: usize = 64_000;
/// Of these, what one node holds at least, and at most.
const TORRENTS_OF_NODE: (usize, usize) = (64, 2_000);
const PEERS_OF_NODE: (usize, usize) = (256, 8_000);
/// Bytes a second that all nodes with tables together spend on answering strangers, shared among them.
const REPLY_BYTES_PER_SECOND: u32 = 128 * 1024;
/// What one of them may spend however many they are: an answer of full size.
const LEAST_REPLY_BYTES: u32 = 2_048;
/// The same of all monitors; they are made where much is to be heard.
const MONITOR_REPLY_BYTES_PER_SECOND: u32 = 16 * 1024 * 1024;

/// Bytes a second that each of `count` nodes with a table spends on answering strangers.
pub(super) fn reply_pace(count: usize) -> u32 {
    (REPLY_BYTES_PER_SECOND / count.max(1) as u32).max(LEAST_REPLY_BYTES)
}

/// The settings of one node of `count` with a table: what grows with traffic is shared among them.
pub(super) fn node_config((scope, family): (Scope, Family), count: usize, answers: bool) -> NodeConfig {
    let share = count.max(1);
    NodeConfig {
        scope,
        family,
        read_only: !answers,
        max_torrents: (STORED_TORRENTS / share).clamp(TORRENTS_OF_NODE.0, TORRENTS_OF_NODE.1),
        max_peers: (STORED_PEERS / share).clamp(PEERS_OF_NODE.0, PEERS_OF_NODE.1),
        reply_bytes_per_second: reply_pace(count),
        ..NodeConfig::default()
    }
}

/// The settings of all `count` monitors together.
pub(super) fn monitors_config((scope, family): (Scope, Family), count: usize, answers: bool) -> NodeConfig {
    NodeConfig {
        scope,
        family,
        read_only: !answers,
        max_torrents: STORED_TORRENTS,
        max_peers: STORED_PEERS,
        ids: u32::try_from(count).unwrap_or(u32::MAX),
        reply_bytes_per_second: MONITOR_REPLY_BYTES_PER_SECOND,
        ..NodeConfig::default()
    }
}
