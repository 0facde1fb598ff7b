//! What commands answer with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::types::{InfoHash, TrackId};

/// Answer to [`super::Command::Search`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SearchResults {
    /// As it was asked.
    pub query: String,
    /// As it was understood, where a word was corrected.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub corrected: Option<String>,
    pub elapsed_ms: f64,
    pub results: Vec<SearchHit>,
}

/// One found track.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchHit {
    pub track: TrackId,
    pub title: String,
    pub artist: String,
    pub album: String,
    /// Path within the torrent, the torrent's name first, joined with `/`.
    pub path: String,
    /// Lower-case file extension: `mp3`, `flac`, …
    pub format: String,
    /// Size of the file.
    pub bytes: u64,
    /// Distinct peers that were seen to have or want the torrent lately.
    pub seeders: u32,
    /// Rank, higher is better; comparable only within one answer.
    pub score: f64,
}

/// Answer to [`super::Command::Dial`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DialState {
    /// What is dialled so far, folded to the letters of the wheel.
    pub prefix: String,
    /// Tracks that match the prefix.
    pub hits: u64,
    /// Letters that lead to at least one track, in alphabetical order; a space ends a word.
    pub letters: Vec<DialLetter>,
}

/// One letter on the wheel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DialLetter {
    pub letter: char,
    /// Tracks that match the prefix with this letter appended.
    pub hits: u64,
}

/// What is queued behind the playing track.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct QueueState {
    pub current: Option<TrackInfo>,
    pub upcoming: Vec<TrackInfo>,
}

/// What a face shows of a track.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrackInfo {
    pub track: TrackId,
    pub title: String,
    pub artist: String,
    pub album: String,
    pub format: String,
    pub bytes: u64,
}

/// Answer to [`super::Command::Add`] and [`super::Command::Share`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TorrentAdded {
    pub infohash: InfoHash,
    /// Empty while the metadata of a magnet link is still to be fetched.
    pub name: String,
    pub tracks: u32,
    pub magnet: String,
}

/// The last events of a room.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceRing {
    pub room: String,
    /// How often each kind of event happened since the start.
    pub counters: BTreeMap<String, u64>,
    /// Oldest first.
    pub entries: Vec<TraceEntry>,
}

/// Something that happened, perhaps several times in a row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceEntry {
    /// Since the start of the process.
    pub first_ms: u64,
    pub last_ms: u64,
    pub times: u32,
    /// For people.
    pub event: String,
}

/// A monochrome picture of the display.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    pub width: u32,
    pub height: u32,
    /// Rows from the top, each of whole bytes as hexadecimal digits, most significant bit leftmost, 1 is lit.
    pub bits: String,
}
