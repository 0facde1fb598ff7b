//! The contacts that all nodes share: who answered lately, bounded, one for each address.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use rand::Rng;

use crate::dht::{Block, Contact, Fill, GOOD_FOR, Host, bep42};
use crate::types::{NodeId, Reach, Time, sharing};

/// Contacts kept across a restart at most: enough to start many nodes, and a small file.
pub const MAX_CONTACTS: usize = 4_096;
/// Contacts known at a time at most, however many nodes there are; about 200 B each.
const MAX_CAPACITY: usize = 131_072;
/// One block of addresses may have this part of the book, or a few places: whoever has a /24 or some /64 cannot fill it.
const PART_OF_BLOCK: usize = 256;
const MIN_OF_BLOCK: u32 = 8;
/// Contacts looked at to find one that may leave: the stalest of a few at random is nearly as good as the stalest.
const EVICTION_SAMPLE: usize = 8;
/// Between two questions to the same contact, whoever of us asks: libtorrent bans who sends 50 messages in 10 seconds.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// Contacts looked at for one who asks: enough to find the closest where most are good, and a bound where none is.
const MAX_LOOKED_AT: usize = 512;
/// Contacts that are sorted at once.
const FEW: usize = 16;
/// Questions in a row without an answer after which a contact is forgotten: one may be a lost datagram.
const MAX_FAILURES: u8 = 2;

#[derive(Debug, Clone, Copy)]
struct Entry {
    addr: SocketAddr,
    answered: Time,
    asked: Time,
    failures: u8,
    /// Its id is valid for its address (BEP 42): it did not choose its neighbours.
    valid: bool,
}

impl Entry {
    /// How long it is kept, compared with others: longer if it is where it must be.
    fn worth(&self) -> (bool, Time) {
        (self.failures == 0, if self.valid { self.answered + GOOD_FOR } else { self.answered })
    }
}

/// Contacts by id and by place. An address, or in IPv6 a /64, is one place and has one entry, so nobody fills the book with
/// ports or ids; and a block of addresses has a bounded part of it.
#[derive(Debug)]
pub struct ContactBook {
    capacity: usize,
    by_id: BTreeMap<NodeId, Entry>,
    by_place: HashMap<SocketAddr, NodeId>,
    /// Contacts of a block, where there are any.
    blocks: HashMap<Block, u32>,
}

impl Default for ContactBook {
    fn default() -> Self {
        Self::for_nodes(1)
    }
}

impl ContactBook {
    /// A book for so many nodes: where they stand densely, each has neighbours of its own.
    pub fn for_nodes(nodes: u32) -> Self {
        let capacity = (nodes as usize).saturating_mul(4).clamp(MAX_CONTACTS, MAX_CAPACITY);
        Self { capacity, by_id: BTreeMap::new(), by_place: HashMap::new(), blocks: HashMap::new() }
    }

    /// Notes that `contact` answered. True if it was not known under this address and id before.
    pub fn answered(&mut self, now: Time, contact: Contact, rng: &mut impl Rng) -> bool {
        let valid = bep42::is_valid(&contact.id, contact.addr.ip());
        let entry = Entry { addr: contact.addr, answered: now, asked: now, failures: 0, valid };
        if let Some(known) = self.by_id.get_mut(&contact.id) {
            if known.addr == contact.addr {
                *known = entry;
                return false;
            }
            // The same id elsewhere: whoever had it first keeps it while it answers.
            if known.failures == 0 {
                return false;
            }
            self.forget(&contact.id);
        }
        if let Some(before) = self.by_place.get(&place(contact.addr)).copied() {
            self.forget(&before);
        }
        let block = Block::of(contact.addr);
        if self.blocks.get(&block).is_some_and(|count| *count >= self.most_of_block()) {
            return false;
        }
        if self.by_id.len() >= self.capacity {
            self.make_place(rng);
        }
        self.by_id.insert(contact.id, entry);
        self.by_place.insert(place(contact.addr), contact.id);
        *self.blocks.entry(block).or_default() += 1;
        true
    }

