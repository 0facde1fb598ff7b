//! From the channels and rate of a track to those of the output.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Async, Fft, FixedAsync, FixedSync, Resampler, SincInterpolationParameters, WindowFunction};

use super::output::PcmFormat;

/// Frames that the resampler takes at once, about: a compromise between delay and work.
const CHUNK: usize = 1024;

/// Largest reduced numerator or denominator of a ratio that is converted by Fourier transform, whose length it is a
/// divisor of: odd rates such as 767,957 Hz to 48,000 Hz would take 90 MiB. All rates that music has reduce to less.
const MAX_TRANSFORM: u32 = 8192;

/// Length of the windowed sinc that converts the other ratios.
const SINC_LENGTH: usize = 256;

/// Amplitude of a channel that is mixed into another one at equal power: -3 dB (ITU-R BS.775).
const MINUS_3_DB: f64 = std::f64::consts::FRAC_1_SQRT_2;

/// Full scale of the samples.
const SCALE: f64 = (1u64 << 31) as f64;

/// Speakers of WAVE_FORMAT_EXTENSIBLE.
mod speaker {
    pub const FRONT_LEFT: u64 = 1 << 0;
    pub const FRONT_RIGHT: u64 = 1 << 1;
    pub const CENTER: u64 = 1 << 2;
    pub const LOW_FREQUENCY: u64 = 1 << 3;
    /// Rear left, front left of centre, side left.
    pub const OTHER_LEFT: u64 = 1 << 4 | 1 << 6 | 1 << 9;
    /// Rear right, front right of centre, side right.
    pub const OTHER_RIGHT: u64 = 1 << 5 | 1 << 7 | 1 << 10;
}

/// What a converter is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub rate: u32,
    pub channels: u16,
    /// Bit mask as in WAVE_FORMAT_EXTENSIBLE.
    pub speakers: Option<u64>,
}

/// How much of each input channel goes to each output channel.
#[derive(Debug, PartialEq)]
enum Mix {
    /// As it is.
    Straight,
    /// One channel to all of them, bit for bit.
    Spread,
    /// A row of factors for each output channel.
    Matrix(Vec<Vec<f64>>),
}

impl Mix {
    fn new(from: Shape, to: u16) -> Self {
        if from.channels == to {
            return Self::Straight;
        }
        if from.channels == 1 {
            return Self::Spread;
        }
        let inputs = usize::from(from.channels);
        let mut rows = match to {
            1 => vec![vec![1.0; inputs]],
            2 => stereo_rows(from),
            // To more channels: the first ones, and silence on the others.
            _ => (0..usize::from(to)).map(|row| (0..inputs).map(|input| f64::from(input == row)).collect()).collect(),
        };
        // Never louder than full scale, and both sides equally loud.
        let loudest = rows.iter().map(|row| row.iter().sum::<f64>()).fold(1.0, f64::max);
        rows.iter_mut().flatten().for_each(|factor| *factor /= loudest);
        Self::Matrix(rows)
    }

    fn apply(&self, samples: &[i32], inputs: usize, outputs: usize, to: &mut Vec<i32>) {
        match self {
            Self::Straight => to.extend_from_slice(samples),
            Self::Spread => samples.iter().for_each(|sample| to.extend(std::iter::repeat_n(*sample, outputs))),
            Self::Matrix(rows) => {
                for frame in samples.chunks_exact(inputs) {
                    to.extend(rows.iter().map(|row| {
                        let sum: f64 = row.iter().zip(frame).map(|(factor, sample)| factor * f64::from(*sample)).sum();
                        sum.round() as i32
                    }));
                }
            }
        }
    }
}

