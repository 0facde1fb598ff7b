use super::*;
use crate::types::NodeId;

fn contact(number: u8) -> Contact {
    let mut id = [0; 20];
    id[0] = number;
    Contact { id: NodeId(id), addr: SocketAddr::from(([80, 0, number, 1], 6881)) }
}

fn walk(start: impl Iterator<Item = u8>) -> Walk {
    Walk::new(Lookup::GetPeers(InfoHash([0; 20])), Urgency::Background, start.map(contact).collect(), Vec::new())
}

fn asks(walk: &mut Walk) -> Vec<u8> {
    std::iter::from_fn(|| match walk.step() {
        Step::Ask(contact) => Some(contact.id.0[0]),
        _ => None,
    })
    .collect()
}

#[test]
fn three_are_asked_at_a_time_and_one_more_for_each_that_stalls() {
    let mut walk = walk(1..30);
    assert_eq!(asks(&mut walk), [1, 2, 3]);
    walk.stalled(contact(2).addr);
    assert_eq!(asks(&mut walk), [4]);
    walk.answered(contact(1), None, false);
    assert_eq!(asks(&mut walk), [5]);
    for number in 3..=9 {
        walk.stalled(contact(number).addr);
        asks(&mut walk);
    }
    assert_eq!(walk.in_flight, MAX_IN_FLIGHT);
}

#[test]
fn it_ends_when_the_closest_eight_have_answered() {
    let mut walk = walk(1..30);
    let mut answered = Vec::new();
    loop {
        let asked = asks(&mut walk);
        if asked.is_empty() {
            break;
        }
        for number in asked {
            if number == 4 {
                walk.failed(contact(number).addr, false);
            } else {
                walk.answered(contact(number), Some(b"t"), false);
                answered.push(number);
            }
        }
    }
    assert_eq!(walk.step(), Step::Arrived);
    assert_eq!(walk.closest(), [1, 2, 3, 5, 6, 7, 8, 9].map(contact));
    assert_eq!(answered.len(), 8);
}

#[test]
fn closer_nodes_go_first_and_blocks_count_once() {
    let mut walk = walk(10..20);
    assert_eq!(asks(&mut walk), [10, 11, 12]);
    walk.offer(contact(1));
    let mut twin = contact(2);
    twin.addr = "80.0.1.77:1".parse().unwrap();
    walk.offer(twin);
    walk.answered(contact(11), None, false);
    assert_eq!(asks(&mut walk), [1]);
    assert!(walk.candidates.iter().all(|known| known.contact != twin));
}

#[test]
fn a_node_under_two_ids_is_asked_at_the_closer_one() {
    let mut walk = walk(10..20);
    let moved = Contact { id: contact(1).id, addr: contact(19).addr };
    walk.offer(moved);
    walk.offer(contact(19));
    assert_eq!(walk.candidates.len(), 10);
    assert_eq!(walk.step(), Step::Ask(moved));
}

#[test]
fn few_candidates_are_waited_for_even_when_slow() {
    let mut walk = walk(1..3);
    assert_eq!(asks(&mut walk), [1, 2]);
    walk.answered(contact(1), None, false);
    walk.stalled(contact(2).addr);
    assert_eq!(walk.step(), Step::Wait);
    walk.failed(contact(2).addr, true);
    assert_eq!(walk.step(), Step::Arrived);
}

#[test]
fn who_could_not_be_asked_is_asked_later() {
    let mut walk = walk(1..30);
    assert_eq!(asks(&mut walk), [1, 2, 3]);
    walk.withheld(Time::ZERO, contact(1).addr, false);
    assert_eq!(walk.next_again(), Some(Time::ZERO + ASK_AGAIN));
    for number in 2..=8 {
        asks(&mut walk);
        walk.answered(contact(number), None, false);
    }
    assert_eq!(walk.step(), Step::Wait, "the closest one is still to be asked");
    walk.ask_again(Time::ZERO + ASK_AGAIN);
    assert_eq!((walk.next_again(), walk.asked), (None, 7), "nobody is counted who was not asked");
    assert_eq!(asks(&mut walk), [1]);
    let mut now = Time::ZERO;
    for _ in 1..=MAX_WITHHELD {
        walk.withheld(now, contact(1).addr, false);
        now = now + ASK_AGAIN;
        walk.ask_again(now);
        asks(&mut walk);
    }
    assert_eq!(walk.closest(), (2..=8).map(contact).collect::<Vec<_>>(), "but not for ever");
    walk.answered(contact(9), None, false);
    assert_eq!(walk.step(), Step::Arrived);
}

#[test]
fn a_router_to_whom_nothing_could_be_sent_is_asked_later() {
    let router = contact(99).addr;
    let mut walk = Walk::new(Lookup::GetPeers(InfoHash([0; 20])), Urgency::Person, Vec::new(), vec![router]);
    let mut now = Time::ZERO;
    for _ in 0..MAX_WITHHELD {
        assert_eq!(walk.step(), Step::AskRouter(router));
        walk.router_withheld(now, router, false);
        assert_eq!((walk.step(), walk.next_again(), walk.asked), (Step::Wait, Some(now + ASK_AGAIN), 0));
        now = now + ASK_AGAIN;
        walk.ask_again(now);
    }
    assert_eq!(walk.step(), Step::AskRouter(router));
    walk.router_withheld(now, router, false);
    assert_eq!((walk.step(), walk.next_again()), (Step::Arrived, None), "but not for ever");
}

#[test]
fn a_liar_cannot_lead_it_on_for_ever() {
    let mut walk = walk(std::iter::once(255));
    let mut asked = 0_u32;
    while let Step::Ask(contact) = walk.step() {
        asked += 1;
        walk.answered(contact, None, false);
        let mut closer = contact;
        let distance = u128::MAX / u128::from(asked + 1);
        closer.id.0[..16].copy_from_slice(&distance.to_be_bytes());
        closer.addr = SocketAddr::from(((0x5000_0000 + (asked << 8)).to_be_bytes(), 1));
        walk.offer(closer);
    }
    assert_eq!(asked as usize, MAX_ASKED);
    assert_eq!(walk.step(), Step::Arrived);
    assert!(walk.candidates.len() <= MAX_CANDIDATES);
}

#[test]
fn an_empty_walk_has_arrived() {
    assert_eq!(walk(std::iter::empty()).step(), Step::Arrived);
}
