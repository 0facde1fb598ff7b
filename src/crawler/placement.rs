//! Where our nodes stand in the 160-bit ID space, and which of them is closest to a target.

use std::net::IpAddr;

use rand::Rng;

use crate::config::{IdStrategy, Zone};
use crate::dht::bep42;
use crate::types::NodeId;

/// 32-bit limbs of an identifier.
const LIMBS: usize = NodeId::LEN / 4;
/// Places of the ID space that one address may hold (BEP 42).
const BEP42_PLACES: u8 = 8;

/// One ID for each of `count` nodes.
///
/// `Spread` cuts the space in `count` equal intervals and draws one ID uniformly from each, so that every infohash has a
/// node of ours within one interval of it; `Zone` does so within its part of the space; `Random` draws each from the whole
/// space. `Bep42` begins as `Spread` and depends on an address that others must tell first ([`bind_to`]).
///
/// They are in such an order that those of any beginning lie about as evenly as all of them (van der Corput's sequence), and
/// just as evenly where it halves a number again and again.
pub fn place(strategy: IdStrategy, count: u32, rng: &mut impl Rng) -> Vec<NodeId> {
    let mut ids = Vec::new();
    grow(strategy, &mut ids, count, rng);
    ids
}

/// Places further nodes until there are `count`; those that are there stay. If `ids` were placed for half as many, all of
/// them are as if they had been placed at once.
pub fn grow(strategy: IdStrategy, ids: &mut Vec<NodeId>, count: u32, rng: &mut impl Rng) {
    let mut taken: Vec<u32> = ids.iter().map(|id| interval_of(&unzoned(id, strategy), count)).collect();
    taken.sort_unstable();
    for index in evenly(count) {
        if ids.len() >= count as usize {
            break;
        }
        let drawn = NodeId(rng.random());
        match strategy {
            IdStrategy::Random => ids.push(drawn),
            _ if taken.binary_search(&index).is_ok() => {}
            IdStrategy::Spread | IdStrategy::Bep42 => ids.push(into_interval(drawn, index, count)),
            IdStrategy::Zone(zone) => ids.push(into_zone(into_interval(drawn, index, count), zone)),
        }
    }
}

/// Puts IDs that ascend into the order in which [`place`] has them.
pub fn rank(ids: &mut Vec<NodeId>) {
    *ids =
        evenly(u32::try_from(ids.len()).unwrap_or(u32::MAX)).filter_map(|at| ids.get(at as usize).copied()).collect();
}

/// The numbers below `count`, with the bits of their order counted from the other end.
fn evenly(count: u32) -> impl Iterator<Item = u32> {
    let bits = count.next_power_of_two().trailing_zeros();
    (0..1_u64 << bits)
        .map(move |at| ((at as u32).reverse_bits()).checked_shr(32 - bits).unwrap_or_default())
        .filter(move |at| *at < count)
}

/// An ID of a zone scaled to the whole space; others as they are.
fn unzoned(id: &NodeId, strategy: IdStrategy) -> NodeId {
    let IdStrategy::Zone(zone) = strategy else { return *id };
    let mut whole = [0; NodeId::LEN];
    // As many bits as tell the intervals apart.
    whole[..8].copy_from_slice(&(first_bits(id) << zone.bits()).to_be_bytes());
    NodeId(whole)
}

fn first_bits(id: &NodeId) -> u64 {
    id.0.iter().take(8).fold(0, |bits, byte| (bits << 8) | u64::from(*byte))
}

/// Which of `count` equal intervals of the ID space holds `id`, from 0.
pub fn interval_of(id: &NodeId, count: u32) -> u32 {
    // floor(id · count / 2^160): the carry that leaves the top limb.
    let carry = limbs(id).iter().rev().fold(0, |carry, limb| (u64::from(*limb) * u64::from(count) + carry) >> 32);
    carry as u32
}

/// Whether IDs that were kept from an earlier run are what `place` could have drawn for this configuration.
pub fn fits(strategy: IdStrategy, count: u32, ids: &[NodeId]) -> bool {
    ids.len() == count as usize
        && match strategy {
            IdStrategy::Random | IdStrategy::Bep42 => true,
            IdStrategy::Spread => {
                let mut intervals: Vec<_> = ids.iter().map(|id| interval_of(id, count)).collect();
                intervals.sort_unstable();
                intervals.into_iter().eq(0..count)
            }
            IdStrategy::Zone(zone) => ids.iter().all(|id| zone.holds(id)),
        }
}

