//! Everything that can be reached, by holding the knob.

use embedded_graphics::geometry::{Point, Size};
use embedded_graphics::primitives::Rectangle;

use crate::control::PlayState;
use crate::panel::Frame;
use crate::ui::icons::{self, Icon};
use crate::ui::list::round_corners;
use crate::ui::text::{Face, Line};
use crate::ui::view::View;

/// Height of an entry.
const ROW_HEIGHT: i32 = 12;
/// Top of the first entry.
const TOP: i32 = 2;

/// An entry of the menu.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    Search,
    Queue,
    Pause,
    Resume,
    Next,
    Previous,
    Stop,
    Status,
    Back,
}

impl Entry {
    fn face(self) -> (Icon, &'static str) {
        match self {
            Self::Search => (icons::SEARCH, "Search"),
            Self::Queue => (icons::QUEUE, "Queue"),
            Self::Pause => (icons::PAUSE, "Pause"),
            Self::Resume => (icons::PLAY, "Go on"),
            Self::Next => (icons::NEXT, "Next song"),
            Self::Previous => (icons::PREVIOUS, "From the start"),
            Self::Stop => (icons::STOP, "Stop"),
            Self::Status => (icons::STATUS, "Status"),
            Self::Back => (icons::BACK, "Back"),
        }
    }
}

/// What can be done now.
fn entries(view: &View) -> Vec<Entry> {
    let mut entries = vec![Entry::Search, Entry::Queue];
    if view.is_active() {
        entries.push(Entry::Next);
        entries.push(if view.player().state == PlayState::Paused { Entry::Resume } else { Entry::Pause });
        entries.extend([Entry::Previous, Entry::Stop]);
    }
    entries.extend([Entry::Status, Entry::Back]);
    entries
}

/// The menu.
#[derive(Debug, Clone, Copy, Default)]
pub struct Menu {
    chosen: usize,
}

impl Menu {
    pub fn turn(&mut self, view: &View, detents: i32) {
        let last = entries(view).len() as i64 - 1;
        self.chosen = (self.chosen as i64 + i64::from(detents)).clamp(0, last) as usize;
    }

    /// The chosen entry.
    pub fn chosen(&self, view: &View) -> Entry {
        entries(view).get(self.chosen).copied().unwrap_or(Entry::Back)
    }

    /// Draws the screen.
    pub fn draw(&self, frame: &mut Frame, view: &View) {
        let entries = entries(view);
        let chosen = self.chosen.min(entries.len() - 1);
        let visible = ((frame.height() - TOP) / ROW_HEIGHT).max(1) as usize;
        let first = chosen.saturating_sub(visible / 2).min(entries.len().saturating_sub(visible));
        // All of it in the middle, where there is room.
        let top = TOP + (frame.height() - TOP - entries.len() as i32 * ROW_HEIGHT).max(0) / 2;
        for (index, entry) in entries.iter().enumerate().skip(first).take(visible) {
            let y = top + (index - first) as i32 * ROW_HEIGHT;
            let (icon, name) = entry.face();
            icons::draw_centred(frame, icon, Point::new(10, y + 5));
            Line::new(name, Face::Body).draw(frame, Point::new(20, y));
            if index == chosen {
                let row = Rectangle::new(Point::new(1, y), Size::new(frame.width() as u32 - 8, ROW_HEIGHT as u32 - 1));
                frame.invert(row);
                round_corners(frame, row);
            }
        }
        if entries.len() <= visible {
            return;
        }
        let height = visible as i32 * ROW_HEIGHT;
        let thumb = height * visible as i32 / entries.len() as i32;
        let y = TOP + (height - thumb) * chosen as i32 / (entries.len() as i32 - 1).max(1);
        frame.fill(Rectangle::new(Point::new(frame.width() - 4, y), Size::new(2, thumb as u32)), true);
    }
}
