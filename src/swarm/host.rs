//! librqbit's session and what all torrents share.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use librqbit::api::TorrentIdOrHash;
use librqbit::limits::LimitsConfig;
use librqbit::{
    AddTorrent, AddTorrentOptions, AddTorrentResponse, Api, ConnectionOptions, ListenerMode, ListenerOptions,
    PeerConnectionOptions, Session, SessionOptions, SessionPersistenceConfig,
};
use librqbit_core::hash_id::Id20;
use rustix::io::Errno;
use tokio::sync::{Semaphore, mpsc};

use super::cache::FileCache;
use super::error::SwarmError;
use super::metainfo::Metainfo;
use super::pieces::Pieces;
use super::record::Records;
use super::scope;
use super::store::{Place, Store};
use super::torrent::{Life, Torrent};
use super::trackers;
use super::{MAX_OPEN_STREAMS, MIN_UPLOAD, SwarmConfig};
use crate::types::{InfoHash, Tick};

/// Peers connected at a time for each torrent; each costs about 60 KiB (buffers of librqbit and the kernel).
pub(super) const MAX_PEERS_A_TORRENT: u32 = 24;
/// Incoming connections whose handshake is awaited.
const MAX_INCOMING_HANDSHAKES: usize = 32;
/// Above twice the keep-alive period of BEP 3 clients, so that a peer that chokes us is not dropped for silence.
const READ_WRITE_TIMEOUT: Duration = Duration::from_secs(150);
/// A peer that does not answer within this is not going to help the song that is waited for.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Blocks of 16 KiB asked of a peer at a time, 1 MiB: enough for 10 MiB/s at 100 ms, and a seek waits for no more.
const REQUEST_WINDOW: usize = 64;
/// The same in bytes.
pub(super) const REQUEST_WINDOW_BYTES: u64 = 16 * 1024 * REQUEST_WINDOW as u64;
/// Torrents that are hashed at a time; it is the card that limits.
const CONCURRENT_CHECKS: usize = 2;
/// Disk accesses at a time, on top of one permit that librqbit keeps for every open stream.
const CONCURRENT_DISK: usize = 4;
/// Infohashes that wait for someone to find peers. When full, the need is dropped; it is repeated while it lasts.
pub(super) const NEED_CAPACITY: usize = 64;
/// Folder for records within the music folder; not a 40-digit name, so it cannot be taken for a torrent.
const RECORDS: &str = ".swarm";

/// What all torrents share.
pub(super) struct Host {
    pub session: Arc<Session>,
    pub api: Api,
    pub config: SwarmConfig,
    pub listen: SocketAddr,
    pub records: Records,
    pub cache: Arc<FileCache>,
    pub torrents: RwLock<HashMap<InfoHash, Arc<Torrent>>>,
    /// Held while a torrent is added, replaced or removed.
    pub changes: tokio::sync::Mutex<()>,
    /// One permit for each open stream.
    pub streams: Arc<Semaphore>,
    pub needs: mpsc::Sender<InfoHash>,
    /// Rounds of the supervisor.
    pub tick: Tick,
    /// Damaged pieces of torrents that are gone or were replaced.
    pub corrupt_before: AtomicU64,
}

impl Host {
    pub async fn start(config: SwarmConfig, needs: mpsc::Sender<InfoHash>) -> Result<Arc<Self>, SwarmError> {
        let (folder, listen, private) = (config.music.join(RECORDS), config.listen, config.private_scope);
        let (records, blocklist) = blocking(move || {
            let records = Records::open(folder)?;
            let blocklist = write_blocklist(&records, listen, private)?;
            Ok((records, blocklist))
        })
        .await?;
        let options = session_options(&config, &records, blocklist);
        let before = trackers::Before::note();
        let session = Session::new_with_opts(config.music.clone(), options)
            .await
            .map_err(|error| why_not_started(config.listen, &error))?;
        if before.close_to_strangers() == 0 {
            tracing::debug!("the socket for trackers stays open");
        }
        let listen = session.listen_addr().unwrap_or(config.listen);
        Ok(Arc::new(Self {
            api: Api::new(session.clone(), None),
            session,
            config,
            listen,
            records,
            cache: Arc::default(),
            torrents: RwLock::default(),
            changes: tokio::sync::Mutex::new(()),
            streams: Arc::new(Semaphore::new(MAX_OPEN_STREAMS)),
            needs,
            tick: Tick::default(),
            corrupt_before: AtomicU64::new(0),
        }))
    }

