//! The info dictionary of a torrent (BEP 3), read from untrusted bytes.

use sha1::{Digest, Sha1};

use super::text;
use crate::bencode::{self, BencodeError, Limits, List, Value};
use crate::types::InfoHash;

/// Largest info dictionary that is taken: 4 MiB hold the piece hashes of 400 GB at 2 MiB a piece. Music has far less.
pub const MAX_INFO_BYTES: usize = 4 << 20;

/// Most files of one torrent. The largest collections of songs that are shared have a few thousand.
pub const MAX_FILES: usize = 20_000;

/// Deepest folder structure that is taken.
pub const MAX_PATH_DEPTH: usize = 32;

/// Largest torrent: far beyond any disk, and sums of such numbers cannot overflow.
const MAX_TOTAL_BYTES: u64 = 1 << 50;

/// Largest piece. libtorrent refuses more than 512 MiB too.
const MAX_PIECE_LENGTH: u32 = 512 << 20;

/// An info dictionary has 4 levels, a v2 file tree one more for every folder. A file takes about 10 values, 40 when it
/// lies as deep as is taken.
pub(super) const LIMITS: Limits = Limits { depth: 64, items: 40 * MAX_FILES };

/// Length of a SHA-1 in the `pieces` string.
const PIECE_HASH_BYTES: usize = 20;

/// Why bytes are not the info dictionary of a torrent that this jukebox can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InfoError {
    /// More than [`MAX_INFO_BYTES`].
    #[error("the description of the torrent has {0} bytes; at most {MAX_INFO_BYTES} are taken")]
    TooLarge(usize),
    /// The bytes are not one value in bencode.
    #[error("the description of the torrent is damaged (it {0}); look for another torrent")]
    Bencode(#[from] BencodeError),
    /// Bencode, but not a dictionary.
    #[error("the description of the torrent is damaged (it is not one dictionary); look for another torrent")]
    NotADictionary,
    /// A key is missing or its value makes no sense.
    #[error("the description of the torrent is damaged ({0:?} is missing or wrong); look for another torrent")]
    Field(&'static str),
    /// More than [`MAX_FILES`].
    #[error("the torrent has more than {MAX_FILES} files")]
    TooManyFiles,
    /// BitTorrent v2 without the v1 part (BEP 52).
    #[error("this is a BitTorrent v2 torrent without a v1 part, which is not supported; look for a v1 or hybrid one")]
    OnlyV2,
}

/// One file of a torrent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Folders and file name below [`TorrentInfo::name`], made safe; the name itself for a single-file torrent. Names
    /// may repeat: only the index identifies a file.
    pub path: Vec<String>,
    /// Bytes.
    pub length: u64,
    /// Bytes of the torrent before this file.
    pub offset: u64,
    /// A BEP 47 padding file: zeros that align the next file, never to be stored or shown.
    pub padding: bool,
}

/// What an info dictionary says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TorrentInfo {
    /// SHA-1 of the dictionary.
    pub infohash: InfoHash,
    /// Name of the file or of the folder with the files, made safe. Never empty.
    pub name: String,
    /// Bytes of every piece but the last.
    pub piece_length: u32,
    /// Number of pieces.
    pub pieces: u32,
    /// Bytes of all files together, padding included.
    pub total: u64,
    /// All files in the order of the dictionary, padding included, so that the index is the one other clients use.
    pub files: Vec<FileEntry>,
    /// A file stands alone, without a folder.
    pub single_file: bool,
    /// BEP 27: peers may come from the torrent's own trackers only.
    pub private: bool,
}

