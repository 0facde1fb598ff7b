//! Tests of the catalogue as other rooms see it.

mod budgets;
mod crashes;
mod dialling;
mod queue;

use std::path::Path;

use super::store::Durability;
use super::*;
use crate::types::{Bytes, InfoHash, TrackId, UnixTime};

/// A catalogue with room for everything a test stores.
pub(crate) fn options() -> CatalogueOptions {
    CatalogueOptions { budget: Bytes::mib(64), keep_torrents: true }
}

impl Catalogue {
    /// Has the writer panic.
    pub(crate) async fn kill_writer(&self) {
        let killed: Result<()> = self.write(Durability::Process, |_| panic!("a bug in the writer")).await;
        assert!(matches!(killed, Err(CatalogueError::Closed)), "{killed:?}");
    }

    /// Makes the words unreadable, as damage can.
    pub(crate) async fn lose_words(&self) {
        self.write(Durability::Process, |store| Ok(store.db.execute_batch("DROP TABLE word")?)).await.unwrap();
    }

    /// Whether the file would be trusted at the next opening.
    pub(crate) fn is_closed_in_order(folder: &Path) -> bool {
        let db = rusqlite::Connection::open(folder.join(super::open::FILE)).unwrap();
        super::schema::meta(&db, super::open::CLEAN).unwrap() == Some(1)
    }
}

fn open(folder: &Path) -> Catalogue {
    Catalogue::open(folder, options()).unwrap()
}

/// The infohash of a small number.
pub(crate) fn hash(number: u32) -> InfoHash {
    let mut hash = [0; 20];
    hash[..4].copy_from_slice(&number.wrapping_mul(0x9E37_79B1).to_be_bytes());
    hash[16..].copy_from_slice(&number.to_be_bytes());
    InfoHash(hash)
}

pub(crate) fn torrent(number: u32) -> TorrentRow {
    TorrentRow {
        infohash: hash(number),
        name: format!("Torrent {number}"),
        torrent: Some(vec![7; 300]),
        bytes: 40_000_000,
        piece_length: 262_144,
        files: 12,
        private: false,
        added: UnixTime(1_000_000 + u64::from(number)),
    }
}

pub(crate) fn track(file: u32, artist: &str, album: &str, title: &str) -> TrackRow {
    TrackRow {
        file,
        path: format!("{artist} - {album}/{file:02} {title}.mp3"),
        title: title.to_owned(),
        artist: artist.to_owned(),
        album: album.to_owned(),
        number: u16::try_from(file).ok(),
        format: "mp3".to_owned(),
        bytes: 4_000_000,
    }
}

#[tokio::test]
async fn what_was_stored_comes_back_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let tracks = vec![track(0, "Abba", "Arrival", "Tiger"), track(3, "Abba", "Arrival", "Fernando")];
    let catalogue = open(folder.path());
    assert!(catalogue.opening().created);
    assert_eq!(catalogue.store_torrent(torrent(1), tracks.clone()).await.unwrap(), 2);
    catalogue.settings_put(vec![("volume", "70".into())]).await.unwrap();
    let stored = StoredRow {
        track: TrackId { infohash: hash(1), file: 3 },
        bytes: 9,
        added: UnixTime(5),
        last_played: UnixTime(6),
        shared: Some("/music/ä".into()),
    };
    catalogue.stored_put(stored.clone()).await.unwrap();
    catalogue.stored_touch(stored.track, UnixTime(8)).await.unwrap();
    drop(catalogue);

    let catalogue = open(folder.path());
    assert_eq!(catalogue.opening(), &Opening::default());
    assert_eq!(catalogue.tracks_of(hash(1)).await.unwrap(), tracks);
    assert_eq!(catalogue.torrent_file(hash(1)).await.unwrap(), Some(vec![7; 300]));
    assert_eq!(catalogue.torrent(hash(1)).await.unwrap(), Some(TorrentRow { torrent: None, ..torrent(1) }));
    let found = catalogue.track(stored.track).await.unwrap().unwrap();
    assert_eq!((found.row, found.added), (tracks[1].clone(), torrent(1).added));
    assert_eq!(catalogue.track(TrackId { infohash: hash(1), file: 1 }).await.unwrap(), None);
    assert_eq!(catalogue.setting_get("volume").await.unwrap().as_deref(), Some("70"));
    assert_eq!(catalogue.stored_all().await.unwrap(), [StoredRow { last_played: UnixTime(8), ..stored.clone() }]);
    let counts = catalogue.counts();
    assert_eq!((counts.torrents, counts.tracks, counts.queued, counts.infohashes), (1, 2, 0, 1));
    catalogue.stored_remove(stored.track).await.unwrap();
    assert_eq!(catalogue.stored_all().await.unwrap(), []);
}

