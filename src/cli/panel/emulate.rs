//! `silverstream panel emulate`

use std::io::{BufRead, IsTerminal};
use std::path::Path;
use std::time::Duration;

use clap::Args;
use embedded_graphics::geometry::{OriginDimensions, Size};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::SCALE;
use crate::cli::context::Failure;
use crate::panel::serial::emulator::Emulator;
use crate::panel::serial::line::{self, Pty, Reader, Writer};
use crate::panel::{
    self, Display, DisplaySpec, Frame, GESTURE_CAPACITY, Gesture, KnobSpec, Light, Panel, PanelError, parse_size,
};

/// Between attempts to open a line that broke.
const REOPEN_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
#[command(after_help = "\
In a terminal the keys are the knob. Otherwise lines of standard input are:
  turn N     press     double     hold     png FILE     quit

Examples:
  silverstream panel emulate --pty             prints the device file for [panel] display and knob
  silverstream panel emulate /dev/ttyUSB0 --size 160x120
  echo 'png face.png' | silverstream panel emulate /dev/ttyS1")]
pub struct EmulateArgs {
    /// The serial line, as DEVICE or DEVICE@BAUD
    #[arg(required_unless_present = "pty", conflicts_with = "pty")]
    device: Option<String>,
    /// Make a pseudo-terminal and print the device file of its other end
    #[arg(long)]
    pty: bool,
    /// Pixels of the display
    #[arg(long, default_value = "128x64", value_parser = size)]
    size: Size,
}

fn size(text: &str) -> Result<Size, String> {
    parse_size(text).ok_or_else(|| "write it as 128x64; at most 640 each".to_owned())
}

pub fn run(args: EmulateArgs) -> Result<(), Failure> {
    let pty = args.pty.then(Pty::open).transpose()?;
    if let Some(pty) = &pty {
        println!("{}", pty.path);
    }
    let (sender, mut gestures) = mpsc::channel(GESTURE_CAPACITY);
    let cancel = CancellationToken::new();
    let mut display = face(args.size, sender, &cancel)?;
    let mut emulator = Emulator::new(args.size, rand::random());
    while !cancel.is_cancelled() {
        let opened = match (&pty, &args.device) {
            (Some(pty), _) => pty.split(),
            (None, device) => line::open(device.as_deref().unwrap_or_default()),
        };
        let broken =
            opened.and_then(|line: (Reader, Writer)| emulator.run(line, &mut gestures, &mut *display, &cancel));
        match broken {
            Ok(()) => break,
            Err(error) => tracing::warn!(%error, "the line does not work; tries again"),
        }
        std::thread::sleep(REOPEN_EVERY);
    }
    panel::give_back_terminal();
    Ok(())
}

/// Display and knob: the terminal, or the lines of standard input.
fn face(size: Size, gestures: mpsc::Sender<Gesture>, cancel: &CancellationToken) -> Result<Box<dyn Display>, Failure> {
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        let Panel { display, mut problems } =
            panel::open(&DisplaySpec::Simulated { size }, &KnobSpec::Simulated, gestures, cancel);
        return match problems.pop() {
            Some(problem) => Err(Failure::Other(problem.to_string())),
            None => Ok(display),
        };
    }
    let (frames, frame) = watch::channel(Frame::new(size));
    let cancel = cancel.clone();
    std::thread::Builder::new().name("panel-lines".to_owned()).spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            match obey(&line, &gestures, &frame) {
                Ok(true) => {}
                Ok(false) => return cancel.cancel(),
                Err(problem) => eprintln!("{problem}"),
            }
        }
        // Nobody to tell it anything any more: it goes on showing, until a signal ends it.
        keep_plugged(&gestures);
    })?;
    Ok(Box::new(Latest(frames)))
}

/// Keeps the knob plugged in.
fn keep_plugged(gestures: &mpsc::Sender<Gesture>) {
    while !gestures.is_closed() {
        std::thread::sleep(REOPEN_EVERY);
    }
}

/// Does what a line says; false to end.
fn obey(line: &str, gestures: &mpsc::Sender<Gesture>, frame: &watch::Receiver<Frame>) -> Result<bool, String> {
    let gesture = match line.split_whitespace().collect::<Vec<_>>()[..] {
        [] => return Ok(true),
        ["quit"] => return Ok(false),
        ["turn", detents] => {
            Gesture::Turn(detents.parse().map_err(|_| format!("{detents:?} is no number of detents"))?)
        }
        ["press"] => Gesture::Press,
        ["hold"] => Gesture::Hold,
        ["double"] => {
            gestures.blocking_send(Gesture::Press).map_err(|_| "the panel has ended".to_owned())?;
            Gesture::Double
        }
        ["png", file] => return save(&frame.borrow(), Path::new(file)).map(|()| true),
        _ => return Err(format!("{line:?} is none of: turn N, press, double, hold, png FILE, quit")),
    };
    gestures.blocking_send(gesture).map(|()| true).map_err(|_| "the panel has ended".to_owned())
}

fn save(frame: &Frame, file: &Path) -> Result<(), String> {
    let error = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let png = frame.to_png(SCALE).map_err(|problem| error(&problem))?;
    std::fs::write(file, png).map_err(|problem| error(&problem))
}

/// A display of which only the latest frame is known.
struct Latest(watch::Sender<Frame>);

impl Display for Latest {
    fn show(&mut self, frame: &Frame) -> Result<(), PanelError> {
        self.0.send_replace(frame.clone());
        Ok(())
    }

    fn light(&mut self, light: Light) -> Result<(), PanelError> {
        if light == Light::Off {
            self.0.send_modify(|frame| *frame = Frame::new(frame.size()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_gestures() {
        let (sender, mut gestures) = mpsc::channel(8);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("face.png");
        let (_frames, frame) = watch::channel(Frame::default());
        for (line, goes_on) in [("turn -3", true), ("  press ", true), ("double", true), ("", true), ("quit", false)] {
            assert_eq!(obey(line, &sender, &frame), Ok(goes_on), "{line}");
        }
        assert_eq!(obey(&format!("png {}", file.display()), &sender, &frame), Ok(true));
        assert!(std::fs::read(&file).unwrap().starts_with(b"\x89PNG"));
        let mut seen = Vec::new();
        while let Ok(gesture) = gestures.try_recv() {
            seen.push(gesture);
        }
        assert_eq!(seen, [Gesture::Turn(-3), Gesture::Press, Gesture::Press, Gesture::Double]);
        for line in ["turn", "turn x", "dance", "png /nonexistent/face.png"] {
            assert!(obey(line, &sender, &frame).is_err(), "{line}");
        }
    }
}
