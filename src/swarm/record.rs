//! What is known of a torrent's files across restarts: one small file for each torrent, written when a song is complete.
//!
//! librqbit's own resume data is flushed whenever it likes, before the data it speaks of may have reached the card, and
//! its check on load compares no hash. So this record is written only after the files were synced, and it holds their
//! sizes and modification times: where they still match, the pieces are trusted and given to librqbit as resume data;
//! where one does not, every file of that torrent is hashed again.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::SwarmError;
use super::metainfo::Metainfo;
use super::pieces::Pieces;
use super::store::{Place, Store};
use crate::types::InfoHash;

/// Largest record read: a bitfield of the largest torrent in hexadecimal and 20,000 files fit.
const MAX_RECORD_BYTES: u64 = 4 << 20;

/// Where records, resume data and the address filter are kept, within the music folder.
#[derive(Debug, Clone)]
pub(super) struct Records {
    folder: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// The bitfield in hexadecimal.
    pieces: String,
    /// Files that are wanted, complete or not.
    kept: BTreeSet<u32>,
    /// Every file that has something on the disk.
    files: Vec<FileState>,
}

/// What a record says.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Pieces that can be trusted without hashing; none if a file is not as it was.
    pub trusted: Option<Pieces>,
    /// Files that are wanted, complete or not.
    pub kept: BTreeSet<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct FileState {
    index: u32,
    len: u64,
    /// Modification time in nanoseconds since 1970.
    modified: i64,
}

fn state_of(index: u32, path: &Path) -> Option<FileState> {
    let meta = std::fs::metadata(path).ok()?;
    let modified = meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec());
    Some(FileState { index, len: meta.len(), modified })
}

impl Records {
    /// Opens the folder, making it if needed, and forgets librqbit's own list of torrents: the catalogue says what is
    /// seeded.
    pub fn open(folder: PathBuf) -> Result<Self, SwarmError> {
        std::fs::create_dir_all(&folder).map_err(|error| SwarmError::file(&folder, &error))?;
        let list = folder.join("session.json");
        match std::fs::remove_file(&list) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(SwarmError::file(&list, &error)),
            _ => Ok(Self { folder }),
        }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self, infohash: InfoHash, ending: &str) -> PathBuf {
        self.folder.join(format!("{infohash}.{ending}"))
    }

    /// Writes what the store has; its files must have been synced.
    pub fn save(&self, meta: &Metainfo, store: &Store, kept: BTreeSet<u32>) -> Result<(), SwarmError> {
        let infohash = meta.infohash;
        let pieces = store.with_have(|have| hex(have.as_bytes()));
        let files = (0..meta.files.len() as u32).filter_map(|index| state_of(index, &store.path(index))).collect();
        let path = self.path(infohash, "json");
        let bytes = serde_json::to_vec(&Record { pieces, kept, files }).map_err(SwarmError::session)?;
        write_durably(&path, &bytes).map_err(|error| SwarmError::file(&path, &error))
    }

    /// What is known of a torrent; nothing if there is no record that can be read.
    pub fn load(&self, meta: &Metainfo, place: &Place) -> Known {
        let Some(record) = self.read(meta.infohash) else { return Known::default() };
        let same = record.files.iter().all(|file| state_of(file.index, &place.path(meta, file.index)) == Some(*file));
        if !same {
            tracing::warn!(infohash = %meta.infohash, "files changed since they were recorded; hashing them again");
        }
        let pieces = unhex(&record.pieces).and_then(|bytes| Pieces::from_bytes(&bytes, meta.pieces()));
        Known { trusted: pieces.filter(|_| same), kept: record.kept }
    }

    fn read(&self, infohash: InfoHash) -> Option<Record> {
        let path = self.path(infohash, "json");
        if std::fs::metadata(&path).ok()?.len() > MAX_RECORD_BYTES {
            return None;
        }
        serde_json::from_slice(&std::fs::read(&path).ok()?).ok()
    }

    /// Forgets a torrent.
    pub fn remove(&self, infohash: InfoHash) {
        for ending in ["json", "bitv", "torrent"] {
            // Not being there is what is wanted; anything else shows when the torrent is added again and hashed.
            let _ = std::fs::remove_file(self.path(infohash, ending));
        }
    }

    /// Hands librqbit the pieces that it may take for granted; without any it hashes what is on the disk.
    pub fn prime(&self, infohash: InfoHash, pieces: Option<&Pieces>) -> Result<(), SwarmError> {
        let path = self.path(infohash, "bitv");
        let done = match pieces {
            Some(pieces) => write_durably(&path, pieces.as_bytes()),
            None => match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        };
        done.map_err(|error| SwarmError::file(&path, &error))
    }
}

/// All or nothing, also when the power fails.
fn write_durably(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let mut file = std::fs::File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    std::fs::rename(&new, path)?;
    match path.parent() {
        Some(folder) => std::fs::File::open(folder)?.sync_data(),
        None => Ok(()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        out.push_str(&format!("{byte:02x}"));
        out
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn hex_round_trips_and_junk_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..64), junk: String) {
            prop_assert_eq!(unhex(&hex(&bytes)), Some(bytes));
            let _ = unhex(&junk);
        }
    }
}
