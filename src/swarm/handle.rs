//! The swarm as the other rooms see it: opening, fetching, feeding.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::error::SwarmError;
use super::host::{Host, NEED_CAPACITY, blocking};
use super::metainfo::Metainfo;
use super::pieces::Pieces;
use super::record::Known;
use super::store::Place;
use super::stream::TrackStream;
use super::torrent::Torrent;
use super::types::{Source, SwarmConfig, SwarmStats};
use super::{MAX_OPEN_STREAMS, MAX_TORRENTS, supervisor};
use crate::types::{InfoHash, Tick, TrackId};

/// How often a song is opened anew that met its torrent in the moment of being evicted.
const RETIRED_TRIES: usize = 3;

/// The swarm; clones are handles to the same one.
#[derive(Clone)]
pub struct Swarm {
    pub(super) host: Arc<Host>,
    needs: Arc<Mutex<Option<mpsc::Receiver<InfoHash>>>>,
    _supervisor: Arc<DropGuard>,
}

impl std::fmt::Debug for Swarm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Swarm").field("listen", &self.host.listen).finish_non_exhaustive()
    }
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

    /// Counts the rounds of what looks after the torrents, which are half a second apart when there is little to do.
    pub fn tick(&self) -> Tick {
        self.host.tick.clone()
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
        for _ in 1..RETIRED_TRIES {
            match self.try_open(source.clone(), file).await {
                Err(SwarmError::Retired(_)) => {}
                done => return done,
            }
        }
        self.try_open(source, file).await
    }

    async fn try_open(&self, source: Source, file: u32) -> Result<TrackStream, SwarmError> {
        let permit = self
            .host
            .streams
            .clone()
            .try_acquire_owned()
            .map_err(|_| SwarmError::TooManyStreams { limit: MAX_OPEN_STREAMS })?;
        let infohash = source.infohash;
        let opened = match self.want(source, file, true).await {
            Ok(torrent) => TrackStream::open(self.host.clone(), torrent, file, permit).await,
            Err(error) => Err(error),
        };
        opened.map_err(|error| self.cause(infohash, error))
    }

    /// Why the torrent no longer works, if that is what librqbit complains about: it may break while it is being opened.
    fn cause(&self, infohash: InfoHash, error: SwarmError) -> SwarmError {
        let failure = || self.host.torrent(infohash).and_then(|torrent| torrent.life().failure());
        if matches!(error, SwarmError::Session(_)) { failure().unwrap_or(error) } else { error }
    }

    /// Fetches a file that will be opened soon.
    ///
    /// # Errors
    /// As [`Swarm::open`].
    pub async fn prefetch(&self, source: Source, file: u32) -> Result<(), SwarmError> {
        for _ in 1..RETIRED_TRIES {
            match self.want(source.clone(), file, false).await {
                Err(SwarmError::Retired(_)) => {}
                done => return done.map(|_| ()),
            }
        }
        self.want(source, file, false).await.map(|_| ())
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
        if torrent.is_complete(track.file) {
            // Nothing of it is fetched any more, and it is given to others.
            return Ok(());
        }
        torrent.deselect(&self.host, track.file).await
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

    /// Whether the torrent was shared by a person, from where it lies.
    pub fn is_shared(&self, infohash: InfoHash) -> bool {
        self.host.torrent(infohash).is_some_and(|torrent| torrent.is_shared())
    }

    /// Whether somebody reads the file.
    pub fn is_open(&self, track: TrackId) -> bool {
        self.host.torrent(track.infohash).is_some_and(|torrent| torrent.is_open(track.file))
    }

    /// Whether the file is whole and that is written down, so that it takes no more room than now.
    pub fn is_recorded(&self, track: TrackId) -> bool {
        self.host.torrent(track.infohash).is_some_and(|torrent| {
            let upkeep = torrent.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
            upkeep.recorded.contains(&track.file)
        })
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

    pub(super) fn torrent(&self, infohash: InfoHash) -> Result<Arc<Torrent>, SwarmError> {
        self.host.torrent(infohash).ok_or(SwarmError::NoSuchTorrent(infohash))
    }

    /// The torrent of the source with the file selected.
    async fn want(&self, source: Source, file: u32, waited_for: bool) -> Result<Arc<Torrent>, SwarmError> {
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
        let complete = torrent.is_complete(file);
        if torrent.is_shared() && !complete {
            // Fetching what is missing would write to the person's files.
            return Err(SwarmError::ShareChanged { path: torrent.life().store.path(file) });
        }
        torrent.select(&self.host, file, waited_for).await?;
        if !complete {
            self.host.need(source.infohash);
        }
        Ok(torrent)
    }

    /// Starts a torrent again that stopped with an error.
    async fn revive(&self, torrent: &Arc<Torrent>) -> Result<(), SwarmError> {
        let (host, torrent) = (self.host.clone(), torrent.clone());
        to_its_end(async move {
            let _changes = host.changes.lock().await;
            let life = torrent.life();
            if life.failure().is_none() {
                return Ok(());
            }
            let selection = torrent.selection.lock().await;
            host.end(&life).await;
            host.replace(&torrent, &selection, Some(life.store.have())).await
        })
        .await
    }

    pub(super) async fn add(
        &self,
        meta: Arc<Metainfo>,
        place: Place,
        selected: BTreeSet<u32>,
        peers: Vec<SocketAddr>,
    ) -> Result<Arc<Torrent>, SwarmError> {
        let (records, known, of) = (self.host.records.clone(), meta.clone(), place.clone());
        let found = blocking(move || {
            let fresh = matches!(&of, Place::Own(folder) if !folder.exists());
            Ok(if fresh {
                Known { trusted: Some(Pieces::none(known.pieces())), kept: BTreeSet::new() }
            } else {
                records.load(&known, &of)
            })
        })
        .await?;
        self.add_with(meta, place, selected, peers, found).await
    }

    pub(super) async fn add_with(
        &self,
        meta: Arc<Metainfo>,
        place: Place,
        selected: BTreeSet<u32>,
        peers: Vec<SocketAddr>,
        known: Known,
    ) -> Result<Arc<Torrent>, SwarmError> {
        let host = self.host.clone();
        to_its_end(async move {
            let _changes = host.changes.lock().await;
            if let Some(torrent) = host.torrent(meta.infohash) {
                return Ok(torrent);
            }
            if host.all().len() >= MAX_TORRENTS {
                return Err(SwarmError::TooManyTorrents { limit: MAX_TORRENTS });
            }
            let life = host.add(&meta, &place, &selected, known.trusted, peers.clone()).await?;
            let torrent = Torrent::new(meta, place, life, (selected, known.kept));
            torrent.remember(&peers);
            host.insert(torrent.clone());
            Ok(torrent)
        })
        .await
    }
}

/// Goes on also when nobody waits for it any more, as when a person chooses another song: given up halfway, a torrent would
/// be in the session and nowhere else, and could never be added again.
pub(super) async fn to_its_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, SwarmError>> + Send + 'static,
) -> Result<T, SwarmError> {
    tokio::spawn(change).await.map_err(SwarmError::session)?
}
