//! Keeps the connections of all torrents together within what the board's memory bears.
//!
//! librqbit bounds the peers of one torrent, not those of all, and a jukebox seeds hundreds. Above the bound torrents
//! that only seed rest: paused, they drop their connections and take no new ones. The most connected rest first, since
//! they are popular and others seed them too; each comes back after a while, when there is room.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::SwarmError;
use super::host::{Host, MAX_PEERS_A_TORRENT};
use super::torrent::Torrent;

/// Resident memory that a connected peer costs: librqbit's read buffer of 32 KiB, its channels, the kernel's buffers.
const PEER_BYTES: u64 = 60 << 10;
/// What part of the jukebox's memory may go into connections: an eighth.
const SHARE_OF_MEMORY: u64 = 8;
/// Even the smallest board plays and seeds to a few.
const MIN_PEERS: u32 = 2 * MAX_PEERS_A_TORRENT;
/// A torrent that rests does so for at least this long; peers that were dropped then look for others.
const REST_TIME: Duration = Duration::from_secs(60);

/// Connected peers of all torrents together for a jukebox that keeps to `memory` bytes.
pub fn peers_for(memory: u64) -> u32 {
    u32::try_from(memory / SHARE_OF_MEMORY / PEER_BYTES).unwrap_or(u32::MAX).max(MIN_PEERS)
}

/// What a torrent has to do with the bound.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Load {
    /// Connected peers.
    peers: u32,
    /// Played or fetched: it never rests.
    busy: bool,
    /// For how long it has rested.
    rested: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Rest(usize),
    Wake(usize),
}

/// Which torrents, by their index, rest or come back, so that at most `limit` peers are connected.
fn plan(loads: &[Load], limit: u32) -> Vec<Step> {
    let mut total: u32 = loads.iter().map(|load| load.peers).sum();
    if total > limit {
        let mut idle: Vec<usize> =
            (0..loads.len()).filter(|index| !loads[*index].busy && loads[*index].peers > 0).collect();
        idle.sort_by_key(|index| std::cmp::Reverse(loads[*index].peers));
        let mut steps = Vec::new();
        for index in idle {
            if total <= limit {
                break;
            }
            total -= loads[index].peers;
            steps.push(Step::Rest(index));
        }
        return steps;
    }
    if total + MAX_PEERS_A_TORRENT > limit {
        return Vec::new();
    }
    // One at a time: how many peers it brings is seen before the next one.
    let tired = (0..loads.len()).filter_map(|index| loads[index].rested.map(|rested| (rested, index))).max();
    tired.filter(|(rested, _)| *rested >= REST_TIME).map(|(_, index)| Step::Wake(index)).into_iter().collect()
}

/// Applies the bound to all torrents.
pub(super) async fn keep_bound(host: &Host, torrents: &[Arc<Torrent>], now: Instant) -> Result<(), SwarmError> {
    let loads: Vec<Load> = torrents
        .iter()
        .map(|torrent| Load {
            peers: torrent.life().traffic().1,
            busy: torrent.is_busy(),
            rested: torrent.rests_since().map(|since| now.duration_since(since)),
        })
        .collect();
    for step in plan(&loads, host.config.max_peers) {
        match step {
            Step::Rest(index) => {
                torrents[index].rest(host, now).await?;
                tracing::debug!(infohash = %torrents[index].meta.infohash, peers = loads[index].peers, "torrent rests");
            }
            Step::Wake(index) => torrents[index].wake(host).await?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn load() -> impl Strategy<Value = Load> {
        (0..=MAX_PEERS_A_TORRENT, any::<bool>(), proptest::option::of(0u64..200)).prop_map(|(peers, busy, rested)| {
            match rested {
                Some(seconds) => Load { peers: 0, busy: false, rested: Some(Duration::from_secs(seconds)) },
                None => Load { peers, busy, rested: None },
            }
        })
    }

    proptest! {
        #[test]
        fn what_is_idle_never_keeps_the_sum_above_the_bound(
            loads in proptest::collection::vec(load(), 0..60), limit in MIN_PEERS..300,
        ) {
            let (mut after, mut woken) = (loads.clone(), 0);
            for step in plan(&loads, limit) {
                match step {
                    Step::Rest(index) => {
                        prop_assert!(!loads[index].busy && loads[index].rested.is_none());
                        after[index].peers = 0;
                    }
                    Step::Wake(index) => {
                        prop_assert!(loads[index].rested >= Some(REST_TIME));
                        after[index].peers = MAX_PEERS_A_TORRENT;
                        woken += 1;
                    }
                }
            }
            let busy: u32 = loads.iter().filter(|load| load.busy).map(|load| load.peers).sum();
            let total: u32 = after.iter().map(|load| load.peers).sum();
            prop_assert!(woken <= 1);
            prop_assert!(total <= limit.max(busy), "{total} of {limit}, {busy} busy");
        }
    }

    #[test]
    fn the_most_connected_rest_first_and_the_longest_resting_comes_back_first() {
        let peers = |peers| Load { peers, ..Load::default() };
        let rested = |seconds| Load { rested: Some(Duration::from_secs(seconds)), ..Load::default() };
        assert_eq!(plan(&[peers(10), peers(24), peers(20)], 48), [Step::Rest(1)]);
        assert_eq!(plan(&[rested(70), rested(90), rested(80)], 48), [Step::Wake(1)]);
        assert_eq!(plan(&[rested(10), peers(3)], 48), []);
        assert_eq!(plan(&[rested(90), peers(30)], 48), [], "there is no room for a full torrent yet");
    }

    #[test]
    fn the_smallest_board_has_room_for_a_hundred() {
        assert_eq!(peers_for(64 << 20), 136);
        assert_eq!(peers_for(0), MIN_PEERS);
    }
}