/// Left and right from more channels, by where the speakers stand; the low-frequency channel is left out, as in
/// ITU-R BS.775.
fn stereo_rows(from: Shape) -> Vec<Vec<f64>> {
    use speaker::{CENTER, FRONT_LEFT, FRONT_RIGHT, LOW_FREQUENCY, OTHER_LEFT, OTHER_RIGHT};
    let inputs = usize::from(from.channels);
    let mask = from.speakers.filter(|mask| mask.count_ones() as usize == inputs);
    // Channels are in the order of the mask's bits.
    let places: Vec<Option<u64>> = match mask {
        Some(mask) => (0..u64::BITS).map(|bit| 1 << bit).filter(|place| mask & place != 0).map(Some).collect(),
        None => (0..inputs).map(|input| [FRONT_LEFT, FRONT_RIGHT].get(input).copied()).collect(),
    };
    let row = |own: u64, others: u64| {
        places
            .iter()
            .map(|place| match place {
                Some(place) if *place == own => 1.0,
                Some(place) if *place == LOW_FREQUENCY || place & (FRONT_LEFT | FRONT_RIGHT) != 0 => 0.0,
                Some(place) if *place != CENTER && place & (OTHER_LEFT | OTHER_RIGHT) & !others != 0 => 0.0,
                _ => MINUS_3_DB,
            })
            .collect()
    };
    vec![row(FRONT_LEFT, OTHER_LEFT), row(FRONT_RIGHT, OTHER_RIGHT)]
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A resampler with what it has not taken yet.
struct Rate {
    resampler: Box<dyn Resampler<f32>>,
    channels: usize,
    /// Interleaved input that does not fill a chunk.
    pending: Vec<f32>,
    output: Vec<f32>,
    /// Frames of the resampler's delay that are still to be left out.
    skip: usize,
}

impl Rate {
    fn new(from: u32, to: u32, channels: usize) -> Result<Self, String> {
        let reduced = from.max(to) / gcd(from, to);
        let resampler: Box<dyn Resampler<f32>> = if reduced <= MAX_TRANSFORM {
            let transform = Fft::new(from as usize, to as usize, CHUNK, channels, FixedSync::Input);
            Box::new(transform.map_err(|error| format!("cannot convert {from} Hz to {to} Hz: {error}"))?)
        } else {
            let (ratio, window) = (f64::from(to) / f64::from(from), WindowFunction::BlackmanHarris2);
            let sinc = SincInterpolationParameters::new(SINC_LENGTH, window);
            let sinc = Async::new_sinc(ratio, 1.0, &sinc, CHUNK, channels, FixedAsync::Input);
            Box::new(sinc.map_err(|error| format!("cannot convert {from} Hz to {to} Hz: {error}"))?)
        };
        let output = vec![0.0; resampler.output_frames_max() * channels];
        let skip = resampler.output_delay();
        Ok(Self { resampler, channels, pending: Vec::new(), output, skip })
    }

    /// Takes interleaved samples and appends what comes out, at most `limit` frames.
    fn process(&mut self, samples: &[i32], to: &mut Vec<i32>, limit: u64) -> u64 {
        self.pending.extend(samples.iter().map(|sample| (f64::from(*sample) / SCALE) as f32));
        let mut made = 0;
        loop {
            let need = self.resampler.input_frames_next();
            if self.pending.len() < need * self.channels {
                return made;
            }
            made += self.chunk(need, to, limit - made);
            self.pending.drain(..need * self.channels);
        }
    }

    fn chunk(&mut self, frames: usize, to: &mut Vec<i32>, limit: u64) -> u64 {
        let capacity = self.output.len() / self.channels;
        let written = match (
            InterleavedSlice::new(&self.pending, self.channels, frames),
            InterleavedSlice::new_mut(&mut self.output, self.channels, capacity),
        ) {
            (Ok(input), Ok(mut output)) => self.resampler.process_into_buffer(&input, &mut output, None),
            // The slices are as long as they say.
            _ => return 0,
        };
        let Ok((_, written)) = written else { return 0 };
        let skip = self.skip.min(written);
        self.skip -= skip;
        let frames = (written - skip).min(usize::try_from(limit).unwrap_or(usize::MAX));
        let samples = &self.output[skip * self.channels..(skip + frames) * self.channels];
        to.extend(samples.iter().map(|sample| (f64::from(*sample) * SCALE).round() as i32));
        frames as u64
    }
}

/// Converts one stream, across the tracks that have the same shape.
pub(super) struct Converter {
    from: Shape,
    to: PcmFormat,
    mix: Mix,
    rate: Option<Rate>,
    frames_in: u64,
    frames_out: u64,
    mixed: Vec<i32>,
}

impl Converter {
    /// # Errors
    /// If the rates cannot be converted into each other.
    pub fn new(from: Shape, to: PcmFormat) -> Result<Self, String> {
        let channels = usize::from(to.channels);
        let rate = (from.rate != to.rate).then(|| Rate::new(from.rate, to.rate, channels)).transpose()?;
        let mix = Mix::new(from, to.channels);
        Ok(Self { from, to, mix, rate, frames_in: 0, frames_out: 0, mixed: Vec::new() })
    }

    pub fn shape(&self) -> Shape {
        self.from
    }

    /// Frames of output that belong to what has been taken so far, whether they have come out yet or not.
    pub fn frames(&self) -> u64 {
        let frames = u128::from(self.frames_in) * u128::from(self.to.rate);
        ((frames + u128::from(self.from.rate / 2)) / u128::from(self.from.rate)) as u64
    }

    /// Takes interleaved samples and appends what comes out.
    pub fn process(&mut self, samples: &[i32], to: &mut Vec<i32>) {
        let (inputs, outputs) = (usize::from(self.from.channels), usize::from(self.to.channels));
        self.frames_in += (samples.len() / inputs) as u64;
        match &mut self.rate {
            None => {
                self.mix.apply(samples, inputs, outputs, to);
                self.frames_out = self.frames_in;
            }
            Some(rate) => {
                self.mixed.clear();
                self.mix.apply(samples, inputs, outputs, &mut self.mixed);
                self.frames_out += rate.process(&self.mixed, to, u64::MAX);
            }
        }
    }

    /// Appends what is still inside: the stream ends here.
    pub fn finish(&mut self, to: &mut Vec<i32>) {
        let total = self.frames();
        let Some(rate) = &mut self.rate else { return };
        let silence = vec![0; CHUNK * usize::from(self.to.channels)];
        // The delay of the resampler is a few chunks.
        for _ in 0..64 {
            if self.frames_out >= total {
                break;
            }
            self.frames_out += rate.process(&silence, to, total - self.frames_out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(rate: u32, channels: u16, speakers: Option<u64>) -> Shape {
        Shape { rate, channels, speakers }
    }

    fn convert(from: Shape, to: PcmFormat, samples: &[i32]) -> Vec<i32> {
        let mut converter = Converter::new(from, to).unwrap();
        let mut out = Vec::new();
        for block in samples.chunks(997 * usize::from(from.channels)) {
            converter.process(block, &mut out);
        }
        converter.finish(&mut out);
        assert_eq!(out.len() as u64, converter.frames() * u64::from(to.channels));
        out
    }

    #[test]
    fn the_same_shape_is_not_touched_and_mono_goes_to_both_sides() {
        let stereo = PcmFormat { rate: 44_100, channels: 2, bits: 32 };
        let samples = [i32::MIN, i32::MAX, 3, -4];
        assert_eq!(convert(shape(44_100, 2, None), stereo, &samples), samples);
        assert_eq!(convert(shape(44_100, 1, None), stereo, &[5, i32::MIN]), [5, 5, i32::MIN, i32::MIN]);
    }

    #[test]
    fn surround_is_mixed_without_clipping_and_each_side_keeps_its_own() {
        let stereo = PcmFormat { rate: 48_000, channels: 2, bits: 32 };
        let from = shape(48_000, 6, Some(0x3f));
        let loud = convert(from, stereo, &[i32::MAX; 6]);
        assert!(loud.iter().all(|sample| *sample > i32::MAX - 4), "{loud:?}");
        let left = convert(from, stereo, &[1 << 30, 0, 0, 0, 0, 0]);
        assert!(left[0] > 1 << 28 && left[1] == 0, "{left:?}");
        let rear_right = convert(from, stereo, &[0, 0, 0, 0, 0, 1 << 30]);
        assert!(rear_right[0] == 0 && rear_right[1] > 1 << 27, "{rear_right:?}");
        let deep = convert(from, stereo, &[0, 0, 0, 1 << 30, 0, 0]);
        assert_eq!(deep, [0, 0]);
    }

    #[test]
    fn resampling_keeps_pitch_level_phase_and_length() {
        keeps_pitch_level_phase_and_length(44_100, 48_000, 1e-4);
        // The sinc's delay is no whole number of frames: less than one frame of the tone of 997 Hz at half level stays.
        keeps_pitch_level_phase_and_length(44_099, 48_000, 0.5 * 997.0 * std::f64::consts::TAU / 48_000.0);
    }

    fn keeps_pitch_level_phase_and_length(from: u32, to: u32, tolerance: f64) {
        let tone = |n: usize, rate: u32| (n as f64 * 997.0 * std::f64::consts::TAU / f64::from(rate)).sin() * 0.5;
        let samples: Vec<i32> = (0..from as usize).map(|n| (tone(n, from) * SCALE) as i32).collect();
        let out = convert(shape(from, 1, None), PcmFormat { rate: to, channels: 1, bits: 32 }, &samples);
        assert_eq!(out.len(), 48_000);
        // The edges are rung by the sudden beginning and end of the tone.
        for (n, sample) in out.iter().enumerate().skip(4_000).take(40_000) {
            let error = f64::from(*sample) / SCALE - tone(n, to);
            assert!(error.abs() < tolerance, "{from} Hz: frame {n} is off by {error}");
        }
    }

    #[test]
    fn a_rate_that_no_music_has_takes_no_more_memory_than_others() {
        for from in [44_100, 191_999, 767_957, 48_001] {
            let rate = Rate::new(from, 48_000, 2).unwrap();
            assert!(rate.output.len() <= 1 << 16, "{from} Hz: {} samples of output", rate.output.len());
            assert!(rate.resampler.input_frames_max() <= MAX_TRANSFORM as usize, "{from} Hz");
        }
    }

    #[test]
    fn odd_rates_are_converted_or_refused_but_never_panic() {
        let odd = [
            (8_000, 192_000),
            (192_000, 44_100),
            (11_025, 48_000),
            (44_099, 48_000),
            (767_957, 48_000),
            (2_000, 44_100),
        ];
        for (from, to) in odd {
            let out = convert(shape(from, 2, None), PcmFormat { rate: to, channels: 2, bits: 32 }, &[0; 4_000]);
            assert_eq!(out.len() as u64 / 2, (2_000 * u64::from(to) + u64::from(from) / 2) / u64::from(from));
        }
    }
}
