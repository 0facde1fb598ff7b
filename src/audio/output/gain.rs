//! Volume and fades, without steps that would click.

use std::time::Duration;

/// How long a change of the volume takes.
const RAMP: Duration = Duration::from_millis(20);

/// How long the sound fades at a pause and after it.
const FADE: Duration = Duration::from_millis(10);

/// A level that moves to its target in equal steps, one a frame.
#[derive(Debug, Clone, Copy)]
struct Slope {
    now: f64,
    target: f64,
    step: f64,
}

impl Slope {
    fn at(level: f64) -> Self {
        Self { now: level, target: level, step: 0.0 }
    }

    fn go(&mut self, target: f64, over: Duration, rate: u32) {
        if target != self.target {
            self.target = target;
            let frames = (over.as_secs_f64() * f64::from(rate)).max(1.0);
            self.step = (target - self.now) / frames;
        }
    }

    fn next(&mut self) -> f64 {
        self.now += self.step;
        if self.step == 0.0 || (self.target - self.now) * self.step <= 0.0 {
            self.now = self.target;
            self.step = 0.0;
        }
        self.now
    }

    fn is_still_at(&self, level: f64) -> bool {
        self.now == level && self.target == level
    }
}

/// Scales samples by the volume and the fade. At 100 % and without a fade they are not touched.
#[derive(Debug)]
pub(super) struct Gain {
    volume: Slope,
    fade: Slope,
    rate: u32,
}

/// Loudness follows the cube of the level: 50 % is an eighth of the amplitude (-18 dB), which is heard as about half.
fn amplitude(percent: u8) -> f64 {
    (f64::from(percent.min(100)) / 100.0).powi(3)
}

impl Gain {
    pub fn new(percent: u8, rate: u32) -> Self {
        Self { volume: Slope::at(amplitude(percent)), fade: Slope::at(1.0), rate }
    }

    pub fn set_rate(&mut self, rate: u32) {
        self.rate = rate;
    }

    pub fn set_volume(&mut self, percent: u8) {
        self.volume.go(amplitude(percent), RAMP, self.rate);
    }

    pub fn fade_out(&mut self) {
        self.fade.go(0.0, FADE, self.rate);
    }

    pub fn fade_in(&mut self) {
        self.fade.go(1.0, FADE, self.rate);
    }

    /// Whether the fade out has reached silence.
    pub fn is_silent(&self) -> bool {
        self.fade.is_still_at(0.0)
    }

    /// Goes to full sound, or silence, at once.
    pub fn skip_fade(&mut self, audible: bool) {
        self.fade = Slope::at(if audible { 1.0 } else { 0.0 });
    }

    pub fn apply(&mut self, samples: &mut [i32], channels: usize) {
        if self.volume.is_still_at(1.0) && self.fade.is_still_at(1.0) {
            return;
        }
        for frame in samples.chunks_exact_mut(channels) {
            let level = self.volume.next() * self.fade.next();
            for sample in frame {
                // The cast saturates; the level is never above 1.
                *sample = (f64::from(*sample) * level).round() as i32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_volume_changes_no_bit() {
        let mut gain = Gain::new(100, 44_100);
        let mut samples = [i32::MAX, i32::MIN, 1, -1];
        gain.apply(&mut samples, 2);
        assert_eq!(samples, [i32::MAX, i32::MIN, 1, -1]);
    }

    #[test]
    fn a_change_is_a_ramp_and_full_volume_is_exact_again_after_it() {
        let mut gain = Gain::new(100, 1_000);
        gain.set_volume(0);
        let mut samples = [1_000_000; 30];
        gain.apply(&mut samples, 1);
        assert!(samples.windows(2).all(|pair| pair[0] >= pair[1] && pair[0] - pair[1] <= 50_001), "{samples:?}");
        assert_eq!(samples[20..], [0; 10]);
        gain.set_volume(100);
        gain.apply(&mut [0; 21], 1);
        let mut samples = [i32::MIN, 12_345];
        gain.apply(&mut samples, 1);
        assert_eq!(samples, [i32::MIN, 12_345]);
    }

    #[test]
    fn a_fade_ends_in_silence_and_comes_back() {
        let mut gain = Gain::new(100, 1_000);
        gain.fade_out();
        assert!(!gain.is_silent());
        gain.apply(&mut [0; 11], 1);
        assert!(gain.is_silent());
        gain.fade_in();
        let mut samples = [1_000; 12];
        gain.apply(&mut samples, 1);
        assert_eq!(samples[0], 100);
        assert_eq!(samples[11], 1_000);
    }
}
