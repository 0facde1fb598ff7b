//! Which board this is, and where each value of its profile comes from.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::de::{DeTable, DeValue};

use super::board::SOURCES;
use super::{BUILT_IN_BOARDS, BoardProfile, Config, ConfigError, invalid, read_bounded};

/// Where the kernel shows the device tree. The first is there for a service that sees nothing but processes in `/proc`
/// too (`ProcSubset=pid`).
const DEVICE_TREES: [&str; 2] = ["/sys/firmware/devicetree/base", "/proc/device-tree"];

/// Largest `compatible` property that is read; real ones have some 50 bytes.
const MAX_COMPATIBLE_BYTES: usize = 4096;

/// For a machine that no profile names.
const FALLBACK: &str = "sim";

/// Key of a board file that names the built-in profile which the file changes a part of.
const EXTENDS: &str = "extends";

/// How the profile was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum Recognition {
    /// A person named it.
    Name,
    /// The device tree calls the board so.
    DeviceTree { compatible: String },
    /// No profile is for this machine.
    Fallback,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The built-in profile of that name.
    BuiltIn(String),
    /// A board file.
    File(PathBuf),
    /// A key of the jukebox's configuration.
    Config(&'static str),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BuiltIn(name) => write!(f, "built-in profile {name}"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Config(key) => write!(f, "configuration, {key}"),
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One value that is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Key of the profile, those of tables joined with dots.
    pub key: String,
    /// As it would be written in TOML.
    pub value: String,
    pub origin: Origin,
}

/// A profile, and how it came to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Board {
    pub profile: BoardProfile,
    pub recognition: Recognition,
    settings: Vec<Setting>,
}

/// The folder of the device tree on this machine.
pub fn device_tree() -> PathBuf {
    let there = DEVICE_TREES.iter().map(Path::new).find(|folder| folder.join("compatible").exists());
    there.unwrap_or(Path::new(DEVICE_TREES[0])).to_owned()
}

/// What the device tree in `folder` calls the board, most specific first; nothing where there is none.
pub fn compatible(folder: &Path) -> Vec<String> {
    let bytes = std::fs::read(folder.join("compatible")).unwrap_or_default();
    let bytes = &bytes[..bytes.len().min(MAX_COMPATIBLE_BYTES)];
    // Zero bytes end the strings (Devicetree Specification 0.4, 2.2.4.1).
    bytes.split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(|n| String::from_utf8_lossy(n).into()).collect()
}

impl Board {
    /// The profile called `name`, or the file at that path; `auto` asks the device tree in the folder `tree`, and falls
    /// back to `sim`.
    ///
    /// # Errors
    /// If there is no such profile or the file is not a valid one.
    pub fn find(name: &str, tree: &Path) -> Result<Self, ConfigError> {
        if name == "auto" {
            return Self::recognise(&compatible(tree));
        }
        if BUILT_IN_BOARDS.contains(&name) {
            return Self::built_in(name, Recognition::Name);
        }
        if !name.ends_with(".toml") {
            return Err(ConfigError::UnknownBoard { name: name.to_owned() });
        }
        let path = Path::new(name);
        Self::from_file(path, &read_bounded(path)?)
    }

    fn recognise(names: &[String]) -> Result<Self, ConfigError> {
        for compatible in names {
            for board in BUILT_IN_BOARDS {
                let found = Self::built_in(board, Recognition::DeviceTree { compatible: compatible.clone() })?;
                if found.profile.compatible.contains(compatible) {
                    return Ok(found);
                }
            }
        }
        Self::built_in(FALLBACK, Recognition::Fallback)
    }

    fn built_in(name: &str, recognition: Recognition) -> Result<Self, ConfigError> {
        let text = source(name)?;
        let table = read_table(Path::new(name), text)?;
        let profile = deserialize(Path::new(name), text, table.clone())?;
        let mut settings = Vec::new();
        list("", &table, &Origin::BuiltIn(name.to_owned()), &mut settings);
        Ok(Self { profile, recognition, settings })
    }

    fn from_file(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let mut table = read_table(path, text)?;
        let mut settings = Vec::new();
        let base = table.remove(EXTENDS);
        list("", &table, &Origin::File(path.to_owned()), &mut settings);
        if let Some(base) = base {
            let name = base.get_ref().as_str().unwrap_or_default().to_owned();
            if !BUILT_IN_BOARDS.contains(&name.as_str()) {
                return Err(ConfigError::UnknownBoard { name });
            }
            let below = Self::built_in(&name, Recognition::Name)?;
            let own: Vec<String> = settings.iter().map(|setting| setting.key.clone()).collect();
            settings.extend(below.settings.into_iter().filter(|setting| !own.contains(&setting.key)));
            settings.sort_by(|a, b| a.key.cmp(&b.key));
            lay_over(&mut table, read_table(Path::new(&name), source(&name)?)?);
        }
        Ok(Self { profile: deserialize(path, text, table)?, recognition: Recognition::Name, settings })
    }

