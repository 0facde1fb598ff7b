//! How many datagrams each of any number of remotes was sent within the last seconds.
//!
//! A count-min sketch (Cormode and Muthukrishnan, 2005) over slots of time: a remote has one cell in each of two rows, and
//! was sent no more than the smaller of the two says. Who shares both cells with others is counted too high, never too low:
//! nobody hears more than it may, however many are spoken to, in memory that never grows.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use crate::dht::Host;
use crate::types::Time;

/// Every interval of this length is within the slots that are counted. libtorrent bans an address from which 50 datagrams
/// come in that time, and counts answers too.
pub const WINDOW: Duration = Duration::from_secs(10);
/// Slots that cover a window wherever it begins.
const SLOTS: usize = 5;
const SLOT: Duration = Duration::from_millis(WINDOW.as_millis() as u64 / (SLOTS as u64 - 1));
const ROWS: usize = 2;
/// Cells of a row, each of [`SLOTS`] bytes: 80 KiB in all for few nodes, 640 KiB for many.
const MIN_CELLS: usize = 8_192;
const MAX_CELLS: usize = 65_536;

/// See the module.
#[derive(Debug)]
pub struct Heard {
    cells: [Box<[[u8; SLOTS]]>; ROWS],
    /// The slot that is being filled, counted since the beginning of time.
    current: u64,
    /// Nobody can tell who shares a cell with whom.
    key: u64,
}

impl Heard {
    /// Nothing sent yet. `nodes`: how many of ours speak.
    pub fn new(nodes: u32, key: u64) -> Self {
        let cells = (nodes as usize).saturating_mul(2).next_power_of_two().clamp(MIN_CELLS, MAX_CELLS);
        Self { cells: std::array::from_fn(|_| vec![[0; SLOTS]; cells].into()), current: 0, key }
    }

    /// What a remote was sent within the last window, or a little more.
    pub fn counted(&mut self, now: Time, remote: Host) -> u32 {
        self.turn(now);
        let at = self.cells_of(remote);
        let sums = self.cells.iter().zip(at).map(|(row, at)| row[at].iter().map(|slot| u32::from(*slot)).sum());
        sums.min().unwrap_or_default()
    }

    /// One more was sent.
    pub fn count(&mut self, now: Time, remote: Host) {
        self.turn(now);
        let (at, slot) = (self.cells_of(remote), self.current as usize % SLOTS);
        for (row, at) in self.cells.iter_mut().zip(at) {
            row[at][slot] = row[at][slot].saturating_add(1);
        }
    }

    fn cells_of(&self, remote: Host) -> [usize; ROWS] {
        let mut hasher = DefaultHasher::new();
        (self.key, remote).hash(&mut hasher);
        let hash = hasher.finish();
        let mask = self.cells[0].len() - 1;
        [hash as usize & mask, (hash >> 32) as usize & mask]
    }

    /// Begins new slots as time passes.
    fn turn(&mut self, now: Time) {
        let slot = now.as_millis() / SLOT.as_millis() as u64;
        for passed in (self.current + 1..=slot).rev().take(SLOTS) {
            for row in &mut self.cells {
                row.iter_mut().for_each(|cell| cell[passed as usize % SLOTS] = 0);
            }
        }
        self.current = self.current.max(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn remote(number: u32) -> Host {
        Host::of(((0x5000_0000 + number).to_be_bytes(), 6881).into())
    }

    #[test]
    fn a_hundred_thousand_others_make_it_forget_nobody() {
        let mut heard = Heard::new(1, 7);
        for _ in 0..16 {
            heard.count(Time::ZERO, remote(0));
        }
        for number in 1..=100_000 {
            heard.count(Time::from_millis(u64::from(number) / 11), remote(number));
        }
        let counted = heard.counted(Time::from_millis(9_999), remote(0));
        assert!((16..40).contains(&counted), "{counted}");
        let over =
            (1..=100_000).filter(|number| heard.counted(Time::from_millis(9_999), remote(*number)) >= 40).count();
        assert_eq!(over, 0, "and keeps nobody from being spoken to");
        assert_eq!(heard.counted(Time::from_millis(12_500 + 9_999), remote(0)), 0, "but a while later");
    }

    proptest! {
        #[test]
        fn nothing_within_a_window_is_forgotten(gaps in prop::collection::vec(0_u64..3_000, 1..200)) {
            let mut heard = Heard::new(1, 7);
            let (mut now, mut sent) = (0, Vec::new());
            for gap in gaps {
                now += gap;
                heard.count(Time::from_millis(now), remote(1));
                sent.push(now);
                let within = |window: u64| sent.iter().filter(|at| now - **at < window).count() as u32;
                let counted = heard.counted(Time::from_millis(now), remote(1));
                prop_assert!((within(10_000)..=within(12_500)).contains(&counted));
            }
        }
    }
}
