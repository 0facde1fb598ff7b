//! Board profiles: what a board can give, as `board/*.toml`.

use std::path::Path;

use serde::Deserialize;

use super::{ConfigError, parse, read_bounded};
use crate::types::{Bytes, Rate};

/// Names of the profiles that are compiled into the program.
pub const BUILT_IN_BOARDS: [&str; 4] = ["sim", "pi-zero-2-w", "pi-3", "pi-4"];

const SOURCES: [&str; 4] = [
    include_str!("../../board/sim.toml"),
    include_str!("../../board/pi-zero-2-w.toml"),
    include_str!("../../board/pi-3.toml"),
    include_str!("../../board/pi-4.toml"),
];

/// Where the device tree names the board (Linux, `/proc/device-tree/model`).
const MODEL_FILE: &str = "/proc/device-tree/model";

/// What a board can give to the jukebox and what is attached to it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoardProfile {
    pub name: String,
    /// Processor time for everything but playback, in cores.
    pub cpu_share: f64,
    /// Resident memory that the jukebox keeps to.
    pub memory: Bytes,
    /// Music on disk where the configuration does not say.
    pub storage: Bytes,
    /// Upload where the configuration does not say.
    pub uplink: Rate,
    /// Output where the configuration does not say, as in `[audio] output`.
    pub audio: String,
    /// `simulated`, `none` or `ssd1306-i2c:DEVICE`.
    pub display: String,
    /// `simulated`, `none`, `gpio:CHIP:A,B,PRESS` or `serial:DEVICE`.
    pub knob: String,
}

impl BoardProfile {
    /// The profile called `name`, or the file at that path; `auto` looks at the device tree and falls back to `sim`.
    ///
    /// # Errors
    /// If there is no such profile or the file is not a valid one.
    pub fn load(name: &str) -> Result<Self, ConfigError> {
        if name == "auto" {
            return Self::load(detect(&std::fs::read_to_string(MODEL_FILE).unwrap_or_default()));
        }
        if let Some(index) = BUILT_IN_BOARDS.iter().position(|known| *known == name) {
            return parse(Path::new(&format!("board/{name}.toml")), SOURCES[index]);
        }
        if !name.ends_with(".toml") {
            return Err(ConfigError::UnknownBoard { name: name.to_owned() });
        }
        let path = Path::new(name);
        parse(path, &read_bounded(path)?)
    }
}

/// The built-in profile for a device-tree model such as `Raspberry Pi Zero 2 W Rev 1.0`.
fn detect(model: &str) -> &'static str {
    if model.contains("Zero 2") {
        "pi-zero-2-w"
    } else if model.contains("Raspberry Pi 3") {
        "pi-3"
    } else if model.contains("Raspberry Pi 4") || model.contains("Raspberry Pi 5") {
        "pi-4"
    } else {
        "sim"
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
    fn boards_are_recognised_by_their_model() {
        assert_eq!(detect("Raspberry Pi Zero 2 W Rev 1.0\0"), "pi-zero-2-w");
        assert_eq!(detect("Raspberry Pi 4 Model B Rev 1.4\0"), "pi-4");
        assert_eq!(detect(""), "sim");
    }

    #[test]
    fn unknown_board_lists_the_known_ones() {
        let error = BoardProfile::load("pi-9").unwrap_err().to_string();
        assert!(error.contains("pi-zero-2-w"), "{error}");
    }
}
