use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;

const OWN: NodeId = NodeId([0; 20]);

/// A contact whose id begins with `first`, on a host and block of its own.
fn contact(first: u8, number: u16) -> Contact {
    let mut id = [0; 20];
    id[0] = first;
    id[18..].copy_from_slice(&number.to_be_bytes());
    let [high, low] = number.to_be_bytes();
    Contact { id: NodeId(id), addr: SocketAddr::from(([80, high, low, 1], 6881)) }
}

/// Eight contacts in the bucket of those that share no bit, and eight in that of those that share one.
fn full_table() -> Table {
    let mut table = Table::new(OWN, false);
    for number in 0..8 {
        assert_eq!(table.answered(Time::ZERO, contact(0x80, number)), Heard::New);
        assert_eq!(table.answered(Time::ZERO, contact(0x40, 100 + number)), Heard::New);
    }
    table
}

#[test]
fn only_the_own_side_splits() {
    let mut table = full_table();
    assert_eq!((table.len(), table.buckets.len()), (16, 2));
    for number in 8..16 {
        assert_eq!(table.answered(Time::ZERO, contact(0x80, number)), Heard::New, "spare");
    }
    assert_eq!(table.len(), 16);
    assert!(!table.wants(&contact(0x80, 16), true));
    assert!(table.wants(&contact(0x20, 17), false));
}

#[test]
fn the_replacement_takes_over_after_two_failures() {
    let mut table = full_table();
    table.answered(Time::ZERO, contact(0x80, 50));
    let dead = contact(0x80, 3);
    table.failed(&dead);
    assert!(table.entries().any(|entry| entry.contact == dead));
    assert!(!table.closest(Time::ZERO, &dead.id.0, 8).contains(&dead));
    table.failed(&dead);
    assert!(!table.entries().any(|entry| entry.contact == dead));
    assert!(table.entries().any(|entry| entry.contact == contact(0x80, 50)));
}

#[test]
fn without_replacement_the_dead_stay_a_little_longer() {
    let mut table = full_table();
    let dead = contact(0x80, 3);
    (0..3).for_each(|_| table.failed(&dead));
    assert_eq!(table.len(), 16);
    table.failed(&dead);
    assert_eq!(table.len(), 15);
}

#[test]
fn failing_contacts_make_way_for_new_ones() {
    let mut table = full_table();
    table.failed(&contact(0x80, 3));
    assert!(table.wants(&contact(0x80, 60), false));
    assert_eq!(table.answered(Time::ZERO, contact(0x80, 60)), Heard::New);
    assert!(!table.entries().any(|entry| entry.contact == contact(0x80, 3)));
}

#[test]
fn a_host_is_in_once_and_a_block_once_a_bucket() {
    let mut table = Table::new(OWN, true);
    let at = |first, addr: &str| Contact { id: contact(first, 1).id, addr: addr.parse().unwrap() };
    assert_eq!(table.answered(Time::ZERO, at(0x80, "80.0.0.1:1")), Heard::New);
    assert_eq!(table.answered(Time::ZERO, at(0x81, "80.0.0.1:2")), Heard::Refused);
    assert!(!table.wants(&at(0x81, "80.0.0.1:2"), true));
    assert_eq!(table.answered(Time::ZERO, at(0x81, "80.0.0.2:1")), Heard::Refused);
    assert!(!table.wants(&at(0x81, "80.0.0.2:1"), true));
    // In a world of private addresses every port is somebody.
    assert_eq!(table.answered(Time::ZERO, at(0x82, "127.0.0.1:1")), Heard::New);
    assert_eq!(table.answered(Time::ZERO, at(0x83, "127.0.0.1:2")), Heard::New);
}

#[test]
fn a_changed_id_evicts_the_old_one_and_a_stolen_id_is_refused() {
    let mut table = Table::new(OWN, true);
    let old = contact(0x80, 1);
    table.answered(Time::ZERO, old);
    let thief = Contact { addr: contact(0, 2).addr, ..old };
    assert_eq!(table.answered(Time::ZERO, thief), Heard::Refused);
    let new = Contact { id: contact(0x81, 1).id, ..old };
    assert_eq!(table.answered(Time::ZERO, new), Heard::New);
    let all: Vec<_> = table.entries().map(|entry| entry.contact).collect();
    assert_eq!(all, [new]);
    // Who does not answer any more cannot defend its id.
    table.failed(&new);
    let heir = Contact { id: new.id, ..thief };
    assert_eq!(table.answered(Time::ZERO, heir), Heard::New);
}

