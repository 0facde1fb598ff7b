//! Text in every script, in two sizes.
//!
//! [`Line`] turns a title as somebody wrote it into glyphs from left to right; what the fonts cannot show becomes
//! Latin letters or a box, never nothing. Which fonts, under which licences, is in `src/ui/text/fonts.md`.

mod fonts;
mod prepare;
mod unifont;

use std::time::Duration;

use embedded_graphics::draw_target::DrawTargetExt;
use embedded_graphics::geometry::{Point, Size};
use embedded_graphics::primitives::Rectangle;

use crate::panel::Frame;
use crate::types::Time;
use fonts::Shape;
pub use fonts::{Face, draw_large};

/// Characters of a text that are looked at; more than three minutes of scrolling nobody reads.
const MAX_CHARS: usize = 256;
/// A text that is too long stands still so long before it scrolls.
const MARQUEE_PAUSE: Duration = Duration::from_millis(1800);
/// Time for one pixel of scrolling; also the highest rate at which screens are drawn.
pub const MARQUEE_STEP: Duration = Duration::from_millis(50);
/// Empty pixels between the end of a scrolling text and its next beginning.
const MARQUEE_GAP: i32 = 28;

/// A text laid out in one line.
#[derive(Debug)]
pub struct Line {
    face: Face,
    glyphs: Vec<(i32, Shape)>,
    width: i32,
    /// Reads from right to left: begins at its right end.
    rtl: bool,
}

impl Line {
    /// Lays the text out; [`MAX_CHARS`] characters at most.
    pub fn new(text: &str, face: Face) -> Self {
        let (chars, rtl) = prepare::prepare(text, face);
        let mut glyphs: Vec<(i32, Shape)> = Vec::with_capacity(chars.len());
        let (mut pen, mut base) = (0, 0);
        for ch in chars {
            let shape = fonts::shape(ch, face);
            if prepare::is_mark(ch) {
                // Over the letter before it, in the middle.
                glyphs.push((base + (pen - base - shape.advance(face)) / 2, shape));
                continue;
            }
            base = pen;
            pen += shape.advance(face);
            glyphs.push((base, shape));
        }
        Self { face, glyphs, width: pen, rtl }
    }

    /// Like [`Line::new`], cut with an ellipsis to fit `width` pixels.
    pub fn elided(text: &str, face: Face, width: i32) -> Self {
        let line = Self::new(text, face);
        if line.width <= width {
            return line;
        }
        let chars: Vec<char> = text.chars().take(MAX_CHARS).collect();
        let cut = |count: usize| {
            let mut cut: String = chars[..count].iter().collect();
            cut.truncate(cut.trim_end().len());
            cut.push('…');
            Self::new(&cut, face)
        };
        // The largest count that fits; more characters are never narrower by more than a mark's width.
        let (mut fits, mut too_long) = (0, chars.len());
        while too_long - fits > 1 {
            let middle = (fits + too_long) / 2;
            if cut(middle).width <= width { fits = middle } else { too_long = middle }
        }
        cut(fits)
    }

    /// Pixels across.
    pub fn width(&self) -> i32 {
        self.width
    }

    /// Draws with the upper left corner at the point; what leaves `clip` is cut off.
    fn draw_clipped(&self, frame: &mut Frame, at: Point, clip: Rectangle) {
        let mut target = frame.clipped(&clip);
        let right = clip.top_left.x + clip.size.width as i32;
        for (x, shape) in &self.glyphs {
            let x = at.x + x;
            if x < right && x + fonts::MAX_WIDTH > clip.top_left.x {
                shape.draw(&mut target, Point::new(x, at.y), self.face);
            }
        }
    }

    /// Draws with the upper left corner at the point.
    pub fn draw(&self, frame: &mut Frame, at: Point) {
        let clip = Rectangle::new(Point::new(0, at.y), Size::new(frame.width() as u32, self.face.height()));
        self.draw_clipped(frame, at, clip);
    }

    /// Draws so that it ends before the point.
    pub fn draw_right(&self, frame: &mut Frame, end: Point) {
        self.draw(frame, Point::new(end.x - self.width, end.y));
    }

