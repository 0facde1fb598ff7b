//! Search by dialling: a wheel of the letters that still have hits.

use std::time::Duration;

use embedded_graphics::geometry::{Point, Size};
use embedded_graphics::primitives::Rectangle;

use crate::control::DialState;
use crate::panel::{Frame, OLED};
use crate::types::Time;
use crate::ui::icons;
use crate::ui::list::round_corners;
use crate::ui::text::{Face, Line, count, draw_large};

/// Letters that can be dialled; long before that there is one hit or none.
const MAX_LETTERS: usize = 40;
/// With so few hits the list is nearer than the next letter.
const FEW_HITS: u64 = 4;
/// A question that takes longer is shown to be under way.
const SPINNER_AFTER: Duration = Duration::from_millis(200);
/// The box of the chosen place.
const BOX_SIZE: i32 = 26;
/// From its top to the feet of the large letter, and to the tops of the smaller ones.
const LARGE_FOOT: i32 = 22;
const TITLE_Y: i32 = 5;
const BODY_Y: i32 = 8;
/// From the middle to the places left and right of the chosen one; the further ones follow in steps.
const PLACES: [i32; 3] = [25, 42, 56];
const PLACE_STEP: i32 = 13;
/// Half a letter at the edge.
const EDGE: i32 = 4;
/// The line for the number of hits, from the foot.
const FOOT: i32 = 12;

/// Where things are on a canvas.
struct Layout {
    middle: i32,
    box_top: i32,
    foot_y: i32,
    right: i32,
}

impl Layout {
    fn of(frame: &Frame) -> Self {
        let box_top = 20 + (frame.height() - OLED.height as i32) / 2;
        Self { middle: frame.width() / 2, box_top, foot_y: frame.height() - FOOT, right: frame.width() - 1 }
    }

    /// Distances from the middle at which there is room for a letter.
    fn places(&self) -> impl Iterator<Item = i32> + use<> {
        let room = self.middle - EDGE;
        let further = (1..).map(|step| PLACES[PLACES.len() - 1] + step * PLACE_STEP);
        PLACES.into_iter().chain(further).take_while(move |place| *place <= room)
    }
}

/// A place on the wheel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// A letter and the hits that it leads to.
    Letter(char, u64),
    /// To the list of hits.
    Results,
    /// Takes the last letter back.
    Erase,
}

/// What pressing asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Nothing: the wheel is not known yet.
    Nothing,
    /// The letters that may follow [`Dial::prefix`], which has changed.
    Letters,
    /// The hits for [`Dial::prefix`].
    Hits,
}

/// What is dialled and what may follow.
#[derive(Debug)]
pub struct Dial {
    prefix: String,
    /// None: asked for, not answered yet.
    state: Option<DialState>,
    asked_at: Time,
    slots: Vec<Slot>,
    chosen: usize,
}

impl Dial {
    /// Nothing dialled.
    pub fn new(now: Time) -> Self {
        Self { prefix: String::new(), state: None, asked_at: now, slots: Vec::new(), chosen: 0 }
    }

    /// What is dialled.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Forgets the letters, because they are asked for again.
    pub fn refresh(&mut self, now: Time) {
        (self.state, self.asked_at) = (None, now);
    }

    /// Starts over.
    pub fn clear(&mut self, now: Time) {
        *self = Self::new(now);
    }

    /// The answer for `prefix`; one that is no longer asked for is ignored.
    pub fn answer(&mut self, prefix: &str, state: DialState) {
        if prefix != self.prefix {
            return;
        }
        (self.slots, self.chosen) = wheel(&self.prefix, &state);
        self.state = Some(state);
    }

    /// There is no answer for `prefix`: what is dialled can be taken back, and pressing asks again.
    pub fn failed(&mut self, prefix: &str) {
        self.answer(prefix, DialState::default());
    }

    /// Moves the wheel; it has no end.
    pub fn turn(&mut self, detents: i32) {
        if !self.slots.is_empty() && self.state.is_some() {
            let places = self.slots.len() as i64;
            self.chosen = (self.chosen as i64 + i64::from(detents)).rem_euclid(places) as usize;
        }
    }

