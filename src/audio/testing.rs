//! Inputs for the tests of this room.

use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::encode::Pcm;
use super::{Control, DecodeError, Decoder, MediaInput};

/// Frames of the signal whose halves the fixtures are.
pub const WHOLE: usize = 66_150;

/// One sample of 16 bits of the signal of tests/fixtures/audio/README.md.
pub fn parabola(n: usize, step: usize) -> i32 {
    let phase = (n * step) & 0xffff;
    let x = (phase & 0x7fff) as i32;
    let value = (x * (0x8000 - x)) >> 14;
    if phase & 0x8000 != 0 { -value } else { value }
}

/// Frames of the signal: 441 Hz left, 661 Hz right; interleaved, 16 bits.
pub fn tone(frames: Range<usize>) -> Vec<i32> {
    frames.flat_map(|n| [parabola(n, 655), parabola(n, 982)]).collect()
}

/// The signal as sound of `bits` bits; the low bits are not zero.
pub fn pcm(frames: Range<usize>, bits: u16) -> Pcm {
    let low = bits - 16;
    let samples = tone(frames).into_iter().enumerate().map(|(n, s)| (s << low) | ((n as i32 * 7) & ((1 << low) - 1)));
    Pcm { rate: 44_100, channels: 2, bits, samples: samples.collect() }
}

/// A file of tests/fixtures/audio.
pub fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/audio").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub fn open(bytes: Vec<u8>) -> Result<Decoder, DecodeError> {
    Decoder::open(Box::new(Cursor::new(bytes)), None, Arc::new(Control::default()))
}

/// Everything from where `decoder` is, with the frame it begins at and how it ended.
pub fn drain(decoder: &mut Decoder) -> (Option<u64>, Vec<i32>, Result<(), DecodeError>) {
    let channels = u64::from(decoder.info().channels);
    let (mut first, mut samples) = (None, Vec::new());
    loop {
        match decoder.next_block() {
            Ok(Some(block)) => {
                let begin = *first.get_or_insert(block.frame);
                assert_eq!(block.frame, begin + samples.len() as u64 / channels, "blocks follow each other");
                samples.extend_from_slice(block.samples);
            }
            Ok(None) => return (first, samples, Ok(())),
            Err(error) => return (first, samples, Err(error)),
        }
    }
}

pub fn decode(bytes: Vec<u8>) -> Vec<i32> {
    let (first, samples, end) = drain(&mut open(bytes).unwrap());
    end.unwrap();
    assert_eq!(first, Some(0));
    samples
}

/// A file of which only the beginning has arrived. Reading what has not arrived is a mistake.
pub struct Partial {
    bytes: Cursor<Vec<u8>>,
    arrived: Arc<AtomicU64>,
    patient: bool,
}

impl Partial {
    /// The file, and how many bytes of its beginning have arrived. If it is not `patient`, waiting for more is a
    /// mistake too.
    pub fn new(bytes: Vec<u8>, arrived: u64, patient: bool) -> (Self, Arc<AtomicU64>) {
        let arrived = Arc::new(AtomicU64::new(arrived));
        (Self { bytes: Cursor::new(bytes), arrived: Arc::clone(&arrived), patient }, arrived)
    }
}

impl Read for Partial {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.available_from(self.bytes.position());
        assert!(buffer.len() as u64 <= available, "reads {} at {}", buffer.len(), self.bytes.position());
        self.bytes.read(buffer)
    }
}

impl Seek for Partial {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = self.bytes.seek(to)?;
        assert!(self.patient || self.available_from(position) > 0, "waits for the byte at {position}");
        Ok(position)
    }
}

impl MediaInput for Partial {
    fn byte_len(&self) -> u64 {
        self.bytes.get_ref().len() as u64
    }

    fn available_from(&self, offset: u64) -> u64 {
        self.arrived.load(Ordering::Acquire).min(self.byte_len()).saturating_sub(offset)
    }
}
