//! `silverstream.toml` and the board profile, read once into checked types.
//!
//! Every key is optional; unknown keys and bad values are errors that name file, line and what is expected.

mod board;
mod file;
mod limits;
mod nodes;
mod recognise;

pub use crate::types::Scope;
pub use board::{BUILT_IN_BOARDS, BoardProfile};
pub use file::{
    AudioConfig, BoardConfig, CPU_SHARES, Config, ControlConfig, DhtConfig, IndexConfig, LEAST_MEMORY, NetworkConfig,
    PanelConfig, PowerOff, StorageConfig, SystemConfig,
};
pub use limits::DhtLimits;
pub use nodes::{IdStrategy, MAX_NODES, NodeCount, Zone};
pub use recognise::{Board, Origin, Recognition, Setting, compatible, device_tree};

use std::io::Read;
use std::path::{Path, PathBuf};

/// Largest configuration file that is read; real ones have a few hundred bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Why a configuration could not be taken; the text says where and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}; check the path, and that this user may read it")]
    Read { path: PathBuf, source: std::io::Error },
    /// The file is too large to be a configuration.
    #[error("{path} is larger than 64 KiB, which no configuration is; check that this is the right file")]
    TooLarge { path: PathBuf },
    /// A key or value is wrong. `message` has line, column and what was expected.
    #[error("{path}: {message}")]
    Invalid { path: PathBuf, message: String },
    /// There is no such board profile.
    #[error("unknown board {name:?}; choose one of {known} or give the path of a board file", known = BUILT_IN_BOARDS.join(", "))]
    UnknownBoard { name: String },
}

fn read_bounded(path: &Path) -> Result<String, ConfigError> {
    let error = |source| ConfigError::Read { path: path.to_owned(), source };
    let mut text = Vec::new();
    // A device or a pipe tells no length before, so what is read is bounded.
    let file = std::fs::File::open(path).map_err(error)?;
    if file.take(MAX_FILE_BYTES + 1).read_to_end(&mut text).map_err(error)? as u64 > MAX_FILE_BYTES {
        return Err(ConfigError::TooLarge { path: path.to_owned() });
    }
    String::from_utf8(text).map_err(|_| error(std::io::Error::other("it is not a text in UTF-8")))
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path, text: &str) -> Result<T, ConfigError> {
    toml::from_str(text).map_err(|error| invalid(path, &error))
}

fn invalid(path: &Path, error: &toml::de::Error) -> ConfigError {
    ConfigError::Invalid { path: path.to_owned(), message: error.to_string().trim_end().to_owned() }
}
