//! What a file is, told from its first bytes: container, where the sound begins, its bit rate.
//!
//! File names lie; only content counts. Everything here reads untrusted bytes through checked slices.

use std::time::Duration;

/// Bytes of a file's beginning (after tags) that are enough for [`sniff`] to decide.
pub const SNIFF_BYTES: usize = 16 * 1024;

/// How far a first MPEG frame may lie behind junk. Real files have a few hundred bytes of padding after their tag.
const MAX_JUNK: usize = 8 * 1024;

/// Frames in a row that make MPEG audio or ADTS credible: random bytes look like one frame every few kilobytes.
const MIN_FRAMES: usize = 3;

/// Length of the header of an ID3v2 tag (id3.org, ID3v2.4 section 3.1).
pub(super) const ID3_HEADER: usize = 10;

/// A container that can be played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    Mp3,
    /// AAC without a container.
    Adts,
    Flac,
    Ogg,
    Wav,
    Aiff,
    /// M4A and its like: AAC or ALAC in ISO base media.
    Mp4,
}

/// What the first bytes of a file tell; for the start-up heuristic.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Facts {
    /// `None` if the bytes are too few or not audio that can be played.
    pub container: Option<Container>,
    /// Where the sound, or the header it needs, begins. Bytes before it are tags and pictures and are never read.
    pub audio_offset: u64,
    /// Bytes from the start of the file that are needed before the first sample can be decoded, where known.
    pub header_end: Option<u64>,
    /// The file cannot be played without its last part (MP4 with the index behind the sound).
    pub needs_end: bool,
    /// Average in bits a second.
    pub bitrate_bps: Option<u64>,
    pub duration: Option<Duration>,
    /// The duration is what the header says, and not reckoned from the bit rate.
    pub duration_is_exact: bool,
}

/// Reads what the first bytes `head` of a file of `byte_len` bytes tell. A few kilobytes are enough for most; where
/// a tag is longer than `head`, only `audio_offset` is told: call again with bytes from there through
/// [`facts_at`].
pub fn probe_facts(head: &[u8], byte_len: u64) -> Facts {
    let offset = skip_id3(head);
    match usize::try_from(offset).ok().and_then(|from| head.get(from..)) {
        Some(rest) if !rest.is_empty() => facts_at(rest, offset, byte_len),
        _ => Facts { audio_offset: offset.min(byte_len), ..Facts::default() },
    }
}

/// Like [`probe_facts`] for bytes that begin at `offset`, behind all tags.
pub fn facts_at(bytes: &[u8], offset: u64, byte_len: u64) -> Facts {
    let mut facts = Facts { container: sniff(bytes), audio_offset: offset, ..Facts::default() };
    match facts.container {
        Some(Container::Mp3) => mp3_facts(bytes, byte_len, &mut facts),
        Some(Container::Flac) => flac_facts(bytes, byte_len, &mut facts),
        Some(Container::Ogg) => facts.bitrate_bps = vorbis_bitrate(bytes),
        Some(Container::Wav) => wav_facts(bytes, &mut facts),
        Some(Container::Aiff) => aiff_facts(bytes, &mut facts),
        Some(Container::Mp4) => mp4_facts(bytes, &mut facts),
        Some(Container::Adts) | None => {}
    }
    facts.duration_is_exact = facts.duration.is_some();
    let audio_bytes = byte_len.saturating_sub(facts.audio_offset);
    match (facts.bitrate_bps, facts.duration) {
        (None, Some(duration)) if duration > Duration::ZERO => {
            facts.bitrate_bps = Some((audio_bytes as f64 * 8.0 / duration.as_secs_f64()) as u64);
        }
        (Some(bitrate), None) if bitrate > 0 => {
            facts.duration = Duration::try_from_secs_f64(audio_bytes as f64 * 8.0 / bitrate as f64).ok();
        }
        _ => {}
    }
    facts
}

/// Length of the ID3v2 tags at the start of `head`, which may reach beyond it.
fn skip_id3(head: &[u8]) -> u64 {
    let mut offset = 0u64;
    while let Some(length) = usize::try_from(offset).ok().and_then(|from| head.get(from..)).and_then(id3_len) {
        offset += length;
    }
    offset
}

/// Length with header (and footer) of the ID3v2 tag that `bytes` begin with. Sizes are "sync-safe": 7 bits a byte.
pub(super) fn id3_len(bytes: &[u8]) -> Option<u64> {
    let header = bytes.get(..ID3_HEADER)?;
    if !header.starts_with(b"ID3")
        || header[3] == 0xff
        || header[4] == 0xff
        || header[6..].iter().any(|b| b & 0x80 != 0)
    {
        return None;
    }
    let size = header[6..].iter().fold(0u64, |size, byte| size << 7 | u64::from(*byte));
    let footer = if header[5] & 0x10 != 0 { ID3_HEADER as u64 } else { 0 };
    Some(size + ID3_HEADER as u64 + footer)
}

