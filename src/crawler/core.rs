//! The crawler without sockets and clocks: all nodes, and what they share.
//!
//! Driven as a [`dht::Node`](crate::dht::Node) is: datagrams and the time go in; then all of [`Core::poll_transmit`] is
//! sent and all of [`Core::poll_event`] taken; [`Core::handle_timeout`] is called when [`Core::poll_timeout`] says. So
//! the same code runs on sockets and in a simulation.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::announces::{Announced, Announces, TooManyAnnounces};
use super::book::ContactBook;
use super::bootstrap::Bootstrap;
use super::filter::{Filter, SightingKind};
use super::manners::{Limits, Manners};
use super::monitors::{Monitors, Shared};
use super::own::{Own, Role, Roles};
use super::placement::IdIndex;
use super::saved::Saved;
use super::searches::{SEARCH_LIMIT, SearchId, Searches, TooManySearches, Waits};
use super::stats::CoreStats;
use super::timers::Timers;
use crate::config::IdStrategy;
use crate::dht::{Contact, Family, LookupId, Node, NodeConfig, Transmit};
use crate::types::{InfoHash, NodeId, Scope, Time};
use settings::{monitors_config, node_config};
use sweeping::Sweeping;

mod events;
mod fills;
mod lookups;
mod resize;
mod settings;
mod sweeping;
mod upkeep;

/// Nodes tried for a lookup, closest first: the closest may know nobody yet or be busy.
const LOOKUP_CANDIDATES: usize = 4;
/// Peers taken from our own stores for one search.
const MAX_STORED_PEERS: usize = 50;
/// Datagrams that wait for the shell; more are dropped and counted, as a network does.
const MAX_TRANSMITS: usize = 8_192;
/// What a core is made of.
#[derive(Debug, Clone)]
pub struct CoreConfig {
    pub strategy: IdStrategy,
    pub scope: Scope,
    /// Decides everything random.
    pub seed: u64,
    /// Local addresses of the sockets, one for each node, all on one IP.
    pub sockets: Vec<SocketAddr>,
    /// What all nodes together may ask.
    pub limits: Limits,
    /// From an earlier run.
    pub saved: Saved,
}

/// What the core has to tell its shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CoreEvent {
    /// A credible infohash was heard of.
    Sighting(Heard),
    /// Peers that a search found.
    Peers { search: SearchId, peers: Vec<SocketAddr> },
    /// A search is over.
    SearchDone { search: SearchId },
    /// The bootstrap hosts are to be resolved; answer with [`Core::bootstrap_resolved`], also if it failed.
    ResolveBootstrap,
}

/// A credible sighting, without the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    pub infohash: InfoHash,
    pub kind: SightingKind,
    pub source: SocketAddr,
    /// Number of our node that heard it first. It may rest by now, for a sighting can wait long to be believed.
    pub node: u32,
}

/// Why a lookup was started.
#[derive(Debug, Clone, Copy)]
enum Purpose {
    Search(SearchId),
    Announce(InfoHash),
    /// The way into a zone of the sweep.
    Enter,
}

#[derive(Debug, Clone, Copy)]
struct Task {
    purpose: Purpose,
    deadline: Time,
}

/// All nodes and what they share; see the module.
#[derive(Debug)]
pub struct Core {
    strategy: IdStrategy,
    scope: Scope,
    family: Family,
    /// Our own sockets: what comes from them is no sighting and no contact.
    own: Own,
    roles: Roles,
    nodes: Vec<Node>,
    /// IDs of nodes that were there and are to be again before others, the next one last.
    retired: Vec<NodeId>,
    index: IdIndex,
    monitors: Monitors,
    manners: Manners,
    /// Since nothing may be asked, and until then; whose turn it is to ask then.
    held_until: Option<Time>,
    let_go_next: usize,
    timers: Timers,
    /// Nodes touched since they were last settled.
    touched: VecDeque<u32>,
    book: ContactBook,
    /// Contacts of the run before.
    kept: Vec<Contact>,
    filter: Filter,
    announces: Announces,
    announcing: usize,
    sweeping: Sweeping,
    bootstrap: Bootstrap,
    searches: Searches,
    tasks: BTreeMap<(u32, LookupId), Task>,
    upkeep: Upkeep,
    events: VecDeque<CoreEvent>,
    transmits: VecDeque<(u32, Transmit)>,
    counters: CoreStats,
    rng: ChaCha8Rng,
}

