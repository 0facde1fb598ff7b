//! The first boot and every later one: `silverstream.toml` of the boot partition is checked, taken over, and freed of its
//! secrets.
//!
//! Each part is taken over by itself: where one has a mistake, what was taken over last stays in force for that part, and
//! the mistakes are kept for the display. One mistyped pin must not cost the way in over Wi-Fi and SSH, and a password that
//! is missing since the data is a new one must not cost the SSH keys. Each file is replaced as a whole; cut short at any
//! moment, the next start does it again, for the secrets leave the boot partition last.

mod checks;
mod file;
mod forgiving;
mod legible;
mod redact;
mod store;
#[cfg(test)]
mod tests;
mod wifi;

pub use file::Objection;

use std::io::{self, ErrorKind};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::limits::Limits;
use crate::config::{Board, Config, device_tree};
use file::{Said, Setup, Slip};
use store::{Store, leave, replace_secretly};
use wifi::{Access, Wifi, supplicant_conf};

/// Name of the settings on the boot partition, and of the jukebox's part of them in the state.
pub const FILE: &str = "silverstream.toml";

/// Name of the list of mistakes in the state.
const PROBLEMS: &str = "setup-problems.json";

/// Name of the same list beside the settings, for who has only a dark screen and a computer.
const LIST: &str = "silverstream-problems.txt";

/// Name of what systemd is to hold the jukebox to.
const LIMITS: &str = "limits";

/// Name of the Wi-Fi's name in the state, for the display; it is not in [`SUPPLICANT`] for everybody's eyes.
pub const WIFI_NAME: &str = "wifi-name";

const HOSTNAME: &str = "hostname";
const LOCALTIME: &str = "localtime";
const SUPPLICANT: &str = "wpa_supplicant.conf";
const KEYS_FOLDER: &str = "ssh";
const KEYS: &str = "authorized_keys";

/// Where the tz database lies on the system that is set up.
const ZONES: &str = "/usr/share/zoneinfo";

/// Largest file that is read.
const MAX_BYTES: u64 = 64 * 1024;

/// Comment in place of the password.
const NOTE: &str = "password: taken over and removed from this file; to change it, write it here again";

/// What is not right with the settings, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mistake {
    /// Name of the file.
    pub file: String,
    /// From 1; none if it is not in a line.
    pub line: Option<usize>,
    /// As a sentence.
    pub text: String,
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}, line {line}: {}", self.file, self.text),
            None => write!(f, "{}: {}", self.file, self.text),
        }
    }
}

/// The folders that are worked on.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// The boot partition.
    pub boot: &'a Path,
    /// What is kept from one start to the next.
    pub state: &'a Path,
    /// The system that is set up, `/` on a board.
    pub root: &'a Path,
}

/// What became of the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// There are none; what was taken over before stays.
    NoFile,
    /// They are in force, but for those with these mistakes.
    Taken(Vec<Mistake>),
    /// The same, but the boot partition is read-only and something is to be written there: a password is to be removed, or the
    /// list of mistakes is another one.
    Unwritten(Vec<Mistake>),
}

/// Takes over the settings. `object` looks at what the jukebox's part means.
///
/// # Errors
/// If the state cannot be written; some of it may be in force then, all of it after the next call that succeeds.
pub fn apply(places: &Places<'_>, object: &dyn Fn(&Config) -> Vec<Objection>) -> io::Result<Outcome> {
    let store = Store::open(places.state)?;
    let path = places.boot.join(FILE);
    let (mistakes, refused) = match read(&path) {
        // A file that is gone is no mistake, but it mends none either.
        Ok(None) => return Ok(Outcome::NoFile),
        Err(mistake) => (vec![mistake], false),
        Ok(Some(text)) => {
            let before = store.read(FILE).unwrap_or_default();
            let (setup, slips) = file::read(&text, &before, places.root, object);
            take_over(&store, places, &text, setup, slips)?
        }
    };
    let list = (!mistakes.is_empty()).then(|| serde_json::to_string(&mistakes)).transpose()?;
    store.put(PROBLEMS, list.as_deref(), 0o644)?;
    // A boot partition that cannot be written is no mistake of the settings: the display tells them.
    let left = leave(&places.boot.join(LIST), (!mistakes.is_empty()).then(|| for_a_computer(&mistakes)).as_deref());
    let refused = refused || left.is_err_and(|error| is_read_only(&error));
    Ok(if refused { Outcome::Unwritten(mistakes) } else { Outcome::Taken(mistakes) })
}

