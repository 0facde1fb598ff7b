//! The shell of the player: owns the state machine, the open songs and the audio engine.

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::commands::Order;
use super::core::{Action, Player};
use super::deck::{Facts, PROBE_BYTES, Supply};
use super::list::Snapshot;
use super::source::{AvailableFrom, Fetch, OpenTrack, Sound, TrackSource};
use crate::audio::{self, AudioError, AudioEvent, MediaInput};
use crate::control::{CommandError, PlayerStatus, QueueState};
use crate::types::{Time, TrackId};

/// What was begun elsewhere and ends at most: a few songs being opened or probed. When full, those that end wait.
const JOB_CAPACITY: usize = 8;

/// An order on its way to the player.
#[derive(Debug)]
pub(super) struct Ask {
    pub order: Order,
    /// When the person asked, before tracks were looked up.
    pub asked: Instant,
    pub reply: oneshot::Sender<Result<(), CommandError>>,
}

/// What the player publishes.
#[derive(Debug)]
pub(super) struct Outlets {
    pub status: watch::Sender<PlayerStatus>,
    pub queue: watch::Sender<QueueState>,
    pub snapshot: watch::Sender<Snapshot>,
}

/// What the player listens to.
#[derive(Debug)]
pub(super) struct Inlets {
    pub asks: mpsc::Receiver<Ask>,
    pub audio: mpsc::Receiver<AudioEvent>,
    pub cancel: CancellationToken,
}

/// Work that has ended.
pub(super) enum Job {
    Opened { ticket: u64, result: Result<OpenTrack, CommandError> },
    Probed { ticket: u64, input: Box<dyn MediaInput>, facts: Facts, again: Option<u64> },
}

/// A song that was asked for.
enum Held {
    Opening(AbortHandle),
    Open {
        input: Option<Box<dyn MediaInput>>,
        format: String,
        fetch: watch::Receiver<Fetch>,
        available: AvailableFrom,
        cancel: CancellationToken,
    },
}

/// The player's task.
pub(super) struct Task<S, E> {
    player: Player,
    source: Arc<S>,
    sound: E,
    held: HashMap<u64, Held>,
    /// The last prefetch, which may be about to begin.
    prefetch: Option<tokio::task::JoinHandle<()>>,
    jobs: mpsc::Sender<Job>,
    zero: Instant,
    outlets: Outlets,
    published: u64,
}

impl<S: TrackSource, E: Sound> Task<S, E> {
    pub fn new(source: Arc<S>, sound: E, snapshot: Snapshot, outlets: Outlets) -> (Self, mpsc::Receiver<Job>) {
        let (jobs, done) = mpsc::channel(JOB_CAPACITY);
        let player = Player::new(snapshot, Time::ZERO);
        let held = HashMap::new();
        (
            Self {
                player,
                source,
                sound,
                held,
                prefetch: None,
                jobs,
                zero: Instant::now(),
                outlets,
                published: u64::MAX,
            },
            done,
        )
    }

    /// Runs until cancelled; then the sound ends, and the last snapshot tells where to go on.
    ///
    /// # Errors
    /// If the audio engine has died.
    pub async fn run(mut self, mut inlets: Inlets, mut done: mpsc::Receiver<Job>) -> Result<(), AudioError> {
        let ended = loop {
            self.settle();
            let timer = self.player.poll_timeout().map(|time| self.zero + Duration::from_millis(time.as_millis()));
            tokio::select! {
                () = inlets.cancel.cancelled() => break Ok(()),
                Some(ask) = inlets.asks.recv() => self.take(ask),
                event = inlets.audio.recv() => match event {
                    Some(event) => self.heard(event),
                    None => break Err(AudioError::Died),
                },
                Some(job) = done.recv() => self.finish(job),
                () = data_arrives(&mut self.held) => {}
                () = tokio::time::sleep_until(timer.unwrap_or(self.zero)), if timer.is_some() => {
                    self.look();
                    self.player.handle_timeout(self.now());
                }
            }
        };
        self.look();
        self.publish();
        self.outlets.snapshot.send_replace(self.player.snapshot());
        if ended.is_ok()
            && let Err(error) = self.sound.stop()
        {
            warn!(%error, "the sound could not be ended");
        }
        self.held.drain().for_each(|(_, held)| held.close());
        ended
    }

