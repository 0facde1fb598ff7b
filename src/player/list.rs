//! The queue, what was played before it, and what survives a restart.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::control::{CommandError, ErrorCode, TrackInfo};

/// Songs that can be queued at once: some days of music, and a queue that still fits one reply of the control socket.
pub const MAX_QUEUE: usize = 1000;

/// Songs that "previous" can go back to.
pub const MAX_HISTORY: usize = 100;

/// What is played next and what was played before, both bounded.
#[derive(Debug, Clone, Default)]
pub struct PlayList {
    upcoming: VecDeque<TrackInfo>,
    /// The latest last.
    history: VecDeque<TrackInfo>,
}

impl PlayList {
    /// A list that begins with these songs; what is beyond the bound is left out.
    pub fn new(upcoming: Vec<TrackInfo>, history: Vec<TrackInfo>) -> Self {
        let too_old = history.len().saturating_sub(MAX_HISTORY);
        Self {
            upcoming: upcoming.into_iter().take(MAX_QUEUE).collect(),
            history: history.into_iter().skip(too_old).collect(),
        }
    }

    /// Songs that follow, the next one first.
    pub fn upcoming(&self) -> &VecDeque<TrackInfo> {
        &self.upcoming
    }

    /// Songs that were played, the latest last.
    pub fn history(&self) -> &VecDeque<TrackInfo> {
        &self.history
    }

    /// Appends all of `tracks`, or none.
    ///
    /// # Errors
    /// If they are more than the queue has room for.
    pub fn append(&mut self, tracks: Vec<TrackInfo>) -> Result<(), CommandError> {
        let room = MAX_QUEUE - self.upcoming.len();
        if tracks.len() > room {
            return Err(CommandError {
                code: ErrorCode::Full,
                message: format!(
                    "the queue holds {MAX_QUEUE} songs and has room for {room} more; remove some with `silverstream queue remove` or `queue clear`"
                ),
            });
        }
        self.upcoming.extend(tracks);
        Ok(())
    }

    /// Takes the entry at `position` out.
    ///
    /// # Errors
    /// If there is none.
    pub fn remove(&mut self, position: u32) -> Result<TrackInfo, CommandError> {
        self.upcoming.remove(position as usize).ok_or_else(|| CommandError {
            code: ErrorCode::NotFound,
            message: match self.upcoming.len() {
                0 => "the queue is empty; there is nothing to remove".to_owned(),
                1 => "there is only one song in the queue".to_owned(),
                count => format!("there are only {count} songs in the queue"),
            },
        })
    }

    /// Empties the queue; the history stays.
    pub fn clear(&mut self) {
        self.upcoming.clear();
    }

    /// Takes the next song.
    pub fn pop_next(&mut self) -> Option<TrackInfo> {
        self.upcoming.pop_front()
    }

    /// Puts a song before all others. If the queue is full, its last one makes room.
    pub fn put_back(&mut self, track: TrackInfo) {
        self.upcoming.truncate(MAX_QUEUE - 1);
        self.upcoming.push_front(track);
    }

    /// Notes that a song was played; the oldest is forgotten.
    pub fn remember(&mut self, track: TrackInfo) {
        if self.history.len() >= MAX_HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(track);
    }

    /// Takes back the song that was played last.
    pub fn recall(&mut self) -> Option<TrackInfo> {
        self.history.pop_back()
    }
}

/// What survives a restart. Read back, it is not trusted: bounds are applied again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Snapshot {
    pub queue: Vec<TrackInfo>,
    pub history: Vec<TrackInfo>,
    pub current: Option<TrackInfo>,
    /// Where the current song goes on, in seconds.
    pub position_s: f64,
    /// Percent.
    pub volume: u8,
    pub activity: Activity,
}

/// What the player was doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activity {
    #[default]
    Stopped,
    Paused,
    /// Playing, or on the way to.
    Playing,
}

impl Default for Snapshot {
    /// A new jukebox: silent, at full volume, so that what comes out is bit for bit what is in the file.
    fn default() -> Self {
        Self {
            queue: Vec::new(),
            history: Vec::new(),
            current: None,
            position_s: 0.0,
            volume: 100,
            activity: Activity::Stopped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::song;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bounds_hold_whatever_is_done(steps in prop::collection::vec((0u8..6, 0usize..700), 0..60)) {
            let mut list = PlayList::default();
            for (step, amount) in steps {
                match step {
                    0 | 1 => drop(list.append((0..amount as u32).map(song).collect())),
                    2 => drop(list.remove(amount as u32)),
                    3 => list.put_back(song(amount as u32)),
                    4 => list.remember(song(amount as u32)),
                    _ => drop(list.recall()),
                }
                prop_assert!(list.upcoming().len() <= MAX_QUEUE);
                prop_assert!(list.history().len() <= MAX_HISTORY);
            }
        }
    }

    #[test]
    fn full_queue_takes_all_or_nothing() {
        let mut list = PlayList::default();
        list.append((0..998).map(song).collect()).unwrap();
        let error = list.append((0..3).map(song).collect()).unwrap_err();
        assert_eq!((error.code, list.upcoming().len()), (ErrorCode::Full, 998));
        list.append((0..2).map(song).collect()).unwrap();
    }

    #[test]
    fn oversized_snapshot_is_cut_to_the_bounds() {
        let list = PlayList::new((0..5000).map(song).collect(), (0..5000).map(song).collect());
        assert_eq!(list.upcoming().len(), MAX_QUEUE);
        assert_eq!(list.upcoming()[0], song(0));
        assert_eq!(list.history().back(), Some(&song(4999)));
    }

    #[test]
    fn snapshot_of_an_older_version_is_read() {
        let snapshot: Snapshot = serde_json::from_str("{\"volume\":40,\"unknown\":1}").unwrap();
        assert_eq!(snapshot, Snapshot { volume: 40, ..Snapshot::default() });
    }
}
