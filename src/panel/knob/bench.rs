//! An encoder on a bench, for tests and experiments: turned by a motor, with contacts that bounce.

use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Edge, Knob, Levels, Lines, Steps};
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
    edges: Vec<(f64, u32, bool)>,
}

impl Bench {
    /// An encoder at rest on these lines, whose first edge comes after a second.
    pub fn new(seed: u64, lines: Lines) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(seed), lines, phase: 0, now: 1.0, edges: Vec::new() }
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
        self.edges.push((self.now, line, high));
        let back = times.into_iter().zip([!high, high].into_iter().cycle());
        self.edges.extend(back.map(|(after, level)| (self.now + after, line, level)));
    }

    /// The edges so far in the order of time, numbered.
    pub fn edges(mut self) -> Vec<Edge> {
        self.edges.sort_by(|one, other| one.0.total_cmp(&other.0));
        let numbered = self.edges.into_iter().zip(1..);
        numbered.map(|((at, line, high), seqno)| Edge { at: Duration::from_secs_f64(at), line, high, seqno }).collect()
    }
}

/// What the decoder makes of edges, in no time: called as the thread calls it, with its timeouts in between. The edges at
/// `dropped` happen without being told.
pub fn drive(knob: &mut Knob, lines: &Lines, edges: &[Edge], dropped: std::ops::Range<usize>) -> Vec<Gesture> {
    let mut gestures = Vec::new();
    let mut high: Vec<(u32, bool)> = lines.numbers().map(|line| (line, true)).collect();
    for (index, edge) in edges.iter().enumerate() {
        if !dropped.contains(&index) {
            knob.edge(*edge, &mut gestures);
        }
        high.iter_mut().filter(|(line, _)| *line == edge.line).for_each(|(_, level)| *level = edge.high);
        let next = edges.get(index + 1).map_or(edge.at + Duration::from_secs(1), |next| next.at);
        while let Some(due) = knob.poll_timeout().filter(|due| *due < next) {
            let now = due.max(edge.at);
            if knob.wants_levels(now) {
                knob.levels(now, |line| high.iter().any(|(other, level)| *other == line && *level), &mut gestures);
            } else {
                knob.timeout(now, &mut gestures);
            }
        }
    }
    gestures
}
