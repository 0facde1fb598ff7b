//! Screens and gestures: the jukebox's face on a small display with one knob.
//!
//! [`Ui`] is pure: it takes the time, gestures, answers and the published state, draws from nothing else and returns
//! what to ask of the jukebox. [`run`] is its shell. Every pixel position of the product is in this room.
//!
//! Screens are drawn for a canvas of 128×64 pixels and use what else there is: longer lines, more rows, titles in
//! several lines. They want 120×64 pixels at least.
//!
//! | where | turn | press | hold |
//! |---|---|---|---|
//! | now playing | volume | pause, go on | menu |
//! | nothing plays | volume | search, or play the queue | menu |
//! | search | wheel of letters | take the letter | menu |
//! | results, queue | choose | what to do with it | menu |
//! | status | page | back to the music | asks whether to switch off; again: does |
//! | menu | choose | do it | back to the music |
//!
//! Pressing twice while a song plays skips it; elsewhere it is two presses. In long lists a fast turn reaches further.

mod farewell;
mod hand;
mod icons;
mod idle;
mod list;
mod overlay;
mod problems;
mod screens;
mod shell;
#[cfg(test)]
mod tests;
mod text;
mod view;

pub use farewell::{Curtain, Farewell};
pub use screens::dial::{Slot, wheel};
pub use shell::{Outlets, run};

use std::sync::Arc;

use embedded_graphics::geometry::{OriginDimensions, Size};

use crate::control::{Command, Reply, Status};
use crate::panel::{Frame, Gesture, Light, OLED, PAGE_ROWS, Region, SMALLEST};
use crate::types::Time;
use overlay::{Sheet, Toast, Volume};
use problems::Problems;
use screens::dial::Dial;
use screens::menu::Menu;
use screens::queue::Queue;
use screens::results::Results;
use screens::{now_playing, status::Pages};
use view::View;

/// Which screen is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Screen {
    NowPlaying,
    Dial,
    Results,
    Queue,
    Status,
    Menu,
}

/// The face's state.
#[derive(Debug)]
pub struct Ui {
    view: View,
    screen: Screen,
    dial: Dial,
    results: Results,
    queue: Queue,
    pages: Pages,
    menu: Menu,
    /// Over results or queue.
    sheet: Option<Sheet>,
    volume: Option<Volume>,
    toast: Option<Toast>,
    problems: Problems,
    /// Last gesture.
    touched: Time,
    /// What is drawn on.
    size: Size,
}

impl Ui {
    /// A face that knows nothing yet.
    pub fn new(now: Time) -> Self {
        Self {
            view: View::new(now),
            screen: Screen::NowPlaying,
            dial: Dial::new(now),
            results: Results::new(now, String::new()),
            queue: Queue::new(now),
            pages: Pages::default(),
            menu: Menu::default(),
            sheet: None,
            volume: None,
            toast: None,
            problems: Problems::default(),
            touched: now,
            size: OLED,
        }
    }

    /// From now on pictures are meant to have this size: what scrolls depends on it.
    pub fn resize(&mut self, size: Size) {
        self.size = size.component_max(SMALLEST);
    }

    /// Tells a person something, for a while.
    pub fn notice(&mut self, now: Time, text: &str) {
        self.toast = Some(Toast::new(now, text));
    }

    /// A person has done something; returns what to ask of the jukebox.
    pub fn gesture(&mut self, now: Time, gesture: Gesture) -> Vec<Command> {
        self.tick(now);
        let dark = self.light(now) == Light::Off;
        self.touched = now;
        if dark {
            return Vec::new(); // The first touch only lights the display: nobody sees what they do in the dark.
        }
        self.toast = None;
        if self.problems.is_shown() {
            self.problems.next();
            return Vec::new();
        }
        match gesture {
            Gesture::Turn(detents) => self.turn(now, detents, detents),
            Gesture::Spin { detents, reach } => self.turn(now, detents, reach),
            Gesture::Press => self.press(now),
            Gesture::Hold if self.screen == Screen::Status => {
                if !self.pages.hold() {
                    return Vec::new();
                }
                self.toast = Some(Toast::new(now, "Switching off"));
                vec![Command::PowerOff]
            }
            Gesture::Double => self.double(now),
            Gesture::Key(key) => self.key(now, key),
            Gesture::Hold => {
                self.hold();
                Vec::new()
            }
        }
    }

    /// The jukebox has answered a command of ours; returns what to ask next.
    pub fn reply(&mut self, now: Time, command: &Command, reply: Reply) -> Vec<Command> {
        match (command, reply) {
            (Command::Dial { prefix }, Reply::Dial(state)) => self.dial.answer(prefix, state),
            (Command::Search { query, .. }, Reply::Search(answer)) => self.results.answer(now, query, answer),
            (_, Reply::Queue(state)) => self.queue.answer(now, state),
            (command, Reply::Error(error)) => self.failed(now, command, &error),
            (Command::QueueAdd { .. }, _) => self.toast = Some(Toast::new(now, "Added to the queue")),
            (Command::QueueRemove { .. } | Command::QueueClear, _) if self.screen == Screen::Queue => {
                return vec![Command::QueueList];
            }
            _ => {}
        }
        Vec::new()
    }

