//! Which track is heard at which frame of the stream.

use std::time::Duration;

/// Tracks whose sound may be on its way through the device at once.
const MAX_SPANS: usize = 16;

/// Something that happens at a frame of the stream.
#[derive(Debug, Clone, Copy)]
pub(in crate::audio) struct Mark {
    /// Frames pushed to the ring before it, since the last flush.
    pub at: u64,
    pub token: u64,
    pub kind: MarkKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::audio) enum MarkKind {
    /// The track goes on, or begins, at this playing time.
    Begin { position: Duration },
    /// The track is over.
    End,
}

/// A track within the stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub start: u64,
    /// Frame behind its last one, when that is known.
    pub end: Option<u64>,
    pub token: u64,
    pub position: Duration,
}

/// The tracks whose sound is heard or about to be, oldest first.
#[derive(Debug, Default)]
pub(super) struct Spans {
    spans: [Option<Span>; MAX_SPANS],
}

impl Spans {
    /// Adds one behind the others; if there are too many the oldest is forgotten.
    pub fn push(&mut self, span: Span) {
        let free = self.spans.iter().position(Option::is_none).unwrap_or_else(|| {
            self.spans.rotate_left(1);
            MAX_SPANS - 1
        });
        self.spans[free] = Some(span);
    }

    pub fn end(&mut self, token: u64, at: u64) {
        if let Some(span) = self.spans.iter_mut().flatten().rev().find(|span| span.token == token) {
            span.end = Some(at);
        }
    }

    /// Takes the oldest one out if it has been heard to its end.
    pub fn take_finished(&mut self, heard: u64) -> Option<u64> {
        let token = self.spans[0].filter(|span| span.end.is_some_and(|end| heard >= end))?.token;
        self.spans[0] = None;
        self.spans.rotate_left(1);
        Some(token)
    }

    pub fn heard(&self, heard: u64) -> Option<&Span> {
        let mut spans = self.spans.iter().flatten();
        let first = spans.next()?;
        Some(spans.take_while(|span| span.start <= heard).last().unwrap_or(first))
    }

    pub fn last(&self) -> Option<&Span> {
        self.spans.iter().flatten().last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(token: u64, start: u64) -> Span {
        Span { start, end: None, token, position: Duration::ZERO }
    }

    #[test]
    fn what_is_heard_lags_behind_what_is_handed_over() {
        let mut spans = Spans::default();
        spans.push(span(1, 0));
        spans.push(span(2, 100));
        spans.end(1, 100);
        assert_eq!(spans.heard(99).unwrap().token, 1);
        assert_eq!(spans.take_finished(99), None);
        assert_eq!(spans.heard(100).unwrap().token, 2);
        assert_eq!(spans.take_finished(100), Some(1));
        assert_eq!(spans.take_finished(100), None);
        assert_eq!(spans.last().unwrap().token, 2);
    }

    #[test]
    fn of_too_many_tracks_the_oldest_is_forgotten() {
        let mut spans = Spans::default();
        (0..MAX_SPANS as u64 + 1).for_each(|token| spans.push(span(token, token)));
        assert_eq!(spans.heard(0).unwrap().token, 1);
        assert_eq!(spans.last().unwrap().token, MAX_SPANS as u64);
    }
}
