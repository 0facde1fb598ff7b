//! Whom not to ask for a sample again yet (BEP 51).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use super::api::Fill;
use crate::types::Time;

/// Longest interval that a node may ask for (BEP 51).
pub const MAX_INTERVAL: Duration = Duration::from_secs(21_600);

/// Nodes that are remembered; when full, the one that may be asked soonest is forgotten.
const MAX_NODES: usize = 512;

/// Nodes that gave a sample, and until when it stays the same.
#[derive(Debug, Default)]
pub struct SampleMemory {
    until: BTreeMap<SocketAddr, Time>,
    /// The same by time: a crawler visits hundreds of nodes a second, and each of these is one more than are remembered.
    by_time: BTreeSet<(Time, SocketAddr)>,
}

impl SampleMemory {
    /// How many nodes are remembered.
    pub fn fill(&self) -> Fill {
        Fill { of: "nodes that gave samples", entries: self.until.len(), bound: MAX_NODES }
    }

    /// The interval that a node asked for, within the bounds of BEP 51.
    pub fn interval(seconds: Option<i64>) -> Duration {
        Duration::from_secs(u64::try_from(seconds.unwrap_or_default()).unwrap_or_default()).min(MAX_INTERVAL)
    }

    /// Whether the node may be asked now.
    pub fn may_ask(&self, now: Time, addr: SocketAddr) -> bool {
        self.until.get(&addr).is_none_or(|until| *until <= now)
    }

    /// Notes that the node gave a sample.
    pub fn asked(&mut self, now: Time, addr: SocketAddr, interval: Duration) {
        self.forget(addr);
        while let Some((until, soonest)) = self.by_time.first().copied() {
            if until > now && self.until.len() < MAX_NODES {
                break;
            }
            self.forget(soonest);
        }
        let until = now + interval;
        self.until.insert(addr, until);
        self.by_time.insert((until, addr));
    }

    fn forget(&mut self, addr: SocketAddr) {
        if let Some(until) = self.until.remove(&addr) {
            self.by_time.remove(&(until, addr));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_respected_and_bounded() {
        let addr = SocketAddr::from(([80, 0, 0, 1], 1));
        let mut memory = SampleMemory::default();
        assert!(memory.may_ask(Time::ZERO, addr));
        memory.asked(Time::ZERO, addr, SampleMemory::interval(Some(60)));
        assert!(!memory.may_ask(Time::from_millis(59_999), addr));
        assert!(memory.may_ask(Time::from_millis(60_000), addr));
        assert_eq!(SampleMemory::interval(Some(i64::MAX)), MAX_INTERVAL);
        assert_eq!(SampleMemory::interval(Some(-1)), Duration::ZERO);
        for port in 1..=2000 {
            memory.asked(Time::ZERO, SocketAddr::from(([80, 0, 0, 1], port)), Duration::from_secs(port.into()));
        }
        assert_eq!((memory.until.len(), memory.by_time.len()), (MAX_NODES, MAX_NODES));
        assert!(!memory.may_ask(Time::from_millis(1_999_999), SocketAddr::from(([80, 0, 0, 1], 2000))));
        assert!(memory.may_ask(Time::ZERO, SocketAddr::from(([80, 0, 0, 1], 1488))), "the soonest is forgotten first");
        let again = SocketAddr::from(([80, 0, 0, 1], 1489));
        memory.asked(Time::ZERO, again, MAX_INTERVAL);
        assert_eq!((memory.until.len(), memory.by_time.len()), (MAX_NODES, MAX_NODES), "one entry a node");
        memory.asked(Time::from_millis(2_000_000), addr, Duration::ZERO);
        assert!(!memory.may_ask(Time::from_millis(2_000_000), again));
        assert_eq!((memory.until.len(), memory.by_time.len()), (2, 2), "whose time is over is forgotten");
    }
}
