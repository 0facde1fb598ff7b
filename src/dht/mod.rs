//! One Mainline DHT node without sockets or clocks (BEP 5, 32, 42, 43, 51).
//!
//! [`Node`] is a value: datagrams and the time go in, datagrams and [`Event`]s come out. The shell that owns the socket
//! does, in this order and for ever: hand in what was received ([`Node::handle_datagram`]); call
//! [`Node::handle_timeout`] when [`Node::poll_timeout`] is due; send all of [`Node::poll_transmit`]; take all of
//! [`Node::poll_event`]. Everything that the node keeps is bounded, so a shell that is late loses datagrams or
//! sightings, which are counted, and nothing else.
//!
//! A node speaks one address family, that of its socket; a dual stack is two nodes, as BEP 32 has it.

mod api;
pub mod bep42;
mod guard;
pub mod krpc;
mod lookup;
mod node;
mod origin;
mod pending;
mod samples;
#[cfg(test)]
mod sim;
mod store;
mod table;
mod token;
mod votes;

pub use api::{
    Contact, Event, Family, Lookup, LookupId, NodeConfig, NodeStats, SightingKind, TooManyLookups, Transmit,
};
pub use node::Node;