/// The container that `bytes`, behind all tags, belong to.
pub(super) fn sniff(bytes: &[u8]) -> Option<Container> {
    let at = |offset: usize, magic: &[u8]| bytes.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    if at(0, b"fLaC") {
        Some(Container::Flac)
    } else if at(0, b"OggS") {
        Some(Container::Ogg)
    } else if (at(0, b"RIFF") || at(0, b"RIFX")) && at(8, b"WAVE") {
        Some(Container::Wav)
    } else if at(0, b"FORM") && (at(8, b"AIFF") || at(8, b"AIFC")) {
        Some(Container::Aiff)
    } else if at(4, b"ftyp") {
        Some(Container::Mp4)
    } else {
        first_frame(bytes, |rest| MpegFrame::parse(rest).map(|frame| frame.length))
            .map(|_| Container::Mp3)
            .or_else(|| first_frame(bytes, adts_length).map(|_| Container::Adts))
    }
}

/// Offset of the first of several frames in a row, where `length` reads a frame's length from its header. A file
/// that ends before there are so many is believed if its frames fill it.
fn first_frame(bytes: &[u8], length: impl Fn(&[u8]) -> Option<usize>) -> Option<usize> {
    let limit = bytes.len().min(MAX_JUNK);
    (0..limit).find(|&start| {
        let mut position = start;
        let mut frames = 0;
        while frames < MIN_FRAMES {
            match bytes.get(position..).and_then(&length) {
                Some(length) => position += length,
                None => break,
            }
            frames += 1;
        }
        frames == MIN_FRAMES || (frames > 0 && start == 0 && position >= bytes.len())
    })
}

/// Header of an MPEG-1, -2 or -2.5 layer III frame (ISO/IEC 11172-3, 2.4.1.3).
struct MpegFrame {
    bitrate: u32,
    rate: u32,
    samples: u32,
    /// Of the whole frame in bytes.
    length: usize,
    /// Offset of a Xing header, behind the side information.
    xing: usize,
}

impl MpegFrame {
    fn parse(bytes: &[u8]) -> Option<Self> {
        const KBPS_V1: [u32; 15] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
        const KBPS_V2: [u32; 15] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
        let header = u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?);
        let version = header >> 19 & 3;
        let layer = header >> 17 & 3;
        let bitrate_index = (header >> 12 & 15) as usize;
        let rate_index = (header >> 10 & 3) as usize;
        if header >> 21 != 0x7ff || version == 1 || layer != 1 || !(1..15).contains(&bitrate_index) || rate_index == 3 {
            return None;
        }
        let v1 = version == 3;
        let bitrate = if v1 { KBPS_V1 } else { KBPS_V2 }[bitrate_index] * 1000;
        let rate = [44_100, 48_000, 32_000][rate_index] >> [2, 0, 1, 0][version as usize];
        let samples = if v1 { 1152 } else { 576 };
        let mono = header >> 6 & 3 == 3;
        let side_info = match (v1, mono) {
            (true, false) => 32,
            (true, true) | (false, false) => 17,
            (false, true) => 9,
        };
        let length = (samples / 8 * bitrate / rate + (header >> 9 & 1)) as usize;
        (length > 4).then_some(Self { bitrate, rate, samples, length, xing: 4 + side_info })
    }
}

/// Length of the ADTS frame whose header `bytes` begin with (ISO/IEC 13818-7, 6.2).
fn adts_length(bytes: &[u8]) -> Option<usize> {
    let header = bytes.get(..7)?;
    let sync = header[0] == 0xff && header[1] & 0xf6 == 0xf0 && (header[2] >> 2 & 15) < 13;
    let length = usize::from(header[3] & 3) << 11 | usize::from(header[4]) << 3 | usize::from(header[5] >> 5);
    (sync && length > 7).then_some(length)
}

fn be_u32(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(offset..offset.checked_add(4)?)?.try_into().ok()?))
}

fn le_u32(bytes: &[u8], offset: usize) -> Option<u32> {
    be_u32(bytes, offset).map(u32::swap_bytes)
}

