//! How the board fares, read from what the kernel and the system's services show of it. What they do not show is said,
//! too: silence is no sign of health.

mod address;
mod card;
mod network;
mod power;
mod slots;
mod sound;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::finding::Finding;
use super::limits;
use super::program;
use crate::control::{LimitsStatus, NetworkStatus};
use crate::types::{Bytes, UnixTime};

/// Largest file that is read; those of the kernel are smaller.
const MAX_BYTES: usize = 256 * 1024;

/// A clock before this has not been set: this version was written in it (2026-01-01).
const WRITTEN: UnixTime = UnixTime(1_767_225_600);

/// With less memory to spare the kernel soon takes it from the page cache of the music.
const LITTLE_MEMORY: Bytes = Bytes::mib(32);

/// Left by the system when the card cannot hold data, and memory is in its place.
const DATA_IN_MEMORY: &str = "run/silverstream-data-in-memory";

/// Left by the system when another slot was to run; holds its name.
const ROLLED_BACK: &str = "run/silverstream-rolled-back";

/// Left by the system when it could not mount the boot partition.
const BOOT_UNREADABLE: &str = "run/silverstream-boot-unreadable";

/// What the kernel tells of the network. `/proc/net` is a link to it, which the service is not shown: it sees nothing but
/// processes in `/proc` (`ProcSubset=pid`).
const NET: &str = "proc/self/net";

/// Where the system's files are.
#[derive(Debug, Clone)]
pub struct Machine {
    root: PathBuf,
    /// Says how the slots are; not every system has it.
    rauc: PathBuf,
    /// How long it is waited for.
    patience: Duration,
}

impl Default for Machine {
    /// This one.
    fn default() -> Self {
        Self::at(Path::new("/"), Path::new("rauc"))
    }
}

impl Machine {
    /// Another one, as it shows itself below `root`, with the program `rauc`.
    pub fn at(root: &Path, rauc: &Path) -> Self {
        Self { root: root.to_owned(), rauc: rauc.to_owned(), patience: program::PATIENCE }
    }

    /// All that is looked at, `now` being what the clock shows.
    pub fn examine(&self, now: UnixTime) -> Vec<Finding> {
        let mut findings = vec![power::supply(self), power::heat(self), self.memory()];
        findings.extend(card::look(self));
        findings.extend(slots::look(self));
        findings.extend([sound::look(self), network::link(self), self.clock(now)]);
        findings
    }

    /// What the system met with the card since the machine was switched on, for the display.
    pub fn card_troubles(&self) -> Vec<&'static str> {
        let troubles = [
            (DATA_IN_MEMORY, "This card cannot be used for data: nothing is kept. Save what is on it and replace it."),
            (BOOT_UNREADABLE, "The boot partition cannot be read. Check the card in a computer."),
        ];
        troubles.into_iter().filter(|(flag, _)| self.has(flag)).map(|(_, sentence)| sentence).collect()
    }

    /// Why the Wi-Fi that was set up is not there, for the display.
    pub fn wifi_trouble(&self) -> Option<&'static str> {
        network::wifi_trouble(self).map(network::sentence)
    }

    /// How this machine is connected, for the display.
    pub fn network(&self) -> NetworkStatus {
        network::status(self)
    }

    /// What the kernel holds this process to.
    pub fn limits(&self) -> LimitsStatus {
        limits::held(&self.root)
    }

    /// The slot that was to run and was never up for a whole minute, so that this one runs.
    pub fn left_slot(&self) -> Option<String> {
        self.read(ROLLED_BACK).filter(|slot| !slot.is_empty())
    }

    fn has(&self, path: impl AsRef<Path>) -> bool {
        self.root.join(path).exists()
    }

    /// The trimmed text of a file; none if it is not there or not text.
    fn read(&self, path: impl AsRef<Path>) -> Option<String> {
        let mut bytes = std::fs::read(self.root.join(path)).ok()?;
        bytes.truncate(MAX_BYTES);
        String::from_utf8(bytes).ok().map(|text| text.trim().to_owned())
    }

    /// Folders whose parent is `parent` and whose names begin so, sorted.
    fn folders(&self, parent: &str, prefix: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.root.join(parent)).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut folders: Vec<PathBuf> =
            names.filter(|name| name.starts_with(prefix)).map(|name| Path::new(parent).join(name)).collect();
        folders.sort();
        folders
    }

    fn memory(&self) -> Finding {
        let meminfo = self.read("proc/meminfo").unwrap_or_default();
        let value = |name: &str| -> Option<Bytes> {
            let line = meminfo.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse().ok().map(Bytes::kib)
        };
        let (Some(total), Some(available)) = (value("MemTotal:"), value("MemAvailable:")) else {
            return Finding::good("memory", "the kernel does not say how much there is");
        };
        let found = format!("{available} of {total} to spare");
        if available < LITTLE_MEMORY {
            return Finding::warning("memory", found, "end other programs; fewer [dht] nodes take less");
        }
        Finding::good("memory", found)
    }

    fn clock(&self, now: UnixTime) -> Finding {
        let remedy = "connect the network and wait a minute; `timedatectl` says whom it asks. The jukebox plays anyway";
        if now < WRITTEN {
            return Finding::warning("clock", "shows a time in the past, as after power-on without a network", remedy);
        }
        // systemd-timesyncd.service(8): made when the clock was set by the network.
        if self.root.join("run/systemd/timesync/synchronized").exists() {
            return Finding::good("clock", "is set by the network");
        }
        if self.root.join("run/systemd/timesync").exists() {
            return Finding::warning("clock", "has not been set by the network since power-on", remedy);
        }
        Finding::good("clock", "shows a time that can be")
    }
}

#[cfg(test)]
mod tests;
