//! What is kept of the sweep over a restart.

use super::{INTERVAL_MAX, Phase, Sweep};
use crate::types::{NodeId, Time};

/// What is kept across restarts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedSweep {
    /// Leading bits that name a zone.
    pub bits: u32,
    /// The zone under way, or the next.
    pub zone: u32,
    /// Where in it to go on.
    pub from: NodeId,
    /// Zones that are not due yet, and the seconds until they are. The time that we are down does not count, since boards
    /// may not know it.
    pub resting: Vec<(u32, u32)>,
}

impl Default for SavedSweep {
    /// A sweep that has not begun.
    fn default() -> Self {
        Self { bits: 0, zone: 0, from: NodeId([0; NodeId::LEN]), resting: Vec::new() }
    }
}

impl Sweep {
    /// For the next run.
    pub fn saved(&self, now: Time) -> SavedSweep {
        let left = |due: &Time| u32::try_from(due.since(now).as_secs()).unwrap_or(u32::MAX);
        let mut resting: Vec<_> = (0..).zip(self.due.iter().map(left)).filter(|(_, left)| *left > 0).collect();
        if self.phase == Phase::Sweeping && self.is_wrapped {
            // What was found late is left to the next sweep.
            resting.push((self.zone, INTERVAL_MAX.as_secs() as u32));
            return SavedSweep { bits: self.bits, zone: self.zone_after(), from: NodeId([0; NodeId::LEN]), resting };
        }
        let from = if self.phase == Phase::Sweeping { self.cursor } else { self.from };
        SavedSweep { bits: self.bits, zone: self.zone, from, resting }
    }
}
