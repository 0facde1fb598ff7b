//! Our own address, as others see it (BEP 42). One voice can lie, so several blocks of addresses must agree.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use super::api::Fill;
use super::origin::Block;

/// Votes that are remembered, one a block of addresses.
const MAX_VOTES: usize = 24;

/// Votes for the same address that it takes, besides being the majority.
const QUORUM: usize = 5;

/// The last votes.
#[derive(Debug, Default)]
pub struct Votes {
    votes: VecDeque<(Block, IpAddr)>,
    agreed: Option<IpAddr>,
}

impl Votes {
    /// How many are remembered.
    pub fn fill(&self) -> Fill {
        Fill { of: "votes for our address", entries: self.votes.len(), bound: MAX_VOTES }
    }

    /// Takes the vote of the node at `voter`; returns the address if that decides upon another than before.
    pub fn cast(&mut self, voter: SocketAddr, ip: IpAddr) -> Option<IpAddr> {
        let voter = Block::of(voter);
        self.votes.retain(|(block, _)| *block != voter);
        if self.votes.len() >= MAX_VOTES {
            self.votes.pop_front();
        }
        self.votes.push_back((voter, ip));
        let count = self.votes.iter().filter(|(_, voted)| *voted == ip).count();
        if count < QUORUM || count * 2 <= self.votes.len() || self.agreed == Some(ip) {
            return None;
        }
        self.agreed = Some(ip);
        self.agreed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voter(number: u8) -> SocketAddr {
        SocketAddr::from(([80, 0, number, 1], 6881))
    }

    const OURS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(81, 1, 1, 1));
    const LIE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(82, 2, 2, 2));

    #[test]
    fn a_quorum_of_blocks_decides_once() {
        let mut votes = Votes::default();
        let told: Vec<_> = (0..10).filter_map(|number| votes.cast(voter(number), OURS)).collect();
        assert_eq!(told, [OURS]);
    }

    #[test]
    fn one_block_has_one_vote() {
        let mut votes = Votes::default();
        assert!((0..50).all(|port| votes.cast(SocketAddr::from(([80, 0, 1, port], 1)), LIE).is_none()));
    }

    #[test]
    fn a_new_address_wins_when_the_majority_has_it() {
        let mut votes = Votes::default();
        assert_eq!((0..24).filter_map(|number| votes.cast(voter(number), OURS)).count(), 1);
        let told: Vec<_> = (0..24).map(|number| votes.cast(voter(number), LIE)).collect();
        assert!(told[..12].iter().all(Option::is_none));
        assert_eq!(told.into_iter().flatten().collect::<Vec<_>>(), [LIE]);
    }
}
