//! What plays, or the jukebox's name if nothing does.

use embedded_graphics::geometry::{Point, Size};
use embedded_graphics::primitives::Rectangle;

use crate::control::{PlayState, PlayerStatus, TrackInfo};
use crate::panel::{Frame, WIDTH};
use crate::types::{Bytes, Time};
use crate::ui::icons;
use crate::ui::text::{Face, Line, clock, count};
use crate::ui::view::View;

/// Texts keep one pixel off the edges, for the picture wanders by one.
const LEFT: i32 = 1;
const RIGHT: i32 = WIDTH as i32 - 1;
const ARTIST_Y: i32 = 0;
const TITLE_Y: i32 = 12;
const ALBUM_Y: i32 = 30;
const BAR_Y: i32 = 46;
const FOOT_Y: i32 = 52;

/// Draws the screen.
pub fn draw(frame: &mut Frame, now: Time, view: &View) {
    match &view.player().track {
        Some(track) if view.is_active() => draw_track(frame, now, view, track),
        _ => draw_home(frame, view),
    }
}

/// When the screen next looks different by itself.
pub fn next_tick(now: Time, view: &View) -> Option<Time> {
    let track = view.player().track.as_ref().filter(|_| view.is_active())?;
    let title = Line::new(&track.title, Face::Title);
    let scroll = title.next_scroll(RIGHT - LEFT, view.track_since(), now);
    let spin = (view.player().state == PlayState::Buffering).then(|| icons::next_spin(now));
    [scroll, spin, view.next_second(now)].into_iter().flatten().min()
}

fn draw_track(frame: &mut Frame, now: Time, view: &View, track: &TrackInfo) {
    let player = view.player();
    let mut right = RIGHT;
    if player.queued > 0 {
        let queued = Line::new(&player.queued.to_string(), Face::Body);
        queued.draw_right(frame, Point::new(right, ARTIST_Y));
        right -= queued.width() + 9;
        icons::draw(frame, icons::QUEUE, Point::new(right, ARTIST_Y + 2), true);
        right -= 4;
    }
    let artist = if track.artist.is_empty() { "Unknown artist" } else { &track.artist };
    Line::elided(artist, Face::Body, right - LEFT).draw(frame, Point::new(LEFT, ARTIST_Y));
    let title = Line::new(&track.title, Face::Title);
    title.draw_scrolling(frame, Point::new(LEFT, TITLE_Y), RIGHT - LEFT, now.since(view.track_since()));
    Line::elided(&album(track), Face::Body, RIGHT - LEFT).draw(frame, Point::new(LEFT, ALBUM_Y));
    draw_bar(frame, seconds(view, now), player);
    draw_foot(frame, now, view);
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
fn draw_bar(frame: &mut Frame, position: f64, player: &PlayerStatus) {
    let width = RIGHT - LEFT;
    let place = |seconds: f64| {
        if player.duration_s > 0.0 {
            ((seconds / player.duration_s).clamp(0.0, 1.0) * f64::from(width)) as i32
        } else {
            0
        }
    };
    // What is buffered counts from the position that was published with it.
    let (heard, here) = (place(position), place(player.position_s + player.buffered_s.max(0.0)));
    (LEFT..RIGHT).step_by(4).for_each(|x| frame.set(x, BAR_Y, true));
    frame.fill(Rectangle::new(Point::new(LEFT, BAR_Y), Size::new(here as u32, 1)), true);
    frame.fill(Rectangle::new(Point::new(LEFT, BAR_Y - 1), Size::new(heard as u32, 3)), true);
    if player.duration_s > 0.0 {
        let knob = (LEFT + heard - 1).clamp(LEFT, RIGHT - 3);
        frame.fill(Rectangle::new(Point::new(knob, BAR_Y - 3), Size::new(3, 7)), true);
    }
}

fn draw_foot(frame: &mut Frame, now: Time, view: &View) {
    let player = view.player();
    let heard = Line::new(&clock(seconds(view, now)), Face::Body);
    heard.draw(frame, Point::new(LEFT, FOOT_Y));
    if player.duration_s > 0.0 {
        Line::new(&clock(player.duration_s), Face::Body).draw_right(frame, Point::new(RIGHT, FOOT_Y));
    }
    let middle = WIDTH as i32 / 2;
    match player.state {
        PlayState::Buffering => {
            let text =
                if player.buffered_s >= 0.1 { format!("{:.1} s", player.buffered_s) } else { "loading".to_owned() };
            let line = Line::new(&text, Face::Body);
            let left = middle - (line.width() + 10) / 2;
            icons::spinner(frame, Point::new(left, FOOT_Y + 2), now);
            line.draw(frame, Point::new(left + 10, FOOT_Y));
        }
        PlayState::Playing => icons::draw_centred(frame, icons::PLAY, Point::new(middle, FOOT_Y + 5)),
        PlayState::Paused => icons::draw_centred(frame, icons::PAUSE, Point::new(middle, FOOT_Y + 5)),
        PlayState::Stopped => icons::draw_centred(frame, icons::STOP, Point::new(middle, FOOT_Y + 5)),
    }
}

fn draw_home(frame: &mut Frame, view: &View) {
    let middle = WIDTH as i32 / 2;
    Line::new("Silverstream", Face::Title).draw_centred(frame, Point::new(middle, 4));
    icons::draw_centred(frame, icons::STREAM, Point::new(middle, 25));
    let tracks = match view.status().index.tracks {
        0 => "listening for songs".to_owned(),
        1 => "1 song".to_owned(),
        tracks => format!("{} songs", count(tracks)),
    };
    Line::new(&tracks, Face::Body).draw_centred(frame, Point::new(middle, 34));
    let hint = if view.player().queued > 0 { "press to play the queue" } else { "press to search" };
    Line::new(hint, Face::Body).draw_centred(frame, Point::new(middle, 50));
}
