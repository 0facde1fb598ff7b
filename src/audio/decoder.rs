//! One track from bytes to samples: probing, decoding, gapless trimming, seeking.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use symphonia::core::audio::Channels;
use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::well_known as codec;
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::codecs::registry::CodecRegistry;
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::{Hint, Probe};
use symphonia::core::formats::{FormatOptions, FormatReader, SeekMode, SeekTo, Track, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;
use symphonia::core::units::{TimeBase, Timestamp};
use symphonia_adapter_libopus::OpusDecoder;

use super::sniff::{Container, Facts, SNIFF_BYTES, facts_at};
use super::source::{Control, SharedInput, Source, Switches};
use super::{MediaInput, StreamInfo, mp4, ogg};

/// Channels that are decoded at most: 7.1.
pub(super) const MAX_CHANNELS: usize = 8;

/// Sample rates that are decoded at most, in Hz.
const MAX_RATE: u32 = 768_000;

/// Packets in a row that may be undecodable before the file is given up.
const MAX_BAD_PACKETS: u32 = 64;

/// Music that may be missing at the end of a file before it counts as cut off, in seconds. MP3 headers are often a
/// few frames off.
const CUT_OFF_SECONDS: u64 = 1;

/// Read-ahead of a demuxer in bytes; symphonia wants a power of two above 32 KiB.
const READ_AHEAD: usize = 64 * 1024;

/// What decoders with a memory need to hear before the position that is wanted (RFC 7845, section 4.6: 80 ms for
/// Opus; two frames for AAC).
const PRE_ROLL: Duration = Duration::from_millis(80);

/// Why a file cannot be played, or not on.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("this is not a music file that can be played (MP3, FLAC, Ogg, WAV, AIFF, AAC, ALAC or Opus){}", expected(.0))]
    Unrecognised(Option<String>),
    #[error("this file cannot be played: {0}")]
    Unsupported(String),
    #[error("this file is damaged: {0}")]
    Damaged(String),
    #[error("this file ends at {at:?} of {of:?}; it is cut off")]
    CutOff { at: Duration, of: Duration },
    #[error("this file cannot be read: {0}")]
    Io(std::io::Error),
    #[error("this file makes the decoder fail; please report it")]
    Panicked,
    /// Reading was called off by the owner: not a failure.
    #[error("reading was called off")]
    CalledOff,
}

fn expected(extension: &Option<String>) -> String {
    extension.as_ref().map(|extension| format!(", whatever its name says (.{extension})")).unwrap_or_default()
}

impl DecodeError {
    fn from_io(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::ConnectionAborted => Self::CalledOff,
            std::io::ErrorKind::UnexpectedEof => Self::Damaged("it ends too early".to_owned()),
            std::io::ErrorKind::InvalidData => Self::Unsupported(error.to_string()),
            _ => Self::Io(error),
        }
    }

    fn from_symphonia(error: Error) -> Self {
        match error {
            Error::IoError(error) => Self::from_io(error),
            Error::Unsupported(what) | Error::LimitError(what) => Self::Unsupported(what.to_owned()),
            Error::DecodeError(what) => Self::Damaged(what.to_owned()),
            other => Self::Damaged(other.to_string()),
        }
    }
}

/// Readers of containers, without those for tags: tags before the sound are jumped over, and looking for tags
/// behind it would wait for the last piece of a partial file.
static PROBE: LazyLock<Probe> = LazyLock::new(|| {
    use symphonia::default::formats::{
        AdtsReader, AiffReader, FlacReader, IsoMp4Reader, MpaReader, OggReader, WavReader,
    };
    let mut probe = Probe::new();
    probe.register_format::<AdtsReader<'_>>();
    probe.register_format::<AiffReader<'_>>();
    probe.register_format::<FlacReader<'_>>();
    probe.register_format::<IsoMp4Reader<'_>>();
    probe.register_format::<MpaReader<'_>>();
    probe.register_format::<OggReader<'_>>();
    probe.register_format::<WavReader<'_>>();
    probe
});

static CODECS: LazyLock<CodecRegistry> = LazyLock::new(|| {
    let mut registry = CodecRegistry::new();
    symphonia::default::register_enabled_codecs(&mut registry);
    registry.register_audio_decoder::<OpusDecoder>();
    registry
});

