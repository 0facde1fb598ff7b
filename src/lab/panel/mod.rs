//! The knob and the way from it to the display: whether every detent counts, and how soon its effect is to be seen.
//!
//! What is measured is what runs on a board, from the thread behind the knob to the driver of an SSD1306; only the contacts
//! and the wires to the display are made of software (`rig.rs`).

mod bus;
mod rig;

use std::time::{Duration, Instant};

use rand::Rng;

use super::report::{Series, percentile};
use super::{Experiment, LabError, Options, Report, Target};
use crate::panel::knob::bench::{Bench, drive};
use crate::panel::knob::kernel::Told;
use crate::panel::knob::{Knob, Lines, Steps};
use bus::Bus;
use rig::Rig;

/// Detents of each kind of encoder.
const DETENTS: usize = 10_000;

/// Of these in the quick form, so many go through the threads in real time.
const QUICK_DETENTS: usize = 300;

/// Detents whose way to the display is measured one by one, and in the quick form.
const WATCHED: usize = 1000;
const QUICK_WATCHED: usize = 200;

/// Revolutions a second, at most.
const FAST: f64 = 5.0;

/// So long a hand needs to turn back.
const TURN_BACK: Duration = Duration::from_millis(30);

/// How long an effect may take to be seen before the experiment gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bits a second of the bus that a display on I²C is usually connected to.
const I2C_SPEED: u32 = 400_000;

/// Rounds of the work that tells how fast the machine is.
const CALIBRATION_ROUNDS: usize = 20;

/// From turning to seeing.
pub const EXPERIMENT: Experiment = Experiment {
    name: "panel",
    summary: "detents of a bouncing knob that are lost or invented, and from a detent to changed pixels",
    targets: "0 lost, 0 invented; 99th percentile of the jukebox's own share at most 50 ms",
    run,
};

fn run(options: &Options) -> Result<Report, LabError> {
    let mut report =
        Report { experiment: "panel".into(), seed: options.seed, quick: options.quick, ..Report::default() };
    let kinds = [("1 step", Steps::One), ("2 steps", Steps::Two), ("4 steps", Steps::Four)];
    for (name, steps) in kinds {
        let turns = Turns::make(options.seed, steps, DETENTS, 0.2);
        let mut knob = Knob::new(turns.lines.clone(), Duration::ZERO, |_| true);
        let seen = directions(drive(&mut knob, &turns.lines, &turns.told, 0..0).iter().map(|turn| turn.detents()));
        count(&mut report, &format!("{name} a detent, decoder"), &turns.directions, &seen);
    }
    let real = if options.quick { QUICK_DETENTS } else { DETENTS };
    for (name, steps) in kinds {
        let turns = Turns::make(options.seed + 1, steps, real, 1.0);
        let seen = Rig::new(turns.lines.clone(), Bus::instant())?.count(&turns.told, PATIENCE)?;
        count(&mut report, &format!("{name} a detent, thread"), &turns.directions, &directions(seen));
    }
    let watched = if options.quick { QUICK_WATCHED } else { WATCHED };
    for (name, bus, target) in
        [("own share", Bus::instant(), Some(Target::AtMost(50.0))), ("with 400 kHz I²C", Bus::i2c(I2C_SPEED), None)]
    {
        let mut rig = Rig::new(lines(Steps::Four), bus)?;
        for (hand, fast) in [("one by one", false), ("at 5 rev/s", true)] {
            let delays = watch(&mut rig, options.seed, watched, fast)?;
            let what = format!("detent to pixels, {name}, {hand}");
            report.figure(&format!("{what}, median"), percentile(&delays, 0.5), "ms", None);
            report.figure(&format!("{what}, 99th percentile"), percentile(&delays, 0.99), "ms", target);
            report.series.push(Series {
                name: format!("{name} {hand}").replace(['²', '/'], ""),
                x_label: "detent",
                y_label: "ms",
                points: delays.iter().enumerate().map(|(index, delay)| (index as f64, *delay)).collect(),
            });
        }
    }
    calibrate(&mut report);
    report.notes.push(format!(
        "at up to {FAST} revolutions a second of 24 detents, bouncing for up to 2 ms; the decoder's {DETENTS} in no time, the \
         thread's {real} in real time"
    ));
    report.notes.push(
        "from the last edge of a detent to the last byte of the first frame that shows it; the wheel of letters is turned"
            .into(),
    );
    Ok(report)
}

fn lines(steps: Steps) -> Lines {
    Lines { a: 17, b: 27, press: 22, steps, keys: Vec::new() }
}

/// What a hand has done.
struct Turns {
    lines: Lines,
    told: Vec<Told>,
    /// Of each detent, 1 clockwise.
    directions: Vec<i32>,
}

