//! What the demuxers read: the input without its tags and pictures, waiting for data without being stuck on it.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use symphonia::core::io::MediaSource;

use super::MediaInput;
use super::sniff::{ID3_HEADER, id3_len, mp4_box};

/// How long to sleep between two looks at an input that has nothing for us. The owner unparks the thread when it
/// wants something sooner.
const POLL: Duration = Duration::from_millis(10);

/// Bytes that a demuxer may read before the first packet. The largest honest headers are embedded pictures in Ogg
/// comments and the sample tables of long MP4 files.
const MAX_HEADER_BYTES: u64 = 16 << 20;

/// ID3v2 tags that may follow each other at the start of a file.
const MAX_ID3_TAGS: usize = 4;

/// FLAC metadata blocks that are walked over.
const MAX_FLAC_BLOCKS: usize = 128;

/// Largest seek table that is kept: 1,820 points.
const MAX_SEEK_TABLE: usize = 32 * 1024;

/// How the owner of a decoder thread reaches it while it waits for data.
#[derive(Debug, Default)]
pub struct Control {
    cancelled: AtomicBool,
    interrupted: AtomicBool,
    /// Whether interruptions count: not while the header is read, which has to be done anyway.
    interruptible: AtomicBool,
}

impl Control {
    /// Ends all reading for good.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Makes the read that waits for data fail, because the owner wants to read elsewhere.
    pub fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Release);
    }

    /// Lets interruptions count from now on.
    pub fn allow_interrupts(&self) {
        self.interruptible.store(true, Ordering::Release);
    }

    /// Forgets an interruption.
    pub fn clear_interrupt(&self) {
        self.interrupted.store(false, Ordering::Release);
    }

    fn check(&self) -> io::Result<()> {
        let interrupted = self.interrupted.load(Ordering::Acquire) && self.interruptible.load(Ordering::Acquire);
        if self.is_cancelled() || interrupted {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "reading was called off"));
        }
        Ok(())
    }
}

/// An input that several readers use in turn, each with a position of its own.
#[derive(Clone)]
pub(super) struct SharedInput {
    input: Arc<Mutex<Box<dyn MediaInput>>>,
    control: Arc<Control>,
    len: u64,
}

impl SharedInput {
    pub fn new(input: Box<dyn MediaInput>, control: Arc<Control>) -> Self {
        let len = input.byte_len();
        Self { input: Arc::new(Mutex::new(input)), control, len }
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether everything from `offset` on is there.
    pub fn has_from(&self, offset: u64) -> bool {
        let offset = offset.min(self.len);
        self.lock().available_from(offset) >= self.len - offset
    }

    /// A poisoned lock means that a decoder panicked while reading; the input itself is still usable.
    fn lock(&self) -> std::sync::MutexGuard<'_, Box<dyn MediaInput>> {
        self.input.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads at least one byte at `offset` unless that is the end, waiting for it if need be.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if offset >= self.len || buffer.is_empty() {
            return Ok(0);
        }
        loop {
            self.control.check()?;
            if let Some(count) = self.try_read(offset, buffer)? {
                return Ok(count);
            }
            thread::park_timeout(POLL);
        }
    }