    /// The same with what `[board]` and `[dht.limits]` of the configuration say.
    #[must_use]
    pub fn overridden(mut self, config: &Config) -> Self {
        let over = &config.board;
        self.profile.cpu_share = over.cpu_share.unwrap_or(self.profile.cpu_share);
        self.profile.memory = over.memory.unwrap_or(self.profile.memory);
        self.profile.dht = config.dht.limits.or(self.profile.dht);
        self
    }

    /// The values that are in force with this configuration.
    pub fn settings(&self, config: &Config) -> Vec<Setting> {
        let quoted = |text: &Option<String>| text.as_ref().map(|text| format!("{text:?}"));
        let limits = config.dht.limits;
        let number = |number: Option<u32>| number.map(|number| number.to_string());
        let overrides = [
            ("cpu_share", "[board] cpu_share", config.board.cpu_share.map(|share| share.to_string())),
            ("memory", "[board] memory", quoted(&config.board.memory.map(|memory| memory.to_string()))),
            ("audio", "[audio] output", quoted(&config.audio.output)),
            ("display", "[panel] display", quoted(&config.panel.display)),
            ("knob", "[panel] knob", quoted(&config.panel.knob)),
            ("storage", "[storage] budget", quoted(&config.storage.budget.map(|budget| budget.to_string()))),
            ("dht.questions", "[dht.limits] questions", number(limits.questions)),
            ("dht.datagrams", "[dht.limits] datagrams", number(limits.datagrams)),
            ("dht.rate", "[dht.limits] rate", quoted(&limits.rate.map(|rate| rate.to_string()))),
            ("dht.flows", "[dht.limits] flows", number(limits.flows)),
            ("dht.to_remote", "[dht.limits] to_remote", number(limits.to_remote)),
            ("uplink", "[network] upload", quoted(&config.network.upload.map(|upload| upload.to_string()))),
        ];
        let mut settings = self.settings.clone();
        for (key, from, value) in overrides {
            let Some(value) = value else { continue };
            settings.retain(|setting| setting.key != key);
            settings.push(Setting { key: key.to_owned(), value, origin: Origin::Config(from) });
        }
        settings.sort_by(|a, b| a.key.cmp(&b.key));
        settings
    }
}

fn source(name: &str) -> Result<&'static str, ConfigError> {
    let index = BUILT_IN_BOARDS.iter().position(|known| *known == name);
    index.map(|index| SOURCES[index]).ok_or_else(|| ConfigError::UnknownBoard { name: name.to_owned() })
}

fn read_table<'t>(path: &Path, text: &'t str) -> Result<DeTable<'t>, ConfigError> {
    DeTable::parse(text).map(toml::Spanned::into_inner).map_err(|error| invalid(path, &error))
}

fn deserialize(path: &Path, text: &str, table: DeTable<'_>) -> Result<BoardProfile, ConfigError> {
    let root = toml::Spanned::new(0..text.len(), table);
    BoardProfile::deserialize(toml::de::Deserializer::from(root)).map_err(|mut error| {
        error.set_input(Some(text));
        invalid(path, &error)
    })
}

/// Fills what is missing in `over` from `under`.
fn lay_over<'t>(over: &mut DeTable<'t>, under: DeTable<'t>) {
    for (key, value) in under {
        match (over.get_mut(key.get_ref().as_ref()).map(toml::Spanned::get_mut), value.get_ref()) {
            (None, _) => drop(over.insert(key, value)),
            (Some(DeValue::Table(mine)), DeValue::Table(theirs)) => lay_over(mine, theirs.clone()),
            _ => {}
        }
    }
}

fn list(prefix: &str, table: &DeTable<'_>, origin: &Origin, settings: &mut Vec<Setting>) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.get_ref().to_string() } else { format!("{prefix}.{}", key.get_ref()) };
        match value.get_ref() {
            DeValue::Table(inner) => list(&key, inner, origin, settings),
            value => settings.push(Setting { key, value: written(value), origin: origin.clone() }),
        }
    }
}

