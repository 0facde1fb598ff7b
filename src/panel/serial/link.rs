//! The serial line to the front panel: one thread reads, whoever shows frames writes.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use embedded_graphics::geometry::{OriginDimensions, Size};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::codec::{Decoder, Hello, Input, MAX_REGION, Message, VERSION, crc16};
use super::line::{self, READ_TIMEOUT, Reader, Writer};
use crate::panel::frame::MAX_SIDE;
use crate::panel::knob::{Acceleration, Button};
use crate::panel::outlet::Outlet;
use crate::panel::{Display, Frame, Gesture, Light, OLED, PAGE_ROWS, PanelError, Region, SMALLEST};
use crate::types::{Clock, Time};

/// Sign of life to the panel and question who it is.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// Between two times that everything is sent again.
const RESEND_EVERY: Duration = Duration::from_millis(300);
/// Between attempts to open a panel that was unplugged: at first, and at most.
const REOPEN_FIRST: Duration = Duration::from_millis(250);
const REOPEN_LAST: Duration = Duration::from_secs(4);
/// Bytes taken from the line at once.
const READ_BUFFER: usize = 256;

/// Detents between two messages of the knob that are believed. A fast hand turns 72 in a second; more are the sign of
/// counters that have begun anew, and the panel is asked.
const MAX_LEAP: u16 = 16;

/// Opens the line; again after the panel was unplugged.
pub type Opener = Box<dyn FnMut() -> io::Result<(Reader, Writer)> + Send>;

/// The display of the front panel.
pub struct SerialPanel {
    link: Arc<Mutex<Link>>,
    canvas: watch::Receiver<Size>,
}

/// The sending half, used by the display and, when the panel asks for everything anew, by the reading thread.
struct Link {
    /// None: unplugged.
    writer: Option<Writer>,
    wanted: Frame,
    light: Light,
    /// None: the panel is to be told everything.
    shown: Option<Frame>,
    /// The panel as it introduced itself last.
    hello: Option<Hello>,
    /// When everything is sent again. Not at once: on a bad line each damage would ask for more of the same.
    resend_at: Option<Time>,
    /// When everything was sent last.
    sent_at: Time,
    /// The token of the last question, and the checksum of the picture that the panel must have when it answers.
    asked: (u8, Option<u16>),
    canvas: watch::Sender<Size>,
}

impl Link {
    fn send(&mut self, message: &Message) -> io::Result<()> {
        let writer = self.writer.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        writer.write_all(&message.encode()).inspect_err(|_| self.shown = None)
    }

    /// The size of the panel.
    ///
    /// # Errors
    /// If there is none, or none that screens can be sent to.
    fn size(&self) -> Result<Size, PanelError> {
        let nobody = || PanelError::Display { reason: "nobody answers at the other end".to_owned() };
        let hello = self.hello.ok_or_else(nobody)?;
        let refused = |reason| Err(PanelError::Firmware { reason });
        if hello.version != VERSION {
            return refused(format!("speaks version {} of the protocol, the jukebox {VERSION}", hello.version));
        }
        let size = Size::new(u32::from(hello.width), u32::from(hello.height));
        let (widths, heights) = (SMALLEST.width..=MAX_SIDE, SMALLEST.height..=MAX_SIDE);
        if !widths.contains(&size.width) || !heights.contains(&size.height) {
            return refused(format!("tells of {size} pixels, and screens have {SMALLEST} to {MAX_SIDE} x {MAX_SIDE}"));
        }
        Ok(size)
    }

    /// Sends what the panel does not show yet.
    fn update(&mut self) -> io::Result<()> {
        if self.size().ok() != Some(self.wanted.size()) {
            return Ok(()); // Drawn before the panel told its size; the next frame has it.
        }
        let shown = self.shown.take();
        if shown.is_none() {
            self.send_light()?;
        }
        let wanted = self.wanted.clone();
        for region in wanted.changes(shown.as_ref()) {
            let bytes: Vec<u8> = wanted.page_bytes(region).collect();
            for (part, at) in bytes.chunks(MAX_REGION).zip((region.x as u16..).step_by(MAX_REGION)) {
                let bytes = heapless::Vec::from_slice(part).unwrap_or_default();
                self.send(&Message::Region { page: region.page as u8, x: at, bytes })?;
            }
        }
        self.shown = Some(wanted);
        Ok(())
    }

    fn send_light(&mut self) -> io::Result<()> {
        let level = match self.light {
            Light::Off => 0,
            Light::Dim => 1,
            Light::Full => 2,
        };
        self.send(&Message::Light { level })
    }

    /// Asks who is there. What was sent before is shown before the answer is sent: the line keeps the order.
    fn ask(&mut self) -> io::Result<()> {
        let token = self.asked.0.wrapping_add(1);
        self.asked = (token, self.shown.as_ref().map(checksum));
        self.send(&Message::Ask { version: VERSION, token })
    }

