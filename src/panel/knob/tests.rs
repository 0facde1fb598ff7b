//! Generated edges, as contacts make them.

use std::time::Duration;

use proptest::prelude::*;
use rand::Rng;

use super::bench::Bench;
use super::kernel::Told;
use super::*;
use crate::panel::{Gesture, Key};
use crate::types::Time;

/// Levels of one detent clockwise, from rest to rest.
const CLOCKWISE: [Levels; 4] = [
    Levels { a: false, b: true },
    Levels { a: false, b: false },
    Levels { a: true, b: false },
    Levels { a: true, b: true },
];

fn detent(direction: i32) -> Vec<Levels> {
    let mut levels = CLOCKWISE.to_vec();
    if direction < 0 {
        levels[..3].reverse();
    }
    levels
}

fn millis(millis: u64) -> Time {
    Time::from_millis(millis)
}

fn lines(steps: Steps) -> Lines {
    Lines { a: 17, b: 27, press: 22, steps, keys: vec![(Key::Next, 5)] }
}

fn knob(steps: Steps) -> Knob {
    Knob::new(lines(steps), Duration::ZERO, |_| true)
}

fn bench(seed: u64, steps: Steps) -> Bench {
    Bench::new(seed, lines(steps))
}

fn drive(knob: &mut Knob, told: &[Told]) -> Vec<Gesture> {
    bench::drive(knob, &lines(Steps::Four), told, 0..0)
}

/// Edges that are told as they happen.
fn at_once(edges: &[Edge]) -> Vec<Told> {
    edges.iter().map(|edge| Told { when: edge.at, edge: *edge }).collect()
}

fn detents(gestures: &[Gesture]) -> (i32, i32) {
    let turned: Vec<i32> = gestures.iter().map(|gesture| gesture.detents()).collect();
    (turned.iter().sum(), turned.iter().map(|detents| detents.abs()).sum())
}

#[test]
fn ten_thousand_detents_with_bounces_none_lost_none_invented() {
    for (seed, steps) in [(1, Steps::Four), (2, Steps::Two), (3, Steps::One)] {
        let mut bench = bench(seed, steps);
        let (mut net, mut direction, mut expected) = (0, 1, Vec::new());
        for count in 0..10_000 {
            // At all speeds, the highest for a fifth of the time; the hand turns back now and then.
            if bench.random().random_bool(0.05) {
                direction = -direction;
                bench.rest(Duration::from_millis(30));
            }
            let speed = if count % 5 == 0 { 5.0 } else { bench.random().random_range(0.2..5.0) };
            bench.detent(direction, speed);
            net += direction;
            expected.push(direction);
        }
        let told = bench.told();
        let mut knob = knob(steps);
        let gestures = drive(&mut knob, &told);
        assert_eq!(detents(&gestures), (net, 10_000), "{steps:?}");
        // One by one and in their order.
        let seen: Vec<i32> = gestures.iter().map(|gesture| gesture.detents()).collect();
        assert_eq!(seen, expected, "{steps:?}");
        assert_eq!(knob.losses(), Losses::default());
    }
}

#[test]
fn lost_edges_are_counted_and_cost_no_more_than_their_own_detents() {
    for steps in [Steps::Four, Steps::Two, Steps::One] {
        let mut bench = bench(7, steps);
        (0..400).for_each(|_| {
            bench.detent(1, 2.0);
        });
        let told = bench.told();
        // The kernel's buffer was full: 40 events in the middle are gone.
        let mut knob = knob(steps);
        let (net, all) = detents(&bench::drive(&mut knob, &lines(steps), &told, 500..540));
        assert_eq!(knob.losses().dropped, 40);
        assert!(net == all && net <= 400, "{steps:?}: {net} of {all}");
        // 40 events are at most so many steps; what came before and after is complete.
        assert!(net >= 400 - 40, "{steps:?}: {net}");
    }
}

