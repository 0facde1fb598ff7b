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
//! Not for a single message of somebody unknown: what is made up, drawn at random or obfuscated comes once, and what exists
//! comes again.
//!
//! *Confirmed*: two networks far apart (IPv4 /16, IPv6 /32) named it. Chance cannot do that with 160 bits, and whoever
//! owns a block of addresses does not own two far apart. Each infohash is stored at eight nodes, so samples need this: what
//! is true comes again from a neighbour.
//!
//! *Upheld*: one network alone named it, with good reason, and again minutes later, as clients do every quarter of an
//! hour. A reason ([`evidence::persuades`]) is an announce with our token, whose address is not forged; a question so near
//! to us that nobody obfuscates any more; or a question from afar that came unchanged. Whoever makes things up can say
//! them twice too, so this is believed on credit ([`accounts`]): a network (IPv4 /24, IPv6 /64) and the wide network around
//! it have few places for what they alone uphold. A place is free again, and credit earned, once somebody far away names
//! the same or somebody gave us what it is of ([`Filter::prove`]). So a peer with thousands of torrents that nobody else
//! has is believed as fast as they are fetched, and one who lies never has more than a few.
//!
//! *Vouched for*: what a network announces that was right before is believed at once, on what it earned by that alone. What
//! few share often comes to us only once, since lookups of real clients seldom go the same way twice: of what
//! libtorrent told us, that was one infohash in five to seven (tests/truth.rs counts them).
//!
//! We do not ask the DHT for what waits, though the answers would tell what is shared: other crawlers would hear our
//! question as that of a second network, and two jukeboxes would confirm to each other what does not exist.
//!
//! What is not believed waits, a bounded part for each network. A network that goes on claiming what it does not uphold
//! and nobody confirms is *shunned*: not heard for an hour, and its nodes are forgotten.
//!
//! # Who is trusted
//!
//! At home and in labs (scope "private") a few jukeboxes may be all there is, in one network, and each announces its
//! songs once in a quarter of an hour: what has a reason is believed at once there, samples and questions from afar too.
//! That holds for private addresses, which nobody outside can have, and in a network of fewer than some thousand nodes for
//! all others: whatever it is, it is not the Mainline DHT. In scope "public" nobody is trusted.

mod accounts;
pub mod evidence;
mod held;
#[cfg(test)]
mod tests;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::time::Duration;

use super::generations::Generations;
use crate::dht::{self, Fill};
use crate::types::{InfoHash, NodeId, Reach, Scope, Time};
use accounts::{Accounts, Claimed, Network};
use evidence::Reading;
use held::{Held, Waiting};

/// Infohashes known to be credible, per generation: at most 16,384 · 2 · ~45 B of table, 1.5 MB.
const CREDIBLE_CAPACITY: usize = 14_336;
/// How long an infohash stays credible at least without being heard again.
const CREDIBLE_WINDOW: Duration = Duration::from_secs(24 * 3600);
/// Observations remembered to recognise repetitions, per generation; 8 B each.
const REPEAT_CAPACITY: usize = 14_336;
/// A repetition sooner than this (and up to twice as late) tells nothing new: clients ask again within minutes and
/// announce again every 15 to 30.
const REPEAT_WINDOW: Duration = Duration::from_secs(5 * 60);
/// Ports of one address that count as different peers of a torrent.
const PORTS_PER_ADDRESS: u16 = 4;
/// Named again after this time, it is not of the same lookup any more.
const LATER: Duration = Duration::from_secs(5 * 60);
/// Fewer nodes than 8 · 2^8 make a network less deep; Mainline's depth is 20.
const SMALL_DEPTH: u32 = 8;

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

