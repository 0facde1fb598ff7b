//! What waits to be believed, a bounded part for each network.

use std::time::Duration;

use super::Observation;
use super::accounts::Network;
use crate::crawler::generations::Generations;
use crate::dht::Fill;
use crate::types::{InfoHash, Time};

/// Infohashes that wait, per generation: at most 8,192 · 2 · ~130 B of table, 2 MB. As all of these, it is seven eighths of
/// a power of two, up to where a hash table does not double.
const CAPACITY: usize = 7_168;
/// How long such an infohash waits at least: some clients announce every half an hour only.
const WINDOW: Duration = Duration::from_secs(45 * 60);
/// Infohashes of one network that wait, so that none can fill the memory of all.
pub const MAX_WAITING: usize = 32;
/// The same while the table has room for more than a generation: a client with hundreds of torrents, or one that obfuscates
/// next to thousands of our nodes, names as many in that time, and what finds no place is not known when it comes again.
pub const MAX_WAITING_WITH_ROOM: usize = 256;
/// A list is gone through for what makes place once in this time, so that who fills it does not have us do that each time.
const SWEEP_PAUSE: Duration = Duration::from_secs(60);
/// Networks of which something waits, per generation.
const NETWORKS: usize = 3_584;
/// Most entries of all tables together.
#[cfg(test)]
pub const MAX_ENTRIES: usize = 2 * (CAPACITY + NETWORKS);

/// An infohash that waits.
#[derive(Debug, Clone, Copy)]
pub struct Waiting {
    /// Who named it first.
    pub observation: Observation,
    /// When that was.
    pub at: Time,
    /// Whether somebody who named it had good reason to.
    pub claimed: bool,
    /// Whether that was an announce, which nobody obfuscates.
    pub announced: bool,
    /// It is claimed and was named again; only credit lacks.
    pub upheld: bool,
}

/// All that waits.
#[derive(Debug)]
pub struct Held {
    entries: Generations<InfoHash, Waiting>,
    lists: Generations<Network, List>,
}

/// What waits of a network.
#[derive(Debug, Default)]
struct List {
    /// First come first. What was forgotten is still in it until the list is gone through, when it is touched next.
    infohashes: Vec<InfoHash>,
    swept: Time,
    /// None of them is without a claim, as far as was looked.
    is_claimed: bool,
}

impl Default for Held {
    fn default() -> Self {
        Self { entries: Generations::new(CAPACITY, WINDOW), lists: Generations::new(NETWORKS, WINDOW) }
    }
}

impl Held {
    pub fn get(&mut self, now: Time, infohash: &InfoHash) -> Option<Waiting> {
        self.entries.get(now, infohash).copied()
    }

    /// Has it wait for the network that named it first, if that has a place.
    pub fn hold(&mut self, now: Time, network: Network, waiting: Waiting) {
        let mut list = self.lists.remove(now, &network).unwrap_or_default();
        if self.make_place(now, &mut list, waiting.claimed) {
            list.infohashes.push(waiting.observation.infohash);
            list.is_claimed &= waiting.claimed;
            self.entries.insert(now, waiting.observation.infohash, waiting);
        }
        self.lists.insert(now, network, list);
    }

    /// Notes what is known by now of one that waits for a network; it waits as long again.
    pub fn renew(&mut self, now: Time, network: Network, waiting: Waiting) {
        self.entries.insert(now, waiting.observation.infohash, waiting);
        let mut list = self.lists.remove(now, &network).unwrap_or_default();
        let infohash = waiting.observation.infohash;
        if !list.infohashes.contains(&infohash) && list.infohashes.len() < MAX_WAITING_WITH_ROOM {
            list.infohashes.push(infohash);
            list.is_claimed &= waiting.claimed;
        }
        self.lists.insert(now, network, list);
    }

    /// It waits no more.
    pub fn remove(&mut self, now: Time, network: &Network, infohash: &InfoHash) {
        self.entries.remove(now, infohash);
        if let Some(mut list) = self.lists.remove(now, network) {
            list.infohashes.retain(|waiting| waiting != infohash);
            if !list.infohashes.is_empty() {
                self.lists.insert(now, *network, list);
            }
        }
    }

    /// What waits of a network, first come first.
    pub fn of(&mut self, now: Time, network: &Network) -> Vec<Waiting> {
        let list = self.lists.get(now, network).map(|list| list.infohashes.clone()).unwrap_or_default();
        list.iter().filter_map(|infohash| self.get(now, infohash)).collect()
    }

    /// Whether one more may wait of a network. What waited too long makes place: such as was forgotten, and such as nobody
    /// had reason to name and nobody named again; and for a claim the first that is none.
    fn make_place(&mut self, now: Time, list: &mut List, claimed: bool) -> bool {
        if now.since(list.swept) >= SWEEP_PAUSE {
            list.swept = now;
            list.infohashes.retain(|infohash| match self.entries.get(now, infohash) {
                Some(held) if !held.claimed && now.since(held.at) >= WINDOW => {
                    self.entries.remove(now, infohash);
                    false
                }
                held => held.is_some(),
            });
        }
        let most = if self.entries.len() < CAPACITY { MAX_WAITING_WITH_ROOM } else { MAX_WAITING };
        if list.infohashes.len() < most {
            return true;
        }
        if !claimed || list.is_claimed {
            return false;
        }
        // What was forgotten counts as without a claim, too.
        let is_plain = |infohash: &InfoHash| self.entries.get(now, infohash).is_none_or(|held| !held.claimed);
        let Some(at) = list.infohashes.iter().position(is_plain) else {
            list.is_claimed = true;
            return false;
        };
        self.entries.remove(now, &list.infohashes.remove(at));
        // There may be more than there is room for by now; then it takes the place of that one all the same.
        true
    }

    /// Entries in all tables.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.entries.len() + self.lists.len()
    }

    /// How full the tables are.
    pub fn fills(&self) -> [Fill; 3] {
        let most = self.lists.values().map(|list| list.infohashes.len()).max().unwrap_or_default();
        [
            self.entries.fill("infohashes that wait"),
            self.lists.fill("networks of which some wait"),
            Fill { of: "infohashes of a network that wait", entries: most, bound: MAX_WAITING_WITH_ROOM },
        ]
    }
}
