//! Blocks put together and hashed as they arrive.

use bytes::Bytes;
use sha1::{Digest, Sha1};

use super::{BLOCK_BYTES, PeerError};

/// The metadata as far as it is here.
pub struct Assembly {
    /// What the peer says that it will be.
    size: usize,
    /// From the start to the end of the furthest block received. Reserved whole at the first block, but memory is only
    /// touched, thus resident, as blocks arrive.
    bytes: Vec<u8>,
    received: Vec<bool>,
    received_count: usize,
    /// Blocks asked for; they are asked for in order.
    requested: usize,
    /// Blocks from the start without a gap, which are hashed already.
    hashed: usize,
    hash: Sha1,
}

impl Assembly {
    /// Of `size` bytes.
    pub fn new(size: usize) -> Self {
        Self {
            size,
            bytes: Vec::new(),
            received: vec![false; size.div_ceil(BLOCK_BYTES)],
            received_count: 0,
            requested: 0,
            hashed: 0,
            hash: Sha1::new(),
        }
    }

    /// Bytes held.
    pub fn held_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Whether a block was asked for.
    pub fn has_begun(&self) -> bool {
        self.requested > 0
    }

    /// The next block to ask for, as long as fewer than `pipeline` are under way.
    pub fn next_request(&mut self, pipeline: usize) -> Option<usize> {
        let index = self.requested;
        let wanted = index < self.received.len() && index - self.received_count < pipeline;
        wanted.then(|| {
            self.requested += 1;
            index
        })
    }

    /// Takes a block that was asked for; `total` is the size that came with it.
    pub fn take(&mut self, index: usize, total: Option<i64>, block: &[u8]) -> Result<(), PeerError> {
        let start = index.saturating_mul(BLOCK_BYTES);
        let expected = self.size.saturating_sub(start).min(BLOCK_BYTES);
        // Some clients leave `total_size` out.
        let same_size = total.is_none_or(|total| usize::try_from(total) == Ok(self.size));
        if index >= self.requested || self.received[index] || block.len() != expected || !same_size {
            return Err(PeerError::Malformed);
        }
        self.bytes.reserve_exact(self.size - self.bytes.len());
        self.bytes.resize(self.bytes.len().max(start + block.len()), 0);
        self.bytes[start..start + block.len()].copy_from_slice(block);
        self.received[index] = true;
        self.received_count += 1;
        while self.received.get(self.hashed) == Some(&true) {
            let start = self.hashed * BLOCK_BYTES;
            self.hash.update(&self.bytes[start..self.size.min(start + BLOCK_BYTES)]);
            self.hashed += 1;
        }
        Ok(())
    }

    /// The SHA-1 once all blocks are here.
    pub fn digest(&self) -> Option<[u8; 20]> {
        (self.hashed == self.received.len()).then(|| self.hash.clone().finalize().into())
    }

    /// Hands the bytes out; nothing is left.
    pub fn take_bytes(&mut self) -> Bytes {
        Bytes::from(std::mem::take(&mut self.bytes))
    }
}
