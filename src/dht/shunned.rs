//! Who lied to us, and is neither heard nor kept for a while.
//!
//! Apart from those who merely ask too much (see [`super::guard`]): the source of a query can be forged, so what comes of
//! a flood must cost nobody his place in the table, nor a liar's place in here.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::api::Fill;
use super::origin::Host;
use crate::types::Time;

/// For how long nothing of a liar is heard.
const SHUN: Duration = Duration::from_secs(5 * 60);

/// Most hosts shunned at a time; when full, the one whose time is over soonest makes place.
const MAX_SHUNNED: usize = 256;

/// Hosts, and until when they are shunned.
#[derive(Debug, Default)]
pub struct Shunned {
    until: BTreeMap<Host, Time>,
}

impl Shunned {
    /// How many hosts are shunned.
    pub fn fill(&self) -> Fill {
        Fill { of: "hosts shunned", entries: self.until.len(), bound: MAX_SHUNNED }
    }

    /// Whether the host of `addr` is shunned now.
    pub fn holds(&self, now: Time, addr: SocketAddr) -> bool {
        self.until.get(&Host::of(addr)).is_some_and(|until| now < *until)
    }

    /// Shuns the host of `addr` for [`SHUN`] from now.
    pub fn insert(&mut self, now: Time, addr: SocketAddr) {
        let host = Host::of(addr);
        if self.until.len() >= MAX_SHUNNED && !self.until.contains_key(&host) {
            let soonest = self.until.iter().min_by_key(|(_, until)| **until).map(|(host, _)| *host);
            soonest.map(|host| self.until.remove(&host));
        }
        self.until.insert(host, now + SHUN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: u64, port: u16) -> SocketAddr {
        SocketAddr::from(([80, 0, (number >> 8) as u8, number as u8], port))
    }

    #[test]
    fn the_latest_liars_are_shunned_for_their_time() {
        let mut shunned = Shunned::default();
        let liars = 2 * MAX_SHUNNED as u64;
        for number in 0..liars {
            shunned.insert(Time::from_millis(number), host(number, 1));
            assert!(shunned.until.len() <= MAX_SHUNNED);
        }
        let now = Time::from_millis(liars);
        let latest = liars - MAX_SHUNNED as u64;
        assert!((0..latest).all(|number| !shunned.holds(now, host(number, 1))));
        assert!((latest..liars).all(|number| shunned.holds(now, host(number, 2))), "whatever the port");
        // One that lies again takes no place of others.
        shunned.insert(now, host(latest, 3));
        assert_eq!(shunned.until.len(), MAX_SHUNNED);
        let last = Time::from_millis(liars - 1) + SHUN;
        assert!(!shunned.holds(last, host(liars - 1, 1)) && shunned.holds(last, host(latest, 1)));
    }
}
