//! When a failed infohash is tried again, and when it is given up. Pure. Which one is asked for next is for who keeps them.

use std::time::Duration;

use rand::Rng;

/// Wait after the first failure. Short, because the usual reason is that only few peers were known yet.
pub const FIRST_RETRY: Duration = Duration::from_secs(30);

/// Each wait is this many times the one before: 30 s, 3 min, 18 min, 1.8 h, 11 h, 2.7 d.
pub const RETRY_FACTOR: u32 = 6;

/// Attempts after which an infohash is given up: it was tried over more than three days.
pub const MAX_ATTEMPTS: u32 = 7;

/// Wait after a failure that was ours: no memory, no free connection, shutting down.
pub const LOCAL_RETRY: Duration = Duration::from_secs(20);

/// Waits are spread by this share up and down, so that what failed together does not come back together.
const JITTER: f64 = 0.2;

/// What kind of failure an attempt ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// Nobody was found to ask.
    NoPeers,
    /// All who were asked failed.
    PeersFailed,
    /// We ourselves could not: no memory, no free connection, or the end of the process.
    Local,
    /// The metadata has the right hash and cannot be used (v2 only, nonsense inside): no attempt can change that.
    Unusable,
}

/// How long to wait before the next attempt, or none to give up. `attempts` counts all so far, this one included.
pub fn retry(failure: Failure, attempts: u32, rng: &mut impl Rng) -> Option<Duration> {
    let wait = match failure {
        Failure::Unusable => return None,
        Failure::Local => LOCAL_RETRY,
        Failure::NoPeers | Failure::PeersFailed if attempts >= MAX_ATTEMPTS => return None,
        Failure::NoPeers | Failure::PeersFailed => {
            FIRST_RETRY.saturating_mul(RETRY_FACTOR.saturating_pow(attempts.saturating_sub(1)))
        }
    };
    Some(wait.mul_f64(rng.random_range(1.0 - JITTER..=1.0 + JITTER)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn waits_grow_and_end() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let waits: Vec<_> = (1..=MAX_ATTEMPTS).map(|n| retry(Failure::PeersFailed, n, &mut rng)).collect();
        assert_eq!(waits.last(), Some(&None));
        let waits: Vec<f64> = waits.into_iter().flatten().map(|wait| wait.as_secs_f64()).collect();
        assert_eq!(waits.len(), 6);
        assert!((24.0..=36.0).contains(&waits[0]), "{waits:?}");
        assert!(waits.windows(2).all(|pair| pair[1] > pair[0] * 3.0), "{waits:?}");
        assert!(waits.iter().sum::<f64>() > 2.5 * 86400.0, "{waits:?}");
    }

    #[test]
    fn the_reason_counts() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        assert_eq!(retry(Failure::Unusable, 1, &mut rng), None);
        assert!(retry(Failure::Local, 1000, &mut rng).is_some_and(|wait| wait < Duration::from_secs(60)));
        assert_eq!(retry(Failure::NoPeers, MAX_ATTEMPTS, &mut rng), None);
    }

    proptest! {
        #[test]
        fn any_numbers_give_a_wait(attempts: u32, seed: u64) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            for failure in [Failure::NoPeers, Failure::PeersFailed, Failure::Local] {
                let wait = retry(failure, attempts, &mut rng);
                prop_assert!(wait.is_none_or(|wait| wait >= Duration::from_secs(15) && wait < Duration::from_secs(4 * 86400)));
            }
        }
    }
}
