//! The state machine against scripted events, against random ones, and the task against fakes.

mod engine;
mod machine;
mod orders;
mod random;
mod shell;
mod world;

use std::time::Duration;

use super::*;
use crate::audio::{AudioEvent, Progress, StreamInfo};
use crate::control::{CommandError, TrackInfo};
use crate::types::{InfoHash, Time, TrackId};

/// A song of its own for each number.
pub fn song(number: u32) -> TrackInfo {
    TrackInfo {
        track: TrackId { infohash: InfoHash([9; 20]), file: number },
        title: format!("Song {number}"),
        artist: "Artist".to_owned(),
        album: "Album".to_owned(),
        format: "mp3".to_owned(),
        bytes: 4_000_000,
    }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A player, a clock, and what the player wanted.
struct Rig {
    player: Player,
    now: Time,
}

impl Rig {
    fn new(snapshot: Snapshot) -> Self {
        let mut rig = Self { player: Player::new(snapshot, Time::ZERO), now: Time::ZERO };
        if rig.player.activity() != Activity::Playing {
            rig.acts();
        }
        rig
    }

    fn with_queue(count: u32) -> Self {
        Self::new(Snapshot { queue: (1..=count).map(song).collect(), ..Snapshot::default() })
    }

    fn order(&mut self, order: Order) -> Result<(), CommandError> {
        self.player.order(self.now, self.now, order)
    }

    fn acts(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.player.poll_action()).collect()
    }

    fn opened(&mut self, ticket: u64, number: u32) {
        self.player.opened(self.now, ticket, Ok(song(number)));
    }

    fn broken(&mut self, ticket: u64) {
        let error = CommandError { code: crate::control::ErrorCode::Failed, message: "it is broken".to_owned() };
        self.player.opened(self.now, ticket, Err(error));
    }

    /// All of the file is there.
    fn complete(&mut self, ticket: u64) {
        self.supply(ticket, 4_000_000, 0.0);
    }

    /// The first `have` bytes of 4,000,000 are there.
    fn supply(&mut self, ticket: u64, have: u64, rate_bps: f64) {
        let len = 4_000_000;
        let fetch = Fetch { len, have, contiguous: have, rate_bps, lump: 0, complete: have == len, damaged: 0 };
        let from = self.player.read_offset(ticket);
        self.player.supplied(self.now, ticket, Supply { fetch, from, ahead: have.saturating_sub(from) });
    }

    fn probed(&mut self, ticket: u64) {
        let facts = Facts { bitrate_bps: Some(160_000), duration: Some(secs(200)), ..Facts::default() };
        self.player.probed(self.now, ticket, facts, None);
    }

    fn heard(&mut self, event: AudioEvent) {
        self.player.heard(self.now, event);
    }

    fn at(&mut self, token: u64, seconds: u64) {
        self.player
            .progressed(self.now, Progress { token, position: secs(seconds), ring: Duration::ZERO, underruns: 0 });
    }

    fn wait(&mut self, duration: Duration) {
        self.now = self.now + duration;
        self.player.handle_timeout(self.now);
    }

    /// Song `number`, 200 s long and all there, sounds from its beginning on; nothing is left to do.
    fn sounding(&mut self, number: u32) -> u64 {
        self.order(Order::Play(Some(song(number)))).unwrap();
        let ticket = opened_ticket(&self.acts());
        self.opened(ticket, number);
        self.complete(ticket);
        self.engine_starts(ticket);
        self.acts();
        ticket
    }

    fn engine_starts(&mut self, token: u64) {
        let info = StreamInfo {
            codec: "mp3",
            sample_rate: 44_100,
            channels: 2,
            bits: None,
            duration: Some(secs(200)),
            bitrate_bps: Some(160_000),
        };
        self.heard(AudioEvent::Opened { token, info });
        self.heard(AudioEvent::Started { token });
    }
}

/// The ticket of the only song that is to be opened.
fn opened_ticket(actions: &[Action]) -> u64 {
    let tickets: Vec<u64> = actions
        .iter()
        .filter_map(|action| match action {
            Action::Open { ticket, .. } => Some(*ticket),
            _ => None,
        })
        .collect();
    assert_eq!(tickets.len(), 1, "{actions:?}");
    tickets[0]
}
