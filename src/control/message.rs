//! Commands, replies and the state that faces show. Fields are added, never renamed.

mod results;
mod status;

pub use results::*;
pub use status::*;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::types::{InfoHash, TrackId};

/// What a face asks of the jukebox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Command {
    /// Tracks for a typed query, best first.
    Search {
        query: String,
        limit: u32,
        mode: SearchMode,
    },
    /// The letters that may follow `prefix` when a song is dialled, with their numbers of hits.
    Dial {
        prefix: String,
    },
    /// Plays the track now, before whatever is queued; without one, resumes or starts the queue.
    Play {
        track: Option<TrackId>,
    },
    /// Appends to the queue.
    QueueAdd {
        tracks: Vec<TrackId>,
    },
    /// Takes the entry at this position (from 0, the playing one not counted) out of the queue.
    QueueRemove {
        position: u32,
    },
    /// Empties the queue; what plays goes on.
    QueueClear,
    /// What is queued.
    QueueList,
    Pause,
    Resume,
    /// Pause if playing, resume if paused.
    Toggle,
    /// Ends playback and forgets the position; the queue stays.
    Stop,
    Next,
    /// The start of this song, or the one before it if this one has only just begun.
    Previous,
    Seek {
        to: SeekTo,
    },
    Volume {
        to: VolumeTo,
    },
    /// Takes up a magnet link (`magnet:?xt=urn:btih:…`) or a `.torrent` file (a path on the jukebox's machine).
    Add {
        source: String,
    },
    /// Makes a torrent of a file or folder on the jukebox's machine, seeds it and answers with the magnet link.
    Share {
        path: PathBuf,
    },
    /// No longer shares; the files stay where they are.
    Unshare {
        infohash: InfoHash,
    },
    Status,
    /// Turns the knob by `detents`, clockwise positive.
    PanelTurn {
        detents: i32,
    },
    PanelPress,
    /// The second of two presses.
    PanelDouble,
    PanelHold,
    /// The picture on the display.
    PanelPicture,
    /// Orderly end of the process.
    Shutdown,
    /// Orderly end of the process, after which the machine is switched off.
    PowerOff,
    /// The last events of every room, for those who look for a fault.
    Trace,
}

/// How the words of a query are meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SearchMode {
    /// Words are corrected when misspelt, and the last one may be unfinished.
    #[default]
    Fuzzy,
    /// Every word as it is written.
    Exact,
    /// Every word may be the beginning of a longer one.
    Prefix,
}

/// Where to go within the song.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeekTo {
    /// Seconds from its beginning.
    Absolute(f64),
    /// Seconds forward, negative for back.
    Relative(f64),
}

/// What to do with the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VolumeTo {
    /// Percent, 0 to 100; more is 100.
    Absolute(u8),
    /// Percentage points up, negative for down.
    Relative(i8),
}

/// What the jukebox answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// The command was carried out and there is nothing to tell.
    Done,
    Search(SearchResults),
    Dial(DialState),
    Queue(QueueState),
    Status(Box<Status>),
    /// A torrent was taken up or made.
    Torrent(TorrentAdded),
    Volume {
        percent: u8,
    },
    Picture(Picture),
    Trace {
        rings: Vec<TraceRing>,
    },
    /// It could not be done.
    Error(CommandError),
}

/// Why a command failed and what the person can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct CommandError {
    /// For programs.
    pub code: ErrorCode,
    /// One sentence for people that says what to do next.
    pub message: String,
}

/// Kinds of failure a program may want to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// The command is not well-formed.
    Usage,
    /// No such track, torrent, file or queue position.
    NotFound,
    /// A bound is reached (queue full, storage full, too many connections).
    Full,
    /// Not possible now (nothing is playing, no panel, shutting down).
    NotNow,
    /// Something failed inside or on the disk, network or sound card.
    Failed,
}