fn written(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| written(item.get_ref())).collect();
            format!("[{}]", items.join(", "))
        }
        DeValue::Table(table) => {
            let fields: Vec<String> =
                table.iter().map(|(key, value)| format!("{} = {}", key.get_ref(), written(value.get_ref()))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Bytes;

    /// A device tree whose root is compatible with these.
    fn tree(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let text: String = names.iter().map(|name| format!("{name}\0")).collect();
        std::fs::write(folder.path().join("compatible"), text).unwrap();
        folder
    }

    #[test]
    fn boards_are_recognised_by_what_their_device_trees_say() {
        // As in the device trees of Linux 6.12 and of QEMU's `virt`.
        for (names, profile) in [
            (&["raspberrypi,model-zero-2-w", "brcm,bcm2837"][..], "pi-zero-2-w"),
            (&["raspberrypi,3-model-b", "brcm,bcm2837"], "pi-3"),
            (&["raspberrypi,3-model-b-plus", "brcm,bcm2837"], "pi-3"),
            (&["raspberrypi,4-model-b", "brcm,bcm2711"], "pi-4"),
        ] {
            let board = Board::find("auto", tree(names).path()).unwrap();
            assert_eq!(board.profile.name, profile, "{names:?}");
            assert_eq!(board.recognition, Recognition::DeviceTree { compatible: names[0].to_owned() });
        }
        let virt = Board::find("auto", tree(&["linux,dummy-virt"]).path()).unwrap();
        let there = BUILT_IN_BOARDS.contains(&"qemu-virt");
        assert_eq!(virt.profile.name, if there { "qemu-virt" } else { FALLBACK });
        let unknown = Board::find("auto", tree(&["acme,toaster", ""]).path()).unwrap();
        assert_eq!((unknown.profile.name.as_str(), unknown.recognition), (FALLBACK, Recognition::Fallback));
        let none = Board::find("auto", Path::new("/nonexistent")).unwrap();
        assert_eq!(none.recognition, Recognition::Fallback);
    }

    #[test]
    fn no_board_is_claimed_by_two_profiles() {
        let profiles = BUILT_IN_BOARDS.map(|name| Board::built_in(name, Recognition::Name).unwrap().profile);
        let mut names: Vec<&String> = profiles.iter().flat_map(|profile| &profile.compatible).collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn a_board_file_changes_a_part_of_a_built_in_profile_and_the_configuration_a_part_of_both() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        std::fs::write(&path, "extends = \"pi-3\"\nname = \"mine\"\nmemory = \"96 MiB\"\naudio = \"alsa:DAC\"\n")
            .unwrap();
        let board = Board::find(path.to_str().unwrap(), Path::new("/nonexistent")).unwrap();
        let pi = BoardProfile::load("pi-3").unwrap();
        assert_eq!((board.profile.memory, &board.profile.display), (Bytes::mib(96), &pi.display));
        let text = "[audio]\noutput = \"null\"\n[board]\ncpu_share = 0.25";
        let config = Config::from_text(Path::new("x"), text).unwrap();
        let board = board.overridden(&config);
        assert_eq!((board.profile.cpu_share, board.profile.memory), (0.25, Bytes::mib(96)));
        let origin = |key: &str| {
            board.settings(&config).into_iter().find(|setting| setting.key == key).map(|s| (s.value, s.origin)).unwrap()
        };
        assert_eq!(origin("memory"), ("\"96 MiB\"".to_owned(), Origin::File(path.clone())));
        assert_eq!(origin("audio"), ("\"null\"".to_owned(), Origin::Config("[audio] output")));
        assert_eq!(origin("cpu_share"), ("0.25".to_owned(), Origin::Config("[board] cpu_share")));
        assert_eq!(origin("display").1, Origin::BuiltIn("pi-3".to_owned()));
        let keys: Vec<String> = board.settings(&config).into_iter().map(|setting| setting.key).collect();
        assert!(keys.is_sorted() && keys.len() == 12, "{keys:?}");
    }

    #[test]
    fn a_mistake_in_a_board_file_is_named_with_its_line() {
        let read = |text: &str| Board::from_file(Path::new("mine.toml"), text).unwrap_err().to_string();
        let error = read("extends = \"pi-3\"\nmemori = \"96 MiB\"");
        assert!(error.contains("line 2") && error.contains("memori"), "{error}");
        let error = read("extends = \"pi-3\"\nname = \"x\"\nmemory = 7");
        assert!(error.contains("line 3"), "{error}");
        assert!(read("extends = \"pi-9\"").contains("pi-9"));
        assert!(read("name = \"alone\"").contains("missing"));
    }
}
