//! What the sweep knows of a host.

use std::net::{IpAddr, SocketAddr};

use crate::types::Reach;

/// One question for each, or one host could have the whole zone for itself. The port is 0 but for private addresses.
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
    let ip = addr.ip().to_canonical();
    (ip, if Reach::of(ip) == Reach::Public { 0 } else { addr.port() })
}
