//! How the jukebox fares, in pages.

use embedded_graphics::geometry::{Point, Size};
use embedded_graphics::primitives::Rectangle;

use crate::control::{NetworkStatus, Status, WifiState};
use crate::panel::Frame;
use crate::types::Bytes;
use crate::ui::icons;
use crate::ui::list::{draw_empty, draw_header};
use crate::ui::overlay::outline;
use crate::ui::text::{Face, Line, count};

/// Top of the first row, and height of each where there is no more room and where there is much.
const TOP: i32 = 14;
const ROW_HEIGHT: i32 = 12;
const MAX_ROW_HEIGHT: i32 = 20;
/// Rows of a page.
const ROWS: i32 = 4;
const LEFT: i32 = 1;
/// Width of a row's name that its value, the more important, leaves to it, and the gap between them.
const MAX_NAME_WIDTH: i32 = 36;
const NAME_GAP: i32 = 3;

/// Names of the pages.
const PAGES: [&str; 5] = ["Network", "DHT", "Music", "Sharing", "Device"];

/// The page with the gauge.
const MUSIC: usize = 2;

/// Which page is shown.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pages {
    page: usize,
    /// Asks whether to switch off.
    leaving: bool,
}

impl Pages {
    /// The knob was held; whether the machine is to be switched off, which takes two times.
    pub fn hold(&mut self) -> bool {
        std::mem::replace(&mut self.leaving, true)
    }

    /// Not to be switched off; whether that was asked.
    pub fn stay(&mut self) -> bool {
        std::mem::take(&mut self.leaving)
    }

    pub fn turn(&mut self, detents: i32) {
        if self.stay() {
            return;
        }
        self.page = (self.page as i64 + i64::from(detents)).rem_euclid(PAGES.len() as i64) as usize;
    }

    /// Draws the page.
    pub fn draw(&self, frame: &mut Frame, status: &Status) {
        if self.leaving {
            draw_header(frame, icons::STATUS, "Switch off?", "");
            return draw_empty(frame, &["Hold the knob again", "to switch off"]);
        }
        draw_header(frame, icons::STATUS, PAGES[self.page], &format!("{}/{}", self.page + 1, PAGES.len()));
        let rows: Vec<(&str, String)> = match self.page {
            0 => network(&status.network),
            1 => dht(status),
            MUSIC => music(status),
            3 => sharing(status),
            _ => device(status),
        };
        let right = frame.width() - 1;
        let height = ((frame.height() - TOP) / ROWS).clamp(ROW_HEIGHT, MAX_ROW_HEIGHT);
        for (index, (name, value)) in (0..).zip(rows) {
            let y = TOP + (height - ROW_HEIGHT) / 2 + index * height;
            let kept = Line::elided(name, Face::Body, MAX_NAME_WIDTH).width();
            let value = Line::elided(&value, Face::Body, right - LEFT - kept - NAME_GAP);
            Line::elided(name, Face::Body, right - LEFT - value.width() - NAME_GAP).draw(frame, Point::new(LEFT, y));
            value.draw_right(frame, Point::new(right, y));
        }
        if self.page == MUSIC {
            draw_gauge(frame, TOP + (ROWS - 1) * height + 3, status);
        }
    }
}

fn network(network: &NetworkStatus) -> Vec<(&'static str, String)> {
    let or = |text: &Option<String>, none: &str| text.clone().unwrap_or_else(|| none.to_owned());
    let mut rows = vec![("IP", or(&network.address, "none")), ("Name", or(&network.name, "none"))];
    match &network.wifi {
        Some(wifi) => {
            let state = match wifi.state {
                WifiState::Joined => "joined",
                WifiState::Searching => "not in range",
                WifiState::WrongPassword => "wrong password",
                WifiState::Refused => "turned away",
                WifiState::NoDriver => "no firmware",
            };
            rows.extend([("Wi-Fi", wifi.name.clone()), ("", state.to_owned())]);
        }
        None => {
            let cable = if network.cable { "connected" } else { "none" };
            rows.extend([("Cable", cable.to_owned()), ("Wi-Fi", "not set up".to_owned())]);
        }
    }
    rows
}

fn dht(status: &Status) -> Vec<(&'static str, String)> {
    let nodes = count(u64::from(status.dht.nodes));
    let why = &status.budget.short;
    vec![
        ("Nodes", if why.is_empty() { nodes } else { format!("{nodes}, {why}") }),
        ("Contacts", count(status.dht.contacts)),
        ("Heard of", count(status.dht.infohashes)),
        ("To be read", count(status.index.queued)),
    ]
}

/// The gauge takes the last row.
fn music(status: &Status) -> Vec<(&'static str, String)> {
    vec![
        ("Songs", count(status.index.tracks)),
        ("Torrents", count(status.index.torrents)),
        ("Stored", format!("{} of {}", Bytes(status.storage.used_bytes), Bytes(status.storage.budget_bytes))),
    ]
}

fn sharing(status: &Status) -> Vec<(&'static str, String)> {
    vec![
        ("Torrents", count(status.seeding.torrents)),
        ("Peers", count(status.seeding.peers)),
        ("Given", Bytes(status.seeding.uploaded_bytes).to_string()),
        ("Taken", Bytes(status.seeding.downloaded_bytes).to_string()),
    ]
}

fn device(status: &Status) -> Vec<(&'static str, String)> {
    vec![
        ("Silverstream", status.version.clone()),
        match &status.left_slot {
            Some(slot) => ("Update", format!("slot {slot} failed")),
            None => ("Board", status.board.clone()),
        },
        ("Memory", Bytes(status.memory.rss_bytes).to_string()),
        ("Running for", uptime(status.uptime_s)),
    ]
}

/// A time in the two largest units that it has.
fn uptime(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes} min"),
        (0, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// How full the storage is.
fn draw_gauge(frame: &mut Frame, y: i32, status: &Status) {
    let area = Rectangle::new(Point::new(LEFT, y), Size::new((frame.width() - 1 - LEFT) as u32, 9));
    outline(frame, area);
    let (used, budget) = (status.storage.used_bytes, status.storage.budget_bytes.max(1));
    let inner = area.offset(-2);
    let width = (u128::from(inner.size.width) * u128::from(used.min(budget)) / u128::from(budget)) as u32;
    frame.fill(Rectangle::new(inner.top_left, Size::new(width, inner.size.height)), true);
}
