//! What presses, and how much work is left to it: down at once, up in steps.

use std::time::Duration;

use super::{Bounds, Measured, Reason};
use crate::types::Time;

/// Steps between as little as possible and all.
pub const FULL: u32 = 8;
/// Between two steps up, where a song was waited for and otherwise.
const SONG_STEP: Duration = Duration::from_secs(2);
const STEP: Duration = Duration::from_secs(5);
/// Measurements in a row after which what may pass by itself is pressure.
const STRIKES: u32 = 2;
/// The process is held up for so many of its turns, or uses so much of what it may: its share is used up.
const THROTTLED: f64 = 0.5;
const SHARE_USED: f64 = 0.9;
/// So little is left of the processors, and others have at least so much of them. What is left counts what runs with a low
/// priority, which has a tenth even of a core that somebody else uses up (nice 10 beside nice 0, sched(7)).
const IDLE: f64 = 0.15;
const OTHERS: f64 = 0.25;
/// Much is left.
const LEFT: f64 = 2.0 * IDLE;
/// A measurement that is so late waited for a processor.
const LATE: Duration = Duration::from_millis(150);
/// Of the line, one part in so many is for the DHT.
pub const LINE_PARTS: u64 = 4;
/// A song that is waited for so long waits for the network and not for us.
const SONG_PATIENCE: Duration = Duration::from_secs(30);
/// After pressure of our own making, the step at which it came is not tried again for this time; twice as long each time. All
/// has to be done for the longest time without such pressure until it is the first time again, so in the long run it comes
/// once in about that time at most.
const LID: Duration = Duration::from_secs(5 * 60);
const MAX_LID: Duration = Duration::from_secs(3600);
/// It was not of our making if others are found to press within this time: they may have come in the middle of a measurement.
const DOUBT: Duration = Duration::from_secs(STRIKES as u64 + 1);

/// What happened since the last measurement.
#[derive(Debug, Clone, Copy)]
pub struct Passed {
    /// Processor time in cores.
    pub cores: f64,
    /// Sent by the crawler, bytes a second.
    pub bytes_out: f64,
}

/// What presses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Press {
    pub cause: Reason,
    /// It is of our own making, as far as can be told.
    pub own: bool,
}

/// How much is let be done.
#[derive(Debug)]
pub struct Pressure {
    /// Steps of [`FULL`] for what runs beside the nodes, and for the nodes.
    work: u32,
    nodes: u32,
    /// What pressed last.
    cause: Reason,
    /// When it pressed last, or a step was gone up.
    last: Time,
    strikes: [u32; 4],
    awaited_since: Option<Time>,
    /// The last step.
    stepped: Time,
    lid: Lid,
    /// When the lid came, and the one before it.
    doubted: Option<(Time, Lid)>,
    /// When others pressed last, and the step that was reached then.
    straw: Option<(Time, u32)>,
}

/// A step that is not gone above until some time.
#[derive(Debug, Clone, Copy)]
struct Lid {
    at: u32,
    until: Time,
    /// Why.
    cause: Reason,
    /// How long the next one lasts.
    next: Duration,
    /// How long all was done since then.
    held: Duration,
}

impl Lid {
    /// None, and as if there never had been one.
    fn none(now: Time) -> Self {
        Self { at: FULL, until: now, cause: Reason::Settled, next: LID, held: Duration::ZERO }
    }
}

impl Pressure {
    /// Nodes begin at the bottom if there are many to place.
    pub fn new(now: Time, many_nodes: bool) -> Self {
        Self {
            work: FULL,
            nodes: if many_nodes { 0 } else { FULL },
            cause: Reason::Settled,
            last: now,
            strikes: [0; 4],
            awaited_since: None,
            stepped: now,
            lid: Lid::none(now),
            doubted: None,
            straw: None,
        }
    }

    /// The machine is another now: what was too much for the last one says nothing.
    pub fn forget(&mut self) {
        self.lid = Lid::none(Time::ZERO);
        (self.doubted, self.straw) = (None, None);
    }

    /// Steps of [`FULL`] for what runs beside the nodes.
    pub fn work(&self) -> u32 {
        self.work
    }

    /// Steps of [`FULL`] for the nodes.
    pub fn nodes(&self) -> u32 {
        self.nodes
    }

    /// Whether nothing is left undone for its sake.
    pub fn is_gone(&self) -> bool {
        self.work == FULL && self.nodes == FULL
    }

    /// Whether no more is left undone than for some time to come.
    fn is_over(&self, now: Time) -> bool {
        self.work >= self.top(now) && self.nodes >= self.top(now)
    }

    /// Whether something presses still, or only just did.
    pub fn presses(&self, now: Time) -> bool {
        now.since(self.last) < SONG_STEP && self.work == 0
    }

    /// Why not all is done; none if it is.
    pub fn reason(&self, now: Time) -> Option<Reason> {
        if self.is_gone() {
            return None;
        }
        Some(match self.cause {
            _ if self.presses(now) => self.cause,
            Reason::Settled => Reason::Returning,
            // Under the lid it stays, whatever pressed for a moment since.
            _ if self.is_over(now) => self.lid.cause,
            _ => Reason::Returning,
        })
    }

