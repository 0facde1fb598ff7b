//! The thread that feeds the device. While it plays it neither allocates, locks nor waits for anything but the device.

mod report;

use std::sync::Arc;
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rtrb::{Consumer, Producer};

use super::gain::Gain;
use super::link::{Ends, OutputCommand, OutputEvent};
use super::spans::{Mark, Spans};
use super::{PcmFormat, Sink, SinkError};
use crate::audio::shared::{Progress, Shared};

/// Frames handed to the device at once.
const CHUNK: usize = 1024;

/// Sound in the ring before it starts to play, or plays on after it ran dry.
const PRE_BUFFER: Duration = Duration::from_millis(150);

/// How long to wait for the device at once; commands wait as long.
const DEVICE_WAIT: Duration = Duration::from_millis(20);

/// How long to sleep when there is nothing to do. The conductor wakes the thread when there is.
const IDLE: Duration = Duration::from_millis(20);

/// How long to wait before a lost device is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// When less than this is left in the device and the ring is empty, silence is put out.
const NEARLY_DRY: Duration = Duration::from_millis(40);

/// What plays was made for the device as it was.
const DIFFERENT: &str = "the sound device came back as a different one; start the song again";

#[derive(Debug, Clone, Copy)]
enum Device {
    Closed,
    Open(PcmFormat),
    /// It is tried again at `retry`; `before` is how it was open.
    Lost {
        wanted: PcmFormat,
        before: Option<PcmFormat>,
        retry: Instant,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// For enough sound to begin with.
    Waiting,
    Playing,
    /// The ring ran dry: silence is put out until there is enough again.
    Starved,
    /// What the device still holds is played to its end.
    Draining,
}

/// The state of the output thread.
pub(super) struct Output {
    sink: Box<dyn Sink>,
    shared: Arc<Shared>,
    conductor: Thread,
    ring: Consumer<i32>,
    marks: Consumer<Mark>,
    commands: Consumer<OutputCommand>,
    events: Producer<OutputEvent>,
    gain: Gain,
    device: Device,
    /// Why it is lost, as it was told last.
    told: String,
    phase: Phase,
    paused: bool,
    /// Frames of the stream handed to the device since the last flush.
    consumed: u64,
    /// Frames of silence handed over since the last frame of the stream.
    silence: u64,
    spans: Spans,
    /// One chunk on its way to the device.
    chunk: Vec<i32>,
    quit: bool,
}

impl Output {
    /// Waits for commands.
    pub fn new(sink: Box<dyn Sink>, shared: Arc<Shared>, conductor: Thread, ends: Ends) -> Self {
        let gain = Gain::new(shared.volume(), 44_100);
        Self {
            sink,
            shared,
            conductor,
            ring: ends.ring,
            marks: ends.marks,
            commands: ends.commands,
            events: ends.events,
            gain,
            device: Device::Closed,
            told: String::new(),
            phase: Phase::Waiting,
            paused: false,
            consumed: 0,
            silence: 0,
            spans: Spans::default(),
            chunk: Vec::new(),
            quit: false,
        }
    }

    /// Works until it is told to quit.
    pub fn run(&mut self) {
        while !self.quit {
            self.shared.count_output_round();
            self.turn();
        }
        self.sink.close();
    }

    fn turn(&mut self) {
        while let Ok(command) = self.commands.pop() {
            self.obey(command);
        }
        match self.device {
            Device::Closed => thread::park_timeout(IDLE * 5),
            Device::Lost { wanted, before, retry } => self.retry(wanted, before, retry),
            Device::Open(format) => {
                if let Err(error) = self.play(format) {
                    self.fail(error, format);
                }
                self.publish(format);
            }
        }
    }

    fn tell(&mut self, event: OutputEvent) {
        // Never full: see EVENTS.
        let _ = self.events.push(event);
        self.conductor.unpark();
    }

    fn obey(&mut self, command: OutputCommand) {
        match command {
            OutputCommand::Open(wanted) => self.open(wanted, None, true),
            OutputCommand::Flush(number) => {
                self.forget();
                self.tell(OutputEvent::Flushed(number));
            }
            OutputCommand::Pause(paused) => self.pause(paused),
            OutputCommand::Close => {
                self.sink.close();
                self.device = Device::Closed;
                self.phase = Phase::Waiting;
            }
            OutputCommand::Quit => self.quit = true,
        }
    }

