//! What the catalogue stores of each song of a torrent.

use super::info::TorrentInfo;
use super::music::{self, Format};
use super::names;

/// One song of a torrent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackRecord {
    /// Index of the file in the torrent.
    pub file: u32,
    /// Path within the torrent, the torrent's name first, joined with `/`.
    pub path: String,
    pub title: String,
    /// Empty if the names do not tell.
    pub artist: String,
    /// Empty if the names do not tell.
    pub album: String,
    /// Number on the album or disc.
    pub number: Option<u16>,
    pub year: Option<u16>,
    pub format: Format,
    /// Size of the file.
    pub bytes: u64,
}

/// The songs of a torrent with cleaned names, in the order of the files; empty if it is not music.
pub fn track_records(info: &TorrentInfo) -> Vec<TrackRecord> {
    let songs = music::tracks(info);
    let paths: Vec<&[String]> = songs.iter().map(|(file, _)| info.files[*file as usize].path.as_slice()).collect();
    let names = names::of_torrent(&info.name, info.single_file, &paths);
    let record = |((file, format), names): ((u32, Format), names::TrackNames)| {
        Some(TrackRecord {
            file,
            path: info.path_of(file)?,
            title: names.title,
            artist: names.artist,
            album: names.album,
            number: names.number,
            year: names.year,
            format,
            bytes: info.files.get(file as usize)?.length,
        })
    };
    songs.into_iter().zip(names).filter_map(record).collect()
}
