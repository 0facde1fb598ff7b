//! Gapless facts of MP4 files that the demuxer does not tell: encoder delay and true length.
//!
//! AAC encoders put 1,024 to 2,112 frames of silence in front and fill the last packet. Where the music is, is told
//! by an edit list (ISO/IEC 14496-12, 8.6.6) or by iTunes' `iTunSMPB` tag.

use super::sniff::mp4_box;

/// Nesting of boxes that is followed.
const MAX_DEPTH: usize = 8;

/// Where the music is within the decoded frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edit {
    /// Frames to leave out at the start.
    pub delay: u64,
    /// Frames of music after them, if told.
    pub frames: Option<u64>,
}

/// What the boxes tell, in their own units.
#[derive(Default)]
struct Found {
    movie_scale: Option<u32>,
    media_scale: Option<u32>,
    media_duration: Option<u64>,
    /// Duration in the movie's scale and start in the media's.
    edit: Option<(u64, u64)>,
    /// Of iTunes: delay and frames, at the rate of the sound.
    itunes: Option<(u64, u64)>,
    is_sound: bool,
    done: bool,
}

/// Reads the edit of the first sound track from the body of a `moov` box; `rate` is that of the decoded sound.
pub(super) fn edit(moov: &[u8], rate: u32) -> Option<Edit> {
    let mut found = Found::default();
    walk(moov, 0, &mut found);
    if let Some((delay, frames)) = found.itunes {
        return Some(Edit { delay, frames: (frames > 0).then_some(frames) });
    }
    let (duration, start) = found.edit?;
    let (movie_scale, media_scale) = (found.movie_scale?, found.media_scale?);
    let media_frames = found.media_duration.and_then(|duration| duration.checked_sub(start));
    let edited = scale(duration, media_scale, movie_scale);
    // The edit's length is often told in milliseconds only: where it agrees with the media's length to within one
    // unit, the latter is the exact one.
    let unit = scale(1, media_scale, movie_scale).map(|unit| unit + 1);
    let frames = match (media_frames, edited, unit) {
        (Some(media), Some(edited), Some(unit)) if media.abs_diff(edited) > unit => Some(media.min(edited)),
        (Some(media), _, _) => Some(media),
        (None, edited, _) => edited.filter(|frames| *frames > 0),
    };
    Some(Edit {
        delay: scale(start, rate, media_scale)?,
        frames: match frames {
            Some(frames) => scale(frames, rate, media_scale),
            None => None,
        },
    })
}

fn scale(value: u64, to: u32, from: u32) -> Option<u64> {
    let scaled = u128::from(value).checked_mul(u128::from(to))?.checked_div(u128::from(from))?;
    u64::try_from(scaled).ok()
}

fn walk(mut bytes: &[u8], depth: usize, found: &mut Found) {
    while let Some((size, id)) = mp4_box(bytes) {
        let size = usize::try_from(size).map_or(bytes.len(), |size| size.min(bytes.len()));
        let body = &bytes[8..size.max(8)];
        match &id {
            b"trak" if depth < MAX_DEPTH && !found.done => {
                walk_track(body, depth, found);
            }
            b"mdia" | b"edts" | b"udta" | b"ilst" if depth < MAX_DEPTH => walk(body, depth + 1, found),
            // A full box: version and flags come first.
            b"meta" if depth < MAX_DEPTH => walk(body.get(4..).unwrap_or_default(), depth + 1, found),
            b"mvhd" => found.movie_scale = header_scale(body).map(|(scale, _)| scale),
            b"mdhd" => {
                if let Some((scale, duration)) = header_scale(body) {
                    found.media_scale = Some(scale);
                    found.media_duration = Some(duration).filter(|duration| *duration > 0);
                }
            }
            b"hdlr" if depth > 0 => found.is_sound |= body.get(8..12) == Some(b"soun"),
            b"elst" => found.edit = first_edit(body),
            b"----" => found.itunes = itunes_gapless(body).or(found.itunes),
            _ => {}
        }
        bytes = &bytes[size.max(8)..];
    }
}

/// Walks one track and keeps what it tells only if it is sound.
fn walk_track(body: &[u8], depth: usize, found: &mut Found) {
    let mut track = Found::default();
    walk(body, depth + 1, &mut track);
    if track.is_sound {
        found.media_scale = track.media_scale;
        found.media_duration = track.media_duration;
        found.edit = track.edit;
        found.itunes = found.itunes.or(track.itunes);
        found.done = true;
    }
}

fn field<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..offset + N)?.try_into().ok()
}

