//! Both sides of the line over pseudo-terminals.

mod codec;
mod firmware;

use std::io::{self, Read, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::mpsc as std_mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use embedded_graphics::geometry::Size;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::codec::*;
use super::emulator::Emulator;
use super::line::{self, Pty, Reader, Writer};
use super::link::{SerialPanel, start};
use crate::panel::{Display, Frame, Gesture, Light, OLED, PanelError};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Hands on what a display is told.
struct Probe(std_mpsc::Sender<(Frame, Light)>, Light);

impl Display for Probe {
    fn show(&mut self, frame: &Frame) -> Result<(), PanelError> {
        let _ = self.0.send((frame.clone(), self.1));
        Ok(())
    }

    fn light(&mut self, light: Light) -> Result<(), PanelError> {
        self.1 = light;
        Ok(())
    }
}

/// A line that flips a bit of one byte in so many, in the direction in which it is read or written.
struct Noisy<T> {
    line: T,
    random: ChaCha8Rng,
    one_in: u32,
}

impl<T> Noisy<T> {
    fn new(line: T, seed: u64, one_in: u32) -> Self {
        Self { line, random: ChaCha8Rng::seed_from_u64(seed), one_in }
    }

    fn disturb(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            if self.random.random_range(0..self.one_in) == 0 {
                *byte ^= 1 << self.random.random_range(0..8);
            }
        }
    }
}

impl<T: Read> Read for Noisy<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.line.read(buffer)?;
        self.disturb(&mut buffer[..count]);
        Ok(count)
    }
}

impl<T: Write> Write for Noisy<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut disturbed = bytes.to_vec();
        self.disturb(&mut disturbed);
        self.line.write(&disturbed)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.line.flush()
    }
}

/// A panel at the far end of a line, and what it shows.
struct Plugged {
    gestures: mpsc::Sender<Gesture>,
    shown: std_mpsc::Receiver<(Frame, Light)>,
    cancel: CancellationToken,
    thread: Option<JoinHandle<()>>,
    _pty: Pty,
}

impl Plugged {
    /// Switches a panel on and plugs it in at the path.
    fn at(path: &Path, size: Size, boot: u16, noise: Option<u32>) -> Self {
        let pty = Pty::open().unwrap();
        let _ = std::fs::remove_file(path);
        symlink(&pty.path, path).unwrap();
        let (gestures, mut inbox) = mpsc::channel(64);
        let (sender, shown) = std_mpsc::channel();
        let cancel = CancellationToken::new();
        let (reader, writer) = pty.split().unwrap();
        let line: (Reader, Writer) = match noise {
            Some(one_in) => (Box::new(Noisy::new(reader, 1, one_in)), Box::new(Noisy::new(writer, 2, one_in))),
            None => (reader, writer),
        };
        let token = cancel.clone();
        let thread = std::thread::spawn(move || {
            let mut display = Probe(sender, Light::Off);
            // A line that breaks is what some of the tests are about.
            let _ = Emulator::new(size, boot).run(line, &mut inbox, &mut display, &token);
        });
        Self { gestures, shown, cancel, thread: Some(thread), _pty: pty }
    }

    /// Waits until the panel shows this.
    fn shows(&self, frame: &Frame, light: Light) {
        let end = Instant::now() + PATIENCE;
        while let Ok((shown, lit)) = self.shown.recv_timeout(end.saturating_duration_since(Instant::now())) {
            if shown == *frame && lit == light {
                return;
            }
        }
        panic!("the panel never shows\n{frame}");
    }
}

