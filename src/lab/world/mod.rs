//! Worlds to live in: a DHT, seeders and music, with nothing leaving the machine.

pub mod compose;
pub mod dht;
pub mod leech;
pub mod music;
pub mod press;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::lab::LabError;
use crate::swarm::{Swarm, SwarmConfig};
use crate::types::{Clock, InfoHash, Rate};
use dht::{DhtWorld, Member};
use music::Release;

/// Peers of a seeder at a time, more than any experiment has.
const SEEDER_PEERS: u32 = 1000;

/// Between two announces of a seeder. Real ones take 15 to 30 minutes; the demo's people are impatient.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(10);

/// Between two lookups by somebody in the world who wants some torrent.
const WANT_EVERY: Duration = Duration::from_millis(400);

/// Torrents of a world at most: for a new one the oldest leaves. It bounds what a world that runs for long takes.
const MAX_SHARED: usize = 48;

/// A world to live in.
pub struct World {
    dht: DhtWorld,
    seeders: Vec<Seeder>,
    listings: Vec<Listing>,
    /// Torrents that were ever published.
    published: usize,
    copies: usize,
    /// What the audience looks for, the newest first.
    wanted: Arc<RwLock<Vec<InfoHash>>>,
    cancel: CancellationToken,
}

/// Somebody who seeds.
struct Seeder {
    member: Member,
    /// Kept alive: it seeds.
    swarm: Swarm,
}

/// A torrent while it is in the world.
struct Listing {
    shared: Shared,
    /// Numbers of those who seed it.
    seeders: Vec<usize>,
    /// Ends the announces.
    _announced: DropGuard,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("shared", &self.shared().collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

/// A torrent of the world.
#[derive(Debug, Clone)]
pub struct Shared {
    pub release: Release,
    pub infohash: InfoHash,
    /// The `.torrent` file.
    pub torrent: Bytes,
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
    pub seeding: Seeding,
}

/// Who shares it.
#[derive(Debug, Clone, Copy)]
pub struct Seeding {
    /// Seeders; torrents are dealt to them in turn.
    pub seeders: usize,
    /// Seeders of each torrent.
    pub copies: usize,
    /// What each seeder sends at most, to all peers together.
    pub upload: Option<Rate>,
}

impl Default for Seeding {
    fn default() -> Self {
        Self { seeders: 8, copies: 1, upload: None }
    }
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
        let mut seeders = Vec::new();
        for index in 0..config.seeding.seeders.max(1) {
            // Spread over the nodes.
            let member = dht.members()[index * 7 % dht.members().len()].clone();
            let swarm =
                start_swarm(&member, &config.scratch.join(format!("seeder-{index}")), config.seeding.upload).await?;
            seeders.push(Seeder { member, swarm });
        }
        let wanted: Arc<RwLock<Vec<InfoHash>>> = Arc::default();
        let copies = config.seeding.copies.clamp(1, seeders.len());
        let mut world = Self { dht, seeders, listings: Vec::new(), published: 0, copies, wanted, cancel };
        for release in config.releases {
            world.publish(release).await?;
        }
        let members = world.dht.members().to_vec();
        tokio::spawn(audience(members, world.wanted.clone(), config.seed, world.cancel.clone()));
        Ok(world)
    }

    /// Begins to share a release; the oldest leaves if there are too many. Within a runtime.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn publish(&mut self, release: Release) -> Result<&Shared, LabError> {
        if self.listings.len() >= MAX_SHARED {
            self.retire().await?;
        }
        let announced = self.cancel.child_token();
        let mut made = None;
        let seeders: Vec<usize> = (0..self.copies).map(|copy| (self.published + copy) % self.seeders.len()).collect();
        for &index in &seeders {
            let Seeder { member, swarm } = &self.seeders[index];
            let shared = swarm.share(&release.path).await.map_err(LabError::failed("a release cannot be shared"))?;
            tokio::spawn(announce(member.clone(), shared.infohash, swarm.port(), announced.clone()));
            made = Some(shared);
        }
        let made = made.ok_or_else(|| LabError::failed("a release cannot be shared")("there is no seeder"))?;
        self.published += 1;
        self.wanted.write().unwrap_or_else(PoisonError::into_inner).insert(0, made.infohash);
        let shared = Shared { release, infohash: made.infohash, torrent: made.torrent };
        self.listings.push(Listing { shared, seeders, _announced: announced.drop_guard() });
        Ok(&self.listings[self.listings.len() - 1].shared)
    }

    /// Takes the oldest torrent out of the world.
    async fn retire(&mut self) -> Result<(), LabError> {
        let Listing { shared, seeders, .. } = self.listings.remove(0);
        self.wanted.write().unwrap_or_else(PoisonError::into_inner).retain(|hash| *hash != shared.infohash);
        for index in seeders {
            let gone = self.seeders[index].swarm.unshare(shared.infohash).await;
            gone.map_err(LabError::failed("a release cannot be taken back"))?;
        }
        Ok(())
    }

    /// One address of the DHT: all that a newcomer is told.
    pub fn bootstrap(&self) -> SocketAddr {
        self.dht.members()[0].addr
    }

    /// Nodes of the DHT.
    pub fn members(&self) -> &[Member] {
        self.dht.members()
    }

    /// The torrents, the oldest first.
    pub fn shared(&self) -> impl Iterator<Item = &Shared> {
        self.listings.iter().map(|listing| &listing.shared)
    }
}

/// A BitTorrent session at the address of a member.
async fn start_swarm(member: &Member, scratch: &Path, upload: Option<Rate>) -> Result<Swarm, LabError> {
    let config = SwarmConfig {
        music: scratch.to_owned(),
        listen: SocketAddr::new(member.addr.ip(), 0),
        upload,
        max_peers: SEEDER_PEERS,
        private_scope: true,
        stall_time: None,
    };
    Swarm::start(config).await.map_err(LabError::failed("a BitTorrent session of the world cannot be started"))
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
async fn audience(members: Vec<Member>, wanted: Arc<RwLock<Vec<InfoHash>>>, seed: u64, cancel: CancellationToken) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x0a0d_1e4c);
    loop {
        let member = &members[rng.random_range(0..members.len())];
        let chosen = choose(&wanted.read().unwrap_or_else(PoisonError::into_inner), &mut rng);
        if let Some(infohash) = chosen {
            member.want(infohash).await;
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(WANT_EVERY) => {}
        }
    }
}

fn choose(wanted: &[InfoHash], rng: &mut ChaCha8Rng) -> Option<InfoHash> {
    let weight = |index: usize| 1.0 / (index + 1) as f64;
    let total: f64 = (0..wanted.len()).map(weight).sum();
    let mut point = rng.random::<f64>() * total;
    let chosen = (0..wanted.len()).find(|index| {
        point -= weight(*index);
        point <= 0.0
    });
    chosen.and_then(|index| wanted.get(index)).copied()
}
