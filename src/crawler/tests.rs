//! The shell on real sockets: every node of the world has a loopback address of its own.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::*;
use crate::config::IdStrategy;
use crate::dht::{Contact, Event, Lookup, Node, NodeConfig};
use crate::types::{Clock, InfoHash, NodeId, Scope};

/// What takes longer has failed.
const LIMIT: Duration = Duration::from_secs(20);

const HASH: InfoHash = InfoHash(*b"abcdefghij0123456789");

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.expect("in time")
}

/// A node of the world and its socket.
struct Inhabitant {
    addr: SocketAddr,
    lookups: mpsc::Sender<Lookup>,
    events: mpsc::Receiver<Event>,
}

struct World {
    inhabitants: Vec<Inhabitant>,
    _cancel: DropGuard,
}

impl World {
    /// Nodes on 127.0.1.1, 127.0.1.2, …, which know each other.
    async fn start(count: u8) -> Self {
        let cancel = CancellationToken::new();
        let mut sockets = Vec::new();
        let mut contacts = Vec::new();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for number in 1..=count {
            let socket = UdpSocket::bind((std::net::Ipv4Addr::new(127, 0, 1, number), 0)).await.unwrap();
            contacts.push(Contact { id: NodeId(rng.random()), addr: socket.local_addr().unwrap() });
            sockets.push(socket);
        }
        let clock = Clock::start();
        let spawn = |(socket, contact): (UdpSocket, &Contact)| {
            let config = NodeConfig { scope: Scope::Private, ..NodeConfig::default() };
            let mut node = Node::new(config, contact.id, 1, clock.now());
            contacts.iter().filter(|other| *other != contact).for_each(|other| node.add_contact(clock.now(), *other));
            let (lookups, asked) = mpsc::channel(8);
            let (tell, events) = mpsc::channel(64);
            tokio::spawn(inhabit(node, socket, clock, asked, tell, cancel.clone()));
            Inhabitant { addr: contact.addr, lookups, events }
        };
        let inhabitants = sockets.into_iter().zip(&contacts).map(spawn).collect();
        let mut world = Self { inhabitants, _cancel: cancel.drop_guard() };
        for inhabitant in &mut world.inhabitants {
            let mut known = 1;
            while known < count {
                let event = within(inhabitant.events.recv()).await.unwrap();
                known += u8::from(matches!(event, Event::ContactSeen(_)));
            }
        }
        world
    }

    async fn ask(&self, inhabitant: usize, lookup: Lookup) {
        self.inhabitants[inhabitant].lookups.send(lookup).await.unwrap();
    }

    /// Runs a lookup to its end and gives the peers found.
    async fn peers(&mut self, inhabitant: usize, infohash: InfoHash) -> Vec<SocketAddr> {
        self.ask(inhabitant, Lookup::GetPeers(infohash)).await;
        let mut found = Vec::new();
        loop {
            match within(self.inhabitants[inhabitant].events.recv()).await.unwrap() {
                Event::Peers { peers, .. } => found.extend(peers),
                Event::LookupDone { .. } => return found,
                _ => {}
            }
        }
    }

    /// Announces and waits until it is done.
    async fn announce(&mut self, inhabitant: usize, infohash: InfoHash, port: u16) -> SocketAddr {
        self.ask(inhabitant, Lookup::Announce { infohash, port, seed: true }).await;
        loop {
            if let Event::LookupDone { announced, .. } =
                within(self.inhabitants[inhabitant].events.recv()).await.unwrap()
            {
                assert!(announced > 0);
                return SocketAddr::new(self.inhabitants[inhabitant].addr.ip(), port);
            }
        }
    }

    fn config(&self) -> CrawlerConfig {
        CrawlerConfig { bootstrap: vec![self.inhabitants[0].addr.to_string()], ..lonely() }
    }
}

/// The shell of one node: what a crawler's task does for many.
async fn inhabit(
    mut node: Node,
    socket: UdpSocket,
    clock: Clock,
    mut asked: mpsc::Receiver<Lookup>,
    tell: mpsc::Sender<Event>,
    cancel: CancellationToken,
) {
    let mut buffer = [0; 2048];
    loop {
        while let Some(transmit) = node.poll_transmit() {
            let _ = socket.send_to(&transmit.payload, transmit.to).await;
        }
        while let Some(event) = node.poll_event() {
            if matches!(event, Event::ContactSeen(_) | Event::Peers { .. } | Event::LookupDone { .. }) {
                let _ = tell.try_send(event);
            }
        }
        let due = node.poll_timeout().unwrap_or(clock.now() + LIMIT);
        tokio::select! {
            () = cancel.cancelled() => return,
            Ok((length, from)) = socket.recv_from(&mut buffer) => {
                node.handle_datagram(clock.now(), from, &buffer[..length]);
            }
            Some(lookup) = asked.recv() => drop(node.start(clock.now(), lookup)),
            () = tokio::time::sleep_until(clock.instant(due).into()) => node.handle_timeout(clock.now()),
        }
    }
}

