use std::sync::{Mutex, MutexGuard};

use rtrb::RingBuffer;

use super::super::spans::{Mark, MarkKind};
use super::*;

const FORMAT: PcmFormat = PcmFormat { rate: 1_000, channels: 1, bits: 32 };

/// Sound that is enough to begin with, in frames.
const ENOUGH: usize = 150;

/// A device that does what the test says.
#[derive(Debug, Default)]
struct Script {
    heard: Vec<i32>,
    room: usize,
    delay: u64,
    /// What the next write says instead of taking samples.
    fail: Option<SinkError>,
    /// What opening says, as long as it is set.
    absent: Option<String>,
    /// The only rate that it has, if it is choosy.
    rate: Option<u32>,
    opened: u32,
}

struct FakeSink(Arc<Mutex<Script>>);

impl FakeSink {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap()
    }
}

impl Sink for FakeSink {
    fn open(&mut self, wanted: PcmFormat) -> Result<PcmFormat, String> {
        self.script().opened += 1;
        let format = PcmFormat { rate: self.script().rate.unwrap_or(wanted.rate), ..wanted };
        self.script().absent.clone().map_or(Ok(format), Err)
    }

    fn writable(&mut self, _: Duration) -> Result<usize, SinkError> {
        Ok(self.script().room)
    }

    fn write(&mut self, samples: &[i32]) -> Result<usize, SinkError> {
        let mut script = self.script();
        if let Some(error) = script.fail.take() {
            return Err(error);
        }
        script.heard.extend_from_slice(samples);
        Ok(samples.len())
    }

    fn delay(&mut self) -> u64 {
        self.script().delay
    }

    fn finish(&mut self) {}

    fn discard(&mut self) {
        self.script().delay = 0;
    }

    fn close(&mut self) {}

    fn is_paced(&self) -> bool {
        true
    }
}

/// The output thread's state without the thread: the tests call each turn.
struct Bench {
    output: Output,
    script: Arc<Mutex<Script>>,
    shared: Arc<Shared>,
    ring: Producer<i32>,
    marks: Producer<Mark>,
    commands: Producer<OutputCommand>,
    events: Consumer<OutputEvent>,
}

impl Bench {
    fn new() -> Self {
        let (ring, ring_out) = RingBuffer::new(10_000);
        let (marks, marks_out) = RingBuffer::new(16);
        let (commands, commands_out) = RingBuffer::new(16);
        let (events_in, events) = RingBuffer::new(64);
        let script = Arc::new(Mutex::new(Script { room: 100, ..Script::default() }));
        let shared = Arc::new(Shared::new(100));
        let ends = Ends { ring: ring_out, marks: marks_out, commands: commands_out, events: events_in };
        let sink = Box::new(FakeSink(Arc::clone(&script)));
        let output = Output::new(sink, Arc::clone(&shared), thread::current(), ends);
        let mut bench = Self { output, script, shared, ring, marks, commands, events };
        bench.commands.push(OutputCommand::Open(FORMAT)).unwrap();
        bench
    }

    /// A track of `frames` frames that goes on.
    fn begin(&mut self, token: u64, frames: usize) {
        self.shared.set_ended(false);
        self.marks.push(Mark { at: 0, token, kind: MarkKind::Begin { position: Duration::ZERO } }).unwrap();
        self.feed(frames);
    }

    fn feed(&mut self, frames: usize) {
        let samples: Vec<i32> = (1..=frames as i32).collect();
        self.ring.push_entire_slice(&samples).unwrap();
    }

