//! How a torrent lies on the disk: librqbit's storage trait over sparse files that are made when they are first written.
//!
//! librqbit's own filesystem storage creates every file of a torrent, wanted or not, and names them as the torrent says.
//! Here a download lives in `<music>/<infohash>/<index>-<name>`, so hostile names (too long, equal but for case,
//! reserved by the filesystem) cannot do harm, and nothing exists that was not wanted. A share reads the files where their
//! owner put them and is never written.

use std::any::TypeId;
use std::collections::{BTreeSet, HashMap};
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use librqbit::storage::filesystem::FilesystemStorageFactory;
use librqbit::storage::{BoxStorageFactory, StorageFactory, StorageFactoryExt, TorrentStorage};
use librqbit::{ManagedTorrentShared, TorrentMetadata};
use tokio::sync::watch;

use super::cache::{FileCache, FileKey};
use super::error::SwarmError;
use super::metainfo::Metainfo;
use super::pieces::Pieces;

/// Longest part of a file's own name that is kept on disk, in bytes: with index it stays below every filesystem's 255.
const MAX_NAME_BYTES: usize = 96;
/// Pieces that are watched for damage at a time: more than the blocks that peers can have under way.
const MAX_PIECES_UNDER_WAY: usize = 128;
/// A piece whose every block was written is checked at once; one that did not pass by then came damaged.
const CHECK_TIME: Duration = Duration::from_secs(2);

/// Numbers stores, so that the cache tells them apart.
static NEXT_STORE: AtomicU64 = AtomicU64::new(0);

/// Where the files of a torrent are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A download in this folder, which is ours alone.
    Own(PathBuf),
    /// Someone's files below this folder, named as in the torrent. Never written.
    Shared(PathBuf),
}

impl Place {
    /// Path of a file, whether it exists or not.
    pub fn path(&self, meta: &Metainfo, file: u32) -> PathBuf {
        let name = meta.files.get(file as usize).map_or("", |span| &span.path);
        match self {
            Self::Own(folder) => folder.join(own_name(file, name)),
            Self::Shared(folder) => folder.join(name),
        }
    }
}

/// The files of one torrent. A store is closed for good when its torrent leaves the session; the torrent's next life
/// has a new one.
#[derive(Debug)]
pub(super) struct Store {
    id: u64,
    meta: Arc<Metainfo>,
    place: Place,
    cache: Arc<FileCache>,
    /// Held for reading during every access, so that closing waits for those under way.
    open: RwLock<bool>,
    have: Mutex<Pieces>,
    /// Counts completed pieces; readers of progress wait for changes.
    completed: watch::Sender<u64>,
    state: Mutex<WriteState>,
    corrupt: AtomicU64,
}

#[derive(Debug, Default)]
struct WriteState {
    /// Files written since they were last synced.
    dirty: BTreeSet<u32>,
    failure: Option<SwarmError>,
    under_way: HashMap<u32, PieceUnderWay>,
}

/// What was written of a piece that has not passed its check yet.
#[derive(Debug, Default)]
struct PieceUnderWay {
    /// Where writes began within the piece.
    starts: BTreeSet<u32>,
    bytes: u64,
    full_since: Option<Instant>,
}

impl Store {
    pub fn new(meta: Arc<Metainfo>, place: Place, cache: Arc<FileCache>, have: Pieces) -> Arc<Self> {
        Arc::new(Self {
            id: NEXT_STORE.fetch_add(1, Ordering::Relaxed),
            meta,
            place,
            cache,
            open: RwLock::new(true),
            have: Mutex::new(have),
            completed: watch::Sender::new(0),
            state: Mutex::default(),
            corrupt: AtomicU64::new(0),
        })
    }

    /// What librqbit makes its storage with.
    pub fn factory(self: &Arc<Self>) -> BoxStorageFactory {
        Factory(self.clone()).boxed()
    }

    /// Waits for accesses under way and refuses all later ones.
    pub fn close(&self) {
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = false;
        self.cache.close(self.id);
    }

