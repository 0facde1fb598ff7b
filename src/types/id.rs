//! 160-bit identifiers of the DHT and of torrents (BEP 3, BEP 5) and the name of a track.

use std::fmt;
use std::str::FromStr;

/// Length in bytes of an infohash and of a node id (SHA-1, BEP 3 and BEP 5).
const ID_LEN: usize = 20;

/// A text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseIdError {
    /// The text is not 40 hexadecimal digits.
    #[error("expected 40 hexadecimal digits, got {0:?}")]
    NotHex(String),
    /// The part after the slash is not a file index.
    #[error("expected <infohash>/<file index>, got {0:?}")]
    NotATrack(String),
}

/// How far two identifiers are apart: the bitwise XOR, ordered as a big-endian number (BEP 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Distance([u8; ID_LEN]);

impl Distance {
    /// Number of leading bits that both identifiers share, 0 to 160.
    pub fn shared_bits(self) -> u32 {
        let mut bits = 0;
        for byte in self.0 {
            bits += byte.leading_zeros();
            if byte != 0 {
                break;
            }
        }
        bits
    }
}

/// The first and the last value that share `bits` leading bits with `id`.
pub fn sharing(id: &[u8; ID_LEN], bits: u32) -> ([u8; ID_LEN], [u8; ID_LEN]) {
    let (mut first, mut last) = (*id, *id);
    for (at, (low, high)) in (0u32..).zip(first.iter_mut().zip(last.iter_mut())) {
        let rest = match bits.saturating_sub(at * 8) {
            kept @ 0..8 => u8::MAX >> kept,
            _ => 0,
        };
        *low &= !rest;
        *high |= rest;
    }
    (first, last)
}

fn parse_hex(text: &str) -> Result<[u8; ID_LEN], ParseIdError> {
    let error = || ParseIdError::NotHex(text.chars().take(64).collect());
    let digits = text.as_bytes();
    if digits.len() != ID_LEN * 2 {
        return Err(error());
    }
    let mut id = [0; ID_LEN];
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16).ok_or_else(error)?;
        let low = char::from(pair[1]).to_digit(16).ok_or_else(error)?;
        *byte = (high * 16 + low) as u8;
    }
    Ok(id)
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; ID_LEN]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = ID_LEN;

            /// Takes the identifier from a slice of exactly 20 bytes.
            pub fn from_slice(slice: &[u8]) -> Option<Self> {
                slice.try_into().ok().map(Self)
            }

            /// XOR distance to another 160-bit value (BEP 5).
            pub fn distance(&self, other: &[u8; ID_LEN]) -> Distance {
                let mut xor = [0; ID_LEN];
                for (to, (a, b)) in xor.iter_mut().zip(self.0.iter().zip(other)) {
                    *to = a ^ b;
                }
                Distance(xor)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse_hex(text).map(Self)
            }
        }

        serde_as_text!($name);
    };
}

identifier! {
    /// SHA-1 of a torrent's info dictionary (BEP 3).
    InfoHash
}

identifier! {
    /// Identity of a DHT node in the same 160-bit space as infohashes (BEP 5).
    NodeId
}

/// One audio file inside a torrent; written `<infohash as hex>/<file index>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackId {
    /// The torrent.
    pub infohash: InfoHash,
    /// Position in the `files` list of the info dictionary, from 0; 0 for a single-file torrent.
    pub file: u32,
}

impl fmt::Display for TrackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.infohash, self.file)
    }
}

impl fmt::Debug for TrackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TrackId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let error = || ParseIdError::NotATrack(text.chars().take(64).collect());
        let (infohash, file) = text.split_once('/').ok_or_else(error)?;
        Ok(Self { infohash: infohash.parse()?, file: file.parse().map_err(|_| error())? })
    }
}

serde_as_text!(TrackId);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn distance_counts_shared_bits() {
        let mut other = [0; 20];
        assert_eq!(NodeId([0; 20]).distance(&other).shared_bits(), 160);
        other[1] = 0x10;
        assert_eq!(NodeId([0; 20]).distance(&other).shared_bits(), 11);
    }

    #[test]
    fn bad_texts_are_refused() {
        for text in ["", "xy", "0123", &"g".repeat(40), &"é".repeat(20)] {
            assert!(text.parse::<InfoHash>().is_err(), "{text}");
        }
        let hash = "0".repeat(40);
        for text in [hash.clone(), format!("{hash}/"), format!("{hash}/-1"), format!("{hash}/1/2")] {
            assert!(text.parse::<TrackId>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_round_trips(id: [u8; 20], file: u32) {
            let track = TrackId { infohash: InfoHash(id), file };
            prop_assert_eq!(track.to_string().parse::<TrackId>().unwrap(), track);
        }
    }
}
