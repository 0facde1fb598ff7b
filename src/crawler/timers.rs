//! One deadline for each node, the earliest first.

use std::collections::BTreeSet;

use crate::types::Time;

/// Deadlines of nodes by number; one entry each, so bounded by the nodes.
#[derive(Debug)]
pub(super) struct Timers {
    armed: Vec<Option<Time>>,
    due: BTreeSet<(Time, u32)>,
}

impl Timers {
    pub fn new(nodes: usize) -> Self {
        Self { armed: vec![None; nodes], due: BTreeSet::new() }
    }

    /// Has timers for so many nodes; new ones are not armed.
    pub fn resize(&mut self, nodes: usize) {
        self.armed.resize(nodes, None);
        self.due.retain(|(_, node)| (*node as usize) < nodes);
    }

    /// Replaces the deadline of `node`.
    pub fn arm(&mut self, node: u32, deadline: Option<Time>) {
        let armed = &mut self.armed[node as usize];
        if *armed == deadline {
            return;
        }
        if let Some(before) = std::mem::replace(armed, deadline) {
            self.due.remove(&(before, node));
        }
        if let Some(deadline) = deadline {
            self.due.insert((deadline, node));
        }
    }

    /// Takes the node whose deadline passed first; it is armed no more.
    pub fn take_due(&mut self, now: Time) -> Option<u32> {
        let (_, node) = *self.due.first().filter(|(deadline, _)| *deadline <= now)?;
        self.arm(node, None);
        Some(node)
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Time> {
        self.due.first().map(|(deadline, _)| *deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_node_is_due_once_at_its_last_deadline(settings in prop::collection::vec((0u32..8, 0u64..50), 0..100)) {
            let mut timers = Timers::new(8);
            let mut expected = [None; 8];
            for (node, at) in settings {
                timers.arm(node, Some(Time::from_millis(at)));
                expected[node as usize] = Some(at);
            }
            for now in 0..50 {
                while let Some(node) = timers.take_due(Time::from_millis(now)) {
                    prop_assert_eq!(expected[node as usize].take(), Some(now));
                }
            }
            prop_assert_eq!(expected, [None; 8]);
            prop_assert_eq!(timers.next(), None);
        }
    }
}
