//! Signs of life of a loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counts the rounds of a loop; clones count the same ones.
#[derive(Debug, Clone, Default)]
pub struct Tick(Arc<AtomicU64>);

impl Tick {
    /// A loop that waits for something makes a round at least so often all the same: one that makes none hangs.
    pub const IDLE: Duration = Duration::from_secs(5);

    /// One more round.
    pub fn tick(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Rounds so far.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
