//! A list of which the chosen row is large and the others are small.

use std::time::Duration;

use embedded_graphics::geometry::{Point, Size};
use embedded_graphics::primitives::Rectangle;

use super::icons;
use super::text::{Face, Line, wrapped};
use crate::panel::Frame;
use crate::types::Time;

/// Top of the list, under the header and its rule.
const TOP: i32 = 13;
/// Height of the chosen row: a title and a line of details.
const FOCUS_HEIGHT: i32 = 28;
/// Height of the other rows.
const ROW_HEIGHT: i32 = 11;
/// Pixels on the right for the scroll bar.
const BAR_WIDTH: i32 = 4;
/// A list of so many rows can be crossed with as many detents, however fast.
const ROWS_A_STRIDE: usize = 12;
/// Where texts begin and end.
const LEFT: i32 = 3;
const RIGHT_MARGIN: i32 = BAR_WIDTH + 3;

/// One row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    pub title: String,
    /// Under the title of the chosen row, elided.
    pub detail: String,
    /// Right of the detail, never elided.
    pub fact: String,
    /// A number with the sign for seeds, right of the fact.
    pub seeds: Option<u32>,
    /// Marked as the one that plays.
    pub playing: bool,
}

/// Which row is chosen.
#[derive(Debug, Clone, Copy)]
pub struct List {
    pub chosen: usize,
    /// Since when; from then on its title scrolls.
    since: Time,
}

impl List {
    pub fn new(now: Time) -> Self {
        Self { chosen: 0, since: now }
    }

    /// Moves by `detents`, or further, up to `reach`, where the list is long; stops at both ends.
    pub fn turn(&mut self, now: Time, detents: i32, reach: i32, rows: usize) {
        let stride = (rows / ROWS_A_STRIDE).max(1) as i64;
        let most = i64::from(detents).abs() * stride;
        let moved = i64::from(reach).clamp(-most, most);
        let chosen = (self.chosen as i64 + moved).clamp(0, rows.saturating_sub(1) as i64) as usize;
        if chosen != self.chosen {
            *self = Self { chosen, since: now };
        }
    }

    /// Draws the rows; `row` makes the one at a position.
    pub fn draw(&self, frame: &mut Frame, now: Time, rows: usize, row: impl Fn(usize) -> Row) {
        // The chosen row is in the middle where there are rows on both sides.
        let others = others(frame.height());
        let above = self.chosen.min(others / 2).max((self.chosen + 1 + others).saturating_sub(rows).min(self.chosen));
        let above = above.min(others);
        let mut y = TOP;
        for index in self.chosen - above..rows.min(self.chosen - above + others + 1) {
            let row = row(index);
            if index == self.chosen {
                draw_focus(frame, y, &row, now.since(self.since));
                y += FOCUS_HEIGHT;
            } else {
                draw_row(frame, y, &row);
                y += ROW_HEIGHT;
            }
        }
        draw_bar(frame, self.chosen, rows);
    }

    /// When the chosen row next looks different.
    pub fn next_tick(&self, now: Time, row: &Row, size: Size) -> Option<Time> {
        let width = size.width as i32 - RIGHT_MARGIN - LEFT - mark_width(row);
        Line::new(&row.title, Face::Title).next_scroll(width, self.since, now)
    }
}

/// Rows besides the chosen one that fit on a canvas of this height.
fn others(height: i32) -> usize {
    ((height - TOP - FOCUS_HEIGHT) / ROW_HEIGHT).max(0) as usize
}

/// Pixels that the mark of the playing row takes.
fn mark_width(row: &Row) -> i32 {
    if row.playing { 9 } else { 0 }
}

