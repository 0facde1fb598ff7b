//! How fast a file arrives, measured over the last seconds.

use std::collections::VecDeque;
use std::time::Duration;

use crate::types::Time;

/// What is older than this says little about the peers of now.
const WINDOW: Duration = Duration::from_secs(8);

/// Samples closer together than this are taken as one.
const SPACING: Duration = Duration::from_millis(200);

/// Shortest time a rate is computed over: data that is suddenly there has not arrived infinitely fast.
const MIN_SPAN: Duration = Duration::from_millis(50);

/// Mean download rate since the beginning, or over the last [`WINDOW`]. At most `WINDOW / SPACING` samples are held.
///
/// At the beginning it counts the time until the first byte, so it errs on the low side, which only delays a start.
#[derive(Debug, Clone, Default)]
pub struct RateMeter {
    samples: VecDeque<(Time, u64)>,
    latest: u64,
    moved: Option<Time>,
}

impl RateMeter {
    /// Notes that `have` bytes are there. Data that was there at the first call has not been downloaded now.
    pub fn note(&mut self, now: Time, have: u64) {
        if self.samples.is_empty() || have > self.latest {
            self.moved = Some(now);
        }
        self.latest = have;
        // The oldest sample is the anchor: it goes when the one after it is old enough to take its place.
        while self.samples.get(1).is_some_and(|(at, _)| now.since(*at) >= WINDOW) {
            self.samples.pop_front();
        }
        if self.samples.back().is_none_or(|(at, _)| now.since(*at) >= SPACING) {
            self.samples.push_back((now, have));
        }
    }

    /// Bytes a second; 0 if nothing has arrived.
    pub fn rate(&self, now: Time) -> f64 {
        let Some((_, had)) = self.samples.front() else { return 0.0 };
        let span = self.span(now).max(MIN_SPAN);
        self.latest.saturating_sub(*had) as f64 / span.as_secs_f64()
    }

    /// Over how long the rate is a mean.
    pub fn span(&self, now: Time) -> Duration {
        self.samples.front().map_or(Duration::ZERO, |(since, _)| now.since(*since))
    }

    /// When something arrived last, or the measuring began.
    pub fn moved(&self) -> Option<Time> {
        self.moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn mean_since_the_beginning_counts_the_wait_for_the_first_byte() {
        let mut meter = RateMeter::default();
        meter.note(at(0), 1000);
        assert_eq!(meter.rate(at(0)), 0.0);
        meter.note(at(900), 1000);
        meter.note(at(1000), 101_000);
        assert_eq!(meter.rate(at(1000)), 100_000.0);
        assert_eq!(meter.moved(), Some(at(1000)));
    }

    #[test]
    fn old_speed_is_forgotten_and_memory_is_bounded() {
        let mut meter = RateMeter::default();
        for tick in 0..5000u64 {
            meter.note(at(tick * 10), tick * 1_000_000);
        }
        assert!(meter.samples.len() <= 42, "{}", meter.samples.len());
        let last = 4999 * 10;
        for tick in 1..100u64 {
            meter.note(at(last + tick * 100), 4999 * 1_000_000);
        }
        assert!(meter.rate(at(last + 9900)) < 1.0);
        assert_eq!(meter.moved(), Some(at(last)));
    }

    #[test]
    fn sudden_data_is_not_infinitely_fast() {
        let mut meter = RateMeter::default();
        meter.note(at(0), 0);
        meter.note(at(0), 1_000_000);
        assert_eq!(meter.rate(at(0)), 20_000_000.0);
    }
}