    /// The jukebox has published its state; returns what to ask because of it.
    pub fn status(&mut self, now: Time, status: Arc<Status>) -> Vec<Command> {
        let facts =
            |player: &crate::control::PlayerStatus| (player.track.as_ref().map(|track| track.track), player.queued);
        let (old, old_problem) = (facts(self.view.player()), self.view.player().problem.clone());
        self.problems.update(&status.problems);
        self.view.update(now, status);
        let problem = &self.view.player().problem;
        if let Some(problem) = problem.as_ref().filter(|problem| old_problem.as_ref() != Some(problem)) {
            self.toast = Some(Toast::new(now, problem));
        }
        let queue_changed = self.screen == Screen::Queue && facts(self.view.player()) != old;
        if queue_changed { vec![Command::QueueList] } else { Vec::new() }
    }

    /// Ends what has had its time.
    pub fn tick(&mut self, now: Time) {
        self.volume = self.volume.filter(|volume| volume.until() > now);
        if self.toast.as_ref().is_some_and(|toast| toast.until() <= now) {
            self.toast = None;
        }
        if self.returns_at().is_some_and(|at| at <= now) {
            self.go(Screen::NowPlaying);
        }
    }

    /// Draws what is to be seen, in the size of the frame.
    pub fn draw(&self, now: Time, frame: &mut Frame) {
        // On less than screens are made for, their upper left part is to be seen.
        let seen = frame.size();
        let mut picture = Frame::new(seen.component_max(SMALLEST));
        match self.screen {
            Screen::NowPlaying => now_playing::draw(&mut picture, now, &self.view),
            Screen::Dial => self.dial.draw(&mut picture, now),
            Screen::Results => self.results.draw(&mut picture, now, &self.view),
            Screen::Queue => self.queue.draw(&mut picture, now, &self.view),
            Screen::Status => self.pages.draw(&mut picture, self.view.status()),
            Screen::Menu => self.menu.draw(&mut picture, &self.view),
        }
        if let Some(sheet) = &self.sheet {
            sheet.draw(&mut picture);
        }
        if let Some(volume) = self.volume.filter(|volume| volume.until() > now) {
            volume.draw(&mut picture);
        }
        if let Some(toast) = self.toast.as_ref().filter(|toast| toast.until() > now) {
            toast.draw(&mut picture);
        }
        self.problems.draw(&mut picture);
        let (right, down) = idle::shift(now.since(self.touched));
        *frame = picture.shifted(right, down);
        if frame.size() != seen {
            *frame = part(frame, seen);
        }
    }

    /// How bright the display is to be.
    pub fn light(&self, now: Time) -> Light {
        idle::light(now.since(self.touched), self.view.is_sounding())
    }

    /// When [`Ui::draw`] or [`Ui::light`] next give something else by themselves; never if nothing moves.
    pub fn next_tick(&self, now: Time) -> Option<Time> {
        let light = idle::next_change(now, self.touched, self.view.is_sounding());
        if self.light(now) == Light::Off {
            return light;
        }
        let screen = match self.screen {
            Screen::NowPlaying => now_playing::next_tick(now, &self.view, self.size),
            Screen::Dial => self.dial.next_tick(now),
            Screen::Results => self.results.next_tick(now, &self.view, self.size),
            Screen::Queue => self.queue.next_tick(now, &self.view, self.size),
            Screen::Status | Screen::Menu => None,
        };
        let volume = self.volume.map(|volume| volume.until());
        let toast = self.toast.as_ref().map(Toast::until);
        [light, screen, volume, toast, self.returns_at()].into_iter().flatten().min()
    }

    /// When the screen gives way to the playing song.
    fn returns_at(&self) -> Option<Time> {
        match self.screen {
            Screen::NowPlaying => None,
            Screen::Status => Some(self.touched + idle::STATUS_RETURN_AFTER),
            _ => Some(self.touched + idle::RETURN_AFTER),
        }
    }

    fn go(&mut self, screen: Screen) {
        (self.screen, self.sheet, self.volume) = (screen, None, None);
    }
}

/// The upper left part of a picture.
fn part(picture: &Frame, size: Size) -> Frame {
    let mut part = Frame::new(size);
    for page in 0..size.height.div_ceil(PAGE_ROWS) {
        let bytes: Vec<u8> = picture.page_bytes(Region { page, x: 0, width: size.width }).collect();
        part.set_page_bytes(page, 0, &bytes);
    }
    part
}