/// A configuration that knows nobody.
fn lonely() -> CrawlerConfig {
    CrawlerConfig {
        nodes: 2,
        at_work: 2,
        id_strategy: IdStrategy::Spread,
        listen: "127.0.0.1:0".parse().unwrap(),
        bootstrap: Vec::new(),
        scope: Scope::Private,
        seed: 1,
        limits: None,
        contacts_file: None,
    }
}

struct Running {
    crawler: Crawler,
    sightings: mpsc::Receiver<Vec<Sighting>>,
    cancel: CancellationToken,
}

impl Running {
    async fn start(config: CrawlerConfig) -> Self {
        let cancel = CancellationToken::new();
        let (crawler, sightings) = Crawler::start(config, Clock::start(), cancel.clone()).await.unwrap();
        Self { crawler, sightings, cancel }
    }

    async fn status(&self, wanted: impl Fn(&CrawlerStatus) -> bool) -> CrawlerStatus {
        within(self.crawler.status().wait_for(|status| wanted(status))).await.unwrap().clone()
    }

    /// Waits until it has as many contacts as the world has nodes.
    async fn joined(&self, world: &World) {
        let all = world.inhabitants.len() as u64;
        self.status(|status| status.core.contacts_known >= all).await;
    }

    async fn stop(self) {
        self.cancel.cancel();
        within(self.crawler.stopped()).await;
    }
}

#[tokio::test]
async fn sightings_are_heard() {
    let mut world = World::start(5).await;
    let mut running = Running::start(world.config()).await;
    running.joined(&world).await;
    let peer = world.announce(3, HASH, 7000).await;
    let kinds = within(async {
        let mut kinds = Vec::new();
        loop {
            for sighting in running.sightings.recv().await.unwrap() {
                assert_eq!(sighting.infohash, HASH);
                assert!(sighting.at.0 > 0 && sighting.node < 2);
                kinds.push(sighting.kind);
                if let SightingKind::Announce { port, seed } = sighting.kind {
                    assert_eq!((sighting.peer, port, seed), (Some(peer), 7000, Some(true)));
                    assert_eq!(sighting.source, world.inhabitants[3].addr);
                    return kinds;
                }
            }
        }
    })
    .await;
    assert!(kinds.contains(&SightingKind::GetPeers), "an announce begins with a question: {kinds:?}");
    let status = running.status(|status| status.core.seen_announces > 0).await;
    assert!(status.nodes == 2 && status.sockets.len() == 2 && status.core.datagrams_in > 0);
    running.stop().await;
}

#[tokio::test]
async fn announced_peer_is_found() {
    let mut world = World::start(5).await;
    let peer = world.announce(2, HASH, 7000).await;
    let running = Running::start(world.config()).await;
    // Asked at once: the search waits for the first contact.
    let mut found = running.crawler.find_peers(HASH, Waits::Nobody).await;
    assert_eq!(within(found.recv()).await, Some(peer));
    while let Some(other) = within(found.recv()).await {
        assert_eq!(other, peer);
    }
    running.stop().await;
}

#[tokio::test]
async fn our_announce_is_found_by_others() {
    let mut world = World::start(5).await;
    let running = Running::start(world.config()).await;
    running.crawler.announce(HASH, 4444, true).await;
    running.status(|status| status.core.announces_done == 1 && status.core.announced == 1).await;
    let found = world.peers(4, HASH).await;
    assert_eq!(found, ["127.0.0.1:4444".parse().unwrap()]);
    running.crawler.withdraw(HASH).await;
    running.status(|status| status.core.announced == 0).await;
    running.stop().await;
}

#[tokio::test]
async fn restart_uses_kept_contacts() {
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join("contacts");
    let mut world = World::start(5).await;
    let peer = world.announce(2, HASH, 7000).await;
    let config = CrawlerConfig { contacts_file: Some(file.clone()), ..world.config() };
    let running = Running::start(config.clone()).await;
    running.joined(&world).await;
    running.stop().await;
    let kept = Saved::load(&file).unwrap().unwrap();
    assert_eq!((kept.nodes.len(), kept.contacts.len()), (2, 5));
    let again = Running::start(CrawlerConfig { bootstrap: Vec::new(), ..config }).await;
    let mut found = again.crawler.find_peers(HASH, Waits::Nobody).await;
    assert_eq!(within(found.recv()).await, Some(peer));
    assert_eq!(again.crawler.status().borrow().bootstrap_attempts, 0);
    again.stop().await;
    assert_eq!(Saved::load(&file).unwrap().unwrap().nodes, kept.nodes);
}

