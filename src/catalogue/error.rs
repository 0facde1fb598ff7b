//! What can go wrong with the catalogue, as sentences that say what to do.

use std::path::PathBuf;

use crate::types::Bytes;

/// Why the catalogue could not be opened, read or written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CatalogueError {
    /// The folder or a file in it cannot be made, read or written.
    #[error("cannot use the catalogue folder {path}: {reason}; check [index] path, its permissions and the disk")]
    Folder { path: PathBuf, reason: String },
    /// Another process, or another handle of this one, has the catalogue open.
    #[error(
        "the catalogue in {path} is in use by another jukebox{holder}; stop that one or choose another [index] path"
    )]
    InUse { path: PathBuf, holder: String },
    /// The file was written by a later version of the program.
    #[error(
        "the catalogue {path} has version {found}, this program knows versions up to {known}; \
         update silverstream or move the file away to begin a new catalogue"
    )]
    TooNew { path: PathBuf, found: i64, known: i64 },
    /// The budget is too small for an empty catalogue with room to work.
    #[error("the catalogue needs at least {least}, the budget is {budget}; raise [index] budget")]
    BudgetTooSmall { budget: Bytes, least: Bytes },
    /// The budget or the disk is full and nothing more could be forgotten.
    #[error("no room left for the catalogue; raise [index] budget or free space on its disk")]
    Full,
    /// The file is damaged. The next start sets it aside and begins a new catalogue.
    #[error("the catalogue is damaged ({0}); restart the jukebox: it sets the file aside and begins a new one")]
    Damaged(String),
    /// The torrent is larger than the catalogue takes.
    #[error("a torrent with {what} is more than the catalogue takes ({bound})")]
    TooLarge { what: String, bound: usize },
    /// Any other failure of the database.
    #[error("the catalogue failed: {0}; check the disk and the log, then try again")]
    Database(String),
    /// The catalogue was closed while the request waited.
    #[error("the catalogue is closed because the jukebox is shutting down; start it again with `silverstream run`")]
    Closed,
}

/// Result of the catalogue.
pub type Result<T> = std::result::Result<T, CatalogueError>;

impl From<rusqlite::Error> for CatalogueError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, DiskFull, NotADatabase};
        match error.sqlite_error_code() {
            Some(DiskFull) => Self::Full,
            Some(DatabaseCorrupt | NotADatabase) => Self::Damaged(error.to_string()),
            _ => Self::Database(error.to_string()),
        }
    }
}
