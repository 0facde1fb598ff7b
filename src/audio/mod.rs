//! Decode, convert, buffer and put out sound.
//!
//! ```text
//! MediaInput ─▶ decoder thread (one a track: probe, decode, gapless trimming) ─▶ bounded channel
//!     ─▶ conductor thread (order of tracks, channel mapping, resampling) ─▶ rtrb ring
//!     ─▶ output thread (volume, position, silence when the ring is dry) ─▶ ALSA, WAV file or nothing
//! ```
//!
//! The output thread never allocates, locks or waits for the network while it plays. Samples are 32-bit integers at
//! full scale from the decoder to the device, so what was 16, 24 or 32 bits comes out bit for bit at full volume.
//! Input is untrusted: it may be slow, cut off, mislabelled or hostile, and then becomes an event with a sentence for
//! people, never a panic.

mod conductor;
mod convert;
mod decoder;
pub mod encode;
mod engine;
mod feed;
mod mp4;
mod ogg;
mod output;
mod shared;
mod sniff;
mod source;
#[cfg(test)]
mod testing;
mod track;

pub use decoder::{Block, DecodeError, Decoder};
pub use engine::Engine;
pub use output::OutputSpec;
pub use shared::{Progress, Rounds};
pub use sniff::{Container, Facts, facts_at, probe_facts};
pub use source::Control;

use std::io::{Read, Seek};
use std::time::Duration;

/// Where a decoder reads from: a file that may still be arriving.
///
/// Reads may block until data arrives, but the engine asks [`MediaInput::available_from`] first and reads only what
/// is there, so that a seek, stop or shutdown never waits for the network. An implementation fetches from where it
/// was last positioned by [`Seek`], whether or not a read is pending. `TimedOut`, `WouldBlock` and `Interrupted` are
/// taken as "nothing yet"; every other error ends the track.
pub trait MediaInput: Read + Seek + Send + Sync {
    /// Length of the whole file in bytes, arrived or not.
    fn byte_len(&self) -> u64;

    /// Bytes from `offset` that can be read without waiting. Must be cheap; it is asked before each read.
    fn available_from(&self, offset: u64) -> u64 {
        self.byte_len().saturating_sub(offset)
    }
}

/// A file in memory is all there.
impl<T: AsRef<[u8]> + Send + Sync> MediaInput for std::io::Cursor<T> {
    fn byte_len(&self) -> u64 {
        self.get_ref().as_ref().len() as u64
    }
}

/// A file on disk that is all there.
#[derive(Debug)]
pub struct FileInput {
    file: std::fs::File,
    len: u64,
}

impl FileInput {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(path: &std::path::Path) -> std::io::Result<Self> {
        let file = std::fs::File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Self { file, len })
    }
}

impl Read for FileInput {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.file.read(buffer)
    }
}

impl Seek for FileInput {
    fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
        self.file.seek(to)
    }
}

impl MediaInput for FileInput {
    fn byte_len(&self) -> u64 {
        self.len
    }
}

/// What a track is, as far as its beginning tells.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamInfo {
    /// Short lower-case name: `mp3`, `flac`, `vorbis`, `opus`, `aac`, `alac`, `pcm`.
    pub codec: &'static str,
    /// Frames a second.
    pub sample_rate: u32,
    pub channels: u16,
    /// Of a sample, for lossless codecs.
    pub bits: Option<u32>,
    /// Playing time; an estimate where the file does not say (MP3 without a Xing header) and `None` where only its
    /// end says (Ogg) and has not arrived. [`AudioEvent::Duration`] follows when it is known.
    pub duration: Option<Duration>,
    /// Average of the whole file in bits a second, or what the header claims.
    pub bitrate_bps: Option<u64>,
}

/// What the engine tells its owner.
#[derive(Debug, Clone, PartialEq)]
pub enum AudioEvent {
    /// The format is recognised; sound follows.
    Opened { token: u64, info: StreamInfo },
    /// The playing time has become known, or better known.
    Duration { token: u64, duration: Duration },
    /// The first sample was handed to the output.
    Started { token: u64 },
    /// The data ran out while it should have played: silence is put out.
    Starved { token: u64 },
    /// It plays again after [`AudioEvent::Starved`].
    Recovered { token: u64 },
    /// It was heard to its end.
    Finished { token: u64 },
    /// It cannot be played, or not on: a sentence for people. What was decoded before has been heard.
    Failed { token: u64, error: String },
    /// The sound device is gone, busy or refuses; a sentence for people. It is tried again until it comes back.
    OutputLost(String),
    /// The sound device plays again.
    OutputBack,
}

/// Why the engine could not start or take a command.
#[derive(Debug, thiserror::Error)]
pub enum AudioError {
    /// The text of `[audio] output` is not understood.
    #[error(
        "unknown audio output {0:?}; use \"alsa:auto\", \"alsa:DEVICE\" (an id as in /proc/asound/cards, or \"alsa:default\"), \"wav:FILE\" or \"null\""
    )]
    UnknownOutput(String),
    /// The WAV file cannot be written.
    #[error("cannot write the sound to {path}: {source}; choose another file in [audio] output")]
    Create { path: std::path::PathBuf, source: std::io::Error },
    /// The sound device cannot be used.
    #[error("{0}")]
    Device(String),
    /// The operating system refuses a thread.
    #[error("cannot start the audio threads: {0}; close other programs and try again")]
    Thread(std::io::Error),
    /// The engine is gone or too busy to take a command.
    #[error("the audio engine does not respond; restart the jukebox")]
    Unresponsive,
    /// A thread of the engine died; what it said is in the log.
    #[error("the audio engine has ended unexpectedly; the log says where, please report it")]
    Died,
}

/// How the engine is started.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    pub output: OutputSpec,
    /// Percent, 0 to 100; more is 100.
    pub volume: u8,
}
