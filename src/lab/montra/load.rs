//! Clients of the world that search and announce, as many as are wanted.

use std::fmt;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::findings::{Announces, Effort};
use crate::lab::LabError;
use crate::lab::mainline::live::{Finished, LiveWorld, Purpose};
use crate::lab::udp::UdpWorld;
use crate::types::InfoHash;

/// Part of the announces that are inside the zone, of ten.
const INSIDE: u32 = 9;
/// Searches begun in one turn of the world, so that it reads again soon.
const MAX_BEGUN: usize = 4;
/// What was missed of the rate is made up for so much of a second: no more, or a pause would be followed by a burst.
const MAX_CREDIT: f64 = 0.02;
/// Messages of a search are averaged over about so many.
const AVERAGED: f64 = 256.0;
/// Pairs under way at a time.
const MAX_PAIRS: usize = 64;
/// Longest wait for the last of them.
const PAIR_PATIENCE: Duration = Duration::from_secs(30);
/// Tag of an announce; pairs have their numbers.
const ANNOUNCE: u32 = u32::MAX;

/// Part of the id space: the ids that begin with the first `bits` bits of `prefix`.
#[derive(Debug, Clone, Copy)]
pub struct Zone {
    pub prefix: u8,
    /// 8 at most.
    pub bits: u32,
}

impl Zone {
    fn mask(self) -> u8 {
        !(0xff_u8.checked_shr(self.bits).unwrap_or(0))
    }

    fn contains(self, id: &[u8; 20]) -> bool {
        (id[0] ^ self.prefix) & self.mask() == 0
    }

    /// A point inside.
    fn draw(self, rng: &mut impl Rng) -> [u8; 20] {
        let mut id: [u8; 20] = rng.random();
        id[0] = (self.prefix & self.mask()) | (id[0] & !self.mask());
        id
    }

    /// `id_strategy` of a program that watches it.
    pub fn strategy(self) -> String {
        format!("zone:{:02x}/{}", self.prefix, self.bits)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1/{} of the id space", 1_u32 << self.bits)
    }
}

/// The clients, and what became of their announces.
pub struct Load {
    zone: Zone,
    rng: ChaCha8Rng,
    /// As many entries as a torrent has members.
    inside: Vec<InfoHash>,
    outside: Vec<InfoHash>,
    /// Members in an order in which each has its turn before one has it again.
    client: usize,
    stride: usize,
    /// Messages that may be caused now.
    credit: f64,
    /// Messages of a search, lately.
    usual: f64,
    settled: Duration,
    pub announces: Announces,
    /// Searches for nothing but comparison, as they end.
    compared: Vec<(u32, Effort)>,
}

impl Load {
    pub fn new(live: &LiveWorld, zone: Zone, seed: u64) -> Self {
        let torrents = &live.knowledge.torrents;
        let wanted = torrents.members.iter().map(|(_, torrent)| torrents.infohashes[*torrent as usize]);
        let (inside, outside) = wanted.partition(|infohash| zone.contains(&infohash.0));
        let members = live.world.len();
        // Coprime to their number, near the golden section: far apart in the id space.
        let stride = (members * 618 / 1000..).find(|stride| gcd(*stride, members) == 1).unwrap_or(1);
        Self {
            zone,
            rng: ChaCha8Rng::seed_from_u64(seed),
            inside,
            outside,
            client: 0,
            stride,
            credit: 0.0,
            usual: 1.0,
            settled: Duration::ZERO,
            announces: Announces::default(),
            compared: Vec::new(),
        }
    }

    /// Lets the world run for `time` while clients cause `rate` messages a second, to and from the program.
    ///
    /// # Errors
    /// If the world fails.
    pub fn run(&mut self, udp: &mut UdpWorld, time: Duration, rate: u32) -> Result<(), LabError> {
        let end = udp.now() + time;
        self.settled = udp.now();
        while udp.now() < end {
            self.begin(udp, rate);
            udp.turn()?;
            self.collect(&mut udp.live);
        }
        Ok(())
    }

