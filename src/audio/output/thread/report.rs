//! What has been heard, told to the conductor and to everybody.

use std::time::Duration;

use super::Output;
use crate::audio::output::PcmFormat;
use crate::audio::output::link::OutputEvent;
use crate::audio::output::spans::{Mark, MarkKind, Span};
use crate::audio::shared::Progress;

impl Output {
    /// Frames that wait in the ring.
    pub(super) fn ring_frames(&self, format: PcmFormat) -> usize {
        self.ring.slots() / usize::from(format.channels)
    }

    /// Frames that have been heard.
    fn heard(&mut self) -> u64 {
        self.consumed.saturating_sub(self.sink.delay().saturating_sub(self.silence))
    }

    /// Takes note of the marks that the stream has reached. A track has begun when a sample of it is handed over, or
    /// if nothing comes any more (`at_end`).
    pub(super) fn pass_marks(&mut self, at_end: bool) {
        let consumed = self.consumed;
        let is_passed =
            |mark: &Mark| mark.at < consumed || mark.at == consumed && (at_end || mark.kind == MarkKind::End);
        while self.marks.peek().is_ok_and(is_passed) {
            let Ok(mark) = self.marks.pop() else { return };
            match mark.kind {
                MarkKind::Begin { position } => {
                    self.spans.push(Span { start: mark.at, end: None, token: mark.token, position });
                    self.tell(OutputEvent::Started(mark.token));
                }
                MarkKind::End => self.spans.end(mark.token, mark.at),
            }
        }
    }

    pub(super) fn tell_finished(&mut self) {
        let heard = self.heard();
        while let Some(token) = self.spans.take_finished(heard) {
            self.tell(OutputEvent::Finished(token));
        }
    }

    pub(super) fn publish(&mut self, format: PcmFormat) {
        self.tell_finished();
        let heard = self.heard();
        let seconds = |frames: u64| Duration::from_secs_f64(frames as f64 / f64::from(format.rate));
        let ring = seconds(self.ring_frames(format) as u64);
        let progress = match self.spans.heard(heard) {
            Some(span) => Progress {
                token: span.token,
                position: span.position + seconds(heard.saturating_sub(span.start)),
                ring,
                underruns: 0,
            },
            // Not begun yet: tell where it will.
            None => match self.marks.peek().map(|mark| (mark.token, mark.kind)) {
                Ok((token, MarkKind::Begin { position })) => Progress { token, position, ring, underruns: 0 },
                _ => Progress { ring, ..Progress::default() },
            },
        };
        self.shared.publish(progress);
    }
}
