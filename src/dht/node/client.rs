//! Asking others: questions, their answers, and the lookups made of them.

use std::net::SocketAddr;

use super::{Node, canonical};
use crate::dht::api::{Contact, Event, Family, Lookup, LookupId, Urgency};
use crate::dht::krpc::{Body, Message, Query, Response, Want};
use crate::dht::lookup::{MAX_NODES_PER_REPLY, Step, Walk};
use crate::dht::pending::{Purpose, Question};
use crate::dht::responder::VERSION;
use crate::dht::samples::SampleMemory;
use crate::dht::table::{Heard, K};
use crate::types::{InfoHash, NodeId, Time};

/// Contacts a lookup begins with.
const START: usize = 2 * K;

/// With fewer good contacts than this, a lookup begins at the routers too.
const FEW_CONTACTS: usize = 3;

impl Node {
    /// Sends a query. The caller has made sure that there is room for another question.
    pub(super) fn ask(&mut self, now: Time, to: SocketAddr, id: Option<NodeId>, purpose: Purpose, query: Query<'_>) {
        let question = Question { to, id, purpose, sent: now, stalled: false };
        let transaction = self.pending.push(question);
        if let Some(contact) = question.contact() {
            self.table.asked(now, &contact);
        }
        let message = Message {
            transaction: &transaction,
            body: Body::Query { id: self.id, query },
            version: Some(VERSION),
            read_only: self.config.read_only || self.config.unlisted,
            external: None,
        };
        let payload = message.encode();
        self.transmit((to, payload), self.urgency(purpose), Some(transaction));
    }

    fn urgency(&self, purpose: Purpose) -> Urgency {
        match purpose {
            Purpose::Verify | Purpose::Check => Urgency::Upkeep,
            Purpose::Visit => Urgency::Sampling,
            Purpose::Walk { lookup, .. } | Purpose::Announce { lookup, .. } => {
                self.walks.get(&lookup).map_or(Urgency::Background, |walk| walk.urgency)
            }
        }
    }

    /// Asks one node something that brings contacts: a sample with those closest to a target, or only these; ends with
    /// [`Event::Visited`]. False if too many questions are under way. The node is not taken into the table for it.
    pub fn visit(&mut self, now: Time, addr: SocketAddr, query: Query<'_>) -> bool {
        let addr = canonical(addr);
        let possible = !self.pending.is_full(Urgency::Sampling) && self.reaches(addr);
        if possible {
            self.ask(now, addr, None, Purpose::Visit, query);
        }
        possible
    }

    /// Begins a lookup.
    pub(super) fn walk(&mut self, now: Time, lookup: Lookup, urgency: Urgency) -> LookupId {
        let id = LookupId(self.next_lookup);
        self.next_lookup += 1;
        let start = self.table.closest(now, &lookup.target(), START);
        let routers = if start.len() < FEW_CONTACTS { self.upkeep.routers() } else { Vec::new() };
        self.walks.insert(id, Walk::new(lookup, urgency, start, routers));
        self.advance(now, id);
        id
    }

    /// Asks whom a lookup wants to ask, and ends it when it has arrived.
    pub(super) fn advance(&mut self, now: Time, lookup: LookupId) {
        // Joining and refreshing serve the twin too; others would only make the replies longer.
        let dual_stack = self.config.dual_stack;
        loop {
            let Some(walk) = self.walks.get_mut(&lookup) else { return };
            walk.ask_again(now);
            if walk.is_announcing() || self.pending.is_full(walk.urgency) {
                return;
            }
            let kind = walk.kind;
            let want = (walk.is_internal() && dual_stack).then_some(Want { v4: true, v6: true });
            match walk.step() {
                Step::Ask(contact) => {
                    let sampled = matches!(kind, Lookup::Sample(_)) && self.samples.may_ask(now, contact.addr);
                    let purpose = Purpose::Walk { lookup, sampled };
                    self.ask(now, contact.addr, Some(contact.id), purpose, question(&kind, sampled, want));
                }
                Step::AskRouter(addr) => {
                    let purpose = Purpose::Walk { lookup, sampled: false };
                    self.ask(now, addr, None, purpose, question(&kind, false, want));
                }
                Step::Wait => return,
                Step::Arrived => return self.arrive(now, lookup),
            }
        }
    }

    /// The walk is over: announce if that is what it was for, else tell.
    fn arrive(&mut self, now: Time, lookup: LookupId) {
        let Some(walk) = self.walks.get_mut(&lookup) else { return };
        let kind = walk.kind;
        for (contact, token) in walk.announces() {
            self.announce(now, contact, &kind, &token, Purpose::Announce { lookup, again: false });
        }
        self.finish_if_idle(now, lookup);
    }

    /// Sends an announce_peer, though there may be no room for another question: there are at most [`K`] a lookup.
    fn announce(&mut self, now: Time, contact: Contact, kind: &Lookup, token: &[u8], purpose: Purpose) {
        if let Lookup::Announce { infohash, port, seed } = *kind {
            let query = Query::AnnouncePeer { infohash, port, implied_port: port == 0, token, seed: Some(seed) };
            self.ask(now, contact.addr, Some(contact.id), purpose, query);
        }
    }