#[tokio::test]
async fn damaged_contacts_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("contacts");
    std::fs::write(&file, b"silverstream contacts 1\nend 0\n").unwrap();
    let world = World::start(5).await;
    let running = Running::start(CrawlerConfig { contacts_file: Some(file.clone()), ..world.config() }).await;
    running.joined(&world).await;
    running.stop().await;
    assert_eq!(Saved::load(&file).unwrap().unwrap().contacts.len(), 5);
}

#[tokio::test]
async fn hostile_datagrams_are_counted_and_do_no_harm() {
    let mut world = World::start(5).await;
    let peer = world.announce(2, HASH, 7000).await;
    let running = Running::start(world.config()).await;
    running.joined(&world).await;
    let targets = running.crawler.status().borrow().sockets.clone();
    for number in 0..40u8 {
        let hostile = UdpSocket::bind((std::net::Ipv4Addr::new(127, 9, 9, number + 1), 0)).await.unwrap();
        let payload = vec![b'l'; usize::from(number) * 200];
        hostile.send_to(&payload, targets[usize::from(number % 2)]).await.unwrap();
    }
    let status = running.status(|status| status.core.malformed >= 40).await;
    assert_eq!(status.receive_errors, 0);
    let mut found = running.crawler.find_peers(HASH, Waits::Nobody).await;
    assert_eq!(within(found.recv()).await, Some(peer));
    running.stop().await;
}

#[tokio::test]
async fn searcher_who_goes_away_ends_the_search() {
    let running = Running::start(lonely()).await;
    let found = running.crawler.find_peers(HASH, Waits::Nobody).await;
    running.status(|status| status.core.searches == 1).await;
    drop(found);
    running.status(|status| status.core.searches == 0).await;
    running.stop().await;
}

#[tokio::test]
async fn stopped_crawler_answers_nothing_and_blocks_nobody() {
    let running = Running::start(lonely()).await;
    let crawler = running.crawler.clone();
    running.stop().await;
    within(crawler.announce(HASH, 1, true)).await;
    assert_eq!(within(async { crawler.find_peers(HASH, Waits::Nobody).await.recv().await }).await, None);
}

#[tokio::test]
async fn impossible_configurations_say_what_to_do() {
    let world = World::start(1).await;
    let lonely = lonely();
    let start = async |config| {
        let started = Crawler::start(config, Clock::start(), CancellationToken::new()).await;
        started.err().map(|error| error.to_string()).unwrap_or_default()
    };
    let taken =
        start(CrawlerConfig { nodes: 1, at_work: 1, listen: world.inhabitants[0].addr, ..lonely.clone() }).await;
    let port = world.inhabitants[0].addr.port().to_string();
    assert!(taken.contains(&port) && taken.contains("in use") && taken.contains("[dht] listen"), "{taken}");
    let foreign = start(CrawlerConfig { listen: "192.0.2.1:0".parse().unwrap(), ..lonely.clone() }).await;
    assert!(foreign.contains("address of this machine"), "{foreign}");
    let high = CrawlerConfig { nodes: 100, listen: "127.77.0.1:65500".parse().unwrap(), ..lonely.clone() };
    assert!(start(high).await.contains("65535"));
    assert!(start(CrawlerConfig { nodes: 0, ..lonely }).await.contains("at least one"));
}

#[tokio::test]
async fn without_ports_it_works_with_the_nodes_that_it_has() {
    let cancel = CancellationToken::new();
    let _end = cancel.clone().drop_guard();
    // A port that is taken, and the one before it for the only node; others may take that in between.
    let (taken, running) = loop {
        let taken = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut listen = taken.local_addr().unwrap();
        listen.set_port(listen.port() - 1);
        let config = CrawlerConfig { nodes: 1, at_work: 1, listen, ..lonely() };
        if let Ok((crawler, _)) = Crawler::start(config, Clock::start(), cancel.clone()).await {
            break (taken, crawler);
        }
    };
    let mut status = running.status();
    let mut nodes_after = async |nodes| {
        running.set_pace(Pace { nodes, samples_per_second: 1 }).await;
        // Of these the second was published after the command was obeyed.
        for _ in 0..2 {
            within(status.changed()).await.unwrap();
            status.mark_unchanged();
        }
        let shown = status.borrow_and_update();
        (shown.nodes, shown.sockets.len())
    };
    assert_eq!(nodes_after(3).await, (1, 1));
    drop(taken);
    assert_eq!(nodes_after(3).await, (1, 1), "it is not tried again at once");
    assert_eq!(nodes_after(0).await, (1, 1), "one is always at work");
}
