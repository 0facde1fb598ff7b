//! Against floods: how much one sender may ask, and how much all together are answered.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::api::Fill;
use super::origin::Host;
use super::window::Window;
use crate::types::Time;

/// Queries that one host may send to one id within [`WINDOW`]; libtorrent draws the line at the same place.
pub const MAX_QUERIES: u32 = 50;

/// Ids of which each more lets a host ask once more [`MAX_QUERIES`]: a lookup asks of neighbours a handful.
const IDS_PER_SHARE: u32 = 64;

/// Shares at most: 80 queries a second of one host are no lookups any more. What it is sent is bounded elsewhere.
const MAX_SHARES: u32 = 16;

/// Over which queries are counted.
pub const WINDOW: Duration = Duration::from_secs(10);

/// For how long the queries of a host that asked more are not heard.
pub const BAN: Duration = Duration::from_secs(5 * 60);

/// Most hosts that are counted in a window for one share of ids; with more, the window ends early. Two windows take about
/// 100 KiB, those of the most shares 1.6 MB.
const MAX_HOSTS: usize = 1024;

/// Most hosts banned at a time for one share of ids; beyond that the window alone limits.
const MAX_BANS: usize = 256;

fn shares(ids: u32) -> u32 {
    ids.div_ceil(IDS_PER_SHARE).clamp(1, MAX_SHARES)
}

fn queries(shares: u32) -> Window<Host> {
    Window::new(WINDOW, MAX_HOSTS * shares as usize)
}

/// Counts queries by host, and does not hear those that flood.
#[derive(Debug)]
pub struct Guard {
    shares: u32,
    queries: Window<Host>,
    bans: BTreeMap<Host, Time>,
}

impl Guard {
    /// Of so many ids that strangers may ask: the more there are, the more queries of one host are honest, and the more
    /// hosts ask.
    pub fn new(ids: u32) -> Self {
        let shares = shares(ids);
        Self { shares, queries: queries(shares), bans: BTreeMap::new() }
    }

    /// Of so many from now on. Who was banned stays so as far as there is room.
    pub fn set_ids(&mut self, ids: u32) {
        if self.shares != shares(ids) {
            self.shares = shares(ids);
            self.queries = queries(self.shares);
            while self.bans.len() > self.max_bans() {
                self.bans.pop_last();
            }
        }
    }

    fn max_bans(&self) -> usize {
        MAX_BANS * self.shares as usize
    }

    /// How many hosts are counted, and how many are banned.
    pub fn fills(&self) -> [Fill; 2] {
        [
            self.queries.fill("hosts whose queries are counted"),
            Fill { of: "hosts banned", entries: self.bans.len(), bound: self.max_bans() },
        ]
    }

    /// Counts a query from `from` and says whether to hear it.
    pub fn admits(&mut self, now: Time, from: SocketAddr) -> bool {
        let host = Host::of(from);
        if let Some(until) = self.bans.get(&host) {
            if now < *until {
                return false;
            }
            self.bans.remove(&host);
        }
        let admitted = self.queries.count(now, host) <= u64::from(MAX_QUERIES * self.shares);
        if !admitted {
            self.ban(now, from);
        }
        admitted
    }

    /// Hears no query of the host of `from` for [`BAN`], as far as there is room for it.
    fn ban(&mut self, now: Time, from: SocketAddr) {
        if self.bans.len() >= self.max_bans() {
            self.bans.retain(|_, until| now < *until);
        }
        if self.bans.len() < self.max_bans() {
            self.bans.insert(Host::of(from), now + BAN);
        }
    }
}

/// A budget of bytes that refills steadily, up to [`Budget::BURST`] seconds' worth.
#[derive(Debug)]
pub struct Budget {
    per_second: u64,
    /// Thousandths of bytes, so that milliseconds refill exactly.
    left: u64,
    at: Time,
}

impl Budget {
    /// Seconds' worth that can be saved up.
    const BURST: u64 = 4;

    /// A full budget.
    pub fn new(bytes_per_second: u32, now: Time) -> Self {
        let per_second = u64::from(bytes_per_second);
        Self { per_second, left: per_second * Self::BURST * 1000, at: now }
    }

    /// Whether as many as `bytes` can be spent now, or all that can be saved up if that is less.
    pub fn has(&mut self, now: Time, bytes: usize) -> bool {
        self.refill(now);
        cost(bytes).min(self.most()) <= self.left
    }

    /// Refills at another pace from now on; what is saved up beyond what that allows is lost.
    pub fn set_pace(&mut self, now: Time, bytes_per_second: u32) {
        self.refill(now);
        self.per_second = u64::from(bytes_per_second);
        self.left = self.left.min(self.most());
    }

