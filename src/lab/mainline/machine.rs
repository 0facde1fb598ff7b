//! The computer that a simulated crawler runs on: what its core takes of it, and, if told so, how little there is.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::types::Time;

/// Datagrams are taken in bursts of at most so many seconds' worth: what the socket buffers hold.
const BURST_SECONDS: f64 = 1.0;

/// The computer; see the module.
#[derive(Debug, Default)]
pub struct Machine {
    capacity: Option<Capacity>,
    is_measured: bool,
    spent: Duration,
    dropped: u64,
}

/// Datagrams that the processor has time for.
#[derive(Debug, Clone, Copy)]
struct Capacity {
    per_second: f64,
    left: f64,
    at: Time,
}

impl Machine {
    /// One that is never busy, and on which the processor time of the core is measured.
    pub fn measured() -> Self {
        Self { is_measured: true, ..Self::default() }
    }

    /// One that has time for so many datagrams a second, in and out together. More are lost.
    pub fn with_capacity(per_second: f64, now: Time) -> Self {
        let capacity = Capacity { per_second, left: per_second * BURST_SECONDS, at: now };
        Self { capacity: Some(capacity), ..Self::default() }
    }

    /// Whether there is time for a datagram.
    pub fn admits(&mut self, now: Time) -> bool {
        let Some(capacity) = &mut self.capacity else { return true };
        let most = capacity.per_second * BURST_SECONDS;
        capacity.left = (capacity.left + capacity.per_second * now.since(capacity.at).as_secs_f64()).min(most);
        capacity.at = now;
        let admitted = capacity.left >= 1.0;
        if admitted {
            capacity.left -= 1.0;
        } else {
            self.dropped += 1;
        }
        admitted
    }

    /// Does work of the core, and notes what it took.
    pub fn work<T>(&mut self, work: impl FnOnce() -> T) -> T {
        if !self.is_measured {
            return work();
        }
        let began = processor_time();
        let done = work();
        self.spent += processor_time().saturating_sub(began);
        done
    }

    /// Processor time of the core, without sockets; zero if it is not measured.
    pub fn spent(&self) -> Duration {
        self.spent
    }

    /// Datagrams that there was no time for.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// Processor time of this thread.
pub fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_machine_takes_what_it_has_time_for() {
        let mut machine = Machine::with_capacity(10.0, Time::ZERO);
        let taken = (0..10_000).filter(|at| machine.admits(Time::from_millis(*at))).count();
        assert!((105..=110).contains(&taken), "ten a second for ten seconds, and a burst of ten: {taken}");
        assert_eq!(machine.dropped() as usize, 10_000 - taken);
        let mut idle = Machine::default();
        assert!((0..1000).all(|_| idle.admits(Time::ZERO)));
    }

    #[test]
    fn work_is_measured_where_asked_for() {
        let toil = || (0..2_000_000_u64).fold(0, |sum: u64, at| std::hint::black_box(sum.wrapping_add(at * at)));
        let (mut measured, mut idle) = (Machine::measured(), Machine::default());
        assert_eq!(measured.work(toil), idle.work(toil));
        assert!(measured.spent() > Duration::ZERO && idle.spent() == Duration::ZERO);
    }
}
