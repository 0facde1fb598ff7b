//! Finds out what is worth it: one change at a time, kept only if it brought enough.

use std::time::Duration;

use super::memory::{Change, Memory};
use super::{Bounds, Enough, Measured, Work};
use crate::types::Time;

/// What there is at least, but while a song is waited for: so that a machine that is always busy gets to know music too.
pub const LEAST: Work = Work { nodes: 8, samples: 1, workers: 2 };
/// What is begun with: as many nodes as an address has places for (BEP 42), a pace at which a sweep shares its line with
/// music and visits a million nodes in a day, and half of the workers (`src/lab/nodes/nodes.md`).
pub const FIRST: Work = Work { nodes: 8, samples: 10, workers: 8 };
/// Most questions for samples a second.
pub const MAX_SAMPLES: u32 = 40;
/// After this time in which nothing came in, nobody answers: the network is away, or there is nobody.
const SILENCE: Duration = Duration::from_secs(60);
/// What is before a change is looked at for this time.
const WATCH: Duration = Duration::from_secs(60);
/// And what is before is no longer than this ago.
const LONGEST_WATCH: Duration = Duration::from_secs(30 * 60);
/// After a change, until its effects show.
const SETTLE: Duration = Duration::from_secs(30);
/// What comes of a change is looked at at least, and at most, so long.
const LOOK: Duration = Duration::from_secs(60);
const LONGEST_LOOK: Duration = Duration::from_secs(10 * 60);
/// A change that was not worth it is tried again after this time, and twice as long each time.
pub const AGAIN: Duration = Duration::from_secs(10 * 60);
pub const MAX_AGAIN: Duration = Duration::from_secs(6 * 3600);
/// What more brings must be at least this part of what its cost would have brought so far.
const WORTH: f64 = 0.5;
/// Standard deviations of counts that a difference must be beyond.
const SURE: f64 = 2.0;
/// Nothing grows if more than these parts are taken of processor, memory and line.
const ROOM_CPU: f64 = 0.5;
pub const ROOM_MEMORY: f64 = 0.75;
const ROOM_LINE: f64 = 0.125;

/// What is changed, in turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Knob {
    Nodes,
    Samples,
    Workers,
}

const KNOBS: [Knob; 3] = [Knob::Nodes, Knob::Samples, Knob::Workers];

/// What something brought, and its cost, in some time.
#[derive(Debug, Clone, Copy)]
struct Yield {
    seconds: f64,
    brought: f64,
    cpu: f64,
    bytes: f64,
}

impl Yield {
    fn between(knob: Knob, (from, before): (Time, &Measured), (to, after): (Time, &Measured)) -> Self {
        let brought = |measured: &Measured| match knob {
            Knob::Nodes => measured.heard,
            Knob::Samples => measured.sampled,
            Knob::Workers => measured.fetched,
        };
        let bytes = |measured: &Measured| measured.bytes_in + measured.bytes_out;
        Self {
            seconds: to.since(from).as_secs_f64().max(f64::EPSILON),
            brought: brought(after).saturating_sub(brought(before)) as f64,
            cpu: after.cpu.saturating_sub(before.cpu).as_secs_f64(),
            bytes: bytes(after).saturating_sub(bytes(before)) as f64,
        }
    }

    /// By how much more this brought than `before`, in parts of that; and how sure that is, in standard deviations.
    fn gain(&self, before: &Self) -> (f64, f64) {
        let (now, then) = (self.brought / self.seconds, before.brought / before.seconds);
        let spread = (self.brought / self.seconds.powi(2) + before.brought / before.seconds.powi(2)).sqrt();
        ((now - then) / then.max(f64::EPSILON), (now - then) / spread.max(f64::EPSILON))
    }

    /// By how much more it cost, in parts of what it cost before: of the processor's time or of bytes, whichever is more.
    fn extra(&self, before: &Self) -> f64 {
        let more = |now: f64, then: f64| {
            let then = (then / before.seconds).max(f64::EPSILON);
            (now / self.seconds - then) / then
        };
        more(self.cpu, before.cpu).max(more(self.bytes, before.bytes))
    }
}

/// A change that is being tried.
#[derive(Debug)]
struct Trial {
    knob: Knob,
    /// What it was before.
    was: u32,
    before: Yield,
    /// When its effects show, and what had been measured then.
    shows: Time,
    from: Option<Measured>,
}

/// When a knob is turned again, and how long it rests after that if it was for nothing.
#[derive(Debug, Clone, Copy)]
struct Rest {
    until: Time,
    next: Duration,
    /// The next change is to less.
    down: bool,
}

/// The search for what is worth it.
#[derive(Debug)]
pub struct Growth {
    goal: Work,
    turn: usize,
    rests: [Rest; 3],
    /// Since when nothing was changed or pressed, and what had been measured then.
    watched: Option<(Time, Measured)>,
    trial: Option<Trial>,
    memory: Memory,
    /// Why no more was tried, when it last was looked for something to try.
    enough: Enough,
    /// Why there are no more nodes, as far as that was found out.
    judged: Option<Enough>,
    /// When something came in last, and how much in all by then.
    last_in: Option<(Time, u64)>,
}

