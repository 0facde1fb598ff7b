//! When to announce which infohash again.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use rand::Rng;

use crate::types::{InfoHash, Time};

/// Infohashes announced at most; about 100 B each. A board that seeds more announces the first ones.
pub const MAX_ANNOUNCED: usize = 4_096;
/// Announces are repeated after 15 to 20 minutes: nodes forget a peer after 30 or more (BEP 5 leaves it open,
/// libtorrent announces every 15), and the spread keeps a thousand torrents from falling due at once.
const REPEAT_MIN: Duration = Duration::from_secs(15 * 60);
const REPEAT_MAX: Duration = Duration::from_secs(20 * 60);
/// After an announce that no node took: doubled each time, up to [`REPEAT_MIN`].
const RETRY_FIRST: Duration = Duration::from_secs(15);

/// The set is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_ANNOUNCED} torrents are announced already; remove some to announce another")]
pub struct TooManyAnnounces;

/// What is announced of one infohash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announced {
    /// TCP port on which the torrent is served.
    pub port: u16,
    /// Whether all of it is there (BEP 33).
    pub seed: bool,
}

#[derive(Debug)]
struct Entry {
    what: Announced,
    /// None while an announce is under way.
    due: Option<Time>,
    failures: u32,
}

/// The announced infohashes and when each is due.
#[derive(Debug, Default)]
pub struct Announces {
    entries: HashMap<InfoHash, Entry>,
    due: BTreeSet<(Time, InfoHash)>,
}

impl Announces {
    /// Adds an infohash, due at once; or changes what is announced of it, due at once if that differs.
    ///
    /// # Errors
    /// If [`MAX_ANNOUNCED`] others are in the set.
    pub fn insert(&mut self, now: Time, infohash: InfoHash, what: Announced) -> Result<(), TooManyAnnounces> {
        let full = self.entries.len() >= MAX_ANNOUNCED;
        match self.entries.get_mut(&infohash) {
            Some(entry) if entry.what == what => return Ok(()),
            Some(entry) => {
                entry.what = what;
                if let Some(due) = entry.due.replace(now) {
                    self.due.remove(&(due, infohash));
                }
            }
            None if full => return Err(TooManyAnnounces),
            None => {
                self.entries.insert(infohash, Entry { what, due: Some(now), failures: 0 });
            }
        }
        self.due.insert((now, infohash));
        Ok(())
    }

    /// Takes an infohash out; no node is told, the announces time out.
    pub fn remove(&mut self, infohash: &InfoHash) {
        if let Some(due) = self.entries.remove(infohash).and_then(|entry| entry.due) {
            self.due.remove(&(due, *infohash));
        }
    }

    /// The longest due infohash, which from now on counts as under way until [`Announces::finished`].
    pub fn take_due(&mut self, now: Time) -> Option<(InfoHash, Announced)> {
        let (due, infohash) = *self.due.first().filter(|(due, _)| *due <= now)?;
        self.due.remove(&(due, infohash));
        let entry = self.entries.get_mut(&infohash)?;
        entry.due = None;
        Some((infohash, entry.what))
    }

    /// When the next infohash is due.
    #[cfg(test)]
    fn next_due(&self) -> Option<Time> {
        self.due.first().map(|(due, _)| *due)
    }

    /// An announce ended; `accepted` nodes took it.
    pub fn finished(&mut self, now: Time, infohash: &InfoHash, accepted: u32, rng: &mut impl Rng) {
        // Withdrawn meanwhile, or changed and due again: nothing to plan.
        let Some(entry) = self.entries.get_mut(infohash).filter(|entry| entry.due.is_none()) else { return };
        let wait = if accepted > 0 {
            entry.failures = 0;
            rng.random_range(REPEAT_MIN..=REPEAT_MAX)
        } else {
            let doubled = RETRY_FIRST.saturating_mul(1 << entry.failures.min(10));
            entry.failures = entry.failures.saturating_add(1);
            doubled.min(REPEAT_MIN)
        };
        entry.due = Some(now + wait);
        self.due.insert((now + wait, *infohash));
    }

