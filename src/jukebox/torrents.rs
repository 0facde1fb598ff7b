//! Torrents that a person brings (`add`) or makes (`share`), and those that are seeded again after a restart.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;

use super::fetching::Fetching;
use super::held::{HeldTorrents, Origin};
use super::indexing::{CatalogueJobs, check_playable};
use crate::catalogue::{Catalogue, SightingRow, StoredRow};
use crate::control::{CommandError, ErrorCode, TorrentAdded};
use crate::crawler::Crawler;
use crate::metadata::torrent::MAX_TORRENT_BYTES;
use crate::metadata::{Magnet, Outcome, Torrent, TorrentInfo, track_records};
use crate::swarm::{OnDisk, Restore, Shared, Swarm};
use crate::types::{Clock, InfoHash, TrackId};

/// How long `add` waits for the metadata of a magnet link before it answers without.
const ADD_PATIENCE: Duration = Duration::from_secs(10);

/// What `add` and `share` work with.
#[derive(Debug, Clone)]
pub struct Torrents {
    pub catalogue: Catalogue,
    pub jobs: CatalogueJobs,
    pub fetching: Fetching,
    pub held: HeldTorrents,
    /// Folders that are the jukebox's own, as they really are called.
    pub own: Arc<[PathBuf]>,
    pub swarm: Swarm,
    pub crawler: Crawler,
    pub clock: Clock,
}

fn failed(error: impl std::fmt::Display) -> CommandError {
    CommandError { code: ErrorCode::Failed, message: error.to_string() }
}

impl Torrents {
    /// Takes up a magnet link or the `.torrent` file at a path.
    ///
    /// # Errors
    /// If it is neither, or holds no music.
    pub async fn add(&self, source: &str) -> Result<TorrentAdded, CommandError> {
        if source.trim_start().starts_with("magnet:") {
            return self.add_magnet(source).await;
        }
        let path = Path::new(source);
        let bytes = read_torrent(path).await?;
        let torrent = crate::metadata::torrent::parse(&bytes.into())
            .map_err(|error| CommandError { code: ErrorCode::Usage, message: format!("{source}: {error}") })?;
        self.index(torrent).await
    }

    async fn add_magnet(&self, link: &str) -> Result<TorrentAdded, CommandError> {
        let magnet: Magnet = link
            .trim()
            .parse()
            .map_err(|error| CommandError { code: ErrorCode::Usage, message: format!("{error}") })?;
        let infohash = magnet.infohash;
        // Remembered first, so that a restart does not forget what a person wanted.
        let at = self.clock.unix();
        let seen = |peer| SightingRow { infohash, peer, at, announce: true };
        let mut rows: Vec<SightingRow> = magnet.peers.iter().map(|peer| seen(Some(*peer))).collect();
        rows.push(seen(None));
        self.catalogue.record_sightings(rows).await.map_err(failed)?;
        // Peers that the link names are of use for a known torrent too.
        self.swarm.add_peers(infohash, &magnet.peers);
        if let Some(torrent) = self.catalogue.torrent(infohash).await.map_err(failed)? {
            let tracks = self.catalogue.tracks_of(infohash).await.map_err(failed)?.len();
            return Ok(added(infohash, torrent.name, tracks));
        }
        let (work, peers) = (self.clone(), magnet.peers);
        let mut task = tokio::spawn(async move { work.fetch_and_index(infohash, peers).await });
        match tokio::time::timeout(ADD_PATIENCE, &mut task).await {
            Ok(Ok(outcome)) => outcome,
            // It goes on. Without a name, whatever the link calls it: its metadata is still to come.
            Ok(Err(_)) | Err(_) => Ok(added(infohash, String::new(), 0)),
        }
    }

    async fn fetch_and_index(&self, infohash: InfoHash, peers: Vec<SocketAddr>) -> Result<TorrentAdded, CommandError> {
        let fetched = self.fetching.fetch(infohash, peers).await?;
        let info = TorrentInfo::parse(&fetched.info_bytes).map_err(failed)?;
        self.index(Torrent { info, info_bytes: fetched.info_bytes }).await
    }

    async fn index(&self, torrent: Torrent) -> Result<TorrentAdded, CommandError> {
        let infohash = torrent.info.infohash;
        let tracks = track_records(&torrent.info);
        if tracks.is_empty() {
            let message = format!("{:?} has no music that can be played; nothing was added", torrent.info.name);
            return Err(CommandError { code: ErrorCode::NotFound, message });
        }
        check_playable(torrent.info_bytes.clone()).await.map_err(failed)?;
        let answer = added(infohash, torrent.info.name.clone(), tracks.len());
        let outcome = Outcome::Music { info: torrent.info, tracks, info_bytes: torrent.info_bytes };
        self.jobs.store(infohash, outcome).await.map_err(failed)?;
        Ok(answer)
    }

