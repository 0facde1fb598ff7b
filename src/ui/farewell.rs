//! The last screens: that the jukebox is being switched off, and that it is safe to unplug.
//!
//! A display keeps its picture as long as it has power, so the last one is to be true from then on: it is shown only when
//! the system ends the jukebox for the machine to be switched off, never on the jukebox's own word.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use embedded_graphics::geometry::Size;
use tokio::sync::watch;

use super::icons;
use super::list::{draw_empty, draw_header};
use crate::panel::{Frame, Light};

/// What the display thread shows.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Shown {
    pub frame: Frame,
    pub light: Light,
}

/// Whether the face is to end on a screen that stays; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Farewell(Arc<State>);

#[derive(Debug, Default)]
struct State {
    asked: AtomicBool,
    curtain: Mutex<Option<Curtain>>,
}

impl Farewell {
    /// Has the face end so. To be called before its end begins.
    pub fn ask(&self) {
        self.0.asked.store(true, Ordering::Release);
    }

    /// Whether it was asked to.
    pub fn is_asked(&self) -> bool {
        self.0.asked.load(Ordering::Acquire)
    }

    /// The display, once the face has ended.
    pub fn take(&self) -> Option<Curtain> {
        self.0.curtain.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn keep(&self, curtain: Curtain) {
        *self.0.curtain.lock().unwrap_or_else(PoisonError::into_inner) = Some(curtain);
    }
}

/// A display whose face has ended.
pub struct Curtain {
    size: Size,
    picture: watch::Sender<Shown>,
    bell: SyncSender<()>,
    thread: Option<JoinHandle<()>>,
    stay: Arc<AtomicBool>,
}

impl std::fmt::Debug for Curtain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Curtain").finish_non_exhaustive()
    }
}

impl Curtain {
    /// `size`: of the canvas.
    pub(super) fn new(
        size: Size,
        picture: watch::Sender<Shown>,
        bell: SyncSender<()>,
        thread: Option<JoinHandle<()>>,
        stay: Arc<AtomicBool>,
    ) -> Self {
        Self { size, picture, bell, thread, stay }
    }

    pub(super) fn tell_that_it_ends(&self) -> Frame {
        let frame = ending(self.size);
        self.show(frame.clone());
        frame
    }

    /// Shows that the plug may be pulled, and leaves it so. Waits for the display.
    pub fn tell_that_it_is_safe(mut self) {
        self.stay.store(true, Ordering::Release);
        self.show(safe(self.size));
        let thread = self.thread.take();
        // Without a bell the thread ends when it has shown the last picture.
        drop(self);
        if let Some(thread) = thread {
            // A panic in it has been reported.
            let _ = thread.join();
        }
    }

    fn show(&self, frame: Frame) {
        self.picture.send_replace(Shown { frame, light: Light::Full });
        // When full, the bell has rung already and the thread will see this picture.
        let _ = self.bell.try_send(());
    }
}

/// The screen while it ends.
pub(super) fn ending(size: Size) -> Frame {
    screen(size, &["Switching off", "Please wait"])
}

/// The screen that stays.
pub(super) fn safe(size: Size) -> Frame {
    screen(size, &["It is now safe", "to unplug"])
}

fn screen(size: Size, lines: &[&str]) -> Frame {
    let mut frame = Frame::new(size);
    draw_header(&mut frame, icons::STATUS, "Silverstream", "");
    draw_empty(&mut frame, lines);
    frame
}
