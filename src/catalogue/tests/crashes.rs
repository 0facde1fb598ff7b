//! Sudden ends, damage, and other processes.

use std::fs;
use std::path::PathBuf;

use super::*;

fn file(folder: &Path, suffix: &str) -> PathBuf {
    folder.join(format!("{}{suffix}", super::open::FILE))
}

/// What the disk would hold if the process ended now, with the log cut to `log` bytes.
fn crash(from: &Path, to: &Path, log: usize) {
    fs::copy(file(from, ""), file(to, "")).unwrap();
    let bytes = fs::read(file(from, "-wal")).unwrap_or_default();
    fs::write(file(to, "-wal"), &bytes[..log.min(bytes.len())]).unwrap();
    let _ = fs::remove_file(file(to, "-shm"));
}

fn log_size(folder: &Path) -> usize {
    fs::metadata(file(folder, "-wal")).map_or(0, |meta| meta.len() as usize)
}

/// The catalogue must be consistent in itself: totals, blocks, words and dial tell the same.
async fn consistent(catalogue: &Catalogue) -> u64 {
    let counts = catalogue.counts();
    let reader = catalogue.reader().unwrap();
    let mut tracks = 0;
    for number in 0..counts.torrents as u32 {
        tracks += catalogue.tracks_of(hash(number)).await.unwrap().len() as u64;
    }
    assert_eq!(tracks, counts.tracks);
    let term = Term { word: "abba".into(), prefix: false };
    assert_eq!(reader.matches(&[vec![term]], 10_000).unwrap().len() as u64, tracks);
    assert_eq!(reader.word_tracks("abba").unwrap(), tracks);
    assert_eq!(reader.dialled("abb").unwrap().hits, tracks);
    tracks
}

#[tokio::test]
async fn whatever_was_acknowledged_is_there_after_a_sudden_end() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let catalogue = open(folder.path());
    let mut acknowledged = Vec::new();
    for number in 0..12 {
        let tracks = (0..=number).map(|file| track(file, "Abba", "Arrival", &format!("Song {file}"))).collect();
        catalogue.store_torrent(torrent(number), tracks).await.unwrap();
        acknowledged.push((log_size(folder.path()), catalogue.counts().tracks));
    }
    let full = log_size(folder.path());
    assert!(acknowledged.is_sorted(), "the log must not have been folded in for this test");
    // Also where a write was torn: at uneven places.
    for log in (0..=full + 4000).step_by(full / 12 + 1) {
        crash(folder.path(), copy.path(), log);
        let after = open(copy.path());
        assert_eq!(after.opening().set_aside, None);
        let tracks = consistent(&after).await;
        let promised = acknowledged.iter().rev().find(|(size, _)| *size <= log).map_or(0, |(_, tracks)| *tracks);
        assert!(tracks >= promised, "{tracks} of {promised} tracks with {log} of {full} bytes of the log");
    }
}

#[tokio::test]
async fn a_request_that_fails_is_undone_alone() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = open(folder.path());
    let many = (0..=MAX_TRACKS as u32).map(|file| track(file, "a", "b", "c")).collect();
    // Sent together, so that they meet in one transaction.
    let (good, bad, better) = tokio::join!(
        catalogue.store_torrent(torrent(0), vec![track(0, "Abba", "b", "c")]),
        catalogue.store_torrent(torrent(9), many),
        catalogue.store_torrent(torrent(1), vec![track(0, "Abba", "b", "c")]),
    );
    assert!(good.is_ok() && bad.is_err() && better.is_ok());
    assert_eq!(consistent(&catalogue).await, 2);
}

#[test]
fn a_second_jukebox_is_refused_until_the_first_ends() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path());
    let error = Catalogue::open(folder.path(), options()).unwrap_err();
    assert!(matches!(error, CatalogueError::InUse { .. }));
    let text = error.to_string();
    assert!(text.contains(&std::process::id().to_string()) && text.contains("[index] path"), "{text}");
    drop(first);
    open(folder.path());
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_what_can_be_read_is_rescued() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = open(folder.path());
    for number in 0..40 {
        let tracks = (0..20).map(|file| track(file, "Abba", "Arrival", &format!("Song {file}"))).collect();
        catalogue.store_torrent(torrent(number), tracks).await.unwrap();
    }
    catalogue.settings_put(vec![("volume", "70".into())]).await.unwrap();
    drop(catalogue);
    // As after a loss of power: not closed in order, and the last quarter of the pages is noise.
    let db = rusqlite::Connection::open(file(folder.path(), "")).unwrap();
    db.execute("UPDATE meta SET value = 0 WHERE key = ?1", [super::open::CLEAN]).unwrap();
    drop(db);
    let mut bytes = fs::read(file(folder.path(), "")).unwrap();
    let from = bytes.len() * 3 / 4;
    bytes[from..].iter_mut().enumerate().for_each(|(at, byte)| *byte = (at * 31) as u8);
    fs::write(file(folder.path(), ""), bytes).unwrap();

    let catalogue = open(folder.path());
    let aside = catalogue.opening().set_aside.clone().unwrap();
    assert!(aside.path.exists() && catalogue.opening().created);
    assert!(aside.to_string().contains("a new one was begun"), "{aside}");
    assert_eq!(catalogue.counts().tracks, 0);
    assert_eq!(catalogue.setting_get("volume").await.unwrap().as_deref(), Some("70"));
    catalogue.store_torrent(torrent(1), vec![track(0, "Abba", "b", "c")]).await.unwrap();
    drop(catalogue);
    assert_eq!(open(folder.path()).opening().set_aside, None);
}

#[test]
fn a_file_that_is_no_database_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(file(folder.path(), ""), "certainly not a database ".repeat(500)).unwrap();
    let catalogue = open(folder.path());
    assert!(catalogue.opening().set_aside.is_some());
}

#[test]
fn a_file_of_a_later_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let db = rusqlite::Connection::open(file(folder.path(), "")).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    drop(db);
    let error = Catalogue::open(folder.path(), options()).unwrap_err();
    assert!(matches!(error, CatalogueError::TooNew { found: 99, .. }), "{error}");
    assert!(error.to_string().contains("update silverstream"));
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "x").unwrap();
    let error = Catalogue::open(&path.join("below"), options()).unwrap_err().to_string();
    assert!(error.contains("below") && error.contains("[index] path"), "{error}");
}
