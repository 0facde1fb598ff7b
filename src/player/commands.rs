//! What people ask of the player.

use std::time::Duration;

use super::core::{Action, Player};
use super::deck::{Probe, Stage};
use super::list::Activity;
use crate::control::{CommandError, ErrorCode, SeekTo, TrackInfo, VolumeTo};
use crate::types::Time;

/// Up to here "previous" means the song before this one, later the start of this one.
const JUST_BEGUN: Duration = Duration::from_secs(3);

/// Longest place in a song that is sought, a year: beyond it the numbers of a command are nonsense.
const MAX_SEEK_S: f64 = 31_536_000.0;

/// A command with its tracks looked up.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// This track now, or go on with what there is.
    Play(Option<TrackInfo>),
    QueueAdd(Vec<TrackInfo>),
    QueueRemove(u32),
    QueueClear,
    Pause,
    Resume,
    Toggle,
    Stop,
    Next,
    Previous,
    Seek(SeekTo),
    Volume(VolumeTo),
    /// Nothing: that it is answered is a sign of life.
    Ping,
}

fn not_now(message: &str) -> CommandError {
    CommandError { code: ErrorCode::NotNow, message: message.to_owned() }
}

fn nothing_plays() -> CommandError {
    not_now("nothing is playing; choose a song with `silverstream play WORDS`")
}

impl Player {
    /// Carries out an order that was given at `asked`.
    ///
    /// # Errors
    /// If it is not possible now; a sentence for people. Nothing has changed then.
    pub fn order(&mut self, now: Time, asked: Time, order: Order) -> Result<(), CommandError> {
        match order {
            Order::Play(Some(track)) => self.play_now(now, asked, track),
            Order::Play(None) => self.go_on_or_begin(now, asked)?,
            Order::QueueAdd(tracks) => self.list.append(tracks)?,
            Order::QueueRemove(position) => drop(self.list.remove(position)?),
            Order::QueueClear => self.list.clear(),
            Order::Pause => self.pause()?,
            Order::Resume => self.resume(now, asked)?,
            Order::Toggle if self.activity == Activity::Playing => self.pause()?,
            Order::Toggle => self.go_on_or_begin(now, asked)?,
            Order::Stop => self.stop(now),
            Order::Next => self.skip(now, asked)?,
            Order::Previous => self.back(now, asked)?,
            Order::Seek(to) => self.seek(now, asked, to)?,
            Order::Volume(to) => self.set_volume(to),
            Order::Ping => return Ok(()),
        }
        self.version += 1;
        self.keep_next_true();
        self.advance(now);
        Ok(())
    }

    /// What was made ready must be the head of the queue.
    fn keep_next_true(&mut self) {
        let head = self.list.upcoming().front().map(|track| track.track);
        if self.next.as_ref().is_some_and(|next| Some(next.track.track) != head) {
            self.drop_next();
        }
        if self.not_ready != head {
            self.not_ready = None;
        }
    }

    fn play_now(&mut self, now: Time, asked: Time, track: TrackInfo) {
        self.leave_current(true);
        self.begin(now, asked, track);
    }

    /// Ends what plays. What was made ready is dropped too: the song that follows now needs the line for itself.
    fn leave_current(&mut self, remember: bool) -> Option<TrackInfo> {
        self.drop_next();
        self.holding = false;
        self.taken_back = None;
        self.sought = None;
        self.failures = 0;
        self.problem = None;
        let deck = self.current.take()?;
        if deck.stage != Stage::Cued {
            self.act(Action::Close { ticket: deck.ticket });
        }
        if deck.stage >= Stage::Handed {
            self.act(Action::Silence);
        }
        if remember {
            self.list.remember(deck.track);
            return None;
        }
        Some(deck.track)
    }

    /// Makes `track` the current song, whatever was before.
    fn begin(&mut self, now: Time, asked: Time, track: TrackInfo) {
        let mut deck = self.open(track, now);
        deck.asked = Some(asked);
        self.current = Some(deck);
        self.activity = Activity::Playing;
    }

    fn go_on_or_begin(&mut self, now: Time, asked: Time) -> Result<(), CommandError> {
        match &mut self.current {
            Some(deck) if deck.stage == Stage::Cued => {
                deck.asked = Some(asked);
                self.problem = None;
                self.open_current(now);
                self.activity = Activity::Playing;
            }
            Some(_) if self.activity == Activity::Playing => {}
            Some(_) => self.resume(now, asked)?,
            None => {
                let first = self.list.pop_next().ok_or_else(|| {
                    not_now("nothing is queued; choose a song with `silverstream play WORDS` or `silverstream queue add TRACK`")
                })?;
                self.begin(now, asked, first);
            }
        }
        Ok(())
    }

