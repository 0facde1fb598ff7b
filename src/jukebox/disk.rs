//! Whether the music folder is the one that the catalogue knows. A disk that is not mounted looks like an empty folder:
//! taken for the truth, it would have every song forgotten and the system's own card filled with new ones.

use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use super::RunError;
use crate::catalogue::Catalogue;

/// File in the music folder that holds the name of the disk.
const MARKER: &str = ".silverstream-disk";

/// Key of the same name in the catalogue.
const DISK_KEY: &str = "music_disk";

/// Longest marker that is read: the name has 32 characters.
const MAX_MARKER: u64 = 64;

/// Part of a disk that music leaves free, for the catalogue and the system's own records.
const SPARE_PART: u64 = 16;

/// What it leaves free at most: on a large disk a sixteenth would be many songs.
const MOST_SPARE: u64 = 64 << 20;

/// What music may take up on the disk with this folder, of which it takes `used` now: a card may be smaller than a budget, or
/// full of other things. None if the disk does not say.
pub fn room(music: &Path, used: u64) -> Option<u64> {
    let stat = rustix::fs::statvfs(music).ok()?;
    let (free, size) = (stat.f_bavail.saturating_mul(stat.f_frsize), stat.f_blocks.saturating_mul(stat.f_frsize));
    Some(used.saturating_add(free).saturating_sub((size / SPARE_PART).min(MOST_SPARE)))
}

/// Makes sure that the folder is the one with the songs of the catalogue. A folder without songs to its name, such as
/// that of a new jukebox, is given one.
///
/// # Errors
/// If it is another folder, with what to do; nothing has changed then. Or if it or the catalogue cannot be used.
pub async fn recognise(music: &Path, catalogue: &Catalogue) -> Result<(), RunError> {
    let path = music.join(MARKER);
    let unusable = |error: std::io::Error| {
        format!("cannot use {}: {error}; set [storage] path to a folder that this user may write", path.display())
    };
    let found = read(&path).map_err(unusable)?;
    let known = match catalogue.setting_get(DISK_KEY).await? {
        Some(json) => Some(serde_json::from_str::<String>(&json)?),
        None => None,
    };
    if let Some(known) = &known
        && found.as_ref() != Some(known)
    {
        let songs = catalogue.stored_all().await?.iter().filter(|row| row.shared.is_none()).count();
        if songs > 0 {
            let what = if found.is_some() { "that of another jukebox" } else { "not that disk" };
            return Err(format!(
                "the disk with the {songs} songs of this jukebox is missing: {music} is {what}. Mount the disk there \
                 and start again; nothing was forgotten. If it is lost for good, go on with this folder after \
                 `echo {known} > {path}`",
                music = music.display(),
                path = path.display()
            )
            .into());
        }
    }
    // Where the catalogue was begun anew, the folder's name stands. A folder without one never gets that of another,
    // which may come back.
    let name = found.clone().unwrap_or_else(|| format!("{:032x}", rand::random::<u128>()));
    // First the folder: with a name that only the catalogue knew, it would be taken for another one.
    if found.is_none() {
        write(music, &path, &name).map_err(unusable)?;
    }
    if known.as_ref() != Some(&name) {
        catalogue.settings_put(vec![(DISK_KEY, serde_json::to_string(&name)?)]).await?;
    }
    Ok(())
}

fn read(path: &Path) -> std::io::Result<Option<String>> {
    let mut text = Vec::new();
    match std::fs::File::open(path) {
        Ok(file) => file.take(MAX_MARKER).read_to_end(&mut text)?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let name = String::from_utf8_lossy(&text).trim().to_owned();
    // Cut off by a loss of power before it was whole: as if it had not been written.
    Ok(Some(name).filter(|name| !name.is_empty()))
}

/// It is there as a whole, and on the disk, when this returns.
fn write(music: &Path, path: &Path, name: &str) -> std::io::Result<()> {
    let mut part = tempfile::Builder::new().prefix(MARKER).tempfile_in(music)?;
    writeln!(part, "{name}")?;
    part.as_file().sync_all()?;
    part.persist(path).map_err(|error| error.error)?;
    std::fs::File::open(music)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{CatalogueOptions, StoredRow};
    use crate::types::{Bytes, InfoHash, TrackId, UnixTime};

    struct World {
        folder: tempfile::TempDir,
        catalogue: Catalogue,
    }

    impl World {
        /// A jukebox that has run once with the folder `disk`.
        async fn start() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let options = CatalogueOptions { budget: Bytes::mib(8), keep_torrents: false };
            let catalogue = Catalogue::open(&folder.path().join("index"), options).unwrap();
            let world = Self { folder, catalogue };
            world.recognise("disk").await.unwrap();
            world
        }

        async fn recognise(&self, name: &str) -> Result<(), String> {
            let folder = self.folder.path().join(name);
            std::fs::create_dir_all(&folder).unwrap();
            recognise(&folder, &self.catalogue).await.map_err(|error| error.to_string())
        }

        async fn store_song(&self, shared: bool) {
            let row = StoredRow {
                track: TrackId { infohash: InfoHash([1; 20]), file: u32::from(shared) },
                bytes: 1,
                added: UnixTime(1),
                last_played: UnixTime(1),
                shared: shared.then(|| "/home/me/Album".into()),
            };
            self.catalogue.stored_put(row).await.unwrap();
        }
    }

    #[tokio::test]
    async fn an_empty_folder_in_place_of_the_disk_is_refused_and_the_sentence_helps() {
        let world = World::start().await;
        world.store_song(false).await;
        world.recognise("disk").await.unwrap();
        let error = world.recognise("empty").await.unwrap_err();
        assert!(error.contains("1 songs of this jukebox is missing"), "{error}");
        assert_eq!(std::fs::read_dir(world.folder.path().join("empty")).unwrap().count(), 0, "it was claimed");
        assert_eq!(world.catalogue.stored_all().await.unwrap().len(), 1);
        // The disk is back.
        world.recognise("disk").await.unwrap();
        // Or given up, as the sentence says.
        let advice = error.split('`').nth(1).unwrap();
        assert!(std::process::Command::new("sh").args(["-c", advice]).status().unwrap().success());
        world.recognise("empty").await.unwrap();
    }

    #[tokio::test]
    async fn the_disk_of_another_jukebox_is_refused_only_while_there_are_songs_elsewhere() {
        let (world, other) = (World::start().await, World::start().await);
        let theirs = other.folder.path().join("disk");
        world.store_song(true).await;
        recognise(&theirs, &world.catalogue).await.unwrap();
        world.store_song(false).await;
        let error = world.recognise("disk").await.unwrap_err();
        assert!(error.contains("another jukebox"), "{error}");
    }

    #[tokio::test]
    async fn a_catalogue_begun_anew_takes_the_disk_up_and_a_new_disk_is_taken_up_by_an_old_one() {
        let world = World::start().await;
        let options = CatalogueOptions { budget: Bytes::mib(8), keep_torrents: false };
        let anew = Catalogue::open(&world.folder.path().join("anew"), options).unwrap();
        recognise(&world.folder.path().join("disk"), &anew).await.unwrap();
        assert_eq!(anew.setting_get(DISK_KEY).await.unwrap(), world.catalogue.setting_get(DISK_KEY).await.unwrap());
        world.recognise("new").await.unwrap();
        world.store_song(false).await;
        world.recognise("new").await.unwrap();
        assert!(world.recognise("disk").await.is_err(), "the songs are on the new one");
    }
}
