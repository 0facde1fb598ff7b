//! `[dht.limits]`, and `[dht]` of a board profile: what all DHT nodes together may do.

use serde::{Deserialize, Deserializer, de};

use crate::types::Rate;

/// None: what the board profile says, and if that says nothing either, what fits a home's line and router.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DhtLimits {
    /// Questions a second.
    #[serde(deserialize_with = "questions")]
    pub questions: Option<u32>,
    /// Datagrams a second, questions and answers.
    #[serde(deserialize_with = "datagrams")]
    pub datagrams: Option<u32>,
    /// Bytes of these a second.
    #[serde(deserialize_with = "rate")]
    pub rate: Option<Rate>,
    /// Flows that a router has to translate, at most.
    #[serde(deserialize_with = "flows")]
    pub flows: Option<u32>,
    /// Datagrams that one address is sent in ten seconds.
    #[serde(deserialize_with = "to_remote")]
    pub to_remote: Option<u32>,
}

impl DhtLimits {
    /// These, and what they leave open as `other` has it.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            questions: self.questions.or(other.questions),
            datagrams: self.datagrams.or(other.datagrams),
            rate: self.rate.or(other.rate),
            flows: self.flows.or(other.flows),
            to_remote: self.to_remote.or(other.to_remote),
        }
    }
}

/// A number within bounds, or an error with `meaning`.
fn within<'de, D: Deserializer<'de>>(from: D, bounds: [u32; 2], meaning: &str) -> Result<Option<u32>, D::Error> {
    let [least, most] = bounds;
    let written = i64::deserialize(from)?;
    let number = u32::try_from(written).ok().filter(|number| (least..=most).contains(number));
    number
        .map(Some)
        .ok_or_else(|| de::Error::custom(format!("expected {meaning}, from {least} to {most}, not {written}")))
}

fn questions<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    within(from, [10, 100_000], "questions a second")
}

fn datagrams<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    within(from, [50, 1_000_000], "datagrams a second")
}

fn flows<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    within(from, [64, 1_000_000], "flows that the router bears")
}

/// From 50 on clients ban an address.
fn to_remote<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    within(from, [10, 49], "datagrams to one address in ten seconds")
}

fn rate<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Rate>, D::Error> {
    const LEAST: Rate = Rate(8 * 1024);
    let rate = Rate::deserialize(from)?;
    let fits = (LEAST..=Rate(u32::MAX.into())).contains(&rate);
    fits.then_some(Some(rate))
        .ok_or_else(|| de::Error::custom(format!("expected a rate of at least {LEAST}, not {rate}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BoardProfile, Config};
    use std::path::Path;

    fn read(limits: &str) -> Result<DhtLimits, String> {
        let text = format!("[dht.limits]\n{limits}");
        let config = Config::from_text(Path::new("silverstream.toml"), &text);
        config.map(|config| config.dht.limits).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_said_is_as_the_board_has_it() {
        let said = read("questions = 50\nrate = \"64 KiB/s\"").unwrap();
        let board = DhtLimits { questions: Some(100), flows: Some(512), ..DhtLimits::default() };
        let expected =
            DhtLimits { questions: Some(50), rate: Some(Rate(65_536)), flows: Some(512), ..DhtLimits::default() };
        assert_eq!(said.or(board), expected);
        assert!(BoardProfile::load("pi-zero-2-w").unwrap().dht.questions.is_some());
    }

    #[test]
    fn what_cannot_be_meant_is_told_with_what_can() {
        for (text, word) in [
            ("questions = 0", "from 10 to 100000, not 0"),
            ("datagrams = -1", "from 50 to 1000000, not -1"),
            ("flows = 9999999999", "router bears, from 64 to 1000000, not 9999999999"),
            ("to_remote = 50", "in ten seconds, from 10 to 49, not 50"),
            ("rate = \"1 KiB/s\"", "at least 8 KiB/s"),
            ("rate = \"100 GiB/s\"", "at least 8 KiB/s"),
            ("rate = \"3\"", "KiB/s"),
            ("flow = 64", "flow"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(word) && error.contains("line 2"), "{error}");
        }
    }
}
