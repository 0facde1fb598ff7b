//! Is it music? Decided by names and sizes of the files alone.
//!
//! - Only formats that the jukebox can play count; an album in APE or WMA is not music *here*.
//! - Sound that belongs to a video (same name before the extension, or in a `sample` folder) does not count.
//! - Torrents that are mostly something else are not music: audio must be a tenth of the bytes of audio, video and
//!   programs together, or else there must be an album's worth of songs and no program (soundtrack beside a film).

use serde::{Deserialize, Serialize};

use super::info::{FileEntry, TorrentInfo};

/// Smaller audio files are sound effects or placeholders, not songs: half a second at 128 kbit/s.
const MIN_TRACK_BYTES: u64 = 8 << 10;

/// Audio of this size is a song of at least half a minute at 128 kbit/s, not a jingle.
const SONG_BYTES: u64 = 512 << 10;

/// Songs beside a video that make it a soundtrack.
const SOUNDTRACK_SONGS: usize = 4;

/// Audio must be one of this many parts of audio, video and programs.
const MIN_AUDIO_SHARE: u64 = 10;

/// An audio format that the jukebox plays, told by the file's extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Mp3,
    Flac,
    /// Ogg Vorbis (`.ogg`, `.oga`); Opus and FLAC in Ogg hide behind it too.
    Ogg,
    Opus,
    Wav,
    Aiff,
    /// AAC or ALAC in MP4.
    M4a,
    /// AAC in ADTS frames.
    Aac,
}

impl Format {
    /// The usual extension, in lower case.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Mp3 => "mp3",
            Self::Flac => "flac",
            Self::Ogg => "ogg",
            Self::Opus => "opus",
            Self::Wav => "wav",
            Self::Aiff => "aiff",
            Self::M4a => "m4a",
            Self::Aac => "aac",
        }
    }
}

/// Splits a file name into stem and extension, in lower case and without the dot; hidden files have none.
pub(super) fn split_extension(name: &str) -> (&str, String) {
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => (stem, extension.to_ascii_lowercase()),
        _ => (name, String::new()),
    }
}

/// The format of a file by its name; none if it is not audio that the jukebox plays.
pub fn is_audio(name: &str) -> Option<Format> {
    // What macOS leaves beside every file on foreign disks.
    if name.starts_with("._") {
        return None;
    }
    Some(match split_extension(name).1.as_str() {
        "mp3" => Format::Mp3,
        "flac" => Format::Flac,
        "ogg" | "oga" => Format::Ogg,
        "opus" => Format::Opus,
        "wav" | "wave" => Format::Wav,
        "aif" | "aiff" => Format::Aiff,
        "m4a" => Format::M4a,
        "aac" => Format::Aac,
        _ => return None,
    })
}

fn is_video(extension: &str) -> bool {
    matches!(
        extension,
        "mkv"
            | "mp4"
            | "avi"
            | "m4v"
            | "mov"
            | "wmv"
            | "webm"
            | "ts"
            | "m2ts"
            | "mts"
            | "vob"
            | "mpg"
            | "mpeg"
            | "flv"
            | "ogv"
            | "rmvb"
            | "divx"
            | "3gp"
    )
}

fn is_program(extension: &str) -> bool {
    matches!(
        extension,
        "exe"
            | "dll"
            | "msi"
            | "apk"
            | "ipa"
            | "dmg"
            | "pkg"
            | "deb"
            | "rpm"
            | "appimage"
            | "so"
            | "dylib"
            | "jar"
            | "pak"
            | "vpk"
            | "bsa"
            | "uasset"
            | "wad"
            | "xp3"
            | "rpf"
            | "nsp"
            | "xci"
            | "nro"
    )
}

/// The files of a torrent that are songs, with their index and format; empty if the torrent is not music.
pub fn tracks(info: &TorrentInfo) -> Vec<(u32, Format)> {
    let (mut video_stems, mut foreign_bytes, mut programs) = (Vec::new(), 0, false);
    for file in info.files.iter().filter(|file| !file.padding) {
        let (stem, extension) = split_extension(file.path.last().map_or("", String::as_str));
        if is_video(&extension) {
            video_stems.push(stem.to_lowercase());
            foreign_bytes += file.length;
        } else if is_program(&extension) {
            programs = true;
            foreign_bytes += file.length;
        }
    }
    video_stems.sort_unstable();
    let songs: Vec<_> = (0_u32..)
        .zip(&info.files)
        .filter(|(_, file)| !file.padding && file.length >= MIN_TRACK_BYTES)
        .filter_map(|(index, file)| Some((index, file, is_audio(file.path.last()?)?)))
        .filter(|(_, file, _)| video_stems.is_empty() || !belongs_to_video(file, &video_stems))
        .collect();
    let audio_bytes: u64 = songs.iter().map(|(_, file, _)| file.length).sum();
    let enough_bytes = audio_bytes >= (audio_bytes + foreign_bytes) / MIN_AUDIO_SHARE;
    let full_songs = songs.iter().filter(|(_, file, _)| file.length >= SONG_BYTES).count();
    if enough_bytes || (!programs && full_songs >= SOUNDTRACK_SONGS) {
        songs.into_iter().map(|(index, _, format)| (index, format)).collect()
    } else {
        Vec::new()
    }
}

