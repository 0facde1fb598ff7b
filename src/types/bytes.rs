//! Amounts of data and data rates as people write them: `8 GiB`, `2 MiB/s`.

use std::fmt;
use std::str::FromStr;

/// Binary and decimal units, largest first; a size is printed with the first binary one that fits.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// A text is not an amount of data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a size such as \"512 MiB\" (units B, kB, KiB, MB, MiB, GB, GiB, TB, TiB), got {0:?}")]
pub struct ParseSizeError(String);

/// An amount of data in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

impl Bytes {
    /// `count` kibibytes.
    pub const fn kib(count: u64) -> Self {
        Self(count << 10)
    }

    /// `count` mebibytes.
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    /// `count` gibibytes.
    pub const fn gib(count: u64) -> Self {
        Self(count << 30)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().take(4).find(|(_, factor)| self.0 >= *factor) {
            Some((unit, factor)) if self.0.is_multiple_of(*factor) => f.pad(&format!("{} {unit}", self.0 / factor)),
            Some((unit, factor)) => f.pad(&format!("{:.1} {unit}", self.0 as f64 / *factor as f64)),
            None => f.pad(&format!("{} B", self.0)),
        }
    }
}

impl FromStr for Bytes {
    type Err = ParseSizeError;

    fn from_str(text: &str) -> Result<Self, ParseSizeError> {
        let error = || ParseSizeError(text.chars().take(64).collect());
        let trimmed = text.trim();
        let split = trimmed.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(error)?;
        let (number, unit) = trimmed.split_at(split);
        let factor = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or_else(error)?.1;
        let number = number.trim();
        if let Ok(whole) = number.parse::<u64>() {
            return whole.checked_mul(factor).map(Self).ok_or_else(error);
        }
        let value = number.parse::<f64>().map_err(|_| error())? * factor as f64;
        if !(0.0..=9e18).contains(&value) {
            return Err(error());
        }
        Ok(Self(value as u64))
    }
}

/// An amount of data per second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(pub u64);

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/s", Bytes(self.0)))
    }
}

/// A text is not a rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a rate such as \"512 KiB/s\", got {0:?}")]
pub struct ParseRateError(String);

impl FromStr for Rate {
    type Err = ParseRateError;

    fn from_str(text: &str) -> Result<Self, ParseRateError> {
        let size = text.trim().strip_suffix("/s").and_then(|size| size.parse::<Bytes>().ok());
        size.map(|size| Self(size.0)).ok_or_else(|| ParseRateError(text.chars().take(64).collect()))
    }
}

serde_as_text!(Bytes);
serde_as_text!(Rate);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [("8 GiB", 8 << 30), ("512MiB", 512 << 20), ("1.5 kib", 1536), ("10 MB", 10_000_000)] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
        assert_eq!("2 MiB/s".parse(), Ok(Rate(2 << 20)));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "8", "GiB", "-1 GiB", "1e30 TiB", "99999999999999999999 B", "NaN B", "inf B", "8 GiB/s"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
        for text in ["2 MiB", "fast", "2 /s"] {
            assert!(text.parse::<Rate>().unwrap_err().to_string().contains("KiB/s"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whole_units_round_trip(count in 0u64..1023, unit in 0u32..4) {
            let size = Bytes(count << (10 * unit));
            prop_assert_eq!(size.to_string().parse::<Bytes>(), Ok(size));
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = text.parse::<Bytes>();
            let _ = text.parse::<Rate>();
        }
    }
}
