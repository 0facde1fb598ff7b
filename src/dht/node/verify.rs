//! Asking strangers whether they are real, and contacts whether they are alive.

use std::net::SocketAddr;

use super::{MAX_HEARSAY, Node};
use crate::dht::api::{Contact, Urgency};
use crate::dht::krpc::Query;
use crate::dht::origin::{Block, share_ipv6};
use crate::dht::pending::Purpose;
use crate::types::Time;

/// Strangers that are asked at a time whether they are real.
const MAX_VERIFYING: usize = 16;

/// Strangers of wider blocks of IPv6 addresses than those that have one place each: of so many first bits so many, asked or
/// waiting. Even a whole provider takes a quarter of [`MAX_VERIFYING`], for six seconds each if nobody answers.
const MAX_OF_IPV6: [(u32, usize); 2] = [(48, 2), (32, 4)];

impl Node {
    /// Asks a stranger whether it is real, if the table has a place for it. `direct`: we heard from itself.
    pub(super) fn consider(&mut self, now: Time, contact: Contact, direct: bool) {
        let ask_now = self.can_verify();
        // What is told soonest first: in a flood there is no place for anybody.
        let has_place = ask_now || self.hearsay.len() < MAX_HEARSAY;
        let wanted = has_place
            && self.reaches(contact.addr)
            && !self.responder.shuns(now, contact.addr)
            && !self.pending.asks(contact.addr)
            && !self.has_its_share(contact.addr)
            && self.table.wants(&contact, direct);
        if !wanted {
            return;
        }
        if ask_now {
            self.ask(now, contact.addr, Some(contact.id), Purpose::Verify, Query::Ping);
        } else {
            self.hearsay.push_back(contact);
        }
    }

    fn can_verify(&self) -> bool {
        self.pending.verifying().count() < MAX_VERIFYING && !self.pending.is_full(Urgency::Upkeep)
    }

    /// Whether a stranger of its block is being asked or waits for it, or a few of the wider blocks around: with so few at
    /// a time, no block can keep the others from being considered.
    fn has_its_share(&self, addr: SocketAddr) -> bool {
        let considered = || self.pending.verifying().chain(self.hearsay.iter().map(|contact| contact.addr));
        let block = Block::of(addr);
        considered().any(|other| Block::of(other) == block)
            || MAX_OF_IPV6
                .iter()
                .any(|(bits, most)| considered().filter(|other| share_ipv6(addr, *other, *bits)).count() >= *most)
    }

    /// Asks contacts from hearsay, as many at a time as may be.
    pub(super) fn verify_hearsay(&mut self, now: Time) {
        while self.can_verify() {
            let Some(contact) = self.hearsay.pop_front() else { break };
            self.consider(now, contact, true);
        }
    }

    /// Asks a contact of the table whether it is alive.
    pub(super) fn check(&mut self, now: Time, contact: Contact) {
        if !self.pending.is_full(Urgency::Upkeep) {
            self.ask(now, contact.addr, Some(contact.id), Purpose::Check, Query::Ping);
        }
    }
}
