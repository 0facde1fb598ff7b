//! What the bits of one observation tell, without any memory.

use super::{Observation, SightingKind};

/// Leading bits that an id with a random tail shares with the id that it was made of (libtorrent replaces the last 8
/// bytes of 20), with some left over for others who do the same more thoroughly.
const SELF_BITS: u32 = 64;

/// What a private lookup may still obfuscate, in bits below the depth of the network. libtorrent stops two bits earlier;
/// these are left for what its table and ours think differently of the depth.
const OBFUSCATED_BELOW_DEPTH: u32 = 2;

/// A true search comes from anywhere: one in 2^7 senders is by chance this near to what it looks for. Those who tend
/// their own buckets always are.
const NEIGHBOUR_BITS: u32 = 7;

/// What an observation looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// The sender's own id, or a point beside it.
    Own,
    /// Announced with our token.
    Announced,
    /// Asked of a node so near that nobody obfuscates.
    AskedNear,
    /// Asked of a node further away: obfuscated, or not.
    AskedFar,
    /// Asked by a node that is itself near: it may tend its table.
    AskedNeighbour,
    /// Shown by a node that should have it.
    Shown,
    /// Shown by a node where it does not belong.
    ShownFar,
}

/// Reads an observation in a network of that depth; see [`super::Filter::set_depth`].
pub fn read(observation: &Observation, depth: u32) -> Reading {
    let near = depth.saturating_sub(OBFUSCATED_BELOW_DEPTH);
    let source_bits = observation.infohash.distance(&observation.source_id.0).shared_bits();
    match observation.kind {
        // Whoever announces names itself, so it has no reason to be near.
        SightingKind::Announce { .. } => Reading::Announced,
        // Peers are stored at the nodes closest to the infohash.
        SightingKind::Sample if source_bits >= near => Reading::Shown,
        SightingKind::Sample => Reading::ShownFar,
        SightingKind::GetPeers if source_bits >= SELF_BITS => Reading::Own,
        // In a lookup those are asked who are nearer than the sender. Who is nearer to the infohash than we are draws it
        // from a bucket of its own that holds us; or, if that is its last bucket, from its own neighbourhood.
        SightingKind::GetPeers if source_bits > observation.own_bits || source_bits >= NEIGHBOUR_BITS.max(near) => {
            Reading::AskedNeighbour
        }
        SightingKind::GetPeers if observation.own_bits >= near => Reading::AskedNear,
        SightingKind::GetPeers if source_bits >= NEIGHBOUR_BITS => Reading::AskedNeighbour,
        SightingKind::GetPeers => Reading::AskedFar,
    }
}

/// Whether there is good reason to say so. `again`: the same came minutes before, so it is not obfuscated, for that is
/// drawn afresh each time.
pub fn persuades(reading: Reading, again: bool) -> bool {
    match reading {
        Reading::Announced | Reading::AskedNear => true,
        Reading::AskedFar => again,
        Reading::AskedNeighbour | Reading::Shown | Reading::ShownFar | Reading::Own => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{InfoHash, NodeId};

    /// An id that shares exactly `bits` leading bits with all ones.
    fn sharing(bits: u32) -> [u8; 20] {
        let mut id = [0xff; 20];
        id[bits as usize / 8] ^= 0x80 >> (bits % 8);
        id
    }

    fn read_bits(kind: SightingKind, own_bits: u32, source_bits: u32) -> Reading {
        let source = "80.0.0.1:1".parse().unwrap();
        let source_id = NodeId(sharing(source_bits));
        read(&Observation { infohash: InfoHash([0xff; 20]), kind, source, source_id, node: 0, own_bits }, 20)
    }

    #[test]
    fn bits_tell_what_a_question_is() {
        let asked = |own, source| read_bits(SightingKind::GetPeers, own, source);
        assert_eq!(asked(18, 0), Reading::AskedNear);
        assert_eq!(asked(17, 0), Reading::AskedFar);
        assert_eq!(asked(30, 17), Reading::AskedNear, "a neighbour in a network of millions is nearer");
        assert_eq!(asked(30, 18), Reading::AskedNeighbour, "the last bucket of the sender");
        assert_eq!(asked(18, 19), Reading::AskedNeighbour, "a bucket of the sender that holds us");
        assert_eq!(asked(3, 4), Reading::AskedNeighbour);
        assert_eq!(asked(10, 7), Reading::AskedNeighbour);
        assert_eq!(asked(100, 96), Reading::Own);
        let announce = SightingKind::Announce { port: 1, seed: None };
        assert_eq!(read_bits(announce, 0, 96), Reading::Announced);
        assert_eq!(read_bits(SightingKind::Sample, 0, 18), Reading::Shown);
        assert_eq!(read_bits(SightingKind::Sample, 20, 17), Reading::ShownFar);
    }

    #[test]
    fn repetition_tells_a_far_question_from_an_obfuscated_one() {
        use Reading::{Announced, AskedFar, AskedNear, AskedNeighbour, Own, Shown, ShownFar};
        for again in [false, true] {
            assert!([Announced, AskedNear].iter().all(|reading| persuades(*reading, again)));
            assert!(![AskedNeighbour, Shown, ShownFar, Own].iter().any(|reading| persuades(*reading, again)));
        }
        assert!(!persuades(AskedFar, false) && persuades(AskedFar, true));
    }
}
