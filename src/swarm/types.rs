//! What goes in and out of the swarm.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::error::SwarmError;
use super::metainfo::Metainfo;
use crate::types::{InfoHash, Rate, TrackId};

/// How the swarm is set up.
#[derive(Debug, Clone)]
pub struct SwarmConfig {
    /// Folder of the downloads: `<infohash>/<index>-<name>`, and records in `.swarm`.
    pub music: PathBuf,
    /// TCP address for peers. Port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Upload to all peers together; at least [`super::MIN_UPLOAD`]. None: no limit.
    pub upload: Option<Rate>,
    /// Connected peers of all torrents together; [`super::peers_for`] says how many a board bears.
    pub max_peers: u32,
    /// Also talk to loopback and private addresses: labs and LANs.
    pub private_scope: bool,
    /// How long a read waits while nothing arrives. None: 30 s.
    pub stall_time: Option<Duration>,
}

/// Where to get a torrent.
#[derive(Debug, Clone)]
pub struct Source {
    pub infohash: InfoHash,
    /// `.torrent` file or info dictionary. Not needed for a torrent that is in the session.
    pub torrent: Option<Bytes>,
    /// Peers that may have it; those out of scope are left out.
    pub peers: Vec<SocketAddr>,
}

/// A torrent to go on with after a restart.
#[derive(Debug, Clone)]
pub struct Restore {
    /// `.torrent` file or info dictionary.
    pub torrent: Bytes,
    /// Files that are kept. Those that are incomplete are not fetched until they are opened.
    pub files: Vec<u32>,
    /// Set for what was shared: the path given to [`super::Swarm::share`].
    pub share: Option<PathBuf>,
}

/// What came of a restore.
#[derive(Debug, Clone, Default)]
pub struct Restored {
    /// Torrents seeded again.
    pub torrents: u32,
    /// Kept files that are not (or no longer) whole.
    pub incomplete: Vec<TrackId>,
    /// Torrents that could not be taken up, and why.
    pub failed: Vec<(InfoHash, SwarmError)>,
}

/// A torrent made by [`super::Swarm::share`].
#[derive(Debug, Clone)]
pub struct Shared {
    pub infohash: InfoHash,
    /// The `.torrent`, to be kept for [`Restore`].
    pub torrent: Bytes,
    pub meta: Arc<Metainfo>,
}

/// What a file takes on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnDisk {
    pub track: TrackId,
    /// Allocated blocks in bytes. A file that nobody wanted has some too if it shares a piece with a wanted one.
    pub bytes: u64,
}

/// Numbers for people. Counters are since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SwarmStats {
    pub torrents: u64,
    /// Connected peers.
    pub peers: u64,
    pub uploaded_bytes: u64,
    pub downloaded_bytes: u64,
    /// Pieces that arrived with a wrong hash; the peers that sent them were disconnected.
    pub corrupt_pieces: u64,
    /// Torrents that stopped with an error (disk full, for example); opening one of their files tries again.
    pub failed_torrents: u64,
}
