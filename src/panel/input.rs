//! Knobs, keys and remote controls that the kernel has a driver for, through the input subsystem (evdev).
//!
//! On a Raspberry Pi: `dtoverlay=rotary-encoder,pin_a=17,pin_b=27,relative_axis=1` and
//! `dtoverlay=gpio-key,gpio=22,keycode=28` (28 is the code of Enter: pressing the knob).

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use evdev::{AbsoluteAxisCode, Device, EventSummary, KeyCode, RelativeAxisCode};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::knob::{Acceleration, Button};
use super::outlet::Outlet;
use super::{Gesture, Key, PanelError};
use crate::types::{Clock, Time};

/// Where the kernel lists its input devices.
const FOLDER: &str = "/dev/input";
/// Between two looks for devices that were plugged in; also how soon the end of the jukebox is noticed.
const RESCAN_EVERY: Duration = Duration::from_secs(2);
/// Longest wait for an event.
const POLL: Duration = Duration::from_millis(500);
/// How long it waits while gestures find no room.
const RETRY: Duration = Duration::from_millis(20);
/// Devices that are listened to at most.
const MAX_DEVICES: usize = 16;

/// What the state of a device's own axes makes of events.
#[derive(Debug, Default)]
struct Translator {
    press: Button,
    speed: Acceleration,
    /// Where absolute axes stood last, and from where to where they go.
    axes: HashMap<u16, Axis>,
}

#[derive(Debug, Clone, Copy)]
struct Axis {
    at: i32,
    /// Values from the smallest to the largest; the next after the largest is the smallest.
    span: i32,
}

/// An event that means something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Relative(RelativeAxisCode, i32),
    Absolute(AbsoluteAxisCode, i32),
    /// 0 up, 1 down, 2 still down (repeated).
    Key(KeyCode, i32),
}

impl Translator {
    /// What an event means; `stamp` is its own time, `now` that of the room.
    fn event(&mut self, now: Time, stamp: Duration, event: Event) -> Option<Gesture> {
        match event {
            Event::Relative(axis, detents) => is_dial(axis).then(|| self.turned(stamp, detents)).flatten(),
            Event::Absolute(axis, to) => {
                let known = self.axes.get_mut(&axis.0)?;
                let moved = to.wrapping_sub(std::mem::replace(&mut known.at, to));
                // Shorter the other way round: it went over the end.
                let half = known.span / 2;
                let detents = (moved + half).rem_euclid(known.span.max(1)) - half;
                self.turned(stamp, detents)
            }
            Event::Key(KeyCode::KEY_ENTER | KeyCode::KEY_KPENTER | KeyCode::KEY_OK | KeyCode::KEY_SELECT, value) => {
                self.press.update(now, value != 0)
            }
            Event::Key(_, 0) => None,
            Event::Key(code, value) => match meaning(code)? {
                // Turning and loudness go on while a key is held; the rest happens once.
                once @ Gesture::Key(Key::Play | Key::Next | Key::Previous | Key::Stop | Key::Back) => {
                    (value == 1).then_some(once)
                }
                gesture => Some(gesture),
            },
        }
    }

    fn turned(&mut self, stamp: Duration, detents: i32) -> Option<Gesture> {
        (detents != 0).then(|| Gesture::spin(detents, self.speed.turn(stamp, detents)))
    }
}

/// Axes of knobs; the overlay `rotary-encoder` uses X.
fn is_dial(axis: RelativeAxisCode) -> bool {
    use RelativeAxisCode as Axis;
    matches!(axis, Axis::REL_X | Axis::REL_DIAL | Axis::REL_WHEEL | Axis::REL_HWHEEL | Axis::REL_MISC)
}

/// What a key means, but for Enter, which is the knob's own button.
fn meaning(code: KeyCode) -> Option<Gesture> {
    Some(match code {
        KeyCode::KEY_RIGHT | KeyCode::KEY_DOWN => Gesture::Turn(1),
        KeyCode::KEY_LEFT | KeyCode::KEY_UP => Gesture::Turn(-1),
        // No hold: a person who presses this twice to get out does not want to switch off.
        KeyCode::KEY_ESC | KeyCode::KEY_BACK | KeyCode::KEY_MENU | KeyCode::KEY_HOMEPAGE => Gesture::Key(Key::Back),
        KeyCode::KEY_PLAYPAUSE | KeyCode::KEY_PLAY | KeyCode::KEY_PAUSE | KeyCode::KEY_SPACE => Gesture::Key(Key::Play),
        KeyCode::KEY_NEXTSONG | KeyCode::KEY_NEXT | KeyCode::KEY_FASTFORWARD => Gesture::Key(Key::Next),
        KeyCode::KEY_PREVIOUSSONG | KeyCode::KEY_PREVIOUS | KeyCode::KEY_REWIND => Gesture::Key(Key::Previous),
        KeyCode::KEY_STOP | KeyCode::KEY_STOPCD => Gesture::Key(Key::Stop),
        KeyCode::KEY_VOLUMEUP => Gesture::Key(Key::Louder),
        KeyCode::KEY_VOLUMEDOWN => Gesture::Key(Key::Softer),
        _ => return None,
    })
}