/// Gives as many nodes as the strategy wants an ID that is valid for our public address `ip` (BEP 42), as other clients
/// prefer; true if one changed. Nothing changes for an address that is not public, and in a zone.
///
/// An address has 8 places. For IPv4 they lie one in each eighth of the ID space, whatever the address (their CRCs
/// differ by fixed values, whose first three bits are a basis), so up to 8 spread nodes lose nothing by it. The nodes
/// beyond keep their unbound IDs, unless the strategy is `Bep42`: then they share the places, evenly within each.
pub fn bind_to(ip: IpAddr, strategy: IdStrategy, ids: &mut [NodeId], rng: &mut impl Rng) -> bool {
    let count = u32::try_from(ids.len()).unwrap_or(u32::MAX);
    match strategy {
        IdStrategy::Zone(_) => false,
        IdStrategy::Bep42 => bind_all(ip, ids, rng),
        IdStrategy::Spread | IdStrategy::Random => {
            let mut changed = false;
            for place in 0..BEP42_PLACES {
                let bound = bep42::generate_at(ip, place, rng);
                // All IDs of a place begin alike.
                if ids.iter().any(|id| id.0[..2] == bound.0[..2] && bep42::is_valid(id, ip)) {
                    continue;
                }
                let index = if strategy == IdStrategy::Spread {
                    let interval = interval_of(&bound, count);
                    ids.iter().position(|id| interval_of(id, count) == interval)
                } else {
                    Some(usize::from(place))
                };
                let id = index.and_then(|index| ids.get_mut(index)).filter(|id| !bep42::is_valid(id, ip));
                if let Some(id) = id {
                    *id = bound;
                    changed = true;
                }
            }
            changed
        }
    }
}

/// Each id that is not valid moves to the place of its eighth of the space, evenly by its rank among all.
fn bind_all(ip: IpAddr, ids: &mut [NodeId], rng: &mut impl Rng) -> bool {
    let mut places: Vec<_> = (0..BEP42_PLACES).map(|place| bep42::generate_at(ip, place, rng)).collect();
    places.sort_unstable();
    let (count, mut changed) = (ids.len().max(1), false);
    let mut ranked: Vec<&mut NodeId> = ids.iter_mut().collect();
    ranked.sort_unstable();
    for (index, id) in ranked.into_iter().enumerate().filter(|(_, id)| !bep42::is_valid(id, ip)) {
        // Those of one eighth follow each other.
        let at = index as u64 * u64::from(BEP42_PLACES);
        let (place, rank) = (at / count as u64, at % count as u64);
        *id = places[place as usize];
        // The bits behind those that are bound, and before the last byte, which says which place it is.
        let even = ((u128::from(rank) << 64) / count as u128) as u64;
        let rest: [u8; 8] = rng.random();
        id.0[3..19].iter_mut().zip(even.to_be_bytes().into_iter().chain(rest)).for_each(|(to, byte)| *to = byte);
        changed = true;
    }
    changed
}

/// Scales an ID of the whole space into a zone: behind the bits of the zone come its own first bits.
fn into_zone(id: NodeId, zone: Zone) -> NodeId {
    let bits = zone.bits();
    let (whole, part) = ((bits / 8) as usize, bits % 8);
    let mut scaled = [0; NodeId::LEN];
    for (at, byte) in id.0.iter().enumerate() {
        let wide = u16::from(*byte) << (8 - part);
        for (to, bits) in [(at + whole, wide >> 8), (at + whole + 1, wide & 0xff)] {
            if let Some(to) = scaled.get_mut(to) {
                *to |= bits as u8;
            }
        }
    }
    for (to, prefix) in scaled.iter_mut().zip(zone.prefix().to_be_bytes()) {
        *to |= prefix;
    }
    NodeId(scaled)
}

/// Scales a uniform ID of the whole space into interval `index` of `count`: floor((index · 2^160 + id) / count).
fn into_interval(id: NodeId, index: u32, count: u32) -> NodeId {
    let mut remainder = u64::from(index);
    let mut scaled = [0; NodeId::LEN];
    for (limb, bytes) in limbs(&id).iter().zip(scaled.chunks_exact_mut(4)) {
        let dividend = (remainder << 32) | u64::from(*limb);
        // The quotient fits: the remainder is below `count` at every step, as in long division.
        bytes.copy_from_slice(&((dividend / u64::from(count)) as u32).to_be_bytes());
        remainder = dividend % u64::from(count);
    }
    NodeId(scaled)
}

fn limbs(id: &NodeId) -> [u32; LIMBS] {
    let mut limbs = [0; LIMBS];
    for (limb, bytes) in limbs.iter_mut().zip(id.0.chunks_exact(4)) {
        *limb = bytes.iter().fold(0, |value, byte| (value << 8) | u32::from(*byte));
    }
    limbs
}

