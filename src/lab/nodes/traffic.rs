//! What the clients of a world say to the nodes of its crawlers, whoever these are and however they fare.
//!
//! Clients do not mind what a crawler answers: whom they ask follows from the world alone. So their walks are made once
//! for all crawlers of a world, and each crawler hears what was said to its own nodes as often as an experiment wants.

use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::mainline::lookup::{self, Question};
use super::super::mainline::{Kind, Ours, Torrents, World, mix};
use crate::types::Time;

/// Clients search and announce again after 15 minutes (libtorrent), a quarter more or less.
const AGAIN: Duration = Duration::from_secs(15 * 60);
/// Part of the clients that look up privately, of ten.
const PRIVATE: u64 = 3;
/// A client takes the same way to a torrent for so many rounds: its table changes within hours.
const ROUNDS_A_WAY: u32 = 4;
/// Between two points of a bucket that a client asks for, and between two looks for itself.
const REFRESH_EVERY: Duration = Duration::from_secs(20 * 60);
const REJOIN_EVERY: Duration = Duration::from_secs(3 * 3600);
/// Between two questions of a lookup.
const STEP: Duration = Duration::from_millis(60);
/// One in so many memberships lasts; the others come at any time and leave after a while.
const LASTING: u64 = 3;
/// How long the others stay, least and most.
const STAY: (u64, u64) = (30 * 60, 4 * 3600);

/// What a client asks a node for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wanted {
    /// The peers of a torrent, openly; and it announces itself if ours is among the closest.
    Torrent { torrent: u32, announces: bool },
    /// A point that is no torrent.
    Point([u8; 20]),
}

/// One get_peers that reaches a node of a crawler.
#[derive(Debug, Clone, Copy)]
pub struct Said {
    /// Milliseconds since the beginning.
    pub at: u32,
    pub client: u32,
    /// Which node of the crawler is asked.
    pub node: u16,
    pub wanted: Wanted,
}

/// What is said to each crawler of a world, in the order of time.
pub struct Traffic {
    pub to: Vec<Vec<Said>>,
    /// Torrents that somebody shared at some time.
    pub live: u64,
}

struct Clients<'a> {
    world: &'a World,
    torrents: &'a Torrents,
    end: Time,
    rng: ChaCha8Rng,
    traffic: Traffic,
}

impl Traffic {
    /// All that is said until `end` to `crawlers` crawlers.
    pub fn new(world: &World, torrents: &Torrents, (crawlers, end): (usize, Time), seed: u64) -> Self {
        let traffic = Self { to: vec![Vec::new(); crawlers], live: 0 };
        let mut clients = Clients { world, torrents, end, rng: ChaCha8Rng::seed_from_u64(seed), traffic };
        let mut live = vec![false; torrents.infohashes.len()];
        for number in 0..torrents.members.len() {
            live[torrents.members[number].1 as usize] |= clients.share(number);
        }
        for client in (0..world.len() as u32).filter(|client| !matches!(world.kind(*client), Kind::Ours(_))) {
            clients.tend(client);
        }
        let mut traffic = clients.traffic;
        traffic.live = live.into_iter().filter(|live| *live).count() as u64;
        traffic.to.iter_mut().for_each(|said| said.sort_by_key(|said| said.at));
        traffic
    }
}

