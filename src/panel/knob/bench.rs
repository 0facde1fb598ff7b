//! An encoder on a bench, for tests and experiments: turned by a motor, with contacts that bounce.

use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::kernel::{self, Moved, Told};
use super::{Knob, Levels, Lines, Steps};
use crate::panel::Gesture;

/// Detents of a revolution.
const DETENTS: f64 = 24.0;

/// How long a contact bounces at most, in seconds (EC11 datasheet).
const BOUNCES: f64 = 0.002;

/// A contact goes back and forth so often at most.
const MOST_BOUNCES: u32 = 5;

/// Levels in the order of the Gray code, clockwise from rest.
const CLOCKWISE: [Levels; 4] =
    [Levels::REST, Levels { a: false, b: true }, Levels { a: false, b: false }, Levels { a: true, b: false }];

/// The encoder and its motor.
#[derive(Debug)]
pub struct Bench {
    random: ChaCha8Rng,
    lines: Lines,
    /// Place in the Gray code.
    phase: i32,
    /// In seconds.
    now: f64,
    moved: Vec<Moved>,
}

impl Bench {
    /// An encoder at rest on these lines, whose first edge comes after a second.
    pub fn new(seed: u64, lines: Lines) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(seed), lines, phase: 0, now: 1.0, moved: Vec::new() }
    }

    /// Where all its randomness comes from.
    pub fn random(&mut self) -> &mut ChaCha8Rng {
        &mut self.random
    }

    /// Stands still for a while; a hand needs 30 ms or more to turn back.
    pub fn rest(&mut self, pause: Duration) {
        self.now += pause.as_secs_f64();
    }

    /// Turns by one detent at so many revolutions a second; the steps of it differ by up to a seventh. Returns when the
    /// contact that completes it closes or opens.
    pub fn detent(&mut self, direction: i32, speed: f64) -> Duration {
        let count = match self.lines.steps {
            Steps::One => 1,
            Steps::Two => 2,
            Steps::Four => 4,
        };
        for _ in 0..count {
            self.now += self.random.random_range(0.86..1.14) / (speed * DETENTS * f64::from(count));
            let old = CLOCKWISE[self.phase as usize];
            self.phase = (self.phase + direction).rem_euclid(4);
            let new = CLOCKWISE[self.phase as usize];
            let (line, high) = if old.a != new.a { (self.lines.a, new.a) } else { (self.lines.b, new.b) };
            self.bounce(line, high);
        }
        Duration::from_secs_f64(self.now)
    }

    /// The contact of the line goes to the level, and back and forth for up to [`BOUNCES`].
    fn bounce(&mut self, line: u32, high: bool) {
        let pairs = self.random.random_range(0..=MOST_BOUNCES);
        let mut times: Vec<f64> = (0..2 * pairs).map(|_| self.random.random_range(0.0..BOUNCES)).collect();
        times.sort_by(f64::total_cmp);
        self.moved.push((self.now, line, high));
        let back = times.into_iter().zip([!high, high].into_iter().cycle());
        self.moved.extend(back.map(|(after, level)| (self.now + after, line, level)));
    }

    /// What the kernel tells of it all.
    pub fn told(mut self) -> Vec<Told> {
        self.moved.sort_by(|one, other| one.0.total_cmp(&other.0));
        kernel::tell(&mut self.random, &self.moved)
    }
}

/// What the decoder makes of events, in no time: called as the thread calls it, with its timeouts in between. The events at
/// `dropped` happen without being told.
pub fn drive(knob: &mut Knob, lines: &Lines, told: &[Told], dropped: std::ops::Range<usize>) -> Vec<Gesture> {
    let mut gestures = Vec::new();
    let mut high: Vec<(u32, bool)> = lines.numbers().map(|line| (line, true)).collect();
    for (index, Told { when, edge }) in told.iter().enumerate() {
        if !dropped.contains(&index) {
            knob.edge(*edge, &mut gestures);
        }
        high.iter_mut().filter(|(line, _)| *line == edge.line).for_each(|(_, level)| *level = edge.high);
        let next = told.get(index + 1).map_or(*when + Duration::from_secs(1), |next| next.when);
        while let Some(due) = knob.poll_timeout().filter(|due| *due < next) {
            let now = due.max(*when);
            if knob.wants_levels(now) {
                knob.levels(now, |line| high.iter().any(|(other, level)| *other == line && *level), &mut gestures);
            } else {
                knob.timeout(now, &mut gestures);
            }
        }
    }
    gestures
}
