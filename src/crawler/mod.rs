//! Many DHT nodes and what they hear.
//!
//! [`Core`] is the crawler without sockets and clocks: it owns the nodes, places them ([`placement`]), those beyond a few
//! dozen as monitors that live on what the others know, shares and keeps contacts, judges what is heard ([`filter`]), announces, samples and searches. [`Crawler`] is its shell: one thread that
//! owns the core and all sockets, takes commands on a bounded channel, gives out sightings in batches on another, and
//! publishes a [`CrawlerStatus`].

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
mod names;
mod own;
pub mod placement;
mod rhythm;
mod saved;
mod searches;
mod sockets;
mod stats;
pub mod sweep;
mod task;
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
