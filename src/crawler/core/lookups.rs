//! Which of our nodes looks something up, and when.

use std::time::Duration;

use super::{Announced, Core, LOOKUP_CANDIDATES, Purpose, SEARCH_LIMIT, Task, Waits};
use crate::dht::{Lookup, LookupId};
use crate::types::Time;

/// Announces under way at once; each is some thirty datagrams over a few seconds.
pub(super) const MAX_ANNOUNCING: usize = 8;
/// A lookup that has not ended by then is cancelled: lookups end within seconds.
const LOOKUP_LIMIT: Duration = SEARCH_LIMIT;

impl Core {
    /// Starts a lookup at the node closest to its target that knows somebody and has room.
    pub(super) fn start_lookup(
        &mut self,
        now: Time,
        target: &[u8; 20],
        lookup: Lookup,
        (purpose, waits): (Purpose, Waits),
    ) -> Option<(u32, LookupId)> {
        for number in self.index.nearest(target, LOOKUP_CANDIDATES) {
            let node = &mut self.nodes[number as usize];
            if node.closest(target, 1).is_empty() {
                continue;
            }
            let started = match waits {
                Waits::Person => node.start_for_person(now, lookup),
                Waits::Nobody => node.start(now, lookup),
            };
            if let Ok(id) = started {
                self.tasks.insert((number, id), Task { purpose, deadline: now + LOOKUP_LIMIT });
                self.touched.push_back(number);
                return Some((number, id));
            }
        }
        None
    }

    pub(super) fn start_searches(&mut self, now: Time) {
        for waits in [Waits::Person, Waits::Nobody] {
            while let Some((search, infohash)) = self.searches.first_waiting(waits) {
                let what = (Purpose::Search(search), waits);
                let started = self.start_lookup(now, &infohash.0, Lookup::GetPeers(infohash), what);
                let Some(started) = started else { break };
                self.searches.started(search, started);
            }
        }
    }

    pub(super) fn start_announces(&mut self, now: Time) {
        while self.announcing < MAX_ANNOUNCING && self.is_connected() {
            let Some((infohash, Announced { port, seed })) = self.announces.take_due(now) else { break };
            let lookup = Lookup::Announce { infohash, port, seed };
            if self.start_lookup(now, &infohash.0, lookup, (Purpose::Announce(infohash), Waits::Nobody)).is_some() {
                self.announcing += 1;
            } else {
                self.announces.finished(now, &infohash, 0, &mut self.rng);
                break;
            }
        }
    }
}
