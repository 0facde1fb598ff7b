//! Opening the catalogue: the lock against a second jukebox, the check of the file, what happens to a damaged one.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::error::{CatalogueError, Result};
use super::rows::{CatalogueOptions, Opening, SetAside};
use super::schema::{self, MIGRATIONS};
use crate::types::Bytes;

/// The database within the folder.
pub(super) const FILE: &str = "catalogue.sqlite3";
/// What a damaged database is renamed to. There is one at most: an older one is overwritten, so that damage that
/// comes again and again cannot fill the disk.
const ASIDE: &str = "catalogue.damaged.sqlite3";
const LOCK: &str = "catalogue.lock";
/// `meta` key: 1 when the file was closed in order, so that the check at the next opening can be left out.
pub(super) const CLEAN: &str = "closed_in_order";

/// SQLite's page, and the usual block of a card's file system.
pub(super) const PAGE: u64 = 4096;
/// The smallest budget: an empty catalogue, its log, and room to forget in.
pub const MIN_BUDGET: Bytes = Bytes::mib(8);
/// What the log may take of a large budget. Enough for the largest transaction, a torrent of 20,000 tracks.
const MAX_LOG: Bytes = Bytes::mib(8);

/// A file that does nothing but take up room. A disk that is full to the last block cannot even be read: SQLite needs room
/// for its log, and the place in a song could not be kept. Then this is given up, and made anew at a start when there is plenty
/// again.
const RESERVE: &str = "reserve";
const RESERVE_SIZE: u64 = 8 << 20;
/// With less room than this the reserve is given up, with more than that it is made.
const TIGHT: u64 = 2 << 20;
const PLENTY: u64 = 2 * RESERVE_SIZE;

/// Page caches of the connections, in KiB. Small because the kernel's cache lies behind them and resident memory is
/// bounded. The file is not mapped into memory: mapped pages count as resident, and a read error of a worn card would
/// end the process (SIGBUS) instead of one query.
const WRITER_CACHE_KIB: i64 = 2048;
const READER_CACHE_KIB: i64 = 1024;

/// Rows of one table that are read back from a damaged file at most: more than a jukebox has.
const MAX_RESCUED: usize = 100_000;

/// Reads every page and says what is wrong with the first that is.
const QUICK_CHECK: &str = "PRAGMA quick_check(1)";

/// Between two interruptions of a check that takes too long.
const INTERRUPT_AGAIN: Duration = Duration::from_millis(10);

/// Held as long as the catalogue is open.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Everything that opening gives.
pub(super) struct Opened {
    pub(super) db: Connection,
    pub(super) lock: Lock,
    pub(super) opening: Opening,
}

fn folder_error(path: &Path) -> impl FnOnce(std::io::Error) -> CatalogueError + '_ {
    move |error| CatalogueError::Folder { path: path.to_owned(), reason: error.to_string() }
}

/// Takes the lock of the folder. The kernel releases it when the process ends in whatever way.
fn lock(folder: &Path) -> Result<Lock> {
    let path = folder.join(LOCK);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(folder_error(folder))?;
    match file.try_lock() {
        Ok(()) => {
            // The number is for people only; the lock is what counts.
            let written = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
            written.map_err(folder_error(folder))?;
            Ok(Lock { _file: file })
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.rewind().and_then(|()| file.take(16).read_to_string(&mut holder));
            let holder = holder.trim().parse::<u32>().map_or_else(|_| String::new(), |id| format!(" (process {id})"));
            Err(CatalogueError::InUse { path: folder.to_owned(), holder })
        }
        Err(TryLockError::Error(error)) => Err(folder_error(folder)(error)),
    }
}

/// Gives up the reserve on a full disk, makes it on one with room. Whatever fails here is left to those who need the room.
fn keep_reserve(folder: &Path) {
    let path = folder.join(RESERVE);
    if !give_up_reserve(folder) && free(folder) > PLENTY && !path.exists() {
        let made = File::create(&path)
            .and_then(|file| Ok(rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, RESERVE_SIZE)?));
        if made.is_err() {
            // Not every file system can; half a reserve is none.
            let _ = std::fs::remove_file(&path);
        }
    }
}