    fn open(&mut self, wanted: PcmFormat, before: Option<PcmFormat>, first: bool) {
        let opened = self.sink.open(wanted).and_then(|format| match before {
            Some(before) if before.rate != format.rate || before.channels != format.channels => {
                self.sink.close();
                Err(DIFFERENT.to_owned())
            }
            _ => Ok(format),
        });
        match opened {
            Ok(format) => {
                self.chunk = Vec::with_capacity(CHUNK * usize::from(format.channels));
                self.gain.set_rate(format.rate);
                self.device = Device::Open(format);
                self.phase = Phase::Waiting;
                if !first {
                    self.tell(OutputEvent::Back);
                }
                if before.is_none() {
                    self.tell(OutputEvent::Opened { wanted, format });
                }
            }
            Err(sentence) => {
                self.device = Device::Lost { wanted, before, retry: Instant::now() + RETRY };
                // Tried again every second, but told once, and once more when waiting any longer does not help.
                if first || sentence == DIFFERENT && self.told != DIFFERENT {
                    self.told.clone_from(&sentence);
                    self.tell(OutputEvent::Lost(sentence));
                }
            }
        }
    }

    fn retry(&mut self, wanted: PcmFormat, before: Option<PcmFormat>, retry: Instant) {
        let now = Instant::now();
        if now >= retry {
            self.open(wanted, before, false);
        } else {
            thread::park_timeout(IDLE.min(retry - now));
        }
    }

    fn fail(&mut self, error: SinkError, format: PcmFormat) {
        match error {
            SinkError::Underrun => {
                if self.phase == Phase::Playing {
                    self.shared.count_underrun();
                }
                self.silence = 0;
            }
            SinkError::Lost(sentence) => {
                self.device = Device::Lost { wanted: format, before: Some(format), retry: Instant::now() + RETRY };
                self.phase = Phase::Waiting;
                self.silence = 0;
                self.told.clone_from(&sentence);
                self.tell(OutputEvent::Lost(sentence));
            }
        }
    }

    /// Empties ring and device.
    fn forget(&mut self) {
        let samples = self.ring.slots();
        if let Ok(chunk) = self.ring.read_chunk(samples) {
            chunk.commit_all();
        }
        while self.marks.pop().is_ok() {}
        if matches!(self.device, Device::Open(_)) {
            self.sink.discard();
        }
        self.spans = Spans::default();
        self.consumed = 0;
        self.silence = 0;
        self.phase = Phase::Waiting;
        self.gain.skip_fade(true);
        self.shared.publish(Progress::default());
    }

    fn pause(&mut self, paused: bool) {
        self.paused = paused;
        match (paused, self.phase, self.sink.is_paced()) {
            // The fade ends in `play`, which then lets the device run dry.
            (true, Phase::Playing, true) => self.gain.fade_out(),
            (true, ..) => self.gain.skip_fade(!self.sink.is_paced()),
            (false, _, true) => self.gain.fade_in(),
            (false, ..) => self.gain.skip_fade(true),
        }
    }

    /// Whether there is enough to begin or go on with.
    fn is_ready(&self, format: PcmFormat) -> bool {
        let frames = self.ring_frames(format);
        let enough = (PRE_BUFFER.as_secs_f64() * f64::from(format.rate)) as usize;
        frames >= enough.min(self.ring.buffer().capacity() / usize::from(format.channels) / 2)
            || (self.shared.ended() && frames > 0)
    }

    fn play(&mut self, format: PcmFormat) -> Result<(), SinkError> {
        self.gain.set_volume(self.shared.volume());
        match self.phase {
            Phase::Waiting => self.wait(format),
            Phase::Playing => self.feed(format),
            Phase::Starved if self.is_ready(format) => {
                self.phase = Phase::Playing;
                if let Some(token) = self.spans.last().map(|span| span.token) {
                    self.tell(OutputEvent::Recovered(token));
                }
                Ok(())
            }
            Phase::Starved if self.shared.ended() || self.paused => {
                self.drain();
                Ok(())
            }
            Phase::Starved => self.put_silence(format),
            Phase::Draining => {
                self.finish_draining(format);
                Ok(())
            }
        }
    }

