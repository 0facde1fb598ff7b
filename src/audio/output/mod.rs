//! Where the sound goes: ALSA, a WAV file, or nowhere.

mod alsa;
mod cards;
mod gain;
mod link;
mod pace;
mod spans;
mod thread;
mod wav;

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::{AudioError, StreamInfo};

pub(super) use link::{OutputCommand, OutputEvent, spawn};
pub(super) use spans::{Mark, MarkKind};

/// Bits of a sample for what has none of its own (lossy codecs) in a WAV file: what reference decoders write.
const LOSSY_BITS: u16 = 16;

/// How samples are put out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PcmFormat {
    /// Frames a second.
    pub rate: u32,
    pub channels: u16,
    /// Of a sample, 16, 24 or 32. Samples travel as 32 bits whatever this says.
    pub bits: u16,
}

/// Why an output did not take samples.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SinkError {
    /// It ran dry; it is ready again.
    Underrun,
    /// It is gone: a sentence for people.
    Lost(String),
}

/// A device, or something that behaves like one. Calls while it plays neither allocate nor lock.
pub(super) trait Sink: Send {
    /// Makes it ready for sound like `wanted`; tells what it takes instead, where it cannot do that.
    fn open(&mut self, wanted: PcmFormat) -> Result<PcmFormat, String>;

    /// Frames that can be written, after waiting at most `limit` for there to be some.
    fn writable(&mut self, limit: Duration) -> Result<usize, SinkError>;

    /// Writes interleaved samples, whole frames and no more than are writable; tells how many frames it took.
    fn write(&mut self, samples: &[i32]) -> Result<usize, SinkError>;

    /// Frames written and not heard yet.
    fn delay(&mut self) -> u64;

    /// Nothing more comes for now: what is written shall be played to its end.
    fn finish(&mut self);

    /// Forgets what is written and not heard.
    fn discard(&mut self);

    /// Gives the device back.
    fn close(&mut self);

    /// Whether it takes samples at the pace of the clock. If not, it is content to wait for them.
    fn is_paced(&self) -> bool;
}

/// An output as `[audio] output` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputSpec {
    /// `alsa:DEVICE`: `auto`, the id of a card as in `/proc/asound/cards`, or an ALSA PCM by name, such as `default` or
    /// `plughw:1,0`.
    Alsa(String),
    /// `wav:FILE`, in real time, or `wav-fast:FILE`, as fast as it decodes.
    Wav { path: PathBuf, paced: bool },
    /// `null`, in real time, or `null-fast`.
    Null { paced: bool },
}

impl OutputSpec {
    /// The format that suits a track best. Only a file keeps the bits of a sample: a device is asked for as many as
    /// it can, so that a change of them between two tracks makes no gap.
    pub(super) fn wanted(&self, info: &StreamInfo) -> PcmFormat {
        let bits = match (self, info.bits) {
            (Self::Wav { .. }, Some(0..=16)) => 16,
            (Self::Wav { .. }, Some(17..=24)) => 24,
            (Self::Wav { .. }, None) => LOSSY_BITS,
            _ => 32,
        };
        let channels = if matches!(self, Self::Alsa(_)) { alsa::STEREO } else { info.channels };
        PcmFormat { rate: info.sample_rate, channels, bits }
    }

    /// Makes the output without opening a device.
    ///
    /// # Errors
    /// If the WAV file cannot be created.
    pub(super) fn sink(&self) -> Result<Box<dyn Sink>, AudioError> {
        Ok(match self {
            Self::Alsa(device) => Box::new(alsa::AlsaSink::new(device.clone())),
            Self::Wav { path, paced } => Box::new(wav::WavSink::create(path, *paced)?),
            Self::Null { paced } => Box::new(pace::NullSink::new(*paced)),
        })
    }

    /// Tries whether the output can be used now, and tells in words what it is.
    ///
    /// # Errors
    /// If it cannot, with what to do about it.
    pub fn check(&self) -> Result<String, AudioError> {
        match self {
            Self::Alsa(device) => {
                let mut sink = alsa::AlsaSink::new(device.clone());
                let format =
                    sink.open(PcmFormat { rate: 44_100, channels: 2, bits: 32 }).map_err(AudioError::Device)?;
                Ok(format!("ALSA device {:?} takes {} Hz, {} channels", sink.pcm(), format.rate, format.channels))
            }
            Self::Wav { path, .. } => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                let folder = folder.unwrap_or_else(|| std::path::Path::new("."));
                std::fs::metadata(folder).map_err(|source| AudioError::Create { path: path.clone(), source })?;
                Ok(format!("the sound goes to the file {}", path.display()))
            }
            Self::Null { .. } => Ok("the sound goes nowhere".to_owned()),
        }
    }
}

impl FromStr for OutputSpec {
    type Err = AudioError;

    fn from_str(text: &str) -> Result<Self, AudioError> {
        match text.split_once(':') {
            Some(("alsa", device)) if !device.is_empty() && !device.contains('\0') => Ok(Self::Alsa(device.to_owned())),
            Some(("wav", file)) if !file.is_empty() => Ok(Self::Wav { path: file.into(), paced: true }),
            Some(("wav-fast", file)) if !file.is_empty() => Ok(Self::Wav { path: file.into(), paced: false }),
            None if text == "null" => Ok(Self::Null { paced: true }),
            None if text == "null-fast" => Ok(Self::Null { paced: false }),
            _ => Err(AudioError::UnknownOutput(text.chars().take(128).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_named_as_in_the_configuration() {
        assert_eq!("alsa:plughw:1,0".parse::<OutputSpec>().unwrap(), OutputSpec::Alsa("plughw:1,0".to_owned()));
        assert_eq!(
            "wav-fast:/tmp/a:b.wav".parse::<OutputSpec>().unwrap(),
            OutputSpec::Wav { path: "/tmp/a:b.wav".into(), paced: false }
        );
        assert_eq!("null".parse::<OutputSpec>().unwrap(), OutputSpec::Null { paced: true });
        for text in ["", "alsa", "alsa:", "wav:", "speaker", "null:", "null:x"] {
            let error = text.parse::<OutputSpec>().unwrap_err().to_string();
            assert!(error.contains("alsa:default"), "{error}");
        }
    }
}