    /// Whether `contact` may be asked now; then it is taken as asked. Who is not in the book may.
    pub fn ask(&mut self, now: Time, contact: &Contact) -> bool {
        let Some(entry) = self.by_id.get_mut(&contact.id).filter(|entry| entry.addr == contact.addr) else {
            return true;
        };
        let rested = now.since(entry.asked) >= ASK_AGAIN;
        if rested {
            entry.asked = now;
        }
        rested
    }

    /// Notes that `contact` did not answer a question.
    pub fn failed(&mut self, contact: &Contact) {
        let known = self.by_id.get_mut(&contact.id).filter(|entry| entry.addr == contact.addr);
        let Some(entry) = known else { return };
        entry.failures += 1;
        if entry.failures >= MAX_FAILURES {
            self.forget(&contact.id);
        }
    }

    /// Forgets whoever is at this address.
    pub fn forget_address(&mut self, addr: SocketAddr) {
        let known = self.by_place.get(&place(addr)).copied();
        if let Some(id) = known.filter(|id| self.by_id.get(id).is_some_and(|entry| entry.addr == addr)) {
            self.forget(&id);
        }
    }

    /// Forgets all at addresses that fit.
    pub fn forget_all(&mut self, fits: impl Fn(SocketAddr) -> bool) {
        let gone: Vec<_> = self.by_id.iter().filter(|(_, entry)| fits(entry.addr)).map(|(id, _)| *id).collect();
        gone.iter().for_each(|id| self.forget(id));
    }

