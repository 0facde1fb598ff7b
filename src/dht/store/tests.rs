use super::*;
use proptest::prelude::*;
use rand::SeedableRng;

fn store(torrents: usize, peers: usize) -> PeerStore {
    PeerStore::new(torrents, peers, ChaCha8Rng::seed_from_u64(1))
}

fn hash(number: u8) -> InfoHash {
    InfoHash([number; 20])
}

fn peer(number: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([80, 0, number, 1], port))
}

#[test]
fn announces_expire() {
    let mut store = store(10, 10);
    store.announce(Time::ZERO, hash(1), peer(1, 1), false);
    let late = Time::ZERO + PEER_LIFE;
    assert_eq!(store.draw(late - Duration::from_secs(1), &hash(1), false, 9), [peer(1, 1)]);
    assert!(store.draw(late, &hash(1), false, 9).is_empty());
    store.tidy(late);
    assert_eq!((store.torrents(), store.peers()), (0, 0));
}

#[test]
fn seeds_are_left_out_on_request_and_repeats_are_one_peer() {
    let mut store = store(10, 10);
    store.announce(Time::ZERO, hash(1), peer(1, 1), false);
    store.announce(Time::ZERO, hash(1), peer(1, 1), true);
    store.announce(Time::ZERO, hash(1), peer(2, 1), false);
    assert_eq!(store.peers(), 2);
    assert_eq!(store.draw(Time::ZERO, &hash(1), true, 9), [peer(2, 1)]);
}

#[test]
fn one_host_cannot_fill_a_torrent() {
    let mut store = store(10, 1000);
    (1..=100).for_each(|port| store.announce(Time::from_millis(port.into()), hash(1), peer(1, port), false));
    assert_eq!(store.peers(), MAX_PORTS_PER_HOST);
    assert_eq!(store.latest(&hash(1), 1), [peer(1, 100)]);
}

#[test]
fn samples_hold_still_for_their_interval() {
    let mut store = store(100, 100);
    (0..50).for_each(|number| store.announce(Time::ZERO, hash(number), peer(number, 1), false));
    let first = store.sample(Time::ZERO).to_vec();
    assert_eq!(first.len(), SAMPLE_LEN);
    assert_eq!(store.sample(Time::from_millis(1000)), first);
    assert_ne!(store.sample(Time::ZERO + SAMPLE_INTERVAL), first);
}

#[test]
fn one_block_cannot_fill_the_store_or_a_torrent() {
    let (mut large, mut store) = (store(10, 16_000), store(1_000, 3_200));
    let of_block = |number: u32| SocketAddr::from(([90, 0, 0, number as u8], 1 + (number >> 8) as u16));
    let honest = |number: u8| InfoHash([number; 20]);
    (1..=100).for_each(|number| store.announce(Time::ZERO, honest(number), peer(number, 1), false));
    for number in 0..20_000_u32 {
        let mut made_up = [0; 20];
        made_up[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b1).to_be_bytes());
        store.announce(Time::from_millis(u64::from(number)), InfoHash(made_up), of_block(number), false);
    }
    assert!(store.peers() <= 300, "{}", store.peers());
    assert!((1..=100).all(|number| store.latest(&honest(number), 1) == [peer(number, 1)]));
    (0..1_000).for_each(|number| large.announce(Time::ZERO, hash(1), of_block(number), false));
    assert_eq!(large.latest(&hash(1), 500).len(), MAX_BLOCK_PER_TORRENT);
}

#[test]
fn a_full_store_forgets_what_nobody_announces() {
    let mut store = store(100, 1_000);
    for round in 0..50_u64 {
        for number in 0..50 {
            store.announce(Time::from_millis(round * 1_000), hash(number), peer(number, 1), false);
        }
        for number in 0..40_u64 {
            let mut id = [0xee; 20];
            id[..8].copy_from_slice(&(round * 40 + number).to_be_bytes());
            let from = SocketAddr::from(([91, round as u8, number as u8, 1], 1));
            store.announce(Time::from_millis(round * 1_000 + number), InfoHash(id), from, false);
        }
    }
    assert_eq!((store.torrents(), store.queue.len()), (100, 100));
    assert!((0..50).all(|number| store.latest(&hash(number), 1) == [peer(number, 1)]), "those that are announced stay");
    assert_eq!(store.blocks.iter().sum::<u32>() as usize, store.peers());
    store.tidy(Time::from_millis(50_000) + PEER_LIFE);
    assert_eq!((store.torrents(), store.peers(), store.queue.len()), (0, 0, 0));
    assert!(store.blocks.iter().all(|peers| *peers == 0));
}

#[test]
fn each_of_many_ids_shows_what_lies_around_it() {
    let mut store = store(10_000, 10_000);
    let spread = |number: u32| number.wrapping_mul(0x9e37_79b1).to_be_bytes();
    let id = |number| std::array::from_fn(|at| spread(number)[at % 4]);
    for number in 0..4_000_u32 {
        let from = SocketAddr::from(([80, (number >> 8) as u8, number as u8, 1], 1));
        store.announce(Time::ZERO, InfoHash(id(number)), from, false);
    }
    let mut shown = std::collections::BTreeSet::new();
    for number in 0..512 {
        let own = NodeId(id(100_000 + number));
        let (sample, total) = store.sample_around(Time::from_millis(1), &own, 512);
        assert!(sample.len() == SAMPLE_LEN && (62..=500).contains(&total), "{total}");
        assert!(sample.iter().all(|infohash| own.distance(&infohash.0).shared_bits() >= 3));
        let (again, _) = store.sample_around(Time::from_millis(2), &own, 512);
        assert_eq!(sample, again, "it holds still");
        let (later, _) = store.sample_around(Time::from_millis(1) + SAMPLE_INTERVAL, &own, 512);
        assert_ne!(sample, later);
        shown.extend(sample);
    }
    assert!(shown.len() > 3_000, "{} of 4000 are shown by somebody", shown.len());
}

proptest! {
    #[test]
    fn bounds_hold_and_the_newest_is_kept(announces in prop::collection::vec((0_u8..20, 0_u8..20, 1_u16..9), 1..200)) {
        let mut store = store(5, 12);
        for (at, (torrent, host, port)) in (0_u64..).zip(announces) {
            store.announce(Time::from_millis(at), hash(torrent), peer(host, port), false);
            prop_assert!(store.torrents() <= 5 && store.peers() <= 12);
            prop_assert_eq!(store.peers(), store.torrents.values().map(Vec::len).sum::<usize>());
            prop_assert_eq!(store.latest(&hash(torrent), 1), [peer(host, port)]);
        }
    }
}
