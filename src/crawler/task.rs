//! The task that owns the core and the sockets.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::announces::Announced;
use super::core::{Core, CoreEvent, Heard};
use super::filter::SightingKind;
use super::handle::{CrawlerConfig, Sighting};
use super::manners::Limits;
use super::searches::{SearchId, Waits};
use super::sockets::{Batch, Sockets};
use super::stats::CrawlerStatus;
use crate::types::{Clock, InfoHash, Time};

/// Sightings handed over at once at most.
const BATCH_SIGHTINGS: usize = 256;
/// A sighting waits at most this long for its batch.
const BATCH_WAIT: Duration = Duration::from_millis(200);
/// Time between two published states, and between two looks for searchers that went away.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);
/// The first contacts are written this soon, in case of a sudden end, and then from time to time.
const SAVE_FIRST: Duration = Duration::from_secs(15);
const SAVE_EVERY: Duration = Duration::from_secs(5 * 60);
/// Longest wait for a name server.
const RESOLVE_LIMIT: Duration = Duration::from_secs(10);
/// Bootstrap hosts that are resolved, and addresses that each may have.
const MAX_HOSTS: usize = 16;
const MAX_ADDRESSES: usize = 8;

/// What the handles ask for.
#[derive(Debug)]
pub(super) enum Command {
    Find { infohash: InfoHash, waits: Waits, peers: mpsc::Sender<SocketAddr> },
    Announce { infohash: InfoHash, what: Announced },
    Withdraw { infohash: InfoHash },
    Proved { infohash: InfoHash },
    Pace { limits: Limits, samples_per_second: u32 },
}

/// Where the task tells what it knows.
#[derive(Debug)]
pub(super) struct Outlets {
    pub sightings: mpsc::Sender<Vec<Sighting>>,
    pub status: watch::Sender<CrawlerStatus>,
}

/// The task; see the module.
pub(super) struct Task {
    core: Core,
    sockets: Sockets,
    outlets: Outlets,
    clock: Clock,
    hosts: Vec<String>,
    contacts_file: Option<PathBuf>,
    /// Searchers by search; as many as the core has searches.
    searchers: HashMap<SearchId, mpsc::Sender<SocketAddr>>,
    batch: Vec<Sighting>,
    /// When the batch is handed over.
    batch_due: Option<Time>,
    publish_due: Time,
    save_due: Time,
    resolving: Option<JoinHandle<Vec<SocketAddr>>>,
    saving: Option<JoinHandle<io::Result<()>>>,
    /// The counters of the shell; the rest is filled in when it is published.
    shown: CrawlerStatus,
}

/// What the task woke up for.
enum Wake {
    Datagrams,
    Command(Command),
    /// All handles are gone; the crawler goes on.
    NoHandles,
    Resolved(Vec<SocketAddr>),
    Saved(io::Result<()>),
    Timeout,
    Cancelled,
}

impl Task {
    pub fn new(core: Core, sockets: Sockets, outlets: Outlets, clock: Clock, config: CrawlerConfig) -> Self {
        let now = clock.now();
        let shown = outlets.status.borrow().clone();
        Self {
            core,
            sockets,
            outlets,
            clock,
            hosts: config.bootstrap,
            contacts_file: config.contacts_file,
            searchers: HashMap::new(),
            batch: Vec::new(),
            batch_due: None,
            publish_due: now,
            save_due: now + SAVE_FIRST,
            resolving: None,
            saving: None,
            shown,
        }
    }

