//! Where and how often to ask for samples of stored infohashes (BEP 51).
//!
//! A node shows the same sample until its `interval` is over (up to six hours), so walking past it sooner is of no use to
//! us and a burden to it. The sampler walks to points that cover the ID space evenly, notes who showed a sample until
//! when, and walks the less often the fewer of those whom it met had something new to show.

use std::net::IpAddr;
use std::time::Duration;

use rand::Rng;

use super::generations::Generations;
use crate::types::{NodeId, Time};

/// Wait between walks while they find new samples: a walk is some twenty questions, so about four a second.
const WAIT_MIN: Duration = Duration::from_secs(5);
/// Wait between walks when everybody near has been asked.
const WAIT_MAX: Duration = Duration::from_secs(10 * 60);
/// Longest interval that BEP 51 allows.
const INTERVAL_MAX: Duration = Duration::from_secs(6 * 3600);
/// Nodes remembered to have shown a sample, per generation; about 30 B each.
const REMEMBERED: usize = 8_192;

/// Decides when to walk where.
#[derive(Debug)]
pub struct Sampler {
    next: Time,
    wait: Duration,
    walking: bool,
    /// Walks begun; their order decides the targets.
    walks: u32,
    /// Nodes that answered during this walk, and how many of them had not done so within their interval.
    answered: u32,
    fresh: u32,
    /// When a node has something new to show.
    renewed: Generations<IpAddr, Time>,
}

impl Sampler {
    pub fn new(now: Time) -> Self {
        Self {
            next: now,
            wait: WAIT_MIN,
            walking: false,
            walks: 0,
            answered: 0,
            fresh: 0,
            renewed: Generations::new(REMEMBERED, INTERVAL_MAX),
        }
    }

    /// The target of the walk that is to begin now, if any; it lasts until [`Sampler::finished`].
    pub fn take_due(&mut self, now: Time, rng: &mut impl Rng) -> Option<NodeId> {
        if self.walking || now < self.next {
            return None;
        }
        self.walking = true;
        (self.answered, self.fresh) = (0, 0);
        let mut target: [u8; NodeId::LEN] = rng.random();
        // Bits reversed, successive numbers halve the largest gap (van der Corput): every part of the space has its turn.
        target[..4].copy_from_slice(&self.walks.reverse_bits().to_be_bytes());
        self.walks = self.walks.wrapping_add(1);
        Some(NodeId(target))
    }

    /// A node showed a sample. True if it is one that we have not seen, as far as its interval tells.
    pub fn sampled(&mut self, now: Time, from: IpAddr, interval: Duration) -> bool {
        let fresh = self.renewed.get(now, &from).is_none_or(|renewed| now >= *renewed);
        if fresh {
            self.renewed.insert(now, from, now + interval.min(INTERVAL_MAX));
        }
        self.answered += 1;
        self.fresh += u32::from(fresh);
        fresh
    }

    /// The walk is over: plans the next one by what it found.
    pub fn finished(&mut self, now: Time, rng: &mut impl Rng) {
        self.walking = false;
        let worth = self.fresh > 0 && self.fresh * 2 >= self.answered;
        self.wait = if worth { (self.wait / 2).max(WAIT_MIN) } else { (self.wait * 2).min(WAIT_MAX) };
        self.next = now + self.wait + rng.random_range(Duration::ZERO..=self.wait / 4);
    }

    /// When [`Sampler::take_due`] has something, unless a walk is under way.
    #[cfg(test)]
    fn next_due(&self) -> Option<Time> {
        (!self.walking).then_some(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crawler::placement::interval_of;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use std::collections::HashSet;

    const HOUR: Duration = Duration::from_secs(3600);

    fn ip(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[test]
    fn walks_cover_the_space_evenly() {
        let (mut sampler, mut rng) = (Sampler::new(Time::ZERO), ChaCha8Rng::seed_from_u64(1));
        let mut now = Time::ZERO;
        let visited: HashSet<_> = (0..64)
            .map(|_| {
                let target = sampler.take_due(now, &mut rng).unwrap();
                assert_eq!(sampler.take_due(now + HOUR, &mut rng), None, "one walk at a time");
                sampler.finished(now, &mut rng);
                now = sampler.next_due().unwrap();
                interval_of(&target, 64)
            })
            .collect();
        assert_eq!(visited.len(), 64);
    }

    #[test]
    fn pace_follows_what_walks_find() {
        let (mut sampler, mut rng) = (Sampler::new(Time::ZERO), ChaCha8Rng::seed_from_u64(1));
        let mut now = Time::ZERO;
        let mut walk = |sampler: &mut Sampler, nodes: std::ops::Range<u32>| {
            sampler.take_due(now, &mut rng).unwrap();
            let fresh = nodes.filter(|node| sampler.sampled(now, ip(*node), HOUR)).count();
            sampler.finished(now, &mut rng);
            let wait = sampler.next_due().unwrap().since(now);
            now = sampler.next_due().unwrap();
            (fresh, wait)
        };
        let (fresh, wait) = walk(&mut sampler, 0..8);
        assert_eq!(fresh, 8);
        assert!(wait <= WAIT_MIN * 5 / 4);
        // The same eight again and again: nothing new before an hour is over, and then all at once.
        let mut last = Duration::ZERO;
        let mut renewed = 0;
        for _ in 0..14 {
            let (fresh, wait) = walk(&mut sampler, 0..8);
            assert!(wait <= WAIT_MAX * 5 / 4);
            renewed += fresh;
            last = last.max(wait);
        }
        assert_eq!(renewed, 8);
        assert!(last >= WAIT_MAX);
        for number in 1..9 {
            walk(&mut sampler, number * 8..number * 8 + 8);
        }
        assert!(walk(&mut sampler, 900..908).1 <= WAIT_MIN * 5 / 4, "fast again among strangers");
    }

    #[test]
    fn absurd_interval_is_cut() {
        let mut sampler = Sampler::new(Time::ZERO);
        assert!(sampler.sampled(Time::ZERO, ip(1), Duration::MAX));
        assert!(!sampler.sampled(Time::ZERO + HOUR, ip(1), Duration::ZERO));
        assert!(sampler.sampled(Time::ZERO + INTERVAL_MAX, ip(1), Duration::ZERO));
    }
}
