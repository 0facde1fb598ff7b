//! `[dht] nodes` and `id_strategy`: how many nodes, and where in the ID space.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

use crate::types::NodeId;

/// Nodes that can be configured at most: as many monitors as Montra had (Memon and Rejaie).
pub const MAX_NODES: u32 = 32_768;

/// How many DHT nodes to place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeCount {
    /// As many as are worth what they take of the board.
    Auto,
    Fixed(u32),
}

impl<'de> Deserialize<'de> for NodeCount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "\"auto\" or a number from 1 to 32768")]
        enum Written {
            Word(String),
            Number(u32),
        }
        match Written::deserialize(deserializer)? {
            Written::Word(word) if word == "auto" => Ok(Self::Auto),
            Written::Number(count @ 1..=MAX_NODES) => Ok(Self::Fixed(count)),
            _ => Err(de::Error::custom(format!("expected \"auto\" or a number from 1 to {MAX_NODES}"))),
        }
    }
}

/// Where in the ID space the nodes are placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdStrategy {
    /// The space cut in as many intervals as there are nodes, one uniformly random ID in each.
    Spread,
    /// Anywhere. As with `spread`, up to eight of them move to where the external address may be (BEP 42).
    Random,
    /// IDs that are valid for our address as others see it (BEP 42), as evenly as the 8 places of an address allow.
    Bep42,
    /// As `Spread`, within a part of the space: whoever watches it hears nearly all that goes on there (Montra).
    Zone(Zone),
}

/// The part of the ID space with these first bits; written as hexadecimal digits and a number of bits, "4f0/12".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone {
    /// The first bits of all IDs, the highest first; those beyond `bits` are 0.
    prefix: u64,
    bits: u32,
}

impl Zone {
    /// Most bits: enough for a zone without any other node in it.
    pub const MAX_BITS: u32 = 48;

    /// The zone that shares its first `bits` bits with `prefix`, as far as there are.
    pub fn new(prefix: u64, bits: u32) -> Self {
        let bits = bits.clamp(1, Self::MAX_BITS);
        Self { prefix: prefix & (u64::MAX << (64 - bits)), bits }
    }

    /// The first bits, highest first, the rest 0.
    pub fn prefix(self) -> u64 {
        self.prefix
    }

    /// How many bits are fixed.
    pub fn bits(self) -> u32 {
        self.bits
    }

    /// Whether an id is in it.
    pub fn holds(self, id: &NodeId) -> bool {
        let first = id.0.iter().take(8).fold(0, |bits, byte| (bits << 8) | u64::from(*byte));
        (first ^ self.prefix) >> (64 - self.bits) == 0
    }
}

impl fmt::Display for IdStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spread => f.write_str("spread"),
            Self::Random => f.write_str("random"),
            Self::Bep42 => f.write_str("bep42"),
            Self::Zone(Zone { prefix, bits }) => {
                let digits = bits.div_ceil(4) as usize;
                write!(f, "zone:{:0digits$x}/{bits}", prefix >> (64 - 4 * digits))
            }
        }
    }
}

impl FromStr for IdStrategy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let zone = || {
            let (digits, bits) = text.strip_prefix("zone:")?.split_once('/')?;
            let bits: u32 = bits.parse().ok().filter(|bits| (1..=Zone::MAX_BITS).contains(bits))?;
            let plain = (1..=16).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            let prefix = u64::from_str_radix(digits, 16).ok().filter(|_| plain)?;
            Some(Self::Zone(Zone::new(prefix << (64 - 4 * digits.len()), bits)))
        };
        match text {
            "spread" => Ok(Self::Spread),
            "random" => Ok(Self::Random),
            "bep42" => Ok(Self::Bep42),
            _ => zone().ok_or_else(|| {
                format!(
                    "expected \"spread\", \"random\", \"bep42\" or a zone such as \"zone:4f0/12\" (first digits and number of \
                     bits, at most {}), not {:?}",
                    Zone::MAX_BITS,
                    text.chars().take(64).collect::<String>()
                )
            }),
        }
    }
}

impl<'de> Deserialize<'de> for IdStrategy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn strategies_are_written_as_they_are_read() {
        for text in ["spread", "random", "bep42", "zone:4f0/12", "zone:8/1", "zone:0/3", "zone:123456789abc/48"] {
            assert_eq!(text.parse::<IdStrategy>().unwrap().to_string(), text);
        }
        assert_eq!("zone:4fff/12".parse(), "zone:4ff/12".parse::<IdStrategy>(), "digits beyond the bits do not count");
        assert_eq!("zone:4/12".parse(), "zone:400/12".parse::<IdStrategy>(), "and those that are not there are 0");
    }

    #[test]
    fn what_is_no_strategy_is_told_with_what_is() {
        for text in [
            "",
            "zone",
            "zone:",
            "zone:4f",
            "zone:4f/0",
            "zone:4f/49",
            "zone:/4",
            "zone:+f/8",
            "zone:12345678901234567/8",
        ] {
            let error = text.parse::<IdStrategy>().unwrap_err();
            assert!(error.contains("zone:4f0/12"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in ".{0,60}") {
            let _ = text.parse::<IdStrategy>();
        }

        #[test]
        fn zones_round_trip(prefix: u64, bits in 1u32..=48) {
            let zone = IdStrategy::Zone(Zone::new(prefix, bits));
            prop_assert_eq!(zone.to_string().parse::<IdStrategy>(), Ok(zone));
        }
    }
}