/// One open device.
struct Open {
    device: Device,
    translator: Translator,
}

impl Open {
    /// Opens the device. Unless it was named (`named`), pointers are passed over: a mouse is no knob.
    fn device(path: &Path, named: bool) -> io::Result<Option<Self>> {
        let device = Device::open(path)?;
        let keys = |codes: &[KeyCode]| {
            device.supported_keys().is_some_and(|keys| codes.iter().any(|code| keys.contains(*code)))
        };
        let pointer = keys(&[KeyCode::BTN_LEFT, KeyCode::BTN_TOUCH, KeyCode::BTN_TOOL_FINGER]);
        let useful = device.supported_relative_axes().is_some()
            || device.name().is_some_and(|name| name.contains("rotary"))
            || device.supported_keys().is_some_and(|keys| {
                keys.contains(KeyCode::KEY_ENTER) || keys.iter().any(|code| meaning(code).is_some())
            });
        if !named && (pointer || !useful) {
            return Ok(None);
        }
        device.set_nonblocking(true)?;
        let mut translator = Translator::default();
        for (axis, info) in device.get_absinfo()? {
            let span = info.maximum().saturating_sub(info.minimum()).saturating_add(1);
            translator.axes.insert(axis.0, Axis { at: info.value(), span });
        }
        tracing::info!(device = %path.display(), name = device.name(), "listens to an input device");
        Ok(Some(Self { device, translator }))
    }

    /// Takes all events that wait.
    fn read(&mut self, now: Time, outlet: &mut Outlet) -> io::Result<()> {
        let events = match self.device.fetch_events() {
            Ok(events) => events,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        for event in events {
            let stamp = event.timestamp().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let event = match event.destructure() {
                EventSummary::RelativeAxis(_, axis, value) => Event::Relative(axis, value),
                EventSummary::AbsoluteAxis(_, axis, value) => Event::Absolute(axis, value),
                EventSummary::Key(_, code, value) => Event::Key(code, value),
                _ => continue,
            };
            self.translator.event(now, stamp, event).into_iter().for_each(|gesture| outlet.send(gesture));
        }
        Ok(())
    }
}

/// Listens to all devices that can be a knob or its buttons, or only to those named.
struct Listener {
    /// Empty: all.
    named: Vec<PathBuf>,
    open: Vec<(PathBuf, Open)>,
    /// Devices that are not for us: not opened again while they are there.
    passed: Vec<PathBuf>,
    outlet: Outlet,
    cancel: CancellationToken,
}

impl Listener {
    /// Opens what is there and not open yet.
    fn rescan(&mut self) -> io::Result<()> {
        let named = !self.named.is_empty();
        let paths = if named { self.named.clone() } else { event_files()? };
        self.passed.retain(|passed| paths.contains(passed));
        let mut problem = Ok(());
        for path in paths {
            let known = self.passed.contains(&path) || self.open.iter().any(|(open, _)| *open == path);
            if known || self.open.len() >= MAX_DEVICES {
                continue;
            }
            match Open::device(&path, named) {
                Ok(Some(device)) => self.open.push((path, device)),
                Ok(None) => self.passed.push(path),
                Err(error) => problem = Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
            }
        }
        problem
    }

    fn run(mut self) {
        let clock = Clock::start();
        let mut scanned = Instant::now();
        while !self.cancel.is_cancelled() && !self.outlet.is_closed() {
            let wait = if self.outlet.flush() { self.due(clock.now()) } else { RETRY };
            if let Err(error) = self.wait(wait) {
                tracing::debug!(%error, "cannot wait for input devices");
                std::thread::sleep(RESCAN_EVERY);
            }
            let now = clock.now();
            let outlet = &mut self.outlet;
            self.open.retain_mut(|(path, open)| match open.read(now, outlet) {
                Ok(()) => {
                    open.translator.press.timeout(now).into_iter().for_each(|gesture| outlet.send(gesture));
                    true
                }
                Err(error) => {
                    tracing::info!(device = %path.display(), %error, "an input device is gone; waits for it");
                    false
                }
            });
            if scanned.elapsed() >= RESCAN_EVERY {
                scanned = Instant::now();
                // Told at the beginning; from then on it is waited for.
                let _ = self.rescan();
            }
        }
    }

    /// How long to wait at most.
    fn due(&self, now: Time) -> Duration {
        let presses = self.open.iter().filter_map(|(_, open)| open.translator.press.poll_timeout());
        presses.min().map_or(POLL, |at| at.since(now).min(POLL))
    }

