//! What goes wrong, and that the rest goes on.

use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_read_ends_when_cancelled_and_when_nothing_comes() {
    let (folder, _songs) = five_songs();
    let (seed, shared) = seed(&folder).await;
    let node = Node::start().await;
    let mut wanted = node.swarm.peers_wanted().unwrap();
    assert!(node.swarm.peers_wanted().is_none());
    let stream = node.swarm.open(source(&shared, &[]), 0).await.unwrap();
    assert_eq!(wanted.recv().await, Some(shared.infohash));

    let cancel = CancellationToken::new();
    let mut reader = stream.reader(cancel.clone());
    let read = tokio::task::spawn_blocking(move || reader.read(&mut [0; 10]).unwrap_err());
    cancel.cancel();
    let error = tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
    assert_eq!(error.kind(), ErrorKind::ConnectionAborted);

    let error = read_all(&stream).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().contains("0 connected peers"), "{error}");

    // The peer that was missing turns up: it is dialled at once.
    node.swarm.add_peers(shared.infohash, &[seed.addr()]);
    let begun = Instant::now();
    until("the first piece", || stream.contiguous_from(0) > 0).await;
    assert!(begun.elapsed() < Duration::from_secs(1), "took {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seed_that_leaves_is_an_error_and_another_one_goes_on() {
    let (folder, songs) = album(&[("long.flac", 30_000_000)]);
    let slow = tempfile::tempdir().unwrap();
    let limited = SwarmConfig { upload: Some(Rate(1 << 20)), ..config(slow.path()) };
    let first = Node { swarm: Swarm::start(limited).await.unwrap(), music: slow };
    let shared = first.swarm.share(&folder.path().join("Album")).await.unwrap();
    let node = Node::start().await;
    let stream = node.swarm.open(source(&shared, &[&first]), 0).await.unwrap();
    until("the first piece", || stream.contiguous_from(0) > 0).await;
    first.stop().await;
    let error = read_all(&stream).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");

    let (second, _) = seed(&folder).await;
    node.swarm.add_peers(shared.infohash, &[second.addr()]);
    assert!(read_all(&stream).await.unwrap() == songs[0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_pieces_are_counted_and_never_heard() {
    let (folder, songs) = five_songs();
    let (bad, shared) = seed(&folder).await;
    let path = folder.path().join("Album/1.ogg");
    let mut bytes = songs[0].clone();
    bytes[300_000] ^= 1;
    std::fs::write(&path, bytes).unwrap();

    let node = Node::start().await;
    let stream = node.swarm.open(source(&shared, &[&bad]), 0).await.unwrap();
    let error = read_all(&stream).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    until("the count", || node.swarm.stats().corrupt_pieces > 0).await;

    let (good_folder, _) = five_songs();
    let (good, _) = seed(&good_folder).await;
    node.swarm.add_peers(shared.infohash, &[good.addr()]);
    assert!(read_all(&stream).await.unwrap() == songs[0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_an_error_for_that_song_and_the_session_lives() {
    let (folder, songs) = five_songs();
    let (seed, shared) = seed(&folder).await;
    let node = Node::start().await;
    // A device that takes nothing, where the file would be.
    let own = node.music.path().join(shared.infohash.to_string());
    std::fs::create_dir(&own).unwrap();
    std::os::unix::fs::symlink("/dev/full", own.join("0001-2.ogg")).unwrap();
    // The first block may come before it is open or after.
    let error = match node.swarm.open(source(&shared, &[&seed]), 1).await {
        Ok(stream) => read_all(&stream).await.unwrap_err(),
        Err(error) => error.into(),
    };
    assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
    assert!(error.to_string().contains("budget"), "{error}");
    assert_eq!(node.swarm.stats().failed_torrents, 1);

    let (other_folder, other_songs) = album(&[("another.ogg", 400_000)]);
    let other = seed.swarm.share(&other_folder.path().join("Album")).await.unwrap();
    let stream = node.swarm.open(source(&other, &[&seed]), 0).await.unwrap();
    assert!(read_all(&stream).await.unwrap() == other_songs[0]);

    // Room was made: opening it again tries again.
    std::fs::remove_file(own.join("0001-2.ogg")).unwrap();
    let stream = node.swarm.open(source(&shared, &[&seed]), 1).await.unwrap();
    assert!(read_all(&stream).await.unwrap() == songs[1]);
    assert_eq!(node.swarm.stats().failed_torrents, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bounds_and_mistakes_are_errors() {
    let (folder, _) = five_songs();
    let (seed, shared) = seed(&folder).await;
    let node = Node::start().await;
    let unknown = Source { infohash: shared.infohash, torrent: None, peers: vec![] };
    assert!(matches!(node.swarm.open(unknown, 0).await, Err(SwarmError::NoMetadata(_))));
    let wrong = Source { infohash: InfoHash([9; 20]), ..source(&shared, &[]) };
    assert!(matches!(node.swarm.open(wrong, 0).await, Err(SwarmError::Metainfo(_))));
    assert!(matches!(node.swarm.open(source(&shared, &[]), 5).await, Err(SwarmError::NoSuchFile { file: 5, .. })));
    let mut open = Vec::new();
    for file in [0, 1, 2, 3, 4, 0] {
        open.push(node.swarm.open(source(&shared, &[&seed]), file).await.unwrap());
    }
    assert!(matches!(
        node.swarm.open(source(&shared, &[]), 1).await,
        Err(SwarmError::TooManyStreams { limit: MAX_OPEN_STREAMS })
    ));
    drop(open.pop());
    // Every stream can be read while all are open.
    for stream in &open {
        read_all(stream).await.unwrap();
    }
    node.swarm.remove(shared.infohash).await.unwrap();
    let error = read_all(&open[0]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");

    let taken = SwarmConfig { listen: seed.addr(), ..config(node.music.path()) };
    let error = Swarm::start(taken).await.err().unwrap().to_string();
    assert!(error.contains("using the port"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn public_scope_neither_calls_nor_answers_loopback_but_feeds_itself() {
    let (folder, _) = five_songs();
    let (seed, shared) = seed(&folder).await;
    let music = tempfile::tempdir().unwrap();
    let public = SwarmConfig { private_scope: false, ..config(music.path()) };
    let node = Node { swarm: Swarm::start(public).await.unwrap(), music };
    let stream = node.swarm.open(source(&shared, &[&seed]), 0).await.unwrap();
    let torrent = node.swarm.host.torrent(shared.infohash).unwrap();
    assert!(torrent.known_peers().is_empty());
    // Past our own filter, as a stranger's peer exchange would be: the feeder gets in, its peer is not dialled.
    torrent.feed(&node.swarm.host, &[seed.addr()]);
    let blocked = || node.swarm.host.session.stats_snapshot().counters.blocked_outgoing;
    until("the refusal", || blocked() == 1).await;
    assert_eq!(stream.contiguous_from(0), 0);
    // The other way round: the seed calls, and is turned away.
    seed.swarm.add_peers(shared.infohash, &[node.addr()]);
    until("the refusal", || node.swarm.host.session.stats_snapshot().counters.blocked_incoming > 0).await;
}
