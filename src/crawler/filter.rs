//! Which infohash is credible: it was announced with our token, was asked for by somebody who must know it, is held by
//! a node that should hold it, or is heard from different networks. Pure and of bounded memory.
//!
//! Not every infohash in a `get_peers` exists. Clients that look up privately send the true first bits only and
//! randomise the rest, afresh each time, until they are near the target (libtorrent `obfuscated_get_peers`, near:
//! shared bits > depth of the routing table − 4); and a bootstrap asks for the sender's own ID with a random tail
//! (libtorrent `make_id_secret`). To refresh a bucket, libtorrent asks each contact in it for an infohash drawn from that
//! bucket (`send_single_refresh`); being in the same bucket, it shares more leading bits with the asker than with the
//! contact. And nothing in a `sample_infohashes` answer (BEP 51) is proven.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::generations::Generations;
use crate::types::{InfoHash, NodeId, Time};

/// What a private lookup may still obfuscate, in bits below the depth of the network (libtorrent).
const OBFUSCATED_BELOW_DEPTH: u32 = 3;

/// Infohashes heard from one network that wait for another, per generation: 8,192 · 2 · ~80 B, at most 1.3 MB.
const HELD_CAPACITY: usize = 8_192;
/// How long such an infohash waits at least.
const HELD_WINDOW: Duration = Duration::from_secs(30 * 60);
/// Infohashes known to be credible, per generation: 16,384 · 2 · ~25 B, at most 0.9 MB.
const CREDIBLE_CAPACITY: usize = 16_384;
/// How long an infohash stays credible at least without being heard again.
const CREDIBLE_WINDOW: Duration = Duration::from_secs(24 * 3600);
/// Observations remembered to recognise repetitions, per generation; 8 B each.
const REPEAT_CAPACITY: usize = 16_384;
/// A repetition sooner than this (and up to twice as late) tells nothing new: clients ask again within minutes and
/// announce again every 15 to 30.
const REPEAT_WINDOW: Duration = Duration::from_secs(5 * 60);
/// Networks whose share is counted, per generation.
const NETWORK_CAPACITY: usize = 4_096;
/// Infohashes of one network (IPv4 /24, IPv6 /64) believed without a second network, per [`NETWORK_WINDOW`]. A peer
/// with thousands of torrents is heard within hours; an inventor of infohashes cannot fill the catalogue.
const MAX_FIRST_HAND: u32 = 1_024;
/// Over what time [`MAX_FIRST_HAND`] counts.
const NETWORK_WINDOW: Duration = Duration::from_secs(3600);

/// How an infohash was heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SightingKind {
    /// Somebody asked us for its peers.
    GetPeers,
    /// Somebody announced itself as a peer, with a token that we gave to its address.
    Announce {
        /// TCP port at the source's IP address.
        port: u16,
        /// Whether it has everything, if it says (BEP 33).
        seed: Option<bool>,
    },
    /// A node says that it holds peers of it (BEP 51).
    Sample,
}

/// One thing heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    pub infohash: InfoHash,
    pub kind: SightingKind,
    /// Who said so.
    pub source: SocketAddr,
    /// What the source calls itself.
    pub source_id: NodeId,
    /// Which of our nodes heard it.
    pub node: u32,
    /// Leading bits that the infohash shares with the ID of our node.
    pub own_bits: u32,
}

/// What an observation is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The infohash exists, as far as one can tell. `earlier` was held until now and counts too.
    Credible { earlier: Option<Observation> },
    /// Remembered until another network says the same.
    Held,
    /// The same source said so a short while ago.
    Repeated,
    /// Nothing can exist under this infohash.
    Impossible,
}

/// The IPv4 /24 or IPv6 /64 of an address, with its family.
type Network = (bool, [u8; 8]);

/// Judges observations; see the module.
#[derive(Debug)]
pub struct Filter {
    /// Mixed into hashes, so that nobody outside can make them collide.
    seed: u64,
    /// Estimated log2 of the network's nodes, less 3: leading bits that the 8 nodes closest to a target share with it.
    depth: u32,
    held: Generations<InfoHash, Observation>,
    credible: Generations<InfoHash, ()>,
    repeats: Generations<u64, ()>,
    networks: Generations<Network, u32>,
}

