//! A Mainline DHT of many thousand nodes that takes little memory, for experiments under virtual time.
//!
//! Nodes are positions in dense arrays, about 40 bytes each; no node has a table of its own. Whom a node knows is a pure
//! function of its number and the time: from each of its buckets as many as real tables hold, drawn by a hash, each for
//! some hours, and all of its neighbours. So a million nodes take 40 MB and answer in microseconds, and the same seed gives the same world. What the
//! crawler sees are true KRPC messages, byte for byte; lookups of the world's own clients are walked without messages,
//! and become messages where they meet the crawler.
//!
//! [`World`] is the nodes; [`lookup`] is how their clients search, openly or privately; [`Stage`] joins a crawler to it.
//! Several crawlers may stand in one world, each at an address of its own.
//! Real programs meet the same world as a [`live::LiveWorld`], whose members have tables for them ([`outsiders`]).

pub mod answers;
pub mod live;
pub mod lookup;
mod machine;
pub mod outsiders;
pub mod search;
pub mod stage;
#[cfg(test)]
mod tests;
mod torrents;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::dht::krpc::Query;
use crate::types::{NodeId, Reach, Time};

pub use machine::{Machine, processor_time};
pub use stage::Stage;
pub use torrents::Torrents;

/// Port of every node of the world.
pub const PORT: u16 = 6881;
/// Contacts of a bucket, and in an answer.
pub const K: usize = 8;
/// Subtrees of so many nodes know each other whole.
const NEIGHBOURHOOD: usize = 2 * K;
/// How many times larger the first buckets are (libtorrent's extended table).
const WIDTHS: [usize; 4] = [16, 8, 4, 2];
/// A place of a table goes to another node after 2^23 ms (2.3 h), or after twice or four times that.
const PLACE_LIFE_LOG2: u64 = 23;
/// Clients of ten that keep one node an address only; it is the default of libtorrent, and others do not.
pub const STRICT_OF_TEN: u64 = 5;
/// One in so many silent nodes is still in somebody's table.
const STALE: u64 = 8;

/// How a node of the world answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// All of BEP 5 and BEP 51, as libtorrent.
    Full,
    /// Without BEP 51: an error for what it does not know.
    Old,
    /// Without BEP 51, and without a word to what it does not know, as Transmission, aria2 and others
    /// (`tests/dht_interop`).
    Mute,
    /// Behind a NAT that lets nothing in, or gone.
    Silent,
    /// Shows made-up infohashes among the true ones.
    Liar,
    /// A node of a crawler; those of several are numbered on, see [`World::ours`].
    Ours(u32),
}

impl Kind {
    /// Whether it says nothing to such a question.
    pub fn ignores(self, query: &Query<'_>) -> bool {
        self == Self::Mute && matches!(query, Query::SampleInfohashes { .. } | Query::Other { .. })
    }
}

/// What a world is made of, in parts of a thousand nodes; the rest is [`Kind::Full`].
#[derive(Debug, Clone, Copy)]
pub struct Mix {
    pub old: u32,
    pub mute: u32,
    pub silent: u32,
    pub liars: u32,
}

/// The nodes; see the module.
#[derive(Debug)]
pub struct World {
    seed: u64,
    /// In ascending order; the position is the number of the node.
    ids: Vec<NodeId>,
    /// The first eight bytes of each.
    keys: Vec<u64>,
    ips: Vec<u32>,
    by_ip: HashMap<u32, u32>,
    kinds: Vec<Kind>,
    crawlers: Vec<Crawler>,
    /// See [`World::restricts`].
    strict_of_ten: u64,
    /// How many can be reached.
    reachable: usize,
}

/// Where the nodes of a crawler are.
#[derive(Debug, Clone, Copy)]
struct Crawler {
    ip: Ipv4Addr,
    /// Number of its first node, and how many it has.
    first: u32,
    count: u32,
}

/// A node of a crawler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ours {
    /// Which crawler, in the order in which the world was given them.
    pub crawler: u32,
    /// Which of its nodes.
    pub node: u32,
}

impl World {
    /// `count` nodes, and among them those of a crawler at `crawler` with the ids `ours`.
    pub fn new(count: usize, mix: Mix, (crawler, ours): (Ipv4Addr, &[NodeId]), seed: u64) -> Self {
        Self::with_crawlers(count, mix, &[(crawler, ours.to_vec())], seed)
    }