#[test]
fn edges_without_a_number_are_found_by_reading_the_levels() {
    let mut knob = knob(Steps::Four);
    let edge = |millis, line, high, line_seqno| Edge { at: Duration::from_millis(millis), line, high, line_seqno };
    let mut gestures = Vec::new();
    // Clockwise, but the hardware swallowed the last edge: b is high again.
    for edge in [edge(1, 17, false, 1), edge(5, 27, false, 1), edge(9, 17, true, 2)] {
        knob.edge(edge, &mut gestures);
    }
    assert_eq!(gestures, []);
    assert!(!knob.wants_levels(Duration::from_millis(28)) && knob.wants_levels(Duration::from_millis(29)));
    knob.levels(Duration::from_millis(29), |_| true, &mut gestures);
    assert_eq!(gestures, [Gesture::Turn(1)]);
    assert_eq!(knob.losses(), Losses { dropped: 0, swallowed: 1 });
    // A button whose letting go was swallowed does not stay down.
    knob.edge(edge(100, 22, false, 1), &mut gestures);
    knob.timeout(Duration::from_millis(110), &mut gestures);
    knob.levels(Duration::from_millis(121), |_| true, &mut gestures);
    knob.timeout(Duration::from_millis(132), &mut gestures);
    assert_eq!(gestures, [Gesture::Turn(1), Gesture::Press]);
    assert_eq!(knob.poll_timeout(), None);
}

#[test]
fn a_contact_that_has_bounced_back_before_anybody_looked_has_moved() {
    let mut knob = knob(Steps::Four);
    let edge = |micros, line, high, line_seqno| Edge { at: Duration::from_micros(micros), line, high, line_seqno };
    // Contact a closes at 0, opens again until 1.9 ms; contact b closes at 1.8 ms. Then both open.
    let clockwise = [
        edge(100, 17, true, 1),
        edge(1_800, 27, false, 1),
        edge(1_900, 17, false, 2),
        edge(6_000, 17, true, 3),
        edge(8_000, 27, true, 2),
    ];
    assert_eq!(drive(&mut knob, &at_once(&clockwise)), [Gesture::Turn(1)]);
    assert_eq!(knob.losses(), Losses::default());
    // A spike that is over by the time it is told turns nothing.
    assert_eq!(drive(&mut knob, &at_once(&[edge(100_000, 17, true, 4)])), []);
}

#[test]
fn buttons_of_their_own_are_keys() {
    let mut knob = knob(Steps::Four);
    let edge = |millis, high, line_seqno| Edge { at: Duration::from_millis(millis), line: 5, high, line_seqno };
    let gestures = drive(&mut knob, &at_once(&[edge(0, false, 1), edge(100, true, 2)]));
    assert_eq!(gestures, [Gesture::Key(Key::Next)]);
    assert_eq!(drive(&mut knob, &at_once(&[Edge { line: 99, ..edge(2_000, true, 3) }])), []);
}

#[test]
fn a_button_held_at_power_on_is_debounced_too() {
    let mut knob = Knob::new(lines(Steps::Four), Duration::ZERO, |line| line != 22);
    let let_go = Edge { at: Duration::from_millis(5), line: 22, high: true, line_seqno: 1 };
    assert_eq!(drive(&mut knob, &at_once(&[let_go])), []);
}

#[test]
fn a_nudge_that_falls_back_is_nothing() {
    let mut knob = Quadrature::new(Steps::Four, Levels::REST);
    let there_and_back = [CLOCKWISE[0], CLOCKWISE[1], CLOCKWISE[0], Levels::REST];
    assert_eq!(there_and_back.map(|levels| knob.update(levels)), [0; 4]);
}

#[test]
fn one_lost_edge_loses_no_detent() {
    for (lost, direction) in [(0, 1), (1, 1), (2, 1), (0, -1), (1, -1), (2, -1)] {
        let mut knob = Quadrature::new(Steps::Four, Levels::REST);
        let mut levels = detent(direction);
        levels.remove(lost);
        let turned: i32 = levels.into_iter().map(|levels| knob.update(levels)).sum();
        assert_eq!(turned, direction, "lost {lost}");
    }
}

