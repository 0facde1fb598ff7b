//! What other rooms hold of the player.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::commands::Order;
use super::list::{MAX_QUEUE, Snapshot};
use super::source::{Sound, TrackSource};
use super::task::{Ask, Inlets, Outlets, Task};
use crate::audio::{AudioError, AudioEvent};
use crate::control::{Command, CommandError, ErrorCode, PlayerStatus, QueueState, Reply, TrackInfo};
use crate::types::TrackId;

/// Orders that wait at most; who gives one more waits until there is room.
const ASK_CAPACITY: usize = 32;

/// A cheap handle to the player's task.
#[derive(Debug)]
pub struct PlayerHandle<S> {
    source: Arc<S>,
    asks: mpsc::Sender<Ask>,
    status: watch::Receiver<PlayerStatus>,
    queue: watch::Receiver<QueueState>,
    snapshot: watch::Receiver<Snapshot>,
}

impl<S> Clone for PlayerHandle<S> {
    fn clone(&self) -> Self {
        Self {
            source: Arc::clone(&self.source),
            asks: self.asks.clone(),
            status: self.status.clone(),
            queue: self.queue.clone(),
            snapshot: self.snapshot.clone(),
        }
    }
}

/// Starts the player's task, which goes on where `snapshot` was taken and ends when `cancel` is cancelled, or with an
/// error when the engine has died. `events` are those of the engine behind `sound`.
pub fn start<S: TrackSource>(
    source: Arc<S>,
    sound: impl Sound,
    events: mpsc::Receiver<AudioEvent>,
    snapshot: Snapshot,
    cancel: CancellationToken,
) -> (PlayerHandle<S>, JoinHandle<Result<(), AudioError>>) {
    let (asks, inlet) = mpsc::channel(ASK_CAPACITY);
    let (status_outlet, status) = watch::channel(PlayerStatus::default());
    let (queue_outlet, queue) = watch::channel(QueueState::default());
    let (snapshot_outlet, snapshots) = watch::channel(snapshot.clone());
    let outlets = Outlets { status: status_outlet, queue: queue_outlet, snapshot: snapshot_outlet };
    let (task, done) = Task::new(Arc::clone(&source), sound, snapshot, outlets);
    let inlets = Inlets { asks: inlet, audio: events, cancel };
    let task = tokio::spawn(task.run(inlets, done));
    (PlayerHandle { source, asks, status, queue, snapshot: snapshots }, task)
}

impl<S: TrackSource> PlayerHandle<S> {
    /// Carries out a command that is for the player; `None` if it is for another room.
    pub async fn command(&self, command: Command) -> Option<Reply> {
        let asked = Instant::now();
        let order = match command {
            Command::QueueList => return Some(Reply::Queue(self.queue.borrow().clone())),
            Command::Play { track: None } => Ok(Order::Play(None)),
            Command::Play { track: Some(track) } => self.source.info(track).await.map(|info| Order::Play(Some(info))),
            Command::QueueAdd { tracks } => self.look_up(tracks).await.map(Order::QueueAdd),
            Command::QueueRemove { position } => Ok(Order::QueueRemove(position)),
            Command::QueueClear => Ok(Order::QueueClear),
            Command::Pause => Ok(Order::Pause),
            Command::Resume => Ok(Order::Resume),
            Command::Toggle => Ok(Order::Toggle),
            Command::Stop => Ok(Order::Stop),
            Command::Next => Ok(Order::Next),
            Command::Previous => Ok(Order::Previous),
            Command::Seek { to } => Ok(Order::Seek(to)),
            Command::Volume { to } => Ok(Order::Volume(to)),
            _ => return None,
        };
        let done = match order {
            Ok(order) => {
                let volume = matches!(order, Order::Volume(_));
                self.order(order, asked).await.map(|()| volume)
            }
            Err(error) => Err(error),
        };
        Some(match done {
            Ok(true) => Reply::Volume { percent: self.status.borrow().volume },
            Ok(false) => Reply::Done,
            Err(error) => Reply::Error(error),
        })
    }

    /// What is known of all of `tracks`, or the first error.
    async fn look_up(&self, tracks: Vec<TrackId>) -> Result<Vec<TrackInfo>, CommandError> {
        if tracks.len() > MAX_QUEUE {
            let message = format!("the queue holds {MAX_QUEUE} songs; {} are too many", tracks.len());
            return Err(CommandError { code: ErrorCode::Full, message });
        }
        let mut infos = Vec::with_capacity(tracks.len());
        for track in tracks {
            infos.push(self.source.info(track).await?);
        }
        Ok(infos)
    }

    /// Waits until the player's task has answered.
    ///
    /// # Errors
    /// If it has ended.
    pub async fn ping(&self) -> Result<(), CommandError> {
        self.order(Order::Ping, Instant::now()).await
    }

    async fn order(&self, order: Order, asked: Instant) -> Result<(), CommandError> {
        let gone = || CommandError {
            code: ErrorCode::NotNow,
            message: "the player has ended; the jukebox is shutting down".to_owned(),
        };
        let (reply, answer) = oneshot::channel();
        self.asks.send(Ask { order, asked, reply }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl<S> PlayerHandle<S> {
    /// What plays.
    pub fn status(&self) -> watch::Receiver<PlayerStatus> {
        self.status.clone()
    }

    /// What plays and what follows.
    pub fn queue(&self) -> watch::Receiver<QueueState> {
        self.queue.clone()
    }

    /// What to keep for the next start; changes with every order, song and at the end. Where in the song the listener is
    /// meanwhile, [`Self::status`] tells.
    pub fn snapshot(&self) -> watch::Receiver<Snapshot> {
        self.snapshot.clone()
    }
}
