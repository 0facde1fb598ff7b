//! What the bits of one observation tell, without any memory.

use super::{Observation, SightingKind};

/// Leading bits that an id with a random tail shares with the id that it was made of (libtorrent replaces the last 8
/// bytes of 20), with some left over for others who do the same more thoroughly.
const SELF_BITS: u32 = 64;

/// What a private lookup may still obfuscate, in bits below the depth of the network. libtorrent stops one bit earlier;
/// that is left for what its table and ours think differently of the depth.
const OBFUSCATED_BELOW_DEPTH: u32 = 3;

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

/// What is known of the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// What it asked from afar before was true.
    pub plain: bool,
}

/// What a single sender's word is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// It has good reason to say so: believed as far as its credit goes.
    Claim,
    /// Others must say the same.
    Doubt,
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

/// What the word of such a sender alone is worth.
pub fn weigh(reading: Reading, standing: Standing) -> Weight {
    match reading {
        Reading::Announced | Reading::AskedNear | Reading::Shown => Weight::Claim,
        Reading::AskedFar if standing.plain => Weight::Claim,
        Reading::AskedFar | Reading::AskedNeighbour | Reading::ShownFar | Reading::Own => Weight::Doubt,
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
        assert_eq!(asked(17, 0), Reading::AskedNear);
        assert_eq!(asked(16, 0), Reading::AskedFar);
        assert_eq!(asked(30, 16), Reading::AskedNear, "a neighbour in a network of millions is nearer");
        assert_eq!(asked(30, 17), Reading::AskedNeighbour, "the last bucket of the sender");
        assert_eq!(asked(17, 18), Reading::AskedNeighbour, "a bucket of the sender that holds us");
        assert_eq!(asked(3, 4), Reading::AskedNeighbour);
        assert_eq!(asked(10, 7), Reading::AskedNeighbour);
        assert_eq!(asked(100, 96), Reading::Own);
        let announce = SightingKind::Announce { port: 1, seed: None };
        assert_eq!(read_bits(announce, 0, 96), Reading::Announced);
        assert_eq!(read_bits(SightingKind::Sample, 0, 17), Reading::Shown);
        assert_eq!(read_bits(SightingKind::Sample, 20, 16), Reading::ShownFar);
    }

    #[test]
    fn only_far_questions_depend_on_who_asks() {
        use Reading::{Announced, AskedFar, AskedNear, AskedNeighbour, Own, Shown, ShownFar};
        let weigh = |reading, plain| weigh(reading, Standing { plain });
        for plain in [false, true] {
            assert!([Announced, AskedNear, Shown].iter().all(|reading| weigh(*reading, plain) == Weight::Claim));
            assert!([AskedNeighbour, ShownFar, Own].iter().all(|reading| weigh(*reading, plain) == Weight::Doubt));
        }
        assert_eq!((weigh(AskedFar, false), weigh(AskedFar, true)), (Weight::Doubt, Weight::Claim));
    }
}
