//! What source and engine tell, and what follows from it: start, hold, follow without a gap, give up.

use std::time::Duration;

use super::core::{Action, Player};
use super::deck::{Deck, Facts, Probe, Stage, Supply};
use super::list::Activity;
use super::startup::Decision;
use crate::audio::{AudioEvent, Progress, StreamInfo};
use crate::control::{CommandError, TrackInfo};
use crate::types::Time;

/// The source may take this long to open a track: metadata and first peers may have to be found.
const OPEN_PATIENCE: Duration = Duration::from_secs(90);

/// A song that is waited for and of which no byte arrives for this long is given up.
const DATA_PATIENCE: Duration = Duration::from_secs(60);

/// A song that is all there, or whose data flows, and makes no sound for this long is given up.
const SOUND_PATIENCE: Duration = Duration::from_secs(120);

/// Songs that may fail in a row. One more means that something else is wrong, and the queue should not be burnt.
pub const MAX_FAILURES: u32 = 5;

/// The next song is opened when this much of the current one is left.
const OPEN_AHEAD: Duration = Duration::from_secs(30);

/// An engine that is at most this far behind where it was sent is there, for it has played on since. One that moves this
/// long after it was sent is where it can be.
const SEEK_TOLERANCE: Duration = Duration::from_secs(1);

/// An engine that is at most this far before where it was sent is there: frames and device delay are not exact.
const SEEK_SHORT: Duration = Duration::from_millis(100);

/// The start-up heuristic is asked again after its wait, but neither sooner nor later than this.
const RECONSIDER: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

impl Player {
    /// The source has opened a song, or could not.
    pub fn opened(&mut self, now: Time, ticket: u64, result: Result<TrackInfo, CommandError>) {
        let Some(deck) = self.deck(ticket) else { return self.act(Action::Close { ticket }) };
        if deck.stage != Stage::Opening {
            return;
        }
        match result {
            Ok(info) => {
                deck.track = info;
                deck.enter(Stage::Filling, now);
            }
            Err(error) => self.fail(now, ticket, &error.message, false),
        }
    }

    /// Data of a song has arrived, or time has passed. The owner calls [`Player::handle_timeout`] or another input
    /// next.
    pub fn supplied(&mut self, now: Time, ticket: u64, supply: Supply) {
        let Some(deck) = self.deck(ticket) else { return };
        deck.supply(now, supply);
        if let Some(at) = deck.probe_now() {
            deck.probe = Probe::Running;
            let start = deck.start;
            self.act(Action::Probe { ticket, at, start });
        }
        self.advance(now);
    }

    /// The beginning of a file was read. `again` is where reading on would tell more: behind a long tag.
    pub fn probed(&mut self, now: Time, ticket: u64, facts: Facts, again: Option<u64>) {
        let Some(deck) = self.deck(ticket).filter(|deck| deck.stage == Stage::Filling) else { return };
        let begun_elsewhere = std::mem::take(&mut deck.moved);
        deck.facts = facts;
        deck.probe = match again {
            Some(at) => Probe::Wanted(at),
            None if begun_elsewhere => Probe::Wanted(0),
            None => Probe::Done,
        };
        // What was told of the supply was about another place; the owner looks again after every input.
        deck.supply = None;
        self.advance(now);
    }

    /// What the engine puts out now.
    pub fn progressed(&mut self, now: Time, progress: Progress) {
        if let Some((target, since)) = self.sought {
            let there = progress.position + SEEK_SHORT >= target && progress.position <= target + SEEK_TOLERANCE;
            let moves = progress.position != self.progress.position && now.since(since) >= SEEK_TOLERANCE;
            if there || moves {
                self.sought = None;
            }
        }
        self.progress = progress;
    }

    /// The engine tells something.
    pub fn heard(&mut self, now: Time, event: AudioEvent) {
        match event {
            AudioEvent::Opened { token, info } => self.recognised(token, &info),
            AudioEvent::Duration { token, duration } => {
                if let Some(deck) = self.deck(token) {
                    deck.facts.duration = Some(duration);
                }
            }
            AudioEvent::Started { token } => self.started(now, token),
            AudioEvent::Starved { token } => self.starved(now, token),
            AudioEvent::Recovered { .. } => {}
            AudioEvent::Finished { token } => self.finished(now, token),
            AudioEvent::Failed { token, error } => self.fail(now, token, &error, false),
            AudioEvent::OutputLost(message) => self.notice(message),
            AudioEvent::OutputBack => self.problem = None,
        }
        self.advance(now);
    }

