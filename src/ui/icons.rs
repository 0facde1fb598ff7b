//! Small pictures, drawn as they look.

use embedded_graphics::geometry::Point;

use crate::panel::Frame;
use crate::types::Time;

/// Rows of a picture; `#` is lit.
pub type Icon = &'static [&'static str];

pub const PLAY: Icon = &["##.....", "####...", "######.", "#######", "######.", "####...", "##....."];
pub const PAUSE: Icon = &["##.##", "##.##", "##.##", "##.##", "##.##", "##.##", "##.##"];
pub const STOP: Icon = &["######", "######", "######", "######", "######", "######"];
pub const NEXT: Icon = &["#...##", "##..##", "###.##", "######", "###.##", "##..##", "#...##"];
pub const PREVIOUS: Icon = &["##...#", "##..##", "##.###", "######", "##.###", "##..##", "##...#"];
pub const SEARCH: Icon = &["..###..", ".#...#.", ".#...#.", ".#...#.", "..####.", ".....##", "......#"];
pub const QUEUE: Icon = &["#######", ".......", "#######", ".......", "####...", ".......", "####..."];
pub const STATUS: Icon = &["......#", "......#", "...#..#", "...#..#", "#..#..#", "#..#..#", "#..#..#"];
pub const BACK: Icon = &["...#...", "..##...", ".######", "#######", ".######", "..##...", "...#..."];
pub const SPEAKER: Icon = &[
    "....#......",
    "...##...#..",
    "#####.#..#.",
    "#####..#.#.",
    "#####..#.#.",
    "#####..#.#.",
    "#####.#..#.",
    "...##...#..",
    "....#......",
];
pub const MUTED: Icon = &[
    "....#......",
    "...##......",
    "#####.#...#",
    "#####..#.#.",
    "#####...#..",
    "#####..#.#.",
    "#####.#...#",
    "...##......",
    "....#......",
];
/// Somebody who shares.
pub const SEEDS: Icon = &["..#..", ".###.", "#####", "..#..", "..#..", "..#.."];
pub const ERASE: Icon = &[
    "....#############",
    "...#............#",
    "..#....#...#....#",
    ".#......#.#.....#",
    "#........#......#",
    ".#......#.#.....#",
    "..#....#...#....#",
    "...#............#",
    "....#############",
];
pub const LIST: Icon = &[
    "##..############",
    "##..############",
    "................",
    "................",
    "##..############",
    "##..############",
    "................",
    "................",
    "##..############",
    "##..############",
    "................",
    "................",
    "##..############",
    "##..############",
];
/// The sign for a space on the wheel.
pub const SPACE: Icon = &["#..............#", "#..............#", "#..............#", "################"];
pub const SMALL_SPACE: Icon = &["#.......#", "#.......#", "#########"];
/// A stream under the jukebox's name.
pub const STREAM: Icon = &[
    "...####..........####..........####..........####..........####...",
    ".##....##......##....##......##....##......##....##......##....##.",
    "#........##..##........##..##........##..##........##..##........#",
    "...........##............##............##............##...........",
];

/// Positions of the spinner's eight dots, clockwise from the top.
const DOTS: [(i32, i32); 8] = [(3, 0), (5, 1), (6, 3), (5, 5), (3, 6), (1, 5), (0, 3), (1, 1)];
/// Time between two steps of the spinner, in milliseconds.
const SPINNER_STEP_MS: u64 = 150;
/// Lit dots of the spinner.
const LIT_DOTS: usize = 5;

/// Draws the picture with its upper left corner at the point, lighting or darkening.
pub fn draw(frame: &mut Frame, icon: Icon, at: Point, lit: bool) {
    for (y, row) in icon.iter().enumerate() {
        for (x, _) in row.bytes().enumerate().filter(|(_, cell)| *cell == b'#') {
            frame.set(at.x + x as i32, at.y + y as i32, lit);
        }
    }
}

/// Pixels across and down.
pub fn size(icon: Icon) -> (i32, i32) {
    (icon.iter().map(|row| row.len()).max().unwrap_or(0) as i32, icon.len() as i32)
}

/// Draws the picture with its middle at the point.
pub fn draw_centred(frame: &mut Frame, icon: Icon, middle: Point) {
    let (width, height) = size(icon);
    draw(frame, icon, middle - Point::new(width / 2, height / 2), true);
}

/// Draws a ring of seven pixels that turns with the time.
pub fn spinner(frame: &mut Frame, at: Point, now: Time) {
    let first = (now.as_millis() / SPINNER_STEP_MS % DOTS.len() as u64) as usize;
    for index in first..first + LIT_DOTS {
        let (x, y) = DOTS[index % DOTS.len()];
        frame.set(at.x + x, at.y + y, true);
    }
}

/// When the spinner turns on.
pub fn next_spin(now: Time) -> Time {
    Time::from_millis((now.as_millis() / SPINNER_STEP_MS + 1) * SPINNER_STEP_MS)
}