    /// Begins as many searches as the rate allows.
    fn begin(&mut self, udp: &mut UdpWorld, rate: u32) {
        let now = udp.now();
        let rate = f64::from(rate);
        self.credit += rate * now.saturating_sub(self.settled).as_secs_f64();
        self.credit = self.credit.min((rate * MAX_CREDIT).max(self.usual));
        self.settled = now;
        for _ in 0..MAX_BEGUN {
            if self.credit < self.usual {
                break;
            }
            let infohash = self.draw();
            let client = self.next_client(&udp.live, now);
            if !udp.live.search(now, ANNOUNCE, client, infohash.0, Purpose::Announce) {
                break;
            }
            self.credit -= self.usual;
        }
    }

    fn draw(&mut self) -> InfoHash {
        let inside = self.rng.random_range(0..10) < INSIDE;
        let from = if inside || self.outside.is_empty() { &self.inside } else { &self.outside };
        match from.len() {
            0 => InfoHash(self.zone.draw(&mut self.rng)),
            count => from[self.rng.random_range(0..count)],
        }
    }

    fn next_client(&mut self, live: &LiveWorld, now: Duration) -> u32 {
        loop {
            self.client = (self.client + self.stride) % live.world.len();
            if live.is_up(self.client as u32, now) {
                return self.client as u32;
            }
        }
    }

    fn collect(&mut self, live: &mut LiveWorld) {
        while let Some(Finished { tag, search, took, .. }) = live.poll_finished() {
            if tag != ANNOUNCE {
                self.compared.push((tag, Effort { questions: search.asked, steps: search.rounds }));
                continue;
            }
            let messages = f64::from(2 * (search.strangers + took)).max(1.0);
            self.credit += self.usual - messages;
            self.usual += (messages - self.usual) / AVERAGED;
            if !self.zone.contains(&search.target) {
                continue;
            }
            let Announces { strict, lax, strict_heard, lax_heard } = &mut self.announces;
            let (all, heard) =
                if live.world.restricts(search.client) { (strict, strict_heard) } else { (lax, lax_heard) };
            *all += 1;
            *heard += u64::from(took > 0);
        }
    }

    /// Makes searches twice, without the program and with it.
    ///
    /// # Errors
    /// If the world fails or a search does not end.
    pub fn pairs(&mut self, udp: &mut UdpWorld, count: usize, inside: bool) -> Result<Vec<(Effort, Effort)>, LabError> {
        self.compared.clear();
        let mut alone = Vec::with_capacity(count);
        let end = udp.now() + PAIR_PATIENCE;
        while self.compared.len() < count {
            let now = udp.now();
            if now > end {
                return Err(LabError::failed("searches do not end")(format!("{} of {count}", self.compared.len())));
            }
            for _ in 0..(count - alone.len()).min(MAX_PAIRS.saturating_sub(udp.live.searching())) {
                let target = if inside { self.zone.draw(&mut self.rng) } else { self.rng.random() };
                let client = self.next_client(&udp.live, now);
                let search = udp.live.search_alone(now, client, target);
                udp.live.search(now, alone.len() as u32, client, target, Purpose::Look);
                alone.push(Effort { questions: search.asked, steps: search.rounds });
            }
            udp.turn()?;
            self.collect(&mut udp.live);
        }
        Ok(self.compared.drain(..).map(|(tag, effort)| (alone[tag as usize], effort)).collect())
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_the_part_of_the_space_that_its_name_says() {
        let zone = Zone { prefix: 0x50, bits: 4 };
        let mut id = [0xff; 20];
        id[0] = 0x5f;
        assert!(zone.contains(&id));
        id[0] = 0x6f;
        assert!(!zone.contains(&id));
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        assert!((0..100).all(|_| zone.contains(&zone.draw(&mut rng))));
        assert_eq!((zone.strategy(), zone.to_string()), ("zone:50/4".into(), "1/16 of the id space".into()));
        assert!(Zone { prefix: 0x50, bits: 0 }.contains(&[9; 20]));
    }
}
