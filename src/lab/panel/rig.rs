//! The jukebox's panel with contacts and a display bus that are made of software.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::bus::Bus;
use crate::control::{self, Command, DialLetter, DialState, Reply, Request, Status};
use crate::lab::LabError;
use crate::panel::knob::kernel::Told;
use crate::panel::knob::{self, Contacts, Edge, Lines, Watcher};
use crate::panel::{Display, Frame, GESTURE_CAPACITY, Gesture, Light, Oled, PanelError};
use crate::types::{Tick, Time};
use crate::ui::{self, Ui};

/// Places of the wheel that is turned: more than the detents that can be on their way at once.
const PLACES: u64 = 400;

/// Before the first edge of a movement.
const LEAD: Duration = Duration::from_millis(5);

/// The system sleeps no more precisely than this; the rest is waited for awake.
const SPIN: Duration = Duration::from_micros(200);

/// Nothing comes any more when nothing has come for so long.
const QUIET: Duration = Duration::from_secs(1);

/// Between two movements.
const REST: Duration = Duration::from_millis(30);

/// How often the wheel is drawn for the calibration.
const DRAWINGS: u64 = 200;

/// The driver of the display, which notes when a frame is on the glass.
struct Watched {
    driver: Oled,
    bus: Bus,
    bytes: u64,
    shown: Sender<(Instant, Frame)>,
}

impl Display for Watched {
    fn show(&mut self, frame: &Frame) -> Result<(), PanelError> {
        self.driver.show(frame)?;
        let bytes = self.bus.settle();
        if std::mem::replace(&mut self.bytes, bytes) != bytes {
            // The experiment may have ended.
            let _ = self.shown.send((Instant::now(), frame.clone()));
        }
        Ok(())
    }

    fn light(&mut self, light: Light) -> Result<(), PanelError> {
        self.driver.light(light)
    }
}

/// What the hand and the thread behind the knob share.
struct Contact {
    /// A bit for each line that is low.
    low: AtomicU64,
    zero: Instant,
    /// By what the hand's time is behind the real one, in nanoseconds: it stands still while the hand comes late, or a busy
    /// machine would make contacts that bounce longer than any does.
    late: AtomicU64,
    /// When the hand moves next, on its time.
    next: AtomicU64,
}

impl Contact {
    /// Time as if the hand were never late.
    fn real(&self) -> Duration {
        self.zero.elapsed().saturating_sub(Duration::from_nanos(self.late.load(Ordering::Acquire)))
    }

    /// The hand's time.
    fn now(&self) -> Duration {
        // Read first: what it was cannot be too late.
        let next = Duration::from_nanos(self.next.load(Ordering::Acquire));
        self.real().min(next)
    }