    pub fn have(&self) -> Pieces {
        self.have.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn with_have<R>(&self, read: impl FnOnce(&Pieces) -> R) -> R {
        read(&self.have.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What librqbit found at start, on top of what has been completed since.
    pub fn found(&self, pieces: &Pieces) {
        self.have.lock().unwrap_or_else(PoisonError::into_inner).union(pieces);
        self.completed.send_modify(|count| *count += 1);
    }

    /// Changes whenever a piece is completed.
    pub fn completed(&self) -> watch::Receiver<u64> {
        self.completed.subscribe()
    }

    /// The first error of writing; the torrent is in its error state then.
    pub fn failure(&self) -> Option<SwarmError> {
        self.state().failure.clone()
    }

    /// Pieces that arrived with a wrong hash.
    pub fn corrupt(&self) -> u64 {
        self.corrupt.load(Ordering::Relaxed)
    }

    /// Counts the pieces that were written whole and did not pass their check.
    pub fn sweep(&self, now: Instant) {
        let mut damaged = 0;
        self.state().under_way.retain(|_, piece| {
            let failed = piece.full_since.is_some_and(|since| now.saturating_duration_since(since) > CHECK_TIME);
            damaged += u64::from(failed);
            !failed
        });
        self.corrupt.fetch_add(damaged, Ordering::Relaxed);
    }

    /// Path of a file on the disk, whether it exists or not.
    pub fn path(&self, file: u32) -> PathBuf {
        self.place.path(&self.meta, file)
    }

    /// Makes everything written so far durable.
    pub fn sync(&self) -> Result<(), SwarmError> {
        let dirty = std::mem::take(&mut self.state().dirty);
        for file in dirty {
            let path = self.path(file);
            let synced = std::fs::File::open(&path).and_then(|handle| handle.sync_data());
            if let Err(error) = synced {
                self.state().dirty.insert(file);
                return Err(SwarmError::file(&path, &error));
            }
        }
        Ok(())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, WriteState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn access<R>(
        &self,
        file: usize,
        writable: bool,
        act: impl FnOnce(&std::fs::File) -> io::Result<R>,
    ) -> io::Result<R> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        if !*open {
            return Err(io::Error::other("the torrent was closed"));
        }
        let file = u32::try_from(file).map_err(io::Error::other)?;
        if self.meta.files.get(file as usize).is_none_or(|span| span.padding) {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        let handle = self.cache.get(FileKey { store: self.id, file, writable }, || self.path(file))?;
        act(&handle)
    }

    /// Writes a block, or the part of it that lies in this file. It comes in two slices where librqbit's receive buffer
    /// wrapped around.
    fn write(&self, file: usize, offset: u64, data: [&[u8]; 2]) -> io::Result<usize> {
        let len = data[0].len() + data[1].len();
        if matches!(self.place, Place::Shared(_)) {
            return Err(io::Error::from(io::ErrorKind::ReadOnlyFilesystem));
        }
        let written = self.access(file, true, |handle| {
            handle.write_all_at(data[0], offset)?;
            handle.write_all_at(data[1], offset + data[0].len() as u64)
        });
        let mut state = self.state();
        if let Err(error) = written {
            let failure = SwarmError::file(&self.path(file as u32), &error);
            state.failure.get_or_insert(failure);
            return Err(error);
        }
        state.dirty.insert(file as u32);
        let start = self.meta.files[file].offset + offset;
        let piece = (start / u64::from(self.meta.piece_length)) as u32;
        let within = (start % u64::from(self.meta.piece_length)) as u32;
        if self.note_write(&mut state.under_way, (piece, within), len as u64) {
            self.corrupt.fetch_add(1, Ordering::Relaxed);
        }
        Ok(len)
    }

    /// Notes a write; true if the piece was whole before and is being fetched again, so that it came damaged.
    fn note_write(&self, under_way: &mut HashMap<u32, PieceUnderWay>, (piece, within): (u32, u32), len: u64) -> bool {
        if under_way.len() >= MAX_PIECES_UNDER_WAY && !under_way.contains_key(&piece) {
            // A count may be missed then; nothing else depends on this table.
            under_way.clear();
        }
        let entry = under_way.entry(piece).or_default();
        let again = entry.full_since.is_some();
        if again {
            *entry = PieceUnderWay::default();
        }
        if entry.starts.insert(within) {
            entry.bytes += len;
        }
        if entry.bytes >= self.payload(piece) {
            entry.full_since = Some(Instant::now());
        }
        again
    }

    /// Bytes of a piece that are written to files: all but padding.
    fn payload(&self, piece: u32) -> u64 {
        self.meta.files_of(piece).map(|(_, range)| range.end - range.start).sum()
    }
}

/// File name of a download: the index makes it unique, the rest is for people.
fn own_name(file: u32, path: &str) -> String {
    let name: String = path
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .chars()
        .map(|c| if c.is_control() || "<>:\"\\|?*".contains(c) { '_' } else { c })
        .collect();
    let mut from = name.len().saturating_sub(MAX_NAME_BYTES);
    while !name.is_char_boundary(from) {
        from += 1;
    }
    format!("{file:04}-{}", &name[from..])
}

/// The index in the name of a download's file.
pub(super) fn index_of(name: &Path) -> Option<u32> {
    name.file_name()?.to_str()?.split_once('-')?.0.parse().ok()
}

struct Factory(Arc<Store>);

impl StorageFactory for Factory {
    type Storage = Storage;

    fn create(&self, _: &ManagedTorrentShared, _: &TorrentMetadata) -> anyhow::Result<Storage> {
        Ok(Storage(self.0.clone()))
    }

    /// librqbit keeps resume data only for storages that say they are its filesystem one, meaning that the data is on
    /// the disk and survives. Here it is and does.
    fn is_type_id(&self, type_id: TypeId) -> bool {
        type_id == TypeId::of::<FilesystemStorageFactory>() || type_id == TypeId::of::<Self>()
    }

    fn clone_box(&self) -> BoxStorageFactory {
        self.0.factory()
    }
}

/// A store in the hands of librqbit.
struct Storage(Arc<Store>);

impl TorrentStorage for Storage {
    fn init(&mut self, _: &ManagedTorrentShared, _: &TorrentMetadata) -> anyhow::Result<()> {
        Ok(())
    }

    fn pread_exact(&self, file_id: usize, offset: u64, buf: &mut [u8]) -> anyhow::Result<()> {
        Ok(self.0.access(file_id, false, |handle| handle.read_exact_at(buf, offset))?)
    }

    fn pwrite_all(&self, file_id: usize, offset: u64, buf: &[u8]) -> anyhow::Result<()> {
        self.0.write(file_id, offset, [buf, &[]])?;
        Ok(())
    }

    fn pwrite_all_vectored(&self, file_id: usize, offset: u64, bufs: [IoSlice<'_>; 2]) -> anyhow::Result<usize> {
        Ok(self.0.write(file_id, offset, [&bufs[0], &bufs[1]])?)
    }

    /// Files are deleted by eviction and removal, never by librqbit.
    fn remove_file(&self, _: usize, _: &Path) -> anyhow::Result<()> {
        Ok(())
    }

    fn remove_directory_if_empty(&self, _: &Path) -> anyhow::Result<()> {
        Ok(())
    }

    /// Files grow as they are written; a hole costs nothing.
    fn ensure_file_length(&self, _: usize, _: u64) -> anyhow::Result<()> {
        Ok(())
    }

    /// Called when the torrent is paused: the store itself goes on, only [`Store::close`] ends it.
    fn take(&self) -> anyhow::Result<Box<dyn TorrentStorage>> {
        Ok(Box::new(Storage(self.0.clone())))
    }

    fn on_piece_completed(&self, piece: librqbit_core::lengths::ValidPieceIndex) -> anyhow::Result<()> {
        self.0.state().under_way.remove(&piece.get());
        self.0.have.lock().unwrap_or_else(PoisonError::into_inner).insert(piece.get());
        self.0.completed.send_modify(|count| *count += 1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_on_disk_are_short_and_harmless_and_keep_their_ending() {
        assert_eq!(own_name(3, "CD1/03 Song.flac"), "0003-03 Song.flac");
        assert_eq!(own_name(0, "a/b\u{7}\u{0}:c.mp3"), "0000-b___c.mp3");
        assert!(own_name(1, &format!("{}.ogg", "ж".repeat(300))).ends_with(".ogg"));
    }

    proptest! {
        #[test]
        fn any_name_becomes_one_component_with_its_index(file: u32, path: String) {
            let name = own_name(file, &path);
            prop_assert!(name.len() <= MAX_NAME_BYTES + 11);
            let path = Path::new("/music/hash").join(&name);
            prop_assert_eq!(path.parent(), Some(Path::new("/music/hash")));
            prop_assert_eq!(index_of(&path), Some(file));
        }
    }
}
