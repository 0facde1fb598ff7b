//! The serial line to the front panel: one thread reads, whoever shows frames writes.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::codec::{Decoder, Hello, MAX_REGION, Message, VERSION};
use crate::panel::knob::Button;
use crate::panel::{Display, Frame, Gesture, HEIGHT, Light, PanelError, Region, WIDTH};
use crate::types::{Clock, Time};

/// Speed where the configuration does not say (`serial:DEVICE@BAUD`); a whole frame takes 100 ms.
const BAUD: u32 = 115_200;
/// Longest wait for a byte or for room in the line's buffer; also the precision of holding the button.
const READ_TIMEOUT: Duration = Duration::from_millis(20);
/// Sign of life to the panel and question who it is.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// Between attempts to open a panel that was unplugged.
const REOPEN_EVERY: Duration = Duration::from_secs(2);
/// Bytes taken from the line at once.
const READ_BUFFER: usize = 256;

/// One end of an open line.
type Reader = Box<dyn Read + Send>;
type Writer = Box<dyn Write + Send>;
/// Opens the line; again after the panel was unplugged.
type Opener = Box<dyn FnMut() -> io::Result<(Reader, Writer)> + Send>;

/// The display of the front panel.
pub struct SerialPanel {
    link: Arc<Mutex<Link>>,
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
}

impl Link {
    fn send(&mut self, message: &Message) -> io::Result<()> {
        let writer = self.writer.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        writer.write_all(&message.encode()).inspect_err(|_| self.shown = None)
    }