/// Timescale and duration of an `mvhd` or `mdhd` box.
fn header_scale(body: &[u8]) -> Option<(u32, u64)> {
    let (scale, duration) = if *body.first()? == 1 {
        (u32::from_be_bytes(field(body, 20)?), u64::from_be_bytes(field(body, 24)?))
    } else {
        (u32::from_be_bytes(field(body, 12)?), u64::from(u32::from_be_bytes(field(body, 16)?)))
    };
    (scale > 0).then_some((scale, duration))
}

/// Duration and start of the first edit that shows media; empty edits before it only delay the track.
fn first_edit(body: &[u8]) -> Option<(u64, u64)> {
    let wide = *body.first()? == 1;
    let count = u32::from_be_bytes(field(body, 4)?);
    let entry = if wide { 20 } else { 12 };
    body.get(8..)?.chunks_exact(entry).take(count as usize).find_map(|edit| {
        let (duration, start) = if wide {
            (u64::from_be_bytes(field(edit, 0)?), i64::from_be_bytes(field(edit, 8)?))
        } else {
            (u64::from(u32::from_be_bytes(field(edit, 0)?)), i64::from(i32::from_be_bytes(field(edit, 4)?)))
        };
        u64::try_from(start).ok().map(|start| (duration, start))
    })
}

/// Delay and frames from a free-form tag named `iTunSMPB`: hexadecimal words, of which the second is the delay, the
/// third the padding and the fourth the number of frames.
fn itunes_gapless(body: &[u8]) -> Option<(u64, u64)> {
    const NAME: &[u8] = b"iTunSMPB";
    let name = body.windows(NAME.len()).take(256).position(|window| window == NAME)?;
    let rest = &body[name + NAME.len()..];
    let (size, id) = mp4_box(rest)?;
    let text = rest.get(16..usize::try_from(size).ok()?.min(rest.len()))?;
    if &id != b"data" {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    let mut words = text.split_ascii_whitespace().map(|word| u64::from_str_radix(word, 16).ok());
    let (_, delay, _padding, frames) = (words.next()??, words.next()??, words.next()??, words.next()??);
    Some((delay, frames))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn boxed(id: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut bytes = ((body.len() + 8) as u32).to_be_bytes().to_vec();
        bytes.extend_from_slice(id);
        bytes.extend_from_slice(body);
        bytes
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    fn movie(movie_scale: u32, edit_duration: u32, start: u32, extra: &[u8]) -> Vec<u8> {
        let mut handler = words(&[0, 0]);
        handler.extend_from_slice(b"soun");
        let mut media = boxed(b"mdhd", &words(&[0, 0, 0, 44_100, 45_124]));
        media.extend(boxed(b"hdlr", &handler));
        let mut track = boxed(b"edts", &boxed(b"elst", &words(&[0, 1, edit_duration, start, 0x1_0000])));
        track.extend(boxed(b"mdia", &media));
        let mut movie = boxed(b"mvhd", &words(&[0, 0, 0, movie_scale, 0]));
        movie.extend(boxed(b"trak", &track));
        movie.extend_from_slice(extra);
        movie
    }

    #[test]
    fn an_edit_in_milliseconds_gives_way_to_the_exact_length() {
        assert_eq!(edit(&movie(1000, 1000, 1024, &[]), 44_100), Some(Edit { delay: 1024, frames: Some(44_100) }));
    }

    #[test]
    fn an_edit_that_is_shorter_than_the_media_is_kept() {
        assert_eq!(edit(&movie(44_100, 40_000, 1024, &[]), 44_100), Some(Edit { delay: 1024, frames: Some(40_000) }));
    }

    #[test]
    fn itunes_knows_best() {
        let mut tag = boxed(b"mean", b"\0\0\0\0com.apple.iTunes");
        tag.extend(boxed(b"name", b"\0\0\0\0iTunSMPB"));
        tag.extend(boxed(b"data", b"\0\0\0\x01\0\0\0\0 00000000 00000840 000001C0 000000000000A000 00000000"));
        let mut meta = vec![0; 4];
        meta.extend(boxed(b"ilst", &boxed(b"----", &tag)));
        let udta = boxed(b"udta", &boxed(b"meta", &meta));
        let found = edit(&movie(1000, 1000, 1024, &udta), 44_100);
        assert_eq!(found, Some(Edit { delay: 0x840, frames: Some(0xa000) }));
    }

    proptest! {
        #[test]
        fn damaged_boxes_are_survived(cut in 0usize..200, place in 0usize..200, value: u8) {
            let mut bytes = movie(1000, 1000, 1024, &[]);
            let place = place % bytes.len();
            bytes[place] = value;
            bytes.truncate(cut);
            let _ = edit(&bytes, 44_100);
        }
    }
}
