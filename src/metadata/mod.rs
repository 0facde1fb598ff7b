//! From an infohash to named tracks.
//!
//! ```text
//! infohash + peers ─▶ fetch (BEP 10, BEP 9) ─▶ info ─▶ music? ─▶ names ─▶ tracks
//!                        exchange: one peer,              │
//!                        no socket, no clock              └─▶ remembered as not music
//! ```
//!
//! [`Indexer`] does this with a bounded pool of workers for what a [`JobSource`] hands out; [`schedule`] says when a
//! failure is tried again. Links and files that people bring are read by [`magnet`] and [`torrent`].

pub mod exchange;
pub mod fetch;
pub mod indexer;
pub mod info;
pub mod magnet;
pub mod music;
pub mod names;
#[cfg(test)]
mod samples;
pub mod schedule;
pub mod text;
pub mod torrent;
pub mod tracks;

pub use fetch::{FetchError, FetchLimits, FetchedInfo, Flows, fetch};
pub use indexer::{Indexer, IndexerConfig, IndexerStats, Job, JobSource, Outcome, PeerSource};
pub use info::{FileEntry, InfoError, TorrentInfo};
pub use magnet::{Magnet, MagnetError};
pub use music::Format;
pub use torrent::{Torrent, TorrentError};
pub use tracks::{TrackRecord, track_records};
