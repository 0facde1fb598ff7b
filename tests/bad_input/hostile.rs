//! Peers on loopback that lie, break off and disappear, written independently of the code under test.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sha1::{Digest, Sha1};
use silverstream::types::InfoHash;

/// Bytes of a piece of every torrent here.
pub const PIECE: usize = 32 << 10;
/// Bytes of a block of metadata (BEP 9).
const METADATA_BLOCK: usize = 16 << 10;
/// What other clients call their `ut_metadata` here.
const UT_METADATA: u8 = 3;

/// A torrent of one file, or a dictionary that claims to be one.
#[derive(Clone)]
pub struct Torrent {
    pub info: Vec<u8>,
    pub data: Vec<u8>,
}

impl Torrent {
    pub fn new(name: impl AsRef<[u8]>, data: &[u8]) -> Self {
        Self {
            info: info(name.as_ref(), &format!("6:lengthi{}e", data.len()), PIECE as i64, data),
            data: data.to_vec(),
        }
    }

    /// A folder of one file, whose path is as given.
    pub fn folder(name: &[u8], path: &[&[u8]], data: &[u8]) -> Self {
        let mut files = format!("5:filesld6:lengthi{}e4:pathl", data.len()).into_bytes();
        path.iter().for_each(|part| text(&mut files, part));
        files.extend(b"eee");
        Self { info: info_raw(name, &files, PIECE as i64, data), data: data.to_vec() }
    }

    pub fn infohash(&self) -> InfoHash {
        InfoHash(Sha1::digest(&self.info).into())
    }

    /// A link that names its peers.
    pub fn magnet(&self, peers: &[SocketAddr]) -> String {
        let peers: String = peers.iter().map(|peer| format!("&x.pe={peer}")).collect();
        format!("magnet:?xt=urn:btih:{}{peers}", self.infohash())
    }
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(format!("{}:", bytes.len()).into_bytes());
    out.extend(bytes);
}

/// An info dictionary; `size` is the key that tells the size.
pub fn info(name: &[u8], size: &str, piece_length: i64, data: &[u8]) -> Vec<u8> {
    info_raw(name, size.as_bytes(), piece_length, data)
}

fn info_raw(name: &[u8], size: &[u8], piece_length: i64, data: &[u8]) -> Vec<u8> {
    let hashes: Vec<u8> = data.chunks(PIECE).flat_map(Sha1::digest).collect();
    let mut out = [b"d", size, b"4:name"].concat();
    text(&mut out, name);
    out.extend(format!("12:piece lengthi{piece_length}e6:pieces").into_bytes());
    text(&mut out, &hashes);
    out.push(b'e');
    out
}

/// What a peer does to those who connect.
#[derive(Clone)]
pub enum Manner {
    Honest,
    /// Noise where the handshake should be.
    Noise,
    /// A message that claims to have 4 GiB.
    Oversized,
    /// Claims so many bytes of metadata.
    Absurd(i64),
    /// Sends metadata of the right size, one bit of them wrong.
    ForgesMetadata,
    /// Honest metadata, one bit of every block of the content wrong.
    Corrupt,
    /// Honest until it was asked for this piece; then nobody is there any more.
    LeavesAt(usize),
}

/// A peer that listens as long as this lives.
pub struct Peer {
    pub addr: SocketAddr,
    state: Arc<State>,
}

struct State {
    torrent: Torrent,
    manner: Manner,
    gone: AtomicBool,
    connections: AtomicUsize,
}

impl Peer {
    pub fn start(torrent: &Torrent, manner: Manner) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let state =
            State { torrent: torrent.clone(), manner, gone: AtomicBool::new(false), connections: AtomicUsize::new(0) };
        let state = Arc::new(state);
        let serving = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.gone.load(Ordering::SeqCst) {
                    return;
                }
                let (stream, state) = (stream.unwrap(), Arc::clone(&serving));
                state.connections.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    // A broken connection is the end of the conversation, as it should be.
                    let _ = state.converse(stream);
                });
            }
        });
        Self { addr, state }
    }

    /// How many have connected so far.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Whether it has left.
    pub fn is_gone(&self) -> bool {
        self.state.gone.load(Ordering::SeqCst)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.state.gone.store(true, Ordering::SeqCst);
        // Wakes the listener, so that it closes.
        let _ = TcpStream::connect(self.addr);
    }
}

