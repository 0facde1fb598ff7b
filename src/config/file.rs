//! The keys of `silverstream.toml` with their defaults.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, de};

use super::limits::DhtLimits;
use super::nodes::{IdStrategy, NodeCount};
use super::{ConfigError, parse, read_bounded};
use crate::types::{Bytes, Rate, Scope};

/// Resident memory without which a jukebox is none.
pub const LEAST_MEMORY: Bytes = Bytes::mib(32);

/// Parts of all cores that a jukebox can be held to; with less it does not play.
pub const CPU_SHARES: std::ops::RangeInclusive<f64> = 0.1..=1.0;

/// Public entry points of the Mainline DHT.
const PUBLIC_BOOTSTRAP: [&str; 4] = [
    "dht.libtorrent.org:25401",
    "router.bittorrent.com:6881",
    "dht.transmissionbt.com:6881",
    "router.utorrent.com:6881",
];

/// The whole of `silverstream.toml`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub board: BoardConfig,
    pub dht: DhtConfig,
    pub network: NetworkConfig,
    pub index: IndexConfig,
    pub storage: StorageConfig,
    pub audio: AudioConfig,
    pub control: ControlConfig,
    pub panel: PanelConfig,
    pub system: SystemConfig,
}

/// `board = "pi-3"`, or `[board]`: overrides of the board profile.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BoardConfig {
    /// Name of a board profile, path of a board file, or `auto`.
    pub profile: Option<String>,
    /// Processor time that the jukebox takes at most, as a part of all cores.
    pub cpu_share: Option<f64>,
    /// Resident memory that the jukebox keeps to.
    pub memory: Option<Bytes>,
}

impl<'de> Deserialize<'de> for BoardConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        struct Table {
            profile: Option<String>,
            cpu_share: Option<f64>,
            memory: Option<Bytes>,
        }
        struct Written;
        impl<'de> de::Visitor<'de> for Written {
            type Value = BoardConfig;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the name of a board, or a table with profile, cpu_share and memory")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<BoardConfig, E> {
                Ok(BoardConfig { profile: Some(name.to_owned()), ..BoardConfig::default() })
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<BoardConfig, A::Error> {
                let Table { profile, cpu_share, memory } =
                    Table::deserialize(de::value::MapAccessDeserializer::new(map))?;
                if cpu_share.is_some_and(|share| !CPU_SHARES.contains(&share)) {
                    return Err(de::Error::custom("cpu_share is a part of all cores, from 0.1 to 1"));
                }
                if memory.is_some_and(|memory| memory < LEAST_MEMORY) {
                    return Err(de::Error::custom("memory is at least 32 MiB"));
                }
                Ok(BoardConfig { profile, cpu_share, memory })
            }
        }
        deserializer.deserialize_any(Written)
    }
}

/// `[dht]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DhtConfig {
    pub nodes: NodeCount,
    pub id_strategy: IdStrategy,
    /// Address of the first node; the others take the following ports. Port 0 lets the system choose each.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
    /// `host:port` of nodes to ask first. Empty: nobody but contacts kept from the last run.
    pub bootstrap: Vec<String>,
    /// Ask, but answer nobody (BEP 43): behind a router through which nobody can reach us unasked.
    pub read_only: bool,
    pub limits: DhtLimits,
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    let error = || de::Error::custom(format!("listen is an address and a port such as \"0.0.0.0:6881\", not {text:?}"));
    text.parse().map_err(|_| error())
}

impl Default for DhtConfig {
    fn default() -> Self {
        Self {
            nodes: NodeCount::Auto,
            id_strategy: IdStrategy::Spread,
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 6881)),
            bootstrap: PUBLIC_BOOTSTRAP.map(str::to_owned).to_vec(),
            read_only: false,
            limits: DhtLimits::default(),
        }
    }
}

/// `[network]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkConfig {
    pub scope: Scope,
    /// None: what the board profile says.
    pub upload: Option<Rate>,
}

/// `[index]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IndexConfig {
    /// Folder of the catalogue, the cached torrents, the known contacts and the player's state.
    pub path: PathBuf,
    pub budget: Bytes,
    /// Keep the bytes of `.torrent` files of music: a faster start against space.
    pub keep_torrents: bool,
}

impl Default for IndexConfig {
    fn default() -> Self {
        Self { path: PathBuf::from("/data/silverstream"), budget: Bytes::mib(512), keep_torrents: true }
    }
}

/// `[storage]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StorageConfig {
    /// Folder of the music.
    pub path: PathBuf,
    /// None: what the board profile says.
    pub budget: Option<Bytes>,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self { path: PathBuf::from("/data/music"), budget: None }
    }
}