    /// `count` nodes, and among them those of crawlers, each of which has an address and ids.
    pub fn with_crawlers(count: usize, mix: Mix, crawlers: &[(Ipv4Addr, Vec<NodeId>)], seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut members: Vec<(NodeId, Kind)> = (0..count).map(|_| (NodeId(rng.random()), mix.draw(&mut rng))).collect();
        let mut places = Vec::with_capacity(crawlers.len());
        let mut first = 0;
        for (ip, ids) in crawlers {
            members.extend(ids.iter().zip(first..).map(|(id, number)| (*id, Kind::Ours(number))));
            places.push(Crawler { ip: *ip, first, count: ids.len() as u32 });
            first += ids.len() as u32;
        }
        members.sort_unstable_by_key(|(id, _)| *id);
        let mut world = Self {
            seed,
            keys: members.iter().map(|(id, _)| key(&id.0)).collect(),
            ids: members.iter().map(|(id, _)| *id).collect(),
            ips: Vec::with_capacity(members.len()),
            by_ip: HashMap::with_capacity(count),
            kinds: members.into_iter().map(|(_, kind)| kind).collect(),
            crawlers: places,
            strict_of_ten: STRICT_OF_TEN,
            reachable: 0,
        };
        world.reachable = world.kinds.iter().filter(|kind| **kind != Kind::Silent).count();
        for number in 0..world.kinds.len() {
            let ip = match world.kinds[number] {
                Kind::Ours(ours) => world.crawlers[world.ours(ours).crawler as usize].ip.to_bits(),
                _ => world.draw_ip(&mut rng),
            };
            world.ips.push(ip);
            world.by_ip.insert(ip, number as u32);
        }
        world
    }

    fn draw_ip(&self, rng: &mut ChaCha8Rng) -> u32 {
        loop {
            let ip = Ipv4Addr::from_bits(rng.random());
            let ours = self.crawlers.iter().any(|crawler| crawler.ip == ip);
            let free = !ours && !self.by_ip.contains_key(&ip.to_bits());
            if free && Reach::of(ip.into()) == Reach::Public {
                return ip.to_bits();
            }
        }
    }

    /// Whose node a [`Kind::Ours`] is.
    pub fn ours(&self, number: u32) -> Ours {
        let crawler = self.crawlers.partition_point(|crawler| crawler.first <= number).saturating_sub(1);
        let first = self.crawlers.get(crawler).map_or(0, |crawler| crawler.first);
        Ours { crawler: crawler as u32, node: number - first }
    }

