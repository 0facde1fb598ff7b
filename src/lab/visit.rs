//! A scripted visit to a jukebox, made with the knob alone as a person would: dial, choose, play, look around.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::LabError;
use crate::audio::{Decoder, FileInput};
use crate::control::{Command, DialState, Handle, PlayState, PlayerStatus, Reply, SearchMode, SearchResults};
use crate::jukebox::Jukebox;
use crate::panel::Frame;
use crate::types::TrackId;
use crate::ui::{Slot, wheel};

/// Pixels of a file a pixel of the display.
const SCALE: u32 = 4;

/// The screen counts as settled when it has not changed for so long.
const SETTLED: Duration = Duration::from_millis(300);

/// How long a screen may go on moving before the visitor acts all the same (titles scroll for ever).
const RESTLESS: Duration = Duration::from_secs(5);

/// How long a song may take to start, and to end after its length.
const PATIENCE: Duration = Duration::from_secs(60);

/// The visitor leaves the wheel for the list when so few hits are left.
const FEW_HITS: u64 = 3;

/// What the visitor looks for among the composed pieces, misspelt.
const MISSPELT: (&str, &str) = ("copper rian", "Copper Rain");

/// What came of the visit.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Visit {
    /// Letters that were dialled.
    pub dialled: String,
    pub detents: u32,
    pub presses: u32,
    pub query: String,
    pub found: String,
    pub search_ms: f64,
    pub track: Option<TrackId>,
    pub title: String,
    pub artist: String,
    /// Milliseconds from the press to the first sample.
    pub startup_ms: f64,
    pub duration_s: f64,
    pub underruns: u64,
    pub pictures: Vec<PathBuf>,
}

/// Visits the jukebox. `composed`: the music is the demo's own, in which a misspelt title must be found.
///
/// # Errors
/// If nothing can be dialled, found or heard.
pub async fn make(jukebox: &Jukebox, out: &Path, composed: bool) -> Result<Visit, LabError> {
    let mut visitor = Visitor {
        control: jukebox.control().clone(),
        frames: jukebox.frames(),
        out: out.to_owned(),
        visit: Visit::default(),
    };
    visitor.search(composed).await?;
    let target = visitor.visit.found.clone();
    visitor.picture("nothing-plays").await?;
    visitor.dial(&target).await?;
    visitor.play_first().await?;
    visitor.listen().await?;
    visitor.look_around().await?;
    visitor.wait_for("the song ends", |player| player.state == PlayState::Stopped).await?;
    let player = visitor.player();
    visitor.visit.underruns = player.underruns;
    Ok(visitor.visit)
}

struct Visitor {
    control: Handle,
    frames: tokio::sync::watch::Receiver<Frame>,
    out: PathBuf,
    visit: Visit,
}

impl Visitor {
    async fn ask(&self, command: Command) -> Result<Reply, LabError> {
        match self.control.send(command).await {
            Reply::Error(error) => Err(LabError::failed("the jukebox refuses")(error)),
            reply => Ok(reply),
        }
    }

    fn player(&self) -> PlayerStatus {
        self.control.status().borrow().player.clone()
    }

    async fn wait_for(
        &self,
        what: &'static str,
        condition: impl Fn(&PlayerStatus) -> bool,
    ) -> Result<PlayerStatus, LabError> {
        let mut status = self.control.status();
        let met =
            async { status.wait_for(|status| condition(&status.player)).await.map(|status| status.player.clone()) };
        let patience = PATIENCE + Duration::from_secs_f64(self.player().duration_s.clamp(0.0, 86_400.0));
        match tokio::time::timeout(patience, met).await {
            Ok(Ok(player)) => Ok(player),
            _ => Err(LabError::failed(what)(format!("it did not within {patience:?}: {:?}", self.player()))),
        }
    }

    /// Looks at the screen until it stands still.
    async fn settle(&mut self) {
        let still = async {
            while let Ok(Ok(())) = tokio::time::timeout(SETTLED, self.frames.changed()).await {
                self.frames.mark_unchanged();
            }
        };
        let _ = tokio::time::timeout(RESTLESS, still).await;
    }

    async fn turn(&mut self, detents: i32) -> Result<(), LabError> {
        self.visit.detents += detents.unsigned_abs();
        self.ask(Command::PanelTurn { detents }).await?;
        self.settle().await;
        Ok(())
    }

    async fn press(&mut self) -> Result<(), LabError> {
        self.visit.presses += 1;
        self.ask(Command::PanelPress).await?;
        self.settle().await;
        Ok(())
    }

    /// Saves what the screen shows.
    async fn picture(&mut self, name: &str) -> Result<(), LabError> {
        self.settle().await;
        let path = self.out.join(format!("screen-{}-{name}.png", self.visit.pictures.len() + 1));
        let png = self.frames.borrow().to_png(SCALE).map_err(LabError::failed("a picture cannot be made"))?;
        std::fs::write(&path, png).map_err(LabError::failed("a picture cannot be saved"))?;
        self.visit.pictures.push(path);
        Ok(())
    }

    /// Types a query, misspelt where it is known what should be found.
    async fn search(&mut self, composed: bool) -> Result<(), LabError> {
        let (query, expected) = if composed { MISSPELT } else { ("a", "") };
        let results = self.results(query, if composed { SearchMode::Fuzzy } else { SearchMode::Prefix }).await?;
        let Some(first) = results.results.first() else {
            return Err(LabError::failed("the search")(format!("nothing was found for {query:?}")));
        };
        if composed && first.title != expected {
            return Err(LabError::failed("the search")(format!("{query:?} found {:?} first", first.title)));
        }
        self.visit.query = query.to_owned();
        self.visit.found = first.title.clone();
        self.visit.search_ms = results.elapsed_ms;
        Ok(())
    }

