//! Tracks packed together: up to [`BLOCK_TRACKS`] neighbours of one torrent in one blob.
//!
//! Names within a torrent repeat each other, so a path is stored as what differs from the path before it, and title,
//! artist and album as "the same as before" or as a place within the path wherever that is true. A track takes about
//! 40 bytes instead of 200 as columns of a table. The bytes come from a file that may be damaged: decoding never
//! panics and never allocates beyond the bounds.

use super::rows::TrackRow;
use super::text::{MAX_TEXT, cut};

/// Tracks in a block: large enough that the first, complete one does not matter, small enough to decode in 10 µs.
pub(super) const BLOCK_TRACKS: usize = 32;

const SAME: u8 = 1;
const IN_PATH: u8 = 2;
const FORMAT_FROM_PATH: u8 = 1 << 6;
const NUMBERED: u8 = 1 << 7;

/// A block does not decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a block of tracks is malformed")]
pub(super) struct MalformedBlock;

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn take_varint(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn take_bytes<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(take_varint(from)?).ok().filter(|len| *len <= MAX_TEXT)?;
    let (text, rest) = from.split_at_checked(len)?;
    *from = rest;
    Some(text)
}

fn take_text(from: &mut &[u8]) -> Option<String> {
    std::str::from_utf8(take_bytes(from)?).ok().map(str::to_owned)
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

fn common_suffix(a: &[u8], b: &[u8]) -> usize {
    a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count()
}

/// The format that the extension of `path` says.
fn extension(path: &str) -> String {
    path.rsplit_once('.').map_or_else(String::new, |(_, extension)| extension.to_lowercase())
}

/// `track` with every text cut to its bound: what a block gives back.
pub(super) fn bounded(track: &TrackRow) -> TrackRow {
    TrackRow {
        path: cut(&track.path).to_owned(),
        title: cut(&track.title).to_owned(),
        artist: cut(&track.artist).to_owned(),
        album: cut(&track.album).to_owned(),
        format: cut(&track.format).to_owned(),
        ..*track
    }
}

/// Packs tracks whose texts are [`bounded`], sorted by their file index.
pub(super) fn encode(tracks: &[TrackRow]) -> Vec<u8> {
    let mut out = Vec::with_capacity(tracks.len() * 48);
    let mut before = TrackRow::default();
    for track in tracks {
        put_track(&mut out, track, &before);
        before = track.clone();
    }
    out
}

fn put_track(out: &mut Vec<u8>, track: &TrackRow, before: &TrackRow) {
    let fields = [(&track.title, &before.title), (&track.artist, &before.artist), (&track.album, &before.album)];
    let mut flags = 0;
    let mut tail = Vec::new();
    for (index, (now, before)) in fields.into_iter().enumerate() {
        let mode = if now == before {
            SAME
        } else if let Some(at) = track.path.find(now.as_str()) {
            put_varint(&mut tail, at as u64);
            put_varint(&mut tail, now.len() as u64);
            IN_PATH
        } else {
            put_text(&mut tail, now);
            0
        };
        flags |= mode << (2 * index);
    }
    if track.format == extension(&track.path) {
        flags |= FORMAT_FROM_PATH;
    } else {
        put_text(&mut tail, &track.format);
    }
    if let Some(number) = track.number {
        flags |= NUMBERED;
        put_varint(&mut tail, u64::from(number));
    }
    let (path, old) = (track.path.as_bytes(), before.path.as_bytes());
    let prefix = common_prefix(path, old);
    let suffix = common_suffix(&path[prefix..], &old[prefix..]);
    out.push(flags);
    put_varint(out, u64::from(track.file.wrapping_sub(before.file)));
    put_varint(out, prefix as u64);
    put_varint(out, suffix as u64);
    let middle = &path[prefix..path.len() - suffix];
    put_varint(out, middle.len() as u64);
    out.extend_from_slice(middle);
    put_varint(out, track.bytes);
    out.extend_from_slice(&tail);
}

/// Unpacks a block.
pub(super) fn decode(mut block: &[u8]) -> Result<Vec<TrackRow>, MalformedBlock> {
    let mut tracks: Vec<TrackRow> = Vec::new();
    let none = TrackRow::default();
    while !block.is_empty() {
        if tracks.len() == BLOCK_TRACKS {
            return Err(MalformedBlock);
        }
        let track = take_track(&mut block, tracks.last().unwrap_or(&none)).ok_or(MalformedBlock)?;
        tracks.push(track);
    }
    Ok(tracks)
}

fn take_track(from: &mut &[u8], before: &TrackRow) -> Option<TrackRow> {
    let (&flags, rest) = from.split_first()?;
    *from = rest;
    let file = before.file.wrapping_add(u32::try_from(take_varint(from)?).ok()?);
    let path = take_path(from, before.path.as_bytes())?;
    let bytes = take_varint(from)?;
    let mut fields = [const { String::new() }; 3];
    let old = [&before.title, &before.artist, &before.album];
    for (index, field) in fields.iter_mut().enumerate() {
        *field = match (flags >> (2 * index)) & 3 {
            0 => take_text(from)?,
            SAME => old[index].clone(),
            IN_PATH => {
                let at = usize::try_from(take_varint(from)?).ok()?;
                let len = usize::try_from(take_varint(from)?).ok()?;
                path.get(at..at.checked_add(len)?)?.to_owned()
            }
            _ => return None,
        };
    }
    let format = if flags & FORMAT_FROM_PATH != 0 { extension(&path) } else { take_text(from)? };
    let number = if flags & NUMBERED != 0 { Some(u16::try_from(take_varint(from)?).ok()?) } else { None };
    let [title, artist, album] = fields;
    Some(TrackRow { file, path, title, artist, album, number, format, bytes })
}

fn take_path(from: &mut &[u8], old: &[u8]) -> Option<String> {
    let prefix = old.get(..usize::try_from(take_varint(from)?).ok()?)?;
    let suffix = usize::try_from(take_varint(from)?).ok()?;
    let suffix = old.get(old.len().checked_sub(suffix)?..)?;
    let middle = take_bytes(from)?;
    String::from_utf8([prefix, middle, suffix].concat()).ok().filter(|path| path.len() <= MAX_TEXT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_track() -> impl Strategy<Value = TrackRow> {
        (
            any::<u32>(),
            "[aé/b.]{0,30}(mp3|FLAC|)",
            ("[aé b]{0,6}", ".{0,8}", "[aé]{0,4}"),
            any::<Option<u16>>(),
            prop_oneof![Just("mp3".to_owned()), Just("flac".to_owned()), ".{0,5}"],
            any::<u64>(),
        )
            .prop_map(|(file, path, (title, artist, album), number, format, bytes)| TrackRow {
                file,
                path,
                title,
                artist,
                album,
                number,
                format,
                bytes,
            })
    }

    proptest! {
        #[test]
        fn blocks_give_back_what_was_packed(tracks in prop::collection::vec(any_track(), 0..=BLOCK_TRACKS)) {
            prop_assert_eq!(decode(&encode(&tracks)).unwrap(), tracks);
        }

        #[test]
        fn damaged_blocks_are_refused_or_decoded_within_bounds(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(tracks) = decode(&bytes) {
                prop_assert!(tracks.len() <= BLOCK_TRACKS);
                prop_assert!(tracks.iter().all(|track| track.path.len() <= MAX_TEXT));
            }
        }

        #[test]
        fn cut_blocks_never_panic(tracks in prop::collection::vec(any_track(), 1..5), keep in 0.0f64..1.0) {
            let block = encode(&tracks);
            let _ = decode(&block[..(block.len() as f64 * keep) as usize]);
        }

        #[test]
        fn varints_round_trip(value: u64) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            prop_assert_eq!(take_varint(&mut out.as_slice()), Some(value));
        }
    }

    #[test]
    fn an_album_takes_about_forty_bytes_a_track() {
        let tracks: Vec<TrackRow> = (1..=12)
            .map(|number| TrackRow {
                file: number,
                path: format!("Some Artist - The Long Album (1999) [FLAC]/{number:02} - Title of Number {number}.flac"),
                title: format!("Title of Number {number}"),
                artist: "Some Artist".into(),
                album: "The Long Album".into(),
                number: Some(number as u16),
                format: "flac".into(),
                bytes: 31_234_567,
            })
            .collect();
        let size = encode(&tracks).len();
        assert!(size < 12 * 40 + 60, "{size}");
    }
}
