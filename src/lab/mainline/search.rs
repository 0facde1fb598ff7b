//! How clients of the world search when there are nodes that are not of it: as libtorrent walks, in rounds.
//!
//! A round is three questions and their answers. Members answer at once; for outsiders the caller asks and tells what they
//! said. So a search takes as many rounds as it takes round trips, and the same search without outsiders can be run beside
//! it and compared.

use super::outsiders::{Outsiders, Party};
use super::{K, World, key};
use crate::types::Time;

/// Questions of a round.
const ALPHA: usize = 3;
/// Nodes that a search asks at most.
const MAX_ASKED: u32 = 60;
/// Nodes that a search keeps in view, as libtorrent does.
const MAX_KNOWN: usize = 100;
/// Longest token that is given back, in bytes; clients use 4 to 20.
const MAX_TOKEN: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Asked,
    Answered,
    Failed,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    distance: u64,
    party: Party,
    state: State,
}

/// Whom a search may meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Company {
    /// Members and outsiders.
    All,
    /// Members only: what the search would have been.
    Members,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Round {
    /// These outsiders are to be asked; the round is over when all of them answered or failed.
    Ask(Vec<u32>),
    Done,
}

/// One search.
#[derive(Debug)]
pub struct Search {
    pub client: u32,
    pub target: [u8; 20],
    company: Company,
    strict: bool,
    /// Closest first.
    known: Vec<Known>,
    /// Named in this round.
    named: Vec<Party>,
    /// The /24 of outsiders that others named; the strict follow one of each.
    prefixes: Vec<[u8; 3]>,
    tokens: Vec<(u32, Vec<u8>)>,
    waiting: usize,
    /// Questions so far.
    pub asked: u32,
    /// Of them to outsiders.
    pub strangers: u32,
    pub rounds: u32,
}

impl Search {
    pub fn new(client: u32, target: [u8; 20], company: Company, strict: bool) -> Self {
        Self {
            client,
            target,
            company,
            strict,
            known: Vec::new(),
            named: Vec::new(),
            prefixes: Vec::new(),
            tokens: Vec::new(),
            waiting: 0,
            asked: 0,
            strangers: 0,
            rounds: 0,
        }
    }

    /// Goes on until outsiders are to be asked or nothing is left to ask. To be called at the beginning and when a round is
    /// over.
    pub fn advance(&mut self, world: &World, outsiders: &Outsiders, now: Time) -> Round {
        if self.rounds == 0 {
            for party in self.names_of(self.client, world, outsiders, now) {
                self.learn(party, world, outsiders, true);
            }
        }
        loop {
            for party in std::mem::take(&mut self.named) {
                self.learn(party, world, outsiders, false);
            }
            let chosen = self.choose();
            if chosen.is_empty() {
                return Round::Done;
            }
            self.rounds += 1;
            self.asked += chosen.len() as u32;
            let mut ask = Vec::new();
            for party in chosen {
                match party {
                    Party::Member(node) if world.answers(node, now) => {
                        self.set(party, State::Answered);
                        let names = self.names_of(node, world, outsiders, now);
                        self.named.extend(names);
                    }
                    Party::Member(_) => self.set(party, State::Failed),
                    Party::Outsider(number) => ask.push(number),
                }
            }
            if !ask.is_empty() {
                self.waiting = ask.len();
                self.strangers += ask.len() as u32;
                return Round::Ask(ask);
            }
        }
    }

    /// An outsider answered; whether the round is over.
    pub fn answered(&mut self, outsider: u32, names: impl IntoIterator<Item = Party>, token: Option<&[u8]>) -> bool {
        self.set(Party::Outsider(outsider), State::Answered);
        self.named.extend(names.into_iter().take(2 * K));
        if let Some(token) = token.filter(|token| token.len() <= MAX_TOKEN) {
            self.tokens.push((outsider, token.to_vec()));
        }
        self.waiting = self.waiting.saturating_sub(1);
        self.waiting == 0
    }

    /// An outsider did not answer; whether the round is over.
    pub fn failed(&mut self, outsider: u32) -> bool {
        self.set(Party::Outsider(outsider), State::Failed);
        self.waiting = self.waiting.saturating_sub(1);
        self.waiting == 0
    }

