//! What the nodes of the world know of nodes that are not of it: those of a program under test.
//!
//! A real client takes up whoever asks it or answers it, as long as there is a place in the bucket, and forgets who is not
//! heard of any more. So every node of the world has a small table of outsiders beside the members that it knows by
//! [`World::named`]. What both name together is what it tells others.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use super::{K, Kind, WIDTHS, World, key, mix};
use crate::dht::Contact;
use crate::types::{NodeId, Time};

/// Outsiders at a time, at most: twice the nodes that one process of ours may have. Then the longest silent give way, and
/// if none is silent newcomers are refused.
const MAX_OUTSIDERS: usize = 65_536;
/// Outsiders in one table, at most.
const MAX_ENTRIES: usize = 128;
/// Who is not heard of for this time is named no more; each node takes its own time between the two.
const FORGOTTEN: (Duration, Duration) = (Duration::from_secs(15 * 60), Duration::from_secs(20 * 60));
/// Who is not heard of for this time is asked whether it is still there.
const QUESTIONABLE: Duration = Duration::from_secs(10 * 60);
/// An outsider that left so many questions in a row unanswered is forgotten.
const MAX_FAILS: u8 = 2;
/// Unit of [`Entry::heard`].
const TICK: Duration = Duration::from_secs(4);

/// A node of the world or one that is not of it, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Party {
    Member(u32),
    Outsider(u32),
}

/// A node that is not of the world.
#[derive(Debug, Clone, Copy)]
pub struct Outsider {
    pub id: NodeId,
    pub addr: SocketAddrV4,
    /// Its address has another id by now.
    gone: bool,
    /// By whomever.
    heard: Time,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    outsider: u32,
    /// In [`TICK`]s, modulo 2^16: three days.
    heard: u16,
    fails: u8,
}

/// All outsiders, and who knows which; see the module.
#[derive(Debug)]
pub struct Outsiders {
    all: Vec<Outsider>,
    by_addr: HashMap<SocketAddrV4, u32>,
    /// By number of the member.
    tables: Vec<Vec<Entry>>,
    /// Where the next place is looked for when all are taken.
    cursor: usize,
    /// Outsiders for which there was no place.
    pub refused: u64,
}

impl Outsiders {
    /// Nobody, for a world of so many nodes.
    pub fn new(members: usize) -> Self {
        Self { all: Vec::new(), by_addr: HashMap::new(), tables: vec![Vec::new(); members], cursor: 0, refused: 0 }
    }

    /// The outsider of that number.
    pub fn get(&self, outsider: u32) -> &Outsider {
        &self.all[outsider as usize]
    }

    /// How many there are, the silent too.
    pub fn len(&self) -> usize {
        self.by_addr.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_addr.is_empty()
    }

    /// Entries in all tables, expired ones too.
    pub fn entries(&self) -> usize {
        self.tables.iter().map(Vec::len).sum()
    }

    /// Who is at an address.
    pub fn at(&self, addr: SocketAddrV4) -> Option<u32> {
        self.by_addr.get(&addr).copied()
    }

    /// The number of a node that is not of the world; None if there is no place. Nobody has it in its table for that.
    pub fn number(&mut self, id: NodeId, addr: SocketAddrV4, now: Time) -> Option<u32> {
        let outsider = Outsider { id, addr, gone: false, heard: now };
        if let Some(known) = self.at(addr) {
            let before = &mut self.all[known as usize];
            if before.id == id {
                before.heard = now;
                return Some(known);
            }
        }
        let Some(number) = self.place(now) else {
            self.refused += 1;
            return None;
        };
        match self.all.get_mut(number as usize) {
            Some(before) => {
                let left = std::mem::replace(before, outsider);
                if self.by_addr.get(&left.addr) == Some(&number) {
                    self.by_addr.remove(&left.addr);
                }
            }
            None => self.all.push(outsider),
        }
        if let Some(before) = self.by_addr.insert(addr, number).filter(|before| *before != number) {
            self.all[before as usize].gone = true;
        }
        Some(number)
    }

