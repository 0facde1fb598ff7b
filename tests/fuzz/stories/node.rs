//! One node among strangers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use silverstream::dht::krpc::Query;
use silverstream::dht::{Contact, Event, Family, Lookup, LookupId, Node, NodeConfig, SightingKind};
use silverstream::types::{InfoHash, NodeId, Scope, Time};

use super::input::Input;
use super::letters::{addr, any_answer, damaged, good_answer, inhabitant, point, query, target};
use super::wire::{Delivered, Wire, assert_bounds};

/// Steps of a story, so that none takes long.
const MAX_STEPS: usize = 400;

/// Most peers that one lookup tells of.
const MAX_PEERS: usize = 512;

/// By when every lookup has ended, though nobody answers.
const LOOKUP_LIMIT: Duration = Duration::from_secs(20 * 60);

/// Datagrams of one step that is a crowd.
const CROWD: u8 = 64;

struct Story<'a> {
    input: Input<'a>,
    node: Node,
    dual_stack: bool,
    wire: Wire,
    now: Time,
    /// The peers that the lookups under way told.
    lookups: BTreeMap<LookupId, (Lookup, BTreeSet<SocketAddr>)>,
    /// Lookups cancelled before their events were taken.
    cancelled: BTreeSet<LookupId>,
    visits: usize,
    /// Steps for which nothing is taken out of the node.
    late: u8,
    delivered: Delivered,
}

/// Tells the story.
pub fn tell(story: &[u8]) {
    let mut story = Story::new(Input::new(story));
    for _ in 0..MAX_STEPS {
        if story.input.is_empty() {
            break;
        }
        story.step();
        assert_bounds(&story.node.fills());
        story.late = story.late.saturating_sub(1);
        if story.late == 0 {
            story.settle();
        }
    }
    story.end();
}

impl<'a> Story<'a> {
    fn new(mut input: Input<'a>) -> Self {
        let flags = input.byte();
        let is = |bit: u8| flags & (1 << bit) != 0;
        let config = NodeConfig {
            read_only: is(0) && is(1) && is(2),
            unlisted: is(0) && !is(1) && is(2),
            scope: if is(3) { Scope::Private } else { Scope::Public },
            family: if is(4) && is(5) { Family::V6 } else { Family::V4 },
            wide_table: is(6),
            dual_stack: is(7),
            max_torrents: input.pick(&[2000, 1, 4, 0]),
            max_peers: input.pick(&[8000, 1, 16, 0]),
            ids: if is(0) && is(2) { 1_000 } else { 1 },
            reply_bytes_per_second: input.pick(&[32 * 1024, 100, 2048, u32::MAX, 0]),
        };
        let id = NodeId(point(&[0; 20], 0, input.byte().into()));
        let rate = if config.read_only { 0 } else { config.reply_bytes_per_second.into() };
        let wire = Wire::new(config.scope, config.family, &[rate], [(id, 0)].into_iter());
        Self {
            node: Node::new(config.clone(), id, input.byte().into(), Time::ZERO),
            dual_stack: config.dual_stack,
            wire,
            now: Time::ZERO,
            lookups: BTreeMap::new(),
            cancelled: BTreeSet::new(),
            visits: 0,
            late: 0,
            delivered: Delivered::default(),
            input,
        }
    }

    fn step(&mut self) {
        match self.input.byte() {
            0..24 => {
                let from = addr(&mut self.input, self.wire.family);
                let letter = self.input.string().to_vec();
                self.deliver(from, &letter);
            }
            24..96 => {
                let from = addr(&mut self.input, self.wire.family);
                let letter = query(&mut self.input, &self.wire, 0, from);
                let letter = damaged(&mut self.input, letter);
                self.deliver(from, &letter);
            }
            96..144 => self.answer(),
            144..176 => self.answer_well(),
            176..200 => self.pass_time(),
            200..212 => self.crowd(),
            212..216 => self.late = self.input.byte() % 32,
            number => self.call(number),
        }
    }

    fn deliver(&mut self, from: SocketAddr, letter: &[u8]) {
        self.wire.delivers(self.now, 0, from, letter);
        self.delivered.add(self.wire.is_inside(SocketAddr::new(from.ip().to_canonical(), from.port())), letter);
        self.node.handle_datagram(self.now, from, letter);
    }

    /// Somebody says anything to a question, or somebody else does.
    fn answer(&mut self) {
        let number = usize::from(self.input.byte()) % self.wire.asked.len().max(1);
        let Some(asked) = self.wire.asked.get(number).cloned() else { return };
        let letter = any_answer(&mut self.input, &mut self.wire, &asked);
        let letter = damaged(&mut self.input, letter);
        let from = match self.input.byte() {
            0..230 => asked.to,
            _ => addr(&mut self.input, self.wire.family),
        };
        self.deliver(from, &letter);
    }

