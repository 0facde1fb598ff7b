//! Whether the crawler tells true infohashes from the others, in a world where the truth is known.
//!
//! Clients announce and search, openly or privately as libtorrent does; they look for themselves and tend their tables;
//! and liars of several kinds do what they can. What the crawler believes is compared with what exists, and with what it
//! heard in full at least once.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::mainline::lookup::{self, Question};
use super::mainline::stage::{self, Happening, Reply, Stage};
use super::mainline::{Kind, Mix, Torrents, World, mix};
use super::{Experiment, LabError, Options, Report, Target};
use crate::config::IdStrategy;
use crate::crawler::CoreEvent;
use crate::dht::krpc::{Body, Message, Query};
use crate::types::{InfoHash, NodeId, Time};
use liars::{LIES, deceiver};

mod liars;

/// Precision and recall of the filter.
pub const EXPERIMENT: Experiment = Experiment {
    name: "truth",
    summary: "which infohashes the crawler believes, among private lookups, self-lookups, refreshes, liars and floods",
    targets: "precision at least 99.5 %; recall at least 98 %",
    run,
};

/// How large an experiment is.
struct Size {
    nodes: usize,
    torrents: usize,
    crawlers: u16,
    time: Duration,
}

const QUICK: Size = Size { nodes: 20_000, torrents: 5_000, crawlers: 128, time: Duration::from_secs(3600) };
const FULL: Size = Size { nodes: 200_000, torrents: 40_000, crawlers: 1_024, time: Duration::from_secs(6 * 3600) };

/// Clients announce and search again after 15 minutes (libtorrent), a quarter more or less.
const AGAIN: Duration = Duration::from_secs(15 * 60);
/// Part of the clients that look up privately, of ten.
const PRIVATE: u64 = 3;
/// Time between two points of a bucket that a client asks for, and between two looks for itself.
const REFRESH_EVERY: Duration = Duration::from_secs(20 * 60);
const REJOIN_EVERY: Duration = Duration::from_secs(3 * 3600);
/// Crawler's time to become known before the clients begin.
const SETTLING: Duration = Duration::from_secs(10 * 60);
/// What is heard for the first time in the end has had no time to be confirmed: two rounds of the clients.
const LAST: Duration = Duration::from_secs(32 * 60);
/// The crawler as it is.
const ALL_WAYS: &str = "with samples";
/// Between two questions of a lookup.
const STEP: Duration = Duration::from_millis(60);

/// What a client or a liar does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    /// Looks for the torrent of a membership and announces itself.
    Announce { member: u32 },
    /// Looks for its own id.
    Rejoin { client: u32 },
    /// Asks a contact for a point of the bucket that holds it.
    Refresh { client: u32 },
    /// An inventor: announces what does not exist.
    Invent,
    /// A crowd in one /24 asks near our nodes for what does not exist.
    AskNear,
    /// One host asks far from our nodes for ever other points.
    AskFar,
    /// A block of 200 networks announces the same inventions from all of them.
    Block,
    /// A stubborn liar announces the same inventions every two minutes, and as many popular torrents between them.
    Insist,
    /// The metadata of a torrent that is believed arrives.
    Fetch { torrent: u32 },
}

/// How long metadata takes, and the part of the torrents of which somebody gives it, of ten.
const FETCHING: Duration = Duration::from_secs(60);
const FETCHED: u64 = 6;

/// Why a token was asked for: what is announced with it.
#[derive(Debug, Clone, Copy)]
struct Intent {
    infohash: InfoHash,
    id: NodeId,
}

struct Scene {
    stage: Stage,
    rng: ChaCha8Rng,
    agenda: BinaryHeap<Reverse<(Time, u64, Act)>>,
    planned: u64,
    /// Announces that wait for a token, by transaction.
    intents: HashMap<u32, Intent>,
    questions: u32,
    lies: u64,
    /// Torrents that somebody named to us in full, early enough.
    heard: HashSet<u32>,
    believed: HashSet<InfoHash>,
    /// Who made the crawler believe what does not exist.
    deceived_by: BTreeMap<&'static str, u32>,
    end: Time,
}

