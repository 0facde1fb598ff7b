//! How much all our nodes together ask of others, of the line and of the router in between.
//!
//! Nodes pace themselves one by one; here is what they share. A remote hears at most so much from our address in ten
//! seconds, whichever nodes speak, since clients ban an address, not a node ([`heard`]). The router translates addresses for
//! a bounded number of flows ([`flows`]). And the line bears so many questions, datagrams and bytes a second. Questions have
//! a ceiling of their own, which answers cannot use up, or whoever asks us much would keep us from asking.
//!
//! What is withheld here is decided by its [`Urgency`]: what a person waits for may use all there is, what only serves our
//! curiosity must leave room for everything else.

mod flows;
mod heard;

use std::net::SocketAddr;
use std::time::Duration;

use crate::dht::{Fill, Host, Transmit, Urgency};
use crate::types::Time;
#[cfg(test)]
pub use flows::FLOW_LIFE;
use flows::Flows;
use heard::Heard;

/// When there was no room for questions, how long until the next look.
pub const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// What a second bears may come at once.
const BURST: Duration = Duration::from_secs(1);
/// Fifths of what a remote hears from us that may be questions.
const QUESTION_FIFTHS: u32 = 2;

/// What all our nodes together may do; [`u32::MAX`]: as much as they want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Questions a second; each has some 100 bytes.
    pub questions_per_second: u32,
    /// Datagrams a second, questions and answers.
    pub datagrams_per_second: u32,
    /// Bytes of these a second, without the headers of UDP and IP.
    pub bytes_per_second: u32,
    /// Flows that a router in between has to translate for us, at most.
    pub flows: u32,
    /// Datagrams that a remote hears from all of us in ten seconds; two fifths of them may be questions.
    pub to_remote: u32,
    /// Whether others are answered. If not, they are told so with every question, and to ask somebody else (BEP 43).
    pub answers: bool,
}

impl Limits {
    /// For worlds without a router or strangers, and for measuring.
    pub const NONE: Self = Self {
        questions_per_second: u32::MAX,
        datagrams_per_second: u32::MAX,
        bytes_per_second: u32::MAX,
        flows: u32::MAX,
        to_remote: u32::MAX,
        answers: true,
    };
}

impl Default for Limits {
    /// For a home's line and a cheap router, which translates some thousand flows for everybody at home.
    fn default() -> Self {
        Self {
            questions_per_second: 250,
            datagrams_per_second: 1_000,
            bytes_per_second: 256 * 1024,
            flows: 1_024,
            to_remote: 40,
            answers: true,
        }
    }
}

/// What is known of the last seconds.
#[derive(Debug)]
pub struct Manners {
    limits: Limits,
    questions_heard: Heard,
    datagrams_heard: Heard,
    /// Nodes notice only later that there is no room for questions; then what is left is below zero, and they wait for
    /// longer.
    questions: Rate,
    datagrams: Rate,
    bytes: Rate,
    flows: Flows,
}

impl Manners {
    /// `nodes`: how many of ours speak.
    pub fn new(limits: Limits, nodes: u32, key: u64, now: Time) -> Self {
        Self {
            limits,
            questions_heard: Heard::new(nodes, key),
            datagrams_heard: Heard::new(nodes, key),
            questions: Rate::new(limits.questions_per_second, now),
            datagrams: Rate::new(limits.datagrams_per_second, now),
            bytes: Rate::new(limits.bytes_per_second, now),
            flows: Flows::new(limits.flows),
        }
    }

    /// Whether others are answered.
    pub fn answers(&self) -> bool {
        self.limits.answers
    }

    /// How many flows are open.
    pub fn fill(&self) -> Fill {
        self.flows.fill()
    }

    /// Whether a datagram may go from our socket; then it is counted as sent.
    pub fn admits(&mut self, now: Time, socket: u32, transmit: &Transmit) -> bool {
        let Transmit { to, urgency, .. } = *transmit;
        let bytes = transmit.payload.len();
        let admitted = self.bears(now, to, urgency)
            && self.has_rate(now, urgency, bytes)
            && self.flows.admits(now, (socket, to), urgency);
        if admitted {
            let remote = Host::of(to);
            let is_question = urgency != Urgency::Answer;
            if self.limits.to_remote != u32::MAX {
                self.datagrams_heard.count(now, remote);
            }
            if is_question {
                self.questions.spend(1);
                if self.limits.to_remote != u32::MAX {
                    self.questions_heard.count(now, remote);
                }
            }
            self.datagrams.spend(1);
            self.bytes.spend(bytes);
            self.flows.used(now, (socket, to), urgency);
        }
        admitted
    }

    /// Whether a question that can wait would be admitted from whichever socket: to be looked at before it is made.
    pub fn may_ask(&mut self, now: Time, to: SocketAddr) -> bool {
        self.has_spare_room(now) && self.bears(now, to, Urgency::Sampling)
    }

    /// Whether more may be asked now at all.
    pub fn has_room(&mut self, now: Time) -> bool {
        self.questions.left(now) > 0
    }

    /// Whether what can wait may be asked now: half of the room is kept for the rest.
    pub fn has_spare_room(&mut self, now: Time) -> bool {
        self.questions.left(now) > self.questions.full() / 2
            && self.has_rate(now, Urgency::Sampling, 0)
            && self.flows.has_room(now, Urgency::Sampling)
    }

    /// Flows that are open.
    pub fn flows(&self) -> usize {
        self.flows.len()
    }

