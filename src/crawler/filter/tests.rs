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
    Observation { own_bits: 18, ..asked_far(number, source) }
}

fn shown(number: u64, source: &str) -> Observation {
    Observation { source_id: sharing(infohash(number), 18), ..heard(number, SightingKind::Sample, source) }
}

/// An ID that shares exactly `bits` leading bits.
fn sharing(infohash: InfoHash, bits: usize) -> NodeId {
    let mut id = infohash.0;
    id[bits / 8] ^= 0x80 >> (bits % 8);
    NodeId(id)
}

/// A filter in a network of millions.
fn deep() -> Filter {
    deep_in(Scope::Public)
}

fn deep_in(scope: Scope) -> Filter {
    let mut filter = Filter::new(1, scope);
    filter.set_depth(20);
    filter
}

/// When what came at first counts as said again.
const AGAIN: Time = Time::from_millis(LATER.as_millis() as u64);

fn credible(new: bool) -> Verdict {
    Verdict::Credible { new, earlier: Vec::new() }
}

fn is_credible(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Credible { .. })
}

#[test]
fn announce_and_near_question_are_believed_when_they_come_again() {
    for told in [heard(1, ANNOUNCE, "8.8.8.8:1"), asked_near(1, "8.8.8.8:1")] {
        let mut filter = deep();
        assert_eq!(filter.observe(Time::ZERO, &told), Verdict::Held);
        assert_eq!(filter.observe(Time::ZERO + LATER / 2, &told), Verdict::Held, "of the same lookup");
        assert_eq!(filter.observe(AGAIN, &told), Verdict::Credible { new: true, earlier: vec![told] });
        assert_eq!(filter.observe(AGAIN, &asked_far(1, "9.9.9.9:1")), credible(false), "known then");
    }
}

#[test]
fn far_question_waits_for_a_network_far_away() {
    let mut filter = deep();
    let first = asked_far(1, "8.8.8.8:1");
    assert_eq!(filter.observe(Time::ZERO, &first), Verdict::Held);
    assert_eq!(filter.observe(Time::ZERO, &asked_far(1, "8.8.8.99:1")), Verdict::Held, "same /24");
    assert_eq!(filter.observe(Time::ZERO, &asked_far(1, "8.8.99.8:1")), Verdict::Held, "same /16");
    assert_eq!(filter.observe(Time::ZERO, &first), Verdict::Held, "same source");
    let second = asked_far(1, "9.9.9.9:1");
    assert_eq!(filter.observe(Time::ZERO, &second), Verdict::Credible { new: true, earlier: vec![first] });
}

#[test]
fn what_comes_again_unchanged_was_not_obfuscated() {
    let mut filter = deep();
    let far = asked_far(1, "8.8.8.8:1");
    assert_eq!(filter.observe(Time::ZERO, &far), Verdict::Held);
    assert_eq!(filter.observe(Time::ZERO + LATER / 2, &far), Verdict::Held, "the same lookup");
    assert!(is_credible(&filter.observe(AGAIN, &far)));
    // A neighbour that tends its table may keep the target.
    let neighbour = Observation { source_id: sharing(infohash(2), 9), ..asked_far(2, "8.8.8.8:1") };
    assert_eq!(filter.observe(Time::ZERO, &neighbour), Verdict::Held);
    assert_eq!(filter.observe(AGAIN, &neighbour), Verdict::Held);
    // But if it announces as well, that was it.
    assert!(is_credible(&filter.observe(AGAIN, &heard(2, ANNOUNCE, "8.8.8.8:1"))));
}

