//! Streaming and seeding through BitTorrent; the only room that names librqbit's session.
//!
//! A chosen file of a torrent is fetched and read at the same time: its pieces and those it shares with its
//! neighbours, nothing else. What is complete is seeded until it is evicted. Peers come from the jukebox's own DHT nodes
//! through [`Swarm::add_peers`]; librqbit's own DHT, trackers, local discovery and port mapping are off.
//!
//! - [`metainfo`]: `.torrent` files and magnet links, checked.
//! - `host`: the session and its bounds. `torrent`: one torrent and its life in the session.
//! - `store`, `cache`, `disk`, `record`: files on the disk, what they take, and what is known of them after a restart.
//! - `stream`: the blocking reader for the decoder. `feeder`: how a live torrent gets peers, and why so.
//! - `supervisor`: one task that writes down what is complete, calls for peers and notices failures.
//!
//! # Memory
//! librqbit spends about 60 KiB on a connected peer and up to 24 peers connect to a torrent. There is one supervisor
//! task, one task for each open stream while its file is incomplete, and no thread of our own: disk accesses run on the
//! runtime's blocking threads, 4 at a time plus 2 hashing.

mod cache;
mod disk;
mod error;
mod feeder;
mod host;
pub mod metainfo;
mod pieces;
mod record;
mod scope;
mod share;
mod store;
mod stream;
mod supervisor;
mod torrent;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use error::SwarmError;
pub use metainfo::{Magnet, Metainfo};
pub use stream::{FetchProgress, TrackReader, TrackStream};

use crate::types::{InfoHash, Rate, TrackId};
use host::{Host, NEED_CAPACITY, blocking};
use pieces::Pieces;
use store::Place;
use torrent::Torrent;

/// Files that are open at a time: what plays, what comes next, and a margin for changing songs.
pub const MAX_OPEN_STREAMS: usize = 6;
/// Torrents in the session; each costs some tens of KiB even when nobody asks for it.
pub const MAX_TORRENTS: usize = 1024;
/// Slowest upload in bytes a second: librqbit's limiter needs room for one block of 16 KiB at once.
pub const MIN_UPLOAD: u64 = 32 << 10;

/// How the swarm is set up.
#[derive(Debug, Clone)]
pub struct SwarmConfig {
    /// Folder of the downloads: `<infohash>/<index>-<name>`, and records in `.swarm`.
    pub music: PathBuf,
    /// TCP address for peers. Port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Upload to all peers together; at least [`MIN_UPLOAD`]. None: no limit.
    pub upload: Option<Rate>,
    /// Also talk to loopback and private addresses: labs and LANs.
    pub private_scope: bool,
    /// How long a read waits while nothing arrives. None: 30 s.
    pub stall_time: Option<Duration>,
}

/// Where to get a torrent.
#[derive(Debug, Clone)]
pub struct Source {
    pub infohash: InfoHash,
    /// `.torrent` file or info dictionary. Not needed for a torrent that is in the session.
    pub torrent: Option<Bytes>,
    /// Peers that may have it; those out of scope are left out.
    pub peers: Vec<SocketAddr>,
}

/// A torrent to go on with after a restart.
#[derive(Debug, Clone)]
pub struct Restore {
    /// `.torrent` file or info dictionary.
    pub torrent: Bytes,
    /// Files that are kept. Those that are incomplete are not fetched until they are opened.
    pub files: Vec<u32>,
    /// Set for what was shared: the path given to [`Swarm::share`].
    pub share: Option<PathBuf>,
}

/// What came of a restore.
#[derive(Debug, Clone, Default)]
pub struct Restored {
    /// Torrents seeded again.
    pub torrents: u32,
    /// Kept files that are not (or no longer) whole.
    pub incomplete: Vec<TrackId>,
    /// Torrents that could not be taken up, and why.
    pub failed: Vec<(InfoHash, SwarmError)>,
}

/// A torrent made by [`Swarm::share`].
#[derive(Debug, Clone)]
pub struct Shared {
    pub infohash: InfoHash,
    /// The `.torrent`, to be kept for [`Restore`].
    pub torrent: Bytes,
    pub meta: Arc<Metainfo>,
}

