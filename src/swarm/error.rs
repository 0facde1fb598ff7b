//! What can go wrong between a person and a song, in sentences.

use std::path::PathBuf;
use std::time::Duration;

use crate::types::InfoHash;

/// Why the swarm could not do what was asked; the text says what to do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SwarmError {
    /// The session could not be started.
    #[error("cannot start BitTorrent on {listen}: {reason}; is another program using the port? Change [dht] listen")]
    Start { listen: std::net::SocketAddr, reason: String },
    /// The kernel has no IPv6, and librqbit opens a socket of it whatever is used later.
    #[error(
        "cannot start BitTorrent: this kernel runs without IPv6, whose sockets are needed even if all traffic is IPv4; take \
         ipv6.disable=1 out of the kernel's command line (on a Raspberry Pi: cmdline.txt) or load the module ipv6. To go \
         without IPv6 addresses, set net.ipv6.conf.all.disable_ipv6=1 instead"
    )]
    NoIpv6,
    /// Bytes are not a torrent, or not one that is safe to handle.
    #[error("this is not a usable torrent: {0}")]
    Metainfo(String),
    /// BEP 27: only its own tracker may name peers of a private torrent.
    #[error("the torrent is private: only its own tracker may name peers, and Silverstream uses none")]
    Private,
    /// The torrent is not in the session and its metadata was not given.
    #[error("the metadata of {0} is not known yet; wait until it was fetched or add the .torrent file")]
    NoMetadata(InfoHash),
    /// There is no such file.
    #[error("torrent {infohash} has no file {file}; search again")]
    NoSuchFile { infohash: InfoHash, file: u32 },
    /// There is no such torrent here.
    #[error("torrent {0} is not on this jukebox")]
    NoSuchTorrent(InfoHash),
    /// A bound on what is open is reached.
    #[error("{limit} songs are being read already; close one first")]
    TooManyStreams { limit: usize },
    /// A bound on torrents is reached.
    #[error("{limit} torrents are being seeded already; remove one or let some be evicted")]
    TooManyTorrents { limit: usize },
    /// The file is being read.
    #[error("file {file} of {infohash} is being played; stop it first")]
    InUse { infohash: InfoHash, file: u32 },
    /// It was evicted in the moment in which it was wanted.
    #[error("{0} was just deleted to make room; choose it again")]
    Retired(InfoHash),
    /// The files belong to a person.
    #[error("{0} is shared from a folder of yours; `unshare` it instead")]
    Shared(InfoHash),
    /// The disk is full.
    #[error("the disk with {path} is full; free some space or lower [storage] budget")]
    DiskFull { path: PathBuf },
    /// A file could not be read or written.
    #[error("cannot access {path}: {reason}")]
    File { path: PathBuf, reason: String },
    /// A shared file is not what it was.
    #[error("{path} was changed or moved since it was shared; `unshare` it and share it again")]
    ShareChanged { path: PathBuf },
    /// A path cannot be shared as it is.
    #[error("cannot share {path}: {reason}")]
    Share { path: PathBuf, reason: String },
    /// A download of the same files is open.
    #[error("{name:?} is being played as a download of the same files; stop it, then share it again")]
    SharePlays { name: String },
    /// The data did not come.
    #[error("no data for {waited:?} from {peers} connected peers{hint}; try again later or another source", hint = corrupt_hint(*.corrupt))]
    Stalled {
        waited: Duration,
        peers: u32,
        /// Pieces that arrived with a wrong hash while waiting.
        corrupt: u64,
    },
    /// The reader was cancelled.
    #[error("reading was cancelled")]
    Cancelled,
    /// The session refused.
    #[error("BitTorrent: {0}")]
    Session(String),
}

fn corrupt_hint(corrupt: u64) -> String {
    if corrupt == 0 { String::new() } else { format!(" ({corrupt} pieces came damaged)") }
}

impl SwarmError {
    pub(super) fn session(error: impl std::fmt::Display) -> Self {
        Self::Session(format!("{error:#}"))
    }

    pub(super) fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        if is_disk_full(error) {
            Self::DiskFull { path: path.to_owned() }
        } else {
            Self::File { path: path.to_owned(), reason: error.to_string() }
        }
    }
}

/// No room on the device, or none within the user's quota.
pub(super) fn is_disk_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

impl From<SwarmError> for std::io::Error {
    fn from(error: SwarmError) -> Self {
        use std::io::ErrorKind;
        let kind = match &error {
            SwarmError::Stalled { .. } => ErrorKind::TimedOut,
            // Not `Interrupted`: `read_exact` and decoders retry that for ever.
            SwarmError::Cancelled => ErrorKind::ConnectionAborted,
            SwarmError::DiskFull { .. } => ErrorKind::StorageFull,
            SwarmError::NoSuchTorrent(_) | SwarmError::NoSuchFile { .. } => ErrorKind::NotFound,
            _ => ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
