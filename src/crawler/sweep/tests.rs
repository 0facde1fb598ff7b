use std::net::Ipv6Addr;

use super::*;
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn contact(first: u16, host: u32) -> Contact {
    let mut id = [7; 20];
    id[..2].copy_from_slice(&first.to_be_bytes());
    Contact { id: NodeId(id), addr: ((0x5000_0000 + host).to_be_bytes(), 6881).into() }
}

fn rng() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(1)
}

/// A sweep of four zones, however few are in them.
fn sweep() -> Sweep {
    Sweep::new(Time::ZERO, &SavedSweep { bits: 2, ..SavedSweep::default() })
}

/// Enters the zone that is due and asks everybody in it; whom it asked, in order.
fn sweep_zone(sweep: &mut Sweep, now: Time, seeds: &[Contact], named: &[Contact]) -> Vec<Contact> {
    assert!(matches!(sweep.next(now, &mut rng()), Step::Enter(_)));
    sweep.entered(seeds.iter().copied());
    let mut asked = Vec::new();
    while let Step::Visit { contact, .. } = sweep.next(now, &mut rng()) {
        asked.push(contact);
        sweep.visited(contact.addr, true, named);
    }
    asked
}

#[test]
fn a_zone_is_asked_in_order_and_each_address_once() {
    let mut sweep = sweep();
    let twin = Contact { id: contact(0x2000, 0).id, addr: contact(0, 2).addr };
    let outside = contact(0x4000, 9);
    let named = [contact(0x1000, 2), twin, contact(0x3000, 3), contact(0x0100, 4), outside];
    let asked = sweep_zone(&mut sweep, Time::ZERO, &[contact(0x0800, 1)], &named);
    let expected = [contact(0x0800, 1), contact(0x1000, 2), contact(0x3000, 3), contact(0x0100, 4)];
    assert_eq!(asked, expected, "what lies behind comes last");
    assert_eq!(sweep.zones(), (1, 4));
    let next = sweep_zone(&mut sweep, Time::ZERO, &[outside, contact(0x1000, 2)], &[]);
    assert_eq!(next, [outside], "of the next zone");
}

#[test]
fn who_bears_no_more_now_is_asked_after_the_others() {
    let mut sweep = sweep();
    let all: Vec<_> = (1..5).map(|number| contact(number << 8, number.into())).collect();
    assert!(matches!(sweep.next(Time::ZERO, &mut rng()), Step::Enter(_)));
    sweep.entered(all.iter().copied());
    let (mut asked, mut refusals) = (Vec::new(), 0);
    while let Step::Visit { contact, .. } = sweep.next(Time::ZERO, &mut rng()) {
        if contact == all[1] && refusals < 3 {
            refusals += 1;
            sweep.withheld(contact);
        } else {
            asked.push(contact);
            sweep.visited(contact.addr, true, &[]);
        }
    }
    assert_eq!(asked, [all[0], all[2], all[3], all[1]]);
    assert_eq!((sweep.visits(), sweep.zones().0), (4, 1), "each counts once");
}

#[test]
fn nobody_is_asked_again_within_six_hours() {
    let mut sweep = sweep();
    let mut now = Time::ZERO;
    for zone in 0..4 {
        sweep_zone(&mut sweep, now, &[contact(zone << 14, 1)], &[]);
        now = now + Duration::from_secs(60);
    }
    let due = Time::ZERO + INTERVAL_MAX;
    assert_eq!(sweep.next(due - Duration::from_secs(1), &mut rng()), Step::Wait);
    let asked = sweep_zone(&mut sweep, due, &[contact(0, 1)], &[]);
    assert_eq!(asked, [contact(0, 1)], "the first is due");
    assert_eq!(sweep.next(due, &mut rng()), Step::Wait, "the second is not");
}

