//! Whether the tasks of the jukebox are alive, as a function of their rounds.
//!
//! A task that waits for something still makes a round every [`Tick::IDLE`](crate::types::Tick::IDLE), so one whose rounds
//! stand still for longer than its bound hangs. Time in which the observer itself was held up (a suspended machine, a
//! stopped process, too little processor time) counts against nobody.

use std::collections::HashMap;
use std::time::Duration;

use crate::types::Time;

/// Between two observations at most this much is counted, however long it was.
pub const LONGEST_STEP: Duration = Duration::from_secs(10);

/// What is to be seen of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulse {
    pub name: &'static str,
    /// Rounds of its loop so far.
    pub rounds: u64,
    /// How long a round may take at most, whatever the disk or network does.
    pub bound: Duration,
    /// It failed and pauses before it is started again: nothing is expected of it.
    pub resting: bool,
}

/// A task that hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stuck {
    pub name: &'static str,
    /// How long its rounds stood still.
    pub still: Duration,
    pub bound: Duration,
}

impl std::fmt::Display for Stuck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} stands still for {} s, {} s are allowed", self.name, self.still.as_secs(), self.bound.as_secs())
    }
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    rounds: u64,
    still: Duration,
}

/// What was seen so far. As many entries as there are tasks.
#[derive(Debug, Default)]
pub struct Liveness {
    last: Option<Time>,
    seen: HashMap<&'static str, Seen>,
}

impl Liveness {
    /// Takes note of the tasks as they are now; gives those that hang.
    pub fn observe(&mut self, now: Time, pulses: &[Pulse]) -> Vec<Stuck> {
        let step = self.last.map_or(Duration::ZERO, |last| now.since(last)).min(LONGEST_STEP);
        self.last = Some(now);
        let mut stuck = Vec::new();
        for pulse in pulses {
            let fresh = Seen { rounds: pulse.rounds, still: Duration::ZERO };
            let seen = self.seen.entry(pulse.name).or_insert(fresh);
            if pulse.resting || seen.rounds != pulse.rounds {
                *seen = fresh;
                continue;
            }
            seen.still += step;
            if seen.still > pulse.bound {
                stuck.push(Stuck { name: pulse.name, still: seen.still, bound: pulse.bound });
            }
        }
        stuck
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOUND: Duration = Duration::from_secs(20);

    fn pulse(name: &'static str, rounds: u64) -> Pulse {
        Pulse { name, rounds, bound: BOUND, resting: false }
    }

    fn at(seconds: u64) -> Time {
        Time::from_millis(seconds * 1000)
    }

    #[test]
    fn a_task_that_stands_still_beyond_its_bound_is_stuck_until_it_goes_on() {
        let mut liveness = Liveness::default();
        for second in 0..=20 {
            assert_eq!(liveness.observe(at(second), &[pulse("ui", 7), pulse("player", second)]), [], "{second}");
        }
        let stuck = liveness.observe(at(21), &[pulse("ui", 7), pulse("player", 21)]);
        assert_eq!(stuck, [Stuck { name: "ui", still: Duration::from_secs(21), bound: BOUND }]);
        assert!(stuck[0].to_string().contains("ui stands still for 21 s"));
        assert_eq!(liveness.observe(at(22), &[pulse("ui", 8), pulse("player", 21)]), []);
    }

    #[test]
    fn a_slow_task_within_its_bound_is_alive() {
        let mut liveness = Liveness::default();
        for second in 0..1000 {
            let slow = Pulse { bound: Duration::from_secs(120), ..pulse("storage", second / 119) };
            assert_eq!(liveness.observe(at(second), &[slow]), [], "{second}");
        }
    }

    #[test]
    fn nothing_is_expected_of_a_task_between_a_failure_and_its_restart() {
        let mut liveness = Liveness::default();
        for second in 0..100 {
            assert_eq!(liveness.observe(at(second), &[Pulse { resting: true, ..pulse("peers", 3) }]), []);
        }
        assert_eq!(liveness.observe(at(110), &[pulse("peers", 3)]), [], "its time begins when it is started again");
    }

    #[test]
    fn a_machine_that_slept_is_no_reason_to_start_anew() {
        let mut liveness = Liveness::default();
        liveness.observe(at(0), &[pulse("ui", 7)]);
        assert_eq!(liveness.observe(at(50_000), &[pulse("ui", 7)]), []);
    }

    proptest! {
        #[test]
        fn a_task_is_stuck_exactly_when_its_rounds_stood_still_for_longer_than_its_bound(
            steps in prop::collection::vec((0u64..10_000, prop::bool::weighted(0.2)), 1..80),
        ) {
            let (mut liveness, mut now, mut rounds, mut still) = (Liveness::default(), 0, 0, 0);
            liveness.observe(Time::ZERO, &[pulse("x", 0)]);
            for (millis, moves) in steps {
                now += millis;
                if moves {
                    rounds += 1;
                    still = 0;
                } else {
                    still += millis;
                }
                let stuck = liveness.observe(Time::from_millis(now), &[pulse("x", rounds)]);
                prop_assert_eq!(!stuck.is_empty(), Duration::from_millis(still) > BOUND);
            }
        }
    }
}
