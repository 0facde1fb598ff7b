//! What the other rooms hold of the catalogue.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::error::{CatalogueError, Result};
use super::open;
use super::reader::Reader;
use super::rows::{
    CatalogueCounts, CatalogueOptions, DueRow, Opening, SightingRow, StoredRow, TorrentRow, TrackFound, TrackRow,
};
use super::store::{Durability, Store};
use super::worker::{
    NewWords, Published, READ_CAPACITY, Read, WORDS_CAPACITY, WRITE_CAPACITY, Write, start_reader, start_writer,
};
use crate::types::{Bytes, InfoHash, TrackId, UnixTime};

/// Sightings in one transaction at most. Each may change a page of its own, and all of them go to the log.
const SIGHTINGS: usize = 256;

/// The catalogue of one folder; clones share it. It is closed when the last clone is dropped, which waits until what
/// was sent is written.
#[derive(Debug, Clone)]
pub struct Catalogue {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    opening: Opening,
    counts: watch::Receiver<CatalogueCounts>,
    words: broadcast::Sender<NewWords>,
    /// None only while the last handle is being dropped.
    channels: Option<(mpsc::Sender<Write>, mpsc::Sender<Read>)>,
    threads: Vec<JoinHandle<()>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.channels = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the catalogue panicked");
            }
        }
    }
}

impl Catalogue {
    /// Opens the catalogue in `folder`, or begins one. Blocks: on a file that was not closed in order all pages are
    /// checked; a damaged file is set aside and a new one begun, which [`opening`](Self::opening) tells.
    ///
    /// # Errors
    /// If another jukebox has it open, the folder cannot be used, the file is of a later version, or the budget is
    /// below [`MIN_BUDGET`](super::MIN_BUDGET).
    pub fn open(folder: &Path, options: CatalogueOptions) -> Result<Self> {
        let opened = open::open(folder, &options)?;
        let opening = opened.opening.clone();
        let (store, lock) = Store::new(opened, options)?;
        let reader = Reader::open(folder)?;
        let (counts, counts_receiver) = watch::channel(store.counts());
        let (words, _) = broadcast::channel(WORDS_CAPACITY);
        let (writes, write_requests) = mpsc::channel(WRITE_CAPACITY);
        let (reads, read_requests) = mpsc::channel(READ_CAPACITY);
        let published = Published { counts, words: words.clone() };
        let writer = start_writer(store, lock, write_requests, published)?;
        let reader = start_reader(reader, read_requests)?;
        let shared = Shared {
            folder: folder.to_owned(),
            opening,
            counts: counts_receiver,
            words,
            channels: Some((writes, reads)),
            // The reader first: the last connection to close folds the log in, and that should be the writer's.
            threads: vec![reader, writer],
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What was found at the opening: whether a file was begun, migrated or set aside.
    pub fn opening(&self) -> &Opening {
        &self.shared.opening
    }

    /// Another read connection, for a thread of its own.
    ///
    /// # Errors
    /// If the file cannot be opened again.
    pub fn reader(&self) -> Result<Reader> {
        Reader::open(&self.shared.folder)
    }

    /// Waits until one of its threads has ended, which they do by themselves only if they die: nothing can be read or
    /// written any more then.
    pub async fn stopped(&self) {
        if let Some((writes, reads)) = &self.shared.channels {
            tokio::select! {
                () = writes.closed() => {}
                () = reads.closed() => {}
            }
        }
    }

    /// Tells how much of the budget something beside the database takes: the database forgets until it fits the rest.
    ///
    /// # Errors
    /// If the writer has ended.
    pub async fn leave_room(&self, bytes: Bytes) -> Result<()> {
        let leave = move |store: &mut Store| {
            store.beside = bytes;
            Ok(())
        };
        self.write(Durability::Process, leave).await
    }

    /// Has the file checked at the next opening, as after a crash.
    ///
    /// # Errors
    /// If the writer has ended; then it is checked anyway.
    pub async fn distrust(&self) -> Result<()> {
        let distrust = |store: &mut Store| {
            store.distrust();
            Ok(())
        };
        self.write(Durability::Process, distrust).await
    }

    /// Words that come into the catalogue from now on.
    pub(crate) fn new_words(&self) -> broadcast::Receiver<NewWords> {
        self.shared.words.subscribe()
    }

    pub(super) async fn write<T: Send + 'static>(
        &self,
        durability: Durability,
        request: impl FnOnce(&mut Store) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (writes, _) = self.shared.channels.as_ref().ok_or(CatalogueError::Closed)?;
        let (write, result) = Write::new(durability, request);
        writes.send(write).await.map_err(|_| CatalogueError::Closed)?;
        result.await.map_err(|_| CatalogueError::Closed)?
    }

    async fn read<T: Send + 'static>(&self, request: impl FnOnce(&Reader) -> Result<T> + Send + 'static) -> Result<T> {
        let (_, reads) = self.shared.channels.as_ref().ok_or(CatalogueError::Closed)?;
        let (sender, result) = oneshot::channel();
        let read: Read = Box::new(move |reader| {
            if !sender.is_closed() {
                // Whoever asked may go while the answer is being read.
                let _ = sender.send(request(reader));
            }
        });
        reads.send(read).await.map_err(|_| CatalogueError::Closed)?;
        result.await.map_err(|_| CatalogueError::Closed)?
    }

