//! What happens in the rooms, in a few bytes each.

use std::fmt;

use crate::audio::AudioEvent;
use crate::control::PlayState;
use crate::system::trace::{Event, Text};
use crate::types::TrackId;

/// Of queue and playback.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PlayerEvent {
    Song(TrackId),
    State(PlayState),
    /// Milliseconds from the command to the first sample.
    Started(u32),
    /// Times that the output ran dry so far.
    Underrun(u64),
    Problem(Text),
}

impl Event for PlayerEvent {
    const KINDS: &'static [&'static str] = &["songs", "states", "starts", "underruns", "problems"];

    fn kind(&self) -> usize {
        match self {
            Self::Song(_) => 0,
            Self::State(_) => 1,
            Self::Started(_) => 2,
            Self::Underrun(_) => 3,
            Self::Problem(_) => 4,
        }
    }
}

impl fmt::Display for PlayerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Song(track) => write!(f, "song {track}"),
            Self::State(state) => write!(f, "{state:?}"),
            Self::Started(ms) => write!(f, "first sample after {ms} ms"),
            Self::Underrun(count) => write!(f, "underrun, {count} so far"),
            Self::Problem(text) => write!(f, "{text}"),
        }
    }
}

/// Of decoders and device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SoundEvent {
    Opened { rate: u32, channels: u16 },
    Starved,
    Recovered,
    Finished,
    Failed(Text),
    OutputLost(Text),
    OutputBack,
}

impl Event for SoundEvent {
    const KINDS: &'static [&'static str] =
        &["opened", "starved", "recovered", "finished", "failed", "output-lost", "output-back"];

    fn kind(&self) -> usize {
        match self {
            Self::Opened { .. } => 0,
            Self::Starved => 1,
            Self::Recovered => 2,
            Self::Finished => 3,
            Self::Failed(_) => 4,
            Self::OutputLost(_) => 5,
            Self::OutputBack => 6,
        }
    }
}

impl fmt::Display for SoundEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened { rate, channels } => write!(f, "opened, {rate} Hz, {channels} channels"),
            Self::Starved => f.write_str("starved"),
            Self::Recovered => f.write_str("recovered"),
            Self::Finished => f.write_str("finished"),
            Self::Failed(text) => write!(f, "failed: {text}"),
            Self::OutputLost(text) => write!(f, "output lost: {text}"),
            Self::OutputBack => f.write_str("output back"),
        }
    }
}

impl SoundEvent {
    /// What is worth noting.
    pub fn of(event: &AudioEvent) -> Option<Self> {
        Some(match event {
            AudioEvent::Opened { info, .. } => Self::Opened { rate: info.sample_rate, channels: info.channels },
            AudioEvent::Starved { .. } => Self::Starved,
            AudioEvent::Recovered { .. } => Self::Recovered,
            AudioEvent::Finished { .. } => Self::Finished,
            AudioEvent::Failed { error, .. } => Self::Failed(error.as_str().into()),
            AudioEvent::OutputLost(sentence) => Self::OutputLost(sentence.as_str().into()),
            AudioEvent::OutputBack => Self::OutputBack,
            _ => return None,
        })
    }
}

/// Of the downloads of songs that are open.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SwarmEvent {
    /// Nothing has come for a while.
    Stalled {
        track: TrackId,
        have: u64,
        len: u64,
    },
    /// Something comes again, after so many seconds.
    Resumed {
        track: TrackId,
        after: u64,
    },
    Complete {
        track: TrackId,
    },
}

impl Event for SwarmEvent {
    const KINDS: &'static [&'static str] = &["stalled", "resumed", "complete"];

    fn kind(&self) -> usize {
        match self {
            Self::Stalled { .. } => 0,
            Self::Resumed { .. } => 1,
            Self::Complete { .. } => 2,
        }
    }
}

impl fmt::Display for SwarmEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stalled { track, have, len } => write!(f, "{track} stalls at {have} of {len} bytes"),
            Self::Resumed { track, after } => write!(f, "{track} goes on after {after} s"),
            Self::Complete { track } => write!(f, "{track} is complete"),
        }
    }
}

/// Of the music on the disk.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StorageEvent {
    Evicted {
        track: TrackId,
        bytes: u64,
    },
    /// No room could be made.
    Refused {
        track: TrackId,
        bytes: u64,
    },
}

impl Event for StorageEvent {
    const KINDS: &'static [&'static str] = &["evicted", "refused"];

    fn kind(&self) -> usize {
        match self {
            Self::Evicted { .. } => 0,
            Self::Refused { .. } => 1,
        }
    }
}

impl fmt::Display for StorageEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Evicted { track, bytes } => write!(f, "{track} evicted, {bytes} bytes"),
            Self::Refused { track, bytes } => write!(f, "no room for {track}, {bytes} bytes"),
        }
    }
}

/// Of the tasks of the process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TaskEvent {
    Failed { task: &'static str, reason: Text },
    Stuck { task: &'static str },
}

impl Event for TaskEvent {
    const KINDS: &'static [&'static str] = &["failed", "stuck"];

    fn kind(&self) -> usize {
        match self {
            Self::Failed { .. } => 0,
            Self::Stuck { .. } => 1,
        }
    }
}

impl fmt::Display for TaskEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { task, reason } => write!(f, "{task} failed: {reason}"),
            Self::Stuck { task } => write!(f, "{task} hangs"),
        }
    }
}

/// Of the crawler, a minute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DhtEvent {
    pub contacts: u64,
    /// Since the last note.
    pub datagrams_in: u64,
    pub datagrams_out: u64,
    pub sightings: u64,
    pub dropped: u64,
}

impl Event for DhtEvent {
    const KINDS: &'static [&'static str] = &["minutes"];

    fn kind(&self) -> usize {
        0
    }
}

impl fmt::Display for DhtEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { contacts, datagrams_in, datagrams_out, sightings, dropped } = self;
        write!(
            f,
            "{contacts} contacts; in a minute {datagrams_in} in, {datagrams_out} out, {sightings} sightings, {dropped} dropped"
        )
    }
}
