//! Queue and playback.
//!
//! [`Player`] is the state machine, [`startup`] decides when the sound may begin, the shell behind [`start`] owns both
//! the open songs and the audio engine. Other rooms hold a [`PlayerHandle`].

mod commands;
mod core;
mod deck;
mod handle;
mod list;
mod playback;
mod rate;
mod source;
pub mod startup;
mod task;
#[cfg(test)]
mod tests;

pub use commands::Order;
pub use core::{Action, Player, TICK};
pub use deck::{Facts, PROBE_BYTES, Supply};
pub use handle::{PlayerHandle, start};
pub use list::{Activity, MAX_HISTORY, MAX_QUEUE, PlayList, Snapshot};
pub use playback::MAX_FAILURES;
pub use source::{AvailableFrom, Fetch, OpenTrack, Sound, TrackSource};