    fn set_next(&self, next: Duration) {
        self.next.store(nanos(next), Ordering::Release);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Contacts that do what they are told.
struct Hand {
    edges: Receiver<Edge>,
    contact: Arc<Contact>,
}

impl Contacts for Hand {
    type Error = Infallible;

    fn now(&self) -> Duration {
        self.contact.now()
    }

    fn edge(&mut self, wait: Duration) -> Result<Option<Edge>, Infallible> {
        match self.edges.recv_timeout(wait) {
            Ok(edge) => Ok(Some(edge)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(wait);
                Ok(None)
            }
        }
    }

    fn levels(&mut self) -> Result<impl Fn(u32) -> bool + use<>, Infallible> {
        let low = self.contact.low.load(Ordering::Acquire);
        Ok(move |line| low >> line & 1 == 0)
    }
}

/// A panel that works, on the wheel of letters.
pub struct Rig {
    lines: Lines,
    edges: Sender<Edge>,
    contact: Arc<Contact>,
    /// Events so far, by line.
    numbers: HashMap<u32, u32>,
    /// Detents as the screens are told them.
    turns: Receiver<i32>,
    shown: Receiver<(Instant, Frame)>,
    /// Which place of the wheel a frame shows.
    places: HashMap<Frame, u64>,
    /// The place that was seen last.
    at: u64,
    cancel: CancellationToken,
    _runtime: tokio::runtime::Runtime,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl Rig {
    pub fn new(lines: Lines, bus: Bus) -> Result<Self, LabError> {
        let cancel = CancellationToken::new();
        // As the jukebox's own.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.map_err(LabError::failed("no runtime"))?;
        let (edges, inlet) = channel();
        let [low, late, next] = [0, 0, u64::MAX].map(AtomicU64::new);
        let contact = Arc::new(Contact { low, zero: Instant::now(), late, next });
        let (gestures, tapped) = mpsc::channel(GESTURE_CAPACITY);
        let mut watcher = Watcher::new(lines.clone(), gestures, cancel.clone());
        let mut hand = Hand { edges: inlet, contact: Arc::clone(&contact) };
        std::thread::Builder::new()
            .name("panel-gpio".to_owned())
            .spawn(move || watcher.watch(&mut hand))
            .map_err(LabError::failed("no thread"))?;
        let (tap, turns) = channel();
        let (shows, shown) = channel();
        let driver = Oled::on_bus(bus.clone());
        let display = Watched { driver, bus, bytes: 0, shown: shows };
        runtime.spawn(face(display, tapped, tap, cancel.clone()));
        let mut ui = on_wheel();
        let places = (0..PLACES).map(|place| (at_place(&mut ui, place), place)).collect::<HashMap<_, _>>();
        if places.len() as u64 != PLACES {
            return Err(LabError::failed("the wheel")("two of its places look the same"));
        }
        let mut rig = Self {
            lines,
            edges,
            contact,
            numbers: HashMap::new(),
            turns,
            shown,
            places,
            at: 0,
            cancel,
            _runtime: runtime,
        };
        rig.press()?;
        Ok(rig)
    }

    /// Presses the knob, and waits for the wheel.
    fn press(&mut self) -> Result<(), LabError> {
        let press = self.lines.press;
        for high in [false, true] {
            self.tell(Edge { at: self.contact.now(), line: press, high, line_seqno: 0 });
            std::thread::sleep(knob::DEBOUNCE * 4);
        }
        let end = Instant::now() + super::PATIENCE;
        while self.see(end)?.is_none_or(|(_, place)| place != 0) {}
        Ok(())
    }

    /// Can be read now, with the number that follows.
    fn tell(&mut self, edge: Edge) {
        let bit = 1 << edge.line;
        if edge.high {
            self.contact.low.fetch_and(!bit, Ordering::AcqRel);
        } else {
            self.contact.low.fetch_or(bit, Ordering::AcqRel);
        }
        let number = self.numbers.entry(edge.line).or_default();
        *number = number.wrapping_add(1);
        // The thread lives as long as the rig.
        let _ = self.edges.send(Edge { line_seqno: *number, ..edge });
    }

    /// Tells the events at their times; `done` is told each, and when it was.
    fn play(&mut self, told: &[Told], mut done: impl FnMut(&Edge, Instant)) {
        let Some(zero) = told.iter().map(|told| told.edge.at).min() else { return };
        let begin = self.contact.now() + LEAD;
        for Told { when, edge } in told {
            let when = begin + (*when - zero);
            self.contact.set_next(when);
            std::thread::sleep(when.saturating_sub(self.contact.real() + SPIN));
            let mut now = self.contact.real();
            while now < when {
                std::hint::spin_loop();
                now = self.contact.real();
            }
            self.contact.late.fetch_add(nanos(now - when), Ordering::AcqRel);
            self.tell(Edge { at: begin + (edge.at - zero), ..*edge });
            done(edge, Instant::now());
        }
        self.contact.set_next(Duration::MAX);
    }

    /// The turns that come of the events, which are told in real time.
    pub fn count(&mut self, told: &[Told], patience: Duration) -> Result<Vec<i32>, LabError> {
        self.play(told, |_, _| {});
        let quiet = QUIET.min(patience);
        let mut turns = Vec::new();
        while let Ok(turn) = self.turns.recv_timeout(quiet) {
            turns.push(turn);
        }
        Ok(turns)
    }

    /// From each of these ends of detents in one direction to the frame that shows it, in milliseconds.
    ///
    /// # Errors
    /// If one is never seen.
    pub fn follow(
        &mut self,
        told: &[Told],
        ends: &[Duration],
        direction: i32,
        patience: Duration,
    ) -> Result<Vec<f64>, LabError> {
        let from = self.at;
        let mut made = Vec::with_capacity(ends.len());
        self.play(told, |edge, at| {
            // The event that tells of it may have the time of a later bounce.
            if ends.get(made.len()).is_some_and(|end| edge.at >= *end) {
                made.push(at);
            }
        });
        let mut delays = Vec::with_capacity(made.len());
        let end = Instant::now() + patience;
        while delays.len() < made.len() {
            let Some((at, place)) = self.see(end)? else { continue };
            let moved = i64::from(direction) * (place as i64 - from as i64);
            let moved = moved.rem_euclid(PLACES as i64) as usize;
            for made in &made[delays.len()..moved.clamp(delays.len(), made.len())] {
                delays.push(at.saturating_duration_since(*made).as_secs_f64() * 1000.0);
            }
        }
        // Nobody shall lie in wait for the thread: it reads the levels when the contacts have come to rest.
        std::thread::sleep(REST);
        Ok(delays)
    }

    /// The next frame, and which place of the wheel it shows; none if it shows something else.
    fn see(&mut self, end: Instant) -> Result<Option<(Instant, u64)>, LabError> {
        let left = end.saturating_duration_since(Instant::now());
        let seen = self.shown.recv_timeout(left);
        let (at, frame) = seen.map_err(|_| LabError::failed("the panel")("a turn of the knob was never seen"))?;
        let place = self.places.get(&frame).copied();
        self.at = place.unwrap_or(self.at);
        Ok(place.map(|place| (at, place)))
    }
}

/// Passes gestures on to the screens and their turns to `tap`, answers what the screens ask, and shows them.
async fn face(display: Watched, mut gestures: mpsc::Receiver<Gesture>, tap: Sender<i32>, cancel: CancellationToken) {
    let (_publish, status) = watch::channel(Arc::new(Status::default()));
    let (handle, mut requests) = control::channel(status);
    let (pass, passed) = mpsc::channel(GESTURE_CAPACITY);
    let outlets = ui::Outlets {
        frames: watch::channel(Frame::default()).0,
        turned: watch::Sender::default(),
        tick: Tick::default(),
        notice: None,
        farewell: ui::Farewell::default(),
    };
    let tapping = async {
        while let Some(gesture) = gestures.recv().await {
            if gesture.detents() != 0 {
                // Nobody counts any more when the experiment ends.
                let _ = tap.send(gesture.detents());
            }
            if pass.send(gesture).await.is_err() {
                break;
            }
        }
    };
    let answering = async {
        while let Some(Request { command, reply }) = requests.recv().await {
            let answer = if matches!(command, Command::Dial { .. }) { Reply::Dial(letters()) } else { Reply::Done };
            let _ = reply.send(answer);
        }
    };
    let shown = ui::run(handle, Box::new(display), passed, outlets, cancel);
    tokio::join!(tapping, answering, shown);
}

/// A letter for each place; its number of songs tells them apart.
fn letters() -> DialState {
    let letter = |place: u64| DialLetter { letter: char::from(b'a' + (place % 26) as u8), hits: 1000 + place };
    DialState { prefix: String::new(), hits: 1_000_000, letters: (0..PLACES).map(letter).collect() }
}

/// The screens with the wheel before them.
fn on_wheel() -> Ui {
    let mut ui = Ui::new(Time::ZERO);
    for command in ui.gesture(Time::ZERO, Gesture::Press) {
        ui.reply(Time::ZERO, &command, Reply::Dial(letters()));
    }
    ui
}

/// What they look like at a place; to be called for one after the other.
fn at_place(ui: &mut Ui, place: u64) -> Frame {
    if place > 0 {
        ui.gesture(Time::ZERO, Gesture::Turn(1));
    }
    let mut frame = Frame::default();
    ui.draw(Time::ZERO, &mut frame);
    frame
}

/// Work that is always the same.
pub fn work() {
    let mut ui = on_wheel();
    for place in 0..DRAWINGS {
        std::hint::black_box(at_place(&mut ui, place));
    }
}
