//! The node: where datagrams, time, table and lookups meet.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::api::{Contact, Event, Lookup, LookupId, NodeConfig, NodeStats, TooManyLookups, Transmit};
use crate::types::{InfoHash, NodeId, Time};

/// A DHT node; see the module for how to drive it.
#[derive(Debug)]
pub struct Node {
    config: NodeConfig,
    id: NodeId,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
    stats: NodeStats,
}

impl Node {
    /// A node that knows nobody. `seed` decides everything random in it.
    pub fn new(config: NodeConfig, id: NodeId, _seed: u64, _now: Time) -> Self {
        Self { config, id, transmits: VecDeque::new(), events: VecDeque::new(), stats: NodeStats::default() }
    }

    /// Its own id.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Takes another id, say one that is valid for an external address just learnt; contacts and peers are kept.
    pub fn set_id(&mut self, _now: Time, id: NodeId) {
        self.id = id;
    }

    /// Takes in a datagram from `from`.
    pub fn handle_datagram(&mut self, _now: Time, from: SocketAddr, _datagram: &[u8]) {
        if !self.config.scope.admits(from) {
            self.stats.out_of_scope += 1;
        }
    }

    /// Does what is due. May be called at any time.
    pub fn handle_timeout(&mut self, _now: Time) {}

    /// When [`Self::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Option<Time> {
        None
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Enters the DHT through `routers`, which are asked but never kept as contacts. They are asked again, with
    /// back-off, whenever the node knows nobody.
    pub fn bootstrap(&mut self, _now: Time, _routers: &[SocketAddr]) {}

    /// Offers a contact from hearsay; it is asked, and kept if it answers.
    pub fn add_contact(&mut self, _now: Time, _contact: Contact) {}

    /// Starts a lookup.
    ///
    /// # Errors
    /// If too many are running.
    pub fn start(&mut self, _now: Time, _lookup: Lookup) -> Result<LookupId, TooManyLookups> {
        Err(TooManyLookups { limit: 0 })
    }

    /// Ends a lookup without an event.
    pub fn cancel(&mut self, _lookup: LookupId) {}

    /// The good contacts: those that answered, and were heard of within the last quarter of an hour.
    pub fn contacts(&self) -> impl Iterator<Item = Contact> + '_ {
        std::iter::empty()
    }

    /// The good contacts closest to `target`, closest first.
    pub fn closest(&self, _target: &[u8; 20], _count: usize) -> Vec<Contact> {
        Vec::new()
    }

    /// Peers of a torrent that announced themselves here, at most `count`.
    pub fn stored_peers(&self, _infohash: &InfoHash, _count: usize) -> Vec<SocketAddr> {
        Vec::new()
    }

    /// The counters.
    pub fn stats(&self) -> NodeStats {
        self.stats
    }
}