    /// Infohashes in the set.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    const SEED: Announced = Announced { port: 6881, seed: true };

    fn infohash(number: u32) -> InfoHash {
        let mut id = [0; 20];
        id[..4].copy_from_slice(&number.to_be_bytes());
        InfoHash(id)
    }

    #[test]
    fn announced_at_once_and_again_after_a_quarter_of_an_hour() {
        let (mut set, mut rng) = (Announces::default(), ChaCha8Rng::seed_from_u64(1));
        set.insert(Time::ZERO, infohash(1), SEED).unwrap();
        assert_eq!(set.take_due(Time::ZERO), Some((infohash(1), SEED)));
        assert_eq!(set.take_due(Time::ZERO), None, "under way");
        set.finished(Time::ZERO, &infohash(1), 8, &mut rng);
        let due = set.next_due().unwrap();
        assert!((Time::ZERO + REPEAT_MIN..=Time::ZERO + REPEAT_MAX).contains(&due));
        assert_eq!(set.take_due(due - Duration::from_millis(1)), None);
        assert_eq!(set.take_due(due), Some((infohash(1), SEED)));
    }

    #[test]
    fn failures_are_retried_soon_then_less_often() {
        let (mut set, mut rng) = (Announces::default(), ChaCha8Rng::seed_from_u64(1));
        set.insert(Time::ZERO, infohash(1), SEED).unwrap();
        let mut now = Time::ZERO;
        let waits: Vec<_> = (0..9)
            .map(|_| {
                set.take_due(now).unwrap();
                set.finished(now, &infohash(1), 0, &mut rng);
                let wait = set.next_due().unwrap().since(now);
                now = set.next_due().unwrap();
                wait.as_secs()
            })
            .collect();
        assert_eq!(waits, [15, 30, 60, 120, 240, 480, 900, 900, 900]);
    }

    #[test]
    fn withdrawn_while_under_way_stays_withdrawn() {
        let (mut set, mut rng) = (Announces::default(), ChaCha8Rng::seed_from_u64(1));
        set.insert(Time::ZERO, infohash(1), SEED).unwrap();
        set.take_due(Time::ZERO).unwrap();
        set.remove(&infohash(1));
        set.finished(Time::ZERO, &infohash(1), 8, &mut rng);
        assert_eq!((set.len(), set.next_due()), (0, None));
    }

    #[test]
    fn changed_announce_is_due_at_once() {
        let (mut set, mut rng) = (Announces::default(), ChaCha8Rng::seed_from_u64(1));
        set.insert(Time::ZERO, infohash(1), Announced { seed: false, ..SEED }).unwrap();
        set.take_due(Time::ZERO).unwrap();
        set.insert(Time::from_millis(5), infohash(1), SEED).unwrap();
        set.finished(Time::from_millis(9), &infohash(1), 8, &mut rng);
        assert_eq!(set.take_due(Time::from_millis(9)), Some((infohash(1), SEED)));
        set.finished(Time::from_millis(9), &infohash(1), 8, &mut rng);
        set.insert(Time::from_millis(10), infohash(1), SEED).unwrap();
        assert_eq!(set.take_due(Time::from_millis(10)), None, "nothing new");
    }

    #[test]
    fn the_set_is_bounded() {
        let mut set = Announces::default();
        for number in 0..MAX_ANNOUNCED as u32 {
            set.insert(Time::ZERO, infohash(number), SEED).unwrap();
        }
        assert_eq!(set.insert(Time::ZERO, infohash(u32::MAX), SEED), Err(TooManyAnnounces));
        set.remove(&infohash(3));
        assert_eq!(set.insert(Time::ZERO, infohash(u32::MAX), SEED), Ok(()));
    }
}
