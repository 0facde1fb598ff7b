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

fn shown(number: u64, source: &str) -> Observation {
    Observation { source_id: sharing(infohash(number), 17), ..heard(number, SightingKind::Sample, source) }
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

fn credible(new: bool) -> Verdict {
    Verdict::Credible { new, earlier: Vec::new() }
}

fn is_credible(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Credible { .. })
}

#[test]
fn announce_and_near_question_are_believed_and_known_then() {
    let mut filter = deep();
    assert_eq!(filter.observe(Time::ZERO, &heard(1, ANNOUNCE, "8.8.8.8:1")), credible(true));
    assert_eq!(filter.observe(Time::ZERO, &asked_near(2, "8.8.8.8:1")), credible(true));
    assert_eq!(filter.observe(Time::ZERO, &asked_far(2, "9.9.9.9:1")), credible(false));
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
fn lookup_that_comes_nearer_is_believed_then() {
    let mut filter = deep();
    let far = asked_far(1, "8.8.8.8:1");
    assert_eq!(filter.observe(Time::ZERO, &far), Verdict::Held);
    let near = asked_near(1, "8.8.8.8:1");
    assert_eq!(filter.observe(Time::ZERO, &near), Verdict::Credible { new: true, earlier: vec![far] });
}

#[test]
fn who_asks_plainly_is_known_by_it() {
    let mut filter = deep();
    let (first, second) = (asked_far(1, "8.8.8.8:1"), asked_far(2, "8.8.8.8:1"));
    assert_eq!(filter.observe(Time::ZERO, &first), Verdict::Held);
    assert_eq!(filter.observe(Time::ZERO, &second), Verdict::Held);
    // Somebody else confirms the one, and the other is believed too.
    let confirmed = filter.observe(Time::ZERO, &asked_far(1, "9.9.9.9:1"));
    assert_eq!(confirmed, Verdict::Credible { new: true, earlier: vec![first, second] });
    assert_eq!(filter.observe(Time::ZERO, &asked_far(3, "8.8.8.8:1")), credible(true), "from now on");
    assert_eq!(filter.observe(Time::ZERO, &asked_far(4, "8.8.8.9:1")), Verdict::Held, "but not its neighbour");
}

#[test]
fn what_comes_again_unchanged_was_not_obfuscated() {
    let mut filter = deep();
    let far = asked_far(1, "8.8.8.8:1");
    assert_eq!(filter.observe(Time::ZERO, &far), Verdict::Held);
    assert_eq!(filter.observe(Time::ZERO + LATER / 2, &far), Verdict::Held, "the same lookup");
    assert!(is_credible(&filter.observe(Time::ZERO + LATER, &far)));
    // A neighbour that tends its table may keep the target.
    let neighbour = Observation { source_id: sharing(infohash(2), 9), ..asked_far(2, "8.8.8.8:1") };
    assert_eq!(filter.observe(Time::ZERO, &neighbour), Verdict::Held);
    assert_eq!(filter.observe(Time::ZERO + LATER, &neighbour), Verdict::Held);
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
    let refresh = Observation { source_id: sharing(infohash(9997), 18), ..asked_near(9997, "7.7.7.7:1") };
    assert_eq!(filter.observe(Time::ZERO, &refresh), Verdict::Held, "from a bucket that holds us and not the asker");
    let far_sample = heard(9998, SightingKind::Sample, "7.7.7.7:1");
    assert_eq!(filter.observe(Time::ZERO, &far_sample), Verdict::Held, "would not be stored there");
    let zero = Observation { infohash: InfoHash([0; 20]), ..heard(0, ANNOUNCE, "7.7.7.7:1") };
    assert_eq!(filter.observe(Time::ZERO, &zero), Verdict::Impossible);
}

#[test]
fn samples_need_a_neighbour_that_shows_the_same() {
    let mut filter = deep();
    let alone = shown(100, "8.8.8.8:1");
    assert_eq!(filter.observe(Time::ZERO, &alone), Verdict::Held);
    for number in 0..8 {
        assert_eq!(filter.observe(Time::ZERO, &shown(number, "8.8.8.8:1")), Verdict::Held);
    }
    for number in 0..7 {
        let expected = Verdict::Credible { new: true, earlier: vec![shown(number, "8.8.8.8:1")] };
        assert_eq!(filter.observe(Time::ZERO, &shown(number, "9.9.9.9:1")), expected);
    }
    // With the eighth that others confirm it is believed in one that nobody else shows.
    let expected = Verdict::Credible { new: true, earlier: vec![shown(7, "8.8.8.8:1"), alone] };
    assert_eq!(filter.observe(Time::ZERO, &shown(7, "9.9.9.9:1")), expected);
    assert_eq!(filter.observe(Time::ZERO, &shown(101, "8.8.8.8:1")), Verdict::Held, "the credit is lent");
}

#[test]
fn small_network_needs_no_shared_bits() {
    let mut filter = Filter::new(1);
    filter.set_depth(3);
    let far = Observation { own_bits: 0, ..asked_far(1, "127.0.0.2:1") };
    assert_eq!(filter.observe(Time::ZERO, &far), credible(true));
}

#[test]
fn repetition_counts_once_in_a_while() {
    let mut filter = deep();
    let announce = heard(1, ANNOUNCE, "8.8.8.8:1");
    assert_eq!(filter.observe(Time::ZERO, &announce), credible(true));
    assert_eq!(filter.observe(Time::ZERO, &announce), Verdict::Repeated);
    let other_port = heard(1, SightingKind::Announce { port: 1, seed: None }, "8.8.8.8:1");
    assert_eq!(filter.observe(Time::ZERO, &other_port), credible(false), "another peer");
    assert_eq!(filter.observe(Time::ZERO + REPEAT_WINDOW * 2, &announce), credible(false));
    let ports = (0..=u16::MAX).map(|port| heard(1, SightingKind::Announce { port, seed: None }, "8.8.8.8:1"));
    let told = ports.filter(|one| is_credible(&filter.observe(Time::ZERO + REPEAT_WINDOW * 2, one))).count();
    assert!(told <= usize::from(PORTS_PER_ADDRESS), "{told}");
}

#[test]
fn an_inventor_gets_a_little_credit_and_is_shunned_then() {
    let mut filter = deep();
    let verdicts: Vec<_> =
        (0..1000).map(|number| filter.observe(Time::ZERO, &heard(number, ANNOUNCE, "8.8.8.8:1"))).collect();
    assert_eq!(verdicts.iter().filter(|verdict| is_credible(verdict)).count(), 8);
    assert!(verdicts[300..].iter().all(|verdict| *verdict == Verdict::Shunned));
    assert_eq!(filter.observe(Time::ZERO, &asked_near(5000, "8.8.8.99:1")), Verdict::Shunned, "and its neighbours");
    // A block of many networks is not worth many times as much.
    let block = (0..2000).map(|number| heard(10_000 + number, ANNOUNCE, &format!("8.8.{}.1:1", number % 250)));
    let believed = block.filter(|one| is_credible(&filter.observe(Time::ZERO, one))).count();
    assert_eq!(believed, 24, "of 32 for the block");
    let later = Time::ZERO + Duration::from_secs(3 * 3600);
    assert_eq!(filter.observe(later, &heard(20_000, ANNOUNCE, "8.8.8.8:1")), Verdict::Held, "heard, not believed");
}

#[test]
fn a_peer_with_many_torrents_earns_its_credit() {
    let mut filter = deep();
    let mut believed = 0;
    for number in 0..500 {
        believed += usize::from(is_credible(&filter.observe(Time::ZERO, &heard(number, ANNOUNCE, "8.8.8.8:1"))));
        // Two of three are of interest to somebody else.
        if number % 3 > 0 {
            let other = format!("{}.9.9.9:1", 20 + number % 60);
            filter.observe(Time::ZERO, &heard(number, ANNOUNCE, &other));
        }
    }
    assert_eq!(believed, 500);
}

#[test]
fn a_home_or_a_lab_is_trusted() {
    let mut filter = deep();
    let all = (0..200).map(|number| heard(number, ANNOUNCE, "192.168.1.7:6881"));
    assert!(all.into_iter().all(|one| is_credible(&filter.observe(Time::ZERO, &one))));
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
    // What waits, twice over for two generations; credit; and the accounts themselves.
    assert!(filter.entries() <= 2 * accounts::MAX_WAITING + 3 * 8 + 8, "{}", filter.entries());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2))]
    #[test]
    fn memory_is_bounded(seed: u64) {
        let mut filter = Filter::new(seed);
        filter.set_depth(20);
        let bound = 2 * (HELD_CAPACITY + CREDIBLE_CAPACITY + REPEAT_CAPACITY + PLAIN_CAPACITY) + accounts::MAX_ACCOUNTS;
        for number in 0..60_000u64 {
            let bits = (number.wrapping_mul(seed | 1) >> 32) as u32;
            let source = SocketAddr::from((bits.to_be_bytes(), 6881));
            let kind = if number % 2 == 0 { SightingKind::GetPeers } else { ANNOUNCE };
            filter.observe(Time::from_millis(number), &Observation { source, ..heard(number, kind, "8.8.8.8:1") });
            prop_assert!(filter.entries() <= bound);
        }
    }
}
