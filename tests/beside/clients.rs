//! What the clients of the world do by themselves while somebody listens: they search and announce what they have, and
//! look for themselves.

use std::time::Duration;

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use silverstream::lab::LabError;
use silverstream::lab::mainline::live::Purpose;
use silverstream::lab::mainline::lookup::obfuscate;
use silverstream::lab::udp::UdpWorld;

/// Clients announce again after this time (libtorrent).
const AGAIN: Duration = Duration::from_secs(15 * 60);
/// Between two looks of a client for itself.
const REJOIN_EVERY: Duration = Duration::from_secs(3 * 3600);
/// Bits of its own id that libtorrent asks for then; the rest is drawn.
const OWN_BITS: u32 = 96;
/// Searches begun in one turn of the world, so that it reads again soon.
const MAX_BEGUN: u64 = 32;

/// The clients, each with its turn.
pub struct Clients {
    rng: ChaCha8Rng,
    /// Who has what, in the order of the announces.
    members: Vec<(u32, u32)>,
    announced: u64,
    rejoined: u64,
    began: Duration,
}

impl Clients {
    pub fn new(udp: &UdpWorld, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut members = udp.live.knowledge.torrents.members.clone();
        members.shuffle(&mut rng);
        Self { rng, members, announced: 0, rejoined: 0, began: udp.now() }
    }

    /// Lets the world run for `time`; `watch` is called in every turn.
    pub fn run(
        &mut self,
        udp: &mut UdpWorld,
        time: Duration,
        mut watch: impl FnMut() -> Result<(), LabError>,
    ) -> Result<(), LabError> {
        let end = udp.now() + time;
        while udp.now() < end {
            self.begin(udp);
            udp.turn()?;
            while udp.live.poll_finished().is_some() {}
            watch()?;
        }
        Ok(())
    }

    fn begin(&mut self, udp: &mut UdpWorld) {
        let now = udp.now();
        let passed = now.saturating_sub(self.began);
        for _ in 0..due(passed, AGAIN, self.members.len()).saturating_sub(self.announced).min(MAX_BEGUN) {
            let (client, torrent) = self.members[self.announced as usize % self.members.len()];
            let infohash = udp.live.knowledge.torrents.infohashes[torrent as usize];
            self.announced += 1;
            if udp.live.is_up(client, now) {
                udp.live.search(now, 0, client, infohash.0, Purpose::Announce);
            }
        }
        let members = udp.live.world.len();
        for _ in 0..due(passed, REJOIN_EVERY, members).saturating_sub(self.rejoined).min(MAX_BEGUN) {
            self.rejoined += 1;
            let client = self.rng.random_range(0..members as u32);
            if udp.live.is_up(client, now) {
                let target = obfuscate(&udp.live.world.id(client).0, OWN_BITS, &mut self.rng);
                udp.live.search(now, 0, client, target, Purpose::Look);
            }
        }
    }
}

/// How many of `count`, each of which has its turn once in `every`, have had it.
fn due(passed: Duration, every: Duration, count: usize) -> u64 {
    (passed.as_secs_f64() / every.as_secs_f64() * count as f64) as u64
}
