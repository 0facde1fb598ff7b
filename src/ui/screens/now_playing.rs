//! What plays, or the jukebox's name if nothing does.

use std::time::Duration;

use embedded_graphics::geometry::{OriginDimensions, Point, Size};
use embedded_graphics::primitives::Rectangle;

use crate::control::{PlayState, PlayerStatus, TrackInfo};
use crate::panel::{Frame, OLED};
use crate::types::{Bytes, Time};
use crate::ui::icons;
use crate::ui::text::{Face, Line, clock, count, wrapped};
use crate::ui::view::View;

/// Texts keep one pixel off the edges, for the picture wanders by one.
const LEFT: i32 = 1;
/// Heights of artist, a line of the title, and album.
const ARTIST_HEIGHT: i32 = 12;
const TITLE_HEIGHT: i32 = 18;
const ALBUM_HEIGHT: i32 = 12;
/// From the foot up to the clock and to the bar above it.
const FOOT: i32 = 12;
const BAR: i32 = 18;
/// Lines of a title at most; a longer one scrolls.
const MAX_TITLE_LINES: i32 = 3;

/// Where things are on a canvas.
struct Layout {
    right: i32,
    middle: i32,
    foot_y: i32,
    bar_y: i32,
    /// Lines that a title may have.
    title_lines: usize,
}

impl Layout {
    fn of(size: Size) -> Self {
        let (width, height) = (size.width as i32, size.height as i32);
        let bar_y = height - BAR;
        let room = bar_y - 4 - ARTIST_HEIGHT - ALBUM_HEIGHT;
        let title_lines = (room / TITLE_HEIGHT).clamp(1, MAX_TITLE_LINES) as usize;
        Self { right: width - 1, middle: width / 2, foot_y: height - FOOT, bar_y, title_lines }
    }

    /// The lines of a title that need not scroll.
    fn title(&self, title: &str) -> Option<Vec<Line>> {
        let width = self.right - LEFT;
        let lines = wrapped(title, Face::Title, width, self.title_lines + 1);
        (self.title_lines > 1 && lines.len() <= self.title_lines).then_some(lines)
    }
}

/// Draws the screen.
pub fn draw(frame: &mut Frame, now: Time, view: &View) {
    match &view.player().track {
        Some(track) if view.is_active() => draw_track(frame, now, view, track),
        _ => draw_home(frame, view),
    }
}

/// When the screen next looks different by itself.
pub fn next_tick(now: Time, view: &View, size: Size) -> Option<Time> {
    let track = view.player().track.as_ref().filter(|_| view.is_active())?;
    let layout = Layout::of(size);
    let scroll = match layout.title(&track.title) {
        Some(_) => None,
        None => Line::new(&track.title, Face::Title).next_scroll(layout.right - LEFT, view.track_since(), now),
    };
    let spin = (view.player().state == PlayState::Buffering).then(|| icons::next_spin(now));
    [scroll, spin, view.next_second(now)].into_iter().flatten().min()
}

fn draw_track(frame: &mut Frame, now: Time, view: &View, track: &TrackInfo) {
    let player = view.player();
    let layout = Layout::of(frame.size());
    let width = layout.right - LEFT;
    let lines = layout.title(&track.title);
    let title_height = TITLE_HEIGHT * lines.as_ref().map_or(1, |lines| lines.len().max(1)) as i32;
    // Artist, title and album in the middle of what is above the bar.
    let mut y = ((layout.bar_y - 4 - ARTIST_HEIGHT - title_height - ALBUM_HEIGHT) / 2).max(0);
    let mut right = layout.right;
    if player.queued > 0 {
        let queued = Line::new(&player.queued.to_string(), Face::Body);
        queued.draw_right(frame, Point::new(right, y));
        right -= queued.width() + 9;
        icons::draw(frame, icons::QUEUE, Point::new(right, y + 2), true);
        right -= 4;
    }
    let artist = if track.artist.is_empty() { "Unknown artist" } else { &track.artist };
    Line::elided(artist, Face::Body, right - LEFT).draw(frame, Point::new(LEFT, y));
    y += ARTIST_HEIGHT;
    match lines {
        Some(lines) => {
            for (line, index) in lines.iter().zip(0..) {
                // Nothing scrolls; but lines that read from right to left begin there.
                line.draw_scrolling(frame, Point::new(LEFT, y + index * TITLE_HEIGHT), width, Duration::ZERO);
            }
        }
        None => {
            let title = Line::new(&track.title, Face::Title);
            title.draw_scrolling(frame, Point::new(LEFT, y), width, now.since(view.track_since()));
        }
    }
    y += title_height;
    Line::elided(&album(track), Face::Body, width).draw(frame, Point::new(LEFT, y));
    draw_bar(frame, &layout, seconds(view, now), player);
    draw_foot(frame, &layout, now, view);
}

