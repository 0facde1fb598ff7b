//! Sharing when something goes wrong on the way.

use tokio_util::sync::CancellationToken;

use super::*;
use crate::catalogue::CatalogueOptions;
use crate::config::IdStrategy;
use crate::crawler::CrawlerConfig;
use crate::swarm::SwarmConfig;
use crate::types::{Bytes, Scope};

/// A jukebox without faces and sound, alone in its network.
struct Alone {
    torrents: Torrents,
    folder: tempfile::TempDir,
    _end: tokio_util::sync::DropGuard,
}

impl Alone {
    async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    async fn start_in(folder: tempfile::TempDir) -> Self {
        let (index, music) = (folder.path().join("index"), folder.path().join("music"));
        std::fs::create_dir_all(&music).unwrap();
        let (clock, cancel) = (Clock::start(), CancellationToken::new());
        let options = CatalogueOptions { budget: Bytes::mib(8), keep_torrents: true };
        let catalogue = Catalogue::open(&index, options).unwrap();
        let crawler = CrawlerConfig {
            nodes: 1,
            at_work: 1,
            id_strategy: IdStrategy::Random,
            listen: "127.0.0.1:0".parse().unwrap(),
            bootstrap: Vec::new(),
            scope: Scope::Private,
            seed: 1,
            limits: None,
            contacts_file: None,
        };
        let (crawler, _) = Crawler::start(crawler, clock, cancel.clone()).await.unwrap();
        let swarm = SwarmConfig {
            music,
            listen: "127.0.0.1:0".parse().unwrap(),
            upload: None,
            max_peers: 10,
            private_scope: true,
            stall_time: None,
        };
        let held = HeldTorrents::open(&index.join("torrents"), Bytes::mib(8), catalogue.clone()).unwrap();
        let torrents = Torrents {
            jobs: CatalogueJobs { catalogue: catalogue.clone(), clock, keep_torrents: true },
            catalogue,
            fetching: Fetching::new(crawler.clone(), Scope::Private, cancel.clone()),
            held,
            own: Vec::new().into(),
            swarm: Swarm::start(swarm).await.unwrap(),
            crawler,
            clock,
        };
        Self { torrents, folder, _end: cancel.drop_guard() }
    }

    /// A folder with some songs.
    fn album(&self) -> PathBuf {
        let album = self.folder.path().join("Album");
        std::fs::create_dir_all(&album).unwrap();
        for number in 1..=5u8 {
            std::fs::write(album.join(format!("{number:02} Song.ogg")), vec![number; 20_000]).unwrap();
        }
        album
    }

    fn held(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("index/torrents")).unwrap().count()
    }
}

#[tokio::test]
async fn what_is_shared_is_recorded_and_forgotten_as_a_whole() {
    let alone = Alone::start().await;
    let shared = alone.torrents.share(&alone.album()).await.unwrap();
    assert_eq!((shared.tracks, alone.held()), (5, 1));
    assert_eq!(alone.torrents.catalogue.stored_all().await.unwrap().len(), 5);
    alone.torrents.unshare(shared.infohash).await.unwrap();
    assert_eq!(alone.torrents.catalogue.stored_all().await.unwrap(), []);
    assert_eq!((alone.torrents.swarm.stats().torrents, alone.held()), (0, 0));
    assert_eq!(alone.torrents.catalogue.tracks_of(shared.infohash).await.unwrap(), [], "nobody else has it");
}

#[tokio::test]
async fn a_magnet_whose_metadata_is_still_to_come_is_not_said_to_have_no_music() {
    let alone = Alone::start().await;
    tokio::time::pause();
    let added = alone.torrents.add(&format!("magnet:?xt=urn:btih:{}&dn=foo", "a".repeat(40))).await.unwrap();
    assert_eq!((added.name.as_str(), added.tracks), ("", 0));
}

#[tokio::test]
async fn a_new_catalogue_takes_up_the_music_that_is_there_and_an_old_one_forgets_what_it_never_recorded() {
    let alone = Alone::start().await;
    let folder = alone.folder.path().join("music").join("b".repeat(40));
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("0003-song.mp3"), vec![1; 9000]).unwrap();
    alone.torrents.reconcile().await.unwrap();
    let stored = alone.torrents.catalogue.stored_all().await.unwrap();
    assert_eq!(stored.iter().map(|row| row.track.file).collect::<Vec<_>>(), [3]);
    assert!(folder.join("0003-song.mp3").exists());

    // The next start knows its catalogue: what is not in it was never finished.
    let Alone { torrents, folder: home, _end } = alone;
    drop((torrents, _end));
    let never = home.path().join("music").join("c".repeat(40));
    std::fs::create_dir(&never).unwrap();
    std::fs::write(never.join("0000-song.mp3"), vec![1; 9000]).unwrap();
    let alone = Alone::start_in(home).await;
    alone.torrents.reconcile().await.unwrap();
    assert!(folder.exists() && !never.exists());
    assert_eq!(alone.torrents.catalogue.stored_all().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_share_that_cannot_be_recorded_is_taken_back_and_says_so() {
    let alone = Alone::start().await;
    alone.torrents.catalogue.kill_writer().await;
    let error = alone.torrents.share(&alone.album()).await.unwrap_err();
    assert!(error.message.starts_with("nothing was shared: "), "{}", error.message);
    assert_eq!((alone.torrents.swarm.stats().torrents, alone.held()), (0, 0));
}

#[tokio::test]
async fn a_share_that_was_recorded_before_goes_on_when_it_cannot_be_recorded_again() {
    let alone = Alone::start().await;
    alone.torrents.share(&alone.album()).await.unwrap();
    alone.torrents.catalogue.kill_writer().await;
    assert!(alone.torrents.share(&alone.album()).await.is_err());
    assert_eq!((alone.torrents.swarm.stats().torrents, alone.held()), (1, 1));
}