    /// Waits until both threads have answered. Nothing is written.
    ///
    /// # Errors
    /// If one has ended.
    pub async fn ping(&self) -> Result<()> {
        self.read(|_| Ok(())).await?;
        match self.write(Durability::Process, |_| Ok(())).await {
            Err(CatalogueError::Closed) => Err(CatalogueError::Closed),
            // A disk that is full answers too.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Counts observations. Returns when they outlast the end of the process; a loss of power may lose the last ones.
    ///
    /// # Errors
    /// If the disk is full or fails.
    pub async fn record_sightings(&self, sightings: Vec<SightingRow>) -> Result<()> {
        for some in sightings.chunks(SIGHTINGS) {
            let some = some.to_vec();
            self.write(Durability::Process, move |store| store.record_sightings(&some)).await?;
        }
        Ok(())
    }

    /// At most `max` infohashes whose metadata should be fetched now: those seen often and lately first. They are
    /// not handed out again until [`store_torrent`](Self::store_torrent), [`mark_not_music`](Self::mark_not_music),
    /// [`mark_failed`](Self::mark_failed) or [`release`](Self::release) reports back, or half an hour has passed.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn due(&self, max: usize, now: UnixTime) -> Result<Vec<DueRow>> {
        self.write(Durability::Process, move |store| store.due(max, now)).await
    }

    /// Gives back what [`due`](Self::due) handed out, untried: it may be handed out again at once.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn release(&self, infohash: InfoHash) -> Result<()> {
        self.write(Durability::Process, move |store| store.release(infohash)).await
    }