fn run(options: &Options) -> Result<Report, LabError> {
    let size = if options.quick { QUICK } else { FULL };
    let mut report =
        Report { experiment: "truth".into(), seed: options.seed, quick: options.quick, ..Report::default() };
    for (way, samples) in [(ALL_WAYS, true), ("without samples", false)] {
        Scene::new(&size, options.seed, samples).play().describe(&mut report, way);
    }
    report.notes.push("recall counts what came in full at least 32 minutes before the end".into());
    Ok(report)
}

impl Scene {
    fn new(size: &Size, seed: u64, samples: bool) -> Self {
        let mut stage = Stage::new(size.crawlers, seed, IdStrategy::Spread, |ids| {
            let world = World::new(size.nodes, Mix::MAINLINE, (stage::CRAWLER, ids), seed);
            let torrents = Torrents::new(&world, size.torrents, seed ^ 1);
            (world, torrents)
        });
        if !samples {
            // The sweep of a million nodes takes a day: until then everything is confirmed by hearing alone.
            stage.core.set_sample_rate(0);
        }
        Self {
            stage,
            rng: ChaCha8Rng::seed_from_u64(seed ^ 2),
            agenda: BinaryHeap::new(),
            planned: 0,
            intents: HashMap::new(),
            questions: 0,
            lies: 0,
            heard: HashSet::new(),
            believed: HashSet::new(),
            deceived_by: BTreeMap::new(),
            end: Time::ZERO + SETTLING + size.time,
        }
    }

    fn play(mut self) -> Self {
        self.run_until(Time::ZERO + SETTLING);
        for member in 0..self.stage.torrents.members.len() as u32 {
            self.plan_within(AGAIN, Act::Announce { member });
        }
        for client in 0..self.stage.world.len() as u32 {
            if !matches!(self.stage.world.kind(client), Kind::Ours(_)) {
                self.plan_within(REFRESH_EVERY, Act::Refresh { client });
                self.plan_within(REJOIN_EVERY, Act::Rejoin { client });
            }
        }
        LIES.iter().for_each(|(act, every)| self.plan_within(*every, *act));
        while let Some(Reverse((at, _, act))) = self.agenda.pop().filter(|Reverse((at, ..))| *at < self.end) {
            self.run_until(at);
            self.act(act);
        }
        self.run_until(self.end);
        self
    }

    /// Plans something at a random moment of the time that comes.
    fn plan_within(&mut self, time: Duration, act: Act) {
        let wait = self.rng.random_range(Duration::ZERO..time);
        self.plan(wait, act);
    }

    fn plan(&mut self, wait: Duration, act: Act) {
        self.planned += 1;
        self.agenda.push(Reverse((self.stage.now + wait, self.planned, act)));
    }

    fn act(&mut self, act: Act) {
        let again = match act {
            Act::Fetch { torrent } => {
                self.stage.core.proved(self.stage.now, &self.stage.torrents.infohashes[torrent as usize]);
                return;
            }
            Act::Announce { member } => {
                self.announce(member);
                AGAIN
            }
            Act::Rejoin { client } => {
                self.rejoin(client);
                REJOIN_EVERY
            }
            Act::Refresh { client } => {
                self.refresh(client);
                REFRESH_EVERY
            }
            _ => {
                self.lie(act);
                LIES.iter().find(|(lie, _)| *lie == act).map_or(AGAIN, |(_, every)| *every)
            }
        };
        let wait = again * 3 / 4 + self.rng.random_range(Duration::ZERO..again / 2);
        self.plan(wait, act);
    }

