//! The clock of outputs that are no devices, and the output to nowhere.

use std::thread;
use std::time::{Duration, Instant};

use super::{PcmFormat, Sink, SinkError};

/// Size of the imaginary device buffer.
const BUFFER: Duration = Duration::from_millis(100);

/// Frames that an unpaced output takes at once.
const UNPACED_FRAMES: usize = 4096;

/// A device that only counts: it consumes frames at its rate from the first one written.
#[derive(Debug)]
pub(super) struct Pacer {
    /// `None`: as fast as it comes.
    rate: Option<u32>,
    started: Option<Instant>,
    /// Frames written since `started`.
    written: u64,
}

impl Pacer {
    pub fn new(rate: Option<u32>) -> Self {
        Self { rate, started: None, written: 0 }
    }

    pub fn is_paced(&self) -> bool {
        self.rate.is_some()
    }

    /// Changes the rate of a paced output, and begins anew.
    pub fn set_rate(&mut self, rate: u32) {
        self.rate = self.rate.map(|_| rate);
        self.discard();
    }

    fn played(&self, now: Instant, rate: u32) -> u64 {
        self.started.map_or(0, |started| {
            (now.saturating_duration_since(started).as_nanos() * u128::from(rate) / 1_000_000_000) as u64
        })
    }

    /// Frames that fit in the buffer, after sleeping at most `limit` until there is room.
    pub fn writable(&mut self, limit: Duration) -> Result<usize, SinkError> {
        let Some(rate) = self.rate else { return Ok(UNPACED_FRAMES) };
        let capacity = (BUFFER.as_millis() as u64 * u64::from(rate)) / 1000;
        let room =
            |pacer: &Self, now| capacity.saturating_sub(pacer.written - pacer.played(now, rate).min(pacer.written));
        let now = Instant::now();
        if self.started.is_some() && self.played(now, rate) > self.written {
            self.discard();
            return Err(SinkError::Underrun);
        }
        // A quarter of the buffer at a time, as a device with four periods would.
        if room(self, now) < capacity / 4 {
            thread::sleep(limit.min(BUFFER / 4));
        }
        Ok(room(self, Instant::now()) as usize)
    }

    pub fn wrote(&mut self, frames: u64) {
        if self.rate.is_some() {
            self.started.get_or_insert_with(Instant::now);
            self.written += frames;
        }
    }

    pub fn delay(&self) -> u64 {
        self.rate.map_or(0, |rate| self.written.saturating_sub(self.played(Instant::now(), rate)))
    }

    pub fn discard(&mut self) {
        self.started = None;
        self.written = 0;
    }
}

/// Takes sound and makes nothing of it.
#[derive(Debug)]
pub(super) struct NullSink {
    pacer: Pacer,
    channels: usize,
}

impl NullSink {
    pub fn new(paced: bool) -> Self {
        Self { pacer: Pacer::new(paced.then_some(44_100)), channels: 2 }
    }
}

impl Sink for NullSink {
    fn open(&mut self, wanted: PcmFormat) -> Result<PcmFormat, String> {
        self.pacer.set_rate(wanted.rate);
        self.channels = usize::from(wanted.channels);
        Ok(wanted)
    }

    fn writable(&mut self, limit: Duration) -> Result<usize, SinkError> {
        self.pacer.writable(limit)
    }

    fn write(&mut self, samples: &[i32]) -> Result<usize, SinkError> {
        let frames = samples.len() / self.channels;
        self.pacer.wrote(frames as u64);
        Ok(frames)
    }

    fn delay(&mut self) -> u64 {
        self.pacer.delay()
    }

    fn finish(&mut self) {}

    fn discard(&mut self) {
        self.pacer.discard();
    }

    fn close(&mut self) {
        self.pacer.discard();
    }

    fn is_paced(&self) -> bool {
        self.pacer.is_paced()
    }
}
