//! One song on its way from being chosen to being heard.

use std::time::Duration;

use super::rate::RateMeter;
use super::source::Fetch;
use super::startup::{self, Decision, Situation};
use crate::control::{StartupStatus, TrackInfo};
use crate::types::Time;

/// Bytes of a file's beginning that are read for [`Facts`].
pub const PROBE_BYTES: u64 = 16 * 1024;

/// A song of which no byte has come for so long has stopped arriving.
const DRY: Duration = Duration::from_secs(5);

/// What there must be of a song that has stopped arriving for it to be played as far as it goes.
const WORTH_PLAYING: Duration = Duration::from_secs(30);

/// How far a song is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Chosen, but nothing is opened: playback is stopped.
    Cued,
    /// The source was asked for it.
    Opening,
    /// Its data arrives, until the start-up heuristic is content.
    Filling,
    /// The audio engine has it and has put out no sample of it.
    Handed,
    /// It is heard, or would be if the sound were not paused.
    Sounding,
}

/// What the beginning of a file says about the rest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Facts {
    /// Offset of the first byte that sound needs, behind tags and pictures.
    pub audio_start: u64,
    /// Average of the audio data in bits a second.
    pub bitrate_bps: Option<u64>,
    pub duration: Option<Duration>,
    /// It cannot be decoded without its last part: only the engine knows what to fetch first.
    pub needs_end: bool,
}

impl Facts {
    /// About where in a file of `len` bytes the sound of `position` lies.
    pub fn offset_at(&self, position: Duration, format: &str, len: u64) -> u64 {
        let start = self.audio_start.min(len);
        let within = match self.duration.filter(|duration| !duration.is_zero()) {
            Some(duration) => (len - start) as f64 * (position.as_secs_f64() / duration.as_secs_f64()),
            None => self.demand(format, len) * position.as_secs_f64(),
        };
        start.saturating_add(within as u64).min(len)
    }

    fn bitrate_of(&self, len: u64) -> Option<u64> {
        let audio = len.saturating_sub(self.audio_start);
        let from_duration = self
            .duration
            .filter(|duration| duration.as_millis() > 0)
            .map(|duration| u64::try_from(u128::from(audio) * 8000 / duration.as_millis()).unwrap_or(u64::MAX));
        from_duration.or(self.bitrate_bps)
    }

    /// Bytes a second that playing takes.
    fn demand(&self, format: &str, len: u64) -> f64 {
        startup::byte_rate(format, self.bitrate_of(len))
    }
}

/// Reading of the beginning of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    /// As soon as the data at this offset is there.
    Wanted(u64),
    Running,
    Done,
}

/// What of a song has arrived.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Supply {
    pub fetch: Fetch,
    /// The offset that was asked about, see [`super::Player::read_offset`].
    pub from: u64,
    /// Bytes that are there from it on without a hole.
    pub ahead: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Deck {
    /// Names this opening of the song to source and engine; never used twice.
    pub ticket: u64,
    pub track: TrackInfo,
    /// When the command was given that is to be heard; `None` if nobody waits for it.
    pub asked: Option<Time>,
    /// Where to begin.
    pub start: Duration,
    pub stage: Stage,
    /// Since when it is in this stage.
    pub since: Time,
    /// The engine has it as the one to follow without a gap.
    pub enqueued: bool,
    pub probe: Probe,
    /// [`Deck::start`] was changed while the beginning was being read.
    pub moved: bool,
    /// The sound has broken off for lack of data.
    pub starved: bool,
    pub facts: Facts,
    pub supply: Option<Supply>,
    pub meter: RateMeter,
    pub milestones: Milestones,
}

/// When a song came how far on its way to being heard.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Milestones {
    opened: Option<Time>,
    first_bytes: Option<Time>,
    handed: Option<Time>,
}

impl Milestones {
    /// What the way from `asked` to now was spent on.
    pub fn told(self, asked: Time, now: Time) -> StartupStatus {
        // What was done before anybody asked cost them nothing; what never happened, neither.
        let opened = self.opened.unwrap_or(asked).max(asked);
        let first_bytes = self.first_bytes.unwrap_or(opened).max(opened);
        let handed = self.handed.unwrap_or(first_bytes).max(first_bytes);
        let millis = |from: Time, to: Time| to.since(from).as_secs_f64() * 1000.0;
        StartupStatus {
            opening_ms: millis(asked, opened),
            first_bytes_ms: millis(opened, first_bytes),
            enough_ms: millis(first_bytes, handed),
            sound_ms: millis(handed, now),
        }
    }
}

impl Deck {
    pub fn new(ticket: u64, track: TrackInfo, now: Time) -> Self {
        Self {
            ticket,
            track,
            asked: None,
            start: Duration::ZERO,
            stage: Stage::Opening,
            since: now,
            enqueued: false,
            probe: Probe::Wanted(0),
            moved: false,
            starved: false,
            facts: Facts::default(),
            supply: None,
            meter: RateMeter::default(),
            milestones: Milestones::default(),
        }
    }

