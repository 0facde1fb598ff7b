//! The one owner of writing: a connection, the running totals, and transactions made of several requests.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::Connection;

use super::error::{CatalogueError, Result};
use super::open::{CLEAN, MIN_BUDGET, Opened, PAGE, give_up_reserve, page_bound};
use super::rows::{CatalogueCounts, CatalogueOptions};
use super::schema;
use super::sightings::HandedOut;
use crate::types::{Bytes, InfoHash};

/// Whether the person or another room was promised that a change outlasts a loss of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Durability {
    /// Outlasts the end of the process in whatever way, but not surely a loss of power: no wait for the card.
    Process,
    /// On the card before it is acknowledged.
    Power,
}

/// State of the writer thread.
pub(super) struct Store {
    pub(super) db: Connection,
    pub(super) options: CatalogueOptions,
    pub(super) totals: Totals,
    /// Words that were not known before this transaction, for the vocabularies of searchers.
    pub(super) new_words: Vec<String>,
    /// Infohashes handed out by `due` and not reported back yet, with the time of handing out.
    pub(super) in_flight: HashMap<InfoHash, HandedOut>,
    /// What of the budget something else takes.
    pub(super) beside: Bytes,
    /// SQLite found damage: the next opening must check the file.
    damaged: bool,
    /// Why SQLite undid the whole transaction that is being made, as it does when the disk is full.
    undone: Option<CatalogueError>,
}

/// Row counts, kept with the rows in the same transaction because counting millions of rows takes seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) infohashes: i64,
    pub(super) queued: i64,
    pub(super) torrents: i64,
    pub(super) tracks: i64,
    pub(super) not_music: i64,
}

impl Totals {
    pub(super) fn load(db: &Connection) -> Result<Self> {
        let select = "SELECT infohashes, queued, torrents, tracks, not_music FROM totals";
        Ok(db.query_row(select, (), |row| {
            Ok(Self {
                infohashes: row.get(0)?,
                queued: row.get(1)?,
                torrents: row.get(2)?,
                tracks: row.get(3)?,
                not_music: row.get(4)?,
            })
        })?)
    }

    fn save(&self, db: &Connection) -> Result<()> {
        let Self { infohashes, queued, torrents, tracks, not_music } = self;
        db.prepare_cached(
            "UPDATE totals SET infohashes = ?1, queued = ?2, torrents = ?3, tracks = ?4, not_music = ?5",
        )?
        .execute((infohashes, queued, torrents, tracks, not_music))?;
        Ok(())
    }
}

/// A number of the domain as SQLite stores it; what does not fit is the largest that does.
pub(super) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The inverse of [`int`]; a negative number, which only a damaged file has, is 0.
pub(super) fn uint(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

impl Store {
    pub(super) fn new(opened: Opened, options: CatalogueOptions) -> Result<(Self, super::open::Lock)> {
        let totals = Totals::load(&opened.db)?;
        let mut store = Self {
            db: opened.db,
            options,
            totals,
            new_words: Vec::new(),
            in_flight: HashMap::new(),
            beside: Bytes(0),
            damaged: false,
            undone: None,
        };
        store.reindex_if_older()?;
        store.fit_budget()?;
        Ok((store, opened.lock))
    }

    /// Runs requests in one transaction and commits it. A request that fails is undone alone.
    pub(super) fn transact(&mut self, durability: Durability, run: impl FnOnce(&mut Self)) -> Result<()> {
        let synchronous = if durability == Durability::Power { "FULL" } else { "NORMAL" };
        self.db.pragma_update(None, "synchronous", synchronous)?;
        self.db.execute_batch("BEGIN IMMEDIATE")?;
        let before = self.totals;
        self.new_words.clear();
        run(self);
        let committed = match self.undone.take() {
            Some(error) => Err(error),
            None => self.commit(before).inspect_err(|error| self.note(error)),
        };
        if committed.is_err() {
            self.totals = before;
            self.new_words.clear();
            self.roll_back("ROLLBACK")?;
        }
        committed
    }

    fn commit(&self, before: Totals) -> Result<()> {
        if self.totals != before {
            self.totals.save(&self.db)?;
        }
        Ok(self.db.execute_batch("COMMIT")?)
    }

    /// Undoes, unless SQLite has done so already.
    fn roll_back(&self, statement: &str) -> Result<()> {
        if self.db.is_autocommit() { Ok(()) } else { Ok(self.db.execute_batch(statement)?) }
    }

    /// Runs one request of a transaction; if it fails, none of its changes remain.
    pub(super) fn attempt<T>(&mut self, request: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if let Some(error) = &self.undone {
            return Err(error.clone());
        }
        let (totals, words) = (self.totals, self.new_words.len());
        self.db.execute_batch("SAVEPOINT request")?;
        let result = request(self).and_then(|value| {
            self.db.execute_batch("RELEASE request")?;
            Ok(value)
        });
        if let Err(error) = &result {
            self.note(error);
            self.totals = totals;
            self.new_words.truncate(words);
            if self.db.is_autocommit() {
                self.undone = Some(error.clone());
            }
            self.roll_back("ROLLBACK TO request; RELEASE request")?;
        }
        result
    }

    fn note(&mut self, error: &CatalogueError) {
        if matches!(error, CatalogueError::Damaged(_)) && !self.damaged {
            self.damaged = true;
            tracing::error!(%error, "catalogue damaged");
        }
        // Its own budget may be what is full; then there is room on the disk, and nothing happens. What could not be written
        // is written at the next attempt.
        if let (CatalogueError::Full, Some(folder)) = (error, self.db.path().and_then(|path| Path::new(path).parent()))
        {
            give_up_reserve(folder);
        }
    }

    /// Leaves the file marked as not closed in order.
    pub(super) fn distrust(&mut self) {
        self.damaged = true;
    }

    fn pragma(&self, name: &str) -> Result<u64> {
        Ok(uint(self.db.pragma_query_value(None, name, |row| row.get(0))?))
    }

    /// Pages of the file and how many of them are free.
    pub(super) fn pages(&self) -> Result<(u64, u64)> {
        Ok((self.pragma("page_count")?, self.pragma("freelist_count")?))
    }

    /// Pages that the file may have.
    pub(super) fn page_bound(&self) -> u64 {
        // However much there is beside it, an empty catalogue must have room to work.
        let rest = self.options.budget.0.saturating_sub(self.beside.0);
        page_bound(Bytes(rest.max(MIN_BUDGET.0 / 2)))
    }

    pub(super) fn counts(&self) -> CatalogueCounts {
        let log = self.db.path().and_then(|path| std::fs::metadata(format!("{path}-wal")).ok());
        let pages = self.pages().map_or(0, |(pages, _)| pages);
        CatalogueCounts {
            infohashes: uint(self.totals.infohashes),
            queued: uint(self.totals.queued),
            torrents: uint(self.totals.torrents),
            tracks: uint(self.totals.tracks),
            not_music: uint(self.totals.not_music),
            bytes: pages * PAGE + log.map_or(0, |meta| meta.len()) + self.beside.0,
        }
    }

    /// Ends in order: the next opening need not check the file. The connection folds the log in when it is dropped.
    pub(super) fn close(self) {
        if self.damaged {
            return;
        }
        let closed = self
            .db
            .pragma_update(None, "synchronous", "FULL")
            .map_err(CatalogueError::from)
            .and_then(|()| schema::set_meta(&self.db, CLEAN, 1));
        if let Err(error) = closed {
            tracing::warn!(%error, "catalogue not closed in order; it will be checked at the next start");
        }
    }
}
