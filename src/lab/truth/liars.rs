//! Those who lie: where they are, what they say, and how often.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rand::Rng;

use super::super::mainline::{mix, stage};
use super::{Act, Intent, Scene};
use crate::crawler::{Heard, SightingKind};
use crate::types::{InfoHash, NodeId};

/// The addresses of those who lie.
const INVENTOR: [u8; 4] = [90, 1, 1, 1];
const CROWD: [u8; 3] = [91, 2, 2];
const FLOODER: [u8; 4] = [92, 3, 3, 3];
const BLOCK: [u8; 2] = [93, 4];
const STUBBORN: [u8; 4] = [94, 5, 5, 5];
/// What the stubborn liar names, every other one invented: no more than may wait of a network, or it would be shunned.
const INSISTED: u64 = 40;
/// Times between what they do.
pub(super) const LIES: [(Act, Duration); 5] = [
    (Act::Invent, Duration::from_millis(500)),
    (Act::AskNear, Duration::from_millis(500)),
    (Act::AskFar, Duration::from_millis(250)),
    (Act::Block, Duration::from_millis(500)),
    (Act::Insist, Duration::from_secs(1)),
];

impl Scene {
    pub(super) fn lie(&mut self, act: Act) {
        self.lies += 1;
        let number = mix(self.lies, 0x11e5);
        let node = self.rng.random_range(0..self.stage.core.ids().count() as u32);
        let near = self.stage.core.ids().nth(node as usize).unwrap_or(NodeId([0; 20]));
        let invented = stage::made_up(near, number);
        let id = NodeId(self.rng.random());
        let last = 1 + (number % 50) as u8;
        match act {
            Act::Invent => {
                let from = SocketAddr::from((INVENTOR, 4000));
                self.get_peers(node, (from, id), invented, Duration::ZERO, Some(Intent { infohash: invented, id }));
            }
            Act::AskNear => {
                let [a, b, c] = CROWD;
                let from = SocketAddr::from(([a, b, c, last], 4000));
                self.get_peers(node, (from, id), invented, Duration::ZERO, None);
            }
            Act::AskFar => {
                let infohash = InfoHash(self.rng.random());
                self.get_peers(node, (SocketAddr::from((FLOODER, 4000)), id), infohash, Duration::ZERO, None);
            }
            Act::Insist => {
                let item = self.stage.now.as_millis() / 1000 % INSISTED;
                let node = (item % self.stage.core.ids().count() as u64) as u32;
                let near = self.stage.core.ids().nth(node as usize).unwrap_or(near);
                let infohash = if item.is_multiple_of(2) {
                    stage::made_up(near, item)
                } else {
                    self.stage.torrents.popular(item as usize)
                };
                let from = SocketAddr::from((STUBBORN, 4000));
                self.get_peers(node, (from, id), infohash, Duration::ZERO, Some(Intent { infohash, id }));
            }
            _ => {
                // Each invention comes from three networks of the block.
                let invented = stage::made_up(near, mix(self.lies / 3, 0xb10c));
                let from = SocketAddr::from(([BLOCK[0], BLOCK[1], (number % 200) as u8, 9], 4000));
                self.get_peers(node, (from, id), invented, Duration::ZERO, Some(Intent { infohash: invented, id }));
            }
        }
    }
}

/// Whose word it was.
pub(super) fn deceiver(heard: &Heard) -> &'static str {
    let IpAddr::V4(ip) = heard.source.ip() else { return "nobody" };
    match ip.octets() {
        INVENTOR => "inventor",
        FLOODER => "flooder",
        STUBBORN => "stubborn liar",
        [a, b, c, _] if [a, b, c] == CROWD => "crowd",
        [a, b, ..] if [a, b] == BLOCK => "block",
        _ if heard.kind == SightingKind::Sample => "samples",
        _ => "honest clients",
    }
}