fn mp3_facts(bytes: &[u8], byte_len: u64, facts: &mut Facts) {
    let Some(start) = first_frame(bytes, |rest| MpegFrame::parse(rest).map(|frame| frame.length)) else { return };
    let Some(frame) = MpegFrame::parse(&bytes[start..]) else { return };
    facts.audio_offset += start as u64;
    facts.header_end = Some(facts.audio_offset + frame.length as u64);
    facts.bitrate_bps = Some(u64::from(frame.bitrate));
    // Xing/Info: flags, then the number of frames if flag 1 and of bytes if flag 2. VBRI: at a fixed place.
    let tag = start + frame.xing;
    let is_xing = bytes.get(tag..tag + 4).is_some_and(|id| id == b"Xing" || id == b"Info");
    let is_vbri = bytes.get(start + 36..start + 40).is_some_and(|id| id == b"VBRI");
    let frames = if is_xing && be_u32(bytes, tag + 4).is_some_and(|flags| flags & 1 != 0) {
        be_u32(bytes, tag + 8)
    } else if is_vbri {
        be_u32(bytes, start + 36 + 14)
    } else {
        None
    };
    if let Some(frames) = frames.filter(|frames| *frames > 0) {
        let seconds = f64::from(frames) * f64::from(frame.samples) / f64::from(frame.rate);
        facts.duration = Some(Duration::from_secs_f64(seconds));
        facts.bitrate_bps = Some((byte_len.saturating_sub(facts.audio_offset) as f64 * 8.0 / seconds) as u64);
    }
}

/// Rate and number of frames (0: unknown) from STREAMINFO (RFC 9639, section 8.2); `info` is its body.
pub(super) fn flac_stream_info(info: &[u8]) -> Option<(u32, u64)> {
    let packed = u64::from_be_bytes(info.get(10..18)?.try_into().ok()?);
    let rate = (packed >> 44) as u32;
    (rate > 0).then_some((rate, packed & 0xf_ffff_ffff))
}

fn flac_facts(bytes: &[u8], byte_len: u64, facts: &mut Facts) {
    if let Some((rate, frames)) = bytes.get(8..42).and_then(flac_stream_info).filter(|(_, frames)| *frames > 0) {
        facts.duration = Some(Duration::from_secs_f64(frames as f64 / f64::from(rate)));
    }
    // Pictures and padding lie between STREAMINFO and the first frame; the decoder jumps over them.
    let mut position = 4u64;
    while let Some(header) = usize::try_from(position).ok().and_then(|at| be_u32(bytes, at)) {
        position += 4 + u64::from(header & 0xff_ffff);
        if header >> 31 == 1 {
            facts.header_end = Some((facts.audio_offset + position).min(byte_len));
            break;
        }
    }
    if let (Some(end), Some(duration)) = (facts.header_end, facts.duration.filter(|d| *d > Duration::ZERO)) {
        facts.bitrate_bps = Some((byte_len.saturating_sub(end) as f64 * 8.0 / duration.as_secs_f64()) as u64);
    }
}

/// Nominal bit rate of the identification header (Vorbis I, 4.2.2) in the first Ogg page.
fn vorbis_bitrate(bytes: &[u8]) -> Option<u64> {
    let packet = bytes.windows(7).take(512).position(|window| window == b"\x01vorbis")?;
    let nominal = le_u32(bytes, packet + 20)?;
    (nominal > 0 && nominal <= i32::MAX as u32).then_some(u64::from(nominal))
}

fn wav_facts(bytes: &[u8], facts: &mut Facts) {
    let mut position = 12usize;
    while let (Some(id), Some(length)) = (bytes.get(position..position + 4), le_u32(bytes, position + 4)) {
        if id == b"fmt " {
            facts.bitrate_bps = le_u32(bytes, position + 16).filter(|rate| *rate > 0).map(|rate| u64::from(rate) * 8);
        } else if id == b"data" {
            facts.header_end = Some(facts.audio_offset + position as u64 + 8);
            break;
        }
        let Some(next) = position.checked_add(8 + length as usize + (length & 1) as usize) else { break };
        position = next;
    }
}

fn aiff_facts(bytes: &[u8], facts: &mut Facts) {
    let mut position = 12usize;
    while let (Some(id), Some(length)) = (bytes.get(position..position + 4), be_u32(bytes, position + 4)) {
        if id == b"COMM" {
            facts.duration = aiff_duration(&bytes[position + 8..]);
        } else if id == b"SSND" {
            facts.header_end = Some(facts.audio_offset + position as u64 + 16);
            break;
        }
        let Some(next) = position.checked_add(8 + length as usize + (length & 1) as usize) else { break };
        position = next;
    }
}

