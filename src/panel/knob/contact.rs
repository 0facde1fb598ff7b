//! One contact of an encoder without its bounces.

use std::time::Duration;

/// A contact whose first edge counts at once; then it is not listened to until its bounces are over.
///
/// Bouncing contacts return to the level that they have left, and a bounce that still goes on when the contact is heard
/// again only moves the decoder to and fro: it never counts as a turn.
#[derive(Debug, Clone, Copy)]
pub struct Contact {
    /// Level that counts.
    level: bool,
    /// Level as it was seen last.
    seen: bool,
    /// Nothing counts before.
    deaf_until: Duration,
}

impl Contact {
    /// A contact that is at this level.
    pub fn new(level: bool) -> Self {
        Self { level, seen: level, deaf_until: Duration::ZERO }
    }

    /// The level that counts.
    pub fn level(&self) -> bool {
        self.level
    }

    /// The level that was seen last.
    pub fn seen(&self) -> bool {
        self.seen
    }

    /// The contact is at this level; tells whether it counts. `deaf` is how long bounces take.
    pub fn edge(&mut self, at: Duration, high: bool, deaf: Duration) -> bool {
        self.seen = high;
        at >= self.deaf_until && self.accept(at, deaf)
    }

    /// The contact is at this level, which does not count before [`Contact::accept`].
    pub fn see(&mut self, high: bool) {
        self.seen = high;
    }

    /// When a level counts that was not listened to, if nothing else happens.
    pub fn due(&self) -> Option<Duration> {
        (self.seen != self.level).then_some(self.deaf_until)
    }

    /// Takes the level that was seen last.
    pub fn accept(&mut self, at: Duration, deaf: Duration) -> bool {
        let changed = self.seen != self.level;
        if changed {
            (self.level, self.deaf_until) = (self.seen, at + deaf);
        }
        changed
    }
}