    /// A free place, or that of one whom nobody can still know.
    fn place(&mut self, now: Time) -> Option<u32> {
        if self.all.len() < MAX_OUTSIDERS {
            return Some(self.all.len() as u32);
        }
        for _ in 0..64 {
            self.cursor = (self.cursor + 1) % self.all.len();
            if now.since(self.all[self.cursor].heard) > FORGOTTEN.1 {
                return Some(self.cursor as u32);
            }
        }
        None
    }

    /// `member` was asked or answered by an outsider, and takes it into its table if it keeps such a one.
    pub fn heard(&mut self, world: &World, member: u32, outsider: u32, now: Time) {
        self.all[outsider as usize].heard = now;
        self.forget(member, now);
        let Outsider { id, addr, .. } = self.all[outsider as usize];
        let heard = ticks(now);
        let table = &mut self.tables[member as usize];
        if let Some(entry) = table.iter_mut().find(|entry| entry.outsider == outsider) {
            *entry = Entry { heard, fails: 0, ..*entry };
            return;
        }
        let of = |entry: &Entry| &self.all[entry.outsider as usize];
        // An address with another id than before is another node.
        table.retain(|entry| of(entry).addr != addr);
        if world.restricts(member) && table.iter().any(|entry| of(entry).addr.ip() == addr.ip()) {
            return;
        }
        let own = world.id(member);
        let bucket = own.distance(&id.0).shared_bits();
        let taken = table.iter().filter(|entry| own.distance(&of(entry).id.0).shared_bits() == bucket).count();
        if table.len() < MAX_ENTRIES && taken < world.free_places(member, bucket) {
            // Most tables hold a few: the doubling of a vector would waste half of the memory.
            table.reserve_exact(1);
            table.push(Entry { outsider, heard, fails: 0 });
        }
    }

    /// `member` asked and had no answer.
    pub fn failed(&mut self, member: u32, outsider: u32) {
        self.tables[member as usize].retain_mut(|entry| {
            entry.fails += u8::from(entry.outsider == outsider);
            entry.fails < MAX_FAILS
        });
    }

    fn forget(&mut self, member: u32, now: Time) {
        let (heard, all) = (ticks(now), &self.all);
        let limit = limit(member);
        self.tables[member as usize]
            .retain(|entry| heard.wrapping_sub(entry.heard) <= limit && !all[entry.outsider as usize].gone);
    }

    /// Whom `member` should ask whether it is still there; it forgets who has been silent for too long.
    pub fn questionable(&mut self, member: u32, now: Time) -> impl Iterator<Item = u32> + '_ {
        self.forget(member, now);
        let (heard, limit) = (ticks(now), (QUESTIONABLE.as_secs() / TICK.as_secs()) as u16);
        let table = self.tables[member as usize].iter();
        table.filter(move |entry| heard.wrapping_sub(entry.heard) > limit).map(|entry| entry.outsider)
    }

    /// Outsiders that `member` names to others.
    pub fn known_to(&self, member: u32, now: Time) -> impl Iterator<Item = u32> + '_ {
        let (heard, limit) = (ticks(now), limit(member));
        let table = self.tables[member as usize].iter();
        let live = table.filter(move |entry| heard.wrapping_sub(entry.heard) <= limit && entry.fails == 0);
        live.map(|entry| entry.outsider).filter(|outsider| !self.get(*outsider).gone)
    }

    /// Whom `member` names when it is asked for a target: at most eight, closest first.
    pub fn named(&self, world: &World, member: u32, target: &[u8; 20], now: Time) -> Vec<Party> {
        let wanted = key(target);
        let members = world.named(member, target, now).into_iter();
        let mut found: Vec<(u64, Party)> =
            members.map(|node| (key(&world.id(node).0) ^ wanted, Party::Member(node))).collect();
        // Where there are many, members are named out of the bucket that the target is in; so are outsiders.
        let bucket = world.id(member).distance(target).shared_bits().min(63);
        let crowded = world.sharing(target, bucket + 1).len() > K;
        let fits = |node: &u32| !crowded || self.get(*node).id.distance(target).shared_bits() > bucket;
        let outsiders = self.known_to(member, now).filter(fits);
        found.extend(outsiders.map(|node| (key(&self.get(node).id.0) ^ wanted, Party::Outsider(node))));
        found.sort_unstable();
        found.truncate(K);
        found.into_iter().map(|(_, party)| party).collect()
    }

    /// Id and address of somebody.
    pub fn contact(&self, world: &World, party: Party) -> Contact {
        match party {
            Party::Member(node) => Contact { id: world.id(node), addr: world.addr(node) },
            Party::Outsider(node) => {
                let Outsider { id, addr, .. } = *self.get(node);
                Contact { id, addr: addr.into() }
            }
        }
    }

    /// The /24 that an outsider is in.
    pub fn prefix(&self, outsider: u32) -> [u8; 3] {
        let [a, b, c, _] = Ipv4Addr::octets(self.get(outsider).addr.ip());
        [a, b, c]
    }
}

