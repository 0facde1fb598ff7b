//! A map that forgets: bounded in entries and in age, with constant work for each operation.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use crate::dht::Fill;
use crate::types::Time;

/// Keeps an entry for at least one `window` and at most two, unless more than `capacity` are added within a window.
///
/// Entries go to the young generation; when that is full or a window old, it becomes the old one and what was the
/// old one is forgotten. So at most 2 · `capacity` entries are held, and a flood shortens the memory, not the machine's.
#[derive(Debug)]
pub(super) struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    capacity: usize,
    window: Duration,
    turned: Time,
}

impl<K: Eq + Hash, V> Generations<K, V> {
    pub fn new(capacity: usize, window: Duration) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), capacity, window, turned: Time::ZERO }
    }

    /// The value last inserted for `key`, if it is not forgotten.
    pub fn get(&mut self, now: Time, key: &K) -> Option<&V> {
        self.turn(now);
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// Inserts or replaces; the entry counts as young again.
    pub fn insert(&mut self, now: Time, key: K, value: V) {
        self.turn(now);
        self.old.remove(&key);
        self.young.insert(key, value);
    }

    /// All that is not forgotten.
    pub fn values(&self) -> impl Iterator<Item = &V> + '_ {
        self.young.values().chain(self.old.values())
    }

    pub fn remove(&mut self, now: Time, key: &K) -> Option<V> {
        self.turn(now);
        self.young.remove(key).or_else(|| self.old.remove(key))
    }

    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// How full it is.
    pub fn fill(&self, of: &'static str) -> Fill {
        Fill { of, entries: self.len(), bound: 2 * self.capacity }
    }

    fn turn(&mut self, now: Time) {
        let age = now.since(self.turned);
        if age >= self.window || self.young.len() >= self.capacity {
            self.old = std::mem::take(&mut self.young);
            if age >= self.window * 2 {
                self.old = HashMap::new();
            }
            self.turned = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WINDOW: Duration = Duration::from_secs(10);

    #[test]
    fn entries_live_one_to_two_windows() {
        let mut map = Generations::new(100, WINDOW);
        let at = Time::from_millis;
        map.insert(at(9_000), 1, "a");
        assert_eq!(map.get(at(18_999), &1), Some(&"a"));
        assert_eq!(map.get(at(29_000), &1), None);
        map.insert(at(30_000), 2, "b");
        assert_eq!(map.get(at(60_000), &2), None, "silent for more than two windows");
    }

    #[test]
    fn inserting_again_makes_young() {
        let mut map = Generations::new(100, WINDOW);
        map.insert(Time::from_millis(1_000), 1, "a");
        map.insert(Time::from_millis(15_000), 1, "b");
        assert_eq!(map.get(Time::from_millis(24_000), &1), Some(&"b"));
        assert_eq!(map.remove(Time::from_millis(24_000), &1), Some("b"));
        assert_eq!(map.get(Time::from_millis(24_000), &1), None);
    }

    proptest! {
        #[test]
        fn never_more_than_twice_the_capacity(keys in prop::collection::vec((any::<u16>(), 0u64..500), 0..500)) {
            let mut map = Generations::new(16, WINDOW);
            let mut now = Time::ZERO;
            for (key, step) in keys {
                now = now + Duration::from_millis(step);
                map.insert(now, key, ());
                prop_assert!(map.get(now, &key).is_some(), "what was just inserted is there");
                prop_assert!(map.len() <= 32);
            }
        }
    }
}
