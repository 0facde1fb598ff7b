//! One conversation with a peer that ends with the info dictionary: BEP 3 handshake, BEP 10 extension handshake,
//! BEP 9 blocks. No socket and no clock: bytes and time go in, bytes and a deadline come out.
//!
//! `librqbit-peer-protocol` is not used because it parses integers unchecked (see [`crate::bencode`]) and gives up at
//! a message it does not know, where BEP 3 peers may send any.

mod assembly;

use std::time::Duration;

use bytes::Bytes;

use assembly::Assembly;

use crate::bencode::{self, Limits, Value, Writer};
use crate::types::{InfoHash, Time};

/// Bytes of metadata in one block (BEP 9).
pub const BLOCK_BYTES: usize = 16 << 10;

/// Blocks asked for ahead. Transmission queues 64 and refuses more; 8 fill 128 KiB of round trip.
const PIPELINE: usize = 8;

/// Beginning of every conversation (BEP 3).
const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";

/// Length of the BEP 3 handshake: protocol, 8 reserved bytes, infohash, peer id.
const HANDSHAKE_BYTES: usize = 68;

/// Message id of every extension message (BEP 10).
const EXTENDED: u8 = 20;

/// Extension message id of the extension handshake itself (BEP 10).
const EXTENSION_HANDSHAKE: u8 = 0;

/// The id under which we want to be sent `ut_metadata` messages; any but 0.
const OUR_UT_METADATA: u8 = 2;

/// Longest extension message that is taken: a block with its header, or a handshake with some kilobytes of extras.
const MAX_EXTENDED_BYTES: usize = BLOCK_BYTES + 4096;

/// A handshake has 2 levels and an item for each extension; some clients add a few of their own.
const LIMITS: Limits = Limits { depth: 10, items: 512 };

/// Bytes of messages without interest (bitfield, have, unasked extensions) before a peer counts as noise. The bitfield
/// of a torrent of 4 million pieces fits.
const MAX_IGNORED_BYTES: usize = 1 << 20;

/// Requests of the peer for blocks of ours that are declined before it counts as noise.
const MAX_DECLINED: u32 = 64;

/// Why a peer did not give the info dictionary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// No connection.
    #[error("does not accept connections")]
    Unreachable,
    /// Closed the connection.
    #[error("hung up")]
    Disconnected,
    /// Answers too slowly or not at all.
    #[error("is too slow")]
    TimedOut,
    /// Speaks something else, possibly only encrypted.
    #[error("does not speak the BitTorrent protocol")]
    NotBitTorrent,
    /// Answers for another torrent, or is ourselves.
    #[error("has another torrent")]
    WrongTorrent,
    /// No BEP 10, no BEP 9, or does not have the metadata itself.
    #[error("does not offer the metadata")]
    NoMetadata,
    /// Says that the metadata is larger than the bound, or of no size.
    #[error("claims an absurd size of the metadata")]
    AbsurdSize,
    /// Refuses a block.
    #[error("refuses to send the metadata")]
    Rejected,
    /// Sent something that breaks the protocol.
    #[error("sends malformed messages")]
    Malformed,
    /// Sends only what nobody asked for.
    #[error("sends too much that was not asked for")]
    Noise,
    /// Sent all of it, and it is not the torrent.
    #[error("sent metadata with a wrong hash")]
    WrongHash,
    /// Our own bound on memory for metadata under way is reached.
    #[error("had to be dropped for lack of memory")]
    NoMemory,
}

/// How long a peer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// From the open connection until the peer has said that it has the metadata.
    pub handshake: Duration,
    /// From one block to the next.
    pub block: Duration,
    /// For the whole conversation.
    pub total: Duration,
}

/// The conversation.
pub struct Exchange {
    infohash: InfoHash,
    peer_id: [u8; 20],
    max_bytes: usize,
    patience: Patience,
    phase: Phase,
    /// The message being received, as far as it is here.
    input: Vec<u8>,
    /// Bytes still to come of a message without interest.
    skip: usize,
    ignored: usize,
    declined: u32,
    output: Vec<u8>,
    /// The peer's id for `ut_metadata`.
    their_ut_metadata: u8,
    total_deadline: Time,
    deadline: Time,
}

enum Phase {
    Handshake,
    Extension,
    Blocks(Assembly),
    Done(Bytes),
}

