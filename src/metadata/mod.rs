//! From an infohash to named tracks.

pub mod bencode;
pub mod info;
pub mod magnet;
#[cfg(test)]
mod samples;
pub mod text;
pub mod torrent;

pub use info::{FileEntry, InfoError, TorrentInfo};
pub use magnet::{Magnet, MagnetError};
pub use torrent::{Torrent, TorrentError};