fn is_read_only(error: &io::Error) -> bool {
    error.kind() == ErrorKind::ReadOnlyFilesystem
}

/// Leaves for systemd what the jukebox may take of the machine, by what was taken over and the profile of the board.
///
/// # Errors
/// If the state cannot be written.
pub fn limit(state: &Path) -> io::Result<()> {
    let path = state.join(FILE);
    let config = if path.exists() { forgiving(&path, &|_| Vec::new()).0 } else { Config::default() };
    let tree = device_tree();
    let board =
        Board::find(config.board.profile.as_deref().unwrap_or("auto"), &tree).or_else(|_| Board::find("auto", &tree));
    // The bounds that silverstream.service has for all systems are there in any case.
    let limits = board.ok().map(|board| Limits::here(&board.overridden(&config).profile).environment());
    Store::open(state)?.put(LIMITS, limits.as_deref(), 0o644)
}

/// The list of mistakes in lines as every system's editor shows them.
fn for_a_computer(mistakes: &[Mistake]) -> String {
    let head = "What was not right when the jukebox was switched on last. What is not named here is in force.";
    let lines = mistakes.iter().map(ToString::to_string);
    [head.to_owned(), String::new()].into_iter().chain(lines).map(|line| line + "\r\n").collect()
}

/// Looks at a file of settings without taking anything over.
///
/// # Errors
/// All mistakes that are found.
pub fn check(path: &Path, root: &Path, object: &dyn Fn(&Config) -> Vec<Objection>) -> Result<(), Vec<Mistake>> {
    let text = read(path).map_err(|mistake| vec![mistake])?.ok_or_else(|| vec![no_such_file(path)])?;
    let (_, slips) = file::read(&text, "", root, object);
    let mistakes: Vec<Mistake> =
        located(&text, slips).into_iter().map(|mistake| Mistake { file: name(path), ..mistake }).collect();
    if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
}

/// The jukebox's configuration in the file at `path` as far as it goes, and what is wrong with the rest, which is left out.
pub fn forgiving(path: &Path, object: &dyn Fn(&Config) -> Vec<Objection>) -> (Config, Vec<Mistake>) {
    let full = |mistake: Mistake| Mistake { file: path.display().to_string(), ..mistake };
    match read(path) {
        Ok(Some(text)) => {
            let (config, slips) = forgiving::forgiving(&text, object);
            (config, located(&text, slips).into_iter().map(full).collect())
        }
        Ok(None) => (Config::default(), vec![full(no_such_file(path))]),
        Err(mistake) => (Config::default(), vec![full(mistake)]),
    }
}

fn no_such_file(path: &Path) -> Mistake {
    Mistake { file: name(path), line: None, text: "there is no such file".to_owned() }
}

/// What was taken over and must not be in a report, as far as it may be read: key and name of the Wi-Fi.
pub fn secrets(state: &Path) -> Vec<String> {
    let read = |name: &str| std::fs::read_to_string(state.join(name)).unwrap_or_default();
    let key = read(SUPPLICANT).lines().find_map(|line| line.trim().strip_prefix("psk=").map(str::to_owned));
    key.into_iter().chain(Some(read(WIFI_NAME))).filter(|secret| !secret.is_empty()).collect()
}

/// What was not right at the last start, out of the state in this folder.
pub fn problems(state: &Path) -> Vec<Mistake> {
    let list = std::fs::read_to_string(state.join(PROBLEMS)).unwrap_or_default();
    serde_json::from_str(&list).unwrap_or_default()
}