    pub fn torrent(&self, infohash: InfoHash) -> Option<Arc<Torrent>> {
        self.torrents.read().unwrap_or_else(PoisonError::into_inner).get(&infohash).cloned()
    }

    pub fn all(&self) -> Vec<Arc<Torrent>> {
        self.torrents.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub fn insert(&self, torrent: Arc<Torrent>) {
        self.torrents.write().unwrap_or_else(PoisonError::into_inner).insert(torrent.meta.infohash, torrent);
    }

    pub fn take(&self, infohash: InfoHash) -> Option<Arc<Torrent>> {
        self.torrents.write().unwrap_or_else(PoisonError::into_inner).remove(&infohash)
    }

    /// Folder of a download.
    pub fn folder(&self, infohash: InfoHash) -> PathBuf {
        self.config.music.join(infohash.to_string())
    }

    pub fn in_scope(&self, peers: &[SocketAddr]) -> Vec<SocketAddr> {
        let private = self.config.private_scope;
        let mut peers: Vec<_> = peers.iter().copied().filter(|peer| scope::allows(private, *peer)).collect();
        peers.truncate(super::torrent::MAX_KNOWN_PEERS);
        peers
    }

    /// Puts a torrent into the session. `trusted` are the pieces that need no hashing; without, files are hashed.
    pub async fn add(
        &self,
        meta: &Arc<Metainfo>,
        place: &Place,
        selected: &BTreeSet<u32>,
        trusted: Option<Pieces>,
        peers: Vec<SocketAddr>,
    ) -> Result<Life, SwarmError> {
        let (records, infohash) = (self.records.clone(), meta.infohash);
        let trusted = blocking(move || records.prime(infohash, trusted.as_ref()).map(|()| trusted)).await?;
        let have = trusted.unwrap_or_else(|| Pieces::none(meta.pieces()));
        let store = Store::new(meta.clone(), place.clone(), self.cache.clone(), have);
        let options = AddTorrentOptions {
            // Existing files are what we resume from; the store decides what is written.
            overwrite: true,
            only_files: Some(selected.iter().map(|file| *file as usize).collect()),
            output_folder: Some(self.config.music.to_string_lossy().into_owned()),
            initial_peers: Some(peers),
            storage_factory: Some(store.factory()),
            ..AddTorrentOptions::default()
        };
        match self.session.add_torrent(AddTorrent::from_bytes(meta.torrent()), Some(options)).await {
            Ok(AddTorrentResponse::Added(_, handle)) => Ok(Life::new(handle, store)),
            Ok(_) => Err(SwarmError::Session("the torrent is in the session already".to_owned())),
            Err(error) => {
                // It may have failed to start after it was put in.
                let _ = self.session.delete(TorrentIdOrHash::Hash(Id20::new(infohash.0)), false).await;
                Err(SwarmError::session(error))
            }
        }
    }

    /// Takes a torrent's present life out of the session; its files stay.
    pub async fn end(&self, life: &Life) {
        let corrupt = life.store.corrupt();
        self.corrupt_before.fetch_add(corrupt, std::sync::atomic::Ordering::Relaxed);
        if let Err(error) = self.session.delete(life.handle.id().into(), false).await {
            tracing::debug!(%error, "torrent had left the session");
        }
        let store = life.store.clone();
        // Waits for disk accesses under way.
        let _ = blocking(move || {
            store.close();
            Ok(())
        })
        .await;
    }

    /// Gives a torrent a new life in the session with these files selected and these pieces taken for granted. If that
    /// fails the torrent is dropped, to be added anew when it is wanted.
    pub async fn replace(
        &self,
        torrent: &Torrent,
        selected: &BTreeSet<u32>,
        trusted: Option<Pieces>,
    ) -> Result<(), SwarmError> {
        match self.add(&torrent.meta, &torrent.place, selected, trusted, torrent.known_peers()).await {
            Ok(life) => {
                torrent.reborn(life);
                Ok(())
            }
            Err(error) => {
                torrent.retire();
                self.take(torrent.meta.infohash);
                Err(error)
            }
        }
    }

    pub fn need(&self, infohash: InfoHash) {
        // Full: someone has plenty to look for already, and the need is repeated while it lasts.
        let _ = self.needs.try_send(infohash);
    }
}

fn write_blocklist(records: &Records, listen: SocketAddr, private: bool) -> Result<Option<String>, SwarmError> {
    if private {
        return Ok(None);
    }
    let path = records.folder().join("closed-addresses.txt");
    let (_, feeder) = super::feeder::loopback_of(listen);
    std::fs::write(&path, scope::blocklist(&[feeder])).map_err(|error| SwarmError::file(&path, &error))?;
    let path = path.canonicalize().map_err(|error| SwarmError::file(&path, &error))?;
    let encoded: Vec<String> = path.iter().skip(1).map(|part| percent_encode(&part.to_string_lossy())).collect();
    Ok(Some(format!("file:///{}", encoded.join("/"))))
}

/// RFC 3986: everything but unreserved characters.
fn percent_encode(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

/// librqbit says in words alone what failed, so the kernel is asked itself whether it has IPv6.
fn why_not_started(listen: SocketAddr, error: &impl std::fmt::Display) -> SwarmError {
    match std::net::UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)) {
        Err(refused) if refused.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error()) => SwarmError::NoIpv6,
        _ => SwarmError::Start { listen, reason: format!("{error:#}") },
    }
}