    /// The panel says who it is; if it has been switched on or has missed something, it is told everything.
    fn introduced(&mut self, now: Time, hello: Hello) -> io::Result<()> {
        let old = self.hello.replace(hello);
        let new = old.is_none_or(|old| old.boot != hello.boot);
        if new {
            match self.size() {
                Ok(size) => tracing::info!(%size, "the serial front panel is there"),
                Err(error) => tracing::warn!(%error, "the serial front panel is of no use"),
            }
        }
        if let Ok(size) = self.size() {
            self.canvas.send_if_modified(|canvas| std::mem::replace(canvas, size) != size);
        } else {
            return Ok(());
        }
        let missed = old.is_none_or(|old| old.damaged != hello.damaged);
        let (token, expected) = self.asked;
        let differs = hello.token == token && expected.is_some_and(|expected| expected != hello.picture);
        if hello.token == token {
            self.asked.1 = None; // Answered: later ones with this token tell of later pictures.
        }
        if new || self.shown.is_none() {
            self.resend_at = Some(now);
        } else if missed || differs {
            self.resend_at.get_or_insert(self.sent_at + RESEND_EVERY);
        }
        self.resend(now)
    }

    /// Sends everything again, if that is due.
    fn resend(&mut self, now: Time) -> io::Result<()> {
        if self.resend_at.take_if(|at| *at <= now).is_some() {
            (self.shown, self.sent_at) = (None, now);
            self.update()?;
        }
        Ok(())
    }
}

/// Of the picture as the panel keeps it.
fn checksum(frame: &Frame) -> u16 {
    let size = frame.size();
    let pages = 0..size.height.div_ceil(PAGE_ROWS);
    crc16(pages.flat_map(|page| frame.page_bytes(Region { page, x: 0, width: size.width })))
}

fn lock(link: &Mutex<Link>) -> MutexGuard<'_, Link> {
    link.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Display for SerialPanel {
    fn canvas(&self) -> watch::Receiver<Size> {
        self.canvas.clone()
    }

    fn show(&mut self, frame: &Frame) -> Result<(), PanelError> {
        let mut link = lock(&self.link);
        link.wanted = frame.clone();
        link.size()?;
        link.update().map_err(silent)
    }

    fn light(&mut self, light: Light) -> Result<(), PanelError> {
        let mut link = lock(&self.link);
        link.light = light;
        link.send_light().map_err(silent)
    }
}

fn silent(error: io::Error) -> PanelError {
    PanelError::Display { reason: error.to_string() }
}

/// Starts the thread `panel-serial` that reads the line, and tells why it cannot be opened now, if so: an unplugged panel
/// is waited for. Without `gestures` only the display is used.
pub fn open(
    device: &str,
    gestures: Option<mpsc::Sender<Gesture>>,
    cancel: CancellationToken,
) -> (SerialPanel, Option<PanelError>) {
    let path = device.to_owned();
    let (panel, problem) = start(Box::new(move || line::open(&path)), gestures, cancel);
    let problem = problem.map(|source| PanelError::Open {
        device: device.to_owned(),
        reason: source.to_string(),
        advice: "check that the panel is plugged in and that this user is in the group dialout",
    });
    (panel, problem)
}

pub(super) fn start(
    mut opener: Opener,
    gestures: Option<mpsc::Sender<Gesture>>,
    cancel: CancellationToken,
) -> (SerialPanel, Option<io::Error>) {
    let (canvas, sizes) = watch::channel(OLED);
    let mut link = Link {
        writer: None,
        wanted: Frame::default(),
        light: Light::default(),
        shown: None,
        hello: None,
        resend_at: None,
        sent_at: Time::ZERO,
        asked: (0, None),
        canvas,
    };
    let (first, problem) = match opener() {
        Ok((reader, writer)) => {
            link.writer = Some(writer);
            (Some(reader), None)
        }
        Err(error) => (None, Some(error)),
    };
    let link = Arc::new(Mutex::new(link));
    let knob = Knob {
        link: Arc::clone(&link),
        outlet: gestures.map(Outlet::new),
        clock: Clock::start(),
        button: Button::default(),
        speed: Acceleration::default(),
        last: None,
        answered: 0,
        boot: None,
        decoder: Decoder::default(),
        cancel,
    };
    let thread = std::thread::Builder::new().name("panel-serial".to_owned()).spawn(move || knob.run(opener, first));
    (SerialPanel { link, canvas: sizes }, problem.or(thread.err()))
}

/// The reading half.
struct Knob {
    link: Arc<Mutex<Link>>,
    outlet: Option<Outlet>,
    clock: Clock,
    button: Button,
    speed: Acceleration,
    /// The knob as the panel told it last. None: not since it was switched on.
    last: Option<Input>,
    /// Its count of presses up to which each was told.
    answered: u8,
    /// Of the panel that told so.
    boot: Option<u16>,
    decoder: Decoder,
    cancel: CancellationToken,
}