#[test]
fn a_zone_that_hardly_answers_is_gone_through_again() {
    let mut sweep = sweep();
    sweep.set_depth(11);
    let all: Vec<_> = (1..=600).map(|number| contact(number, number.into())).collect();
    let mut now = Time::ZERO;
    // One of two thousand answers and names the others, who do not: we have just come.
    let mut go_through = |now, answers: &dyn Fn(usize) -> bool| {
        assert!(matches!(sweep.next(now, &mut rng()), Step::Enter(_)));
        sweep.entered(all.iter().copied());
        let mut asked = Vec::new();
        while let Step::Visit { contact, .. } | Step::AskPlainly { contact, .. } = sweep.next(now, &mut rng()) {
            asked.push(contact);
            sweep.visited(contact.addr, answers(asked.len()), &[]);
        }
        (asked.len(), sweep.zones().0)
    };
    assert_eq!(go_through(now, &|asked| asked == 1), (600, 0));
    now = now + THIN_PAUSE;
    assert_eq!(go_through(now, &|asked| asked == 1), (599, 0), "who answered is not asked again");
    now = now + THIN_PAUSE;
    assert_eq!(go_through(now, &|_| true), (598, 1), "enough of it by now");
    // Where there are no more, it is left all the same.
    let few = [contact(0x4000, 9), contact(0x4001, 10)];
    for round in 0..=u64::from(MAX_AGAIN) {
        assert_eq!(sweep.zones().0, 1);
        sweep_zone(&mut sweep, now + THIN_PAUSE * round as u32, &few, &[]);
    }
    assert_eq!(sweep.zones().0, 2);
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let mut before = sweep();
    sweep_zone(&mut before, Time::ZERO, &[contact(0, 1)], &[]);
    let saved = before.saved(Time::from_millis(3_600_000));
    assert_eq!(saved, SavedSweep { bits: 2, zone: 1, resting: vec![(0, 5 * 3600)], ..SavedSweep::default() });
    // Its clock begins at zero.
    let mut after = Sweep::new(Time::ZERO, &saved);
    for zone in 1..4 {
        let asked = sweep_zone(&mut after, Time::ZERO, &[contact(zone << 14, 1)], &[]);
        assert_eq!(asked.len(), 1);
    }
    let due = Time::ZERO + Duration::from_secs(5 * 3600);
    assert_eq!(after.next(due - Duration::from_secs(1), &mut rng()), Step::Wait);
    assert!(matches!(after.next(due, &mut rng()), Step::Enter(_)));
}

#[test]
fn a_zone_is_gone_on_with_in_the_middle() {
    let all: Vec<_> = (1..9_u16).map(|number| contact(number << 8, number.into())).collect();
    let mut before = sweep();
    before.next(Time::ZERO, &mut rng());
    before.entered(all.clone());
    for expected in &all[..3] {
        let Step::Visit { contact, .. } = before.next(Time::ZERO, &mut rng()) else { unreachable!("a visit") };
        assert_eq!(contact, *expected);
    }
    let mut saved = before.saved(Time::ZERO);
    assert_eq!((saved.zone, saved.from), (0, all[2].id));
    // The one under way when we ended is asked again, the others are not.
    let mut after = Sweep::new(Time::ZERO, &saved);
    after.set_depth(11);
    assert_eq!(sweep_zone(&mut after, Time::ZERO, &all, &[]), all[2..]);
    // At the end of the zone there are only those that were found late.
    let late = contact(0, 99);
    before.visited(all[0].addr, true, &[late]);
    while let Step::Visit { contact, .. } = before.next(Time::ZERO, &mut rng())
        && contact != late
    {}
    saved = before.saved(Time::ZERO);
    assert_eq!((saved.zone, saved.resting), (1, vec![(0, 6 * 3600)]));
}

#[test]
fn a_zone_without_answers_is_tried_again_soon() {
    let mut sweep = sweep();
    sweep.next(Time::ZERO, &mut rng());
    sweep.entered([contact(0, 1)]);
    assert!(matches!(sweep.next(Time::ZERO, &mut rng()), Step::Visit { .. }));
    sweep.visited(contact(0, 1).addr, false, &[]);
    assert_eq!(sweep.next(Time::ZERO, &mut rng()), Step::Wait);
    assert_eq!((sweep.due[0], sweep.zone), (Time::ZERO + RETRY, 1));
}

