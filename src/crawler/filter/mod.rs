//! Which infohash is credible. Pure and of bounded memory: observations and the time go in, a [`Verdict`] comes out.
//!
//! # Why not every infohash exists
//!
//! | what comes | how it looks | what tells it |
//! |---|---|---|
//! | private lookup (libtorrent `obfuscated_get_peers`) | the first `clz + 4` bits are true, the rest is random, afresh for each question; true once a node is asked that shares more than depth − 5 bits | it never comes twice |
//! | looking for oneself (libtorrent `make_id_secret`) | the sender's own id with a random tail of 8 bytes | 96 bits shared with the sender |
//! | tending a bucket (libtorrent `send_single_refresh`) | a random point of the sender's bucket that holds us | nearer to the sender than to us, or in its own neighbourhood |
//! | walking at random, crawling | random points | never twice from different networks |
//! | made up | anything, even announced with our token, or shown as a sample | nobody else ever names it |
//! | flooded | many of these | a network that is never confirmed |
//!
//! # Why one is believed
//!
//! *Confirmed*: two networks far apart (IPv4 /16, IPv6 /32) named it. Chance cannot do that with 160 bits, and whoever
//! owns a block of addresses does not own two far apart.
//!
//! *Claimed*: one network alone has good reason to name it ([`evidence::weigh`]): it announced with our token, so its
//! address is not forged; or asked so near to us that nobody obfuscates any more; or asked from afar but is known to ask
//! plainly, since an infohash that it asked from afar before was confirmed, or came again unchanged after minutes; or
//! shows it as a sample that belongs near its id. Claims are believed on credit ([`accounts`]): each network (IPv4 /24,
//! IPv6 /64) may have a few that nobody confirmed, more with each of its claims that somebody else confirms. A peer with
//! thousands of torrents earns that soon, an inventor never does. The same holds for the /16 or /32 around it, so that a
//! block of many networks is not worth many times as much. Samples have no credit to begin with and earn little: each
//! infohash is stored at eight nodes, so what is true comes again from a neighbour.
//!
//! What is not believed waits, a bounded part for each network, and is believed later if it is confirmed, or its network
//! has earned credit by then. A network whose credit is used up and that goes on claiming what nobody confirms is
//! *shunned*: not heard for an hour, and its nodes are forgotten.

mod accounts;
pub mod evidence;
#[cfg(test)]
mod tests;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::time::Duration;

use super::generations::Generations;
use crate::types::{InfoHash, NodeId, Reach, Time};
use accounts::{Accounts, Network};
use evidence::{Reading, Standing, Weight};

/// Infohashes that wait, per generation: 8,192 · 2 · ~120 B, at most 2 MB. No network has more than
/// [`accounts::MAX_WAITING`] of them.
const HELD_CAPACITY: usize = 8_192;
/// How long such an infohash waits at least.
const HELD_WINDOW: Duration = Duration::from_secs(30 * 60);
/// Infohashes known to be credible, per generation: 16,384 · 2 · ~60 B, at most 2 MB.
const CREDIBLE_CAPACITY: usize = 16_384;
/// How long an infohash stays credible at least without being heard again.
const CREDIBLE_WINDOW: Duration = Duration::from_secs(24 * 3600);
/// Observations remembered to recognise repetitions, per generation; 8 B each.
const REPEAT_CAPACITY: usize = 16_384;
/// A repetition sooner than this (and up to twice as late) tells nothing new: clients ask again within minutes and
/// announce again every 15 to 30.
const REPEAT_WINDOW: Duration = Duration::from_secs(5 * 60);
/// Ports of one address that count as different peers of a torrent.
const PORTS_PER_ADDRESS: u16 = 4;
/// Hosts known to ask plainly, per generation; about 40 B each.
const PLAIN_CAPACITY: usize = 8_192;
/// How long a host that is not heard of counts as plain at least; the setting of a client rarely changes.
const PLAIN_WINDOW: Duration = Duration::from_secs(24 * 3600);
/// The same question of the same host after this time is not of the same lookup any more.
const LATER: Duration = Duration::from_secs(5 * 60);

/// How an infohash was heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SightingKind {
    /// Somebody asked us for its peers.
    GetPeers,
    /// Somebody announced itself as a peer, with a token that we gave to its address.
    Announce {
        /// TCP port at the source's IP address.
        port: u16,
        /// Whether it has everything, if it says (BEP 33).
        seed: Option<bool>,
    },
    /// A node says that it holds peers of it (BEP 51).
    Sample,
}

