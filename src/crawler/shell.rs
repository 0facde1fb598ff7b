//! The thread that owns the core and the sockets; when it works is [`rhythm`](super::rhythm).
//!
//! It is one of its own, with nothing between it and the kernel: as one of the runtime's tasks, it set off a wake-up of the
//! runtime's threads for every other datagram.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::task::Waker;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use super::core::{Core, CoreEvent, Heard};
use super::filter::SightingKind;
use super::handle::{CrawlerConfig, Pace, Sighting};
use super::inbox::{Command, Inbox, News};
use super::resolver::resolve;
use super::rhythm::{GATHER, is_dense, on_tick};
use super::searches::SearchId;
use super::sockets::{MAX_DATAGRAM, Ready, Sockets};
use super::stats::CrawlerStatus;
use crate::types::{Clock, Time};

/// Commands obeyed at once, before datagrams and timers have their turn.
const MAX_NEWS: usize = 64;

/// Sightings handed over at once at most.
const BATCH_SIGHTINGS: usize = 256;
/// A sighting waits at most this long for its batch.
const BATCH_WAIT: Duration = Duration::from_millis(200);
/// Time between two published states, and between two looks for searchers that went away.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);
/// The first contacts are written this soon, in case of a sudden end, and then from time to time.
const SAVE_FIRST: Duration = Duration::from_secs(15);
const SAVE_EVERY: Duration = Duration::from_secs(5 * 60);
/// Where sockets could not be bound, it is not tried again before this time has passed, when more nodes are wanted again: ports
/// and files are not free the next second.
const BIND_AGAIN: Duration = Duration::from_secs(60);

/// Where the thread tells what it knows.
#[derive(Debug)]
pub(super) struct Outlets {
    pub sightings: mpsc::Sender<Vec<Sighting>>,
    pub status: watch::Sender<CrawlerStatus>,
}

/// What the thread owns; see the module.
pub(super) struct Shell {
    core: Core,
    sockets: Sockets,
    outlets: Outlets,
    clock: Clock,
    hosts: Vec<String>,
    contacts_file: Option<PathBuf>,
    /// Where the first socket is.
    listen: SocketAddr,
    /// Searchers by search; as many as the core has searches.
    searchers: HashMap<SearchId, mpsc::Sender<SocketAddr>>,
    batch: Vec<Sighting>,
    /// When the batch is handed over.
    batch_due: Option<Time>,
    publish_due: Time,
    save_due: Time,
    /// Not before, more sockets are bound.
    bind_due: Time,
    inbox: Inbox,
    /// Where names are resolved.
    runtime: Handle,
    /// Has news to be looked for though nobody rang.
    has_news: bool,
    saving: Option<JoinHandle<io::Result<()>>>,
    /// The counters of the shell; the rest is filled in when it is published.
    shown: CrawlerStatus,
}

impl Shell {
    /// Within the runtime that resolves names.
    pub fn new(
        (core, sockets): (Core, Sockets),
        outlets: Outlets,
        inbox: Inbox,
        clock: Clock,
        config: CrawlerConfig,
    ) -> Self {
        let now = clock.now();
        let shown = outlets.status.borrow().clone();
        Self {
            core,
            sockets,
            outlets,
            clock,
            hosts: config.bootstrap,
            contacts_file: config.contacts_file,
            listen: config.listen,
            searchers: HashMap::new(),
            batch: Vec::new(),
            batch_due: None,
            publish_due: now,
            save_due: now + SAVE_FIRST,
            bind_due: now,
            inbox,
            runtime: Handle::current(),
            has_news: true,
            saving: None,
            shown,
        }
    }

    /// Runs until it is cancelled.
    pub fn run(mut self) {
        if let Err(error) = self.serve() {
            tracing::error!(%error, "the DHT's sockets cannot be watched; please report it");
        }
        self.end();
    }

    fn serve(&mut self) -> io::Result<()> {
        let bell = self.sockets.bell();
        let mut ready = Ready::new();
        let mut buffer = [0; MAX_DATAGRAM];
        // When we woke up, and how long after the time before.
        let (mut woke, mut passed) = (Instant::now(), Duration::MAX);
        loop {
            self.has_news |= ready.is_rung();
            if self.has_news && self.hear(&bell).is_break() {
                return Ok(());
            }
            let count = ready.sockets().len();
            for socket in ready.sockets() {
                self.receive(socket, &mut buffer);
            }
            self.turn(self.clock.now());
            if is_dense(count, passed) && !self.is_awaited() {
                // Only what is still to come may gather: more may wait in a socket that was read just now.
                self.sockets.wait(&mut ready, Duration::ZERO)?;
                if ready.sockets().len() > 0 || ready.is_rung() {
                    continue;
                }
                thread::sleep((woke + GATHER).saturating_duration_since(Instant::now()));
            }
            self.sockets.wait(&mut ready, self.patience())?;
            let now = Instant::now();
            (woke, passed) = (now, now - woke);
        }
    }

