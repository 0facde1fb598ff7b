//! `.torrent` files (BEP 3): read when somebody adds one, written to keep metadata for a faster start.

use bytes::Bytes;

use super::info::{InfoError, LIMITS, MAX_INFO_BYTES, TorrentInfo};
use crate::bencode::{self, BencodeError};

/// Largest `.torrent` file that is taken: its info dictionary and as much again for trackers, comments and v2 layers.
pub const MAX_TORRENT_BYTES: usize = 2 * MAX_INFO_BYTES;

/// Why bytes are not a `.torrent` file that this jukebox can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TorrentError {
    /// More than [`MAX_TORRENT_BYTES`].
    #[error("the file has {0} bytes, which no .torrent file of music has; check that it is the right file")]
    TooLarge(usize),
    /// The bytes are not bencode.
    #[error("this is not a .torrent file: it {0}; check that it is the right file and complete")]
    Bencode(#[from] BencodeError),
    /// Bencode, but there is no info dictionary in it.
    #[error("this is not a .torrent file: it has no info dictionary; check that it is the right file")]
    NoInfo,
    /// The info dictionary is unusable.
    #[error(transparent)]
    Info(#[from] InfoError),
}

/// What is taken from a `.torrent` file. Its trackers are not: peers come from the DHT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torrent {
    /// The info dictionary, read.
    pub info: TorrentInfo,
    /// The info dictionary as written; its SHA-1 is the infohash. Shares the memory of the file.
    pub info_bytes: Bytes,
}

/// Reads a `.torrent` file.
pub fn parse(file: &Bytes) -> Result<Torrent, TorrentError> {
    if file.len() > MAX_TORRENT_BYTES {
        return Err(TorrentError::TooLarge(file.len()));
    }
    // What follows the dictionary is ignored, as other clients do: some sites append a newline.
    let (torrent, _) = bencode::parse_prefix(file, LIMITS)?;
    let info = torrent.get(b"info").filter(|info| info.dict().is_some()).ok_or(TorrentError::NoInfo)?;
    let raw = info.raw();
    Ok(Torrent { info: TorrentInfo::parse(raw)?, info_bytes: file.slice_ref(raw) })
}

/// The smallest `.torrent` file with this info dictionary.
pub fn build(info_bytes: &[u8]) -> Vec<u8> {
    [b"d4:info", info_bytes, b"e"].concat()
}