fn session_options(config: &SwarmConfig, records: &Records, blocklist_url: Option<String>) -> SessionOptions {
    let upload = config.upload.map(|rate| u32::try_from(rate.0.max(MIN_UPLOAD)).unwrap_or(u32::MAX));
    SessionOptions {
        // Peers come from our own nodes alone.
        dht: None,
        disable_trackers: true,
        trackers: HashSet::new(),
        disable_local_service_discovery: true,
        fastresume: true,
        persistence: Some(SessionPersistenceConfig::Json { folder: Some(records.folder().to_owned()) }),
        listen: Some(ListenerOptions {
            mode: ListenerMode::TcpOnly,
            listen_addr: config.listen,
            enable_upnp_port_forwarding: false,
            utp_opts: None,
            announce_port: None,
            ipv4_only: config.listen.is_ipv4(),
            max_pending_incoming_handshake_checks: MAX_INCOMING_HANDSHAKES,
        }),
        connect: Some(ConnectionOptions {
            proxy_url: None,
            enable_tcp: true,
            peer_opts: Some(PeerConnectionOptions {
                connect_timeout: Some(CONNECT_TIMEOUT),
                read_write_timeout: Some(READ_WRITE_TIMEOUT),
                keep_alive_interval: None,
                max_request_window: Some(REQUEST_WINDOW),
            }),
        }),
        concurrent_init_limit: Some(CONCURRENT_CHECKS),
        runtime_worker_threads: Some(MAX_OPEN_STREAMS + CONCURRENT_DISK),
        ratelimits: LimitsConfig { upload_bps: upload.and_then(std::num::NonZeroU32::new), download_bps: None },
        blocklist_url,
        peer_limit: Some(MAX_PEERS_A_TORRENT as usize),
        client_name_and_version: Some(concat!("Silverstream ", env!("CARGO_PKG_VERSION")).to_owned()),
        ..SessionOptions::default()
    }
}

/// Runs what touches the disk where it may block.
pub(super) async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> Result<R, SwarmError> + Send + 'static,
) -> Result<R, SwarmError> {
    tokio::task::spawn_blocking(work).await.map_err(SwarmError::session)?
}