/// One thing heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    pub infohash: InfoHash,
    pub kind: SightingKind,
    /// Who said so.
    pub source: SocketAddr,
    /// What the source calls itself.
    pub source_id: NodeId,
    /// Which of our nodes heard it.
    pub node: u32,
    /// Leading bits that the infohash shares with the ID of our node.
    pub own_bits: u32,
}

/// What an observation is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The infohash exists, as far as one can tell; `new` if that was not known. `earlier` were held until now, of this
    /// infohash and of others, and count too.
    Credible { new: bool, earlier: Vec<Observation> },
    /// Not believed yet.
    Held,
    /// The same source said so a short while ago.
    Repeated,
    /// Nothing can exist under this infohash.
    Impossible,
    /// The source tends its own table.
    Upkeep,
    /// The source lies and is not heard; it should be forgotten.
    Shunned,
}

/// An infohash that waits.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    observation: Observation,
    at: Time,
    weight: Weight,
}

/// Judges observations; see the module.
#[derive(Debug)]
pub struct Filter {
    /// Mixed into hashes, so that nobody outside can make them collide.
    seed: u64,
    /// Estimated log2 of the network's nodes, less 3: leading bits that the 8 nodes closest to a target share with it.
    depth: u32,
    held: Generations<InfoHash, Waiting>,
    /// With the network that claims it, as long as nobody confirmed it.
    credible: Generations<InfoHash, Option<Network>>,
    repeats: Generations<u64, ()>,
    plain: Generations<SocketAddr, ()>,
    accounts: Accounts,
}

