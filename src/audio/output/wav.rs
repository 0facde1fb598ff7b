//! The output into a WAV file, whose header is kept true while it grows.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::pace::Pacer;
use super::{PcmFormat, Sink, SinkError};
use crate::audio::AudioError;

/// Length of the header: RIFF, `fmt ` and the head of `data`.
const HEADER: u64 = 44;

/// Bytes of sound that the format can hold; the lengths in the header are 32 bits.
const MAX_DATA: u64 = u32::MAX as u64 - HEADER;

/// Frames that are written at most at once.
const MAX_FRAMES: usize = 4096;

/// Channels at most.
const MAX_CHANNELS: usize = 8;

/// Frames after which the lengths in the header are brought up to date: less than half a second.
const HEADER_EVERY: u64 = 16_384;

/// Writes what is played into a file. The first track decides its format; the others are converted to it.
#[derive(Debug)]
pub(super) struct WavSink {
    file: File,
    path: PathBuf,
    format: Option<PcmFormat>,
    pacer: Pacer,
    data_bytes: u64,
    frames_since_header: u64,
    bytes: Vec<u8>,
}

impl WavSink {
    pub fn create(path: &Path, paced: bool) -> Result<Self, AudioError> {
        let file = File::create(path).map_err(|source| AudioError::Create { path: path.to_owned(), source })?;
        Ok(Self {
            file,
            path: path.to_owned(),
            format: None,
            pacer: Pacer::new(paced.then_some(44_100)),
            data_bytes: 0,
            frames_since_header: 0,
            bytes: Vec::with_capacity(MAX_FRAMES * MAX_CHANNELS * 4),
        })
    }

    fn write_header(&mut self, format: PcmFormat) -> io::Result<()> {
        let frame_bytes = u32::from(format.bits / 8) * u32::from(format.channels);
        let mut header = [0u8; HEADER as usize];
        header[..4].copy_from_slice(b"RIFF");
        header[4..8].copy_from_slice(&((self.data_bytes + HEADER - 8) as u32).to_le_bytes());
        header[8..16].copy_from_slice(b"WAVEfmt ");
        header[16..20].copy_from_slice(&16u32.to_le_bytes());
        header[20..22].copy_from_slice(&1u16.to_le_bytes());
        header[22..24].copy_from_slice(&format.channels.to_le_bytes());
        header[24..28].copy_from_slice(&format.rate.to_le_bytes());
        header[28..32].copy_from_slice(&format.rate.saturating_mul(frame_bytes).to_le_bytes());
        header[32..34].copy_from_slice(&(frame_bytes as u16).to_le_bytes());
        header[34..36].copy_from_slice(&format.bits.to_le_bytes());
        header[36..40].copy_from_slice(b"data");
        header[40..44].copy_from_slice(&(self.data_bytes as u32).to_le_bytes());
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&header)?;
        self.file.seek(SeekFrom::Start(HEADER + self.data_bytes))?;
        self.frames_since_header = 0;
        Ok(())
    }

    fn lost(&self, error: &io::Error) -> SinkError {
        SinkError::Lost(format!("cannot write the sound to {}: {error}; make room on the disk", self.path.display()))
    }

    fn update_header(&mut self) {
        // A failure here shows again at the next write of sound, which reports it.
        if let Some(format) = self.format.filter(|_| self.frames_since_header > 0) {
            let _ = self.write_header(format);
        }
    }
}

impl Sink for WavSink {
    fn open(&mut self, wanted: PcmFormat) -> Result<PcmFormat, String> {
        let format = *self.format.get_or_insert(wanted);
        self.pacer.set_rate(format.rate);
        self.write_header(format).map_err(|error| {
            format!("cannot write the sound to {}: {error}; make room on the disk", self.path.display())
        })?;
        Ok(format)
    }

    fn writable(&mut self, limit: Duration) -> Result<usize, SinkError> {
        self.pacer.writable(limit)
    }

    fn write(&mut self, samples: &[i32]) -> Result<usize, SinkError> {
        let Some(format) = self.format else { return Ok(0) };
        let channels = usize::from(format.channels);
        let samples = &samples[..samples.len().min(MAX_FRAMES * channels)];
        self.bytes.clear();
        match format.bits {
            16 => samples
                .iter()
                .for_each(|&sample| self.bytes.extend_from_slice(&narrow::<16>(sample).to_le_bytes()[..2])),
            24 => samples
                .iter()
                .for_each(|&sample| self.bytes.extend_from_slice(&narrow::<24>(sample).to_le_bytes()[..3])),
            _ => samples.iter().for_each(|sample| self.bytes.extend_from_slice(&sample.to_le_bytes())),
        }
        if self.data_bytes + self.bytes.len() as u64 > MAX_DATA {
            return Err(SinkError::Lost(format!(
                "{} has reached the 4 GiB that a WAV file can hold; choose another file in [audio] output",
                self.path.display()
            )));
        }
        self.file.write_all(&self.bytes).map_err(|error| self.lost(&error))?;
        let frames = samples.len() / channels;
        self.data_bytes += self.bytes.len() as u64;
        self.frames_since_header += frames as u64;
        self.pacer.wrote(frames as u64);
        if self.frames_since_header >= HEADER_EVERY {
            self.write_header(format).map_err(|error| self.lost(&error))?;
        }
        Ok(frames)
    }

    fn delay(&mut self) -> u64 {
        self.pacer.delay()
    }

    fn finish(&mut self) {
        self.update_header();
    }

    fn discard(&mut self) {
        self.update_header();
        self.pacer.discard();
    }

    fn close(&mut self) {
        self.update_header();
        self.pacer.discard();
    }

    fn is_paced(&self) -> bool {
        self.pacer.is_paced()
    }
}

impl Drop for WavSink {
    fn drop(&mut self) {
        self.update_header();
    }
}

/// The nearest sample of `BITS` bits to one of 32; exact for what had no more bits.
pub(super) fn narrow<const BITS: u32>(sample: i32) -> i32 {
    let half = 1 << (31 - BITS);
    sample.saturating_add(half) >> (32 - BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrowing_rounds_to_the_nearest_and_never_wraps() {
        assert_eq!(narrow::<16>(1234 << 16), 1234);
        assert_eq!(narrow::<16>((1234 << 16) + 0x7fff), 1234);
        assert_eq!(narrow::<16>((1234 << 16) + 0x8000), 1235);
        assert_eq!(narrow::<16>(i32::MAX), 32_767);
        assert_eq!(narrow::<16>(i32::MIN), -32_768);
        assert_eq!(narrow::<24>(-5 << 8), -5);
    }

    #[test]
    fn the_file_is_valid_at_every_moment_and_keeps_its_first_format() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wav");
        let mut sink = WavSink::create(&path, false).unwrap();
        let format = PcmFormat { rate: 8_000, channels: 1, bits: 16 };
        assert_eq!(sink.open(format), Ok(format));
        assert_eq!(std::fs::read(&path).unwrap().len(), 44);
        sink.write(&[1 << 16, -1 << 16]).unwrap();
        sink.finish();
        let file = std::fs::read(&path).unwrap();
        assert_eq!(file[40..], [4, 0, 0, 0, 1, 0, 255, 255]);
        assert_eq!(file[4..8], [40, 0, 0, 0]);
        assert_eq!(sink.open(PcmFormat { rate: 48_000, channels: 2, bits: 24 }), Ok(format));
    }

    #[test]
    fn a_folder_that_is_not_there_is_told() {
        let error = WavSink::create(Path::new("/nonexistent/a.wav"), true).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/a.wav") && error.contains("[audio] output"), "{error}");
    }
}
