//! What the kernel tells of edges (gpiolib-cdev.c), for tests and experiments.

use std::collections::VecDeque;
use std::time::Duration;

use rand::Rng;

use super::Edge;

/// From an interrupt to its thread, in seconds: chosen, not measured; short enough for bounces to be over when a contact is
/// heard again ([`super::Steps::deaf`]).
const LATENCY: std::ops::Range<f64> = 0.000_02..0.000_4;

/// An event and when it can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Not before the time of its edge.
    pub when: Duration,
    pub edge: Edge,
}

/// A contact has moved: when, in seconds; which line; to which level.
pub type Moved = (f64, u32, bool);

/// A line whose interrupt thread has been woken.
struct Woken {
    line: u32,
    /// Of the last interrupt before the thread runs.
    at: f64,
    runs: f64,
}

/// Interrupts note the time and wake their line's thread, in whose order they came; the thread reads the level and numbers
/// the event.
pub fn tell(random: &mut impl Rng, moved: &[Moved]) -> Vec<Told> {
    let mut levels: Vec<(u32, bool, u32)> = Vec::new();
    let mut woken: VecDeque<Woken> = VecDeque::new();
    let mut told = Vec::new();
    let mut last_run: f64 = 0.0;
    for &(at, line, high) in moved {
        while let Some(thread) = woken.pop_front_if(|thread| thread.runs <= at) {
            told.push(run(&thread, &mut levels));
        }
        match levels.iter_mut().find(|(other, ..)| *other == line) {
            Some((_, level, _)) => *level = high,
            None => levels.push((line, high, 0)),
        }
        match woken.iter_mut().find(|thread| thread.line == line) {
            Some(thread) => thread.at = at,
            None => {
                last_run = last_run.max(at + random.random_range(LATENCY));
                woken.push_back(Woken { line, at, runs: last_run });
            }
        }
    }
    told.extend(woken.iter().map(|thread| run(thread, &mut levels)));
    told
}

fn run(thread: &Woken, levels: &mut [(u32, bool, u32)]) -> Told {
    let (_, high, number) = levels.iter_mut().find(|(line, ..)| *line == thread.line).expect("it has moved");
    *number += 1;
    let at = Duration::from_secs_f64(thread.at);
    let edge = Edge { at, line: thread.line, high: *high, line_seqno: *number };
    Told { when: Duration::from_secs_f64(thread.runs), edge }
}
