//! How much all our nodes together ask of others, of the line and of the router in between.
//!
//! Nodes pace themselves one by one; here is what they share. A remote hears at most so much from our address in ten
//! seconds, whichever nodes speak, since clients ban an address, not a node. Questions have a ceiling, which answers cannot
//! use up: these have budgets of their own ([`Responder`](crate::dht::Responder)), or whoever asks us much would keep us
//! from asking. And the router translates addresses for a bounded number of flows: each of our ports with each remote is
//! one. With many of them open, what can wait does; what people wait for does not.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use crate::dht::{Fill, Host, Window};
use crate::types::Time;

/// Over which datagrams to one remote are counted. libtorrent bans an address from which 50 come in that time, and counts
/// answers too.
const REMOTE_WINDOW: Duration = Duration::from_secs(10);
/// Questions that a remote hears from all of us in that time, at most.
const QUESTIONS_TO_REMOTE: u64 = 16;
/// The same of questions and answers together.
const DATAGRAMS_TO_REMOTE: u64 = 40;
/// Remotes that are counted, per window; about 50 B each.
const MAX_REMOTES: usize = 16_384;
/// How long a router keeps a flow that is silent: 30 seconds and more (RFC 4787 asks for two minutes, and home routers differ).
const FLOW_LIFE: Duration = Duration::from_secs(30);
/// A flow that is used is noted again after this: noted each time, one remote would fill the order.
const FLOW_NOTED: Duration = Duration::from_secs(1);
/// When there was no room for questions, how long until the next look.
pub const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Questions of a second may come at once.
const BURST: Duration = Duration::from_secs(1);

/// What all our nodes together may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Questions a second; each has some 100 bytes.
    pub questions_per_second: u32,
    /// Flows beyond half of which what can wait waits.
    pub flows: u32,
    /// Whether a remote may have had enough of us.
    pub spares_remotes: bool,
}

impl Limits {
    /// For worlds without a router or strangers, and for measuring.
    pub const NONE: Self = Self { questions_per_second: u32::MAX, flows: u32::MAX, spares_remotes: false };
}

impl Default for Limits {
    /// For a home's line and a cheap router, which translates some thousand flows for everybody at home.
    fn default() -> Self {
        Self { questions_per_second: 250, flows: 1_024, spares_remotes: true }
    }
}

/// What is known of the last seconds.
#[derive(Debug)]
pub struct Manners {
    limits: Limits,
    questions: Window<Host>,
    datagrams: Window<Host>,
    /// Questions that may be sent now, in thousandths. Nodes notice only later that there is no room; then it is below
    /// zero, and they wait for longer.
    questions_left: i64,
    refilled: Time,
    /// Open flows, by our socket and the remote, with the time of our last question.
    flows: HashMap<(u32, SocketAddr), Time>,
    /// The same in the order of the questions; as long as flows are, and those asked again once more.
    order: VecDeque<(Time, u32, SocketAddr)>,
}

impl Manners {
    /// How many remotes are counted.
    pub fn fills(&self) -> [Fill; 2] {
        [self.questions.fill("remotes asked"), self.datagrams.fill("remotes written to")]
    }

