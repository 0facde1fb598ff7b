//! One crawler that hears what is said to it, and what it makes of it over time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::mainline::stage::{Happening, Place, Reply};
use super::super::mainline::{Machine, PORT, Stage, Torrents, World, mix};
use super::traffic::{Said, Wanted};
use crate::crawler::CoreEvent;
use crate::dht::krpc::{Body, Message, Query};
use crate::types::{InfoHash, NodeId, Time};

/// Looked at this often.
pub const GLANCE: Duration = Duration::from_secs(5 * 60);
/// Somebody has us in a table, however few questions we answer: newcomers do not know it.
const LEAST_STANDING: f64 = 0.02;
/// Until an announce follows the token.
const STEP: Duration = Duration::from_millis(60);

/// What a crawler does besides listening, and what it may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Way {
    /// Listens, and answers.
    Listening,
    /// Also asks for samples (BEP 51), at the rate of the shipped program.
    Sampling,
    /// Listens on a processor that has time for so many datagrams a second.
    Choked { datagrams_per_second: f64 },
}

/// What a crawler has at some time. Counters are since the beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Point {
    pub at: Time,
    /// Distinct true infohashes that clients named to it in full.
    pub heard: u64,
    /// Those of them that clients with one node an address named, and those that the others named.
    pub heard_of_strict: u64,
    pub heard_of_lenient: u64,
    /// Distinct true infohashes in samples.
    pub sampled: u64,
    /// Distinct infohashes that it believes and that exist; and that do not.
    pub believed: u64,
    pub believed_wrongly: u64,
    /// Distinct nodes that answered it.
    pub contacts: u64,
    /// Good contacts in all routing tables.
    pub in_tables: u64,
    pub datagrams_in: u64,
    pub datagrams_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Datagrams that there was no time for.
    pub dropped: u64,
    /// Processor time of the core.
    pub processor: Duration,
}

impl Point {
    /// All but the time, as they are written in tables.
    pub fn values(&self) -> [u64; 14] {
        [
            self.heard,
            self.heard_of_strict,
            self.heard_of_lenient,
            self.sampled,
            self.believed,
            self.believed_wrongly,
            self.contacts,
            self.in_tables,
            self.datagrams_in,
            self.datagrams_out,
            self.bytes_in,
            self.bytes_out,
            self.dropped,
            self.processor.as_millis() as u64,
        ]
    }
}

/// A set of numbers that counts.
struct Marks {
    marked: Vec<bool>,
    count: u64,
}

impl Marks {
    fn new(len: usize) -> Self {
        Self { marked: vec![false; len], count: 0 }
    }

    fn mark(&mut self, number: u32) {
        let was = std::mem::replace(&mut self.marked[number as usize], true);
        self.count += u64::from(!was);
    }
}

/// An announce that waits for a token.
type Intents = HashMap<u32, (InfoHash, NodeId)>;

/// A crawler that listens; see the module.
pub struct Listener {
    stage: Stage,
    intents: Intents,
    questions: u32,
    heard: Marks,
    heard_of_strict: Marks,
    heard_of_lenient: Marks,
    believed: Marks,
    wrong: std::collections::HashSet<InfoHash>,
    answered: Marks,
    /// Questions that were put, and answered, since the last glance.
    put: u64,
    replied: u64,
    /// The part of the tables that still have us: as many as of the questions before the last glance were answered. Who
    /// does not answer is replaced.
    standing: f64,
}

impl Listener {
    /// The crawler of that number, at its place in the world.
    pub fn new(world: &Arc<World>, torrents: &Arc<Torrents>, at: (u32, Place), way: Way) -> Self {
        let mut stage = Stage::in_world(world.clone(), torrents.clone(), at);
        match way {
            Way::Sampling => stage.machine = Machine::measured(),
            Way::Listening => {
                stage.machine = Machine::measured();
                stage.core.set_sample_rate(0);
            }
            Way::Choked { datagrams_per_second } => {
                stage.machine = Machine::with_capacity(datagrams_per_second, Time::ZERO);
                stage.core.set_sample_rate(0);
            }
        }
        let marks = || Marks::new(torrents.infohashes.len());
        Self {
            stage,
            intents: Intents::new(),
            questions: 0,
            heard: marks(),
            heard_of_strict: marks(),
            heard_of_lenient: marks(),
            believed: marks(),
            wrong: std::collections::HashSet::new(),
            answered: Marks::new(world.len()),
            put: 0,
            replied: 0,
            standing: 1.0,
        }
    }