fn message(id: u8, payload: &[u8]) -> Vec<u8> {
    [&(payload.len() as u32 + 1).to_be_bytes()[..], &[id], payload].concat()
}

impl State {
    fn converse(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(150)))?;
        if let Manner::Noise = self.manner {
            return stream.write_all(&[0xa7; 100_000]);
        }
        let mut handshake = [0; 68];
        stream.read_exact(&mut handshake)?;
        let own = self.torrent.infohash();
        if handshake[28..48] != own.0 {
            return Ok(());
        }
        let reserved = b"\x13BitTorrent protocol\0\0\0\0\0\x10\0\0";
        stream.write_all(&[&reserved[..], &own.0, b"-XX0001-hostile00000"].concat())?;
        let size = match self.manner {
            Manner::Absurd(size) => size,
            _ => self.torrent.info.len() as i64,
        };
        let offer = format!("\0d1:md11:ut_metadatai{UT_METADATA}ee13:metadata_sizei{size}ee");
        stream.write_all(&message(20, offer.as_bytes()))?;
        if let Manner::Oversized = self.manner {
            stream.write_all(&[0xff, 0xff, 0xff, 0xff, 20, UT_METADATA])?;
        }
        let pieces = self.torrent.data.len().div_ceil(PIECE);
        let bits: Vec<u8> = (0..pieces.div_ceil(8))
            .map(|byte| (0..8).filter(|bit| byte * 8 + bit < pieces).map(|bit| 0x80 >> bit).sum())
            .collect();
        stream.write_all(&[message(5, &bits), message(1, &[])].concat())?;
        self.serve(&mut stream)
    }

    fn serve(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        let mut theirs = 0;
        loop {
            let mut length = [0; 4];
            stream.read_exact(&mut length)?;
            let mut message = vec![0; u32::from_be_bytes(length) as usize];
            stream.read_exact(&mut message)?;
            if self.gone.load(Ordering::SeqCst) {
                return Ok(());
            }
            match &message[..] {
                [20, 0, dict @ ..] => theirs = number_after(dict, b"11:ut_metadatai").unwrap_or(0) as u8,
                [20, UT_METADATA, dict @ ..] => {
                    let block = number_after(dict, b"5:piecei").unwrap_or(0);
                    stream.write_all(&self.metadata(theirs, block))?;
                }
                [6, request @ ..] if request.len() == 12 => {
                    let field = |at: usize| u32::from_be_bytes(request[at..at + 4].try_into().unwrap()) as usize;
                    if let Manner::LeavesAt(last) = self.manner
                        && field(0) >= last
                    {
                        self.gone.store(true, Ordering::SeqCst);
                        // Wakes the listener, so that it closes.
                        let _ = TcpStream::connect(stream.local_addr()?);
                        // What was sent before shall arrive: closing with unread requests would reset the connection.
                        stream.shutdown(Shutdown::Write)?;
                        return std::io::copy(stream, &mut std::io::sink()).map(drop);
                    }
                    stream.write_all(&self.block(field(0), field(4), field(8)))?;
                }
                _ => {}
            }
        }
    }

    fn metadata(&self, theirs: u8, block: usize) -> Vec<u8> {
        let info = &self.torrent.info;
        let start = (block * METADATA_BLOCK).min(info.len());
        let mut bytes = info[start..info.len().min(start + METADATA_BLOCK)].to_vec();
        if let (Manner::ForgesMetadata, Some(byte)) = (&self.manner, bytes.last_mut()) {
            *byte ^= 1;
        }
        let header = format!("d8:msg_typei1e5:piecei{block}e10:total_sizei{}ee", info.len());
        message(20, &[&[theirs], header.as_bytes(), &bytes].concat())
    }

    fn block(&self, piece: usize, begin: usize, length: usize) -> Vec<u8> {
        let start = piece * PIECE + begin;
        let mut bytes = self.torrent.data[start..start + length].to_vec();
        if let Manner::Corrupt = self.manner {
            bytes[length / 2] ^= 1;
        }
        let place = [(piece as u32).to_be_bytes(), (begin as u32).to_be_bytes()].concat();
        message(7, &[&place[..], &bytes].concat())
    }
}

fn number_after(dict: &[u8], key: &[u8]) -> Option<usize> {
    let at = dict.windows(key.len()).position(|part| part == key)? + key.len();
    let digits = dict[at..].split(|byte| *byte == b'e').next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}
