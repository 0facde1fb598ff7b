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
/// A measurement that is so late waited for a processor.
const LATE: Duration = Duration::from_millis(150);
/// Of the line, one part in so many is for the DHT.
pub const LINE_PARTS: u64 = 4;
/// A song that is waited for so long waits for the network and not for us.
const SONG_PATIENCE: Duration = Duration::from_secs(30);
/// After pressure of our own making, the step at which it came is not tried again for this time; twice as long each time.
const LID: Duration = Duration::from_secs(5 * 60);
const MAX_LID: Duration = Duration::from_secs(3600);

/// What happened since the last measurement.
#[derive(Debug, Clone, Copy)]
pub struct Passed {
    /// Processor time in cores.
    pub cores: f64,
    /// Sent by the crawler, bytes a second.
    pub bytes_out: f64,
    /// The sound broke off.
    pub broke_off: bool,
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
    strikes: [u32; 3],
    awaited_since: Option<Time>,
    lid: Lid,
}

/// A step that is not gone above until some time.
#[derive(Debug)]
struct Lid {
    at: u32,
    until: Time,
    next: Duration,
}

impl Pressure {
    /// Nodes begin at the bottom if there are many to place.
    pub fn new(now: Time, many_nodes: bool) -> Self {
        Self {
            work: FULL,
            nodes: if many_nodes { 0 } else { FULL },
            cause: Reason::Settled,
            last: now,
            strikes: [0; 3],
            awaited_since: None,
            lid: Lid { at: FULL, until: now, next: LID },
        }
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

    /// Why not all is done; none if it is.
    pub fn reason(&self, now: Time) -> Option<Reason> {
        if self.is_gone() {
            return None;
        }
        let presses = now.since(self.last) < SONG_STEP && self.work == 0;
        Some(match self.cause {
            _ if presses => self.cause,
            Reason::Settled => Reason::Returning,
            // Under the lid it stays.
            cause if self.is_over(now) => cause,
            _ => Reason::Returning,
        })
    }

    /// Takes in what was measured; returns what presses.
    pub fn step(&mut self, now: Time, bounds: &Bounds, measured: &Measured, passed: Option<Passed>) -> Option<Reason> {
        let presses = self.look(now, bounds, measured, passed);
        match presses {
            Some(cause) => self.give_way(now, cause, passed.is_some_and(|passed| passed.broke_off)),
            None => self.come_back(now),
        }
        presses
    }

    fn look(&mut self, now: Time, bounds: &Bounds, measured: &Measured, passed: Option<Passed>) -> Option<Reason> {
        self.awaited_since = measured.is_awaited.then(|| self.awaited_since.unwrap_or(now));
        let mut cause = None;
        if let Some(passed) = passed {
            let share = measured.throttled >= THROTTLED || passed.cores >= bounds.cores * SHARE_USED;
            let busy = (measured.idle <= IDLE && measured.others >= OTHERS) || measured.late >= LATE;
            let line = passed.bytes_out > (bounds.uplink / LINE_PARTS) as f64;
            for (strikes, (happened, reason)) in
                self.strikes.iter_mut().zip([(line, Reason::Uplink), (busy, Reason::Busy), (share, Reason::Share)])
            {
                *strikes = if happened { *strikes + 1 } else { 0 };
                if *strikes >= STRIKES {
                    cause = Some(reason);
                }
            }
        }
        let waits = self.awaited_since.is_some_and(|since| now.since(since) < SONG_PATIENCE);
        let broke_off = passed.is_some_and(|passed| passed.broke_off);
        if waits || broke_off { Some(Reason::Playback) } else { cause }
    }

    fn give_way(&mut self, now: Time, cause: Reason, broke_off: bool) {
        let own = matches!(cause, Reason::Share | Reason::Uplink);
        let reached = self.work.min(self.nodes);
        if own && reached > 0 {
            // At least the first step, or nothing would be left to come back to.
            self.lid.at = (reached - 1).max(1);
            self.lid.until = now + self.lid.next;
            self.lid.next = (self.lid.next * 2).min(MAX_LID);
        }
        self.work = 0;
        // Nodes are silent while nobody asks them; to lose their places in the tables of others would cost more.
        if cause != Reason::Playback || broke_off {
            self.nodes = 0;
        }
        (self.cause, self.last) = (cause, now);
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