    async fn results(&self, query: &str, mode: SearchMode) -> Result<SearchResults, LabError> {
        match self.ask(Command::Search { query: query.to_owned(), limit: 20, mode }).await? {
            Reply::Search(results) => Ok(results),
            other => Err(LabError::failed("the search")(format!("{other:?}"))),
        }
    }

    async fn letters(&self, prefix: &str) -> Result<DialState, LabError> {
        match self.ask(Command::Dial { prefix: prefix.to_owned() }).await? {
            Reply::Dial(state) => Ok(state),
            other => Err(LabError::failed("dialling")(format!("{other:?}"))),
        }
    }

    /// Dials the beginning of the title letter by letter, until few songs are left, and opens their list.
    async fn dial(&mut self, title: &str) -> Result<(), LabError> {
        self.press().await?;
        let mut letters = title.chars().flat_map(char::to_lowercase);
        loop {
            let prefix = self.visit.dialled.clone();
            let state = self.letters(&prefix).await?;
            let (slots, at) = wheel(&prefix, &state);
            let wanted = if !prefix.is_empty() && state.hits <= FEW_HITS { None } else { letters.next() };
            let place = slots.iter().position(|slot| match (slot, wanted) {
                (Slot::Letter(letter, _), Some(wanted)) => *letter == wanted,
                (Slot::Results, None) => true,
                _ => false,
            });
            let Some(place) = place else {
                return Err(LabError::failed("dialling")(format!("{wanted:?} is not on the wheel after {prefix:?}")));
            };
            // The wheel has no end: the shorter way round.
            let (there, size) = (place as i32 - at as i32, slots.len() as i32);
            let way = if there.abs() * 2 > size { there - there.signum() * size } else { there };
            if way != 0 {
                self.turn(way).await?;
            }
            if self.visit.dialled.chars().count() == 1 {
                self.picture("dial").await?;
            }
            self.press().await?;
            match wanted {
                Some(letter) => self.visit.dialled.push(letter),
                None => return self.picture("results").await,
            }
        }
    }

    /// Takes the first song of the list.
    async fn play_first(&mut self) -> Result<(), LabError> {
        self.press().await?;
        self.picture("choose").await?;
        self.press().await
    }

    async fn listen(&mut self) -> Result<(), LabError> {
        self.wait_for("the song starts", |player| player.state == PlayState::Playing && player.startup_ms.is_some())
            .await?;
        let player =
            self.wait_for("the song goes on", |player| player.position_s >= 2.0 && player.duration_s > 0.0).await?;
        let track = player.track.clone().unwrap_or_else(|| unreachable!("what plays has a name"));
        self.visit.track = Some(track.track);
        (self.visit.title, self.visit.artist) = (track.title, track.artist);
        self.visit.startup_ms = player.startup_ms.unwrap_or_default();
        self.visit.duration_s = player.duration_s;
        self.picture("now-playing").await
    }

    /// Every other screen, while the song plays.
    async fn look_around(&mut self) -> Result<(), LabError> {
        self.ask(Command::PanelTurn { detents: -1 }).await?;
        self.picture_now("volume").await?;
        self.ask(Command::PanelTurn { detents: 1 }).await?;
        self.ask(Command::PanelHold).await?;
        self.picture("menu").await?;
        // Queue is the second entry; Status the last but one.
        self.turn(1).await?;
        self.press().await?;
        self.picture("queue").await?;
        self.ask(Command::PanelHold).await?;
        self.turn(100).await?;
        self.turn(-1).await?;
        self.press().await?;
        self.picture("status").await
    }

    /// Saves what the screen shows as soon as it has changed: an overlay does not wait.
    async fn picture_now(&mut self, name: &str) -> Result<(), LabError> {
        self.frames.mark_unchanged();
        let _ = tokio::time::timeout(SETTLED, self.frames.changed()).await;
        let path = self.out.join(format!("screen-{}-{name}.png", self.visit.pictures.len() + 1));
        let png = self.frames.borrow().to_png(SCALE).map_err(LabError::failed("a picture cannot be made"))?;
        std::fs::write(&path, png).map_err(LabError::failed("a picture cannot be saved"))?;
        self.visit.pictures.push(path);
        Ok(())
    }
}

/// Makes sure that the WAV is as long as the song and not silent.
///
/// # Errors
/// If it is not.
pub fn check_sound(wav: &Path, visit: &Visit) -> Result<(), LabError> {
    let failed = LabError::failed::<String>("the WAV is not the song");
    let input = FileInput::open(wav).map_err(LabError::failed("the WAV cannot be opened"))?;
    let mut decoder = Decoder::open(Box::new(input), Some("wav"), Arc::default())
        .map_err(LabError::failed("the WAV cannot be read"))?;
    let per_second = f64::from(decoder.info().sample_rate) * f64::from(decoder.info().channels);
    let (mut samples, mut loudest) = (0, 0);
    while let Some(block) = decoder.next_block().map_err(LabError::failed("the WAV cannot be decoded"))? {
        samples += block.samples.len();
        loudest = block.samples.iter().map(|sample| sample.unsigned_abs()).fold(loudest, u32::max);
    }
    let seconds = samples as f64 / per_second;
    if seconds < visit.duration_s * 0.99 {
        return Err(failed(format!("it has {seconds:.1} s of {:.1} s", visit.duration_s)));
    }
    // A hundredth of full scale.
    if loudest < i32::MAX as u32 / 100 {
        return Err(failed("it is silent".to_owned()));
    }
    Ok(())
}
