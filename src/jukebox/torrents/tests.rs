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
        let folder = tempfile::tempdir().unwrap();
        let (index, music) = (folder.path().join("index"), folder.path().join("music"));
        std::fs::create_dir_all(&music).unwrap();
        let (clock, cancel) = (Clock::start(), CancellationToken::new());
        let options = CatalogueOptions { budget: Bytes::mib(8), keep_torrents: true };
        let catalogue = Catalogue::open(&index, options).unwrap();
        let crawler = CrawlerConfig {
            nodes: 1,
            id_strategy: IdStrategy::Random,
            listen: "127.0.0.1:0".parse().unwrap(),
            bootstrap: Vec::new(),
            scope: Scope::Private,
            seed: 1,
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
