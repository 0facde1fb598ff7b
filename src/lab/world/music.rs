//! The records of the demo's world: folders of composed music, as people share them.

use std::io;
use std::path::{Path, PathBuf};

use super::compose::compose;
use crate::audio::encode::{self, Pcm, Tags};

/// Hertz of all composed files.
pub(super) const SAMPLE_RATE: u32 = 44_100;

/// About 160 kbit/s.
const VORBIS_QUALITY: f32 = 0.5;

/// Number of the one stream in an Ogg file; fixed, so that a seed always makes the same files.
const OGG_SERIAL: i32 = 1;

/// A folder or file that one torrent is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// What is shared.
    pub path: PathBuf,
    /// Audio files in it; 0 for what is not music.
    pub tracks: usize,
}

impl Release {
    /// The torrent's name.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

#[derive(Debug, Clone, Copy)]
enum Format {
    Flac,
    Ogg,
    Wav,
    Aiff,
}

impl Format {
    fn extension(self) -> &'static str {
        match self {
            Self::Flac => "flac",
            Self::Ogg => "ogg",
            Self::Wav => "wav",
            Self::Aiff => "aiff",
        }
    }
}

struct Album {
    folder: &'static str,
    artist: &'static str,
    album: &'static str,
    format: Format,
    titles: &'static [&'static str],
}

/// Nobody's music: the names are made up.
const ALBUMS: &[Album] = &[
    Album {
        folder: "Mira Holt - Lanterns on the Canal (2019) [FLAC]",
        artist: "Mira Holt",
        album: "Lanterns on the Canal",
        format: Format::Flac,
        titles: &[
            "First Light",
            "Paper Boats",
            "The Lockkeeper",
            "Copper Rain",
            "Lanterns",
            "Slow Barge Home",
            "Winter Mooring",
            "Goodnight, Water",
        ],
    },
    Album {
        folder: "The Tin Orchard - Seven Gates",
        artist: "The Tin Orchard",
        album: "Seven Gates",
        format: Format::Ogg,
        titles: &[
            "Gate of Salt",
            "Gate of Feathers",
            "Gate of Rust",
            "Gate of Milk",
            "Gate of Bells",
            "Gate of Ash",
            "Silverstream",
        ],
    },
    Album {
        folder: "Северный Ветер - Первый снег (2021)",
        artist: "Северный Ветер",
        album: "Первый снег",
        format: Format::Ogg,
        titles: &["Дорога домой", "Первый снег", "Белая река", "Окно", "Тишина", "До весны"],
    },
    Album {
        folder: "灯台 - 夜の海",
        artist: "灯台",
        album: "夜の海",
        format: Format::Aiff,
        titles: &["夜の海", "月の道", "波の音", "朝もや", "さようなら"],
    },
    Album {
        folder: "Okapi_Radio-Transmissions-WEB-FLAC-2022-DEMO",
        artist: "Okapi Radio",
        album: "Transmissions",
        format: Format::Flac,
        titles: &["Shortwave", "Number Station", "Carrier", "Static Garden", "Antenna Song", "Ionosphere", "Sign-Off"],
    },
    Album {
        folder: "Béla Fenyő - Kettős hangverseny",
        artist: "Béla Fenyő",
        album: "Kettős hangverseny",
        format: Format::Wav,
        titles: &["Allegro", "Andante", "Lassú tánc", "Friss"],
    },
    Album {
        folder: "Harbour Nights EP",
        artist: "Dot & the Tugboats",
        album: "Harbour Nights EP",
        format: Format::Ogg,
        titles: &["Harbour Nights", "Foghorn Waltz", "Crane Dance", "Last Ferry", "Breakwater"],
    },
];

/// How long pieces last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lengths {
    /// Seconds of a track.
    pub track_s: f32,
}