impl Filter {
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            depth: 0,
            held: Generations::new(HELD_CAPACITY, HELD_WINDOW),
            credible: Generations::new(CREDIBLE_CAPACITY, CREDIBLE_WINDOW),
            repeats: Generations::new(REPEAT_CAPACITY, REPEAT_WINDOW),
            networks: Generations::new(NETWORK_CAPACITY, NETWORK_WINDOW),
        }
    }

    /// Sets the number of leading bits that the eight nodes closest to any target share with it, as our own
    /// neighbourhood shows; log2(nodes / 8) in a network of evenly placed nodes.
    pub fn set_depth(&mut self, depth: u32) {
        self.depth = depth;
    }

    /// The number set by [`Filter::set_depth`].
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// Judges one observation and remembers what later ones need.
    pub fn observe(&mut self, now: Time, observation: &Observation) -> Verdict {
        let infohash = observation.infohash;
        if infohash.0.iter().all(|byte| *byte == infohash.0[0]) {
            return Verdict::Impossible;
        }
        let fingerprint = self.fingerprint(observation);
        if self.repeats.get(now, &fingerprint).is_some() {
            return Verdict::Repeated;
        }
        if self.credible.get(now, &infohash).is_some() {
            self.credible.insert(now, infohash, ());
            self.repeats.insert(now, fingerprint, ());
            return Verdict::Credible { earlier: None };
        }
        let network = network(observation.source.ip());
        let earlier = self.held.get(now, &infohash).copied();
        let confirmed = earlier.is_some_and(|earlier| self::network(earlier.source.ip()) != network);
        if confirmed || (self.is_first_hand(observation) && self.take_share(now, network)) {
            self.held.remove(now, &infohash);
            self.credible.insert(now, infohash, ());
            self.repeats.insert(now, fingerprint, ());
            return Verdict::Credible { earlier };
        }
        if earlier.is_none() {
            self.held.insert(now, infohash, *observation);
        }
        Verdict::Held
    }

    /// Entries in all tables, for status and tests.
    pub fn entries(&self) -> usize {
        self.held.len() + self.credible.len() + self.repeats.len() + self.networks.len()
    }

    /// Whether this observation alone is enough.
    fn is_first_hand(&self, observation: &Observation) -> bool {
        let near = self.depth.saturating_sub(OBFUSCATED_BELOW_DEPTH);
        let source_bits = observation.infohash.distance(&observation.source_id.0).shared_bits();
        match observation.kind {
            SightingKind::Announce { .. } => true,
            // Who is nearer to the infohash than we are may only be tending its own table, as a refresh or a bootstrap
            // does. A real search comes from anywhere: near us, such a source is as rare as any other neighbour.
            SightingKind::GetPeers => observation.own_bits >= near && source_bits <= observation.own_bits,
            // Peers are stored at the nodes closest to the infohash.
            SightingKind::Sample => source_bits >= near,
        }
    }

    /// Counts a newly believed infohash of `network`; false if it has had its share.
    fn take_share(&mut self, now: Time, network: Network) -> bool {
        let taken = self.networks.get(now, &network).copied().unwrap_or(0);
        if taken >= MAX_FIRST_HAND {
            return false;
        }
        self.networks.insert(now, network, taken + 1);
        true
    }

    fn fingerprint(&self, observation: &Observation) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.seed.hash(&mut hasher);
        observation.infohash.hash(&mut hasher);
        observation.source.ip().hash(&mut hasher);
        observation.kind.hash(&mut hasher);
        hasher.finish()
    }
}

