//! What the player was doing, kept so that it goes on there after a restart or a power cut, with few writes: a card
//! wears out by them.

use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::supervise::{TaskError, Tick};
use crate::catalogue::{Catalogue, Result};
use crate::control::{PlayerStatus, TrackInfo};
use crate::player::{Activity, Snapshot};

/// Key of queue, history and current song: hundreds of kilobytes at most, and seldom different.
const SONGS_KEY: &str = "player";

/// Key of what changes often.
const PLACE_KEY: &str = "player.place";

/// What changes within this time is written together: a turn of the volume knob is one write and not fifty. What a
/// power cut costs at most of what people did.
const GATHER: Duration = Duration::from_secs(1);

/// Between two writes of where in the song the listener is, while nothing else changes. A power cut costs that much of a
/// song and what the card takes to write it, for which a second of the 5 s is left that it may cost.
const PLACE_EVERY: Duration = Duration::from_secs(4);

/// How long the last state is waited for when the jukebox ends.
const END_PATIENCE: Duration = Duration::from_secs(3);

/// The seldom changing part of a [`Snapshot`], in its form.
#[derive(Serialize)]
struct Songs<'a> {
    queue: &'a [TrackInfo],
    history: &'a [TrackInfo],
    current: &'a Option<TrackInfo>,
}

/// The often changing part of a [`Snapshot`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Place {
    position_s: f64,
    volume: u8,
    activity: Activity,
}

/// Where documents are kept.
pub trait Documents: Sync {
    /// Puts all of them or none; they outlast a loss of power when it returns.
    fn put(&self, documents: Vec<(&'static str, String)>) -> impl Future<Output = Result<()>> + Send;
}

impl Documents for Catalogue {
    async fn put(&self, documents: Vec<(&'static str, String)>) -> Result<()> {
        self.settings_put(documents).await
    }
}

/// What was kept last; a new player's state if nothing was or it cannot be read.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn load(catalogue: &Catalogue) -> Result<Snapshot> {
    let unreadable = |error: &serde_json::Error| {
        tracing::warn!(%error, "what was played before cannot be read; the player begins anew");
    };
    let mut snapshot = match catalogue.setting_get(SONGS_KEY).await? {
        Some(json) => serde_json::from_str(&json).inspect_err(unreadable).unwrap_or_default(),
        None => Snapshot::default(),
    };
    if let Some(json) = catalogue.setting_get(PLACE_KEY).await?
        && let Ok(place) = serde_json::from_str::<Place>(&json).inspect_err(unreadable)
    {
        let Place { position_s, volume, activity } = place;
        snapshot = Snapshot { position_s, volume, activity, ..snapshot };
    }
    Ok(snapshot)
}

/// Keeps what the player does, until the token is cancelled and the player has ended.
///
/// # Errors
/// If it cannot be written. Run again, all of it is written.
pub async fn keep(
    mut snapshots: watch::Receiver<Snapshot>,
    status: watch::Receiver<PlayerStatus>,
    documents: &impl Documents,
    tick: Tick,
    cancel: CancellationToken,
) -> std::result::Result<(), TaskError> {
    let mut kept = Kept::default();
    loop {
        tick.tick();
        let songs = tokio::select! {
            () = cancel.cancelled() => break,
            changed = snapshots.changed() => {
                if changed.is_err() {
                    break;
                }
                tokio::select! {
                    () = cancel.cancelled() => break,
                    () = tokio::time::sleep(GATHER) => true,
                }
            }
            () = tokio::time::sleep(PLACE_EVERY) => false,
        };
        kept.write(songs, &mut snapshots, &status, documents).await?;
    }
    // The player's last word comes when its sound has ended.
    let ended = async { while snapshots.changed().await.is_ok() {} };
    if tokio::time::timeout(END_PATIENCE, ended).await.is_err() {
        tracing::warn!("the player did not end in time; it may go on a few seconds earlier at the next start");
    }
    kept.write(true, &mut snapshots, &status, documents).await
}

/// What is written already.
#[derive(Default)]
struct Kept {
    /// Fingerprint of the songs: they can be many.
    songs: Option<u64>,
    place: Option<Place>,
}

impl Kept {
    /// Writes what is different from what was written last. `songs`: they may be different too.
    async fn write(
        &mut self,
        songs: bool,
        snapshots: &mut watch::Receiver<Snapshot>,
        status: &watch::Receiver<PlayerStatus>,
        documents: &impl Documents,
    ) -> std::result::Result<(), TaskError> {
        let mut changed = Vec::with_capacity(2);
        let songs = (songs || self.songs.is_none()).then(|| songs_json(&snapshots.borrow_and_update())).transpose()?;
        let fingerprint = songs.as_ref().map(|songs| {
            let mut hasher = DefaultHasher::new();
            songs.hash(&mut hasher);
            hasher.finish()
        });
        if let Some(songs) = songs
            && self.songs != fingerprint
        {
            changed.push((SONGS_KEY, songs));
        }
        let place = place(&snapshots.borrow(), &status.borrow());
        if self.place != Some(place) {
            changed.push((PLACE_KEY, serde_json::to_string(&place)?));
        }
        if !changed.is_empty() {
            documents.put(changed).await?;
        }
        (self.songs, self.place) = (fingerprint.or(self.songs), Some(place));
        Ok(())
    }
}

fn songs_json(snapshot: &Snapshot) -> serde_json::Result<String> {
    let Snapshot { queue, history, current, .. } = snapshot;
    serde_json::to_string(&Songs { queue, history, current })
}

fn place(snapshot: &Snapshot, status: &PlayerStatus) -> Place {
    let current = snapshot.current.as_ref().map(|song| song.track);
    let position_s = match &status.track {
        // The status is fresher; of another song, it says nothing of this one.
        Some(track) if Some(track.track) == current => status.position_s,
        _ => snapshot.position_s,
    };
    Place { position_s, volume: snapshot.volume, activity: snapshot.activity }
}

#[cfg(test)]
mod tests;