/// What a file takes on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnDisk {
    pub track: TrackId,
    /// Allocated blocks in bytes. A file that nobody wanted has some too if it shares a piece with a wanted one.
    pub bytes: u64,
}

/// Numbers for people. Counters are since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SwarmStats {
    pub torrents: u64,
    /// Connected peers.
    pub peers: u64,
    pub uploaded_bytes: u64,
    pub downloaded_bytes: u64,
    /// Pieces that arrived with a wrong hash; the peers that sent them were disconnected.
    pub corrupt_pieces: u64,
    /// Torrents that stopped with an error (disk full, for example); opening one of their files tries again.
    pub failed_torrents: u64,
}

/// The swarm; clones are handles to the same one.
#[derive(Clone)]
pub struct Swarm {
    host: Arc<Host>,
    needs: Arc<Mutex<Option<mpsc::Receiver<InfoHash>>>>,
    _supervisor: Arc<DropGuard>,
}

impl Swarm {
    /// Starts the session and listens for peers.
    ///
    /// # Errors
    /// If the port is taken or the music folder cannot be written.
    pub async fn start(config: SwarmConfig) -> Result<Self, SwarmError> {
        let (sender, needs) = mpsc::channel(NEED_CAPACITY);
        let host = Host::start(config, sender).await?;
        let end = CancellationToken::new();
        tokio::spawn(supervisor::run(Arc::downgrade(&host), end.clone()));
        Ok(Self { host, needs: Arc::new(Mutex::new(Some(needs))), _supervisor: Arc::new(end.drop_guard()) })
    }

    /// TCP port for peers, to be announced.
    pub fn port(&self) -> u16 {
        self.host.listen.port()
    }

