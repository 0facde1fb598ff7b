//! The output to a sound device through ALSA.

use std::ffi::CString;
use std::time::Duration;

use alsa::pcm::{Access, Format, HwParams, PCM, State};
use alsa::{Direction, ValueOr};

use super::wav::narrow;
use super::{PcmFormat, Sink, SinkError, cards};

/// Sound that the device holds, in microseconds: what the output thread may be late by.
const BUFFER_US: u32 = 200_000;

/// How often the device asks for more, in microseconds.
const PERIOD_US: u32 = 25_000;

/// Frames that are written at most at once.
const MAX_FRAMES: usize = 4096;

/// Channels of a device at most.
const MAX_CHANNELS: u32 = 8;

/// Speakers that are asked for. Music is stereo; other layouts are mixed by our own rules, not by those of ALSA.
pub(super) const STEREO: u16 = 2;

/// Waits in a row without the device taking anything before it counts as gone: a device that plays takes a period
/// within each.
const MAX_IDLE_WAITS: u32 = 100;

/// Numbers of Linux errors that ALSA reports.
const EPIPE: i32 = 32;
const ESTRPIPE: i32 = 86;
const EBUSY: i32 = 16;
const ENOENT: i32 = 2;
const ENODEV: i32 = 19;
const EACCES: i32 = 13;
const EAGAIN: i32 = 11;

/// How a sample is laid out for the device, best first: all but the last keep every bit of 24-bit music.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    S32,
    S24Packed,
    S24,
    S16,
}

impl Layout {
    const ALL: [(Self, Format); 4] = [
        (Self::S32, Format::s32()),
        (Self::S24Packed, Format::s24_3()),
        (Self::S24, Format::s24()),
        (Self::S16, Format::s16()),
    ];

    fn put(self, samples: &[i32], to: &mut Vec<u8>) {
        to.clear();
        match self {
            Self::S32 => samples.iter().for_each(|sample| to.extend_from_slice(&sample.to_ne_bytes())),
            Self::S24 => samples.iter().for_each(|&sample| to.extend_from_slice(&narrow::<24>(sample).to_ne_bytes())),
            Self::S24Packed if cfg!(target_endian = "little") => {
                samples.iter().for_each(|&sample| to.extend_from_slice(&narrow::<24>(sample).to_le_bytes()[..3]));
            }
            Self::S24Packed => {
                samples.iter().for_each(|&sample| to.extend_from_slice(&narrow::<24>(sample).to_be_bytes()[1..]));
            }
            Self::S16 => {
                samples.iter().for_each(|&sample| to.extend_from_slice(&(narrow::<16>(sample) as i16).to_ne_bytes()));
            }
        }
    }
}

/// An open device.
#[derive(Debug)]
struct Device {
    pcm: PCM,
    layout: Layout,
    channels: usize,
    /// Less than this is not worth waking up for.
    period: usize,
    idle_waits: u32,
    /// No more sound comes, so running dry is the end and no underrun.
    finishing: bool,
}

/// An ALSA playback device by name, opened when there is something to play.
#[derive(Debug)]
pub(super) struct AlsaSink {
    /// As the configuration has it.
    name: String,
    /// As ALSA calls what it stood for when it was opened last.
    pcm: String,
    device: Option<Device>,
    bytes: Vec<u8>,
}

impl AlsaSink {
    pub fn new(name: String) -> Self {
        Self {
            pcm: name.clone(),
            name,
            device: None,
            bytes: Vec::with_capacity(MAX_FRAMES * MAX_CHANNELS as usize * 4),
        }
    }

    /// What ALSA calls the device that was opened last.
    pub fn pcm(&self) -> &str {
        &self.pcm
    }

