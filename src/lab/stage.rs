//! A world and a jukebox in it: where experiments begin.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::child::{ChildConfig, ChildJukebox, ChildNetwork};
use super::world::music::{Lengths, Release, write_releases};
use super::world::{Seeding, World, WorldConfig};
use super::{LabError, Options};
use crate::control::SearchHit;
use crate::types::Clock;

/// Nodes of the DHT.
const DHT_NODES: usize = 64;

/// The jukebox's own.
const JUKEBOX_NODES: u32 = 8;

/// How long the jukebox may take to index the world.
const INDEXING_PATIENCE: Duration = Duration::from_secs(120);

/// What the stage is like, beyond the options of every experiment.
#[derive(Debug, Clone)]
pub struct Scenery {
    /// What the world shares from the beginning.
    pub releases: Vec<Release>,
    pub seeding: Seeding,
    /// `[storage] budget` of the jukebox.
    pub budget: &'static str,
    /// `[dht] nodes` of it; None: `auto`.
    pub nodes: Option<u32>,
    /// What it is held to ([`ChildConfig::groups`]).
    pub groups: Vec<PathBuf>,
}

impl Scenery {
    /// A world that shares these, and a jukebox that nobody holds back.
    pub fn of(releases: Vec<Release>) -> Self {
        let seeding = Seeding::default();
        Self { releases, seeding, budget: "1 GiB", nodes: Some(JUKEBOX_NODES), groups: Vec::new() }
    }
}

/// A world and a jukebox. Dropping it ends both.
#[derive(Debug)]
pub struct Stage {
    pub jukebox: ChildJukebox,
    pub world: World,
    /// Ends the world's tasks before the runtime goes.
    _cancel: tokio_util::sync::DropGuard,
    pub runtime: Runtime,
    /// Everything lies below.
    _folder: tempfile::TempDir,
}

impl Stage {
    /// Composes the music, starts the world and the jukebox and waits until all tracks are indexed. `name` is the
    /// experiment's.
    ///
    /// # Errors
    /// If any of it fails.
    pub fn set(name: &str, options: &Options, lengths: Lengths) -> Result<Self, LabError> {
        let folder = folder()?;
        let releases = write_releases(&folder.path().join("releases"), options.seed, lengths)
            .map_err(LabError::failed("the music cannot be written"))?;
        let tracks: usize = releases.iter().map(|release| release.tracks).sum();
        let mut stage = Self::open(name, options, folder, Scenery::of(releases))?;
        stage.jukebox.wait_until(INDEXING_PATIENCE, |jukebox| {
            jukebox.status().ok().filter(|status| status.index.tracks >= tracks as u64)
        })?;
        Ok(stage)
    }

    /// Starts the world and the jukebox, which knows nothing yet. `folder` goes with the stage.
    ///
    /// # Errors
    /// If one of them cannot be started.
    pub fn open(name: &str, options: &Options, folder: tempfile::TempDir, scenery: Scenery) -> Result<Self, LabError> {
        let runtime = Runtime::new().map_err(LabError::failed("no runtime"))?;
        let cancel = CancellationToken::new();
        let config = WorldConfig {
            nodes: DHT_NODES,
            seed: options.seed,
            releases: scenery.releases,
            scratch: folder.path().join("world"),
            seeding: scenery.seeding,
        };
        let world = runtime.block_on(World::start(config, Clock::start(), cancel.clone()))?;
        let jukebox = ChildJukebox::start(&ChildConfig {
            folder: folder.path().join("jukebox"),
            bootstrap: vec![world.bootstrap()],
            network: ChildNetwork::default(),
            output: "null".to_owned(),
            budget: scenery.budget.to_owned(),
            nodes: scenery.nodes,
            memory: None,
            groups: scenery.groups,
            log: log_path(name, options, folder.path())?,
        })?;
        Ok(Self { jukebox, world, _cancel: cancel.drop_guard(), runtime, _folder: folder })
    }

    /// All tracks of a format, or of all.
    ///
    /// # Errors
    /// If the jukebox is gone.
    pub fn tracks(&self, format: Option<&str>) -> Result<Vec<SearchHit>, LabError> {
        let mut hits = Vec::new();
        for shared in self.world.shared() {
            hits.extend(self.jukebox.search(&shared.release.name())?);
        }
        hits.retain(|hit| format.is_none_or(|format| hit.format == format));
        Ok(hits)
    }
}

/// A folder for a stage and what it shares.
///
/// # Errors
/// If it cannot be made.
pub fn folder() -> Result<tempfile::TempDir, LabError> {
    tempfile::tempdir().map_err(LabError::failed("no temporary folder"))
}

/// The jukebox's log stays beside the report where there is one.
fn log_path(name: &str, options: &Options, folder: &Path) -> Result<PathBuf, LabError> {
    let Some(out) = &options.out else { return Ok(folder.join("log")) };
    std::fs::create_dir_all(out).map_err(LabError::failed("the folder for reports cannot be made"))?;
    Ok(out.join(format!("{name}.log")))
}