    /// Nodes in all, the crawler's too.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    pub fn id(&self, node: u32) -> NodeId {
        self.ids[node as usize]
    }

    pub fn kind(&self, node: u32) -> Kind {
        self.kinds[node as usize]
    }

    /// Where a node of the world is reached; not for the crawler's own.
    pub fn addr(&self, node: u32) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::from_bits(self.ips[node as usize]), PORT))
    }

    /// Who is at an address.
    pub fn at(&self, addr: SocketAddr) -> Option<u32> {
        let SocketAddr::V4(addr) = addr else { return None };
        (addr.port() == PORT).then(|| self.by_ip.get(&addr.ip().to_bits()).copied()).flatten()
    }

    /// Whether a node answers. Every tenth of the time of some hours it is away, each at another time.
    pub fn answers(&self, node: u32, now: Time) -> bool {
        let draw = mix(self.seed, u64::from(node));
        let period = Duration::from_secs(3600 * (2 + draw % 11)).as_millis() as u64;
        let away = (now.as_millis() + draw % period) % period < period / 10;
        !away && self.kind(node) != Kind::Silent
    }

    /// Depth of a node's table as libtorrent counts it: the deepest bucket with half of its places taken, by nodes that
    /// answer.
    pub fn table_depth(&self, node: u32) -> u32 {
        let even = (self.reachable as f64).log2() - 3.0;
        // Chance moves it by one.
        (even + (mix(self.seed, u64::from(node) ^ 0xdeb7) % 3) as f64 - 1.0).max(0.0) as u32
    }

    /// Nodes that share the first `bits` bits with a target.
    pub fn sharing(&self, target: &[u8; 20], bits: u32) -> Range<usize> {
        let mask = if bits == 0 { 0 } else { u64::MAX << (64 - bits.min(64)) };
        let first = key(target) & mask;
        self.keys.partition_point(|key| *key < first)..self.keys.partition_point(|key| *key <= (first | !mask))
    }

    /// The `count` nodes closest to a target, closest first.
    pub fn closest(&self, target: &[u8; 20], count: usize) -> Vec<u32> {
        let mut bits = 64;
        let mut range = self.sharing(target, bits);
        while range.len() < count && bits > 0 {
            bits -= 1;
            range = self.sharing(target, bits);
        }
        let mut found: Vec<u32> = range.map(|number| number as u32).collect();
        self.sort(&mut found, target);
        found.truncate(count);
        found
    }

    /// Whom `node` names when it is asked for a target: at most eight, closest first.
    pub fn named(&self, node: u32, target: &[u8; 20], now: Time) -> Vec<u32> {
        let bucket = self.id(node).distance(target).shared_bits().min(63);
        let mut bits = bucket + 1;
        let mut range = self.sharing(target, bits);
        let mut found: Vec<u32>;
        if range.len() > K {
            let width = K * WIDTHS.get(bucket as usize).copied().unwrap_or(1);
            let draw = |at: usize| {
                let place = mix(self.seed ^ u64::from(node), (u64::from(bucket) << 32) | at as u64);
                mix(place, (now.as_millis() + (place >> 32)) >> (PLACE_LIFE_LOG2 + place % 3))
            };
            found = (0..width).map(|at| (range.start + (draw(at) % range.len() as u64) as usize) as u32).collect();
        } else {
            while range.len() < NEIGHBOURHOOD && bits > 0 {
                bits -= 1;
                range = self.sharing(target, bits);
            }
            found = range.map(|number| number as u32).collect();
        }
        found.retain(|other| *other != node && self.is_in_tables_of(node, *other));
        self.sort(&mut found, target);
        found.dedup();
        found.truncate(K);
        found
    }

    /// The same world where so many of ten clients keep one node an address only.
    pub fn with_strict(self, of_ten: u64) -> Self {
        Self { strict_of_ten: of_ten, ..self }
    }

    /// Whether a client keeps one node an address only, as libtorrent does; half of them do if nothing else is said.
    pub fn restricts(&self, node: u32) -> bool {
        mix(self.seed, u64::from(node) ^ 0xadd2) % 10 < self.strict_of_ten
    }

    /// The silent are forgotten by most; of a crawler, which has one address, the strict keep one node.
    fn is_in_tables_of(&self, node: u32, other: u32) -> bool {
        match self.kind(other) {
            Kind::Silent => mix(self.seed ^ u64::from(node), u64::from(other)).is_multiple_of(STALE),
            Kind::Ours(_) if !self.restricts(node) => true,
            Kind::Ours(number) => {
                let Ours { crawler, node: ours } = self.ours(number);
                let count = u64::from(self.crawlers[crawler as usize].count);
                mix(self.seed ^ u64::from(crawler), u64::from(node) ^ 0x0ff1ce) % count == u64::from(ours)
            }
            _ => true,
        }
    }

    fn sort(&self, nodes: &mut [u32], target: &[u8; 20]) {
        nodes.sort_unstable_by_key(|node| (self.keys[*node as usize] ^ key(target), *node));
    }
}

impl Mix {
    /// As far as is known: most that are not libtorrent say nothing to BEP 51, some clients of old refuse it, a third of
    /// those named by others cannot be reached, and one in 200 lies. That a quarter of all is mute is a guess.
    pub const MAINLINE: Self = Self { old: 50, mute: 250, silent: 300, liars: 5 };

    fn draw(self, rng: &mut ChaCha8Rng) -> Kind {
        let mut draw = rng.random_range(0..1000);
        for (part, kind) in
            [(self.old, Kind::Old), (self.mute, Kind::Mute), (self.silent, Kind::Silent), (self.liars, Kind::Liar)]
        {
            if draw < part {
                return kind;
            }
            draw -= part;
        }
        Kind::Full
    }
}

/// The first eight bytes of an id, in its order.
fn key(id: &[u8; 20]) -> u64 {
    id.iter().take(8).fold(0, |key, byte| (key << 8) | u64::from(*byte))
}

/// A hash of two numbers (SplitMix64's finish), the source of all that looks random in the world.
pub fn mix(seed: u64, number: u64) -> u64 {
    let mut z = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
