//! One track from bytes to samples: decoding, gapless trimming, seeking.

mod error;
mod open;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use symphonia::core::audio::Channels;
use symphonia::core::errors::{Error, SeekErrorKind};
use symphonia::core::formats::{SeekMode, SeekTo};
use symphonia::core::packet::Packet;
use symphonia::core::units::Timestamp;

pub use error::DecodeError;
use open::{Chosen, choose_track, codec_name, make_decoder, open_container, shows_end, time_base, to_ticks};

use super::sniff::{Container, Facts, SNIFF_BYTES, facts_at};
use super::source::{Control, SharedInput};
use super::{MediaInput, StreamInfo, mp4, ogg};

/// Bytes in which a file with a magic number says what it is, and FLAC how long.
const MAGIC_BYTES: usize = 64;

/// Channels that are decoded at most: 7.1.
pub(super) const MAX_CHANNELS: usize = 8;

/// Sample rates that are decoded, in Hz. Below the lowest a second of sound would be as much work as minutes of music.
const RATES: std::ops::RangeInclusive<u32> = 2_000..=768_000;

/// Packets in a row that may be undecodable before the file is given up.
const MAX_BAD_PACKETS: u32 = 64;

/// Music that may be missing at the end of a file before it counts as cut off: MP3 headers are often a few frames
/// off.
const CUT_OFF: Duration = Duration::from_millis(200);

/// What Opus needs to hear before the position that is wanted. RFC 7845, section 4.6, asks for at least 80 ms; steady
/// tones, which it predicts from frame to frame, are right only after longer.
const OPUS_PRE_ROLL: Duration = Duration::from_millis(300);

/// The same for AAC and MP3, whose frames overlap and use bits of earlier ones: two frames at 32 kHz and more.
const FRAMES_PRE_ROLL: Duration = Duration::from_millis(70);

/// Decoded frames that follow each other.
#[derive(Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// Position of the first one, in frames from the start of the music.
    pub frame: u64,
    /// Interleaved, at full scale of 32 bits: a 16-bit sample is shifted left by 16.
    pub samples: &'a [i32],
}

/// A track that is being decoded. Every call contains panics of the libraries underneath.
pub struct Decoder {
    input: SharedInput,
    facts: Facts,
    chosen: Chosen,
    info: StreamInfo,
    /// Bit mask of the speakers (as in WAVE_FORMAT_EXTENSIBLE), if they are told.
    speakers: Option<u64>,
    /// Timestamp of the first frame of the music.
    origin: i64,
    /// Frames of music, if the file tells exactly.
    length: Option<u64>,
    /// Frames that the header promises, if it does so reliably.
    promised: Option<u64>,
    /// Ogg: the duration is still to be looked up at the end of the file.
    wants_end: bool,
    /// Position of the next frame; `None` before the first packet and after a seek or an error.
    next: Option<u64>,
    /// Frames before this one are not wanted.
    wanted: u64,
    bad_packets: u32,
    seen_sound: bool,
    samples: Vec<i32>,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("info", &self.info).field("next", &self.next).finish_non_exhaustive()
    }
}

/// Runs library code on untrusted bytes.
fn contained<T>(work: impl FnOnce() -> Result<T, DecodeError>) -> Result<T, DecodeError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(DecodeError::Panicked))
}

impl Decoder {
    /// Recognises what `input` is and reads its header. `extension` is only for the error. Waits for data; `control`
    /// calls that off.
    ///
    /// # Errors
    /// If it is not music that can be played, or cannot be read.
    pub fn open(
        input: Box<dyn MediaInput>,
        extension: Option<&str>,
        control: Arc<Control>,
    ) -> Result<Self, DecodeError> {
        let input = SharedInput::new(input, control);
        contained(|| {
            let start = input.skip_tags().map_err(DecodeError::from_io)?;
            // Most files say what they are at once; pictures that follow need not have arrived.
            let mut head = vec![0; MAGIC_BYTES];
            let mut facts = Facts::default();
            for length in [MAGIC_BYTES, SNIFF_BYTES] {
                head.resize(length, 0);
                let count = input.read_full(start, &mut head).map_err(DecodeError::from_io)?;
                facts = facts_at(&head[..count], start, input.len());
                if facts.container.is_some() {
                    break;
                }
            }
            let Some(container) = facts.container else {
                return Err(DecodeError::Unrecognised(extension.map(|text| text.chars().take(16).collect())));
            };
            let chosen = match open_container(&input, &facts, container, shows_end(&input, container)) {
                // Looking for what comes behind the sound fails if the file is cut off within it.
                Err(error) if container == Container::Aiff && !matches!(error, DecodeError::CalledOff) => {
                    open_container(&input, &facts, container, false)?
                }
                result => result?,
            };
            Self::assemble(input, facts, chosen)
        })
    }