#[test]
fn a_fast_hand_reaches_further_until_it_turns_back() {
    let mut speed = Acceleration::default();
    let at = |millis: f64| Duration::from_secs_f64(millis / 1000.0);
    // Half a revolution a second is slow: every detent is one.
    assert!((0..24).all(|count| speed.turn(at(f64::from(count) * 1000.0 / 12.0), 1) == 1));
    // Three revolutions a second: sixty rows within half a revolution.
    let fast: Vec<i32> = (0..12).map(|count| speed.turn(at(5_000.0 + f64::from(count) * 1000.0 / 72.0), 1)).collect();
    assert!(fast[0] == 1 && fast[11] >= 7 && fast.iter().sum::<i32>() >= 40, "{fast:?}");
    // Back: one by one again, at once.
    assert_eq!(speed.turn(at(5_000.0 + 13.0 * 1000.0 / 72.0), -1), -1);
    // And after a pause too.
    assert!((0..24).all(|count| speed.turn(at(7_000.0 + f64::from(count) * 14.0), -1) < 0));
    assert_eq!(speed.turn(at(9_000.0), -1), -1);
    assert_eq!(speed.turn(at(9_000.0), 0), 0);
    assert_eq!(speed.turn(at(9_000.0), i32::MAX), i32::MAX);
}

#[test]
fn press_is_told_when_let_go() {
    let mut button = Button::default();
    assert_eq!(button.update(millis(0), true), None);
    assert_eq!(button.poll_timeout(), Some(millis(10)));
    assert_eq!(button.timeout(millis(10)), None);
    assert_eq!(button.update(millis(200), false), None);
    assert_eq!(button.timeout(millis(210)), Some(Gesture::Press));
    assert_eq!(button.poll_timeout(), None);
}

/// What comes of presses that begin and end at these times.
fn pressed(button: &mut Button, presses: &[(u64, u64)]) -> Vec<Gesture> {
    let mut gestures = Vec::new();
    for (down, up) in presses {
        for (at, level) in [(*down, true), (*up, false)] {
            while let Some(due) = button.poll_timeout().filter(|due| *due < millis(at)) {
                gestures.extend(button.timeout(due));
            }
            gestures.extend(button.update(millis(at), level));
            gestures.extend(button.timeout(millis(at + 10)));
        }
    }
    gestures
}

#[test]
fn the_second_of_two_presses_is_told_as_such() {
    let mut button = Button::default();
    let twice = [(0, 80), (200, 280)];
    assert_eq!(pressed(&mut button, &twice), [Gesture::Press, Gesture::Double]);
    // The third is a first again, and a slow one is no second.
    assert_eq!(pressed(&mut button, &[(400, 480), (900, 980)]), [Gesture::Press, Gesture::Press]);
    // A hold between two presses parts them.
    let parted = [(2_000, 2_080), (2_150, 2_900), (2_950, 3_000)];
    assert_eq!(pressed(&mut button, &parted), [Gesture::Press, Gesture::Hold, Gesture::Press]);
}

#[test]
fn hold_is_told_while_still_down() {
    let mut button = Button::default();
    button.update(millis(0), true);
    button.timeout(millis(10));
    assert_eq!(button.poll_timeout(), Some(millis(600)));
    assert_eq!(button.timeout(millis(600)), Some(Gesture::Hold));
    button.update(millis(900), false);
    assert_eq!(button.timeout(millis(910)), None);
}

#[test]
fn a_short_blip_is_noise() {
    let mut button = Button::default();
    button.update(millis(0), true);
    assert_eq!(button.update(millis(4), false), None);
    assert_eq!((button.poll_timeout(), button.timeout(millis(50))), (None, None));
}

