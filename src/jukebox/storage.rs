//! What lies on the disk: one task grants room before a download begins, evicts what is worth least, and remembers.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::disk;
use super::held::HeldTorrents;
use super::supervise::{TaskError, Tick};
use super::traces::{StorageEvent, Traces};
use crate::catalogue::{Catalogue, StoredRow};
use crate::control::{CommandError, ErrorCode, QueueState, StorageStatus};
use crate::crawler::Crawler;
use crate::library::{Item, Ledger, Pin, plan_eviction};
use crate::swarm::{Swarm, SwarmError};
use crate::types::{Bytes, Clock, InfoHash, TrackId, UnixTime};

/// Orders that wait at most; whoever has one more waits.
const ORDER_CAPACITY: usize = 32;

/// Between two looks at what is really on the disk.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Peers of a torrent that are counted at most when its rarity is judged.
const MAX_COUNTED_PEERS: usize = 32;

/// How often room is tried to be made while a file is still read that is about to be let go, and the pause between.
const BUSY_TRIES: u32 = 20;
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// Room that is always left, for records that are written anew beside the old ones.
const HEADROOM: u64 = 64 << 10;

/// Whom to ask for room.
#[derive(Debug, Clone)]
pub struct Storage {
    orders: mpsc::Sender<Order>,
    status: watch::Receiver<StorageStatus>,
}

#[derive(Debug)]
enum Order {
    Admit { track: TrackId, bytes: Bytes, reply: oneshot::Sender<Result<Admission, CommandError>> },
    Played(TrackId),
}

/// Room for a track. While it is held, the track is not evicted; then it must be open or in the queue to stay.
#[derive(Debug)]
pub struct Admission {
    _held: Arc<()>,
}

/// What the task works with.
#[derive(Debug, Clone)]
pub struct Rooms {
    /// Folder of the music.
    pub music: PathBuf,
    pub catalogue: Catalogue,
    pub swarm: Swarm,
    pub crawler: Crawler,
    pub held: HeldTorrents,
    pub traces: Arc<Traces>,
    pub clock: Clock,
}

/// The receiving end, for [`Keeper::run`].
#[derive(Debug)]
pub struct Keeper {
    rooms: Rooms,
    /// As it is configured; the disk may have room for less.
    budget: Bytes,
    ledger: Ledger,
    /// What plays and waits, once there is a player.
    queue: Option<watch::Receiver<QueueState>>,
    orders: mpsc::Receiver<Order>,
    status: watch::Sender<StorageStatus>,
    evicted: u64,
    /// Tracks whose download may be under way, with whether their [`Admission`] is held.
    granted: HashMap<TrackId, Weak<()>>,
}

impl Storage {
    /// A handle, and the keeper to run.
    pub fn new(rooms: Rooms, budget: Bytes) -> (Self, Keeper) {
        let (orders, inbox) = mpsc::channel(ORDER_CAPACITY);
        let (status, view) = watch::channel(StorageStatus { budget_bytes: budget.0, ..StorageStatus::default() });
        let keeper = Keeper {
            rooms,
            budget,
            ledger: Ledger::new(budget),
            queue: None,
            orders: inbox,
            status,
            evicted: 0,
            granted: HashMap::new(),
        };
        (Self { orders, status: view }, keeper)
    }

    /// Makes sure that `bytes` of this track fit within the budget, evicting others if need be, and remembers the
    /// track as stored.
    ///
    /// # Errors
    /// If it cannot fit beside what plays and is queued, or the catalogue cannot be written.
    pub async fn admit(&self, track: TrackId, bytes: Bytes) -> Result<Admission, CommandError> {
        let (reply, answer) = oneshot::channel();
        let gone = |_| CommandError {
            code: ErrorCode::NotNow,
            message: "the jukebox is shutting down; try again when it runs".to_owned(),
        };
        self.orders.send(Order::Admit { track, bytes, reply }).await.map_err(|_| gone(()))?;
        answer.await.map_err(|_| gone(()))?
    }

    /// Notes that the track is heard now.
    pub async fn played(&self, track: TrackId) {
        // Lost only while shutting down.
        let _ = self.orders.send(Order::Played(track)).await;
    }

    /// The state, as last published.
    pub fn status(&self) -> watch::Receiver<StorageStatus> {
        self.status.clone()
    }
}

fn unusable(error: &dyn std::fmt::Display) -> CommandError {
    CommandError {
        code: ErrorCode::Failed,
        message: format!("the catalogue cannot be used: {error}; see `silverstream doctor`"),
    }
}

impl Keeper {
    /// Tells it what plays and waits, and so must stay. Without, nothing is pinned.
    pub fn respect(&mut self, queue: watch::Receiver<QueueState>) {
        self.queue = Some(queue);
    }