    /// The network is well for a while.
    fn answer_well(&mut self) {
        let (rounds, nearer, contacts) = (self.input.byte() % 8, self.input.byte(), self.input.byte() % 10);
        for round in 0..rounds {
            let asked: Vec<_> = self.wire.asked.drain(..).collect();
            for asked in asked {
                let letter = good_answer(&mut self.wire, &asked, nearer.saturating_add(round), contacts);
                // The wire has forgotten the question.
                self.wire.answered.insert(asked.to);
                self.deliver(asked.to, &letter);
            }
            if self.late == 0 {
                self.settle();
            }
        }
    }

    /// Many write the same, each for the first time, or one writes again and again.
    fn crowd(&mut self) {
        let (size, kind) = (self.input.byte() % CROWD, self.input.byte());
        let first = addr(&mut self.input, self.wire.family);
        let rest = self.input.bytes(24).to_vec();
        let near = target(&mut self.input, &self.wire);
        for number in 0..size {
            let from = match kind % 3 {
                0 => self.wire.newcomer(&near, kind).addr,
                1 => first,
                _ => SocketAddr::new(first.ip(), first.port().wrapping_add(number.into())),
            };
            let letter = query(&mut Input::new(&rest), &self.wire, 0, from);
            self.deliver(from, &letter);
            if self.late == 0 {
                self.settle();
            }
        }
    }

    fn pass_time(&mut self) {
        let kind = self.input.byte();
        let seconds = [0, 1, 2, 6, 15, 60, 5 * 60, 15 * 60, 45 * 60, 24 * 3600];
        let time = Duration::from_millis(u64::from(kind) * 4) + Duration::from_secs(self.input.pick(&seconds));
        if time > Duration::from_secs(61) {
            // The board slept: one call for all that was due.
            self.now = self.now + time;
            self.wake();
        } else {
            self.run_until(self.now + time, |_| false);
        }
    }