/// Short names of the codecs that are registered.
fn codec_name(id: AudioCodecId) -> &'static str {
    match id {
        codec::CODEC_ID_MP3 => "mp3",
        codec::CODEC_ID_FLAC => "flac",
        codec::CODEC_ID_VORBIS => "vorbis",
        codec::CODEC_ID_OPUS => "opus",
        codec::CODEC_ID_AAC => "aac",
        codec::CODEC_ID_ALAC => "alac",
        _ => "pcm",
    }
}

/// Decoded frames that follow each other.
#[derive(Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// Position of the first one, in frames from the start of the music.
    pub frame: u64,
    /// Interleaved, at full scale of 32 bits: a 16-bit sample is shifted left by 16.
    pub samples: &'a [i32],
}

/// What a demuxer and a decoder are made for.
struct Chosen {
    reader: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    switches: Arc<Switches>,
    track: Track,
    params: AudioCodecParameters,
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
            let mut head = vec![0; SNIFF_BYTES];
            let count = input.read_full(start, &mut head).map_err(DecodeError::from_io)?;
            let facts = facts_at(&head[..count], start, input.len());
            let Some(container) = facts.container else {
                return Err(DecodeError::Unrecognised(extension.map(|text| text.chars().take(16).collect())));
            };
            let chosen = open_container(&input, &facts, container, shows_end(&input, container))?;
            Self::assemble(input, facts, chosen)
        })
    }

    fn assemble(input: SharedInput, facts: Facts, chosen: Chosen) -> Result<Self, DecodeError> {
        let params = &chosen.params;
        let rate = params.sample_rate.unwrap_or_default();
        let channels = params.channels.as_ref().map_or(0, Channels::count);
        if rate == 0 || rate > MAX_RATE || channels == 0 || channels > MAX_CHANNELS {
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
        let bytes = input.len().saturating_sub(facts.header_end.unwrap_or(facts.audio_offset));
        let bitrate_bps = match duration {
            Some(duration) if duration > Duration::ZERO => Some((bytes as f64 * 8.0 / duration.as_secs_f64()) as u64),
            _ => facts.bitrate_bps,
        };
        let info =
            StreamInfo { codec: name, sample_rate: rate, channels: channels as u16, bits, duration, bitrate_bps };
        chosen.switches.header_is_read();
        // The length of MP3 without a header is an estimate: trimming by it could lose music.
        let length = length.filter(|_| facts.container != Some(Container::Mp3) && name != "vorbis");
        Ok(Self {
            input,
            facts,
            chosen,
            info,
            speakers,
            origin,
            length,
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
                Ok(None) => return self.at_end(),
                Err(Error::IoError(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    return self.at_end();
                }
                Err(Error::ResetRequired) => self.chain()?,
                Err(Error::DecodeError(what)) => self.count_bad(what)?,
                Err(error) => return Err(DecodeError::from_symphonia(error)),
            }
        }
    }

    /// Tells whether the end of the file is the end of the music.
    fn at_end(&self) -> Result<Option<Packet>, DecodeError> {
        if !self.seen_sound && self.wanted == 0 {
            return Err(DecodeError::Damaged("there is no sound in it".to_owned()));
        }
        let rate = f64::from(self.info.sample_rate);
        let at = Duration::from_secs_f64(self.next.unwrap_or(self.wanted) as f64 / rate);
        match (self.length, self.info.duration) {
            (Some(_), Some(of)) if at + Duration::from_secs(CUT_OFF_SECONDS) < of => {
                Err(DecodeError::CutOff { at, of })
            }
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
            self.chosen = open_container(&self.input, &self.facts, container, is_ogg && !to.is_zero())?;
            self.chosen.switches.header_is_read();
        }
        if to.is_zero() {
            return Ok(());
        }
        if is_ogg && self.chosen.reader.tracks().len() > 1 {
            // Symphonia 0.6.1 loops for ever when it seeks among several streams.
            return Err(DecodeError::Unsupported("there are other streams in it; seeking is not possible".to_owned()));
        }
        let early = to.saturating_sub(PRE_ROLL);
        let early = (early.as_secs_f64() * f64::from(self.info.sample_rate)) as u64;
        let ticks = self.origin.saturating_add(to_ticks(&self.chosen.track, self.info.sample_rate, early));
        // An exact seek in MP3 or ADTS reads everything from the start.
        let everything = !matches!(container, Container::Mp3 | Container::Adts) || self.input.has_from(0);
        let mode = if everything { SeekMode::Accurate } else { SeekMode::Coarse };
        let target = SeekTo::Timestamp { ts: Timestamp::new(ticks), track_id: self.chosen.track.id };
        match self.chosen.reader.seek(mode, target) {
            Ok(_) => {}
            // Behind the last packet, which is the end.
            Err(Error::SeekError(symphonia::core::errors::SeekErrorKind::OutOfRange)) => {}
            Err(error) => return Err(DecodeError::from_symphonia(error)),
        }
        self.chosen.decoder.reset();
        Ok(())
    }
}

/// Whether a demuxer may look at the end of the file while it opens.
fn shows_end(input: &SharedInput, container: Container) -> bool {
    match container {
        Container::Mp3 | Container::Flac | Container::Wav | Container::Mp4 => true,
        Container::Ogg | Container::Aiff => input.has_from(input.len().saturating_sub(ogg::TAIL_BYTES)),
        Container::Adts => input.has_from(0),
    }
}

fn open_container(
    input: &SharedInput,
    facts: &Facts,
    container: Container,
    seekable: bool,
) -> Result<Chosen, DecodeError> {
    let start = facts.audio_offset;
    let (prefix, base) = match container {
        Container::Flac => input.flac_header(start).map_err(DecodeError::from_io)?.unwrap_or((Vec::new(), start)),
        _ => (Vec::new(), start),
    };
    let (source, switches) = Source::new(input.clone(), prefix, base, seekable);
    let stream = MediaSourceStream::new(Box::new(source), MediaSourceStreamOptions { buffer_len: READ_AHEAD });
    let reader = PROBE
        .probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(DecodeError::from_symphonia)?;
    let (track, params) = choose_track(reader.as_ref())?;
    let decoder = make_decoder(&params)?;
    Ok(Chosen { reader, decoder, switches, track, params })
}

fn choose_track(reader: &dyn FormatReader) -> Result<(Track, AudioCodecParameters), DecodeError> {
    let track = reader
        .default_track(TrackType::Audio)
        .ok_or_else(|| DecodeError::Unsupported("there is no sound in it of a kind that is known".to_owned()))?;
    match &track.codec_params {
        Some(CodecParameters::Audio(params)) => {
            let mut params = params.clone();
            if params.codec == codec::CODEC_ID_OPUS {
                clear_opus_skip(&mut params);
            }
            Ok((track.clone(), params))
        }
        _ => Err(DecodeError::Unsupported("there is no sound in it".to_owned())),
    }
}

/// The frames to skip are left out by position here, which also holds after a seek; the decoder would leave them out
/// of whatever packet comes first.
fn clear_opus_skip(params: &mut AudioCodecParameters) {
    if let Some(skip) = params.extra_data.as_mut().and_then(|head| head.get_mut(10..12)) {
        skip.fill(0);
    }
}

fn make_decoder(params: &AudioCodecParameters) -> Result<Box<dyn AudioDecoder>, DecodeError> {
    CODECS.make_audio_decoder(params, &AudioDecoderOptions::default()).map_err(|error| match error {
        Error::Unsupported(_) => DecodeError::Unsupported("its codec is not known".to_owned()),
        error => DecodeError::from_symphonia(error),
    })
}

fn time_base(track: &Track, rate: u32) -> TimeBase {
    track.time_base.or_else(|| TimeBase::try_from_recip(rate)).unwrap_or_default()
}

/// Frames as a span in the track's timestamp units.
fn to_ticks(track: &Track, rate: u32, frames: u64) -> i64 {
    let base = time_base(track, rate);
    let ticks =
        i128::from(frames) * i128::from(base.denom.get()) / (i128::from(base.numer.get()) * i128::from(rate.max(1)));
    i64::try_from(ticks).unwrap_or(i64::MAX)
}
