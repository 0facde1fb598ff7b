//! Reading a file while it is still coming.

use std::collections::VecDeque;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeek, AsyncSeekExt};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::error::SwarmError;
use super::host::Host;
use super::torrent::Torrent;

/// How long a read waits while nothing at all arrives for the torrent.
const STALL_TIME: Duration = Duration::from_secs(30);
/// How long a read waits in all: peers that send only what does not pass its check never stall.
const MAX_WAIT: Duration = Duration::from_secs(120);
/// librqbit does not wake a read when its torrent fails or is replaced, so it is looked at this often.
const LOOK_PERIOD: Duration = Duration::from_millis(250);
/// Progress is published when a piece is completed, and at least this often while the file is incomplete.
const PROGRESS_PERIOD: Duration = Duration::from_millis(100);
/// The rate is what arrived over this time.
const RATE_WINDOW: Duration = Duration::from_secs(2);

/// How far a file has come.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct FetchProgress {
    /// Length of the file in bytes.
    pub len: u64,
    /// Bytes that are there and passed their check.
    pub have_bytes: u64,
    /// How many of them follow each other from the beginning.
    pub contiguous_from_start: u64,
    /// What arrived lately for the torrent, in bytes a second.
    pub rate_bps: f64,
    /// Connected peers.
    pub peers: u32,
    /// Pieces of this torrent that came damaged.
    pub corrupt_pieces: u64,
}

impl FetchProgress {
    /// Whether the whole file is there.
    pub fn is_complete(&self) -> bool {
        self.have_bytes == self.len
    }
}

/// What librqbit's stream of a file, which has no public name, can do.
trait PieceStream: AsyncRead + AsyncSeek + Send + Unpin {}
impl<T: AsyncRead + AsyncSeek + Send + Unpin> PieceStream for T {}

/// librqbit's stream, the life it belongs to, and where it stands.
struct Position {
    life: u64,
    stream: Box<dyn PieceStream>,
    at: u64,
}

struct Shared {
    host: Arc<Host>,
    torrent: Arc<Torrent>,
    file: u32,
    len: u64,
    /// One for all readers: its position is what librqbit fetches first, and each costs a permit of the session.
    position: tokio::sync::Mutex<Option<Position>>,
    progress: watch::Receiver<FetchProgress>,
    runtime: tokio::runtime::Handle,
    _progress_task: DropGuard,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.torrent.stream_closed(self.file);
    }
}

/// An open file of a torrent. While it is open the pieces at the reader's position come first, and the file cannot be
/// evicted. Dropping it and its readers closes it; the file goes on being fetched until it is complete, unless
/// [`super::Swarm::stop_fetching`] is called.
#[derive(Clone)]
pub struct TrackStream {
    shared: Arc<Shared>,
}

