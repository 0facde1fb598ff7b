//! A set of pieces, laid out as on the wire and in librqbit's resume files: most significant bit first (BEP 3).

use std::ops::Range;

/// One bit for each piece of a torrent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pieces {
    bits: Vec<u8>,
    count: u32,
}

impl Pieces {
    /// The empty set for a torrent of `count` pieces.
    pub fn none(count: u32) -> Self {
        Self { bits: vec![0; count.div_ceil(8) as usize], count }
    }

    /// Every piece.
    pub fn all(count: u32) -> Self {
        let mut pieces = Self::none(count);
        (0..count).for_each(|piece| pieces.insert(piece));
        pieces
    }

    /// From the bytes of a bitfield; spare bits are dropped. None if the length does not fit.
    pub fn from_bytes(bytes: &[u8], count: u32) -> Option<Self> {
        if bytes.len() != count.div_ceil(8) as usize {
            return None;
        }
        let mut pieces = Self { bits: bytes.to_vec(), count };
        if let (Some(last), spare @ 1..) = (pieces.bits.last_mut(), bytes.len() as u32 * 8 - count) {
            *last &= 0xff << spare;
        }
        Some(pieces)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bits
    }

    pub fn contains(&self, piece: u32) -> bool {
        piece < self.count && self.bits[(piece / 8) as usize] & (0x80 >> (piece % 8)) != 0
    }

    pub fn insert(&mut self, piece: u32) {
        if piece < self.count {
            self.bits[(piece / 8) as usize] |= 0x80 >> (piece % 8);
        }
    }

    /// Adds what the other has.
    pub fn union(&mut self, other: &Self) {
        self.bits.iter_mut().zip(&other.bits).for_each(|(to, from)| *to |= from);
    }

    /// Keeps only what the other has too.
    pub fn intersect(&mut self, other: &Self) {
        self.bits.iter_mut().zip(&other.bits).for_each(|(to, from)| *to &= from);
    }

    /// Whether every piece of the range is there.
    pub fn contains_all(&self, mut range: Range<u32>) -> bool {
        range.all(|piece| self.contains(piece))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn behaves_as_a_set(
            count in 1u32..200, a in prop::collection::btree_set(0u32..200, 0..60),
            b in prop::collection::btree_set(0u32..200, 0..60),
        ) {
            let make = |set: &BTreeSet<u32>| {
                let mut pieces = Pieces::none(count);
                set.iter().for_each(|piece| pieces.insert(*piece));
                pieces
            };
            let read = |pieces: &Pieces| (0..300).filter(|piece| pieces.contains(*piece)).collect::<BTreeSet<_>>();
            let within = |set: &BTreeSet<u32>| set.iter().copied().filter(|piece| *piece < count).collect::<BTreeSet<_>>();
            let (mut union, mut both) = (make(&a), make(&a));
            union.union(&make(&b));
            both.intersect(&make(&b));
            prop_assert_eq!(read(&union), within(&(&a | &b)));
            prop_assert_eq!(read(&both), within(&(&a & &b)));
            prop_assert_eq!(Pieces::from_bytes(union.as_bytes(), count), Some(union.clone()));
            prop_assert_eq!(read(&Pieces::all(count)), (0..count).collect());
        }

        #[test]
        fn spare_bits_of_a_bitfield_mean_nothing(byte: u8, count in 1u32..8) {
            let pieces = Pieces::from_bytes(&[byte], count).unwrap();
            prop_assert!((count..16).all(|piece| !pieces.contains(piece)));
            prop_assert!(Pieces::from_bytes(&[byte, 0], count).is_none());
        }
    }
}
