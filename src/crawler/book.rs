//! The contacts that all nodes share: who answered lately, bounded, one for each address.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rand::Rng;

use crate::dht::{Contact, Fill, GOOD_FOR};
use crate::types::{NodeId, Time};

/// Contacts kept across a restart at most: enough to start many nodes, and a small file.
pub const MAX_CONTACTS: usize = 4_096;
/// Contacts known at a time at most, however many nodes there are; about 200 B each.
const MAX_CAPACITY: usize = 131_072;
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
}

/// Contacts by id and by address. An address has one entry, so nobody fills the book with ports or ids; who has a block of
/// addresses may still have many.
#[derive(Debug)]
pub struct ContactBook {
    capacity: usize,
    by_id: BTreeMap<NodeId, Entry>,
    by_ip: HashMap<IpAddr, NodeId>,
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
        Self { capacity, by_id: BTreeMap::new(), by_ip: HashMap::new() }
    }

    /// Notes that `contact` answered. True if it was not known under this address and id before.
    pub fn answered(&mut self, now: Time, contact: Contact, rng: &mut impl Rng) -> bool {
        let entry = Entry { addr: contact.addr, answered: now, asked: now, failures: 0 };
        let ip = contact.addr.ip();
        if let Some(known) = self.by_id.get_mut(&contact.id) {
            if known.addr == contact.addr {
                *known = entry;
                return false;
            }
            // The same id elsewhere: whoever had it first keeps it while it answers.
            if known.failures == 0 {
                return false;
            }
            let before = *known;
            self.forget(&contact.id, before.addr.ip());
        }
        if let Some(before) = self.by_ip.get(&ip).copied() {
            self.forget(&before, ip);
        } else if self.by_id.len() >= self.capacity {
            self.make_place(rng);
        }
        self.by_id.insert(contact.id, entry);
        self.by_ip.insert(ip, contact.id);
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
            self.forget(&contact.id, contact.addr.ip());
        }
    }

    /// Forgets whoever is at this address.
    pub fn forget_address(&mut self, addr: SocketAddr) {
        let known = self.by_ip.get(&addr.ip()).copied();
        if let Some(id) = known.filter(|id| self.by_id.get(id).is_some_and(|entry| entry.addr == addr)) {
            self.forget(&id, addr.ip());
        }
    }

    /// The next contact after `id` in the order of ids, beginning anew after the last, and when it was asked last.
    pub fn after(&self, id: &NodeId) -> Option<(Contact, Time)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let later = self.by_id.range((Excluded(*id), Unbounded)).next();
        let (id, entry) = later.or_else(|| self.by_id.first_key_value())?;
        Some((Contact { id: *id, addr: entry.addr }, entry.asked))
    }

    /// Whether a contact from hearsay would be new here.
    pub fn is_stranger(&self, contact: &Contact) -> bool {
        !self.by_ip.contains_key(&contact.addr.ip()) && !self.by_id.contains_key(&contact.id)
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
        let (first, last) = bounds(&prefix, bits);
        let all = || self.by_id.range(first..=last);
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
        let entries = self.by_id.len().max(self.by_ip.len());
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

    fn forget(&mut self, id: &NodeId, ip: IpAddr) {
        self.by_id.remove(id);
        self.by_ip.remove(&ip);
    }

    /// Of the contacts after some random points the stalest leaves.
    fn make_place(&mut self, rng: &mut impl Rng) {
        let drawn = (0..EVICTION_SAMPLE).filter_map(|_| {
            let from = NodeId(rng.random());
            self.by_id.range(from..).next().or_else(|| self.by_id.first_key_value())
        });
        let stalest = drawn.min_by_key(|(_, entry)| (entry.failures == 0, entry.answered));
        if let Some((id, ip)) = stalest.map(|(id, entry)| (*id, entry.addr.ip())) {
            self.forget(&id, ip);
        }
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

/// The first and the last id that share `bits` leading bits with `target`.
fn bounds(target: &[u8; NodeId::LEN], bits: u32) -> (NodeId, NodeId) {
    let (mut first, mut last) = (*target, *target);
    for (at, (low, high)) in (0u32..).zip(first.iter_mut().zip(last.iter_mut())) {
        let rest = match bits.saturating_sub(at * 8) {
            kept @ 0..8 => u8::MAX >> kept,
            _ => 0,
        };
        *low &= !rest;
        *high |= rest;
    }
    (NodeId(first), NodeId(last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn contact(number: u32, ip: u32) -> Contact {
        let mut id = [0; 20];
        id[..4].copy_from_slice(&number.to_be_bytes());
        Contact { id: NodeId(id), addr: (ip.to_be_bytes(), 6881).into() }
    }

    #[test]
    fn an_address_has_one_entry() {
        let (mut book, mut rng) = (ContactBook::default(), ChaCha8Rng::seed_from_u64(1));
        assert!(book.answered(Time::ZERO, contact(1, 1), &mut rng));
        assert!(!book.answered(Time::from_millis(1), contact(1, 1), &mut rng), "known");
        assert!(book.answered(Time::from_millis(2), contact(2, 1), &mut rng), "took another ID");
        assert_eq!(book.freshest(), [contact(2, 1)]);
    }

    #[test]
    fn full_book_forgets_the_stale() {
        let (mut book, mut rng) = (ContactBook::default(), ChaCha8Rng::seed_from_u64(1));
        let full = MAX_CONTACTS as u32;
        for number in 0..full * 2 {
            book.answered(Time::from_millis(u64::from(number)), contact(number, number), &mut rng);
            assert!(book.len() <= MAX_CONTACTS);
        }
        let kept = book.freshest();
        assert_eq!(kept.len(), MAX_CONTACTS);
        assert_eq!(kept[0], contact(full * 2 - 1, full * 2 - 1));
        let newer = kept.iter().filter(|one| one.id >= contact(full, 0).id).count();
        assert!(newer * 100 > MAX_CONTACTS * 80, "{newer} of {MAX_CONTACTS} are from the newer half");
        assert!(kept.iter().all(|one| book.by_ip.contains_key(&one.addr.ip())));
        assert_eq!(book.by_ip.len(), MAX_CONTACTS);
    }

    #[test]
    fn an_id_belongs_to_the_first_who_answers_with_it() {
        let (mut book, mut rng) = (ContactBook::default(), ChaCha8Rng::seed_from_u64(1));
        book.answered(Time::ZERO, contact(1, 1), &mut rng);
        assert!(!book.answered(Time::ZERO, contact(1, 2), &mut rng));
        book.failed(&contact(1, 1));
        assert!(book.answered(Time::ZERO, contact(1, 2), &mut rng));
        assert_eq!((book.freshest(), book.by_ip.len()), (vec![contact(1, 2)], 1));
    }

    #[test]
    fn who_does_not_answer_twice_is_forgotten() {
        let (mut book, mut rng) = (ContactBook::default(), ChaCha8Rng::seed_from_u64(1));
        book.answered(Time::ZERO, contact(1, 1), &mut rng);
        book.failed(&contact(1, 2));
        book.failed(&contact(1, 1));
        assert!(book.good(Time::ZERO, &[0; 20], 8).is_empty(), "others do not hear of it");
        book.answered(Time::ZERO, contact(1, 1), &mut rng);
        book.failed(&contact(1, 1));
        assert_eq!(book.len(), 1, "one may be a lost datagram");
        book.failed(&contact(1, 1));
        assert!(book.is_empty() && book.by_ip.is_empty());
    }

    #[test]
    fn nobody_is_asked_again_at_once() {
        let (mut book, mut rng) = (ContactBook::default(), ChaCha8Rng::seed_from_u64(1));
        book.answered(Time::ZERO, contact(1, 1), &mut rng);
        assert!(
            !book.ask(Time::from_millis(1_999), &contact(1, 1)) && book.ask(Time::from_millis(2_000), &contact(1, 1))
        );
        assert!(!book.ask(Time::from_millis(2_001), &contact(1, 1)) && book.ask(Time::ZERO, &contact(2, 2)));
    }

    #[test]
    fn a_turn_goes_round() {
        let (mut book, mut rng) = (ContactBook::default(), ChaCha8Rng::seed_from_u64(1));
        assert!(book.after(&NodeId([0; 20])).is_none());
        for number in 0..3 {
            book.answered(Time::ZERO, contact(number, number), &mut rng);
        }
        let mut turn = vec![contact(0, 0).id];
        for _ in 0..4 {
            turn.push(book.after(&turn[turn.len() - 1]).unwrap().0.id);
        }
        assert_eq!(turn, [0, 1, 2, 0, 1].map(|number| contact(number, number).id));
    }

    #[test]
    fn the_stale_are_not_named() {
        let (mut book, mut rng) = (ContactBook::default(), ChaCha8Rng::seed_from_u64(1));
        book.answered(Time::ZERO, contact(1, 1), &mut rng);
        let named = |at: Duration| book.good(Time::ZERO + at, &[0; 20], 8).len();
        assert_eq!((named(GOOD_FOR - Duration::from_millis(1)), named(GOOD_FOR)), (1, 0));
    }

    #[test]
    fn one_question_costs_little_whatever_the_book_holds() {
        let (mut book, mut rng) = (ContactBook::for_nodes(32_768), ChaCha8Rng::seed_from_u64(1));
        // All in one part of the space.
        for number in 0..20_000 {
            book.answered(Time::ZERO, contact(number, number), &mut rng);
        }
        let looked_at = std::cell::Cell::new(0);
        let found = book.closest(&[0x80; 20], 8, |_| {
            looked_at.set(looked_at.get() + 1);
            false
        });
        assert!(found.is_empty() && looked_at.get() <= MAX_LOOKED_AT + FEW, "{}", looked_at.get());
        assert_eq!(book.nearest(&[0x80; 20], 8).len(), 8);
    }

    proptest! {
        #[test]
        fn the_nearest_agree_with_a_scan(
            ids in prop::collection::vec(prop::array::uniform2(0u8..8), 0..60),
            target in prop::array::uniform2(0u8..8),
            count in 1usize..12,
        ) {
            // Few distinct bits at both ends, so that prefixes are shared.
            let widen = |pair: [u8; 2]| { let mut id = [0; 20]; id[0] = pair[0] << 5; id[19] = pair[1]; id };
            let (mut book, mut rng) = (ContactBook::default(), ChaCha8Rng::seed_from_u64(1));
            for (number, pair) in (0u32..).zip(&ids) {
                let contact = Contact { id: NodeId(widen(*pair)), addr: (number.to_be_bytes(), 1).into() };
                book.answered(Time::ZERO, contact, &mut rng);
            }
            let target = widen(target);
            let mut scan: Vec<NodeId> = book.by_id.keys().copied().collect();
            scan.sort_by_key(|id| id.distance(&target));
            scan.truncate(count);
            let found: Vec<NodeId> = book.nearest(&target, count).iter().map(|contact| contact.id).collect();
            prop_assert_eq!(found, scan);
        }
    }
}