    fn pause(&mut self) -> Result<(), CommandError> {
        let deck = self.current.as_ref().filter(|_| self.activity != Activity::Stopped).ok_or_else(nothing_plays)?;
        if deck.stage >= Stage::Handed {
            self.pause_engine(true);
        }
        // A song that is held back stays so, now by the listener.
        self.holding = false;
        self.activity = Activity::Paused;
        Ok(())
    }

    fn resume(&mut self, now: Time, asked: Time) -> Result<(), CommandError> {
        let deck = self.current.as_mut().filter(|_| self.activity != Activity::Stopped).ok_or_else(nothing_plays)?;
        if self.activity == Activity::Playing {
            return Ok(());
        }
        deck.since = now;
        match deck.stage {
            Stage::Cued => {
                deck.asked = Some(asked);
                self.open_current(now);
            }
            Stage::Sounding if deck.runs_dry(now) => self.holding = true,
            Stage::Handed | Stage::Sounding => self.pause_engine(false),
            Stage::Opening | Stage::Filling => {}
        }
        self.activity = Activity::Playing;
        Ok(())
    }

    fn stop(&mut self, now: Time) {
        let Some(deck) = self.current.clone() else { return };
        self.leave_current(false);
        self.cue(deck, now);
    }

    fn skip(&mut self, now: Time, asked: Time) -> Result<(), CommandError> {
        if self.list.upcoming().is_empty() {
            return Err(not_now("no song follows this one; add some with `silverstream queue add TRACK`"));
        }
        self.leave_current(true);
        if let Some(track) = self.list.pop_next() {
            self.begin(now, asked, track);
        }
        Ok(())
    }

    fn back(&mut self, now: Time, asked: Time) -> Result<(), CommandError> {
        let goes_back = self.position() <= JUST_BEGUN && !self.list.history().is_empty();
        if self.current.is_some() && !goes_back {
            self.seek(now, asked, SeekTo::Absolute(0.0)).or_else(|_| self.go_on_or_begin(now, asked))?;
            if self.activity == Activity::Paused {
                self.resume(now, asked)?;
            }
            return Ok(());
        }
        let Some(before) = self.list.recall() else {
            return Err(not_now("no song was played before; choose one with `silverstream play WORDS`"));
        };
        if let Some(track) = self.leave_current(false) {
            self.list.put_back(track);
        }
        self.begin(now, asked, before);
        Ok(())
    }

    fn seek(&mut self, now: Time, asked: Time, to: SeekTo) -> Result<(), CommandError> {
        let position = self.position().as_secs_f64();
        let Some(deck) = self.current.as_mut().filter(|_| self.activity != Activity::Stopped) else {
            return Err(nothing_plays());
        };
        let wanted = match to {
            SeekTo::Absolute(seconds) => seconds,
            SeekTo::Relative(seconds) => position + seconds,
        };
        if !wanted.is_finite() {
            return Err(CommandError {
                code: ErrorCode::Usage,
                message: "the place in the song is not a number of seconds; give one such as 90 or -10".to_owned(),
            });
        }
        let target = Duration::from_secs_f64(wanted.clamp(0.0, MAX_SEEK_S));
        if deck.facts.duration.is_some_and(|duration| !duration.is_zero() && target >= duration) {
            return self.skip_to_the_end(now, asked);
        }
        deck.start = target;
        // What was told of the supply was about another place.
        deck.supply = None;
        match deck.probe {
            Probe::Running => deck.moved = true,
            Probe::Done if deck.stage == Stage::Filling => deck.probe = Probe::Wanted(0),
            _ => {}
        }
        if deck.stage >= Stage::Handed {
            deck.since = now;
            self.sought = Some((target, now));
            self.act(Action::Seek(target));
        }
        Ok(())
    }

    /// Beyond the end lies the next song, or silence.
    fn skip_to_the_end(&mut self, now: Time, asked: Time) -> Result<(), CommandError> {
        if self.list.upcoming().is_empty() {
            self.stop(now);
            return Ok(());
        }
        self.skip(now, asked)
    }

    fn set_volume(&mut self, to: VolumeTo) {
        self.volume = match to {
            VolumeTo::Absolute(percent) => percent.min(100),
            VolumeTo::Relative(points) => self.volume.saturating_add_signed(points).min(100),
        };
        self.act(Action::Volume(self.volume));
    }
}
