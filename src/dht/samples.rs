//! Whom not to ask for a sample again yet (BEP 51).

use std::collections::BTreeMap;
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
        if self.until.len() >= MAX_NODES && !self.until.contains_key(&addr) {
            self.until.retain(|_, until| now < *until);
        }
        if self.until.len() >= MAX_NODES && !self.until.contains_key(&addr) {
            let soonest = self.until.iter().min_by_key(|(_, until)| **until).map(|(addr, _)| *addr);
            soonest.map(|addr| self.until.remove(&addr));
        }
        self.until.insert(addr, now + interval);
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
        assert_eq!(memory.until.len(), MAX_NODES);
        assert!(!memory.may_ask(Time::from_millis(1_999_999), SocketAddr::from(([80, 0, 0, 1], 2000))));
    }
}
