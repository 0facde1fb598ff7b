//! The questions of all monitors that wait for an answer.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::dht::{Contact, Fill, QUESTION_TIMEOUT as TIMEOUT};
use crate::types::Time;

/// Questions under way, at most; the pace of the monitors does not reach it within [`TIMEOUT`].
const MAX_OPEN: usize = 4_096;

#[derive(Debug, Clone, Copy)]
struct Question {
    contact: Contact,
    sent: Time,
}

/// Bounded; each question costs the same, however many there are.
#[derive(Debug)]
pub struct Questions {
    open: HashMap<u32, Question>,
    /// Transactions in the order in which they were sent, answered or not; none is older than [`TIMEOUT`].
    order: VecDeque<(Time, u32)>,
    rng: ChaCha8Rng,
}

impl Questions {
    /// None yet. Transaction ids are drawn from `rng`, so that strangers cannot guess them.
    pub fn new(rng: ChaCha8Rng) -> Self {
        Self { open: HashMap::new(), order: VecDeque::new(), rng }
    }

    /// How many wait or have not been over for long.
    pub fn fill(&self) -> Fill {
        Fill { of: "questions of monitors", entries: self.order.len().max(self.open.len()), bound: MAX_OPEN }
    }

    /// Whether no more may be asked now. What was answered counts until its time is over.
    pub fn is_full(&self) -> bool {
        self.order.len() >= MAX_OPEN
    }

    /// Notes a question; returns its transaction id.
    pub fn push(&mut self, now: Time, contact: Contact) -> [u8; 4] {
        let transaction = loop {
            let drawn: u32 = self.rng.random();
            if !self.open.contains_key(&drawn) {
                break drawn;
            }
        };
        self.open.insert(transaction, Question { contact, sent: now });
        self.order.push_back((now, transaction));
        transaction.to_be_bytes()
    }

    /// Whom the question went to that a reply from `from` belongs to; it is answered then.
    pub fn take(&mut self, transaction: &[u8], from: SocketAddr) -> Option<Contact> {
        let transaction = u32::from_be_bytes(transaction.try_into().ok()?);
        let question = self.open.get(&transaction).filter(|question| question.contact.addr == from)?;
        let contact = question.contact;
        self.open.remove(&transaction);
        Some(contact)
    }

    /// A question that will not be answered, and when it was asked; it is forgotten then.
    pub fn next_expired(&mut self, now: Time) -> Option<(Contact, Time)> {
        while let Some((sent, transaction)) = self.order.front().copied() {
            if now.since(sent) < TIMEOUT {
                return None;
            }
            self.order.pop_front();
            // A number may have been drawn again since.
            if self.open.get(&transaction).is_some_and(|question| question.sent == sent) {
                return self.open.remove(&transaction).map(|question| (question.contact, sent));
            }
        }
        None
    }

    /// When the next may expire.
    pub fn next_expiry(&self) -> Option<Time> {
        self.order.front().map(|(sent, _)| *sent + TIMEOUT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NodeId;
    use rand::SeedableRng;

    fn contact(number: u8) -> Contact {
        Contact { id: NodeId([number; 20]), addr: ([80, 0, 0, number], 6881).into() }
    }

    #[test]
    fn an_answer_counts_once_and_from_who_was_asked() {
        let mut questions = Questions::new(ChaCha8Rng::seed_from_u64(1));
        let transaction = questions.push(Time::ZERO, contact(1));
        assert_eq!(questions.take(&transaction, contact(2).addr), None);
        assert_eq!(questions.take(&transaction[..3], contact(1).addr), None);
        assert_eq!(questions.take(&transaction, contact(1).addr), Some(contact(1)));
        assert_eq!(questions.take(&transaction, contact(1).addr), None);
        assert_eq!(questions.next_expired(Time::ZERO + TIMEOUT), None);
        assert_eq!(questions.next_expiry(), None);
    }

    #[test]
    fn who_does_not_answer_is_told_in_order() {
        let mut questions = Questions::new(ChaCha8Rng::seed_from_u64(1));
        for number in 1..=3 {
            questions.push(Time::from_millis(u64::from(number)), contact(number));
        }
        assert_eq!(questions.next_expiry(), Some(Time::from_millis(1) + TIMEOUT));
        let now = Time::from_millis(2) + TIMEOUT;
        assert_eq!(questions.next_expired(now), Some((contact(1), Time::from_millis(1))));
        assert_eq!(questions.next_expired(now), Some((contact(2), Time::from_millis(2))));
        assert_eq!(questions.next_expired(now), None);
    }

    #[test]
    fn they_are_bounded() {
        let mut questions = Questions::new(ChaCha8Rng::seed_from_u64(1));
        for number in 0..MAX_OPEN {
            assert!(!questions.is_full());
            let transaction = questions.push(Time::ZERO, contact(1));
            if number % 2 == 0 {
                questions.take(&transaction, contact(1).addr);
            }
        }
        assert!(questions.is_full());
    }
}
