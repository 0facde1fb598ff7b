//! Torrent files, checked before anything else sees them.

use std::ops::Range;

use bytes::Bytes;
use librqbit::{ByteBuf, TorrentMetaV1Info, torrent_from_bytes};

use super::error::SwarmError;
use crate::bencode::{self, Limits, Value};
use crate::types::InfoHash;

/// Largest `.torrent` or info dictionary taken. Real ones of music stay far below 1 MiB.
pub const MAX_METAINFO_BYTES: usize = 8 << 20;
/// Most files in one torrent; each costs memory for as long as the torrent is seeded.
const MAX_FILES: usize = 20_000;
/// Largest torrent: 1 TiB. Keeps every block number within 32 bits.
const MAX_LENGTH: u64 = 1 << 40;
/// Piece lengths that are taken: 1 KiB to 64 MiB (libtorrent makes none beyond).
const PIECE_LENGTHS: std::ops::RangeInclusive<i64> = 1 << 10..=64 << 20;
/// An info dictionary has 4 levels, a v2 file tree one more for every folder. A file takes about 10 values.
const LIMITS: Limits = Limits { depth: 64, items: 40 * MAX_FILES };
/// Granularity at which filesystems allocate.
const FS_BLOCK: u64 = 4096;

/// One file of a torrent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSpan {
    /// Path within the torrent, without its name, joined with `/`; the name itself for a single-file torrent.
    pub path: String,
    /// Length in bytes.
    pub len: u64,
    /// Where it begins when all files are strung together.
    pub offset: u64,
    /// BEP 47 padding: zeros that exist nowhere.
    pub padding: bool,
}

/// A checked v1 info dictionary (BEP 3).
#[derive(Debug, Clone)]
pub struct Metainfo {
    pub infohash: InfoHash,
    pub name: String,
    pub piece_length: u32,
    /// All files together, in bytes.
    pub length: u64,
    pub files: Vec<FileSpan>,
    /// Whether `files` was a list: then the name is that of a folder.
    pub multi_file: bool,
    torrent: Bytes,
}

impl Metainfo {
    /// Reads a `.torrent` file or a bare info dictionary. Trackers and everything else outside the info dictionary are
    /// forgotten: peers come from our own nodes.
    ///
    /// # Errors
    /// If it is malformed, out of bounds or private.
    pub fn parse(bytes: &[u8]) -> Result<Self, SwarmError> {
        if bytes.len() > MAX_METAINFO_BYTES {
            return Err(SwarmError::Metainfo(format!("it is larger than {} MiB", MAX_METAINFO_BYTES >> 20)));
        }
        let value = bencode::parse(bytes, LIMITS).map_err(|error| SwarmError::Metainfo(format!("it {error}")))?;
        let info = value.get(b"info").unwrap_or(value);
        check_numbers(info)?;
        let torrent = wrap_info(info.raw());
        let parsed = torrent_from_bytes(&torrent).map_err(|error| SwarmError::Metainfo(error.to_string()))?;
        let infohash = InfoHash(parsed.info_hash.0);
        let info = parsed.info.data;
        check_bounds(&info)?;
        let multi_file = info.files.is_some();
        let piece_length = info.piece_length;
        // The same checks that the session makes (path traversal, separators, duplicates), so that it cannot refuse later.
        let valid = info.validate().map_err(|error| SwarmError::Metainfo(error.to_string()))?;
        let files = valid
            .iter_file_details_ext()
            .map(|file| FileSpan {
                path: file.details.filename.to_vec().join("/"),
                len: file.details.len,
                offset: file.offset,
                padding: file.details.attrs().padding,
            })
            .collect();
        Ok(Self {
            infohash,
            name: valid.name().map_or_else(|| infohash.to_string(), |name| name.into_owned()),
            piece_length,
            length: valid.lengths().total_length(),
            files,
            multi_file,
            torrent: torrent.into(),
        })
    }

    /// A `.torrent` with nothing but the info dictionary: no trackers.
    pub fn torrent(&self) -> Bytes {
        self.torrent.clone()
    }

    /// Number of pieces.
    pub fn pieces(&self) -> u32 {
        self.length.div_ceil(u64::from(self.piece_length)) as u32
    }

    /// Length of a piece in bytes; the last one is shorter.
    pub fn piece_len(&self, piece: u32) -> u32 {
        let start = u64::from(piece) * u64::from(self.piece_length);
        self.length.saturating_sub(start).min(u64::from(self.piece_length)) as u32
    }