    /// Wakes the node whenever it wants to be, until `end` or as long as need be.
    fn run_until(&mut self, end: Time, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            let due = self.node.poll_timeout().expect("a node always has something to do");
            if due > end {
                break;
            }
            self.now = self.now.max(due);
            self.wake();
            if self.late == 0 {
                self.settle();
            }
        }
        self.now = self.now.max(end);
    }

    fn wake(&mut self) {
        self.node.handle_timeout(self.now);
        let next = self.node.poll_timeout();
        assert!(next > Some(self.now), "woken at {:?}, it wants to be woken at {next:?}", self.now);
    }

    fn call(&mut self, number: u8) {
        let family = self.wire.family;
        match number {
            216..226 => self.start(),
            226..229 => {
                let at = usize::from(self.input.byte()) % self.lookups.len().max(1);
                if let Some(lookup) = self.lookups.keys().nth(at).copied() {
                    self.lookups.remove(&lookup);
                    self.node.cancel(lookup);
                    self.cancelled.insert(lookup);
                }
            }
            229..232 => {
                let addr = addr(&mut self.input, family);
                self.node.shun(self.now, addr);
                assert!(self.node.contacts().all(|contact| contact.addr != addr));
            }
            232..234 => {
                let id = NodeId(target(&mut self.input, &self.wire));
                self.node.set_id(self.now, id);
                self.wire.set_home_ids(vec![id]);
            }
            234..240 => {
                let (id, addr) = (NodeId(target(&mut self.input, &self.wire)), addr(&mut self.input, family));
                self.node.add_contact(self.now, Contact { id, addr });
            }
            240..244 => {
                let routers: Vec<_> = (0..self.input.byte() % 32).map(|_| addr(&mut self.input, family)).collect();
                self.node.bootstrap(self.now, &routers);
            }
            244..250 if self.late == 0 => {
                let (addr, target) = (addr(&mut self.input, family), target(&mut self.input, &self.wire));
                let target = NodeId(target);
                let query = if number < 247 {
                    Query::SampleInfohashes { target, want: None }
                } else {
                    Query::FindNode { target, want: None }
                };
                self.visits += usize::from(self.node.visit(self.now, addr, query));
            }
            250..253 => {
                let count = u32::from(self.input.byte());
                let contact = |number| Contact {
                    id: NodeId(point(&[0; 20], 0, number)),
                    addr: inhabitant(number, other(family)),
                };
                self.node.set_other_family((0..count).map(contact));
            }
            _ => {
                let target = target(&mut self.input, &self.wire);
                assert!(self.node.stored_peers(&InfoHash(target), 10).len() <= 10);
                let closest = self.node.closest(&target, 8);
                assert!(closest.len() <= 8 && closest.is_sorted_by_key(|contact| contact.id.distance(&target)));
            }
        }
    }

    fn start(&mut self) {
        let (kind, point) = (self.input.byte(), target(&mut self.input, &self.wire));
        let infohash = InfoHash(point);
        let lookup = match kind % 5 {
            0 => Lookup::FindNode(NodeId(point)),
            1 => Lookup::GetPeers(infohash),
            2 => Lookup::Scrape(infohash),
            3 => Lookup::Announce { infohash, port: u16::from(kind / 5), seed: kind >= 128 },
            _ => Lookup::Sample(NodeId(point)),
        };
        // A shell that takes no events starts nothing either.
        if self.late == 0
            && let Ok(id) = self.node.start(self.now, lookup)
        {
            self.lookups.insert(id, (lookup, BTreeSet::new()));
        }
    }

    /// Takes everything out of the node.
    fn settle(&mut self) {
        while let Some(transmit) = self.node.poll_transmit() {
            self.wire.takes(self.now, 0, &transmit);
        }
        self.wire.is_drained();
        while let Some(event) = self.node.poll_event() {
            self.hear(event);
        }
        self.cancelled.clear();
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Sighting { infohash, kind, from, .. } => {
                assert!(self.wire.is_inside(from));
                if let SightingKind::Announce { port, .. } = kind {
                    assert!(self.wire.was_announced(0, from, infohash, port), "{from}");
                }
            }
            Event::Peers { lookup, infohash, peers } => self.hear_peers(lookup, infohash, peers),
            Event::LookupDone { lookup, closest, announced, peers } => {
                let Some((what, told)) = self.lookups.remove(&lookup) else {
                    return assert!(self.cancelled.contains(&lookup), "{lookup:?} is not under way");
                };
                assert!(closest.len() <= 8 && announced as usize <= closest.len() && peers as usize >= told.len());
                let target = what.target();
                assert!(closest.is_sorted_by_key(|contact| contact.id.distance(&target)), "{closest:?}");
                assert!(closest.iter().all(|contact| self.wire.answered.contains(&contact.addr)));
            }
            Event::Samples { from, infohashes, total, interval } => {
                assert!(self.wire.answered.contains(&from.addr) && infohashes.len() <= 102);
                assert!(total.is_none_or(|total| total >= 0) && interval <= Duration::from_secs(6 * 3600));
            }
            Event::Scraped { lookup, .. } => {
                assert!(self.lookups.contains_key(&lookup) || self.cancelled.contains(&lookup));
            }
            Event::Visited { addr, named, .. } => {
                assert!(self.wire.is_inside(addr) && named.len() <= 20);
                assert!(named.iter().all(|contact| self.wire.is_inside(contact.addr)));
                self.visits = self.visits.checked_sub(1).expect("a visit that was made");
            }
            Event::ContactSeen(contact) => assert!(self.wire.answered.contains(&contact.addr)),
            Event::OtherFamily(contact) => {
                assert!(self.dual_stack && self.wire.scope.admits(contact.addr));
                assert!(Family::of(contact.addr.ip()) != self.wire.family);
            }
            Event::ExternalAddress(ip) => {
                assert!(self.wire.is_inside(SocketAddr::new(ip, 1)) && self.wire.answered.len() >= 5);
            }
        }
    }

    fn hear_peers(&mut self, lookup: LookupId, infohash: InfoHash, peers: Vec<SocketAddr>) {
        assert!(!peers.is_empty() && peers.iter().all(|peer| self.wire.scope.admits(*peer)));
        let Some((what, told)) = self.lookups.get_mut(&lookup) else {
            return assert!(self.cancelled.contains(&lookup), "{lookup:?} is not under way");
        };
        assert_eq!(what.infohash(), Some(infohash));
        assert!(peers.into_iter().all(|peer| told.insert(peer)), "a peer is told twice");
        assert!(told.len() <= MAX_PEERS);
    }

    /// Nobody answers any more: what is under way ends, and the counters agree.
    fn end(&mut self) {
        self.late = 0;
        self.settle();
        self.run_until(self.now + LOOKUP_LIMIT, |story| story.lookups.is_empty() && story.visits == 0);
        assert!(self.lookups.is_empty() && self.visits == 0, "{:?}, {} visits", self.lookups, self.visits);
        assert_bounds(&self.node.fills());
        let contacts: Vec<_> = self.node.contacts().collect();
        let public = contacts.iter().filter(|contact| Scope::Public.admits(contact.addr));
        let hosts: BTreeSet<_> = public.clone().map(|contact| contact.addr.ip()).collect();
        assert_eq!(hosts.len(), public.count(), "a host is in the table once");
        assert!(contacts.iter().all(|contact| contact.id != self.node.id() && self.wire.is_inside(contact.addr)));
        let stats = self.node.stats();
        let queries = stats.pings + stats.find_nodes + stats.get_peers + stats.announces + stats.samples;
        let delivered = &self.delivered;
        assert_eq!(stats.datagrams_in, delivered.all());
        assert_eq!(stats.replies + stats.unsolicited, delivered.replies, "{stats:?}");
        // Who writes with our id, or has written too much, is not heard.
        let not_heard = stats.out_of_scope + stats.flooding;
        assert_eq!(queries + stats.other_queries + not_heard, delivered.queries + delivered.outside, "{stats:?}");
        let malformed = delivered.unreadable..=delivered.unreadable + delivered.long;
        assert!(malformed.contains(&stats.malformed), "{stats:?}");
        assert!(stats.bad_tokens <= stats.announces);
    }
}

fn other(family: Family) -> Family {
    if family == Family::V4 { Family::V6 } else { Family::V4 }
}
