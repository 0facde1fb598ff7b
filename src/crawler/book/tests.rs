use super::*;
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn contact(number: u32, ip: u32) -> Contact {
    let mut id = [0; 20];
    id[..4].copy_from_slice(&number.to_be_bytes());
    Contact { id: NodeId(id), addr: (ip.to_be_bytes(), 6881).into() }
}

#[test]
fn an_address_has_one_entry() {
    let (mut book, mut rng) = (ContactBook::default(), ChaCha8Rng::seed_from_u64(1));
    assert!(book.answered(Time::ZERO, contact(1, 1), &mut rng));
    assert!(!book.answered(Time::from_millis(1), contact(1, 1), &mut rng), "known");
    assert!(book.answered(Time::from_millis(2), contact(2, 1), &mut rng), "took another ID");
    assert_eq!(book.freshest(), [contact(2, 1)]);
}

#[test]
fn full_book_forgets_the_stale() {
    let (mut book, mut rng) = (ContactBook::default(), ChaCha8Rng::seed_from_u64(1));
    let full = MAX_CONTACTS as u32;
    for number in 0..full * 2 {
        book.answered(Time::from_millis(u64::from(number)), contact(number, number), &mut rng);
        assert!(book.len() <= MAX_CONTACTS);
    }
    let kept = book.freshest();
    assert_eq!(kept.len(), MAX_CONTACTS);
    assert_eq!(kept[0], contact(full * 2 - 1, full * 2 - 1));
    let newer = kept.iter().filter(|one| one.id >= contact(full, 0).id).count();
    assert!(newer * 100 > MAX_CONTACTS * 80, "{newer} of {MAX_CONTACTS} are from the newer half");
    assert!(kept.iter().all(|one| book.by_place.contains_key(&place(one.addr))));
    assert_eq!(book.by_place.len(), MAX_CONTACTS);
}

#[test]
fn a_block_of_addresses_has_its_part_and_no_more() {
    let (mut book, mut rng) = (ContactBook::default(), ChaCha8Rng::seed_from_u64(1));
    let of_block = |number: u32| contact(number, 0x5a00_0000 | (number & 0xff));
    let taken = (0..256).filter(|number| book.answered(Time::ZERO, of_block(*number), &mut rng)).count();
    assert_eq!(taken, MAX_CONTACTS / PART_OF_BLOCK);
    assert!(!book.is_stranger(&of_block(200)), "nobody asks one for whom there is no place");
    assert!(book.answered(Time::ZERO, contact(1_000, 0x5b00_0001), &mut rng), "others have theirs");
    book.forget_all(|addr| Block::of(addr) == Block::of(of_block(0).addr));
    assert_eq!((book.len(), book.blocks.len(), book.by_place.len()), (1, 1, 1));
    // A /64 is one place, and a block.
    let v6 = |net: u16, host: u16| SocketAddr::from(([0x2a00, 1, net, 0, 0, 0, 0, host], 6881));
    for host in 0..500 {
        book.answered(Time::ZERO, Contact { id: NodeId([host as u8; 20]), addr: v6(7, host) }, &mut rng);
    }
    assert_eq!(book.len(), 2);
}

#[test]
fn who_is_where_it_must_be_is_kept_longer() {
    let (mut book, mut rng) = (ContactBook::default(), ChaCha8Rng::seed_from_u64(1));
    let addr = |number: u32| SocketAddr::from(((0x5000_0000 | (number << 8) | 1).to_be_bytes(), 6881));
    let valid: Vec<_> = (0..1_000)
        .map(|number| Contact { id: bep42::generate(addr(number).ip(), &mut rng), addr: addr(number) })
        .collect();
    for contact in &valid {
        book.answered(Time::ZERO, *contact, &mut rng);
    }
    for number in 1_000..9_000_u32 {
        // Where another address would have to be.
        let id = bep42::generate(addr(number ^ 0x5555).ip(), &mut rng);
        let contact = Contact { id, addr: addr(number) };
        book.answered(Time::from_millis(u64::from(number)), contact, &mut rng);
    }
    let kept = valid.iter().filter(|contact| book.by_id.contains_key(&contact.id)).count();
    assert!(book.is_full() && kept > 900, "{kept}");
}

#[test]
fn an_id_belongs_to_the_first_who_answers_with_it() {
    let (mut book, mut rng) = (ContactBook::default(), ChaCha8Rng::seed_from_u64(1));
    book.answered(Time::ZERO, contact(1, 1), &mut rng);
    assert!(!book.answered(Time::ZERO, contact(1, 2), &mut rng));
    book.failed(&contact(1, 1));
    assert!(book.answered(Time::ZERO, contact(1, 2), &mut rng));
    assert_eq!((book.freshest(), book.by_place.len()), (vec![contact(1, 2)], 1));
}

