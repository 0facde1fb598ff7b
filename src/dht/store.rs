//! The peers that announced themselves here.

#[cfg(test)]
mod tests;

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::time::Duration;

use rand::Rng;
use rand::seq::{IteratorRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::api::Fill;
use super::bloom::Bloom;
use super::origin::{Block, Host};
use super::table::K;
use crate::types::{InfoHash, NodeId, Time, sharing};

/// How long an announce is believed. Clients repeat it every 15 to 30 minutes.
pub const PEER_LIFE: Duration = Duration::from_secs(45 * 60);

/// Most peers of one torrent; the oldest leaves. More than fit into a reply many times over.
const MAX_PEERS_PER_TORRENT: usize = 200;

/// Most ports of one host in one torrent: several clients may share a public address, not many.
const MAX_PORTS_PER_HOST: usize = 4;

/// Most peers of one block of addresses in one torrent.
const MAX_BLOCK_PER_TORRENT: usize = 50;

/// Of all peers, one block of addresses may have this part: whoever has a /24 cannot keep others out with it.
const PART_OF_BLOCK: usize = 16;

/// Cells in which the peers of blocks are counted. Who shares one with others has a little less room.
const BLOCK_CELLS: usize = 256;

/// How long the same sample is shown (BEP 51), so that asking more often yields nothing.
pub const SAMPLE_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// Infohashes in a sample: 400 bytes.
const SAMPLE_LEN: usize = 20;

/// Infohashes around an id that a sample is drawn from, at most.
const MAX_AROUND: usize = 1_024;

#[derive(Debug)]
struct Peer {
    addr: SocketAddr,
    seed: bool,
    announced: Time,
}

/// Peers by torrent, bounded and expiring.
#[derive(Debug)]
pub struct PeerStore {
    torrents: BTreeMap<InfoHash, Vec<Peer>>,
    peers: usize,
    max_torrents: usize,
    max_peers: usize,
    /// Peers by block of addresses, in cells.
    blocks: Box<[u32; BLOCK_CELLS]>,
    /// Every torrent once, with its last announce as of when it was put there: who leaves is taken from the front, unless
    /// it was announced since.
    queue: VecDeque<(Time, InfoHash)>,
    sample: Vec<InfoHash>,
    sampled: Option<Time>,
    swept: Time,
    /// Nobody can tell what is drawn, or who shares a cell.
    key: u64,
    rng: ChaCha8Rng,
}

impl PeerStore {
    /// An empty store of at most that many torrents and peers in all.
    pub fn new(max_torrents: usize, max_peers: usize, mut rng: ChaCha8Rng) -> Self {
        Self {
            torrents: BTreeMap::new(),
            peers: 0,
            max_torrents: max_torrents.max(1),
            max_peers: max_peers.max(1),
            blocks: Box::new([0; BLOCK_CELLS]),
            queue: VecDeque::new(),
            sample: Vec::new(),
            sampled: None,
            swept: Time::ZERO,
            key: rng.random(),
            rng,
        }
    }

    /// How much is stored.
    pub fn fills(&self) -> [Fill; 3] {
        let largest = self.torrents.values().map(Vec::len).max().unwrap_or_default();
        [
            Fill { of: "torrents stored", entries: self.torrents.len(), bound: self.max_torrents },
            Fill { of: "peers stored", entries: self.peers, bound: self.max_peers },
            Fill { of: "peers stored of one torrent", entries: largest, bound: MAX_PEERS_PER_TORRENT },
        ]
    }

    /// How many torrents have peers.
    pub fn torrents(&self) -> usize {
        self.torrents.len()
    }

    /// How many peers there are, all torrents together.
    pub fn peers(&self) -> usize {
        self.peers
    }

    /// Takes an announce. When full, the peer that announced longest ago leaves: of the same torrent if that is full, of the
    /// same host or block if that has too many there, else of the torrent that nobody has announced for longest. A block
    /// that has its part of the whole store gets no more.
    pub fn announce(&mut self, now: Time, infohash: InfoHash, addr: SocketAddr, seed: bool) {
        let cell = self.cell(addr);
        let (host, block) = (Host::of(addr), Block::of(addr));
        let peers = self.torrents.get_mut(&infohash);
        let is_known = peers.as_ref().is_some_and(|peers| peers.iter().any(|peer| peer.addr == addr));
        if !is_known && self.blocks[cell] as usize >= (self.max_peers / PART_OF_BLOCK).max(PART_OF_BLOCK) {
            return;
        }
        if peers.is_none() {
            self.queue.push_back((now, infohash));
        }
        let peers = self.torrents.entry(infohash).or_default();
        let of_host = |peer: &Peer| Host::of(peer.addr) == host;
        let of_block = |peer: &Peer| Block::of(peer.addr) == block;
        let count = |peers: &[Peer], among: &dyn Fn(&Peer) -> bool| peers.iter().filter(|peer| among(peer)).count();
        let gone = if is_known {
            remove_oldest(peers, |peer| peer.addr == addr)
        } else if count(peers, &of_host) >= MAX_PORTS_PER_HOST {
            remove_oldest(peers, of_host)
        } else if count(peers, &of_block) >= MAX_BLOCK_PER_TORRENT {
            remove_oldest(peers, of_block)
        } else if peers.len() >= MAX_PEERS_PER_TORRENT {
            remove_oldest(peers, |_| true)
        } else {
            None
        };
        peers.push(Peer { addr, seed, announced: now });
        self.peers += 1;
        self.blocks[cell] += 1;
        gone.into_iter().for_each(|gone| self.has_left(gone.addr));
        while self.torrents.len() > self.max_torrents {
            let Some(victim) = self.next_victim(&infohash) else { break };
            let peers = self.torrents.remove(&victim).unwrap_or_default();
            peers.iter().for_each(|peer| self.has_left(peer.addr));
        }
        while self.peers > self.max_peers {
            match self.next_victim(&infohash) {
                Some(victim) => {
                    self.shrink(&victim);
                    if let Some(last) = self.torrents.get(&victim).and_then(|peers| peers.last()) {
                        self.queue.push_front((last.announced, victim));
                    }
                }
                None => self.shrink(&infohash),
            }
        }
    }

    fn cell(&self, addr: SocketAddr) -> usize {
        self.hash(&Block::of(addr)) as usize % BLOCK_CELLS
    }

    fn hash(&self, what: &impl Hash) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.key.hash(&mut hasher);
        what.hash(&mut hasher);
        hasher.finish()
    }

    fn has_left(&mut self, addr: SocketAddr) {
        let cell = self.cell(addr);
        self.peers = self.peers.saturating_sub(1);
        self.blocks[cell] = self.blocks[cell].saturating_sub(1);
    }

    /// The torrent that nobody has announced for longest, but for `spare`; it is no longer in the queue.
    fn next_victim(&mut self, spare: &InfoHash) -> Option<InfoHash> {
        // Who was announced since it was put there goes to the end, once for each announce at most.
        for _ in 0..2 * self.queue.len() {
            let (seen, infohash) = self.queue.pop_front()?;
            // Those announced last are last.
            let Some(last) = self.torrents.get(&infohash).and_then(|peers| peers.last()) else { continue };
            if infohash != *spare && last.announced <= seen {
                return Some(infohash);
            }
            self.queue.push_back((last.announced, infohash));
        }
        None
    }

    /// Takes the oldest peer out of a torrent.
    fn shrink(&mut self, infohash: &InfoHash) {
        let Some(peers) = self.torrents.get_mut(infohash) else { return };
        let gone = remove_oldest(peers, |_| true);
        if peers.is_empty() {
            self.torrents.remove(infohash);
        }
        gone.into_iter().for_each(|gone| self.has_left(gone.addr));
    }

    /// Forgets what has expired, at most once a minute.
    pub fn tidy(&mut self, now: Time) {
        const TIDY_PAUSE: Duration = Duration::from_secs(60);
        if now.since(self.swept) >= TIDY_PAUSE {
            self.sweep(now);
        }
    }

    fn sweep(&mut self, now: Time) {
        self.swept = now;
        let mut gone = Vec::new();
        self.torrents.retain(|_, peers| {
            peers.retain(|peer| {
                let fresh = now.since(peer.announced) < PEER_LIFE;
                if !fresh {
                    gone.push(peer.addr);
                }
                fresh
            });
            !peers.is_empty()
        });
        gone.into_iter().for_each(|addr| self.has_left(addr));
        self.queue.retain(|(_, infohash)| self.torrents.contains_key(infohash));
    }

    /// At most `count` peers of a torrent, drawn at random if there are more; without those that have everything if
    /// `no_seeds`.
    pub fn draw(&mut self, now: Time, infohash: &InfoHash, no_seeds: bool, count: usize) -> Vec<SocketAddr> {
        let peers = self.torrents.get(infohash).into_iter().flatten();
        let fit = peers.filter(|peer| now.since(peer.announced) < PEER_LIFE && !(no_seeds && peer.seed));
        let mut drawn = fit.map(|peer| peer.addr).choose_multiple(&mut self.rng, count);
        drawn.shuffle(&mut self.rng);
        drawn
    }

    /// The filters of those that have everything and of the others (BEP 33); none if nobody is known.
    pub fn filters(&self, now: Time, infohash: &InfoHash) -> Option<(Bloom, Bloom)> {
        let (mut seeds, mut peers) = (Bloom::default(), Bloom::default());
        for peer in self.torrents.get(infohash)?.iter().filter(|peer| now.since(peer.announced) < PEER_LIFE) {
            if peer.seed { &mut seeds } else { &mut peers }.insert(peer.addr.ip());
        }
        Some((seeds, peers))
    }

    /// The peers of a torrent that announced last, at most `count`.
    pub fn latest(&self, infohash: &InfoHash, count: usize) -> Vec<SocketAddr> {
        self.torrents.get(infohash).into_iter().flatten().rev().take(count).map(|peer| peer.addr).collect()
    }

    /// A random choice of infohashes that stays the same for [`SAMPLE_INTERVAL`].
    pub fn sample(&mut self, now: Time) -> &[InfoHash] {
        let stale = self.sampled.is_none_or(|at| now.since(at) >= SAMPLE_INTERVAL);
        let few = self.sample.len() < SAMPLE_LEN.min(self.torrents.len());
        if stale || few {
            self.sweep(now);
            self.sample = self.torrents.keys().copied().choose_multiple(&mut self.rng, SAMPLE_LEN);
            self.sampled = Some(now);
        }
        &self.sample
    }

    /// A random choice of the infohashes around `own`, one of `ids` that share this store, and how many lie there. It stays
    /// the same for [`SAMPLE_INTERVAL`] but for what is new or gone. Around an id is what it would be told if each infohash
    /// went to the [`K`] closest, or a few more.
    pub fn sample_around(&self, now: Time, own: &NodeId, ids: u32) -> (Vec<InfoHash>, usize) {
        let most = (self.torrents.len() * K / ids.max(1) as usize).clamp(SAMPLE_LEN, MAX_AROUND);
        let around = |bits: u32| {
            let (first, last) = sharing(&own.0, bits);
            self.torrents.range(InfoHash(first)..=InfoHash(last)).map(|(infohash, _)| *infohash)
        };
        // The fewer bits are shared, the more there are.
        let (mut enough, mut few) = (0, NodeId::LEN as u32 * 8 + 1);
        while enough + 1 < few {
            let bits = enough.midpoint(few);
            *if around(bits).nth(most - 1).is_some() { &mut enough } else { &mut few } = bits;
        }
        // Not all begin anew at the same time.
        let interval = SAMPLE_INTERVAL.as_millis() as u64;
        let turn = (now.as_millis() + self.hash(own) % interval) / interval;
        let mut drawn: Vec<_> =
            around(enough).take(MAX_AROUND).map(|infohash| (self.hash(&(turn, own, infohash)), infohash)).collect();
        let total = drawn.len();
        drawn.sort_unstable();
        drawn.truncate(SAMPLE_LEN);
        (drawn.into_iter().map(|(_, infohash)| infohash).collect(), total)
    }
}

/// Those that announced first are first.
fn remove_oldest(peers: &mut Vec<Peer>, among: impl Fn(&Peer) -> bool) -> Option<Peer> {
    let oldest = peers.iter().position(among)?;
    Some(peers.remove(oldest))
}
