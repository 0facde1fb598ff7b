//! Torrents and their tracks, and everything by which a track is found: words, vocabulary, dial.

use std::collections::BTreeMap;

use rusqlite::OptionalExtension;

use super::block::{self, BLOCK_TRACKS};
use super::error::{CatalogueError, Result};
use super::reader::TrackKey;
use super::rows::{TorrentRow, TrackRow};
use super::schema::{meta, set_meta, state};
use super::store::{Durability, Store, int};
use super::text::{TEXT_REVISION, cut, phrases, track_words};
use crate::types::InfoHash;

/// Tracks of one torrent at most.
pub const MAX_TRACKS: usize = 20_000;
/// Tracks whose words and phrases are gathered before they are written: more share more, and take more memory.
const GATHERED: usize = 512;
/// A `.torrent` file larger than this part of the budget is not cached.
const TORRENT_SHARE: u64 = 64;
/// Blocks that one transaction indexes again.
const REINDEXED: i64 = 32;

/// Whether rows of an index come or go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Add,
    Remove,
}

/// Tracks with their numbers, as an index takes them.
pub(super) type Keyed<'a> = [(TrackKey, &'a TrackRow)];

impl Store {
    pub(super) fn store_torrent(&mut self, torrent: &TorrentRow, tracks: &[TrackRow]) -> Result<u32> {
        self.in_flight.remove(&torrent.infohash);
        if tracks.len() > MAX_TRACKS {
            return Err(CatalogueError::TooLarge { what: format!("{} tracks", tracks.len()), bound: MAX_TRACKS });
        }
        if let Some(track) = tracks.iter().find(|track| track.file >= TrackKey::FILES) {
            let (what, bound) = (format!("file number {}", track.file), TrackKey::FILES as usize);
            return Err(CatalogueError::TooLarge { what, bound });
        }
        // Sorted and once each, whatever came.
        let tracks: BTreeMap<u32, TrackRow> = tracks.iter().map(|track| (track.file, block::bounded(track))).collect();
        let tracks: Vec<TrackRow> = tracks.into_values().collect();
        let id = self.put_torrent(torrent, tracks.len())?;
        self.put_torrent_file(id, torrent)?;
        self.put_tracks(id, &tracks)?;
        self.set_state(torrent.infohash, state::MUSIC, torrent.added)?;
        self.totals.torrents += 1;
        self.totals.tracks += tracks.len() as i64;
        Ok(tracks.len() as u32)
    }

    /// Writes the row of a torrent, keeping number, age and cached file of one that was there, but not its tracks.
    fn put_torrent(&mut self, torrent: &TorrentRow, tracks: usize) -> Result<i64> {
        if let Some(id) = self.torrent_id(torrent.infohash)? {
            self.remove_tracks(id)?;
            self.totals.torrents -= 1;
        }
        let seeders: Option<Vec<u8>> = self
            .db
            .prepare_cached("SELECT peers FROM infohash WHERE hash = ?1")?
            .query_row([torrent.infohash.0], |row| row.get(0))
            .optional()?;
        let seeders = seeders.map_or(0, |packed| super::peers::decode(&packed).len());
        let id = self
            .db
            .prepare_cached(
                "INSERT INTO torrent (hash, name, bytes, piece_length, files, private, added, tracks, seeders)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                 ON CONFLICT (hash) DO UPDATE SET name = excluded.name, bytes = excluded.bytes,
                    piece_length = excluded.piece_length, files = excluded.files, private = excluded.private,
                    tracks = excluded.tracks, seeders = excluded.seeders
                 RETURNING id",
            )?
            .query_row(
                (
                    torrent.infohash.0,
                    cut(&torrent.name),
                    int(torrent.bytes),
                    torrent.piece_length,
                    torrent.files,
                    torrent.private,
                    int(torrent.added.0),
                    tracks as i64,
                    seeders as i64,
                ),
                |row| row.get(0),
            )?;
        Ok(id)
    }

    fn put_torrent_file(&mut self, id: i64, torrent: &TorrentRow) -> Result<()> {
        let most = self.options.budget.0 / TORRENT_SHARE;
        if let Some(bytes) = torrent.torrent.as_ref().filter(|bytes| bytes.len() as u64 <= most)
            && self.options.keep_torrents
        {
            self.db
                .prepare_cached("INSERT OR REPLACE INTO torrent_file VALUES (?1, ?2)")?
                .execute((id, bytes.as_slice()))?;
        }
        Ok(())
    }

    fn put_tracks(&mut self, id: i64, tracks: &[TrackRow]) -> Result<()> {
        for gathered in tracks.chunks(GATHERED) {
            // Blocks first: the dial reads tracks back where a bucket overflows.
            for block in gathered.chunks(BLOCK_TRACKS) {
                let first = TrackKey::new(id, block[0].file);
                self.db
                    .prepare_cached("INSERT INTO track_block VALUES (?1, ?2)")?
                    .execute((first.0, block::encode(block)))?;
            }
            let keyed: Vec<_> = gathered.iter().map(|track| (TrackKey::new(id, track.file), track)).collect();
            self.index(&keyed, Change::Add)?;
        }
        Ok(())
    }