/// Whole seconds heard: bar and clock move together, once a second.
fn seconds(view: &View, now: Time) -> f64 {
    (view.position_ms(now) / 1000) as f64
}

/// Second line under the title: the album, else what kind of file it is.
fn album(track: &TrackInfo) -> String {
    if track.album.is_empty() {
        format!("{}  {}", track.format.to_uppercase(), Bytes(track.bytes))
    } else {
        track.album.clone()
    }
}

/// Dots for what is not here yet, a line for what is, a bar for what was heard.
fn draw_bar(frame: &mut Frame, layout: &Layout, position: f64, player: &PlayerStatus) {
    let (width, bar_y) = (layout.right - LEFT, layout.bar_y);
    let place = |seconds: f64| {
        if player.duration_s > 0.0 {
            ((seconds / player.duration_s).clamp(0.0, 1.0) * f64::from(width)) as i32
        } else {
            0
        }
    };
    // What is buffered counts from the position that was published with it.
    let (heard, here) = (place(position), place(player.position_s + player.buffered_s.max(0.0)));
    (LEFT..layout.right).step_by(4).for_each(|x| frame.set(x, bar_y, true));
    frame.fill(Rectangle::new(Point::new(LEFT, bar_y), Size::new(here as u32, 1)), true);
    frame.fill(Rectangle::new(Point::new(LEFT, bar_y - 1), Size::new(heard as u32, 3)), true);
    if player.duration_s > 0.0 {
        let knob = (LEFT + heard - 1).clamp(LEFT, layout.right - 3);
        frame.fill(Rectangle::new(Point::new(knob, bar_y - 3), Size::new(3, 7)), true);
    }
}

fn draw_foot(frame: &mut Frame, layout: &Layout, now: Time, view: &View) {
    let (player, foot_y, middle) = (view.player(), layout.foot_y, layout.middle);
    let heard = Line::new(&clock(seconds(view, now)), Face::Body);
    heard.draw(frame, Point::new(LEFT, foot_y));
    if player.duration_s > 0.0 {
        Line::new(&clock(player.duration_s), Face::Body).draw_right(frame, Point::new(layout.right, foot_y));
    }
    match player.state {
        PlayState::Buffering => {
            let text =
                if player.buffered_s >= 0.1 { format!("{:.1} s", player.buffered_s) } else { "loading".to_owned() };
            let line = Line::new(&text, Face::Body);
            let left = middle - (line.width() + 10) / 2;
            icons::spinner(frame, Point::new(left, foot_y + 2), now);
            line.draw(frame, Point::new(left + 10, foot_y));
        }
        PlayState::Playing => icons::draw_centred(frame, icons::PLAY, Point::new(middle, foot_y + 5)),
        PlayState::Paused => icons::draw_centred(frame, icons::PAUSE, Point::new(middle, foot_y + 5)),
        PlayState::Stopped => icons::draw_centred(frame, icons::STOP, Point::new(middle, foot_y + 5)),
    }
}

fn draw_home(frame: &mut Frame, view: &View) {
    let middle = frame.width() / 2;
    let top = (frame.height() - OLED.height as i32) / 2;
    Line::new("Silverstream", Face::Title).draw_centred(frame, Point::new(middle, top + 4));
    icons::draw_centred(frame, icons::STREAM, Point::new(middle, top + 25));
    let tracks = match view.status().index.tracks {
        0 => "listening for songs".to_owned(),
        1 => "1 song".to_owned(),
        tracks => format!("{} songs", count(tracks)),
    };
    Line::new(&tracks, Face::Body).draw_centred(frame, Point::new(middle, top + 34));
    let hint = if view.player().queued > 0 { "press to play the queue" } else { "press to search" };
    Line::new(hint, Face::Body).draw_centred(frame, Point::new(middle, top + 50));
}
