//! The contacts that all nodes share: who answered lately, bounded, one for each address.

use std::collections::HashMap;
use std::net::IpAddr;

use rand::Rng;

use super::placement::IdIndex;
use crate::dht::Contact;
use crate::types::{NodeId, Time};

/// Contacts kept at most; about 120 B each. Enough to start many nodes, and a small file.
pub const MAX_CONTACTS: usize = 4_096;
/// Contacts looked at to find one that may leave: the stalest of a few at random is nearly as good as the stalest.
const EVICTION_SAMPLE: usize = 8;

#[derive(Debug, Clone, Copy)]
struct Entry {
    contact: Contact,
    answered: Time,
}

/// Contacts by address. An address has one entry, so one machine cannot fill the book with ports or IDs.
#[derive(Debug, Default)]
pub struct ContactBook {
    entries: Vec<Entry>,
    /// Position in `entries`.
    by_ip: HashMap<IpAddr, usize>,
}

impl ContactBook {
    /// Notes that `contact` answered. True if it was not known under this address and ID before.
    pub fn answered(&mut self, now: Time, contact: Contact, rng: &mut impl Rng) -> bool {
        let ip = contact.addr.ip();
        let entry = Entry { contact, answered: now };
        if let Some(position) = self.by_ip.get(&ip) {
            let known = std::mem::replace(&mut self.entries[*position], entry);
            return known.contact != contact;
        }
        if self.entries.len() < MAX_CONTACTS {
            self.by_ip.insert(ip, self.entries.len());
            self.entries.push(entry);
        } else {
            let victim = (0..EVICTION_SAMPLE)
                .map(|_| rng.random_range(0..self.entries.len()))
                .min_by_key(|position| self.entries[*position].answered)
                .unwrap_or(0);
            self.by_ip.remove(&self.entries[victim].contact.addr.ip());
            self.entries[victim] = entry;
            self.by_ip.insert(ip, victim);
        }
        true
    }

    /// Contacts in the book.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All contacts, those that answered last first.
    pub fn freshest(&self) -> Vec<Contact> {
        let mut entries = self.entries.clone();
        entries.sort_by_key(|entry| (std::cmp::Reverse(entry.answered), entry.contact.id));
        entries.into_iter().map(|entry| entry.contact).collect()
    }

    /// An index to take the closest contacts to many targets from.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.entries.iter().map(|entry| entry.contact).collect())
    }
}

/// Contacts ordered by ID.
#[derive(Debug)]
pub struct Snapshot {
    contacts: Vec<Contact>,
    index: IdIndex,
}

impl Snapshot {
    /// A snapshot of any contacts.
    pub fn new(contacts: Vec<Contact>) -> Self {
        Self { index: IdIndex::new(contacts.iter().map(|contact| contact.id)), contacts }
    }

    /// The `count` contacts closest to `target`, closest first.
    pub fn closest(&self, target: &NodeId, count: usize) -> impl Iterator<Item = Contact> + '_ {
        self.index.nearest(&target.0, count).into_iter().map(|position| self.contacts[position as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn closest_contacts_come_first() {
        let (mut book, mut rng) = (ContactBook::default(), ChaCha8Rng::seed_from_u64(1));
        for number in 0..100 {
            book.answered(Time::ZERO, contact(number, number), &mut rng);
        }
        let closest: Vec<_> = book.snapshot().closest(&contact(33, 0).id, 3).collect();
        assert_eq!(closest, [contact(33, 33), contact(32, 32), contact(35, 35)]);
    }
}