    /// One round of a client for one of its torrents.
    fn announce(&mut self, member: u32) {
        let (client, torrent) = self.stage.torrents.members[member as usize];
        if !self.is_up(client) {
            return;
        }
        let infohash = self.stage.torrents.infohashes[torrent as usize];
        let mut met: Vec<Question> = Vec::new();
        let world = &self.stage.world;
        let ours = |question: &Question| matches!(world.kind(question.to), Kind::Ours(_));
        let note = |question: Question| met.extend(Some(question).filter(ours));
        let reached = if mix(u64::from(client), 9) % 10 < PRIVATE {
            lookup::walk_privately(world, client, &infohash.0, (self.stage.now, &mut self.rng), note)
        } else {
            lookup::walk(world, client, &infohash.0, self.stage.now, note)
        };
        // One of ours is announced to if it is among the eight closest.
        let eighth = reached.last().map(|node| world.id(*node).distance(&infohash.0));
        for question in met {
            let distance = self.stage.world.id(question.to).distance(&infohash.0);
            let close = reached.len() < 8 || eighth.is_some_and(|eighth| distance < eighth);
            let intent = close.then_some(Intent { infohash, id: self.stage.world.id(client) });
            self.ask(client, question, intent.filter(|_| question.target == infohash.0));
        }
    }

    /// Clients behind a NAT search and announce as well; they are only not reached.
    fn is_up(&self, client: u32) -> bool {
        self.stage.world.kind(client) == Kind::Silent || self.stage.world.answers(client, self.stage.now)
    }

    /// libtorrent asks for its own id with a tail drawn anew.
    fn rejoin(&mut self, client: u32) {
        if !self.is_up(client) {
            return;
        }
        let target = lookup::obfuscate(&self.stage.world.id(client).0, 96, &mut self.rng);
        let mut met = Vec::new();
        let world = &self.stage.world;
        lookup::walk(world, client, &target, self.stage.now, |question| {
            met.extend(Some(question).filter(|question| matches!(world.kind(question.to), Kind::Ours(_))));
        });
        met.into_iter().for_each(|question| self.ask(client, question, None));
    }

    /// libtorrent asks one contact of a bucket with places left for a random point of that bucket. Only those who hold
    /// one of our nodes in such a bucket matter here.
    fn refresh(&mut self, client: u32) {
        let world = &self.stage.world;
        let id = world.id(client);
        let depth = world.table_depth(client);
        let bucket = (depth + 1).saturating_sub(self.rng.random_range(0..4));
        let point = lookup::obfuscate(&id.0, bucket, &mut self.rng);
        let Some(to) = world
            .named(client, &point, self.stage.now)
            .into_iter()
            .find(|node| matches!(world.kind(*node), Kind::Ours(_)))
        else {
            return;
        };
        let target = lookup::obfuscate(&id.0, bucket + 1, &mut self.rng);
        self.ask(client, Question { to, target, step: 0 }, None);
    }

    /// Sends a get_peers of a client to one of our nodes.
    fn ask(&mut self, client: u32, question: Question, intent: Option<Intent>) {
        let Kind::Ours(node) = self.stage.world.kind(question.to) else { return };
        let (from, id) = (self.stage.world.addr(client), self.stage.world.id(client));
        if let Some(torrent) = self.stage.torrents.find(&InfoHash(question.target)) {
            self.note_heard(torrent);
        }
        self.get_peers(node, (from, id), InfoHash(question.target), STEP * question.step, intent);
    }

    fn note_heard(&mut self, torrent: u32) {
        if self.stage.now + LAST < self.end {
            self.heard.insert(torrent);
        }
    }

    fn get_peers(
        &mut self,
        node: u32,
        (from, id): (SocketAddr, NodeId),
        infohash: InfoHash,
        delay: Duration,
        intent: Option<Intent>,
    ) {
        self.questions += 1;
        if let Some(intent) = intent {
            self.intents.insert(self.questions, intent);
        }
        let query = Query::GetPeers { infohash, want: None, no_seeds: false, scrape: false };
        let payload = encode(&self.questions.to_be_bytes(), id, query, from.port() != super::mainline::PORT);
        self.stage.send(node, from, payload, delay);
    }

