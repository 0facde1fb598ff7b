//! Contacts from hearsay that monitors ask whether they are there.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use crate::crawler::generations::Generations;
use crate::dht::{Block, Contact, Fill, Host};
use crate::types::Time;

/// Contacts that wait for being asked; beyond it they are ignored, and named again.
const MAX_WAITING: usize = 4_096;
/// Of one block of addresses: enough for its honest hosts, which are named again and again.
const MAX_OF_BLOCK: u32 = 4;
/// A stranger that did not answer is not asked again for this time.
const ASK_AGAIN: Duration = Duration::from_secs(10 * 60);
/// Strangers that are remembered as asked, per generation; about 60 B each. With 14,336, for which a hash table takes
/// half as much, 512 monitors ask so many of them again that a second has 15 % more datagrams (`silverstream lab nodes`).
const MAX_ASKED: usize = 16_384;

/// Somebody who is to be asked, and by which monitor.
#[derive(Debug, Clone, Copy)]
pub struct Hearsay {
    pub contact: Contact,
    pub by: u32,
}

/// Bounded, also for each host and block of addresses.
#[derive(Debug)]
pub struct Strangers {
    waiting: VecDeque<Hearsay>,
    /// How many of a block wait, where any does.
    blocks: HashMap<Block, u32>,
    asked: Generations<Host, ()>,
}

impl Default for Strangers {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), blocks: HashMap::new(), asked: Generations::new(MAX_ASKED, ASK_AGAIN) }
    }
}

impl Strangers {
    /// How many there are.
    pub fn fills(&self) -> [Fill; 2] {
        let waiting = self.waiting.len().max(self.blocks.len());
        [
            Fill { of: "strangers that monitors ask", entries: waiting, bound: MAX_WAITING },
            self.asked.fill("strangers asked by monitors"),
        ]
    }

    /// Whether somebody there may be put on the list. Cheap, so it is looked at first.
    pub fn has_place(&mut self, now: Time, addr: SocketAddr) -> bool {
        self.waiting.len() < MAX_WAITING
            && self.blocks.get(&Block::of(addr)).is_none_or(|count| *count < MAX_OF_BLOCK)
            && self.asked.get(now, &Host::of(addr)).is_none()
    }

    /// Puts somebody on the list for whom there is a place.
    pub fn add(&mut self, now: Time, hearsay: Hearsay) {
        self.asked.insert(now, Host::of(hearsay.contact.addr), ());
        self.put_back(hearsay);
    }

    /// Whose turn it is.
    pub fn next(&mut self) -> Option<Hearsay> {
        let hearsay = self.waiting.pop_front()?;
        self.leaves(hearsay.contact.addr);
        Some(hearsay)
    }

    /// Puts somebody to the end whose turn it was, or who is in the book and so bounded there, if there is a place.
    pub fn put_back(&mut self, hearsay: Hearsay) {
        if self.waiting.len() >= MAX_WAITING {
            return;
        }
        *self.blocks.entry(Block::of(hearsay.contact.addr)).or_default() += 1;
        self.waiting.push_back(hearsay);
    }

    /// Takes whoever is at this address from the list.
    pub fn forget(&mut self, addr: SocketAddr) {
        let before = self.waiting.len();
        self.waiting.retain(|hearsay| hearsay.contact.addr != addr);
        (self.waiting.len()..before).for_each(|_| self.leaves(addr));
    }

    fn leaves(&mut self, addr: SocketAddr) {
        let block = Block::of(addr);
        match self.blocks.get_mut(&block) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.blocks.remove(&block)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NodeId;

    fn add(strangers: &mut Strangers, ip: u32, port: u16) -> bool {
        let addr = (ip.to_be_bytes(), port).into();
        let has_place = strangers.has_place(Time::ZERO, addr);
        if has_place {
            strangers.add(Time::ZERO, Hearsay { contact: Contact { id: NodeId([1; 20]), addr }, by: 0 });
        }
        has_place
    }

    #[test]
    fn no_host_and_no_block_fills_the_list() {
        let mut strangers = Strangers::default();
        assert_eq!((1..=1_000).filter(|port| add(&mut strangers, 0x5000_0001, *port)).count(), 1);
        assert_eq!((1..=255).filter(|host| add(&mut strangers, 0x5000_0100 | host, 1)).count(), MAX_OF_BLOCK as usize);
        assert!(add(&mut strangers, 0x5000_0201, 1));
        let first = strangers.next().unwrap();
        strangers.put_back(first);
        let second = strangers.next().unwrap();
        strangers.forget(second.contact.addr);
        assert!(add(&mut strangers, 0x5000_01ff, 1), "who was asked makes place");
        while strangers.next().is_some() {}
        assert!(strangers.blocks.is_empty());
        for block in 0..100_000 {
            add(&mut strangers, 0x5100_0000 | block << 8, 1);
        }
        assert!(strangers.fills().iter().all(|fill| fill.entries <= fill.bound));
    }
}