    fn assemble(input: SharedInput, facts: Facts, chosen: Chosen) -> Result<Self, DecodeError> {
        let params = &chosen.params;
        let rate = params.sample_rate.unwrap_or_default();
        let channels = params.channels.as_ref().map_or(0, Channels::count);
        if !RATES.contains(&rate) || channels == 0 || channels > MAX_CHANNELS {
            return Err(DecodeError::Unsupported(format!("it has {channels} channels at {rate} Hz")));
        }
        let speakers = match &params.channels {
            Some(Channels::Positioned(positions)) => Some(positions.bits()),
            _ => None,
        };
        let name = codec_name(params.codec);
        let mut origin = chosen.track.start_ts.get().max(0);
        let mut length = chosen.track.num_frames.filter(|frames| *frames > 0);
        if name == "opus" {
            // Ogg positions of Opus include the frames that are to be skipped (RFC 7845, section 4).
            let skip = i64::from(chosen.track.delay.unwrap_or(0));
            origin = origin.saturating_add(skip);
            length = length.map(|frames| frames.saturating_sub(skip as u64));
        }
        if facts.container == Some(Container::Mp4) {
            let index = input.mp4_index(facts.audio_offset).map_err(DecodeError::from_io)?;
            if let Some(edit) = index.as_deref().and_then(|index| mp4::edit(index, rate)) {
                origin = to_ticks(&chosen.track, rate, edit.delay);
                length = edit.frames.or(length);
            }
        }
        let wants_end = facts.container == Some(Container::Ogg) && length.is_none();
        let bits = matches!(name, "flac" | "alac" | "pcm").then(|| params.bits_per_sample.unwrap_or(16));
        let exact = length.map(|frames| Duration::from_secs_f64(frames as f64 / f64::from(rate)));
        let duration = exact.or(if wants_end { None } else { facts.duration });
        let bytes = input.len().saturating_sub(facts.header_end.unwrap_or(chosen.base));
        let bitrate_bps = match duration {
            Some(duration) if duration > Duration::ZERO => Some((bytes as f64 * 8.0 / duration.as_secs_f64()) as u64),
            _ => facts.bitrate_bps,
        };
        let info =
            StreamInfo { codec: name, sample_rate: rate, channels: channels as u16, bits, duration, bitrate_bps };
        chosen.switches.header_is_read();
        // The length of MP3 without a Xing header is an estimate.
        let promised = length.filter(|_| facts.container != Some(Container::Mp3) || facts.duration_is_exact);
        // These trim themselves, packet by packet.
        let length = length.filter(|_| facts.container != Some(Container::Mp3) && name != "vorbis");
        Ok(Self {
            input,
            facts,
            chosen,
            info,
            speakers,
            origin,
            length,
            promised,
            wants_end,
            next: None,
            wanted: 0,
            bad_packets: 0,
            seen_sound: false,
            samples: Vec::new(),
        })
    }

    /// What the track is.
    pub fn info(&self) -> &StreamInfo {
        &self.info
    }

    /// Bit mask of the speakers as in WAVE_FORMAT_EXTENSIBLE, if the file tells.
    pub fn speakers(&self) -> Option<u64> {
        self.speakers
    }

    /// The playing time, if it has become known since the last call: the end of an Ogg file has arrived.
    pub fn refresh_duration(&mut self) -> Option<Duration> {
        if !self.wants_end || !self.input.has_from(self.input.len().saturating_sub(ogg::TAIL_BYTES)) {
            return None;
        }
        self.wants_end = false;
        let granule = ogg::last_granule(&self.input, self.chosen.track.id)?;
        let frames = u64::try_from(i64::try_from(granule).ok()?.checked_sub(self.origin)?).ok()?;
        let duration = Duration::from_secs_f64(frames as f64 / f64::from(self.info.sample_rate));
        self.info.duration = Some(duration);
        Some(duration)
    }