    /// Whether `bytes` can be spent now; takes them if so.
    pub fn spend(&mut self, now: Time, bytes: usize) -> bool {
        self.refill(now);
        let enough = cost(bytes) <= self.left;
        if enough {
            self.left -= cost(bytes);
        }
        enough
    }

    fn most(&self) -> u64 {
        self.per_second * Self::BURST * 1000
    }

    fn refill(&mut self, now: Time) {
        let elapsed = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        let refilled = self.left.saturating_add(elapsed.saturating_mul(self.per_second));
        self.left = refilled.min(self.most());
        self.at = self.at.max(now);
    }
}

/// In thousandths of bytes.
fn cost(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: u32) -> SocketAddr {
        SocketAddr::from(((0x5000_0000 + number).to_be_bytes(), 6881))
    }

    #[test]
    fn steady_askers_are_heard_for_ever() {
        let mut guard = Guard::new(1);
        for at in 0..1000 {
            assert!(guard.admits(Time::from_millis(at * 250), host(1)), "{at}");
        }
    }

    #[test]
    fn floods_are_banned_and_forgiven() {
        let mut guard = Guard::new(1);
        let heard = (0..500).filter(|at| guard.admits(Time::from_millis(*at), host(1))).count();
        assert_eq!(heard, MAX_QUERIES as usize);
        assert!(guard.admits(Time::from_millis(500), host(2)));
        assert!(!guard.admits(Time::from_millis(500) + BAN / 2, host(1)));
        assert!(guard.admits(Time::from_millis(500) + BAN, host(1)));
    }

    #[test]
    fn who_asks_many_of_our_ids_is_heard_and_who_floods_is_not() {
        let mut guard = Guard::new(32_768);
        let heard = (0..10_000).filter(|at| guard.admits(Time::from_millis(at / 2), host(1))).count();
        assert_eq!(heard, (MAX_QUERIES * MAX_SHARES) as usize);
        // As many hosts as ask so many ids: nobody is forgotten before the window is over.
        for number in 2..10_000 {
            assert!((0..3).all(|_| guard.admits(Time::from_millis(5_000 + u64::from(number) / 10), host(number))));
        }
        assert_eq!(guard.queries.entries(), 9_999);
    }

    #[test]
    fn many_hosts_take_bounded_memory() {
        let mut guard = Guard::new(1);
        for number in 0..100_000 {
            guard.admits(Time::from_millis(u64::from(number) / 50), host(number));
        }
        assert!(guard.queries.entries() <= 2 * MAX_HOSTS);
        for number in 0..1000 {
            let heard = (0..100).filter(|_| guard.admits(Time::from_millis(5000), host(number))).count();
            assert!(heard <= MAX_QUERIES as usize);
        }
        assert!(guard.bans.len() <= MAX_BANS);
    }

    #[test]
    fn more_ids_hear_more_of_a_host_and_fewer_no_more_than_they_have_room_for() {
        let mut guard = Guard::new(1);
        let admitted = |guard: &mut Guard, number, now| (0..500).filter(|_| guard.admits(now, host(number))).count();
        assert_eq!(admitted(&mut guard, 1, Time::ZERO), MAX_QUERIES as usize);
        guard.set_ids(IDS_PER_SHARE * 4);
        assert_eq!(admitted(&mut guard, 1, Time::ZERO), 0, "who flooded is banned all the same");
        assert_eq!(admitted(&mut guard, 2, Time::ZERO), 4 * MAX_QUERIES as usize);
        for number in 3..1_000 {
            admitted(&mut guard, number, Time::ZERO);
        }
        guard.set_ids(1);
        assert!(guard.fills().iter().all(|fill| fill.entries <= fill.bound), "{:?}", guard.fills());
        assert_eq!(admitted(&mut guard, 5_000, Time::ZERO), MAX_QUERIES as usize);
    }

    #[test]
    fn budget_refills_to_its_burst() {
        let mut budget = Budget::new(1000, Time::ZERO);
        assert!(budget.spend(Time::ZERO, 4000));
        assert!(!budget.spend(Time::ZERO, 1));
        assert!(!budget.spend(Time::from_millis(500), 501));
        assert!(budget.spend(Time::from_millis(500), 500));
        assert!(!budget.spend(Time::from_millis(1_000_000), 4001));
        assert!(budget.has(Time::from_millis(1_000_000), 4000));
        assert!(budget.spend(Time::from_millis(1_000_000), 4000));
        assert!(!budget.has(Time::from_millis(1_000_999), 1000));
        assert!(budget.has(Time::from_millis(1_001_000), 1000));
        assert!(budget.has(Time::from_millis(2_000_000), usize::MAX), "as much as there ever is");
    }
}
