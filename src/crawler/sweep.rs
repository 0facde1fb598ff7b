//! In which order to ask all nodes of the network for a sample of what they store (BEP 51), each once.
//!
//! A node shows the same sample until its interval, six hours at most, is over; to ask it sooner is of no use to us and
//! a burden to it. So the ID space is cut into zones of some thousand nodes, and these are swept one after the other; a
//! zone is due again six hours after it was left, whatever interval its nodes asked for.
//!
//! Within a zone every node is asked once, with one question that does two things: it brings a sample, and the contacts
//! closest to its target bring nodes to ask. Every other target is the node's own ID, which shows its neighbours; the
//! others lie in a random bucket of the node inside the zone, which shows the rest of it. So a sweep of a million nodes
//! takes a million questions, and about twenty more for the lookup that finds the way into each zone. The nodes are
//! asked in the order of their IDs: neighbours store the same infohashes and confirm each other while the first is still
//! remembered.
//!
//! Most clients that do not know BEP 51 say nothing to it, as the dead do, and what only they know would stay unfound. The
//! living are named by many of their neighbours, the dead by few; so when the zone is through, whoever was silent and
//! often named is asked for contacts plainly (`find_node`).
//!
//! Pure: contacts and the time go in, [`Step`]s come out. Only the zone under way takes memory for its nodes.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use rand::Rng;

use crate::dht::{Contact, Fill};
use crate::types::{NodeId, Time};
use host::{Host, Known, host};

mod host;
mod saved;

pub use saved::SavedSweep;

/// After this time every node may be asked again: the longest interval of BEP 51.
pub const INTERVAL_MAX: Duration = Duration::from_secs(6 * 3600);
/// A zone in which nobody answered is tried again after this time: our own line was down.
const RETRY: Duration = Duration::from_secs(10 * 60);
/// A zone in which answered less than this part of the nodes that it should have was not swept: we had just come, or the
/// line was bad. It is gone through again after a pause, a few times at most; who answered is not asked again.
const THIN: u64 = 8;
const THIN_PAUSE: Duration = Duration::from_secs(60);
const MAX_AGAIN: u8 = 3;
/// log2 of the nodes of a zone, about.
const ZONE_LOG2: u32 = 12;
/// Nodes of a zone that are remembered, four times as many as expected; about 80 B each, 1.3 MB. A liar that names more
/// takes from its own zone only.
const MAX_NODES: usize = 16_384;
/// Named so often, who is silent is worth a plain question.
const OFTEN: u8 = 4;
/// Most zones: for 2^27 nodes; 8 B each.
pub const MAX_ZONE_BITS: u32 = 15;
/// log2 of the nodes that the depth leaves out; see [`Sweep::set_depth`].
const DEPTH_LEAVES_OUT: u32 = 3;

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Look up nodes near the target, and tell them by [`Sweep::entered`].
    Enter(NodeId),
    /// Ask the contact for a sample with this target, and tell the outcome by [`Sweep::visited`].
    Visit { contact: Contact, target: NodeId },
    /// Ask the contact for those closest to the target, and tell the outcome by [`Sweep::visited`].
    AskPlainly { contact: Contact, target: NodeId },
    /// Wait for answers, or for the next zone to be due.
    Wait,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Between zones.
    Resting,
    /// The way into the zone is being looked up.
    Entering,
    Sweeping,
}

/// Who is asked, and how.
#[derive(Debug, Clone, Copy)]
struct Asked {
    contact: Contact,
    plainly: bool,
}

/// The state; see the module.
#[derive(Debug)]
pub struct Sweep {
    depth: u32,
    bits: u32,
    zone: u32,
    phase: Phase,
    /// When each zone is due.
    due: Vec<Time>,
    /// Nodes of the zone that are still to be asked.
    waiting: BTreeMap<NodeId, Contact>,
    /// Where in the zone we are.
    cursor: NodeId,
    /// Nodes below were asked by an earlier run.
    from: NodeId,
    /// The end of the zone was reached; what is asked now was found late.
    is_wrapped: bool,
    /// How often the zone was gone through that is under way.
    again: u8,
    /// Hosts of the zone that were named: they are asked, or wait.
    known: HashMap<Host, Known>,
    under_way: HashMap<Host, Asked>,
    /// Who said nothing, in the order of the visits.
    silent: VecDeque<Contact>,
    visits: u64,
    zones_left: u64,
}