proptest! {
    #[test]
    fn any_turns_at_any_speed_are_counted(
        turns in prop::collection::vec((any::<bool>(), 0.1f64..5.0, 0.0f64..0.5), 1..60),
        steps in prop::sample::select(vec![Steps::One, Steps::Two, Steps::Four]),
        seed: u64,
    ) {
        let mut bench = bench(seed, steps);
        let (mut before, mut net) = (None, 0);
        for (clockwise, speed, pause) in &turns {
            let direction = if *clockwise { 1 } else { -1 };
            // A hand needs a moment to turn back.
            let turns_back = before.is_some_and(|before| before != direction);
            bench.rest(Duration::from_secs_f64(if turns_back { pause.max(0.03) } else { *pause }));
            bench.detent(direction, *speed);
            net += direction;
            before = Some(direction);
        }
        prop_assert_eq!(detents(&drive(&mut knob(steps), &bench.told())), (net, turns.len() as i32));
    }

    #[test]
    fn bounces_between_neighbours_never_count(turns in prop::collection::vec((any::<bool>(), 0usize..4, 0usize..5), 1..40)) {
        let mut knob = Quadrature::new(Steps::Four, Levels::REST);
        let (mut turned, mut expected) = (0, 0);
        for (clockwise, bouncing, times) in turns {
            let direction = if clockwise { 1 } else { -1 };
            expected += direction;
            let mut before = Levels::REST;
            for (step, levels) in detent(direction).into_iter().enumerate() {
                turned += knob.update(levels);
                if step == bouncing {
                    for _ in 0..times {
                        turned += knob.update(before);
                        turned += knob.update(levels);
                    }
                }
                before = levels;
            }
        }
        prop_assert_eq!(turned, expected);
    }

    #[test]
    fn noise_turns_no_faster_than_it_comes(noise in prop::collection::vec((any::<bool>(), any::<bool>()), 0..200)) {
        let mut knob = Quadrature::new(Steps::Four, Levels::REST);
        let turned: i32 = noise.iter().map(|(a, b)| knob.update(Levels { a: *a, b: *b }).abs()).sum();
        prop_assert!(turned <= noise.len() as i32 / 2);
    }

    #[test]
    fn any_edges_end_in_a_knob_that_works(
        edges in prop::collection::vec((0u64..40_000, 0usize..4, any::<bool>(), any::<u32>()), 0..200),
    ) {
        let mut at = 0;
        let noise: Vec<Edge> = edges.into_iter().map(|(later, line, high, line_seqno)| {
            at += later;
            Edge { at: Duration::from_micros(at), line: [17, 27, 22, 5][line], high, line_seqno }
        }).collect();
        let mut knob = knob(Steps::Four);
        let gestures = drive(&mut knob, &at_once(&noise));
        prop_assert!(gestures.len() <= 2 * noise.len() + 2);
        // Everything is let go, and then a detent is a detent.
        let mut rest = Vec::new();
        let end = Duration::from_micros(at) + Duration::from_secs(2);
        knob.levels(end, |_| true, &mut rest);
        knob.timeout(end + Duration::from_millis(50), &mut rest);
        let mut bench = bench(1, Steps::Four);
        bench.rest(end);
        bench.detent(-1, 1.0);
        let mut told = bench.told();
        for Told { edge, .. } in &mut told {
            let before = noise.iter().rev().find(|noise| noise.line == edge.line).map_or(0, |noise| noise.line_seqno);
            edge.line_seqno = edge.line_seqno.wrapping_add(before);
        }
        prop_assert_eq!(detents(&drive(&mut knob, &told)), (-1, 1));
    }

    #[test]
    fn every_press_gives_one_gesture(presses in prop::collection::vec((30u64..1500, 30u64..1500, 0u64..4), 0..20)) {
        let mut button = Button::default();
        let mut now = 0;
        let (mut seen, mut expected) = (Vec::new(), Vec::new());
        for (down, up, bounces) in presses {
            for (level, length) in [(true, down), (false, up)] {
                let mut at = now;
                for _ in 0..bounces {
                    seen.extend(button.update(millis(at), level));
                    seen.extend(button.update(millis(at + 1), !level));
                    at += 2;
                }
                seen.extend(button.update(millis(at), level));
                now += length;
                while let Some(due) = button.poll_timeout().filter(|due| *due <= millis(now)) {
                    seen.extend(button.timeout(due));
                }
            }
            expected.push(down);
        }
        prop_assert_eq!(seen.len(), expected.len());
        for (gesture, down) in seen.iter().zip(expected) {
            if down < 580 {
                prop_assert!(matches!(gesture, Gesture::Press | Gesture::Double));
            } else if down > 620 {
                prop_assert_eq!(*gesture, Gesture::Hold);
            }
        }
    }
}
