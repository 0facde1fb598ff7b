//! The main job on one machine: a private world on loopback addresses, and a jukebox in it that is told one of them.

use std::io::{IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::LabError;
use super::visit::{self, Visit};
use super::world::music::{Lengths, Release, releases_of, write_releases};
use super::world::{Seeding, World, WorldConfig};
use crate::audio::OutputSpec;
use crate::config::{BoardProfile, Config, NodeCount, Scope};
use crate::control::Status;
use crate::jukebox::{self, Jukebox};
use crate::panel::{self, DisplaySpec, Frame, KnobSpec};
use crate::types::{Bytes, Clock, Tick};
use crate::ui;

/// Seconds of the shortest composed track.
const TRACK_S: f32 = 10.0;

/// How long the jukebox may take to index the world. Under emulation everything takes ten times as long.
const PATIENCE: Duration = Duration::from_secs(300);

/// How long the keys are shown before the panel covers them.
const READING: Duration = Duration::from_secs(2);

/// The jukebox's DHT nodes.
const NODES: u32 = 8;

/// What kind of demo.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// Music to share; composed if none.
    pub music: Option<PathBuf>,
    /// Where sound, pictures and summary go.
    pub out: PathBuf,
    /// Make the scripted visit even on a terminal.
    pub script: bool,
    /// DHT nodes of the world.
    pub nodes: usize,
    pub seed: u64,
}

/// What the demo showed.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    pub sightings: u64,
    pub infohashes: u64,
    pub torrents: u64,
    pub tracks: u64,
    pub not_music: u64,
    /// From the start of the jukebox to the last track indexed.
    pub indexed_after_s: f64,
    pub visit: Visit,
    pub wav: PathBuf,
}

/// Builds the world, starts the jukebox, and gives it to the person at the terminal, or visits it by itself where there
/// is none (then there is a summary).
///
/// # Errors
/// If the world or the jukebox cannot be made, or the visit does not end as it should.
pub fn run(options: &DemoOptions) -> Result<Option<Summary>, LabError> {
    let runtime = tokio::runtime::Runtime::new().map_err(LabError::failed("no runtime"))?;
    let interactive = !options.script && std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let work = tempfile::tempdir().map_err(LabError::failed("no temporary folder"))?;
    std::fs::create_dir_all(&options.out).map_err(LabError::failed("the output folder cannot be made"))?;
    let releases = music(options, work.path())?;
    let cancel = CancellationToken::new();
    let guard = cancel.clone().drop_guard();
    let outcome = runtime.block_on(show(options, releases, work.path(), interactive, cancel));
    drop(guard);
    runtime.shutdown_timeout(Duration::from_secs(2));
    outcome
}

fn music(options: &DemoOptions, work: &Path) -> Result<Vec<Release>, LabError> {
    let Some(folder) = &options.music else {
        say("composing music ...");
        let begin = Instant::now();
        let releases = write_releases(&work.join("releases"), options.seed, Lengths { track_s: TRACK_S })
            .map_err(LabError::failed("the music cannot be written"))?;
        let tracks: usize = releases.iter().map(|release| release.tracks).sum();
        say(&format!("composed {tracks} pieces in {:.1} s", begin.elapsed().as_secs_f64()));
        return Ok(releases);
    };
    let releases = releases_of(folder).map_err(LabError::failed("the music folder cannot be read"))?;
    if releases.is_empty() {
        let error = format!("{} holds no audio files; name a folder with albums", folder.display());
        return Err(LabError::failed("nothing to share")(error));
    }
    Ok(releases)
}

async fn show(
    options: &DemoOptions,
    releases: Vec<Release>,
    work: &Path,
    interactive: bool,
    cancel: CancellationToken,
) -> Result<Option<Summary>, LabError> {
    let expected: u64 = releases.iter().map(|release| release.tracks as u64).sum();
    let torrents = releases.len();
    let config = WorldConfig {
        nodes: options.nodes,
        seed: options.seed,
        releases,
        scratch: work.join("world"),
        seeding: Seeding::default(),
    };
    let world = World::start(config, Clock::start(), cancel.clone()).await?;
    say(&format!("a world of {} DHT nodes and {torrents} torrents runs on loopback addresses", options.nodes));
    say(&format!("the jukebox is told one address of it: {}", world.bootstrap()));

    let wav = options.out.join("visit.wav");
    let output = if interactive { loudspeaker() } else { format!("wav:{}", wav.display()) };
    let jukebox_config = configure(world.bootstrap(), work, output);
    let board = BoardProfile::load("sim").map_err(LabError::failed("the board profile"))?;
    let begin = Instant::now();
    let jukebox = Jukebox::start(&jukebox_config, &board, cancel.clone())
        .await
        .map_err(LabError::failed("the jukebox cannot be started"))?;
    if interactive {
        return give_panel(jukebox, expected, begin, cancel).await.map(|()| None);
    }
    let status = index(&jukebox, expected, begin).await?;
    let indexed_after_s = begin.elapsed().as_secs_f64();
    let visit = visit::make(&jukebox, &options.out, options.music.is_none()).await?;
    let summary = Summary {
        sightings: status.dht.sightings,
        infohashes: status.dht.infohashes,
        torrents: status.index.torrents,
        tracks: status.index.tracks,
        not_music: status.index.not_music,
        indexed_after_s,
        visit,
        wav: wav.clone(),
    };
    cancel.cancel();
    jukebox.wait().await.map_err(LabError::failed("the jukebox did not end well"))?;
    visit::check_sound(&wav, &summary.visit)?;
    save(&summary, &options.out)?;
    Ok(Some(summary))
}