/// Identifiers in order, to find those closest (by XOR) to a target in logarithmic time.
///
/// All IDs that share one more leading bit with the target are closer than all that do not, and they are neighbours
/// in numerical order; so the search narrows a range bit by bit.
#[derive(Debug, Clone, Default)]
pub struct IdIndex {
    sorted: Vec<(NodeId, u32)>,
}

impl IdIndex {
    /// An index over `ids`; answers are their positions.
    pub fn new(ids: impl IntoIterator<Item = NodeId>) -> Self {
        let mut sorted: Vec<_> = ids.into_iter().zip(0u32..).collect();
        sorted.sort_unstable();
        Self { sorted }
    }

    /// Position of the ID closest to `target`; none if the index is empty.
    pub fn closest(&self, target: &[u8; NodeId::LEN]) -> Option<u32> {
        self.nearest(target, 1).first().copied()
    }

    /// Positions of the `count` IDs closest to `target`, closest first; fewer if there are fewer.
    pub fn nearest(&self, target: &[u8; NodeId::LEN], count: usize) -> Vec<u32> {
        let mut range = &self.sorted[..];
        for bit in 0..NodeId::LEN * 8 {
            let mask = 0x80u8 >> (bit % 8);
            let split = range.partition_point(|(id, _)| id.0[bit / 8] & mask == 0);
            let (zeros, ones) = range.split_at(split);
            let wanted_one = target[bit / 8] & mask != 0;
            let (same, other) = if wanted_one { (ones, zeros) } else { (zeros, ones) };
            if other.is_empty() || same.len() >= count.max(1) {
                range = same;
            } else if same.is_empty() {
                range = other;
            } else {
                break;
            }
        }
        let mut found: Vec<_> = range.iter().map(|(id, position)| (id.distance(target), *position)).collect();
        found.sort_unstable();
        found.into_iter().take(count).map(|(_, position)| position).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn intervals_cut_the_space_evenly() {
        assert_eq!(interval_of(&NodeId([0xff; 20]), 8), 7);
        assert_eq!(interval_of(&NodeId([0; 20]), 8), 0);
        let mut id = [0; 20];
        id[0] = 0x20;
        assert_eq!(interval_of(&NodeId(id), 8), 1, "2^160 / 8 begins the second of eight");
        id[0] = 0x1f;
        assert_eq!(interval_of(&NodeId(id), 8), 0);
    }

    #[test]
    fn ids_of_another_configuration_do_not_fit() {
        let ids = place(IdStrategy::Spread, 8, &mut ChaCha8Rng::seed_from_u64(1));
        assert!(fits(IdStrategy::Spread, 8, &ids));
        assert!(!fits(IdStrategy::Spread, 7, &ids[..7]), "cut for eight, not for seven");
        let mut doubled = ids;
        doubled[0] = doubled[1];
        assert!(!fits(IdStrategy::Spread, 8, &doubled));
    }

    #[test]
    fn ids_within_an_interval_are_uniform() {
        // 4,000 draws of one interval in ten bins: each bin within five standard deviations (19) of 400.
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut bins = [0u32; 10];
        for _ in 0..4000 {
            let ids = place(IdStrategy::Spread, 3, &mut rng);
            let id = ids.iter().find(|id| interval_of(id, 3) == 1).unwrap();
            bins[interval_of(id, 30) as usize - 10] += 1;
        }
        assert!(bins.iter().all(|count| (305..495).contains(count)), "{bins:?}");
    }

    #[test]
    fn private_address_binds_nothing() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut ids = place(IdStrategy::Spread, 8, &mut rng);
        let before = ids.clone();
        assert!(!bind_to("127.0.0.1".parse().unwrap(), IdStrategy::Spread, &mut ids, &mut rng));
        assert_eq!(ids, before);
    }