    /// The closest that answered: those that are announced to.
    pub fn closest(&self) -> impl Iterator<Item = Party> + '_ {
        let answered = self.known.iter().filter(|known| known.state == State::Answered);
        answered.take(K).map(|known| known.party)
    }

    /// Outsiders among the closest that gave a token, with it.
    pub fn tokens(&self) -> Vec<(u32, Vec<u8>)> {
        let near: Vec<Party> = self.closest().collect();
        self.tokens.iter().filter(|(outsider, _)| near.contains(&Party::Outsider(*outsider))).cloned().collect()
    }

    fn names_of(&self, node: u32, world: &World, outsiders: &Outsiders, now: Time) -> Vec<Party> {
        match self.company {
            Company::All => outsiders.named(world, node, &self.target, now),
            Company::Members => world.named(node, &self.target, now).into_iter().map(Party::Member).collect(),
        }
    }

    /// The strict take one node of a /24 from what others name, whatever their own table holds (libtorrent's
    /// `restrict_search_ips`).
    fn learn(&mut self, party: Party, world: &World, outsiders: &Outsiders, own: bool) {
        if party == Party::Member(self.client) || self.known.iter().any(|known| known.party == party) {
            return;
        }
        if let (Party::Outsider(number), true, false) = (party, self.strict, own) {
            let prefix = outsiders.prefix(number);
            if self.prefixes.contains(&prefix) {
                return;
            }
            self.prefixes.push(prefix);
        }
        let id = match party {
            Party::Member(node) => world.id(node),
            Party::Outsider(number) => outsiders.get(number).id,
        };
        let distance = key(&id.0) ^ key(&self.target);
        let at = self.known.partition_point(|known| known.distance < distance);
        self.known.insert(at, Known { distance, party, state: State::New });
        self.known.truncate(MAX_KNOWN);
    }

    /// Those to ask next, among the closest eight that did not fail.
    fn choose(&mut self) -> Vec<Party> {
        let room = ALPHA.min(MAX_ASKED.saturating_sub(self.asked) as usize);
        let hopeful = self.known.iter_mut().filter(|known| known.state != State::Failed).take(K);
        let new = hopeful.filter(|known| known.state == State::New).take(room);
        new.map(|known| {
            known.state = State::Asked;
            known.party
        })
        .collect()
    }

    fn set(&mut self, party: Party, to: State) {
        if let Some(known) = self.known.iter_mut().find(|known| known.party == party) {
            known.state = to;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddrV4};

    use super::super::Mix;
    use super::*;
    use crate::types::NodeId;

    const MIX: Mix = Mix { old: 100, mute: 100, silent: 300, liars: 0 };
    const HOST: Ipv4Addr = Ipv4Addr::new(81, 2, 3, 4);

    fn run(search: &mut Search, world: &World, outsiders: &Outsiders) {
        while let Round::Ask(ask) = search.advance(world, outsiders, Time::ZERO) {
            for number in ask {
                search.answered(number, [], Some(b"token"));
            }
        }
    }

    #[test]
    fn members_alone_find_the_closest() {
        let world = World::new(3_000, MIX, (HOST, &[]), 3);
        let outsiders = Outsiders::new(world.len());
        for target in 0..50_u8 {
            let target = [target.wrapping_mul(41); 20];
            let mut search = Search::new(7, target, Company::All, true);
            run(&mut search, &world, &outsiders);
            let mut expected = world.closest(&target, 60);
            expected.retain(|node| world.answers(*node, Time::ZERO));
            let found: Vec<Party> = search.closest().collect();
            let hit = expected[..K].iter().filter(|node| found.contains(&Party::Member(**node))).count();
            assert!(hit >= 7, "{hit}: {found:?} {expected:?}");
            assert!((3..20).contains(&search.rounds) && search.asked <= MAX_ASKED, "{search:?}");
        }
    }

    /// Twenty outsiders of one address live beside the target, and their neighbours among the members know them.
    #[test]
    fn the_strict_follow_one_node_of_an_address() {
        let world = World::new(3_000, MIX, (HOST, &[]), 3);
        let mut outsiders = Outsiders::new(world.len());
        let target = world.id(1_500).0;
        let near = world.closest(&target, 40);
        for byte in 0..20 {
            let mut id = NodeId(target);
            id.0[10] ^= byte + 1;
            let number = outsiders.number(id, SocketAddrV4::new(HOST, 7000 + u16::from(byte)), Time::ZERO).unwrap();
            near.iter().for_each(|node| outsiders.heard(&world, *node, number, Time::ZERO));
        }
        for (company, strict, least, most) in
            [(Company::All, true, 1, 1), (Company::All, false, 4, 8), (Company::Members, false, 0, 0)]
        {
            let mut search = Search::new(7, target, company, strict);
            run(&mut search, &world, &outsiders);
            let ours = search.closest().filter(|party| matches!(party, Party::Outsider(_))).count();
            assert!((least..=most).contains(&ours), "{company:?}: {ours}");
            assert_eq!(search.tokens().len(), ours);
            assert!(search.strangers as usize >= ours);
        }
    }
}
