//! Small encoders: PCM to WAV, AIFF, FLAC and Ogg Vorbis, with tags.
//!
//! The demo composes its music and the tests make their inputs with these. They work in memory and are meant for
//! pieces of seconds to minutes.

use std::num::{NonZeroU8, NonZeroU32};

use flacenc::component::{BitRepr, MetadataBlockData};
use flacenc::error::Verify;
use vorbis_rs::{VorbisBitrateManagementStrategy, VorbisEncoderBuilder};

/// Samples that are encoded by one call into the Vorbis encoder, as its documentation advises.
const VORBIS_BLOCK: usize = 2048;

/// Type number of a Vorbis comment among FLAC metadata blocks (RFC 9639, section 8.1).
const FLAC_VORBIS_COMMENT: u8 = 4;

/// Where STREAMINFO has the largest block size, 16 bits; the smallest one is before it (RFC 9639, section 8.2).
const FLAC_MAX_BLOCK_AT: usize = 10;

/// The PCM or the tags cannot be put into the format.
#[derive(Debug, thiserror::Error)]
#[error("cannot encode {format}: {reason}")]
pub struct EncodeError {
    format: &'static str,
    reason: String,
}

/// Sound to encode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pcm {
    /// Frames a second.
    pub rate: u32,
    pub channels: u16,
    /// Of a sample: 16, 24 or 32.
    pub bits: u16,
    /// Interleaved; each within the range of a signed integer of `bits` bits.
    pub samples: Vec<i32>,
}

/// What is written into the file about the music; empty ones are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags {
    pub title: String,
    pub artist: String,
    pub album: String,
    /// Track number within the album.
    pub number: Option<u16>,
}

impl Tags {
    /// Names of Vorbis comments (used by Ogg and FLAC) with their values.
    fn comments(&self) -> Vec<(&'static str, String)> {
        let number = self.number.map(|number| number.to_string()).unwrap_or_default();
        [("TITLE", &self.title), ("ARTIST", &self.artist), ("ALBUM", &self.album), ("TRACKNUMBER", &number)]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name, value.clone()))
            .collect()
    }
}

impl Pcm {
    fn check(&self, format: &'static str, bits: &[u16], max_channels: u16) -> Result<(), EncodeError> {
        let error = |reason: &str| Err(EncodeError { format, reason: reason.to_owned() });
        if self.rate == 0 {
            return error("the sample rate is 0");
        }
        if self.channels == 0 || self.channels > max_channels {
            return error(&format!("it has {} channels, 1 to {max_channels} are possible", self.channels));
        }
        if !bits.contains(&self.bits) {
            return error(&format!("it has {} bits a sample, one of {bits:?} is possible", self.bits));
        }
        if !self.samples.len().is_multiple_of(usize::from(self.channels)) {
            return error("the last frame is incomplete");
        }
        let limit = 1i64 << (self.bits - 1);
        if self.samples.iter().any(|&sample| !(-limit..limit).contains(&i64::from(sample))) {
            return error("a sample is larger than its bits allow");
        }
        Ok(())
    }

    fn frames(&self) -> usize {
        self.samples.len() / usize::from(self.channels)
    }

    fn bytes_per_frame(&self) -> u16 {
        self.bits / 8 * self.channels
    }

    /// Appends the samples with the low `bits / 8` bytes of each, little- or big-endian.
    fn put_samples(&self, to: &mut Vec<u8>, big_endian: bool) {
        let width = usize::from(self.bits / 8);
        to.reserve(self.samples.len() * width);
        for sample in &self.samples {
            if big_endian {
                to.extend_from_slice(&sample.to_be_bytes()[4 - width..]);
            } else {
                to.extend_from_slice(&sample.to_le_bytes()[..width]);
            }
        }
    }
}

/// Appends an IFF chunk (padded to an even length), its length little-endian (RIFF) or big-endian (AIFF).
fn put_chunk(to: &mut Vec<u8>, id: &[u8; 4], body: &[u8], big_endian: bool) {
    let length = body.len() as u32;
    to.extend_from_slice(id);
    to.extend_from_slice(&if big_endian { length.to_be_bytes() } else { length.to_le_bytes() });
    to.extend_from_slice(body);
    if body.len() % 2 == 1 {
        to.push(0);
    }
}

fn too_long(format: &'static str) -> EncodeError {
    EncodeError { format, reason: "it is longer than the 4 GiB that the format can hold".to_owned() }
}

