//! What stays: restoring, sharing, evicting, removing, and what all of it takes on the disk.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::disk;
use super::error::SwarmError;
use super::handle::{Swarm, to_its_end};
use super::host::blocking;
use super::metainfo::Metainfo;
use super::pieces::Pieces;
use super::record::Known;
use super::store::Place;
use super::types::{OnDisk, Restore, Restored, Shared};
use super::{share, supervisor};
use crate::types::{InfoHash, TrackId};

impl Swarm {
    /// Goes on seeding what was there before a restart. Returns when everything has been taken up; files that changed
    /// meanwhile are hashed, which can take minutes, so this is best left to a task. Torrents can be opened meanwhile.
    pub async fn restore(&self, torrents: Vec<Restore>) -> Restored {
        let mut restored = Restored::default();
        for item in torrents {
            let meta = match Metainfo::parse(&item.torrent) {
                Ok(meta) => Arc::new(meta),
                Err(error) => {
                    restored.failed.push((InfoHash([0; 20]), error));
                    continue;
                }
            };
            let infohash = meta.infohash;
            match self.restore_one(meta, &item).await {
                Ok(incomplete) => {
                    restored.torrents += 1;
                    restored.incomplete.extend(incomplete.into_iter().map(|file| TrackId { infohash, file }));
                }
                Err(error) => restored.failed.push((infohash, error)),
            }
        }
        restored
    }

    async fn restore_one(&self, meta: Arc<Metainfo>, item: &Restore) -> Result<Vec<u32>, SwarmError> {
        let place = match &item.share {
            Some(path) => {
                // As `share` names it; what does not exist any more is reported as incomplete.
                let path = path.canonicalize().unwrap_or_else(|_| path.clone());
                let folder = if meta.multi_file { Some(&*path) } else { path.parent() };
                Place::Shared(folder.unwrap_or(Path::new("/")).to_owned())
            }
            None => Place::Own(self.host.folder(meta.infohash)),
        };
        let torrent = self.add(meta, place, BTreeSet::new(), Vec::new()).await?;
        torrent.life().ready(&self.host).await?;
        let files: Vec<u32> = if torrent.is_shared() {
            (0..torrent.meta.files.len() as u32).collect()
        } else {
            item.files.iter().copied().filter(|file| torrent.meta.file(*file).is_ok()).collect()
        };
        if !torrent.is_shared() {
            torrent.keep(files.iter().copied());
        }
        let (complete, incomplete): (Vec<u32>, Vec<u32>) =
            files.into_iter().partition(|file| torrent.is_complete(*file));
        for file in complete {
            torrent.select(&self.host, file, false).await?;
        }
        Ok(incomplete)
    }

    /// Makes a torrent of a file or folder and seeds it from where it is; nothing is copied or changed.
    ///
    /// # Errors
    /// If it cannot be read or has nothing that can be shared, or a download of the same files is being played; then
    /// everything is as before.
    pub async fn share(&self, path: &Path) -> Result<Shared, SwarmError> {
        let (path, cancel) = (path.to_owned(), self.host.session.cancellation_token().clone());
        let made = blocking(move || share::make(&path, &|| cancel.is_cancelled())).await?;
        let (meta, place) = (Arc::new(made.meta), Place::Shared(made.root));
        let before = self.host.torrent(meta.infohash);
        if let Some(known) = before.as_ref().filter(|known| known.place != place) {
            if known.any_open() {
                return Err(SwarmError::SharePlays { name: meta.name.clone() });
            }
            // Fetched before, or moved: the person's own copy takes over.
            self.remove(meta.infohash).await?;
        }
        let known = Known { trusted: Some(Pieces::all(meta.pieces())), kept: BTreeSet::new() };
        let torrent = self.add_with(meta.clone(), place.clone(), BTreeSet::new(), Vec::new(), known).await?;
        if torrent.place != place {
            // Somebody chose a song of it in the moment in which the download made room.
            return Err(SwarmError::SharePlays { name: meta.name.clone() });
        }
        let begun = async {
            torrent.life().ready(&self.host).await?;
            supervisor::record(&self.host, &torrent).await.map(drop)
        };
        if let Err(error) = begun.await {
            if before.is_none_or(|known| !known.is_shared())
                && let Err(error) = self.remove(meta.infohash).await
            {
                tracing::warn!(infohash = %meta.infohash, %error, "what was to be shared is seeded until the next start");
            }
            return Err(error);
        }
        Ok(Shared { infohash: meta.infohash, torrent: meta.torrent(), meta })
    }

    /// No longer seeds what was shared. The files stay as they are.
    ///
    /// # Errors
    /// If it is not shared.
    pub async fn unshare(&self, infohash: InfoHash) -> Result<(), SwarmError> {
        if !self.torrent(infohash)?.is_shared() {
            return Err(SwarmError::NoSuchTorrent(infohash));
        }
        self.remove(infohash).await.map(|_| ())
    }

    /// Gives back what a file takes on the disk, and returns how many bytes that was. Parts that lie in pieces of files
    /// that are kept stay. Other open files of the torrent are read on.
    ///
    /// # Errors
    /// If the file is open, or is somebody's own.
    pub async fn evict(&self, track: TrackId) -> Result<u64, SwarmError> {
        let swarm = self.clone();
        to_its_end(async move { swarm.evict_to_its_end(track).await }).await
    }