    fn wait(&mut self, format: PcmFormat) -> Result<(), SinkError> {
        if !self.paused && self.is_ready(format) {
            self.phase = Phase::Playing;
            return Ok(());
        }
        // A track without a single sample is over as soon as it comes.
        if self.shared.ended() && self.ring.is_empty() {
            self.pass_marks(true);
            self.tell_finished();
        }
        thread::park_timeout(IDLE);
        Ok(())
    }

    fn feed(&mut self, format: PcmFormat) -> Result<(), SinkError> {
        if self.paused && (self.gain.is_silent() || !self.sink.is_paced()) {
            self.drain();
            return Ok(());
        }
        let room = self.sink.writable(DEVICE_WAIT)?;
        let frames = room.min(CHUNK).min(self.ring_frames(format));
        if frames == 0 {
            if self.ring_frames(format) == 0 {
                self.ran_dry(format);
            }
            return Ok(());
        }
        let channels = usize::from(format.channels);
        self.chunk.clear();
        if let Ok(chunk) = self.ring.read_chunk(frames * channels) {
            let (first, second) = chunk.as_slices();
            self.chunk.extend_from_slice(first);
            self.chunk.extend_from_slice(second);
            chunk.commit_all();
        }
        self.gain.apply(&mut self.chunk, channels);
        let mut written = 0;
        while written < frames {
            let result = match self.sink.write(&self.chunk[written * channels..]) {
                Ok(0) => self.sink.writable(DEVICE_WAIT).map(|_| 0),
                other => other,
            };
            match result {
                Ok(count) => {
                    written += count;
                    self.consumed += count as u64;
                    self.silence = 0;
                }
                // The rest of the chunk is written after the device is ready again.
                Err(SinkError::Underrun) => self.shared.count_underrun(),
                Err(lost) => return Err(lost),
            }
        }
        self.pass_marks(false);
        if !self.sink.is_paced() || self.ring.slots() < self.ring.buffer().capacity() / 2 {
            self.conductor.unpark();
        }
        Ok(())
    }

    /// The ring is empty: the end, or a starvation as soon as the device has nothing left either.
    fn ran_dry(&mut self, format: PcmFormat) {
        self.conductor.unpark();
        if self.shared.ended() {
            // Once more: the conductor pushes first and tells the end after.
            if self.ring.is_empty() {
                self.drain();
            }
            return;
        }
        let left = Duration::from_secs_f64(self.sink.delay() as f64 / f64::from(format.rate));
        if !self.sink.is_paced() || left > NEARLY_DRY {
            thread::park_timeout(NEARLY_DRY / 8);
            return;
        }
        self.phase = Phase::Starved;
        self.shared.count_underrun();
        if let Some(token) = self.spans.last().map(|span| span.token) {
            self.tell(OutputEvent::Starved(token));
        }
    }

    fn put_silence(&mut self, format: PcmFormat) -> Result<(), SinkError> {
        let room = self.sink.writable(DEVICE_WAIT)?.min(CHUNK / 4);
        self.chunk.clear();
        self.chunk.resize(room * usize::from(format.channels), 0);
        let written = self.sink.write(&self.chunk)?;
        self.silence += written as u64;
        Ok(())
    }

    fn drain(&mut self) {
        self.phase = Phase::Draining;
        self.sink.finish();
    }

    fn finish_draining(&mut self, format: PcmFormat) {
        if !self.paused && self.is_ready(format) {
            if self.sink.delay() == 0 {
                self.sink.discard();
            }
            self.phase = Phase::Playing;
            return;
        }
        if self.sink.delay() > 0 {
            thread::park_timeout(IDLE / 4);
            return;
        }
        if !self.paused && self.shared.ended() {
            self.pass_marks(true);
        }
        self.sink.discard();
        self.silence = 0;
        self.phase = Phase::Waiting;
        self.tell_finished();
    }
}

#[cfg(test)]
mod tests;
