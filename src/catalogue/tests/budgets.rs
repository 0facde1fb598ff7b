//! The size on disk.

use std::time::Duration;

use super::*;

/// Longer than the check of the files of these tests takes.
const PATIENCE: Duration = Duration::from_secs(60);

const BUDGET: Bytes = MIN_BUDGET;

fn small(folder: &Path) -> Catalogue {
    Catalogue::open(folder, CatalogueOptions { budget: BUDGET, keep_torrents: true }).unwrap()
}

fn on_disk(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let database = files.filter(|entry| entry.file_name().to_string_lossy().starts_with(open::FILE));
    database.map(|entry| entry.metadata().unwrap().len()).sum()
}

/// Tracks with long names, so that few fill the budget.
fn album(number: u32) -> Vec<TrackRow> {
    let name = |seed: u32| format!("w{:x}", seed.wrapping_mul(2_654_435_761));
    let long = |seed: u32| (0..100).map(|at| name(seed * 100 + at)).collect::<String>();
    let tracks = (0..40).map(|file| track(file, &name(number), &name(number / 2), &name(number * 40 + file)));
    tracks.map(|track| TrackRow { path: format!("{}.mp3", long(number * 40 + track.file)), ..track }).collect()
}

#[tokio::test]
async fn the_oldest_torrents_that_do_not_lie_on_disk_make_room() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = small(folder.path());
    let stored = TrackId { infohash: hash(0), file: 1 };
    let row = StoredRow { track: stored, bytes: 1, added: UnixTime(0), last_played: UnixTime(0), shared: None };
    catalogue.stored_put(row).await.unwrap();
    for number in 0..300 {
        catalogue.store_torrent(torrent(number), album(number)).await.unwrap();
        assert!(on_disk(folder.path()) <= BUDGET.0, "{} after {number}", on_disk(folder.path()));
    }
    let counts = catalogue.counts();
    assert!(counts.torrents < 300 && counts.torrents > 50, "{counts:?}");
    assert_eq!(counts.tracks, counts.torrents * 40);
    assert!(catalogue.track(stored).await.unwrap().is_some(), "what lies on disk stays");
    assert!(catalogue.tracks_of(hash(1)).await.unwrap().is_empty(), "the oldest goes");
    assert_eq!(catalogue.tracks_of(hash(299)).await.unwrap().len(), 40, "the newest stays");
    let reader = catalogue.reader().unwrap();
    assert_eq!(reader.dialled("").unwrap().hits, counts.tracks);
    let mp3 = Term { word: "mp3".into(), prefix: false };
    assert_eq!(reader.matches(&[vec![mp3]], 99_999).unwrap().len() as u64, counts.tracks);
    assert_eq!(inspect(folder.path(), PATIENCE).unwrap(), Inspection::Whole);
}

#[tokio::test]
async fn cold_infohashes_go_before_hot_ones_and_before_music() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = small(folder.path());
    catalogue.store_torrent(torrent(0), album(0)).await.unwrap();
    for batch in 0..160u32 {
        let seen = |number| SightingRow {
            infohash: hash(number),
            peer: Some(([80, 0, 0, 1], 9).into()),
            at: UnixTime(1_800_000_000 + u64::from(batch) * 3600),
            announce: false,
        };
        catalogue.record_sightings((1..=1000).map(|number| seen(batch * 1000 + number)).collect()).await.unwrap();
        assert!(on_disk(folder.path()) <= BUDGET.0, "{}", on_disk(folder.path()));
    }
    let counts = catalogue.counts();
    assert!(counts.queued < 160_000 && counts.queued > 20_000, "{counts:?}");
    assert_eq!((counts.tracks, counts.infohashes), (40, counts.queued + 1));
    let hottest = catalogue.due(1, UnixTime(1_900_000_000)).await.unwrap().remove(0);
    assert_eq!(hottest.first_seen, UnixTime(1_800_000_000 + 159 * 3600));
}

#[tokio::test]
async fn a_smaller_budget_is_kept_from_the_next_opening_on() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = open(folder.path());
    for number in 0..300 {
        catalogue.store_torrent(torrent(number), album(number)).await.unwrap();
    }
    drop(catalogue);
    assert!(on_disk(folder.path()) > BUDGET.0);
    let catalogue = small(folder.path());
    assert!(catalogue.counts().torrents > 50);
    drop(catalogue);
    assert!(on_disk(folder.path()) <= BUDGET.0, "{}", on_disk(folder.path()));
}

#[test]
fn a_budget_below_the_least_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let options = CatalogueOptions { budget: Bytes::kib(100), keep_torrents: true };
    let error = Catalogue::open(folder.path(), options).unwrap_err().to_string();
    assert!(error.contains("8 MiB") && error.contains("[index] budget"), "{error}");
}

#[tokio::test]
async fn an_inspection_beside_the_jukebox_finds_damage_and_ends_in_time() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(inspect(folder.path(), PATIENCE).unwrap(), Inspection::Nothing);
    let catalogue = open(folder.path());
    for number in 0..60 {
        let tracks = (0..40).map(|file| track(file, "Somebody", &format!("Album {number}"), "Song")).collect();
        catalogue.store_torrent(torrent(number), tracks).await.unwrap();
    }
    assert_eq!(inspect(folder.path(), PATIENCE).unwrap(), Inspection::Whole);
    let endless = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) || '' FROM n";
    let db = super::super::open::open_reader(folder.path()).unwrap();
    let ended = super::super::open::check_within(&db, endless, Duration::from_millis(20));
    assert_eq!(ended.unwrap(), Inspection::SoundSoFar);
    drop(db);
    drop(catalogue);
    let path = folder.path().join(super::super::open::FILE);
    let mut bytes = std::fs::read(&path).unwrap();
    // The header and the first pages stay, so that only reading finds it.
    let from = bytes.len() / 2;
    bytes[from..].fill(0x5a);
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(inspect(folder.path(), PATIENCE), Err(CatalogueError::Damaged(_))));
}