    /// Draws with its middle at the point.
    pub fn draw_centred(&self, frame: &mut Frame, middle: Point) {
        self.draw(frame, Point::new(middle.x - self.width / 2, middle.y));
    }

    /// Draws into `width` pixels from the point; scrolls since `since` if it is wider.
    pub fn draw_scrolling(&self, frame: &mut Frame, at: Point, width: i32, elapsed: Duration) {
        let clip = Rectangle::new(at, Size::new(width.max(0) as u32, self.face.height()));
        if self.width <= width {
            let x = if self.rtl { width - self.width } else { 0 };
            return self.draw_clipped(frame, at + Point::new(x, 0), clip);
        }
        let moved = self.scrolled(elapsed);
        let period = self.width + MARQUEE_GAP;
        let (first, second) = if self.rtl {
            (width - self.width + moved, width - self.width + moved - period)
        } else {
            (-moved, period - moved)
        };
        self.draw_clipped(frame, at + Point::new(first, 0), clip);
        self.draw_clipped(frame, at + Point::new(second, 0), clip);
    }

    /// Pixels that the text has moved; each round begins with a pause.
    fn scrolled(&self, elapsed: Duration) -> i32 {
        let steps = i64::from(self.width + MARQUEE_GAP);
        let round = MARQUEE_PAUSE.as_millis() as i64 + steps * MARQUEE_STEP.as_millis() as i64;
        let within = elapsed.as_millis() as i64 % round - MARQUEE_PAUSE.as_millis() as i64;
        (within.max(0) / MARQUEE_STEP.as_millis() as i64) as i32
    }

    /// When [`Line::draw_scrolling`] with these arguments next looks different.
    pub fn next_scroll(&self, width: i32, since: Time, now: Time) -> Option<Time> {
        if self.width <= width {
            return None;
        }
        let elapsed = now.since(since);
        let moved = self.scrolled(elapsed);
        if moved > 0 {
            return Some(now + MARQUEE_STEP);
        }
        let steps = (self.width + MARQUEE_GAP) as u32;
        let round = (MARQUEE_PAUSE + MARQUEE_STEP * steps).as_millis() as u64;
        let within = Duration::from_millis(elapsed.as_millis() as u64 % round);
        Some(now + (MARQUEE_PAUSE + MARQUEE_STEP).saturating_sub(within).max(Duration::from_millis(1)))
    }
}

/// Breaks a text into at most `lines` lines of `width` pixels, at spaces where it has some; the last one is elided.
pub fn wrapped(text: &str, face: Face, width: i32, lines: usize) -> Vec<Line> {
    let mut rest = text.trim();
    let mut out = Vec::new();
    while !rest.is_empty() && out.len() < lines {
        let last = out.len() + 1 == lines;
        if last || Line::new(rest, face).width <= width {
            out.push(Line::elided(rest, face, width));
            break;
        }
        let fits = |end: &usize| Line::new(&rest[..*end], face).width <= width;
        let space = rest.match_indices(' ').map(|(at, _)| at).take(MAX_CHARS).take_while(fits).last();
        // One word wider than the display, or a script without spaces: broken anywhere.
        let end = space.unwrap_or_else(|| fitting(rest, face, width));
        out.push(Line::new(&rest[..end], face));
        rest = rest[end..].trim_start();
    }
    out
}

/// Bytes of as many letters as fit, at least one.
fn fitting(text: &str, face: Face, width: i32) -> usize {
    let ends: Vec<usize> = text.char_indices().map(|(at, ch)| at + ch.len_utf8()).take(MAX_CHARS).collect();
    let fits = ends.partition_point(|end| Line::new(&text[..*end], face).width <= width);
    ends.get(fits.saturating_sub(1)).copied().unwrap_or(text.len())
}

/// A count as people read it: `12 345`, and from ten million on `12.3 M`.
pub fn count(number: u64) -> String {
    if number >= 10_000_000 {
        return format!("{:.1} M", number as f64 / 1e6);
    }
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A playing time: `4:05`, `1:02:03`. Whatever is not a time is `0:00`.
pub fn clock(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests;
