//! Where the player's songs come from: the catalogue knows them, the storage makes room, the swarm fetches.

use std::io::{self, Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::fetching::Fetching;
use super::held::{HeldTorrents, Origin};
use super::storage::{Admission, Storage};
use super::traces::{SwarmEvent, Traces};
use crate::audio::MediaInput;
use crate::catalogue::{Catalogue, TrackFound};
use crate::control::{CommandError, ErrorCode, TrackInfo};
use crate::crawler::Crawler;
use crate::metadata;
use crate::player::{Fetch, OpenTrack, TrackSource};
use crate::swarm::{FetchProgress, Metainfo, Restore, Source, Swarm, SwarmError, TrackReader, TrackStream};
use crate::types::{Bytes, InfoHash, TrackId};

/// Peers that the swarm is given of those that the catalogue knows.
const MAX_PEERS: usize = 64;

/// How often and how long apart it is tried to end a download whose file is still open: the decoder lets it go within
/// moments.
const LET_GO_TRIES: u32 = 20;
const LET_GO_PAUSE: Duration = Duration::from_millis(250);

/// The player is told of a download at least so often.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// A download of which nothing came for so long is noted.
const STALLED_AFTER: Duration = Duration::from_secs(5);

/// What the player is given songs from.
#[derive(Debug, Clone)]
pub struct Songs {
    pub catalogue: Catalogue,
    pub crawler: Crawler,
    pub swarm: Swarm,
    pub storage: Storage,
    pub held: HeldTorrents,
    pub fetching: Fetching,
    /// Held while a file is selected or deselected in the swarm: a song that is chosen again while it is being let go
    /// must end up selected.
    pub gate: Arc<Mutex<()>>,
    pub traces: Arc<Traces>,
    pub cancel: CancellationToken,
}

/// What faces are shown of a track.
pub fn track_info(found: &TrackFound) -> TrackInfo {
    TrackInfo {
        track: found.id,
        title: found.row.title.clone(),
        artist: found.row.artist.clone(),
        album: found.row.album.clone(),
        format: found.row.format.clone(),
        bytes: found.row.bytes,
    }
}

impl Songs {
    /// The track in the catalogue.
    ///
    /// # Errors
    /// If it is not there.
    pub async fn find(&self, track: TrackId) -> Result<TrackFound, CommandError> {
        let found = self.catalogue.track(track).await.map_err(|error| CommandError {
            code: ErrorCode::Failed,
            message: format!("the catalogue cannot be read: {error}"),
        })?;
        found.ok_or_else(|| CommandError {
            code: ErrorCode::NotFound,
            message: format!("track {track} is not in the catalogue; `silverstream search` shows what is"),
        })
    }

    /// Bytes of the `.torrent` file, from the cache or from its peers.
    async fn torrent(&self, infohash: InfoHash) -> Result<bytes::Bytes, CommandError> {
        match self.held.get(infohash).await {
            Ok(Some(torrent)) => return Ok(torrent),
            Ok(None) => {}
            Err(error) => tracing::warn!(%infohash, %error, "the kept torrent cannot be read; it is fetched again"),
        }
        match self.catalogue.torrent_file(infohash).await {
            Ok(Some(torrent)) => return Ok(torrent.into()),
            Ok(None) => {}
            Err(error) => tracing::warn!(%infohash, %error, "the cached torrent cannot be read; it is fetched again"),
        }
        let known = self.catalogue.peers_of(infohash, MAX_PEERS).await.unwrap_or_default();
        let fetched = self.fetching.fetch(infohash, known).await?;
        Ok(metadata::torrent::build(&fetched.info_bytes).into())
    }

    /// Takes up again what a person has published: soon after the start a song may be wanted before all folders are shared
    /// again, and it is not to be fetched from others then.
    async fn rejoin(&self, track: TrackId, torrent: &bytes::Bytes) {
        if self.swarm.is_shared(track.infohash) {
            return;
        }
        let stored = self.catalogue.stored_all().await.unwrap_or_default();
        let Some(path) = stored.into_iter().find(|row| row.track == track).and_then(|row| row.shared) else { return };
        let share = Restore { torrent: torrent.clone(), files: Vec::new(), share: Some(path) };
        for (infohash, error) in self.swarm.restore(vec![share]).await.failed {
            tracing::warn!(%infohash, %error, "what was shared is fetched from others");
        }
    }

    /// Everything the swarm needs, with room made on the disk. The admission is to be held until the swarm has the song.
    async fn prepare(&self, track: TrackId) -> Result<(TrackFound, Source, Option<Admission>), CommandError> {
        let found = self.find(track).await?;
        let torrent = self.torrent(track.infohash).await?;
        let mut admission = None;
        self.rejoin(track, &torrent).await;
        if !self.swarm.is_shared(track.infohash) {
            let meta = Metainfo::parse(&torrent).map_err(|error| swarm_error(&error))?;
            meta.file(track.file).map_err(|error| swarm_error(&error))?;
            admission = Some(self.storage.admit(track, Bytes(meta.footprint(track.file))).await?);
            self.held.put(track.infohash, torrent.clone(), Origin::Fetched).await.map_err(|error| CommandError {
                code: ErrorCode::Failed,
                message: format!("the song cannot be kept: {error}; see `silverstream doctor`"),
            })?;
        }
        let peers: Vec<SocketAddr> = self.catalogue.peers_of(track.infohash, MAX_PEERS).await.unwrap_or_default();
        Ok((found, Source { infohash: track.infohash, torrent: Some(torrent), peers }, admission))
    }
}

fn swarm_error(error: &SwarmError) -> CommandError {
    let code = match error {
        SwarmError::NoSuchFile { .. } | SwarmError::NoSuchTorrent(_) => ErrorCode::NotFound,
        SwarmError::TooManyStreams { .. } | SwarmError::TooManyTorrents { .. } | SwarmError::DiskFull { .. } => {
            ErrorCode::Full
        }
        _ => ErrorCode::Failed,
    };
    CommandError { code, message: error.to_string() }
}

/// What the decoder reads.
struct SwarmInput(TrackReader);

impl Read for SwarmInput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Seek for SwarmInput {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

impl MediaInput for SwarmInput {
    fn byte_len(&self) -> u64 {
        self.0.byte_len()
    }

    fn available_from(&self, offset: u64) -> u64 {
        self.0.available_from(offset)
    }
}

fn fetch_of(progress: &FetchProgress, lump: u64) -> Fetch {
    Fetch {
        len: progress.len,
        have: progress.have_bytes,
        contiguous: progress.contiguous_from_start,
        rate_bps: progress.rate_bps,
        lump,
        complete: progress.is_complete(),
        damaged: progress.corrupt_pieces,
    }
}

/// Tells when a download stands still and when it goes on.
struct Stall {
    track: TrackId,
    have: u64,
    /// When something came last.
    since: tokio::time::Instant,
    told: bool,
}

impl Stall {
    fn new(track: TrackId, now: tokio::time::Instant) -> Self {
        Self { track, have: 0, since: now, told: false }
    }

    fn look(&mut self, now: tokio::time::Instant, fetch: &Fetch) -> Option<SwarmEvent> {
        let (track, still) = (self.track, now.duration_since(self.since));
        if fetch.complete {
            return Some(SwarmEvent::Complete { track });
        }
        if fetch.have != self.have {
            (self.have, self.since) = (fetch.have, now);
            return std::mem::take(&mut self.told).then_some(SwarmEvent::Resumed { track, after: still.as_secs() });
        }
        if self.told || still < STALLED_AFTER {
            return None;
        }
        self.told = true;
        Some(SwarmEvent::Stalled { track, have: fetch.have, len: fetch.len })
    }
}

impl Songs {
    /// Passes the progress of a download on to the player until it is cancelled, having told the DHT that we are a peer of
    /// its torrent; then the download is let go.
    async fn follow(
        self,
        track: TrackId,
        mut progress: watch::Receiver<FetchProgress>,
        outlet: watch::Sender<Fetch>,
        cancel: CancellationToken,
    ) {
        // Whoever has a part of it can give that part: announced at once, as a peer and not as a seed.
        if !self.swarm.is_shared(track.infohash) {
            self.crawler.announce(track.infohash, self.swarm.port(), false).await;
        }
        let lump = self.lump(track.infohash);
        let mut stall = Stall::new(track, tokio::time::Instant::now());
        loop {
            let now = fetch_of(&progress.borrow_and_update(), lump);
            let complete = now.complete;
            if let Some(event) = stall.look(tokio::time::Instant::now(), &now) {
                self.traces.swarm(event);
            }
            outlet.send_replace(now);
            if complete {
                return;
            }
            tokio::select! {
                () = cancel.cancelled() => break,
                changed = progress.changed() => if changed.is_err() { break },
                () = tokio::time::sleep(PROGRESS_EVERY) => {}
            }
        }
        self.let_go(track).await;
    }

    /// Bytes that become readable together.
    fn lump(&self, infohash: InfoHash) -> u64 {
        self.swarm.metainfo(infohash).map_or(0, |meta| u64::from(meta.piece_length))
    }

    /// Opens the file in the swarm, in a task of its own: a torrent that is being added or woken must not be left half
    /// way, so whoever gives up waiting (the listener skips the song) only stops waiting.
    async fn open_stream(
        &self,
        track: TrackId,
        source: Source,
        admission: Option<Admission>,
    ) -> Result<TrackStream, CommandError> {
        let songs = self.clone();
        let (reply, answer) = oneshot::channel();
        tokio::spawn(async move {
            let opened = {
                let _selecting = songs.gate.lock().await;
                songs.swarm.open(source, track.file).await
            };
            drop(admission);
            if reply.send(opened).is_err() {
                songs.let_go(track).await;
            }
        });
        match answer.await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(swarm_error(&error)),
            Err(_) => Err(swarm_error(&SwarmError::Cancelled)),
        }
    }

    /// Ends the download of a song that nobody listens to any more, so that it takes nothing from the one that is heard.
    async fn let_go(&self, track: TrackId) {
        for _ in 0..LET_GO_TRIES {
            let outcome = {
                let _selecting = self.gate.lock().await;
                self.swarm.stop_fetching(track).await
            };
            match outcome {
                // The decoder still holds it, or it was chosen again.
                Err(SwarmError::InUse { .. }) => tokio::time::sleep(LET_GO_PAUSE).await,
                Err(error) => return tracing::debug!(%track, %error, "the download goes on"),
                Ok(()) => return,
            }
        }
    }
}

impl TrackSource for Songs {
    async fn info(&self, track: TrackId) -> Result<TrackInfo, CommandError> {
        Ok(track_info(&self.find(track).await?))
    }

    async fn open(&self, track: TrackId) -> Result<OpenTrack, CommandError> {
        let (found, source, admission) = self.prepare(track).await?;
        let stream = self.open_stream(track, source, admission).await?;
        let cancel = self.cancel.child_token();
        let (outlet, fetch) = watch::channel(fetch_of(&stream.progress().borrow(), self.lump(track.infohash)));
        tokio::spawn(self.clone().follow(track, stream.progress(), outlet, cancel.clone()));
        let at = stream.clone();
        Ok(OpenTrack {
            info: track_info(&found),
            input: Box::new(SwarmInput(stream.reader(cancel.clone()))),
            available_from: Arc::new(move |offset| at.contiguous_from(offset)),
            fetch,
            cancel,
        })
    }

    async fn prefetch(&self, track: TrackId) {
        match self.prepare(track).await {
            Ok((_, source, admission)) => {
                let songs = self.clone();
                // In a task of its own for the same reason as in `open_stream`.
                let begun = tokio::spawn(async move {
                    let _selecting = songs.gate.lock().await;
                    if let Err(error) = songs.swarm.prefetch(source, track.file).await {
                        tracing::debug!(%track, %error, "cannot be fetched ahead");
                    }
                    drop(admission);
                });
                let _ = begun.await;
            }
            // It is said to the person if it still fails when it is its turn.
            Err(error) => tracing::debug!(%track, error = error.message, "cannot be fetched ahead"),
        }
    }

    async fn forget(&self, track: TrackId) {
        self.let_go(track).await;
    }

    async fn played(&self, track: TrackId) {
        self.storage.played(track).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_that_stands_still_is_told_once_and_told_again_when_it_goes_on() {
        let track = TrackId { infohash: InfoHash([1; 20]), file: 0 };
        let zero = tokio::time::Instant::now();
        let mut stall = Stall::new(track, zero);
        let mut look = |second: u64, have: u64| {
            let fetch = Fetch { len: 100, have, complete: have == 100, ..Fetch::default() };
            stall.look(zero + Duration::from_secs(second), &fetch)
        };
        assert_eq!((look(1, 10), look(2, 20), look(6, 20)), (None, None, None));
        assert_eq!(look(7, 20), Some(SwarmEvent::Stalled { track, have: 20, len: 100 }));
        assert_eq!(look(60, 20), None);
        assert_eq!(look(62, 21), Some(SwarmEvent::Resumed { track, after: 60 }));
        assert_eq!(look(63, 100), Some(SwarmEvent::Complete { track }));
    }
}