    /// Enters tracks in, or takes them from, everything by which they are found. Their blocks must be there.
    pub(super) fn index(&mut self, tracks: &Keyed<'_>, change: Change) -> Result<()> {
        let mut found: BTreeMap<String, i64> = BTreeMap::new();
        let mut dialled = Vec::new();
        for (key, track) in tracks {
            let words = track_words(track);
            let line = words.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
            let statement = match change {
                Change::Add => "INSERT INTO track_word (rowid, words) VALUES (?1, ?2)",
                Change::Remove => "INSERT INTO track_word (track_word, rowid, words) VALUES ('delete', ?1, ?2)",
            };
            self.db.prepare_cached(statement)?.execute((key.0, line))?;
            words.into_iter().for_each(|word| *found.entry(word).or_default() += 1);
            dialled.extend(phrases(track).into_iter().map(|phrase| (phrase, *key)));
        }
        self.count_words(found, change)?;
        dialled.sort_unstable();
        self.dial(&dialled, change)
    }

    fn count_words(&mut self, words: BTreeMap<String, i64>, change: Change) -> Result<()> {
        for (word, tracks) in words {
            if change == Change::Add {
                let now: i64 = self
                    .db
                    .prepare_cached(
                        "INSERT INTO word VALUES (?1, ?2) ON CONFLICT DO UPDATE SET tracks = tracks + excluded.tracks
                         RETURNING tracks",
                    )?
                    .query_row((&word, tracks), |row| row.get(0))?;
                if now == tracks {
                    self.new_words.push(word);
                }
            } else {
                self.db
                    .prepare_cached("UPDATE word SET tracks = tracks - ?2 WHERE word = ?1")?
                    .execute((&word, tracks))?;
                self.db.prepare_cached("DELETE FROM word WHERE word = ?1 AND tracks <= 0")?.execute([&word])?;
            }
        }
        Ok(())
    }

    pub(super) fn torrent_id(&self, infohash: InfoHash) -> Result<Option<i64>> {
        let mut select = self.db.prepare_cached("SELECT id FROM torrent WHERE hash = ?1")?;
        Ok(select.query_row([infohash.0], |row| row.get(0)).optional()?)
    }

    /// Takes the tracks of a torrent out of the blocks and indexes.
    fn remove_tracks(&mut self, id: i64) -> Result<()> {
        let (from, to) = TrackKey::range(id);
        let blocks: Vec<(i64, Vec<u8>)> = self
            .db
            .prepare_cached("SELECT first, tracks FROM track_block WHERE first BETWEEN ?1 AND ?2 ORDER BY first")?
            .query_map((from.0, to.0), |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        for (first, packed) in blocks {
            let tracks = block::decode(&packed).map_err(|error| CatalogueError::Damaged(error.to_string()))?;
            let keyed: Vec<_> = tracks.iter().map(|track| (TrackKey::new(id, track.file), track)).collect();
            self.index(&keyed, Change::Remove)?;
            self.db.prepare_cached("DELETE FROM track_block WHERE first = ?1")?.execute([first])?;
            self.totals.tracks -= tracks.len() as i64;
        }
        Ok(())
    }

    /// Forgets a torrent; its infohash is given up, so that it is not fetched at once again.
    pub(super) fn remove_torrent(&mut self, infohash: InfoHash) -> Result<bool> {
        let Some(id) = self.torrent_id(infohash)? else { return Ok(false) };
        self.remove_tracks(id)?;
        self.db.prepare_cached("DELETE FROM torrent_file WHERE torrent = ?1")?.execute([id])?;
        self.db.prepare_cached("DELETE FROM torrent WHERE id = ?1")?.execute([id])?;
        self.totals.torrents -= 1;
        self.set_state(infohash, state::GIVEN_UP, crate::types::UnixTime(0))?;
        Ok(true)
    }

    /// Builds words, vocabulary and dial again where they were made by another revision of the folding. In steps, each
    /// of which is a transaction, so that neither the log nor a loss of power matters.
    pub(super) fn reindex_if_older(&mut self) -> Result<()> {
        if meta(&self.db, "text_revision")? == Some(TEXT_REVISION) {
            return Ok(());
        }
        if meta(&self.db, "reindex_revision")? != Some(TEXT_REVISION) {
            self.step(|store| {
                store.db.execute_batch(
                    "INSERT INTO track_word (track_word) VALUES ('delete-all'); DELETE FROM word; DELETE FROM dial;",
                )?;
                set_meta(&store.db, "reindex_from", 0)?;
                set_meta(&store.db, "reindex_revision", TEXT_REVISION)
            })?;
        }
        while self.step(Self::reindex_some)? {}
        self.step(|store| set_meta(&store.db, "text_revision", TEXT_REVISION))
    }

    /// One request in a transaction of its own.
    pub(super) fn step<T>(&mut self, request: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let mut result = Err(CatalogueError::Closed);
        self.transact(Durability::Power, |store| result = store.attempt(request))?;
        result
    }

    fn reindex_some(&mut self) -> Result<bool> {
        let from = meta(&self.db, "reindex_from")?.unwrap_or(0);
        let blocks: Vec<(i64, Vec<u8>)> = self
            .db
            .prepare_cached("SELECT first, tracks FROM track_block WHERE first >= ?1 ORDER BY first LIMIT ?2")?
            .query_map((from, REINDEXED), |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        for (first, packed) in &blocks {
            let tracks = block::decode(packed).map_err(|error| CatalogueError::Damaged(error.to_string()))?;
            let id = TrackKey(*first).torrent();
            let keyed: Vec<_> = tracks.iter().map(|track| (TrackKey::new(id, track.file), track)).collect();
            self.index(&keyed, Change::Add)?;
        }
        let Some((last, _)) = blocks.last() else { return Ok(false) };
        set_meta(&self.db, "reindex_from", last + 1)?;
        Ok(true)
    }
}
