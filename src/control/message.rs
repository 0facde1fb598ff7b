//! Commands, replies and the state that faces show. Fields are added, never renamed.

use std::path::PathBuf;

use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};

use crate::types::{InfoHash, TrackId, UnixTime};

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
    PanelHold,
    /// The picture on the display.
    PanelPicture,
    /// Orderly end of the process.
    Shutdown,
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

/// Answer to [`Command::Search`].
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

/// Answer to [`Command::Dial`].
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

/// Answer to [`Command::Add`] and [`Command::Share`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TorrentAdded {
    pub infohash: InfoHash,
    /// Empty while the metadata of a magnet link is still to be fetched.
    pub name: String,
    pub tracks: u32,
    pub magnet: String,
}

/// A monochrome picture of the display.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    pub width: u32,
    pub height: u32,
    /// Rows from the top, each `width / 8` bytes as hexadecimal digits, most significant bit leftmost, 1 is lit.
    pub bits: String,
}

/// The state of a running jukebox.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    pub version: String,
    /// Name of the board profile.
    pub board: String,
    pub uptime_s: u64,
    pub memory: MemoryStatus,
    pub dht: DhtStatus,
    pub index: IndexStatus,
    pub player: PlayerStatus,
    pub storage: StorageStatus,
    pub seeding: SeedingStatus,
    /// The tasks of the process, for those who look for a fault.
    pub tasks: Vec<TaskStatus>,
}

/// A task of the process. Rounds that stand still while there is work, or restarts, are a fault.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStatus {
    pub name: String,
    /// Rounds of its loop.
    pub rounds: u64,
    pub restarts: u64,
}

/// Memory of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemoryStatus {
    /// Resident set.
    pub rss_bytes: u64,
}

/// What the crawler does and hears. Counters are since the start of the process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DhtStatus {
    pub nodes: u32,
    /// Contacts in all routing tables together.
    pub contacts: u64,
    pub datagrams_in: u64,
    pub datagrams_out: u64,
    pub sightings: u64,
    /// Distinct infohashes in the catalogue.
    pub infohashes: u64,
    /// Datagrams and sightings that were malformed, out of scope or beyond a bound.
    pub dropped: u64,
}

/// What is indexed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IndexStatus {
    /// Infohashes whose metadata is still to be fetched.
    pub queued: u64,
    /// Metadata fetched since the start of the process.
    pub fetched: u64,
    /// Attempts that failed since the start of the process.
    pub failed: u64,
    /// Torrents with music in the catalogue.
    pub torrents: u64,
    pub tracks: u64,
    /// Torrents remembered as having no music.
    pub not_music: u64,
    /// Size of the catalogue on disk.
    pub bytes: u64,
}

/// Whether there is sound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlayState {
    #[default]
    Stopped,
    /// A track is chosen and its beginning is being fetched, or the data ran out.
    Buffering,
    Playing,
    Paused,
}

/// What plays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlayerStatus {
    pub state: PlayState,
    /// In JSON its fields stand beside the others, `track` being the identifier, `null` without one.
    #[serde(flatten, serialize_with = "track_or_null")]
    pub track: Option<TrackInfo>,
    /// What has been heard.
    pub position_s: f64,
    /// 0 if not known yet.
    pub duration_s: f64,
    /// Downloaded and not yet heard, in playing time.
    pub buffered_s: f64,
    /// From the command to the first sample handed to the output, for the last started track.
    pub startup_ms: Option<f64>,
    /// Times the output ran dry since the start of the process.
    pub underruns: u64,
    /// Percent.
    pub volume: u8,
    /// Tracks behind this one.
    pub queued: u32,
    /// What went wrong last with playback, for people. Why a song was skipped stays while the next one plays.
    pub problem: Option<String>,
}

fn track_or_null<S: Serializer>(track: &Option<TrackInfo>, serializer: S) -> Result<S::Ok, S::Error> {
    match track {
        Some(info) => info.serialize(serializer),
        None => {
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_entry("track", &None::<TrackId>)?;
            map.end()
        }
    }
}

/// What lies on the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StorageStatus {
    /// Blocks that the music takes.
    pub used_bytes: u64,
    pub budget_bytes: u64,
    /// Since the start of the process.
    pub evicted_bytes: u64,
}

/// What is given back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SeedingStatus {
    pub torrents: u64,
    /// Since the start of the process.
    pub uploaded_bytes: u64,
    /// Since the start of the process.
    pub downloaded_bytes: u64,
    /// Peers connected now.
    pub peers: u64,
}

/// One line of the jukebox's log that people should see, for example on the status screen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    pub at: UnixTime,
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::InfoHash;

    #[test]
    fn the_status_has_the_documented_shape_with_and_without_a_track() {
        let mut status = Status::default();
        let json = serde_json::to_value(&status).unwrap();
        assert_eq!(json["player"].get("track"), Some(&serde_json::Value::Null));
        for (section, fields) in [
            ("memory", &["rss_bytes"][..]),
            ("dht", &["nodes", "contacts", "datagrams_in", "datagrams_out", "sightings", "infohashes"]),
            ("index", &["queued", "fetched", "failed", "torrents", "tracks", "bytes"]),
            ("player", &["state", "position_s", "duration_s", "buffered_s", "startup_ms", "underruns"]),
            ("storage", &["used_bytes", "budget_bytes", "evicted_bytes"]),
            ("seeding", &["torrents", "uploaded_bytes"]),
        ] {
            for field in fields {
                assert!(json[section].get(field).is_some(), "{section}.{field}");
            }
        }
        let track = TrackId { infohash: InfoHash([7; 20]), file: 3 };
        let text = || "x".to_owned();
        status.player.track =
            Some(TrackInfo { track, title: text(), artist: text(), album: text(), format: text(), bytes: 1 });
        let json = serde_json::to_value(&status).unwrap();
        assert_eq!(json["player"]["track"], track.to_string());
        for status in [Status::default(), status] {
            let json = serde_json::to_string(&status).unwrap();
            assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), status);
        }
    }
}
