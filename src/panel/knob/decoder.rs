//! Edges as the kernel reports them become gestures.

use std::time::Duration;

use super::{Acceleration, Button, Contact, Levels, Quadrature, Steps};
use crate::panel::{Gesture, Key};
use crate::types::Time;

/// So long after the last edge the levels are read: an edge that the hardware swallowed has no sequence number.
const SETTLED: Duration = Duration::from_millis(20);

/// Which line is what, by the numbers of the chip; each contact closes to ground.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines {
    pub a: u32,
    pub b: u32,
    pub press: u32,
    pub steps: Steps,
    /// Buttons of their own.
    pub keys: Vec<(Key, u32)>,
}

impl Lines {
    /// All numbers.
    pub fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        [self.a, self.b, self.press].into_iter().chain(self.keys.iter().map(|(_, line)| *line))
    }
}

/// A line has changed, as the kernel tells it (`struct gpio_v2_line_event`).
///
/// The kernel reads the level only when its interrupt thread runs. Edges that follow each other faster than that are told
/// as one: with the time of the last and the level after it, which may be the level before the first. Their numbers
/// within the request (`seqno`) then have gaps although nothing is missing; those of each line have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// When, on the kernel's monotonic clock.
    pub at: Duration,
    pub line: u32,
    /// The level after it.
    pub high: bool,
    /// Number among the events of this line (`line_seqno`); wraps.
    pub line_seqno: u32,
}

/// Edges that did not arrive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Losses {
    /// Numbered by the kernel and dropped, because its buffer was full.
    pub dropped: u64,
    /// Levels that differ from the last edge: the hardware was not fast enough.
    pub swallowed: u64,
}

/// The decoders of knob and buttons behind one interface, without the kernel.
#[derive(Debug)]
pub struct Knob {
    lines: Lines,
    a: Contact,
    b: Contact,
    quadrature: Quadrature,
    press: Button,
    keys: Vec<Button>,
    speed: Acceleration,
    /// The number that follows, for each line.
    next_seqno: Vec<(u32, u32)>,
    /// When the levels are to be read.
    read_at: Option<Duration>,
    /// Edges were dropped: what follows is only looked at until the levels are read.
    unsure: bool,
    losses: Losses,
}

impl Knob {
    /// A knob whose lines are at these levels.
    pub fn new(lines: Lines, now: Duration, high: impl Fn(u32) -> bool) -> Self {
        let levels = Levels { a: high(lines.a), b: high(lines.b) };
        // A button that is down from the start must stay so for the debounce time to count, as any other.
        let button = |line: u32| {
            let mut button = Button::default();
            button.update(time(now), !high(line));
            button
        };
        Self {
            a: Contact::new(levels.a),
            b: Contact::new(levels.b),
            quadrature: Quadrature::new(lines.steps, levels),
            press: button(lines.press),
            keys: lines.keys.iter().map(|(_, line)| button(*line)).collect(),
            speed: Acceleration::default(),
            // The kernel counts from 1 on, anew for each request.
            next_seqno: lines.numbers().map(|line| (line, 1)).collect(),
            read_at: None,
            unsure: false,
            losses: Losses::default(),
            lines,
        }
    }

    /// What did not arrive since the beginning.
    pub fn losses(&self) -> Losses {
        self.losses
    }

    /// A line has gone high or low.
    pub fn edge(&mut self, edge: Edge, gestures: &mut Vec<Gesture>) {
        let dropped = self.dropped_before(edge);
        self.losses.dropped += u64::from(dropped);
        self.unsure |= dropped > 0;
        // The levels are known again once all edges that wait are taken and the lines are read.
        self.read_at = Some(if self.unsure { Duration::ZERO } else { edge.at + SETTLED });
        self.advance(edge.at, gestures);
        let deaf = self.lines.steps.deaf();
        let (line, high) = (edge.line, edge.high);
        if self.unsure {
            let contact = [(self.lines.a, &mut self.a), (self.lines.b, &mut self.b)];
            contact.into_iter().filter(|(number, _)| *number == line).for_each(|(_, contact)| contact.see(high));
            return self.button(edge.at, line, !high, gestures);
        }
        if line == self.lines.a && self.a.edge(edge.at, high, deaf)
            || line == self.lines.b && self.b.edge(edge.at, high, deaf)
        {
            self.turned(edge.at, gestures);
        }
        self.button(edge.at, line, !high, gestures);
    }