    /// Does what others ask for, up to a bound.
    fn hear(&mut self, bell: &Waker) -> ControlFlow<()> {
        for _ in 0..MAX_NEWS {
            // Before it is done: it may set off more.
            self.has_news = false;
            let news = self.inbox.poll(bell);
            let now = self.clock.now();
            match news {
                Some(News::Command(command)) => self.obey(now, command),
                Some(News::Resolved(addresses)) => self.core.bootstrap_resolved(now, &addresses),
                Some(News::Cancelled) => return ControlFlow::Break(()),
                None => return ControlFlow::Continue(()),
            }
        }
        self.has_news = true;
        ControlFlow::Continue(())
    }

    /// Reads a datagram of a socket in which one waits, and answers it.
    fn receive(&mut self, socket: u32, buffer: &mut [u8; MAX_DATAGRAM]) {
        let now = self.clock.now();
        match self.sockets.receive(socket, buffer) {
            Ok((length, from)) => {
                self.core.handle_datagram(now, socket, from, &buffer[..length]);
                self.flush(now);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.shown.receive_errors += 1,
        }
    }

    /// Whether somebody waits for what the next datagram or timer brings.
    fn is_awaited(&self) -> bool {
        self.has_news || self.core.is_awaited()
    }

    /// How long nothing has to be done if nothing comes.
    fn patience(&self) -> Duration {
        let deadline = self.deadline();
        let until = match self.has_news {
            true => Time::ZERO,
            false if self.core.is_awaited() => deadline,
            false => on_tick(deadline),
        };
        self.clock.instant(until).saturating_duration_since(Instant::now())
    }

    /// What follows every event: the core's timers and output, and our own timers.
    fn turn(&mut self, now: Time) {
        if now >= self.core.poll_timeout() {
            self.core.handle_timeout(now);
        }
        self.flush(now);
        if self.batch_due.is_some_and(|due| now >= due) {
            self.hand_over();
        }
        if now >= self.publish_due {
            self.publish_due = now + PUBLISH_EVERY;
            self.drop_searchers_gone();
            self.publish();
        }
        if self.saving.as_ref().is_some_and(JoinHandle::is_finished) {
            self.end_saving();
        }
        if now >= self.save_due && self.saving.is_none() {
            self.save_due = now + SAVE_EVERY;
            self.start_saving(now);
        }
    }

    fn deadline(&self) -> Time {
        let own = self.publish_due.min(if self.saving.is_none() { self.save_due } else { self.publish_due });
        let own = self.batch_due.map_or(own, |due| due.min(own));
        own.min(self.core.poll_timeout())
    }

    fn obey(&mut self, now: Time, command: Command) {
        match command {
            Command::Find { infohash, waits, peers } => match self.core.find_peers(now, infohash, waits) {
                Ok(search) => drop(self.searchers.insert(search, peers)),
                // The sender is dropped, so the search is over at once; the searcher comes again later.
                Err(error) => tracing::debug!(%infohash, %error, "search refused"),
            },
            Command::Announce { infohash, what } => {
                if let Err(error) = self.core.announce(now, infohash, what) {
                    tracing::warn!(%infohash, %error, "not announced");
                }
            }
            Command::Withdraw { infohash } => self.core.withdraw(&infohash),
            Command::Proved { infohash } => self.core.proved(now, &infohash),
            Command::Pace(pace) => self.set_pace(now, pace),
        }
    }

    /// Does more or less, with as many nodes as there are sockets for.
    ///
    /// Sockets that were opened stay open, since others know their ports, and stay in the set: a datagram to a node that rests
    /// costs its share of a wake-up and a read, and is not looked at. Out of the set, it would fill the socket's queue: some
    /// 200 KB of the kernel's memory each by default, which a small board lacks just when nodes rest, and old datagrams to
    /// throw away when the node comes back. With the smallest queue that the kernel has this would be little, but nothing could
    /// be counted, and `shed` is what tells how much comes that the machine has no room for. It ebbs away: who gets no answer
    /// forgets a node within a quarter of an hour (BEP 5).
    fn set_pace(&mut self, now: Time, pace: Pace) {
        self.core.set_sample_rate(pace.samples_per_second);
        let missing = pace.nodes.saturating_sub(self.sockets.len());
        if missing > 0 && now >= self.bind_due {
            if let Err(error) = self.sockets.add(self.listen, missing) {
                self.bind_due = now + BIND_AGAIN;
                tracing::warn!(wanted = pace.nodes, sockets = self.sockets.len(), %error, "fewer nodes than wanted");
            }
            match self.sockets.addresses() {
                Ok(addresses) => self.shown.sockets = addresses.into(),
                Err(error) => tracing::warn!(%error, "a socket does not tell its address"),
            }
        }
        // Those that have a socket are all that can work, and are what the state tells.
        let nodes = pace.nodes.min(self.shown.sockets.len() as u32).max(1);
        if nodes != self.core.node_count() {
            self.core.resize(now, nodes, &self.shown.sockets);
        }
    }

    /// Sends what is to be sent, and tells what is to be told.
    fn flush(&mut self, now: Time) {
        while let Some((socket, transmit)) = self.core.poll_transmit() {
            if let Err(error) = self.sockets.try_send(socket, transmit.to, &transmit.payload) {
                self.shown.unsent += 1;
                tracing::trace!(to = %transmit.to, %error, "not sent");
            }
        }
        while let Some(event) = self.core.poll_event() {
            match event {
                CoreEvent::Sighting(heard) => self.add_sighting(now, heard),
                CoreEvent::Peers { search, peers } => self.tell_peers(search, peers),
                CoreEvent::SearchDone { search } => drop(self.searchers.remove(&search)),
                CoreEvent::ResolveBootstrap => self.start_resolving(),
            }
        }
    }

    fn add_sighting(&mut self, now: Time, heard: Heard) {
        let Heard { infohash, kind, source, node } = heard;
        let peer = match kind {
            SightingKind::Announce { port, .. } => Some(SocketAddr::new(source.ip(), port)),
            SightingKind::GetPeers | SightingKind::Sample => None,
        };
        self.batch.push(Sighting { infohash, kind, source, peer, node, at: self.clock.unix() });
        if self.batch.len() >= BATCH_SIGHTINGS {
            self.hand_over();
        } else if self.batch_due.is_none() {
            self.batch_due = Some(now + BATCH_WAIT);
        }
    }

    fn hand_over(&mut self) {
        self.batch_due = None;
        let batch = std::mem::take(&mut self.batch);
        if let Err(mpsc::error::TrySendError::Full(batch) | mpsc::error::TrySendError::Closed(batch)) =
            self.outlets.sightings.try_send(batch)
        {
            self.shown.sightings_lost += batch.len() as u64;
        }
    }

    fn tell_peers(&mut self, search: SearchId, peers: Vec<SocketAddr>) {
        let Some(searcher) = self.searchers.get(&search) else { return };
        for peer in peers {
            if searcher.try_send(peer).is_err() {
                self.shown.peers_lost += 1;
            }
        }
    }

    fn drop_searchers_gone(&mut self) {
        let gone: Vec<_> =
            self.searchers.iter().filter(|(_, searcher)| searcher.is_closed()).map(|(search, _)| *search).collect();
        for search in gone {
            self.searchers.remove(&search);
            self.core.cancel_search(search);
        }
    }

    fn publish(&mut self) {
        self.shown.core = self.core.stats();
        self.shown.nodes = self.core.node_count();
        self.outlets.status.send_replace(self.shown.clone());
    }

    fn start_resolving(&mut self) {
        self.shown.bootstrap_attempts += 1;
        self.inbox.await_resolved(self.runtime.spawn(resolve(self.hosts.clone())));
        self.has_news = true;
    }

    /// On a thread of its own: the card may take seconds.
    fn start_saving(&mut self, now: Time) {
        let Some(file) = self.contacts_file.clone() else { return };
        let saved = self.core.saved(now);
        let started = thread::Builder::new().name("contacts".to_owned()).spawn(move || saved.store(&file));
        self.saving = started.map_err(|error| self.not_saved(&error)).ok();
    }

    /// Waits for a running write, if there is one.
    fn end_saving(&mut self) {
        let Some(saving) = self.saving.take() else { return };
        let saved = saving.join().unwrap_or_else(|_| Err(io::Error::other("the thread that writes them panicked")));
        if let Err(error) = saved {
            self.not_saved(&error);
        }
    }

    fn not_saved(&self, error: &io::Error) {
        tracing::warn!(file = ?self.contacts_file, %error, "contacts not written; the next start takes longer");
    }

    /// Hands over what is left and writes the contacts.
    fn end(mut self) {
        if !self.batch.is_empty() {
            self.hand_over();
        }
        self.end_saving();
        // Here, not on a thread of its own: nothing is left to be held up, and there may be no room for a thread.
        let saved = self.core.saved(self.clock.now());
        if let Some(error) = self.contacts_file.as_deref().and_then(|file| saved.store(file).err()) {
            self.not_saved(&error);
        }
        self.publish();
    }
}
