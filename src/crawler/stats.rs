//! Counters and gauges of the crawler.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::dht::NodeStats;

/// All nodes together. Counters are since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CoreStats {
    /// Gauge: good contacts in all routing tables.
    pub contacts: u64,
    /// Gauge: distinct contacts that answered, in the shared book.
    pub contacts_known: u64,
    pub datagrams_in: u64,
    pub datagrams_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Nodes visited for a sample, and samples shown.
    pub visits: u64,
    pub samples_shown: u64,
    /// Zones of the ID space that were swept for samples since the start.
    pub zones_swept: u64,
    /// Gauge: zones in all.
    pub zones: u64,
    /// Credible sightings by what they are.
    pub seen_get_peers: u64,
    pub seen_announces: u64,
    pub seen_samples: u64,
    /// Infohashes that were not known to be credible, by what made them so.
    pub found_by_get_peers: u64,
    pub found_by_announces: u64,
    pub found_by_samples: u64,
    /// Questions by which others tend their tables.
    pub upkeep: u64,
    /// Heard from networks that lie.
    pub shunned: u64,
    /// Heard, but not credible yet.
    pub held: u64,
    /// Infohashes that cannot exist.
    pub impossible: u64,
    /// Heard from our own nodes.
    pub own: u64,
    /// Datagrams dropped: not a message.
    pub malformed: u64,
    /// Datagrams dropped: out of scope.
    pub out_of_scope: u64,
    /// Datagrams dropped or not answered: beyond a rate.
    pub over_rate: u64,
    /// Datagrams that were not looked at: their receiver is not at work, since the machine has no room for it.
    pub shed: u64,
    /// Questions that were held back, since the remote, the router or the line had enough of us; most are asked later.
    pub withheld: u64,
    /// Answers that were held back for the same reasons.
    pub answers_withheld: u64,
    /// How often nothing more could be asked for a moment, since the questions of a second were used up.
    pub pauses: u64,
    /// Gauge: flows open in the router, at most as many as are allowed.
    pub flows: u64,
    /// Datagrams dropped: replies to nothing that was asked.
    pub unsolicited: u64,
    /// Announces without a valid token.
    pub bad_tokens: u64,
    /// Datagrams that were not sent since the outgoing queue was full.
    pub transmits_dropped: u64,
    /// What nodes had to tell beyond their queues.
    pub events_lost: u64,
    /// Gauge: searches for peers under way.
    pub searches: u64,
    /// Gauge: infohashes announced regularly.
    pub announced: u64,
    /// Announces that at least one node took.
    pub announces_done: u64,
    /// Searches that ended.
    pub searches_done: u64,
    /// Leading bits that the eight nodes closest to a target share with it: log2(nodes of the network / 8).
    pub depth: u32,
    /// Our address as others see it.
    pub external: Option<IpAddr>,
    /// Rounds of regular work done; stands still if the crawler does.
    pub ticks: u64,
}

impl CoreStats {
    /// Adds one node's counters and gauges.
    pub(super) fn add_node(&mut self, node: &NodeStats) {
        self.contacts += node.contacts;
        self.add_counters(node);
    }

    /// Adds the counters only, as those of a node that is gone.
    pub(super) fn add_counters(&mut self, node: &NodeStats) {
        self.datagrams_in += node.datagrams_in;
        // What leaves us is counted where it leaves.
        self.bytes_in += node.bytes_in;
        self.malformed += node.malformed;
        self.out_of_scope += node.out_of_scope;
        self.over_rate += node.flooding + node.over_budget;
        self.unsolicited += node.unsolicited;
        self.bad_tokens += node.bad_tokens;
        self.transmits_dropped += node.transmits_lost;
        self.events_lost += node.events_lost;
    }

    /// Credible sightings.
    pub fn sightings(&self) -> u64 {
        self.seen_get_peers + self.seen_announces + self.seen_samples
    }

    /// Datagrams and sightings that were malformed, out of scope or beyond a bound.
    pub fn dropped(&self) -> u64 {
        [
            self.malformed,
            self.out_of_scope,
            self.over_rate,
            self.unsolicited,
            self.bad_tokens,
            self.impossible,
            self.transmits_dropped,
            self.events_lost,
        ]
        .iter()
        .sum()
    }
}

/// What the running crawler shows of itself; published about once a second.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CrawlerStatus {
    pub nodes: u32,
    /// Addresses of the sockets, first node first.
    pub sockets: Arc<[SocketAddr]>,
    pub core: CoreStats,
    /// Datagrams that the system did not take.
    pub unsent: u64,
    /// Errors of receiving, which are of the network, not of the datagrams.
    pub receive_errors: u64,
    /// Sightings that the catalogue was too slow for.
    pub sightings_lost: u64,
    /// Peers that the searcher was too slow for.
    pub peers_lost: u64,
    /// Attempts to resolve the bootstrap hosts.
    pub bootstrap_attempts: u64,
}

impl CrawlerStatus {
    /// Datagrams, sightings and peers that were malformed, out of scope or beyond a bound.
    pub fn dropped(&self) -> u64 {
        self.core.dropped() + self.unsent + self.receive_errors + self.sightings_lost + self.peers_lost
    }
}