    fn turns(&mut self, count: usize) -> Vec<String> {
        (0..count).for_each(|_| self.output.turn());
        std::iter::from_fn(|| self.events.pop().ok()).map(|event| format!("{event:?}")).collect()
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    fn underruns(&self) -> u64 {
        self.shared.progress().underruns
    }
}

#[test]
fn it_begins_when_there_is_enough_and_ends_when_that_is_heard() {
    let mut bench = Bench::new();
    bench.begin(1, ENOUGH - 1);
    assert_eq!(bench.turns(2).len(), 1, "only that it is open");
    bench.feed(1);
    bench.script().delay = 120;
    assert_eq!(bench.turns(3), ["Started(1)"]);
    let progress = bench.shared.progress();
    assert_eq!((progress.token, progress.position), (1, Duration::from_millis(30)));
    bench.marks.push(Mark { at: ENOUGH as u64, token: 1, kind: MarkKind::End }).unwrap();
    bench.shared.set_ended(true);
    assert!(bench.turns(4).is_empty(), "it is still being heard");
    bench.script().delay = 0;
    assert_eq!(bench.turns(2), ["Finished(1)"]);
    assert_eq!(bench.script().heard.len(), ENOUGH);
    assert_eq!(bench.underruns(), 0);
}

#[test]
fn a_dry_ring_is_an_underrun_only_when_the_device_is_dry_too() {
    let mut bench = Bench::new();
    bench.begin(1, ENOUGH);
    bench.script().delay = 100;
    assert_eq!(bench.turns(8).len(), 2);
    assert_eq!(bench.underruns(), 0);
    bench.script().delay = 10;
    assert_eq!(bench.turns(3), ["Starved(1)"]);
    assert_eq!(bench.underruns(), 1);
    assert!(bench.script().heard.ends_with(&[0; 50]), "silence is put out");
    bench.feed(ENOUGH - 1);
    assert!(bench.turns(2).is_empty(), "not yet enough to go on");
    bench.feed(1);
    assert_eq!(bench.turns(3), ["Recovered(1)"]);
    assert!(bench.script().heard.contains(&(ENOUGH as i32 - 1)));
    assert_eq!(bench.underruns(), 1);
}

#[test]
fn an_overrun_device_is_counted_and_loses_no_sample() {
    let mut bench = Bench::new();
    bench.begin(1, ENOUGH * 2);
    bench.script().delay = 100;
    bench.turns(2);
    bench.script().fail = Some(SinkError::Underrun);
    bench.turns(4);
    assert_eq!(bench.underruns(), 1);
    assert_eq!(bench.script().heard, (1..=ENOUGH as i32 * 2).collect::<Vec<_>>());
}

#[test]
fn a_lost_device_is_told_and_tried_again_until_it_is_back() {
    let mut bench = Bench::new();
    bench.begin(1, ENOUGH * 4);
    bench.turns(3);
    bench.script().fail = Some(SinkError::Lost("it was pulled out".to_owned()));
    bench.script().absent = Some("it is not there".to_owned());
    assert_eq!(bench.turns(1), ["Lost(\"it was pulled out\")"]);
    let heard = bench.script().heard.len();
    // As if the time to try again had come.
    let elapse = |bench: &mut Bench| {
        if let Device::Lost { retry, .. } = &mut bench.output.device {
            *retry = Instant::now();
        }
    };
    elapse(&mut bench);
    assert!(bench.turns(1).is_empty(), "once is enough to tell");
    bench.script().absent = None;
    elapse(&mut bench);
    assert_eq!(bench.turns(1), ["Back"]);
    bench.turns(3);
    assert!(bench.script().heard.len() > heard);
    assert_eq!(bench.underruns(), 0);
}

#[test]
fn another_device_in_the_place_of_the_lost_one_is_told_once() {
    let mut bench = Bench::new();
    bench.begin(1, ENOUGH * 4);
    bench.turns(3);
    bench.script().fail = Some(SinkError::Lost("it was pulled out".to_owned()));
    bench.script().rate = Some(48_000);
    assert_eq!(bench.turns(1), ["Lost(\"it was pulled out\")"]);
    let mut again = || {
        if let Device::Lost { retry, .. } = &mut bench.output.device {
            *retry = Instant::now();
        }
        bench.turns(1)
    };
    let told = again();
    assert!(matches!(&told[..], [lost] if lost.contains("start the song again")), "{told:?}");
    assert!(again().is_empty());
}

#[test]
fn a_device_that_is_absent_from_the_start_opens_later() {
    let mut bench = Bench::new();
    bench.script().absent = Some("busy".to_owned());
    assert_eq!(bench.turns(1), ["Lost(\"busy\")"]);
    bench.script().absent = None;
    if let Device::Lost { retry, .. } = &mut bench.output.device {
        *retry = Instant::now();
    }
    let events = bench.turns(1);
    assert!(events[0] == "Back" && events[1].starts_with("Opened"), "{events:?}");
    assert_eq!(bench.script().opened, 2);
}

#[test]
fn a_pause_fades_out_and_a_flush_forgets() {
    let mut bench = Bench::new();
    bench.begin(1, ENOUGH * 4);
    bench.turns(3);
    bench.commands.push(OutputCommand::Pause(true)).unwrap();
    bench.turns(6);
    let paused = bench.script().heard.len();
    assert_eq!(bench.script().heard.last(), Some(&0));
    bench.turns(3);
    assert_eq!(bench.script().heard.len(), paused, "silence is not put out while paused");
    assert_eq!(bench.shared.progress().token, 1);
    bench.commands.push(OutputCommand::Flush(7)).unwrap();
    assert_eq!(bench.turns(1), ["Flushed(7)"]);
    assert_eq!(bench.shared.progress().token, 0);
    assert_eq!(bench.underruns(), 0);
}
