//! Where songs come from and where they sound: what the player needs of other rooms.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::audio::{AudioError, Engine, MediaInput, Progress};
use crate::control::{CommandError, TrackInfo};
use crate::types::TrackId;

/// How far the download of a file is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Fetch {
    /// Length of the file in bytes.
    pub len: u64,
    /// Bytes of the file that are there, wherever they lie.
    pub have: u64,
    /// Bytes from the beginning of the file that are there without a hole.
    pub contiguous: u64,
    /// Download rate of the file in bytes a second; 0 if not measured.
    pub rate_bps: f64,
    /// Bytes that become readable together at most (a piece), when the last of them has arrived; 0 if each does by itself.
    pub lump: u64,
    /// The whole file is there.
    pub complete: bool,
    /// Pieces that came damaged and were thrown away, of this file or its neighbours.
    pub damaged: u64,
}

/// Bytes of a file that can be read without waiting, from an offset; cheap.
pub type AvailableFrom = Arc<dyn Fn(u64) -> u64 + Send + Sync>;

/// A song that is ready to be read while it arrives.
pub struct OpenTrack {
    pub info: TrackInfo,
    /// Goes to the audio engine.
    pub input: Box<dyn MediaInput>,
    /// Answers what [`MediaInput::available_from`] of `input` would, after `input` has been given away.
    pub available_from: AvailableFrom,
    /// Progress of the download, published whenever data arrives and about once a second while none does.
    pub fetch: watch::Receiver<Fetch>,
    /// Cancelled by the player when it needs the song no longer: wakes reads that wait, and lets the download go.
    pub cancel: CancellationToken,
}

impl fmt::Debug for OpenTrack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenTrack").field("info", &self.info).finish_non_exhaustive()
    }
}

/// Finds and fetches songs; implemented by the jukebox on catalogue, swarm and library.
pub trait TrackSource: Send + Sync + 'static {
    /// What is known of a track, without fetching anything.
    ///
    /// # Errors
    /// If it is not in the catalogue.
    fn info(&self, track: TrackId) -> impl Future<Output = Result<TrackInfo, CommandError>> + Send;

    /// Begins to fetch a track from its beginning. Dropping the future gives up.
    ///
    /// # Errors
    /// If the track is not known, there is no room for it, or the swarm refuses; a sentence for people.
    fn open(&self, track: TrackId) -> impl Future<Output = Result<OpenTrack, CommandError>> + Send;

    /// Fetches a track that will probably be opened soon; returns when that has begun.
    fn prefetch(&self, track: TrackId) -> impl Future<Output = ()> + Send;

    /// Ends what [`Self::prefetch`] began, which has returned; a track that is complete or open stays as it is.
    fn forget(&self, track: TrackId) -> impl Future<Output = ()> + Send;

    /// Notes that a track is being heard.
    fn played(&self, track: TrackId) -> impl Future<Output = ()> + Send;
}

/// The part of [`crate::audio::Engine`] that the player uses; none of it blocks.
pub trait Sound: Send + 'static {
    /// Ends what sounds and is enqueued, and plays `input` from `start`.
    ///
    /// # Errors
    /// If the engine does not respond; so with all of these.
    fn play(
        &self,
        token: u64,
        input: Box<dyn MediaInput>,
        hint: Option<&str>,
        start: Duration,
    ) -> Result<(), AudioError>;
    /// Plays `input` without a gap when what sounds has ended.
    fn enqueue(&self, token: u64, input: Box<dyn MediaInput>, hint: Option<&str>) -> Result<(), AudioError>;
    /// Takes back what was enqueued and has not begun.
    fn dequeue(&self) -> Result<(), AudioError>;
    fn pause(&self) -> Result<(), AudioError>;
    fn resume(&self) -> Result<(), AudioError>;
    fn stop(&self) -> Result<(), AudioError>;
    /// Goes to a place in what sounds.
    fn seek(&self, to: Duration) -> Result<(), AudioError>;
    /// In percent.
    fn set_volume(&self, percent: u8);
    fn progress(&self) -> Progress;
}

impl Sound for Engine {
    fn play(
        &self,
        token: u64,
        input: Box<dyn MediaInput>,
        hint: Option<&str>,
        start: Duration,
    ) -> Result<(), AudioError> {
        Engine::play(self, token, input, hint, start)
    }

    fn enqueue(&self, token: u64, input: Box<dyn MediaInput>, hint: Option<&str>) -> Result<(), AudioError> {
        Engine::enqueue(self, token, input, hint)
    }

    fn dequeue(&self) -> Result<(), AudioError> {
        Engine::dequeue(self)
    }

    fn pause(&self) -> Result<(), AudioError> {
        Engine::pause(self)
    }

    fn resume(&self) -> Result<(), AudioError> {
        Engine::resume(self)
    }

    fn stop(&self) -> Result<(), AudioError> {
        Engine::stop(self)
    }

    fn seek(&self, to: Duration) -> Result<(), AudioError> {
        Engine::seek(self, to)
    }

    fn set_volume(&self, percent: u8) {
        Engine::set_volume(self, percent);
    }

    fn progress(&self) -> Progress {
        Engine::progress(self)
    }
}