/// `film.mkv` with `film.mp3` or `film.eng.mp3` (a dubbed sound track), or a sample. `video_stems` are sorted.
fn belongs_to_video(file: &FileEntry, video_stems: &[String]) -> bool {
    if file.path.iter().any(|part| matches!(part.to_lowercase().as_str(), "sample" | "samples")) {
        return true;
    }
    let name = file.path.last().map_or(String::new(), |name| name.to_lowercase());
    // Every prefix that ends before a dot, shortest first: few, as names are short.
    name.match_indices('.').any(|(dot, _)| video_stems.binary_search_by(|stem| stem.as_str().cmp(&name[..dot])).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::samples::InfoBuilder;

    const MB: i64 = 1 << 20;

    fn indexes(builder: InfoBuilder) -> Vec<u32> {
        let info = TorrentInfo::parse(&builder.piece_length(16 * MB).build()).unwrap();
        tracks(&info).into_iter().map(|(index, _)| index).collect()
    }

    #[test]
    fn formats_are_told_by_extension() {
        for (name, format) in [
            ("a.mp3", Some(Format::Mp3)),
            ("A.FLAC", Some(Format::Flac)),
            ("песня.oga", Some(Format::Ogg)),
            ("a.b.m4a", Some(Format::M4a)),
            ("a.aif", Some(Format::Aiff)),
            ("._a.mp3", None),
            (".mp3", None),
            ("mp3", None),
            ("a.mp3.exe", None),
            ("a.ape", None),
            ("a.m4b", None),
            ("a.", None),
        ] {
            assert_eq!(is_audio(name), format, "{name}");
        }
    }

    #[test]
    fn an_album_is_music() {
        let album = InfoBuilder::new("Album")
            .file("cover.jpg", MB)
            .file("01.flac", 30 * MB)
            .padding(2 * MB)
            .file("02.flac", 20 * MB)
            .file("sfx.wav", 1000)
            .file("rip.log", 5000);
        assert_eq!(indexes(album), [1, 3]);
    }

    #[test]
    fn video_is_not_music() {
        let film = InfoBuilder::new("Film").file("film.mkv", 4000 * MB).file("theme.mp3", 5 * MB);
        assert_eq!(indexes(film), [] as [u32; 0]);
        let dubbed = InfoBuilder::new("Series").file("E01.mkv", 90 * MB).file("dub/E01.rus.mp3", 30 * MB);
        assert_eq!(indexes(dubbed), [] as [u32; 0]);
        let sampled = InfoBuilder::new("Clips").file("clip.mkv", 10 * MB).file("Sample/clip-sample.mp3", 5 * MB);
        assert_eq!(indexes(sampled), [] as [u32; 0]);
    }

    #[test]
    fn music_with_a_video_is_music() {
        let single = InfoBuilder::new("Single").file("clip.mp4", 60 * MB).file("song.mp3", 8 * MB);
        assert_eq!(indexes(single), [1]);
        let mut soundtrack = InfoBuilder::new("Film + OST").file("film.mkv", 9000 * MB);
        for song in 1..=4 {
            soundtrack = soundtrack.file(&format!("OST/{song}.flac"), 25 * MB);
        }
        assert_eq!(indexes(soundtrack), [1, 2, 3, 4]);
    }

    #[test]
    fn a_game_with_sounds_is_not_music() {
        let mut game = InfoBuilder::new("Game").file("game.exe", 500 * MB).file("data.pak", 9000 * MB);
        for sound in 0..200 {
            game = game.file(&format!("sounds/{sound}.ogg"), 2 * MB);
        }
        assert_eq!(indexes(game), [] as [u32; 0]);
    }

    #[test]
    fn other_things_are_not_music() {
        for builder in [
            InfoBuilder::new("linux.iso").file("", 700 * MB),
            InfoBuilder::new("Book").file("book.epub", MB).file("book.pdf", MB),
            InfoBuilder::new("Album in APE").file("album.ape", 400 * MB).file("album.cue", 1000),
            InfoBuilder::new("empty.mp3").file("", 1),
        ] {
            assert_eq!(indexes(builder), [] as [u32; 0]);
        }
    }
}