    /// Takes in what was measured, and whether the sound broke off since the last step; returns what presses.
    pub fn step(
        &mut self,
        now: Time,
        bounds: &Bounds,
        measured: &Measured,
        passed: Option<Passed>,
        broke_off: bool,
    ) -> Option<Press> {
        let since = std::mem::replace(&mut self.stepped, now);
        let press = self.look(now, bounds, measured, passed, broke_off);
        match press {
            Some(press) => self.give_way(now, press, broke_off),
            None => {
                if self.is_gone() {
                    self.hold(now.since(since));
                }
                self.come_back(now);
            }
        }
        press
    }

    fn look(
        &mut self,
        now: Time,
        bounds: &Bounds,
        measured: &Measured,
        passed: Option<Passed>,
        broke_off: bool,
    ) -> Option<Press> {
        self.awaited_since = measured.is_awaited.then(|| self.awaited_since.unwrap_or(now));
        let others = measured.idle <= IDLE && measured.others >= OTHERS;
        let mut cause = None;
        if let Some(passed) = passed {
            let used = passed.cores >= bounds.cores * SHARE_USED;
            // Who else should be why.
            let share = used || measured.throttled >= THROTTLED || (measured.late >= LATE && !others);
            let line = passed.bytes_out > (bounds.uplink / LINE_PARTS) as f64;
            // The last one counts: where others press, what is ours is not seen, but for what we use ourselves.
            let all = [(line, Reason::Uplink), (share, Reason::Share), (others, Reason::Busy), (used, Reason::Share)];
            for (strikes, (happened, reason)) in self.strikes.iter_mut().zip(all) {
                *strikes = if happened { *strikes + 1 } else { 0 };
                if *strikes >= STRIKES {
                    cause = Some(reason);
                }
            }
        }
        let own = matches!(cause, Some(Reason::Share | Reason::Uplink));
        self.weigh(now, measured, passed);
        if broke_off {
            // If the song's bytes are what is missing while the processor has time left, their peers are slow.
            let slow = measured.is_awaited && measured.idle > IDLE && measured.throttled < THROTTLED;
            return Some(Press { cause: Reason::Playback, own: own || !(others || slow) });
        }
        if self.awaited_since.is_some_and(|since| now.since(since) < SONG_PATIENCE) {
            return Some(Press { cause: Reason::Playback, own: false });
        }
        cause.map(|cause| Press { cause, own })
    }

    fn give_way(&mut self, now: Time, Press { cause, own }: Press, broke_off: bool) {
        // Of the two, what was let go of last: a song that is waited for leaves the nodes at work.
        let reached = self.work.max(self.nodes);
        if own && reached > 0 {
            self.doubted = Some((now, self.lid));
            let cause = if cause == Reason::Playback { Reason::Sound } else { cause };
            self.put_lid(now, reached, cause);
        } else if cause == Reason::Busy {
            if let Some((at, before)) = self.doubted.take()
                && now.since(at) <= DOUBT
            {
                self.lid = before;
            }
            if reached > 0 {
                self.straw = Some((now, reached));
            }
        }
        self.work = 0;
        // Nodes are silent while nobody asks them; to lose their places in the tables of others would cost more.
        if cause != Reason::Playback || broke_off {
            self.nodes = 0;
        }
        (self.cause, self.last) = (cause, now);
    }

    /// Others go on using the processor as before, and much of it is left since we let go: we were too much beside them.
    fn weigh(&mut self, now: Time, measured: &Measured, passed: Option<Passed>) {
        let Some((at, reached)) = self.straw.filter(|_| passed.is_some()) else { return };
        if now.since(at) > DOUBT {
            self.straw = None;
        } else if now > at && measured.others >= OTHERS && measured.idle >= LEFT {
            self.straw = None;
            self.put_lid(now, reached, Reason::Busy);
        }
    }

    fn put_lid(&mut self, now: Time, reached: u32, cause: Reason) {
        let Lid { next, .. } = self.lid;
        let doubled = (next * 2).min(MAX_LID);
        self.lid = Lid { at: reached - 1, until: now + next, cause, next: doubled, held: Duration::ZERO };
    }

    /// All was done for some time.
    fn hold(&mut self, time: Duration) {
        self.lid.held = self.lid.held.saturating_add(time);
        if self.lid.held >= MAX_LID {
            self.lid.next = LID;
        }
    }

    fn come_back(&mut self, now: Time) {
        let top = self.top(now);
        let pause = if matches!(self.cause, Reason::Playback | Reason::Settled) { SONG_STEP } else { STEP };
        if now.since(self.last) >= pause && (self.work < top || self.nodes < top) {
            self.work = (self.work + 1).min(top).max(self.work);
            self.nodes = (self.nodes + 1).min(top).max(self.nodes);
            self.last = now;
        }
    }

    fn top(&self, now: Time) -> u32 {
        if now < self.lid.until { self.lid.at } else { FULL }
    }
}
