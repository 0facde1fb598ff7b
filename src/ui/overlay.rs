//! What lies over a screen for a while: the volume, a message, a choice.

use std::time::Duration;

use embedded_graphics::geometry::{Point, Size};
use embedded_graphics::primitives::Rectangle;

use super::icons;
use super::list::round_corners;
use super::text::{Face, Line, wrapped};
use crate::control::{Command, VolumeTo};
use crate::panel::Frame;
use crate::types::Time;

/// The volume is shown so long after the last detent.
const VOLUME_SHOWN: Duration = Duration::from_millis(1800);
/// Rows from the foot that the volume takes.
const VOLUME_HEIGHT: i32 = 33;
/// Percentage points a detent.
const VOLUME_STEP: i32 = 2;
/// A message stays so long, and longer the longer it is.
const TOAST_SHOWN: Duration = Duration::from_millis(2500);
const TOAST_SHOWN_PER_CHAR: Duration = Duration::from_millis(40);
/// Lines of a message.
const TOAST_LINES: usize = 3;
/// Height of a line of a message or a choice.
const LINE_HEIGHT: i32 = 12;

/// The volume while it is turned.
#[derive(Debug, Clone, Copy)]
pub struct Volume {
    /// What it will be once the commands are carried out.
    percent: u8,
    until: Time,
}

impl Volume {
    /// Turned by `detents` from `percent`, or from what is shown already.
    pub fn turn(shown: Option<Self>, now: Time, percent: u8, detents: i32) -> (Self, Command) {
        let from = i32::from(shown.map_or(percent, |shown| shown.percent));
        let change = detents.clamp(-50, 50) * VOLUME_STEP;
        let volume = Self { percent: (from + change).clamp(0, 100) as u8, until: now + VOLUME_SHOWN };
        // Absolute: what is shown is what it becomes, whatever order the answers come in.
        (volume, Command::Volume { to: VolumeTo::Absolute(volume.percent) })
    }

    pub fn until(&self) -> Time {
        self.until
    }

    /// Draws over the foot.
    pub fn draw(&self, frame: &mut Frame) {
        let (width, top) = (frame.width(), frame.height() - VOLUME_HEIGHT);
        frame.fill(Rectangle::new(Point::new(0, top), Size::new(width as u32, VOLUME_HEIGHT as u32)), false);
        let icon = if self.percent == 0 { icons::MUTED } else { icons::SPEAKER };
        icons::draw(frame, icon, Point::new(2, top + 3), true);
        Line::new("Volume", Face::Body).draw(frame, Point::new(18, top + 2));
        Line::new(&format!("{} %", self.percent), Face::Body).draw_right(frame, Point::new(width - 2, top + 2));
        outline(frame, Rectangle::new(Point::new(2, top + 18), Size::new(width as u32 - 4, 11)));
        let filled = u32::from(self.percent) * (width as u32 - 8) / 100;
        frame.fill(Rectangle::new(Point::new(4, top + 20), Size::new(filled, 7)), true);
    }
}

/// A message for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toast {
    text: String,
    until: Time,
}

impl Toast {
    pub fn new(now: Time, text: &str) -> Self {
        let text: String = text.chars().take(160).collect();
        let reading = TOAST_SHOWN_PER_CHAR * text.chars().count() as u32;
        Self { until: now + TOAST_SHOWN + reading, text }
    }

    pub fn until(&self) -> Time {
        self.until
    }

    /// Draws a filled box at the foot.
    pub fn draw(&self, frame: &mut Frame) {
        let lines = wrapped(&self.text, Face::Body, frame.width() - 12, TOAST_LINES);
        let height = lines.len() as i32 * LINE_HEIGHT + 5;
        let area = Rectangle::new(
            Point::new(1, frame.height() - height - 1),
            Size::new(frame.width() as u32 - 2, height as u32),
        );
        frame.fill(area.offset(2), false);
        for (line, index) in lines.iter().zip(0..) {
            line.draw(frame, area.top_left + Point::new(5, 3 + index * LINE_HEIGHT));
        }
        frame.invert(area);
        round_corners(frame, area);
    }
}

/// What can be done with a chosen song.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    PlayNow,
    AddToQueue,
    Remove,
    ClearQueue,
    Skip,
    SearchAgain,
    Back,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::PlayNow => "Play now",
            Self::AddToQueue => "Add to queue",
            Self::Remove => "Remove",
            Self::ClearQueue => "Clear the queue",
            Self::Skip => "Skip this song",
            Self::SearchAgain => "Search again",
            Self::Back => "Back",
        }
    }
}

/// A choice over a list.
#[derive(Debug, Clone, Copy)]
pub struct Sheet {
    actions: &'static [Action],
    chosen: usize,
}

impl Sheet {
    /// `actions` must not be empty; at most four fit.
    pub const fn new(actions: &'static [Action]) -> Self {
        Self { actions, chosen: 0 }
    }

    pub fn turn(&mut self, detents: i32) {
        let last = self.actions.len() as i64 - 1;
        self.chosen = (self.chosen as i64 + i64::from(detents)).clamp(0, last.max(0)) as usize;
    }

    pub fn chosen(&self) -> Action {
        self.actions.get(self.chosen).copied().unwrap_or(Action::Back)
    }

    pub fn draw(&self, frame: &mut Frame) {
        let (width, height) = (96, self.actions.len() as i32 * LINE_HEIGHT + 5);
        let corner = Point::new((frame.width() - width) / 2, (frame.height() - height) / 2);
        let area = Rectangle::new(corner, Size::new(width as u32, height as u32));
        frame.fill(area.offset(2), false);
        outline(frame, area);
        for (action, index) in self.actions.iter().zip(0..) {
            let y = corner.y + 3 + index * LINE_HEIGHT;
            Line::new(action.name(), Face::Body).draw(frame, Point::new(corner.x + 8, y));
            if index as usize == self.chosen {
                let row =
                    Rectangle::new(Point::new(corner.x + 2, y), Size::new(width as u32 - 4, LINE_HEIGHT as u32 - 1));
                frame.invert(row);
                round_corners(frame, row);
            }
        }
    }
}

/// Draws the edge of a box.
pub fn outline(frame: &mut Frame, area: Rectangle) {
    frame.fill(area, true);
    frame.fill(area.offset(-1), false);
    round_corners(frame, area);
}