impl TorrentInfo {
    /// Reads an info dictionary. The infohash is computed from the bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, InfoError> {
        if bytes.len() > MAX_INFO_BYTES {
            return Err(InfoError::TooLarge(bytes.len()));
        }
        let keys = Keys::of(bencode::parse(bytes, LIMITS)?).ok_or(InfoError::NotADictionary)?;
        let Some(hashes) = keys.pieces else {
            return Err(if keys.v2 { InfoError::OnlyV2 } else { InfoError::Field("pieces") });
        };
        let name = text::file_name(keys.name_utf8.or(keys.name).ok_or(InfoError::Field("name"))?);
        let piece_length = keys.piece_length.and_then(|length| u32::try_from(length).ok());
        let piece_length = piece_length
            .filter(|length| (1..=MAX_PIECE_LENGTH).contains(length))
            .ok_or(InfoError::Field("piece length"))?;
        let single_file = keys.files.is_none();
        let files = match (keys.files, keys.length) {
            (Some(files), _) => read_files(files)?,
            (None, Some(length)) => {
                let length = file_length(length)?;
                vec![FileEntry { path: vec![name.clone()], length, offset: 0, padding: false }]
            }
            (None, None) => return Err(InfoError::Field("files")),
        };
        let total = files.last().map_or(0, |file| file.offset + file.length);
        let pieces = hashes.len() / PIECE_HASH_BYTES;
        if !hashes.len().is_multiple_of(PIECE_HASH_BYTES) || total.div_ceil(u64::from(piece_length)) != pieces as u64 {
            return Err(InfoError::Field("pieces"));
        }
        Ok(Self {
            infohash: InfoHash(Sha1::digest(bytes).into()),
            name,
            piece_length,
            pieces: pieces as u32,
            total,
            files,
            single_file,
            private: keys.private == Some(1),
        })
    }

    /// Path of a file within the torrent, the torrent's name first, joined with `/`; none beyond the last file.
    pub fn path_of(&self, file: u32) -> Option<String> {
        let entry = self.files.get(usize::try_from(file).ok()?)?;
        if self.single_file {
            return Some(self.name.clone());
        }
        let mut path = self.name.clone();
        for part in &entry.path {
            path.push('/');
            path.push_str(part);
        }
        Some(path)
    }
}

/// The keys that matter, gathered in one walk over the dictionary.
#[derive(Default)]
struct Keys<'a> {
    name: Option<&'a [u8]>,
    name_utf8: Option<&'a [u8]>,
    piece_length: Option<i64>,
    pieces: Option<&'a [u8]>,
    length: Option<i64>,
    files: Option<List<'a>>,
    private: Option<i64>,
    v2: bool,
}

impl<'a> Keys<'a> {
    fn of(info: Value<'a>) -> Option<Self> {
        let mut keys = Self::default();
        for (key, value) in info.dict()? {
            match key {
                b"name" => keys.name = value.bytes(),
                // Written by old clients beside a `name` in a legacy encoding.
                b"name.utf-8" => keys.name_utf8 = value.bytes(),
                b"piece length" => keys.piece_length = value.int(),
                b"pieces" => keys.pieces = value.bytes(),
                b"length" => keys.length = value.int(),
                b"files" => keys.files = value.list(),
                b"private" => keys.private = value.int(),
                b"meta version" | b"file tree" => keys.v2 = true,
                _ => {}
            }
        }
        Some(keys)
    }
}

fn file_length(length: i64) -> Result<u64, InfoError> {
    u64::try_from(length).ok().filter(|length| *length <= MAX_TOTAL_BYTES).ok_or(InfoError::Field("length"))
}

fn read_files(list: List<'_>) -> Result<Vec<FileEntry>, InfoError> {
    let mut files = Vec::new();
    let mut offset = 0;
    for value in list {
        if files.len() == MAX_FILES {
            return Err(InfoError::TooManyFiles);
        }
        let file = read_file(value, offset)?;
        offset += file.length;
        if offset > MAX_TOTAL_BYTES {
            return Err(InfoError::Field("length"));
        }
        files.push(file);
    }
    if files.is_empty() { Err(InfoError::Field("files")) } else { Ok(files) }
}

fn read_file(file: Value<'_>, offset: u64) -> Result<FileEntry, InfoError> {
    let (mut length, mut path, mut path_utf8, mut padding) = (None, None, None, false);
    for (key, value) in file.dict().ok_or(InfoError::Field("files"))? {
        match key {
            b"length" => length = value.int(),
            b"path" => path = value.list(),
            b"path.utf-8" => path_utf8 = value.list(),
            b"attr" => padding = value.bytes().is_some_and(|attributes| attributes.contains(&b'p')),
            _ => {}
        }
    }
    let length = file_length(length.ok_or(InfoError::Field("length"))?)?;
    let parts = path_utf8.or(path).ok_or(InfoError::Field("path"))?;
    let path = parts
        .take(MAX_PATH_DEPTH + 1)
        .map(|part| part.bytes().map(text::file_name).ok_or(InfoError::Field("path")))
        .collect::<Result<Vec<_>, _>>()?;
    if path.is_empty() || path.len() > MAX_PATH_DEPTH {
        return Err(InfoError::Field("path"));
    }
    // Before BEP 47 BitComet aligned files with dummies of this name.
    padding |= path.last().is_some_and(|name| name.starts_with("_____padding_file_"));
    Ok(FileEntry { path, length, offset, padding })
}

#[cfg(test)]
mod tests;