    fn now(&self) -> Time {
        Time::ZERO + self.zero.elapsed()
    }

    fn take(&mut self, ask: Ask) {
        self.look();
        let asked = Time::ZERO + ask.asked.saturating_duration_since(self.zero);
        let result = self.player.order(self.now(), asked, ask.order);
        // Done before it is answered: whoever asks next sees the state after this order.
        self.settle();
        let _ = ask.reply.send(result);
    }

    fn heard(&mut self, event: AudioEvent) {
        debug!(?event, "audio");
        self.look();
        self.player.heard(self.now(), event);
    }

    /// Tells the player what the engine puts out and what of each open song is there.
    fn look(&mut self) {
        let now = self.now();
        self.player.progressed(now, self.sound.progress());
        for (ticket, held) in &self.held {
            if let Held::Open { fetch, available, .. } = held {
                let from = self.player.read_offset(*ticket);
                let fetch = *fetch.borrow();
                self.player.supplied(now, *ticket, Supply { fetch, from, ahead: available(from) });
            }
        }
    }

    /// Does what the player wants until it wants nothing more, then tells the world.
    fn settle(&mut self) {
        self.look();
        while let Some(action) = self.player.poll_action() {
            self.perform(action);
        }
        self.publish();
    }

    fn perform(&mut self, action: Action) {
        debug!(?action, "player");
        let done = match action {
            Action::Open { ticket, track } => return self.open(ticket, track),
            Action::Probe { ticket, at, start } => return self.probe(ticket, at, start),
            Action::Close { ticket } => return self.close(ticket),
            Action::Play { ticket, start } => return self.hand_over(ticket, Some(start)),
            Action::Enqueue { ticket } => return self.hand_over(ticket, None),
            Action::Prefetch(track) => return self.prefetch(track),
            Action::Forget(track) => return self.forget(track),
            Action::Played(track) => return self.played(track),
            Action::Notice(message) => return warn!("{message}"),
            Action::Dequeue => self.sound.dequeue(),
            Action::Pause => self.sound.pause(),
            Action::Resume => self.sound.resume(),
            Action::Silence => self.sound.stop(),
            Action::Seek(to) => self.sound.seek(to),
            Action::Volume(percent) => return self.sound.set_volume(percent),
        };
        if let Err(error) = done {
            warn!(%error, "the audio engine did not take a command");
        }
    }

    fn open(&mut self, ticket: u64, track: TrackId) {
        let (source, jobs) = (Arc::clone(&self.source), self.jobs.clone());
        let task = tokio::spawn(async move {
            let result = source.open(track).await;
            let _ = jobs.send(Job::Opened { ticket, result }).await;
        });
        self.held.insert(ticket, Held::Opening(task.abort_handle()));
    }

    fn prefetch(&mut self, track: TrackId) {
        let source = Arc::clone(&self.source);
        self.prefetch = Some(tokio::spawn(async move { source.prefetch(track).await }));
    }

    fn forget(&mut self, track: TrackId) {
        let (source, begun) = (Arc::clone(&self.source), self.prefetch.take());
        tokio::spawn(async move {
            if let Some(begun) = begun {
                let _ = begun.await;
            }
            source.forget(track).await;
        });
    }

    /// Lets the source know, without waiting.
    fn played(&self, track: TrackId) {
        let source = Arc::clone(&self.source);
        tokio::spawn(async move { source.played(track).await });
    }

    fn probe(&mut self, ticket: u64, at: u64, start: Duration) {
        let Some(Held::Open { input, format, .. }) = self.held.get_mut(&ticket) else { return };
        let Some(mut input) = input.take() else { return };
        let (format, jobs) = (format.clone(), self.jobs.clone());
        tokio::task::spawn_blocking(move || {
            let (facts, again) = read_beginning(input.as_mut(), at);
            let aim = again.unwrap_or_else(|| facts.offset_at(start, &format, input.byte_len()));
            // Some sources fetch from where they are put, others only from where they are read. Where this fails, the
            // engine's own reading will say so.
            if input.seek(SeekFrom::Start(aim)).is_ok() && input.available_from(aim) == 0 {
                let _ = input.read(&mut [0]);
            }
            let _ = jobs.blocking_send(Job::Probed { ticket, input, facts, again });
        });
    }

