//! Everything that is read from the catalogue, over a connection of its own.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Row};

use super::block;
use super::dial::{self, Dialled};
use super::error::{CatalogueError, Result};
use super::rows::{StoredRow, TorrentRow, TrackFound, TrackRow};
use super::store::uint;
use super::{open, peers};
use crate::types::{InfoHash, TrackId, UnixTime};

/// The number of a track within the catalogue: that of its torrent, then that of its file. Larger ones are younger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackKey(pub(super) i64);

impl TrackKey {
    const FILE_BITS: u32 = 20;
    /// File indexes are below this.
    pub(super) const FILES: u32 = 1 << Self::FILE_BITS;

    pub(super) fn new(torrent: i64, file: u32) -> Self {
        Self(torrent << Self::FILE_BITS | i64::from(file))
    }

    /// The number of the torrent within the catalogue.
    pub fn torrent(self) -> i64 {
        self.0 >> Self::FILE_BITS
    }

    fn file(self) -> u32 {
        (self.0 & i64::from(Self::FILES - 1)) as u32
    }

    /// First and last number that a track of a torrent can have.
    pub(super) fn range(torrent: i64) -> (Self, Self) {
        (Self::new(torrent, 0), Self::new(torrent, Self::FILES - 1))
    }
}

/// A word of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// Folded.
    pub word: String,
    /// Longer words that begin with it match too.
    pub prefix: bool,
}

/// What ranking needs of a torrent.
#[derive(Debug, Clone, Copy)]
pub struct TorrentFacts {
    pub infohash: InfoHash,
    pub added: UnixTime,
    pub seeders: u32,
}

fn damaged(what: &str) -> CatalogueError {
    CatalogueError::Damaged(what.to_owned())
}

/// The block that holds a track: its first number, and its tracks.
fn load_block(db: &Connection, key: TrackKey) -> Result<Option<(TrackKey, Vec<TrackRow>)>> {
    let mut select = db.prepare_cached(
        "SELECT first, tracks FROM track_block WHERE first BETWEEN ?1 AND ?2 ORDER BY first DESC LIMIT 1",
    )?;
    let (from, _) = TrackKey::range(key.torrent());
    let found =
        select.query_row((from.0, key.0), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))).optional()?;
    let Some((first, packed)) = found else { return Ok(None) };
    let tracks = block::decode(&packed).map_err(|error| CatalogueError::Damaged(error.to_string()))?;
    Ok(Some((TrackKey(first), tracks)))
}

/// One track.
pub(super) fn load_track(db: &Connection, key: TrackKey) -> Result<Option<TrackRow>> {
    let block = load_block(db, key)?;
    Ok(block.and_then(|(_, tracks)| tracks.into_iter().find(|track| track.file == key.file())))
}

/// A connection that only reads. It must stay on one thread at a time.
#[derive(Debug)]
pub struct Reader {
    db: Connection,
}

impl Reader {
    pub(super) fn open(folder: &Path) -> Result<Self> {
        Ok(Self { db: open::open_reader(folder)? })
    }

    /// Runs `read` on one state of the catalogue, whatever is written meanwhile.
    ///
    /// # Errors
    /// Those of `read`, or if the database fails.
    pub fn snapshot<T>(&self, read: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        // Dropped, it rolls back, which for a reader is the same as a commit.
        let _transaction = self.db.unchecked_transaction()?;
        read(self)
    }

    pub(super) fn torrent_file(&self, infohash: InfoHash) -> Result<Option<Vec<u8>>> {
        let mut select = self.db.prepare_cached(
            "SELECT f.bytes FROM torrent t JOIN torrent_file f ON f.torrent = t.id WHERE t.hash = ?1",
        )?;
        Ok(select.query_row([infohash.0], |row| row.get(0)).optional()?)
    }

