use super::*;

const ALL_FULL: Mix = Mix { old: 0, mute: 0, silent: 0, liars: 0 };
const CRAWLER: Ipv4Addr = Ipv4Addr::new(81, 2, 3, 4);

fn world(count: usize) -> World {
    World::new(count, ALL_FULL, (CRAWLER, &[NodeId([0x80; 20])]), 3)
}

#[test]
fn lookups_find_the_closest_from_anywhere() {
    let world = world(3000);
    for target in 0..50_u8 {
        let target = [target.wrapping_mul(41); 20];
        let found = lookup::walk(&world, u32::from(target[0]), &target, Time::ZERO, |_| {});
        let mut expected = world.closest(&target, 40);
        expected.retain(|node| world.answers(*node, Time::ZERO) && !matches!(world.kind(*node), Kind::Ours(_)));
        let hit = expected[..8].iter().filter(|node| found.contains(node)).count();
        assert!(hit >= 7, "{hit}: {found:?} {expected:?}");
    }
}

#[test]
fn the_closest_agree_with_a_scan() {
    let world = world(500);
    for byte in [0, 3, 77, 128, 255] {
        let target = [byte; 20];
        let mut scan: Vec<u32> = (0..world.len() as u32).collect();
        scan.sort_by_key(|node| world.id(*node).distance(&target));
        assert_eq!(world.closest(&target, 8), scan[..8]);
    }
}

#[test]
fn addresses_lead_back_and_the_world_is_its_seed() {
    let (world, again) = (world(500), world(500));
    for node in 0..world.len() as u32 {
        assert_eq!(world.at(world.addr(node)), Some(node));
        assert_eq!((world.id(node), world.addr(node)), (again.id(node), again.addr(node)));
    }
    assert_eq!(world.named(7, &[9; 20], Time::ZERO), again.named(7, &[9; 20], Time::ZERO));
}

#[test]
fn tables_turn_over_within_hours() {
    let world = world(3000);
    let named = |hours: u64| world.named(7, &[9; 20], Time::from_millis(hours * 3_600_000));
    assert_eq!(named(0), named(0));
    assert_ne!(named(0), named(12));
}

#[test]
fn crawlers_are_told_apart_and_the_strict_know_one_node_of_each() {
    let ids = |first: u8| (0..4).map(|at| NodeId([first + at; 20])).collect::<Vec<_>>();
    let other = Ipv4Addr::new(81, 2, 3, 5);
    let world = World::with_crawlers(2000, ALL_FULL, &[(CRAWLER, ids(0x10)), (other, ids(0x90))], 3);
    assert_eq!(world.ours(3), Ours { crawler: 0, node: 3 });
    assert_eq!(world.ours(4), Ours { crawler: 1, node: 0 });
    let number = |id: u8| world.closest(&[id; 20], 1)[0];
    assert_eq!(world.addr(number(0x91)).ip(), other);
    let strict = (0..world.len() as u32).find(|node| world.restricts(*node)).unwrap();
    for first in [0x10, 0x90] {
        let known = (0..4).filter(|at| world.is_in_tables_of(strict, number(first + at)));
        assert_eq!(known.count(), 1);
    }
}

#[test]
fn the_mix_is_as_asked_for() {
    let mix = Mix { old: 100, mute: 100, silent: 300, liars: 10 };
    let world = World::new(10_000, mix, (CRAWLER, &[]), 3);
    let count = |kind| world.kinds.iter().filter(|of| **of == kind).count();
    assert!((2800..3200).contains(&count(Kind::Silent)) && (60..140).contains(&count(Kind::Liar)));
    assert!((4500..5300).contains(&count(Kind::Full)));
}
