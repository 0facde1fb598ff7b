//! Where nodes stand, for any number and any address.

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
    assert!(fits(IdStrategy::Spread, &ids));
    assert!(fits(IdStrategy::Spread, &ids[..7]), "cut for eight, and one is gone");
    let mut crowded = ids.clone();
    (crowded[0], crowded[2]) = (crowded[1], crowded[1]);
    assert!(!fits(IdStrategy::Spread, &crowded));
    assert!(!fits(IdStrategy::Zone(Zone::new(0x50 << 56, 4)), &ids));
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

/// Whether each of as many intervals as there are IDs has one.
fn is_even(ids: &[NodeId]) -> bool {
    let count = u32::try_from(ids.len()).unwrap();
    let mut intervals: Vec<_> = ids.iter().map(|id| interval_of(id, count)).collect();
    intervals.sort_unstable();
    intervals.into_iter().eq(0..count)
}

proptest! {
    #[test]
    fn the_first_eight_of_many_fit_a_public_address(log2 in 3u32..9, rest: [u8; 3], seed: u64) {
        let ip = IpAddr::from([81, rest[0], rest[1], rest[2]]);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut ids = place(IdStrategy::Spread, 1 << log2, &mut rng);
        bind_to(ip, IdStrategy::Spread, &mut ids, &mut rng);
        prop_assert!(ids[..8].iter().all(|id| bep42::is_valid(id, ip)));
        prop_assert!(is_even(&ids) && is_even(&ids[..8]));
        let before = ids.clone();
        prop_assert!(!bind_to(ip, IdStrategy::Spread, &mut ids, &mut rng), "and then they stay");
        grow(IdStrategy::Spread, &mut ids, 2 << log2, &mut rng);
        prop_assert!(!bind_to(ip, IdStrategy::Spread, &mut ids, &mut rng));
        prop_assert_eq!(&ids[..before.len()], &before[..]);
        prop_assert!(is_even(&ids));
    }

    #[test]
    fn eight_spread_nodes_all_fit_a_public_address(first in 11u8..100, rest: [u8; 3], seed: u64) {
        let ip = IpAddr::from([first, rest[0], rest[1], rest[2]]);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut ids = place(IdStrategy::Spread, 8, &mut rng);
        prop_assume!(ids.iter().any(|id| !bep42::is_valid(id, ip)));
        prop_assert!(bind_to(ip, IdStrategy::Spread, &mut ids, &mut rng));
        prop_assert!(ids.iter().all(|id| bep42::is_valid(id, ip)));
        prop_assert!(is_even(&ids), "still one in each interval");
        prop_assert!(!bind_to(ip, IdStrategy::Spread, &mut ids, &mut rng), "and then they stay");
    }

    #[test]
    fn a_zone_holds_its_ids_evenly(prefix: u64, bits in 1u32..=48, count in 1u32..300, seed: u64) {
        let zone = Zone::new(prefix, bits);
        let mut ids = place(IdStrategy::Zone(zone), count, &mut ChaCha8Rng::seed_from_u64(seed));
        prop_assert!(fits(IdStrategy::Zone(zone), &ids));
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
        prop_assert!(is_even(&ids));
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
                prop_assert!(is_even(&whole));
            }
        }
    }

    #[test]
    fn any_half_of_a_placement_is_one(log2 in 0u32..10, seed: u64) {
        let ids = place(IdStrategy::Spread, 1 << log2, &mut ChaCha8Rng::seed_from_u64(seed));
        for part in (0..=log2).map(|log2| 1 << log2) {
            prop_assert!(is_even(&ids[..part as usize]), "{}", part);
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