    fn run_until(&mut self, end: Time) {
        let Self { intents, believed, deceived_by, .. } = self;
        let mut found = Vec::new();
        self.stage.run_until(end, |stage, happening| match happening {
            Happening::Told(CoreEvent::Sighting(heard)) => {
                if believed.insert(heard.infohash) {
                    match stage.torrents.find(&heard.infohash) {
                        Some(torrent) => found.push(torrent),
                        None => *deceived_by.entry(deceiver(heard)).or_default() += 1,
                    }
                }
            }
            Happening::Replied(reply) => take_token(stage, reply, intents),
            Happening::Told(_) | Happening::Asked(_) => {}
        });
        for torrent in found.into_iter().filter(|torrent| mix(u64::from(*torrent), 0xfe7c) % 10 < FETCHED) {
            self.plan(FETCHING, Act::Fetch { torrent });
        }
    }

    /// Adds what was found; `way` is how it was heard.
    fn describe(&self, report: &mut Report, way: &str) {
        let torrents = &self.stage.torrents;
        let true_ones: HashSet<u32> = self.believed.iter().filter_map(|infohash| torrents.find(infohash)).collect();
        let share = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
        let precision = share(true_ones.len(), self.believed.len());
        let recall = share(self.heard.intersection(&true_ones).count(), self.heard.len());
        // Without samples it is shown only: what is named once in an hour cannot be told from what is made up then, and so
        // little is believed in a world of this size that the few places of one liar count too much.
        let target = |least| Some(Target::AtLeast(least)).filter(|_| way == ALL_WAYS);
        report.figure(&format!("precision, {way}"), precision, "%", target(99.5));
        report.figure(&format!("recall, {way}"), recall, "%", target(98.0));
        let stats = self.stage.core.stats();
        for (name, value) in [
            ("believed", self.believed.len() as u64),
            ("believed wrongly", (self.believed.len() - true_ones.len()) as u64),
            ("heard in full", self.heard.len() as u64),
            ("found by get_peers", stats.found_by_get_peers),
            ("found by announces", stats.found_by_announces),
            ("found by samples", stats.found_by_samples),
            ("not believed yet, or never", stats.held),
            ("from liars, not heard", stats.shunned),
        ] {
            report.figure(&format!("{name}, {way}"), value as f64, "", None);
        }
        report.notes.push(format!(
            "{way}: {} nodes, {} of ours, {} torrents, {} questions to us, {} of them lies; wrong by {:?}",
            self.stage.world.len(),
            self.stage.core.ids().count(),
            torrents.infohashes.len(),
            self.questions,
            self.lies,
            self.deceived_by
        ));
    }
}

/// Announces with the token that one of our nodes gave.
fn take_token(stage: &mut Stage, reply: &Reply, intents: &mut HashMap<u32, Intent>) {
    let Ok(Message { transaction, body: Body::Response(response), .. }) = Message::parse(&reply.payload) else {
        return;
    };
    let Ok(number) = transaction.try_into().map(u32::from_be_bytes) else { return };
    let (Some(intent), Some(token)) = (intents.remove(&number), response.token) else { return };
    let Intent { infohash, id } = intent;
    let query = Query::AnnouncePeer { infohash, port: 6881, implied_port: false, token, seed: Some(false) };
    let payload = encode(b"announce", id, query, false);
    stage.send(reply.from, reply.to, payload, STEP);
}

fn encode(transaction: &[u8], id: NodeId, query: Query<'_>, read_only: bool) -> Vec<u8> {
    Message { transaction, body: Body::Query { id, query }, version: None, read_only, external: None }.encode()
}

#[cfg(test)]
mod tests;
