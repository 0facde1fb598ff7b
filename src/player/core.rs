//! The player as a state machine: what happened and what is wanted go in, what to do comes out.
//!
//! It reads no clock, opens nothing and plays nothing. After every input the owner takes [`Player::poll_action`] until
//! it is empty, and calls [`Player::handle_timeout`] at [`Player::poll_timeout`].

use std::collections::VecDeque;
use std::time::Duration;

use super::deck::{Deck, Stage};
use super::list::{Activity, PlayList, Snapshot};
use crate::audio::Progress;
use crate::control::{PlayState, PlayerStatus, QueueState, StartupStatus, TrackInfo};
use crate::types::{Time, TrackId};

/// How often position and download of what plays are looked at.
pub const TICK: Duration = Duration::from_millis(250);

/// What the owner is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Ask the source for a track; answer with [`Player::opened`].
    Open {
        ticket: u64,
        track: TrackId,
    },
    /// Read [`PROBE_BYTES`](super::deck::PROBE_BYTES) at this offset, which are there, then put the file where the
    /// sound of `start` lies, so that the source fetches from there on; answer with [`Player::probed`].
    Probe {
        ticket: u64,
        at: u64,
        start: Duration,
    },
    /// The song is not needed any longer.
    Close {
        ticket: u64,
    },
    /// Give the song to the engine, to be heard now.
    Play {
        ticket: u64,
        start: Duration,
    },
    /// Give the song to the engine, to follow without a gap.
    Enqueue {
        ticket: u64,
    },
    /// Take back what was enqueued.
    Dequeue,
    Pause,
    Resume,
    /// End the sound.
    Silence,
    Seek(Duration),
    Volume(u8),
    Prefetch(TrackId),
    /// What was prefetched will not be played after all.
    Forget(TrackId),
    /// The track is being heard.
    Played(TrackId),
    /// Something people should be told.
    Notice(String),
}

/// Queue and playback.
#[derive(Debug)]
pub struct Player {
    pub(super) list: PlayList,
    pub(super) current: Option<Deck>,
    /// The head of the queue, being made ready while the current song plays.
    pub(super) next: Option<Deck>,
    /// The head of the queue could not be made ready; it gets its chance when it is its turn.
    pub(super) not_ready: Option<TrackId>,
    /// The head of the queue, if the source was told to fetch it ahead and it was not opened since.
    pub(super) prefetched: Option<TrackId>,
    /// The song that was enqueued and taken back last, if the one before it still sounds.
    pub(super) taken_back: Option<u64>,
    pub(super) activity: Activity,
    /// The sound is held back until enough data is there.
    pub(super) holding: bool,
    /// The engine was told to pause, by the listener's wish or because the sound is held back.
    engine_paused: bool,
    pub(super) volume: u8,
    /// Songs that failed since the last one that was heard.
    pub(super) failures: u32,
    pub(super) progress: Progress,
    /// Where the listener was sent and when, until the engine is there.
    pub(super) sought: Option<(Duration, Time)>,
    pub(super) startup_ms: Option<f64>,
    pub(super) startup: Option<StartupStatus>,
    pub(super) problem: Option<String>,
    /// When the start-up heuristic wants to be asked again.
    pub(super) wake: Option<Time>,
    tick: Time,
    last_ticket: u64,
    actions: VecDeque<Action>,
    /// Grows with every change of the queue or the current song.
    pub(super) version: u64,
}

impl Player {
    /// A player that goes on where the snapshot was taken.
    pub fn new(snapshot: Snapshot, now: Time) -> Self {
        let mut player = Self {
            list: PlayList::new(snapshot.queue, snapshot.history),
            current: None,
            next: None,
            not_ready: None,
            prefetched: None,
            taken_back: None,
            activity: Activity::Stopped,
            holding: false,
            engine_paused: false,
            volume: snapshot.volume.min(100),
            failures: 0,
            progress: Progress::default(),
            sought: None,
            startup_ms: None,
            startup: None,
            problem: None,
            wake: None,
            tick: now,
            last_ticket: 0,
            actions: VecDeque::new(),
            version: 0,
        };
        player.act(Action::Volume(player.volume));
        if let Some(track) = snapshot.current {
            let mut deck = Deck::new(0, track, now);
            deck.stage = Stage::Cued;
            if snapshot.activity != Activity::Stopped {
                deck.start = Duration::try_from_secs_f64(snapshot.position_s).unwrap_or_default();
            }
            player.current = Some(deck);
            player.activity = snapshot.activity;
            if player.activity == Activity::Playing {
                player.open_current(now);
            }
        }
        player
    }

