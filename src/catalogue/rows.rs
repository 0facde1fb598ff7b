//! What goes into the catalogue and what comes out of it.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::types::{Bytes, InfoHash, TrackId, UnixTime};

/// How to open a catalogue.
#[derive(Debug, Clone, Copy)]
pub struct CatalogueOptions {
    /// Bound of everything that the catalogue keeps on disk.
    pub budget: Bytes,
    /// Keep the bytes of `.torrent` files: a faster start of a song against space.
    pub keep_torrents: bool,
}

/// What was found when the catalogue was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opening {
    /// There was no catalogue before, or it had to be set aside.
    pub created: bool,
    /// Version that the file had before its migrations, where any ran.
    pub migrated_from: Option<i64>,
    /// Why the file found was given up, as a sentence for the person, and where it is now.
    pub set_aside: Option<SetAside>,
}

/// A damaged catalogue that was moved out of the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    pub path: PathBuf,
    /// What SQLite said.
    pub reason: String,
    /// Settings and stored files that could be read from it and were taken over.
    pub rescued: usize,
}

impl std::fmt::Display for SetAside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { path, reason, rescued } = self;
        write!(
            f,
            "the catalogue was damaged ({reason}) and lies now in {}; a new one was begun with {rescued} entries rescued. \
             Music on disk stays; delete the file if you do not want to examine it",
            path.display()
        )
    }
}

/// One observation of an infohash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SightingRow {
    pub infohash: InfoHash,
    /// TCP address of a peer that has or wants the torrent, where known.
    pub peer: Option<SocketAddr>,
    pub at: UnixTime,
    /// An announce with a valid token, which weighs more than a question.
    pub announce: bool,
}

/// An infohash whose metadata should be fetched next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueRow {
    pub infohash: InfoHash,
    pub sightings: u64,
    pub first_seen: UnixTime,
    pub last_seen: UnixTime,
    /// Fetches that failed so far.
    pub attempts: u32,
    /// Peers known, latest first.
    pub peers: Vec<SocketAddr>,
}

/// A torrent with music.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TorrentRow {
    pub infohash: InfoHash,
    pub name: String,
    /// Bytes of the `.torrent` file; kept only where `keep_torrents` says so.
    pub torrent: Option<Vec<u8>>,
    /// Size of all files.
    pub bytes: u64,
    /// Bytes a piece.
    pub piece_length: u32,
    /// Number of files, music or not.
    pub files: u32,
    /// BEP 27.
    pub private: bool,
    pub added: UnixTime,
}

/// One audio file of a torrent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrackRow {
    /// Index in the torrent's list of files.
    pub file: u32,
    /// Path within the torrent, the torrent's name first, joined with `/`.
    pub path: String,
    pub title: String,
    pub artist: String,
    pub album: String,
    /// Number on the album.
    pub number: Option<u16>,
    /// Lower-case file extension.
    pub format: String,
    /// Size of the file.
    pub bytes: u64,
}

/// A track with what is known of its torrent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackFound {
    pub id: TrackId,
    pub row: TrackRow,
    /// When the torrent came into the catalogue.
    pub added: UnixTime,
    /// Distinct peers in the torrent's list of the latest [`MAX_PEERS`](super::MAX_PEERS).
    pub seeders: u32,
}

/// A file of a torrent that lies on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRow {
    pub track: TrackId,
    pub bytes: u64,
    pub added: UnixTime,
    pub last_played: UnixTime,
    /// Folder or file that was shared from where it lies, and is not the jukebox's own.
    pub shared: Option<PathBuf>,
}

/// How much is in the catalogue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CatalogueCounts {
    /// Distinct infohashes remembered.
    pub infohashes: u64,
    /// Of these, how many wait for their metadata, retries included.
    pub queued: u64,
    /// Torrents with music.
    pub torrents: u64,
    pub tracks: u64,
    /// Torrents remembered as having no music.
    pub not_music: u64,
    /// What the database, its log and what [`Catalogue::leave_room`](super::Catalogue::leave_room) was told of take on disk.
    pub bytes: u64,
}