/// How long a member names whom it does not hear of, in [`TICK`]s.
fn limit(member: u32) -> u16 {
    let (least, most) = (FORGOTTEN.0.as_secs(), FORGOTTEN.1.as_secs());
    ((least + mix(u64::from(member), 0xf0e6) % (most - least)) / TICK.as_secs()) as u16
}

/// Modulo 2^16, as it is kept.
fn ticks(now: Time) -> u16 {
    (now.as_millis() / TICK.as_millis() as u64) as u16
}

impl World {
    /// Places in a bucket of `member` that no other member takes.
    fn free_places(&self, member: u32, bucket: u32) -> usize {
        let bucket = bucket.min(63);
        let mut other = self.id(member).0;
        other[bucket as usize / 8] ^= 0x80 >> (bucket % 8);
        let range = self.sharing(&other, bucket + 1);
        let keeps = |node: &u32| self.kind(*node) != Kind::Silent || self.is_in_tables_of(member, *node);
        if range.len() <= K {
            return K.saturating_sub(range.map(|node| node as u32).filter(keeps).count());
        }
        // As `named` draws them at the beginning: a place whose node nobody answers for is free.
        let draw = |at: usize| mix(self.seed ^ u64::from(member), (u64::from(bucket) << 32) | at as u64);
        let width = K * WIDTHS.get(bucket as usize).copied().unwrap_or(1);
        let drawn = (0..width).map(|at| (range.start + (draw(at) % range.len() as u64) as usize) as u32);
        let mut taken: Vec<u32> = drawn.filter(keeps).collect();
        taken.sort_unstable();
        taken.dedup();
        width - taken.len()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Mix;
    use super::*;

    const MIX: Mix = Mix { old: 100, mute: 100, silent: 300, liars: 0 };
    const HOST: Ipv4Addr = Ipv4Addr::new(81, 2, 3, 4);

    fn stage() -> (World, Outsiders) {
        let world = World::new(2_000, MIX, (HOST, &[]), 3);
        let outsiders = Outsiders::new(world.len());
        (world, outsiders)
    }

    fn member(world: &World, strict: bool) -> u32 {
        (0..world.len() as u32).find(|node| world.restricts(*node) == strict).unwrap()
    }

    /// Outsiders beside `member`, on one host.
    fn neighbours(world: &World, outsiders: &mut Outsiders, member: u32, count: u16) -> Vec<u32> {
        let beside = |number: u16| {
            let mut id = world.id(member);
            id.0[4..6].copy_from_slice(&number.to_be_bytes());
            id
        };
        let add =
            |number| outsiders.number(beside(number), SocketAddrV4::new(HOST, 7000 + number), Time::ZERO).unwrap();
        (0..count).map(add).collect()
    }

    #[test]
    fn who_asks_is_named_and_forgotten_when_it_is_silent() {
        let (world, mut outsiders) = stage();
        let member = member(&world, false);
        let known = neighbours(&world, &mut outsiders, member, 1)[0];
        outsiders.heard(&world, member, known, Time::ZERO);
        let target = outsiders.get(known).id.0;
        let names = |outsiders: &Outsiders, now| outsiders.named(&world, member, &target, now);
        assert_eq!(names(&outsiders, Time::ZERO)[0], Party::Outsider(known));
        assert_eq!(names(&outsiders, Time::ZERO).len(), K);
        let later = Time::ZERO + FORGOTTEN.1 + TICK;
        assert!(!names(&outsiders, later).contains(&Party::Outsider(known)));
        let between = Time::ZERO + QUESTIONABLE + TICK * 2;
        assert_eq!(outsiders.questionable(member, between).collect::<Vec<_>>(), [known]);
        outsiders.heard(&world, member, known, between);
        assert_eq!(outsiders.questionable(member, between).count(), 0);
        assert!(names(&outsiders, later).contains(&Party::Outsider(known)));
        (0..MAX_FAILS).for_each(|_| outsiders.failed(member, known));
        assert!(!names(&outsiders, later).contains(&Party::Outsider(known)));
    }

    #[test]
    fn the_strict_keep_one_node_an_address_and_the_lax_a_bucket_full() {
        let (world, mut outsiders) = stage();
        for strict in [true, false] {
            let member = member(&world, strict);
            let all = neighbours(&world, &mut outsiders, member, 40);
            all.iter().for_each(|outsider| outsiders.heard(&world, member, *outsider, Time::ZERO));
            let known = outsiders.known_to(member, Time::ZERO).count();
            assert_eq!(known == 1, strict, "{known}");
            let own = world.id(member);
            let deepest = |bucket| {
                let of = outsiders.known_to(member, Time::ZERO).map(|outsider| outsiders.get(outsider).id);
                of.filter(|id| own.distance(&id.0).shared_bits() == bucket).count()
            };
            assert!((0..160).all(|bucket| deepest(bucket) <= K));
        }
    }

    #[test]
    fn another_id_at_an_address_is_another_node() {
        let (world, mut outsiders) = stage();
        let member = member(&world, true);
        let addr = SocketAddrV4::new(HOST, 7000);
        let [first, second] = [1, 2].map(|byte| {
            let mut id = world.id(member);
            id.0[19] ^= byte;
            let number = outsiders.number(id, addr, Time::ZERO).unwrap();
            outsiders.heard(&world, member, number, Time::ZERO);
            number
        });
        assert_ne!(first, second);
        assert_eq!(outsiders.at(addr), Some(second));
        assert_eq!(outsiders.known_to(member, Time::ZERO).collect::<Vec<_>>(), [second]);
        assert_eq!(outsiders.len(), 1);
    }

    #[test]
    fn full_of_outsiders_the_silent_give_way() {
        let (_, mut outsiders) = stage();
        let add = |outsiders: &mut Outsiders, number: u32, now| {
            let addr = SocketAddrV4::new(Ipv4Addr::from_bits(0x5000_0000 + number), 6881);
            outsiders.number(NodeId([number as u8; 20]), addr, now)
        };
        assert!((0..MAX_OUTSIDERS as u32).all(|number| add(&mut outsiders, number, Time::ZERO).is_some()));
        assert_eq!(add(&mut outsiders, MAX_OUTSIDERS as u32, Time::ZERO), None);
        let later = Time::ZERO + FORGOTTEN.1 * 2;
        assert!(add(&mut outsiders, MAX_OUTSIDERS as u32, later).is_some());
        assert_eq!((outsiders.len(), outsiders.refused), (MAX_OUTSIDERS, 1));
    }

    #[test]
    fn some_places_of_a_large_bucket_are_free_and_most_are_not() {
        let (world, _) = stage();
        let free: usize = (0..100).map(|node| world.free_places(node, 0)).sum();
        assert!((2_000..7_000).contains(&free), "{free} of 12800");
    }
}
