//! The `.torrent` files of what lies on the disk or is shared: without them nothing could be seeded after a restart,
//! whether or not the catalogue caches torrents.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::metadata::torrent::MAX_TORRENT_BYTES;
use crate::types::InfoHash;

/// A folder with a file for each torrent, named after its infohash.
#[derive(Debug, Clone)]
pub struct HeldTorrents {
    folder: PathBuf,
}

impl HeldTorrents {
    /// Opens the folder, making it if needed.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    fn path(&self, infohash: InfoHash) -> PathBuf {
        self.folder.join(format!("{infohash}.torrent"))
    }

    /// Keeps the torrent; it is durable and whole when this returns. Keeping it again does nothing.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn put(&self, infohash: InfoHash, torrent: Bytes) -> io::Result<()> {
        let (path, folder) = (self.path(infohash), self.folder.clone());
        blocking(move || {
            if path.exists() {
                return Ok(());
            }
            // A reader never sees half a file: it gets its name when it is all on the disk. Two songs of one torrent may
            // be kept at the same time, each with a part of its own.
            let mut part = tempfile::Builder::new().suffix(".part").tempfile_in(&folder)?;
            part.write_all(&torrent)?;
            part.as_file().sync_all()?;
            part.persist(&path).map_err(|error| error.error)?;
            std::fs::File::open(folder)?.sync_all()
        })
        .await
    }

    /// The torrent, if it is kept.
    ///
    /// # Errors
    /// If it cannot be read, or is larger than any that was put.
    pub async fn get(&self, infohash: InfoHash) -> io::Result<Option<Bytes>> {
        let path = self.path(infohash);
        blocking(move || {
            let file = match std::fs::File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
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
        let folder = self.folder.clone();
        blocking(move || {
            for entry in std::fs::read_dir(folder)? {
                let path = entry?.path();
                let infohash = path.file_stem().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
                if infohash.is_some_and(|infohash| !known.contains(&infohash)) {
                    std::fs::remove_file(path)?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Keeps the torrent no longer.
    ///
    /// # Errors
    /// If the file is there and cannot be removed.
    pub async fn remove(&self, infohash: InfoHash) -> io::Result<()> {
        let path = self.path(infohash);
        blocking(move || match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_put_is_there_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let held = HeldTorrents::open(folder.path()).unwrap();
        let infohash = InfoHash([3; 20]);
        assert_eq!(held.get(infohash).await.unwrap(), None);
        held.put(infohash, Bytes::from_static(b"d4:infodee")).await.unwrap();
        held.put(infohash, Bytes::from_static(b"other")).await.unwrap();
        let again = HeldTorrents::open(folder.path()).unwrap();
        assert_eq!(again.get(infohash).await.unwrap().as_deref(), Some(&b"d4:infodee"[..]));
        again.keep_only(HashSet::from([infohash])).await.unwrap();
        assert!(again.get(infohash).await.unwrap().is_some());
        again.keep_only(HashSet::new()).await.unwrap();
        assert_eq!(again.get(infohash).await.unwrap(), None);
        held.put(infohash, Bytes::from_static(b"d4:infodee")).await.unwrap();
        again.remove(infohash).await.unwrap();
        again.remove(infohash).await.unwrap();
        assert_eq!(held.get(infohash).await.unwrap(), None);
    }
}
