//! Artist, album, title and number from the names of files and folders, as people and programs write them.
//!
//! Nothing is certain here: rules are applied in the order of how seldom they are wrong, and what they do not
//! understand stays in the title. The original path is kept elsewhere; these names are for showing and searching.

mod brackets;
mod file;
mod folder;
mod tidy;

use std::collections::HashMap;

use file::{FileName, FolderHints};
use folder::Folder;

/// What the names tell about a song.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrackNames {
    /// Empty if unknown; `Various Artists` on a compilation whose file names do not tell.
    pub artist: String,
    /// Empty if unknown.
    pub album: String,
    /// Never empty.
    pub title: String,
    /// Number on the album or disc.
    pub number: Option<u16>,
    /// 1900 to 2099.
    pub year: Option<u16>,
}

/// Names of the songs of one torrent, in their order. Songs of the same folder explain each other: whether a number
/// in front counts the songs, and whether what stands before the dash is the same for all.
pub fn of_torrent(torrent: &str, single_file: bool, paths: &[&[String]]) -> Vec<TrackNames> {
    let mut by_folder: HashMap<&[String], Vec<usize>> = HashMap::new();
    for (index, path) in paths.iter().enumerate() {
        let folders = path.split_last().map_or(&[][..], |(_, folders)| folders);
        by_folder.entry(folders).or_default().push(index);
    }
    let mut names = vec![TrackNames::default(); paths.len()];
    for (folders, indexes) in by_folder {
        let mut chain: Vec<&str> = if single_file { Vec::new() } else { vec![torrent] };
        chain.extend(folders.iter().map(String::as_str));
        let folder = Folder::of_chain(&chain);
        let stems: Vec<&str> = indexes.iter().map(|index| paths[*index].last().map_or("", |name| stem(name))).collect();
        let hints = FolderHints::gather(&folder, &stems);
        for (index, stem) in indexes.into_iter().zip(stems) {
            names[index] = combine(&folder, FileName::parse(stem, &hints));
        }
    }
    names
}

fn stem(name: &str) -> &str {
    super::music::split_extension(name).0
}

fn combine(folder: &Folder, file: FileName) -> TrackNames {
    let artist = match (file.artist, &folder.artist) {
        (Some(artist), _) => artist,
        (None, Some(artist)) => artist.clone(),
        (None, None) if folder.various => folder::VARIOUS.to_owned(),
        (None, None) => String::new(),
    };
    TrackNames {
        artist,
        album: folder.album.clone().or(file.album).unwrap_or_default(),
        title: file.title,
        number: file.number,
        year: folder.year.or(file.year),
    }
}

#[cfg(test)]
mod tests;
