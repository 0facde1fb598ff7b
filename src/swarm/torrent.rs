//! One torrent: which of its files are wanted, who has it, and its present life in the session.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use librqbit::{ManagedTorrent, ManagedTorrentState};
use tokio::sync::OnceCell;

use super::error::SwarmError;
use super::feeder::Feeder;
use super::host::{Host, REQUEST_WINDOW_BYTES};
use super::metainfo::Metainfo;
use super::pieces::Pieces;
use super::store::{Place, Store};

/// Peers remembered for each torrent; the oldest is forgotten for a new one.
pub(super) const MAX_KNOWN_PEERS: usize = 64;
/// How often a torrent that is being checked is looked at; librqbit's own wait can be 100 ms late.
const READY_POLL: Duration = Duration::from_millis(4);

/// Numbers lives.
static NEXT_LIFE: AtomicU64 = AtomicU64::new(0);

/// A torrent in librqbit's session. Eviction and recovery from errors end one life and begin another, since
/// librqbit cannot forget pieces.
#[derive(Clone)]
pub(super) struct Life {
    pub number: u64,
    pub handle: Arc<ManagedTorrent>,
    pub store: Arc<Store>,
    ready: Arc<OnceCell<()>>,
}

impl Life {
    pub fn new(handle: Arc<ManagedTorrent>, store: Arc<Store>) -> Self {
        Self { number: NEXT_LIFE.fetch_add(1, Ordering::Relaxed), handle, store, ready: Arc::default() }
    }

    /// Whether librqbit knows which pieces are there.
    pub fn is_ready(&self) -> bool {
        self.ready.initialized()
    }

    /// Waits until librqbit knows which pieces are there.
    pub async fn ready(&self, host: &Host) -> Result<(), SwarmError> {
        self.ready
            .get_or_try_init(|| async {
                loop {
                    let done = self.handle.with_state(|state| match state {
                        ManagedTorrentState::Initializing(_) => Ok(false),
                        ManagedTorrentState::Error(error) => Err(SwarmError::session(error)),
                        ManagedTorrentState::None => Err(SwarmError::Cancelled),
                        ManagedTorrentState::Paused(_) | ManagedTorrentState::Live(_) => Ok(true),
                    })?;
                    if done {
                        break;
                    }
                    tokio::time::sleep(READY_POLL).await;
                }
                let (found, count) =
                    host.api.api_dump_haves(self.handle.id().into()).map_err(|error| SwarmError::session(&error))?;
                if let Some(found) = Pieces::from_bytes(found.as_raw_slice(), count) {
                    self.store.found(&found);
                }
                Ok(())
            })
            .await
            .copied()
    }

    /// Why it no longer works, if so.
    pub fn failure(&self) -> Option<SwarmError> {
        let broken = self.handle.with_state(|state| match state {
            ManagedTorrentState::Error(error) => Some(SwarmError::session(error)),
            _ => None,
        });
        broken.map(|error| self.store.failure().unwrap_or(error))
    }

    /// Bytes received since it went live, and connected peers (our own feeder among them).
    pub fn traffic(&self) -> (u64, u32) {
        self.handle.live().map_or((0, 0), |live| {
            let stats = live.stats_snapshot();
            (stats.fetched_bytes, stats.peer_stats.live)
        })
    }
}

#[derive(Default)]
struct PeerBook {
    known: VecDeque<SocketAddr>,
    feeder: Option<Feeder>,
}

/// What the supervisor remembers of a torrent.
#[derive(Default)]
pub(super) struct Upkeep {
    /// Files whose completion was written down.
    pub recorded: BTreeSet<u32>,
    pub last_need: Option<Instant>,
    /// When a download without any peer dials all it knows again; None while it has one.
    pub next_redial: Option<Instant>,
    /// When librqbit's table of peers was emptied last.
    pub last_refresh: Option<Instant>,
    /// The life whose failure was reported.
    pub reported: Option<u64>,
}

/// A torrent that is fetched or seeded.
pub(super) struct Torrent {
    pub meta: Arc<Metainfo>,
    pub place: Place,
    life: RwLock<Life>,
    /// Files that are fetched or kept. Held while the selection is changed. Empty for shares.
    pub selection: tokio::sync::Mutex<BTreeSet<u32>>,
    /// Files from an earlier run that are not to be deleted, whether they are whole and selected again or not.
    kept: Mutex<BTreeSet<u32>>,
    /// Streams open on each file.
    open: Mutex<HashMap<u32, u32>>,
    peers: Mutex<PeerBook>,
    pub upkeep: Mutex<Upkeep>,
    /// Since when it is paused, so that its connections leave room for others.
    resting: Mutex<Option<Instant>>,
    /// It has left the session for good; set while the selection is held.
    retired: AtomicBool,
}