    /// The file at `index`.
    ///
    /// # Errors
    /// If there is none, or it is padding.
    pub fn file(&self, index: u32) -> Result<&FileSpan, SwarmError> {
        self.files
            .get(index as usize)
            .filter(|file| !file.padding)
            .ok_or(SwarmError::NoSuchFile { infohash: self.infohash, file: index })
    }

    /// The pieces that hold a part of the file; none for an empty or unknown one.
    pub fn pieces_of(&self, file: u32) -> Range<u32> {
        let Some(span) = self.files.get(file as usize).filter(|span| span.len > 0) else { return 0..0 };
        let piece = u64::from(self.piece_length);
        (span.offset / piece) as u32..((span.offset + span.len).div_ceil(piece)) as u32
    }

    /// The files that have a part in the piece, with the byte range within each.
    pub fn files_of(&self, piece: u32) -> impl Iterator<Item = (u32, Range<u64>)> + '_ {
        let start = u64::from(piece) * u64::from(self.piece_length);
        let end = start + u64::from(self.piece_len(piece));
        // Files are ordered by offset; the first one that ends behind the start of the piece is found by bisection.
        let first = self.files.partition_point(|file| file.offset + file.len <= start);
        self.files[first..]
            .iter()
            .enumerate()
            .take_while(move |(_, file)| file.offset < end)
            .filter(|(_, file)| file.len > 0 && !file.padding)
            .map(move |(index, file)| {
                let from = start.saturating_sub(file.offset);
                (first as u32 + index as u32, from..(end - file.offset).min(file.len))
            })
    }

    /// Most bytes that fetching the file allocates on disk: its pieces, also where they reach into neighbours, rounded
    /// up to blocks of the filesystem in each file they touch.
    pub fn footprint(&self, file: u32) -> u64 {
        let mut total = 0;
        let mut touched = 0;
        let mut last = None;
        for piece in self.pieces_of(file) {
            total += u64::from(self.piece_len(piece));
            for (index, _) in self.files_of(piece) {
                if last.is_none_or(|last| index > last) {
                    touched += 1;
                    last = Some(index);
                }
            }
        }
        total + touched * 2 * FS_BLOCK + self.upkeep()
    }

    /// Most bytes that the torrent's folder, metadata and records allocate beside its files (see [`super::record`]); a
    /// record is written anew beside the old one.
    fn upkeep(&self) -> u64 {
        /// Folder, metadata, librqbit's list and bitfield, our record, and the two that are being replaced.
        const FILES: u64 = 7;
        /// Of a file in a record.
        const STATE_BYTES: u64 = 80;
        let bitfield = u64::from(self.pieces()) / 8 + 1;
        let record = 2 * bitfield + self.files.len() as u64 * STATE_BYTES;
        self.torrent().len() as u64 + bitfield + 2 * record + FILES * FS_BLOCK
    }
}

/// Takes a torrent apart from its trackers: `d4:info<dictionary>e`.
fn wrap_info(info: &[u8]) -> Vec<u8> {
    [b"d4:info", info, b"e"].concat()
}