    /// Takes the chosen place.
    pub fn press(&mut self, now: Time) -> Asked {
        if self.state.is_none() {
            return Asked::Nothing;
        }
        match self.slots.get(self.chosen) {
            Some(Slot::Letter(letter, _)) => self.prefix.push(*letter),
            Some(Slot::Results) => return Asked::Hits,
            Some(Slot::Erase) => drop(self.prefix.pop()),
            // An empty wheel: asks again, the catalogue may have got its first song.
            None => {}
        }
        self.refresh(now);
        Asked::Letters
    }

    /// When the screen next looks different by itself.
    pub fn next_tick(&self, now: Time) -> Option<Time> {
        if self.state.is_some() {
            return None;
        }
        let waited = now.since(self.asked_at);
        Some(if waited < SPINNER_AFTER { self.asked_at + SPINNER_AFTER } else { icons::next_spin(now) })
    }

    /// Draws the screen.
    pub fn draw(&self, frame: &mut Frame, now: Time) {
        self.draw_prefix(frame);
        let layout = Layout::of(frame);
        let Layout { middle, box_top, foot_y, .. } = layout;
        match &self.state {
            Some(_) if self.slots.is_empty() => {
                Line::new("no songs yet", Face::Body).draw_centred(frame, Point::new(middle, box_top + 4));
                Line::new("press to look again", Face::Body).draw_centred(frame, Point::new(middle, box_top + 18));
            }
            Some(state) => {
                self.draw_wheel(frame, &layout);
                self.draw_foot(frame, &layout, state);
            }
            None => {
                self.draw_wheel(frame, &layout);
                let waited = now.since(self.asked_at);
                if waited >= SPINNER_AFTER {
                    icons::spinner(frame, Point::new(middle - 3, foot_y + 2), now);
                }
            }
        }
    }

    /// What is dialled, with a cursor; its end if it is long.
    fn draw_prefix(&self, frame: &mut Frame) {
        icons::draw(frame, icons::SEARCH, Point::new(1, 5), true);
        let left = 13;
        if self.prefix.is_empty() {
            Line::new("Dial a song", Face::Title).draw(frame, Point::new(left, 0));
        } else {
            let room = frame.width() - left - 10;
            let mut shown = self.prefix.as_str();
            // A space at the end is part of what is dialled; a line ends with its last letter.
            let space = if shown.ends_with(' ') { 5 } else { 0 };
            while Line::new(shown, Face::Title).width() + space > room {
                shown = shown.char_indices().nth(1).map_or("", |(at, _)| &shown[at..]);
            }
            let line = Line::new(shown, Face::Title);
            line.draw(frame, Point::new(left, 0));
            let cursor = Point::new(left + line.width() + space + 2, 3);
            frame.fill(Rectangle::new(cursor, Size::new(6, 11)), true);
        }
        frame.fill(Rectangle::new(Point::new(0, 17), Size::new(frame.width() as u32, 1)), true);
    }

    fn draw_wheel(&self, frame: &mut Frame, layout: &Layout) {
        let places = self.slots.len();
        let Some(chosen) = self.slots.get(self.chosen) else { return };
        let Layout { middle, box_top, .. } = *layout;
        draw_slot(frame, *chosen, Point::new(middle, box_top), 0);
        let area = Rectangle::new(Point::new(middle - BOX_SIZE / 2, box_top), Size::new_equal(BOX_SIZE as u32));
        frame.invert(area);
        round_corners(frame, area);
        // No place is shown twice, however small the wheel is.
        for (distance, offset) in (1..).zip(layout.places()) {
            if 2 * distance < places + 1 {
                draw_slot(
                    frame,
                    self.slots[(self.chosen + distance) % places],
                    Point::new(middle + offset, box_top),
                    distance,
                );
            }
            if 2 * distance < places {
                draw_slot(
                    frame,
                    self.slots[(self.chosen + places - distance) % places],
                    Point::new(middle - offset, box_top),
                    distance,
                );
            }
        }
    }

