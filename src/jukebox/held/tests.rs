use super::*;
use crate::catalogue::CatalogueOptions;

struct World {
    folder: tempfile::TempDir,
    catalogue: Catalogue,
    held: HeldTorrents,
}

/// Torrents with a budget of 8 MiB for the index, and so 1 MiB of their own.
fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let budget = types::Bytes::mib(8);
    let options = CatalogueOptions { budget, keep_torrents: false };
    let catalogue = Catalogue::open(&folder.path().join("index"), options).unwrap();
    let held = HeldTorrents::open(&folder.path().join("torrents"), budget, catalogue.clone()).unwrap();
    World { folder, catalogue, held }
}

fn hash(number: u8) -> InfoHash {
    InfoHash([number; 20])
}

/// A torrent of 256 KiB.
fn quarter(number: u8) -> Bytes {
    vec![number; 256 << 10].into()
}

#[tokio::test]
async fn what_is_put_is_there_until_it_is_removed() {
    let World { folder, catalogue, held } = world();
    let infohash = hash(3);
    for origin in [Origin::Fetched, Origin::Shared] {
        assert_eq!(held.get(infohash).await.unwrap(), None);
        held.put(infohash, Bytes::from_static(b"d4:infodee"), origin).await.unwrap();
        held.put(infohash, Bytes::from_static(b"other"), origin).await.unwrap();
        let path = folder.path().join("torrents");
        let again = HeldTorrents::open(&path, types::Bytes::mib(8), catalogue.clone()).unwrap();
        assert_eq!(again.get(infohash).await.unwrap().as_deref(), Some(&b"d4:infodee"[..]));
        again.keep_only(HashSet::from([infohash])).await.unwrap();
        assert!(again.get(infohash).await.unwrap().is_some());
        again.keep_only(HashSet::new()).await.unwrap();
        assert_eq!(again.get(infohash).await.unwrap(), None);
        held.put(infohash, Bytes::from_static(b"d4:infodee"), origin).await.unwrap();
        again.remove(infohash).await.unwrap();
        again.remove(infohash).await.unwrap();
        assert_eq!(held.get(infohash).await.unwrap(), None);
    }
}

#[tokio::test]
async fn what_was_used_longest_ago_goes_first_and_what_is_shared_stays() {
    let World { held, folder, .. } = world();
    held.put(hash(1), quarter(1), Origin::Shared).await.unwrap();
    for number in 2..=4 {
        held.put(hash(number), quarter(number), Origin::Fetched).await.unwrap();
    }
    // Files have the time of their making, which may be the same: make it differ.
    for number in 2..=4u8 {
        let file = std::fs::File::options().append(true).open(held.path(hash(number), Origin::Fetched)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(number.into())).unwrap();
    }
    // Used again.
    held.put(hash(2), quarter(2), Origin::Fetched).await.unwrap();
    held.put(hash(5), quarter(5), Origin::Fetched).await.unwrap();
    let there = async |number| held.get(hash(number)).await.unwrap().is_some();
    assert!(there(1).await && there(2).await && there(4).await && there(5).await);
    assert!(!there(3).await, "used longest ago");
    // Shares push out what can be fetched again, and are refused when nothing of that is left.
    for number in 6..=8 {
        held.put(hash(number), quarter(number), Origin::Shared).await.unwrap();
    }
    assert!(!there(2).await && !there(4).await && !there(5).await);
    let error = held.put(hash(9), quarter(9), Origin::Shared).await.unwrap_err();
    assert!(error.to_string().contains("raise it"), "{error}");
    held.put(hash(9), quarter(9), Origin::Fetched).await.unwrap();
    assert!(!there(9).await && there(1).await && there(8).await);
    let files = std::fs::read_dir(folder.path().join("torrents")).unwrap().count();
    assert_eq!(files, 4);
}

#[tokio::test]
async fn what_they_take_is_counted_with_the_catalogue() {
    let World { catalogue, held, folder: _folder } = world();
    let mut counts = catalogue.watch_counts();
    let before = counts.borrow_and_update().bytes;
    held.put(hash(1), quarter(1), Origin::Fetched).await.unwrap();
    held.put(hash(2), quarter(2), Origin::Fetched).await.unwrap();
    assert!(catalogue.counts().bytes >= before + (512 << 10), "{} of {before}", catalogue.counts().bytes);
    held.remove(hash(1)).await.unwrap();
    let left = catalogue.counts().bytes;
    assert!((before + (256 << 10)..before + (512 << 10)).contains(&left), "{left} of {before}");
}
