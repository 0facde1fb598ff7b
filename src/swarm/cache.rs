//! Open files of all torrents together, so that a torrent of a thousand files does not use up the process's descriptors.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Files kept open at most; the least recently used one is closed for another. Far below the usual 1,024 descriptors.
const MAX_OPEN_FILES: usize = 64;

/// Which file, and how it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileKey {
    pub store: u64,
    pub file: u32,
    pub writable: bool,
}

#[derive(Debug, Default)]
struct Slots {
    /// Least recently used first. 64 entries are found faster by looking at all than by hashing.
    open: Vec<(FileKey, Arc<File>)>,
}

/// The open files.
#[derive(Debug, Default)]
pub(super) struct FileCache {
    slots: Mutex<Slots>,
}

impl FileCache {
    /// The open file, opened now if it was not. `path` is only asked for then.
    pub fn get(&self, key: FileKey, path: impl FnOnce() -> std::path::PathBuf) -> io::Result<Arc<File>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = slots.open.iter().position(|(known, _)| *known == key) {
            let slot = slots.open.remove(index);
            let file = slot.1.clone();
            slots.open.push(slot);
            return Ok(file);
        }
        let file = Arc::new(open(&path(), key.writable)?);
        if slots.open.len() >= MAX_OPEN_FILES {
            slots.open.remove(0);
        }
        slots.open.push((key, file.clone()));
        Ok(file)
    }

    /// Closes every file of a store; one that is in use is closed when its user is done.
    pub fn close(&self, store: u64) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).open.retain(|(key, _)| key.store != store);
    }
}

fn open(path: &Path, writable: bool) -> io::Result<File> {
    if !writable {
        return File::open(path);
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_open_files_is_bounded_and_closing_is_by_store() {
        let folder = tempfile::tempdir().unwrap();
        let cache = FileCache::default();
        for file in 0..100 {
            let key = FileKey { store: u64::from(file % 2), file, writable: true };
            cache.get(key, || folder.path().join(file.to_string())).unwrap();
        }
        assert_eq!(cache.slots.lock().unwrap().open.len(), MAX_OPEN_FILES);
        let key = FileKey { store: 1, file: 99, writable: true };
        // Were it not open, there would be nothing at the path.
        cache.get(key, || folder.path().join("none")).unwrap();
        cache.close(1);
        assert_eq!(cache.slots.lock().unwrap().open.len(), MAX_OPEN_FILES / 2);
        assert!(cache.get(FileKey { store: 3, file: 0, writable: false }, || folder.path().join("none")).is_err());
    }
}
