//! The routing table: k-buckets around our id, each with a replacement cache (BEP 5, Kademlia).
//!
//! Only nodes that answered us get in. A host is in the table once, a block of addresses once a bucket, as in libtorrent,
//! and ids that are valid for their address (BEP 42) are preferred.

mod bucket;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::Duration;

use rand::{Rng, RngCore};

use bucket::Bucket;
pub use bucket::{Entry, GOOD_FOR};

use super::api::{Contact, Fill};
use super::origin::{Block, Host};
use crate::types::{NodeId, Time};

/// Contacts in a bucket, and nodes in an answer (BEP 5).
pub const K: usize = 8;

/// How many times larger the first buckets of a wide table are.
const WIDTHS: [usize; 4] = [16, 8, 4, 2];

/// Most buckets: one a bit, less those so deep that no other node can be there.
const MAX_BUCKETS: usize = 160;

/// How long a bucket that has room is left before nodes for it are looked up (BEP 5).
pub const REFRESH: Duration = Duration::from_secs(15 * 60);

/// The same after the first time; it doubles up to [`REFRESH`], so that a young table fills soon.
const FIRST_REFRESH: Duration = Duration::from_secs(15);

/// What became of a node that answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It was there already.
    Known,
    /// It is in now, in a bucket or its replacement cache.
    New,
    /// There is no place for it.
    Refused,
}

/// Contacts by distance from our own id. Bucket `i` holds those that share exactly `i` leading bits with it, the last
/// bucket all that share at least as many.
#[derive(Debug)]
pub struct Table {
    own: NodeId,
    wide: bool,
    buckets: Vec<Bucket>,
}

impl Table {
    /// An empty table around `own`.
    pub fn new(own: NodeId, wide: bool) -> Self {
        Self { own, wide, buckets: vec![Bucket::default()] }
    }

    /// The same contacts around another id, as far as they fit.
    pub fn recentred(&self, own: NodeId) -> Self {
        let mut table = Self::new(own, self.wide);
        for entry in self.entries().chain(self.buckets.iter().flat_map(|bucket| &bucket.spare)) {
            table.insert(entry.clone());
        }
        table
    }

    fn index(&self, id: &NodeId) -> usize {
        (self.own.distance(&id.0).shared_bits() as usize).min(self.buckets.len() - 1)
    }

    fn capacity(&self, index: usize) -> usize {
        K * if self.wide { WIDTHS.get(index).copied().unwrap_or(1) } else { 1 }
    }

    fn can_split(&self, index: usize) -> bool {
        index + 1 == self.buckets.len() && self.buckets.len() < MAX_BUCKETS
    }

    /// How many buckets there are, and how full they and their replacement caches are.
    pub fn fills(&self) -> [Fill; 3] {
        let sized = || self.buckets.iter().enumerate().map(|(index, bucket)| (bucket, self.capacity(index)));
        let fullest = |fill: fn((&Bucket, usize)) -> Fill| sized().map(fill).reduce(Fill::fuller);
        let live = |(bucket, capacity): (&Bucket, usize)| Fill {
            of: "contacts of a bucket",
            entries: bucket.live.len(),
            bound: capacity,
        };
        let spare = |(bucket, _): (&Bucket, usize)| Fill {
            of: "replacements for a bucket",
            entries: bucket.spare.len(),
            bound: K,
        };
        let buckets = Fill { of: "buckets", entries: self.buckets.len(), bound: MAX_BUCKETS };
        // There is always one bucket.
        [buckets, fullest(live).unwrap_or(buckets), fullest(spare).unwrap_or(buckets)]
    }