/// Gives up the reserve if the disk is full; tells whether there was one.
pub(super) fn give_up_reserve(folder: &Path) -> bool {
    let path = folder.join(RESERVE);
    let free = free(folder);
    let gives_up = free < TIGHT && path.exists();
    if gives_up {
        let given_up = std::fs::remove_file(&path);
        tracing::warn!(free, ?given_up, "the disk is full; the room that was kept for this is given up");
    }
    gives_up
}

/// Bytes that the disk has left for us.
fn free(folder: &Path) -> u64 {
    rustix::fs::statvfs(folder).map_or(0, |stat| stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Opens or begins the catalogue in `folder`.
pub(super) fn open(folder: &Path, options: &CatalogueOptions) -> Result<Opened> {
    if options.budget < MIN_BUDGET {
        return Err(CatalogueError::BudgetTooSmall { budget: options.budget, least: MIN_BUDGET });
    }
    std::fs::create_dir_all(folder).map_err(folder_error(folder))?;
    keep_reserve(folder);
    let lock = lock(folder)?;
    let path = folder.join(FILE);
    let existed = std::fs::metadata(&path).is_ok_and(|meta| meta.len() > 0);
    let mut opening = Opening { created: !existed, ..Opening::default() };
    let db = match open_file(&path, &mut opening) {
        Err(CatalogueError::Damaged(reason)) if existed => {
            let aside = set_aside(folder, reason)?;
            opening = Opening { created: true, ..Opening::default() };
            let db = open_file(&path, &mut opening)?;
            let rescued = rescue(&db, &aside.path);
            tracing::warn!(aside = %aside.path.display(), reason = aside.reason, rescued, "damaged catalogue set aside");
            opening.set_aside = Some(SetAside { rescued, ..aside });
            db
        }
        other => other?,
    };
    schema::set_meta(&db, CLEAN, 0)?;
    limit(&db, options.budget)?;
    Ok(Opened { db, lock, opening })
}

fn open_file(path: &Path, opening: &mut Opening) -> Result<Connection> {
    let mut db = Connection::open(path)?;
    configure(&db, WRITER_CACHE_KIB)?;
    let found = schema::version(&db)?;
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(CatalogueError::TooNew { path: path.to_owned(), found, known });
    }
    // Reading the header and the schema finds a file that is no database; the pages are read only if the last
    // process did not close them, because that takes a while on a card.
    if found > 0 && schema::meta(&db, CLEAN).map_err(as_damage)? != Some(1) {
        check(&db)?;
    }
    if found > 0 && found < known {
        opening.migrated_from = Some(found);
    }
    db.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    schema::migrate(&mut db, MIGRATIONS)?;
    let mode: String = db.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(CatalogueError::Database(format!("journal mode {mode} instead of wal")));
    }
    Ok(db)
}

/// A file whose schema lacks what its version promises is as bad as one with broken pages.
fn as_damage(error: CatalogueError) -> CatalogueError {
    match error {
        CatalogueError::Database(reason) if reason.contains("no such table") => CatalogueError::Damaged(reason),
        other => other,
    }
}

fn configure(db: &Connection, cache_kib: i64) -> Result<()> {
    db.pragma_update(None, "page_size", PAGE as i64)?;
    db.pragma_update(None, "cache_size", -cache_kib)?;
    db.pragma_update(None, "mmap_size", 0)?;
    db.pragma_update(None, "temp_store", "MEMORY")?;
    db.pragma_update(None, "trusted_schema", false)?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Reads every page and says what is wrong with the first that is.
pub(super) fn check(db: &Connection) -> Result<()> {
    let verdict: String = db.query_row(QUICK_CHECK, (), |row| row.get(0))?;
    if verdict == "ok" { Ok(()) } else { Err(CatalogueError::Damaged(verdict)) }
}

/// What came of [`inspect`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inspection {
    /// There is no catalogue yet.
    Nothing,
    /// All of it was read and is right.
    Whole,
    /// What could be read in time is right.
    SoundSoFar,
}

/// Reads the catalogue in `folder` and checks it, for at most `limit`. Blocks. A jukebox may work with it meanwhile.
///
/// # Errors
/// If it is damaged or cannot be opened.
pub fn inspect(folder: &Path, limit: Duration) -> Result<Inspection> {
    if !folder.join(FILE).exists() {
        return Ok(Inspection::Nothing);
    }
    check_within(&open_reader(folder)?, QUICK_CHECK, limit)
}

