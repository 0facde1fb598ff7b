//! Whatever is asked and whatever happens, some things always hold.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::control::{PlayState, SeekTo, VolumeTo};

#[derive(Debug, Clone)]
enum Step {
    Order(Order),
    Opened { nth: usize, ok: bool },
    Supply { nth: usize, have: u64, rate: f64 },
    Probed { nth: usize, again: Option<u64> },
    Audio { nth: usize, kind: u8 },
    Progress { nth: usize, millis: u64 },
    Wait(u64),
}

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![
        4 => (0u32..9).prop_map(|number| Order::Play(Some(song(number)))),
        2 => Just(Order::Play(None)),
        2 => prop::collection::vec((0u32..9).prop_map(song), 0..4).prop_map(Order::QueueAdd),
        1 => (0u32..4).prop_map(Order::QueueRemove),
        1 => prop::sample::select(vec![Order::QueueClear, Order::Stop]),
        4 => prop::sample::select(vec![Order::Pause, Order::Resume, Order::Toggle, Order::Next, Order::Previous]),
        1 => any::<f64>().prop_map(|to| Order::Seek(SeekTo::Absolute(to))),
        1 => (-300.0..300.0f64).prop_map(|to| Order::Seek(SeekTo::Relative(to))),
        1 => any::<i8>().prop_map(|to| Order::Volume(VolumeTo::Relative(to))),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let rate = prop_oneof![Just(0.0), 0.0..1e6, Just(f64::NAN)];
    prop_oneof![
        2 => order().prop_map(Step::Order),
        3 => (0usize..3, prop::bool::weighted(0.8)).prop_map(|(nth, ok)| Step::Opened { nth, ok }),
        4 => (0usize..3, prop_oneof![Just(4_000_000u64), 0u64..4_000_000], rate)
            .prop_map(|(nth, have, rate)| Step::Supply { nth, have, rate }),
        2 => (0usize..3, prop::option::weighted(0.1, any::<u64>())).prop_map(|(nth, again)| Step::Probed { nth, again }),
        5 => (0usize..3, 0u8..7).prop_map(|(nth, kind)| Step::Audio { nth, kind }),
        2 => (0usize..3, 0u64..220_000).prop_map(|(nth, millis)| Step::Progress { nth, millis }),
        1 => (0u64..100_000).prop_map(Step::Wait),
    ]
}

/// What an owner knows: which songs are open, and which the engine has.
#[derive(Default)]
struct Owner {
    open: Vec<u64>,
    handed: HashSet<u64>,
    probing: HashMap<u64, bool>,
    paused: bool,
}

impl Owner {
    fn perform(&mut self, action: &Action) {
        match action {
            Action::Open { ticket, .. } => {
                assert!(!self.open.contains(ticket), "opened twice");
                self.open.push(*ticket);
                assert!(self.open.len() <= 2, "more than the current and the next song are open: {:?}", self.open);
            }
            Action::Close { ticket } => {
                let place = self.open.iter().position(|open| open == ticket).expect("closed what was open");
                self.open.remove(place);
            }
            Action::Play { ticket, .. } | Action::Enqueue { ticket } => {
                assert!(self.open.contains(ticket) && self.handed.insert(*ticket), "handed over once, while open");
                assert!(!self.probing.get(ticket).is_some_and(|probing| *probing), "handed over while it is read");
                assert!(!self.paused || matches!(action, Action::Enqueue { .. }), "played into a paused engine");
            }
            Action::Probe { ticket, .. } => {
                assert!(!self.handed.contains(ticket) && self.probing.insert(*ticket, true) != Some(true));
            }
            Action::Pause => assert!(!std::mem::replace(&mut self.paused, true)),
            Action::Resume => assert!(std::mem::replace(&mut self.paused, false)),
            _ => {}
        }
    }

    fn nth(&self, nth: usize) -> u64 {
        self.open.get(nth).copied().unwrap_or(4242)
    }
}

fn apply(rig: &mut Rig, owner: &mut Owner, step: Step) {
    match step {
        Step::Order(order) => drop(rig.order(order)),
        Step::Opened { nth, ok } => {
            let ticket = owner.nth(nth);
            if owner.open.contains(&ticket) {
                if ok { rig.opened(ticket, 3) } else { rig.broken(ticket) }
            }
        }
        Step::Supply { nth, have, rate } => rig.supply(owner.nth(nth), have, rate),
        Step::Probed { nth, again } => {
            let ticket = owner.nth(nth);
            if owner.probing.insert(ticket, false) == Some(true) {
                let facts = Facts { duration: Some(secs(200)), ..Facts::default() };
                rig.player.probed(rig.now, ticket, facts, again);
            }
        }
        Step::Audio { nth, kind } => {
            let token = owner.nth(nth);
            rig.heard(match kind {
                0 | 1 => AudioEvent::Started { token },
                2 => AudioEvent::Finished { token },
                3 => AudioEvent::Failed { token, error: "broken".to_owned() },
                4 => AudioEvent::Starved { token },
                5 => AudioEvent::Recovered { token },
                _ => AudioEvent::Duration { token, duration: secs(180) },
            });
        }
        Step::Progress { nth, millis } => rig.player.progressed(
            rig.now,
            Progress { token: owner.nth(nth), position: Duration::from_millis(millis), ..Progress::default() },
        ),
        Step::Wait(millis) => rig.wait(Duration::from_millis(millis)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_leaked_handed_over_twice_or_left_paused(steps in prop::collection::vec(step(), 0..120)) {
        let mut rig = Rig::with_queue(3);
        let mut owner = Owner::default();
        for step in steps {
            apply(&mut rig, &mut owner, step);
            for action in rig.acts() {
                owner.perform(&action);
            }
            let status = rig.player.status();
            prop_assert!(status.position_s.is_finite() && status.buffered_s.is_finite() && status.volume <= 100);
            prop_assert_eq!(status.queued as usize, rig.player.queue().upcoming.len());
            if status.state == PlayState::Stopped {
                prop_assert!(owner.open.is_empty(), "open while stopped: {:?}", owner.open);
            }
            if status.state == PlayState::Playing {
                prop_assert!(!owner.paused);
            }
            if rig.player.activity() == Activity::Playing {
                prop_assert!(rig.player.poll_timeout().is_some(), "asleep while it should play");
            }
            let again = Player::new(rig.player.snapshot(), rig.now);
            prop_assert_eq!(again.queue(), rig.player.queue());
        }
    }
}