impl Growth {
    pub fn new(now: Time, bounds: &Bounds) -> Self {
        let nodes = if bounds.is_forced { bounds.nodes } else { FIRST.nodes.min(bounds.nodes) };
        let workers = FIRST.workers.min(bounds.workers);
        Self {
            goal: Work { nodes: nodes.max(1), workers, ..FIRST },
            turn: 0,
            rests: [Rest { until: now, next: AGAIN, down: false }; 3],
            watched: None,
            trial: None,
            memory: Memory::new(now, nodes.max(1)),
            enough: Enough::Untried,
            judged: None,
            last_in: None,
        }
    }

    /// What is worth it as far as is known.
    pub fn goal(&self) -> Work {
        self.goal
    }

    /// Why no more is wanted.
    pub fn enough(&self) -> Enough {
        self.enough
    }

    /// Nodes that there would be if the memory had room; none if nothing was cut for it.
    pub fn cut(&self) -> Option<u32> {
        self.memory.cut()
    }

    /// The machine is another now: what was for nothing may be worth it.
    pub fn forget(&mut self) {
        for rest in &mut self.rests {
            *rest = Rest { until: Time::ZERO, next: AGAIN, down: false };
        }
        self.memory.forget();
        self.judged = None;
    }

    pub fn is_trying(&self) -> bool {
        self.trial.is_some()
    }

    /// Something pressed; `own` if it was of our making. What was being tried is undone.
    pub fn interrupt(&mut self, now: Time, own: bool) {
        self.watched = None;
        if let Some(trial) = self.trial.take() {
            *self.value(trial.knob) = trial.was;
            if own {
                self.rest(now, trial.knob);
            }
        }
    }

    /// Takes in what was measured while all was done that was wanted.
    pub fn step(&mut self, now: Time, bounds: &Bounds, measured: &Measured) {
        let (since, bytes) = *self.last_in.get_or_insert((now, measured.bytes_in));
        if measured.bytes_in != bytes {
            self.last_in = Some((now, measured.bytes_in));
        } else if now.since(since) >= SILENCE {
            // That says nothing of what is tried, and is not to count when the network is back.
            self.interrupt(now, false);
            self.enough = Enough::Silence;
            return;
        }
        let Some(trial) = &mut self.trial else {
            let (since, before) = *self.watched.get_or_insert((now, *measured));
            if now.since(since) < WATCH {
                return;
            }
            if self.begin(now, bounds, (since, &before), measured) || now.since(since) >= LONGEST_WATCH {
                self.watched = None;
            }
            return;
        };
        if now < trial.shows {
            return;
        }
        let (knob, was, before, shows) = (trial.knob, trial.was, trial.before, trial.shows);
        let from = *trial.from.get_or_insert(*measured);
        if knob == Knob::Nodes && self.goal.nodes > measured.nodes.max(was) {
            // The system has no sockets for more.
            self.goal.nodes = measured.nodes.max(was);
            if self.goal.nodes == was {
                self.trial = None;
                self.judge(Some(Enough::Sockets));
                return self.rest(now, knob);
            }
        }
        let time = now.since(shows);
        if time < LOOK {
            return;
        }
        let after = Yield::between(knob, (shows, &from), (now, measured));
        let (gain, sure) = after.gain(&before);
        let up = *self.value(knob) > was;
        let is_worth = if up {
            sure >= SURE && gain >= WORTH * after.extra(&before)
        } else {
            // Less is as good if nothing is missed, or little for what it saves.
            sure > -SURE || -gain < WORTH * -after.extra(&before)
        };
        if !is_worth && up && sure.abs() < SURE && time < LONGEST_LOOK {
            return;
        }
        self.trial = None;
        if knob == Knob::Nodes {
            match (up, is_worth) {
                (true, true) => self.judge(None),
                // More is missed: that says nothing of still more.
                (false, false) => {}
                (true, false) | (false, true) => self.judge(Some(Enough::NotWorth)),
            }
        }
        let rest = self.rests[knob as usize];
        if is_worth {
            // What was less for nothing would be more for nothing.
            let until = if up { now } else { now + rest.next };
            self.rests[knob as usize] = Rest { until, down: !up, ..rest };
        } else {
            *self.value(knob) = was;
            self.rest(now, knob);
        }
    }

    fn judge(&mut self, judged: Option<Enough>) {
        self.judged = judged;
        self.enough = judged.unwrap_or(Enough::Untried);
    }

    fn rest(&mut self, now: Time, knob: Knob) {
        let Rest { next, down, .. } = self.rests[knob as usize];
        self.rests[knob as usize] = Rest { until: now + next, next: (next * 2).min(MAX_AGAIN), down: !down };
    }

