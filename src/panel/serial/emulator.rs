//! A serial front panel made of software: the other side of the line, for people and tests.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use embedded_graphics::geometry::Size;
use tokio::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;

use super::codec::Message;
use super::device::{Device, Outcome};
use super::line::{Reader, Writer};
use crate::panel::frame::{MAX_SIDE, PAGE_ROWS};
use crate::panel::{Display, Frame, Gesture, Light};
use crate::types::{Clock, Time};

/// Bytes of the largest picture.
const MAX_BYTES: usize = (MAX_SIDE * MAX_SIDE / PAGE_ROWS) as usize;
/// How long the button stays down for a press and a hold, and up between two presses.
const PRESSED: Duration = Duration::from_millis(60);
const HELD: Duration = Duration::from_millis(800);
const BETWEEN: Duration = Duration::from_millis(90);
/// What the knob does is told once more after this time, in case it was lost.
const REPEAT: Duration = Duration::from_millis(100);
/// The jukebox counts as off when nothing was heard of it for so long.
const SILENCE: Duration = Duration::from_secs(6);
/// Bytes taken from the line at once.
const READ_BUFFER: usize = 256;

/// A panel with a display and a hand at its knob.
pub struct Emulator {
    device: Box<Device<MAX_BYTES>>,
    size: Size,
    clock: Clock,
    /// What the button does next, and when.
    presses: VecDeque<(Time, bool)>,
    repeat_at: Option<Time>,
    hello_at: Option<Time>,
}

impl Emulator {
    /// A panel of this size that is switched on now.
    pub fn new(size: Size, boot: u16) -> Self {
        let device = Box::new(Device::new(size.width as u16, size.height as u16, boot));
        let clock = Clock::start();
        Self { device, size, clock, presses: VecDeque::new(), repeat_at: None, hello_at: Some(Time::ZERO) }
    }

    /// What the panel shows.
    pub fn frame(&self) -> Frame {
        let mut frame = Frame::new(self.size);
        for (page, bytes) in (0..self.size.height.div_ceil(PAGE_ROWS)).zip(self.device.pages()) {
            frame.set_page_bytes(page, 0, bytes);
        }
        frame
    }

    /// Frames that came damaged.
    pub fn damaged(&self) -> u16 {
        self.device.damaged()
    }

    /// Speaks over the line until it breaks, `cancel` is cancelled or nobody makes gestures any more. Whatever comes is
    /// shown on the display.
    ///
    /// # Errors
    /// If the line or the display breaks.
    pub fn run(
        &mut self,
        (mut reader, mut writer): (Reader, Writer),
        gestures: &mut Receiver<Gesture>,
        display: &mut dyn Display,
        cancel: &CancellationToken,
    ) -> io::Result<()> {
        let mut bytes = [0; READ_BUFFER];
        let mut changed = true;
        let (mut heard_at, mut off) = (self.clock.now(), false);
        while !cancel.is_cancelled() {
            let count = match reader.read(&mut bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if is_patience(&error) => 0,
                Err(error) => return Err(error),
            };
            let now = self.clock.now();
            if count > 0 {
                heard_at = now;
                changed |= std::mem::take(&mut off);
            } else if !off && now.since(heard_at) >= SILENCE {
                off = true;
                // The last picture would tell of music that no longer plays.
                display.light(Light::Off).map_err(io::Error::other)?;
            }
            let mut answer = None;
            for byte in &bytes[..count] {
                match self.device.receive(*byte) {
                    Outcome::Nothing => {}
                    Outcome::Changed => changed = true,
                    // One answer is enough for whatever came at once.
                    Outcome::Answer(message) => answer = Some(message),
                }
            }
            if answer.is_some() {
                send(&mut writer, &self.device.hello())?;
            }
            while let Ok(gesture) = gestures.try_recv() {
                self.gesture(gesture, &mut writer)?;
            }
            if gestures.is_closed() && gestures.is_empty() && self.presses.is_empty() {
                return Ok(());
            }
            self.timeout(&mut writer)?;
            // Shown when the line is quiet, or the picture would be drawn for every part of it.
            if changed && count == 0 && !off {
                changed = false;
                self.show(display).map_err(io::Error::other)?;
            }
        }
        Ok(())
    }

    fn show(&self, display: &mut dyn Display) -> Result<(), crate::panel::PanelError> {
        display.light(match self.device.level() {
            0 => Light::Off,
            1 => Light::Dim,
            _ => Light::Full,
        })?;
        display.show(&self.frame())
    }

    fn gesture(&mut self, gesture: Gesture, writer: &mut Writer) -> io::Result<()> {
        let now = self.clock.now();
        let begin = self.presses.back().map_or(now, |(at, _)| *at + BETWEEN);
        let held = match gesture {
            Gesture::Turn(detents) | Gesture::Spin { detents, .. } => {
                let message = self.device.turned(detents.clamp(-1000, 1000) as i16);
                self.repeat_at = Some(now + REPEAT);
                return send(writer, &message);
            }
            Gesture::Press | Gesture::Double => PRESSED,
            Gesture::Hold => HELD,
            Gesture::Key(_) => return Ok(()), // Such a panel has one button.
        };
        self.presses.extend([(begin, true), (begin + held, false)]);
        Ok(())
    }

    fn timeout(&mut self, writer: &mut Writer) -> io::Result<()> {
        let now = self.clock.now();
        if self.hello_at.take().is_some() {
            send(writer, &self.device.hello())?;
        }
        while let Some((_, down)) = self.presses.front().copied().filter(|(at, _)| *at <= now) {
            self.presses.pop_front();
            let message = self.device.button(down);
            send(writer, &message)?;
            self.repeat_at = Some(now + REPEAT);
        }
        if self.repeat_at.take_if(|at| *at <= now).is_some() {
            send(writer, &Message::Input(self.device.input()))?;
        }
        Ok(())
    }
}

/// Nothing came, or nobody takes it: a panel goes on all the same.
fn is_patience(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn send(writer: &mut Writer, message: &Message) -> io::Result<()> {
    match writer.write_all(&message.encode()) {
        Err(error) if is_patience(&error) => Ok(()),
        result => result,
    }
}
