//! A world with composed music and a jukebox in it that has indexed all of it: where experiments begin.

use std::path::Path;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::child::{ChildConfig, ChildJukebox};
use super::world::music::{Lengths, write_releases};
use super::world::{World, WorldConfig};
use super::{LabError, Options};
use crate::control::SearchHit;
use crate::types::Clock;

/// Nodes of the DHT.
const DHT_NODES: usize = 64;

/// How long the jukebox may take to index the world.
const INDEXING_PATIENCE: Duration = Duration::from_secs(120);

/// A world and a jukebox. Dropping it ends both.
#[derive(Debug)]
pub struct Stage {
    pub jukebox: ChildJukebox,
    pub world: World,
    /// Ends the world's tasks before the runtime goes.
    _cancel: tokio_util::sync::DropGuard,
    _runtime: Runtime,
    _folder: tempfile::TempDir,
}

impl Stage {
    /// Composes the music, starts the world and the jukebox and waits until all tracks are indexed.
    ///
    /// # Errors
    /// If any of it fails.
    pub fn set(options: &Options, lengths: Lengths) -> Result<Self, LabError> {
        let folder = tempfile::tempdir().map_err(LabError::failed("no temporary folder"))?;
        let releases = write_releases(&folder.path().join("releases"), options.seed, lengths)
            .map_err(LabError::failed("the music cannot be written"))?;
        let tracks: usize = releases.iter().map(|release| release.tracks).sum();
        let runtime = Runtime::new().map_err(LabError::failed("no runtime"))?;
        let cancel = CancellationToken::new();
        let config =
            WorldConfig { nodes: DHT_NODES, seed: options.seed, releases, scratch: folder.path().join("world") };
        let world = runtime.block_on(World::start(config, Clock::start(), cancel.clone()))?;
        let mut jukebox = start_jukebox(folder.path(), &world)?;
        jukebox.wait_until(INDEXING_PATIENCE, |jukebox| {
            jukebox.status().ok().filter(|status| status.index.tracks >= tracks as u64)
        })?;
        Ok(Self { jukebox, world, _cancel: cancel.drop_guard(), _runtime: runtime, _folder: folder })
    }

    /// All tracks of a format, or of all.
    ///
    /// # Errors
    /// If the jukebox is gone.
    pub fn tracks(&self, format: Option<&str>) -> Result<Vec<SearchHit>, LabError> {
        let mut hits = Vec::new();
        for shared in self.world.shared() {
            let name = shared.release.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            hits.extend(self.jukebox.search(&name)?);
        }
        hits.retain(|hit| format.is_none_or(|format| hit.format == format));
        Ok(hits)
    }
}

fn start_jukebox(folder: &Path, world: &World) -> Result<ChildJukebox, LabError> {
    ChildJukebox::start(&ChildConfig {
        folder: folder.join("jukebox"),
        bootstrap: world.bootstrap(),
        output: "null".to_owned(),
        budget: "1 GiB".to_owned(),
        nodes: 8,
    })
}