impl Sweep {
    /// Goes on with what an earlier run kept.
    pub fn new(now: Time, saved: &SavedSweep) -> Self {
        let bits = saved.bits.min(MAX_ZONE_BITS);
        let mut due = vec![Time::ZERO; 1 << bits];
        for (zone, seconds) in &saved.resting {
            if let Some(due) = due.get_mut(*zone as usize) {
                *due = now + Duration::from_secs(u64::from(*seconds)).min(INTERVAL_MAX);
            }
        }
        Self {
            depth: 0,
            bits,
            zone: saved.zone.min((1 << bits) - 1),
            phase: Phase::Resting,
            due,
            waiting: BTreeMap::new(),
            cursor: saved.from,
            from: saved.from,
            is_wrapped: false,
            again: 0,
            known: HashMap::new(),
            under_way: HashMap::new(),
            silent: VecDeque::new(),
            visits: 0,
            zones_left: 0,
        }
    }

    /// What [`Sweep::set_depth`] was told last.
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// The network has about 8 · 2^`depth` nodes. Zones are cut anew at the next border if they would be too large or
    /// too small by half.
    pub fn set_depth(&mut self, depth: u32) {
        self.depth = depth;
    }

    /// How many nodes of the zone are remembered.
    pub fn fill(&self) -> Fill {
        let entries = self.known.len().max(self.waiting.len()).max(self.silent.len());
        Fill { of: "nodes of a zone", entries, bound: MAX_NODES }
    }

    /// Nodes asked since the start.
    pub fn visits(&self) -> u64 {
        self.visits
    }

    /// Zones swept since the start, and zones in all.
    pub fn zones(&self) -> (u64, u64) {
        (self.zones_left, self.due.len() as u64)
    }

    /// What to do now. Call again after a step that asks somebody.
    pub fn next(&mut self, now: Time, rng: &mut impl Rng) -> Step {
        match self.phase {
            Phase::Entering => Step::Wait,
            Phase::Resting => {
                self.cut_anew();
                if now < self.due[self.zone as usize] {
                    return Step::Wait;
                }
                self.phase = Phase::Entering;
                self.cursor = self.from;
                self.is_wrapped = false;
                Step::Enter(self.inside(rng.random()))
            }
            Phase::Sweeping => {
                let ahead = self.waiting.range(self.cursor..).next();
                let Some((id, contact)) = ahead.or_else(|| self.waiting.iter().next()).map(|(id, it)| (*id, *it))
                else {
                    return self.ask_plainly(now, rng);
                };
                self.is_wrapped |= ahead.is_none();
                self.waiting.remove(&id);
                self.cursor = id;
                self.under_way.insert(host(contact.addr), Asked { contact, plainly: false });
                self.visits += 1;
                Step::Visit { contact, target: self.target(id, rng) }
            }
        }
    }

    /// When nobody waits: the next of the silent that seems to live; if there is none, the zone is through.
    fn ask_plainly(&mut self, now: Time, rng: &mut impl Rng) -> Step {
        while let Some(contact) = self.silent.pop_front() {
            let host = host(contact.addr);
            if self.known.get(&host).is_some_and(|known| known.named >= OFTEN) {
                self.under_way.insert(host, Asked { contact, plainly: true });
                return Step::AskPlainly { contact, target: self.target(contact.id, rng) };
            }
        }
        if self.under_way.is_empty() {
            self.leave(now);
        }
        Step::Wait
    }

    /// The node could not be asked; it is asked later.
    pub fn postponed(&mut self, contact: Contact) {
        match self.under_way.remove(&host(contact.addr)) {
            Some(Asked { plainly: true, .. }) => self.silent.push_front(contact),
            Some(_) => {
                self.visits = self.visits.saturating_sub(1);
                self.waiting.insert(contact.id, contact);
            }
            None => {}
        }
    }

    /// The node cannot be asked at all.
    pub fn skipped(&mut self, addr: SocketAddr) {
        self.under_way.remove(&host(addr));
    }

    /// The node has had enough of us; it is asked later, others before it.
    pub fn withheld(&mut self, contact: Contact) {
        if self.under_way.get(&host(contact.addr)).is_some_and(|asked| asked.plainly) {
            self.under_way.remove(&host(contact.addr));
            self.silent.push_back(contact);
            return;
        }
        self.postponed(contact);
        let mut after = contact.id;
        for byte in after.0.iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
        self.cursor = after;
    }

    /// The lookup of [`Step::Enter`] was given up; it is asked for again.
    pub fn turned_back(&mut self) {
        if self.phase == Phase::Entering {
            self.phase = Phase::Resting;
        }
    }

    /// The lookup of [`Step::Enter`] is over.
    pub fn entered(&mut self, contacts: impl IntoIterator<Item = Contact>) {
        if self.phase != Phase::Entering {
            return;
        }
        self.phase = Phase::Sweeping;
        for contact in contacts {
            self.learn(contact);
        }
    }