fn network(ip: IpAddr) -> Network {
    let mut prefix = [0; 8];
    match ip.to_canonical() {
        IpAddr::V4(v4) => prefix[..3].copy_from_slice(&v4.octets()[..3]),
        IpAddr::V6(v6) => prefix.copy_from_slice(&v6.octets()[..8]),
    }
    (ip.to_canonical().is_ipv4(), prefix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ANNOUNCE: SightingKind = SightingKind::Announce { port: 6881, seed: None };

    fn infohash(number: u64) -> InfoHash {
        let mut id = [1; 20];
        id[..8].copy_from_slice(&number.to_be_bytes());
        InfoHash(id)
    }

    /// The source's ID shares no bit with the infohash, that of our node 5.
    fn heard(number: u64, kind: SightingKind, source: &str) -> Observation {
        let infohash = infohash(number);
        let source_id = sharing(infohash, 0);
        Observation { infohash, kind, source: source.parse().unwrap(), source_id, node: 0, own_bits: 5 }
    }

    fn asked_far(number: u64, source: &str) -> Observation {
        heard(number, SightingKind::GetPeers, source)
    }

    fn asked_near(number: u64, source: &str) -> Observation {
        Observation { own_bits: 17, ..asked_far(number, source) }
    }

    /// An ID that shares exactly `bits` leading bits.
    fn sharing(infohash: InfoHash, bits: usize) -> NodeId {
        let mut id = infohash.0;
        id[bits / 8] ^= 0x80 >> (bits % 8);
        NodeId(id)
    }

    /// A filter in a network of millions.
    fn deep() -> Filter {
        let mut filter = Filter::new(1);
        filter.set_depth(20);
        filter
    }

    const CREDIBLE: Verdict = Verdict::Credible { earlier: None };

    #[test]
    fn announce_near_question_and_near_sample_are_believed() {
        let mut filter = deep();
        assert_eq!(filter.observe(Time::ZERO, &heard(1, ANNOUNCE, "8.8.8.8:1")), CREDIBLE);
        assert_eq!(filter.observe(Time::ZERO, &asked_near(2, "8.8.8.8:1")), CREDIBLE);
        let sample = Observation { source_id: sharing(infohash(3), 17), ..heard(3, SightingKind::Sample, "8.8.8.8:1") };
        assert_eq!(filter.observe(Time::ZERO, &sample), CREDIBLE);
        assert_eq!(filter.observe(Time::ZERO, &asked_far(3, "8.8.8.9:1")), CREDIBLE, "known to exist by now");
    }

    #[test]
    fn far_question_waits_for_another_network() {
        let mut filter = deep();
        let first = asked_far(1, "8.8.8.8:1");
        assert_eq!(filter.observe(Time::ZERO, &first), Verdict::Held);
        assert_eq!(filter.observe(Time::ZERO, &asked_far(1, "8.8.8.99:1")), Verdict::Held, "same /24");
        assert_eq!(filter.observe(Time::ZERO, &first), Verdict::Held, "same source");
        let second = asked_far(1, "9.9.9.9:1");
        assert_eq!(filter.observe(Time::ZERO, &second), Verdict::Credible { earlier: Some(first) });
    }

    #[test]
    fn lookup_that_comes_nearer_is_believed_then() {
        let mut filter = deep();
        let far = asked_far(1, "8.8.8.8:1");
        assert_eq!(filter.observe(Time::ZERO, &far), Verdict::Held);
        let near = asked_near(1, "8.8.8.8:1");
        assert_eq!(filter.observe(Time::ZERO, &near), Verdict::Credible { earlier: Some(far) });
    }

    #[test]
    fn decoys_are_never_believed() {
        let mut filter = deep();
        // A private lookup: the same true prefix, a new tail each time, from many networks.
        for number in 0..2000 {
            let source = format!("{}.{}.1.1:6881", 1 + number % 200, number / 200);
            assert_eq!(filter.observe(Time::ZERO, &asked_far(number, &source)), Verdict::Held);
        }
        let own_id = Observation { source_id: sharing(infohash(9999), 96), ..asked_near(9999, "7.7.7.7:1") };
        assert_eq!(filter.observe(Time::ZERO, &own_id), Verdict::Held, "a bootstrap");
        let refresh = Observation { source_id: sharing(infohash(9997), 18), ..asked_near(9997, "7.7.7.7:1") };
        assert_eq!(
            filter.observe(Time::ZERO, &refresh),
            Verdict::Held,
            "from a bucket that holds us and not the asker"
        );
        let far_sample = heard(9998, SightingKind::Sample, "7.7.7.7:1");
        assert_eq!(filter.observe(Time::ZERO, &far_sample), Verdict::Held, "would not be stored there");
        let zero = Observation { infohash: InfoHash([0; 20]), ..heard(0, ANNOUNCE, "7.7.7.7:1") };
        assert_eq!(filter.observe(Time::ZERO, &zero), Verdict::Impossible);
    }

    #[test]
    fn small_network_needs_no_shared_bits() {
        let mut filter = Filter::new(1);
        filter.set_depth(3);
        let far = Observation { own_bits: 0, ..asked_far(1, "127.0.0.2:1") };
        assert_eq!(filter.observe(Time::ZERO, &far), CREDIBLE);
    }

    #[test]
    fn repetition_counts_once_in_a_while() {
        let mut filter = deep();
        let announce = heard(1, ANNOUNCE, "8.8.8.8:1");
        assert_eq!(filter.observe(Time::ZERO, &announce), CREDIBLE);
        assert_eq!(filter.observe(Time::ZERO, &announce), Verdict::Repeated);
        let other_port = heard(1, SightingKind::Announce { port: 1, seed: None }, "8.8.8.8:1");
        assert_eq!(filter.observe(Time::ZERO, &other_port), CREDIBLE, "another peer");
        assert_eq!(filter.observe(Time::ZERO + REPEAT_WINDOW * 2, &announce), CREDIBLE);
    }

    #[test]
    fn inventor_of_infohashes_gets_a_share_only() {
        let mut filter = deep();
        let believed = |filter: &mut Filter, source: &str, now| {
            let announces = (0..3000).map(|number| heard(number, ANNOUNCE, source));
            announces.filter(|one| matches!(filter.observe(now, one), Verdict::Credible { .. })).count()
        };
        assert_eq!(believed(&mut filter, "8.8.8.8:1", Time::ZERO), MAX_FIRST_HAND as usize);
        assert_eq!(believed(&mut filter, "9.9.9.9:1", Time::ZERO), 3000, "confirms what the first one said");
        let later = Time::ZERO + NETWORK_WINDOW * 2;
        assert_eq!(filter.observe(later, &heard(5000, ANNOUNCE, "8.8.8.8:1")), CREDIBLE, "a new share");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2))]
        #[test]
        fn memory_is_bounded(seed: u64) {
            let mut filter = Filter::new(seed);
            filter.set_depth(20);
            let bound = 2 * (HELD_CAPACITY + CREDIBLE_CAPACITY + REPEAT_CAPACITY + NETWORK_CAPACITY);
            for number in 0..60_000u64 {
                let bits = (number.wrapping_mul(seed | 1) >> 32) as u32;
                let source = SocketAddr::from((bits.to_be_bytes(), 6881));
                let kind = if number % 2 == 0 { SightingKind::GetPeers } else { ANNOUNCE };
                filter.observe(Time::from_millis(number), &Observation { source, ..heard(number, kind, "8.8.8.8:1") });
                prop_assert!(filter.entries() <= bound);
            }
        }
    }
}
