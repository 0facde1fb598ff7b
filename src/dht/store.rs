//! The peers that announced themselves here.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use rand::seq::{IteratorRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::api::Fill;
use super::bloom::Bloom;
use super::origin::Host;
use crate::types::{InfoHash, Time};

/// How long an announce is believed. Clients repeat it every 15 to 30 minutes.
pub const PEER_LIFE: Duration = Duration::from_secs(45 * 60);

/// Most peers of one torrent; the oldest leaves. More than fit into a reply many times over.
const MAX_PEERS_PER_TORRENT: usize = 200;

/// Most ports of one host in one torrent: several clients may share a public address, not many.
const MAX_PORTS_PER_HOST: usize = 4;

/// How long the same sample is shown (BEP 51), so that asking more often yields nothing.
pub const SAMPLE_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// Between two walks over everything for what has expired, when the store is full.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// Infohashes in a sample: 400 bytes.
const SAMPLE_LEN: usize = 20;

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
    sample: Vec<InfoHash>,
    sampled: Option<Time>,
    swept: Time,
    rng: ChaCha8Rng,
}

impl PeerStore {
    /// An empty store of at most that many torrents and peers in all.
    pub fn new(max_torrents: usize, max_peers: usize, rng: ChaCha8Rng) -> Self {
        Self {
            torrents: BTreeMap::new(),
            peers: 0,
            max_torrents: max_torrents.max(1),
            max_peers: max_peers.max(1),
            sample: Vec::new(),
            sampled: None,
            swept: Time::ZERO,
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

    /// Takes an announce. When full, the peer that announced longest ago leaves: of the same torrent if that is full,
    /// of the same host if that has too many ports, else of a torrent drawn at random.
    pub fn announce(&mut self, now: Time, infohash: InfoHash, addr: SocketAddr, seed: bool) {
        let peers = self.torrents.entry(infohash).or_default();
        let before = peers.len();
        peers.retain(|peer| peer.addr != addr);
        let host = Host::of(addr);
        let ports = peers.iter().filter(|peer| Host::of(peer.addr) == host).count();
        if ports >= MAX_PORTS_PER_HOST {
            remove_oldest(peers, |peer| Host::of(peer.addr) == host);
        } else if peers.len() >= MAX_PEERS_PER_TORRENT {
            remove_oldest(peers, |_| true);
        }
        peers.push(Peer { addr, seed, announced: now });
        self.peers = self.peers + peers.len() - before;
        // To look for what has expired takes long: a flood of announces displaces what is fresh as well.
        let is_over = self.peers > self.max_peers || self.torrents.len() > self.max_torrents;
        if is_over && now.since(self.swept) >= SWEEP_PAUSE {
            self.sweep(now);
        }
        while self.torrents.len() > self.max_torrents {
            let Some(victim) = self.draw_victim(&infohash) else { break };
            self.peers -= self.torrents.remove(&victim).map_or(0, |peers| peers.len());
        }
        while self.peers > self.max_peers {
            let victim = self.draw_victim(&infohash).unwrap_or(infohash);
            self.shrink(&victim);
        }
    }

    /// Of a few torrents drawn at random, the one that nobody has announced for longest.
    fn draw_victim(&mut self, spare: &InfoHash) -> Option<InfoHash> {
        const DRAWS: usize = 5;
        let freshest = |peers: &Vec<Peer>| peers.iter().map(|peer| peer.announced).max();
        let drawn = self.torrents.iter().filter(|(infohash, _)| *infohash != spare);
        let drawn = drawn.choose_multiple(&mut self.rng, DRAWS);
        drawn.into_iter().min_by_key(|(_, peers)| freshest(peers)).map(|(infohash, _)| *infohash)
    }

    fn shrink(&mut self, infohash: &InfoHash) {
        if let Some(peers) = self.torrents.get_mut(infohash) {
            self.peers -= usize::from(remove_oldest(peers, |_| true));
            if peers.is_empty() {
                self.torrents.remove(infohash);
            }
        }
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
        self.torrents.retain(|_, peers| {
            peers.retain(|peer| now.since(peer.announced) < PEER_LIFE);
            !peers.is_empty()
        });
        self.peers = self.torrents.values().map(Vec::len).sum();
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
}

fn remove_oldest(peers: &mut Vec<Peer>, among: impl Fn(&Peer) -> bool) -> bool {
    let candidates = peers.iter().enumerate().filter(|(_, peer)| among(peer));
    let oldest = candidates.min_by_key(|(_, peer)| peer.announced).map(|(at, _)| at);
    oldest.map(|at| peers.remove(at)).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;

    fn store(torrents: usize, peers: usize) -> PeerStore {
        PeerStore::new(torrents, peers, ChaCha8Rng::seed_from_u64(1))
    }

    fn hash(number: u8) -> InfoHash {
        InfoHash([number; 20])
    }

    fn peer(number: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([80, 0, number, 1], port))
    }

    #[test]
    fn announces_expire() {
        let mut store = store(10, 10);
        store.announce(Time::ZERO, hash(1), peer(1, 1), false);
        let late = Time::ZERO + PEER_LIFE;
        assert_eq!(store.draw(late - Duration::from_secs(1), &hash(1), false, 9), [peer(1, 1)]);
        assert!(store.draw(late, &hash(1), false, 9).is_empty());
        store.tidy(late);
        assert_eq!((store.torrents(), store.peers()), (0, 0));
    }

    #[test]
    fn seeds_are_left_out_on_request_and_repeats_are_one_peer() {
        let mut store = store(10, 10);
        store.announce(Time::ZERO, hash(1), peer(1, 1), false);
        store.announce(Time::ZERO, hash(1), peer(1, 1), true);
        store.announce(Time::ZERO, hash(1), peer(2, 1), false);
        assert_eq!(store.peers(), 2);
        assert_eq!(store.draw(Time::ZERO, &hash(1), true, 9), [peer(2, 1)]);
    }

    #[test]
    fn one_host_cannot_fill_a_torrent() {
        let mut store = store(10, 1000);
        (1..=100).for_each(|port| store.announce(Time::from_millis(port.into()), hash(1), peer(1, port), false));
        assert_eq!(store.peers(), MAX_PORTS_PER_HOST);
        assert_eq!(store.latest(&hash(1), 1), [peer(1, 100)]);
    }

    #[test]
    fn samples_hold_still_for_their_interval() {
        let mut store = store(100, 100);
        (0..50).for_each(|number| store.announce(Time::ZERO, hash(number), peer(number, 1), false));
        let first = store.sample(Time::ZERO).to_vec();
        assert_eq!(first.len(), SAMPLE_LEN);
        assert_eq!(store.sample(Time::from_millis(1000)), first);
        assert_ne!(store.sample(Time::ZERO + SAMPLE_INTERVAL), first);
    }

    proptest! {
        #[test]
        fn bounds_hold_and_the_newest_is_kept(announces in prop::collection::vec((0_u8..20, 0_u8..20, 1_u16..9), 1..200)) {
            let mut store = store(5, 12);
            for (at, (torrent, host, port)) in (0_u64..).zip(announces) {
                store.announce(Time::from_millis(at), hash(torrent), peer(host, port), false);
                prop_assert!(store.torrents() <= 5 && store.peers() <= 12);
                prop_assert_eq!(store.peers(), store.torrents.values().map(Vec::len).sum::<usize>());
                prop_assert_eq!(store.latest(&hash(torrent), 1), [peer(host, port)]);
            }
        }
    }
}