    /// Serves orders until the token is cancelled.
    ///
    /// # Errors
    /// If the catalogue does not say what is stored.
    pub async fn run(&mut self, tick: Tick, cancel: CancellationToken) -> Result<(), TaskError> {
        self.look().await?;
        let mut looks = tokio::time::interval(LOOK_EVERY);
        loop {
            tick.tick();
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                _ = looks.tick() => self.look().await?,
                order = self.orders.recv() => match order {
                    Some(Order::Admit { track, bytes, reply }) => {
                        let outcome = self.admit(track, bytes).await;
                        if outcome.is_err() {
                            self.rooms.traces.storage(StorageEvent::Refused { track, bytes: bytes.0 });
                        }
                        // Nobody waits any more: the room stays granted until the next look.
                        let _ = reply.send(outcome);
                    }
                    Some(Order::Played(track)) => self.played(track).await?,
                    None => return Ok(()),
                },
            }
        }
    }

    /// Brings the account in line with the disk, and evicts if it is over the budget: a smaller one was configured, or the disk
    /// has filled up otherwise.
    async fn look(&mut self) -> Result<(), TaskError> {
        self.survey().await?;
        if self.ledger.used() > self.ledger.budget() {
            // What cannot be evicted now is tried again at the next look.
            let _ = self.make_room(None, Bytes(0)).await;
            self.survey().await?;
        }
        self.publish();
        Ok(())
    }

    /// Brings the account in line with the disk.
    async fn survey(&mut self) -> Result<(), SwarmError> {
        let swarm = &self.rooms.swarm;
        // In this order: what is written meanwhile counts twice for a moment, and never not at all.
        let recorded: Vec<TrackId> = self.granted.keys().filter(|track| swarm.is_recorded(**track)).copied().collect();
        let files: HashMap<TrackId, Bytes> =
            swarm.usage().await?.into_iter().map(|file| (file.track, Bytes(file.bytes))).collect();
        let total = swarm.total_usage().await?;
        self.ledger.survey(&files, Bytes(total + HEADROOM));
        let room = disk::room(&self.rooms.music, total + HEADROOM).map_or(self.budget, Bytes);
        self.ledger.set_budget(self.budget.min(room));
        for track in recorded {
            self.ledger.settle(track, files.get(&track).copied().unwrap_or_default());
            if !self.is_admitted(track) {
                self.granted.remove(&track);
            }
        }
        Ok(())
    }

    async fn admit(&mut self, track: TrackId, bytes: Bytes) -> Result<Admission, CommandError> {
        let admission = Arc::new(());
        // What is evicted leaves what its neighbours need, so it may take more than one plan: the disk decides.
        while let Some(missing) = self.reserve(track, bytes).await? {
            if self.make_room(Some(track), missing).await? == 0 {
                return Err(self.full("the storage is full and nothing in it can be given back now".to_owned()));
            }
        }
        self.granted.insert(track, Arc::downgrade(&admission));
        let stored = self.rooms.catalogue.stored_all().await.map_err(|error| unusable(&error))?;
        if !stored.iter().any(|row| row.track == track) {
            let now = self.rooms.clock.unix();
            let row = StoredRow { track, bytes: bytes.0, added: now, last_played: now, shared: None };
            self.rooms.catalogue.stored_put(row).await.map_err(|error| unusable(&error))?;
        }
        self.publish();
        Ok(Admission { _held: admission })
    }

    /// Promises the track its room, or tells how much is missing.
    async fn reserve(&mut self, track: TrackId, bytes: Bytes) -> Result<Option<Bytes>, CommandError> {
        self.survey().await.map_err(|error| CommandError { code: ErrorCode::Failed, message: error.to_string() })?;
        if self.rooms.swarm.is_recorded(track) {
            // All of it is there: it takes no more than it does.
            return Ok(None);
        }
        Ok(self.ledger.reserve(track, bytes).err().map(|shortfall| shortfall.missing))
    }

    /// There is no room. What helps depends on what it is that is full.
    fn full(&self, what: String) -> CommandError {
        let message = if self.ledger.budget() < self.budget {
            let disk = self.rooms.music.display();
            format!("{what}. The disk with {disk} is nearly full: free some space on it, or shorten the queue")
        } else {
            format!("{what}; shorten the queue or raise [storage] budget")
        };
        CommandError { code: ErrorCode::Full, message }
    }

    /// Evicts until `missing` more bytes should fit, and tells how many tracks went; `wanted` itself is spared. A file
    /// that is still read, though nothing plays it any more, is waited for.
    async fn make_room(&mut self, wanted: Option<TrackId>, missing: Bytes) -> Result<usize, CommandError> {
        let stored = self.rooms.catalogue.stored_all().await.map_err(|error| unusable(&error))?;
        let mut seeds = HashMap::new();
        for row in &stored {
            let infohash = row.track.infohash;
            if let std::collections::hash_map::Entry::Vacant(unknown) = seeds.entry(infohash) {
                unknown.insert(self.other_seeds(infohash).await);
            }
        }
        let mut tries = 0;
        let plan = loop {
            let (items, busy) = self.items(&stored, &seeds, wanted);
            let (used, budget) = (self.ledger.used(), self.ledger.budget());
            // What is missing is counted from the budget; the plan counts what comes on top of what is used.
            let needed = Bytes(missing.0.saturating_add(budget.0).saturating_sub(used.0));
            match plan_eviction(&items, used, budget, needed, self.rooms.clock.unix()) {
                Ok(plan) => break plan,
                Err(_) if busy && tries < BUSY_TRIES => {
                    tries += 1;
                    tokio::time::sleep(BUSY_PAUSE).await;
                }
                Err(error) => return Err(self.full(error.to_string())),
            }
        };
        for track in &plan {
            self.evict(*track).await?;
        }
        Ok(plan.len())
    }

    /// What the policy chooses from, and whether a file is among it that is read though nothing plays it any more.
    fn items(
        &self,
        stored: &[StoredRow],
        seeds: &HashMap<InfoHash, u32>,
        wanted: Option<TrackId>,
    ) -> (Vec<Item>, bool) {
        let pins = self.pins();
        let (mut items, mut busy) = (Vec::with_capacity(stored.len()), false);
        for row in stored.iter().filter(|row| Some(row.track) != wanted) {
            let mut pin = if row.shared.is_some() { Some(Pin::Shared) } else { pins(row.track) };
            if pin.is_none() && self.is_admitted(row.track) {
                pin = Some(Pin::Queued);
            }
            if pin.is_none() && self.rooms.swarm.is_open(row.track) {
                (pin, busy) = (Some(Pin::Playing), true);
            }
            items.push(Item {
                track: row.track,
                bytes: self.ledger.charge(row.track).0,
                last_played: row.last_played,
                other_seeds: seeds.get(&row.track.infohash).copied().unwrap_or_default(),
                pin,
            });
        }
        (items, busy)
    }

    fn is_admitted(&self, track: TrackId) -> bool {
        self.granted.get(&track).is_some_and(|admission| admission.strong_count() > 0)
    }

    async fn evict(&mut self, track: TrackId) -> Result<(), CommandError> {
        tracing::debug!(%track, "evicting");
        let freed = self.rooms.swarm.evict(track).await.map_err(|error| CommandError {
            code: ErrorCode::Failed,
            message: format!("no room could be made: {error}"),
        })?;
        if let Err(error) = self.rooms.catalogue.stored_remove(track).await {
            tracing::warn!(%track, %error, "an evicted track stays in the list of stored ones");
        }
        self.granted.remove(&track);
        tracing::info!(%track, bytes = freed, "evicted");
        self.rooms.traces.storage(StorageEvent::Evicted { track, bytes: freed });
        self.ledger.forget(track);
        self.evicted += freed;
        if self.rooms.swarm.metainfo(track.infohash).is_none() {
            self.rooms.crawler.withdraw(track.infohash).await;
            if let Err(error) = self.rooms.held.remove(track.infohash).await {
                tracing::warn!(infohash = %track.infohash, %error, "the torrent of what was evicted stays");
            }
        }
        Ok(())
    }

    /// Why a track must stay, by what plays and waits now.
    fn pins(&self) -> impl Fn(TrackId) -> Option<Pin> + use<> {
        let queue = self.queue.as_ref().map(|queue| queue.borrow().clone()).unwrap_or_default();
        move |track| {
            if queue.current.as_ref().is_some_and(|current| current.track == track) {
                Some(Pin::Playing)
            } else if queue.upcoming.iter().any(|info| info.track == track) {
                Some(Pin::Queued)
            } else {
                None
            }
        }
    }

    async fn other_seeds(&self, infohash: InfoHash) -> u32 {
        match self.rooms.catalogue.peers_of(infohash, MAX_COUNTED_PEERS).await {
            Ok(peers) => peers.len() as u32,
            Err(_) => 0,
        }
    }

    async fn played(&mut self, track: TrackId) -> Result<(), TaskError> {
        let now: UnixTime = self.rooms.clock.unix();
        Ok(self.rooms.catalogue.stored_touch(track, now).await?)
    }

    fn publish(&self) {
        self.status.send_replace(StorageStatus {
            used_bytes: self.ledger.used().0,
            budget_bytes: self.ledger.budget().0,
            evicted_bytes: self.evicted,
        });
    }
}