    fn deck(&mut self, ticket: u64) -> Option<&mut Deck> {
        self.current
            .iter_mut()
            .chain(self.next.iter_mut())
            .find(|deck| deck.ticket == ticket && deck.stage != Stage::Cued)
    }

    fn recognised(&mut self, token: u64, info: &StreamInfo) {
        if let Some(deck) = self.deck(token) {
            deck.facts.bitrate_bps = info.bitrate_bps.or(deck.facts.bitrate_bps);
            deck.facts.duration = info.duration.or(deck.facts.duration);
        }
    }

    fn started(&mut self, now: Time, token: u64) {
        if self.next.as_ref().is_some_and(|next| next.ticket == token && next.enqueued) {
            self.finish_current(now);
        }
        if self.taken_back == Some(token) && self.current.as_ref().is_some_and(|deck| deck.stage == Stage::Sounding) {
            // It was taken back too late: the current song is over, and this one must not be heard.
            self.taken_back = None;
            self.act(Action::Silence);
            return self.finish_current(now);
        }
        let handed = |deck: &&mut Deck| deck.ticket == token && deck.stage == Stage::Handed;
        let Some(deck) = self.current.as_mut().filter(handed) else { return };
        deck.enter(Stage::Sounding, now);
        let (track, asked, milestones) = (deck.track.track, deck.asked.take(), deck.milestones);
        // Until the engine tells where it is, it is where it was told to begin.
        if self.progress.token != token {
            self.sought = None;
            self.progress = Progress { token, position: deck.start, ring: Duration::ZERO, ..self.progress };
        }
        if let Some(asked) = asked {
            self.startup_ms = Some(now.since(asked).as_secs_f64() * 1000.0);
            self.startup = Some(milestones.told(asked, now));
        }
        if self.failures == 0 {
            self.problem = None;
        }
        // Else it stays while this song plays: why another one is not heard.
        self.failures = 0;
        self.act(Action::Played(track));
    }

    fn starved(&mut self, now: Time, token: u64) {
        let playing = self.activity == Activity::Playing;
        let Some(deck) = self.current.as_mut().filter(|deck| deck.ticket == token) else { return };
        if deck.stage != Stage::Sounding || self.holding || deck.complete() {
            return;
        }
        deck.starved = true;
        deck.since = now;
        if playing && deck.decide(now) != Decision::Start {
            self.holding = true;
            self.pause_engine(true);
        }
    }

    fn finished(&mut self, now: Time, token: u64) {
        if self.current.as_ref().is_some_and(|deck| deck.ticket == token && deck.stage >= Stage::Handed) {
            self.finish_current(now);
        }
    }

    /// The current song is over: remember it and go on with the next.
    fn finish_current(&mut self, now: Time) {
        self.taken_back = None;
        self.sought = None;
        if let Some(deck) = self.current.take() {
            self.act(Action::Close { ticket: deck.ticket });
            self.list.remember(deck.track);
        }
        self.go_on(now);
    }

    /// Makes the head of the queue the current song, with what was made ready of it.
    pub(super) fn go_on(&mut self, now: Time) {
        self.version += 1;
        self.holding = false;
        self.not_ready = None;
        let Some(track) = self.list.pop_next() else {
            self.activity = Activity::Stopped;
            return;
        };
        let deck = match self.next.take() {
            Some(next) => next,
            None => self.open(track, now),
        };
        self.current = Some(Deck { since: now, ..deck });
    }

    /// The song of this ticket will not be heard. `engaged`: the engine still has it.
    fn fail(&mut self, now: Time, ticket: u64, reason: &str, engaged: bool) {
        if self.next.as_ref().is_some_and(|next| next.ticket == ticket) {
            self.not_ready = self.next.as_ref().map(|next| next.track.track);
            return self.drop_next();
        }
        let Some(deck) = self.current.take_if(|deck| deck.ticket == ticket && deck.stage != Stage::Cued) else {
            return;
        };
        self.act(Action::Close { ticket });
        self.sought = None;
        if engaged {
            self.act(Action::Silence);
            // What was to follow without a gap was silenced with it.
            if self.next.as_ref().is_some_and(|next| next.enqueued) {
                self.drop_next();
            }
        }
        self.failures += 1;
        let title = title(&deck.track);
        if self.failures >= MAX_FAILURES && !self.list.upcoming().is_empty() {
            self.notice(format!(
                "{} songs in a row could not be played, the last one {title}: {reason}; check the network and the disk, then press play",
                self.failures
            ));
            return self.cue(deck, now);
        }
        if self.list.upcoming().is_empty() {
            self.notice(format!("{title} cannot be played: {reason}"));
            return self.cue(deck, now);
        }
        self.notice(format!("{title} was skipped: {reason}"));
        self.go_on(now);
    }