#[test]
fn valid_ids_are_preferred() {
    let mut table = full_table();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let addr: SocketAddr = "90.1.2.3:6881".parse().unwrap();
    let id = std::iter::repeat_with(|| super::super::bep42::generate(addr.ip(), &mut rng))
        .find(|id| id.0[0] & 0x80 != 0)
        .unwrap();
    assert_eq!(table.answered(Time::ZERO, Contact { id, addr }), Heard::New);
    assert!(table.entries().any(|entry| entry.contact.addr == addr));
    assert_eq!(table.len(), 16);
}

#[test]
fn checks_come_a_quarter_of_an_hour_after_the_answer_and_back_off() {
    let mut table = Table::new(OWN, true);
    let node = contact(0x80, 1);
    table.answered(Time::ZERO, node);
    let first = Time::ZERO + Duration::from_secs(15 * 60);
    assert_eq!(table.next_check(), Some((first, node)));
    table.asked(first, &node);
    table.failed(&node);
    let second = first + Duration::from_secs(30);
    assert_eq!(table.next_check(), Some((second, node)));
    table.asked(second, &node);
    table.failed(&node);
    assert_eq!(table.next_check(), Some((second + Duration::from_secs(60), node)));
    table.answered(second, node);
    assert_eq!(table.next_check(), Some((second + Duration::from_secs(15 * 60), node)));
}

#[test]
fn refresh_visits_every_bucket_then_those_with_room() {
    let mut table = full_table();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..2 {
        let (at, index) = table.next_refresh().unwrap();
        assert_eq!(at, Time::ZERO);
        table.refreshed(Time::from_millis(5), &table.id_in(index, &mut rng).0);
    }
    assert_eq!(table.next_refresh(), None);
    (0..4).for_each(|_| table.failed(&contact(0x80, 3)));
    let (at, index) = table.next_refresh().unwrap();
    assert_eq!((at, index), (Time::from_millis(5) + FIRST_REFRESH, 0));
    for _ in 0..20 {
        let id = table.id_in(index, &mut rng);
        assert_eq!(id.0[0] & 0x80, 0x80);
        table.refreshed(at, &id.0);
    }
    assert_eq!(table.next_refresh(), Some((at + REFRESH, 0)));
}

#[test]
fn recentred_table_keeps_contacts() {
    let table = full_table();
    let moved = table.recentred(NodeId([0xff; 20]));
    assert_eq!(moved.len(), 16);
    let all: Vec<_> = table.entries().map(|entry| entry.contact).collect();
    assert!(moved.entries().all(|entry| all.contains(&entry.contact)));
}

proptest! {
    /// Whatever happens, the structure holds, and the closest are what a walk over all would find.
    #[test]
    fn invariants_hold(own: [u8; 20], wide: bool, steps in prop::collection::vec((any::<[u8; 20]>(), 0_u8..12, 0_u8..6, 0_u8..4), 1..300), target: [u8; 20]) {
        let own = NodeId(own);
        let mut table = Table::new(own, wide);
        for (mut id, near, host, kind) in steps {
            id[..usize::from(near) / 6].copy_from_slice(&own.0[..usize::from(near) / 6]);
            let addr = SocketAddr::from(([80, id[18], id[19] & 7, host], 6881));
            let contact = Contact { id: NodeId(id), addr };
            let known = table.entries().nth(usize::from(id[17])).map(|entry| entry.contact);
            match (kind, known) {
                (0, Some(known)) => table.failed(&known),
                (1, Some(known)) => drop(table.answered(Time::ZERO, Contact { id: NodeId(id), ..known })),
                _ => drop(table.answered(Time::ZERO, contact)),
            }
        }
        let mut hosts = std::collections::BTreeSet::new();
        for (index, bucket) in table.buckets.iter().enumerate() {
            prop_assert!(bucket.live.len() <= table.capacity(index) && bucket.spare.len() <= K);
            prop_assert!(bucket.spare.is_empty() || bucket.live.len() == table.capacity(index));
            let mut blocks = std::collections::BTreeSet::new();
            for entry in bucket.all() {
                prop_assert_eq!(table.index(&entry.contact.id), index);
                prop_assert!(hosts.insert(Host::of(entry.contact.addr)) && blocks.insert(Block::of(entry.contact.addr)));
            }
        }
        let mut all: Vec<Contact> = table.entries().filter(|entry| entry.failures == 0).map(|entry| entry.contact).collect();
        all.sort_by_key(|contact| contact.id.distance(&target));
        all.truncate(K);
        prop_assert_eq!(table.closest(Time::ZERO, &target, K), all);
    }
}
