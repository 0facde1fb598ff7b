//! Fetches the info dictionary of one torrent from several peers at once, over TCP.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::RngCore;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;

use super::exchange::{Exchange, Patience, PeerError};
use super::info::MAX_INFO_BYTES;
use crate::types::{Clock, InfoHash, Scope};

/// How a peer id of ours begins (BEP 20).
const PEER_ID_PREFIX: &[u8; 8] = b"-Sv0100-";

/// Bytes read from a socket at once; one buffer for each open connection.
const READ_BYTES: usize = 4096;

/// Unit in which memory for metadata under way is counted.
const MEMORY_UNIT: usize = 1024;

/// Bounds of a fetch.
#[derive(Debug, Clone)]
pub struct FetchLimits {
    /// Peers of one torrent that are talked to at once.
    pub peers_at_once: usize,
    /// Peers of one torrent that blocks are asked of at once: a second one so that a slow first costs no time, no more
    /// because each sends all of it.
    pub downloads_at_once: usize,
    /// Peers tried before giving up.
    pub max_peers: usize,
    /// For a TCP connection to open.
    pub connect: Duration,
    /// For each conversation.
    pub patience: Patience,
    /// For the whole fetch.
    pub total: Duration,
    /// Largest info dictionary.
    pub max_info_bytes: usize,
    /// Which addresses are connected to; others are passed over.
    pub scope: Scope,
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self {
            peers_at_once: 6,
            downloads_at_once: 2,
            max_peers: 64,
            connect: Duration::from_secs(5),
            patience: Patience {
                handshake: Duration::from_secs(10),
                block: Duration::from_secs(10),
                total: Duration::from_secs(60),
            },
            total: Duration::from_secs(90),
            max_info_bytes: MAX_INFO_BYTES,
            scope: Scope::Public,
        }
    }
}

/// What all fetches together may use. Cheap to clone; clones share.
#[derive(Debug, Clone)]
pub struct Flows {
    /// TCP connections, opening ones included. When all are taken, the next waits.
    connections: Arc<Semaphore>,
    /// Metadata received and not yet complete, in [`MEMORY_UNIT`]s. When all is taken, the conversation that needs more
    /// is dropped: waiting for each other could last for ever.
    memory: Arc<Semaphore>,
}

impl Flows {
    /// `connections` TCP connections and `memory` bytes of metadata under way.
    pub fn new(connections: usize, memory: usize) -> Self {
        Self {
            connections: Arc::new(Semaphore::new(connections.clamp(1, Semaphore::MAX_PERMITS))),
            memory: Arc::new(Semaphore::new((memory / MEMORY_UNIT).clamp(1, Semaphore::MAX_PERMITS))),
        }
    }

    /// Connections that could still be opened.
    pub fn free(&self) -> usize {
        self.connections.available_permits()
    }
}

/// An info dictionary with the right hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedInfo {
    /// As the peer sent it; its SHA-1 is the infohash.
    pub info_bytes: Bytes,
    /// Who sent it.
    pub peer: SocketAddr,
}

/// How many peers failed in which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PeerFailures {
    /// No connection, or it was closed, or too slow.
    pub dead: u32,
    /// Spoke the protocol and had no metadata to give.
    pub without: u32,
    /// Broke the protocol, lied about size or content.
    pub hostile: u32,
    /// Dropped for want of memory of ours.
    pub dropped: u32,
}

impl PeerFailures {
    fn count(&mut self, error: PeerError) {
        let counter = match error {
            PeerError::Unreachable | PeerError::Disconnected | PeerError::TimedOut => &mut self.dead,
            PeerError::NoMetadata | PeerError::Rejected | PeerError::WrongTorrent => &mut self.without,
            PeerError::NotBitTorrent
            | PeerError::AbsurdSize
            | PeerError::Malformed
            | PeerError::Noise
            | PeerError::WrongHash => &mut self.hostile,
            PeerError::NoMemory => &mut self.dropped,
        };
        *counter += 1;
    }

    /// Peers that failed.
    pub fn total(&self) -> u32 {
        self.dead + self.without + self.hostile + self.dropped
    }
}

/// Why no info dictionary came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// There was nobody to ask.
    #[error("no peers are known for this torrent; try again later")]
    NoPeers,
    /// Everybody who was asked failed.
    #[error(
        "none of {} peers gave the metadata ({} dead, {} without it, {} hostile); try again later",
        .0.total(), .0.dead, .0.without, .0.hostile
    )]
    PeersFailed(PeerFailures),
    /// [`FetchLimits::total`] is over.
    #[error("the peers were too slow ({} failed so far); try again later", .0.total())]
    TimedOut(PeerFailures),
    /// The caller wanted it so.
    #[error("cancelled")]
    Cancelled,
}

/// Asks the peers that come out of `peers` until one has given the info dictionary of `infohash`. Ends at the latest
/// after [`FetchLimits::total`]; when it ends, all its connections are closed. It may be dropped at any time.
pub async fn fetch(
    infohash: InfoHash,
    peers: mpsc::Receiver<SocketAddr>,
    limits: &FetchLimits,
    flows: &Flows,
    cancel: &CancellationToken,
) -> Result<FetchedInfo, FetchError> {
    let mut search = Search {
        infohash,
        limits: Arc::new(limits.clone()),
        flows: flows.clone(),
        turns: Arc::new(Semaphore::new(limits.downloads_at_once.max(1))),
        failures: PeerFailures::default(),
        conversations: JoinSet::new(),
    };
    let fetched = tokio::select! {
        () = cancel.cancelled() => Err(FetchError::Cancelled),
        ended = tokio::time::timeout(limits.total, search.run(peers)) => {
            ended.unwrap_or(Err(FetchError::TimedOut(search.failures)))
        }
    };
    search.conversations.shutdown().await;
    fetched
}

