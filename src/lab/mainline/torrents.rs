//! What the world shares: torrents by a power law, who has them, and which nodes store them.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::stage::made_up;
use super::{K, Kind, World, mix};
use crate::types::{InfoHash, Time};

/// Peers of the most popular torrent at most.
const MAX_PEERS: usize = 500;

/// Infohashes in a sample, and for how long it stays the same (libtorrent).
const SAMPLE_LEN: usize = 20;
pub const SAMPLE_INTERVAL: Duration = Duration::from_secs(21_600);

/// What a node shows of what it has stored (BEP 51).
#[derive(Debug, Default)]
pub struct Shown {
    pub torrents: Vec<u32>,
    /// One after the other, with those that a liar made up.
    pub infohashes: Vec<u8>,
}

/// The torrents of a world.
#[derive(Debug)]
pub struct Torrents {
    pub infohashes: Vec<InfoHash>,
    by_infohash: HashMap<InfoHash, u32>,
    popular: Vec<u32>,
    /// Who has which: node and torrent, by torrent.
    pub members: Vec<(u32, u32)>,
    /// Torrents stored at each node: those of node `n` are `stored[first[n]..first[n + 1]]`.
    first: Vec<u32>,
    stored: Vec<u32>,
}

impl Torrents {
    /// The sample of a node: some of what it has stored, the same within the interval; half of a liar's is made up. Nothing
    /// of a node that gives none.
    pub fn sample(&self, world: &World, node: u32, now: Time) -> Shown {
        let liar = match world.kind(node) {
            Kind::Full => false,
            Kind::Liar => true,
            Kind::Old | Kind::Mute | Kind::Silent | Kind::Ours(_) => return Shown::default(),
        };
        let stored = self.stored_at(node);
        let turn = now.as_millis() / SAMPLE_INTERVAL.as_millis() as u64;
        let start = mix(u64::from(node), turn) as usize;
        let honest = if liar { SAMPLE_LEN / 2 } else { SAMPLE_LEN };
        let shown = (0..stored.len().min(honest)).map(|at| stored[start.wrapping_add(at) % stored.len()]);
        let torrents: Vec<u32> = shown.collect();
        let mut infohashes: Vec<u8> =
            torrents.iter().flat_map(|torrent| self.infohashes[*torrent as usize].0).collect();
        for at in 0..if liar { SAMPLE_LEN - honest } else { 0 } {
            infohashes.extend_from_slice(&made_up(world.id(node), mix(u64::from(node) + turn, at as u64)).0);
        }
        Shown { torrents, infohashes }
    }

    /// `count` torrents. Their peers follow a power law: half of them have one or two, few have hundreds.
    pub fn new(world: &World, count: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let infohashes: Vec<_> = (0..count).map(|_| InfoHash(rng.random())).collect();
        let mut members = Vec::new();
        let mut sizes = Vec::with_capacity(count);
        for torrent in 0..count as u32 {
            let peers = (1.0 / rng.random::<f64>().max(1e-9)) as usize;
            sizes.push((Reverse(peers), torrent));
            for _ in 0..peers.clamp(1, MAX_PEERS) {
                // Some have much, most have little; their ids do not tell.
                let draw = (rng.random::<f64>().powi(2) * world.len() as f64) as u64;
                let peer = (mix(seed, draw) % world.len() as u64) as u32;
                if !matches!(world.kind(peer), Kind::Ours(_)) {
                    members.push((peer, torrent));
                }
            }
        }
        let mut pairs = Vec::with_capacity(count * K);
        for (infohash, torrent) in infohashes.iter().zip(0..) {
            let near = world.closest(&infohash.0, K * 4);
            let stores = near.into_iter().filter(|node| !matches!(world.kind(*node), Kind::Silent | Kind::Ours(_)));
            pairs.extend(stores.take(K).map(|node| (node, torrent)));
        }
        pairs.sort_unstable();
        let mut first = vec![0; world.len() + 1];
        pairs.iter().for_each(|(node, _)| first[*node as usize + 1] += 1);
        (0..world.len()).for_each(|node| first[node + 1] += first[node]);
        sizes.sort_unstable();
        sizes.truncate(count.div_ceil(100));
        let by_infohash = infohashes.iter().copied().zip(0..).collect();
        Self {
            infohashes,
            by_infohash,
            popular: sizes.into_iter().map(|(_, torrent)| torrent).collect(),
            members,
            first,
            stored: pairs.into_iter().map(|(_, torrent)| torrent).collect(),
        }
    }

    /// The torrent of that infohash.
    pub fn find(&self, infohash: &InfoHash) -> Option<u32> {
        self.by_infohash.get(infohash).copied()
    }

    /// The infohashes with the most peers, a hundredth of all, over and over.
    pub fn popular(&self, at: usize) -> InfoHash {
        self.infohashes[self.popular[at % self.popular.len()] as usize]
    }

    /// Who has a torrent, as in [`Self::members`].
    pub fn peers(&self, torrent: u32) -> &[(u32, u32)] {
        let from = self.members.partition_point(|(_, of)| *of < torrent);
        let to = self.members.partition_point(|(_, of)| *of <= torrent);
        &self.members[from..to]
    }

    /// Torrents whose peers a node has stored.
    pub fn stored_at(&self, node: u32) -> &[u32] {
        let (from, to) = (self.first[node as usize], self.first[node as usize + 1]);
        &self.stored[from as usize..to as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Mix, World};
    use super::*;

    #[test]
    fn torrents_lie_with_their_closest_nodes() {
        let mix = Mix { old: 0, mute: 0, silent: 0, liars: 0 };
        let world = World::new(2000, mix, ([81, 2, 3, 4].into(), &[]), 1);
        let torrents = Torrents::new(&world, 300, 1);
        let all: usize = (0..2000).map(|node| torrents.stored_at(node).len()).sum();
        assert_eq!(all, 300 * K);
        let seventh = torrents.infohashes[7];
        let holders = world.closest(&seventh.0, K);
        assert!(holders.iter().all(|node| torrents.stored_at(*node).contains(&7)));
        assert_eq!(torrents.find(&seventh), Some(7));
        let lonely = (0..300).filter(|torrent| torrents.members.iter().filter(|(_, of)| of == torrent).count() <= 2);
        assert!((150..250).contains(&lonely.count()));
        let size = |infohash| torrents.members.iter().filter(|(_, of)| torrents.find(&infohash) == Some(*of)).count();
        assert!((0..3).all(|at| size(torrents.popular(at)) >= size(seventh)));
        assert_eq!(torrents.popular(0), torrents.popular(3), "a hundredth of 300");
    }
}
