//! How the other rooms use the crawler.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::announces::Announced;
use super::core::{Core, CoreConfig};
use super::filter::SightingKind;
use super::inbox::{Command, Inbox};
use super::manners::Limits;
use super::saved::{Saved, SavedError};
use super::searches::Waits;
use super::shell::{Outlets, Shell};
use super::sockets::Sockets;
use super::stats::CrawlerStatus;
use crate::config::IdStrategy;
use crate::types::{Clock, InfoHash, Scope, UnixTime};

/// Commands that wait for the thread; one who sends another waits until there is room.
const COMMAND_CAPACITY: usize = 64;
/// Batches of sightings that wait for the catalogue; when full, the newest batch is dropped and counted, since what is
/// popular is heard again.
const SIGHTING_CAPACITY: usize = 32;
/// Peers that wait for a searcher; when full, further ones are dropped and counted, since it has enough to try.
const PEER_CAPACITY: usize = 128;

/// How to crawl.
#[derive(Debug, Clone)]
pub struct CrawlerConfig {
    /// Nodes, each on a port of its own; at least 1.
    pub nodes: u32,
    /// Of these, so many are at work until [`Crawler::set_pace`] says otherwise.
    pub at_work: u32,
    pub id_strategy: IdStrategy,
    /// Address of the first node; the others take the following ports. Port 0 lets the system choose each.
    pub listen: SocketAddr,
    /// `host:port` of nodes to ask first; names are resolved as often as it takes.
    pub bootstrap: Vec<String>,
    /// Nothing outside is sent to or believed.
    pub scope: Scope,
    /// Decides everything random.
    pub seed: u64,
    /// What all nodes together may do; None: what fits a home in scope "public", else anything.
    pub limits: Option<Limits>,
    /// Where IDs and contacts are kept for the next run; None: nowhere.
    pub contacts_file: Option<PathBuf>,
}

/// How much to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Nodes at work. Those that are not are neither heard nor seen, and keep their sockets and IDs.
    pub nodes: u32,
    /// Nodes of others that are asked for samples.
    pub samples_per_second: u32,
}

/// Why the crawler could not start; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum CrawlerError {
    /// A port is taken.
    #[error(
        "UDP port {port} of {ip} is in use already; stop the other program (perhaps another jukebox or BitTorrent client) \
         or set [dht] listen to another port",
        port = addr.port(), ip = addr.ip()
    )]
    PortInUse { addr: SocketAddr },
    /// This user may not have the port.
    #[error("UDP port {port} is not for this user: {source}; set [dht] listen to a port from 1024 on", port = addr.port())]
    PortNotAllowed { addr: SocketAddr, source: io::Error },
    /// The address is no address of this machine.
    #[error("cannot listen on {addr}: {source}; set [dht] listen to an address of this machine")]
    NotOurs { addr: SocketAddr, source: io::Error },
    /// The system has no socket.
    #[error("cannot listen on {addr}: {source}; free memory, close other programs or lower [dht] nodes")]
    Bind { addr: SocketAddr, source: io::Error },
    /// More nodes than open files are allowed.
    #[error(
        "{count} DHT nodes need a socket each, and the system allows this program only {allowed} open files; lower [dht] nodes, \
         or raise the limit (LimitNOFILE= of silverstream.service, or ulimit -n)"
    )]
    TooManyOpenFiles { count: u32, allowed: u64 },
    /// There are no ports left for all nodes.
    #[error(
        "{count} DHT nodes from port {first} on need ports beyond 65535; lower [dht] nodes or the port of [dht] listen"
    )]
    TooManyPorts { first: u16, count: u32 },
    /// The system allows no further thread.
    #[error("the DHT's thread cannot be started: {0}; free memory, or raise TasksMax= of silverstream.service")]
    Thread(#[source] io::Error),
    /// The configuration asks for no nodes.
    #[error("at least one DHT node is needed; set [dht] nodes to 1 or more")]
    NoNodes,
}

impl CrawlerError {
    /// What a failed bind means.
    pub(super) fn bind(addr: SocketAddr, source: io::Error, count: u32) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::PortInUse { addr },
            io::ErrorKind::PermissionDenied => Self::PortNotAllowed { addr, source },
            io::ErrorKind::AddrNotAvailable => Self::NotOurs { addr, source },
            _ if source.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()) => {
                let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
                Self::TooManyOpenFiles { count, allowed: limit.current.unwrap_or(u64::MAX) }
            }
            _ => Self::Bind { addr, source },
        }
    }
}

/// One credible observation of an infohash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    pub infohash: InfoHash,
    pub kind: SightingKind,
    /// UDP address of who asked, announced or showed the sample.
    pub source: SocketAddr,
    /// TCP address that was announced.
    pub peer: Option<SocketAddr>,
    /// Number of our node that heard it, from 0.
    pub node: u32,
    pub at: UnixTime,
}

/// Handle of a running crawler.
#[derive(Debug, Clone)]
pub struct Crawler {
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<CrawlerStatus>,
}

