//! The crawler's nodes together, among strangers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use silverstream::config::IdStrategy;
use silverstream::crawler::{
    Announced, Core, CoreConfig, CoreEvent, Heard, Limits, Saved, SearchId, SightingKind, Waits,
};
use silverstream::dht::{Contact, Family};
use silverstream::types::{InfoHash, NodeId, Scope, Time};

use super::input::Input;
use super::letters::{addr, any_answer, damaged, good_answer, home, inhabitant, point, query, target};
use super::wire::{Wire, assert_bounds};

/// Steps of a story, so that none takes long.
const MAX_STEPS: usize = 150;

/// Sockets of a story with monitors: the most nodes that have tables of their own, and as many monitors after them.
const WITH_MONITORS: u16 = 128;
const MAX_TABLES: u16 = WITH_MONITORS / 2;

/// Bytes a second that all monitors together may spend on replies.
const MONITORS_RATE: u64 = 16 * 1024 * 1024;

/// By when every search has ended, though nobody answers.
const SEARCH_LIMIT: Duration = Duration::from_secs(61);

/// Datagrams of one step that is a crowd.
const CROWD: u8 = 64;

/// Between two looks at how full the tables are, in steps: that takes longer than most steps.
const LOOK_EVERY: usize = 8;

struct Story<'a> {
    input: Input<'a>,
    core: Core,
    config: CoreConfig,
    /// Nodes at work.
    at_work: u16,
    wire: Wire,
    now: Time,
    /// Searches under way and what they look for.
    searches: BTreeMap<SearchId, InfoHash>,
    /// Steps for which nothing is taken out of the crawler.
    late: u8,
}

/// Tells the story.
pub fn tell(story: &[u8]) {
    let mut story = Story::new(Input::new(story));
    for step in 0..MAX_STEPS {
        if story.input.is_empty() {
            break;
        }
        story.step();
        if step % LOOK_EVERY == 0 {
            assert_bounds(&story.core.fills());
        }
        story.late = story.late.saturating_sub(1);
        if story.late == 0 {
            story.settle();
        }
    }
    story.end();
}

fn sockets(count: u16, family: Family) -> Vec<SocketAddr> {
    let first = home(family);
    (0..count).map(|number| SocketAddr::new(first.ip(), first.port() + number)).collect()
}

/// What each responder may spend where so many nodes are at work: the monitors have the last.
fn rates(at_work: u16) -> Vec<u64> {
    let rate = (128 * 1024 / u64::from(at_work.min(MAX_TABLES))).max(2048);
    [vec![rate; MAX_TABLES.into()], vec![MONITORS_RATE]].concat()
}

impl<'a> Story<'a> {
    fn new(mut input: Input<'a>) -> Self {
        let flags = input.byte();
        let few = input.pick(&[2_u16, 1, 8, 3]);
        let count = if flags & 0x30 == 0x30 { WITH_MONITORS } else { few };
        let family = if flags & 0xc0 == 0xc0 { Family::V6 } else { Family::V4 };
        let contact = |number| Contact { id: NodeId(point(&[0; 20], 0, number)), addr: inhabitant(number, family) };
        let saved = Saved {
            external: (flags & 4 != 0).then_some(home(family).ip()),
            contacts: (0..u32::from(input.byte())).map(contact).collect(),
            ..Saved::default()
        };
        let config = CoreConfig {
            strategy: if flags & 1 == 0 { IdStrategy::Spread } else { IdStrategy::Random },
            scope: if flags & 2 == 0 { Scope::Public } else { Scope::Private },
            seed: input.byte().into(),
            sockets: sockets(count, family),
            limits: if flags & 8 == 0 { Limits::default() } else { Limits::NONE },
            saved,
        };
        let core = Core::new(config.clone(), Time::ZERO);
        let responder_of = (0..usize::from(count)).map(|socket| socket.min(MAX_TABLES.into()));
        let wire = Wire::new(config.scope, family, &rates(count), core.ids().zip(responder_of));
        Self { input, core, config, at_work: count, wire, now: Time::ZERO, searches: BTreeMap::new(), late: 0 }
    }