#[test]
fn who_does_not_answer_twice_is_forgotten() {
    let (mut book, mut rng) = (ContactBook::default(), ChaCha8Rng::seed_from_u64(1));
    book.answered(Time::ZERO, contact(1, 1), &mut rng);
    book.failed(&contact(1, 2));
    book.failed(&contact(1, 1));
    assert!(book.good(Time::ZERO, &[0; 20], 8).is_empty(), "others do not hear of it");
    book.answered(Time::ZERO, contact(1, 1), &mut rng);
    book.failed(&contact(1, 1));
    assert_eq!(book.len(), 1, "one may be a lost datagram");
    book.failed(&contact(1, 1));
    assert!(book.is_empty() && book.by_place.is_empty());
}

#[test]
fn nobody_is_asked_again_at_once() {
    let (mut book, mut rng) = (ContactBook::default(), ChaCha8Rng::seed_from_u64(1));
    book.answered(Time::ZERO, contact(1, 1), &mut rng);
    assert!(!book.ask(Time::from_millis(1_999), &contact(1, 1)) && book.ask(Time::from_millis(2_000), &contact(1, 1)));
    assert!(!book.ask(Time::from_millis(2_001), &contact(1, 1)) && book.ask(Time::ZERO, &contact(2, 2)));
}

#[test]
fn a_turn_goes_round() {
    let (mut book, mut rng) = (ContactBook::default(), ChaCha8Rng::seed_from_u64(1));
    assert!(book.after(&NodeId([0; 20])).is_none());
    for number in 0..3 {
        book.answered(Time::ZERO, contact(number, number), &mut rng);
    }
    let mut turn = vec![contact(0, 0).id];
    for _ in 0..4 {
        turn.push(book.after(&turn[turn.len() - 1]).unwrap().0.id);
    }
    assert_eq!(turn, [0, 1, 2, 0, 1].map(|number| contact(number, number).id));
}

#[test]
fn the_stale_are_not_named() {
    let (mut book, mut rng) = (ContactBook::default(), ChaCha8Rng::seed_from_u64(1));
    book.answered(Time::ZERO, contact(1, 1), &mut rng);
    let named = |at: Duration| book.good(Time::ZERO + at, &[0; 20], 8).len();
    assert_eq!((named(GOOD_FOR - Duration::from_millis(1)), named(GOOD_FOR)), (1, 0));
}

#[test]
fn one_question_costs_little_whatever_the_book_holds() {
    let (mut book, mut rng) = (ContactBook::for_nodes(32_768), ChaCha8Rng::seed_from_u64(1));
    // All in one part of the space.
    for number in 0..20_000 {
        book.answered(Time::ZERO, contact(number, number), &mut rng);
    }
    let looked_at = std::cell::Cell::new(0);
    let found = book.closest(&[0x80; 20], 8, |_| {
        looked_at.set(looked_at.get() + 1);
        false
    });
    assert!(found.is_empty() && looked_at.get() <= MAX_LOOKED_AT + FEW, "{}", looked_at.get());
    assert_eq!(book.nearest(&[0x80; 20], 8).len(), 8);
}

proptest! {
    #[test]
    fn the_nearest_agree_with_a_scan(
        ids in prop::collection::vec(prop::array::uniform2(0u8..8), 0..60),
        target in prop::array::uniform2(0u8..8),
        count in 1usize..12,
    ) {
        // Few distinct bits at both ends, so that prefixes are shared.
        let widen = |pair: [u8; 2]| { let mut id = [0; 20]; id[0] = pair[0] << 5; id[19] = pair[1]; id };
        let (mut book, mut rng) = (ContactBook::default(), ChaCha8Rng::seed_from_u64(1));
        for (number, pair) in (0u32..).zip(&ids) {
            let contact = Contact { id: NodeId(widen(*pair)), addr: (number.to_be_bytes(), 1).into() };
            book.answered(Time::ZERO, contact, &mut rng);
        }
        let target = widen(target);
        let mut scan: Vec<NodeId> = book.by_id.keys().copied().collect();
        scan.sort_by_key(|id| id.distance(&target));
        scan.truncate(count);
        let found: Vec<NodeId> = book.nearest(&target, count).iter().map(|contact| contact.id).collect();
        prop_assert_eq!(found, scan);
    }
}