fn draw_focus(frame: &mut Frame, y: i32, row: &Row, elapsed: Duration) {
    let left = LEFT + mark_width(row);
    if row.playing {
        icons::draw(frame, icons::PLAY, Point::new(LEFT, y + 5), true);
    }
    let mut right = frame.width() - RIGHT_MARGIN;
    let title = Line::new(&row.title, Face::Title);
    title.draw_scrolling(frame, Point::new(left, y), right - left, elapsed);
    if let Some(seeds) = row.seeds {
        let number = Line::new(&short_count(seeds), Face::Body);
        number.draw_right(frame, Point::new(right, y + 16));
        right -= number.width() + 7;
        icons::draw(frame, icons::SEEDS, Point::new(right, y + 19), true);
        right -= 5;
    }
    let fact = Line::new(&row.fact, Face::Body);
    fact.draw_right(frame, Point::new(right, y + 16));
    right -= fact.width() + if row.fact.is_empty() { 0 } else { 5 };
    Line::elided(&row.detail, Face::Body, right - LEFT).draw(frame, Point::new(LEFT, y + 16));
    let size = Size::new((frame.width() - BAR_WIDTH) as u32, FOCUS_HEIGHT as u32);
    frame.invert(Rectangle::new(Point::new(0, y), size));
    round_corners(frame, Rectangle::new(Point::new(0, y), size));
}

/// At most four characters: `999`, `9999`, `12k`.
fn short_count(number: u32) -> String {
    if number > 9_999 { format!("{}k", number / 1000) } else { number.to_string() }
}

/// Darkens the corners of a filled box.
pub fn round_corners(frame: &mut Frame, area: Rectangle) {
    let (right, bottom) = (area.size.width as i32 - 1, area.size.height as i32 - 1);
    for (x, y) in [(0, 0), (right, 0), (0, bottom), (right, bottom)] {
        frame.set(area.top_left.x + x, area.top_left.y + y, false);
    }
}

fn draw_row(frame: &mut Frame, y: i32, row: &Row) {
    let left = LEFT + mark_width(row);
    if row.playing {
        icons::draw(frame, icons::PLAY, Point::new(LEFT, y + 2), true);
    }
    Line::elided(&row.title, Face::Body, frame.width() - RIGHT_MARGIN - left).draw(frame, Point::new(left, y));
}

fn draw_bar(frame: &mut Frame, chosen: usize, rows: usize) {
    if rows <= others(frame.height()) + 1 {
        return;
    }
    let x = frame.width() - 2;
    let height = frame.height() - 1 - TOP;
    let thumb = (height * (others(frame.height()) as i32 + 1) / rows as i32).clamp(5, height);
    let y = TOP + (height - thumb) * chosen as i32 / (rows as i32 - 1);
    (TOP..TOP + height).step_by(3).for_each(|y| frame.set(x, y, true));
    frame.fill(Rectangle::new(Point::new(x - 1, y), Size::new(3, thumb as u32)), true);
}

/// Draws the line over a list or page: a name, something on the right, a rule.
pub fn draw_header(frame: &mut Frame, icon: icons::Icon, name: &str, right: &str) {
    icons::draw(frame, icon, Point::new(1, 1), true);
    let right_line = Line::new(right, Face::Body);
    right_line.draw_right(frame, Point::new(frame.width() - 1, 0));
    let width = frame.width() - 12 - right_line.width() - 6;
    Line::elided(name, Face::Body, width).draw(frame, Point::new(12, 0));
    frame.fill(Rectangle::new(Point::new(0, 11), Size::new(frame.width() as u32, 1)), true);
}

/// Lines that a sentence of [`draw_empty`] takes at most.
const MAX_EMPTY_LINES: usize = 2;

/// Draws sentences in the middle under a header.
pub fn draw_empty(frame: &mut Frame, lines: &[&str]) {
    let lines: Vec<Line> =
        lines.iter().flat_map(|line| wrapped(line, Face::Body, frame.width() - 4, MAX_EMPTY_LINES)).collect();
    let mut y = (TOP + frame.height() - 3) / 2 - lines.len() as i32 * 6;
    for line in lines {
        line.draw_centred(frame, Point::new(frame.width() / 2, y));
        y += 12;
    }
}