#[test]
fn decoys_are_never_believed() {
    let mut filter = deep();
    // A private lookup: the same true prefix, a new tail each time, from many networks.
    for number in 0..2000 {
        let source = format!("{}.{}.1.1:6881", 11 + number % 50, number / 50);
        assert_eq!(filter.observe(Time::ZERO, &asked_far(number, &source)), Verdict::Held);
    }
    let own_id = Observation { source_id: sharing(infohash(9999), 96), ..asked_near(9999, "7.7.7.7:1") };
    assert_eq!(filter.observe(Time::ZERO, &own_id), Verdict::Upkeep, "a bootstrap");
    let refresh = Observation { source_id: sharing(infohash(9997), 19), ..asked_near(9997, "7.7.7.7:1") };
    assert_eq!(filter.observe(Time::ZERO, &refresh), Verdict::Held, "from a bucket that holds us and not the asker");
    let far_sample = heard(9998, SightingKind::Sample, "7.7.7.7:1");
    assert_eq!(filter.observe(Time::ZERO, &far_sample), Verdict::Held, "would not be stored there");
    let zero = Observation { infohash: InfoHash([0; 20]), ..heard(0, ANNOUNCE, "7.7.7.7:1") };
    assert_eq!(filter.observe(Time::ZERO, &zero), Verdict::Impossible);
}

#[test]
fn samples_need_a_neighbour_that_shows_the_same() {
    let mut filter = deep();
    for now in [Time::ZERO, AGAIN] {
        assert_eq!(filter.observe(now, &shown(1, "8.8.8.8:1")), Verdict::Held);
        assert_eq!(filter.observe(now, &shown(1, "8.8.99.9:1")), Verdict::Held, "too near");
    }
    let expected = Verdict::Credible { new: true, earlier: vec![shown(1, "8.8.8.8:1")] };
    assert_eq!(filter.observe(AGAIN, &shown(1, "9.9.9.9:1")), expected);
}

#[test]
fn small_network_needs_no_shared_bits() {
    let mut filter = Filter::new(1, Scope::Public);
    filter.set_depth(2);
    let far = Observation { own_bits: 0, ..asked_far(1, "8.8.8.8:1") };
    assert_eq!(filter.observe(Time::ZERO, &far), Verdict::Held);
    assert!(is_credible(&filter.observe(AGAIN, &far)));
}

#[test]
fn repetition_counts_once_in_a_while() {
    let mut filter = deep_in(Scope::Private);
    let announce = heard(1, ANNOUNCE, "10.8.8.8:1");
    assert_eq!(filter.observe(Time::ZERO, &announce), credible(true));
    assert_eq!(filter.observe(Time::ZERO, &announce), Verdict::Repeated);
    let other_port = heard(1, SightingKind::Announce { port: 1, seed: None }, "10.8.8.8:1");
    assert_eq!(filter.observe(Time::ZERO, &other_port), credible(false), "another peer");
    assert_eq!(filter.observe(Time::ZERO + REPEAT_WINDOW * 2, &announce), credible(false));
    let ports = (0..=u16::MAX).map(|port| heard(1, SightingKind::Announce { port, seed: None }, "10.8.8.8:1"));
    let told = ports.filter(|one| is_credible(&filter.observe(Time::ZERO + REPEAT_WINDOW * 2, one))).count();
    assert!(told <= usize::from(PORTS_PER_ADDRESS), "{told}");
}

#[test]
fn an_inventor_is_never_believed_and_shunned_then() {
    let mut filter = deep();
    let verdicts: Vec<_> =
        (0..1000).map(|number| filter.observe(Time::ZERO, &heard(number, ANNOUNCE, "8.8.8.8:1"))).collect();
    assert!(!verdicts.iter().any(is_credible));
    assert!(verdicts[300..].iter().all(|verdict| *verdict == Verdict::Shunned));
    assert_eq!(filter.observe(Time::ZERO, &asked_near(5000, "8.8.8.99:1")), Verdict::Shunned, "and its neighbours");
    let later = Time::ZERO + Duration::from_secs(3 * 3600);
    assert_eq!(filter.observe(later, &heard(20_000, ANNOUNCE, "8.8.8.8:1")), Verdict::Held, "heard, not believed");
}

/// How many of the infohashes are believed that these sources announce, every quarter of an hour.
fn upheld(filter: &mut Filter, numbers: std::ops::Range<u64>, source: impl Fn(u64) -> String) -> usize {
    let mut believed = 0;
    for round in 0..4 {
        let now = Time::ZERO + Duration::from_secs(900) * round;
        let new = |verdict| matches!(verdict, Verdict::Credible { new: true, .. });
        believed += numbers.clone().filter(|at| new(filter.observe(now, &heard(*at, ANNOUNCE, &source(*at))))).count();
    }
    believed
}

