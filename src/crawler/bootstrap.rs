//! When to ask the bootstrap hosts, who are few and serve everybody.

use std::time::Duration;

use rand::Rng;

use crate::types::Time;

/// Kept contacts are given this long to answer before a bootstrap host is asked.
const KEPT_FIRST: Duration = Duration::from_secs(10);
/// Wait after the first attempt, doubled after each further one.
const RETRY_FIRST: Duration = Duration::from_secs(5);
/// Longest wait between attempts.
const RETRY_MAX: Duration = Duration::from_secs(10 * 60);

/// Attempts with growing waits as long as nodes are isolated.
#[derive(Debug)]
pub struct Bootstrap {
    next: Time,
    attempts: u32,
    resolving: bool,
}

impl Bootstrap {
    /// `has_kept`: contacts of an earlier run are being asked, which may make the hosts unnecessary.
    pub fn new(now: Time, has_kept: bool) -> Self {
        Self { next: if has_kept { now + KEPT_FIRST } else { now }, attempts: 0, resolving: false }
    }

    /// Further nodes are there, and are given contacts that others know: that may make the hosts unnecessary.
    pub fn spare(&mut self, now: Time) {
        self.next = self.next.max(now + KEPT_FIRST);
    }

    /// Whether names are to be resolved now; true at most once until [`Bootstrap::resolved`].
    pub fn wants_names(&mut self, now: Time, isolated: bool) -> bool {
        if !isolated {
            // The next isolation is a new event, for example a cable put back.
            self.attempts = 0;
            return false;
        }
        let wants = !self.resolving && now >= self.next;
        self.resolving |= wants;
        wants
    }

    /// Names were resolved, or could not be: plans the next attempt, should it be needed.
    pub fn resolved(&mut self, now: Time, rng: &mut impl Rng) {
        let wait = RETRY_FIRST.saturating_mul(1 << self.attempts.min(10)).min(RETRY_MAX);
        self.resolving = false;
        self.attempts = self.attempts.saturating_add(1);
        // Up to a quarter more: jukeboxes that lost the same network do not come back in step.
        self.next = now + wait + rng.random_range(Duration::ZERO..=wait / 4);
    }

    /// Attempts since a node was last isolated.
    #[cfg(test)]
    fn attempts(&self) -> u32 {
        self.attempts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn attempts_grow_apart() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut bootstrap = Bootstrap::new(Time::ZERO, false);
        let mut now = Time::ZERO;
        for expected in [5u64, 10, 20, 40, 80, 160, 320, 600, 600] {
            assert!(bootstrap.wants_names(now, true));
            assert!(!bootstrap.wants_names(now + Duration::from_secs(3600), true), "already resolving");
            bootstrap.resolved(now, &mut rng);
            let wait = Duration::from_secs(expected);
            assert!(!bootstrap.wants_names(now + wait - Duration::from_millis(1), true));
            now = now + wait + wait / 4;
        }
    }

    #[test]
    fn kept_contacts_are_asked_first_and_may_be_enough() {
        let mut bootstrap = Bootstrap::new(Time::ZERO, true);
        assert!(!bootstrap.wants_names(Time::from_millis(9_999), true));
        assert!(!bootstrap.wants_names(Time::from_millis(20_000), false));
        assert!(bootstrap.wants_names(Time::from_millis(30_000), true));
    }

    #[test]
    fn isolation_after_success_starts_again_with_short_waits() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut bootstrap = Bootstrap::new(Time::ZERO, false);
        let mut now = Time::ZERO;
        for _ in 0..6 {
            assert!(bootstrap.wants_names(now, true));
            bootstrap.resolved(now, &mut rng);
            now = now + RETRY_MAX * 2;
        }
        assert_eq!(bootstrap.attempts(), 6);
        assert!(!bootstrap.wants_names(now, false));
        assert!(bootstrap.wants_names(now, true));
        bootstrap.resolved(now, &mut rng);
        assert!(bootstrap.wants_names(now + RETRY_FIRST * 2, true));
    }
}