/// `[audio]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AudioConfig {
    /// `alsa:DEVICE`, `wav:FILE` or `null`. None: what the board profile says.
    pub output: Option<String>,
}

/// `[control]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ControlConfig {
    /// Path of the Unix socket.
    pub socket: PathBuf,
}

impl Default for ControlConfig {
    fn default() -> Self {
        Self { socket: PathBuf::from("/run/silverstream/control.sock") }
    }
}

/// `[panel]`: overrides of the board profile.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PanelConfig {
    pub display: Option<String>,
    pub knob: Option<String>,
}

/// `[system]`: what the jukebox has to do with the system around it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SystemConfig {
    /// Folder of what `silverstream setup apply` has taken over; its mistakes are shown to people.
    pub state: PathBuf,
    /// How the machine is switched off. None: a file `poweroff` beside the control socket asks the system for it.
    pub power_off: Option<PowerOff>,
}

impl Default for SystemConfig {
    fn default() -> Self {
        Self { state: PathBuf::from("/data/system"), power_off: None }
    }
}

/// How a machine is switched off.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "the path of a file to make, or a command as a list of words")]
pub enum PowerOff {
    /// The system watches for this file: a jukebox without privileges can do no more.
    File(PathBuf),
    /// Program and arguments.
    Command(Vec<String>),
}

impl Config {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// If it cannot be read, or a key or value is wrong; the text has line and column.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        parse(path, &read_bounded(path)?)
    }

    /// Reads the text of a configuration; `path` is for the errors.
    ///
    /// # Errors
    /// If a key or value is wrong.
    pub fn from_text(path: &Path, text: &str) -> Result<Self, ConfigError> {
        parse(path, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        Config::from_text(Path::new("silverstream.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_no_configuration_is_refused_without_being_read_to_its_end() {
        let refused = |path: &str| Config::load(Path::new(path)).unwrap_err().to_string();
        assert!(refused("/dev/zero").contains("larger than 64 KiB"));
        assert!(refused("/nowhere/at/all").contains("check the path"));
    }

    #[test]
    fn empty_file_is_the_default() {
        assert_eq!(read("").unwrap(), Config::default());
    }

    #[test]
    fn every_key_of_the_documentation_is_known() {
        let config = read(
            r#"
            board = "pi-3"
            [dht]
            nodes = 8
            id_strategy = "random"
            listen = "127.0.0.1:0"
            bootstrap = ["127.0.0.2:6881"]
            read_only = true
            [dht.limits]
            questions = 100
            datagrams = 400
            rate = "64 KiB/s"
            flows = 512
            to_remote = 30
            [network]
            scope = "private"
            upload = "2 MiB/s"
            [index]
            path = "/tmp/index"
            budget = "512 MiB"
            keep_torrents = false
            [storage]
            path = "/data/music"
            budget = "8 GiB"
            [audio]
            output = "wav:/tmp/a.wav"
            [control]
            socket = "/run/silverstream/control.sock"
            [panel]
            display = "none"
            knob = "none"
            [system]
            state = "/data/system"
            power_off = ["systemctl", "poweroff"]
            "#,
        )
        .unwrap();
        assert_eq!(config.board, BoardConfig { profile: Some("pi-3".to_owned()), ..BoardConfig::default() });
        assert_eq!(config.dht.nodes, NodeCount::Fixed(8));
        assert!(config.dht.read_only && config.dht.limits.flows == Some(512));
        assert_eq!(config.network.scope, Scope::Private);
        assert_eq!(config.storage.budget, Some(Bytes::gib(8)));
        assert_eq!(config.system.power_off, Some(PowerOff::Command(vec!["systemctl".into(), "poweroff".into()])));
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (text, line, word) in [
            ("[dht]\nnods = 8", "line 2", "nods"),
            ("[dht]\nnodes = 0", "line 2", "32768"),
            ("\n[storage]\nbudget = \"8\"", "line 3", "GiB"),
            ("[network]\nscope = \"all\"", "line 2", "private"),
            ("[audio\n", "line 1", "]"),
            ("board = 3", "line 1", "name of a board"),
            ("[board]\nmemori = 3", "line 2", "memori"),
            ("[board]\nmemory = \"3\"", "line 2", "MiB"),
            ("[board]\ncpu_share = 0", "line 1", "cores"),
            ("[board]\ncpu_share = 1.5", "line 1", "cores"),
            ("[board]\nmemory = \"8 MiB\"", "line 1", "32 MiB"),
            ("[dht]\nlisten = \"6881\"", "line 2", "0.0.0.0:6881"),
            ("[network]\nupload = \"1 MiB\"", "line 2", "KiB/s"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(line) && error.contains(word), "{error}");
        }
    }
}
