//! Under which address others in the local network reach this machine, out of the kernel's tables of routes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Machine, NET};

/// That of the interface with the default route, or another one; an IPv6 one where there is no other.
pub fn of(machine: &Machine) -> Option<IpAddr> {
    let trie = machine.read(format!("{NET}/fib_trie")).unwrap_or_default();
    let local = local(&trie);
    let table = machine.read(format!("{NET}/route")).unwrap_or_default();
    let routes = routes(&table);
    let out = routes.iter().filter(|route| route.is_default()).min_by_key(|route| route.metric);
    let is_out = |address: &&Ipv4Addr| {
        let same = |route: &&Route<'_>| out.is_some_and(|out| out.interface == route.interface && !route.is_default());
        routes.iter().filter(same).any(|route| u32::from(**address) & route.mask == route.network)
    };
    let found = local.iter().find(is_out).or(local.first()).copied().map(IpAddr::V4);
    found.or_else(|| global(&machine.read(format!("{NET}/if_inet6")).unwrap_or_default()).map(IpAddr::V6))
}

/// Own addresses but those of loopback: `|-- 192.168.1.20` above `/32 host LOCAL`.
fn local(trie: &str) -> Vec<Ipv4Addr> {
    let mut last = None;
    let mut found = Vec::new();
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<Ipv4Addr>().ok();
        } else if line == "/32 host LOCAL" {
            found.extend(last.filter(|address| !address.is_loopback() && !found.contains(address)));
        }
    }
    found
}

/// A line of `route` (proc_pid_net(5)).
struct Route<'t> {
    interface: &'t str,
    network: u32,
    metric: u32,
    mask: u32,
}

impl Route<'_> {
    fn is_default(&self) -> bool {
        self.mask == 0
    }
}

/// `eth0 0001A8C0 00000000 0001 0 0 10 00FFFFFF …`, addresses in the byte order of the network seen as numbers of this machine.
fn routes(table: &str) -> Vec<Route<'_>> {
    let address =
        |word: &str| u32::from_str_radix(word, 16).ok().map(|number| u32::from_be_bytes(number.to_ne_bytes()));
    let read = |line| {
        let words: Vec<&str> = str::split_whitespace(line).collect();
        let [interface, network, _, _, _, _, metric, mask, ..] = words[..] else { return None };
        Some(Route { interface, network: address(network)?, metric: metric.parse().ok()?, mask: address(mask)? })
    };
    table.lines().filter_map(read).collect()
}

/// The first one that is good beyond the own network: `20010db8… 02 40 00 80 eth0`, the fourth word being the scope.
fn global(table: &str) -> Option<Ipv6Addr> {
    table.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (address, scope) = (words.next()?, words.nth(2)?);
        let address = u128::from_str_radix(address, 16).ok()?;
        (scope == "00").then(|| Ipv6Addr::from(address))
    })
}