    /// The next frames; `None` at the end of the music.
    ///
    /// # Errors
    /// If the file is damaged beyond what can be skipped, is cut off, or cannot be read.
    pub fn next_block(&mut self) -> Result<Option<Block<'_>>, DecodeError> {
        let found = contained(|| {
            loop {
                let Some(packet) = self.next_packet()? else { return Ok(None) };
                if let Some(block) = self.decode(&packet)? {
                    return Ok(Some(block));
                }
            }
        })?;
        Ok(found.map(|(frame, range)| Block { frame, samples: &self.samples[range] }))
    }

    fn next_packet(&mut self) -> Result<Option<Packet>, DecodeError> {
        loop {
            if self.length.is_some_and(|length| self.next.is_some_and(|next| next >= length)) {
                return Ok(None);
            }
            match self.chosen.reader.next_packet() {
                Ok(Some(packet)) if packet.track_id == self.chosen.track.id => return Ok(Some(packet)),
                Ok(Some(_)) => {}
                Ok(None) => return self.at_end(false),
                Err(Error::IoError(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    return self.at_end(true);
                }
                Err(Error::ResetRequired) => self.chain()?,
                Err(Error::DecodeError(what)) => self.count_bad(what)?,
                Err(error) => return Err(DecodeError::from_symphonia(error)),
            }
        }
    }

    /// Tells whether the end of the file is the end of the music. `early`: the demuxer expected more.
    fn at_end(&self, early: bool) -> Result<Option<Packet>, DecodeError> {
        if !self.seen_sound && self.wanted == 0 {
            return Err(DecodeError::Damaged("there is no sound in it, perhaps it is cut off".to_owned()));
        }
        let seconds = |frames: u64| Duration::from_secs_f64(frames as f64 / f64::from(self.info.sample_rate));
        let at = seconds(self.next.unwrap_or(self.wanted));
        match self.promised.map(seconds) {
            // Sought to the end.
            _ if self.next.is_none() && self.wanted > 0 => Ok(None),
            Some(of) if at + CUT_OFF < of => Err(DecodeError::CutOff { at, of }),
            // Ogg marks its last page.
            None if early && self.facts.container == Some(Container::Ogg) => Err(DecodeError::CutOffAt { at }),
            _ => Ok(None),
        }
    }

    fn count_bad(&mut self, what: &str) -> Result<(), DecodeError> {
        self.bad_packets += 1;
        self.next = None;
        if self.bad_packets > MAX_BAD_PACKETS {
            return Err(DecodeError::Damaged(what.to_owned()));
        }
        Ok(())
    }

    /// Another stream begins within the same Ogg file: its decoder replaces this one's.
    fn chain(&mut self) -> Result<(), DecodeError> {
        let (track, params) = choose_track(self.chosen.reader.as_ref())?;
        let channels = params.channels.as_ref().map_or(0, Channels::count);
        if params.sample_rate != Some(self.info.sample_rate) || channels != usize::from(self.info.channels) {
            return Err(DecodeError::Unsupported("its format changes on the way".to_owned()));
        }
        self.chosen.decoder = make_decoder(&params)?;
        // The music goes on where it was, whatever the new stream counts from.
        let here = self.next.unwrap_or(self.wanted);
        let skip = if self.info.codec == "opus" { i64::from(track.delay.unwrap_or(0)) } else { 0 };
        self.origin = track.start_ts.get().max(0).saturating_add(skip).saturating_sub_unsigned(here);
        self.length = None;
        self.promised = None;
        self.next = None;
        self.chosen.track = track;
        Ok(())
    }

    /// Decodes one packet into `samples`; tells the position and the range of what is wanted of it.
    fn decode(&mut self, packet: &Packet) -> Result<Option<(u64, std::ops::Range<usize>)>, DecodeError> {
        let channels = usize::from(self.info.channels);
        let decoded = match self.chosen.decoder.decode(packet) {
            Ok(decoded) => decoded,
            Err(Error::DecodeError(what)) => return self.count_bad(what).map(|()| None),
            Err(Error::IoError(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return self.count_bad("a packet is too short").map(|()| None);
            }
            Err(error) => return Err(DecodeError::from_symphonia(error)),
        };
        let spec = decoded.spec();
        if spec.rate() != self.info.sample_rate || spec.channels().count() != channels {
            return self.count_bad("its format changes on the way").map(|()| None);
        }
        decoded.copy_to_vec_interleaved(&mut self.samples);
        self.bad_packets = 0;
        let frames = (self.samples.len() / channels) as i64;
        if frames == 0 {
            return Ok(None);
        }
        let first = match self.next {
            Some(next) => i64::try_from(next).unwrap_or(i64::MAX),
            None => self.frame_of(packet.pts.saturating_add(packet.trim_start)),
        };
        let end = first.saturating_add(frames);
        self.next = u64::try_from(end).ok();
        self.seen_sound = true;
        // Only the frames from `wanted` to the end of the music count.
        let from = first.max(i64::try_from(self.wanted).unwrap_or(i64::MAX)).min(end);
        let to = self.length.map_or(end, |length| end.min(i64::try_from(length).unwrap_or(i64::MAX))).max(from);
        if from == to {
            return Ok(None);
        }
        let range = (from - first) as usize * channels..(to - first) as usize * channels;
        Ok(Some((from as u64, range)))
    }

    /// Position in frames of the music, negative within the encoder's delay.
    fn frame_of(&self, timestamp: Timestamp) -> i64 {
        let ticks = i128::from(timestamp.get()) - i128::from(self.origin);
        let rate = self.info.sample_rate;
        let base = time_base(&self.chosen.track, rate);
        let frames = ticks * i128::from(base.numer.get()) * i128::from(rate) / i128::from(base.denom.get());
        frames.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
    }

    /// Goes to `to` from the start of the music; the next block begins exactly there, or, in a partial MP3, as near
    /// as can be told without reading everything before. A position behind the end is the end. Tells the position
    /// that was asked for, limited to the length.
    ///
    /// # Errors
    /// If the file cannot be sought in or read.
    pub fn seek(&mut self, to: Duration) -> Result<Duration, DecodeError> {
        let to = self.info.duration.map_or(to, |duration| to.min(duration));
        self.wanted = (to.as_secs_f64() * f64::from(self.info.sample_rate)).round() as u64;
        self.next = None;
        self.bad_packets = 0;
        contained(|| self.seek_reader(to))?;
        Ok(to)
    }

    fn seek_reader(&mut self, to: Duration) -> Result<(), DecodeError> {
        let container = self.facts.container.unwrap_or(Container::Mp3);
        // After an interrupted read a demuxer's state is unknown, and Ogg opened without its end cannot seek: both
        // are mended by a fresh demuxer, whose header is at hand by now.
        let is_ogg = container == Container::Ogg;
        if is_ogg || to.is_zero() {
            let seekable = (is_ogg && !to.is_zero()) || shows_end(&self.input, container);
            self.chosen = open_container(&self.input, &self.facts, container, seekable)?;
            self.chosen.switches.header_is_read();
        }
        if to.is_zero() {
            return Ok(());
        }
        if is_ogg && self.chosen.reader.tracks().len() > 1 {
            // Symphonia 0.6.1 loops for ever when it seeks among several streams.
            return Err(DecodeError::Unsupported("there are other streams in it; seeking is not possible".to_owned()));
        }
        let early = to.saturating_sub(match self.info.codec {
            "opus" => OPUS_PRE_ROLL,
            "aac" | "mp3" => FRAMES_PRE_ROLL,
            _ => Duration::ZERO,
        });
        let early = (early.as_secs_f64() * f64::from(self.info.sample_rate)) as u64;
        let ticks = self.origin.saturating_add(to_ticks(&self.chosen.track, self.info.sample_rate, early));
        // An exact seek in MP3 or ADTS reads everything from the start.
        let everything = !matches!(container, Container::Mp3 | Container::Adts) || self.input.has_from(0);
        let mode = if everything { SeekMode::Accurate } else { SeekMode::Coarse };
        let target = SeekTo::Timestamp { ts: Timestamp::new(ticks), track_id: self.chosen.track.id };
        match self.chosen.reader.seek(mode, target) {
            Ok(_) => {}
            // Behind the last packet, which is the end.
            Err(Error::SeekError(SeekErrorKind::OutOfRange)) => {}
            Err(Error::IoError(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(DecodeError::from_symphonia(error)),
        }
        self.chosen.decoder.reset();
        Ok(())
    }
}
