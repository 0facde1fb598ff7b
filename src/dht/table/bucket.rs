//! One bucket with its replacement cache.

use std::time::Duration;

use super::K;
use crate::dht::api::Contact;
use crate::dht::bep42;
use crate::dht::origin::Block;
use crate::types::Time;

/// How long after its last answer a contact is asked again whether it is alive (BEP 5).
const CHECK: Duration = Duration::from_secs(15 * 60);

/// How long after its last answer a contact still counts as good: [`CHECK`] and time for the check to come back.
pub const GOOD_FOR: Duration = Duration::from_secs(16 * 60);

/// How long after an unanswered question a contact is asked again; doubles with each.
const RETRY: Duration = Duration::from_secs(15);

/// Failures in a row after which a contact makes place for a replacement: one may be a lost datagram.
const FAILURES_TO_REPLACE: u8 = 2;

/// Failures in a row after which a contact goes even if nobody replaces it.
const FAILURES_TO_EVICT: u8 = 4;

/// A node that has answered.
#[derive(Debug, Clone)]
pub struct Entry {
    pub contact: Contact,
    /// Its last answer.
    answered: Time,
    /// Our last question.
    pub asked: Time,
    /// Questions in a row that it did not answer.
    pub failures: u8,
    /// Its id is valid for its address (BEP 42).
    valid: bool,
}

impl Entry {
    /// A contact that answers now.
    pub fn new(now: Time, contact: Contact) -> Self {
        let valid = bep42::is_valid(&contact.id, contact.addr.ip());
        Self { contact, answered: now, asked: now, failures: 0, valid }
    }

    /// Notes an answer.
    pub fn answered(&mut self, now: Time) {
        self.answered = now;
        self.failures = 0;
    }

    /// Whether others should hear of it.
    pub fn is_good(&self, now: Time) -> bool {
        self.failures == 0 && now.since(self.answered) < GOOD_FOR
    }

    /// When it should be asked whether it is alive.
    pub fn check_at(&self) -> Time {
        let due = self.answered + CHECK;
        if self.asked <= self.answered { due } else { due.max(self.asked + RETRY * (1 << self.failures.min(5))) }
    }

    /// The worse, the smaller: failing, then invalid, then long silent.
    fn rank(&self) -> (bool, bool, Time) {
        (self.failures == 0, self.valid, self.answered)
    }
}

/// Contacts that share a prefix with our id.
#[derive(Debug, Default)]
pub struct Bucket {
    /// In the table.
    pub live: Vec<Entry>,
    /// The replacement cache, at most [`K`].
    pub spare: Vec<Entry>,
    /// When nodes in here were last looked up.
    pub refreshed: Option<Time>,
    /// How often they were.
    pub refreshes: u8,
}

impl Bucket {
    /// Live contacts and spare ones.
    pub fn all(&self) -> impl Iterator<Item = &Entry> + '_ {
        self.live.iter().chain(&self.spare)
    }

    /// Whether somebody of the block is here.
    pub fn holds_block(&self, block: Block) -> bool {
        self.all().any(|entry| Block::of(entry.contact.addr) == block)
    }

    /// The entry of a contact.
    pub fn find_mut(&mut self, contact: &Contact) -> Option<&mut Entry> {
        self.live.iter_mut().chain(&mut self.spare).find(|entry| entry.contact == *contact)
    }

    /// Puts `entry` in place of a failing or invalid contact, else among the spare ones; says whether it is in.
    pub fn replace(&mut self, entry: Entry) -> bool {
        let worst = self.live.iter_mut().min_by_key(|live| live.rank());
        if let Some(worst) = worst
            && (worst.failures > 0 || (entry.valid && !worst.valid))
        {
            let out = std::mem::replace(worst, entry);
            if out.failures == 0 {
                self.keep_spare(out);
            }
            return true;
        }
        self.keep_spare(entry)
    }

    fn keep_spare(&mut self, entry: Entry) -> bool {
        if self.spare.len() < K {
            self.spare.push(entry);
            return true;
        }
        let Some(worst) = self.spare.iter_mut().min_by_key(|spare| spare.rank()) else { return false };
        let better = worst.rank() < entry.rank();
        if better {
            *worst = entry;
        }
        better
    }

    /// Moves the best spare contacts into free places.
    pub fn fill(&mut self, capacity: usize) {
        while self.live.len() < capacity {
            let best = self.spare.iter().enumerate().max_by_key(|(_, spare)| spare.rank()).map(|(at, _)| at);
            let Some(best) = best else { break };
            self.live.push(self.spare.swap_remove(best));
        }
    }

    /// Moves the worst contacts out until the bucket has its size.
    pub fn shed(&mut self, capacity: usize) {
        while self.live.len() > capacity {
            let worst = self.live.iter().enumerate().min_by_key(|(_, live)| live.rank()).map(|(at, _)| at);
            let Some(worst) = worst else { break };
            let out = self.live.swap_remove(worst);
            self.keep_spare(out);
        }
    }

    /// Notes that `contact` did not answer.
    pub fn failed(&mut self, contact: &Contact, capacity: usize) {
        self.spare.retain(|spare| spare.contact != *contact);
        let Some(at) = self.live.iter().position(|live| live.contact == *contact) else { return };
        let failures = self.live[at].failures.saturating_add(1);
        self.live[at].failures = failures;
        let limit = if self.spare.is_empty() { FAILURES_TO_EVICT } else { FAILURES_TO_REPLACE };
        if failures >= limit {
            self.live.swap_remove(at);
            self.fill(capacity);
        }
    }
}