impl From<dht::SightingKind> for SightingKind {
    fn from(kind: dht::SightingKind) -> Self {
        match kind {
            dht::SightingKind::GetPeers => Self::GetPeers,
            dht::SightingKind::Announce { port, seed } => Self::Announce { port, seed },
        }
    }
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

/// Judges observations; see the module.
#[derive(Debug)]
pub struct Filter {
    /// Mixed into hashes, so that nobody outside can make them collide.
    seed: u64,
    scope: Scope,
    /// Estimated log2 of the network's nodes, less 3: leading bits that the 8 nodes closest to a target share with it.
    depth: u32,
    held: Held,
    /// With the network that upholds it, as long as nobody confirmed it.
    credible: Generations<InfoHash, Option<Network>>,
    repeats: Generations<u64, ()>,
    accounts: Accounts,
}

impl Filter {
    pub fn new(seed: u64, scope: Scope) -> Self {
        Self {
            seed,
            scope,
            depth: 0,
            held: Held::default(),
            credible: Generations::new(CREDIBLE_CAPACITY, CREDIBLE_WINDOW),
            repeats: Generations::new(REPEAT_CAPACITY, REPEAT_WINDOW),
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
        let network = self.network(observation.source);
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

    /// How full the tables are.
    pub fn fills(&self) -> Vec<Fill> {
        let mut fills = vec![self.credible.fill("credible infohashes"), self.repeats.fill("observations remembered")];
        fills.extend(self.held.fills());
        fills.extend(self.accounts.fills());
        fills
    }

    /// Entries in all tables.
    #[cfg(test)]
    pub fn entries(&self) -> usize {
        self.held.len() + self.credible.len() + self.repeats.len() + self.accounts.len()
    }

    /// What the infohash is of was given to us, so it exists. Returns what is believed for that.
    pub fn prove(&mut self, now: Time, infohash: &InfoHash) -> Vec<Observation> {
        let mut released = Vec::new();
        if let Some(Some(voucher)) = self.credible.get(now, infohash).copied() {
            self.credible.insert(now, *infohash, None);
            self.redeem(now, &voucher, &mut released);
        }
        released
    }

    /// Somebody names an infohash that is believed already.
    fn name_again(
        &mut self,
        now: Time,
        observation: &Observation,
        voucher: Option<Network>,
        reading: Reading,
    ) -> Vec<Observation> {
        let network = self.network(observation.source);
        let alone = voucher.filter(|voucher| voucher.wide() == network.wide());
        self.credible.insert(now, observation.infohash, alone);
        let mut released = Vec::new();
        // Only the two who named it first earn by it: to name what is known costs nothing.
        if let Some(voucher) = voucher.filter(|_| alone.is_none()) {
            self.redeem(now, &voucher, &mut released);
            self.credit(now, &network, reading, &mut released);
        }
        released
    }

    /// What the network alone upheld is true.
    fn redeem(&mut self, now: Time, voucher: &Network, released: &mut Vec<Observation>) {
        self.accounts.redeem(now, voucher);
        self.accounts.confirmed(now, voucher);
        self.release(now, voucher, released);
    }

    /// What the network named is confirmed. To show the true in a sample among the false costs nothing.
    fn credit(&mut self, now: Time, network: &Network, reading: Reading, released: &mut Vec<Observation>) {
        if !matches!(reading, Reading::Shown | Reading::ShownFar) {
            self.accounts.confirmed(now, network);
            self.release(now, network, released);
        }
    }

    fn judge_unknown(&mut self, now: Time, observation: &Observation, reading: Reading) -> Verdict {
        let infohash = observation.infohash;
        let network = self.network(observation.source);
        let waiting = self.held.get(now, &infohash);
        if let Some(first) = waiting.map(|waiting| waiting.observation) {
            let other = self.network(first.source);
            if other.wide() != network.wide() {
                let mut earlier = vec![first];
                self.forget_held(now, &first);
                self.credible.insert(now, infohash, None);
                self.credit(now, &other, evidence::read(&first, self.depth), &mut earlier);
                self.credit(now, &network, reading, &mut earlier);
                return Verdict::Credible { new: true, earlier };
            }
        }
        let again = waiting.is_some_and(|waiting| now.since(waiting.at) >= LATER);
        let claimed = waiting.is_some_and(|waiting| waiting.claimed) || evidence::persuades(reading, again);
        let announced = waiting.is_some_and(|waiting| waiting.announced) || reading == Reading::Announced;
        let upheld = again && claimed;
        if upheld && waiting.is_some_and(|waiting| !waiting.upheld) {
            self.accounts.upholds(now, &network);
        }
        let plain = matches!(reading, Reading::Shown | Reading::AskedFar);
        let trusted = (claimed || plain) && self.trusts(observation.source);
        let told = claimed_how(upheld, announced);
        if trusted || told.is_some_and(|told| self.accounts.lend(now, &network, told)) {
            let earlier: Vec<_> = waiting.map(|waiting| waiting.observation).into_iter().collect();
            earlier.iter().for_each(|earlier| self.forget_held(now, earlier));
            self.credible.insert(now, infohash, Some(network).filter(|_| !trusted));
            return Verdict::Credible { new: true, earlier };
        }
        match waiting {
            // Kept with the time of the first, or it could never come later.
            Some(first) => {
                let of = self.network(first.observation.source);
                self.held.renew(now, of, Waiting { claimed, announced, upheld, ..first });
            }
            None => {
                if claimed && self.accounts.claims(now, &network) {
                    return Verdict::Shunned;
                }
                let waiting = Waiting { observation: *observation, at: now, claimed, announced, upheld: false };
                self.held.hold(now, network, waiting);
            }
        }
        Verdict::Held
    }

    fn forget_held(&mut self, now: Time, observation: &Observation) {
        let network = self.network(observation.source);
        self.held.remove(now, &network, &observation.infohash);
    }

    /// Believes what a network claims, as far as there is credit for it by now.
    fn release(&mut self, now: Time, network: &Network, released: &mut Vec<Observation>) {
        for Waiting { observation, announced, upheld, .. } in self.held.of(now, network) {
            if let Some(told) = claimed_how(upheld, announced)
                && self.accounts.lend(now, network, told)
            {
                self.forget_held(now, &observation);
                self.credible.insert(now, observation.infohash, Some(*network));
                released.push(observation);
            }
        }
    }

    fn trusts(&self, source: SocketAddr) -> bool {
        self.scope == Scope::Private && (self.depth < SMALL_DEPTH || Reach::of(source.ip()) != Reach::Public)
    }

    /// The network that answers for what comes from an address. Where it is trusted, one host stands for many in labs:
    /// each port is a network of its own.
    fn network(&self, source: SocketAddr) -> Network {
        if self.trusts(source) { Network::alone(source) } else { Network::of(source) }
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

/// What a network can be believed for.
fn claimed_how(upheld: bool, announced: bool) -> Option<Claimed> {
    match (upheld, announced) {
        (true, _) => Some(Claimed::Again),
        (false, true) => Some(Claimed::Once),
        (false, false) => None,
    }
}
