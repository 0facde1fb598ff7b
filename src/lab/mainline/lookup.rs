//! How clients of the world search: as libtorrent walks, openly or privately.

use rand::Rng;

use super::{K, Kind, World};
use crate::types::{NodeId, Time};

/// Nodes that a lookup asks at most.
const MAX_ASKED: usize = 60;

/// One question of a lookup.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    pub to: u32,
    /// What is asked for there.
    pub target: [u8; 20],
    /// How many questions of the lookup went before.
    pub step: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Answered,
    Failed,
}

/// Walks from `client` towards a target and shows every question; returns the nodes closest to the target that
/// answered, the crawler's left out.
pub fn walk(world: &World, client: u32, target: &[u8; 20], now: Time, asked: impl FnMut(Question)) -> Vec<u32> {
    Walk::new(world, client, *target, now).run(None::<&mut rand_chacha::ChaCha8Rng>, asked)
}

/// The same as `dht_privacy_lookups` of libtorrent has it: nodes that are far from the target are told only as much of
/// it as they need, and the rest is drawn afresh for each; once a near one is reached all are asked openly, also those
/// again that answered before.
pub fn walk_privately(
    world: &World,
    client: u32,
    target: &[u8; 20],
    (now, rng): (Time, &mut impl Rng),
    asked: impl FnMut(Question),
) -> Vec<u32> {
    Walk::new(world, client, *target, now).run(Some(rng), asked)
}

struct Walk<'a> {
    world: &'a World,
    client: u32,
    target: [u8; 20],
    now: Time,
    /// Closest first.
    known: Vec<(u32, State)>,
    /// The strict ask one node an address; so one of each crawler.
    met: Vec<u32>,
}

impl<'a> Walk<'a> {
    fn new(world: &'a World, client: u32, target: [u8; 20], now: Time) -> Self {
        let mut walk = Self { world, client, target, now, known: Vec::new(), met: Vec::new() };
        walk.learn(client, &target);
        walk
    }

    fn learn(&mut self, from: u32, target: &[u8; 20]) {
        for node in self.world.named(from, target, self.now) {
            let crawler = match self.world.kind(node) {
                Kind::Ours(number) => Some(self.world.ours(number).crawler),
                _ => None,
            };
            let met = crawler.is_some_and(|crawler| self.met.contains(&crawler));
            if node == self.client
                || (met && self.world.restricts(self.client))
                || self.known.iter().any(|(known, _)| *known == node)
            {
                continue;
            }
            self.met.extend(crawler);
            let distance = self.world.id(node).distance(&self.target);
            let at = self.known.partition_point(|(known, _)| self.world.id(*known).distance(&self.target) < distance);
            self.known.insert(at, (node, State::New));
        }
    }

    fn next(&mut self) -> Option<u32> {
        let hopeful = self.known.iter_mut().filter(|(_, state)| *state != State::Failed).take(K);
        let (node, state) = hopeful.into_iter().find(|(_, state)| *state == State::New)?;
        // Until it is known better; set by the caller.
        *state = State::Failed;
        Some(*node)
    }

    fn set(&mut self, node: u32, to: State) {
        if let Some((_, state)) = self.known.iter_mut().find(|(known, _)| *known == node) {
            *state = to;
        }
    }

    fn run(mut self, mut private: Option<&mut impl Rng>, mut asked: impl FnMut(Question)) -> Vec<u32> {
        let depth = self.world.table_depth(self.client);
        for step in 0..MAX_ASKED as u32 {
            let Some(node) = self.next() else { break };
            let shared = self.world.id(node).distance(&self.target).shared_bits();
            if private.is_some() && shared + 5 > depth {
                private = None;
                self.known.iter_mut().filter(|(_, state)| *state == State::Answered).for_each(|it| it.1 = State::New);
            }
            let target = match &mut private {
                Some(rng) => obfuscate(&self.target, shared + 4, *rng),
                None => self.target,
            };
            asked(Question { to: node, target, step });
            let ours = matches!(self.world.kind(node), Kind::Ours(_));
            if ours || self.world.answers(node, self.now) {
                self.set(node, State::Answered);
            }
            if !ours && self.world.answers(node, self.now) {
                self.learn(node, &target);
            }
        }
        let answered = self
            .known
            .iter()
            .filter(|(node, state)| *state == State::Answered && !matches!(self.world.kind(*node), Kind::Ours(_)));
        answered.take(K).map(|(node, _)| *node).collect()
    }
}

/// The first `bits` bits of a target with a random tail.
pub fn obfuscate(target: &[u8; 20], bits: u32, rng: &mut impl Rng) -> [u8; 20] {
    let mut drawn: [u8; NodeId::LEN] = rng.random();
    for bit in 0..(bits as usize).min(NodeId::LEN * 8) {
        let mask = 0x80_u8 >> (bit % 8);
        drawn[bit / 8] = (drawn[bit / 8] & !mask) | (target[bit / 8] & mask);
    }
    drawn
}