    fn step(&mut self) {
        match self.input.byte() {
            0..12 => {
                let (home, from) = (self.home(), addr(&mut self.input, self.wire.family));
                let letter = self.input.string().to_vec();
                self.deliver(home, from, &letter);
            }
            12..88 => {
                let (home, from) = (self.home(), addr(&mut self.input, self.wire.family));
                let letter = query(&mut self.input, &self.wire, home, from);
                let letter = damaged(&mut self.input, letter);
                self.deliver(home, from, &letter);
            }
            88..136 => self.answer(),
            136..172 => self.answer_well(),
            172..200 => self.pass_time(),
            200..216 => self.crowd(),
            216..219 => self.late = self.input.byte() % 16,
            number => self.call(number),
        }
    }

    fn home(&mut self) -> u32 {
        u32::from(self.input.byte()) % self.config.sockets.len() as u32
    }

    fn deliver(&mut self, home: u32, from: SocketAddr, letter: &[u8]) {
        self.wire.delivers(self.now, home, from, letter);
        self.core.handle_datagram(self.now, home, from, letter);
    }

    fn answer(&mut self) {
        let number = usize::from(self.input.byte()) % self.wire.asked.len().max(1);
        let Some(asked) = self.wire.asked.get(number).cloned() else { return };
        let letter = any_answer(&mut self.input, &mut self.wire, &asked);
        let letter = damaged(&mut self.input, letter);
        self.deliver(asked.home, asked.to, &letter);
    }

    /// The network is well for a while.
    fn answer_well(&mut self) {
        let (rounds, nearer, contacts) = (self.input.byte() % 8, self.input.byte(), self.input.byte() % 10);
        for round in 0..rounds {
            let asked: Vec<_> = self.wire.asked.drain(..).collect();
            for asked in asked {
                let letter = good_answer(&mut self.wire, &asked, nearer.saturating_add(round), contacts);
                self.deliver(asked.home, asked.to, &letter);
            }
            if self.late == 0 {
                self.settle();
            }
        }
    }

    /// Many write the same, each for the first time, or one writes of one thing after the other.
    fn crowd(&mut self) {
        let (size, kind, home) = (self.input.byte() % CROWD, self.input.byte(), self.home());
        let first = addr(&mut self.input, self.wire.family);
        let mut rest = self.input.bytes(24).to_vec();
        let near = target(&mut self.input, &self.wire);
        for number in 0..size {
            let from = if kind % 2 == 0 { self.wire.newcomer(&near, kind).addr } else { first };
            // Where a query has the number of its target.
            if let Some(target) = rest.get_mut(2).filter(|_| kind >= 128) {
                *target = number;
            }
            let letter = query(&mut Input::new(&rest), &self.wire, home, from);
            self.deliver(home, from, &letter);
            if self.late == 0 {
                self.settle();
            }
        }
    }

    fn pass_time(&mut self) {
        let kind = self.input.byte();
        let seconds = [0, 1, 2, 6, 20, 60, 5 * 60, 15 * 60, 6 * 3600, 24 * 3600];
        let time = Duration::from_millis(u64::from(kind) * 4) + Duration::from_secs(self.input.pick(&seconds));
        if time > Duration::from_secs(21) {
            self.now = self.now + time;
            self.wake();
        } else {
            self.run_until(self.now + time);
        }
    }

    fn run_until(&mut self, end: Time) {
        while self.core.poll_timeout() <= end {
            self.now = self.now.max(self.core.poll_timeout());
            self.wake();
            if self.late == 0 {
                self.settle();
            }
        }
        self.now = end;
    }

    fn wake(&mut self) {
        self.core.handle_timeout(self.now);
        if self.core.poll_timeout() <= self.now {
            // Ids that change call for work at once.
            self.core.handle_timeout(self.now);
        }
        let next = self.core.poll_timeout();
        assert!(next > self.now, "woken at {:?}, it wants to be woken at {next:?}", self.now);
    }

