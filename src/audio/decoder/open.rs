//! What symphonia is told: containers, codecs, and where each file begins.

use std::sync::{Arc, LazyLock};

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::well_known as codec;
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::codecs::registry::CodecRegistry;
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::{Hint, Probe};
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::units::TimeBase;
use symphonia_adapter_libopus::OpusDecoder;

use super::DecodeError;
use crate::audio::ogg;
use crate::audio::sniff::{Container, Facts};
use crate::audio::source::{SharedInput, Source, Switches};

/// Read-ahead of a demuxer in bytes; symphonia wants a power of two above 32 KiB.
const READ_AHEAD: usize = 64 * 1024;

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
pub(super) fn codec_name(id: AudioCodecId) -> &'static str {
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

/// What a demuxer and a decoder are made for.
pub(super) struct Chosen {
    pub reader: Box<dyn FormatReader>,
    pub decoder: Box<dyn AudioDecoder>,
    pub switches: Arc<Switches>,
    /// Where in the file the demuxer begins, behind what is jumped over.
    pub base: u64,
    pub track: Track,
    pub params: AudioCodecParameters,
}

/// Whether a demuxer may look at the end of the file while it opens.
pub(super) fn shows_end(input: &SharedInput, container: Container) -> bool {
    match container {
        Container::Mp3 | Container::Flac | Container::Wav | Container::Mp4 => true,
        Container::Ogg | Container::Aiff => input.has_from(input.len().saturating_sub(ogg::TAIL_BYTES)),
        Container::Adts => input.has_from(0),
    }
}

/// Makes the demuxer and the decoder for a file whose sound begins at `facts.audio_offset`.
pub(super) fn open_container(
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
    Ok(Chosen { reader, decoder, switches, base, track, params })
}

pub(super) fn choose_track(reader: &dyn FormatReader) -> Result<(Track, AudioCodecParameters), DecodeError> {
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

pub(super) fn make_decoder(params: &AudioCodecParameters) -> Result<Box<dyn AudioDecoder>, DecodeError> {
    CODECS.make_audio_decoder(params, &AudioDecoderOptions::default()).map_err(|error| match error {
        Error::Unsupported(_) => DecodeError::Unsupported("its codec is not known".to_owned()),
        error => DecodeError::from_symphonia(error),
    })
}

pub(super) fn time_base(track: &Track, rate: u32) -> TimeBase {
    track.time_base.or_else(|| TimeBase::try_from_recip(rate)).unwrap_or_default()
}

/// Frames as a span in the track's timestamp units.
pub(super) fn to_ticks(track: &Track, rate: u32, frames: u64) -> i64 {
    let base = time_base(track, rate);
    let ticks =
        i128::from(frames) * i128::from(base.denom.get()) / (i128::from(base.numer.get()) * i128::from(rate.max(1)));
    i64::try_from(ticks).unwrap_or(i64::MAX)
}