    pub fn new(limits: Limits, now: Time) -> Self {
        Self {
            limits,
            questions: Window::new(REMOTE_WINDOW, MAX_REMOTES),
            datagrams: Window::new(REMOTE_WINDOW, MAX_REMOTES),
            questions_left: full(limits.questions_per_second),
            refilled: now,
            flows: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Sets other bounds; what is under way stays counted.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        self.questions_left = self.questions_left.min(full(limits.questions_per_second));
    }

    /// Whether a datagram may go from our socket to a remote; then it is counted as sent.
    pub fn admits(&mut self, now: Time, socket: u32, to: SocketAddr, question: bool) -> bool {
        let remote = Host::of(to);
        let too_many = self.datagrams.counted(now, &remote) >= DATAGRAMS_TO_REMOTE
            || (question && self.questions.counted(now, &remote) >= QUESTIONS_TO_REMOTE);
        if self.limits.spares_remotes && too_many {
            return false;
        }
        self.datagrams.count(now, remote);
        if question {
            self.questions.count(now, remote);
            self.refill(now);
            self.questions_left = self.questions_left.saturating_sub(1_000);
            self.note_flow(now, socket, to);
        }
        true
    }

    /// Whether more may be asked now at all.
    pub fn has_room(&mut self, now: Time) -> bool {
        self.refill(now);
        self.questions_left > 0
    }

    /// Whether what can wait may be asked now: half of the room is kept for what people wait for.
    pub fn has_spare_room(&mut self, now: Time) -> bool {
        self.refill(now);
        self.forget_flows(now);
        self.questions_left > full(self.limits.questions_per_second) / 2
            && self.flows.len() < (self.limits.flows / 2) as usize
    }

    /// Flows that are open.
    pub fn flows(&self) -> usize {
        self.flows.len()
    }

    fn refill(&mut self, now: Time) {
        let passed = i64::try_from(now.since(self.refilled).as_millis()).unwrap_or(i64::MAX);
        self.refilled = self.refilled.max(now);
        let per_second = self.limits.questions_per_second;
        let refilled = self.questions_left.saturating_add(passed.saturating_mul(i64::from(per_second)));
        self.questions_left = refilled.min(full(per_second));
    }

    fn note_flow(&mut self, now: Time, socket: u32, to: SocketAddr) {
        if self.limits.flows == u32::MAX {
            return;
        }
        self.forget_flows(now);
        let last = self.flows.get(&(socket, to)).copied();
        if last.is_none_or(|last| now.since(last) >= FLOW_NOTED) {
            self.flows.insert((socket, to), now);
            self.order.push_back((now, socket, to));
        }
    }

    fn forget_flows(&mut self, now: Time) {
        while let Some((at, socket, to)) = self.order.front().copied().filter(|(at, ..)| now.since(*at) >= FLOW_LIFE) {
            self.order.pop_front();
            if self.flows.get(&(socket, to)) == Some(&at) {
                self.flows.remove(&(socket, to));
            }
        }
    }
}

/// A second's worth, in thousandths.
fn full(per_second: u32) -> i64 {
    i64::from(per_second) * BURST.as_millis() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(number: u16) -> SocketAddr {
        SocketAddr::from(([80, 1, (number >> 8) as u8, number as u8], 6881))
    }

    const QUESTION: bool = true;
    const ANSWER: bool = false;

    #[test]
    fn a_remote_hears_no_more_than_it_bears_whoever_of_us_speaks() {
        let mut manners = Manners::new(Limits::default(), Time::ZERO);
        let mut sent = Vec::new();
        for at in 0..60_000 {
            let (now, socket) = (Time::from_millis(at), (at % 64) as u32);
            if manners.admits(now, socket, remote(1), at % 3 == 0) {
                sent.push((at, at % 3 == 0));
            }
        }
        let most = |kind: fn(&(u64, bool)) -> bool| {
            let times: Vec<u64> = sent.iter().filter(|it| kind(it)).map(|(at, _)| *at).collect();
            times
                .iter()
                .map(|start| times.iter().filter(|at| (*start..start + 10_000).contains(at)).count())
                .max()
                .unwrap()
        };
        let (all, questions) = (most(|_| true), most(|(_, question)| *question));
        assert!((30..=40).contains(&all) && (10..=16).contains(&questions), "{all} and {questions} in ten seconds");
        assert!(manners.admits(Time::from_millis(60_000), 0, remote(2), QUESTION), "others do not suffer");
        let mut free = Manners::new(Limits::NONE, Time::ZERO);
        assert!((0..1_000).all(|_| free.admits(Time::ZERO, 0, remote(1), QUESTION)));
    }

    #[test]
    fn answers_keep_nobody_from_asking() {
        let mut manners = Manners::new(Limits::default(), Time::ZERO);
        for number in 0..20_000 {
            manners.admits(Time::ZERO, 0, remote(number), ANSWER);
        }
        assert!(manners.has_spare_room(Time::ZERO));
    }

    #[test]
    fn questions_keep_to_their_rate_and_debts_are_paid() {
        let limits = Limits { questions_per_second: 50, flows: u32::MAX, spares_remotes: false };
        let mut manners = Manners::new(limits, Time::ZERO);
        let mut asked = 0;
        for at in 0..10_000_u64 {
            let now = Time::from_millis(at);
            // Nodes are many, and each asks some before it is held.
            for _ in 0..if manners.has_room(now) { 40 } else { 0 } {
                manners.admits(now, 0, remote(asked), QUESTION);
                asked += 1;
            }
        }
        assert!((540..=590).contains(&asked), "{asked}: a burst of one second, ten seconds, and what was begun");
    }

    #[test]
    fn with_many_flows_what_can_wait_waits() {
        let mut manners = Manners::new(Limits { flows: 100, ..Limits::NONE }, Time::ZERO);
        let mut number = 0;
        while manners.has_spare_room(Time::ZERO) {
            assert!(manners.admits(Time::ZERO, 0, remote(number), QUESTION));
            number += 1;
        }
        assert_eq!((number, manners.flows()), (50, 50));
        assert!(manners.has_room(Time::ZERO), "what people wait for does not");
        for again in 0..20_000 {
            manners.admits(Time::from_millis(again), 0, remote(1), QUESTION);
        }
        assert!(manners.order.len() <= 80, "{}", manners.order.len());
        assert!(manners.has_spare_room(Time::ZERO + FLOW_LIFE));
        assert_eq!(manners.flows(), 1, "the one that was asked again");
    }
}
