//! How often each of many was counted within the last while, in bounded memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use super::api::Fill;
use crate::types::Time;

/// Counts over a sliding window, estimated from two fixed ones.
#[derive(Debug)]
pub struct Window<K> {
    length: Duration,
    /// Most keys that are counted in a window; with more, the window ends early.
    capacity: usize,
    current: HashMap<K, u32>,
    previous: HashMap<K, u32>,
    since: Time,
}

impl<K: Eq + Hash> Window<K> {
    /// Nothing counted yet.
    pub fn new(length: Duration, capacity: usize) -> Self {
        Self { length, capacity, current: HashMap::new(), previous: HashMap::new(), since: Time::ZERO }
    }

    /// Counts once more; returns how often that makes within the window.
    pub fn count(&mut self, now: Time, key: K) -> u64 {
        self.turn(now, &key);
        let before = self.before(now, &key);
        let count = self.current.entry(key).or_default();
        *count = count.saturating_add(1);
        u64::from(*count) + before
    }

    /// How often it was counted within the window.
    pub fn counted(&mut self, now: Time, key: &K) -> u64 {
        self.turn(now, key);
        u64::from(self.current.get(key).copied().unwrap_or_default()) + self.before(now, key)
    }

    /// How full it is.
    pub fn fill(&self, of: &'static str) -> Fill {
        Fill { of, entries: self.entries(), bound: 2 * self.capacity }
    }

    /// Keys that are remembered.
    pub fn entries(&self) -> usize {
        self.current.len() + self.previous.len()
    }

    /// The part of the window before that still counts.
    fn before(&self, now: Time, key: &K) -> u64 {
        let left = self.length.saturating_sub(now.since(self.since)).as_millis();
        let before = u128::from(self.previous.get(key).copied().unwrap_or_default());
        u64::try_from(before * left / self.length.as_millis().max(1)).unwrap_or(u64::MAX)
    }

    /// Begins a new window if the current one is over or full.
    fn turn(&mut self, now: Time, key: &K) {
        let age = now.since(self.since);
        let full = self.current.len() >= self.capacity && !self.current.contains_key(key);
        if age < self.length && !full {
            return;
        }
        self.previous = std::mem::take(&mut self.current);
        if age >= self.length * 2 {
            self.previous.clear();
        }
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    #[test]
    fn it_slides() {
        let mut window = Window::new(WINDOW, 10);
        for at in 0..10 {
            assert_eq!(window.count(Time::from_millis(at), 'a'), at + 1);
        }
        // Half of the window before still counts.
        assert_eq!(window.counted(Time::from_millis(10_000), &'a'), 10);
        assert_eq!(window.counted(Time::from_millis(15_000), &'a'), 5);
        assert_eq!(window.count(Time::from_millis(15_000), 'b'), 1);
        assert_eq!(window.counted(Time::from_millis(40_000), &'a'), 0);
    }

    #[test]
    fn it_is_bounded() {
        let mut window = Window::new(WINDOW, 10);
        for key in 0..1000 {
            window.count(Time::ZERO, key);
            assert!(window.entries() <= 20);
        }
    }
}