struct Search {
    infohash: InfoHash,
    limits: Arc<FetchLimits>,
    flows: Flows,
    /// One permit for each peer that may be asked for blocks at once.
    turns: Arc<Semaphore>,
    failures: PeerFailures,
    conversations: JoinSet<(SocketAddr, Result<Bytes, PeerError>)>,
}

impl Search {
    async fn run(&mut self, mut peers: mpsc::Receiver<SocketAddr>) -> Result<FetchedInfo, FetchError> {
        let (mut tried, mut more) = (HashSet::new(), true);
        while more || !self.conversations.is_empty() {
            tokio::select! {
                Some(ended) = self.conversations.join_next() => match ended {
                    Ok((peer, Ok(info_bytes))) => return Ok(FetchedInfo { info_bytes, peer }),
                    Ok((peer, Err(error))) => {
                        tracing::trace!(infohash = %self.infohash, %peer, %error, "peer failed");
                        self.failures.count(error);
                    }
                    Err(error) => tracing::error!(%error, "a conversation with a peer ended unexpectedly"),
                },
                peer = peers.recv(), if more && self.conversations.len() < self.limits.peers_at_once => match peer {
                    Some(peer) if self.limits.scope.admits(peer) && tried.insert(peer) => {
                        more = tried.len() < self.limits.max_peers;
                        self.begin(peer);
                    }
                    Some(_) => {}
                    None => more = false,
                },
            }
        }
        Err(if tried.is_empty() { FetchError::NoPeers } else { FetchError::PeersFailed(self.failures) })
    }

    fn begin(&mut self, peer: SocketAddr) {
        let conversation = converse(self.infohash, peer, self.limits.clone(), self.flows.clone(), self.turns.clone());
        self.conversations.spawn(async move { (peer, conversation.await) });
    }
}

/// The whole way with one peer.
async fn converse(
    infohash: InfoHash,
    peer: SocketAddr,
    limits: Arc<FetchLimits>,
    flows: Flows,
    turns: Arc<Semaphore>,
) -> Result<Bytes, PeerError> {
    // The semaphores are never closed, so an error cannot happen.
    let _connection = flows.connections.clone().acquire_owned().await.map_err(|_| PeerError::NoMemory)?;
    let connecting = tokio::time::timeout(limits.connect, TcpStream::connect(peer));
    let mut stream = connecting.await.map_err(|_| PeerError::TimedOut)?.map_err(|_| PeerError::Unreachable)?;
    // Without it small requests would wait for acknowledgements.
    stream.set_nodelay(true).map_err(|_| PeerError::Unreachable)?;
    let clock = Clock::start();
    let mut peer_id = [0; 20];
    rand::rng().fill_bytes(&mut peer_id);
    peer_id[..PEER_ID_PREFIX.len()].copy_from_slice(PEER_ID_PREFIX);
    let mut exchange = Exchange::new(infohash, peer_id, limits.max_info_bytes, limits.patience, clock.now());
    let mut memory: Option<OwnedSemaphorePermit> = None;
    let mut turn = None;
    let mut buffer = vec![0; READ_BYTES];
    loop {
        if exchange.has_offer() && turn.is_none() {
            turn = Some(take_turn(&turns, &exchange, &clock).await?);
            exchange.request(clock.now());
        }
        let deadline = clock.instant(exchange.deadline()).into();
        if let Some(output) = exchange.take_output() {
            let written = timeout_at(deadline, stream.write_all(&output)).await.map_err(|_| PeerError::TimedOut)?;
            written.map_err(|_| PeerError::Disconnected)?;
        }
        let read = timeout_at(deadline, stream.read(&mut buffer)).await.map_err(|_| PeerError::TimedOut)?;
        let length = read.ok().filter(|length| *length > 0).ok_or(PeerError::Disconnected)?;
        exchange.receive(clock.now(), &buffer[..length])?;
        reserve(&flows.memory, &mut memory, exchange.held_bytes())?;
        if let Some(info_bytes) = exchange.finished() {
            return Ok(info_bytes.clone());
        }
    }
}

/// Waits until this peer may be asked for blocks, at most as long as its whole conversation may take.
async fn take_turn(
    turns: &Arc<Semaphore>,
    exchange: &Exchange,
    clock: &Clock,
) -> Result<OwnedSemaphorePermit, PeerError> {
    let waiting = timeout_at(clock.instant(exchange.total_deadline()).into(), turns.clone().acquire_owned());
    waiting.await.map_err(|_| PeerError::TimedOut)?.map_err(|_| PeerError::NoMemory)
}

/// Makes `held` cover `bytes`.
fn reserve(memory: &Arc<Semaphore>, held: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> Result<(), PeerError> {
    let units = bytes.div_ceil(MEMORY_UNIT);
    let missing = units.saturating_sub(held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits));
    if missing == 0 {
        return Ok(());
    }
    let missing = u32::try_from(missing).map_err(|_| PeerError::NoMemory)?;
    let more = memory.clone().try_acquire_many_owned(missing).map_err(|_| PeerError::NoMemory)?;
    match held {
        Some(held) => held.merge(more),
        None => *held = Some(more),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