/// ALSA's default device, or nothing where there is none: everything else can be seen all the same.
fn loudspeaker() -> String {
    const DEVICE: &str = "alsa:default";
    match DEVICE.parse::<OutputSpec>().and_then(|spec| spec.check()) {
        Ok(_) => DEVICE.to_owned(),
        Err(error) => {
            say(&format!("no sound: {error}"));
            say("the demo goes on without it; what plays is shown");
            "null".to_owned()
        }
    }
}

/// Shows how the jukebox learns what there is, then gives its panel to the person at the terminal until they quit.
async fn give_panel(
    running: Jukebox,
    expected: u64,
    begin: Instant,
    cancel: CancellationToken,
) -> Result<(), LabError> {
    // So that the terminal is given back whatever ends the demo.
    jukebox::end_on_signals(cancel.clone()).map_err(LabError::failed("no signals"))?;
    tokio::select! {
        learnt = index(&running, expected, begin) => drop(learnt?),
        () = cancel.cancelled() => {}
    }
    if !cancel.is_cancelled() {
        say("turn the knob with the arrow keys, press it with Enter, hold it with Space, leave with q");
        tokio::time::sleep(READING).await;
        let (gestures, inbox) = tokio::sync::mpsc::channel(panel::GESTURE_CAPACITY);
        let mut panel =
            panel::open(&DisplaySpec::Simulated { size: panel::OLED }, &KnobSpec::Simulated, gestures, &cancel);
        if let Some(problem) = panel.problems.pop() {
            return Err(LabError::failed("the panel cannot be shown")(problem));
        }
        // The jukebox has no panel of its own here, so nobody else needs the frames.
        let (frames, _) = tokio::sync::watch::channel(Frame::default());
        let (turned, farewell) = (tokio::sync::watch::Sender::default(), ui::Farewell::default());
        let outlets = ui::Outlets { frames, turned, tick: Tick::default(), notice: None, farewell };
        ui::run(running.control().clone(), panel.display, inbox, outlets, cancel.clone()).await;
        panel::give_back_terminal();
    }
    cancel.cancel();
    running.wait().await.map_err(LabError::failed("the jukebox ended"))
}

fn configure(bootstrap: SocketAddr, work: &Path, output: String) -> Config {
    let mut config = Config::default();
    config.dht.nodes = NodeCount::Fixed(NODES);
    config.dht.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    config.dht.bootstrap = vec![bootstrap.to_string()];
    config.network.scope = Scope::Private;
    config.index.path = work.join("jukebox/index");
    config.storage.path = work.join("jukebox/music");
    config.storage.budget = Some(Bytes::gib(1));
    config.audio.output = Some(output);
    config.control.socket = work.join("jukebox/control.sock");
    config.panel.display = Some("none".to_owned());
    config.panel.knob = Some("none".to_owned());
    config
}

/// Waits until everything is indexed, and shows how it goes.
async fn index(jukebox: &Jukebox, expected: u64, begin: Instant) -> Result<Status, LabError> {
    let mut view = jukebox.control().status();
    let mut told = String::new();
    loop {
        let status = view.borrow_and_update().clone();
        let line = format!(
            "{:>4} contacts  {:>5} sightings  {:>2} infohashes  {:>2} torrents  {:>3} of {expected} tracks",
            status.dht.contacts,
            status.dht.sightings,
            status.dht.infohashes,
            status.index.torrents,
            status.index.tracks,
        );
        if line != told {
            say(&format!("{:>5.1} s  {line}", begin.elapsed().as_secs_f64()));
            told = line;
        }
        if status.index.tracks >= expected {
            return Ok((*status).clone());
        }
        if begin.elapsed() > PATIENCE {
            return Err(LabError::failed("not everything was indexed in time")(format!("{status:?}")));
        }
        let _ = tokio::time::timeout(Duration::from_secs(5), view.changed()).await;
    }
}

impl Summary {
    /// The summary for people.
    pub fn to_text(&self) -> String {
        let Self { visit, .. } = self;
        let pictures: Vec<String> = visit.pictures.iter().map(|path| path.display().to_string()).collect();
        format!(
            "sightings   {} of {} infohashes\ntorrents    {} with music, {} without\n\
             tracks      {}, indexed after {:.1} s\nsearch      {:?} found {:?} in {:.1} ms\n\
             dialled     {:?} with {} detents and {} presses\nplayed      {} – {} ({:.1} s)\n\
             startup_ms  {:.1}\nunderruns   {}\nWAV         {}\nPNGs        {}",
            self.sightings,
            self.infohashes,
            self.torrents,
            self.not_music,
            self.tracks,
            self.indexed_after_s,
            visit.query,
            visit.found,
            visit.search_ms,
            visit.dialled,
            visit.detents,
            visit.presses,
            visit.artist,
            visit.title,
            visit.duration_s,
            visit.startup_ms,
            visit.underruns,
            self.wav.display(),
            pictures.join("\n            "),
        )
    }
}

fn save(summary: &Summary, out: &Path) -> Result<(), LabError> {
    let failed = LabError::failed::<std::io::Error>("the summary cannot be written");
    let json = serde_json::to_vec_pretty(summary).map_err(|error| failed(error.into()))?;
    std::fs::write(out.join("summary.json"), json).map_err(&failed)?;
    std::fs::write(out.join("summary.txt"), summary.to_text() + "\n").map_err(&failed)
}

/// Tells the person how it goes; on standard error, so that `--json` stays one document.
fn say(text: &str) {
    // A closed terminal is no reason to end.
    let _ = writeln!(std::io::stderr(), "{text}");
}