    /// Sends what the panel does not show yet.
    fn update(&mut self) -> io::Result<()> {
        let shown = self.shown.take();
        if shown.is_none() {
            self.send_light()?;
        }
        let wanted = self.wanted.clone();
        for region in wanted.changes(shown.as_ref()) {
            let bytes: heapless::Vec<u8, MAX_REGION> = wanted.page_bytes(region).collect();
            let Region { page, x, .. } = region;
            self.send(&Message::Region { page, x, bytes })?;
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

    /// The panel says who it is; if it has been switched on or has missed something, it is told everything.
    fn introduced(&mut self, hello: Hello) -> io::Result<()> {
        let old = self.hello.replace(hello);
        if old == Some(hello) {
            return Ok(());
        }
        if old.is_none_or(|old| old.boot != hello.boot) {
            let fits = hello.version == VERSION && u32::from(hello.width) == WIDTH && u32::from(hello.height) == HEIGHT;
            if fits {
                tracing::info!("the serial front panel is there");
            } else {
                tracing::warn!(
                    ?hello,
                    "the serial front panel speaks another version or has another size; update its firmware"
                );
            }
        }
        self.shown = None;
        self.update()
    }
}

fn lock(link: &Mutex<Link>) -> MutexGuard<'_, Link> {
    link.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Display for SerialPanel {
    fn show(&mut self, frame: &Frame) -> Result<(), PanelError> {
        let mut link = lock(&self.link);
        link.wanted = frame.clone();
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

/// Opens the line and starts the thread `panel-serial` that reads it. Without `gestures` only the display is used.
///
/// # Errors
/// If the line cannot be opened now; once it was, an unplugged panel is waited for.
pub fn open(
    device: &str,
    gestures: Option<mpsc::Sender<Gesture>>,
    cancel: CancellationToken,
) -> Result<SerialPanel, PanelError> {
    let (path, baud) = match device.rsplit_once('@') {
        Some((path, baud)) => (path.to_owned(), baud.parse().unwrap_or(BAUD)),
        None => (device.to_owned(), BAUD),
    };
    let opener = Box::new(move || -> io::Result<(Reader, Writer)> {
        let port = serialport::new(&path, baud).timeout(READ_TIMEOUT).open()?;
        let mut writer = port.try_clone()?;
        // A frame takes 100 ms at the usual speed; the line's buffer may be full of the one before.
        writer.set_timeout(Duration::from_secs(1))?;
        Ok((Box::new(port), Box::new(writer)))
    });
    start(opener, gestures, cancel).map_err(|source| PanelError::Open {
        device: device.to_owned(),
        reason: source.to_string(),
        advice: "check that the panel is plugged in and that this user is in the group dialout",
    })
}

fn start(
    mut opener: Opener,
    gestures: Option<mpsc::Sender<Gesture>>,
    cancel: CancellationToken,
) -> io::Result<SerialPanel> {
    let (reader, writer) = opener()?;
    let link =
        Link { writer: Some(writer), wanted: Frame::default(), light: Light::default(), shown: None, hello: None };
    let link = Arc::new(Mutex::new(link));
    let input = Input { link: Arc::clone(&link), gestures, button: Button::default(), decoder: Decoder::default() };
    std::thread::Builder::new().name("panel-serial".to_owned()).spawn(move || input.run(opener, reader, &cancel))?;
    Ok(SerialPanel { link })
}

/// The reading half.
struct Input {
    link: Arc<Mutex<Link>>,
    gestures: Option<mpsc::Sender<Gesture>>,
    button: Button,
    decoder: Decoder,
}

impl Input {
    fn run(mut self, mut opener: Opener, reader: Reader, cancel: &CancellationToken) {
        let clock = Clock::start();
        let mut line = Some(reader);
        let mut retry_at = Time::ZERO;
        // The display keeps the other half: when it is gone, nobody uses the panel any more.
        while !cancel.is_cancelled() && Arc::strong_count(&self.link) > 1 {
            if let Some(reader) = line.take() {
                if let Err(error) = self.read(reader, &clock, cancel) {
                    tracing::warn!(%error, "the serial front panel is gone; plug it in again");
                    let mut link = lock(&self.link);
                    (link.writer, link.shown, link.hello) = (None, None, None);
                }
                retry_at = clock.now() + REOPEN_EVERY;
            }
            if clock.now() < retry_at {
                std::thread::sleep(READ_TIMEOUT);
                continue;
            }
            retry_at = clock.now() + REOPEN_EVERY;
            if let Ok((reader, writer)) = opener() {
                lock(&self.link).writer = Some(writer);
                line = Some(reader);
            }
        }
    }

    /// Reads until the line breaks or the jukebox ends.
    fn read(&mut self, mut reader: Reader, clock: &Clock, cancel: &CancellationToken) -> io::Result<()> {
        let mut ask_at = clock.now();
        let mut bytes = [0; READ_BUFFER];
        while !cancel.is_cancelled() && Arc::strong_count(&self.link) > 1 {
            if clock.now() >= ask_at {
                ask_at = clock.now() + ASK_EVERY;
                lock(&self.link).send(&Message::Ask { version: VERSION })?;
            }
            let count = match reader.read(&mut bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => 0,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                Err(error) => return Err(error),
            };
            for byte in &bytes[..count] {
                match self.decoder.push(*byte) {
                    Some(Ok(message)) => self.take(clock.now(), &message)?,
                    Some(Err(damage)) => tracing::trace!(%damage, "dropped a frame of the serial front panel"),
                    None => {}
                }
            }
            let gesture = self.button.timeout(clock.now());
            self.tell(gesture);
        }
        Ok(())
    }

    fn take(&mut self, now: Time, message: &Message) -> io::Result<()> {
        match message {
            Message::Hello(hello) => lock(&self.link).introduced(*hello)?,
            Message::Turn { detents } if *detents != 0 => self.tell(Some(Gesture::Turn(i32::from(*detents)))),
            Message::Button { down } => {
                let gesture = self.button.update(now, *down);
                self.tell(gesture);
            }
            // Our own kinds come back where the line echoes.
            Message::Turn { .. } | Message::Ask { .. } | Message::Region { .. } | Message::Light { .. } => {}
        }
        Ok(())
    }

    fn tell(&self, gesture: Option<Gesture>) {
        if let (Some(gestures), Some(gesture)) = (&self.gestures, gesture) {
            // When full, the gesture is lost: see GESTURE_CAPACITY.
            let _ = gestures.try_send(gesture);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    /// The panel's end of the line: keeps what it is told.
    struct Firmware {
        line: UnixStream,
        decoder: Decoder,
        shown: Frame,
        level: u8,
        asked: u32,
    }

    impl Firmware {
        fn send(&mut self, message: &Message) {
            self.line.write_all(&message.encode()).unwrap();
        }

        /// Takes messages until the condition holds; the stream's timeout fails the test.
        fn until(&mut self, done: impl Fn(&Self) -> bool) {
            while !done(self) {
                let mut byte = [0];
                self.line.read_exact(&mut byte).unwrap();
                match self.decoder.push(byte[0]).transpose().unwrap() {
                    Some(Message::Region { page, x, bytes }) => {
                        let region = Region { page, x, width: bytes.len() as u8 };
                        self.shown.set_page_bytes(region, &bytes);
                    }
                    Some(Message::Light { level }) => self.level = level,
                    Some(Message::Ask { version }) => {
                        assert_eq!(version, VERSION);
                        self.asked += 1;
                    }
                    Some(other) => unreachable!("the host never sends {other:?}"),
                    None => {}
                }
            }
        }
    }

    fn pair() -> (Firmware, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        ours.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
        let firmware =
            Firmware { line: theirs, decoder: Decoder::default(), shown: Frame::default(), level: 9, asked: 0 };
        (firmware, ours)
    }

    fn opener(mut lines: Vec<UnixStream>) -> Opener {
        Box::new(move || {
            let line = lines.pop().ok_or(io::ErrorKind::NotFound)?;
            Ok((Box::new(line.try_clone()?), Box::new(line)))
        })
    }

    fn striped(every: i32) -> Frame {
        let mut frame = Frame::default();
        (0..64).for_each(|y| frame.set(y * every % 128, y, true));
        frame
    }

    const HELLO: Hello = Hello { version: VERSION, width: 128, height: 64, boot: 7, damaged: 0 };

    #[test]
    fn frames_gestures_and_resync() {
        let (mut firmware, ours) = pair();
        let (gestures, mut received) = mpsc::channel(8);
        let cancel = CancellationToken::new();
        let mut panel = start(opener(vec![ours]), Some(gestures), cancel.clone()).unwrap();
        panel.show(&striped(3)).unwrap();
        firmware.until(|firmware| firmware.shown == striped(3) && firmware.level == 2);
        panel.show(&striped(5)).unwrap();
        panel.light(Light::Dim).unwrap();
        firmware.until(|firmware| firmware.shown == striped(5) && firmware.level == 1);
        // Switched off and on: it has forgotten everything and gets all of it, light included.
        (firmware.shown, firmware.level) = (Frame::default(), 9);
        firmware.send(&Message::Hello(HELLO));
        firmware.until(|firmware| firmware.shown == striped(5) && firmware.level == 1);
        // A damaged frame: again all of it.
        firmware.shown = Frame::default();
        firmware.send(&Message::Hello(Hello { damaged: 1, ..HELLO }));
        firmware.until(|firmware| firmware.shown == striped(5));
        firmware.line.write_all(b"\x00noise\x00").unwrap();
        firmware.send(&Message::Turn { detents: -3 });
        assert_eq!(received.blocking_recv(), Some(Gesture::Turn(-3)));
        firmware.send(&Message::Button { down: true });
        assert_eq!(received.blocking_recv(), Some(Gesture::Hold));
        firmware.send(&Message::Button { down: false });
        assert!(firmware.asked >= 1);
        cancel.cancel();
        assert_eq!(received.blocking_recv(), None);
    }

    #[test]
    fn an_unplugged_panel_is_an_error_and_not_the_end() {
        let (firmware, ours) = pair();
        let mut panel = start(opener(vec![ours]), None, CancellationToken::new()).unwrap();
        drop(firmware);
        let error = panel.show(&striped(1)).unwrap_err().to_string();
        assert!(error.contains("wires"), "{error}");
    }
}