    fn finish(&mut self, job: Job) {
        let now = self.now();
        match job {
            Job::Opened { ticket, result } => {
                let known = self.held.remove(&ticket).is_some();
                let result = match result {
                    Ok(open) if !known => return open.cancel.cancel(),
                    Err(_) if !known => return,
                    Ok(OpenTrack { info, input, available_from: available, fetch, cancel }) => {
                        let (input, format) = (Some(input), info.format.clone());
                        self.held.insert(ticket, Held::Open { input, format, fetch, available, cancel });
                        Ok(info)
                    }
                    Err(error) => Err(error),
                };
                self.player.opened(now, ticket, result);
            }
            Job::Probed { ticket, input: returned, facts, again } => {
                if let Some(Held::Open { input, .. }) = self.held.get_mut(&ticket) {
                    *input = Some(returned);
                    self.player.probed(now, ticket, facts, again);
                }
            }
        }
    }

    /// Gives a song to the engine: to be played from `start`, or without one to follow.
    fn hand_over(&mut self, ticket: u64, start: Option<Duration>) {
        let Some(Held::Open { input, format, .. }) = self.held.get_mut(&ticket) else { return };
        let Some(input) = input.take() else { return };
        let hint = Some(format.as_str()).filter(|format| !format.is_empty());
        let taken: Result<(), AudioError> = match start {
            Some(start) => self.sound.play(ticket, input, hint, start),
            None => self.sound.enqueue(ticket, input, hint),
        };
        if let Err(error) = taken {
            let error = error.to_string();
            self.player.heard(self.now(), AudioEvent::Failed { token: ticket, error });
        }
    }

    fn close(&mut self, ticket: u64) {
        if let Some(held) = self.held.remove(&ticket) {
            held.close();
        }
    }

    /// Tells the world. The status comes last: who sees it sees queue and snapshot that fit it.
    fn publish(&mut self) {
        let status = self.player.status();
        let stale = {
            let last = self.outlets.snapshot.borrow();
            last.activity != self.player.activity() || last.volume != status.volume
        };
        let changed = self.published != self.player.version();
        if changed {
            self.published = self.player.version();
            self.outlets.queue.send_replace(self.player.queue());
        }
        if changed || stale {
            self.outlets.snapshot.send_replace(self.player.snapshot());
        }
        self.outlets.status.send_if_modified(|old| {
            let changed = *old != status;
            *old = status;
            changed
        });
    }
}

impl Held {
    fn close(self) {
        match self {
            Self::Opening(task) => task.abort(),
            Self::Open { cancel, .. } => cancel.cancel(),
        }
    }
}

/// Waits until data of any open song arrives; for ever if none is open.
async fn data_arrives(held: &mut HashMap<u64, Held>) {
    let mut waits: Vec<_> = Vec::new();
    for held in held.values_mut() {
        if let Held::Open { fetch, .. } = held
            && fetch.has_changed().is_ok()
        {
            waits.push(Box::pin(async { fetch.changed().await.is_ok() }));
        }
    }
    std::future::poll_fn(|context| {
        let arrived = waits.iter_mut().any(|wait| wait.as_mut().poll(context).is_ready());
        if arrived { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// What the bytes at `at` tell, and where reading on would tell more.
fn read_beginning(input: &mut dyn MediaInput, at: u64) -> (Facts, Option<u64>) {
    let len = input.byte_len();
    let mut head = Vec::new();
    let read = input.seek(SeekFrom::Start(at)).and_then(|_| input.take(PROBE_BYTES).read_to_end(&mut head));
    if read.is_err() || head.is_empty() {
        return (Facts { audio_start: at, ..Facts::default() }, None);
    }
    let told = if at == 0 { audio::probe_facts(&head, len) } else { audio::facts_at(&head, at, len) };
    let again =
        (told.container.is_none() && told.audio_offset > at && told.audio_offset < len).then_some(told.audio_offset);
    let facts = Facts {
        audio_start: told.audio_offset.max(told.header_end.unwrap_or(0)),
        bitrate_bps: told.bitrate_bps,
        duration: told.duration,
        needs_end: told.needs_end,
    };
    (facts, again)
}