    async fn evict_to_its_end(&self, track: TrackId) -> Result<u64, SwarmError> {
        let TrackId { infohash, file } = track;
        let _changes = self.host.changes.lock().await;
        let Some(torrent) = self.host.torrent(infohash) else {
            return self.evict_absent(track).await;
        };
        torrent.meta.file(file)?;
        if torrent.is_shared() {
            return Err(SwarmError::Shared(infohash));
        }
        let mut selection = torrent.selection.lock().await;
        if torrent.is_open(file) {
            return Err(SwarmError::InUse { infohash, file });
        }
        selection.remove(&file);
        torrent.give_up(file);
        let mut stay = torrent.kept();
        stay.extend(selection.iter());
        if stay.is_empty() && !torrent.any_open() {
            // Whoever waits for the selection to have a file of it finds it retired, and adds it anew.
            return self.remove_held(infohash).await;
        }
        let life = torrent.life();
        self.host.end(&life).await;
        let mut needed = Pieces::none(torrent.meta.pieces());
        stay.iter().flat_map(|file| torrent.meta.pieces_of(*file)).for_each(|piece| needed.insert(piece));
        needed.intersect(&life.store.have());
        let (meta, records, folder) = (torrent.meta.clone(), self.host.records.clone(), self.host.folder(infohash));
        let trimmed = blocking(move || {
            // Until it is written anew there is no record, so a crash here costs hashing, not truth.
            records.remove(infohash);
            let failed = |error: std::io::Error| SwarmError::file(&folder, &error);
            let before: u64 = disk::usage(&folder).map_err(failed)?.values().sum();
            let kept = disk::trim(&folder, &meta, &needed).map_err(failed)?;
            let after: u64 = disk::usage(&folder).map_err(failed)?.values().sum();
            Ok((before.saturating_sub(after), kept))
        })
        .await;
        // Whatever went wrong, the torrent goes on; where it is not known with what, by hashing.
        let kept = trimmed.as_ref().ok().map(|(_, kept)| kept.clone());
        self.host.replace(&torrent, &selection, kept).await?;
        trimmed.map(|(freed, _)| freed)
    }

    /// Deletes a file of a torrent that is not in the session. Without its metadata nobody can tell which borders its
    /// neighbours need; they are hashed when they come back and fetch a missing border again.
    async fn evict_absent(&self, track: TrackId) -> Result<u64, SwarmError> {
        let (records, folder) = (self.host.records.clone(), self.host.folder(track.infohash));
        blocking(move || {
            records.remove(track.infohash);
            disk::delete(&folder, track.file).map_err(|error| SwarmError::file(&folder, &error))
        })
        .await
    }

    /// Takes a torrent out of the session, deletes what was downloaded of it, and returns how many bytes that was. What
    /// was shared stays on the disk. Also deletes what an earlier run left of a torrent that is not in the session.
    ///
    /// # Errors
    /// If files cannot be deleted.
    pub async fn remove(&self, infohash: InfoHash) -> Result<u64, SwarmError> {
        let swarm = self.clone();
        to_its_end(async move {
            let _changes = swarm.host.changes.lock().await;
            let torrent = swarm.host.torrent(infohash);
            let _selection = match &torrent {
                Some(torrent) => Some(torrent.selection.lock().await),
                None => None,
            };
            swarm.remove_held(infohash).await
        })
        .await
    }

    /// [`Self::remove`] with changes and the torrent's selection held.
    async fn remove_held(&self, infohash: InfoHash) -> Result<u64, SwarmError> {
        let shared = match self.host.take(infohash) {
            Some(torrent) => {
                torrent.retire();
                self.host.end(&torrent.life()).await;
                torrent.is_shared()
            }
            None => false,
        };
        let (records, folder) = (self.host.records.clone(), self.host.folder(infohash));
        blocking(move || {
            records.remove(infohash);
            if shared {
                return Ok(0);
            }
            let failed = |error: std::io::Error| SwarmError::file(&folder, &error);
            let bytes = disk::usage(&folder).map_err(failed)?.values().sum();
            match std::fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(error)),
                _ => Ok(bytes),
            }
        })
        .await
    }

    /// What the music folder takes in all: downloads, records, folders.
    ///
    /// # Errors
    /// If the music folder cannot be read.
    pub async fn total_usage(&self) -> Result<u64, SwarmError> {
        let music = self.host.config.music.clone();
        blocking(move || disk::total(&music).map_err(|error| SwarmError::file(&music, &error))).await
    }

    /// What every downloaded file takes on the disk, also of torrents that are not in the session (left by an earlier
    /// run). Shares are not counted: they are their owner's.
    ///
    /// # Errors
    /// If the music folder cannot be read.
    pub async fn usage(&self) -> Result<Vec<OnDisk>, SwarmError> {
        let music = self.host.config.music.clone();
        blocking(move || {
            let failed = |error: std::io::Error| SwarmError::file(&music, &error);
            let mut found = Vec::new();
            for entry in std::fs::read_dir(&music).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let Some(infohash) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
                let usage = disk::usage(&entry.path()).map_err(failed)?;
                found
                    .extend(usage.into_iter().map(|(file, bytes)| OnDisk { track: TrackId { infohash, file }, bytes }));
            }
            Ok(found)
        })
        .await
    }
}
