//! From levels on three wires to gestures, without wires and clocks.
//!
//! [`Quadrature`] follows the two contacts of a rotary encoder (EC11 and kin: both open, that is high, at a detent),
//! [`Button`] the third. Contacts bounce for some milliseconds (EC11 datasheet: 5 ms at most).

use std::time::Duration;

use super::Gesture;
use crate::types::Time;

/// Held so long, a press becomes a hold.
pub const HOLD: Duration = Duration::from_millis(600);
/// The button must keep a level so long before it counts; twice what the datasheet allows.
pub const DEBOUNCE: Duration = Duration::from_millis(10);
/// Steps of the two-bit Gray code between detents.
const STEPS_PER_DETENT: i8 = 4;

/// Levels of the two contacts that alternate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    pub a: bool,
    pub b: bool,
}

impl Levels {
    /// At rest in a detent.
    pub const REST: Self = Self { a: true, b: true };

    /// Place in the Gray code when turned clockwise (a falls first), from the detent: 11, 01, 00, 10.
    fn phase(self) -> i8 {
        match (self.a, self.b) {
            (true, true) => 0,
            (false, true) => 1,
            (false, false) => 2,
            (true, false) => 3,
        }
    }
}

/// Decoder of a rotary encoder that counts detents.
///
/// A bouncing contact only steps to and fro between two neighbouring states and cancels itself out. A missed edge
/// shows as a jump over one state; its direction is taken from the other steps once the detent is reached.
#[derive(Debug, Clone, Copy)]
pub struct Quadrature {
    levels: Levels,
    /// Steps since the last detent, clockwise positive.
    steps: i8,
    /// Two steps came at once, in a direction that is not known yet.
    jumped: bool,
}

impl Quadrature {
    /// A decoder for an encoder whose contacts are at these levels.
    pub fn new(levels: Levels) -> Self {
        let phase = levels.phase();
        // Switched on between detents: no more than half a detent can be missing.
        Self { levels, steps: if phase == 3 { -1 } else { phase }, jumped: false }
    }

    /// The contacts have changed; returns 1 or -1 when a detent is reached, else 0.
    pub fn update(&mut self, levels: Levels) -> i32 {
        let turned = (levels.phase() - self.levels.phase()).rem_euclid(STEPS_PER_DETENT);
        self.levels = levels;
        match turned {
            1 => self.steps += 1,
            3 => self.steps -= 1,
            // Twice is there and back, or all around: nothing that could be told apart.
            2 => self.jumped = !self.jumped,
            _ => {}
        }
        if levels == Levels::REST {
            let jump = if std::mem::take(&mut self.jumped) { 2 * self.steps.signum() } else { 0 };
            let steps = std::mem::take(&mut self.steps) + jump;
            // Fewer are a nudge that fell back.
            return match steps {
                ..=-3 => -1,
                3.. => 1,
                _ => 0,
            };
        }
        // Never at rest (a broken contact): bounded, still ready for the next detent.
        self.steps = self.steps.clamp(-STEPS_PER_DETENT, STEPS_PER_DETENT);
        0
    }
}

/// Decoder of a push button: press when let go, hold while still down.
#[derive(Debug, Clone, Copy, Default)]
pub struct Button {
    /// Level that counts.
    down: bool,
    /// Level seen last and since when, while it differs from the one that counts.
    pending: Option<Time>,
    /// Moment at which a press becomes a hold; none when up, or when the hold has been reported.
    hold_at: Option<Time>,
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

    /// Time has come to `now`.
    pub fn timeout(&mut self, now: Time) -> Option<Gesture> {
        if let Some(since) = self.pending.filter(|since| now >= *since + DEBOUNCE) {
            self.pending = None;
            self.down = !self.down;
            if self.down {
                self.hold_at = Some(since + HOLD);
            } else if let Some(hold_at) = self.hold_at.take() {
                return Some(if since >= hold_at { Gesture::Hold } else { Gesture::Press });
            }
        }
        // While letting go is still debounced it is not known whether the hold was reached.
        if self.pending.is_none() && self.hold_at.is_some_and(|at| now >= at) {
            self.hold_at = None;
            return Some(Gesture::Hold);
        }
        None
    }

    /// When [`Button::timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.pending.map(|since| since + DEBOUNCE).or(self.hold_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Levels of one detent clockwise, from rest to rest.
    const CLOCKWISE: [Levels; 4] = [
        Levels { a: false, b: true },
        Levels { a: false, b: false },
        Levels { a: true, b: false },
        Levels { a: true, b: true },
    ];