    /// A sentence about a failure of the device that says what to do.
    fn explain(&self, error: &alsa::Error) -> String {
        let name = &self.pcm;
        match error.errno() {
            EBUSY => format!(
                "the sound device {name:?} is used by another program; stop that one, or choose another device in \
                 [audio] output (aplay -L lists them)"
            ),
            ENOENT | ENODEV => format!(
                "there is no sound device {name:?}; plug it in, or choose another one in [audio] output \
                 (aplay -L lists them)"
            ),
            EACCES => format!("no permission to use the sound device {name:?}; add the user to the group \"audio\""),
            _ => format!("the sound device {name:?} failed: {error}; check its cable and power"),
        }
    }

    fn open_device(&self, wanted: PcmFormat) -> Result<(Device, PcmFormat), alsa::Error> {
        // ALSA prints its own half-sentences to standard error; from here on this thread collects them in a buffer, which
        // is emptied with every opening. What they mean is said by `explain`.
        let quiet = alsa::Output::local_error_handler();
        let name = CString::new(self.pcm.as_str()).map_err(|_| alsa::Error::new("snd_pcm_open", ENOENT))?;
        // Non-blocking, so that a busy device says so instead of making us wait for it.
        let opened = PCM::open(&name, Direction::Playback, true);
        if let (Err(_), Ok(said)) = (&opened, quiet) {
            tracing::debug!(device = self.pcm, alsa = %said.borrow(), "cannot be opened");
        }
        let pcm = opened?;
        let (layout, channels, rate, period) = {
            let params = HwParams::any(&pcm)?;
            // Our own resampler is better than ALSA's: ask only for what the hardware can do. Devices without that
            // switch are taken as they are.
            let _ = params.set_rate_resample(false);
            params.set_access(Access::RWInterleaved)?;
            let layout = Layout::ALL.into_iter().find(|(_, format)| params.test_format(*format).is_ok());
            let (layout, format) = layout.unwrap_or((Layout::S16, Format::s16()));
            params.set_format(format)?;
            let channels = params.set_channels_near(u32::from(wanted.channels))?;
            let rate = params.set_rate_near(wanted.rate, ValueOr::Nearest)?;
            params.set_buffer_time_near(BUFFER_US, ValueOr::Nearest)?;
            params.set_period_time_near(PERIOD_US, ValueOr::Nearest)?;
            pcm.hw_params(&params)?;
            (layout, channels, rate, params.get_period_size()?)
        };
        if channels == 0 || channels > MAX_CHANNELS {
            return Err(alsa::Error::unsupported("snd_pcm_hw_params_set_channels_near"));
        }
        {
            let params = pcm.sw_params_current()?;
            let buffer = pcm.hw_params_current()?.get_buffer_size()?;
            params.set_start_threshold((buffer / 2).max(period.min(buffer)))?;
            params.set_avail_min(period)?;
            pcm.sw_params(&params)?;
        }
        let bits = if layout == Layout::S16 { 16 } else { 32 };
        let device = Device {
            pcm,
            layout,
            channels: channels as usize,
            period: usize::try_from(period).unwrap_or(1).max(1),
            idle_waits: 0,
            finishing: false,
        };
        Ok((device, PcmFormat { rate, channels: channels as u16, bits }))
    }

    /// Makes the device ready again after it ran dry or was suspended; everything else means that it is gone.
    fn recover(&mut self, error: alsa::Error) -> SinkError {
        let recovered = match &self.device {
            Some(device) if matches!(error.errno(), EPIPE | ESTRPIPE) => device.pcm.try_recover(error, true).is_ok(),
            _ => false,
        };
        if recovered {
            return SinkError::Underrun;
        }
        let sentence = self.explain(&error);
        self.device = None;
        SinkError::Lost(sentence)
    }
}

impl Device {
    /// Frames that fit, after waiting at most `limit`.
    fn writable(&mut self, limit: Duration) -> Result<usize, alsa::Error> {
        let mut room = self.room()?;
        if room < self.period && self.is_running() {
            let took = self.pcm.wait(Some(u32::try_from(limit.as_millis()).unwrap_or(u32::MAX).max(1)))?;
            self.idle_waits = if took { 0 } else { self.idle_waits + 1 };
            if self.idle_waits > MAX_IDLE_WAITS {
                return Err(alsa::Error::new("snd_pcm_wait", ENODEV));
            }
            room = self.room()?;
        }
        Ok(room)
    }