    /// Hears everything until `end` and tells what it had every [`GLANCE`].
    pub fn hear(mut self, said: &[Said], end: Time) -> Vec<Point> {
        let mut points = vec![self.glance()];
        let mut said = said.iter().peekable();
        while self.stage.now < end {
            let until = self.stage.now + GLANCE;
            while let Some(said) = said.next_if(|said| u64::from(said.at) < until.as_millis()) {
                self.run_until(Time::from_millis(u64::from(said.at)));
                self.take(said);
            }
            self.run_until(until);
            points.push(self.glance());
            self.judge();
        }
        points
    }

    /// Clients keep in their tables who answers.
    fn judge(&mut self) {
        if self.put > 0 {
            self.standing = (self.replied as f64 / self.put as f64).clamp(LEAST_STANDING, 1.0);
        }
        (self.put, self.replied) = (0, 0);
    }

    fn take(&mut self, said: &Said) {
        let draw = mix(u64::from(said.at), u64::from(said.client)) as f64 / u64::MAX as f64;
        if draw >= self.standing {
            return;
        }
        self.put += 1;
        let world = &self.stage.world;
        let (from, id) = (world.addr(said.client), world.id(said.client));
        let infohash = match said.wanted {
            Wanted::Torrent { torrent, .. } => self.stage.torrents.infohashes[torrent as usize],
            Wanted::Point(point) => InfoHash(point),
        };
        let is_strict = world.restricts(said.client);
        self.questions += 1;
        let query = Query::GetPeers { infohash, want: None, no_seeds: false, scrape: false };
        let payload = encode(&self.questions.to_be_bytes(), id, query);
        if !self.stage.deliver(said.node.into(), from, &payload) {
            return;
        }
        if let Wanted::Torrent { torrent, announces } = said.wanted {
            let by = if is_strict { &mut self.heard_of_strict } else { &mut self.heard_of_lenient };
            by.mark(torrent);
            self.heard.mark(torrent);
            if announces {
                self.intents.insert(self.questions, (infohash, id));
            }
        }
    }

    fn run_until(&mut self, end: Time) {
        let Self { stage, intents, believed, wrong, answered, replied, .. } = self;
        stage.run_until(end, |stage, happening| match happening {
            Happening::Told(CoreEvent::Sighting(heard)) => match stage.torrents.find(&heard.infohash) {
                Some(torrent) => believed.mark(torrent),
                None => drop(wrong.insert(heard.infohash)),
            },
            Happening::Asked(asked) if asked.answered => answered.mark(asked.node),
            Happening::Replied(reply) => {
                *replied += u64::from(announce(stage, reply, intents));
            }
            Happening::Told(_) | Happening::Asked(_) => {}
        });
        // What was asked for and is not answered by now never is.
        if self.intents.len() > MAX_INTENTS {
            self.intents.clear();
        }
    }

    fn glance(&self) -> Point {
        let stats = self.stage.core.stats();
        Point {
            at: self.stage.now,
            heard: self.heard.count,
            heard_of_strict: self.heard_of_strict.count,
            heard_of_lenient: self.heard_of_lenient.count,
            sampled: self.stage.shown.iter().filter(|shown| **shown).count() as u64,
            believed: self.believed.count,
            believed_wrongly: self.wrong.len() as u64,
            contacts: self.answered.count,
            in_tables: stats.contacts,
            datagrams_in: stats.datagrams_in,
            datagrams_out: stats.datagrams_out,
            bytes_in: stats.bytes_in,
            bytes_out: stats.bytes_out,
            dropped: self.stage.machine.dropped(),
            processor: self.stage.machine.spent(),
        }
    }
}

/// Announces that wait for a token at most; replies come at once, so those beyond were dropped by a choked crawler.
const MAX_INTENTS: usize = 10_000;

/// Announces with the token that one of our nodes gave; whether it answers a question.
fn announce(stage: &mut Stage, reply: &Reply, intents: &mut Intents) -> bool {
    let Ok(Message { transaction, body: Body::Response(response), .. }) = Message::parse(&reply.payload) else {
        return false;
    };
    let Ok(number) = transaction.try_into().map(u32::from_be_bytes) else { return false };
    let (Some((infohash, id)), Some(token)) = (intents.remove(&number), response.token) else { return true };
    let query = Query::AnnouncePeer { infohash, port: PORT, implied_port: false, token, seed: Some(false) };
    stage.send(reply.from, reply.to, encode(b"announce", id, query), STEP);
    true
}

fn encode(transaction: &[u8], id: NodeId, query: Query<'_>) -> Vec<u8> {
    Message { transaction, body: Body::Query { id, query }, version: None, read_only: false, external: None }.encode()
}