/// What librqbit reads into small numbers without looking whether they fit; [`bencode`] knows that they fit 64 bits.
fn check_numbers(info: Value<'_>) -> Result<(), SwarmError> {
    let entries = info.dict().ok_or_else(|| SwarmError::Metainfo("it has no info dictionary".to_owned()))?;
    for (key, value) in entries {
        let number = value.int();
        match key {
            b"private" if number.is_some_and(|number| number != 0) => return Err(SwarmError::Private),
            b"piece length" if !number.is_some_and(|length| PIECE_LENGTHS.contains(&length)) => {
                return Err(SwarmError::Metainfo("its piece length is not between 1 KiB and 64 MiB".to_owned()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What librqbit computes with but does not check: absurd lengths overflow.
fn check_bounds(info: &TorrentMetaV1Info<ByteBuf<'_>>) -> Result<(), SwarmError> {
    let bad = |reason: &str| Err(SwarmError::Metainfo(reason.to_owned()));
    if info.files.as_ref().is_some_and(|files| files.len() > MAX_FILES) {
        return bad("it has more than 20,000 files");
    }
    let lengths = info.length.into_iter().chain(info.files.iter().flatten().map(|file| file.length));
    let Some(total) = lengths.into_iter().try_fold(0u64, u64::checked_add).filter(|total| *total <= MAX_LENGTH) else {
        return bad("it is larger than 1 TiB");
    };
    if total == 0 {
        return bad("it is empty");
    }
    let pieces = total.div_ceil(u64::from(info.piece_length));
    if info.pieces.as_ref().len() as u64 != pieces * 20 {
        return bad("it does not have one hash for each piece");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An info dictionary of files with these lengths, whose hashes are all zero.
    fn info(lengths: &[u64], piece_length: i64, extra: &str) -> Vec<u8> {
        let total: u64 = lengths.iter().fold(0u64, |sum, len| sum.saturating_add(*len));
        let pieces = (total.div_ceil(piece_length.max(1) as u64) as usize).min(100_000) * 20;
        let files: String = lengths
            .iter()
            .enumerate()
            .map(|(i, len)| format!("d6:lengthi{len}e4:pathl4:dir{i}ee", i = i % 10))
            .collect();
        let mut out =
            format!("d5:filesl{files}e4:name5:album12:piece lengthi{piece_length}e6:pieces{pieces}:").into_bytes();
        out.extend(std::iter::repeat_n(0, pieces));
        out.extend(extra.as_bytes());
        out.push(b'e');
        out
    }

    #[test]
    fn torrent_and_bare_info_are_the_same_and_trackers_are_gone() {
        let info = info(&[1000, 70_000, 5], 32_768, "");
        let bare = Metainfo::parse(&info).unwrap();
        let whole = Metainfo::parse(&[b"d8:announce12:http://a.b/c4:info", &info[..], b"e"].concat()).unwrap();
        assert_eq!(bare.infohash, whole.infohash);
        assert_eq!(whole.torrent(), bare.torrent());
        assert!(!whole.torrent().windows(8).any(|part| part == b"announce"));
        assert_eq!(bare.files.len(), 3);
        assert_eq!(bare.pieces(), 3);
        assert_eq!(bare.pieces_of(1), 0..3);
        assert_eq!(bare.pieces_of(2), 2..3);
        assert_eq!(bare.files_of(0).collect::<Vec<_>>(), [(0, 0..1000), (1, 0..31_768)]);
        assert_eq!(bare.files_of(2).collect::<Vec<_>>(), [(1, 64_536..70_000), (2, 0..5)]);
    }

    #[test]
    fn hostile_numbers_are_refused_with_a_reason() {
        for (info, word) in [
            (info(&[100], 0, ""), "piece length"),
            (info(&[100], 1 << 30, ""), "piece length"),
            (info(&[u64::MAX / 2, u64::MAX / 2, 100], 1 << 20, ""), "1 TiB"),
            (info(&[0], 16_384, ""), "empty"),
            (info(&[100; 3], 16_384, "7:privatei1e"), "private"),
            (info(&[100; 3], 16_384, "7:privatei300e"), "private"),
            // Would be 16 KiB in 32 bits.
            (info(&[100], (1 << 32) + 16_384, ""), "piece length"),
            (info(&[100], 16_384, "1:xi99999999999999999999e"), "malformed"),
            (b"li1ee".to_vec(), "no info dictionary"),
        ] {
            let error = Metainfo::parse(&info).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        let short = String::from_utf8(info(&[100], 16_384, "")).unwrap().replace("6:pieces20:", "6:pieces19:");
        assert!(Metainfo::parse(short.as_bytes()).is_err());
        assert!(Metainfo::parse(&vec![b'l'; 100_000]).is_err());
        assert!(Metainfo::parse(&vec![0; MAX_METAINFO_BYTES + 1]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = Metainfo::parse(&bytes);
        }

        #[test]
        fn pieces_and_files_agree(lengths in prop::collection::vec(0u64..100_000, 1..9)) {
            prop_assume!(lengths.iter().sum::<u64>() > 0);
            let meta = Metainfo::parse(&info(&lengths, 16_384, "")).unwrap();
            let mut covered = vec![0u64; lengths.len()];
            for piece in 0..meta.pieces() {
                let mut sum = 0;
                for (file, range) in meta.files_of(piece) {
                    prop_assert!(meta.pieces_of(file).contains(&piece));
                    prop_assert_eq!(range.start, covered[file as usize]);
                    covered[file as usize] = range.end;
                    sum += range.end - range.start;
                }
                prop_assert_eq!(sum, u64::from(meta.piece_len(piece)));
            }
            prop_assert_eq!(&covered, &lengths);
            for (file, len) in lengths.iter().enumerate() {
                prop_assert!(meta.footprint(file as u32) >= *len);
            }
        }
    }
}