impl Exchange {
    /// Begins over a connection just opened. `max_bytes` bounds the metadata, `peer_id` is how we present ourselves.
    pub fn new(infohash: InfoHash, peer_id: [u8; 20], max_bytes: usize, patience: Patience, now: Time) -> Self {
        let mut exchange = Self {
            infohash,
            peer_id,
            max_bytes,
            patience,
            phase: Phase::Handshake,
            input: Vec::new(),
            skip: 0,
            ignored: 0,
            declined: 0,
            output: Vec::with_capacity(256),
            their_ut_metadata: 0,
            total_deadline: now + patience.total,
            deadline: now + patience.handshake,
        };
        exchange.output.extend_from_slice(PROTOCOL);
        // The bit that announces BEP 10.
        exchange.output.extend_from_slice(&[0, 0, 0, 0, 0, 0x10, 0, 0]);
        exchange.output.extend_from_slice(&infohash.0);
        exchange.output.extend_from_slice(&peer_id);
        // Sent at once and not after the peer's handshake: a round trip less, and peers without BEP 10 are of no use.
        let mut hello = Writer::default();
        hello.dict().bytes("m").dict().bytes("ut_metadata").int(OUR_UT_METADATA.into()).end();
        hello.bytes("v").bytes(concat!("Silverstream ", env!("CARGO_PKG_VERSION"))).end();
        exchange.send_extended(EXTENSION_HANDSHAKE, &hello.into_bytes());
        exchange
    }

    /// Bytes to send, if any.
    pub fn take_output(&mut self) -> Option<Vec<u8>> {
        (!self.output.is_empty()).then(|| std::mem::take(&mut self.output))
    }

    /// When to give up if nothing is received until then.
    pub fn deadline(&self) -> Time {
        self.deadline.min(self.total_deadline)
    }

    /// When to give up in any case.
    pub fn total_deadline(&self) -> Time {
        self.total_deadline
    }

    /// The info dictionary once it is complete and its hash is right.
    pub fn finished(&self) -> Option<&Bytes> {
        if let Phase::Done(bytes) = &self.phase { Some(bytes) } else { None }
    }

    /// Whether the peer has said that it has the metadata.
    pub fn has_offer(&self) -> bool {
        matches!(self.phase, Phase::Blocks(_) | Phase::Done(_))
    }

    /// Begins to ask for the blocks. Does nothing before the peer has offered them or when called again.
    pub fn request(&mut self, now: Time) {
        if let Phase::Blocks(assembly) = &mut self.phase
            && !assembly.has_begun()
        {
            self.deadline = now + self.patience.block;
            self.fill_pipeline();
        }
    }

    /// Bytes of metadata held.
    pub fn held_bytes(&self) -> usize {
        match &self.phase {
            Phase::Blocks(assembly) => assembly.held_bytes(),
            Phase::Done(bytes) => bytes.len(),
            Phase::Handshake | Phase::Extension => 0,
        }
    }

