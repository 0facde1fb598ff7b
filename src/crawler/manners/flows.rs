//! The flows that the router translates for us: each of our ports with each remote is one, whoever spoke first.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use crate::dht::{Fill, Urgency};
use crate::types::Time;

/// How long a router keeps a flow that is silent: 30 seconds and more (RFC 4787 asks for two minutes, and home routers differ).
pub const FLOW_LIFE: Duration = Duration::from_secs(30);
/// A flow that is used is noted again after this: noted each time, one remote would fill the order.
const FLOW_NOTED: Duration = Duration::from_secs(1);
/// So a flow is held to be open for so long after it was noted: it may have been used once more since.
const FLOW_HELD: Duration = FLOW_LIFE.saturating_add(FLOW_NOTED);

/// Sixteenths of all flows that each kind of question that can wait has for itself, whatever the others hold: the checks of
/// full tables alone would else take all there are, and who is only sampled or shown a monitor would never be asked.
const OWN_SHARE: usize = 2;
/// Sixteenths of all flows up to which what nobody waits for may open more, and up to which answers may: the rest is for people.
const OURS: usize = 15;
const ANSWERS: usize = 14;
/// Sixteenths of all flows up to which the upkeep of tables may have more than its own share; what is less urgent has one less
/// each.
const SHARED: usize = 8;
/// Kinds of questions that can wait: those less urgent than an answer.
const KINDS: usize = Urgency::Answer as usize;

#[derive(Debug, Clone, Copy)]
struct Flow {
    used: Time,
    /// What it was opened for.
    urgency: Urgency,
}

/// Open flows: never more than the bound. Sixteenths of it are kept for what must not wait, so that neither strangers whom
/// we answer nor our own curiosity take them all; what can wait shares half, the less urgent less of it, but each kind has
/// [`OWN_SHARE`].
#[derive(Debug)]
pub struct Flows {
    bound: usize,
    /// By our socket and the remote.
    open: HashMap<(u32, SocketAddr), Flow>,
    /// Of these, those opened by questions that could have waited, by urgency.
    could_wait: [usize; KINDS],
    /// In the order of use; as long as flows are, and those used again once more for each second.
    order: VecDeque<(Time, u32, SocketAddr)>,
}

impl Flows {
    /// None yet; `bound` [`u32::MAX`]: nothing translates them, and they are not counted.
    pub fn new(bound: u32) -> Self {
        Self { bound: bound as usize, open: HashMap::new(), could_wait: [0; KINDS], order: VecDeque::new() }
    }

    fn is_bounded(&self) -> bool {
        self.bound != u32::MAX as usize
    }

