//! Who counts as one party.
//!
//! An attacker with one public address can have any number of ports and ids, one with a block of addresses most of its
//! /24. So public addresses are one host whatever the port, and one block whatever the last byte. In IPv6 a home has a whole
//! /64 to itself, which is both. Private addresses
//! occur only where the user lets them in, in labs where a host stands for many: there every port is its own party.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::types::Reach;

/// One host: a public IPv4 address or IPv6 /64, or a private address with port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host(SocketAddr);

/// One block of addresses under one hand: a public IPv4 /24 or IPv6 /64, or a private address with port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Block(SocketAddr);

impl Host {
    /// The host at `addr`.
    pub fn of(addr: SocketAddr) -> Self {
        match Reach::of(addr.ip()) {
            Reach::Public if addr.is_ipv6() => Self(Block::of(addr).0),
            Reach::Public => Self(SocketAddr::new(addr.ip(), 0)),
            Reach::Private | Reach::Nowhere => Self(addr),
        }
    }
}

impl Host {
    /// Its address; the port is 0 where every port is the same host.
    pub fn addr(self) -> SocketAddr {
        self.0
    }
}

impl Block {
    /// The block around `addr`.
    pub fn of(addr: SocketAddr) -> Self {
        if Reach::of(addr.ip()) != Reach::Public {
            return Self(addr);
        }
        let ip: IpAddr = match addr.ip() {
            IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() & !0xff).into(),
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
        };
        Self(SocketAddr::new(ip, 0))
    }
}

/// Whether both are public IPv6 addresses with the same first `bits`. There many blocks are under one hand: a home has 256
/// of them (a /56), whoever asks a tunnel broker 65,536 (a /48), a provider 2^32 (a /32).
pub fn share_ipv6(a: SocketAddr, b: SocketAddr, bits: u32) -> bool {
    let is_public = |ip: Ipv6Addr| Reach::of(ip.into()) == Reach::Public;
    match (a.ip(), b.ip()) {
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            (a.to_bits() ^ b.to_bits()).leading_zeros() >= bits && is_public(a) && is_public(b)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(a: &str, b: &str) -> (bool, bool) {
        let (a, b): (SocketAddr, SocketAddr) = (a.parse().unwrap(), b.parse().unwrap());
        (Host::of(a) == Host::of(b), Block::of(a) == Block::of(b))
    }

    #[test]
    fn public_addresses_are_grouped_and_private_ones_are_not() {
        assert_eq!(same("80.0.1.1:1", "80.0.1.1:2"), (true, true));
        assert_eq!(same("80.0.1.1:1", "80.0.1.2:1"), (false, true));
        assert_eq!(same("80.0.1.1:1", "80.0.2.1:1"), (false, false));
        assert_eq!(same("[2a00::1]:1", "[2a00::2]:1"), (true, true));
        assert_eq!(same("[2a00::1]:1", "[2a00:0:0:1::1]:1"), (false, false));
        assert_eq!(same("127.0.0.1:1", "127.0.0.1:2"), (false, false));
    }

    #[test]
    fn wide_blocks_are_of_ipv6_alone() {
        let share = |a: &str, b: &str, bits| share_ipv6(a.parse().unwrap(), b.parse().unwrap(), bits);
        assert!(share("[2a00:1:2:3::1]:1", "[2a00:1:2:4::1]:2", 48));
        assert!(!share("[2a00:1:2:3::1]:1", "[2a00:1:3:3::1]:1", 48));
        assert!(share("[2a00:1:2:3::1]:1", "[2a00:1:3:3::1]:1", 32));
        assert!(!share("[2a00:1:2:3::1]:1", "[2a00:2:2:3::1]:1", 32));
        assert!(!share("[2001:db8::1]:1", "[2001:db8::1]:2", 32), "private");
        assert!(!share("80.0.1.1:1", "80.0.1.1:1", 8));
    }
}