    fn room(&self) -> Result<usize, alsa::Error> {
        self.pcm.avail_update().map(|room| usize::try_from(room).unwrap_or(0))
    }

    fn is_running(&self) -> bool {
        self.pcm.state_raw() == State::Running as i32
    }
}

impl Sink for AlsaSink {
    fn open(&mut self, wanted: PcmFormat) -> Result<PcmFormat, String> {
        self.device = None;
        // Anew each time: the card may have been unplugged, and another be there instead.
        self.pcm = cards::resolve(&self.name)?;
        let (device, format) = self.open_device(wanted).map_err(|error| self.explain(&error))?;
        self.device = Some(device);
        Ok(format)
    }

    fn writable(&mut self, limit: Duration) -> Result<usize, SinkError> {
        let Some(device) = &mut self.device else { return Ok(0) };
        match device.writable(limit) {
            Ok(room) => Ok(room.min(MAX_FRAMES)),
            Err(error) => Err(self.recover(error)),
        }
    }

    fn write(&mut self, samples: &[i32]) -> Result<usize, SinkError> {
        let Some(device) = &mut self.device else { return Ok(0) };
        device.finishing = false;
        let samples = &samples[..samples.len().min(MAX_FRAMES * device.channels)];
        device.layout.put(samples, &mut self.bytes);
        let written = device.pcm.io_bytes().writei(&self.bytes);
        match written {
            Ok(frames) => Ok(frames),
            Err(error) if error.errno() == EAGAIN => Ok(0),
            Err(error) => Err(self.recover(error)),
        }
    }

    fn delay(&mut self) -> u64 {
        let Some(device) = &self.device else { return 0 };
        if device.finishing && !device.is_running() {
            return 0;
        }
        device.pcm.delay().map_or(0, |frames| u64::try_from(frames).unwrap_or(0))
    }

    fn finish(&mut self) {
        if let Some(device) = self.device.as_mut().filter(|device| !device.finishing) {
            device.finishing = true;
            // Less than the start threshold may be in the buffer. A failure means that nothing is: `delay` tells.
            if device.pcm.state_raw() == State::Prepared as i32 {
                let _ = device.pcm.start();
            }
        }
    }

    fn discard(&mut self) {
        let Some(device) = &mut self.device else { return };
        device.finishing = false;
        if device.pcm.drop().and_then(|()| device.pcm.prepare()).is_err() {
            // Found gone at the next use.
            device.idle_waits = MAX_IDLE_WAITS;
        }
    }

    fn close(&mut self) {
        self.device = None;
    }

    fn is_paced(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_laid_out_for_the_device() {
        let mut bytes = Vec::new();
        let sample = [0x1234_5678];
        for (layout, expected) in [
            (Layout::S32, 0x1234_5678i32.to_ne_bytes().to_vec()),
            (Layout::S24, 0x0012_3456i32.to_ne_bytes().to_vec()),
            (Layout::S16, 0x1234i16.to_ne_bytes().to_vec()),
        ] {
            layout.put(&sample, &mut bytes);
            assert_eq!(bytes, expected, "{layout:?}");
        }
        Layout::S24Packed.put(&sample, &mut bytes);
        assert_eq!(bytes.len(), 3);
    }

    #[test]
    fn a_device_that_is_not_there_is_told_with_what_to_do() {
        let mut sink = AlsaSink::new("hw:CARD=NoSuchCard".to_owned());
        let error = sink.open(PcmFormat { rate: 44_100, channels: 2, bits: 32 }).unwrap_err();
        assert!(error.contains("NoSuchCard") && error.contains("aplay -L"), "{error}");
    }
}
