//! Who counts as one party.
//!
//! An attacker with one public address can have any number of ports and ids, one with a block of addresses most of its
//! /24. So public addresses are one host whatever the port, and one block whatever the last byte. Private addresses
//! occur only where the user lets them in, in labs where a host stands for many: there every port is its own party.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::types::Reach;

/// One host: a public IP address, or a private address with port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host(SocketAddr);

/// One block of addresses under one hand: a public IPv4 /24 or IPv6 /64, or a private address with port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Block(SocketAddr);

impl Host {
    /// The host at `addr`.
    pub fn of(addr: SocketAddr) -> Self {
        match Reach::of(addr.ip()) {
            Reach::Public => Self(SocketAddr::new(addr.ip(), 0)),
            Reach::Private | Reach::Nowhere => Self(addr),
        }
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
        assert_eq!(same("[2a00::1]:1", "[2a00::2]:1"), (false, true));
        assert_eq!(same("[2a00::1]:1", "[2a00:0:0:1::1]:1"), (false, false));
        assert_eq!(same("127.0.0.1:1", "127.0.0.1:2"), (false, false));
    }
}