/// Encodes as RIFF WAVE, integer PCM, with an INFO list for the tags.
///
/// # Errors
/// If the format cannot hold the sound.
pub fn wav(pcm: &Pcm, tags: &Tags) -> Result<Vec<u8>, EncodeError> {
    pcm.check("WAV", &[16, 24, 32], 8)?;
    if pcm.samples.len() as u64 * 4 > u64::from(u32::MAX) / 2 {
        return Err(too_long("WAV"));
    }
    let mut format = Vec::with_capacity(16);
    format.extend_from_slice(&1u16.to_le_bytes());
    format.extend_from_slice(&pcm.channels.to_le_bytes());
    format.extend_from_slice(&pcm.rate.to_le_bytes());
    format.extend_from_slice(&(pcm.rate * u32::from(pcm.bytes_per_frame())).to_le_bytes());
    format.extend_from_slice(&pcm.bytes_per_frame().to_le_bytes());
    format.extend_from_slice(&pcm.bits.to_le_bytes());
    let mut data = Vec::new();
    pcm.put_samples(&mut data, false);

    let mut body = b"WAVE".to_vec();
    put_chunk(&mut body, b"fmt ", &format, false);
    let mut info = b"INFO".to_vec();
    let number = tags.number.map(|number| number.to_string()).unwrap_or_default();
    for (id, text) in [(b"INAM", &tags.title), (b"IART", &tags.artist), (b"IPRD", &tags.album), (b"ITRK", &number)] {
        if !text.is_empty() {
            put_chunk(&mut info, id, format!("{text}\0").as_bytes(), false);
        }
    }
    if info.len() > 4 {
        put_chunk(&mut body, b"LIST", &info, false);
    }
    put_chunk(&mut body, b"data", &data, false);
    let mut file = Vec::with_capacity(body.len() + 8);
    put_chunk(&mut file, b"RIFF", &body, false);
    Ok(file)
}

/// The 80-bit extended float of AIFF's sample rate (Apple AIFF 1.3; IEEE 754 extended precision).
fn extended(rate: u32) -> [u8; 10] {
    let shift = rate.leading_zeros();
    let exponent = (16_383 + 31 - shift) as u16;
    let mut bytes = [0; 10];
    bytes[..2].copy_from_slice(&exponent.to_be_bytes());
    bytes[2..6].copy_from_slice(&(rate << shift).to_be_bytes());
    bytes
}

/// Encodes as AIFF 1.3, with NAME and AUTH chunks for title and artist.
///
/// # Errors
/// If the format cannot hold the sound.
pub fn aiff(pcm: &Pcm, tags: &Tags) -> Result<Vec<u8>, EncodeError> {
    pcm.check("AIFF", &[16, 24, 32], 8)?;
    if pcm.samples.len() as u64 * 4 > u64::from(u32::MAX) / 2 {
        return Err(too_long("AIFF"));
    }
    let mut common = Vec::with_capacity(18);
    common.extend_from_slice(&pcm.channels.to_be_bytes());
    common.extend_from_slice(&(pcm.frames() as u32).to_be_bytes());
    common.extend_from_slice(&pcm.bits.to_be_bytes());
    common.extend_from_slice(&extended(pcm.rate));
    // Offset and block size of the sound data, both zero.
    let mut sound = vec![0; 8];
    pcm.put_samples(&mut sound, true);

    let mut body = b"AIFF".to_vec();
    put_chunk(&mut body, b"COMM", &common, true);
    for (id, text) in [(b"NAME", &tags.title), (b"AUTH", &tags.artist)] {
        if !text.is_empty() {
            put_chunk(&mut body, id, text.as_bytes(), true);
        }
    }
    put_chunk(&mut body, b"SSND", &sound, true);
    let mut file = Vec::with_capacity(body.len() + 8);
    put_chunk(&mut file, b"FORM", &body, true);
    Ok(file)
}

/// A Vorbis comment header as FLAC embeds it (RFC 9639, section 8.6), lengths little-endian.
fn vorbis_comment(tags: &Tags) -> Vec<u8> {
    let comments = tags.comments();
    let mut block = Vec::new();
    let mut put = |text: &str| {
        block.extend_from_slice(&(text.len() as u32).to_le_bytes());
        block.extend_from_slice(text.as_bytes());
    };
    put("silverstream");
    block.extend_from_slice(&(comments.len() as u32).to_le_bytes());
    for (name, value) in comments {
        let text = format!("{name}={value}");
        block.extend_from_slice(&(text.len() as u32).to_le_bytes());
        block.extend_from_slice(text.as_bytes());
    }
    block
}

