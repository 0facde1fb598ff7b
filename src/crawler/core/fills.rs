//! How full everything is that the crawler keeps.

use super::events::MAX_EVENTS;
use super::lookups::MAX_ANNOUNCING;
use super::{Core, MAX_TRANSMITS};
use crate::crawler::announces::MAX_ANNOUNCED;
use crate::crawler::searches::MAX_SEARCHES;
use crate::dht::{Fill, Node};

impl Core {
    /// All tables that strangers can put something into; of the nodes', those of the fullest.
    pub fn fills(&self) -> Vec<Fill> {
        // A search that ends is told whatever waits, and once; so is that names are to be resolved.
        let events = MAX_EVENTS + MAX_SEARCHES + 1;
        let lookups = MAX_SEARCHES + MAX_ANNOUNCING + 1;
        let mut fills = vec![
            Fill { of: "datagrams of all nodes to be sent", entries: self.transmits.len(), bound: MAX_TRANSMITS },
            Fill { of: "events", entries: self.events.len(), bound: events },
            Fill { of: "lookups of all nodes", entries: self.tasks.len(), bound: lookups },
            Fill { of: "searches", entries: self.searches.len(), bound: MAX_SEARCHES },
            Fill { of: "infohashes announced", entries: self.announces.len(), bound: MAX_ANNOUNCED },
            Fill { of: "addresses seen by nodes", entries: self.upkeep.seen_as.len(), bound: self.nodes.len() },
            self.book.fill(),
            self.sweeping.fill(),
        ];
        fills.extend(self.filter.fills());
        fills.push(self.manners.fill());
        for fill in self.nodes.iter().flat_map(Node::fills).chain(self.monitors.fills()) {
            match fills.iter_mut().find(|known| known.of == fill.of) {
                Some(known) => *known = known.fuller(fill),
                None => fills.push(fill),
            }
        }
        fills
    }
}
