//! The thread that keeps the order of the tracks: from decoder threads to the ring, and events back to the owner.

mod pump;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rtrb::{Consumer, Producer};
use tokio::sync::mpsc;
use tracing::{error, warn};

use super::feed::Feed;
use super::output::{self, OutputCommand, OutputEvent, OutputSpec, PcmFormat, Sink};
use super::shared::Shared;
use super::track::DecoderThread;
use super::{AudioEvent, MediaInput, StreamInfo};

/// How often to look around while there is something to do; every message wakes the thread at once.
const TURN: Duration = Duration::from_millis(10);

/// How often to look around while there is nothing to do.
const IDLE_TURN: Duration = Duration::from_millis(200);

/// How long the device is kept after the last track, so that the next one starts at once.
const KEEP_DEVICE: Duration = Duration::from_secs(3);

/// Events that are kept back for an owner that does not take them. Then the oldest is dropped: the owner is stuck
/// anyhow.
const MAX_EVENTS: usize = 1024;

/// Tracks at once: the one that is heard, the one that is decoded behind it, and the one that waits.
const MAX_VOICES: usize = 8;

/// What the owner wants.
pub(super) enum Order {
    Play { token: u64, input: Box<dyn MediaInput>, extension: Option<String>, start: Duration },
    Enqueue { token: u64, input: Box<dyn MediaInput>, extension: Option<String> },
    Dequeue,
    Pause(bool),
    Stop,
    Seek(Duration),
    Quit,
}

/// How far a track has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing of it is in the ring.
    Waiting,
    /// Some of it is in the ring.
    Begun,
    /// All of it is in the ring.
    Ended,
}

/// A track that plays or will.
struct Voice {
    token: u64,
    decoder: DecoderThread,
    opened: Option<(StreamInfo, Option<u64>)>,
    stage: Stage,
    /// Ended by an error that is told when what came before it has been heard.
    error: Option<String>,
}

/// The output as far as it is known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Device {
    Closed,
    Opening(PcmFormat),
    /// Asked for the first, takes the second.
    Open(PcmFormat, PcmFormat),
}

pub(super) struct Conductor {
    spec: OutputSpec,
    orders: Receiver<Order>,
    owner: mpsc::Sender<AudioEvent>,
    events: VecDeque<AudioEvent>,
    feed: Feed,
    shared: Arc<Shared>,
    output: JoinHandle<()>,
    to_output: Producer<OutputCommand>,
    from_output: Consumer<OutputEvent>,
    /// Commands that did not fit.
    commands: VecDeque<OutputCommand>,
    /// In the order in which they are heard.
    voices: VecDeque<Voice>,
    device: Device,
    flushes: u32,
    /// A flush that the output has not confirmed.
    flushing: bool,
    /// Since when nothing plays.
    idle_since: Option<Instant>,
    quit: bool,
}

impl Conductor {
    /// To be called on the thread that will [`run`](Self::run).
    pub fn new(
        spec: OutputSpec,
        sink: Box<dyn Sink>,
        shared: Arc<Shared>,
        orders: Receiver<Order>,
        owner: mpsc::Sender<AudioEvent>,
    ) -> std::io::Result<Self> {
        let link = output::spawn(sink, Arc::clone(&shared), thread::current())?;
        Ok(Self {
            spec,
            orders,
            owner,
            events: VecDeque::new(),
            feed: Feed::new(Arc::clone(&shared), link.ring, link.marks),
            shared,
            output: link.thread,
            to_output: link.commands,
            from_output: link.events,
            commands: VecDeque::new(),
            voices: VecDeque::new(),
            device: Device::Closed,
            flushes: 0,
            flushing: false,
            idle_since: None,
            quit: false,
        })
    }

    /// Works until the owner is gone.
    pub fn run(&mut self) {
        while !self.quit {
            self.shared.count_conductor_round();
            if self.output.is_finished() {
                // Without it nothing is ever heard again. The owner is told by the end of the events.
                error!("the audio output has ended unexpectedly");
                break;
            }
            self.take_orders();
            self.take_output_events();
            self.pump();
            self.mind_device();
            self.pass_on();
            let nothing_to_do = self.voices.is_empty() && self.events.is_empty() && self.commands.is_empty();
            thread::park_timeout(if nothing_to_do { IDLE_TURN } else { TURN });
        }
        self.voices.clear();
        while self.to_output.push(OutputCommand::Quit).is_err() && !self.output.is_finished() {
            self.output.thread().unpark();
            thread::park_timeout(TURN);
        }
        while !self.output.is_finished() {
            self.output.thread().unpark();
            thread::park_timeout(TURN);
        }
    }