    /// Makes a torrent of a file or folder, seeds and announces it.
    ///
    /// # Errors
    /// If it cannot be read, recorded or published; then nothing is shared.
    pub async fn share(&self, path: &Path) -> Result<TorrentAdded, CommandError> {
        self.check_outside(path)?;
        let stored = self.catalogue.stored_all().await.map_err(failed)?;
        let shared = self.swarm.share(path).await.map_err(failed)?;
        let infohash = shared.infohash;
        let answer = match self.record_share(path, &shared).await {
            Ok(answer) => answer,
            Err(error) => {
                // What was shared before from the same place is recorded, and goes on.
                if !stored.iter().any(|row| row.track.infohash == infohash && row.shared.is_some()) {
                    self.take_back(infohash).await;
                }
                let message = format!("nothing was shared: {}", error.message);
                return Err(CommandError { message, ..error });
            }
        };
        self.crawler.announce(infohash, self.swarm.port(), true).await;
        Ok(answer)
    }

    /// Remembers what is shared for the next start, and its music for searches.
    async fn record_share(&self, path: &Path, shared: &Shared) -> Result<TorrentAdded, CommandError> {
        let torrent = crate::metadata::torrent::parse(&shared.torrent).map_err(failed)?;
        let now = self.clock.unix();
        let tracks = track_records(&torrent.info);
        let answer = added(shared.infohash, torrent.info.name.clone(), tracks.len());
        let files = torrent.info.files.iter().enumerate().map(|(file, entry)| StoredRow {
            track: TrackId { infohash: shared.infohash, file: u32::try_from(file).unwrap_or(u32::MAX) },
            bytes: entry.length,
            added: now,
            last_played: now,
            shared: Some(path.to_owned()),
        });
        // Something without music can be given to others all the same; it is not in the catalogue then.
        let music = (!tracks.is_empty()).then(|| self.jobs.rows(&torrent.info, tracks, &torrent.info_bytes));
        self.held.put(shared.infohash, shared.torrent.clone(), Origin::Shared).await.map_err(failed)?;
        // In one transaction: half a share would be seeded and searched differently after a restart.
        self.catalogue.store_share(music, files.collect()).await.map_err(failed)?;
        Ok(answer)
    }

    /// Ends a share that could not be recorded. What cannot be undone now is gone at the next start, which knows nothing of
    /// it.
    async fn take_back(&self, infohash: InfoHash) {
        if let Err(error) = self.swarm.unshare(infohash).await {
            tracing::warn!(%infohash, %error, "a share that was not recorded goes on until the next start");
        }
        if let Err(error) = self.held.remove(infohash).await {
            tracing::warn!(%infohash, %error, "the torrent of what is not shared stays until the next start");
        }
    }

    /// What is shared must not be the jukebox's own: it would be evicted one day, and its owner was promised otherwise.
    fn check_outside(&self, path: &Path) -> Result<(), CommandError> {
        let Ok(path) = path.canonicalize() else { return Ok(()) };
        for own in self.own.iter() {
            if path.starts_with(own) || own.starts_with(&path) {
                let own = own.display();
                let message = format!("{own} is the jukebox's own folder; share a copy of the music from elsewhere");
                return Err(CommandError { code: ErrorCode::Usage, message });
            }
        }
        Ok(())
    }

    /// No longer shares; the files stay.
    ///
    /// # Errors
    /// If it is not shared.
    pub async fn unshare(&self, infohash: InfoHash) -> Result<(), CommandError> {
        self.swarm
            .unshare(infohash)
            .await
            .map_err(|error| CommandError { code: ErrorCode::NotFound, message: error.to_string() })?;
        self.crawler.withdraw(infohash).await;
        self.catalogue.stored_remove_all(infohash).await.map_err(failed)?;
        if self.catalogue.peers_of(infohash, 1).await.map_err(failed)?.is_empty() {
            // Nobody else is known to have it, so nobody could play it.
            self.catalogue.remove_torrent(infohash).await.map_err(failed)?;
        }
        self.held.remove(infohash).await.map_err(failed)
    }

    /// Makes catalogue and disk agree after a jukebox that was killed: a row without anything on the disk goes, and so does
    /// what is on the disk without a row, since nothing else would ever evict it. A new catalogue knows no better than the
    /// disk: then what is there is taken up. To be called before anything is played or seeded.
    ///
    /// # Errors
    /// If the catalogue or the music folder cannot be used.
    pub async fn reconcile(&self) -> Result<(), CommandError> {
        let usage = self.swarm.usage().await.map_err(failed)?;
        if self.catalogue.opening().created {
            self.take_up(&usage).await?;
        }
        let on_disk: HashSet<TrackId> = usage.into_iter().map(|file| file.track).collect();
        let (stay, go): (Vec<StoredRow>, Vec<StoredRow>) = (self.catalogue.stored_all().await.map_err(failed)?)
            .into_iter()
            .partition(|row| row.shared.is_some() || on_disk.contains(&row.track));
        for row in go {
            self.catalogue.stored_remove(row.track).await.map_err(failed)?;
        }
        let known: HashSet<InfoHash> = stay.iter().map(|row| row.track.infohash).collect();
        let orphans: HashSet<InfoHash> = on_disk.iter().map(|track| track.infohash).collect();
        for infohash in orphans.difference(&known) {
            tracing::info!(%infohash, "a download that was never recorded is deleted");
            if let Err(error) = self.swarm.remove(*infohash).await {
                tracing::warn!(%infohash, %error, "what was left of a download cannot be deleted");
            }
        }
        self.held.keep_only(known).await.map_err(failed)
    }

