//! New records without end, for worlds in which torrents keep appearing.

use std::io;
use std::path::{Path, PathBuf};

use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use super::compose::compose;
use super::music::{Release, SAMPLE_RATE, write_field_guide};
use crate::audio::encode::{self, Tags};

/// Different pieces; the records are made of them under ever new names.
const PIECES: usize = 6;

/// Songs of a record.
const SONGS: usize = 4;

/// Of so many releases one is not music.
const NOT_MUSIC_EVERY: usize = 4;

/// Words of names.
const WORDS: [&str; 32] = [
    "Amber", "Anchor", "Barley", "Bramble", "Candle", "Cedar", "Copper", "Dapple", "Ember", "Fennel", "Garland",
    "Hollow", "Indigo", "Juniper", "Kestrel", "Lantern", "Marble", "Nettle", "Orchard", "Pewter", "Quarry", "Russet",
    "Saffron", "Thistle", "Umber", "Velvet", "Willow", "Yarrow", "Zephyr", "Meadow", "Harbour", "Thunder",
];

/// Makes folders of FLAC files, and now and then one of something that is not music.
#[derive(Debug)]
pub struct Press {
    root: PathBuf,
    pieces: Vec<PathBuf>,
    rng: ChaCha8Rng,
    made: usize,
}

impl Press {
    /// Composes the pieces into `root`; each lasts `piece_s` seconds.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn new(root: &Path, seed: u64, piece_s: f32) -> io::Result<Self> {
        std::fs::create_dir_all(root)?;
        let mut pieces = Vec::with_capacity(PIECES);
        for index in 0..PIECES {
            let path = root.join(format!("piece-{index}.flac"));
            let tags = Tags { title: format!("Piece {index}"), ..Tags::default() };
            let piece = compose(seed ^ (0x9e37 + index as u64), piece_s, SAMPLE_RATE);
            std::fs::write(&path, encode::flac(&piece, &tags).map_err(io::Error::other)?)?;
            pieces.push(path);
        }
        Ok(Self { root: root.to_owned(), pieces, rng: ChaCha8Rng::seed_from_u64(seed), made: 0 })
    }

    /// The next release. No two have the same name, so each is a torrent of its own.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn press(&mut self) -> io::Result<Release> {
        self.made += 1;
        let number = self.made;
        if number.is_multiple_of(NOT_MUSIC_EVERY) {
            let name = format!("A Field Guide to {}s, {number}", self.word());
            let path = write_field_guide(&self.root, &name)?;
            return Ok(Release { path, tracks: 0 });
        }
        let (artist, album) = (format!("{} {}", self.word(), self.word()), self.word());
        let path = self.root.join(format!("{artist} - {album} {number} (2024) [FLAC]"));
        std::fs::create_dir_all(&path)?;
        for song in 1..=SONGS {
            let to = path.join(format!("{song:02} - {} {}.flac", self.word(), self.word()));
            let piece = &self.pieces[self.rng.random_range(0..self.pieces.len())];
            // Links where the file system has them: a long run would fill the disk with copies.
            std::fs::hard_link(piece, &to).or_else(|_| std::fs::copy(piece, &to).map(|_| ()))?;
        }
        Ok(Release { path, tracks: SONGS })
    }

    fn word(&mut self) -> &'static str {
        WORDS.choose(&mut self.rng).expect("there are words")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_new_each_time_and_the_same_for_a_seed() {
        let names = |seed: u64| -> Vec<(String, usize)> {
            let root = tempfile::tempdir().unwrap();
            let mut press = Press::new(root.path(), seed, 0.1).unwrap();
            let releases: Vec<Release> = (0..12).map(|_| press.press().unwrap()).collect();
            assert!(releases.iter().all(|release| release.path.read_dir().unwrap().count() > 0));
            releases
                .iter()
                .map(|release| (release.path.file_name().unwrap().to_string_lossy().into_owned(), release.tracks))
                .collect()
        };
        let made = names(3);
        assert_eq!(made, names(3));
        assert_ne!(made, names(4));
        let different: std::collections::HashSet<_> = made.iter().map(|(name, _)| name).collect();
        assert_eq!(different.len(), 12);
        assert_eq!(made.iter().filter(|(_, tracks)| *tracks == 0).count(), 3);
    }
}
