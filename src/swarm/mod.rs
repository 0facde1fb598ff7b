//! Streaming and seeding through BitTorrent; the only room that names librqbit's session.
//!
//! A chosen file of a torrent is fetched and read at the same time: its pieces and those it shares with its
//! neighbours, nothing else. What is complete is seeded until it is evicted. Peers come from the jukebox's own DHT nodes
//! through [`Swarm::add_peers`]; librqbit's own DHT, trackers, local discovery and port mapping are off.
//!
//! - [`metainfo`]: `.torrent` files and magnet links, checked.
//! - `handle`, `keeping`: what other rooms call.
//! - `host`: the session and its bounds. `torrent`: one torrent and its lives in the session.
//! - `store`, `cache`, `disk`, `record`: files on the disk, what they take, and what is known of them after a restart.
//! - `stream`: the blocking reader for the decoder. `feeder`: how a live torrent gets peers, and why so.
//! - `supervisor`: one task that writes down what is complete, calls for peers and notices failures.
//! - `resting`: the bound on the connections of all torrents together.
//!
//! # Memory
//! librqbit spends about 60 KiB on a connected peer. Up to 24 peers connect to a torrent, and to all together as many as
//! the board bears (a moment more: it is looked at twice a second). There is one supervisor
//! task, one task for each open stream while its file is incomplete, and no thread of our own: disk accesses run on the
//! runtime's blocking threads, 4 at a time plus 2 hashing.

mod cache;
mod disk;
mod error;
mod feeder;
mod handle;
mod host;
mod keeping;
pub mod metainfo;
mod pieces;
mod record;
mod resting;
mod scope;
mod share;
mod store;
mod stream;
mod supervisor;
mod torrent;
mod trackers;
mod types;

#[cfg(test)]
mod tests;

pub use error::SwarmError;
pub use handle::Swarm;
pub use metainfo::Metainfo;
pub use resting::peers_for;
pub use stream::{FetchProgress, TrackReader, TrackStream};
pub use types::{OnDisk, Restore, Restored, Shared, Source, SwarmConfig, SwarmStats};

/// Files that are open at a time: what plays, what comes next, and a margin for changing songs.
pub const MAX_OPEN_STREAMS: usize = 6;
/// Torrents in the session; each costs some tens of KiB even when nobody asks for it.
pub const MAX_TORRENTS: usize = 1024;
/// Slowest upload in bytes a second: librqbit's limiter needs room for one block of 16 KiB at once.
pub const MIN_UPLOAD: u64 = 32 << 10;