    /// Turns the knob whose turn it is, if there is one.
    fn begin(&mut self, now: Time, bounds: &Bounds, since: (Time, &Measured), measured: &Measured) -> bool {
        let lacks = Self::lack(bounds, &Yield::between(Knob::Nodes, since, (now, measured)), measured);
        self.judge(self.judged);
        for _ in KNOBS {
            let knob = KNOBS[self.turn % KNOBS.len()];
            self.turn += 1;
            let rest = self.rests[knob as usize];
            let was = *self.value(knob);
            let most = match knob {
                Knob::Nodes if bounds.is_forced => continue,
                Knob::Nodes => bounds.nodes,
                Knob::Samples => MAX_SAMPLES,
                // Nobody is faster for having nothing to do.
                Knob::Workers if measured.queued == 0 => continue,
                Knob::Workers => bounds.workers,
            };
            let least = match knob {
                Knob::Nodes => FIRST.nodes,
                Knob::Samples => FIRST.samples,
                Knob::Workers => FIRST.workers,
            };
            let least = least.min(most);
            let to = if rest.down { (was / 2).max(least) } else { was.saturating_mul(2).min(most) };
            if now < rest.until {
                continue;
            }
            if to == was {
                if knob == Knob::Nodes {
                    let why = if was == most { Enough::Most } else { self.judged.unwrap_or(Enough::NotWorth) };
                    self.judge(Some(why));
                }
                // From an end there is only the other way.
                self.rests[knob as usize].down = !rest.down && was > least;
                continue;
            }
            if let Some(lacks) = lacks.filter(|_| to > was) {
                if knob == Knob::Nodes {
                    self.enough = lacks;
                }
                continue;
            }
            *self.value(knob) = to;
            let before = Yield::between(knob, since, (now, measured));
            self.trial = Some(Trial { knob, was, before, shows: now + SETTLE, from: None });
            return true;
        }
        false
    }

    /// Of what there is too little left to try more.
    fn lack(bounds: &Bounds, taken: &Yield, measured: &Measured) -> Option<Enough> {
        let (cores, bytes) = (taken.cpu / taken.seconds, taken.bytes / taken.seconds);
        [
            (measured.memory as f64 >= bounds.memory as f64 * ROOM_MEMORY, Enough::Memory),
            (cores >= bounds.cores * ROOM_CPU, Enough::Share),
            (bytes >= bounds.uplink as f64 * ROOM_LINE, Enough::Uplink),
        ]
        .into_iter()
        .find_map(|(is_short, of)| is_short.then_some(of))
    }

    /// Does with less where the memory is nearly used up, whatever was asked for, and comes back to that where it has room;
    /// `is_at_work` unless nodes rest as far as they can.
    pub fn keep_to_memory(&mut self, now: Time, bounds: &Bounds, measured: &Measured, is_at_work: bool) {
        match self.memory.look(now, bounds, measured, self.goal.nodes, is_at_work) {
            None => {}
            // Fewer of those that rest take no less.
            Some(Change::Less) if !is_at_work => self.memory.was_kept(now),
            Some(Change::Less) => self.shrink(now, bounds),
            Some(Change::More) => {
                self.interrupt(now, false);
                self.goal.nodes = self.goal.nodes.saturating_mul(2).min(bounds.nodes);
            }
        }
    }

    fn shrink(&mut self, now: Time, bounds: &Bounds) {
        let tried = self.trial.as_ref().map(|trial| (trial.knob, trial.was));
        let more = tried.is_some_and(|(knob, was)| *self.value(knob) > was);
        self.interrupt(now, true);
        if more {
            // That is less already.
            if tried.is_some_and(|(knob, _)| knob == Knob::Nodes) {
                self.judge(Some(Enough::Memory));
            }
            return self.memory.was_kept(now);
        }
        let before = self.goal;
        let fewest = LEAST.nodes.min(bounds.nodes.max(1));
        self.goal.nodes = (before.nodes / 2).max(fewest);
        self.goal.workers = (before.workers / 2).max(LEAST.workers.min(bounds.workers));
        for rest in &mut self.rests {
            rest.until = rest.until.max(now + AGAIN);
        }
        if self.goal == before {
            return self.memory.was_kept(now);
        }
        self.memory.was_cut(now, before.nodes);
        // What was worth it is not to wait for as long as what was not.
        for (knob, is_less) in
            [(Knob::Nodes, self.goal.nodes < before.nodes), (Knob::Workers, self.goal.workers < before.workers)]
        {
            if is_less {
                let rest = &mut self.rests[knob as usize];
                *rest = Rest { until: now + self.memory.rest(), down: false, ..*rest };
            }
        }
    }

    fn value(&mut self, knob: Knob) -> &mut u32 {
        match knob {
            Knob::Nodes => &mut self.goal.nodes,
            Knob::Samples => &mut self.goal.samples,
            Knob::Workers => &mut self.goal.workers,
        }
    }
}