    fn call(&mut self, number: u8) {
        let infohash = InfoHash(target(&mut self.input, &self.wire));
        match number {
            219..228 if self.late == 0 => {
                let waits = if number.is_multiple_of(2) { Waits::Person } else { Waits::Nobody };
                if let Ok(search) = self.core.find_peers(self.now, infohash, waits) {
                    assert!(self.searches.insert(search, infohash).is_none());
                }
            }
            228..231 if self.late == 0 => {
                let at = usize::from(self.input.byte()) % self.searches.len().max(1);
                if let Some(search) = self.searches.keys().nth(at).copied() {
                    self.searches.remove(&search);
                    self.core.cancel_search(search);
                }
            }
            231..236 => {
                let what = Announced { port: u16::from(number), seed: self.input.flag() };
                assert!(self.core.announce(self.now, infohash, what).is_ok());
            }
            236..238 => self.core.withdraw(&infohash),
            238..242 => self.core.proved(self.now, &infohash),
            242..246 => {
                let routers: Vec<_> =
                    (0..self.input.byte() % 16).map(|_| addr(&mut self.input, self.wire.family)).collect();
                self.core.bootstrap_resolved(self.now, &routers);
            }
            246..250 => self.core.set_sample_rate(self.input.pick(&[10, 0, 1, 60, u32::MAX])),
            250..252 => self.restart(),
            252..254 if self.late == 0 => self.resize(),
            _ => {}
        }
    }

    /// The crawler ends, and another goes on with what it kept.
    fn restart(&mut self) {
        self.late = 0;
        self.settle();
        let saved = self.core.saved(self.now);
        assert!(saved.contacts.iter().all(|contact| self.wire.is_inside(contact.addr)));
        self.core = Core::new(CoreConfig { saved, ..self.config.clone() }, self.now);
        self.at_work = self.config.sockets.len() as u16;
        self.wire.restarted(self.now, &rates(self.at_work));
        self.wire.set_home_ids(self.core.ids().collect());
        self.searches.clear();
    }

    /// More nodes, or fewer. Those that stay keep their ids, and those that rest are silent at once.
    fn resize(&mut self) {
        self.settle();
        let before: Vec<_> = self.core.ids().collect();
        let count = self.input.pick(&[0, 1, 2, 3, 5, 8, MAX_TABLES - 1, MAX_TABLES, MAX_TABLES + 1, u16::MAX]);
        let kept = self.at_work.min(count).clamp(1, MAX_TABLES);
        self.at_work = count.clamp(1, self.config.sockets.len() as u16);
        self.core.resize(self.now, count.into(), &self.config.sockets);
        let ids: Vec<_> = self.core.ids().collect();
        assert_eq!(ids.len(), usize::from(self.at_work));
        if self.core.stats().external.is_none() {
            assert!(before.iter().zip(&ids).all(|(before, id)| before == id), "others know them");
        }
        self.wire.resized(self.now, &rates(self.at_work), |number| {
            number < kept.into() || number == usize::from(MAX_TABLES)
        });
        self.wire.set_home_ids(ids);
        self.settle();
    }

    fn settle(&mut self) {
        while let Some((home, transmit)) = self.core.poll_transmit() {
            self.wire.takes(self.now, home, &transmit);
        }
        self.wire.is_drained();
        while let Some(event) = self.core.poll_event() {
            self.hear(event);
        }
        self.wire.set_home_ids(self.core.ids().collect());
    }

    fn hear(&mut self, event: CoreEvent) {
        match event {
            CoreEvent::Sighting(Heard { infohash, kind, source, node }) => {
                assert!(self.wire.is_inside(source) && !self.config.sockets.contains(&source), "{source}");
                // It may rest by now: what one network alone says waits to be believed.
                assert!((node as usize) < self.config.sockets.len());
                if let SightingKind::Announce { port, .. } = kind {
                    assert!(self.wire.was_announced(node, source, infohash, port), "{source}");
                }
            }
            CoreEvent::Peers { search, peers } => {
                assert!(self.searches.contains_key(&search) && !peers.is_empty());
                assert!(peers.iter().all(|peer| self.config.scope.admits(*peer)));
            }
            CoreEvent::SearchDone { search } => {
                assert!(self.searches.remove(&search).is_some(), "{search:?} ends twice")
            }
            CoreEvent::ResolveBootstrap => self.core.bootstrap_resolved(self.now, &[]),
        }
    }

    /// Nobody answers any more: what is under way ends.
    fn end(&mut self) {
        self.late = 0;
        self.settle();
        if !self.searches.is_empty() {
            self.run_until(self.now + SEARCH_LIMIT);
        }
        assert!(self.searches.is_empty(), "{:?}", self.searches);
        assert_bounds(&self.core.fills());
        let stats = self.core.stats();
        assert!(stats.sightings() >= stats.found_by_get_peers + stats.found_by_announces + stats.found_by_samples);
    }
}
