//! Searches for peers that are under way or wait for a node with room.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use crate::dht::LookupId;
use crate::types::{InfoHash, Time};

/// Searches at most, under way and waiting; about 200 B each. The metadata workers and the swarm ask for tens.
pub const MAX_SEARCHES: usize = 512;
/// A search ends after this time at the latest, whether it waited or looked.
pub const SEARCH_LIMIT: Duration = Duration::from_secs(60);

/// As many searches as there may be are under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_SEARCHES} searches for peers are under way; wait for one to end")]
pub struct TooManySearches;

/// Names a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SearchId(u64);

#[derive(Debug)]
pub(super) struct Search {
    pub infohash: InfoHash,
    pub ends: Time,
    /// Peers told already, out of our own stores.
    pub told: Vec<SocketAddr>,
    /// The lookup, once a node had room for it.
    pub lookup: Option<(u32, LookupId)>,
}

/// All searches by their names, and the order of those that wait.
#[derive(Debug, Default)]
pub(super) struct Searches {
    live: BTreeMap<SearchId, Search>,
    waiting: VecDeque<SearchId>,
    begun: u64,
}

impl Searches {
    /// Adds a waiting search.
    pub fn add(&mut self, now: Time, infohash: InfoHash, told: Vec<SocketAddr>) -> Result<SearchId, TooManySearches> {
        if self.live.len() >= MAX_SEARCHES {
            return Err(TooManySearches);
        }
        let id = SearchId(self.begun);
        self.begun += 1;
        self.live.insert(id, Search { infohash, ends: now + SEARCH_LIMIT, told, lookup: None });
        self.waiting.push_back(id);
        Ok(id)
    }

    /// The search that has waited longest.
    pub fn first_waiting(&self) -> Option<(SearchId, InfoHash)> {
        let id = *self.waiting.front()?;
        Some((id, self.live.get(&id)?.infohash))
    }

    /// The search that has waited longest is being looked up.
    pub fn first_started(&mut self, lookup: (u32, LookupId)) {
        if let Some(search) = self.waiting.pop_front().and_then(|id| self.live.get_mut(&id)) {
            search.lookup = Some(lookup);
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
            self.waiting.retain(|waiting| *waiting != id);
        }
        Some(search)
    }

    /// A search whose time is over.
    pub fn overdue(&self, now: Time) -> Option<SearchId> {
        // All have the same limit, so the oldest is overdue first.
        self.live.first_key_value().filter(|(_, search)| search.ends <= now).map(|(id, _)| *id)
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
        let first = searches.add(Time::ZERO, InfoHash([1; 20]), Vec::new()).unwrap();
        let second = searches.add(Time::from_millis(1), InfoHash([2; 20]), Vec::new()).unwrap();
        assert_eq!(searches.first_waiting(), Some((first, InfoHash([1; 20]))));
        searches.first_started((0, LookupId(7)));
        assert_eq!(searches.first_waiting(), Some((second, InfoHash([2; 20]))));
        assert_eq!(searches.overdue(Time::ZERO + SEARCH_LIMIT), Some(first));
        assert_eq!(searches.remove(first).unwrap().lookup, Some((0, LookupId(7))));
        assert_eq!(searches.overdue(Time::ZERO + SEARCH_LIMIT), None);
        assert!(searches.remove(second).unwrap().lookup.is_none());
        assert_eq!((searches.first_waiting(), searches.len()), (None, 0));
    }

    #[test]
    fn searches_are_bounded() {
        let mut searches = Searches::default();
        for _ in 0..MAX_SEARCHES {
            searches.add(Time::ZERO, InfoHash([1; 20]), Vec::new()).unwrap();
        }
        assert_eq!(searches.add(Time::ZERO, InfoHash([1; 20]), Vec::new()), Err(TooManySearches));
    }

    #[test]
    fn stored_peers_are_not_told_twice() {
        let mut searches = Searches::default();
        let (known, new): (SocketAddr, SocketAddr) = ("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
        let search = searches.add(Time::ZERO, InfoHash([1; 20]), vec![known]).unwrap();
        assert_eq!(searches.news(search, vec![known, new]), [new]);
        searches.remove(search);
        assert_eq!(searches.news(search, vec![new]), []);
    }
}
