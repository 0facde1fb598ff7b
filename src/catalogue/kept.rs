//! What lies on disk, and small documents of other rooms.

use std::os::unix::ffi::OsStrExt;

use super::error::{CatalogueError, Result};
use super::rows::StoredRow;
use super::store::{Store, int};
use crate::types::{InfoHash, TrackId, UnixTime};

/// Largest document under a key: a queue of thousands of tracks.
const MAX_SETTING: usize = 2 * 1024 * 1024;

impl Store {
    pub(super) fn stored_put(&mut self, stored: &StoredRow) -> Result<()> {
        self.db.prepare_cached("INSERT OR REPLACE INTO stored VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute((
            stored.track.infohash.0,
            stored.track.file,
            int(stored.bytes),
            int(stored.added.0),
            int(stored.last_played.0),
            stored.shared.as_ref().map(|path| path.as_os_str().as_bytes()),
        ))?;
        Ok(())
    }

    /// A board without a clock lives in 1970 until the network tells the time: what is heard then is no older than it was.
    pub(super) fn stored_touch(&mut self, track: TrackId, at: UnixTime) -> Result<()> {
        self.db
            .prepare_cached("UPDATE stored SET last_played = max(last_played, ?3) WHERE hash = ?1 AND file = ?2")?
            .execute((track.infohash.0, track.file, int(at.0)))?;
        Ok(())
    }

    pub(super) fn stored_remove(&mut self, track: TrackId) -> Result<()> {
        self.db
            .prepare_cached("DELETE FROM stored WHERE hash = ?1 AND file = ?2")?
            .execute((track.infohash.0, track.file))?;
        Ok(())
    }

    pub(super) fn stored_remove_all(&mut self, infohash: InfoHash) -> Result<()> {
        self.db.prepare_cached("DELETE FROM stored WHERE hash = ?1")?.execute([infohash.0])?;
        Ok(())
    }

    pub(super) fn setting_put(&mut self, key: &str, json: &str) -> Result<()> {
        if json.len() > MAX_SETTING {
            return Err(CatalogueError::TooLarge {
                what: format!("a setting {key} of {} bytes", json.len()),
                bound: MAX_SETTING,
            });
        }
        self.db.prepare_cached("INSERT OR REPLACE INTO setting VALUES (?1, ?2)")?.execute((key, json))?;
        Ok(())
    }
}