/// Runs a check for at most `limit`.
pub(super) fn check_within(db: &Connection, check: &str, limit: Duration) -> Result<Inspection> {
    let handle = db.get_interrupt_handle();
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut wait = limit;
            while is_done.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                handle.interrupt();
                // Again until it ends: before the query has begun there is nothing to interrupt.
                wait = INTERRUPT_AGAIN;
            }
        });
        let verdict = db.query_row(check, (), |row| row.get::<_, String>(0));
        drop(done);
        match verdict {
            Ok(verdict) if verdict == "ok" => Ok(Inspection::Whole),
            Ok(verdict) => Err(CatalogueError::Damaged(verdict)),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
                Ok(Inspection::SoundSoFar)
            }
            Err(error) => Err(error.into()),
        }
    })
}

/// Bounds the database so that it and its log stay within the budget: SQLite itself refuses to grow beyond.
fn limit(db: &Connection, budget: Bytes) -> Result<()> {
    db.pragma_update_and_check(None, "max_page_count", page_bound(budget) as i64, |_| Ok(()))?;
    // Folded in at a quarter of what it may take, as it grows beyond by one transaction; and cut to that afterwards.
    let fold = log_share(budget) / 4;
    db.pragma_update(None, "wal_autocheckpoint", (fold / PAGE) as i64)?;
    db.pragma_update(None, "journal_size_limit", fold as i64)?;
    Ok(())
}

/// The part of the budget that is left to the log and its index.
fn log_share(budget: Bytes) -> u64 {
    (budget.0 / 4).min(MAX_LOG.0)
}

/// Pages the database may have.
pub(super) fn page_bound(budget: Bytes) -> u64 {
    (budget.0 - log_share(budget)) / PAGE
}

/// Opens another connection that only reads.
pub(super) fn open_reader(folder: &Path) -> Result<Connection> {
    // Not SQLITE_OPEN_READ_ONLY: a reader of a write-ahead log must be able to write its index.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(folder.join(FILE), flags)?;
    configure(&db, READER_CACHE_KIB)?;
    db.pragma_update(None, "query_only", true)?;
    Ok(db)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Renames the database and its log.
fn set_aside(folder: &Path, reason: String) -> Result<SetAside> {
    let (from, to) = (folder.join(FILE), folder.join(ASIDE));
    std::fs::rename(&from, &to).map_err(folder_error(folder))?;
    for suffix in ["-wal", "-shm"] {
        let (from, to) = (with_suffix(&from, suffix), with_suffix(&to, suffix));
        let _ = std::fs::remove_file(&to);
        // Without its log the damaged file is merely older; a log left behind would spoil the new one.
        if from.exists() && std::fs::rename(&from, &to).is_err() {
            std::fs::remove_file(&from).map_err(folder_error(folder))?;
        }
    }
    Ok(SetAside { path: to, reason, rescued: 0 })
}

/// Copies what people would miss and what still can be read: settings, and what lies on disk. Everything else comes
/// back from the network.
fn rescue(db: &Connection, aside: &Path) -> usize {
    let Ok(old) = Connection::open_with_flags(aside, OpenFlags::SQLITE_OPEN_READ_WRITE) else { return 0 };
    let settings = copy(&old, db, "SELECT key, value FROM setting", "INSERT OR IGNORE INTO setting VALUES (?1, ?2)");
    let stored = copy(
        &old,
        db,
        "SELECT hash, file, bytes, added, last_played, shared FROM stored",
        "INSERT OR IGNORE INTO stored VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    );
    settings + stored
}

/// Copies rows one by one until the first that cannot be read or written; the number copied.
fn copy(from: &Connection, to: &Connection, select: &str, insert: &str) -> usize {
    let (Ok(mut select), Ok(mut insert)) = (from.prepare(select), to.prepare(insert)) else { return 0 };
    let columns = select.column_count();
    let Ok(mut rows) = select.query(()) else { return 0 };
    let mut copied = 0;
    while copied < MAX_RESCUED
        && let Ok(Some(row)) = rows.next()
    {
        let values: rusqlite::Result<Vec<rusqlite::types::Value>> = (0..columns).map(|index| row.get(index)).collect();
        let Ok(values) = values else { break };
        if insert.execute(rusqlite::params_from_iter(values)).is_err() {
            break;
        }
        copied += 1;
    }
    copied
}