    pub(super) fn torrent(&self, infohash: InfoHash) -> Result<Option<TorrentRow>> {
        let mut select = self
            .db
            .prepare_cached("SELECT name, bytes, piece_length, files, private, added FROM torrent WHERE hash = ?1")?;
        let torrent = |row: &Row<'_>| {
            Ok(TorrentRow {
                infohash,
                name: row.get(0)?,
                torrent: None,
                bytes: uint(row.get(1)?),
                piece_length: row.get(2)?,
                files: row.get(3)?,
                private: row.get(4)?,
                added: UnixTime(uint(row.get(5)?)),
            })
        };
        Ok(select.query_row([infohash.0], torrent).optional()?)
    }

    fn torrent_id(&self, infohash: InfoHash) -> Result<Option<i64>> {
        let mut select = self.db.prepare_cached("SELECT id FROM torrent WHERE hash = ?1")?;
        Ok(select.query_row([infohash.0], |row| row.get(0)).optional()?)
    }

    pub(super) fn track(&self, track: TrackId) -> Result<Option<TrackFound>> {
        self.snapshot(|reader| {
            let Some(id) = reader.torrent_id(track.infohash)? else { return Ok(None) };
            if track.file >= TrackKey::FILES {
                return Ok(None);
            }
            Ok(reader.tracks(&[TrackKey::new(id, track.file)])?.pop())
        })
    }

    pub(super) fn tracks_of(&self, infohash: InfoHash) -> Result<Vec<TrackRow>> {
        self.snapshot(|reader| {
            let Some(id) = reader.torrent_id(infohash)? else { return Ok(Vec::new()) };
            let (from, to) = TrackKey::range(id);
            let mut select = reader
                .db
                .prepare_cached("SELECT tracks FROM track_block WHERE first BETWEEN ?1 AND ?2 ORDER BY first")?;
            let mut rows = select.query((from.0, to.0))?;
            let mut tracks = Vec::new();
            while let Some(row) = rows.next()? {
                let packed: Vec<u8> = row.get(0)?;
                tracks.extend(block::decode(&packed).map_err(|error| damaged(&error.to_string()))?);
            }
            Ok(tracks)
        })
    }

    pub(super) fn peers_of(&self, infohash: InfoHash, max: usize) -> Result<Vec<SocketAddr>> {
        let mut select = self.db.prepare_cached("SELECT peers FROM infohash WHERE hash = ?1")?;
        let packed: Option<Vec<u8>> = select.query_row([infohash.0], |row| row.get(0)).optional()?;
        let mut peers = packed.map_or_else(Vec::new, |packed| peers::decode(&packed));
        peers.truncate(max);
        Ok(peers)
    }

    pub(super) fn stored_all(&self) -> Result<Vec<StoredRow>> {
        let mut select = self
            .db
            .prepare_cached("SELECT hash, file, bytes, added, last_played, shared FROM stored ORDER BY added")?;
        let rows = select.query_map((), |row| {
            let shared: Option<Vec<u8>> = row.get(5)?;
            Ok(StoredRow {
                track: TrackId { infohash: InfoHash(row.get(0)?), file: row.get(1)? },
                bytes: uint(row.get(2)?),
                added: UnixTime(uint(row.get(3)?)),
                last_played: UnixTime(uint(row.get(4)?)),
                shared: shared.map(|path| PathBuf::from(std::ffi::OsString::from_vec(path))),
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    pub(super) fn setting_get(&self, key: &str) -> Result<Option<String>> {
        let mut select = self.db.prepare_cached("SELECT value FROM setting WHERE key = ?1")?;
        Ok(select.query_row([key], |row| row.get(0)).optional()?)
    }

    /// At most `limit` tracks, youngest first, that have, of each group, at least one term. An empty group matches
    /// nothing; no group matches nothing.
    ///
    /// # Errors
    /// If the database fails.
    pub fn matches(&self, groups: &[Vec<Term>], limit: usize) -> Result<Vec<TrackKey>> {
        if groups.is_empty() || groups.iter().any(Vec::is_empty) {
            return Ok(Vec::new());
        }
        let term = |term: &Term| {
            let word: String = term.word.chars().filter(char::is_ascii_alphanumeric).collect();
            format!("\"{word}\"{}", if term.prefix { "*" } else { "" })
        };
        let group = |group: &Vec<Term>| format!("({})", group.iter().map(term).collect::<Vec<_>>().join(" OR "));
        let expression = groups.iter().map(group).collect::<Vec<_>>().join(" AND ");
        let mut select = self
            .db
            .prepare_cached("SELECT rowid FROM track_word WHERE track_word MATCH ?1 ORDER BY rowid DESC LIMIT ?2")?;
        let keys = select.query_map((expression, limit as i64), |row| Ok(TrackKey(row.get(0)?)))?;
        Ok(keys.collect::<rusqlite::Result<_>>()?)
    }

    /// What ranking needs of a torrent, by its number.
    ///
    /// # Errors
    /// If the database fails.
    pub fn torrent_facts(&self, torrent: i64) -> Result<Option<TorrentFacts>> {
        let mut select = self.db.prepare_cached("SELECT hash, added, seeders FROM torrent WHERE id = ?1")?;
        let facts = |row: &Row<'_>| {
            Ok(TorrentFacts {
                infohash: InfoHash(row.get(0)?),
                added: UnixTime(uint(row.get(1)?)),
                seeders: row.get(2)?,
            })
        };
        Ok(select.query_row([torrent], facts).optional()?)
    }

    /// The tracks with these numbers, in the order of the numbers; those that are gone are left out.
    ///
    /// # Errors
    /// If the database fails.
    pub fn tracks(&self, keys: &[TrackKey]) -> Result<Vec<TrackFound>> {
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        let mut facts: HashMap<i64, Option<TorrentFacts>> = HashMap::new();
        let mut block: Option<(TrackKey, Vec<TrackRow>)> = None;
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            // Sorted, so that neighbours come out of the block that is at hand.
            let at_hand = block.as_ref().is_some_and(|(first, tracks)| {
                let last = tracks.last().map_or(0, |track| track.file);
                first.torrent() == key.torrent() && (first.file()..=last).contains(&key.file())
            });
            if !at_hand {
                block = load_block(&self.db, key)?;
            }
            let facts = match facts.entry(key.torrent()) {
                std::collections::hash_map::Entry::Occupied(known) => *known.get(),
                std::collections::hash_map::Entry::Vacant(new) => *new.insert(self.torrent_facts(key.torrent())?),
            };
            let row = block.as_ref().and_then(|(_, tracks)| tracks.iter().find(|track| track.file == key.file()));
            if let (Some(row), Some(TorrentFacts { infohash, added, seeders })) = (row, facts) {
                let id = TrackId { infohash, file: key.file() };
                found.push(TrackFound { id, row: row.clone(), added, seeders });
            }
        }
        Ok(found)
    }

    /// How many tracks have a word; the word must be folded.
    ///
    /// # Errors
    /// If the database fails.
    pub fn word_tracks(&self, word: &str) -> Result<u64> {
        let mut select = self.db.prepare_cached("SELECT tracks FROM word WHERE word = ?1")?;
        Ok(select.query_row([word], |row| row.get(0)).optional()?.map_or(0, uint))
    }

    /// Hands every word and the number of its tracks to `take`, in alphabetical order, until that returns false.
    ///
    /// # Errors
    /// If the database fails.
    pub fn each_word(&self, mut take: impl FnMut(&str, u64) -> bool) -> Result<()> {
        let mut select = self.db.prepare_cached("SELECT word, tracks FROM word ORDER BY word")?;
        let mut rows = select.query(())?;
        while let Some(row) = rows.next()? {
            let word = row.get_ref(0)?.as_str().map_err(|_| damaged("a word is not text"))?;
            if !take(word, uint(row.get(1)?)) {
                break;
            }
        }
        Ok(())
    }

    /// The tracks that begin, at some word, with `prefix`, and with each letter after it; see
    /// [`fold_dialled`](super::fold_dialled) for the prefix.
    ///
    /// # Errors
    /// If the database fails.
    pub fn dialled(&self, prefix: &str) -> Result<Dialled> {
        self.snapshot(|reader| dial::dialled(&reader.db, prefix))
    }
}