#[test]
fn who_lies_stubbornly_is_believed_a_few_times() {
    assert_eq!(upheld(&mut deep(), 0..30, |_| "8.8.8.8:1".into()), 4);
    assert_eq!(upheld(&mut deep(), 0..3000, |_| "8.8.8.8:1".into()), 0, "and shunned if it is many");
    // A block of many networks is not worth many times as much.
    assert_eq!(upheld(&mut deep(), 0..1000, |number| format!("8.8.{}.1:1", number % 250)), 16);
    // To name what everybody names earns nothing.
    let mut filter = deep();
    upheld(&mut filter, 100..130, |_| "9.9.9.9:1".into());
    upheld(&mut filter, 100..130, |_| "7.7.7.7:1".into());
    upheld(&mut filter, 100..130, |_| "8.8.8.8:1".into());
    assert_eq!(upheld(&mut filter, 0..30, |_| "8.8.8.8:1".into()), 4);
}

#[test]
fn who_names_first_what_others_confirm_earns_credit() {
    let mut filter = deep();
    upheld(&mut filter, 100..120, |_| "8.8.8.8:1".into());
    upheld(&mut filter, 100..120, |_| "9.9.9.9:1".into());
    assert_eq!(upheld(&mut filter, 0..30, |_| "8.8.8.8:1".into()), 4 + 20 / 4);
}

#[test]
fn who_was_right_before_is_believed_at_once_for_what_it_earned() {
    let mut filter = deep();
    let once = |filter: &mut Filter, numbers: std::ops::Range<u64>, told: fn(u64, &str) -> Observation| {
        let now = Time::ZERO + Duration::from_secs(3600);
        numbers.filter(|at| is_credible(&filter.observe(now, &told(*at, "8.8.8.8:1")))).count()
    };
    let announced = |number, source: &str| heard(number, ANNOUNCE, source);
    for source in ["8.8.8.8:1", "9.9.9.9:1"] {
        upheld(&mut filter, 100..120, |_| source.into());
    }
    assert_eq!(once(&mut filter, 200..210, asked_far), 0, "these may be obfuscated");
    assert_eq!(once(&mut filter, 210..220, asked_near), 0, "and so may these, if it thinks the network deeper");
    assert_eq!(once(&mut filter, 300..320, announced), 20 / 4);
    assert_eq!(once(&mut filter, 400..420, announced), 0, "used up");
    let released = filter.prove(Time::ZERO + Duration::from_secs(3600), &infohash(300));
    assert_eq!(released, [announced(305, "8.8.8.8:1")], "what waited has its place");
    let other = |number| filter.observe(AGAIN, &heard(number, ANNOUNCE, "7.7.7.7:1"));
    assert!((0..20).map(other).all(|verdict| verdict == Verdict::Held), "nobody knows it");
}

#[test]
fn what_was_fetched_makes_place_for_more_of_the_same_network() {
    let mut filter = deep();
    let mut believed: Vec<u64> = Vec::new();
    for now in [Time::ZERO, AGAIN] {
        believed
            .extend((0..30).filter(|number| is_credible(&filter.observe(now, &heard(*number, ANNOUNCE, "8.8.8.8:1")))));
    }
    assert_eq!(believed, [0, 1, 2, 3]);
    let mut proved = 0;
    while let Some(number) = believed.get(proved).copied() {
        proved += 1;
        let released = filter.prove(AGAIN, &infohash(number));
        believed.extend(released.iter().map(|one| (0..30).find(|number| infohash(*number) == one.infohash).unwrap()));
        assert!(filter.prove(AGAIN, &infohash(number)).is_empty(), "once");
    }
    believed.sort_unstable();
    assert!(believed.into_iter().eq(0..30));
}

#[test]
fn claims_take_the_places_of_what_has_no_reason() {
    let mut filter = deep();
    for number in 1000..1400 {
        assert_eq!(filter.observe(Time::ZERO, &asked_far(number, "8.8.8.8:1")), Verdict::Held);
    }
    assert_eq!(upheld(&mut filter, 0..100, |_| "8.8.8.8:1".into()), 4, "the first claims keep their places");
    assert!(filter.held.len() <= held::MAX_WAITING_WITH_ROOM + 1);
}