impl Clients<'_> {
    /// A client shares a torrent for as long as it does; whether it ever was there.
    fn share(&mut self, member: usize) -> bool {
        let (client, torrent) = self.torrents.members[member];
        let infohash = self.torrents.infohashes[torrent as usize].0;
        let private = mix(u64::from(client), 9) % 10 < PRIVATE;
        let (mut at, until) = self.stay(member as u64);
        let (mut way, mut rounds, mut shared) = (Vec::new(), 0, false);
        while at < until {
            if self.is_up(client, at) {
                if rounds % ROUNDS_A_WAY == 0 {
                    way = self.way((client, private), &infohash, at);
                }
                for (question, close) in &way {
                    let wanted = if question.target == infohash {
                        Wanted::Torrent { torrent, announces: *close }
                    } else {
                        // As it was obfuscated on the way, drawn afresh.
                        let bits = self.world.id(question.to).distance(&infohash).shared_bits() + 4;
                        Wanted::Point(lookup::obfuscate(&infohash, bits, &mut self.rng))
                    };
                    self.say(client, *question, at, wanted);
                }
                (shared, rounds) = (true, rounds + 1);
            }
            at = at + AGAIN * 3 / 4 + self.rng.random_range(Duration::ZERO..AGAIN / 2);
        }
        shared
    }

    /// From when to when a membership lasts. Those that do not last come and go evenly over the time.
    fn stay(&mut self, member: u64) -> (Time, Time) {
        let first = self.rng.random_range(Duration::ZERO..AGAIN);
        if mix(member, 0x57a7).is_multiple_of(LASTING) {
            return (Time::ZERO + first, self.end);
        }
        let stay = Duration::from_secs(self.rng.random_range(STAY.0..STAY.1));
        // Who came before the beginning is there at the beginning.
        let leaves = Time::ZERO + self.rng.random_range(Duration::ZERO..self.end.since(Time::ZERO) + stay);
        let comes = leaves.since(Time::ZERO + stay);
        (Time::ZERO + comes.max(first), leaves.min(self.end))
    }

    /// Which of our nodes a client asks on its way to an infohash, and which of these are among the eight closest.
    fn way(&mut self, (client, private): (u32, bool), infohash: &[u8; 20], at: Time) -> Vec<(Question, bool)> {
        let mut met: Vec<Question> = Vec::new();
        let world = self.world;
        let ours = |question: &Question| matches!(world.kind(question.to), Kind::Ours(_));
        let note = |question: Question| met.extend(Some(question).filter(ours));
        let reached = if private {
            lookup::walk_privately(world, client, infohash, (at, &mut self.rng), note)
        } else {
            lookup::walk(world, client, infohash, at, note)
        };
        let eighth = reached.get(7).map(|node| world.id(*node).distance(infohash));
        let is_close = |to: u32| eighth.is_none_or(|eighth| self.world.id(to).distance(infohash) < eighth);
        met.into_iter().map(|question| (question, is_close(question.to))).collect()
    }

    /// A client looks for itself and tends its buckets, as libtorrent does.
    fn tend(&mut self, client: u32) {
        let mut at = Time::ZERO + self.rng.random_range(Duration::ZERO..REJOIN_EVERY);
        while at < self.end {
            let target = lookup::obfuscate(&self.world.id(client).0, 96, &mut self.rng);
            if self.is_up(client, at) {
                let mut met = Vec::new();
                lookup::walk(self.world, client, &target, at, |question| {
                    met.extend(Some(question).filter(|to| matches!(self.world.kind(to.to), Kind::Ours(_))));
                });
                met.into_iter().for_each(|question| self.say(client, question, at, Wanted::Point(target)));
            }
            at = at + REJOIN_EVERY;
        }
        let mut at = Time::ZERO + self.rng.random_range(Duration::ZERO..REFRESH_EVERY);
        while at < self.end {
            if self.is_up(client, at) {
                self.refresh(client, at);
            }
            at = at + REFRESH_EVERY;
        }
    }

    /// libtorrent asks one contact of a bucket with places left for a random point of that bucket. Only those who hold
    /// one of our nodes in such a bucket matter here.
    fn refresh(&mut self, client: u32, at: Time) {
        let id = self.world.id(client);
        let bucket = (self.world.table_depth(client) + 1).saturating_sub(self.rng.random_range(0..4));
        let point = lookup::obfuscate(&id.0, bucket, &mut self.rng);
        let named = self.world.named(client, &point, at);
        if let Some(to) = named.into_iter().find(|node| matches!(self.world.kind(*node), Kind::Ours(_))) {
            let target = lookup::obfuscate(&id.0, bucket + 1, &mut self.rng);
            self.say(client, Question { to, target, step: 0 }, at, Wanted::Point(target));
        }
    }

    /// Clients behind a NAT search and announce as well; they are only not reached.
    fn is_up(&self, client: u32, at: Time) -> bool {
        self.world.kind(client) == Kind::Silent || self.world.answers(client, at)
    }

    fn say(&mut self, client: u32, question: Question, at: Time, wanted: Wanted) {
        let Kind::Ours(number) = self.world.kind(question.to) else { return };
        let Ours { crawler, node } = self.world.ours(number);
        let at = (at + STEP * question.step).as_millis() as u32;
        self.traffic.to[crawler as usize].push(Said { at, client, node: node as u16, wanted });
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::super::mainline::Mix;
    use super::*;
    use crate::types::NodeId;

    #[test]
    fn clients_come_back_within_a_quarter_of_an_hour_and_some_leave() {
        let ids: Vec<_> = (0..=255).map(|at| NodeId([at; 20])).collect();
        let mix = Mix { old: 0, mute: 0, silent: 100, liars: 0 };
        let world = World::with_crawlers(2000, mix, &[(Ipv4Addr::new(81, 2, 3, 4), ids)], 3);
        let torrents = Torrents::new(&world, 300, 4);
        let end = Time::from_millis(3 * 3_600_000);
        let traffic = Traffic::new(&world, &torrents, (1, end), 5);
        let said = &traffic.to[0];
        assert!(said.is_sorted_by_key(|said| said.at) && said.len() > 1000);
        assert!((200..=300).contains(&traffic.live), "{}", traffic.live);
        let known = |said: &&Said| matches!(said.wanted, Wanted::Torrent { .. });
        assert!(said.iter().filter(known).count() * 4 > said.len());
        let first = said.iter().find(|said| matches!(said.wanted, Wanted::Torrent { announces: true, .. }));
        let first = first.expect("one of 256 in 2,256 is among the eight closest to some torrent");
        let same = |said: &&Said| (said.client, said.node, said.wanted) == (first.client, first.node, first.wanted);
        assert!(said.iter().filter(same).count() >= 2);
        // Whoever keeps one node an address asks no two of ours within a lookup.
        let strict = said.iter().filter(|said| world.restricts(said.client)).count();
        assert!(strict * 2 < said.len(), "{strict} of {}", said.len());
    }
}