/// Composes all records into folders below `root`, and one folder of something that is not music.
///
/// # Errors
/// If a file cannot be written.
pub fn write_releases(root: &Path, seed: u64, lengths: Lengths) -> io::Result<Vec<Release>> {
    let mut releases = Vec::new();
    for (index, album) in ALBUMS.iter().enumerate() {
        let path = root.join(album.folder);
        std::fs::create_dir_all(&path)?;
        for (number, title) in album.titles.iter().enumerate() {
            let seed = seed ^ ((index as u64) << 32 | number as u64);
            // Pieces of one record differ in length, as songs do.
            let seconds = lengths.track_s * (1.0 + 0.1 * (number % 4) as f32);
            let file = path.join(format!("{:02} - {title}.{}", number + 1, album.format.extension()));
            let tags = Tags {
                title: (*title).to_owned(),
                artist: album.artist.to_owned(),
                album: album.album.to_owned(),
                number: u16::try_from(number + 1).ok(),
            };
            write_piece(&file, album.format, &compose(seed, seconds, SAMPLE_RATE), &tags)?;
        }
        releases.push(Release { path, tracks: album.titles.len() });
    }
    releases.push(Release { path: write_field_guide(root, "A Field Guide to Mosses")?, tracks: 0 });
    Ok(releases)
}

fn write_piece(path: &Path, format: Format, piece: &Pcm, tags: &Tags) -> io::Result<()> {
    let bytes = match format {
        Format::Flac => encode::flac(piece, tags),
        Format::Ogg => encode::vorbis(piece, tags, VORBIS_QUALITY, OGG_SERIAL),
        Format::Wav => encode::wav(piece, tags),
        Format::Aiff => encode::aiff(piece, tags),
    };
    std::fs::write(path, bytes.map_err(io::Error::other)?)
}

/// Something that is shared and is not music: a text with pictures.
pub(super) fn write_field_guide(root: &Path, name: &str) -> io::Result<PathBuf> {
    let path = root.join(name);
    std::fs::create_dir_all(&path)?;
    let text = "Look for it where water stays and the sun does not.\n".repeat(2000);
    std::fs::write(path.join("guide.txt"), &text)?;
    std::fs::write(path.join("plates.pdf"), text.as_bytes())?;
    Ok(path)
}

/// The audio files below `folder`, one release for each folder in it that holds any (its own files one release each).
///
/// # Errors
/// If the folder cannot be read.
pub fn releases_of(folder: &Path) -> io::Result<Vec<Release>> {
    let mut releases = Vec::new();
    let mut entries = std::fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let tracks = count_tracks(&entry.path(), MAX_DEPTH)?;
        if tracks > 0 {
            releases.push(Release { path: entry.path(), tracks });
        }
    }
    Ok(releases)
}

/// Folders within folders that are looked into.
const MAX_DEPTH: u32 = 8;

fn count_tracks(path: &Path, depth: u32) -> io::Result<usize> {
    if !path.is_dir() {
        let is_audio = path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| crate::metadata::music::is_audio(name).is_some());
        return Ok(usize::from(is_audio));
    }
    if depth == 0 {
        return Ok(0);
    }
    let mut tracks = 0;
    for entry in std::fs::read_dir(path)? {
        tracks += count_tracks(&entry?.path(), depth - 1)?;
    }
    Ok(tracks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_world_is_as_large_as_promised() {
        let tracks: usize = ALBUMS.iter().map(|album| album.titles.len()).sum();
        assert!(ALBUMS.len() >= 6 && tracks >= 40, "{} albums, {tracks} tracks", ALBUMS.len());
    }

    #[test]
    fn folders_of_music_are_found_and_others_are_not() {
        let root = tempfile::tempdir().unwrap();
        let releases = write_releases(root.path(), 1, Lengths { track_s: 0.1 }).unwrap();
        assert_eq!(releases.len(), ALBUMS.len() + 1);
        let found = releases_of(root.path()).unwrap();
        assert_eq!(found.len(), ALBUMS.len());
        assert_eq!(
            found.iter().map(|release| release.tracks).sum::<usize>(),
            releases.iter().map(|release| release.tracks).sum::<usize>()
        );
    }
}