    /// All contacts in buckets, good or not.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> + '_ {
        self.buckets.iter().flat_map(|bucket| &bucket.live)
    }

    /// How many contacts there are in buckets.
    pub fn len(&self) -> usize {
        self.buckets.iter().map(|bucket| bucket.live.len()).sum()
    }

    /// Whether a node is worth asking since there is a place for it if it answers. One that we heard from directly
    /// (`direct`) may also go to the replacement cache, or have changed its id.
    pub fn wants(&self, contact: &Contact, direct: bool) -> bool {
        if contact.id == self.own || self.holds_id(&contact.id) {
            return false;
        }
        if self.holds_host(contact.addr) {
            return direct && self.holds_addr(contact.addr);
        }
        let index = self.index(&contact.id);
        let bucket = &self.buckets[index];
        let room = bucket.live.len() < self.capacity(index)
            || self.can_split(index)
            || bucket.live.iter().any(|entry| entry.failures > 0)
            || (direct && bucket.spare.len() < K);
        room && !bucket.holds_block(Block::of(contact.addr))
    }

    fn holds_host(&self, addr: SocketAddr) -> bool {
        let host = Host::of(addr);
        self.buckets.iter().flat_map(Bucket::all).any(|entry| Host::of(entry.contact.addr) == host)
    }

    fn holds_addr(&self, addr: SocketAddr) -> bool {
        self.buckets.iter().flat_map(Bucket::all).any(|entry| entry.contact.addr == addr)
    }

    fn holds_id(&self, id: &NodeId) -> bool {
        self.buckets[self.index(id)].all().any(|entry| entry.contact.id == *id)
    }

    /// Notes that `contact` answered.
    pub fn answered(&mut self, now: Time, contact: Contact) -> Heard {
        if contact.id == self.own {
            return Heard::Refused;
        }
        let index = self.index(&contact.id);
        if let Some(entry) = self.buckets[index].find_mut(&contact) {
            entry.answered(now);
            return Heard::Known;
        }
        // Another id at the same address: the node was restarted, or lies. The old one is gone either way.
        self.remove(contact.addr);
        // The same id elsewhere: whoever had it first keeps it while it answers.
        let holder = self.buckets[index].all().find(|entry| entry.contact.id == contact.id).cloned();
        if let Some(holder) = holder {
            if holder.failures == 0 {
                return Heard::Refused;
            }
            self.remove(holder.contact.addr);
        }
        if self.insert(Entry::new(now, contact)) { Heard::New } else { Heard::Refused }
    }

    fn insert(&mut self, entry: Entry) -> bool {
        let block = Block::of(entry.contact.addr);
        if entry.contact.id == self.own || self.holds_host(entry.contact.addr) {
            return false;
        }
        loop {
            let index = self.index(&entry.contact.id);
            let capacity = self.capacity(index);
            if self.buckets[index].holds_block(block) {
                return false;
            }
            if self.buckets[index].live.len() < capacity {
                self.buckets[index].live.push(entry);
                return true;
            }
            if !self.can_split(index) {
                return self.buckets[index].replace(entry);
            }
            self.split();
        }
    }

    /// Makes two of the last bucket, and again while the deeper one, which may be narrower, holds too many.
    fn split(&mut self) {
        loop {
            self.split_once();
            let last = self.buckets.len() - 1;
            if self.buckets[last].live.len() <= self.capacity(last) || !self.can_split(last) {
                break;
            }
        }
    }

    fn split_once(&mut self) {
        let depth = self.buckets.len() as u32;
        let Some(last) = self.buckets.pop() else { return };
        let own = self.own;
        let deeper = |entry: &Entry| own.distance(&entry.contact.id.0).shared_bits() >= depth;
        let (deep_live, live) = last.live.into_iter().partition(deeper);
        let (deep_spare, spare) = last.spare.into_iter().partition(deeper);
        self.buckets.push(Bucket { live, spare, refreshed: last.refreshed, refreshes: last.refreshes });
        self.buckets.push(Bucket { live: deep_live, spare: deep_spare, ..Bucket::default() });
        let (upper, lower) = (self.buckets.len() - 2, self.buckets.len() - 1);
        for index in [upper, lower] {
            let capacity = self.capacity(index);
            self.buckets[index].fill(capacity);
            if !self.can_split(index) {
                self.buckets[index].shed(capacity);
            }
        }
    }

    /// Forgets whoever is at `addr`.
    pub fn remove(&mut self, addr: SocketAddr) {
        for index in 0..self.buckets.len() {
            let capacity = self.capacity(index);
            let bucket = &mut self.buckets[index];
            bucket.live.retain(|entry| entry.contact.addr != addr);
            bucket.spare.retain(|entry| entry.contact.addr != addr);
            bucket.fill(capacity);
        }
    }

    /// Notes that `contact` did not answer, and replaces it if that is the end of it.
    pub fn failed(&mut self, contact: &Contact) {
        let index = self.index(&contact.id);
        let capacity = self.capacity(index);
        self.buckets[index].failed(contact, capacity);
    }

    /// Notes that `contact` is being asked.
    pub fn asked(&mut self, now: Time, contact: &Contact) {
        let index = self.index(&contact.id);
        if let Some(entry) = self.buckets[index].find_mut(contact) {
            entry.asked = now;
        }
    }

    /// The contact that should be asked next whether it is alive, and when.
    pub fn next_check(&self) -> Option<(Time, Contact)> {
        self.entries().map(|entry| (entry.check_at(), entry.contact)).min()
    }

    /// The bucket that should be refreshed next, and when. A full bucket has nothing to learn but the first time.
    pub fn next_refresh(&self) -> Option<(Time, usize)> {
        let due = |(index, bucket): (usize, &Bucket)| match bucket.refreshed {
            None => Some((Time::ZERO, index)),
            Some(at) if bucket.live.len() < self.capacity(index) => {
                let pause = FIRST_REFRESH * (1 << bucket.refreshes.saturating_sub(1).min(6));
                Some((at + pause.min(REFRESH), index))
            }
            Some(_) => None,
        };
        self.buckets.iter().enumerate().filter_map(due).min()
    }

    /// A random id that belongs in the bucket.
    pub fn id_in(&self, index: usize, rng: &mut impl RngCore) -> NodeId {
        let mut id: [u8; NodeId::LEN] = rng.random();
        let bit = |at: usize| 0x80_u8 >> (at % 8);
        for at in 0..index {
            id[at / 8] = (id[at / 8] & !bit(at)) | (self.own.0[at / 8] & bit(at));
        }
        if index + 1 < self.buckets.len() {
            id[index / 8] = (id[index / 8] & !bit(index)) | (!self.own.0[index / 8] & bit(index));
        }
        NodeId(id)
    }

    /// Notes that nodes near `target` were looked up.
    pub fn refreshed(&mut self, now: Time, target: &[u8; 20]) {
        let index = self.index(&NodeId(*target));
        self.buckets[index].refreshed = Some(now);
        self.buckets[index].refreshes = self.buckets[index].refreshes.saturating_add(1);
    }

    /// The good contacts closest to `target`, closest first.
    pub fn closest(&self, now: Time, target: &[u8; 20], count: usize) -> Vec<Contact> {
        let home = self.index(&NodeId(*target));
        let mut found: Vec<Contact> = Vec::with_capacity(count * 2);
        let good = |bucket: &Bucket, found: &mut Vec<Contact>| {
            found.extend(bucket.live.iter().filter(|entry| entry.is_good(now)).map(|entry| entry.contact));
        };
        // Everything in the target's own bucket is closer than everything deeper, and that than everything shallower.
        good(&self.buckets[home], &mut found);
        if found.len() < count {
            self.buckets[home + 1..].iter().for_each(|bucket| good(bucket, &mut found));
        }
        for bucket in self.buckets[..home].iter().rev() {
            if found.len() >= count {
                break;
            }
            good(bucket, &mut found);
        }
        closest_of(&found, target, count)
    }
}

/// Of these contacts the closest to `target`, closest first.
pub fn closest_of(contacts: &[Contact], target: &[u8; 20], count: usize) -> Vec<Contact> {
    let mut closest = contacts.to_vec();
    closest.sort_by_cached_key(|contact| contact.id.distance(target));
    closest.truncate(count);
    closest
}