impl Knob {
    fn run(mut self, mut opener: Opener, first: Option<Reader>) {
        let mut line = first;
        let mut pause = REOPEN_FIRST;
        let mut retry_at = self.clock.now() + pause;
        while !self.ended() {
            if let Some(reader) = line.take() {
                // Ended: the line stays open to the display, which has a last picture to show.
                let Err(error) = self.read(reader) else { return };
                tracing::warn!(%error, "the serial front panel is gone; waits for it");
                let mut link = lock(&self.link);
                // A panel that was there is likely back soon.
                pause = if link.hello.is_some() { REOPEN_FIRST } else { pause };
                (link.writer, link.shown, link.hello) = (None, None, None);
                retry_at = self.clock.now() + pause;
            }
            if self.clock.now() < retry_at {
                std::thread::sleep(READ_TIMEOUT);
                continue;
            }
            pause = (pause * 2).min(REOPEN_LAST);
            retry_at = self.clock.now() + pause;
            if let Ok((reader, writer)) = opener() {
                lock(&self.link).writer = Some(writer);
                line = Some(reader);
            }
        }
    }

    /// Whether nobody uses the panel any more: neither its display (which keeps the other half) nor its knob.
    fn ended(&self) -> bool {
        let knob_used = self.outlet.as_ref().is_some_and(|outlet| !outlet.is_closed());
        self.cancel.is_cancelled() || Arc::strong_count(&self.link) == 1 && !knob_used
    }

    /// Reads until the line breaks or the jukebox ends.
    fn read(&mut self, mut reader: Reader) -> io::Result<()> {
        self.decoder = Decoder::default();
        let mut ask_at = self.clock.now();
        let mut bytes = [0; READ_BUFFER];
        while !self.ended() {
            if self.clock.now() >= ask_at {
                ask_at = self.clock.now() + ASK_EVERY;
                lock(&self.link).ask()?;
            }
            lock(&self.link).resend(self.clock.now())?;
            let count = match reader.read(&mut bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => 0,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                Err(error) => return Err(error),
            };
            for byte in &bytes[..count] {
                match self.decoder.push(*byte) {
                    Some(Ok(message)) => self.take(&message)?,
                    Some(Err(damage)) => {
                        // What it said may matter: it is asked at once.
                        tracing::trace!(%damage, "dropped a frame of the serial front panel");
                        ask_at = self.clock.now();
                    }
                    None => {}
                }
            }
            let gesture = self.button.timeout(self.clock.now());
            self.tell(gesture);
            if let Some(outlet) = &mut self.outlet {
                outlet.flush();
            }
        }
        Ok(())
    }

    fn take(&mut self, message: &Message) -> io::Result<()> {
        match message {
            Message::Hello(hello) => {
                if self.boot.replace(hello.boot) != Some(hello.boot) {
                    self.last = None; // Its counters have begun anew.
                }
                self.input(hello.input);
                lock(&self.link).introduced(self.clock.now(), *hello)?;
            }
            // Its hello may have been lost; the answer has the truth, whichever it is.
            Message::Input(input) if self.leaps(input) => lock(&self.link).ask()?,
            Message::Input(input) => self.input(*input),
            // Our own kinds come back where the line echoes.
            Message::Ask { .. } | Message::Region { .. } | Message::Light { .. } => {}
        }
        Ok(())
    }

    fn leaps(&self, input: &Input) -> bool {
        self.last.is_some_and(|last| input.position.wrapping_sub(last.position).unsigned_abs() > MAX_LEAP)
    }

    /// The knob stands so; what it was before tells what happened, also if messages in between were lost.
    fn input(&mut self, input: Input) {
        let now = self.clock.now();
        let last = self.last.replace(input).unwrap_or_else(|| {
            self.answered = input.presses;
            Input { down: false, ..input }
        });
        let moved = i32::from(input.position.wrapping_sub(last.position));
        if moved != 0 {
            let reach = self.speed.turn(now.since(Time::ZERO), moved);
            self.tell(Some(Gesture::spin(moved, reach)));
        }
        let gesture = self.button.update(now, input.down);
        self.tell(gesture);
        if !input.down {
            // Pressed and let go within one glance, or never told: the panel has counted it.
            let unseen = input.presses != self.answered && !self.button.is_down();
            self.answered = input.presses;
            self.tell(unseen.then_some(Gesture::Press));
        }
    }

    fn tell(&mut self, gesture: Option<Gesture>) {
        if let (Some(outlet), Some(gesture)) = (&mut self.outlet, gesture) {
            outlet.send(gesture);
        }
    }
}
