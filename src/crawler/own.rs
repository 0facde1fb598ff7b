//! What is ours: our addresses, and which of our sockets is a node of which kind.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::types::NodeId;

/// Nodes with a table of their own; those beyond are monitors. Enough to look at the network from everywhere, and to
/// search and sweep as fast as a home's line bears.
pub const MAX_TABLES: u32 = 64;

/// Our own addresses.
#[derive(Debug)]
pub struct Own {
    ip: IpAddr,
    ports: HashSet<u16>,
    /// As others see us.
    pub external: Option<IpAddr>,
}

impl Own {
    /// Of sockets that are all on one IP.
    pub fn new(sockets: &[SocketAddr]) -> Self {
        Self {
            ip: sockets.first().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), SocketAddr::ip),
            ports: sockets.iter().map(SocketAddr::port).collect(),
            external: None,
        }
    }

    /// Takes in further sockets on the same IP.
    pub fn add(&mut self, sockets: &[SocketAddr]) {
        self.ports.extend(sockets.iter().map(SocketAddr::port));
    }

    /// The local address.
    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// Whether the address is that of one of our sockets.
    pub fn holds(&self, addr: SocketAddr) -> bool {
        let ip = addr.ip().to_canonical();
        let here = ip == self.ip || (self.ip.is_unspecified() && ip.is_loopback());
        self.ports.contains(&addr.port()) && (here || self.external == Some(ip))
    }
}

/// What a socket is: the number of a node with a table, or of a monitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Node(u32),
    Monitor(u32),
}

/// Who has which socket: the first ones are nodes with tables, the others monitors. Ids are placed so that those of the first
/// sockets lie as evenly as all of them ([`place`](super::placement::place)).
#[derive(Debug, Clone, Copy)]
pub struct Roles {
    sockets: u32,
}

impl Roles {
    /// For so many sockets.
    pub fn new(sockets: u32) -> Self {
        Self { sockets }
    }

    /// What a socket is.
    pub fn role(self, socket: u32) -> Role {
        if socket < MAX_TABLES { Role::Node(socket) } else { Role::Monitor(socket - MAX_TABLES) }
    }

    /// The socket of a node with a table.
    pub fn socket_of_node(self, node: u32) -> u32 {
        node
    }

    /// The socket of a monitor.
    pub fn socket_of_monitor(self, monitor: u32) -> u32 {
        monitor.saturating_add(MAX_TABLES)
    }

    /// Of all ids, in the order of the sockets, those of the nodes with tables and those of the monitors.
    pub fn split(ids: &[NodeId]) -> (&[NodeId], &[NodeId]) {
        ids.split_at(ids.len().min(MAX_TABLES as usize))
    }

    /// Sockets in all.
    pub fn sockets(self) -> u32 {
        self.sockets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_socket_has_one_role(sockets in 0u32..3000) {
            let roles = Roles::new(sockets);
            let (mut nodes, mut monitors) = (0, 0);
            for socket in 0..sockets {
                match roles.role(socket) {
                    Role::Node(node) => {
                        prop_assert_eq!(node, nodes);
                        prop_assert_eq!(roles.socket_of_node(node), socket);
                        nodes += 1;
                    }
                    Role::Monitor(monitor) => {
                        prop_assert_eq!(monitor, monitors);
                        prop_assert_eq!(roles.socket_of_monitor(monitor), socket);
                        monitors += 1;
                    }
                }
            }
            prop_assert_eq!((nodes, nodes + monitors), (sockets.min(MAX_TABLES), sockets));
        }
    }
}
