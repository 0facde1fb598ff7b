//! The peers known for an infohash, packed into one blob, latest first.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Peers remembered for one infohash. More do not make a fetch likelier, and a ranking by them is logarithmic.
pub const MAX_PEERS: usize = 32;

const V4: u8 = 4;
const V6: u8 = 6;

/// Packs at most [`MAX_PEERS`] addresses: a family byte, the address, the port (big-endian).
pub(super) fn encode(peers: &[SocketAddr]) -> Vec<u8> {
    let mut out = Vec::with_capacity(peers.len().min(MAX_PEERS) * 7);
    for peer in peers.iter().take(MAX_PEERS) {
        match peer.ip() {
            IpAddr::V4(ip) => {
                out.push(V4);
                out.extend_from_slice(&ip.octets());
            }
            IpAddr::V6(ip) => {
                out.push(V6);
                out.extend_from_slice(&ip.octets());
            }
        }
        out.extend_from_slice(&peer.port().to_be_bytes());
    }
    out
}

/// Unpacks a list; stops at the first malformed entry.
pub(super) fn decode(mut packed: &[u8]) -> Vec<SocketAddr> {
    let mut peers = Vec::new();
    while peers.len() < MAX_PEERS
        && let Some(peer) = take(&mut packed)
    {
        peers.push(peer);
    }
    peers
}

fn take(from: &mut &[u8]) -> Option<SocketAddr> {
    let (family, rest) = from.split_first()?;
    let (ip, rest) = match *family {
        V4 => rest.split_first_chunk::<4>().map(|(ip, rest)| (IpAddr::V4(Ipv4Addr::from(*ip)), rest))?,
        V6 => rest.split_first_chunk::<16>().map(|(ip, rest)| (IpAddr::V6(Ipv6Addr::from(*ip)), rest))?,
        _ => return None,
    };
    let (port, rest) = rest.split_first_chunk::<2>()?;
    *from = rest;
    Some(SocketAddr::new(ip, u16::from_be_bytes(*port)))
}

/// `known` with `seen` moved or put to the front, without doubles, within the bound.
pub(super) fn with_latest(known: Vec<SocketAddr>, seen: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut merged: Vec<SocketAddr> = Vec::with_capacity(MAX_PEERS);
    for peer in seen.iter().rev().copied().chain(known) {
        if merged.len() == MAX_PEERS {
            break;
        }
        if peer.port() != 0 && !merged.contains(&peer) {
            merged.push(peer);
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_peer() -> impl Strategy<Value = SocketAddr> {
        (any::<IpAddr>(), 1u16..).prop_map(|(ip, port)| SocketAddr::new(ip, port))
    }

    proptest! {
        #[test]
        fn lists_round_trip(peers in prop::collection::vec(any_peer(), 0..=MAX_PEERS)) {
            prop_assert_eq!(decode(&encode(&peers)), peers);
        }

        #[test]
        fn any_bytes_decode_within_the_bound(bytes in prop::collection::vec(any::<u8>(), 0..999)) {
            prop_assert!(decode(&bytes).len() <= MAX_PEERS);
        }

        #[test]
        fn latest_peers_come_first_once(known in prop::collection::vec(any_peer(), 0..40), seen in prop::collection::vec(any_peer(), 1..40)) {
            let merged = with_latest(known, &seen);
            prop_assert_eq!(merged[0], seen[seen.len() - 1]);
            prop_assert!(merged.len() <= MAX_PEERS);
            let distinct: std::collections::HashSet<_> = merged.iter().collect();
            prop_assert_eq!(distinct.len(), merged.len());
        }
    }
}
