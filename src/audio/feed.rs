//! The conductor's end of the ring: conversion, and marks at the right frames.

use std::sync::Arc;
use std::time::Duration;

use rtrb::Producer;
use tracing::warn;

use super::convert::{Converter, Shape};
use super::output::{Mark, MarkKind, PcmFormat};
use super::shared::Shared;

/// Sound left in the ring when it is decided that no other track follows at once. More than the output needs before
/// it begins.
const LAST_CALL: Duration = Duration::from_millis(300);

/// Sound that is decoded ahead at most; the ring bounds it too. A track that is in the ring cannot be taken back.
const AHEAD: Duration = Duration::from_secs(3);

/// Puts the sound of one track after another into the ring.
pub(super) struct Feed {
    shared: Arc<Shared>,
    ring: Producer<i32>,
    marks: Producer<Mark>,
    converter: Option<Converter>,
    /// Frame of the stream at which the converter began.
    base: u64,
    /// Samples on their way into the ring, and how many of them are in it.
    held: Vec<i32>,
    held_done: usize,
    /// Samples pushed since the beginning.
    pushed: u64,
    /// Samples that the ring shall hold at most.
    limit: usize,
}

impl Feed {
    pub fn new(shared: Arc<Shared>, ring: Producer<i32>, marks: Producer<Mark>) -> Self {
        Self { shared, ring, marks, converter: None, base: 0, held: Vec::new(), held_done: 0, pushed: 0, limit: 0 }
    }

    /// Begins a new stream; the output forgets the old one.
    pub fn reset(&mut self) {
        self.shared.set_ended(true);
        self.held.clear();
        self.held_done = 0;
        self.converter = None;
        self.base = 0;
    }

    /// Samples pushed to the ring so far; only its change means something.
    pub fn pushed(&self) -> u64 {
        self.pushed
    }

    /// Makes ready for sound of `shape`; tells whether that was possible at once. If not, what the last converter
    /// held back must go first.
    ///
    /// # Errors
    /// If such sound cannot be converted for the output.
    pub fn set_shape(&mut self, shape: Shape, format: PcmFormat) -> Result<bool, String> {
        if self.converter.as_ref().is_some_and(|converter| converter.shape() == shape) {
            return Ok(true);
        }
        self.finish_converter();
        if !self.push_held() {
            return Ok(false);
        }
        self.converter = Some(Converter::new(shape, format)?);
        self.limit = samples(AHEAD, format);
        Ok(true)
    }

    /// Tells the output that the track is at `position` from here.
    pub fn begin(&mut self, token: u64, position: Duration) {
        self.mark(token, MarkKind::Begin { position });
    }

    /// Tells the output that the track is over here.
    pub fn end(&mut self, token: u64) {
        self.mark(token, MarkKind::End);
    }

    fn mark(&mut self, token: u64, kind: MarkKind) {
        let at = self.base + self.converter.as_ref().map_or(0, Converter::frames);
        // Two marks a track and a handful of tracks: the ring of marks cannot be full.
        if self.marks.push(Mark { at, token, kind }).is_err() {
            warn!("too many tracks within the ring");
        }
    }

    /// There will be sound: the output shall not take an empty ring for the end.
    pub fn go_on(&self) {
        self.shared.set_ended(false);
    }

    /// Takes interleaved samples of the shape that was set.
    pub fn push(&mut self, samples: &[i32]) {
        if let Some(converter) = &mut self.converter {
            converter.process(samples, &mut self.held);
        }
    }

    /// Pushes what is held into the ring; tells whether all of it went.
    pub fn push_held(&mut self) -> bool {
        let rest = &self.held[self.held_done..];
        let room = self.limit.saturating_sub(self.in_ring());
        let (pushed, _) = self.ring.push_partial_slice(&rest[..rest.len().min(room)]);
        self.held_done += pushed.len();
        self.pushed += pushed.len() as u64;
        let all = self.held_done == self.held.len();
        if all {
            self.held.clear();
            self.held_done = 0;
        }
        all
    }

    /// Nothing follows for now: what the converter holds back is pushed, and the output may run dry. Not before it
    /// has to be: a track that comes in time goes on without a seam.
    pub fn end_stream(&mut self, format: PcmFormat) {
        if self.in_ring() > samples(LAST_CALL, format) {
            return;
        }
        self.finish_converter();
        if self.push_held() {
            self.shared.set_ended(true);
        }
    }

    fn in_ring(&self) -> usize {
        self.ring.buffer().capacity() - self.ring.slots()
    }

    /// Takes out what the converter holds back, if it has been used.
    fn finish_converter(&mut self) {
        if let Some(mut converter) = self.converter.take_if(|converter| converter.frames() > 0) {
            converter.finish(&mut self.held);
            self.base += converter.frames();
        }
    }
}

/// Interleaved samples that play for `time`.
fn samples(time: Duration, format: PcmFormat) -> usize {
    (time.as_secs_f64() * f64::from(format.rate)) as usize * usize::from(format.channels)
}
