//! What is forgotten when the catalogue would outgrow its budget.
//!
//! SQLite refuses to grow beyond the bound (`max_page_count`), and pages that are freed are used again, so it is
//! enough to keep some free. What is worth least goes first: infohashes given up, cached `.torrent` files of torrents that
//! do not lie on disk (they can be fetched again), infohashes that nobody asked for in a long while, what is known
//! not to be music, and at last the oldest torrents that do not lie on disk.

use rusqlite::OptionalExtension;

use super::error::Result;
use super::schema::state;
use super::store::Store;
use crate::types::InfoHash;

/// Forgetting begins when this many percent of the pages are in use, and ends below the second number.
const FULL_PERCENT: u64 = 90;
const ROOM_PERCENT: u64 = 85;
/// Rows that one step forgets: bounds the time of a transaction and its part of the log.
const STEP: i64 = 256;
/// Torrents that one step forgets; each is many rows.
const TORRENT_STEP: i64 = 4;
/// Hottest infohashes in the queue that stay, however many torrents there are: without them nothing new is learnt.
const QUEUE_KEPT: i64 = 512;
/// Steps in one go at most, so that requests never wait long; the next transaction goes on.
const STEPS: usize = 64;
/// Pages beyond the bound that forgetting may take until it has freed some.
const FORGETTING_PAGES: u64 = 128;
/// Pages that the full text index may merge after a step: its deletions take space until they meet what they delete.
const MERGED_PAGES: i64 = 512;

impl Store {
    /// Forgets until there is room.
    pub(super) fn fit_budget(&mut self) -> Result<()> {
        let bound = self.page_bound();
        if self.used()? > bound * FULL_PERCENT / 100 {
            // Forgetting writes too; it may use some of what is meant for the log.
            let (pages, _) = self.pages()?;
            self.limit(pages.max(bound) + FORGETTING_PAGES)?;
            let forgotten = self.forget(bound * ROOM_PERCENT / 100);
            self.shrink(bound)?;
            self.limit(bound)?;
            return forgotten;
        }
        self.shrink(bound)
    }

    fn forget(&mut self, room: u64) -> Result<()> {
        for _ in 0..STEPS {
            if self.used()? <= room || !self.step(Self::forget_some)? {
                break;
            }
        }
        Ok(())
    }

    fn limit(&self, pages: u64) -> Result<()> {
        Ok(self.db.pragma_update_and_check(None, "max_page_count", pages as i64, |_| Ok(()))?)
    }

    fn used(&self) -> Result<u64> {
        let (pages, free) = self.pages()?;
        Ok(pages.saturating_sub(free))
    }

    /// Gives pages back to the disk, and puts the bound in force again, where the file is larger than its bound:
    /// after the budget was made smaller.
    fn shrink(&mut self, bound: u64) -> Result<()> {
        let (pages, free) = self.pages()?;
        if pages > bound && free > 0 {
            let surplus = free.min(pages - bound);
            // The statement gives back one page a row.
            self.db.prepare(&format!("PRAGMA incremental_vacuum({surplus})"))?.query_map((), |_| Ok(()))?.count();
            self.limit(bound)?;
        }
        Ok(())
    }

    /// Forgets some of what is worth least; false if there is nothing that may be forgotten.
    fn forget_some(&mut self) -> Result<bool> {
        let forgotten = self.forget_infohashes(state::GIVEN_UP, STEP)?
            || self.forget_torrent_files()?
            || self.forget_cold()?
            || self.forget_infohashes(state::NOT_MUSIC, STEP)?
            || self.forget_torrents()?;
        tracing::debug!(forgotten, "made room in the catalogue");
        Ok(forgotten)
    }

    fn forget_infohashes(&mut self, state: i64, rows: i64) -> Result<bool> {
        // The state is part of the text because a partial index is not used for a parameter.
        let gone = self
            .db
            .prepare_cached(&format!(
                "DELETE FROM infohash WHERE hash IN
                 (SELECT hash FROM infohash WHERE state = {state} ORDER BY last_seen LIMIT ?1)"
            ))?
            .execute([rows])?;
        self.totals.infohashes -= gone as i64;
        self.count_state(state, -(gone as i64));
        Ok(gone > 0)
    }

    /// The coldest of the queue, those waiting for another try included, but for the hottest.
    fn forget_cold(&mut self) -> Result<bool> {
        let surplus = self.totals.queued - QUEUE_KEPT;
        if surplus <= 0 {
            return Ok(false);
        }
        let waiting = self
            .db
            .prepare_cached(
                "DELETE FROM infohash WHERE hash IN
                 (SELECT hash FROM infohash WHERE state = 1 ORDER BY retry_at DESC LIMIT ?1)",
            )?
            .execute([surplus.min(STEP)])? as i64;
        let queued = self
            .db
            .prepare_cached(
                "DELETE FROM infohash WHERE hash IN (SELECT hash FROM infohash WHERE state = 0 ORDER BY heat LIMIT ?1)",
            )?
            .execute([surplus.min(STEP) - waiting])? as i64;
        self.totals.infohashes -= waiting + queued;
        self.totals.queued -= waiting + queued;
        Ok(waiting + queued > 0)
    }

    fn forget_torrent_files(&mut self) -> Result<bool> {
        let gone = self
            .db
            .prepare_cached(
                "DELETE FROM torrent_file WHERE torrent IN
                 (SELECT f.torrent FROM torrent_file f JOIN torrent t ON t.id = f.torrent
                  WHERE NOT EXISTS (SELECT 1 FROM stored s WHERE s.hash = t.hash) ORDER BY f.torrent LIMIT ?1)",
            )?
            .execute([STEP / 8])?;
        Ok(gone > 0)
    }

    fn forget_torrents(&mut self) -> Result<bool> {
        let mut forgotten = false;
        for _ in 0..TORRENT_STEP {
            let oldest: Option<[u8; 20]> = self
                .db
                .prepare_cached(
                    "SELECT hash FROM torrent t WHERE NOT EXISTS (SELECT 1 FROM stored s WHERE s.hash = t.hash)
                     ORDER BY id LIMIT 1",
                )?
                .query_row((), |row| row.get(0))
                .optional()?;
            let Some(oldest) = oldest else { break };
            self.remove_torrent(InfoHash(oldest))?;
            // Its infohash too: given up it would never be fetched again.
            self.db.prepare_cached("DELETE FROM infohash WHERE hash = ?1")?.execute([oldest])?;
            self.totals.infohashes -= 1;
            forgotten = true;
        }
        if forgotten {
            self.db
                .prepare_cached("INSERT INTO track_word (track_word, rank) VALUES ('merge', ?1)")?
                .execute([-MERGED_PAGES])?;
        }
        Ok(forgotten)
    }
}
