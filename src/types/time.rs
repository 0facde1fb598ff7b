//! Time as a value that shells hand to cores.
//!
//! Cores never read a clock. Deadlines and ages use [`Time`], which is monotonic and starts at an arbitrary zero,
//! so a simulation can run it as fast as it likes and a board whose clock says 1970 is none the wiser. [`UnixTime`]
//! is for what is written to disk or shown to people.

use std::ops::{Add, Sub};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

/// A monotonic moment in milliseconds since the zero of the [`Clock`] that made it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The zero of a clock.
    pub const ZERO: Self = Self(0);

    /// The moment `millis` after zero.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since zero.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not after.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Time {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// A moment of civil time in whole seconds since 1970 (UTC). Boards without a battery begin near zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// How long after `earlier` this is; zero if it is not after.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for UnixTime {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_secs()))
    }
}

/// Where shells get the time from; copied to whoever needs it, so that all agree on the zero.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    zero: Instant,
    /// The civil time was no earlier than this at [`Clock::zero`].
    floor: UnixTime,
}

impl Clock {
    /// A clock whose zero is now.
    pub fn start() -> Self {
        Self { zero: Instant::now(), floor: UnixTime(0) }
    }

    /// The same clock, whose civil time is no earlier than `known` from now on: a moment that something on the disk is known
    /// to be from. Without a battery a board begins in 1970, and what happens then is not to look older than what was before.
    #[must_use]
    pub fn not_before(self, known: UnixTime) -> Self {
        let floor = UnixTime(known.0.saturating_sub(self.zero.elapsed().as_secs()));
        Self { floor: self.floor.max(floor), ..self }
    }

    /// The monotonic time.
    pub fn now(&self) -> Time {
        Time::ZERO + self.zero.elapsed()
    }

    /// The instant at which this clock shows `time`, for timers of the runtime.
    pub fn instant(&self, time: Time) -> Instant {
        self.zero + Duration::from_millis(time.as_millis())
    }

    /// The civil time, as far as it is known: zero if the system clock is before 1970.
    pub fn unix(&self) -> UnixTime {
        let shown = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        UnixTime(shown).max(self.floor + self.zero.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_behind_what_is_known_is_not_believed() {
        let clock = Clock::start();
        let shown = clock.unix();
        assert!(clock.not_before(UnixTime(7)).unix().since(shown) < Duration::from_secs(60));
        let later = shown + Duration::from_secs(1_000_000);
        let clock = clock.not_before(later).not_before(shown);
        assert!(clock.unix() >= later && clock.unix().since(later) < Duration::from_secs(60));
        assert!(clock.not_before(UnixTime(u64::MAX)).unix() >= later);
    }

    #[test]
    fn time_saturates() {
        let early = Time::from_millis(5);
        assert_eq!(early.since(Time::from_millis(9)), Duration::ZERO);
        assert_eq!(early - Duration::from_secs(1), Time::ZERO);
        assert_eq!((Time::from_millis(u64::MAX) + Duration::MAX).as_millis(), u64::MAX);
    }
}
