//! What lies on the disk: one task grants room before a download begins, evicts what is worth least, and remembers.

use std::collections::HashSet;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::held::HeldTorrents;
use super::supervise::{TaskError, Tick};
use crate::catalogue::{Catalogue, StoredRow};
use crate::control::{CommandError, ErrorCode, QueueState, StorageStatus};
use crate::crawler::Crawler;
use crate::library::{Item, Ledger, Pin, plan_eviction};
use crate::swarm::Swarm;
use crate::types::{Bytes, Clock, InfoHash, TrackId, UnixTime};

/// Orders that wait at most; whoever has one more waits.
const ORDER_CAPACITY: usize = 32;

/// Between two looks at what is really on the disk.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Peers of a torrent that are counted at most when its rarity is judged.
const MAX_COUNTED_PEERS: usize = 32;

/// Whom to ask for room.
#[derive(Debug, Clone)]
pub struct Storage {
    orders: mpsc::Sender<Order>,
    status: watch::Receiver<StorageStatus>,
}

#[derive(Debug)]
enum Order {
    Admit { track: TrackId, bytes: Bytes, reply: oneshot::Sender<Result<(), CommandError>> },
    Played(TrackId),
}

/// What the task works with.
#[derive(Debug, Clone)]
pub struct Rooms {
    pub catalogue: Catalogue,
    pub swarm: Swarm,
    pub crawler: Crawler,
    pub held: HeldTorrents,
    pub clock: Clock,
}

/// The receiving end, for [`Keeper::run`].
#[derive(Debug)]
pub struct Keeper {
    rooms: Rooms,
    ledger: Ledger,
    /// What plays and waits, once there is a player.
    queue: Option<watch::Receiver<QueueState>>,
    orders: mpsc::Receiver<Order>,
    status: watch::Sender<StorageStatus>,
    evicted: u64,
    /// Granted in this run: the download may be under way, so it is not judged by what is on the disk alone.
    granted: HashSet<TrackId>,
}

impl Storage {
    /// A handle, and the keeper to run.
    pub fn new(rooms: Rooms, budget: Bytes) -> (Self, Keeper) {
        let (orders, inbox) = mpsc::channel(ORDER_CAPACITY);
        let (status, view) = watch::channel(StorageStatus { budget_bytes: budget.0, ..StorageStatus::default() });
        let keeper = Keeper {
            rooms,
            ledger: Ledger::new(budget),
            queue: None,
            orders: inbox,
            status,
            evicted: 0,
            granted: HashSet::new(),
        };
        (Self { orders, status: view }, keeper)
    }

    /// Makes sure that `bytes` of this track fit within the budget, evicting others if need be, and remembers the
    /// track as stored.
    ///
    /// # Errors
    /// If it cannot fit beside what plays and is queued, or the catalogue cannot be written.
    pub async fn admit(&self, track: TrackId, bytes: Bytes) -> Result<(), CommandError> {
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
                        // Nobody waits any more: the room stays granted until the next look.
                        let _ = reply.send(outcome);
                    }
                    Some(Order::Played(track)) => self.played(track).await?,
                    None => return Ok(()),
                },
            }
        }
    }

    /// Brings the account in line with the disk, and evicts if it is over the budget (a smaller one was configured).
    async fn look(&mut self) -> Result<(), TaskError> {
        let stored = self.rooms.catalogue.stored_all().await?;
        for file in self.rooms.swarm.usage().await? {
            self.ledger.observe(file.track, Bytes(file.bytes));
        }
        if self.ledger.used() > self.ledger.budget() {
            // What cannot be evicted now is tried again at the next look.
            let _ = self.make_room(&stored, None, Bytes(0)).await;
        }
        self.publish();
        Ok(())
    }

    async fn admit(&mut self, track: TrackId, bytes: Bytes) -> Result<(), CommandError> {
        let failed = |error: &dyn std::fmt::Display| CommandError {
            code: ErrorCode::Failed,
            message: format!("the catalogue cannot be used: {error}; see `silverstream doctor`"),
        };
        let stored = self.rooms.catalogue.stored_all().await.map_err(|error| failed(&error))?;
        if let Err(shortfall) = self.ledger.reserve(track, bytes) {
            self.make_room(&stored, Some(track), shortfall.missing).await?;
            self.ledger
                .reserve(track, bytes)
                .map_err(|shortfall| CommandError { code: ErrorCode::Full, message: shortfall.to_string() })?;
        }
        self.granted.insert(track);
        if !stored.iter().any(|row| row.track == track) {
            let now = self.rooms.clock.unix();
            let row = StoredRow { track, bytes: bytes.0, added: now, last_played: now, shared: None };
            self.rooms.catalogue.stored_put(row).await.map_err(|error| failed(&error))?;
        }
        self.publish();
        Ok(())
    }

    /// Evicts until `missing` more bytes fit; `wanted` itself is spared.
    async fn make_room(
        &mut self,
        stored: &[StoredRow],
        wanted: Option<TrackId>,
        missing: Bytes,
    ) -> Result<(), CommandError> {
        let pins = self.pins();
        let mut items = Vec::with_capacity(stored.len());
        for row in stored.iter().filter(|row| Some(row.track) != wanted) {
            items.push(Item {
                track: row.track,
                bytes: self.ledger.charge(row.track).0,
                last_played: row.last_played,
                other_seeds: self.other_seeds(row.track.infohash).await,
                pin: if row.shared.is_some() { Some(Pin::Shared) } else { pins(row.track) },
            });
        }
        // What is missing is counted from what is used, not from the budget.
        let used = self.ledger.used();
        let budget = self.ledger.budget();
        let needed = Bytes((budget.0.saturating_sub(used.0)).saturating_add(missing.0));
        let now = self.rooms.clock.unix();
        let plan = plan_eviction(&items, used, budget, needed, now)
            .map_err(|error| CommandError { code: ErrorCode::Full, message: error.to_string() })?;
        for track in plan {
            self.evict(track).await?;
        }
        Ok(())
    }

    async fn evict(&mut self, track: TrackId) -> Result<(), CommandError> {
        let freed = self.rooms.swarm.evict(track).await.map_err(|error| CommandError {
            code: ErrorCode::Failed,
            message: format!("no room could be made: {error}"),
        })?;
        if let Err(error) = self.rooms.catalogue.stored_remove(track).await {
            tracing::warn!(%track, %error, "an evicted track stays in the list of stored ones");
        }
        let whole = self.granted.remove(&track);
        tracing::info!(%track, bytes = freed, granted_now = whole, "evicted");
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