    /// Torrents that are being fetched and lack peers, again every few seconds while they do. For one task; None for any
    /// other.
    pub fn peers_wanted(&self) -> Option<mpsc::Receiver<InfoHash>> {
        self.needs.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Tells a torrent about peers; it connects to new ones at once. Nothing happens if it is not in the session.
    pub fn add_peers(&self, infohash: InfoHash, peers: &[SocketAddr]) {
        if let Some(torrent) = self.host.torrent(infohash) {
            let peers = self.host.in_scope(peers);
            torrent.remember(&peers);
            torrent.feed(&self.host, &peers);
        }
    }

    /// Opens a file for reading while it is fetched; the torrent is added if it is not in the session. No other file is
    /// fetched but those selected before. Reserve [`Metainfo::footprint`] bytes first.
    ///
    /// # Errors
    /// If the metadata is missing or unusable, there is no such file, or too much is open.
    pub async fn open(&self, source: Source, file: u32) -> Result<TrackStream, SwarmError> {
        let permit = self
            .host
            .streams
            .clone()
            .try_acquire_owned()
            .map_err(|_| SwarmError::TooManyStreams { limit: MAX_OPEN_STREAMS })?;
        let torrent = self.want(source, file).await?;
        TrackStream::open(self.host.clone(), torrent, file, permit).await
    }

    /// Fetches a file that will be opened soon.
    ///
    /// # Errors
    /// As [`Swarm::open`].
    pub async fn prefetch(&self, source: Source, file: u32) -> Result<(), SwarmError> {
        self.want(source, file).await.map(|_| ())
    }

    /// Ends the fetching of a file that is not needed any more; what is there of it stays until it is evicted.
    ///
    /// # Errors
    /// If the torrent is not in the session, or the file is open.
    pub async fn stop_fetching(&self, track: TrackId) -> Result<(), SwarmError> {
        let torrent = self.torrent(track.infohash)?;
        if torrent.is_open(track.file) {
            return Err(SwarmError::InUse { infohash: track.infohash, file: track.file });
        }
        torrent.deselect(&self.host, track.file).await
    }

    /// Goes on seeding what was there before a restart. Returns when everything has been taken up; files that changed
    /// meanwhile are hashed, which can take minutes, so this is best left to a task. Torrents can be opened meanwhile.
    pub async fn restore(&self, torrents: Vec<Restore>) -> Restored {
        let mut restored = Restored::default();
        for item in torrents {
            let meta = match Metainfo::parse(&item.torrent) {
                Ok(meta) => Arc::new(meta),
                Err(error) => {
                    restored.failed.push((InfoHash([0; 20]), error));
                    continue;
                }
            };
            let infohash = meta.infohash;
            match self.restore_one(meta, &item).await {
                Ok(incomplete) => {
                    restored.torrents += 1;
                    restored.incomplete.extend(incomplete.into_iter().map(|file| TrackId { infohash, file }));
                }
                Err(error) => restored.failed.push((infohash, error)),
            }
        }
        restored
    }

    async fn restore_one(&self, meta: Arc<Metainfo>, item: &Restore) -> Result<Vec<u32>, SwarmError> {
        let place = match &item.share {
            Some(path) if meta.multi_file => Place::Shared(path.clone()),
            Some(path) => Place::Shared(path.parent().unwrap_or(Path::new("/")).to_owned()),
            None => Place::Own(self.host.folder(meta.infohash)),
        };
        let torrent = self.add(meta, place, BTreeSet::new(), Vec::new()).await?;
        torrent.life().ready(&self.host).await?;
        let files: Vec<u32> = if torrent.is_shared() {
            (0..torrent.meta.files.len() as u32).collect()
        } else {
            item.files.iter().copied().filter(|file| torrent.meta.file(*file).is_ok()).collect()
        };
        let (complete, incomplete): (Vec<u32>, Vec<u32>) =
            files.into_iter().partition(|file| torrent.is_complete(*file));
        for file in complete {
            torrent.select(&self.host, file).await?;
        }
        Ok(incomplete)
    }

    /// Makes a torrent of a file or folder and seeds it from where it is; nothing is copied or changed.
    ///
    /// # Errors
    /// If it cannot be read or has nothing that can be shared.
    pub async fn share(&self, path: &Path) -> Result<Shared, SwarmError> {
        let (path, cancel) = (path.to_owned(), self.host.session.cancellation_token().clone());
        let made = blocking(move || share::make(&path, &|| cancel.is_cancelled())).await?;
        let (meta, place) = (Arc::new(made.meta), Place::Shared(made.root));
        if let Some(known) = self.host.torrent(meta.infohash)
            && known.place != place
        {
            // Fetched before, or moved: the person's own copy takes over.
            self.remove(meta.infohash).await?;
        }
        let all = Pieces::all(meta.pieces());
        let torrent = self.add_with(meta.clone(), place, BTreeSet::new(), Vec::new(), Some(all)).await?;
        torrent.life().ready(&self.host).await?;
        supervisor::record(&self.host, &torrent).await?;
        Ok(Shared { infohash: meta.infohash, torrent: meta.torrent(), meta })
    }

    /// No longer seeds what was shared. The files stay as they are.
    ///
    /// # Errors
    /// If it is not shared.
    pub async fn unshare(&self, infohash: InfoHash) -> Result<(), SwarmError> {
        if !self.torrent(infohash)?.is_shared() {
            return Err(SwarmError::NoSuchTorrent(infohash));
        }
        self.remove(infohash).await.map(|_| ())
    }

    /// Gives back what a file takes on the disk, and returns how many bytes that was. Parts that lie in pieces of files
    /// that are kept stay. Other open files of the torrent are read on.
    ///
    /// # Errors
    /// If the file is open, or is somebody's own.
    pub async fn evict(&self, track: TrackId) -> Result<u64, SwarmError> {
        let TrackId { infohash, file } = track;
        let changes = self.host.changes.lock().await;
        let Some(torrent) = self.host.torrent(infohash) else {
            drop(changes);
            return self.remove(infohash).await;
        };
        torrent.meta.file(file)?;
        if torrent.is_shared() {
            return Err(SwarmError::Shared(infohash));
        }
        let mut selection = torrent.selection.lock().await;
        if torrent.is_open(file) {
            return Err(SwarmError::InUse { infohash, file });
        }
        selection.remove(&file);
        if selection.is_empty() && !torrent.any_open() {
            drop((selection, changes));
            return self.remove(infohash).await;
        }
        let life = torrent.life();
        self.host.end(&life).await;
        let mut needed = Pieces::none(torrent.meta.pieces());
        selection.iter().flat_map(|file| torrent.meta.pieces_of(*file)).for_each(|piece| needed.insert(piece));
        needed.intersect(&life.store.have());
        let (meta, records, folder) = (torrent.meta.clone(), self.host.records.clone(), self.host.folder(infohash));
        let (freed, kept) = blocking(move || {
            // Until it is written anew there is no record, so a crash here costs hashing, not truth.
            records.remove(infohash);
            let failed = |error: std::io::Error| SwarmError::file(&folder, &error);
            let before: u64 = disk::usage(&folder).map_err(failed)?.values().sum();
            let kept = disk::trim(&folder, &meta, &needed).map_err(failed)?;
            let after: u64 = disk::usage(&folder).map_err(failed)?.values().sum();
            Ok((before.saturating_sub(after), kept))
        })
        .await?;
        self.host.replace(&torrent, &selection, Some(kept)).await?;
        Ok(freed)
    }

    /// Takes a torrent out of the session, deletes what was downloaded of it, and returns how many bytes that was. What
    /// was shared stays on the disk. Also deletes what an earlier run left of a torrent that is not in the session.
    ///
    /// # Errors
    /// If files cannot be deleted.
    pub async fn remove(&self, infohash: InfoHash) -> Result<u64, SwarmError> {
        let _changes = self.host.changes.lock().await;
        let shared = match self.host.take(infohash) {
            Some(torrent) => {
                self.host.end(&torrent.life()).await;
                torrent.is_shared()
            }
            None => false,
        };
        let (records, folder) = (self.host.records.clone(), self.host.folder(infohash));
        blocking(move || {
            records.remove(infohash);
            if shared {
                return Ok(0);
            }
            let failed = |error: std::io::Error| SwarmError::file(&folder, &error);
            let bytes = disk::usage(&folder).map_err(failed)?.values().sum();
            match std::fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(error)),
                _ => Ok(bytes),
            }
        })
        .await
    }

    /// What every downloaded file takes on the disk, also of torrents that are not in the session (left by an earlier
    /// run). Shares are not counted: they are their owner's.
    ///
    /// # Errors
    /// If the music folder cannot be read.
    pub async fn usage(&self) -> Result<Vec<OnDisk>, SwarmError> {
        let music = self.host.config.music.clone();
        blocking(move || {
            let failed = |error: std::io::Error| SwarmError::file(&music, &error);
            let mut found = Vec::new();
            for entry in std::fs::read_dir(&music).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let Some(infohash) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
                let usage = disk::usage(&entry.path()).map_err(failed)?;
                found
                    .extend(usage.into_iter().map(|(file, bytes)| OnDisk { track: TrackId { infohash, file }, bytes }));
            }
            Ok(found)
        })
        .await
    }

    /// Numbers for people.
    pub fn stats(&self) -> SwarmStats {
        let torrents = self.host.all();
        let session = self.host.session.stats_snapshot();
        let corrupt: u64 = torrents.iter().map(|torrent| torrent.life().store.corrupt()).sum();
        SwarmStats {
            torrents: torrents.len() as u64,
            peers: torrents.iter().map(|torrent| u64::from(torrent.live_peers())).sum(),
            uploaded_bytes: session.counters.uploaded_bytes,
            downloaded_bytes: session.counters.fetched_bytes,
            corrupt_pieces: corrupt + self.host.corrupt_before.load(Ordering::Relaxed),
            failed_torrents: torrents.iter().filter(|torrent| torrent.life().failure().is_some()).count() as u64,
        }
    }

    /// The metadata of a torrent in the session.
    pub fn metainfo(&self, infohash: InfoHash) -> Option<Arc<Metainfo>> {
        self.host.torrent(infohash).map(|torrent| torrent.meta.clone())
    }

    /// Torrents in the session, for announcing, with whether everything of them is here.
    pub fn torrents(&self) -> Vec<(InfoHash, bool)> {
        let whole = |torrent: &Torrent| torrent.life().store.with_have(|have| have.len() == torrent.meta.pieces());
        self.host.all().iter().map(|torrent| (torrent.meta.infohash, whole(torrent))).collect()
    }

    /// Ends the session in order: connections are closed, what is there is made durable and written down, so that the
    /// next start needs no hashing. Cancel readers first.
    pub async fn stop(&self) {
        let _changes = self.host.changes.lock().await;
        for torrent in self.host.all() {
            if let Err(error) = self.host.session.pause(&torrent.life().handle).await {
                tracing::debug!(%error, "torrent was not live");
            }
            if let Err(error) = supervisor::record(&self.host, &torrent).await {
                tracing::warn!(infohash = %torrent.meta.infohash, %error, "cannot record what is there");
            }
        }
        self.host.session.cancellation_token().cancel();
    }

    fn torrent(&self, infohash: InfoHash) -> Result<Arc<Torrent>, SwarmError> {
        self.host.torrent(infohash).ok_or(SwarmError::NoSuchTorrent(infohash))
    }

    /// The torrent of the source with the file selected.
    async fn want(&self, source: Source, file: u32) -> Result<Arc<Torrent>, SwarmError> {
        let peers = self.host.in_scope(&source.peers);
        let torrent = match self.host.torrent(source.infohash) {
            Some(torrent) => {
                torrent.meta.file(file)?;
                self.revive(&torrent).await?;
                torrent.remember(&peers);
                torrent.life().ready(&self.host).await?;
                torrent.feed(&self.host, &peers);
                torrent
            }
            None => {
                let bytes = source.torrent.ok_or(SwarmError::NoMetadata(source.infohash))?;
                let meta = Arc::new(Metainfo::parse(&bytes)?);
                if meta.infohash != source.infohash {
                    return Err(SwarmError::Metainfo(format!("it is {}, not {}", meta.infohash, source.infohash)));
                }
                meta.file(file)?;
                let place = Place::Own(self.host.folder(meta.infohash));
                let torrent = self.add(meta, place, BTreeSet::from([file]), peers).await?;
                torrent.life().ready(&self.host).await?;
                torrent
            }
        };
        torrent.select(&self.host, file).await?;
        if !torrent.is_complete(file) {
            self.host.need(source.infohash);
        }
        Ok(torrent)
    }

    /// Starts a torrent again that stopped with an error.
    async fn revive(&self, torrent: &Torrent) -> Result<(), SwarmError> {
        let _changes = self.host.changes.lock().await;
        let life = torrent.life();
        if life.failure().is_none() {
            return Ok(());
        }
        let selection = torrent.selection.lock().await;
        self.host.end(&life).await;
        self.host.replace(torrent, &selection, Some(life.store.have())).await
    }

    async fn add(
        &self,
        meta: Arc<Metainfo>,
        place: Place,
        selected: BTreeSet<u32>,
        peers: Vec<SocketAddr>,
    ) -> Result<Arc<Torrent>, SwarmError> {
        let (records, known, of) = (self.host.records.clone(), meta.clone(), place.clone());
        let trusted = blocking(move || {
            let fresh = matches!(&of, Place::Own(folder) if !folder.exists());
            Ok(if fresh {
                Some(Pieces::none(known.pieces()))
            } else {
                records.load(known.infohash, known.pieces(), |file| of.path(&known, file))
            })
        })
        .await?;
        self.add_with(meta, place, selected, peers, trusted).await
    }

    async fn add_with(
        &self,
        meta: Arc<Metainfo>,
        place: Place,
        selected: BTreeSet<u32>,
        peers: Vec<SocketAddr>,
        trusted: Option<Pieces>,
    ) -> Result<Arc<Torrent>, SwarmError> {
        let _changes = self.host.changes.lock().await;
        if let Some(torrent) = self.host.torrent(meta.infohash) {
            return Ok(torrent);
        }
        if self.host.all().len() >= MAX_TORRENTS {
            return Err(SwarmError::TooManyTorrents { limit: MAX_TORRENTS });
        }
        let life = self.host.add(&meta, &place, &selected, trusted, peers.clone()).await?;
        let torrent = Torrent::new(meta, place, life, selected);
        torrent.remember(&peers);
        self.host.insert(torrent.clone());
        Ok(torrent)
    }
}