fn name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// The text; none if there is no such file.
fn read(path: &Path) -> Result<Option<String>, Mistake> {
    let mistake = |line, text: String| Mistake { file: name(path), line, text };
    let bytes = match std::fs::metadata(path).map(|meta| meta.len()) {
        Ok(length) if length > MAX_BYTES => Err(io::Error::other("it is larger than 64 KiB")),
        Ok(_) => std::fs::read(path),
        Err(error) => Err(error),
    };
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(mistake(None, format!("cannot be read: {error}; write it anew"))),
    };
    // What FAT leaves of a file whose writing was cut short.
    if bytes.iter().all(|byte| *byte == 0) {
        let text = "is empty, as if the card had been pulled out while it was written; write it anew, or delete it";
        return Err(mistake(None, text.to_owned()));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(mistake(None, "is in UTF-16; save it as UTF-8, which editors also call plain text".to_owned()));
    }
    String::from_utf8(bytes).map(Some).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        mistake(Some(line), "a letter here is not UTF-8; save the file as UTF-8".to_owned())
    })
}

fn located(text: &str, slips: Vec<Slip>) -> Vec<Mistake> {
    let line = |at: usize| 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
    let mistake = |slip: Slip| Mistake { file: FILE.to_owned(), line: slip.at.map(line), text: slip.text };
    slips.into_iter().map(mistake).collect()
}

/// Puts everything in its place, the password last; what is wrong, and whether the password stayed where it was because the
/// boot partition is read-only.
fn take_over(
    store: &Store,
    places: &Places<'_>,
    text: &str,
    setup: Setup,
    mut slips: Vec<Slip>,
) -> io::Result<(Vec<Mistake>, bool)> {
    if let Said::This(keys) = &setup.ssh_keys {
        let lines: String = keys.iter().map(|key| format!("{key}\n")).collect();
        let folder = Store::open(&places.state.join(KEYS_FOLDER))?;
        folder.put(KEYS, (!lines.is_empty()).then_some(&lines), 0o644)?;
    }
    if let Said::This(hostname) = &setup.hostname {
        store.put(HOSTNAME, hostname.as_ref().map(|name| format!("{name}\n")).as_deref(), 0o644)?;
    }
    if let Said::This(timezone) = &setup.timezone {
        store.link(LOCALTIME, timezone.as_ref().map(|zone| Path::new(ZONES).join(zone)).as_deref())?;
    }
    store.put(FILE, Some(&setup.jukebox), 0o644)?;
    let (slip, refused) = match &setup.wifi {
        Said::This(wifi) => take_over_wifi(store, places, text, &setup, wifi.as_ref())?,
        Said::Unclear => (None, false),
    };
    slips.extend(slip);
    slips.sort_by_key(|slip| slip.at);
    Ok((located(text, slips), refused))
}

/// Writes the network down and frees the boot partition of its password; what is wrong, and whether the boot partition is
/// read-only.
fn take_over_wifi(
    store: &Store,
    places: &Places<'_>,
    text: &str,
    setup: &Setup,
    wifi: Option<&Wifi>,
) -> io::Result<(Option<Slip>, bool)> {
    let Some(wifi) = wifi else {
        store.put(SUPPLICANT, None, 0o600)?;
        store.put(WIFI_NAME, None, 0o644)?;
        return Ok((None, false));
    };
    let Some(conf) = supplicant_conf(wifi, store.read(SUPPLICANT).as_deref()) else {
        // Not by its name: where a network of that name is, is in lists on the internet.
        let text = "the password of this network is missing: write password = \"…\" again, or open = true".to_owned();
        return Ok((Some(Slip { at: setup.ssid_at, text }), false));
    };
    store.put(SUPPLICANT, Some(&conf), 0o600)?;
    store.put(WIFI_NAME, Some(&wifi.ssid), 0o644)?;
    let Some((key, value)) = setup.password.clone() else { return Ok((None, false)) };
    debug_assert!(wifi.access != Access::AsBefore, "a password was given");
    let at = Some(key.start);
    let removed = redact::without(text, &setup.legible, (key, value), NOTE)
        .ok_or_else(|| io::Error::other("its line is written in an unusual way"))
        .and_then(|without| replace_secretly(&places.boot.join(FILE), &without));
    let Err(error) = removed else { return Ok((None, false)) };
    let text =
        format!("the Wi-Fi password was taken over but not removed from here ({error}); remove this line by hand");
    Ok((Some(Slip { at, text }), is_read_only(&error)))
}
