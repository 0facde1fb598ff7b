//! What the screens know of the jukebox.

use std::sync::Arc;
use std::time::Duration;

use crate::control::{PlayState, PlayerStatus, Status};
use crate::types::{Time, TrackId};

/// The state as it was last published, and since when it is so.
#[derive(Debug)]
pub struct View {
    status: Arc<Status>,
    /// When the position in it was true.
    at: Time,
    /// Since when the playing track is the playing track: from then on its title scrolls.
    track_since: Time,
}

impl View {
    pub fn new(now: Time) -> Self {
        Self { status: Arc::default(), at: now, track_since: now }
    }

    pub fn update(&mut self, now: Time, status: Arc<Status>) {
        let track = |status: &Status| status.player.track.as_ref().map(|track| track.track);
        if track(&self.status) != track(&status) {
            self.track_since = now;
        }
        self.status = status;
        self.at = now;
    }

    pub fn status(&self) -> &Status {
        &self.status
    }

    pub fn player(&self) -> &PlayerStatus {
        &self.status.player
    }

    pub fn track_since(&self) -> Time {
        self.track_since
    }

    /// Whether the track is the one that plays, waits for data or is paused.
    pub fn is_current(&self, track: TrackId) -> bool {
        self.is_active() && self.player().track.as_ref().is_some_and(|current| current.track == track)
    }

    /// Whether there is a track that plays, waits for data or is paused.
    pub fn is_active(&self) -> bool {
        self.player().state != PlayState::Stopped && self.player().track.is_some()
    }

    /// Whether there is sound, or will be as soon as there is data.
    pub fn is_sounding(&self) -> bool {
        matches!(self.player().state, PlayState::Playing | PlayState::Buffering)
    }

    /// Position in milliseconds; goes on between two publications while playing.
    pub fn position_ms(&self, now: Time) -> u64 {
        let player = self.player();
        // Floats from elsewhere may be anything; `as` makes zero of what is no number and stops at the largest.
        let millis = |seconds: f64| (seconds * 1000.0).round() as u64;
        let mut position = millis(player.position_s);
        if player.state == PlayState::Playing {
            position = position.saturating_add(now.since(self.at).as_millis() as u64);
        }
        match millis(player.duration_s) {
            0 => position,
            duration => position.min(duration),
        }
    }

    /// When [`View::position_ms`] reaches the next second.
    pub fn next_second(&self, now: Time) -> Option<Time> {
        let playing = self.player().state == PlayState::Playing;
        playing.then(|| now + Duration::from_millis(1000 - self.position_ms(now) % 1000))
    }
}