    /// Waits until a device has events.
    fn wait(&self, timeout: Duration) -> io::Result<()> {
        let mut files: Vec<_> = self.open.iter().map(|(_, open)| PollFd::new(&open.device, PollFlags::IN)).collect();
        let timeout = Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: i64::from(timeout.subsec_nanos()) };
        match poll(&mut files, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// The event files of all input devices.
fn event_files() -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(FOLDER)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("event")) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Starts the thread `panel-input`. Without names it listens to all devices that can be a knob, its buttons, a keyboard
/// or a remote control; devices that are plugged in later are found within [`RESCAN_EVERY`].
///
/// # Errors
/// If a device that was named cannot be opened, or none is there; the thread waits for it all the same.
pub fn spawn(
    named: Vec<PathBuf>,
    gestures: mpsc::Sender<Gesture>,
    cancel: CancellationToken,
) -> Result<(), PanelError> {
    let error = |device: String, reason: String| PanelError::Open { device, reason, advice: super::advice::drivers() };
    let device = named.first().map_or_else(|| FOLDER.to_owned(), |path| path.display().to_string());
    let mut listener = Listener { named, open: Vec::new(), passed: Vec::new(), outlet: Outlet::new(gestures), cancel };
    let scanned = listener.rescan();
    let found = !listener.open.is_empty();
    std::thread::Builder::new()
        .name("panel-input".to_owned())
        .spawn(move || listener.run())
        .map_err(|source| error(device.clone(), source.to_string()))?;
    match scanned {
        Err(source) => Err(error(device, source.to_string())),
        Ok(()) if !found => Err(error(device, "no knob, keyboard or remote control is there".to_owned())),
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> (Time, Duration) {
        (Time::from_millis(millis), Duration::from_millis(1_700_000_000_000 + millis))
    }

    fn gestures(translator: &mut Translator, events: &[(u64, Event)]) -> Vec<Gesture> {
        let told = events.iter().filter_map(|(millis, event)| translator.event(at(*millis).0, at(*millis).1, *event));
        told.collect()
    }

    #[test]
    fn a_relative_encoder_turns() {
        let turn = |value| Event::Relative(RelativeAxisCode::REL_X, value);
        let events = [(0, turn(1)), (500, turn(-1)), (900, turn(-2)), (901, turn(0))];
        assert_eq!(
            gestures(&mut Translator::default(), &events),
            [Gesture::Turn(1), Gesture::Turn(-1), Gesture::Turn(-2)]
        );
        let sideways = [(0, Event::Relative(RelativeAxisCode::REL_Y, 3))];
        assert_eq!(gestures(&mut Translator::default(), &sideways), []);
    }

    #[test]
    fn an_absolute_encoder_goes_over_its_end() {
        let mut translator = Translator::default();
        translator.axes.insert(AbsoluteAxisCode::ABS_X.0, Axis { at: 22, span: 24 });
        let to = |value| Event::Absolute(AbsoluteAxisCode::ABS_X, value);
        let events = [(0, to(23)), (300, to(0)), (600, to(2)), (900, to(23)), (1200, to(23))];
        let expected = [Gesture::Turn(1), Gesture::Turn(1), Gesture::Turn(2), Gesture::Turn(-3)];
        assert_eq!(gestures(&mut translator, &events), expected);
        let unknown = [(1500, Event::Absolute(AbsoluteAxisCode::ABS_Y, 7))];
        assert_eq!(gestures(&mut translator, &unknown), []);
    }

    #[test]
    fn keys_mean_what_they_say() {
        let mut translator = Translator::default();
        let key = |code, value| Event::Key(code, value);
        let events = [
            (0, key(KeyCode::KEY_NEXTSONG, 1)),
            (10, key(KeyCode::KEY_NEXTSONG, 2)),
            (20, key(KeyCode::KEY_NEXTSONG, 0)),
            (30, key(KeyCode::KEY_VOLUMEUP, 1)),
            (40, key(KeyCode::KEY_VOLUMEUP, 2)),
            (50, key(KeyCode::KEY_DOWN, 1)),
            (60, key(KeyCode::KEY_ESC, 1)),
            (65, key(KeyCode::KEY_ESC, 2)),
            (70, key(KeyCode::KEY_A, 1)),
        ];
        let louder = Gesture::Key(Key::Louder);
        let expected = [Gesture::Key(Key::Next), louder, louder, Gesture::Turn(1), Gesture::Key(Key::Back)];
        assert_eq!(gestures(&mut translator, &events), expected);
    }

    #[test]
    fn enter_is_the_button_of_the_knob() {
        let mut translator = Translator::default();
        let key = |value| Event::Key(KeyCode::KEY_ENTER, value);
        assert_eq!(gestures(&mut translator, &[(0, key(1)), (100, key(0))]), []);
        assert_eq!(translator.press.timeout(at(110).0), Some(Gesture::Press));
        assert_eq!(gestures(&mut translator, &[(200, key(1))]), []);
        // Repeats of a held key change nothing.
        assert_eq!(gestures(&mut translator, &[(450, key(2)), (500, key(2))]), []);
        assert_eq!(translator.press.timeout(at(800).0), Some(Gesture::Hold));
    }
}
