//! When the crawler's thread works.
//!
//! What a datagram costs is first of all that somebody wakes up for it. So what is due is done on a common [`TICK`], and where
//! datagrams come close upon each other they are left to gather for [`GATHER`]; but for a person who waits, everything is
//! done at once.

use std::time::Duration;

use crate::types::Time;

/// Timers are looked at on multiples of this, and whenever a datagram comes: what a step of a lookup waits for are seconds,
/// and a message a few dozen milliseconds more or less late is one that was so long on its way.
const TICK: Duration = Duration::from_millis(50);
/// Where datagrams come closer than this upon each other, they are read so far apart: the longest that an answer of ours is
/// held up by it.
pub(super) const GATHER: Duration = Duration::from_millis(1);

/// Whether datagrams come so close upon each other that it is worthwhile to let them gather: so many sockets had one, so long
/// after the time before.
pub(super) fn is_dense(count: usize, passed: Duration) -> bool {
    count > 1 || count > 0 && passed < GATHER
}

/// The tick at or after `deadline`.
pub(super) fn on_tick(deadline: Time) -> Time {
    let tick = TICK.as_millis() as u64;
    Time::from_millis(deadline.as_millis().div_ceil(tick).saturating_mul(tick))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_falls_on_ticks_and_never_before_its_time() {
        for (due, tick) in [(0, 0), (1, 50), (49, 50), (50, 50), (51, 100), (86_400_001, 86_400_050)] {
            assert_eq!(on_tick(Time::from_millis(due)), Time::from_millis(tick));
        }
        assert!(on_tick(Time::from_millis(u64::MAX)) >= Time::from_millis(u64::MAX - 50));
    }

    #[test]
    fn only_datagrams_that_come_close_upon_each_other_gather() {
        assert!(!is_dense(0, Duration::ZERO), "a timer is no datagram");
        assert!(!is_dense(1, GATHER), "one now and then is answered and the next is waited for");
        assert!(is_dense(1, GATHER / 2));
        assert!(is_dense(2, Duration::MAX));
    }
}
