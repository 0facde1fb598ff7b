//! Which addresses may be talked to, also those that other peers tell librqbit about (PEX).

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// From where our own process feeds peers to the session (see [`super::feeder`]): a loopback address that nothing else
/// uses, so that it alone can be let through where loopback is closed.
pub(super) const FEEDER_IP: Ipv4Addr = Ipv4Addr::new(127, 83, 83, 83);

/// IPv4 that is not public unicast (IANA special-purpose registry, RFC 6890): address and prefix length.
const CLOSED_V4: [(Ipv4Addr, u32); 14] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// IPv6: only 2000::/3 is global unicast (RFC 4291), without the documentation prefix.
const OPEN_V6: (u128, u32) = (0x2000 << 112, 3);
const DOCUMENTATION_V6: (u128, u32) = (0x2001_0db8 << 96, 32);

fn within_v4(ip: Ipv4Addr, (net, len): (Ipv4Addr, u32)) -> bool {
    (ip.to_bits() ^ net.to_bits()) >> (32 - len) == 0
}

fn within_v6(ip: u128, (net, len): (u128, u32)) -> bool {
    (ip ^ net) >> (128 - len) == 0
}

/// Whether a peer at `addr` may be connected to. Private scope takes loopback and private networks too.
pub(super) fn allows(private: bool, addr: SocketAddr) -> bool {
    if addr.port() == 0 || addr.ip().is_unspecified() || addr.ip().is_multicast() {
        return false;
    }
    match addr.ip().to_canonical() {
        _ if private => true,
        IpAddr::V4(ip) => !CLOSED_V4.iter().any(|net| within_v4(ip, *net)),
        IpAddr::V6(ip) => within_v6(ip.to_bits(), OPEN_V6) && !within_v6(ip.to_bits(), DOCUMENTATION_V6),
    }
}

/// The closed ranges of public scope as librqbit reads them (`name:first-last` a line), without the addresses from
/// which our own feeder connects.
pub(super) fn blocklist(own: &[IpAddr]) -> String {
    let mut out = String::new();
    let mut own_v4: Vec<u32> =
        own.iter().filter_map(|ip| if let IpAddr::V4(ip) = ip { Some(ip.to_bits()) } else { None }).collect();
    own_v4.sort_unstable();
    for (net, len) in CLOSED_V4 {
        let start = net.to_bits();
        let last = start | (u32::MAX >> len);
        let mut first = start;
        for hole in own_v4.iter().copied().filter(|ip| (start..=last).contains(ip)) {
            if hole > first {
                line(&mut out, Ipv4Addr::from_bits(first), Ipv4Addr::from_bits(hole - 1));
            }
            first = hole.saturating_add(1);
        }
        if first <= last {
            line(&mut out, Ipv4Addr::from_bits(first), Ipv4Addr::from_bits(last));
        }
    }
    let mut own_v6: Vec<u128> =
        own.iter().filter_map(|ip| if let IpAddr::V6(ip) = ip { Some(ip.to_bits()) } else { None }).collect();
    own_v6.sort_unstable();
    let documentation = DOCUMENTATION_V6.0;
    for (start, last) in
        [(0, OPEN_V6.0 - 1), (documentation, documentation | (u128::MAX >> 32)), (0x4000 << 112, u128::MAX)]
    {
        let mut first = start;
        for hole in own_v6.iter().copied().filter(|ip| (start..=last).contains(ip)) {
            if hole > first {
                line(&mut out, Ipv6Addr::from_bits(first), Ipv6Addr::from_bits(hole - 1));
            }
            first = hole.saturating_add(1);
        }
        if first <= last {
            line(&mut out, Ipv6Addr::from_bits(first), Ipv6Addr::from_bits(last));
        }
    }
    out
}

fn line(out: &mut String, first: impl std::fmt::Display, last: impl std::fmt::Display) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "closed:{first}-{last}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn blocked(list: &str, ip: IpAddr) -> bool {
        list.lines().any(|line| {
            let (first, last) = line.strip_prefix("closed:").unwrap().split_once('-').unwrap();
            let (first, last): (IpAddr, IpAddr) = (first.parse().unwrap(), last.parse().unwrap());
            first.is_ipv4() == ip.is_ipv4() && (first..=last).contains(&ip)
        })
    }

    #[test]
    fn only_the_feeder_passes_among_loopback_addresses() {
        let list = blocklist(&[FEEDER_IP.into(), "192.168.1.7".parse().unwrap()]);
        for (ip, expected) in [
            ("127.83.83.83", false),
            ("127.83.83.82", true),
            ("127.83.83.84", true),
            ("127.0.0.1", true),
            ("192.168.1.7", false),
            ("192.168.1.8", true),
            ("80.0.0.1", false),
            ("255.255.255.254", true),
            ("::1", true),
            ("fe80::1", true),
            ("2001:db8::1", true),
            ("2a00::1", false),
        ] {
            assert_eq!(blocked(&list, ip.parse().unwrap()), expected, "{ip}");
        }
    }

    #[test]
    fn scope_decides_about_loopback() {
        let local = "127.0.0.1:6881".parse().unwrap();
        assert!(allows(true, local) && !allows(false, local));
        assert!(!allows(true, "127.0.0.1:0".parse().unwrap()));
        assert!(!allows(true, "224.0.0.1:6881".parse().unwrap()));
        assert!(!allows(false, "[::ffff:10.0.0.1]:6881".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn list_and_predicate_agree_in_public_scope(v4: u32, v6: u128) {
            let list = blocklist(&[]);
            for ip in [IpAddr::V4(Ipv4Addr::from_bits(v4)), IpAddr::V6(Ipv6Addr::from_bits(v6))] {
                prop_assume!(!matches!(ip, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()));
                prop_assert_eq!(!blocked(&list, ip), allows(false, SocketAddr::new(ip, 6881)), "{}", ip);
            }
        }
    }
}
