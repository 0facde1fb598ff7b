//! Searches for peers that are under way or wait for a node with room.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use crate::dht::LookupId;
use crate::types::{InfoHash, Time};

/// Searches at most, under way and waiting; about 200 B each. The metadata workers and the swarm ask for tens.
pub const MAX_SEARCHES: usize = 512;
/// Of these, kept for those that a person waits for.
const FOR_PERSONS: usize = 64;
/// A search ends after this time at the latest, whether it waited or looked.
pub const SEARCH_LIMIT: Duration = Duration::from_secs(60);

/// As many searches as there may be are under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_SEARCHES} searches for peers are under way; wait for one to end")]
pub struct TooManySearches;

/// Who waits for a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// A person who wants to hear a song: it comes first, whatever else waits.
    Person,
    /// Nobody: the index is to grow.
    Nobody,
}

/// Names a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SearchId(u64);

#[derive(Debug)]
pub(super) struct Search {
    pub infohash: InfoHash,
    pub waits: Waits,
    pub ends: Time,
    /// Peers told already, out of our own stores.
    pub told: Vec<SocketAddr>,
    /// The lookup, once a node had room for it.
    pub lookup: Option<(u32, LookupId)>,
}

/// All searches by their names, and the order of those that wait: persons' and others'.
#[derive(Debug, Default)]
pub(super) struct Searches {
    live: BTreeMap<SearchId, Search>,
    persons: VecDeque<SearchId>,
    others: VecDeque<SearchId>,
    begun: u64,
}

impl Searches {
    /// Adds a waiting search.
    pub fn add(
        &mut self,
        now: Time,
        (infohash, waits): (InfoHash, Waits),
        told: Vec<SocketAddr>,
    ) -> Result<SearchId, TooManySearches> {
        let room = match waits {
            Waits::Person => MAX_SEARCHES,
            Waits::Nobody => MAX_SEARCHES - FOR_PERSONS,
        };
        if self.live.len() >= room {
            return Err(TooManySearches);
        }
        let id = SearchId(self.begun);
        self.begun += 1;
        self.live.insert(id, Search { infohash, waits, ends: now + SEARCH_LIMIT, told, lookup: None });
        self.waiting(waits).push_back(id);
        Ok(id)
    }

    fn waiting(&mut self, waits: Waits) -> &mut VecDeque<SearchId> {
        match waits {
            Waits::Person => &mut self.persons,
            Waits::Nobody => &mut self.others,
        }
    }

    /// Of those for whom a person waits, or of the others, the search that has waited longest.
    pub fn first_waiting(&mut self, waits: Waits) -> Option<(SearchId, InfoHash)> {
        let id = *self.waiting(waits).front()?;
        Some((id, self.live.get(&id)?.infohash))
    }

    /// It is being looked up.
    pub fn started(&mut self, id: SearchId, lookup: (u32, LookupId)) {
        let Some(search) = self.live.get_mut(&id) else { return };
        search.lookup = Some(lookup);
        let waits = search.waits;
        self.waiting(waits).retain(|waiting| *waiting != id);
    }

    /// Its lookup is over before its time: it waits again, before others.
    pub fn put_back(&mut self, id: SearchId) {
        let Some(search) = self.live.get_mut(&id) else { return };
        if search.lookup.take().is_some() {
            let waits = search.waits;
            self.waiting(waits).push_front(id);
        }
    }

    /// Those of `peers` that were not told yet.
    pub fn news(&self, id: SearchId, mut peers: Vec<SocketAddr>) -> Vec<SocketAddr> {
        match self.live.get(&id) {
            Some(search) => peers.retain(|peer| !search.told.contains(peer)),
            None => peers.clear(),
        }
        peers
    }

    /// Forgets a search.
    pub fn remove(&mut self, id: SearchId) -> Option<Search> {
        let search = self.live.remove(&id)?;
        if search.lookup.is_none() {
            self.waiting(search.waits).retain(|waiting| *waiting != id);
        }
        Some(search)
    }

    /// A search whose time is over.
    pub fn overdue(&self, now: Time) -> Option<SearchId> {
        // All have the same limit, so the oldest is overdue first.
        self.live.first_key_value().filter(|(_, search)| search.ends <= now).map(|(id, _)| *id)
    }

    /// Whether a person waits for one of them.
    pub fn has_persons(&self) -> bool {
        self.live.values().any(|search| search.waits == Waits::Person)
    }

    pub fn len(&self) -> usize {
        self.live.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_wait_in_order_and_end_in_time() {
        let mut searches = Searches::default();
        let first = searches.add(Time::ZERO, (InfoHash([1; 20]), Waits::Nobody), Vec::new()).unwrap();
        let second = searches.add(Time::from_millis(1), (InfoHash([2; 20]), Waits::Nobody), Vec::new()).unwrap();
        assert_eq!(searches.first_waiting(Waits::Nobody), Some((first, InfoHash([1; 20]))));
        searches.started(first, (0, LookupId(7)));
        assert_eq!(searches.first_waiting(Waits::Nobody), Some((second, InfoHash([2; 20]))));
        assert_eq!(searches.overdue(Time::ZERO + SEARCH_LIMIT), Some(first));
        assert_eq!(searches.remove(first).unwrap().lookup, Some((0, LookupId(7))));
        assert_eq!(searches.overdue(Time::ZERO + SEARCH_LIMIT), None);
        assert!(searches.remove(second).unwrap().lookup.is_none());
        assert_eq!((searches.first_waiting(Waits::Nobody), searches.len()), (None, 0));
    }

    #[test]
    fn a_search_that_is_put_back_is_the_next_one() {
        let mut searches = Searches::default();
        let mut add = |byte| searches.add(Time::ZERO, (InfoHash([byte; 20]), Waits::Person), Vec::new()).unwrap();
        let (first, second) = (add(1), add(2));
        searches.put_back(first);
        assert_eq!(searches.persons, [first, second], "it waits already");
        searches.started(first, (0, LookupId(7)));
        searches.put_back(first);
        assert_eq!(searches.persons, [first, second]);
        searches.remove(first);
        searches.put_back(first);
        assert_eq!(searches.persons, [second]);
    }

    #[test]
    fn searches_are_bounded() {
        let mut searches = Searches::default();
        for _ in 0..MAX_SEARCHES - FOR_PERSONS {
            searches.add(Time::ZERO, (InfoHash([1; 20]), Waits::Nobody), Vec::new()).unwrap();
        }
        assert_eq!(searches.add(Time::ZERO, (InfoHash([1; 20]), Waits::Nobody), Vec::new()), Err(TooManySearches));
        for _ in 0..FOR_PERSONS {
            searches.add(Time::ZERO, (InfoHash([1; 20]), Waits::Person), Vec::new()).unwrap();
        }
        assert_eq!(searches.add(Time::ZERO, (InfoHash([1; 20]), Waits::Person), Vec::new()), Err(TooManySearches));
    }

    #[test]
    fn stored_peers_are_not_told_twice() {
        let mut searches = Searches::default();
        let (known, new): (SocketAddr, SocketAddr) = ("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
        let search = searches.add(Time::ZERO, (InfoHash([1; 20]), Waits::Nobody), vec![known]).unwrap();
        assert_eq!(searches.news(search, vec![known, new]), [new]);
        searches.remove(search);
        assert_eq!(searches.news(search, vec![new]), []);
    }
}
