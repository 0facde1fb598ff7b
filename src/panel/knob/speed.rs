//! How far a turn reaches when the hand is fast.

use std::time::Duration;

/// After such a pause turning begins anew.
const PAUSE: Duration = Duration::from_millis(200);
/// Detents a second up to which a detent is a detent: half a revolution.
const SLOW: u32 = 12;
/// Detents a second at which a detent counts most: three revolutions.
const FAST: u32 = 72;
/// What a detent counts at most.
const MOST: u32 = 8;
/// Time between detents that is assumed when turning begins: slow.
const BEGIN: Duration = Duration::from_millis(100);

/// Knows how fast a knob is turned, and what a detent is worth in a long list.
///
/// The first detents of a movement and the first after a change of direction count as one each, so that a person who
/// has gone too far comes back one by one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Acceleration {
    last: Option<Last>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    at: Duration,
    /// 1 clockwise.
    direction: i32,
    /// Time between detents, smoothed.
    interval: Duration,
}

impl Acceleration {
    /// The knob was turned by `detents` at this time, on a clock that does not matter; returns how far that reaches in
    /// a long list, in the same direction.
    pub fn turn(&mut self, at: Duration, detents: i32) -> i32 {
        if detents == 0 {
            return 0;
        }
        let direction = detents.signum();
        let since = |last: &Last| at.saturating_sub(last.at);
        let last = self.last.filter(|last| last.direction == direction && since(last) < PAUSE);
        let interval = last.map_or(BEGIN, |last| (last.interval * 2 + since(&last) / detents.unsigned_abs()) / 3);
        self.last = Some(Last { at, direction, interval });
        if last.is_none() {
            return detents;
        }
        let rate = (1_000_000 / interval.as_micros().clamp(1, 1_000_000)) as u32;
        let rate = rate.clamp(SLOW, FAST);
        let worth = 1 + (MOST - 1) * (rate - SLOW) / (FAST - SLOW);
        detents.saturating_mul(worth as i32)
    }
}