/// A session of libtorrent that looks for 60 torrents every quarter of an hour, and obfuscates most of what it asks.
#[test]
fn who_obfuscates_much_is_heard_all_the_same() {
    let (mut filter, mut decoys, mut believed) = (deep(), 10_000.., Vec::new());
    for round in 0..8 {
        let now = Time::ZERO + Duration::from_secs(15 * 60 * round);
        for number in 0..60 {
            // What it asks in full comes to us seldom, and at first from afar.
            for decoy in decoys.by_ref().take(1) {
                assert_eq!(filter.observe(now, &asked_far(decoy, "8.8.8.8:1")), Verdict::Held);
            }
            if number % 8 == round {
                filter.observe(now, &asked_far(number, "8.8.8.8:1"));
            } else if number % 8 + 1 == round && is_credible(&filter.observe(now, &asked_far(number, "8.8.8.8:1"))) {
                believed.push(number);
                filter.prove(now, &infohash(number));
            }
        }
    }
    assert_eq!(believed.len(), (0..60).filter(|number| number % 8 < 7).count());
}

#[test]
fn many_networks_leave_each_other_room() {
    let mut filter = deep();
    for number in 0..256_000_u64 {
        let source = format!("9.{}.{}.8:1", number % 250, number / 250 % 4);
        filter.observe(Time::from_millis(number), &asked_far(number, &source));
    }
    assert!(filter.fills().iter().all(|fill| fill.entries <= fill.bound));
    // A network that comes now has its part, and no more.
    let now = Time::ZERO + Duration::from_secs(256);
    for number in 500_000..500_300 {
        filter.observe(now, &asked_far(number, "8.8.8.8:1"));
    }
    assert_eq!(filter.held.of(now, &Network::of("8.8.8.8:1".parse().unwrap())).len(), held::MAX_WAITING);
}

#[test]
fn a_home_or_a_lab_is_trusted() {
    let told = |filter: &mut Filter, source| {
        let others = [shown(200, source), asked_near(201, source), asked_far(202, source)];
        let all = (0..200).map(|number| heard(number, ANNOUNCE, source)).chain(others);
        all.filter(|one| is_credible(&filter.observe(Time::ZERO, one))).count()
    };
    assert_eq!(told(&mut deep_in(Scope::Private), "192.168.1.7:6881"), 203);
    assert_eq!(told(&mut deep_in(Scope::Private), "8.8.8.8:1"), 0, "strangers in a network of millions");
    let mut small = Filter::new(1, Scope::Private);
    small.set_depth(5);
    assert_eq!(told(&mut small, "8.8.8.8:1"), 203, "a world of its own");
    let mut public = Filter::new(1, Scope::Public);
    assert_eq!(told(&mut public, "8.8.8.8:1"), 0);
}

#[test]
fn one_remote_takes_a_bounded_part_of_every_table() {
    let mut filter = deep();
    for number in 0..50_000 {
        let now = Time::from_millis(number * 10);
        filter.observe(now, &asked_far(number, "8.8.8.8:1"));
        filter.observe(now, &heard(number + 100_000, ANNOUNCE, "8.8.8.9:1"));
        filter.observe(now, &shown(number + 200_000, "8.8.8.10:1"));
    }
    // What waits, and the accounts themselves.
    assert!(filter.entries() <= held::MAX_WAITING_WITH_ROOM + 8, "{}", filter.entries());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2))]
    #[test]
    fn memory_is_bounded(seed: u64) {
        let mut filter = Filter::new(seed, Scope::Public);
        filter.set_depth(20);
        let bound = 2 * (CREDIBLE_CAPACITY + REPEAT_CAPACITY) + held::MAX_ENTRIES + accounts::MAX_ACCOUNTS;
        for number in 0..60_000u64 {
            let bits = (number.wrapping_mul(seed | 1) >> 32) as u32;
            let source = SocketAddr::from((bits.to_be_bytes(), 6881));
            let kind = if number % 2 == 0 { SightingKind::GetPeers } else { ANNOUNCE };
            filter.observe(Time::from_millis(number), &Observation { source, ..heard(number, kind, "8.8.8.8:1") });
            prop_assert!(filter.entries() <= bound);
        }
    }
}
