//! How far each network is believed on its word alone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::crawler::generations::Generations;
use crate::types::{InfoHash, Reach, Time};

/// Networks with an account, per generation; about 100 B each besides what waits.
const CAPACITY: usize = 4_096;
/// Most entries of all tables together.
#[cfg(test)]
pub const MAX_ACCOUNTS: usize = 3 * 2 * CAPACITY;
/// How long an account lasts at least that nobody touches.
const WINDOW: Duration = Duration::from_secs(24 * 3600);
/// Claims of one network that may be unconfirmed to begin with: a client has a few torrents that nobody else has.
const CREDIT: u32 = 8;
/// The same for the wide network around it.
const WIDE_CREDIT: u32 = 32;
/// Most that either can earn; each confirmed claim earns one.
const MAX_CREDIT: u32 = 1_024;
/// Confirmed infohashes that one sample takes which nobody else shows: to show the true among the false costs nothing.
const CONFIRMED_PER_SAMPLE: u32 = 8;
/// Infohashes of one network that wait, so that none can fill the memory of all.
pub const MAX_WAITING: usize = 32;
/// Claims without credit after which a network of which next to nothing is confirmed is shunned. Honest ones that come
/// so far have had hundreds of their torrents named by others.
const PATIENCE: u32 = 128;
/// One claim in so many confirmed is enough to be heard further.
const HONEST_SHARE: u32 = 32;
/// How long a network is shunned at least.
const SHUN: Duration = Duration::from_secs(3600);

/// A network under one hand: an IPv4 /24 or IPv6 /64. Private addresses occur only where the user lets them in, in labs
/// and at home: there every port is a network of its own, and trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(SocketAddr);

/// Networks that are far apart differ in this: an IPv4 /16 or IPv6 /32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Wide(SocketAddr);

impl Network {
    /// The network of an address; an IPv4 address inside IPv6 is the IPv4 address.
    pub fn of(addr: SocketAddr) -> Self {
        Self(cut(addr, 24, 64))
    }

    /// The wide network around it.
    pub fn wide(&self) -> Wide {
        Wide(cut(self.0, 16, 32))
    }

    fn is_trusted(&self) -> bool {
        Reach::of(self.0.ip()) != Reach::Public
    }
}

/// The first bits of a public address; others as they are.
fn cut(addr: SocketAddr, v4_bits: u32, v6_bits: u32) -> SocketAddr {
    if Reach::of(addr.ip()) != Reach::Public {
        return addr;
    }
    let ip: IpAddr = match addr.ip().to_canonical() {
        IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() & !(u32::MAX >> v4_bits)).into(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !(u128::MAX >> v6_bits)).into(),
    };
    SocketAddr::new(ip, 0)
}

/// What is known of one network.
#[derive(Debug, Clone, Default)]
struct Account {
    /// Infohashes that it named and others too.
    confirmed: u32,
    /// Claims believed on its word alone.
    lent: u32,
    /// Claims that there was no credit for.
    refused: u32,
    waiting: Vec<InfoHash>,
}

#[derive(Debug, Clone, Copy, Default)]
struct WideAccount {
    confirmed: u32,
    lent: u32,
}

/// All accounts, bounded.
#[derive(Debug)]
pub struct Accounts {
    narrow: Generations<Network, Account>,
    wide: Generations<Wide, WideAccount>,
    shunned: Generations<Network, ()>,
}

impl Default for Accounts {
    fn default() -> Self {
        Self {
            narrow: Generations::new(CAPACITY, WINDOW),
            wide: Generations::new(CAPACITY, WINDOW),
            shunned: Generations::new(CAPACITY, SHUN),
        }
    }
}

impl Accounts {
    /// Accounts in all tables.
    pub fn len(&self) -> usize {
        self.narrow.len() + self.wide.len() + self.shunned.len()
    }

    /// Whether the network is not to be heard.
    pub fn is_shunned(&mut self, now: Time, network: &Network) -> bool {
        self.shunned.get(now, network).is_some()
    }

    /// Somebody far away named what the network named.
    pub fn confirmed(&mut self, now: Time, network: &Network) {
        let mut account = self.take(now, network);
        account.confirmed = account.confirmed.saturating_add(1);
        self.narrow.insert(now, *network, account);
        let mut wide = self.wide.get(now, &network.wide()).copied().unwrap_or_default();
        wide.confirmed = wide.confirmed.saturating_add(1);
        self.wide.insert(now, network.wide(), wide);
    }

    /// A claim that was lent for is confirmed: the credit is free again.
    pub fn redeem(&mut self, now: Time, network: &Network) {
        let mut account = self.take(now, network);
        account.lent = account.lent.saturating_sub(1);
        self.narrow.insert(now, *network, account);
        let mut wide = self.wide.get(now, &network.wide()).copied().unwrap_or_default();
        wide.lent = wide.lent.saturating_sub(1);
        self.wide.insert(now, network.wide(), wide);
    }

    /// Whether one more claim would be believed. `earned`: only on credit that was earned, and more dearly.
    pub fn has_credit(&mut self, now: Time, network: &Network, earned: bool) -> bool {
        if network.is_trusted() {
            return true;
        }
        let limit = |confirmed: u32, start: u32| match earned {
            true => confirmed / CONFIRMED_PER_SAMPLE,
            false => confirmed.saturating_add(start),
        };
        let narrow = self.narrow.get(now, network).map_or((0, 0), |account| (account.confirmed, account.lent));
        let wide = self.wide.get(now, &network.wide()).copied().unwrap_or_default();
        narrow.1 < limit(narrow.0, CREDIT).min(MAX_CREDIT)
            && wide.lent < limit(wide.confirmed, WIDE_CREDIT).min(MAX_CREDIT * 4)
    }

    /// Takes credit for one claim; false if there is none. Who comes too often for nothing is shunned.
    pub fn lend(&mut self, now: Time, network: &Network, earned: bool) -> bool {
        let granted = self.has_credit(now, network, earned);
        let mut account = self.take(now, network);
        if granted {
            account.lent += 1;
            let mut wide = self.wide.get(now, &network.wide()).copied().unwrap_or_default();
            wide.lent += 1;
            self.wide.insert(now, network.wide(), wide);
        } else {
            account.refused = account.refused.saturating_add(1);
            if account.refused >= PATIENCE && account.confirmed < account.refused / HONEST_SHARE {
                account = Account { lent: account.lent, ..Account::default() };
                self.shunned.insert(now, *network, ());
            }
        }
        self.narrow.insert(now, *network, account);
        granted
    }

    /// Notes that an infohash of the network waits; false if too many do.
    pub fn hold(&mut self, now: Time, network: &Network, infohash: InfoHash) -> bool {
        let mut account = self.take(now, network);
        let fits = account.waiting.len() < MAX_WAITING;
        if fits {
            account.waiting.push(infohash);
        }
        self.narrow.insert(now, *network, account);
        fits
    }

    /// The infohash waits no more.
    pub fn let_go(&mut self, now: Time, network: &Network, infohash: &InfoHash) {
        let mut account = self.take(now, network);
        account.waiting.retain(|waiting| waiting != infohash);
        self.narrow.insert(now, *network, account);
    }

    /// What waits of the network.
    pub fn waiting(&mut self, now: Time, network: &Network) -> Vec<InfoHash> {
        self.narrow.get(now, network).map_or_else(Vec::new, |account| account.waiting.clone())
    }

    fn take(&mut self, now: Time, network: &Network) -> Account {
        self.narrow.remove(now, network).unwrap_or_default()
    }
}