    /// Stops with `deck` as the song that "play" begins with.
    pub(super) fn cue(&mut self, deck: Deck, now: Time) {
        self.drop_next();
        self.activity = Activity::Stopped;
        self.holding = false;
        self.failures = 0;
        self.version += 1;
        let mut cued = Deck::new(0, deck.track, now);
        cued.enter(Stage::Cued, now);
        self.current = Some(cued);
    }

    /// Lets go of what was made ready.
    pub(super) fn drop_next(&mut self) {
        if let Some(next) = self.next.take() {
            if next.enqueued {
                self.act(Action::Dequeue);
                self.taken_back = Some(next.ticket);
            }
            self.act(Action::Close { ticket: next.ticket });
        }
    }

    pub(super) fn give_up_on_what_does_not_come(&mut self, now: Time) {
        if self.activity != Activity::Playing {
            return;
        }
        let Some(deck) = &self.current else { return };
        let silent = now.since(deck.since);
        let quiet = now.since(deck.meter.moved().map_or(deck.since, |moved| moved.max(deck.since)));
        let starving = deck.stage == Stage::Filling || deck.stage == Stage::Handed || self.holding;
        let damaged = deck.supply.map_or(0, |supply| supply.fetch.damaged);
        let reason = if deck.stage == Stage::Opening && silent >= OPEN_PATIENCE {
            "nobody who has it was found in time; try again later".to_owned()
        } else if starving && !deck.complete() && quiet >= DATA_PATIENCE {
            no_data(damaged)
        } else if deck.stage == Stage::Handed && silent >= SOUND_PATIENCE && quiet >= DATA_PATIENCE {
            "it makes no sound".to_owned()
        } else {
            return;
        };
        self.fail(now, deck.ticket, &reason, deck.stage >= Stage::Handed);
    }

    /// Does what has become possible.
    pub(super) fn advance(&mut self, now: Time) {
        if self.activity != Activity::Playing {
            return;
        }
        let Some(deck) = &mut self.current else { return };
        if deck.stage == Stage::Filling || self.holding {
            match deck.decide_at_last(now) {
                Decision::Start if self.holding => {
                    self.holding = false;
                    deck.since = now;
                    self.pause_engine(false);
                }
                Decision::Start => {
                    deck.enter(Stage::Handed, now);
                    let (ticket, start) = (deck.ticket, deck.start);
                    self.pause_engine(false);
                    self.act(Action::Play { ticket, start });
                }
                Decision::Wait(wait) => self.wake = Some(now + wait.clamp(RECONSIDER.0, RECONSIDER.1)),
                Decision::WaitForData => {}
            }
        }
        self.prepare_next(now);
    }

    /// Fetches, opens and enqueues the head of the queue in time.
    fn prepare_next(&mut self, now: Time) {
        let Some(current) = self.current.as_ref().filter(|deck| deck.stage == Stage::Sounding && !self.holding) else {
            return;
        };
        let Some(head) = self.list.upcoming().front().cloned() else { return };
        let remaining = current.facts.duration.map(|duration| duration.saturating_sub(self.position()));
        let shares = current.can_share_the_line(now);
        let untouched = self.next.is_none() && self.not_ready != Some(head.track);
        if shares && untouched && self.prefetched != Some(head.track) {
            if let Some(before) = self.prefetched.replace(head.track) {
                self.act(Action::Forget(before));
            }
            self.act(Action::Prefetch(head.track));
        }
        let near = remaining.is_none_or(|remaining| remaining <= OPEN_AHEAD);
        match &mut self.next {
            None if self.not_ready != Some(head.track) && shares && near => {
                self.next = Some(self.open(head, now));
            }
            Some(next) if next.stage == Stage::Filling && next.decide(now) == Decision::Start => {
                next.enter(Stage::Handed, now);
                next.enqueued = true;
                let ticket = next.ticket;
                self.act(Action::Enqueue { ticket });
            }
            _ => {}
        }
    }
}

/// Why no data comes that can be used, with what to do.
fn no_data(damaged: u64) -> String {
    let pieces = match damaged {
        0 => return "those who have it send nothing any longer; try again later".to_owned(),
        1 => "1 piece".to_owned(),
        more => format!("{more} pieces"),
    };
    format!(
        "those who have it send nothing that is whole ({pieces} came damaged); choose another copy of it, or try again \
         later when others have it"
    )
}

/// A song's name in a sentence.
fn title(track: &TrackInfo) -> String {
    format!("“{}”", if track.title.is_empty() { "a song without a title" } else { &track.title })
}