#[tokio::test]
async fn storing_again_replaces_tracks_and_everything_that_finds_them() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = open(folder.path());
    catalogue.store_torrent(torrent(1), vec![track(0, "Abba", "Arrival", "Tiger")]).await.unwrap();
    catalogue.store_torrent(torrent(1), vec![track(0, "Queen", "Jazz", "Mustapha")]).await.unwrap();
    let reader = catalogue.reader().unwrap();
    let find = |word: &str| reader.matches(&[vec![Term { word: word.into(), prefix: false }]], 9).unwrap().len();
    assert_eq!((find("abba"), find("queen")), (0, 1));
    assert_eq!((reader.word_tracks("abba").unwrap(), reader.word_tracks("queen").unwrap()), (0, 1));
    assert_eq!((reader.dialled("a").unwrap().hits, reader.dialled("q").unwrap().hits), (0, 1));
    let counts = catalogue.counts();
    assert_eq!((counts.torrents, counts.tracks), (1, 1));
    catalogue.mark_not_music(hash(1), "A Film".into(), UnixTime(1)).await.unwrap();
    assert_eq!((find("queen"), reader.dialled("").unwrap()), (0, Dialled::default()));
    assert_eq!((catalogue.counts().torrents, catalogue.counts().tracks), (0, 0));
}

#[tokio::test]
async fn too_much_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = open(folder.path());
    let many = (0..=MAX_TRACKS as u32).map(|file| track(file, "a", "b", "c")).collect();
    assert!(matches!(catalogue.store_torrent(torrent(1), many).await, Err(CatalogueError::TooLarge { .. })));
    let far = vec![track(1 << 20, "a", "b", "c")];
    assert!(matches!(catalogue.store_torrent(torrent(1), far).await, Err(CatalogueError::TooLarge { .. })));
    let some_too_large = vec![("volume", "10".into()), ("queue", "x".repeat(3 << 20))];
    assert!(catalogue.settings_put(some_too_large).await.is_err());
    assert_eq!(catalogue.setting_get("volume").await.unwrap(), None, "half of it was kept");
    let counts = catalogue.counts();
    assert_eq!((counts.infohashes, counts.torrents), (0, 0));
}

#[tokio::test]
async fn torrent_files_are_kept_only_where_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = Catalogue::open(folder.path(), CatalogueOptions { keep_torrents: false, ..options() }).unwrap();
    catalogue.store_torrent(torrent(1), vec![track(0, "a", "b", "c")]).await.unwrap();
    assert_eq!(catalogue.torrent_file(hash(1)).await.unwrap(), None);
}

#[test]
fn an_index_of_another_folding_is_built_again() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let catalogue = open(folder.path());
    for number in 0..40 {
        let tracks = (0..3).map(|file| track(file, "Abba", "Arrival", &format!("Song {number}"))).collect();
        runtime.block_on(catalogue.store_torrent(torrent(number), tracks)).unwrap();
    }
    drop(catalogue);
    let db = rusqlite::Connection::open(folder.path().join(open::FILE)).unwrap();
    db.execute_batch("UPDATE meta SET value = 0 WHERE key = 'text_revision'; DELETE FROM word; DELETE FROM dial;")
        .unwrap();
    drop(db);
    let catalogue = open(folder.path());
    let reader = catalogue.reader().unwrap();
    assert_eq!(reader.word_tracks("abba").unwrap(), 120);
    assert_eq!(reader.dialled("song ").unwrap().hits, 120);
    let term = Term { word: "39".into(), prefix: false };
    assert_eq!(reader.matches(&[vec![term]], 9).unwrap().len(), 3);
}

#[tokio::test]
async fn a_share_is_stored_as_a_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = open(folder.path());
    let file = |file| StoredRow {
        track: TrackId { infohash: hash(1), file },
        bytes: 10,
        added: UnixTime(1),
        last_played: UnixTime(1),
        shared: Some("/home/me/Album".into()),
    };
    let files: Vec<StoredRow> = (0..100).map(file).collect();
    let too_many = (0..=MAX_TRACKS as u32).map(|file| track(file, "A", "B", "C")).collect();
    assert!(catalogue.store_share(Some((torrent(1), too_many)), files.clone()).await.is_err());
    assert_eq!(catalogue.stored_all().await.unwrap(), [], "half of the share is recorded");
    assert_eq!(catalogue.torrent(hash(1)).await.unwrap(), None);
    catalogue.store_share(Some((torrent(1), vec![track(0, "A", "B", "C")])), files.clone()).await.unwrap();
    catalogue
        .store_share(None, vec![StoredRow { track: TrackId { infohash: hash(2), file: 0 }, ..file(0) }])
        .await
        .unwrap();
    assert_eq!(catalogue.stored_all().await.unwrap().len(), 101);
    catalogue.stored_remove_all(hash(1)).await.unwrap();
    assert_eq!(catalogue.stored_all().await.unwrap().len(), 1);
}
