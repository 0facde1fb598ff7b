//! Short pieces of music, composed from a seed, so that the demo needs no recordings of anybody.
//!
//! A piece is a chord progression in a scale, arpeggiated by plucked strings (Karplus and Strong, "Digital Synthesis of
//! Plucked-String and Drum Timbres", 1983) over a sine bass, with a melody that walks the scale and a soft pulse.

use std::f32::consts::TAU;

use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use crate::audio::encode::Pcm;

/// Semitones of the scales that pieces are written in.
const SCALES: [[i32; 7]; 4] =
    [[0, 2, 4, 5, 7, 9, 11], [0, 2, 3, 5, 7, 8, 10], [0, 2, 3, 5, 7, 9, 10], [0, 2, 4, 6, 7, 9, 11]];

/// Scale degrees of the chords' roots, one a bar.
const PROGRESSIONS: [[usize; 4]; 5] = [[0, 4, 5, 3], [0, 5, 3, 4], [0, 3, 0, 4], [5, 3, 0, 4], [0, 2, 3, 4]];

/// Notes a bar.
const STEPS: usize = 8;

/// Loudest sample before conversion to 16 bits; the rest is headroom.
const PEAK: f32 = 0.8;

/// Seconds over which a piece fades in and out, so that no file begins or ends with a click.
const FADE_S: f32 = 0.02;

struct Score {
    scale: [i32; 7],
    progression: [usize; 4],
    /// MIDI number of the tonic.
    tonic: i32,
    /// Seconds a step.
    step_s: f32,
}

impl Score {
    fn new(rng: &mut ChaCha8Rng) -> Self {
        Self {
            scale: *SCALES.choose(rng).expect("there are scales"),
            progression: *PROGRESSIONS.choose(rng).expect("there are progressions"),
            tonic: rng.random_range(45..57),
            step_s: rng.random_range(0.14..0.30),
        }
    }

    /// Hertz of a degree of the scale, octaves above the tonic wrapping every seven.
    fn pitch(&self, degree: usize) -> f32 {
        let semitones = self.scale[degree % 7] + 12 * (degree / 7) as i32;
        440.0 * 2f32.powf((self.tonic + semitones - 69) as f32 / 12.0)
    }
}

/// Composes the piece of this seed: stereo of 16 bits.
pub fn compose(seed: u64, seconds: f32, sample_rate: u32) -> Pcm {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let score = Score::new(&mut rng);
    let frames = (seconds * sample_rate as f32) as usize;
    let mut mix = Mix { rate: sample_rate as f32, frames: vec![[0.0; 2]; frames] };
    let step = (score.step_s * sample_rate as f32) as usize;
    let mut melody: usize = 7;
    for (index, at) in (0..frames).step_by(step.max(1)).enumerate() {
        let root = score.progression[index / STEPS % 4];
        let beat = index % STEPS;
        if beat.is_multiple_of(4) {
            mix.sine(at, score.pitch(root) / 2.0, score.step_s * 4.0, 0.30);
        }
        let chord = root + [0, 2, 4, 7, 4, 2, 4, 2][beat];
        mix.pluck(&mut rng, at, score.pitch(chord), Voice { seconds: 1.2, gain: 0.22, pan: 0.3 });
        if rng.random_bool(0.45) {
            melody = (melody + rng.random_range(0..5)).saturating_sub(2).clamp(4, 14);
            mix.pluck(&mut rng, at, score.pitch(melody + 3), Voice { seconds: 1.8, gain: 0.34, pan: 0.65 });
        }
        if beat.is_multiple_of(2) {
            mix.brush(&mut rng, at, if beat == 4 { 0.10 } else { 0.05 });
        }
    }
    mix.finish()
}

struct Voice {
    seconds: f32,
    gain: f32,
    /// 0 is left, 1 is right.
    pan: f32,
}

struct Mix {
    rate: f32,
    frames: Vec<[f32; 2]>,
}

impl Mix {
    fn add(&mut self, frame: usize, value: f32, pan: f32) {
        if let Some([left, right]) = self.frames.get_mut(frame) {
            *left += value * (1.0 - pan);
            *right += value * pan;
        }
    }

    /// A string of white noise that is averaged with its neighbour each time round.
    fn pluck(&mut self, rng: &mut ChaCha8Rng, at: usize, hertz: f32, voice: Voice) {
        let length = ((self.rate / hertz) as usize).max(2);
        let mut string: Vec<f32> = (0..length).map(|_| rng.random_range(-1.0..1.0)).collect();
        let frames = (voice.seconds * self.rate) as usize;
        for index in 0..frames {
            let here = index % length;
            let value = string[here];
            string[here] = 0.498 * (value + string[(here + 1) % length]);
            let release = 1.0 - index as f32 / frames as f32;
            self.add(at + index, value * voice.gain * release, voice.pan);
        }
    }

    fn sine(&mut self, at: usize, hertz: f32, seconds: f32, gain: f32) {
        let frames = (seconds * self.rate) as usize;
        for index in 0..frames {
            let progress = index as f32 / frames as f32;
            let envelope = (progress * 20.0).min(1.0) * (1.0 - progress);
            self.add(at + index, (TAU * hertz * index as f32 / self.rate).sin() * envelope * gain, 0.5);
        }
    }

    fn brush(&mut self, rng: &mut ChaCha8Rng, at: usize, gain: f32) {
        let frames = (0.06 * self.rate) as usize;
        for index in 0..frames {
            let envelope = (1.0 - index as f32 / frames as f32).powi(3);
            self.add(at + index, rng.random_range(-1.0..1.0) * envelope * gain, 0.5);
        }
    }

    fn finish(self) -> Pcm {
        let loudest = self.frames.iter().flatten().fold(f32::EPSILON, |most, value| most.max(value.abs()));
        let scale = PEAK / loudest * f32::from(i16::MAX);
        let count = self.frames.len();
        let fade = (FADE_S * self.rate).max(1.0);
        let samples = self
            .frames
            .iter()
            .enumerate()
            .flat_map(|(index, frame)| {
                let envelope = (index as f32 / fade).min((count - index) as f32 / fade).min(1.0);
                frame.map(|value| (value * scale * envelope) as i32)
            })
            .collect();
        Pcm { rate: self.rate as u32, channels: 2, bits: 16, samples }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_piece_and_pieces_differ() {
        let piece = compose(7, 1.0, 22_050);
        assert_eq!(piece, compose(7, 1.0, 22_050));
        assert_ne!(piece, compose(8, 1.0, 22_050));
        assert_eq!(piece.samples.len(), 44_100);
    }

    #[test]
    fn pieces_are_loud_enough_and_never_clip() {
        for seed in 0..4 {
            let loudest = compose(seed, 2.0, 22_050).samples.iter().map(|value| value.unsigned_abs()).max().unwrap();
            assert!((20_000..32_000).contains(&loudest), "{loudest}");
        }
    }
}
