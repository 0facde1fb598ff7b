//! Torrents for the tests of this room.

use super::bencode::{write_bytes, write_integer};

/// Writes info dictionaries, right ones and wrong ones.
#[derive(Clone)]
pub struct InfoBuilder {
    name: Vec<u8>,
    piece_length: i64,
    pieces: Option<usize>,
    files: Vec<(Vec<Vec<u8>>, i64, bool)>,
    extra: Vec<u8>,
}

impl InfoBuilder {
    pub fn new(name: impl AsRef<[u8]>) -> Self {
        let name = name.as_ref().to_vec();
        Self { name, piece_length: 16384, pieces: None, files: Vec::new(), extra: Vec::new() }
    }

    pub fn piece_length(mut self, bytes: i64) -> Self {
        self.piece_length = bytes;
        self
    }

    /// Piece hashes to write; without it the right number.
    pub fn pieces(mut self, count: usize) -> Self {
        self.pieces = Some(count);
        self
    }

    /// Adds a file; an empty path makes a single-file torrent.
    pub fn file(self, path: &str, length: i64) -> Self {
        self.raw_file(
            path.split('/').filter(|part| !part.is_empty()).map(|part| part.as_bytes().to_vec()).collect(),
            length,
        )
    }

    pub fn raw_file(mut self, path: Vec<Vec<u8>>, length: i64) -> Self {
        self.files.push((path, length, false));
        self
    }

    pub fn padding(mut self, length: i64) -> Self {
        self.files.push((vec![b".pad".to_vec(), length.to_string().into_bytes()], length, true));
        self
    }

    /// Raw bencoded keys and values at the end of the dictionary.
    pub fn extra(mut self, raw: &[u8]) -> Self {
        self.extra.extend_from_slice(raw);
        self
    }

    pub fn build(&self) -> Vec<u8> {
        let mut out = b"d".to_vec();
        match &self.files[..] {
            [] => {}
            [(path, length, _)] if path.is_empty() => {
                write_bytes(&mut out, b"length");
                write_integer(&mut out, *length);
            }
            files => {
                write_bytes(&mut out, b"files");
                out.push(b'l');
                for (path, length, padding) in files {
                    out.push(b'd');
                    if *padding {
                        out.extend_from_slice(b"4:attr1:p");
                    }
                    write_bytes(&mut out, b"length");
                    write_integer(&mut out, *length);
                    out.extend_from_slice(b"4:pathl");
                    path.iter().for_each(|part| write_bytes(&mut out, part));
                    out.extend_from_slice(b"ee");
                }
                out.push(b'e');
            }
        }
        write_bytes(&mut out, b"name");
        write_bytes(&mut out, &self.name);
        write_bytes(&mut out, b"piece length");
        write_integer(&mut out, self.piece_length);
        let total: u64 = self.files.iter().map(|(_, length, _)| u64::try_from(*length).unwrap_or(0)).sum();
        let right = || total.div_ceil(u64::try_from(self.piece_length).unwrap_or(1).max(1)) as usize;
        write_bytes(&mut out, b"pieces");
        write_bytes(&mut out, &vec![b'h'; self.pieces.unwrap_or_else(right) * 20]);
        out.extend_from_slice(&self.extra);
        out.push(b'e');
        out
    }
}
