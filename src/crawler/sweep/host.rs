//! What the sweep knows of a host.

use std::net::{IpAddr, SocketAddr};

use crate::dht;

/// One question for each, or one host could have the whole zone for itself: address and port of [`dht::Host`]. Of IPv6 it is
/// the network of a home, in which a host has as many addresses as it likes.
pub(super) type Host = (IpAddr, u16);

/// What is known of a host of the zone.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Known {
    /// How often it was named.
    pub named: u8,
    pub answered: bool,
}

/// The host of an address.
pub(super) fn host(addr: SocketAddr) -> Host {
    let host = dht::Host::of(SocketAddr::new(addr.ip().to_canonical(), addr.port())).addr();
    (host.ip(), host.port())
}