#[test]
fn the_silent_that_many_know_are_asked_plainly_and_once() {
    let mut sweep = sweep();
    sweep.next(Time::ZERO, &mut rng());
    let (mute, dead, hidden) = (contact(0x0100, 1), contact(0x0200, 2), contact(0x3000, 99));
    let others: Vec<_> = (3..3 + u16::from(OFTEN)).map(|number| contact(number << 8, number.into())).collect();
    sweep.entered([mute, dead].into_iter().chain(others.clone()));
    let mut asked = Vec::new();
    for _ in 0..others.len() + 2 {
        let Step::Visit { contact, .. } = sweep.next(Time::ZERO, &mut rng()) else { unreachable!("a visit") };
        asked.push(contact);
        sweep.visited(contact.addr, ![mute, dead].contains(&contact), &[mute]);
    }
    assert_eq!(asked.len(), others.len() + 2);
    let step = sweep.next(Time::ZERO, &mut rng());
    assert!(matches!(step, Step::AskPlainly { contact, .. } if contact == mute), "{step:?}");
    // Whoever is postponed is asked again.
    sweep.postponed(mute);
    assert_eq!(sweep.next(Time::ZERO, &mut rng()), step);
    assert_eq!(sweep.next(Time::ZERO, &mut rng()), Step::Wait, "the answer may name more");
    sweep.visited(mute.addr, true, &[hidden]);
    assert!(matches!(sweep.next(Time::ZERO, &mut rng()), Step::Visit { contact, .. } if contact == hidden));
    sweep.visited(hidden.addr, false, &[]);
    assert_eq!(sweep.next(Time::ZERO, &mut rng()), Step::Wait);
    assert_eq!((sweep.zones(), sweep.visits()), ((1, 4), asked.len() as u64 + 1));
}

#[test]
fn liars_fill_no_more_than_a_zone() {
    let mut sweep = sweep();
    sweep.next(Time::ZERO, &mut rng());
    sweep.entered([contact(0, 0)]);
    for host in 0..50_000_u32 {
        sweep.visited(contact(0, 0).addr, true, &[contact((host % 0x4000) as u16, host)]);
    }
    assert!(sweep.known.len() <= MAX_NODES && sweep.waiting.len() <= MAX_NODES);
}

#[test]
fn one_network_of_a_home_is_asked_once() {
    let mut sweep = sweep();
    sweep.next(Time::ZERO, &mut rng());
    sweep.entered([contact(0, 0)]);
    let before = sweep.known.len();
    let named = (0..100_u16).map(|host| {
        let addr = SocketAddr::new(Ipv6Addr::new(0x2a01, 0x4f8, 1, 2, 0, 0, 0, host).into(), 6881);
        Contact { addr, ..contact(host, 0) }
    });
    sweep.visited(contact(0, 0).addr, true, &named.collect::<Vec<_>>());
    assert_eq!(sweep.known.len(), before + 1);
}

#[test]
fn zones_follow_the_size_of_the_network() {
    let mut sweep = sweep();
    sweep_zone(&mut sweep, Time::ZERO, &[contact(0, 1)], &[]);
    sweep.set_depth(17);
    sweep_zone(&mut sweep, Time::ZERO, &[], &[]);
    assert_eq!((sweep.zones().1, sweep.zone), (256, 65));
    assert_eq!(sweep.saved(Time::ZERO).resting.len(), 64 + 1, "what was swept as one");
    sweep.set_depth(9);
    assert_eq!(sweep.next(Time::ZERO, &mut rng()), Step::Wait, "part of it was swept just now");
    assert_eq!(sweep.zones().1, 1);
}

proptest! {
    #[test]
    fn targets_lie_in_the_zone(id: [u8; 20], depth in 0_u32..25, seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut sweep = Sweep::new(Time::ZERO, &SavedSweep::default());
        sweep.set_depth(depth);
        sweep.cut_anew();
        sweep.zone = if sweep.bits == 0 { 0 } else { zone_of(&NodeId(id), sweep.bits) };
        let target = sweep.target(NodeId(id), &mut rng);
        let shared = target.distance(&id).shared_bits();
        prop_assert!(shared >= sweep.bits, "{shared} of {}", sweep.bits);
        prop_assert!(target.0 == id || shared <= depth.max(sweep.bits));
    }

    #[test]
    fn what_was_kept_goes_on_whatever_it_is(bits: u32, zone: u32, resting: Vec<(u32, u32)>, id: [u8; 20], depth in 0_u32..40) {
        let mut sweep = Sweep::new(Time::ZERO, &SavedSweep { bits, zone, resting, from: NodeId(id) });
        sweep.set_depth(depth);
        let _ = sweep.next(Time::ZERO, &mut rng());
        prop_assert!((sweep.zone as usize) < sweep.due.len());
    }
}
