//! State that the audio threads share without locks.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering, fence};
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

/// Written by one thread, read by any: a sequence lock over plain atomics, so that token and position always belong
/// together although nobody ever waits.
#[derive(Debug, Default)]
struct ProgressCell {
    /// Odd while a write is under way.
    version: AtomicU32,
    token: AtomicU64,
    position_us: AtomicU64,
    ring_us: AtomicU64,
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
}

impl Shared {
    pub fn new(volume: u8) -> Self {
        Self {
            progress: ProgressCell::default(),
            underruns: AtomicU64::new(0),
            volume: AtomicU8::new(volume.min(100)),
            ended: AtomicBool::new(true),
        }
    }

    /// A consistent copy of the progress; never blocks. Tries again while the writer is in the middle, which lasts
    /// nanoseconds; after a bounded number of tries takes what is there.
    pub fn progress(&self) -> Progress {
        const TRIES: u32 = 64;
        let cell = &self.progress;
        let mut progress = Progress::default();
        for _ in 0..TRIES {
            let before = cell.version.load(Ordering::Acquire);
            progress = Progress {
                token: cell.token.load(Ordering::Relaxed),
                position: Duration::from_micros(cell.position_us.load(Ordering::Relaxed)),
                ring: Duration::from_micros(cell.ring_us.load(Ordering::Relaxed)),
                underruns: self.underruns.load(Ordering::Relaxed),
            };
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && cell.version.load(Ordering::Relaxed) == before {
                break;
            }
            std::hint::spin_loop();
        }
        progress
    }

    /// Publishes what is heard; for the output thread only. The field `underruns` is not taken from it.
    pub fn publish(&self, progress: Progress) {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let cell = &self.progress;
        let version = cell.version.load(Ordering::Relaxed);
        cell.version.store(version.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        cell.token.store(progress.token, Ordering::Relaxed);
        cell.position_us.store(micros(progress.position), Ordering::Relaxed);
        cell.ring_us.store(micros(progress.ring), Ordering::Relaxed);
        cell.version.store(version.wrapping_add(2), Ordering::Release);
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
    use std::sync::Arc;

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
