//! Answering others.

use super::Node;
use crate::dht::api::{Contact, Event, Family, Urgency};
use crate::dht::krpc::Query;
use crate::dht::responder::Asked;
use crate::dht::table::{K, closest_of};
use crate::types::Time;

impl Node {
    /// Takes in a query of `asker`.
    pub(super) fn handle_query(
        &mut self,
        now: Time,
        asker: Contact,
        transaction: &[u8],
        query: &Query<'_>,
        read_only: bool,
    ) {
        if !read_only {
            self.consider(now, asker, true);
        }
        let (table, other_family, own) = (&self.table, &self.other_family, self.config.family);
        let near = |family: Family, target: &[u8; 20]| {
            if family == own { table.closest(now, target, K) } else { closest_of(other_family, target, K) }
        };
        let asked = Asked { own: self.id, asker, transaction, query };
        let served = self.responder.serve(now, &asked, &near, &mut self.stats);
        if let Some((infohash, kind)) = served.sighting {
            self.tell(Event::Sighting { infohash, kind, from: asker.addr, from_id: asker.id });
        }
        if let Some(reply) = served.reply {
            self.transmit((asker.addr, reply), Urgency::Answer, None);
        }
    }
}
