//! State that the audio threads share without locks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence};
use std::time::Duration;

/// What is heard right now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Of the track that is heard; 0 if none.
    pub token: u64,
    /// Playing time that has left the loudspeaker: what was handed over minus the delay of the device.
    pub position: Duration,
    /// Decoded and not yet handed to the output.
    pub ring: Duration,
    /// Times the output ran dry while it should have played, since the start of the engine.
    pub underruns: u64,
}

/// Copies of the progress that are kept: a reader must be overtaken by that many writes to see a mixed one, and
/// writes are milliseconds apart.
const COPIES: usize = 8;

#[derive(Debug, Default)]
struct Copy {
    token: AtomicU64,
    position_us: AtomicU64,
    ring_us: AtomicU64,
}

/// Written by one thread, read by any, so that token and position always belong together although nobody ever waits,
/// not even for a writer that is put to sleep in the middle.
#[derive(Debug, Default)]
struct ProgressCell {
    copies: [Copy; COPIES],
    /// Number of the last whole copy.
    latest: AtomicUsize,
}

/// State that all threads of the engine may read.
#[derive(Debug)]
pub(super) struct Shared {
    progress: ProgressCell,
    underruns: AtomicU64,
    volume: AtomicU8,
    /// Set by the conductor when nothing more will be pushed to the ring: an empty ring is then the end, not a
    /// starvation.
    ended: AtomicBool,
    conductor_rounds: AtomicU64,
    output_rounds: AtomicU64,
}

/// Signs of life of the engine's threads.
#[derive(Debug, Clone)]
pub struct Rounds(pub(super) Arc<Shared>);

impl Rounds {
    /// Rounds of the thread that keeps the order of the tracks, at least five a second while the engine lives.
    pub fn conductor(&self) -> u64 {
        self.0.conductor_rounds.load(Ordering::Relaxed)
    }

    /// Rounds of the thread that feeds the device, at least ten a second unless the device holds it up.
    pub fn output(&self) -> u64 {
        self.0.output_rounds.load(Ordering::Relaxed)
    }
}

impl Shared {
    pub fn new(volume: u8) -> Self {
        Self {
            progress: ProgressCell::default(),
            underruns: AtomicU64::new(0),
            volume: AtomicU8::new(volume.min(100)),
            ended: AtomicBool::new(true),
            conductor_rounds: AtomicU64::new(0),
            output_rounds: AtomicU64::new(0),
        }
    }

    pub fn count_conductor_round(&self) {
        self.conductor_rounds.fetch_add(1, Ordering::Relaxed);
    }

    pub fn count_output_round(&self) {
        self.output_rounds.fetch_add(1, Ordering::Relaxed);
    }

    /// A consistent copy of the progress. Never blocks: tries again, a bounded number of times, if it was overtaken.
    pub fn progress(&self) -> Progress {
        const TRIES: u32 = 64;
        let cell = &self.progress;
        let mut progress = Progress::default();
        for _ in 0..TRIES {
            let number = cell.latest.load(Ordering::Acquire);
            let copy = &cell.copies[number % COPIES];
            progress = Progress {
                token: copy.token.load(Ordering::Relaxed),
                position: Duration::from_micros(copy.position_us.load(Ordering::Relaxed)),
                ring: Duration::from_micros(copy.ring_us.load(Ordering::Relaxed)),
                underruns: self.underruns.load(Ordering::Relaxed),
            };
            // With the fence in `publish`: if a value was of a newer copy, so is the number now.
            fence(Ordering::Acquire);
            if cell.latest.load(Ordering::Relaxed).wrapping_sub(number) < COPIES - 1 {
                break;
            }
        }
        progress
    }

    /// Publishes what is heard; for the output thread only. The field `underruns` is not taken from it.
    pub fn publish(&self, progress: Progress) {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let cell = &self.progress;
        let number = cell.latest.load(Ordering::Relaxed).wrapping_add(1);
        fence(Ordering::Release);
        let copy = &cell.copies[number % COPIES];
        copy.token.store(progress.token, Ordering::Relaxed);
        copy.position_us.store(micros(progress.position), Ordering::Relaxed);
        copy.ring_us.store(micros(progress.ring), Ordering::Relaxed);
        cell.latest.store(number, Ordering::Release);
    }

    pub fn count_underrun(&self) {
        self.underruns.fetch_add(1, Ordering::Relaxed);
    }

    pub fn volume(&self) -> u8 {
        self.volume.load(Ordering::Relaxed)
    }

    pub fn set_volume(&self, percent: u8) {
        self.volume.store(percent.min(100), Ordering::Relaxed);
    }

    pub fn ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub fn set_ended(&self, ended: bool) {
        self.ended.store(ended, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_and_position_always_belong_together() {
        let shared = Arc::new(Shared::new(100));
        let writer = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            for token in 1..50_000u64 {
                writer.publish(Progress { token, position: Duration::from_micros(token * 3), ..Progress::default() });
            }
        });
        while !thread.is_finished() {
            let seen = shared.progress();
            assert_eq!(seen.position, Duration::from_micros(seen.token * 3));
        }
        thread.join().unwrap();
        assert_eq!(shared.progress().token, 49_999);
    }

    #[test]
    fn volume_is_at_most_a_hundred() {
        let shared = Shared::new(130);
        assert_eq!(shared.volume(), 100);
        shared.set_volume(255);
        assert_eq!(shared.volume(), 100);
    }
}