    /// What to do next.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front().or_else(|| self.forget_prefetched())
    }

    /// A song that left the queue, or that nobody is on the way to, must not take the line from what is heard.
    fn forget_prefetched(&mut self) -> Option<Action> {
        let head = self.list.upcoming().front().map(|track| track.track);
        let wanted = self.activity != Activity::Stopped && head == self.prefetched;
        self.prefetched.take_if(|_| !wanted).map(Action::Forget)
    }

    /// When [`Player::handle_timeout`] wants to be called; the owner brings [`Player::supplied`] and
    /// [`Player::progressed`] up to date right before. `None`: only when something happens.
    pub fn poll_timeout(&self) -> Option<Time> {
        let deck = self.current.as_ref()?;
        if self.activity != Activity::Playing || deck.stage == Stage::Cued {
            return None;
        }
        Some(self.wake.map_or(self.tick, |wake| wake.min(self.tick)))
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Time) {
        self.wake = None;
        if now >= self.tick {
            self.tick = now + TICK;
        }
        self.give_up_on_what_does_not_come(now);
        self.advance(now);
    }

    /// What plays, for people.
    pub fn status(&self) -> PlayerStatus {
        let mut status = PlayerStatus {
            state: self.state(),
            startup_ms: self.startup_ms,
            startup: self.startup,
            underruns: self.progress.underruns,
            volume: self.volume,
            queued: self.list.upcoming().len() as u32,
            problem: self.problem.clone(),
            ..PlayerStatus::default()
        };
        if let Some(deck) = &self.current {
            let duration = deck.facts.duration.unwrap_or_default();
            let ring = if deck.stage == Stage::Sounding { self.progress.ring } else { Duration::ZERO };
            let mut buffered = deck.buffered() + ring;
            if !duration.is_zero() {
                let remaining = duration.saturating_sub(self.position());
                buffered = if deck.complete() { remaining } else { buffered.min(remaining) };
            }
            status.track = Some(deck.track.clone());
            status.position_s = self.position().as_secs_f64();
            status.duration_s = duration.as_secs_f64();
            status.buffered_s = buffered.as_secs_f64();
        }
        status
    }

    fn state(&self) -> PlayState {
        match &self.current {
            None => PlayState::Stopped,
            Some(deck) if deck.stage == Stage::Cued && self.activity != Activity::Paused => PlayState::Stopped,
            Some(_) if self.activity == Activity::Paused => PlayState::Paused,
            Some(deck) if deck.stage == Stage::Sounding && !self.holding => PlayState::Playing,
            Some(_) => PlayState::Buffering,
        }
    }

    /// What plays and what follows.
    pub fn queue(&self) -> QueueState {
        QueueState {
            current: self.current.as_ref().map(|deck| deck.track.clone()),
            upcoming: self.list.upcoming().iter().cloned().collect(),
        }
    }

    /// Grows with every change of what [`Player::queue`] tells.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What to keep for the next start.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            queue: self.list.upcoming().iter().cloned().collect(),
            history: self.list.history().iter().cloned().collect(),
            current: self.current.as_ref().map(|deck| deck.track.clone()),
            position_s: self.position().as_secs_f64(),
            volume: self.volume,
            activity: self.activity,
        }
    }

    /// What the player was told to do.
    pub fn activity(&self) -> Activity {
        self.activity
    }

    /// Where in the current song the listener is.
    pub fn position(&self) -> Duration {
        if let Some((target, _)) = self.sought {
            return target;
        }
        match &self.current {
            Some(deck) if deck.stage == Stage::Sounding && self.progress.token == deck.ticket => self.progress.position,
            Some(deck) => deck.start,
            None => Duration::ZERO,
        }
    }

    /// Where in the file of `ticket` data is needed next; the owner asks what is there from this offset on.
    pub fn read_offset(&self, ticket: u64) -> u64 {
        match (&self.current, &self.next) {
            (Some(deck), _) if deck.ticket == ticket => match deck.stage {
                Stage::Sounding => deck.offset_at(self.position() + self.progress.ring),
                _ => deck.offset_at(deck.start),
            },
            (_, Some(deck)) if deck.ticket == ticket => deck.offset_at(Duration::ZERO),
            _ => 0,
        }
    }

    pub(super) fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    /// Pauses the engine or lets it go on, if it does not already.
    pub(super) fn pause_engine(&mut self, paused: bool) {
        if self.engine_paused != paused {
            self.engine_paused = paused;
            self.act(if paused { Action::Pause } else { Action::Resume });
        }
    }

    /// Tells people what went wrong.
    pub(super) fn notice(&mut self, message: String) {
        self.problem = Some(message.clone());
        self.act(Action::Notice(message));
    }

    /// Asks the source for a song under a name of its own.
    pub(super) fn open(&mut self, track: TrackInfo, now: Time) -> Deck {
        self.last_ticket += 1;
        self.act(Action::Open { ticket: self.last_ticket, track: track.track });
        // From here on it is closed when it is not wanted.
        self.prefetched.take_if(|prefetched| *prefetched == track.track);
        Deck::new(self.last_ticket, track, now)
    }

    /// Opens the current song, wherever it was to begin.
    pub(super) fn open_current(&mut self, now: Time) {
        let Some(cued) = self.current.take() else { return };
        let deck = self.open(cued.track, now);
        self.current = Some(Deck { start: cued.start, asked: cued.asked, ..deck });
        self.holding = false;
        self.tick = now + TICK;
    }
}
