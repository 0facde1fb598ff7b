//! What a search has found.

use embedded_graphics::geometry::Size;

use crate::control::{SearchHit, SearchResults};
use crate::panel::Frame;
use crate::types::{Bytes, Time};
use crate::ui::icons;
use crate::ui::list::{List, Row, draw_empty, draw_header};
use crate::ui::overlay::{Action, Sheet};
use crate::ui::view::View;

/// Hits that are asked for: more than anybody turns through.
pub const LIMIT: u32 = 60;
/// What can be done with a hit.
pub const SHEET: Sheet = Sheet::new(&[Action::PlayNow, Action::AddToQueue, Action::SearchAgain, Action::Back]);

/// The list of hits.
#[derive(Debug)]
pub struct Results {
    query: String,
    /// None: asked for, not answered yet.
    answer: Option<SearchResults>,
    list: List,
}

impl Results {
    /// Nothing asked.
    pub fn new(now: Time, query: String) -> Self {
        Self { query, answer: None, list: List::new(now) }
    }

    /// The answer to `query`; one that is no longer asked for is ignored.
    pub fn answer(&mut self, now: Time, query: &str, mut answer: SearchResults) {
        if query == self.query {
            answer.results.truncate(LIMIT as usize);
            (self.answer, self.list) = (Some(answer), List::new(now));
        }
    }

    pub fn turn(&mut self, now: Time, detents: i32, reach: i32) {
        let rows = self.hits().len();
        self.list.turn(now, detents, reach, rows);
    }

    /// The chosen hit.
    pub fn chosen(&self) -> Option<&SearchHit> {
        self.hits().get(self.list.chosen)
    }

    fn hits(&self) -> &[SearchHit] {
        self.answer.as_ref().map_or(&[], |answer| &answer.results)
    }

    /// When the screen next looks different by itself.
    pub fn next_tick(&self, now: Time, view: &View, size: Size) -> Option<Time> {
        self.list.next_tick(now, &row(self.chosen()?, view), size)
    }

    /// Draws the screen.
    pub fn draw(&self, frame: &mut Frame, now: Time, view: &View) {
        let Some(answer) = &self.answer else {
            draw_header(frame, icons::SEARCH, &self.query, "");
            return draw_empty(frame, &["searching"]);
        };
        let understood = answer.corrected.as_ref().unwrap_or(&self.query);
        if answer.results.is_empty() {
            draw_header(frame, icons::SEARCH, understood, "0");
            return draw_empty(frame, &["no song has these letters", "press to search again"]);
        }
        let place = format!("{}/{}", self.list.chosen + 1, answer.results.len());
        draw_header(frame, icons::SEARCH, understood, &place);
        self.list.draw(frame, now, answer.results.len(), |index| row(&answer.results[index], view));
    }
}

fn row(hit: &SearchHit, view: &View) -> Row {
    let detail = if hit.artist.is_empty() { Bytes(hit.bytes).to_string() } else { hit.artist.clone() };
    Row {
        title: hit.title.clone(),
        detail,
        fact: hit.format.to_uppercase(),
        seeds: Some(hit.seeders),
        playing: view.is_current(hit.track),
    }
}