    /// Flows that are open.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    pub fn fill(&self) -> Fill {
        Fill { of: "flows", entries: self.open.len(), bound: self.bound }
    }

    /// Whether one more may be opened.
    pub fn has_room(&mut self, now: Time, urgency: Urgency) -> bool {
        if !self.is_bounded() {
            return true;
        }
        self.forget(now);
        let sixteenths = |count: usize| self.bound * count / 16;
        let shared = match urgency {
            Urgency::Person => return self.open.len() < self.bound,
            Urgency::Answer => return self.open.len() < sixteenths(ANSWERS),
            Urgency::Upkeep => sixteenths(SHARED),
            Urgency::Background => sixteenths(SHARED - 1),
            Urgency::Sampling => sixteenths(SHARED - 2),
        };
        let has_share = self.could_wait.iter().sum::<usize>() < shared
            || self.could_wait.get(urgency as usize).is_some_and(|own| *own < sixteenths(OWN_SHARE));
        self.open.len() < sixteenths(OURS) && has_share
    }

    /// Whether a datagram may go from our socket to a remote.
    pub fn admits(&mut self, now: Time, flow: (u32, SocketAddr), urgency: Urgency) -> bool {
        !self.is_bounded() || self.is_open(now, flow) || self.has_room(now, urgency)
    }

    fn is_open(&self, now: Time, flow: (u32, SocketAddr)) -> bool {
        self.open.get(&flow).is_some_and(|flow| now.since(flow.used) < FLOW_HELD)
    }

    /// Notes a datagram that was admitted.
    pub fn used(&mut self, now: Time, (socket, to): (u32, SocketAddr), urgency: Urgency) {
        if !self.is_bounded() {
            return;
        }
        self.forget(now);
        match self.open.get_mut(&(socket, to)) {
            Some(flow) if now.since(flow.used) < FLOW_NOTED => return,
            Some(flow) => flow.used = now,
            None => {
                self.open.insert((socket, to), Flow { used: now, urgency });
                self.could_wait.get_mut(urgency as usize).into_iter().for_each(|count| *count += 1);
            }
        }
        self.order.push_back((now, socket, to));
    }

    fn forget(&mut self, now: Time) {
        while let Some((at, socket, to)) = self.order.front().copied().filter(|(at, ..)| now.since(*at) >= FLOW_HELD) {
            self.order.pop_front();
            if let Some(flow) = self.open.get(&(socket, to)).copied().filter(|flow| flow.used == at) {
                self.open.remove(&(socket, to));
                self.could_wait.get_mut(flow.urgency as usize).into_iter().for_each(|count| *count -= 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: u32 = 160;

    fn remote(number: u32) -> SocketAddr {
        ((0x5000_0000 + number).to_be_bytes(), 6881).into()
    }

    /// Opens as many as may be, beginning with a number of its own for each urgency.
    fn open_all(flows: &mut Flows, now: Time, urgency: Urgency) -> usize {
        let first = 10_000 * urgency as u32;
        let opened = (first..first + 1_000).filter(|number| {
            let admitted = flows.admits(now, (0, remote(*number)), urgency);
            if admitted {
                flows.used(now, (0, remote(*number)), urgency);
            }
            admitted
        });
        opened.count()
    }

    #[test]
    fn there_are_never_more_and_what_must_not_wait_has_room() {
        use Urgency::{Answer, Background, Person, Sampling, Upkeep};
        let mut flows = Flows::new(BOUND);
        let opened = [Sampling, Background, Upkeep, Answer, Sampling, Person]
            .map(|urgency| open_all(&mut flows, Time::ZERO, urgency));
        assert_eq!(opened, [60, 20, 20, 40, 60, 20], "the second time those that are open are used further");
        assert_eq!(flows.len(), BOUND as usize);
        assert!(flows.admits(Time::ZERO, (0, remote(0)), Sampling), "what is open is used further");
        assert!(!flows.admits(Time::ZERO, (1, remote(0)), Person), "another port is another flow");
    }

    #[test]
    fn no_kind_of_question_keeps_another_from_being_asked() {
        use Urgency::{Background, Sampling, Upkeep};
        for (order, opened) in [
            ([Upkeep, Background, Sampling], [80, 20, 20]),
            ([Background, Sampling, Upkeep], [70, 20, 20]),
            ([Sampling, Upkeep, Background], [60, 20, 20]),
        ] {
            let mut flows = Flows::new(BOUND);
            assert_eq!(order.map(|urgency| open_all(&mut flows, Time::ZERO, urgency)), opened, "{order:?}");
            assert!(open_all(&mut flows, Time::ZERO, Urgency::Answer) >= 20, "and strangers are answered");
            let later = Time::ZERO + FLOW_HELD;
            assert_eq!(
                order.map(|urgency| open_all(&mut flows, later, urgency)),
                opened,
                "what was counted is forgotten"
            );
        }
    }

    #[test]
    fn strangers_who_ask_do_not_keep_us_from_asking() {
        let mut flows = Flows::new(BOUND);
        let answered = open_all(&mut flows, Time::ZERO, Urgency::Answer);
        let asked = open_all(&mut flows, Time::ZERO, Urgency::Upkeep);
        let found = open_all(&mut flows, Time::ZERO, Urgency::Person);
        assert_eq!((answered, asked, found), (140, 10, 10));
        // In the long run they give way to what we have to ask.
        assert_eq!(open_all(&mut flows, Time::ZERO + FLOW_HELD, Urgency::Upkeep), 80);
    }

    #[test]
    fn they_end_in_silence_and_only_then() {
        let mut flows = Flows::new(BOUND);
        open_all(&mut flows, Time::ZERO, Urgency::Upkeep);
        for again in 0..20_000 {
            let now = Time::from_millis(again);
            assert!(flows.admits(now, (0, remote(20_000)), Urgency::Upkeep));
            flows.used(now, (0, remote(20_000)), Urgency::Upkeep);
        }
        assert!(flows.order.len() <= 100, "{}", flows.order.len());
        assert!(flows.has_room(Time::ZERO + FLOW_HELD, Urgency::Sampling));
        assert_eq!((flows.len(), flows.could_wait.iter().sum::<usize>()), (1, 1), "the one that was asked again");
    }
}