impl Filter {
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            depth: 0,
            held: Generations::new(HELD_CAPACITY, HELD_WINDOW),
            credible: Generations::new(CREDIBLE_CAPACITY, CREDIBLE_WINDOW),
            repeats: Generations::new(REPEAT_CAPACITY, REPEAT_WINDOW),
            plain: Generations::new(PLAIN_CAPACITY, PLAIN_WINDOW),
            accounts: Accounts::default(),
        }
    }

    /// Sets the number of leading bits that the eight nodes closest to any target share with it, as our own
    /// neighbourhood shows; log2(nodes / 8) in a network of evenly placed nodes.
    pub fn set_depth(&mut self, depth: u32) {
        self.depth = depth;
    }

    /// The number set by [`Filter::set_depth`].
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// Judges one observation and remembers what later ones need.
    pub fn observe(&mut self, now: Time, observation: &Observation) -> Verdict {
        let infohash = observation.infohash;
        if infohash.0.iter().all(|byte| *byte == infohash.0[0]) {
            return Verdict::Impossible;
        }
        let reading = evidence::read(observation, self.depth);
        if reading == Reading::Own {
            return Verdict::Upkeep;
        }
        let network = Network::of(observation.source);
        if self.accounts.is_shunned(now, &network) {
            return Verdict::Shunned;
        }
        let fingerprint = self.fingerprint(observation);
        if self.repeats.get(now, &fingerprint).is_some() {
            return Verdict::Repeated;
        }
        if let Some(voucher) = self.credible.get(now, &infohash).copied() {
            let earlier = self.name_again(now, observation, voucher, reading);
            self.repeats.insert(now, fingerprint, ());
            return Verdict::Credible { new: false, earlier };
        }
        let verdict = self.judge_unknown(now, observation, reading);
        if matches!(verdict, Verdict::Credible { .. }) {
            self.repeats.insert(now, fingerprint, ());
        }
        verdict
    }

    /// Entries in all tables, for status and tests.
    pub fn entries(&self) -> usize {
        self.held.len() + self.credible.len() + self.repeats.len() + self.plain.len() + self.accounts.len()
    }

    /// Somebody names an infohash that is believed already.
    fn name_again(
        &mut self,
        now: Time,
        observation: &Observation,
        voucher: Option<Network>,
        reading: Reading,
    ) -> Vec<Observation> {
        let (infohash, source) = (observation.infohash, observation.source);
        let network = Network::of(source);
        if voucher.is_some_and(|voucher| voucher.wide() == network.wide()) {
            self.credible.insert(now, infohash, voucher);
            return Vec::new();
        }
        self.credible.insert(now, infohash, None);
        let mut released = Vec::new();
        if let Some(voucher) = voucher {
            self.accounts.confirmed(now, &voucher);
            self.accounts.redeem(now, &voucher);
            self.release(now, &voucher, &mut released);
        }
        self.credit(now, source, reading, &mut released);
        released
    }

    /// What `source` said is confirmed: it earns credit, and may be known to ask plainly.
    fn credit(&mut self, now: Time, source: SocketAddr, reading: Reading, released: &mut Vec<Observation>) {
        let network = Network::of(source);
        self.accounts.confirmed(now, &network);
        if reading == Reading::AskedFar {
            self.plain.insert(now, host(source), ());
        }
        self.release(now, &network, released);
    }

    fn judge_unknown(&mut self, now: Time, observation: &Observation, reading: Reading) -> Verdict {
        let (infohash, source) = (observation.infohash, observation.source);
        let network = Network::of(source);
        let earlier = self.held.get(now, &infohash).copied();
        if let Some(earlier) = earlier {
            let first = earlier.observation.source;
            if Network::of(first).wide() != network.wide() {
                let mut released = vec![earlier.observation];
                self.forget_held(now, &earlier.observation);
                self.credible.insert(now, infohash, None);
                self.credit(now, first, evidence::read(&earlier.observation, self.depth), &mut released);
                self.credit(now, source, reading, &mut released);
                return Verdict::Credible { new: true, earlier: released };
            }
            let later = now.since(earlier.at) >= LATER && host(first) == host(source);
            if later && reading == Reading::AskedFar {
                self.plain.insert(now, host(source), ());
            }
        }
        let plain = self.plain.get(now, &host(source)).is_some();
        let weight = evidence::weigh(reading, Standing { plain });
        if weight == Weight::Claim {
            if self.accounts.lend(now, &network, reading == Reading::Shown) {
                let mut released: Vec<_> = earlier.map(|earlier| earlier.observation).into_iter().collect();
                released.iter().for_each(|earlier| self.forget_held(now, earlier));
                self.credible.insert(now, infohash, Some(network));
                self.release(now, &network, &mut released);
                return Verdict::Credible { new: true, earlier: released };
            }
            if self.accounts.is_shunned(now, &network) {
                return Verdict::Shunned;
            }
        }
        match earlier {
            // Kept with the time of the first, or it could never come later.
            Some(earlier) if weight == Weight::Claim => {
                self.held.insert(now, infohash, Waiting { weight, ..earlier });
            }
            None => {
                self.make_place(now, &network);
                if self.accounts.hold(now, &network, infohash) {
                    self.held.insert(now, infohash, Waiting { observation: *observation, at: now, weight });
                }
            }
            Some(_) => {}
        }
        Verdict::Held
    }

    /// Forgets what waited too long of a network that has no more room.
    fn make_place(&mut self, now: Time, network: &Network) {
        let waiting = self.accounts.waiting(now, network);
        if waiting.len() < accounts::MAX_WAITING {
            return;
        }
        for infohash in waiting {
            if self.held.get(now, &infohash).is_none() {
                self.accounts.let_go(now, network, &infohash);
            }
        }
    }

    fn forget_held(&mut self, now: Time, observation: &Observation) {
        self.held.remove(now, &observation.infohash);
        self.accounts.let_go(now, &Network::of(observation.source), &observation.infohash);
    }

    /// Believes what waits of a network, as far as it is claimed by now and there is credit for it.
    fn release(&mut self, now: Time, network: &Network, released: &mut Vec<Observation>) {
        for infohash in self.accounts.waiting(now, network) {
            let Some(waiting) = self.held.get(now, &infohash).copied() else {
                self.accounts.let_go(now, network, &infohash);
                continue;
            };
            let reading = evidence::read(&waiting.observation, self.depth);
            let plain = self.plain.get(now, &host(waiting.observation.source)).is_some();
            let claimed =
                waiting.weight == Weight::Claim || evidence::weigh(reading, Standing { plain }) == Weight::Claim;
            if claimed && self.accounts.has_credit(now, network, reading == Reading::Shown) {
                self.accounts.lend(now, network, reading == Reading::Shown);
                self.forget_held(now, &waiting.observation);
                self.credible.insert(now, infohash, Some(*network));
                released.push(waiting.observation);
            }
        }
    }

    fn fingerprint(&self, observation: &Observation) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.seed.hash(&mut hasher);
        observation.infohash.hash(&mut hasher);
        observation.source.ip().hash(&mut hasher);
        match observation.kind {
            SightingKind::GetPeers => 0_u16.hash(&mut hasher),
            SightingKind::Sample => 1_u16.hash(&mut hasher),
            // A few of the ports of one address count, or one that tries all of them would fill the memory.
            SightingKind::Announce { port, .. } => (2 + (port ^ (port >> 8)) % PORTS_PER_ADDRESS).hash(&mut hasher),
        }
        hasher.finish()
    }
}

/// A public address whatever its port; a private one with it, since in labs one host stands for many.
fn host(addr: SocketAddr) -> SocketAddr {
    if Reach::of(addr.ip()) == Reach::Public { SocketAddr::new(addr.ip().to_canonical(), 0) } else { addr }
}