impl TrackStream {
    pub(super) async fn open(
        host: Arc<Host>,
        torrent: Arc<Torrent>,
        file: u32,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self, SwarmError> {
        let len = torrent.meta.file(file)?.len;
        let end = CancellationToken::new();
        let (sender, progress) = watch::channel(snapshot(&torrent, file, len, 0.0));
        // From here on it cannot be evicted; if it was in the moment before, it is wanted again.
        torrent.stream_opened(file);
        let shared = Arc::new(Shared {
            host,
            torrent: torrent.clone(),
            file,
            len,
            position: tokio::sync::Mutex::new(None),
            progress,
            runtime: tokio::runtime::Handle::current(),
            _progress_task: end.clone().drop_guard(),
            _permit: permit,
        });
        shared.torrent.select(&shared.host, file, true).await?;
        // The position counts from now on, before anybody reads.
        shared.stream_at(&mut *shared.position.lock().await, 0).await?;
        tokio::spawn(async move {
            tokio::select! {
                () = end.cancelled() => {}
                () = publish(&torrent, file, len, &sender) => {}
            }
        });
        Ok(Self { shared })
    }

    /// A blocking reader from the beginning, for a thread outside the runtime. `cancel` wakes a waiting read, which then
    /// fails. Several may exist; the one that read last decides what is fetched first.
    pub fn reader(&self, cancel: CancellationToken) -> TrackReader {
        TrackReader { shared: self.shared.clone(), cancel, at: 0 }
    }

    /// How far the file has come; changes can be awaited.
    pub fn progress(&self) -> watch::Receiver<FetchProgress> {
        self.shared.progress.clone()
    }

    /// Bytes from `offset` that can be read without waiting.
    pub fn contiguous_from(&self, offset: u64) -> u64 {
        self.shared.torrent.have_bytes(self.shared.file, offset).1
    }
}

fn snapshot(torrent: &Torrent, file: u32, len: u64, rate_bps: f64) -> FetchProgress {
    let (have_bytes, contiguous_from_start) = torrent.have_bytes(file, 0);
    FetchProgress {
        len,
        have_bytes,
        contiguous_from_start,
        rate_bps,
        peers: torrent.live_peers(),
        corrupt_pieces: torrent.life().store.corrupt(),
    }
}

/// Publishes progress until the file is complete.
async fn publish(torrent: &Torrent, file: u32, len: u64, sender: &watch::Sender<FetchProgress>) {
    let mut window: VecDeque<(Instant, u64)> = VecDeque::new();
    loop {
        // Subscribed before looking, so that nothing is missed; anew each time, as the torrent may live again.
        let life = torrent.life();
        let mut completed = life.store.completed();
        let (now, fetched) = (Instant::now(), life.traffic().0);
        if window.back().is_some_and(|(_, before)| *before > fetched) {
            window.clear();
        }
        window.push_back((now, fetched));
        while window.len() > 2 && window.front().is_some_and(|(at, _)| now.duration_since(*at) > RATE_WINDOW) {
            window.pop_front();
        }
        let rate = window.front().map_or(0.0, |(at, before)| {
            // A first piece that came within a few milliseconds says little: never divide by less than a tenth.
            (fetched - before) as f64 / now.duration_since(*at).as_secs_f64().max(0.1)
        });
        let progress = snapshot(torrent, file, len, rate);
        sender.send_replace(progress);
        if progress.is_complete() {
            return;
        }
        // An error means that this life ended; the next turn finds the new one.
        let _ = timeout(PROGRESS_PERIOD, completed.changed()).await;
    }
}

impl Shared {
    /// librqbit's stream at `offset`, opened anew if the torrent began another life.
    async fn stream_at<'a>(
        &self,
        position: &'a mut Option<Position>,
        offset: u64,
    ) -> Result<&'a mut Position, SwarmError> {
        let life = self.torrent.life();
        if position.as_ref().is_none_or(|position| position.life != life.number) {
            *position = None;
            life.ready(&self.host).await?;
            let stream = life.handle.clone().stream(self.file as usize).await.map_err(SwarmError::session)?;
            *position = Some(Position { life: life.number, stream: Box::new(stream), at: 0 });
        }
        let Some(position) = position else { return Err(SwarmError::Cancelled) };
        if position.at != offset {
            position.at = position.stream.seek(SeekFrom::Start(offset)).await.map_err(SwarmError::session)?;
        }
        Ok(position)
    }

    async fn try_read(&self, offset: u64, buf: &mut [u8]) -> Result<usize, SwarmError> {
        let mut guard = self.position.lock().await;
        let position = self.stream_at(&mut guard, offset).await?;
        let read = position.stream.read(buf).await.map_err(SwarmError::session)?;
        position.at += read as u64;
        Ok(read)
    }

    /// Reads what is at `offset`, waiting for it as long as there is hope.
    async fn read_at(&self, offset: u64, buf: &mut [u8], cancel: &CancellationToken) -> Result<usize, SwarmError> {
        let begun = Instant::now();
        let stall_time = self.host.config.stall_time.unwrap_or(STALL_TIME);
        let corrupt_before = self.torrent.life().store.corrupt();
        let mut last_data = begun;
        let mut fetched = self.torrent.life().traffic().0;
        loop {
            let life = self.torrent.life().number;
            let outcome = tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(SwarmError::Cancelled),
                outcome = timeout(LOOK_PERIOD, self.try_read(offset, buf)) => outcome,
            };
            let now = self.torrent.life();
            match outcome {
                Ok(Ok(read)) => return Ok(read),
                // It failed because the torrent was being replaced: look again.
                Ok(Err(_)) if now.number != life => continue,
                Ok(Err(error)) => {
                    if self.host.torrent(self.torrent.meta.infohash).is_none() {
                        return Err(SwarmError::NoSuchTorrent(self.torrent.meta.infohash));
                    }
                    if let Some(failure) = now.failure() {
                        return Err(failure);
                    }
                    // Being replaced takes moments; anything else is still there after the stall time.
                    if begun.elapsed() > stall_time {
                        return Err(error);
                    }
                    tokio::time::sleep(LOOK_PERIOD / 10).await;
                }
                Err(_) => {
                    if let Some(failure) = now.failure() {
                        return Err(failure);
                    }
                }
            }
            let total = now.traffic().0;
            if total != fetched {
                (fetched, last_data) = (total, Instant::now());
            }
            if last_data.elapsed() > stall_time || begun.elapsed() > MAX_WAIT {
                return Err(SwarmError::Stalled {
                    waited: begun.elapsed(),
                    peers: self.torrent.live_peers(),
                    corrupt: now.store.corrupt().saturating_sub(corrupt_before),
                });
            }
        }
    }
}

/// A blocking reader of an open file. Reads wait for data that is still coming; they fail with
/// [`io::ErrorKind::TimedOut`] if none comes, [`io::ErrorKind::ConnectionAborted`] if cancelled, and
/// [`io::ErrorKind::StorageFull`] if the disk is full. Not for threads of the runtime, which must not block.
pub struct TrackReader {
    shared: Arc<Shared>,
    cancel: CancellationToken,
    at: u64,
}

impl TrackReader {
    /// Length of the file in bytes.
    pub fn byte_len(&self) -> u64 {
        self.shared.len
    }

    /// Bytes from `offset` that can be read without waiting.
    pub fn available_from(&self, offset: u64) -> u64 {
        self.shared.torrent.have_bytes(self.shared.file, offset).1
    }
}

impl Read for TrackReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() || self.at >= self.shared.len {
            return Ok(0);
        }
        let read = self.shared.runtime.block_on(self.shared.read_at(self.at, buf, &self.cancel))?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for TrackReader {
    /// Moves within the file; the end is as far as it goes.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.shared.len.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.at.checked_add_signed(offset),
        };
        let target = target.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        self.at = target.min(self.shared.len);
        if self.at < self.shared.len && self.available_from(self.at) == 0 {
            // Whoever reads only what is there would wait for ever if fetching did not go on from here.
            let (shared, at) = (self.shared.clone(), self.at);
            self.shared.runtime.spawn(async move {
                if let Err(error) = shared.stream_at(&mut *shared.position.lock().await, at).await {
                    tracing::debug!(%error, at, "the position of fetching did not follow a seek");
                }
            });
        }
        Ok(self.at)
    }
}
