//! What plays and what comes after it.

use embedded_graphics::geometry::Size;

use crate::control::{QueueState, TrackInfo};
use crate::panel::Frame;
use crate::types::Time;
use crate::ui::icons;
use crate::ui::list::{List, Row, draw_empty, draw_header};
use crate::ui::overlay::{Action, Sheet};
use crate::ui::view::View;

/// What can be done with a waiting track.
const WAITING: Sheet = Sheet::new(&[Action::PlayNow, Action::Remove, Action::ClearQueue, Action::Back]);
/// What can be done with the playing one.
const CURRENT: Sheet = Sheet::new(&[Action::Skip, Action::ClearQueue, Action::Back]);

/// A row of the queue.
#[derive(Debug, Clone, Copy)]
pub enum Entry<'a> {
    /// The playing track.
    Current(&'a TrackInfo),
    /// The track at this position of the queue, from 0.
    Waiting(u32, &'a TrackInfo),
}

/// The list of tracks.
#[derive(Debug)]
pub struct Queue {
    /// None: asked for, not answered yet.
    state: Option<QueueState>,
    list: List,
}

impl Queue {
    pub fn new(now: Time) -> Self {
        Self { state: None, list: List::new(now) }
    }

    /// The queue as it is now; the choice stays where it is as far as there are rows.
    pub fn answer(&mut self, now: Time, state: QueueState) {
        self.state = Some(state);
        let rows = self.rows();
        self.list.turn(now, 0, 0, rows);
    }

    pub fn turn(&mut self, now: Time, detents: i32, reach: i32) {
        let rows = self.rows();
        self.list.turn(now, detents, reach, rows);
    }

    /// The choice for the chosen row.
    pub fn sheet(&self) -> Option<Sheet> {
        match self.chosen()? {
            Entry::Current(_) => Some(CURRENT),
            Entry::Waiting(..) => Some(WAITING),
        }
    }

    /// The chosen row.
    pub fn chosen(&self) -> Option<Entry<'_>> {
        self.entry(self.list.chosen)
    }

    fn rows(&self) -> usize {
        self.state.as_ref().map_or(0, |state| usize::from(state.current.is_some()) + state.upcoming.len())
    }

    fn entry(&self, index: usize) -> Option<Entry<'_>> {
        let state = self.state.as_ref()?;
        let position = match &state.current {
            Some(current) if index == 0 => return Some(Entry::Current(current)),
            Some(_) => index - 1,
            None => index,
        };
        Some(Entry::Waiting(position as u32, state.upcoming.get(position)?))
    }

    /// When the screen next looks different by itself.
    pub fn next_tick(&self, now: Time, view: &View, size: Size) -> Option<Time> {
        self.list.next_tick(now, &row(self.chosen()?, view), size)
    }

    /// Draws the screen.
    pub fn draw(&self, frame: &mut Frame, now: Time, view: &View) {
        let Some(state) = &self.state else {
            return draw_header(frame, icons::QUEUE, "Queue", "");
        };
        let waiting = match state.upcoming.len() {
            0 => "nothing waits".to_owned(),
            count => format!("{count} waiting"),
        };
        draw_header(frame, icons::QUEUE, "Queue", &waiting);
        let rows = self.rows();
        if rows == 0 {
            return draw_empty(frame, &["the queue is empty", "press to search"]);
        }
        self.list.draw(frame, now, rows, |index| self.entry(index).map(|entry| row(entry, view)).unwrap_or_default());
    }
}

fn row(entry: Entry<'_>, view: &View) -> Row {
    let (track, playing) = match entry {
        Entry::Current(track) => (track, view.is_active()),
        Entry::Waiting(_, track) => (track, false),
    };
    Row {
        title: track.title.clone(),
        detail: if track.artist.is_empty() { track.album.clone() } else { track.artist.clone() },
        fact: track.format.to_uppercase(),
        seeds: None,
        playing,
    }
}
