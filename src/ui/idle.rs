//! What happens when nobody touches the knob: back to the music, dimmer, dark, and nothing burnt in.

use std::time::Duration;

use crate::panel::Light;
use crate::types::Time;

/// Lists and menus give way to the playing song.
pub const RETURN_AFTER: Duration = Duration::from_secs(45);
/// The status is watched longer.
pub const STATUS_RETURN_AFTER: Duration = Duration::from_secs(300);
/// The display dims.
const DIM_AFTER: Duration = Duration::from_secs(120);
/// The display goes dark if nothing plays either.
const OFF_AFTER: Duration = Duration::from_secs(600);
/// From then on the picture wanders, so that no pixel is always lit (organic displays fade where they shine).
const SHIFT_AFTER: Duration = Duration::from_secs(60);
/// Time between two steps of wandering.
const SHIFT_EVERY: Duration = Duration::from_secs(60);
/// Where the picture wanders, in pixels right and down. Screens keep what matters off the outermost pixel.
const SHIFTS: [(i32, i32); 8] = [(1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1)];

/// How bright, `idle` after the last touch.
pub fn light(idle: Duration, sounding: bool) -> Light {
    match idle {
        idle if idle >= OFF_AFTER && !sounding => Light::Off,
        idle if idle >= DIM_AFTER => Light::Dim,
        _ => Light::Full,
    }
}

/// How far the picture is moved right and down.
pub fn shift(idle: Duration) -> (i32, i32) {
    match idle.checked_sub(SHIFT_AFTER) {
        Some(since) => SHIFTS[(since.as_secs() / SHIFT_EVERY.as_secs()) as usize % SHIFTS.len()],
        None => (0, 0),
    }
}

/// When [`light`] or [`shift`] next change by themselves.
pub fn next_change(now: Time, touched: Time, sounding: bool) -> Option<Time> {
    let idle = now.since(touched);
    if light(idle, sounding) == Light::Off {
        return None; // Dark until touched: nothing to wander.
    }
    let steps = idle.saturating_sub(SHIFT_AFTER).as_secs() / SHIFT_EVERY.as_secs() + 1;
    let shift = if idle < SHIFT_AFTER { SHIFT_AFTER } else { SHIFT_AFTER + SHIFT_EVERY * steps as u32 };
    let off = (!sounding).then_some(OFF_AFTER);
    [Some(DIM_AFTER), off, Some(shift)].into_iter().flatten().filter(|at| *at > idle).min().map(|at| touched + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn music_keeps_the_display_on() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        assert_eq!(
            [0, 1, 2, 9, 10].map(|at| light(minutes(at), false)),
            [Light::Full, Light::Full, Light::Dim, Light::Dim, Light::Off]
        );
        assert_eq!(light(minutes(1000), true), Light::Dim);
    }

    #[test]
    fn every_change_is_announced() {
        for sounding in [false, true] {
            let touched = Time::from_millis(5_000);
            let (mut now, mut steps) = (touched, 0);
            while let Some(next) = next_change(now, touched, sounding) {
                assert!(next > now);
                // Nothing changes before.
                let just_before = next - Duration::from_millis(1);
                assert_eq!(shift(just_before.since(touched)), shift(now.since(touched)));
                assert_eq!(light(just_before.since(touched), sounding), light(now.since(touched), sounding));
                now = next;
                steps += 1;
                if steps > 50 {
                    break;
                }
            }
            assert_eq!(steps > 50, sounding, "dark ends it unless something plays");
        }
    }

    #[test]
    fn the_picture_stays_within_one_pixel() {
        let shifts: std::collections::BTreeSet<_> = (0..60).map(|at| shift(Duration::from_secs(60 * at))).collect();
        assert_eq!(shifts.len(), 9);
        assert!(shifts.iter().all(|(x, y)| x.abs() <= 1 && y.abs() <= 1));
    }
}
