//! Private BitTorrent worlds on loopback addresses: a DHT, seeders and music, with nothing leaving the machine.

pub mod compose;
pub mod dht;
pub mod music;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio_util::sync::CancellationToken;

use crate::lab::LabError;
use crate::swarm::{Swarm, SwarmConfig};
use crate::types::{Clock, InfoHash};
use dht::{DhtWorld, Member};
use music::Release;

/// Peers of a seeder at a time, more than any experiment has.
const SEEDER_PEERS: u32 = 1000;
/// Between two announces of a seeder. Real ones take 15 to 30 minutes; the demo's people are impatient.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(10);

/// Between two lookups by somebody in the world who wants some torrent.
const WANT_EVERY: Duration = Duration::from_millis(400);

/// A world to live in.
pub struct World {
    dht: DhtWorld,
    shared: Vec<Shared>,
    /// Kept alive: they seed.
    _seeders: Vec<Swarm>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("shared", &self.shared).finish_non_exhaustive()
    }
}

/// A torrent of the world.
#[derive(Debug, Clone)]
pub struct Shared {
    pub release: Release,
    pub infohash: InfoHash,
    /// Where its seeder listens.
    pub peer: SocketAddr,
}

/// What kind of world.
#[derive(Debug, Clone)]
pub struct WorldConfig {
    /// DHT nodes.
    pub nodes: usize,
    pub seed: u64,
    /// What is shared, one torrent each.
    pub releases: Vec<Release>,
    /// Working files of the seeders go here.
    pub scratch: PathBuf,
}

impl World {
    /// Builds the world; it ends with `cancel`.
    ///
    /// # Errors
    /// If a socket or file cannot be opened.
    pub async fn start(config: WorldConfig, clock: Clock, cancel: CancellationToken) -> Result<Self, LabError> {
        let dht = DhtWorld::start(config.nodes, config.seed, clock, cancel.clone())
            .await
            .map_err(LabError::failed("the world's DHT cannot be started"))?;
        let (mut seeders, mut shared) = (Vec::new(), Vec::new());
        for (index, release) in config.releases.into_iter().enumerate() {
            // One seeder a release, spread over the nodes.
            let member = &dht.members()[index * 7 % dht.members().len()];
            let (swarm, infohash) = seed(&release, member, &config.scratch.join(format!("seeder-{index}"))).await?;
            let port = swarm.port();
            tokio::spawn(announce(member.clone(), infohash, port, cancel.clone()));
            shared.push(Shared { release, infohash, peer: SocketAddr::new(member.addr.ip(), port) });
            seeders.push(swarm);
        }
        let hashes: Vec<InfoHash> = shared.iter().map(|shared| shared.infohash).collect();
        tokio::spawn(audience(dht.members().to_vec(), hashes, config.seed, cancel));
        Ok(Self { dht, shared, _seeders: seeders })
    }

    /// One address of the DHT: all that a newcomer is told.
    pub fn bootstrap(&self) -> SocketAddr {
        self.dht.members()[0].addr
    }

    /// The torrents.
    pub fn shared(&self) -> &[Shared] {
        &self.shared
    }
}

async fn seed(release: &Release, member: &Member, scratch: &Path) -> Result<(Swarm, InfoHash), LabError> {
    let config = SwarmConfig {
        music: scratch.to_owned(),
        listen: SocketAddr::new(member.addr.ip(), 0),
        upload: None,
        max_peers: SEEDER_PEERS,
        private_scope: true,
        stall_time: None,
    };
    let swarm = Swarm::start(config).await.map_err(LabError::failed("a seeder cannot be started"))?;
    let shared = swarm.share(&release.path).await.map_err(LabError::failed("a release cannot be shared"))?;
    Ok((swarm, shared.infohash))
}

async fn announce(member: Member, infohash: InfoHash, port: u16, cancel: CancellationToken) {
    loop {
        member.announce(infohash, port).await;
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(ANNOUNCE_EVERY) => {}
        }
    }
}

/// People who look for torrents, some of which many want (popularity falls with the rank, as Zipf's law has it).
async fn audience(members: Vec<Member>, hashes: Vec<InfoHash>, seed: u64, cancel: CancellationToken) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x0a0d_1e4c);
    let weights: Vec<f64> = (1..=hashes.len()).map(|rank| 1.0 / rank as f64).collect();
    let total: f64 = weights.iter().sum();
    while !hashes.is_empty() {
        let mut point = rng.random_range(0.0..total);
        let chosen = weights.iter().position(|weight| {
            point -= weight;
            point <= 0.0
        });
        let member = &members[rng.random_range(0..members.len())];
        member.want(hashes[chosen.unwrap_or(0)]).await;
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(WANT_EVERY) => {}
        }
    }
}