impl Torrent {
    pub fn new(
        meta: Arc<Metainfo>,
        place: Place,
        life: Life,
        (selection, kept): (BTreeSet<u32>, BTreeSet<u32>),
    ) -> Arc<Self> {
        Arc::new(Self {
            meta,
            place,
            life: RwLock::new(life),
            selection: tokio::sync::Mutex::new(selection),
            kept: Mutex::new(kept),
            open: Mutex::default(),
            peers: Mutex::default(),
            upkeep: Mutex::default(),
            resting: Mutex::default(),
            retired: AtomicBool::new(false),
        })
    }

    pub fn life(&self) -> Life {
        self.life.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The next life begins; streams notice by its number.
    pub fn reborn(&self, life: Life) {
        *self.life.write().unwrap_or_else(PoisonError::into_inner) = life;
        self.upkeep.lock().unwrap_or_else(PoisonError::into_inner).recorded.clear();
        *self.resting() = None;
    }

    /// Says to whoever waits for the selection that the torrent has left the session.
    pub fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    pub fn is_shared(&self) -> bool {
        matches!(self.place, Place::Shared(_))
    }

    pub fn is_complete(&self, file: u32) -> bool {
        self.life().store.with_have(|have| have.contains_all(self.meta.pieces_of(file)))
    }

    /// Bytes of the file that are there, and how many of them follow each other from `offset`.
    pub fn have_bytes(&self, file: u32, offset: u64) -> (u64, u64) {
        let Some(span) = self.meta.files.get(file as usize) else { return (0, 0) };
        let piece_len = u64::from(self.meta.piece_length);
        self.life().store.with_have(|have| {
            let (mut total, mut run, mut broken) = (0, 0, false);
            for piece in self.meta.pieces_of(file) {
                let start = (u64::from(piece) * piece_len).saturating_sub(span.offset);
                let end = ((u64::from(piece) + 1) * piece_len - span.offset).min(span.len);
                if have.contains(piece) {
                    total += end - start;
                    if !broken && end > offset {
                        run += end - start.max(offset);
                    }
                } else if end > offset {
                    broken = true;
                }
            }
            (total, run)
        })
    }

    /// Makes the file wanted, so that its pieces are fetched and kept. If somebody waits for it, what others still have on
    /// the way may have to come again.
    ///
    /// # Errors
    /// [`SwarmError::Retired`] if the torrent was removed meanwhile; it can be added anew.
    pub async fn select(&self, host: &Host, file: u32, waited_for: bool) -> Result<(), SwarmError> {
        let mut selection = self.selection.lock().await;
        if self.retired.load(Ordering::Acquire) {
            return Err(SwarmError::Retired(self.meta.infohash));
        }
        self.wake_held(host).await?;
        if self.is_shared() {
            return Ok(());
        }
        if !selection.insert(file) {
            return Ok(());
        }
        // Whoever gives the torrent another life holds the selection, so this one lasts; librqbit takes no selection
        // while it checks.
        let life = self.life();
        life.ready(host).await?;
        // Peers that had nothing left to ask for are asleep in librqbit for up to 5 s, and selecting does not wake those
        // that stayed connected. Going through the paused state does; they are dialled again at once.
        let idle = life.handle.stats().finished || (waited_for && self.all_is_asked_for(&life, &selection, file));
        let asleep = !self.is_complete(file) && idle && life.traffic().1 > 0;
        let selected = self.apply(host, &life, &selection, asleep).await;
        if selected.is_err() {
            selection.remove(&file);
        }
        selected
    }

    /// Whether the peers have probably asked for all that is missing of the files other than `new`: one who comes to a
    /// song's end has nothing left to ask for while the others' last pieces are on their way.
    fn all_is_asked_for(&self, life: &Life, selection: &BTreeSet<u32>, new: u32) -> bool {
        let others = selection.iter().filter(|file| **file != new).flat_map(|file| self.meta.pieces_of(*file));
        let missing = life.store.with_have(|have| others.filter(|piece| !have.contains(*piece)).count() as u64);
        let pieces_a_peer = (REQUEST_WINDOW_BYTES / u64::from(self.meta.piece_length)).max(1);
        missing <= u64::from(life.traffic().1) * pieces_a_peer
    }

    /// Tells librqbit the selection, on the way through the paused state if its peers have to be woken.
    async fn apply(&self, host: &Host, life: &Life, selection: &BTreeSet<u32>, wake: bool) -> Result<(), SwarmError> {
        let wanted: HashSet<usize> = selection.iter().map(|file| *file as usize).collect();
        if wake {
            host.session.pause(&life.handle).await.map_err(SwarmError::session)?;
        }
        let updated = host.session.update_only_files(&life.handle, &wanted).await.map_err(SwarmError::session);
        if wake {
            host.session.unpause(&life.handle).await.map_err(SwarmError::session)?;
            self.feed(host, &self.known_peers());
        }
        updated
    }

    /// Stops fetching the file; what is there stays until it is evicted.
    pub async fn deselect(&self, host: &Host, file: u32) -> Result<(), SwarmError> {
        let mut selection = self.selection.lock().await;
        if !selection.remove(&file) {
            return Ok(());
        }
        let life = self.life();
        life.ready(host).await?;
        self.apply(host, &life, &selection, false).await
    }

    /// Files that stay when others are evicted.
    pub fn kept(&self) -> BTreeSet<u32> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn keep(&self, files: impl IntoIterator<Item = u32>) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).extend(files);
    }

    pub fn give_up(&self, file: u32) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(&file);
    }

    /// Drops all connections and dials every known peer again: it forgets librqbit's back-off and its table of peers.
    pub async fn refresh(&self, host: &Host) -> Result<(), SwarmError> {
        let _selection = self.selection.lock().await;
        let life = self.life();
        if life.handle.live().is_none() {
            return Ok(());
        }
        host.session.pause(&life.handle).await.map_err(SwarmError::session)?;
        host.session.unpause(&life.handle).await.map_err(SwarmError::session)?;
        self.feed(host, &self.known_peers());
        Ok(())
    }

    /// Drops all connections and takes no new ones until it is woken. Nothing happens if it is used by now.
    pub async fn rest(&self, host: &Host, now: Instant) -> Result<(), SwarmError> {
        let _selection = self.selection.lock().await;
        let life = self.life();
        if self.any_open() || life.handle.live().is_none() {
            return Ok(());
        }
        host.session.pause(&life.handle).await.map_err(SwarmError::session)?;
        *self.resting() = Some(now);
        Ok(())
    }

    /// Ends its rest, if it rests.
    pub async fn wake(&self, host: &Host) -> Result<(), SwarmError> {
        let _selection = self.selection.lock().await;
        self.wake_held(host).await
    }

    /// [`Self::wake`] with the selection held.
    async fn wake_held(&self, host: &Host) -> Result<(), SwarmError> {
        if self.resting().take().is_none() {
            return Ok(());
        }
        host.session.unpause(&self.life().handle).await.map_err(SwarmError::session)
    }

    pub fn rests_since(&self) -> Option<Instant> {
        *self.resting()
    }

    fn resting(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is read or fetched, or changed right now.
    pub fn is_busy(&self) -> bool {
        let Ok(selection) = self.selection.try_lock() else { return true };
        self.any_open() || selection.iter().any(|file| !self.is_complete(*file))
    }

    pub fn known_peers(&self) -> Vec<SocketAddr> {
        self.book().known.iter().copied().collect()
    }

    /// Remembers peers without telling librqbit.
    pub fn remember(&self, peers: &[SocketAddr]) {
        let mut book = self.book();
        for peer in peers {
            if !book.known.contains(peer) {
                if book.known.len() >= MAX_KNOWN_PEERS {
                    book.known.pop_front();
                }
                book.known.push_back(*peer);
            }
        }
    }

    /// Tells librqbit about peers; those that it knows already it ignores.
    pub fn feed(&self, host: &Host, peers: &[SocketAddr]) {
        if peers.is_empty() {
            return;
        }
        let mut book = self.book();
        let fed = book.feeder.as_ref().is_some_and(|feeder| feeder.feed(peers.to_vec()));
        if !fed {
            let feeder = Feeder::open(host.listen, self.meta.infohash);
            feeder.feed(peers.to_vec());
            book.feeder = Some(feeder);
        }
    }

    /// Connected peers without our own feeder.
    pub fn live_peers(&self) -> u32 {
        let own = self.book().feeder.as_ref().is_some_and(Feeder::is_open);
        self.life().traffic().1.saturating_sub(u32::from(own))
    }

    fn book(&self) -> std::sync::MutexGuard<'_, PeerBook> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self) -> std::sync::MutexGuard<'_, HashMap<u32, u32>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn stream_opened(&self, file: u32) {
        *self.opened().entry(file).or_default() += 1;
    }

    pub fn stream_closed(&self, file: u32) {
        let mut open = self.opened();
        if let Some(count) = open.get_mut(&file) {
            *count -= 1;
            if *count == 0 {
                open.remove(&file);
            }
        }
    }

    pub fn is_open(&self, file: u32) -> bool {
        self.opened().contains_key(&file)
    }

    pub fn any_open(&self) -> bool {
        !self.opened().is_empty()
    }
}