    fn tell(&mut self, event: AudioEvent) {
        if self.events.len() >= MAX_EVENTS {
            warn!("audio events are not taken; dropping the oldest");
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// Hands events to the owner and commands to the output as far as they fit.
    fn pass_on(&mut self) {
        while let Some(event) = self.events.pop_front() {
            match self.owner.try_send(event) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(event)) => {
                    self.events.push_front(event);
                    break;
                }
                // Nobody listens; playing goes on.
                Err(mpsc::error::TrySendError::Closed(_)) => {}
            }
        }
        let mut sent = false;
        while let Some(command) = self.commands.pop_front() {
            if let Err(rtrb::PushError::Full(command)) = self.to_output.push(command) {
                self.commands.push_front(command);
                break;
            }
            sent = true;
        }
        if sent {
            self.output.thread().unpark();
        }
    }

    fn take_orders(&mut self) {
        loop {
            match self.orders.try_recv() {
                Ok(order) => self.obey(order),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.quit = true;
                    break;
                }
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Play { token, input, extension, start } => {
                self.voices.clear();
                self.flush();
                self.commands.push_back(OutputCommand::Pause(false));
                self.begin(token, input, extension, start);
            }
            Order::Enqueue { token, input, extension } => {
                self.drop_waiting();
                self.begin(token, input, extension, Duration::ZERO);
            }
            Order::Dequeue => self.drop_waiting(),
            Order::Pause(paused) => self.commands.push_back(OutputCommand::Pause(paused)),
            Order::Stop => {
                self.voices.clear();
                self.flush();
                self.commands.push_back(OutputCommand::Close);
                self.device = Device::Closed;
            }
            Order::Seek(to) => self.seek(to),
            Order::Quit => self.quit = true,
        }
    }

    /// Forgets the track that waits behind the one that is heard.
    fn drop_waiting(&mut self) {
        let keep = |voice: &Voice| voice.stage != Stage::Waiting;
        if self.voices.len() > 1 && self.voices.back().is_some_and(|voice| !keep(voice)) {
            self.voices.pop_back();
        }
    }

    fn begin(&mut self, token: u64, input: Box<dyn MediaInput>, extension: Option<String>, start: Duration) {
        if self.voices.len() >= MAX_VOICES {
            self.voices.pop_back();
        }
        match DecoderThread::spawn(input, extension, start, thread::current()) {
            Ok(decoder) => {
                self.voices.push_back(Voice { token, decoder, opened: None, stage: Stage::Waiting, error: None });
                self.idle_since = None;
            }
            Err(error) => {
                let error = format!("cannot start to decode: {error}; close other programs and try again");
                self.tell(AudioEvent::Failed { token, error });
            }
        }
    }

    /// Throws away everything that is not heard yet.
    fn flush(&mut self) {
        self.flushes = self.flushes.wrapping_add(1);
        self.flushing = true;
        self.commands.push_back(OutputCommand::Flush(self.flushes));
        self.feed.reset();
    }

    /// Seeks in the track that is heard; what had begun behind it begins again later.
    fn seek(&mut self, to: Duration) {
        // Whatever has been heard to its end is not here any more, so the first one it is.
        let Some(first) = self.voices.front_mut() else { return };
        first.decoder.seek(to);
        first.stage = Stage::Waiting;
        for voice in self.voices.iter_mut().skip(1).filter(|voice| voice.stage != Stage::Waiting) {
            voice.decoder.seek(Duration::ZERO);
            voice.stage = Stage::Waiting;
        }
        self.flush();
    }

    fn take_output_events(&mut self) {
        while let Ok(event) = self.from_output.pop() {
            match event {
                OutputEvent::Flushed(number) => self.flushing &= number != self.flushes,
                // Before a flush is confirmed, what is told belongs to what was before.
                OutputEvent::Opened { wanted, format } => {
                    if self.device == Device::Opening(wanted) {
                        self.device = Device::Open(wanted, format);
                    }
                }
                OutputEvent::Lost(sentence) => self.tell(AudioEvent::OutputLost(sentence)),
                OutputEvent::Back => self.tell(AudioEvent::OutputBack),
                _ if self.flushing => {}
                OutputEvent::Started(token) => self.tell(AudioEvent::Started { token }),
                OutputEvent::Starved(token) => self.tell(AudioEvent::Starved { token }),
                OutputEvent::Recovered(token) => self.tell(AudioEvent::Recovered { token }),
                OutputEvent::Finished(token) => self.finish(token),
            }
        }
    }

    /// A track has been heard to its end.
    fn finish(&mut self, token: u64) {
        let Some(index) = self.voices.iter().position(|voice| voice.token == token) else { return };
        let Some(voice) = self.voices.remove(index) else { return };
        self.tell(match voice.error {
            Some(error) => AudioEvent::Failed { token, error },
            None => AudioEvent::Finished { token },
        });
    }

    /// Gives the device back when nothing has played for a while.
    fn mind_device(&mut self) {
        if !self.voices.is_empty() || self.device == Device::Closed {
            self.idle_since = None;
            return;
        }
        let now = Instant::now();
        if now.duration_since(*self.idle_since.get_or_insert(now)) >= KEEP_DEVICE {
            self.commands.push_back(OutputCommand::Close);
            self.device = Device::Closed;
        }
    }
}
