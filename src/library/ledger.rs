//! The account of the storage budget: what lies on the disk and what is promised to downloads.

use std::collections::HashMap;

use crate::types::{Bytes, TrackId};

/// A reservation would exceed the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{missing} too little room within the storage budget of {budget}; something has to be evicted first")]
pub struct Shortfall {
    /// What has to be freed before the reservation fits.
    pub missing: Bytes,
    pub budget: Bytes,
}

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    /// Promised to a download that may not have written it yet.
    reserved: u64,
    /// Allocated blocks when last looked.
    on_disk: u64,
}

impl Entry {
    /// What the track counts for: a download fills its reservation, it does not come on top.
    fn charge(self) -> u64 {
        self.reserved.max(self.on_disk)
    }
}

/// Bytes per track, each the greater of what was reserved and what lies on the disk.
///
/// Invariant: as long as every download stays within its reservation, what lies on the disk is at most
/// [`Ledger::used`], and [`Ledger::reserve`] never lets that pass the budget. Only a smaller budget, or blocks found at
/// start, can make it larger; then nothing new is granted until enough is evicted.
#[derive(Debug)]
pub struct Ledger {
    budget: u64,
    used: u64,
    /// What lies on the disk beside the tracks.
    overhead: u64,
    entries: HashMap<TrackId, Entry>,
}

impl Ledger {
    /// An empty account.
    pub fn new(budget: Bytes) -> Self {
        Self { budget: budget.0, used: 0, overhead: 0, entries: HashMap::new() }
    }

    /// What may be used.
    pub fn budget(&self) -> Bytes {
        Bytes(self.budget)
    }

    /// Another budget from now on; what was granted stays so.
    pub fn set_budget(&mut self, budget: Bytes) {
        self.budget = budget.0;
    }

    /// What is on the disk or promised.
    pub fn used(&self) -> Bytes {
        Bytes(self.used.saturating_add(self.overhead))
    }

    /// What a track counts for; 0 if it is unknown.
    pub fn charge(&self, track: TrackId) -> Bytes {
        Bytes(self.entries.get(&track).map_or(0, |entry| entry.charge()))
    }

    /// Promises `bytes` in total to `track`, including what it has on the disk already. Doing it again is harmless.
    ///
    /// # Errors
    /// If it would exceed the budget; nothing is changed then.
    pub fn reserve(&mut self, track: TrackId, bytes: Bytes) -> Result<(), Shortfall> {
        let entry = self.entries.get(&track).copied().unwrap_or_default();
        let grown = Entry { reserved: entry.reserved.max(bytes.0), ..entry };
        let more = grown.charge() - entry.charge();
        let missing = self.used().0.saturating_add(more).saturating_sub(self.budget);
        if more > 0 && missing > 0 {
            return Err(Shortfall { missing: Bytes(missing), budget: Bytes(self.budget) });
        }
        self.put(track, grown);
        Ok(())
    }

    /// Notes what a track has on the disk while its reservation, if any, goes on.
    pub fn observe(&mut self, track: TrackId, on_disk: Bytes) {
        let entry = self.entries.get(&track).copied().unwrap_or_default();
        self.put(track, Entry { on_disk: on_disk.0, ..entry });
    }

    /// Notes all that is on the disk, `total` in all: a track that is not named has nothing there, and what no track
    /// has counts on top. Reservations go on.
    pub fn survey(&mut self, tracks: &HashMap<TrackId, Bytes>, total: Bytes) {
        let gone: Vec<TrackId> = self.entries.keys().filter(|track| !tracks.contains_key(track)).copied().collect();
        gone.into_iter().for_each(|track| self.observe(track, Bytes(0)));
        tracks.iter().for_each(|(track, bytes)| self.observe(*track, *bytes));
        self.overhead = total.0.saturating_sub(tracks.values().map(|bytes| bytes.0).sum());
    }

    /// The download ended, complete or not: the track counts for what it has on the disk from now on.
    pub fn settle(&mut self, track: TrackId, on_disk: Bytes) {
        self.put(track, Entry { reserved: 0, on_disk: on_disk.0 });
    }

    /// The track is gone from the disk and nothing is promised to it any more.
    pub fn forget(&mut self, track: TrackId) {
        self.put(track, Entry::default());
    }

