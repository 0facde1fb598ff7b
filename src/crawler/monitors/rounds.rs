//! Whom the monitors ask, and when.

use std::time::Duration;

use super::{Hearsay, MayAsk, Monitors};
use crate::crawler::book::ContactBook;
use crate::dht::krpc::{Body, Message, Query};
use crate::dht::{Contact, VERSION};
use crate::types::Time;

/// Each contact is asked once in this time, before others stop naming it (15 minutes in BEP 5).
pub const CONTACT_ROUND: Duration = Duration::from_secs(10 * 60);
/// Each monitor shows itself to its neighbours once in this time.
pub const MONITOR_ROUND: Duration = Duration::from_secs(30 * 60);
/// Neighbours that it asks then.
const NEIGHBOURS: usize = 3;
/// Questions a second, at most; what is due beyond takes its turn later.
const MAX_RATE: u32 = 500;
/// Questions at once, so that a group after a pause is no burst.
const MAX_GROUP: u32 = 16;
/// Time until the next look if nobody was to be asked.
const IDLE: Duration = Duration::from_millis(200);

impl Monitors {
    /// When [`Self::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Option<Time> {
        let expiry = self.questions.next_expiry();
        let next = Some(self.next).filter(|_| !self.ids.is_empty());
        next.into_iter().chain(expiry).min()
    }

    /// Asks who is to be asked, if there is room for questions that can wait and the remote bears one, and forgets who did
    /// not answer.
    pub fn handle_timeout(&mut self, now: Time, book: &mut ContactBook, (has_room, may_ask): (bool, MayAsk<'_>)) {
        self.expire(now, book);
        if self.ids.is_empty() || now < self.next {
            return;
        }
        self.responder.tidy(now);
        let passed = u64::try_from(now.since(self.worked).as_millis()).unwrap_or(u64::MAX).min(1_000);
        self.worked = now;
        let due = |rounds: usize, round: Duration| rounds as u64 * passed * 1_000 / round.as_millis().max(1) as u64;
        let group = u64::from(MAX_GROUP) * 1_000;
        self.contacts_due = (self.contacts_due + due(book.len(), CONTACT_ROUND)).min(group);
        self.monitors_due = (self.monitors_due + due(self.ids.len() * NEIGHBOURS, MONITOR_ROUND)).min(group);
        let (mut asked, mut looked_at) = (0, 0);
        while has_room
            && asked.max(looked_at) < MAX_GROUP
            && let Some(count) = self.ask_next(now, book, may_ask)
        {
            asked += count;
            looked_at += 1;
        }
        // As many as were asked take their time; who has nothing to ask looks again soon.
        let pause = Duration::from_millis(u64::from(asked.max(MAX_GROUP / 4)) * 1_000 / u64::from(MAX_RATE));
        // What the shell is late by is no loss.
        self.next = if asked > 0 { (self.next + pause).max(now) } else { now + IDLE };
    }

    /// Asks whoever is due next; returns what that counts for, None if nobody is. Who may not be asked now is taken for
    /// neither asked nor silent.
    fn ask_next(&mut self, now: Time, book: &mut ContactBook, may_ask: MayAsk<'_>) -> Option<u32> {
        if self.questions.is_full() {
            return None;
        }
        if self.contacts_due >= 1_000
            && let Some((contact, asked)) = book.after(&self.contact_turn)
        {
            self.contacts_due -= 1_000;
            self.contact_turn = contact.id;
            if now.since(asked) >= CONTACT_ROUND / 2
                && let Some(by) = self.home(&contact.id)
            {
                if may_ask(contact.addr) {
                    self.ask(now, by, contact, book);
                } else {
                    self.strangers.put_back(Hearsay { contact, by });
                }
            }
            return Some(1);
        }
        if self.monitors_due >= 1_000 * NEIGHBOURS as u64 {
            self.monitors_due -= 1_000 * NEIGHBOURS as u64;
            let monitor = self.monitor_turn % self.ids.len();
            self.monitor_turn = monitor + 1;
            for contact in book.nearest(&self.ids[monitor].0, NEIGHBOURS) {
                if !may_ask(contact.addr) {
                    continue;
                }
                self.ask(now, monitor as u32, contact, book);
            }
            return Some(NEIGHBOURS as u32);
        }
        // Last, or strangers who name themselves could keep us from those we know.
        let hearsay = self.strangers.next()?;
        let Hearsay { contact, by } = hearsay;
        if may_ask(contact.addr) {
            // It may have been asked for something else a moment ago: a second question does no harm.
            book.ask(now, &contact);
            self.send(now, by, contact);
            return Some(1);
        }
        self.strangers.put_back(hearsay);
        Some(0)
    }

    /// Asks `contact` if it was not asked just now.
    fn ask(&mut self, now: Time, monitor: u32, contact: Contact, book: &mut ContactBook) {
        if book.ask(now, &contact) {
            self.send(now, monitor, contact);
        }
    }

    /// Asks `contact` for the contacts closest to the monitor itself.
    fn send(&mut self, now: Time, monitor: u32, contact: Contact) {
        let Some(own) = self.ids.get(monitor as usize).copied() else { return };
        let transaction = self.questions.push(now, contact);
        let message = Message {
            transaction: &transaction,
            body: Body::Query { id: own, query: Query::FindNode { target: own, want: None } },
            version: Some(VERSION),
            read_only: self.config.read_only || self.zone.is_some_and(|zone| !zone.holds(&contact.id)),
            external: None,
        };
        self.transmit(monitor, (contact.addr, message.encode()), Some(transaction));
    }

    fn expire(&mut self, now: Time, book: &mut ContactBook) {
        while let Some((contact, sent)) = self.questions.next_expired(now) {
            self.stats.timeouts += 1;
            // If nobody at all answered meanwhile, it is our own link that is down.
            if self.last_heard.is_some_and(|heard| heard > sent) {
                book.failed(&contact);
            }
        }
    }
}