    /// A question is over; `named` are the contacts that it brought.
    pub fn visited(&mut self, addr: SocketAddr, answered: bool, named: &[Contact]) {
        if let Some(known) = self.known.get_mut(&host(addr)) {
            known.answered |= answered;
        }
        if let Some(Asked { contact, plainly: false }) = self.under_way.remove(&host(addr))
            && !answered
        {
            self.silent.push_back(contact);
        }
        if self.phase == Phase::Sweeping {
            for contact in named {
                self.learn(*contact);
            }
        }
    }

    /// False if the contact is not of this zone.
    fn learn(&mut self, contact: Contact) -> bool {
        if self.bits > 0 && zone_of(&contact.id, self.bits) != self.zone {
            return false;
        }
        let host = host(contact.addr);
        if let Some(known) = self.known.get_mut(&host) {
            known.named = known.named.saturating_add(1);
        } else if self.known.len() < MAX_NODES {
            self.known.insert(host, Known { named: 1, answered: false });
            if contact.id >= self.from {
                self.waiting.insert(contact.id, contact);
            }
        }
        true
    }

    fn leave(&mut self, now: Time) {
        self.phase = Phase::Resting;
        self.silent = VecDeque::new();
        self.waiting.clear();
        self.under_way.clear();
        let answered = self.known.values().filter(|known| known.answered).count() as u64;
        if (1..self.expected() / THIN).contains(&answered) && self.again < MAX_AGAIN {
            self.again += 1;
            self.known.retain(|_, known| known.answered);
            self.due[self.zone as usize] = now + THIN_PAUSE;
            return;
        }
        self.due[self.zone as usize] = now + if answered > 0 { INTERVAL_MAX } else { RETRY };
        self.zone = self.zone_after();
        self.from = NodeId([0; NodeId::LEN]);
        self.again = 0;
        self.zones_left += 1;
        self.known = HashMap::new();
    }

    /// Nodes of a zone, about.
    fn expected(&self) -> u64 {
        1_u64.checked_shl((self.depth + DEPTH_LEAVES_OUT).saturating_sub(self.bits)).unwrap_or(u64::MAX)
    }

    fn zone_after(&self) -> u32 {
        (self.zone + 1) % self.due.len() as u32
    }

    fn cut_anew(&mut self) {
        let wanted = (self.depth + DEPTH_LEAVES_OUT).saturating_sub(ZONE_LOG2).min(MAX_ZONE_BITS);
        let is_near = wanted.abs_diff(self.bits) < 2 && (self.bits > 0 || wanted == 0);
        // Who knows nobody yet knows nothing of the size.
        if is_near || self.depth == 0 {
            return;
        }
        let (from, to) = (self.bits, wanted);
        self.due = (0..1_usize << to)
            .map(|zone| match to >= from {
                true => self.due[zone >> (to - from)],
                // As late as the latest of those that become one.
                false => {
                    let parts = zone << (from - to)..(zone + 1) << (from - to);
                    self.due[parts].iter().copied().max().unwrap_or_default()
                }
            })
            .collect();
        self.zone = if to >= from { self.zone << (to - from) } else { self.zone >> (from - to) };
        self.bits = to;
    }

    /// `id` with the first bits of the zone.
    fn inside(&self, mut id: [u8; NodeId::LEN]) -> NodeId {
        for bit in 0..self.bits as usize {
            let one = self.zone >> (self.bits as usize - 1 - bit) & 1 == 1;
            let mask = 0x80_u8 >> (bit % 8);
            id[bit / 8] = if one { id[bit / 8] | mask } else { id[bit / 8] & !mask };
        }
        NodeId(id)
    }

    /// Every other time the node itself, else a point in one of its buckets inside the zone.
    fn target(&self, id: NodeId, rng: &mut impl Rng) -> NodeId {
        if rng.random() {
            return id;
        }
        let deepest = (self.depth + 1).max(self.bits + 1);
        let bit = rng.random_range(self.bits..deepest).min(NodeId::LEN as u32 * 8 - 1) as usize;
        let mut target: [u8; NodeId::LEN] = rng.random();
        let mask = 0x80_u8 >> (bit % 8);
        target[..bit / 8].copy_from_slice(&id.0[..bit / 8]);
        // The bits before as the node's, this one other, the rest random.
        let keep = !(mask | (mask - 1));
        let flipped = !id.0[bit / 8] & mask;
        target[bit / 8] = (id.0[bit / 8] & keep) | flipped | (target[bit / 8] & (mask - 1));
        NodeId(target)
    }
}

/// The first bits of an id as a number.
fn zone_of(id: &NodeId, bits: u32) -> u32 {
    u32::from_be_bytes([id.0[0], id.0[1], id.0[2], id.0[3]]) >> (32 - bits)
}

#[cfg(test)]
mod tests;
