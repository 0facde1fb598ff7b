//! A push button: short, double and long presses.

use std::time::Duration;

use crate::panel::Gesture;
use crate::types::Time;

/// Held so long, a press becomes a hold.
pub const HOLD: Duration = Duration::from_millis(600);
/// Let go a second time so soon after the first, a press is a double press.
pub const DOUBLE: Duration = Duration::from_millis(350);
/// The button must keep a level so long before it counts; twice what the EC11's datasheet allows.
pub const DEBOUNCE: Duration = Duration::from_millis(10);

/// Decoder of a push button: press when let go, hold while still down.
///
/// A double press is told as a press and then a double: whoever has no use for it takes it as a second press, and
/// nobody waits to learn whether a press was the first of two.
#[derive(Debug, Clone, Copy, Default)]
pub struct Button {
    /// Level that counts.
    down: bool,
    /// Level seen last and since when, while it differs from the one that counts.
    pending: Option<Time>,
    /// Moment at which a press becomes a hold; none when up, or when the hold has been reported.
    hold_at: Option<Time>,
    /// Moment up to which the next press is the second of two.
    double_until: Option<Time>,
}

impl Button {
    /// The button's level is `down` at `now`; calls must come in the order of time.
    pub fn update(&mut self, now: Time, down: bool) -> Option<Gesture> {
        let gesture = self.timeout(now);
        if down == self.down {
            self.pending = None;
        } else if self.pending.is_none() {
            self.pending = Some(now);
        }
        gesture
    }

    /// The level that was seen last.
    pub fn seen(&self) -> bool {
        self.down != self.pending.is_some()
    }

    /// Whether it is down, bounces taken out.
    pub fn is_down(&self) -> bool {
        self.down
    }

    /// Time has come to `now`.
    pub fn timeout(&mut self, now: Time) -> Option<Gesture> {
        if let Some(since) = self.pending.filter(|since| now >= *since + DEBOUNCE) {
            self.pending = None;
            self.down = !self.down;
            if self.down {
                self.hold_at = Some(since + HOLD);
            } else if let Some(hold_at) = self.hold_at.take() {
                return Some(self.let_go(since, hold_at));
            }
        }
        // While letting go is still debounced it is not known whether the hold was reached.
        if self.pending.is_none() && self.hold_at.is_some_and(|at| now >= at) {
            (self.hold_at, self.double_until) = (None, None);
            return Some(Gesture::Hold);
        }
        None
    }

    fn let_go(&mut self, at: Time, hold_at: Time) -> Gesture {
        let second = self.double_until.take().is_some_and(|until| at <= until);
        if at >= hold_at {
            return Gesture::Hold;
        }
        if second {
            return Gesture::Double;
        }
        self.double_until = Some(at + DOUBLE);
        Gesture::Press
    }

    /// When [`Button::timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.pending.map(|since| since + DEBOUNCE).or(self.hold_at)
    }
}
