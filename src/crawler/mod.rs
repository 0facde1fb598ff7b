//! Many DHT nodes and what they hear.
//!
//! [`Core`] is the crawler without sockets and clocks: it owns the nodes, places them ([`placement`]), those beyond a few
//! dozen as monitors that live on what the others know, shares and keeps contacts, judges what is heard ([`filter`]),
//! announces, samples and searches. [`Crawler`] is its shell: one thread that owns the core and all sockets, takes commands
//! on a bounded channel, gives out sightings in batches on another, and publishes a [`CrawlerStatus`].
//!
//! | to change | look in |
//! |---|---|
//! | how many nodes there are, and samples a second | [`budget`](crate::budget), and `core::resize` for how nodes come and go |
//! | where IDs lie, and what they are at a new address | [`placement`] |
//! | nodes without a table, for thousands of them | `monitors` |
//! | the order of the sweep; its pace and who asks | [`sweep`]; `core::sweeping` |
//! | what is believed | [`filter`] |
//! | what others, the line and the router may be burdened with | `manners` |
//! | contacts that all nodes share; how the first are found | `book`; `bootstrap` |
//! | peers for a song; telling others what we have | `searches`; `announces` |
//! | what is kept over a restart | `saved` |
//! | reading, sending, waiting | `sockets`, `shell`, `rhythm` |

mod announces;
mod book;
mod bootstrap;
mod core;
pub mod filter;
mod generations;
mod handle;
mod inbox;
mod manners;
mod monitors;
mod own;
pub mod placement;
mod resolver;
mod rhythm;
mod saved;
mod searches;
mod shell;
mod sockets;
mod stats;
pub mod sweep;
#[cfg(test)]
mod tests;
mod timers;

pub use self::core::{Core, CoreConfig, CoreEvent, Heard};
pub use announces::{Announced, MAX_ANNOUNCED, TooManyAnnounces};
pub use filter::SightingKind;
pub use handle::{Crawler, CrawlerConfig, CrawlerError, Pace, Sighting};
pub use manners::Limits;
pub use saved::{Saved, SavedError};
pub use searches::{MAX_SEARCHES, SearchId, TooManySearches, Waits};
pub use stats::{CoreStats, CrawlerStatus};