    pub fn enter(&mut self, stage: Stage, now: Time) {
        match stage {
            Stage::Filling => self.milestones.opened = Some(now),
            Stage::Handed => self.milestones.handed = Some(now),
            _ => {}
        }
        self.stage = stage;
        self.since = now;
    }

    /// What has arrived by now.
    pub fn supply(&mut self, now: Time, supply: Supply) {
        self.meter.note(now, supply.fetch.have);
        if supply.ahead > 0 {
            self.milestones.first_bytes.get_or_insert(now);
        }
        self.supply = Some(supply);
    }

    pub fn complete(&self) -> bool {
        self.supply.is_some_and(|supply| supply.fetch.complete)
    }

    fn len(&self) -> u64 {
        self.supply.map_or(self.track.bytes, |supply| supply.fetch.len)
    }

    /// Bytes a second that playing takes.
    fn demand(&self) -> f64 {
        self.facts.demand(&self.track.format, self.len())
    }

    /// About where in the file the sound of `position` lies.
    pub fn offset_at(&self, position: Duration) -> u64 {
        self.facts.offset_at(position, &self.track.format, self.len())
    }

    /// Bytes a second that arrive. At the beginning, what the source says or what was seen, whichever is more: both are
    /// means that count the wait for the first peer. Later what was seen, for a source may count other files too.
    fn download_rate(&self, now: Time) -> f64 {
        const BEGINNING: Duration = Duration::from_secs(4);
        let told = self.supply.map_or(0.0, |supply| supply.fetch.rate_bps);
        let seen = self.meter.rate(now);
        let well_seen = seen > 0.0 && self.meter.span(now) >= BEGINNING;
        if well_seen || !told.is_finite() { seen } else { seen.max(told) }
    }

    /// Bytes behind the place of [`Supply::from`] that are not there.
    fn missing(supply: &Supply) -> u64 {
        let Fetch { len, have, complete, .. } = supply.fetch;
        if complete {
            return 0;
        }
        let behind = len.saturating_sub(supply.from).saturating_sub(supply.ahead);
        // At least one byte: a source that counts up and does not say "complete" has not checked the last piece.
        len.saturating_sub(have).min(behind).max(1)
    }

    /// Whether playing from here on will last.
    pub fn decide(&self, now: Time) -> Decision {
        let Some(supply) = &self.supply else { return Decision::WaitForData };
        // While the beginning is read, the engine cannot have the file; before it is, a picture could pass for sound.
        match self.probe {
            Probe::Running => return Decision::WaitForData,
            _ if self.facts.needs_end || supply.fetch.complete => return Decision::Start,
            Probe::Wanted(_) => return Decision::WaitForData,
            Probe::Done => {}
        }
        startup::decide(&Situation {
            format: &self.track.format,
            bitrate_bps: self.facts.bitrate_of(self.len()),
            download_rate: self.download_rate(now),
            ahead: supply.ahead,
            missing: Self::missing(supply),
            lump: supply.fetch.lump,
            starved: self.starved,
        })
    }

    /// As [`Self::decide`], but a song that has stopped arriving is played as far as it goes, if that is worth it: more
    /// may come meanwhile, and nothing is gained by silence.
    pub fn decide_at_last(&self, now: Time) -> Decision {
        let decision = self.decide(now);
        let Some(supply) = self.supply.filter(|_| self.probe == Probe::Done && decision != Decision::Start) else {
            return decision;
        };
        let dry = now.since(self.meter.moved().map_or(self.since, |moved| moved.max(self.since)));
        let worth = supply.ahead as f64 >= WORTH_PLAYING.as_secs_f64() * self.demand();
        if dry >= DRY && worth { Decision::Start } else { decision }
    }

    /// Whether the beginning can be read now, and where: once the data is there that [`Probe::Wanted`] names.
    pub fn probe_now(&self) -> Option<u64> {
        let (Probe::Wanted(at), Some(supply)) = (self.probe, &self.supply) else { return None };
        let end = at.saturating_add(PROBE_BYTES).min(supply.fetch.len);
        let there = supply.fetch.contiguous >= end || (supply.from <= at && supply.from + supply.ahead >= end);
        (self.stage == Stage::Filling && !supply.fetch.complete && there && end > at).then_some(at)
    }

    /// Playing time that is there and not yet handed to the decoder.
    pub fn buffered(&self) -> Duration {
        let ahead = self.supply.map_or(0, |supply| supply.ahead);
        // At most some hundred days, whatever the numbers: a duration of floats must not overflow.
        Duration::from_secs_f64((ahead as f64 / self.demand()).clamp(0.0, 1e7))
    }

    /// Playing on from here would break off soon.
    pub fn runs_dry(&self, now: Time) -> bool {
        const SOON: Duration = Duration::from_secs(2);
        !self.complete() && self.buffered() < SOON && self.decide(now) != Decision::Start
    }

    /// Nothing this song still needs would suffer if another one were fetched beside it.
    pub fn can_share_the_line(&self, now: Time) -> bool {
        const AMPLE: Duration = Duration::from_secs(20);
        self.complete()
            || (self.decide(now) == Decision::Start
                && self.buffered() >= AMPLE
                && self.download_rate(now) >= 2.0 * self.demand())
    }
}
