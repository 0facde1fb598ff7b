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

    /// The contact has moved and is at this level now; tells whether that counts. `deaf` is how long bounces take.
    ///
    /// The level may be the one before: the contact has bounced back before anybody looked. That it has moved counts, or a
    /// contact that is open for most of its bounces would come later than the other one, as if turned the other way.
    pub fn edge(&mut self, at: Duration, high: bool, deaf: Duration) -> bool {
        self.seen = high;
        let hears = at >= self.deaf_until;
        if hears {
            (self.level, self.deaf_until) = (!self.level, at + deaf);
        }
        hears
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
