//! Which addresses of the network are talked to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::Deserialize;

/// Which addresses are talked to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Public unicast addresses only.
    #[default]
    Public,
    /// Loopback and private addresses too: labs and LANs.
    Private,
}

impl Scope {
    /// Whether a packet may be sent to `addr`, or one from it believed. Port 0, multicast, broadcast and addresses
    /// that name no host are refused in every scope. An IPv4 address inside IPv6 counts as the IPv4 address.
    pub fn admits(self, addr: SocketAddr) -> bool {
        let reach = Reach::of(addr.ip());
        addr.port() != 0 && (reach == Reach::Public || (self == Self::Private && reach == Reach::Private))
    }
}

/// How far an address can be reached (IANA special-purpose registries, RFC 6890).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// From everywhere.
    Public,
    /// Inside a host, a link, a site or a lab.
    Private,
    /// Names no single host: unspecified, multicast, broadcast, reserved.
    Nowhere,
}

impl Reach {
    /// How far `ip` can be reached.
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::of_v4(ip),
            IpAddr::V6(ip) => Self::of_v6(ip),
        }
    }

    fn of_v4(ip: Ipv4Addr) -> Self {
        match ip.octets() {
            [0 | 224..=255, ..] => Self::Nowhere,
            [10 | 127, ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 168, ..]
            | [192, 0, 0 | 2, _]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _] => Self::Private,
            _ => Self::Public,
        }
    }

    fn of_v6(ip: Ipv6Addr) -> Self {
        match ip.segments() {
            _ if ip.is_loopback() => Self::Private,
            [0x2001, 0xdb8, ..] => Self::Private,
            [0x2000..=0x3fff, ..] => Self::Public,
            // Unique local (RFC 4193) and link-local (RFC 4291).
            [0xfc00..=0xfdff | 0xfe80..=0xfebf, ..] => Self::Private,
            _ => Self::Nowhere,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(scope: Scope, addr: &str) -> bool {
        scope.admits(addr.parse().unwrap())
    }

    #[test]
    fn public_addresses_are_admitted_everywhere() {
        for addr in ["80.0.0.1:6881", "[2a00::1]:1", "[::ffff:80.0.0.1]:6881", "172.15.0.1:1", "100.128.0.1:1"] {
            assert!(admits(Scope::Public, addr) && admits(Scope::Private, addr), "{addr}");
        }
    }

    #[test]
    fn private_addresses_need_the_private_scope() {
        let private = [
            "127.0.0.1:1",
            "10.1.2.3:1",
            "192.168.0.1:1",
            "172.31.0.1:1",
            "169.254.0.1:1",
            "100.64.0.1:1",
            "[::1]:1",
            "[fd00::1]:1",
            "[fe80::1]:1",
            "[::ffff:127.0.0.1]:1",
        ];
        for addr in private {
            assert!(!admits(Scope::Public, addr) && admits(Scope::Private, addr), "{addr}");
        }
    }

    #[test]
    fn addresses_of_no_host_are_never_admitted() {
        for addr in
            ["80.0.0.1:0", "0.0.0.0:1", "224.0.0.1:1", "255.255.255.255:1", "240.0.0.1:1", "[::]:1", "[ff02::1]:1"]
        {
            assert!(!admits(Scope::Public, addr) && !admits(Scope::Private, addr), "{addr}");
        }
    }
}