    /// Takes what the peer sent. After an error the connection is to be closed.
    pub fn receive(&mut self, now: Time, mut bytes: &[u8]) -> Result<(), PeerError> {
        while !bytes.is_empty() && self.finished().is_none() {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len());
                self.skip -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            let missing = self.message_bytes()? - self.input.len();
            let (part, rest) = bytes.split_at(missing.min(bytes.len()));
            self.input.extend_from_slice(part);
            bytes = rest;
            if matches!(self.phase, Phase::Handshake) {
                self.check_handshake()?;
            } else if self.input.len() == self.message_bytes()? && self.input.len() > 4 {
                self.take_message(now)?;
            } else if self.input == [0; 4] {
                self.ignore(4)?;
            }
        }
        if now > self.deadline() && self.finished().is_none() { Err(PeerError::TimedOut) } else { Ok(()) }
    }

    /// Length of the message at hand including its length prefix, as far as it is known yet.
    fn message_bytes(&self) -> Result<usize, PeerError> {
        if matches!(self.phase, Phase::Handshake) {
            return Ok(HANDSHAKE_BYTES);
        }
        let Some(prefix) = self.input.first_chunk::<4>() else { return Ok(4) };
        let length = u32::from_be_bytes(*prefix) as usize;
        match self.input.get(4) {
            // The message id decides what is done with the rest.
            None => Ok(4 + length.min(1)),
            Some(&EXTENDED) if length > MAX_EXTENDED_BYTES => Err(PeerError::Malformed),
            Some(&EXTENDED) => Ok(4 + length),
            Some(_) => Ok(5),
        }
    }

    fn check_handshake(&mut self) -> Result<(), PeerError> {
        let seen = self.input.len().min(PROTOCOL.len());
        if self.input[..seen] != PROTOCOL[..seen] {
            return Err(PeerError::NotBitTorrent);
        }
        if self.input.len() < HANDSHAKE_BYTES {
            return Ok(());
        }
        if self.input[28..48] != self.infohash.0 || self.input[48..] == self.peer_id {
            return Err(PeerError::WrongTorrent);
        }
        if self.input[25] & 0x10 == 0 {
            return Err(PeerError::NoMetadata);
        }
        self.phase = Phase::Extension;
        self.input.clear();
        Ok(())
    }

    fn take_message(&mut self, now: Time) -> Result<(), PeerError> {
        let message = std::mem::take(&mut self.input);
        let length = u32::from_be_bytes([message[0], message[1], message[2], message[3]]) as usize;
        match (message[4], message.get(5), message.get(6..).unwrap_or_default()) {
            (EXTENDED, Some(&EXTENSION_HANDSHAKE), payload) => self.take_extension_handshake(now, payload)?,
            (EXTENDED, Some(&OUR_UT_METADATA), payload) => self.take_metadata(now, payload)?,
            (EXTENDED, ..) => self.ignore(message.len())?,
            _ => {
                self.ignore(length)?;
                self.skip = length - 1;
            }
        }
        // Keeps the allocation for the next block.
        self.input = message;
        self.input.clear();
        Ok(())
    }

    fn ignore(&mut self, bytes: usize) -> Result<(), PeerError> {
        self.input.clear();
        self.ignored = self.ignored.saturating_add(bytes);
        if self.ignored > MAX_IGNORED_BYTES { Err(PeerError::Noise) } else { Ok(()) }
    }

    fn take_extension_handshake(&mut self, now: Time, payload: &[u8]) -> Result<(), PeerError> {
        self.ignore(payload.len())?;
        let hello = read_dict(payload)?.0;
        let (mut id, mut size) = (None, None);
        for (key, value) in hello.dict().into_iter().flatten() {
            match key {
                b"m" => id = value.get(b"ut_metadata").and_then(Value::int),
                b"metadata_size" => size = value.int(),
                _ => {}
            }
        }
        // BEP 10: 0 means that the extension is switched off; a later handshake may leave out what stays.
        if let Some(id) = id {
            self.their_ut_metadata = u8::try_from(id).map_err(|_| PeerError::Malformed)?;
        }
        if !matches!(self.phase, Phase::Extension) {
            return Ok(());
        }
        let size = size.filter(|_| self.their_ut_metadata != 0).ok_or(PeerError::NoMetadata)?;
        let size = usize::try_from(size).ok().filter(|size| (1..=self.max_bytes).contains(size));
        self.phase = Phase::Blocks(Assembly::new(size.ok_or(PeerError::AbsurdSize)?));
        self.deadline = now + self.patience.block;
        Ok(())
    }

    fn take_metadata(&mut self, now: Time, payload: &[u8]) -> Result<(), PeerError> {
        let (dict, block) = read_dict(payload)?;
        let number = |key: &[u8]| dict.get(key).and_then(Value::int);
        let index = number(b"piece").and_then(|index| usize::try_from(index).ok()).ok_or(PeerError::Malformed)?;
        match number(b"msg_type") {
            Some(0) => self.decline(index),
            Some(1) => {
                let Phase::Blocks(assembly) = &mut self.phase else { return Err(PeerError::Malformed) };
                assembly.take(index, number(b"total_size"), block)?;
                self.deadline = now + self.patience.block;
                if let Some(digest) = assembly.digest() {
                    if digest != self.infohash.0 {
                        return Err(PeerError::WrongHash);
                    }
                    self.phase = Phase::Done(assembly.take_bytes());
                    return Ok(());
                }
                self.fill_pipeline();
                Ok(())
            }
            Some(2) => Err(PeerError::Rejected),
            // BEP 9: unknown message types are ignored.
            Some(_) => self.ignore(payload.len()),
            None => Err(PeerError::Malformed),
        }
    }

    /// We have no metadata to give (BEP 9: reject).
    fn decline(&mut self, index: usize) -> Result<(), PeerError> {
        self.declined += 1;
        if self.declined > MAX_DECLINED {
            return Err(PeerError::Noise);
        }
        if self.their_ut_metadata != 0 {
            self.send_metadata(2, index);
        }
        Ok(())
    }

    fn fill_pipeline(&mut self) {
        while let Phase::Blocks(assembly) = &mut self.phase
            && let Some(index) = assembly.next_request(PIPELINE)
        {
            self.send_metadata(0, index);
        }
    }

    fn send_metadata(&mut self, message_type: i64, index: usize) {
        let index = i64::try_from(index).unwrap_or(i64::MAX);
        let mut message = Writer::default();
        message.dict().bytes("msg_type").int(message_type).bytes("piece").int(index).end();
        self.send_extended(self.their_ut_metadata, &message.into_bytes());
    }

    fn send_extended(&mut self, id: u8, payload: &[u8]) {
        let length = u32::try_from(payload.len() + 2).expect("we only send short dictionaries");
        self.output.extend_from_slice(&length.to_be_bytes());
        self.output.extend_from_slice(&[EXTENDED, id]);
        self.output.extend_from_slice(payload);
    }
}

/// The dictionary at the start and what follows it: a block stands behind its message (BEP 9).
fn read_dict(payload: &[u8]) -> Result<(Value<'_>, &[u8]), PeerError> {
    let (value, rest) = bencode::parse_prefix(payload, LIMITS).map_err(|_| PeerError::Malformed)?;
    if value.dict().is_some() { Ok((value, rest)) } else { Err(PeerError::Malformed) }
}

#[cfg(test)]
mod tests;