    fn draw_foot(&self, frame: &mut Frame, layout: &Layout, state: &DialState) {
        let Layout { foot_y, right: end, .. } = *layout;
        let songs = |hits: u64| if hits == 1 { "1 song".to_owned() } else { format!("{} songs", count(hits)) };
        let (left, right) = match self.slots.get(self.chosen) {
            Some(Slot::Letter(_, hits)) => (songs(state.hits), count(*hits)),
            Some(Slot::Results) => (songs(state.hits), "show".to_owned()),
            Some(Slot::Erase) => (songs(state.hits), "take back".to_owned()),
            None => return,
        };
        Line::new(&left, Face::Body).draw(frame, Point::new(1, foot_y));
        let right = Line::new(&right, Face::Body);
        right.draw_right(frame, Point::new(end, foot_y));
        if let Some(Slot::Letter(letter, _)) = self.slots.get(self.chosen) {
            // Which letter the number on the right belongs to.
            let x = end - right.width() - 4;
            let name = if *letter == ' ' { "space".to_owned() } else { letter.to_uppercase().to_string() };
            Line::new(&format!("{name}:"), Face::Body).draw_right(frame, Point::new(x, foot_y));
        }
    }
}

/// The wheel for what is dialled and may follow, and the index of the place where it begins.
pub fn wheel(prefix: &str, state: &DialState) -> (Vec<Slot>, usize) {
    let slots = slots(prefix, state);
    let chosen = likeliest(&slots, state.hits);
    (slots, chosen)
}

/// The wheel: taking back, the list, the letters in their order.
fn slots(prefix: &str, state: &DialState) -> Vec<Slot> {
    let mut slots = Vec::with_capacity(state.letters.len() + 2);
    if !prefix.is_empty() {
        slots.push(Slot::Erase);
        if state.hits > 0 {
            slots.push(Slot::Results);
        }
    }
    if prefix.chars().count() < MAX_LETTERS {
        slots.extend(state.letters.iter().map(|letter| Slot::Letter(letter.letter, letter.hits)));
    }
    slots
}

/// Where the wheel begins: at the letter with most hits, or at the list when only few are left.
fn likeliest(slots: &[Slot], hits: u64) -> usize {
    let weight = |slot: &Slot| match slot {
        Slot::Letter(_, hits) => *hits,
        Slot::Results if hits <= FEW_HITS => u64::MAX,
        Slot::Results | Slot::Erase => 0,
    };
    // The first of equals: `max_by_key` takes the last.
    slots.iter().enumerate().rev().max_by_key(|(_, slot)| weight(slot)).map_or(0, |(at, _)| at)
}

/// Draws a place below the middle of its top; the further from the chosen one (0), the smaller.
fn draw_slot(frame: &mut Frame, slot: Slot, top: Point, distance: usize) {
    let middle = top + Point::new(0, BOX_SIZE / 2);
    match slot {
        Slot::Letter(' ', _) if distance == 0 => icons::draw_centred(frame, icons::SPACE, middle + Point::new(0, 4)),
        Slot::Letter(' ', _) => icons::draw_centred(frame, icons::SMALL_SPACE, middle + Point::new(0, 4)),
        Slot::Letter(letter, _) => {
            let letter = letter.to_uppercase().next().unwrap_or(letter);
            if distance > 0 || !draw_large(frame, letter, top.x, top.y + LARGE_FOOT) {
                let (face, y) = if distance < 2 { (Face::Title, TITLE_Y) } else { (Face::Body, BODY_Y) };
                Line::new(&letter.to_string(), face).draw_centred(frame, top + Point::new(0, y));
            }
        }
        Slot::Results if distance == 0 => icons::draw_centred(frame, icons::LIST, middle),
        Slot::Results => icons::draw_centred(frame, icons::QUEUE, middle),
        Slot::Erase if distance == 0 => icons::draw_centred(frame, icons::ERASE, middle),
        Slot::Erase => icons::draw_centred(frame, icons::BACK, middle),
    }
}
