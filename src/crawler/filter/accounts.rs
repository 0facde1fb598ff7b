//! How far each network is believed on its word alone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::crawler::generations::Generations;
use crate::dht::Fill;
use crate::types::Time;

/// Networks with an account, per generation; about 100 B each.
const CAPACITY: usize = 3_584;
/// Most entries of all tables together.
#[cfg(test)]
pub const MAX_ACCOUNTS: usize = 3 * 2 * CAPACITY;
/// How long an account lasts at least that nobody touches.
const WINDOW: Duration = Duration::from_secs(24 * 3600);
/// What one network alone upholds is believed of so many infohashes that nobody confirmed, to begin with.
const CREDIT: u32 = 4;
/// The same for the wide network around it.
const WIDE_CREDIT: u32 = 16;
/// Infohashes that others confirm for one place more.
const CONFIRMED_PER_PLACE: u32 = 4;
/// Most places of either.
const MAX_CREDIT: u32 = 1_024;
/// Claims that were never made again after which a network of which next to nothing is confirmed is shunned.
const PATIENCE: u32 = 128;
/// One claim in so many confirmed is enough to be heard further.
const HONEST_SHARE: u32 = 32;
/// How long a network is shunned at least.
const SHUN: Duration = Duration::from_secs(3600);

/// A network under one hand: an IPv4 /24 or IPv6 /64, or a single socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(Part);

/// Networks that are far apart differ in this: an IPv4 /16 or IPv6 /32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Wide(Part);

/// The first bits of an address, or with a port a socket. Tens of thousands are kept, and `SocketAddr` takes 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Part {
    /// An IPv4 address is mapped into IPv6.
    ip: [u8; 16],
    port: u16,
}

impl Part {
    fn of(ip: IpAddr, v4_bits: u32, v6_bits: u32) -> Self {
        let ip = match ip.to_canonical() {
            IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() & !(u32::MAX >> v4_bits)).to_ipv6_mapped(),
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !(u128::MAX >> v6_bits)),
        };
        Self { ip: ip.octets(), port: 0 }
    }

    fn socket(addr: SocketAddr) -> Self {
        let ip = match addr.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        Self { ip: ip.octets(), port: addr.port() }
    }
}

impl Network {
    /// The network of an address; an IPv4 address inside IPv6 is the IPv4 address.
    pub fn of(addr: SocketAddr) -> Self {
        Self(Part::of(addr.ip(), 24, 64))
    }

    /// The wide network around it.
    pub fn wide(&self) -> Wide {
        // Only sockets have a port.
        Wide(if self.0.port == 0 { Part::of(Ipv6Addr::from(self.0.ip).into(), 16, 32) } else { self.0 })
    }

    /// A socket that is a network of its own.
    pub fn alone(addr: SocketAddr) -> Self {
        Self(Part::socket(addr))
    }
}

/// How often a network alone announced or claimed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimed {
    /// Only a network that was right before is believed, for what it earned by that.
    Once,
    /// And again later, as those do who share something.
    Again,
}

/// What is known of one network.
#[derive(Debug, Clone, Copy, Default)]
struct Account {
    places: Places,
    /// Claims that were not made again yet.
    single: u32,
}

/// How far a network is believed.
#[derive(Debug, Clone, Copy, Default)]
struct Places {
    /// Infohashes that it was among the first to name, and that are confirmed.
    confirmed: u32,
    /// Infohashes that are believed on its word alone.
    lent: u32,
}

impl Places {
    fn has_room(self, start: u32) -> bool {
        self.lent < start.saturating_add(self.confirmed / CONFIRMED_PER_PLACE).min(MAX_CREDIT)
    }
}

/// All accounts, bounded.
#[derive(Debug)]
pub struct Accounts {
    narrow: Generations<Network, Account>,
    wide: Generations<Wide, Places>,
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
    /// How full the tables are.
    pub fn fills(&self) -> [Fill; 3] {
        [
            self.narrow.fill("networks with an account"),
            self.wide.fill("wide networks with an account"),
            self.shunned.fill("networks shunned"),
        ]
    }

    /// Accounts in all tables.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.narrow.len() + self.wide.len() + self.shunned.len()
    }

    /// Whether the network is not to be heard.
    pub fn is_shunned(&mut self, now: Time, network: &Network) -> bool {
        self.shunned.get(now, network).is_some()
    }

    /// What the network named is true.
    pub fn confirmed(&mut self, now: Time, network: &Network) {
        self.change(now, network, |places| places.confirmed = places.confirmed.saturating_add(1));
    }

    /// What was lent for needs no credit any more.
    pub fn redeem(&mut self, now: Time, network: &Network) {
        self.change(now, network, |places| places.lent = places.lent.saturating_sub(1));
    }

    /// Takes a place for what the network alone claims; false if there is none.
    pub fn lend(&mut self, now: Time, network: &Network, claimed: Claimed) -> bool {
        let start = match claimed {
            Claimed::Once => 0,
            Claimed::Again => CREDIT,
        };
        let narrow = self.narrow.get(now, network).map(|account| account.places).unwrap_or_default();
        let wide = self.wide.get(now, &network.wide()).copied().unwrap_or_default();
        let granted = narrow.has_room(start) && wide.has_room(WIDE_CREDIT);
        if granted {
            self.change(now, network, |places| places.lent += 1);
        }
        granted
    }

    /// The network claims something new; true if it is shunned by now, since it never claims anything twice.
    pub fn claims(&mut self, now: Time, network: &Network) -> bool {
        let mut account = self.take(now, network);
        account.single = account.single.saturating_add(1);
        let shunned = account.single >= PATIENCE && account.places.confirmed < account.single / HONEST_SHARE;
        if shunned {
            account.single = 0;
            self.shunned.insert(now, *network, ());
        }
        self.narrow.insert(now, *network, account);
        shunned
    }

    /// The network made a claim again.
    pub fn upholds(&mut self, now: Time, network: &Network) {
        let mut account = self.take(now, network);
        account.single = account.single.saturating_sub(1);
        self.narrow.insert(now, *network, account);
    }

    fn change(&mut self, now: Time, network: &Network, change: impl Fn(&mut Places)) {
        let mut account = self.take(now, network);
        change(&mut account.places);
        self.narrow.insert(now, *network, account);
        let mut wide = self.wide.get(now, &network.wide()).copied().unwrap_or_default();
        change(&mut wide);
        self.wide.insert(now, network.wide(), wide);
    }

    fn take(&mut self, now: Time, network: &Network) -> Account {
        self.narrow.remove(now, network).unwrap_or_default()
    }
}