    fn put(&mut self, track: TrackId, entry: Entry) {
        let before = self.entries.get(&track).map_or(0, |entry| entry.charge());
        self.used = self.used.saturating_sub(before).saturating_add(entry.charge());
        if entry.charge() == 0 {
            self.entries.remove(&track);
        } else {
            self.entries.insert(track, entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::InfoHash;
    use proptest::prelude::*;

    fn track(file: u32) -> TrackId {
        TrackId { infohash: InfoHash([1; 20]), file }
    }

    #[test]
    fn a_download_counts_from_its_promise_to_its_last_byte() {
        let mut ledger = Ledger::new(Bytes(100));
        ledger.reserve(track(0), Bytes(60)).unwrap();
        ledger.observe(track(0), Bytes(20));
        assert_eq!(ledger.used(), Bytes(60));
        ledger.settle(track(0), Bytes(55));
        assert_eq!(ledger.used(), Bytes(55));
        ledger.forget(track(0));
        assert_eq!(ledger.used(), Bytes(0));
    }

    #[test]
    fn refusal_says_how_much_is_missing_and_changes_nothing() {
        let mut ledger = Ledger::new(Bytes(100));
        ledger.reserve(track(0), Bytes(70)).unwrap();
        let refusal = ledger.reserve(track(1), Bytes(50)).unwrap_err();
        assert_eq!(refusal.missing, Bytes(20));
        assert_eq!(ledger.used(), Bytes(70));
        ledger.reserve(track(0), Bytes(70)).unwrap();
    }

    #[test]
    fn blocks_found_beyond_the_budget_stop_new_downloads_only() {
        let mut ledger = Ledger::new(Bytes(100));
        ledger.observe(track(0), Bytes(150));
        assert_eq!(ledger.reserve(track(1), Bytes(10)).unwrap_err().missing, Bytes(60));
        ledger.reserve(track(0), Bytes(150)).unwrap();
    }

    #[test]
    fn a_survey_counts_what_belongs_to_no_track_and_drops_what_is_gone() {
        let mut ledger = Ledger::new(Bytes(100));
        ledger.reserve(track(0), Bytes(30)).unwrap();
        ledger.observe(track(1), Bytes(40));
        ledger.survey(&HashMap::from([(track(0), Bytes(10)), (track(2), Bytes(5))]), Bytes(25));
        assert_eq!(ledger.used(), Bytes(30 + 5 + 10));
        assert_eq!(ledger.reserve(track(3), Bytes(56)).unwrap_err().missing, Bytes(1));
        ledger.reserve(track(3), Bytes(55)).unwrap();
    }

    #[derive(Debug, Clone)]
    enum Step {
        Reserve(u32, u64),
        Write(u32, u64),
        Settle(u32),
        Forget(u32),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0u32..8, 0u64..600).prop_map(|(file, bytes)| Step::Reserve(file, bytes)),
            (0u32..8, 0u64..600).prop_map(|(file, bytes)| Step::Write(file, bytes)),
            (0u32..8).prop_map(Step::Settle),
            (0u32..8).prop_map(Step::Forget),
        ]
    }

    proptest! {
        /// A disk on which every write stays within what was granted never holds more than the budget.
        #[test]
        fn disk_stays_within_the_budget_at_every_step(steps in prop::collection::vec(any_step(), 0..200)) {
            let budget = 1000;
            let mut ledger = Ledger::new(Bytes(budget));
            let mut disk: HashMap<u32, u64> = HashMap::new();
            for step in steps {
                match step {
                    Step::Reserve(file, bytes) => {
                        let _ = ledger.reserve(track(file), Bytes(bytes));
                    }
                    Step::Write(file, bytes) => {
                        let granted = ledger.charge(track(file)).0;
                        let written = disk.entry(file).or_default();
                        *written = (*written).max(bytes.min(granted));
                        ledger.observe(track(file), Bytes(*written));
                    }
                    Step::Settle(file) => {
                        ledger.settle(track(file), Bytes(disk.get(&file).copied().unwrap_or(0)));
                    }
                    Step::Forget(file) => {
                        disk.remove(&file);
                        ledger.forget(track(file));
                    }
                }
                let total: u64 = disk.values().sum();
                prop_assert!(total <= ledger.used().0);
                prop_assert!(ledger.used().0 <= budget);
                prop_assert_eq!(ledger.used().0, (0..8).map(|file| ledger.charge(track(file)).0).sum::<u64>());
            }
        }
    }
}