    /// Gives back what [`due`](Self::due) handed out, untried and to be handed out again at `retry_at`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn postpone(&self, infohash: InfoHash, retry_at: UnixTime) -> Result<()> {
        self.write(Durability::Process, move |store| store.postpone(infohash, retry_at)).await
    }

    /// Puts a torrent and its tracks into the catalogue, in place of what was there under this infohash. When it returns, they
    /// outlast a loss of power. Gives the number of tracks indexed.
    ///
    /// # Errors
    /// If there are more than [`MAX_TRACKS`](super::MAX_TRACKS) tracks or a file index beyond 2²⁰, or the disk is
    /// full or fails; then nothing has changed.
    pub async fn store_torrent(&self, torrent: TorrentRow, tracks: Vec<TrackRow>) -> Result<u32> {
        self.write(Durability::Power, move |store| store.store_torrent(&torrent, &tracks)).await
    }

    /// Forgets a torrent and its tracks, for example when it is no longer shared; its infohash is remembered.
    /// False if there was none.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn remove_torrent(&self, infohash: InfoHash) -> Result<bool> {
        self.write(Durability::Power, move |store| store.remove_torrent(infohash)).await
    }

    /// Remembers that a torrent has no music, so that it is not fetched again.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn mark_not_music(&self, infohash: InfoHash, name: String, now: UnixTime) -> Result<()> {
        self.write(Durability::Power, move |store| store.mark_not_music(infohash, &name, now)).await
    }

    /// Counts a failed fetch. It is due again at `retry_at`; without one it is given up.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn mark_failed(&self, infohash: InfoHash, retry_at: Option<UnixTime>) -> Result<()> {
        self.write(Durability::Process, move |store| store.mark_failed(infohash, retry_at)).await
    }

    /// The cached bytes of a `.torrent` file.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn torrent_file(&self, infohash: InfoHash) -> Result<Option<Vec<u8>>> {
        self.read(move |reader| reader.torrent_file(infohash)).await
    }

    /// A torrent with music, its `.torrent` bytes left out.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn torrent(&self, infohash: InfoHash) -> Result<Option<TorrentRow>> {
        self.read(move |reader| reader.torrent(infohash)).await
    }

    /// One track.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn track(&self, track: TrackId) -> Result<Option<TrackFound>> {
        self.read(move |reader| reader.track(track)).await
    }

    /// The tracks of a torrent by their file index; none if it is not known.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn tracks_of(&self, infohash: InfoHash) -> Result<Vec<TrackRow>> {
        self.read(move |reader| reader.tracks_of(infohash)).await
    }

    /// At most `max` peers that were seen for an infohash, latest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn peers_of(&self, infohash: InfoHash, max: usize) -> Result<Vec<SocketAddr>> {
        self.read(move |reader| reader.peers_of(infohash, max)).await
    }

    /// How much is in the catalogue, as of the last commit. Costs nothing.
    pub fn counts(&self) -> CatalogueCounts {
        *self.shared.counts.borrow()
    }

    /// The counts, to wait for changes of.
    pub fn watch_counts(&self) -> watch::Receiver<CatalogueCounts> {
        self.shared.counts.clone()
    }

    /// Remembers that a file lies on disk, in place of what was there for this track.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn stored_put(&self, stored: StoredRow) -> Result<()> {
        self.write(Durability::Power, move |store| store.stored_put(&stored)).await
    }

    /// Remembers what is shared, all of it or nothing: the torrent with its tracks, if it has music, and the files, in place of
    /// what was there. When it returns, they outlast a loss of power.
    ///
    /// # Errors
    /// As [`Self::store_torrent`]; then nothing has changed.
    pub async fn store_share(&self, music: Option<(TorrentRow, Vec<TrackRow>)>, files: Vec<StoredRow>) -> Result<()> {
        let store_share = move |store: &mut Store| {
            files.iter().try_for_each(|file| store.stored_put(file))?;
            music.map_or(Ok(()), |(torrent, tracks)| store.store_torrent(&torrent, &tracks).map(drop))
        };
        self.write(Durability::Power, store_share).await
    }

    /// Remembers that a stored track was played.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn stored_touch(&self, track: TrackId, at: UnixTime) -> Result<()> {
        self.write(Durability::Process, move |store| store.stored_touch(track, at)).await
    }

    /// Remembers that a file is gone from disk.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn stored_remove(&self, track: TrackId) -> Result<()> {
        self.write(Durability::Power, move |store| store.stored_remove(track)).await
    }

    /// Remembers that all files of a torrent are gone from disk, or no longer shared.
    ///
    /// # Errors
    /// If the database fails; then nothing has changed.
    pub async fn stored_remove_all(&self, infohash: InfoHash) -> Result<()> {
        self.write(Durability::Power, move |store| store.stored_remove_all(infohash)).await
    }

    /// All that lies on disk.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn stored_all(&self) -> Result<Vec<StoredRow>> {
        self.read(Reader::stored_all).await
    }

    /// Keeps small documents under keys, such as the player's queue, in place of what was there: all of them or none.
    /// When it returns, they outlast a loss of power.
    ///
    /// # Errors
    /// If one is larger than 2 MiB or the database fails; then nothing has changed.
    pub async fn settings_put(&self, documents: Vec<(&'static str, String)>) -> Result<()> {
        let put = move |store: &mut Store| documents.iter().try_for_each(|(key, json)| store.setting_put(key, json));
        self.write(Durability::Power, put).await
    }

    /// The document under a key.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn setting_get(&self, key: &str) -> Result<Option<String>> {
        let key = key.to_owned();
        self.read(move |reader| reader.setting_get(&key)).await
    }
}