    /// How many events of the line are missing between its last one and this.
    fn dropped_before(&mut self, edge: Edge) -> u32 {
        let following = edge.line_seqno.wrapping_add(1);
        let next = self.next_seqno.iter_mut().find(|(line, _)| *line == edge.line);
        // Lines that nobody has asked for are none of ours.
        next.map_or(0, |(_, next)| edge.line_seqno.wrapping_sub(std::mem::replace(next, following)))
    }

    /// Whether all edges that wait in the kernel should be taken and then the levels be read.
    pub fn wants_levels(&self, now: Duration) -> bool {
        self.read_at.is_some_and(|at| now >= at)
    }

    /// The lines as they are now.
    pub fn levels(&mut self, now: Duration, high: impl Fn(u32) -> bool, gestures: &mut Vec<Gesture>) {
        self.read_at = None;
        self.advance(now, gestures);
        let deaf = self.lines.steps.deaf();
        let (a, b) = (high(self.lines.a), high(self.lines.b));
        if std::mem::take(&mut self.unsure) {
            self.quadrature.lost();
            self.a.see(a);
            self.b.see(b);
            self.a.accept(now, deaf);
            self.b.accept(now, deaf);
            self.turned(now, gestures);
        }
        let differ = [self.a.seen() != a, self.b.seen() != b].into_iter().filter(|differs| *differs).count();
        if differ > 0 {
            self.losses.swallowed += differ as u64;
            // Both at once, whatever the bounces: the decoder sees how far it is.
            self.a.see(a);
            self.b.see(b);
            self.a.accept(now, deaf);
            self.b.accept(now, deaf);
            self.turned(now, gestures);
        }
        for line in self.lines.numbers().skip(2).collect::<Vec<_>>() {
            let down = !high(line);
            if self.seen_down(line) != Some(down) {
                self.losses.swallowed += 1;
                self.button(now, line, down, gestures);
            }
        }
    }

    /// Time has come to `now` without an edge.
    pub fn timeout(&mut self, now: Duration, gestures: &mut Vec<Gesture>) {
        self.advance(now, gestures);
        gestures.extend(self.press.timeout(time(now)));
        for ((key, _), button) in self.lines.keys.iter().zip(&mut self.keys) {
            gestures.extend(button.timeout(time(now)).map(|_| Gesture::Key(*key)));
        }
    }

    /// When [`Knob::timeout`] or [`Knob::levels`] is due.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let buttons = self.keys.iter().chain([&self.press]).filter_map(Button::poll_timeout);
        // Times of buttons are in whole milliseconds.
        let buttons = buttons.map(|at| Duration::from_millis(at.as_millis() + 1));
        let contacts = self.a.due().into_iter().chain(self.b.due()).filter(|_| !self.unsure);
        buttons.chain(contacts).chain(self.read_at).min()
    }

    /// Hears contacts again whose bounces are over.
    fn advance(&mut self, now: Duration, gestures: &mut Vec<Gesture>) {
        if self.unsure {
            return;
        }
        let deaf = self.lines.steps.deaf();
        while let Some(due) = self.a.due().into_iter().chain(self.b.due()).min().filter(|due| *due <= now) {
            let contact = if self.a.due() == Some(due) { &mut self.a } else { &mut self.b };
            contact.accept(due, deaf);
            self.turned(due, gestures);
        }
    }

    fn turned(&mut self, at: Duration, gestures: &mut Vec<Gesture>) {
        let detents = self.quadrature.update(Levels { a: self.a.level(), b: self.b.level() });
        if detents != 0 {
            gestures.push(Gesture::spin(detents, self.speed.turn(at, detents)));
        }
    }

    fn button(&mut self, at: Duration, line: u32, down: bool, gestures: &mut Vec<Gesture>) {
        if line == self.lines.press {
            gestures.extend(self.press.update(time(at), down));
        }
        for ((key, _), button) in self.lines.keys.iter().zip(&mut self.keys).filter(|((_, key), _)| *key == line) {
            gestures.extend(button.update(time(at), down).map(|_| Gesture::Key(*key)));
        }
    }

    fn seen_down(&self, line: u32) -> Option<bool> {
        if line == self.lines.press {
            return Some(self.press.seen());
        }
        let key = self.lines.keys.iter().position(|(_, key)| *key == line)?;
        Some(self.keys[key].seen())
    }
}

/// The room's time, for the buttons.
fn time(at: Duration) -> Time {
    Time::ZERO + at
}