    fn finish_if_idle(&mut self, now: Time, lookup: LookupId) {
        if self.walks.get(&lookup).is_none_or(Walk::is_announcing) {
            return;
        }
        let Some(walk) = self.walks.remove(&lookup) else { return };
        let closest = walk.closest();
        if !closest.is_empty() {
            self.table.refreshed(now, &walk.kind.target());
        }
        if walk.is_internal() {
            self.upkeep.walked(lookup);
        } else {
            if let Lookup::Scrape(infohash) = walk.kind {
                let (seeds, peers) = walk.tally.count();
                self.tell(Event::Scraped { lookup, infohash, seeds, peers });
            }
            self.tell(Event::LookupDone { lookup, closest, announced: walk.announced, peers: walk.peers() });
        }
    }

    /// Takes in a response or an error.
    pub(super) fn handle_reply(&mut self, now: Time, from: SocketAddr, message: &Message<'_>) {
        let Some(question) = self.pending.take(message.transaction, from) else {
            self.stats.unsolicited += 1;
            return;
        };
        self.stats.replies += 1;
        self.upkeep.heard(now);
        match &message.body {
            Body::Response(response) if response.id != self.id => {
                if let Some(external) = message.external
                    && Family::of(external.ip()) == self.config.family
                    && self.config.scope.admits(SocketAddr::new(external.ip(), 1))
                    && let Some(ip) = self.votes.cast(from, external.ip().to_canonical())
                {
                    self.tell(Event::ExternalAddress(ip));
                }
                self.take_response(now, &question, response);
            }
            Body::Error { .. } => self.take_error(now, &question),
            _ => self.give_up(now, &question),
        }
        self.verify_hearsay(now);
    }

    fn take_response(&mut self, now: Time, question: &Question, response: &Response<'_>) {
        let contact = Contact { id: response.id, addr: question.to };
        // Routers are asked without knowing their id and stay outside; so do those who were shunned meanwhile.
        let may_stay = question.id.is_some() && !self.responder.shuns(now, contact.addr);
        if may_stay && self.table.answered(now, contact) == Heard::New {
            self.tell(Event::ContactSeen(contact));
        }
        match question.purpose {
            Purpose::Verify | Purpose::Check => {}
            Purpose::Visit => {
                self.take_samples(now, contact, response);
                let named = self.named_in(response);
                self.tell(Event::Visited { addr: question.to, answered: true, named });
            }
            Purpose::Announce { lookup, .. } => self.announce_ended(now, lookup, true),
            Purpose::Walk { lookup, .. } => {
                self.take_samples(now, contact, response);
                self.take_walk_answer(now, lookup, question, response);
            }
        }
    }

    fn take_samples(&mut self, now: Time, from: Contact, response: &Response<'_>) {
        let Some(sample) = response.sample else { return };
        let interval = SampleMemory::interval(sample.interval);
        self.samples.asked(now, from.addr, interval);
        let infohashes: Vec<InfoHash> = sample.samples.iter().collect();
        let total = sample.total.filter(|total| *total >= 0);
        self.tell(Event::Samples { from, infohashes, total, interval });
    }

    fn take_walk_answer(&mut self, now: Time, lookup: LookupId, question: &Question, response: &Response<'_>) {
        if self.config.dual_stack {
            self.take_other_family(response);
        }
        let named = self.named_in(response);
        if let Some(walk) = self.walks.get_mut(&lookup) {
            let contact = Contact { id: response.id, addr: question.to };
            walk.answered(contact, response.token, question.stalled);
            named.iter().for_each(|contact| walk.offer(*contact));
            self.take_peers(lookup, response);
            self.advance(now, lookup);
        }
        // Whom the lookup did not ask anyway may still fill an empty place.
        named.into_iter().for_each(|contact| self.consider(now, contact, false));
    }

    /// The contacts of a response that can be asked in their turn.
    fn named_in(&self, response: &Response<'_>) -> Vec<Contact> {
        let nodes = if self.config.family == Family::V4 { response.nodes } else { response.nodes6 };
        let usable = |contact: &Contact| self.reaches(contact.addr) && contact.id != self.id;
        nodes.iter().filter(usable).take(MAX_NODES_PER_REPLY).collect()
    }

    fn take_other_family(&mut self, response: &Response<'_>) {
        let (scope, family) = (self.config.scope, self.config.family);
        let nodes = if family == Family::V4 { response.nodes6 } else { response.nodes };
        let fits = |contact: &Contact| scope.admits(contact.addr) && Family::of(contact.addr.ip()) != family;
        for contact in nodes.iter().filter(fits).take(MAX_NODES_PER_REPLY) {
            self.tell(Event::OtherFamily(contact));
        }
    }

