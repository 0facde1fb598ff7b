//! Less where the memory is nearly used up, and more again where it has room.

use std::time::Duration;

use super::growth::{AGAIN, MAX_AGAIN, ROOM_MEMORY};
use super::{Bounds, Measured};
use crate::types::Time;

/// Above this part of the memory there is to be less, once in this time.
const TOO_MUCH: f64 = 0.9;
const LESS_EVERY: Duration = Duration::from_secs(30);

/// What the memory wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Less,
    /// More of what was asked for.
    More,
}

/// What was cut for the memory's sake, and when it comes back.
#[derive(Debug)]
pub struct Memory {
    /// Nodes before the first cut; none if nothing is cut.
    before: Option<u32>,
    /// When there was to be less last.
    asked: Option<Time>,
    /// When there was less last, and when there were more nodes after that.
    less: Option<Time>,
    more: Option<Time>,
    /// The last look, and the nodes then.
    looked: Time,
    nodes: u32,
    /// For how long there has been room, without interruption but for times in which nodes rest.
    room: Duration,
    /// How long there has to be until there is more; twice as long each time that it was too much.
    rest: Duration,
}

impl Memory {
    pub fn new(now: Time, nodes: u32) -> Self {
        Self {
            before: None,
            asked: None,
            less: None,
            more: None,
            looked: now,
            nodes,
            room: Duration::ZERO,
            rest: AGAIN,
        }
    }

    /// Nodes that there would be if the memory had room; none if nothing is cut.
    pub fn cut(&self) -> Option<u32> {
        self.before
    }

    /// How long what was cut rests.
    pub fn rest(&self) -> Duration {
        self.rest
    }

    /// The machine is another now.
    pub fn forget(&mut self) {
        self.rest = AGAIN;
    }

    /// Takes in what is used while so many nodes are wanted; `is_at_work` unless they rest as far as they can.
    pub fn look(
        &mut self,
        now: Time,
        bounds: &Bounds,
        measured: &Measured,
        nodes: u32,
        is_at_work: bool,
    ) -> Option<Change> {
        let time = now.since(std::mem::replace(&mut self.looked, now));
        if nodes > std::mem::replace(&mut self.nodes, nodes) {
            self.more = Some(now);
        }
        let used = measured.memory as f64 / (bounds.memory as f64).max(1.0);
        if used > TOO_MUCH {
            self.room = Duration::ZERO;
            let is_due = self.asked.is_none_or(|last| now.since(last) >= LESS_EVERY);
            return is_due.then_some(Change::Less);
        }
        // What rests takes no memory, which says nothing of the time after that.
        let before = self.before.filter(|_| is_at_work)?;
        let has_room = used < ROOM_MEMORY;
        self.room += time;
        let is_over = nodes >= before || (!bounds.is_forced && has_room);
        // With little room, what was a peak only is tried again all the same, but seldom.
        let is_due = self.room >= if has_room { self.rest } else { MAX_AGAIN };
        if is_over || (is_due && !bounds.is_forced) {
            // Whether more is worth it is found out anew.
            self.before = None;
        } else if is_due {
            self.room = Duration::ZERO;
            return Some(Change::More);
        }
        None
    }

    /// There is less now; before, there were so many nodes.
    pub fn was_cut(&mut self, now: Time, nodes: u32) {
        self.before.get_or_insert(nodes);
        if let (Some(_), Some(more)) = (self.less, self.more) {
            let is_new = now.since(more) >= MAX_AGAIN;
            self.rest = if is_new { AGAIN } else { (self.rest * 2).min(MAX_AGAIN) };
        }
        (self.asked, self.less, self.more) = (Some(now), Some(now), None);
        self.room = Duration::ZERO;
    }

    /// There is to be less, and there is nothing to do without, or it was undone only just.
    pub fn was_kept(&mut self, now: Time) {
        self.asked = Some(now);
    }
}