    /// Reads what is there; `None` if nothing has arrived yet.
    fn try_read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let mut input = self.lock();
        let available = input.available_from(offset).min(self.len - offset);
        // Also when nothing is there: the position tells the input what to fetch.
        input.seek(SeekFrom::Start(offset))?;
        if available == 0 {
            return Ok(None);
        }
        let limit = usize::try_from(available).map_or(buffer.len(), |available| available.min(buffer.len()));
        match input.read(&mut buffer[..limit]) {
            Ok(count) => Ok(Some(count)),
            Err(error) => match error.kind() {
                io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(None),
                _ => Err(error),
            },
        }
    }

    /// Fills as much of `buffer` from `offset` as the file has.
    pub fn read_full(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read_at(offset + filled as u64, &mut buffer[filled..])? {
                0 => break,
                count => filled += count,
            }
        }
        Ok(filled)
    }

    /// Where the file begins behind its ID3v2 tags.
    pub fn skip_tags(&self) -> io::Result<u64> {
        let mut offset = 0u64;
        for _ in 0..MAX_ID3_TAGS {
            let mut header = [0; ID3_HEADER];
            let count = self.read_full(offset, &mut header)?;
            match id3_len(&header[..count]) {
                Some(length) => offset = offset.saturating_add(length).min(self.len),
                None => break,
            }
        }
        Ok(offset)
    }

    /// A FLAC header without pictures and padding, and where the frames begin; `start` is where `fLaC` stands.
    /// `None` if the blocks make no sense, so that the demuxer may say why.
    pub fn flac_header(&self, start: u64) -> io::Result<Option<(Vec<u8>, u64)>> {
        const STREAM_INFO: u8 = 0;
        const SEEK_TABLE: u8 = 3;
        const LAST: u8 = 0x80;
        let mut kept: Vec<(u8, Vec<u8>)> = Vec::new();
        let mut position = start + 4;
        for _ in 0..MAX_FLAC_BLOCKS {
            let mut header = [0; 4];
            if self.read_full(position, &mut header)? < header.len() {
                return Ok(None);
            }
            let kind = header[0] & !LAST;
            let length = (u32::from_be_bytes(header) & 0xff_ffff) as usize;
            position += 4;
            if kind == STREAM_INFO && length == 34 || kind == SEEK_TABLE && length <= MAX_SEEK_TABLE {
                let mut body = vec![0; length];
                if self.read_full(position, &mut body)? < length {
                    return Ok(None);
                }
                kept.push((kind, body));
            }
            position += length as u64;
            if header[0] & LAST != 0 {
                break;
            }
        }
        match kept.first_mut() {
            Some((STREAM_INFO, body)) => self.mend_block_sizes(position, body)?,
            _ => return Ok(None),
        }
        let mut header = b"fLaC".to_vec();
        let last = kept.len() - 1;
        for (index, (kind, body)) in kept.iter().enumerate() {
            header.push(kind | if index == last { LAST } else { 0 });
            header.extend_from_slice(&(body.len() as u32).to_be_bytes()[1..]);
            header.extend_from_slice(body);
        }
        Ok(Some((header, position)))
    }

    /// Some encoders count the short last block as the smallest one. With blocks of a fixed size, as the first frame
    /// tells (RFC 9639, section 9.1), symphonia takes that for a contradiction and finds no frame at all.
    fn mend_block_sizes(&self, frames: u64, stream_info: &mut [u8]) -> io::Result<()> {
        const FIXED_BLOCKS: [u8; 2] = [0xff, 0xf8];
        let mut sync = [0; 2];
        if self.read_full(frames, &mut sync)? == sync.len() && sync == FIXED_BLOCKS && stream_info.len() >= 4 {
            stream_info.copy_within(2..4, 0);
        }
        Ok(())
    }

    /// The body of the `moov` box of an MP4 file whose boxes begin at `start`; `None` if there is none of a sane
    /// size.
    pub fn mp4_index(&self, start: u64) -> io::Result<Option<Vec<u8>>> {
        const MAX_BOXES: usize = 64;
        let mut position = start;
        for _ in 0..MAX_BOXES {
            let mut header = [0; 16];
            let count = self.read_full(position, &mut header)?;
            let Some((size, id)) = mp4_box(&header[..count]) else { return Ok(None) };
            if &id == b"moov" {
                if size > MAX_HEADER_BYTES {
                    return Ok(None);
                }
                let mut body = vec![0; size as usize - 8];
                let count = self.read_full(position + 8, &mut body)?;
                body.truncate(count);
                return Ok(Some(body));
            }
            position = position.saturating_add(size);
        }
        Ok(None)
    }
}

/// Switches of a [`Source`] that its maker keeps while a demuxer owns the source.
#[derive(Debug)]
pub(super) struct Switches {
    seekable: AtomicBool,
    /// Bytes that may still be read; `u64::MAX` for any number.
    budget: AtomicU64,
}

impl Switches {
    /// The header is read: seeking is shown and reading no longer bounded.
    pub fn header_is_read(&self) {
        self.seekable.store(true, Ordering::Relaxed);
        self.budget.store(u64::MAX, Ordering::Relaxed);
    }
}

/// One demuxer's view of the input: `prefix`, then the input from `base` on.
pub(super) struct Source {
    input: SharedInput,
    prefix: Vec<u8>,
    base: u64,
    position: u64,
    switches: Arc<Switches>,
}

impl Source {
    /// A view whose seekability is shown from the start only if `seekable`: demuxers read the end of a seekable file
    /// first, which on a partial one would wait for its last piece.
    pub fn new(input: SharedInput, prefix: Vec<u8>, base: u64, seekable: bool) -> (Self, Arc<Switches>) {
        let switches =
            Arc::new(Switches { seekable: AtomicBool::new(seekable), budget: AtomicU64::new(MAX_HEADER_BYTES) });
        (Self { input, prefix, base, position: 0, switches: Arc::clone(&switches) }, switches)
    }

    fn len(&self) -> u64 {
        self.prefix.len() as u64 + self.input.len().saturating_sub(self.base)
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let prefix = self.prefix.len() as u64;
        let count = if self.position < prefix {
            (&self.prefix[self.position as usize..]).read(buffer)?
        } else {
            self.input.read_at(self.base.saturating_add(self.position - prefix), buffer)?
        };
        let budget = self.switches.budget.load(Ordering::Relaxed);
        if budget != u64::MAX {
            let left = budget.checked_sub(count as u64).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, "its header is larger than 16 MiB, which no music needs")
            })?;
            self.switches.budget.store(left, Ordering::Relaxed);
        }
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Source {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.len().checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position =
            position.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "seek before the start of the file"))?;
        Ok(self.position)
    }
}

impl MediaSource for Source {
    fn is_seekable(&self) -> bool {
        self.switches.seekable.load(Ordering::Relaxed)
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.len())
    }
}
