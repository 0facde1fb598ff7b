//! Board profiles: what a board can give, as `board/*.toml`.

use serde::Deserialize;

use super::recognise::{Board, device_tree};
use super::{ConfigError, DhtLimits};
use crate::types::{Bytes, Rate};

/// Names of the profiles that are compiled into the program.
pub const BUILT_IN_BOARDS: [&str; 5] = ["sim", "pi-zero-2-w", "pi-3", "pi-4", "qemu-virt"];

pub(super) const SOURCES: [&str; 5] = [
    include_str!("../../board/sim.toml"),
    include_str!("../../board/pi-zero-2-w.toml"),
    include_str!("../../board/pi-3.toml"),
    include_str!("../../board/pi-4.toml"),
    include_str!("../../board/qemu-virt.toml"),
];

/// What a board can give to the jukebox and what is attached to it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoardProfile {
    pub name: String,
    /// Names under which device trees call the boards that this profile is for (first strings of `compatible`).
    #[serde(default)]
    pub compatible: Vec<String>,
    /// Processor time that the jukebox takes at most, as a part of all cores: 0.5 is two of four.
    pub cpu_share: f64,
    /// Resident memory that the jukebox keeps to.
    pub memory: Bytes,
    /// Music on disk where the configuration does not say.
    pub storage: Bytes,
    /// Upload where the configuration does not say.
    pub uplink: Rate,
    /// What all DHT nodes together may do where `[dht.limits]` does not say.
    #[serde(default)]
    pub dht: DhtLimits,
    /// Output where the configuration does not say, as in `[audio] output`.
    pub audio: String,
    /// Display where the configuration does not say; `board/pi-zero-2-w.toml` lists the kinds.
    pub display: String,
    /// Knob where the configuration does not say; `board/pi-zero-2-w.toml` lists the kinds.
    pub knob: String,
}

impl BoardProfile {
    /// The profile called `name`, or the file at that path; `auto` looks at the device tree and falls back to `sim`.
    ///
    /// # Errors
    /// If there is no such profile or the file is not a valid one.
    pub fn load(name: &str) -> Result<Self, ConfigError> {
        Ok(Board::find(name, &device_tree())?.profile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_board_is_valid_and_named_after_its_file() {
        for name in BUILT_IN_BOARDS {
            assert_eq!(BoardProfile::load(name).unwrap().name, name);
        }
    }

    #[test]
    fn unknown_board_lists_the_known_ones() {
        let error = BoardProfile::load("pi-9").unwrap_err().to_string();
        assert!(error.contains("pi-zero-2-w"), "{error}");
    }
}
