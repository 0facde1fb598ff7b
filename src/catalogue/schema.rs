//! The tables and how an older file becomes a current one.

use rusqlite::{Connection, TransactionBehavior};

use super::error::Result;

/// States of an infohash, as stored.
pub(super) mod state {
    /// Metadata wanted, may be fetched now.
    pub(crate) const QUEUED: i64 = 0;
    /// Metadata wanted, not before `retry_at`.
    pub(crate) const WAITING: i64 = 1;
    /// Never to be tried again.
    pub(crate) const GIVEN_UP: i64 = 2;
    pub(crate) const NOT_MUSIC: i64 = 3;
    pub(crate) const MUSIC: i64 = 4;
}

/// Step `n` of this list brings a file from version `n` to `n + 1` (SQLite's `user_version`). Steps that were
/// published are never changed, only followed by others.
pub(super) const MIGRATIONS: &[&str] = &[VERSION_1];

/// - `infohash.heat` orders the queue: see `sightings`. The indexes with a condition are as small as what they order.
/// - `torrent.seeders` repeats the number of peers of the infohash, so that ranking needs one row a torrent.
/// - A track's number is `torrent.id << 20 | file`; `track_block.first` is the number of the first track in the block.
/// - `track_word` stores neither text nor positions nor sizes (12.7 bytes a track instead of 35): text is read from
///   the block, and ranking is ours. Its rows are deleted by giving the same text again.
/// - `dial.tracks` is null where the prefix has children: see `dial`.
const VERSION_1: &str = "
CREATE TABLE infohash (
    hash BLOB PRIMARY KEY,
    state INTEGER NOT NULL,
    sightings INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    retry_at INTEGER NOT NULL DEFAULT 0,
    heat REAL NOT NULL,
    peers BLOB NOT NULL,
    name TEXT
) WITHOUT ROWID;
CREATE INDEX infohash_queue ON infohash (heat) WHERE state = 0;
CREATE INDEX infohash_waiting ON infohash (retry_at) WHERE state = 1;
CREATE INDEX infohash_given_up ON infohash (last_seen) WHERE state = 2;
CREATE INDEX infohash_not_music ON infohash (last_seen) WHERE state = 3;

CREATE TABLE torrent (
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    piece_length INTEGER NOT NULL,
    files INTEGER NOT NULL,
    private INTEGER NOT NULL,
    added INTEGER NOT NULL,
    tracks INTEGER NOT NULL,
    seeders INTEGER NOT NULL
);
CREATE TABLE torrent_file (torrent INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE track_block (first INTEGER PRIMARY KEY, tracks BLOB NOT NULL);
CREATE VIRTUAL TABLE track_word USING fts5(words, content='', columnsize=0, detail=none, tokenize='ascii');
CREATE TABLE word (word TEXT PRIMARY KEY, tracks INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE dial (prefix TEXT PRIMARY KEY, hits INTEGER NOT NULL, tracks BLOB) WITHOUT ROWID;

CREATE TABLE stored (
    hash BLOB NOT NULL,
    file INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    added INTEGER NOT NULL,
    last_played INTEGER NOT NULL,
    shared BLOB,
    PRIMARY KEY (hash, file)
) WITHOUT ROWID;
CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE totals (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    infohashes INTEGER NOT NULL,
    queued INTEGER NOT NULL,
    torrents INTEGER NOT NULL,
    tracks INTEGER NOT NULL,
    not_music INTEGER NOT NULL
);
INSERT INTO totals VALUES (1, 0, 0, 0, 0, 0);
";

/// The version of the file.
pub(super) fn version(db: &Connection) -> Result<i64> {
    Ok(db.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

/// Brings the file to the version `steps.len()`. Each step is a transaction of its own together with its number, so a
/// loss of power between or within steps leaves a version that can go on. The file's version must not be beyond.
pub(super) fn migrate(db: &mut Connection, steps: &[&str]) -> Result<()> {
    let from = version(db)?;
    for (index, step) in steps.iter().enumerate().skip(usize::try_from(from).unwrap_or(0)) {
        let transaction = db.transaction_with_behavior(TransactionBehavior::Exclusive)?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", index as i64 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Reads a number of the `meta` table.
pub(super) fn meta(db: &Connection, key: &str) -> Result<Option<i64>> {
    use rusqlite::OptionalExtension;
    Ok(db.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0)).optional()?)
}

/// Writes a number of the `meta` table.
pub(super) fn set_meta(db: &Connection, key: &str, value: i64) -> Result<()> {
    db.execute("INSERT INTO meta VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value", (key, value))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_steps_run_on_an_older_file_and_keep_its_rows() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db, &[VERSION_1]).unwrap();
        db.execute("INSERT INTO setting VALUES ('volume', '70')", ()).unwrap();
        let steps = [VERSION_1, "ALTER TABLE setting ADD COLUMN at INTEGER NOT NULL DEFAULT 5;"];
        migrate(&mut db, &steps).unwrap();
        migrate(&mut db, &steps).unwrap();
        assert_eq!(version(&db).unwrap(), 2);
        let row: (String, i64) =
            db.query_row("SELECT value, at FROM setting", (), |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(row, ("70".to_owned(), 5));
    }

    #[test]
    fn a_step_that_fails_leaves_the_file_as_it_was() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db, &[VERSION_1]).unwrap();
        let steps = [VERSION_1, "ALTER TABLE setting ADD COLUMN at INTEGER; INSERT INTO nowhere VALUES (1);"];
        assert!(migrate(&mut db, &steps).is_err());
        assert_eq!(version(&db).unwrap(), 1);
        assert!(db.prepare("SELECT at FROM setting").is_err());
    }
}
