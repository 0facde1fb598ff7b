//! How full everything is that a node keeps.

use super::{MAX_EVENTS, MAX_FOR_PERSONS, MAX_HEARSAY, MAX_LOOKUPS, MAX_OTHER_FAMILY, MAX_TRANSMITS, Node};
use crate::dht::api::Fill;
use crate::dht::pending::MAX_PENDING;

/// Lookups at most: those that nobody waits for, those that persons wait for, and one for upkeep.
const MOST_LOOKUPS: usize = MAX_LOOKUPS + MAX_FOR_PERSONS + 1;
/// Events that wait at most, if the shell starts nothing while it takes none: the bound of peers, and the ends of all
/// lookups, of which a scrape has two, and visits.
const MOST_EVENTS: usize = 2 * MAX_EVENTS + 2 * MOST_LOOKUPS + MAX_PENDING;

impl Node {
    /// All tables that strangers can put something into; of the lookups the fullest.
    pub fn fills(&self) -> Vec<Fill> {
        let mut fills = vec![
            Fill { of: "lookups", entries: self.walks.len(), bound: MOST_LOOKUPS },
            Fill { of: "contacts to be verified", entries: self.hearsay.len(), bound: MAX_HEARSAY },
            Fill { of: "contacts of the other family", entries: self.other_family.len(), bound: MAX_OTHER_FAMILY },
            Fill { of: "datagrams to be sent", entries: self.transmits.len(), bound: MAX_TRANSMITS },
            Fill { of: "events of a node", entries: self.events.len(), bound: MOST_EVENTS },
            self.pending.fill(),
            self.samples.fill(),
            self.votes.fill(),
            self.upkeep.fill(),
        ];
        fills.extend(self.table.fills());
        fills.extend(self.responder.fills());
        let walks = self.walks.values().map(|walk| walk.fills());
        fills.extend(
            walks.reduce(|fills, others| std::array::from_fn(|at| fills[at].fuller(others[at]))).into_iter().flatten(),
        );
        fills
    }
}