    /// Records what an earlier catalogue, lost or elsewhere, had on the disk.
    async fn take_up(&self, usage: &[OnDisk]) -> Result<(), CommandError> {
        let known: HashSet<TrackId> =
            self.catalogue.stored_all().await.map_err(failed)?.into_iter().map(|row| row.track).collect();
        let now = self.clock.unix();
        let mut taken = 0;
        for file in usage.iter().filter(|file| file.bytes > 0 && !known.contains(&file.track)) {
            let row = StoredRow { track: file.track, bytes: file.bytes, added: now, last_played: now, shared: None };
            self.catalogue.stored_put(row).await.map_err(failed)?;
            taken += 1;
        }
        if taken > 0 {
            tracing::info!(files = taken, "music that the new catalogue did not know was taken up from the disk");
        }
        Ok(())
    }

    /// Goes on seeding what was on the disk or shared when the jukebox ended. What cannot be taken up again is a
    /// warning.
    pub async fn restore(&self) {
        let mut torrents: BTreeMap<InfoHash, (Vec<u32>, Option<PathBuf>)> = BTreeMap::new();
        let stored = match self.catalogue.stored_all().await {
            Ok(stored) => stored,
            Err(error) => {
                tracing::warn!(%error, "the catalogue does not say what is on the disk, so nothing is seeded");
                return;
            }
        };
        for row in stored {
            let (files, path) = torrents.entry(row.track.infohash).or_default();
            files.push(row.track.file);
            *path = row.shared;
        }
        for (infohash, (files, path)) in torrents {
            let Some(torrent) = self.kept_torrent(infohash).await else {
                tracing::warn!(%infohash, "is on the disk without its torrent and cannot be seeded until it is played");
                continue;
            };
            let shared = path.is_some();
            let restored = self.swarm.restore(vec![Restore { torrent, files, share: path }]).await;
            for (_, error) in &restored.failed {
                tracing::warn!(%infohash, %error, "cannot be seeded");
            }
            if restored.torrents > 0 {
                self.crawler.announce(infohash, self.swarm.port(), shared).await;
            }
        }
    }
}

impl Torrents {
    /// A torrent that is kept here or in the catalogue's cache.
    async fn kept_torrent(&self, infohash: InfoHash) -> Option<bytes::Bytes> {
        match self.held.get(infohash).await {
            Ok(Some(torrent)) => return Some(torrent),
            Ok(None) => {}
            Err(error) => tracing::warn!(%infohash, %error, "its torrent cannot be read"),
        }
        let cached = self.catalogue.torrent_file(infohash).await;
        cached
            .unwrap_or_else(|error| {
                tracing::warn!(%infohash, %error, "the catalogue's copy of its torrent cannot be read");
                None
            })
            .map(bytes::Bytes::from)
    }
}

async fn read_torrent(path: &Path) -> Result<Vec<u8>, CommandError> {
    let error = |error: std::io::Error| CommandError {
        code: ErrorCode::NotFound,
        message: format!("{}: {error}; check the path, which is read on the jukebox's machine", path.display()),
    };
    if !tokio::fs::metadata(path).await.map_err(error)?.is_file() {
        // Opening a pipe or device could wait for ever.
        let message = format!("{} is not a file; name a .torrent file or a magnet link", path.display());
        return Err(CommandError { code: ErrorCode::Usage, message });
    }
    let file = tokio::fs::File::open(path).await.map_err(error)?;
    let mut bytes = Vec::new();
    file.take(MAX_TORRENT_BYTES as u64 + 1).read_to_end(&mut bytes).await.map_err(error)?;
    if bytes.len() > MAX_TORRENT_BYTES {
        let message = format!("{} is too large to be a .torrent file", path.display());
        return Err(CommandError { code: ErrorCode::Usage, message });
    }
    Ok(bytes)
}

fn added(infohash: InfoHash, name: String, tracks: usize) -> TorrentAdded {
    let magnet = Magnet::new(infohash, &name).to_string();
    TorrentAdded { infohash, name, tracks: u32::try_from(tracks).unwrap_or(u32::MAX), magnet }
}

#[cfg(test)]
mod tests;