impl Turns {
    /// At all speeds from `slow` on, the highest for a fifth of the time; the hand turns back now and then.
    fn make(seed: u64, steps: Steps, detents: usize, slow: f64) -> Self {
        let lines = lines(steps);
        let mut bench = Bench::new(seed, lines.clone());
        let (mut direction, mut directions) = (1, Vec::with_capacity(detents));
        for index in 0..detents {
            if bench.random().random_bool(0.05) {
                direction = -direction;
                bench.rest(TURN_BACK);
            }
            let speed = if index % 5 == 0 { FAST } else { bench.random().random_range(slow..FAST) };
            bench.detent(direction, speed);
            directions.push(direction);
        }
        Self { lines, told: bench.told(), directions }
    }
}

/// Each detent of turns by itself.
fn directions(turns: impl IntoIterator<Item = i32>) -> Vec<i32> {
    let each = |turn: i32| std::iter::repeat_n(turn.signum(), turn.unsigned_abs() as usize);
    turns.into_iter().flat_map(each).collect()
}

fn count(report: &mut Report, name: &str, wanted: &[i32], seen: &[i32]) {
    let (lost, invented) = differences(wanted, seen);
    report.figure(&format!("{name}, lost of {}", wanted.len()), lost as f64, "", Some(Target::AtMost(0.0)));
    report.figure(&format!("{name}, invented"), invented as f64, "", Some(Target::AtMost(0.0)));
}

/// How many detents of `wanted` are not in `seen`, and how many of `seen` were not wanted: what is left when the longest
/// movement that both have in common is taken out. Beyond [`SLACK`] lost or invented in a row, later ones count, too.
fn differences(wanted: &[i32], seen: &[i32]) -> (usize, usize) {
    const SLACK: usize = 64;
    // Longest common subsequence near the diagonal: row by row, what was seen up to a place.
    let offset = SLACK as isize;
    let width = 2 * SLACK + 1;
    let mut row = vec![0usize; width];
    for (at, want) in wanted.iter().enumerate() {
        let mut next = vec![0usize; width];
        for slot in 0..width {
            let place = at as isize + slot as isize - offset;
            if place < 0 {
                continue;
            }
            let left = if slot > 0 { next[slot - 1] } else { 0 };
            let above = row.get(slot + 1).copied().unwrap_or(0);
            let both = if seen.get(place as usize) == Some(want) { row[slot] + 1 } else { 0 };
            next[slot] = left.max(above).max(both);
        }
        row = next;
    }
    let common = row.into_iter().max().unwrap_or(0);
    (wanted.len() - common, seen.len() - common)
}

/// From each detent to the frame that shows it, in milliseconds.
fn watch(rig: &mut Rig, seed: u64, detents: usize, fast: bool) -> Result<Vec<f64>, LabError> {
    /// Detents of a movement: one and a half revolutions.
    const MOVEMENT: usize = 36;
    let mut delays = Vec::with_capacity(detents);
    let mut movement = 0;
    while delays.len() < detents {
        let mut bench = Bench::new(seed.wrapping_add(movement), lines(Steps::Four));
        let direction = if movement % 2 == 0 { 1 } else { -1 };
        let count = if fast { MOVEMENT } else { 1 };
        let ends: Vec<Duration> = (0..count).map(|_| bench.detent(direction, FAST)).collect();
        delays.extend(rig.follow(&bench.told(), &ends, direction, PATIENCE)?);
        movement += 1;
    }
    Ok(delays)
}

/// How fast this machine is, by work of the jukebox that is always the same: to tell what an emulated board makes slower,
/// run the same program on both.
fn calibrate(report: &mut Report) {
    let mut times: Vec<f64> = (0..CALIBRATION_ROUNDS)
        .map(|_| {
            let begin = Instant::now();
            rig::work();
            begin.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    report.figure("calibration: fixed work, fastest", times[0], "ms", None);
    report.notes.push(
        "calibration: drawing the wheel 200 times; the same figure of another machine, divided, is how much slower it is"
            .into(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_and_what_is_invented_is_told_apart() {
        let wanted = [1, 1, -1, -1, 1, 1, 1];
        assert_eq!(differences(&wanted, &wanted), (0, 0));
        assert_eq!(differences(&wanted, &[1, -1, -1, 1, 1, 1]), (1, 0));
        assert_eq!(differences(&wanted, &[1, 1, -1, 1, -1, 1, 1, 1]), (0, 1));
        // As many, but not the same ones.
        assert_eq!(differences(&wanted, &[1, 1, 1, -1, 1, 1, 1]), (1, 1));
        assert_eq!(differences(&wanted, &[]), (7, 0));
        assert_eq!(differences(&[], &[1]), (0, 1));
    }

    #[test]
    fn turns_become_single_detents() {
        assert_eq!(directions([2, -1, 0, 1]), [1, 1, -1, 1]);
    }
}
