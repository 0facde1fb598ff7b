//! Where our nodes stand in the 160-bit ID space, and which of them is closest to a target.

use std::net::IpAddr;

use rand::Rng;

use crate::config::{IdStrategy, Zone};
use crate::dht::bep42;
use crate::types::NodeId;

/// 32-bit limbs of an identifier.
const LIMBS: usize = NodeId::LEN / 4;
/// Spread IDs in one of as many intervals as there are IDs.
const CROWD: usize = 2;
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

/// Whether IDs that were kept from an earlier run lie as this strategy wants them. Spread IDs that were cut for one number and
/// have become another in time lie at most [`CROWD`] in an interval.
pub fn fits(strategy: IdStrategy, ids: &[NodeId]) -> bool {
    match strategy {
        IdStrategy::Random | IdStrategy::Bep42 => true,
        IdStrategy::Spread => {
            let count = u32::try_from(ids.len()).unwrap_or(u32::MAX);
            let mut intervals: Vec<_> = ids.iter().map(|id| interval_of(id, count)).collect();
            intervals.sort_unstable();
            intervals.windows(CROWD + 1).all(|some| some.first() != some.last())
        }
        IdStrategy::Zone(zone) => ids.iter().all(|id| zone.holds(id)),
    }
}

/// Gives as many nodes as the strategy wants an ID that is valid for our public address `ip` (BEP 42), as other clients
/// prefer; true if one changed. Nothing changes for an address that is not public, and in a zone.
///
/// An address has 8 places. For IPv4 they lie one in each eighth of the ID space, whatever the address (their CRCs
/// differ by fixed values, whose first three bits are a basis), so up to 8 spread nodes lose nothing by it. The nodes
/// beyond keep their unbound IDs, and are those that rest first, unless the strategy is `Bep42`: then they share the places, evenly within each.
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
                    let eighth = |id: &NodeId| interval_of(id, u32::from(BEP42_PLACES)) == u32::from(bound.0[0] >> 5);
                    // Those that were cut for another number leave some intervals empty.
                    let held = ids.iter().position(|id| interval_of(id, count) == interval);
                    held.or_else(|| ids.iter().position(|id| eighth(id) && !bep42::is_valid(id, ip)))
                } else {
                    Some(usize::from(place))
                };
                let Some(index) = index.filter(|index| ids.get(*index).is_some_and(|id| !bep42::is_valid(id, ip)))
                else {
                    continue;
                };
                // Who begins is the last to rest: the first of this eighth gets it, and goes itself to where that lies.
                let eighth = interval_of(&bound, u32::from(BEP42_PLACES));
                let mut of_eighth = (0..index).filter(|at| interval_of(&ids[*at], u32::from(BEP42_PLACES)) == eighth);
                let first = of_eighth.next().filter(|at| !bep42::is_valid(&ids[*at], ip)).unwrap_or(index);
                ids[index] = ids[first];
                ids[first] = bound;
                changed = true;
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
mod tests;
