//! A visit over the serial line: the face on one side, an emulated panel on the other.

use std::sync::Arc;
use std::time::Duration;

use embedded_graphics::geometry::Size;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::control;
use crate::panel::serial::emulator::Emulator;
use crate::panel::serial::line::Pty;
use crate::panel::{Display, DisplaySpec, KnobSpec, Light, PanelError};
use crate::types::Tick;
use crate::ui::Farewell;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Hands on what the panel shows.
struct Probe(watch::Sender<Frame>);

impl Display for Probe {
    fn show(&mut self, frame: &Frame) -> Result<(), PanelError> {
        self.0.send_replace(frame.clone());
        Ok(())
    }

    fn light(&mut self, _light: Light) -> Result<(), PanelError> {
        Ok(())
    }
}

/// Waits until the panel shows what a twin of the face draws at some time; both begin at the same state.
async fn shows(shown: &mut watch::Receiver<Frame>, size: Size, twin: &Ui) {
    let mut wanted = Frame::new(size);
    twin.draw(Time::ZERO, &mut wanted);
    let found = tokio::time::timeout(PATIENCE, shown.wait_for(|frame| *frame == wanted)).await;
    assert!(found.is_ok(), "the panel never shows\n{wanted}");
}

#[tokio::test]
async fn a_song_is_dialled_on_a_panel_at_the_end_of_a_line() {
    let size = Size::new(160, 120);
    let pty = Pty::open().unwrap();
    let (line, cancel) = (pty.split().unwrap(), CancellationToken::new());
    let (hand, mut gestures) = mpsc::channel(16);
    let (frames, mut shown) = watch::channel(Frame::new(size));
    let token = cancel.clone();
    let panel = std::thread::spawn(move || {
        Emulator::new(size, 1).run(line, &mut gestures, &mut Probe(frames), &token).unwrap();
    });

    let device = format!("serial:{}", pty.path);
    let (display, knob): (DisplaySpec, KnobSpec) = (device.parse().unwrap(), device.parse().unwrap());
    let (sender, inbox) = mpsc::channel(32);
    let opened = panel::open(&display, &knob, sender, &cancel);
    assert!(opened.problems.is_empty(), "{:?}", opened.problems);
    let (_publish, status) = watch::channel(Arc::new(Status::default()));
    let (handle, mut requests) = control::channel(status);
    let outlets = Outlets {
        frames: watch::channel(Frame::default()).0,
        turned: watch::Sender::default(),
        tick: Tick::default(),
        notice: None,
        farewell: Farewell::default(),
    };
    let face = tokio::spawn(run(handle, opened.display, inbox, outlets, cancel.clone()));

    let mut twin = Ui::new(Time::ZERO);
    shows(&mut shown, size, &twin).await;
    hand.send(Press).await.unwrap();
    let request = requests.recv().await.unwrap();
    assert_eq!(request.command, dial_command(""));
    let wheel = Reply::Dial(dial_state("", 12, &[('a', 5), ('b', 4), ('c', 3)]));
    twin.gesture(Time::ZERO, Press);
    twin.reply(Time::ZERO, &request.command, wheel.clone());
    request.reply.send(wheel).unwrap();
    shows(&mut shown, size, &twin).await;
    hand.send(Turn(2)).await.unwrap();
    twin.gesture(Time::ZERO, Turn(2));
    shows(&mut shown, size, &twin).await;
    hand.send(Press).await.unwrap();
    assert_eq!(requests.recv().await.unwrap().command, dial_command("c"));
    hand.send(Hold).await.unwrap();
    twin.gesture(Time::ZERO, Hold);
    shows(&mut shown, size, &twin).await;

    cancel.cancel();
    face.await.unwrap();
    tokio::task::spawn_blocking(move || panel.join().unwrap()).await.unwrap();
}