    fn detent(direction: i32) -> Vec<Levels> {
        let mut levels = CLOCKWISE.to_vec();
        if direction < 0 {
            levels[..3].reverse();
        }
        levels
    }

    fn millis(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn a_nudge_that_falls_back_is_nothing() {
        let mut knob = Quadrature::new(Levels::REST);
        let there_and_back = [CLOCKWISE[0], CLOCKWISE[1], CLOCKWISE[0], Levels::REST];
        assert_eq!(there_and_back.map(|levels| knob.update(levels)), [0; 4]);
    }

    #[test]
    fn one_lost_edge_loses_no_detent() {
        for (lost, direction) in [(0, 1), (1, 1), (2, 1), (0, -1), (1, -1), (2, -1)] {
            let mut knob = Quadrature::new(Levels::REST);
            let mut levels = detent(direction);
            levels.remove(lost);
            let turned: i32 = levels.into_iter().map(|levels| knob.update(levels)).sum();
            assert_eq!(turned, direction, "lost {lost}");
        }
    }

    #[test]
    fn press_is_told_when_let_go() {
        let mut button = Button::default();
        assert_eq!(button.update(millis(0), true), None);
        assert_eq!(button.poll_timeout(), Some(millis(10)));
        assert_eq!(button.timeout(millis(10)), None);
        assert_eq!(button.update(millis(200), false), None);
        assert_eq!(button.timeout(millis(210)), Some(Gesture::Press));
        assert_eq!(button.poll_timeout(), None);
    }

    #[test]
    fn hold_is_told_while_still_down() {
        let mut button = Button::default();
        button.update(millis(0), true);
        button.timeout(millis(10));
        assert_eq!(button.poll_timeout(), Some(millis(600)));
        assert_eq!(button.timeout(millis(600)), Some(Gesture::Hold));
        button.update(millis(900), false);
        assert_eq!(button.timeout(millis(910)), None);
    }

    #[test]
    fn a_short_blip_is_noise() {
        let mut button = Button::default();
        button.update(millis(0), true);
        assert_eq!(button.update(millis(4), false), None);
        assert_eq!((button.poll_timeout(), button.timeout(millis(50))), (None, None));
    }

    proptest! {
        #[test]
        fn bounces_between_neighbours_never_count(turns in prop::collection::vec((any::<bool>(), 0usize..4, 0usize..5), 1..40)) {
            let mut knob = Quadrature::new(Levels::REST);
            let (mut turned, mut expected) = (0, 0);
            for (clockwise, bouncing, times) in turns {
                let direction = if clockwise { 1 } else { -1 };
                expected += direction;
                let mut before = Levels::REST;
                for (step, levels) in detent(direction).into_iter().enumerate() {
                    turned += knob.update(levels);
                    if step == bouncing {
                        for _ in 0..times {
                            turned += knob.update(before);
                            turned += knob.update(levels);
                        }
                    }
                    before = levels;
                }
            }
            prop_assert_eq!(turned, expected);
        }

        #[test]
        fn noise_turns_no_faster_than_it_comes(noise in prop::collection::vec((any::<bool>(), any::<bool>()), 0..200)) {
            let mut knob = Quadrature::new(Levels::REST);
            let turned: i32 = noise.iter().map(|(a, b)| knob.update(Levels { a: *a, b: *b }).abs()).sum();
            prop_assert!(turned <= noise.len() as i32 / 3);
        }

        #[test]
        fn every_press_gives_one_gesture(presses in prop::collection::vec((30u64..1500, 30u64..1500, 0u64..4), 0..20)) {
            let mut button = Button::default();
            let mut now = 0;
            let (mut seen, mut expected) = (Vec::new(), Vec::new());
            for (down, up, bounces) in presses {
                for (level, length) in [(true, down), (false, up)] {
                    let mut at = now;
                    for _ in 0..bounces {
                        seen.extend(button.update(millis(at), level));
                        seen.extend(button.update(millis(at + 1), !level));
                        at += 2;
                    }
                    seen.extend(button.update(millis(at), level));
                    now += length;
                    while let Some(due) = button.poll_timeout().filter(|due| *due <= millis(now)) {
                        seen.extend(button.timeout(due));
                    }
                }
                expected.push(down);
            }
            prop_assert_eq!(seen.len(), expected.len());
            for (gesture, down) in seen.iter().zip(expected) {
                if down < 580 {
                    prop_assert_eq!(*gesture, Gesture::Press);
                } else if down > 620 {
                    prop_assert_eq!(*gesture, Gesture::Hold);
                }
            }
        }
    }
}