/// Playing time from the body of a COMM chunk; the rate is an extended float whose exponent is that of an integer.
fn aiff_duration(common: &[u8]) -> Option<Duration> {
    let frames = be_u32(common, 2)?;
    let exponent = u16::from_be_bytes(common.get(8..10)?.try_into().ok()?);
    let mantissa = be_u32(common, 10)?;
    let shift = (16_383 + 31u16).checked_sub(exponent).filter(|shift| *shift < 32)?;
    let rate = mantissa >> shift;
    (rate > 0).then(|| Duration::from_secs_f64(f64::from(frames) / f64::from(rate)))
}

fn mp4_facts(bytes: &[u8], facts: &mut Facts) {
    let mut position = 0u64;
    while let Some((size, id)) = usize::try_from(position).ok().and_then(|at| mp4_box(bytes.get(at..)?)) {
        match &id {
            b"mdat" => {
                facts.needs_end = true;
                break;
            }
            b"moov" => {
                facts.header_end = Some(facts.audio_offset + position.saturating_add(size));
                break;
            }
            _ => position = position.saturating_add(size),
        }
    }
}

/// Size with header and type of the box that `bytes` begin with (ISO/IEC 14496-12, 4.2). A size of 0 (to the end of
/// the file) is told as the largest number.
pub(super) fn mp4_box(bytes: &[u8]) -> Option<(u64, [u8; 4])> {
    let id = bytes.get(4..8)?.try_into().ok()?;
    let size = match be_u32(bytes, 0)? {
        0 => u64::MAX,
        1 => u64::from_be_bytes(bytes.get(8..16)?.try_into().ok()?),
        size => u64::from(size),
    };
    (size >= 8).then_some((size, id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::encode::{self, Tags};
    use crate::audio::testing::{fixture, pcm};
    use proptest::prelude::*;

    fn facts(file: &[u8]) -> Facts {
        probe_facts(&file[..file.len().min(SNIFF_BYTES)], file.len() as u64)
    }

    #[test]
    fn the_first_bytes_tell_container_rate_and_where_sound_begins() {
        let sound = pcm(0..66_150, 16);
        let tags = Tags::default();
        for (file, container, bitrate, header_end) in [
            (encode::wav(&sound, &tags).unwrap(), Container::Wav, 1_411_200, Some(44)),
            (encode::aiff(&sound, &tags).unwrap(), Container::Aiff, 1_411_488, Some(54)),
            (fixture("a.mp3"), Container::Mp3, 128_000, None),
            (fixture("no-xing.mp3"), Container::Mp3, 64_000, None),
        ] {
            let facts = facts(&file);
            assert_eq!(facts.container, Some(container));
            let told = facts.bitrate_bps.unwrap();
            assert!(told.abs_diff(bitrate) < bitrate / 10, "{container:?}: {told} bit/s");
            assert!(header_end.is_none() || facts.header_end == header_end, "{container:?}: {:?}", facts.header_end);
            assert!(facts.duration.is_some());
        }
        let flac = facts(&encode::flac(&sound, &tags).unwrap());
        assert_eq!((flac.duration, flac.duration_is_exact), (Some(Duration::from_millis(1500)), true));
        assert!(facts(&encode::vorbis(&sound, &tags, 0.4, 1).unwrap()).bitrate_bps.unwrap() > 64_000);
    }

    #[test]
    fn an_index_behind_the_sound_is_told() {
        assert!(facts(&fixture("a.m4a")).needs_end);
        let front = facts(&fixture("front.m4a"));
        assert!(!front.needs_end && front.header_end.is_some_and(|end| end < 2_000), "{front:?}");
    }

    #[test]
    fn a_long_tag_tells_where_to_look_next() {
        let mut file = b"ID3\x03\0\0\0\x0a\0\0".to_vec();
        file.resize(10 + (10 << 14), 0);
        let offset = file.len() as u64;
        file.extend(fixture("a.mp3"));
        let short = probe_facts(&file[..4_096], file.len() as u64);
        assert_eq!((short.container, short.audio_offset), (None, offset));
        let next = facts_at(&file[offset as usize..], offset, file.len() as u64);
        // Its own tag comes first.
        assert!(next.audio_offset >= offset);
        assert_eq!(facts(&fixture("a.mp3")).container, Some(Container::Mp3));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>, magic in 0usize..6, len: u64) {
            let magics: [&[u8]; 6] = [b"fLaC", b"RIFF\0\0\0\0WAVE", b"FORM\0\0\0\0AIFF", b"\0\0\0\x08ftyp", b"ID3\x03\0\0", b""];
            let file = [magics[magic], &bytes].concat();
            probe_facts(&file, len);
        }
    }
}
