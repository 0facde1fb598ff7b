//! From sightings to tracks: the tasks that carry what the crawler hears to the catalogue, and what the catalogue wants
//! to know to the fetchers of metadata.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::supervise::{TaskError, Tick};
use crate::catalogue::{Catalogue, SightingRow, TorrentRow, TrackRow};
use crate::crawler::{Crawler, Sighting, Waits};
use crate::metadata::{Indexer, Job, JobSource, Outcome, PeerSource, TorrentInfo, TrackRecord};
use crate::swarm::{Metainfo, SwarmError};
use crate::types::{Clock, InfoHash};

/// Carries sightings to the catalogue until the token is cancelled.
///
/// # Errors
/// If the catalogue cannot be written.
pub async fn record_sightings(
    sightings: &mut mpsc::Receiver<Vec<Sighting>>,
    catalogue: &Catalogue,
    tick: Tick,
    cancel: CancellationToken,
) -> Result<(), TaskError> {
    loop {
        tick.tick();
        let batch = tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            () = tokio::time::sleep(Tick::IDLE) => continue,
            batch = sightings.recv() => batch,
        };
        let Some(batch) = batch else { return Ok(()) };
        let rows = batch.iter().map(row).collect();
        catalogue.record_sightings(rows).await?;
    }
}

/// Runs the indexer until the token is cancelled.
///
/// # Errors
/// If it ends before.
pub async fn index<J: JobSource, P: PeerSource>(
    indexer: &Indexer<J, P>,
    tick: Tick,
    cancel: CancellationToken,
) -> Result<(), TaskError> {
    let mut stats = indexer.stats();
    let run = indexer.run(cancel);
    tokio::pin!(run);
    loop {
        tokio::select! {
            () = &mut run => return Ok(()),
            // The indexer holds the sending end.
            Ok(()) = stats.changed() => tick.tick(),
        }
    }
}

fn row(sighting: &Sighting) -> SightingRow {
    SightingRow { infohash: sighting.infohash, peer: sighting.peer, at: sighting.at, announce: sighting.peer.is_some() }
}

/// Infohashes to fetch, out of the catalogue, and results into it.
#[derive(Debug, Clone)]
pub struct CatalogueJobs {
    pub catalogue: Catalogue,
    pub clock: Clock,
    pub keep_torrents: bool,
}

impl JobSource for CatalogueJobs {
    async fn next(&self, max: usize) -> Vec<Job> {
        match self.catalogue.due(max, self.clock.unix()).await {
            Ok(due) => due
                .into_iter()
                .map(|row| Job { infohash: row.infohash, peers: row.peers, attempts: row.attempts })
                .collect(),
            Err(error) => {
                tracing::warn!(%error, "the catalogue does not say what to fetch");
                Vec::new()
            }
        }
    }

    async fn finished(&self, infohash: InfoHash, mut outcome: Outcome) {
        if let Outcome::Music { info_bytes, .. } = &outcome
            && let Err(error) = check_playable(info_bytes.clone()).await
        {
            tracing::debug!(%infohash, %error, "is music that cannot be fetched, and is given up");
            outcome = Outcome::Failed { reason: error.to_string(), retry: None, counts: true };
        }
        if let Err(error) = self.store(infohash, outcome).await {
            tracing::warn!(%infohash, %error, "what was fetched cannot be stored; it will be fetched again");
            // In flight for nobody: let it become due again.
            let _ = self.catalogue.release(infohash).await;
        }
    }
}

/// Whether the swarm would fetch songs of this torrent: what it refuses (private ones, paths that leave their folder,
/// absurd sizes) is not offered to people in the first place.
///
/// # Errors
/// Why it refuses.
pub async fn check_playable(info_bytes: bytes::Bytes) -> Result<(), SwarmError> {
    // On a thread for blocking work: thousands of files take a while on a small board.
    tokio::task::spawn_blocking(move || Metainfo::parse(&info_bytes).map(drop))
        .await
        .unwrap_or(Err(SwarmError::Cancelled))
}

impl CatalogueJobs {
    /// Puts the result of a fetch into the catalogue.
    ///
    /// # Errors
    /// If the catalogue cannot be written.
    pub async fn store(&self, infohash: InfoHash, outcome: Outcome) -> Result<(), crate::catalogue::CatalogueError> {
        let now = self.clock.unix();
        match outcome {
            Outcome::Music { info, tracks, info_bytes } => {
                let (row, tracks) = self.rows(&info, tracks, &info_bytes);
                self.catalogue.store_torrent(row, tracks).await.map(|_| ())
            }
            Outcome::NotMusic { name } => self.catalogue.mark_not_music(infohash, name, now).await,
            // Our own trouble is no mark against the torrent, but it does not pass by asking again at once.
            Outcome::Failed { counts: false, retry, .. } => {
                self.catalogue.postpone(infohash, now + retry.unwrap_or_default()).await
            }
            Outcome::Failed { retry, .. } => self.catalogue.mark_failed(infohash, retry.map(|after| now + after)).await,
        }
    }
}

impl CatalogueJobs {
    /// A torrent with music as the catalogue keeps it.
    pub fn rows(&self, info: &TorrentInfo, tracks: Vec<TrackRecord>, info_bytes: &[u8]) -> (TorrentRow, Vec<TrackRow>) {
        let row = TorrentRow {
            infohash: info.infohash,
            name: info.name.clone(),
            torrent: self.keep_torrents.then(|| crate::metadata::torrent::build(info_bytes)),
            bytes: info.total,
            piece_length: info.piece_length,
            files: u32::try_from(info.files.len()).unwrap_or(u32::MAX),
            private: info.private,
            added: self.clock.unix(),
        };
        let track = |track: TrackRecord| TrackRow {
            file: track.file,
            path: track.path,
            title: track.title,
            artist: track.artist,
            album: track.album,
            number: track.number,
            format: track.format.extension().to_owned(),
            bytes: track.bytes,
        };
        (row, tracks.into_iter().map(track).collect())
    }
}

/// Peers of a torrent, out of the DHT.
#[derive(Debug, Clone)]
pub struct CrawlerPeers(pub Crawler);

impl PeerSource for CrawlerPeers {
    async fn find(&self, infohash: InfoHash) -> mpsc::Receiver<std::net::SocketAddr> {
        self.0.find_peers(infohash, Waits::Nobody).await
    }

    async fn proved(&self, infohash: InfoHash) {
        self.0.proved(infohash).await;
    }
}