/// State of the regular work.
#[derive(Debug)]
struct Upkeep {
    next_tick: Time,
    ticks: u64,
    /// Nodes with too few contacts.
    lonely: BTreeSet<u32>,
    /// When each node was last given contacts by us; None before the first time.
    helped: Vec<Option<Time>>,
    /// Our address as each node sees it; an entry a node at most.
    seen_as: BTreeMap<u32, IpAddr>,
    /// Liars whom all nodes were told to forget since the last tick.
    shuns: u32,
    /// Whether our IDs are those for our address, as far as they are to be.
    is_bound: bool,
    /// When IDs were last changed for a new address.
    bound: Option<Time>,
}

impl Core {
    /// One node for each socket. IDs of `saved` are used if they fit the configuration.
    pub fn new(config: CoreConfig, now: Time) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
        let CoreConfig { strategy, scope, sockets, saved, limits, .. } = config;
        let count = u32::try_from(sockets.len()).unwrap_or(u32::MAX);
        let (ids, retired) = resize::begin(strategy, count, &saved, &mut rng);
        let mut own = Own::new(&sockets);
        own.external = saved.external;
        let (family, roles) = (Family::of(own.ip()), Roles::new(count));
        let (ids, monitors) = Roles::split(&ids);
        let zone = match strategy {
            IdStrategy::Zone(zone) => Some(zone),
            _ => None,
        };
        let node_config = NodeConfig {
            unlisted: zone.is_some() && !monitors.is_empty(),
            ..node_config((scope, family), ids.len(), limits.answers)
        };
        let nodes: Vec<_> = ids.iter().map(|id| Node::new(node_config.clone(), *id, rng.random(), now)).collect();
        let rng_of_monitors = ChaCha8Rng::from_rng(&mut rng);
        let monitors_config = monitors_config((scope, family), monitors.len(), limits.answers);
        let monitors = Monitors::new(monitors_config, (monitors.to_vec(), zone), rng_of_monitors, now);
        let filter = Filter::new(rng.random(), scope);
        let mut core = Self {
            strategy,
            scope,
            family,
            own,
            roles,
            retired,
            monitors,
            manners: Manners::new(limits, count, rng.random(), now),
            held_until: None,
            let_go_next: 0,
            index: IdIndex::new(ids.iter().copied()),
            timers: Timers::new(nodes.len()),
            touched: VecDeque::new(),
            book: ContactBook::for_nodes(count),
            kept: Vec::new(),
            filter,
            announces: Announces::default(),
            announcing: 0,
            sweeping: Sweeping::new(now, &saved.sweep),
            bootstrap: Bootstrap::new(now, !saved.contacts.is_empty()),
            searches: Searches::default(),
            tasks: BTreeMap::new(),
            upkeep: Upkeep::new(now, ids.len()),
            events: VecDeque::new(),
            transmits: VecDeque::new(),
            counters: CoreStats::default(),
            rng,
            nodes,
        };
        core.kept = saved.contacts.into_iter().filter(|contact| core.is_reachable(contact.addr)).collect();
        core
    }

    /// Takes in a datagram that came to this socket.
    pub fn handle_datagram(&mut self, now: Time, socket: u32, from: SocketAddr, datagram: &[u8]) {
        if socket >= self.roles.sockets() {
            self.counters.shed += 1;
            return;
        }
        match self.roles.role(socket) {
            Role::Node(node) => {
                self.nodes[node as usize].handle_datagram(now, from, datagram);
                self.touched.push_back(node);
            }
            Role::Monitor(monitor) => {
                let mut shared = Shared { book: &mut self.book, own: &self.own };
                let told = self.monitors.handle_datagram(now, monitor, (from, datagram), &mut shared);
                if let Some(told) = told {
                    self.hear_monitor(now, monitor, told);
                }
            }
        }
        self.settle(now);
    }

    /// Does what is due. May be called at any time.
    pub fn handle_timeout(&mut self, now: Time) {
        // All that are due are taken before the first is handled: one that is due again at once must not starve others.
        let due: Vec<_> = std::iter::from_fn(|| self.timers.take_due(now)).collect();
        for node in due {
            self.nodes[node as usize].handle_timeout(now);
            self.touched.push_back(node);
        }
        if self.held_until.is_some_and(|until| until <= now) {
            self.let_go(now);
        }
        let has_room = self.transmits.len() < MAX_TRANSMITS / 2 && self.manners.has_spare_room(now);
        self.monitors.handle_timeout(now, &mut self.book, (has_room, &mut |to| self.manners.may_ask(now, to)));
        if now >= self.upkeep.next_tick {
            self.tick(now);
        }
        self.sweep(now);
        self.settle(now);
    }

    /// When [`Self::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Time {
        let own = self.upkeep.next_tick.min(self.sweeping.next());
        [self.timers.next(), self.monitors.poll_timeout(), self.held_until].into_iter().flatten().fold(own, Time::min)
    }

    /// Whether a person waits for a search: then nothing is to be put off, not even by milliseconds.
    pub fn is_awaited(&self) -> bool {
        self.searches.has_persons()
    }

    /// The next datagram to send, and from which socket.
    pub fn poll_transmit(&mut self) -> Option<(u32, Transmit)> {
        self.transmits.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<CoreEvent> {
        self.events.pop_front()
    }

    /// Looks for peers, first in our own stores, then through the node closest to the infohash. `waits` says who is
    /// waiting for them.
    ///
    /// # Errors
    /// If too many searches are under way.
    pub fn find_peers(&mut self, now: Time, infohash: InfoHash, waits: Waits) -> Result<SearchId, TooManySearches> {
        let mut stored = self.monitors.stored_peers(&infohash, MAX_STORED_PEERS);
        // Announces go to the nodes closest to the infohash; so only those of ours can have heard them.
        for node in self.index.nearest(&infohash.0, LOOKUP_CANDIDATES) {
            let room = MAX_STORED_PEERS.saturating_sub(stored.len());
            let peers = self.nodes[node as usize].stored_peers(&infohash, room);
            for peer in peers {
                if !stored.contains(&peer) {
                    stored.push(peer);
                }
            }
        }
        let search = self.searches.add(now, (infohash, waits), stored.clone())?;
        if !stored.is_empty() {
            self.hand_out(CoreEvent::Peers { search, peers: stored });
        }
        self.start_searches(now);
        self.settle(now);
        Ok(search)
    }

    /// Ends a search without an event.
    pub fn cancel_search(&mut self, search: SearchId) {
        if let Some((node, lookup)) = self.searches.remove(search).and_then(|search| search.lookup) {
            self.tasks.remove(&(node, lookup));
            self.nodes[node as usize].cancel(lookup);
        }
    }

    /// Announces an infohash now and again until it is withdrawn.
    ///
    /// # Errors
    /// If too many are announced.
    pub fn announce(&mut self, now: Time, infohash: InfoHash, what: Announced) -> Result<(), TooManyAnnounces> {
        self.announces.insert(now, infohash, what)?;
        self.start_announces(now);
        self.settle(now);
        Ok(())
    }

    /// Announces an infohash no more.
    pub fn withdraw(&mut self, infohash: &InfoHash) {
        self.announces.remove(infohash);
    }

    /// The answer to [`CoreEvent::ResolveBootstrap`]: the addresses found, or none.
    pub fn bootstrap_resolved(&mut self, now: Time, routers: &[SocketAddr]) {
        self.bootstrap.resolved(now, &mut self.rng);
        let routers: Vec<_> = routers.iter().copied().filter(|router| self.is_reachable(*router)).collect();
        self.ask_routers(now, &routers);
        self.settle(now);
    }

    /// What an infohash is of was fetched: who alone upheld it is believed further.
    pub fn proved(&mut self, now: Time, infohash: &InfoHash) {
        self.filter.prove(now, infohash).iter().for_each(|released| self.tell_found(released));
    }

    /// IDs of all nodes, in the order of the sockets.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + '_ {
        (0..self.roles.sockets()).map(|socket| self.id_at(socket))
    }

    fn id_at(&self, socket: u32) -> NodeId {
        match self.roles.role(socket) {
            Role::Node(node) => self.nodes[node as usize].id(),
            Role::Monitor(monitor) => self.monitors.ids()[monitor as usize],
        }
    }

    /// What the next run should know.
    pub fn saved(&mut self, now: Time) -> Saved {
        Saved {
            strategy: Some(self.strategy),
            external: self.own.external,
            nodes: self.all_ids(),
            contacts: self.contacts_to_keep(now),
            sweep: self.sweeping.saved(now),
        }
    }

    /// Counters and gauges of all nodes together.
    pub fn stats(&self) -> CoreStats {
        let mut stats = self.counters;
        for node in &self.nodes {
            stats.add_node(&node.stats());
        }
        stats.add_node(&self.monitors.stats());
        stats.flows = self.manners.flows() as u64;
        stats.contacts_known = self.book.len() as u64;
        stats.searches = self.searches.len() as u64;
        stats.announced = self.announces.len() as u64;
        stats.depth = self.filter.depth();
        stats.external = self.own.external;
        stats.ticks = self.upkeep.ticks;
        self.sweeping.add_to(&mut stats);
        stats
    }

    /// Whether a socket of ours can and may send there.
    fn is_reachable(&self, addr: SocketAddr) -> bool {
        self.scope.admits(addr) && Family::of(addr.ip()) == self.family && !self.own.holds(addr)
    }
}

#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;