    /// Runs until `cancel`.
    pub async fn run(mut self, mut commands: mpsc::Receiver<Command>, cancel: CancellationToken) {
        let mut received = Batch::new();
        let mut has_handles = true;
        loop {
            let deadline = self.clock.instant(self.deadline()).into();
            let wake = tokio::select! {
                () = cancel.cancelled() => Wake::Cancelled,
                () = self.sockets.receive(&mut received) => Wake::Datagrams,
                command = commands.recv(), if has_handles => command.map_or(Wake::NoHandles, Wake::Command),
                addresses = ended(&mut self.resolving) => Wake::Resolved(addresses.unwrap_or_default()),
                saved = ended(&mut self.saving) => Wake::Saved(saved.unwrap_or_else(|error| Err(io::Error::other(error)))),
                () = tokio::time::sleep_until(deadline) => Wake::Timeout,
            };
            let now = self.clock.now();
            match wake {
                Wake::Cancelled => break,
                Wake::Datagrams => {
                    self.shown.receive_errors += received.errors;
                    for (socket, from, datagram) in received.datagrams() {
                        self.core.handle_datagram(now, socket, from, datagram);
                    }
                }
                Wake::Command(command) => self.obey(now, command),
                Wake::NoHandles => has_handles = false,
                Wake::Resolved(addresses) => self.core.bootstrap_resolved(now, &addresses),
                Wake::Saved(result) => self.saved(result),
                Wake::Timeout => {}
            }
            self.turn(now);
        }
        self.end().await;
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
            Command::Pace { limits, samples_per_second } => {
                self.core.set_limits(limits);
                self.core.set_sample_rate(samples_per_second);
            }
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
        self.outlets.status.send_replace(self.shown.clone());
    }

    fn start_resolving(&mut self) {
        self.shown.bootstrap_attempts += 1;
        let hosts: Vec<_> = self.hosts.iter().take(MAX_HOSTS).cloned().collect();
        self.resolving = Some(tokio::spawn(resolve(hosts)));
    }

    fn start_saving(&mut self, now: Time) {
        let Some(file) = self.contacts_file.clone() else { return };
        let saved = self.core.saved(now);
        self.saving = Some(tokio::task::spawn_blocking(move || saved.store(&file)));
    }

    fn saved(&self, result: io::Result<()>) {
        if let Err(error) = result {
            tracing::warn!(file = ?self.contacts_file, %error, "contacts not written; the next start takes longer");
        }
    }

    /// Hands over what is left and writes the contacts.
    async fn end(mut self) {
        if !self.batch.is_empty() {
            self.hand_over();
        }
        if let Some(resolving) = self.resolving.take() {
            resolving.abort();
        }
        let pending = ended_if_any(&mut self.saving).await;
        pending.into_iter().for_each(|result| self.saved(result));
        self.start_saving(self.clock.now());
        let last = ended_if_any(&mut self.saving).await;
        last.into_iter().for_each(|result| self.saved(result));
        self.publish();
    }
}

/// Waits for a running job and takes it away; for ever if there is none.
async fn ended<T>(job: &mut Option<JoinHandle<T>>) -> Result<T, tokio::task::JoinError> {
    match job {
        None => std::future::pending().await,
        Some(running) => {
            let result = running.await;
            *job = None;
            result
        }
    }
}

/// Waits for a running write, if there is one.
async fn ended_if_any(job: &mut Option<JoinHandle<io::Result<()>>>) -> Option<io::Result<()>> {
    job.as_ref()?;
    Some(ended(job).await.unwrap_or_else(|error| Err(io::Error::other(error))))
}

/// Addresses of the bootstrap hosts, one after the other's so that a host with many does not displace the others.
async fn resolve(hosts: Vec<String>) -> Vec<SocketAddr> {
    let mut lookups = tokio::task::JoinSet::new();
    for host in hosts {
        lookups.spawn(async move {
            match tokio::time::timeout(RESOLVE_LIMIT, tokio::net::lookup_host(&host)).await {
                Ok(Ok(addresses)) => addresses.take(MAX_ADDRESSES).collect(),
                Ok(Err(error)) => {
                    tracing::debug!(host, %error, "bootstrap host not resolved");
                    Vec::new()
                }
                Err(_) => {
                    tracing::debug!(host, "name server does not answer");
                    Vec::new()
                }
            }
        });
    }
    lookups.join_all().await.into_iter().flatten().collect()
}