impl Crawler {
    /// Binds the sockets and starts the thread. Sightings come in batches on the receiver. The thread ends on `cancel`, when
    /// it has written the contacts; [`Crawler::stopped`] waits for that.
    ///
    /// # Errors
    /// If a socket cannot be bound or the thread not be started. Kept contacts that cannot be read are a warning only.
    pub async fn start(
        config: CrawlerConfig,
        clock: Clock,
        cancel: CancellationToken,
    ) -> Result<(Self, mpsc::Receiver<Vec<Sighting>>), CrawlerError> {
        if config.nodes == 0 {
            return Err(CrawlerError::NoNodes);
        }
        let sockets = Sockets::bind(config.listen, config.nodes)?;
        let addresses = sockets.addresses().map_err(|source| CrawlerError::Bind { addr: config.listen, source })?;
        let core_config = CoreConfig {
            strategy: config.id_strategy,
            scope: config.scope,
            seed: config.seed,
            sockets: addresses.clone(),
            // At home there is no router in between, and nobody else on the line.
            limits: config.limits.unwrap_or(match config.scope {
                Scope::Public => Limits::default(),
                Scope::Private => Limits::NONE,
            }),
            saved: load(config.contacts_file.clone()).await,
        };
        let mut core = Core::new(core_config, clock.now());
        core.resize(clock.now(), config.at_work, &addresses);
        let (commands, received) = mpsc::channel(COMMAND_CAPACITY);
        let (sightings, batches) = mpsc::channel(SIGHTING_CAPACITY);
        let shown = CrawlerStatus { nodes: core.node_count(), sockets: addresses.into(), ..CrawlerStatus::default() };
        let (publish, status) = watch::channel(shown);
        let outlets = Outlets { sightings, status: publish };
        let shell = Shell::new((core, sockets), outlets, Inbox::new(received, cancel), clock, config);
        std::thread::Builder::new()
            .name("crawler".to_owned())
            .spawn(move || shell.run())
            .map_err(CrawlerError::Thread)?;
        Ok((Self { commands, status }, batches))
    }

    /// Whether there are ports for so many nodes, and the first of them is free; it is let go of at once. How many files a
    /// crawler may have open only its own process can tell.
    ///
    /// # Errors
    /// What [`Crawler::start`] would end with.
    pub fn check(listen: SocketAddr, nodes: u32) -> Result<(), CrawlerError> {
        Sockets::check_ports(listen.port(), nodes)?;
        Sockets::bind(listen, 1).map(drop)
    }

    /// Peers of a torrent as they are found: first those that announced themselves to our own nodes, then those that
    /// the node closest to the infohash finds. The receiver ends when the search does; dropping it ends the search. For
    /// whom a person waits goes before the others.
    pub async fn find_peers(&self, infohash: InfoHash, waits: Waits) -> mpsc::Receiver<SocketAddr> {
        let (peers, found) = mpsc::channel(PEER_CAPACITY);
        // A crawler that has stopped drops the sender, and the search is over.
        let _ = self.commands.send(Command::Find { infohash, waits, peers }).await;
        found
    }

    /// Announces that `infohash` is served on `port`, now and every 15 to 20 minutes, until it is withdrawn. Said again
    /// with another port or `seed`, it is announced anew.
    pub async fn announce(&self, infohash: InfoHash, port: u16, seed: bool) {
        let _ = self.commands.send(Command::Announce { infohash, what: Announced { port, seed } }).await;
    }

    /// Announces `infohash` no more; others forget us within the hour.
    pub async fn withdraw(&self, infohash: InfoHash) {
        let _ = self.commands.send(Command::Withdraw { infohash }).await;
    }

    /// Says that the metadata of `infohash` was fetched, so it exists. Who alone named it is believed further for that.
    pub async fn proved(&self, infohash: InfoHash) {
        let _ = self.commands.send(Command::Proved { infohash }).await;
    }

    /// Does more or less. If there are no sockets for more nodes, the log says why, and it goes on with those that it has.
    pub async fn set_pace(&self, pace: Pace) {
        let _ = self.commands.send(Command::Pace(pace)).await;
    }

    /// The state, published about once a second.
    pub fn status(&self) -> watch::Receiver<CrawlerStatus> {
        self.status.clone()
    }

    /// Waits until the crawler has ended after its cancellation, contacts written and sockets closed.
    pub async fn stopped(&self) {
        let mut status = self.status.clone();
        while status.changed().await.is_ok() {}
    }
}

/// What an earlier run kept; nothing if there is none or it cannot be used.
async fn load(file: Option<PathBuf>) -> Saved {
    let Some(file) = file else { return Saved::default() };
    let shown = file.clone();
    let loaded = tokio::task::spawn_blocking(move || Saved::load(&file)).await;
    match loaded.unwrap_or_else(|error| Err(SavedError::Io(io::Error::other(error)))) {
        Ok(saved) => saved.unwrap_or_default(),
        Err(error) => {
            tracing::warn!(file = %shown.display(), %error, "kept contacts cannot be used, starting without them");
            Saved::default()
        }
    }
}
