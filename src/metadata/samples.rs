//! Torrents for the tests of this room.

pub mod peer;

use sha1::{Digest, Sha1};

use crate::bencode::Writer;
use crate::types::InfoHash;

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
        let mut out = Writer::default();
        out.dict();
        match &self.files[..] {
            [] => {}
            [(path, length, _)] if path.is_empty() => {
                out.bytes("length").int(*length);
            }
            files => {
                out.bytes("files").list();
                for (path, length, padding) in files {
                    out.dict();
                    if *padding {
                        out.bytes("attr").bytes("p");
                    }
                    out.bytes("length").int(*length).bytes("path").list();
                    path.iter().for_each(|part| _ = out.bytes(part));
                    out.end().end();
                }
                out.end();
            }
        }
        out.bytes("name").bytes(&self.name).bytes("piece length").int(self.piece_length);
        let total: u64 = self.files.iter().map(|(_, length, _)| u64::try_from(*length).unwrap_or(0)).sum();
        let right = || total.div_ceil(u64::try_from(self.piece_length).unwrap_or(1).max(1)) as usize;
        out.bytes("pieces").bytes(vec![b'h'; self.pieces.unwrap_or_else(right) * 20]);
        out.raw(&self.extra).end();
        out.into_bytes()
    }
}

/// An album whose info dictionary takes about `pieces` × 20 bytes.
pub fn album(pieces: usize) -> Vec<u8> {
    InfoBuilder::new("Artist - Album (2003) [FLAC]")
        .file("01 - First.flac", 16384 * pieces as i64 - 1000)
        .file("cover.jpg", 100)
        .file("02 - Second.flac", 900)
        .build()
}

/// SHA-1 of an info dictionary.
pub fn infohash_of(info: &[u8]) -> InfoHash {
    InfoHash(Sha1::digest(info).into())
}

/// What a peer with this info dictionary says, written independently of the code under test.
pub struct Script {
    info: Vec<u8>,
}

impl Script {
    /// The peer's id for `ut_metadata`, unlike ours.
    pub const UT_METADATA: u8 = 3;
    const BLOCK: usize = 16384;

    pub fn of(info: &[u8]) -> Self {
        Self { info: info.to_vec() }
    }

    pub fn handshake(&self) -> Vec<u8> {
        Self::handshake_of(infohash_of(&self.info), *b"-XX0001-123456789012", 0x10)
    }

    pub fn handshake_of(infohash: InfoHash, peer_id: [u8; 20], extensions: u8) -> Vec<u8> {
        [b"\x13BitTorrent protocol\0\0\0\0\0".as_slice(), &[extensions, 0, 0], &infohash.0, &peer_id].concat()
    }

    pub fn message(id: u8, payload: &[u8]) -> Vec<u8> {
        [&(payload.len() as u32 + 1).to_be_bytes()[..], &[id], payload].concat()
    }

    pub fn extended(id: u8, payload: &[u8]) -> Vec<u8> {
        Self::message(20, &[&[id], payload].concat())
    }

    /// What real clients say before anybody asks: bitfield, have, keep-alive, unchoke, fast extension, a port.
    pub fn noise(&self) -> Vec<u8> {
        [
            Self::message(5, &[0xff; 250]),
            Self::message(4, &[0, 0, 0, 1]),
            vec![0; 4],
            Self::message(1, &[]),
            Self::message(14, &[]),
            Self::message(9, &[0x1a, 0xe1]),
            Self::extended(9, b"d5:added0:e"),
        ]
        .concat()
    }

    pub fn offer(&self) -> Vec<u8> {
        self.offer_of_size(self.info.len() as i64)
    }

    pub fn offer_of_size(&self, size: i64) -> Vec<u8> {
        let dict = format!("d1:md11:ut_metadatai{}e6:ut_pexi1ee13:metadata_sizei{size}e1:v4:teste", Self::UT_METADATA);
        Self::extended(0, dict.as_bytes())
    }

    /// Number of blocks.
    pub fn count(&self) -> usize {
        self.info.len().div_ceil(Self::BLOCK)
    }

    pub fn block(&self, index: usize) -> Vec<u8> {
        let start = index * Self::BLOCK;
        let header = format!("d8:msg_typei1e5:piecei{index}e10:total_sizei{}ee", self.info.len());
        let block = &self.info[start..self.info.len().min(start + Self::BLOCK)];
        // 2 is what the code under test asks to be sent.
        Self::extended(2, &[header.as_bytes(), block].concat())
    }

    pub fn blocks(&self) -> Vec<u8> {
        (0..self.count()).flat_map(|index| self.block(index)).collect()
    }

    /// All blocks of another dictionary of the same length.
    pub fn forged_blocks(&self) -> Vec<u8> {
        (0..self.count()).flat_map(|index| self.forged_block(index)).collect()
    }

    pub fn forged_block(&self, index: usize) -> Vec<u8> {
        let mut forged = self.info.clone();
        let last = forged.len() - 2;
        forged[last] ^= 1;
        Self { info: forged }.block(index)
    }

    pub fn reject(index: usize) -> Vec<u8> {
        Self::extended(2, format!("d8:msg_typei2e5:piecei{index}ee").as_bytes())
    }

    /// The blocks that `sent` asks for, in order.
    pub fn requested(sent: &[u8]) -> Vec<usize> {
        let text = String::from_utf8_lossy(sent);
        let requests = text.split("d8:msg_typei0e5:piecei").skip(1);
        requests.map(|rest| rest.split('e').next().and_then(|index| index.parse().ok()).expect("a number")).collect()
    }
}
