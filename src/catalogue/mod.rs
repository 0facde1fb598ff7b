//! The SQLite store of everything the jukebox knows.
//!
//! One thread writes, in transactions of several requests, and acknowledges a request after its commit; readers have
//! connections of their own and never wait for the writer (write-ahead log). The size on disk is bounded: what is worth
//! least is forgotten. All SQL of the jukebox is in this room.
//!
//! | file | what |
//! |---|---|
//! | `handle` | what the other rooms hold: [`Catalogue`] |
//! | `open`, `schema` | lock, check, damaged files; tables and migrations |
//! | `worker`, `store` | the threads; transactions |
//! | `sightings` | which infohash to fetch next |
//! | `torrents`, `block`, `peers` | torrents and tracks, packed |
//! | `text`, `dial` | folding, words and phrases; the counts behind the wheel |
//! | `kept` | settings, and what lies on disk |
//! | `budget` | what is forgotten |
//! | `reader` | everything that is read |

mod block;
mod budget;
mod dial;
mod error;
mod handle;
mod kept;
mod open;
mod peers;
mod reader;
mod rows;
mod schema;
mod sightings;
mod store;
#[cfg(test)]
mod tests;
mod text;
mod torrents;
mod worker;

pub use dial::Dialled;
pub use error::{CatalogueError, Result};
pub use handle::Catalogue;
pub use open::{Inspection, MIN_BUDGET, inspect};
pub use peers::MAX_PEERS;
pub use reader::{Reader, Term, TorrentFacts, TrackKey};
pub use rows::{
    CatalogueCounts, CatalogueOptions, DueRow, Opening, SetAside, SightingRow, StoredRow, TorrentRow, TrackFound,
    TrackRow,
};
pub use text::{MAX_DIALLED, MAX_WORD, fold, fold_dialled, words};
pub use torrents::MAX_TRACKS;
pub(crate) use worker::NewWords;