    /// The next contact after `id` in the order of ids, beginning anew after the last, and when it was asked last.
    pub fn after(&self, id: &NodeId) -> Option<(Contact, Time)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let later = self.by_id.range((Excluded(*id), Unbounded)).next();
        let (id, entry) = later.or_else(|| self.by_id.first_key_value())?;
        Some((Contact { id: *id, addr: entry.addr }, entry.asked))
    }

    /// Whether a contact from hearsay would be new here, and its block may have another.
    pub fn is_stranger(&self, contact: &Contact) -> bool {
        !self.by_place.contains_key(&place(contact.addr))
            && !self.by_id.contains_key(&contact.id)
            && self.blocks.get(&Block::of(contact.addr)).is_none_or(|count| *count < self.most_of_block())
    }

    /// The `count` contacts closest to `target` that answered lately, closest first; fewer if there are fewer.
    pub fn good(&self, now: Time, target: &[u8; NodeId::LEN], count: usize) -> Vec<Contact> {
        self.closest(target, count, |entry| entry.failures == 0 && now.since(entry.answered) < GOOD_FOR)
    }

    /// The same of all contacts, also of those that have not been asked for long.
    pub fn nearest(&self, target: &[u8; NodeId::LEN], count: usize) -> Vec<Contact> {
        self.closest(target, count, |_| true)
    }

    /// All that share one more leading bit with the target are closer than all that do not. So the search begins with as
    /// many bits as the target shares with its neighbours in numerical order, which nobody exceeds, and takes bit by bit
    /// away: each time, those who differ in that bit follow. What fits is sought among a bounded number of contacts.
    fn closest(&self, target: &[u8; NodeId::LEN], count: usize, fits: impl Fn(&Entry) -> bool) -> Vec<Contact> {
        let at = NodeId(*target);
        let around = [self.by_id.range(..=at).next_back(), self.by_id.range(at..).next()];
        let shared = around.into_iter().flatten().map(|(id, _)| id.distance(target).shared_bits());
        let mut search = Search { target, count, fits, found: Vec::new(), left: MAX_LOOKED_AT };
        let Some(shared) = shared.max() else { return Vec::new() };
        self.collect(&mut search, *target, shared);
        for bit in (0..shared).rev() {
            if !search.is_on() {
                break;
            }
            let mut beside = *target;
            flip(&mut beside, bit);
            self.collect(&mut search, beside, bit + 1);
        }
        search.found
    }

    /// Adds those who share `bits` bits with `prefix`, closest first, as long as more are wanted.
    fn collect<F: Fn(&Entry) -> bool>(&self, search: &mut Search<'_, F>, mut prefix: [u8; NodeId::LEN], bits: u32) {
        let (first, last) = sharing(&prefix, bits);
        let all = || self.by_id.range(NodeId(first)..=NodeId(last));
        if bits >= NodeId::LEN as u32 * 8 || all().nth(FEW).is_none() {
            let looked_at: Vec<_> = all().collect();
            search.left = search.left.saturating_sub(looked_at.len().max(1));
            let fitting = looked_at.into_iter().filter(|(_, entry)| (search.fits)(entry));
            let mut found: Vec<_> = fitting.map(|(id, entry)| Contact { id: *id, addr: entry.addr }).collect();
            found.sort_unstable_by_key(|contact| contact.id.distance(search.target));
            let room = search.count - search.found.len();
            search.found.extend(found.into_iter().take(room));
            return;
        }
        // Too many to sort: first the half that is nearer.
        let (at, mask) = ((bits / 8) as usize, 0x80_u8 >> (bits % 8));
        prefix[at] = (prefix[at] & !mask) | (search.target[at] & mask);
        self.collect(search, prefix, bits + 1);
        if search.is_on() {
            flip(&mut prefix, bits);
            self.collect(search, prefix, bits + 1);
        }
    }

    /// Whether somebody must leave for whoever comes next.
    pub fn is_full(&self) -> bool {
        self.by_id.len() >= self.capacity
    }

    /// How full the book is.
    pub fn fill(&self) -> Fill {
        let entries = self.by_id.len().max(self.by_place.len()).max(self.blocks.len());
        Fill { of: "contacts in the book", entries, bound: self.capacity }
    }

    /// Contacts in the book.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Those that answered last, latest first, at most [`MAX_CONTACTS`].
    pub fn freshest(&self) -> Vec<Contact> {
        let mut entries: Vec<_> =
            self.by_id.iter().map(|(id, entry)| (std::cmp::Reverse(entry.answered), *id)).collect();
        entries.sort_unstable();
        entries.truncate(MAX_CONTACTS);
        entries.into_iter().map(|(_, id)| Contact { id, addr: self.by_id[&id].addr }).collect()
    }

    fn most_of_block(&self) -> u32 {
        u32::try_from(self.capacity / PART_OF_BLOCK).unwrap_or(u32::MAX).max(MIN_OF_BLOCK)
    }

    fn forget(&mut self, id: &NodeId) {
        let Some(entry) = self.by_id.remove(id) else { return };
        self.by_place.remove(&place(entry.addr));
        let block = Block::of(entry.addr);
        match self.blocks.get_mut(&block) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.blocks.remove(&block)),
        }
    }

    /// Of the contacts after some random points the one of least worth leaves.
    fn make_place(&mut self, rng: &mut impl Rng) {
        let drawn = (0..EVICTION_SAMPLE).filter_map(|_| {
            let from = NodeId(rng.random());
            self.by_id.range(from..).next().or_else(|| self.by_id.first_key_value())
        });
        let least = drawn.min_by_key(|(_, entry)| entry.worth()).map(|(id, _)| *id);
        least.into_iter().for_each(|id| self.forget(&id));
    }
}

/// What can hold one entry: an IPv4 address whatever the port, a /64 of IPv6.
fn place(addr: SocketAddr) -> SocketAddr {
    match Reach::of(addr.ip()) {
        Reach::Public => Host::of(addr).addr(),
        Reach::Private | Reach::Nowhere => SocketAddr::new(addr.ip(), 0),
    }
}

/// A search for the contacts closest to a target.
struct Search<'a, F> {
    target: &'a [u8; NodeId::LEN],
    count: usize,
    fits: F,
    found: Vec<Contact>,
    /// Contacts that may still be looked at.
    left: usize,
}

impl<F> Search<'_, F> {
    fn is_on(&self) -> bool {
        self.found.len() < self.count && self.left > 0
    }
}

/// Turns one bit over.
fn flip(id: &mut [u8; NodeId::LEN], bit: u32) {
    id[(bit / 8) as usize] ^= 0x80 >> (bit % 8);
}