/// Encodes as FLAC; 16 or 24 bits a sample.
///
/// # Errors
/// If the format cannot hold the sound.
pub fn flac(pcm: &Pcm, tags: &Tags) -> Result<Vec<u8>, EncodeError> {
    let error = |reason: String| EncodeError { format: "FLAC", reason };
    pcm.check("FLAC", &[16, 24], 8)?;
    let config = flacenc::config::Encoder::default().into_verified().map_err(|(_, why)| error(why.to_string()))?;
    let source = flacenc::source::MemSource::from_samples(
        &pcm.samples,
        usize::from(pcm.channels),
        usize::from(pcm.bits),
        pcm.rate as usize,
    );
    let mut stream = flacenc::encode_with_fixed_block_size(&config, source, config.block_size)
        .map_err(|why| error(why.to_string()))?;
    // The smallest block is told without the last one (RFC 9639, section 8.2), which flacenc counts too.
    stream
        .stream_info_mut()
        .set_block_sizes(config.block_size, config.block_size)
        .map_err(|why| error(why.to_string()))?;
    let comment = MetadataBlockData::new_unknown(FLAC_VORBIS_COMMENT, &vorbis_comment(tags))
        .map_err(|why| error(why.to_string()))?;
    stream.add_metadata_block(comment);
    let mut sink = flacenc::bitsink::ByteSink::new();
    stream.write(&mut sink).map_err(|why| error(format!("{why:?}")))?;
    let mut bytes = sink.into_inner();
    // The encoder counts the shorter last block as the smallest one. RFC 9639, section 8.2, leaves it out, and decoders
    // take a stream whose smallest and largest block differ for one of variable block size.
    bytes.copy_within(FLAC_MAX_BLOCK_AT..FLAC_MAX_BLOCK_AT + 2, FLAC_MAX_BLOCK_AT - 2);
    Ok(bytes)
}

/// Encodes as Ogg Vorbis at `quality` from -0.2 (about 32 kbit/s stereo) to 1.0 (about 500 kbit/s).
///
/// `serial` numbers the Ogg stream, so that the same input always makes the same file.
///
/// # Errors
/// If the format cannot hold the sound.
pub fn vorbis(pcm: &Pcm, tags: &Tags, quality: f32, serial: i32) -> Result<Vec<u8>, EncodeError> {
    let error = |reason: String| EncodeError { format: "Ogg Vorbis", reason };
    pcm.check("Ogg Vorbis", &[16, 24, 32], 8)?;
    let rate = NonZeroU32::new(pcm.rate).ok_or_else(|| error("the sample rate is 0".to_owned()))?;
    let channels =
        u8::try_from(pcm.channels).ok().and_then(NonZeroU8::new).ok_or_else(|| error("no channels".to_owned()))?;
    let mut builder = VorbisEncoderBuilder::new_with_serial(rate, channels, Vec::new(), serial);
    builder.bitrate_management_strategy(VorbisBitrateManagementStrategy::QualityVbr { target_quality: quality });
    builder.comment_tags(tags.comments()).map_err(|why| error(why.to_string()))?;
    let mut encoder = builder.build().map_err(|why| error(why.to_string()))?;
    let channels = usize::from(pcm.channels);
    let scale = 1.0 / (1i64 << (pcm.bits - 1)) as f32;
    for block in pcm.samples.chunks(VORBIS_BLOCK * channels) {
        let planes: Vec<Vec<f32>> = (0..channels)
            .map(|channel| block.iter().skip(channel).step_by(channels).map(|&s| s as f32 * scale).collect())
            .collect();
        encoder.encode_audio_block(planes).map_err(|why| error(why.to_string()))?;
    }
    encoder.finish().map_err(|why| error(why.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_format_cannot_hold_is_refused_with_the_reason() {
        let good = Pcm { rate: 44_100, channels: 1, bits: 16, samples: vec![0; 100] };
        for (bad, word) in [
            (Pcm { rate: 0, ..good.clone() }, "rate"),
            (Pcm { channels: 0, ..good.clone() }, "channels"),
            (Pcm { channels: 9, ..good.clone() }, "channels"),
            (Pcm { bits: 12, ..good.clone() }, "bits"),
            (Pcm { channels: 3, ..good.clone() }, "incomplete"),
            (Pcm { samples: vec![32_768], ..good.clone() }, "larger"),
        ] {
            let tags = Tags::default();
            for error in [wav(&bad, &tags), aiff(&bad, &tags), flac(&bad, &tags), vorbis(&bad, &tags, 0.4, 1)] {
                let text = error.unwrap_err().to_string();
                assert!(text.contains(word), "{text}");
            }
        }
    }

    #[test]
    fn aiff_rates_are_written_as_extended_floats() {
        assert_eq!(extended(44_100), [0x40, 0x0e, 0xac, 0x44, 0, 0, 0, 0, 0, 0]);
        assert_eq!(extended(48_000), [0x40, 0x0e, 0xbb, 0x80, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn the_same_sound_makes_the_same_bytes() {
        let pcm = Pcm { rate: 8_000, channels: 2, bits: 16, samples: (0..4_000).map(|n| (n * 37) % 9_000).collect() };
        let tags = Tags { title: "Ä".to_owned(), number: Some(3), ..Tags::default() };
        assert_eq!(vorbis(&pcm, &tags, 0.2, 7).unwrap(), vorbis(&pcm, &tags, 0.2, 7).unwrap());
        assert_eq!(flac(&pcm, &tags).unwrap(), flac(&pcm, &tags).unwrap());
    }
}
