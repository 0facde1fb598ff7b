//! Questions that wait for an answer.

use std::net::SocketAddr;
use std::time::Duration;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::api::{Contact, Fill, LookupId, Urgency};
use super::table::K;
use crate::types::{NodeId, Time};

/// After which a question counts as slow, so that a lookup asks somebody else too.
pub const STALL: Duration = Duration::from_secs(1);

/// After which an answer is no longer waited for.
pub const TIMEOUT: Duration = Duration::from_secs(6);

/// Most questions that wait at a time; with more, lookups pause.
pub const MAX_PENDING: usize = 256;

/// Of these, kept for lookups that a person waits for: four of them at their widest.
const FOR_PERSONS: usize = 32;

/// Why something was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Is this contact from hearsay real?
    Verify,
    /// Is this contact of the table alive?
    Check,
    /// On the way of a lookup. `sampled`: sample_infohashes was asked.
    Walk { lookup: LookupId, sampled: bool },
    /// For a sample alone, of no lookup.
    Visit,
    /// To be listed. `again`: for the second time.
    Announce { lookup: LookupId, again: bool },
}

/// A question under way.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    pub to: SocketAddr,
    /// Whom we take it to; unknown for a router.
    pub id: Option<NodeId>,
    pub purpose: Purpose,
    pub sent: Time,
    /// [`STALL`] has passed.
    pub stalled: bool,
}

impl Question {
    /// The contact asked, if its id is known.
    pub fn contact(&self) -> Option<Contact> {
        self.id.map(|id| Contact { id, addr: self.to })
    }
}

/// Written into the transaction id: four bytes, the one length that every client answers (the crate `mainline` no other).
type Transaction = u32;

/// The questions under way, bounded.
#[derive(Debug)]
pub struct Pending {
    questions: Vec<(Transaction, Question)>,
    held: bool,
    rng: ChaCha8Rng,
}

impl Pending {
    /// None yet. Transaction ids are drawn from `rng`, so that strangers cannot guess them.
    pub fn new(rng: ChaCha8Rng) -> Self {
        Self { questions: Vec::new(), held: false, rng }
    }

    /// How many wait. An announce is made though there may be room for one question only: to [`K`] nodes.
    pub fn fill(&self) -> Fill {
        Fill { of: "questions under way", entries: self.questions.len(), bound: MAX_PENDING - 1 + K }
    }

    /// Whether nothing more of this urgency may be asked now.
    pub fn is_full(&self, urgency: Urgency) -> bool {
        match urgency {
            Urgency::Person => self.questions.len() >= MAX_PENDING,
            _ => self.held || self.questions.len() >= MAX_PENDING - FOR_PERSONS,
        }
    }

    /// Lets nobody be asked, but for persons who wait, until it is taken back.
    pub fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// The strangers that are being verified.
    pub fn verifying(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        let strangers = self.questions.iter().filter(|(_, question)| question.purpose == Purpose::Verify);
        strangers.map(|(_, question)| question.to)
    }

    /// Whether somebody at `addr` is being asked.
    pub fn asks(&self, addr: SocketAddr) -> bool {
        self.questions.iter().any(|(_, question)| question.to == addr)
    }

    /// Notes a question; returns its transaction id.
    pub fn push(&mut self, question: Question) -> [u8; 4] {
        let transaction = loop {
            let drawn: Transaction = self.rng.random();
            if self.questions.iter().all(|(taken, _)| *taken != drawn) {
                break drawn;
            }
        };
        self.questions.push((transaction, question));
        transaction.to_be_bytes()
    }

    /// The question that a reply from `from` belongs to; it is answered then.
    pub fn take(&mut self, transaction: &[u8], from: SocketAddr) -> Option<Question> {
        let transaction = Transaction::from_be_bytes(transaction.try_into().ok()?);
        let mine = |(own, question): &(Transaction, Question)| *own == transaction && question.to == from;
        let at = self.questions.iter().position(mine)?;
        Some(self.questions.swap_remove(at).1)
    }

    /// A question that has just become slow.
    pub fn next_stalled(&mut self, now: Time) -> Option<Question> {
        let slow = |question: &&mut Question| !question.stalled && now.since(question.sent) >= STALL;
        let question = self.questions.iter_mut().map(|(_, question)| question).find(slow)?;
        question.stalled = true;
        Some(*question)
    }

    /// A question that will not be answered; it is forgotten then.
    pub fn next_expired(&mut self, now: Time) -> Option<Question> {
        let at = self.questions.iter().position(|(_, question)| now.since(question.sent) >= TIMEOUT)?;
        Some(self.questions.swap_remove(at).1)
    }

    /// When the next becomes slow or expires.
    pub fn next_deadline(&self) -> Option<Time> {
        let deadline = |question: &Question| question.sent + if question.stalled { TIMEOUT } else { STALL };
        self.questions.iter().map(|(_, question)| deadline(question)).min()
    }
}
