//! What a node does of its own accord: join, keep contacts fresh, refresh buckets.

use std::net::SocketAddr;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;

use super::Node;
use crate::dht::api::{Fill, Lookup, LookupId, Urgency};
use crate::dht::table::K;
use crate::types::Time;

/// Routers that are kept.
const MAX_ROUTERS: usize = 16;

/// Between two rounds of upkeep at least.
const MIN_PAUSE: Duration = Duration::from_secs(1);

/// Between two rounds of upkeep at most.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Contacts asked in a round whether they are alive: with a full table they are due every three seconds.
const CHECKS_PER_ROUND: usize = 4;

/// Before joining is tried a second time; doubles with each.
const MIN_JOIN_PAUSE: Duration = Duration::from_secs(5);

/// Between two tries to join at most.
const MAX_JOIN_PAUSE: Duration = Duration::from_secs(5 * 60);

/// The state of upkeep.
#[derive(Debug)]
pub(super) struct Upkeep {
    routers: Vec<SocketAddr>,
    /// The lookup for joining or refreshing; one at a time.
    walk: Option<LookupId>,
    next_round: Time,
    /// When to try to join if the table is nearly empty then.
    next_join: Time,
    join_pause: Duration,
    /// Our own id was looked up, among contacts, since we have it.
    joined: bool,
    /// Someone answered us.
    last_heard: Option<Time>,
    rng: ChaCha8Rng,
}

impl Upkeep {
    pub(super) fn new(rng: ChaCha8Rng, now: Time) -> Self {
        Self {
            routers: Vec::new(),
            walk: None,
            next_round: now,
            next_join: now,
            join_pause: MIN_JOIN_PAUSE,
            joined: false,
            last_heard: None,
            rng,
        }
    }

    /// When the next round is due.
    pub(super) fn due(&self) -> Time {
        self.next_round
    }

    /// Joins as soon as possible.
    pub(super) fn rejoin(&mut self, now: Time) {
        self.next_round = now;
        self.next_join = now;
        self.join_pause = MIN_JOIN_PAUSE;
        self.joined = false;
    }

    pub(super) fn set_routers(&mut self, now: Time, routers: impl Iterator<Item = SocketAddr>) {
        self.routers = routers.take(MAX_ROUTERS).collect();
        self.rejoin(now);
    }

    pub(super) fn routers(&self) -> Vec<SocketAddr> {
        self.routers.clone()
    }

    /// How many routers are kept.
    pub(super) fn fill(&self) -> Fill {
        Fill { of: "routers", entries: self.routers.len(), bound: MAX_ROUTERS }
    }

    /// A lookup of upkeep is over.
    pub(super) fn walked(&mut self, lookup: LookupId) {
        if self.walk == Some(lookup) {
            self.walk = None;
        }
    }

    /// Notes an answer. The first makes it worth joining at once.
    pub(super) fn heard(&mut self, now: Time) {
        if self.last_heard.replace(now).is_none() {
            self.next_join = now;
        }
        self.next_round = self.next_round.min(now + MIN_PAUSE);
    }

    /// Whether anybody answered after `sent`.
    pub(super) fn heard_since(&self, sent: Time) -> bool {
        self.last_heard.is_some_and(|heard| heard > sent)
    }
}

impl Node {
    /// A round of upkeep, if one is due.
    pub(super) fn tend(&mut self, now: Time) {
        if now < self.upkeep.next_round {
            return;
        }
        self.responder.tidy(now);
        self.check_contacts(now);
        if self.upkeep.walk.is_none() {
            self.join_or_refresh(now);
        }
        let check = self.table.next_check().map(|(due, _)| due);
        let refresh = self.table.next_refresh().map(|(due, _)| due).filter(|_| self.table.len() > 0);
        let join = self.is_lonely().then_some(self.upkeep.next_join);
        let next = [check, refresh, join].into_iter().flatten().min().unwrap_or(now + MAX_PAUSE);
        self.upkeep.next_round = next.clamp(now + MIN_PAUSE, now + MAX_PAUSE);
    }

    /// Whether to look for company: few are known, or we have not shown ourselves around.
    fn is_lonely(&self) -> bool {
        (self.table.len() < K || !self.upkeep.joined) && (self.table.len() > 0 || !self.upkeep.routers.is_empty())
    }

    fn check_contacts(&mut self, now: Time) {
        for _ in 0..CHECKS_PER_ROUND {
            match self.table.next_check() {
                Some((due, contact)) if due <= now => self.check(now, contact),
                _ => break,
            }
        }
    }

    /// Looks up our own id while we are lonely, then ids in buckets that have room.
    fn join_or_refresh(&mut self, now: Time) {
        if self.is_lonely() && self.upkeep.next_join <= now {
            self.upkeep.next_join = now + self.upkeep.join_pause;
            self.upkeep.join_pause = (self.upkeep.join_pause * 2).min(MAX_JOIN_PAUSE);
            self.upkeep.joined = self.table.len() > 0;
            self.tend_by(now, Lookup::FindNode(self.id));
        } else if self.table.len() > 0
            && let Some((due, bucket)) = self.table.next_refresh()
            && due <= now
        {
            let target = self.table.id_in(bucket, &mut self.upkeep.rng);
            self.table.refreshed(now, &target.0);
            self.tend_by(now, Lookup::FindNode(target));
        }
    }

    fn tend_by(&mut self, now: Time, lookup: Lookup) {
        let id = self.walk(now, lookup, Urgency::Upkeep);
        if self.walks.contains_key(&id) {
            self.upkeep.walk = Some(id);
        }
    }
}