    fn take_peers(&mut self, lookup: LookupId, response: &Response<'_>) {
        let scope = self.config.scope;
        let Some(walk) = self.walks.get_mut(&lookup) else { return };
        if let Some(scrape) = response.scrape {
            walk.tally.add(scrape.seeds, scrape.peers);
        }
        let (Some(values), Some(infohash)) = (response.values, walk.kind.infohash()) else { return };
        if response.scrape.is_none() {
            values.iter().filter(|peer| scope.admits(*peer)).for_each(|peer| walk.tally.add_named(peer.ip()));
        }
        let peers = walk.fresh_peers(values.iter().filter(|peer| scope.admits(*peer)));
        if !peers.is_empty() {
            self.tell(Event::Peers { lookup, infohash, peers });
        }
    }

    /// Who does not know BEP 51 surely knows BEP 5: most clients say nothing at all to a method that they do not know.
    /// False if nobody waits for it any more.
    fn ask_plainly(&mut self, now: Time, lookup: LookupId, question: &Question) -> bool {
        let Some(walk) = self.walks.get_mut(&lookup) else { return false };
        walk.asked_again(question.to, question.stalled);
        let query = self::question(&walk.kind, false, None);
        self.ask(now, question.to, question.id, Purpose::Walk { lookup, sampled: false }, query);
        true
    }

    /// The node lives, but does not do what it was asked.
    fn take_error(&mut self, now: Time, question: &Question) {
        if let Purpose::Walk { lookup, sampled: true } = question.purpose
            && self.ask_plainly(now, lookup, question)
        {
            return;
        }
        if question.purpose == Purpose::Visit {
            return self.tell(Event::Visited { addr: question.to, answered: true, named: Vec::new() });
        }
        if let Some(contact) = question.contact()
            && question.purpose != Purpose::Verify
            && !self.responder.shuns(now, contact.addr)
        {
            self.table.answered(now, contact);
        }
        self.give_up(now, question);
    }

    /// Nothing useful will come of a question.
    pub(super) fn give_up(&mut self, now: Time, question: &Question) {
        match question.purpose {
            Purpose::Verify | Purpose::Check => {}
            Purpose::Visit => self.tell(Event::Visited { addr: question.to, answered: false, named: Vec::new() }),
            Purpose::Walk { lookup, .. } => {
                if let Some(walk) = self.walks.get_mut(&lookup) {
                    walk.failed(question.to, question.stalled);
                    self.advance(now, lookup);
                }
            }
            Purpose::Announce { lookup, .. } => self.announce_ended(now, lookup, false),
        }
    }

    fn announce_ended(&mut self, now: Time, lookup: LookupId, taken: bool) {
        if let Some(walk) = self.walks.get_mut(&lookup) {
            walk.announce_ended(taken);
            self.finish_if_idle(now, lookup);
        }
    }

    /// Deals with questions that are slow or over.
    pub(super) fn expire_questions(&mut self, now: Time) {
        while let Some(question) = self.pending.next_stalled(now) {
            if let Purpose::Walk { lookup, .. } = question.purpose
                && let Some(walk) = self.walks.get_mut(&lookup)
            {
                walk.stalled(question.to);
            }
        }
        while let Some(question) = self.pending.next_expired(now) {
            self.stats.timeouts += 1;
            if let Purpose::Walk { lookup, sampled: true } = question.purpose
                && self.ask_plainly(now, lookup, &question)
            {
                continue;
            }
            // If nobody at all answered meanwhile, it is our own link that is down.
            if let Some(contact) = question.contact()
                && self.upkeep.heard_since(question.sent)
            {
                self.table.failed(&contact);
            }
            self.retry_or_give_up(now, &question);
        }
        self.verify_hearsay(now);
        let lookups: Vec<LookupId> = self.walks.keys().copied().collect();
        lookups.into_iter().for_each(|lookup| self.advance(now, lookup));
    }

    /// An announce is worth a second try: the node answered a moment ago.
    fn retry_or_give_up(&mut self, now: Time, question: &Question) {
        if let (Purpose::Announce { lookup, again: false }, Some(contact)) = (question.purpose, question.contact())
            && let Some(walk) = self.walks.get(&lookup)
            && let Some(token) = walk.token(&contact)
        {
            let kind = walk.kind;
            return self.announce(now, contact, &kind, &token, Purpose::Announce { lookup, again: true });
        }
        self.give_up(now, question);
    }
}

/// What a lookup asks.
fn question(kind: &Lookup, sampled: bool, want: Option<Want>) -> Query<'static> {
    match *kind {
        Lookup::GetPeers(infohash) | Lookup::Announce { infohash, .. } => {
            Query::GetPeers { infohash, want: None, no_seeds: false, scrape: false }
        }
        Lookup::Scrape(infohash) => Query::GetPeers { infohash, want: None, no_seeds: false, scrape: true },
        Lookup::Sample(target) if sampled => Query::SampleInfohashes { target, want: None },
        Lookup::FindNode(target) | Lookup::Sample(target) => Query::FindNode { target, want },
    }
}