impl Drop for Plugged {
    /// Pulls the plug.
    fn drop(&mut self) {
        self.cancel.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The jukebox's side.
struct Host {
    panel: SerialPanel,
    gestures: mpsc::Receiver<Gesture>,
    cancel: CancellationToken,
}

impl Host {
    fn at(path: &Path) -> Self {
        let (sender, gestures) = mpsc::channel(64);
        let cancel = CancellationToken::new();
        let path = path.to_string_lossy().into_owned();
        let (panel, _) = start(Box::new(move || line::open(&path)), Some(sender), cancel.clone());
        Self { panel, gestures, cancel }
    }

    /// With the near end of its line, at which the test is the firmware.
    fn wired() -> (Self, Pty, Reader, Writer) {
        let pty = Pty::open().unwrap();
        let (reader, writer) = pty.split().unwrap();
        (Self::at(Path::new(&pty.path)), pty, reader, writer)
    }

    /// Shows a frame; again until the line takes it, as the screens do.
    fn show(&mut self, frame: &Frame) {
        let end = Instant::now() + PATIENCE;
        while self.panel.show(frame).is_err() {
            assert!(Instant::now() < end, "the line never takes a frame");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Gestures until detents and presses are these.
    fn hears(&mut self, detents: i32, presses: usize) -> Vec<Gesture> {
        let (mut heard, end) = (Vec::new(), Instant::now() + PATIENCE);
        loop {
            let turned: i32 = heard.iter().map(|gesture: &Gesture| gesture.detents()).sum();
            let pressed = heard.iter().filter(|gesture| gesture.detents() == 0).count();
            if (turned, pressed) == (detents, presses) {
                return heard;
            }
            assert!(Instant::now() < end, "{heard:?}");
            match self.gestures.try_recv() {
                Ok(gesture) => heard.push(gesture),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

fn striped(size: Size, every: i32) -> Frame {
    let mut frame = Frame::new(size);
    let (width, height) = (size.width as i32, size.height as i32);
    (0..height).for_each(|y| frame.set(y * every % width, y, true));
    frame
}

#[test]
fn pictures_and_gestures_cross_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("line");
    let plugged = Plugged::at(&path, OLED, 7, None);
    let mut host = Host::at(&path);
    host.show(&striped(OLED, 3));
    plugged.shows(&striped(OLED, 3), Light::Full);
    host.panel.light(Light::Dim).unwrap();
    host.show(&striped(OLED, 5));
    plugged.shows(&striped(OLED, 5), Light::Dim);
    for gesture in [Gesture::Turn(-3), Gesture::Press, Gesture::Turn(2), Gesture::Hold] {
        plugged.gestures.try_send(gesture).unwrap();
    }
    let heard = host.hears(-1, 2);
    let presses: Vec<_> = heard.into_iter().filter(|gesture| gesture.detents() == 0).collect();
    assert_eq!(presses, [Gesture::Press, Gesture::Hold]);
    plugged.gestures.try_send(Gesture::Press).unwrap();
    plugged.gestures.try_send(Gesture::Press).unwrap();
    assert_eq!(host.hears(0, 2), [Gesture::Press, Gesture::Double]);
}

#[test]
fn a_last_picture_is_shown_after_the_end_of_the_jukebox() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("line");
    let plugged = Plugged::at(&path, OLED, 7, None);
    let mut host = Host::at(&path);
    host.show(&striped(OLED, 3));
    plugged.shows(&striped(OLED, 3), Light::Full);
    host.cancel.cancel();
    let end = Instant::now() + PATIENCE;
    while !host.gestures.is_closed() {
        assert!(Instant::now() < end, "the thread that listens never ends");
        std::thread::sleep(Duration::from_millis(5));
    }
    host.panel.show(&striped(OLED, 5)).unwrap();
    plugged.shows(&striped(OLED, 5), Light::Full);
}

#[test]
fn a_panel_has_the_size_that_it_tells() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("line");
    let size = Size::new(240, 135);
    let plugged = Plugged::at(&path, size, 7, None);
    let mut host = Host::at(&path);
    let canvas = host.panel.canvas();
    let end = Instant::now() + PATIENCE;
    while *canvas.borrow() != size {
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(5));
    }
    host.show(&striped(size, 7));
    plugged.shows(&striped(size, 7), Light::Full);
}

#[test]
fn noise_costs_time_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("line");
    // One bit in 16,000, both ways: every second picture is damaged.
    let plugged = Plugged::at(&path, OLED, 7, Some(2000));
    let mut host = Host::at(&path);
    for every in 1..20 {
        host.show(&striped(OLED, every));
    }
    plugged.shows(&striped(OLED, 19), Light::Full);
    for _ in 0..40 {
        plugged.gestures.blocking_send(Gesture::Turn(1)).unwrap();
    }
    let heard = host.hears(40, 0);
    assert!(heard.iter().all(|gesture| gesture.detents() > 0), "{heard:?}");
}

#[test]
fn a_panel_that_is_reset_or_replaced_gets_everything_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("line");
    let plugged = Plugged::at(&path, OLED, 7, None);
    let mut host = Host::at(&path);
    host.show(&striped(OLED, 3));
    plugged.shows(&striped(OLED, 3), Light::Full);
    plugged.gestures.try_send(Gesture::Turn(5)).unwrap();
    host.hears(5, 0);
    // Unplugged: nothing is shown, and nobody dies of it.
    drop(plugged);
    let end = Instant::now() + PATIENCE;
    while host.panel.show(&striped(OLED, 4)).is_ok() {
        assert!(Instant::now() < end, "the plug is pulled and nobody notices");
        std::thread::sleep(Duration::from_millis(20));
    }
    // Another one, switched on anew: the picture comes by itself, and its knob begins at zero without a turn.
    let plugged = Plugged::at(&path, OLED, 8, None);
    plugged.shows(&striped(OLED, 4), Light::Full);
    plugged.gestures.try_send(Gesture::Turn(-1)).unwrap();
    assert_eq!(host.hears(-1, 0), [Gesture::Turn(-1)]);
}

#[test]
fn a_panel_that_forgets_its_picture_is_found_out() {
    let (mut host, _pty, mut reader, mut writer) = Host::wired();
    let mut decoder = Decoder::default();
    let hello = Hello {
        version: VERSION,
        width: 128,
        height: 64,
        boot: 3,
        damaged: 0,
        token: 0,
        picture: 0,
        input: Input::default(),
    };
    let (mut regions, mut asked) = (0, 0);
    let end = Instant::now() + PATIENCE;
    // Firmware that answers every question and keeps no picture at all: it is told all of it again each time.
    while regions < 24 {
        assert!(Instant::now() < end, "{regions} regions after {asked} questions");
        let mut bytes = [0; 64];
        let count = reader.read(&mut bytes).unwrap_or(0);
        for byte in &bytes[..count] {
            match decoder.push(*byte).transpose().unwrap() {
                Some(Message::Ask { token, .. }) => {
                    asked += 1;
                    writer.write_all(&Message::Hello(Hello { token, ..hello }).encode()).unwrap();
                }
                Some(Message::Region { .. }) => regions += 1,
                _ => {}
            }
        }
        let _ = host.panel.show(&striped(OLED, 3));
    }
    assert!(asked >= 2);
}

#[test]
fn a_press_within_one_glance_counts() {
    let (mut host, _pty, _reader, mut writer) = Host::wired();
    let input = |down, presses| Message::Input(Input { position: 0, down, presses }).encode();
    // The first message tells where the counters stand; then down and up arrive at once; then both are lost.
    for bytes in [input(false, 250), input(true, 251), input(false, 251)] {
        writer.write_all(&bytes).unwrap();
    }
    assert_eq!(host.hears(0, 1), [Gesture::Press]);
    writer.write_all(&input(false, 252)).unwrap();
    assert_eq!(host.hears(0, 1), [Gesture::Press]);
}
