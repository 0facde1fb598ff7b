//! Rings of the last events of a room: what led up to a fault, when nobody was watching.
//!
//! Of fixed size and typed, like those of Hubris: an event is a plain copy of a few bytes, so recording neither allocates nor
//! formats. An event that repeats is counted in place. Counters go on where the ring forgets.

use std::fmt::{Debug, Display};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use crate::control::{TraceEntry, TraceRing};
use crate::types::Time;

/// Kinds of events that a room may have.
pub const MAX_KINDS: usize = 12;

/// Bytes of text that an event may carry, such as the beginning of an error.
const TEXT_BYTES: usize = 63;

/// Something that happens in a room. `Copy`, so that it cannot own memory.
pub trait Event: Copy + PartialEq + Debug + Display + Send {
    /// Names of the kinds, at most [`MAX_KINDS`].
    const KINDS: &'static [&'static str];

    /// Its kind, as an index of [`Event::KINDS`].
    fn kind(&self) -> usize;
}

/// The beginning of a text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text {
    bytes: [u8; TEXT_BYTES],
    length: u8,
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        let length = text.floor_char_boundary(TEXT_BYTES.min(text.len()));
        let mut bytes = [0; TEXT_BYTES];
        bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
        Self { bytes, length: length as u8 }
    }
}

impl Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default())
    }
}

impl Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Display::fmt(self, f)
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry<E> {
    first: Time,
    last: Time,
    times: u32,
    event: E,
}

#[derive(Debug)]
struct State<E, const N: usize> {
    entries: [Option<Entry<E>>; N],
    /// Where the next one goes.
    next: usize,
    kinds: [u64; MAX_KINDS],
}

/// The last `N` events of a room.
#[derive(Debug)]
pub struct Ring<E, const N: usize> {
    room: &'static str,
    /// Held for the copy of one event, or of all of them to show.
    state: Mutex<State<E, N>>,
}

impl<E: Event, const N: usize> Ring<E, N> {
    /// An empty ring.
    pub const fn new(room: &'static str) -> Self {
        const { assert!(E::KINDS.len() <= MAX_KINDS && N > 0) };
        Self { room, state: Mutex::new(State { entries: [None; N], next: 0, kinds: [0; MAX_KINDS] }) }
    }

    fn lock(&self) -> MutexGuard<'_, State<E, N>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of an event; the oldest is forgotten.
    pub fn record(&self, now: Time, event: E) {
        let mut state = self.lock();
        if let Some(count) = state.kinds.get_mut(event.kind()) {
            *count += 1;
        }
        let last = (state.next + N - 1) % N;
        if let Some(entry) = state.entries[last].as_mut().filter(|entry| entry.event == event) {
            entry.last = now;
            entry.times = entry.times.saturating_add(1);
            return;
        }
        let next = state.next;
        state.entries[next] = Some(Entry { first: now, last: now, times: 1, event });
        state.next = (next + 1) % N;
    }

    /// All of it, oldest first; nothing if somebody is recording right now and `wait` is not wanted.
    pub fn shown(&self, wait: bool) -> TraceRing {
        let state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) if wait => self.lock(),
            Err(TryLockError::WouldBlock) => return TraceRing { room: self.room.to_owned(), ..TraceRing::default() },
        };
        let order = (0..N).map(|step| (state.next + step) % N);
        let entries = order.filter_map(|index| state.entries[index].as_ref()).map(|entry| TraceEntry {
            first_ms: entry.first.as_millis(),
            last_ms: entry.last.as_millis(),
            times: entry.times,
            event: entry.event.to_string(),
        });
        let counters = E::KINDS.iter().zip(state.kinds).map(|(kind, count)| ((*kind).to_owned(), count));
        TraceRing { room: self.room.to_owned(), counters: counters.collect(), entries: entries.collect() }
    }
}

/// The last `most` events of all rings in the order in which they happened, one a line.
pub fn story(rings: &[TraceRing], most: usize) -> Vec<String> {
    let mut events: Vec<(&TraceRing, &TraceEntry)> =
        rings.iter().flat_map(|ring| ring.entries.iter().map(move |entry| (ring, entry))).collect();
    events.sort_by_key(|(_, entry)| entry.last_ms);
    let skip = events.len().saturating_sub(most);
    events.into_iter().skip(skip).map(|(ring, entry)| line(ring, entry)).collect()
}

fn line(ring: &TraceRing, entry: &TraceEntry) -> String {
    let seconds = entry.last_ms as f64 / 1000.0;
    let times = if entry.times > 1 { format!(" ({} times)", entry.times) } else { String::new() };
    format!("{seconds:>10.3}  {:<8} {}{times}", ring.room, entry.event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Door {
        Opened,
        Knocked(Text),
    }

    impl Display for Door {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            match self {
                Self::Opened => f.write_str("opened"),
                Self::Knocked(who) => write!(f, "knocked by {who}"),
            }
        }
    }

    impl Event for Door {
        const KINDS: &'static [&'static str] = &["opened", "knocked"];

        fn kind(&self) -> usize {
            match self {
                Self::Opened => 0,
                Self::Knocked(_) => 1,
            }
        }
    }

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn the_last_events_stay_and_repeated_ones_are_counted() {
        let ring = Ring::<Door, 2>::new("door");
        for millis in [1, 2, 3] {
            ring.record(at(millis), Door::Opened);
        }
        ring.record(at(4000), Door::Knocked("a friend".into()));
        let shown = ring.shown(true);
        assert_eq!(shown.counters, [("opened".to_owned(), 3), ("knocked".to_owned(), 1)].into());
        let lines = story(&[shown], 10);
        assert_eq!(lines, ["     0.003  door     opened (3 times)", "     4.000  door     knocked by a friend"]);
        ring.record(at(5000), Door::Opened);
        assert_eq!(story(&[ring.shown(true)], 10).len(), 2);
        assert_eq!(story(&[ring.shown(true)], 1), ["     5.000  door     opened"]);
    }

    #[test]
    fn a_panic_that_happens_while_recording_does_not_wait_for_itself() {
        let ring = Ring::<Door, 2>::new("door");
        ring.record(at(1), Door::Opened);
        let _recording = ring.state.lock().unwrap();
        assert_eq!(ring.shown(false).entries, []);
    }

    proptest! {
        #[test]
        fn a_ring_holds_the_latest_whatever_comes(events in prop::collection::vec((any::<bool>(), ".{0,40}"), 0..40)) {
            let ring = Ring::<Door, 4>::new("door");
            let mut expected: Vec<String> = Vec::new();
            for (index, (opened, text)) in events.iter().enumerate() {
                let event = if *opened { Door::Opened } else { Door::Knocked(text.as_str().into()) };
                ring.record(at(index as u64), event);
                if expected.last() != Some(&event.to_string()) {
                    expected.push(event.to_string());
                }
            }
            let kept: Vec<String> = ring.shown(true).entries.into_iter().map(|entry| entry.event).collect();
            let skip = expected.len().saturating_sub(4);
            prop_assert_eq!(&kept, &expected[skip..]);
            prop_assert_eq!(ring.shown(true).counters.values().sum::<u64>(), events.len() as u64);
        }
    }
}
