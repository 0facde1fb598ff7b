//! The `.torrent` files of what lies on the disk or is shared: without them nothing could be seeded after a restart,
//! whether or not the catalogue caches torrents. They have a part of `[index] budget`.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;

use crate::catalogue::Catalogue;
use crate::metadata::torrent::MAX_TORRENT_BYTES;
use crate::types::{self, InfoHash};

/// The part of `[index] budget` that they may take: one eighth. What they do take is taken from the catalogue's.
const SHARE: u64 = 8;

/// A file takes a multiple of this on usual filesystems.
const BLOCK: u64 = 4096;

/// How the names of files end: of torrents that others have too, and of those that a person shares.
const FETCHED: &str = ".torrent";
const SHARED: &str = ".shared.torrent";

/// Where a torrent comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// From others: it can be fetched again, and goes when room is needed, what was used longest ago first.
    Fetched,
    /// A person's own: nobody else may have it, so it stays until it is no longer shared.
    Shared,
}

/// A folder with a file for each torrent, named after its infohash.
#[derive(Debug, Clone)]
pub struct HeldTorrents {
    folder: Arc<Path>,
    /// Bytes on the disk that all of them may take.
    bound: u64,
    catalogue: Catalogue,
    /// Held while room is made and used.
    changes: Arc<Mutex<()>>,
}

/// A torrent in the folder.
struct Entry {
    path: PathBuf,
    infohash: InfoHash,
    origin: Origin,
    /// On the disk.
    bytes: u64,
    used: SystemTime,
}

impl HeldTorrents {
    /// Opens the folder, making it if needed. `budget` is that of the whole index; what the torrents take of it is told to
    /// the catalogue.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn open(folder: &Path, budget: types::Bytes, catalogue: Catalogue) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.into(), bound: budget.0 / SHARE, catalogue, changes: Arc::default() })
    }

    fn path(&self, infohash: InfoHash, origin: Origin) -> PathBuf {
        let end = if origin == Origin::Shared { SHARED } else { FETCHED };
        self.folder.join(format!("{infohash}{end}"))
    }

    /// Keeps the torrent; it is durable and whole when this returns. Kept already, it counts as used now. Fetched ones
    /// are kept as far as there is room.
    ///
    /// # Errors
    /// If it cannot be written, or is shared and there is no room for it.
    pub async fn put(&self, infohash: InfoHash, torrent: Bytes, origin: Origin) -> io::Result<()> {
        let path = self.path(infohash, origin);
        self.change(move |held| {
            if let Ok(file) = std::fs::File::options().append(true).open(&path) {
                return file.set_modified(SystemTime::now());
            }
            if !held.make_room(torrent.len() as u64)? {
                if origin == Origin::Shared {
                    let full = "the torrents of what is shared fill their part of [index] budget; raise it, or \
                                `unshare` something";
                    return Err(io::Error::new(io::ErrorKind::StorageFull, full));
                }
                tracing::debug!(%infohash, "no room to keep the torrent; it is fetched again when it is needed");
                return Ok(());
            }
            // A reader never sees half a file: it gets its name when it is all on the disk.
            let mut part = tempfile::Builder::new().suffix(".part").tempfile_in(&held.folder)?;
            part.write_all(&torrent)?;
            part.as_file().sync_all()?;
            part.persist(&path).map_err(|error| error.error)?;
            std::fs::File::open(&held.folder)?.sync_all()
        })
        .await
    }

    /// Changes the folder, one change after the other, and tells the catalogue what is left of the budget.
    async fn change(&self, work: impl FnOnce(&Self) -> io::Result<()> + Send + 'static) -> io::Result<()> {
        let held = self.clone();
        let (outcome, used) = blocking(move || {
            let _alone = held.changes.lock().unwrap_or_else(PoisonError::into_inner);
            let outcome = work(&held);
            Ok((outcome, held.entries()?.iter().map(|entry| entry.bytes).sum()))
        })
        .await?;
        if let Err(error) = self.catalogue.leave_room(types::Bytes(used)).await {
            tracing::warn!(%error, "the catalogue does not know what the torrents beside it take");
        }
        outcome
    }

    /// Removes fetched torrents until `bytes` more fit; false if they cannot.
    fn make_room(&self, bytes: u64) -> io::Result<bool> {
        let mut entries = self.entries()?;
        let needed = bytes.next_multiple_of(BLOCK);
        let mut used: u64 = entries.iter().map(|entry| entry.bytes).sum();
        entries.retain(|entry| entry.origin == Origin::Fetched);
        let evictable: u64 = entries.iter().map(|entry| entry.bytes).sum();
        if used - evictable + needed > self.bound {
            return Ok(false);
        }
        entries.sort_by_key(|entry| entry.used);
        for entry in entries {
            if used + needed <= self.bound {
                break;
            }
            std::fs::remove_file(&entry.path)?;
            used -= entry.bytes;
        }
        Ok(true)
    }

    /// All torrents that are there.
    fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let (name, origin) = match (name.strip_suffix(SHARED), name.strip_suffix(FETCHED)) {
                (Some(name), _) => (name, Origin::Shared),
                (None, Some(name)) => (name, Origin::Fetched),
                (None, None) => continue,
            };
            let Ok(infohash) = name.parse() else { continue };
            let meta = entry.metadata()?;
            let bytes = (meta.blocks() * 512).max(meta.len());
            found.push(Entry { path: entry.path(), infohash, origin, bytes, used: meta.modified()? });
        }
        Ok(found)
    }

    /// The torrent, if it is kept.
    ///
    /// # Errors
    /// If it cannot be read, or is larger than any that was put.
    pub async fn get(&self, infohash: InfoHash) -> io::Result<Option<Bytes>> {
        let [path, shared] = [Origin::Fetched, Origin::Shared].map(|origin| self.path(infohash, origin));
        blocking(move || {
            let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
            let file = match std::fs::File::open(&path) {
                Err(error) if missing(&error) => std::fs::File::open(&shared),
                opened => opened,
            };
            let file = match file {
                Err(error) if missing(&error) => return Ok(None),
                file => file?,
            };
            let mut bytes = Vec::new();
            file.take(MAX_TORRENT_BYTES as u64 + 1).read_to_end(&mut bytes)?;
            if bytes.len() > MAX_TORRENT_BYTES {
                return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} is too large", path.display())));
            }
            Ok(Some(bytes.into()))
        })
        .await
    }

    /// Keeps no torrents but these.
    ///
    /// # Errors
    /// If the folder cannot be read or another torrent cannot be removed.
    pub async fn keep_only(&self, known: HashSet<InfoHash>) -> io::Result<()> {
        self.remove_where(move |infohash| !known.contains(&infohash)).await
    }

    /// Keeps the torrent no longer.
    ///
    /// # Errors
    /// If the file is there and cannot be removed.
    pub async fn remove(&self, infohash: InfoHash) -> io::Result<()> {
        self.remove_where(move |other| other == infohash).await
    }

    async fn remove_where(&self, unwanted: impl Fn(InfoHash) -> bool + Send + 'static) -> io::Result<()> {
        self.change(move |held| {
            let mut unwanted = held.entries()?.into_iter().filter(|entry| unwanted(entry.infohash));
            unwanted.try_for_each(|entry| std::fs::remove_file(entry.path))
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

#[cfg(test)]
mod tests;
