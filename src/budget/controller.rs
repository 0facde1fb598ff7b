//! The decision out of both parts.

use std::time::Duration;

use super::growth::{Growth, LEAST};
use super::pressure::{FULL, Passed, Pressure};
use super::{Bounds, Decision, Measured, Reason, Work};
use crate::types::Time;

/// Rates of a shorter time say nothing; after a longer one, whoever wants a decision measures anew.
pub const SHORTEST: Duration = Duration::from_millis(800);

/// With more nodes than these it begins with few: many are put to work one after the other.
pub const MANY: u32 = LEAST.nodes * FULL;

/// Decides; see the room.
#[derive(Debug)]
pub struct Controller {
    bounds: Bounds,
    pressure: Pressure,
    growth: Growth,
    /// The last measurement that rates were taken from.
    last: Option<(Time, Measured)>,
    /// Total, at the last step: times that the sound broke off.
    underruns: Option<u64>,
}

impl Controller {
    pub fn new(now: Time, bounds: Bounds) -> Self {
        let growth = Growth::new(now, &bounds);
        let many = growth.goal().nodes > MANY;
        Self { pressure: Pressure::new(now, many), growth, bounds, last: None, underruns: None }
    }

    /// What it keeps to.
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// The system holds the process to other bounds now.
    pub fn set_machine(&mut self, cores: f64, memory: u64) {
        let (more_cores, more_memory) = (cores > self.bounds.cores, memory > self.bounds.memory);
        (self.bounds.cores, self.bounds.memory) = (cores, memory);
        if more_cores {
            self.pressure.forget();
        }
        if more_cores || more_memory {
            self.growth.forget();
        }
    }

    /// Decides anew; about once a second, and at once when a song is waited for.
    pub fn step(&mut self, now: Time, measured: &Measured) -> Decision {
        let passed = self.passed(now, measured);
        let broke_off = self.underruns.replace(measured.underruns).is_some_and(|before| measured.underruns > before);
        match self.pressure.step(now, &self.bounds, measured, passed, broke_off) {
            Some(press) => self.growth.interrupt(now, press.own),
            None if self.pressure.is_gone() && passed.is_some() => self.growth.step(now, &self.bounds, measured),
            None => {}
        }
        self.growth.keep_to_memory(now, &self.bounds, measured, self.pressure.nodes() > 0);
        self.decide(now)
    }

    /// What happened since the last step that was not just before; rates begin anew then.
    fn passed(&mut self, now: Time, measured: &Measured) -> Option<Passed> {
        let Some((since, before)) = self.last else {
            self.last = Some((now, *measured));
            return None;
        };
        if now.since(since) < SHORTEST {
            return None;
        }
        self.last = Some((now, *measured));
        let seconds = now.since(since).as_secs_f64();
        Some(Passed {
            cores: measured.cpu.saturating_sub(before.cpu).as_secs_f64() / seconds,
            bytes_out: measured.bytes_out.saturating_sub(before.bytes_out) as f64 / seconds,
        })
    }

    fn decide(&self, now: Time) -> Decision {
        let goal = self.growth.goal();
        let part = |goal: u32, least: u32, steps: u32| {
            let least = least.min(goal);
            least + ((u64::from(goal - least) * u64::from(steps)) / u64::from(FULL)) as u32
        };
        let pressed = self.pressure.reason(now);
        let (samples, workers) = match pressed {
            // It lasts for seconds, and somebody waits.
            Some(Reason::Playback) if self.pressure.presses(now) => (0, 0),
            _ => (
                part(goal.samples, LEAST.samples, self.pressure.work()),
                part(goal.workers, LEAST.workers, self.pressure.work()),
            ),
        };
        let work = Work { nodes: part(goal.nodes, LEAST.nodes, self.pressure.nodes()), samples, workers };
        let cut = self.growth.cut();
        let nodes = if self.bounds.is_forced { self.bounds.nodes } else { cut.unwrap_or(goal.nodes).max(goal.nodes) };
        let reason = pressed.unwrap_or(match () {
            () if cut.is_some() => Reason::Memory,
            () if self.growth.is_trying() => Reason::Trying,
            () => Reason::Settled,
        });
        Decision { work, wanted: Work { nodes, ..goal }, reason, enough: self.growth.enough() }
    }
}
