//! The connections between the conductor and the output thread, and how that thread is started.

use std::sync::Arc;
use std::thread::{self, JoinHandle, Thread};

use rtrb::{Consumer, Producer, RingBuffer};

use super::spans::Mark;
use super::thread::Output;
use super::{PcmFormat, Sink};
use crate::audio::shared::Shared;

/// Samples between conductor and output: 3 s of stereo at 44.1 kHz, and 1 MiB. When it is full the conductor waits.
const RING_SAMPLES: usize = 1 << 18;

/// Beginnings and ends of tracks within the ring. When it is full the conductor waits.
const MARKS: usize = 64;

/// Commands to the output. Every one is answered or takes effect at once, so few can be waiting; when it is full the
/// conductor tries again at its next turn.
const COMMANDS: usize = 64;

/// Events from the output, at most a few a track; emptied many times a second.
const EVENTS: usize = 1024;

/// Priority that is asked for; a system that does not grant it plays all the same.
const NICE: i32 = -15;

#[derive(Debug)]
pub(in crate::audio) enum OutputCommand {
    /// Opens the device for such sound. The ring must be empty. Answered by `Opened` when it has succeeded.
    Open(PcmFormat),
    /// Forgets everything in ring and device. Answered by `Flushed` with this number.
    Flush(u32),
    Pause(bool),
    /// Gives the device back.
    Close,
    Quit,
}

#[derive(Debug)]
pub(in crate::audio) enum OutputEvent {
    /// The device is open as `wanted`, or as near to it as it can: `format`.
    Opened {
        wanted: PcmFormat,
        format: PcmFormat,
    },
    Flushed(u32),
    Started(u64),
    Finished(u64),
    Starved(u64),
    Recovered(u64),
    Lost(String),
    Back,
}

/// The conductor's ends of the connections.
pub(in crate::audio) struct Link {
    pub ring: Producer<i32>,
    pub marks: Producer<Mark>,
    pub commands: Producer<OutputCommand>,
    pub events: Consumer<OutputEvent>,
    pub thread: JoinHandle<()>,
}

/// The output's ends of the connections.
pub(super) struct Ends {
    pub ring: Consumer<i32>,
    pub marks: Consumer<Mark>,
    pub commands: Consumer<OutputCommand>,
    pub events: Producer<OutputEvent>,
}

/// Starts the output thread; `conductor` is woken when there is an event or room in the ring.
pub(in crate::audio) fn spawn(sink: Box<dyn Sink>, shared: Arc<Shared>, conductor: Thread) -> std::io::Result<Link> {
    let (ring, ring_out) = RingBuffer::new(RING_SAMPLES);
    let (marks, marks_out) = RingBuffer::new(MARKS);
    let (commands, commands_out) = RingBuffer::new(COMMANDS);
    let (events_in, events) = RingBuffer::new(EVENTS);
    let thread = thread::Builder::new().name("audio-output".to_owned()).spawn(move || {
        // Without the permission it runs at normal priority.
        let _ = rustix::process::setpriority_process(None, NICE);
        let ends = Ends { ring: ring_out, marks: marks_out, commands: commands_out, events: events_in };
        let mut output = Output::new(sink, shared, conductor, ends);
        output.run();
    })?;
    Ok(Link { ring, marks, commands, events, thread })
}