    /// Whether the remote has not had enough of us.
    fn bears(&mut self, now: Time, to: SocketAddr, urgency: Urgency) -> bool {
        let most = self.limits.to_remote;
        if most == u32::MAX {
            return true;
        }
        let remote = Host::of(to);
        self.datagrams_heard.counted(now, remote) < most
            && (urgency == Urgency::Answer || self.questions_heard.counted(now, remote) < most * QUESTION_FIFTHS / 5)
    }

    /// Whether the line bears it: the less urgent, the more must be left.
    fn has_rate(&mut self, now: Time, urgency: Urgency, bytes: usize) -> bool {
        let eighths = match urgency {
            Urgency::Person => 0,
            Urgency::Answer => 1,
            Urgency::Upkeep => 2,
            Urgency::Background => 3,
            Urgency::Sampling => 4,
        };
        let bears = |rate: &mut Rate, cost| rate.left(now) >= rate.full() / 8 * eighths + thousandths(cost);
        bears(&mut self.datagrams, 1) && bears(&mut self.bytes, bytes)
    }
}

/// What is left of a rate, which refills steadily up to what [`BURST`] bears; in thousandths, so that milliseconds refill
/// exactly.
#[derive(Debug)]
struct Rate {
    per_second: u32,
    left: i64,
    refilled: Time,
}

impl Rate {
    fn new(per_second: u32, now: Time) -> Self {
        let mut rate = Self { per_second, left: 0, refilled: now };
        rate.left = rate.full();
        rate
    }

    fn full(&self) -> i64 {
        i64::from(self.per_second) * BURST.as_millis() as i64
    }

    fn left(&mut self, now: Time) -> i64 {
        let passed = i64::try_from(now.since(self.refilled).as_millis()).unwrap_or(i64::MAX);
        self.refilled = self.refilled.max(now);
        let refilled = self.left.saturating_add(passed.saturating_mul(i64::from(self.per_second)));
        self.left = refilled.min(self.full());
        self.left
    }

    fn spend(&mut self, amount: usize) {
        if self.per_second != u32::MAX {
            self.left = self.left.saturating_sub(thousandths(amount));
        }
    }
}

fn thousandths(amount: usize) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX).saturating_mul(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(number: u32) -> SocketAddr {
        ((0x5001_0000 + number).to_be_bytes(), 6881).into()
    }

    fn datagram(to: SocketAddr, urgency: Urgency) -> Transmit {
        let question = (urgency != Urgency::Answer).then_some([0; 4]);
        Transmit { to, payload: vec![0; 100], urgency, question }
    }

    fn manners(limits: Limits) -> Manners {
        Manners::new(limits, 64, 1, Time::ZERO)
    }

    const QUESTION: Urgency = Urgency::Upkeep;
    const ANSWER: Urgency = Urgency::Answer;

    #[test]
    fn a_remote_hears_no_more_than_it_bears_whoever_of_us_speaks() {
        let mut manners = manners(Limits::default());
        let mut sent = Vec::new();
        for at in 0..60_000 {
            let (now, socket) = (Time::from_millis(at), (at % 64) as u32);
            let urgency = if at % 3 == 0 { QUESTION } else { ANSWER };
            if manners.admits(now, socket, &datagram(remote(1), urgency)) {
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
        assert!(manners.may_ask(Time::from_millis(60_000), remote(2)), "others do not suffer");
        assert!(!manners.may_ask(Time::from_millis(60_000), remote(1)));
        let mut free = self::manners(Limits::NONE);
        assert!((0..1_000_000).all(|_| free.admits(Time::ZERO, 0, &datagram(remote(1), QUESTION))));
    }

    #[test]
    fn answers_keep_nobody_from_asking() {
        let mut manners = manners(Limits::default());
        let answered =
            (0..20_000).filter(|number| manners.admits(Time::ZERO, 0, &datagram(remote(*number), ANSWER))).count();
        assert!((800..=900).contains(&answered), "{answered}");
        for (number, urgency) in [(30_000, QUESTION), (30_001, Urgency::Person)] {
            assert!(manners.admits(Time::from_millis(500), 0, &datagram(remote(number), urgency)), "{urgency:?}");
        }
    }

    #[test]
    fn questions_keep_to_their_rate_and_debts_are_paid() {
        let mut manners = manners(Limits { questions_per_second: 50, ..Limits::NONE });
        let mut asked = 0;
        for at in 0..10_000_u64 {
            let now = Time::from_millis(at);
            // Nodes are many, and each asks some before it is held.
            for _ in 0..if manners.has_room(now) { 40 } else { 0 } {
                manners.admits(now, 0, &datagram(remote(asked), QUESTION));
                asked += 1;
            }
        }
        assert!((540..=590).contains(&asked), "{asked}: a burst of one second, ten seconds, and what was begun");
    }

    #[test]
    fn the_line_bears_so_much_and_persons_come_first() {
        for limits in
            [Limits { datagrams_per_second: 160, ..Limits::NONE }, Limits { bytes_per_second: 16_000, ..Limits::NONE }]
        {
            let mut manners = manners(limits);
            let mut sent = |at, urgency| {
                let now = Time::from_millis(at);
                (0..1_000).filter(|_| manners.admits(now, 0, &datagram(remote(1), urgency))).count()
            };
            use Urgency::{Answer, Background, Person, Sampling, Upkeep};
            let kinds = [Sampling, Background, Upkeep, Answer, Person];
            assert_eq!(kinds.map(|urgency| sent(0, urgency)), [80, 20, 20, 20, 20]);
            assert_eq!(kinds.map(|urgency| sent(500, urgency)), [0, 20, 20, 20, 20]);
        }
    }
}
