//! What a hand at the knob means on each screen.

use super::overlay::{Action, Toast, Volume};
use super::screens::dial::Asked;
use super::screens::menu::{self, Menu};
use super::screens::queue::{self, Queue};
use super::screens::results::{self, Results};
use super::screens::status::Pages;
use super::{Screen, Ui};
use crate::control::{Command, CommandError, SearchMode};
use crate::panel::Key;
use crate::types::Time;

impl Ui {
    /// Turned by `detents`, and so fast that in a long list it is meant as `reach`.
    pub(super) fn turn(&mut self, now: Time, detents: i32, reach: i32) -> Vec<Command> {
        if let Some(sheet) = &mut self.sheet {
            sheet.turn(detents);
            return Vec::new();
        }
        match self.screen {
            // Quickly softer, but never louder than the hand expects.
            Screen::NowPlaying if detents != 0 => return vec![self.turn_volume(now, detents.min(reach))],
            Screen::NowPlaying => {}
            Screen::Dial => self.dial.turn(detents),
            Screen::Results => self.results.turn(now, detents, reach),
            Screen::Queue => self.queue.turn(now, detents, reach),
            Screen::Status => self.pages.turn(detents),
            Screen::Menu => self.menu.turn(&self.view, detents),
        }
        Vec::new()
    }

    pub(super) fn press(&mut self, now: Time) -> Vec<Command> {
        if let Some(sheet) = self.sheet.take() {
            return self.act(now, sheet.chosen());
        }
        match self.screen {
            Screen::NowPlaying if self.view.is_active() => return vec![Command::Toggle],
            Screen::NowPlaying if self.view.player().queued > 0 => return vec![Command::Play { track: None }],
            Screen::NowPlaying => return self.search(now),
            Screen::Dial => return self.take_letter(now),
            Screen::Results if self.results.chosen().is_some() => self.sheet = Some(results::SHEET),
            Screen::Results => return self.search(now),
            Screen::Queue => match self.queue.sheet() {
                Some(sheet) => self.sheet = Some(sheet),
                None => return self.search(now),
            },
            Screen::Status => self.go(Screen::NowPlaying),
            Screen::Menu => return self.choose(now),
        }
        Vec::new()
    }

    /// The second of two presses. The first has paused the song: the next one plays on, whichever it was.
    pub(super) fn double(&mut self, now: Time) -> Vec<Command> {
        if self.screen == Screen::NowPlaying && self.sheet.is_none() && self.view.is_active() {
            vec![Command::Next]
        } else {
            self.press(now)
        }
    }

    /// A button that means the same on every screen.
    pub(super) fn key(&mut self, now: Time, key: Key) -> Vec<Command> {
        vec![match key {
            Key::Back => {
                self.back();
                return Vec::new();
            }
            Key::Play if self.view.is_active() => Command::Toggle,
            Key::Play => Command::Play { track: None },
            Key::Next => Command::Next,
            Key::Previous => Command::Previous,
            Key::Stop => Command::Stop,
            Key::Louder => self.turn_volume(now, 1),
            Key::Softer => self.turn_volume(now, -1),
        }]
    }

    fn turn_volume(&mut self, now: Time, detents: i32) -> Command {
        let (volume, command) = Volume::turn(self.volume, now, self.view.player().volume, detents);
        self.volume = Some(volume);
        command
    }

    pub(super) fn hold(&mut self) {
        if self.screen == Screen::Menu {
            self.go(Screen::NowPlaying);
        } else {
            self.menu = Menu::default();
            self.go(Screen::Menu);
        }
    }

    fn back(&mut self) {
        match self.screen {
            Screen::Status if self.pages.stay() => {}
            Screen::Status => self.go(Screen::NowPlaying),
            _ => self.hold(),
        }
    }

    /// Opens the wheel with what was dialled before.
    fn search(&mut self, now: Time) -> Vec<Command> {
        self.go(Screen::Dial);
        self.dial.refresh(now);
        vec![Command::Dial { prefix: self.dial.prefix().to_owned() }]
    }

    fn take_letter(&mut self, now: Time) -> Vec<Command> {
        let prefix = self.dial.prefix().to_owned();
        match self.dial.press(now) {
            Asked::Nothing => Vec::new(),
            Asked::Letters => vec![Command::Dial { prefix: self.dial.prefix().to_owned() }],
            Asked::Hits => {
                self.results = Results::new(now, prefix.clone());
                self.go(Screen::Results);
                vec![Command::Search { query: prefix, limit: results::LIMIT, mode: SearchMode::Prefix }]
            }
        }
    }

    /// Carries out an entry of the menu.
    fn choose(&mut self, now: Time) -> Vec<Command> {
        let entry = self.menu.chosen(&self.view);
        self.go(Screen::NowPlaying);
        match entry {
            menu::Entry::Search => {
                self.dial.clear(now);
                self.search(now)
            }
            menu::Entry::Queue => {
                self.queue = Queue::new(now);
                self.go(Screen::Queue);
                vec![Command::QueueList]
            }
            menu::Entry::Status => {
                self.pages = Pages::default();
                self.go(Screen::Status);
                Vec::new()
            }
            menu::Entry::Pause => vec![Command::Pause],
            menu::Entry::Resume => vec![Command::Resume],
            menu::Entry::Next => vec![Command::Next],
            menu::Entry::Previous => vec![Command::Previous],
            menu::Entry::Stop => vec![Command::Stop],
            menu::Entry::Back => Vec::new(),
        }
    }

    /// Carries out an action of a sheet.
    fn act(&mut self, now: Time, action: Action) -> Vec<Command> {
        let entry = self.queue.chosen().filter(|_| self.screen == Screen::Queue);
        let (track, position) = match (entry, self.results.chosen()) {
            (Some(queue::Entry::Current(track)), _) => (Some(track.track), None),
            (Some(queue::Entry::Waiting(position, track)), _) => (Some(track.track), Some(position)),
            (None, hit) => (hit.map(|hit| hit.track), None),
        };
        match (action, track, position) {
            (Action::PlayNow, Some(track), position) => {
                self.go(Screen::NowPlaying);
                // Out of the queue first, or it would play twice.
                let remove = position.map(|position| Command::QueueRemove { position });
                remove.into_iter().chain([Command::Play { track: Some(track) }]).collect()
            }
            (Action::AddToQueue, Some(track), _) => vec![Command::QueueAdd { tracks: vec![track] }],
            (Action::Remove, _, Some(position)) => vec![Command::QueueRemove { position }],
            (Action::ClearQueue, ..) => vec![Command::QueueClear],
            (Action::Skip, ..) => {
                self.go(Screen::NowPlaying);
                vec![Command::Next]
            }
            (Action::SearchAgain, ..) => {
                self.dial.clear(now);
                self.search(now)
            }
            (Action::PlayNow | Action::AddToQueue | Action::Remove | Action::Back, ..) => Vec::new(),
        }
    }

    pub(super) fn failed(&mut self, now: Time, command: &Command, error: &CommandError) {
        match command {
            Command::Dial { prefix } => self.dial.failed(prefix),
            Command::Search { query, .. } => self.results.answer(now, query, Default::default()),
            _ => {}
        }
        self.toast = Some(Toast::new(now, &error.message));
    }
}