    proptest! {
        #[test]
        fn eight_spread_nodes_all_fit_a_public_address(first in 11u8..100, rest: [u8; 3], seed: u64) {
            let ip = IpAddr::from([first, rest[0], rest[1], rest[2]]);
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut ids = place(IdStrategy::Spread, 8, &mut rng);
            prop_assume!(ids.iter().any(|id| !bep42::is_valid(id, ip)));
            prop_assert!(bind_to(ip, IdStrategy::Spread, &mut ids, &mut rng));
            prop_assert!(ids.iter().all(|id| bep42::is_valid(id, ip)));
            prop_assert!(fits(IdStrategy::Spread, 8, &ids), "still one in each interval");
            prop_assert!(!bind_to(ip, IdStrategy::Spread, &mut ids, &mut rng), "and then they stay");
        }

        #[test]
        fn a_zone_holds_its_ids_evenly(prefix: u64, bits in 1u32..=48, count in 1u32..300, seed: u64) {
            let zone = Zone::new(prefix, bits);
            let mut ids = place(IdStrategy::Zone(zone), count, &mut ChaCha8Rng::seed_from_u64(seed));
            prop_assert!(fits(IdStrategy::Zone(zone), count, &ids));
            ids.sort_unstable();
            // Behind the bits of the zone each is in an interval of its own, as in the whole space; 16 bits tell.
            let first = |id: &NodeId| u64::from_be_bytes(id.0[..8].try_into().unwrap());
            let behind = |id: &NodeId| (first(id) << bits) >> 48;
            let widest = ids.windows(2).map(|pair| behind(&pair[1]) - behind(&pair[0])).max().unwrap_or_default();
            prop_assert!(widest <= 2 * 65_536 / u64::from(count) + 2, "{}", widest);
            let mut bound = ids.clone();
            prop_assert!(!bind_to("80.1.2.3".parse().unwrap(), IdStrategy::Zone(zone), &mut bound, &mut ChaCha8Rng::seed_from_u64(seed)));
        }

        #[test]
        fn bound_ids_share_the_places_of_an_address(count in 1u32..2000, rest: [u8; 3], seed: u64) {
            let ip = IpAddr::from([81, rest[0], rest[1], rest[2]]);
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut ids = place(IdStrategy::Bep42, count, &mut rng);
            bind_to(ip, IdStrategy::Bep42, &mut ids, &mut rng);
            prop_assert!(ids.iter().all(|id| bep42::is_valid(id, ip)));
            let mut eighths = [0u32; 8];
            ids.iter().for_each(|id| eighths[interval_of(id, 8) as usize] += 1);
            prop_assert!(eighths.iter().max().unwrap() - eighths.iter().min().unwrap() <= 1, "{:?}", eighths);
            ids.sort_unstable();
            ids.dedup();
            prop_assert_eq!(ids.len(), count as usize);
        }

        #[test]
        fn spread_puts_one_id_in_each_interval(count in 1u32..2000, seed: u64) {
            let ids = place(IdStrategy::Spread, count, &mut ChaCha8Rng::seed_from_u64(seed));
            prop_assert!(fits(IdStrategy::Spread, count, &ids));
        }

        #[test]
        fn nodes_that_are_added_stand_between_those_that_are_there(doublings in 0u32..8, first in 1u32..12, prefix: u64, seed: u64) {
            for strategy in [IdStrategy::Spread, IdStrategy::Zone(Zone::new(prefix, 12))] {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                let mut ids = place(strategy, first, &mut rng);
                for doubling in 1..=doublings {
                    let (before, count) = (ids.clone(), first << doubling);
                    grow(strategy, &mut ids, count, &mut rng);
                    prop_assert_eq!(&ids[..before.len()], &before[..], "those that are there stay");
                    let whole: Vec<_> = ids.iter().map(|id| unzoned(id, strategy)).collect();
                    prop_assert!(fits(IdStrategy::Spread, count, &whole));
                }
            }
        }

        #[test]
        fn any_half_of_a_placement_is_one(log2 in 0u32..10, seed: u64) {
            let ids = place(IdStrategy::Spread, 1 << log2, &mut ChaCha8Rng::seed_from_u64(seed));
            for part in (0..=log2).map(|log2| 1 << log2) {
                prop_assert!(fits(IdStrategy::Spread, part, &ids[..part as usize]), "{}", part);
            }
        }

        #[test]
        fn index_agrees_with_a_scan(
            ids in prop::collection::vec(prop::array::uniform2(0u8..4), 0..40),
            target in prop::array::uniform2(0u8..4),
            count in 0usize..12,
        ) {
            // Few distinct bits, so that prefixes are shared and ids repeat.
            let widen = |pair: [u8; 2]| { let mut id = [0; 20]; id[0] = pair[0] << 6; id[19] = pair[1]; id };
            let ids: Vec<_> = ids.into_iter().map(|pair| NodeId(widen(pair))).collect();
            let target = widen(target);
            let mut scan: Vec<_> = ids.iter().zip(0u32..).map(|(id, at)| (id.distance(&target), at)).collect();
            scan.sort_unstable();
            let scan: Vec<_> = scan.into_iter().take(count).map(|(_, at)| at).collect();
            prop_assert_eq!(IdIndex::new(ids).nearest(&target, count), scan);
        }
    }
}
