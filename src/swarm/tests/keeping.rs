//! What is kept, shared, evicted and found again after a restart.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_it_seeds_without_fetching_again() {
    let (folder, songs) = five_songs();
    let (seed, shared) = seed(&folder).await;
    let node = Node::start().await;
    let stream = node.swarm.open(source(&shared, &[&seed]), 1).await.unwrap();
    assert!(read_all(&stream).await.unwrap() == songs[1]);
    recorded(&node, &shared).await;
    drop(stream);
    // As if killed: nothing is stopped in order, and the seed is gone for good.
    let Node { swarm, music } = node;
    swarm.host.session.cancellation_token().cancel();
    drop(swarm);
    seed.stop().await;

    let node = Node::start_in(music).await;
    let restore = |files| vec![Restore { torrent: shared.torrent.clone(), files, share: None }];
    let restored = node.swarm.restore(restore(vec![1, 3])).await;
    assert_eq!(restored.torrents, 1);
    assert_eq!(restored.incomplete, [track(&shared, 3)]);
    let other = Node::start().await;
    let stream = other.swarm.open(source(&shared, &[&node]), 1).await.unwrap();
    // The pieces at the borders were kept too.
    assert!(read_all(&stream).await.unwrap() == songs[1]);
    assert_eq!(node.swarm.stats().downloaded_bytes, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_changed_while_it_was_off_are_hashed_and_mended() {
    let (folder, songs) = five_songs();
    let (seed, shared) = seed(&folder).await;
    let node = Node::start().await;
    let stream = node.swarm.open(source(&shared, &[&seed]), 1).await.unwrap();
    assert!(read_all(&stream).await.unwrap() == songs[1]);
    recorded(&node, &shared).await;
    drop(stream);
    let path = node.music.path().join(shared.infohash.to_string()).join("0001-2.ogg");
    let music = node.stop().await;
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[700_000] ^= 1;
    std::fs::write(&path, bytes).unwrap();

    let node = Node::start_in(music).await;
    let restore = Restore { torrent: shared.torrent.clone(), files: vec![1], share: None };
    assert_eq!(node.swarm.restore(vec![restore]).await.incomplete, [track(&shared, 1)]);
    let stream = node.swarm.open(source(&shared, &[&seed]), 1).await.unwrap();
    assert!(read_all(&stream).await.unwrap() == songs[1]);
    assert_eq!(node.swarm.stats().downloaded_bytes, PIECE, "only the damaged piece is fetched again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_shared_stays_the_persons_own() {
    let (folder, songs) = five_songs();
    let (seed, shared) = seed(&folder).await;
    assert!(matches!(seed.swarm.evict(track(&shared, 0)).await, Err(SwarmError::Shared(_))));
    assert_eq!(seed.swarm.usage().await.unwrap(), [], "shares are not counted against the budget");
    let again = seed.swarm.share(&folder.path().join("Album")).await.unwrap();
    assert_eq!(again.infohash, shared.infohash);
    // Playing it reads the person's file.
    let stream = seed.swarm.open(source(&shared, &[]), 4).await.unwrap();
    assert!(read_all(&stream).await.unwrap() == songs[4]);
    drop(stream);

    let music = seed.stop().await;
    let seed = Node::start_in(music).await;
    let share = Some(folder.path().canonicalize().unwrap().join("Album"));
    let restore = Restore { torrent: shared.torrent.clone(), files: vec![], share };
    let restored = seed.swarm.restore(vec![restore]).await;
    assert_eq!((restored.torrents, restored.incomplete.len()), (1, 0));
    let node = Node::start().await;
    let stream = node.swarm.open(source(&shared, &[&seed]), 0).await.unwrap();
    assert!(read_all(&stream).await.unwrap() == songs[0]);

    seed.swarm.unshare(shared.infohash).await.unwrap();
    assert!(matches!(seed.swarm.unshare(shared.infohash).await, Err(SwarmError::NoSuchTorrent(_))));
    for (index, song) in songs.iter().enumerate() {
        assert!(std::fs::read(folder.path().join(format!("Album/{}.ogg", index + 1))).unwrap() == *song);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_that_is_played_is_not_replaced_by_a_share_and_another_is() {
    let (folder, songs) = five_songs();
    let (seed, shared) = seed(&folder).await;
    let node = Node::start().await;
    let stream = node.swarm.open(source(&shared, &[&seed]), 1).await.unwrap();
    let path = folder.path().join("Album");
    let error = node.swarm.share(&path).await.unwrap_err();
    assert!(matches!(error, SwarmError::SharePlays { .. }), "{error}");
    assert!(read_all(&stream).await.unwrap() == songs[1], "what plays was disturbed");
    drop(stream);
    until("the close", || !node.swarm.is_open(track(&shared, 1))).await;
    node.swarm.share(&path).await.unwrap();
    assert!(node.swarm.is_shared(shared.infohash));
    assert_eq!(node.swarm.usage().await.unwrap(), [], "the copy stays on the disk");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_share_is_never_written_to() {
    let (folder, songs) = five_songs();
    let (seed, shared) = seed(&folder).await;
    let music = seed.stop().await;
    let path = folder.path().join("Album/2.ogg");
    std::fs::write(&path, b"edited by its owner").unwrap();
    let (other_folder, _) = five_songs();
    let (other, _) = self::seed(&other_folder).await;

    let seed = Node::start_in(music).await;
    let share = Some(folder.path().canonicalize().unwrap().join("Album"));
    let restore = Restore { torrent: shared.torrent.clone(), files: vec![], share };
    assert_eq!(
        seed.swarm.restore(vec![restore]).await.incomplete,
        [track(&shared, 0), track(&shared, 1), track(&shared, 2)]
    );
    let error = seed.swarm.open(source(&shared, &[&other]), 1).await.err().unwrap().to_string();
    assert!(error.contains("share it again"), "{error}");
    // What is whole is played, with a peer connected that would have the rest.
    let stream = seed.swarm.open(source(&shared, &[&other]), 4).await.unwrap();
    assert!(read_all(&stream).await.unwrap() == songs[4]);
    assert_eq!(seed.swarm.stats().failed_torrents, 0);
    assert_eq!(seed.swarm.stats().downloaded_bytes, 0);
    assert_eq!(std::fs::read(&path).unwrap(), b"edited by its owner");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evicting_frees_the_space_and_the_file_can_be_fetched_again() {
    let (folder, songs) = five_songs();
    let (seed, shared) = seed(&folder).await;
    let node = Node::start().await;
    let mut streams = Vec::new();
    for file in [1, 2] {
        let stream = node.swarm.open(source(&shared, &[&seed]), file).await.unwrap();
        assert!(read_all(&stream).await.unwrap() == songs[file as usize]);
        streams.push(stream);
    }
    assert!(matches!(node.swarm.evict(track(&shared, 2)).await, Err(SwarmError::InUse { .. })));
    streams.truncate(1);
    let before: u64 = on_disk(&node, 5).await.iter().sum();
    let freed = node.swarm.evict(track(&shared, 2)).await.unwrap();
    let disk = on_disk(&node, 5).await;
    assert_eq!(before - disk.iter().sum::<u64>(), freed);
    assert!(freed > songs[2].len() as u64 - PIECE, "{freed}");
    assert!(disk[2] <= PIECE && disk[2] > 0, "only the border that the kept neighbour needs stays: {disk:?}");
    assert_eq!(disk[3], 0);

    // The neighbour that is open is read on, and seeded whole.
    assert!(read_all(&streams[0]).await.unwrap() == songs[1]);
    let other = Node::start().await;
    let stream = other.swarm.open(source(&shared, &[&node]), 1).await.unwrap();
    assert!(read_all(&stream).await.unwrap() == songs[1]);

    let fetched = node.swarm.stats().downloaded_bytes;
    let stream = node.swarm.open(source(&shared, &[&seed]), 2).await.unwrap();
    assert!(read_all(&stream).await.unwrap() == songs[2]);
    assert!(node.swarm.stats().downloaded_bytes > fetched);

    recorded(&node, &shared).await;
    drop((stream, streams));
    // Another run that opens a third song before anything was restored knows what is not to be deleted.
    let node = Node::start_in(node.stop().await).await;
    let stream = node.swarm.open(source(&shared, &[&seed]), 4).await.unwrap();
    assert!(read_all(&stream).await.unwrap() == songs[4]);
    drop(stream);
    node.swarm.evict(track(&shared, 4)).await.unwrap();
    let stream = node.swarm.open(source(&shared, &[]), 1).await.unwrap();
    assert!(read_all(&stream).await.unwrap() == songs[1]);
    drop(stream);
    node.swarm.evict(track(&shared, 2)).await.unwrap();
    node.swarm.evict(track(&shared, 1)).await.unwrap();
    assert_eq!(node.swarm.usage().await.unwrap(), []);
    assert_eq!(node.swarm.stats().torrents, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_earlier_run_left_is_counted_and_can_be_deleted_file_by_file() {
    let (folder, songs) = five_songs();
    let (seed, shared) = seed(&folder).await;
    let node = Node::start().await;
    for file in [0, 3] {
        let stream = node.swarm.open(source(&shared, &[&seed]), file).await.unwrap();
        assert!(read_all(&stream).await.unwrap() == songs[file as usize]);
    }
    let node = Node::start_in(node.stop().await).await;
    let before = on_disk(&node, 5).await;
    assert_eq!(node.swarm.evict(track(&shared, 0)).await.unwrap(), before[0]);
    assert_eq!(on_disk(&node, 5).await[0], 0);
    let restore = Restore { torrent: shared.torrent.clone(), files: vec![0, 3], share: None };
    assert_eq!(node.swarm.restore(vec![restore]).await.incomplete, [track(&shared, 0)]);
    node.swarm.remove(shared.infohash).await.unwrap();
    assert_eq!(node.swarm.usage().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_song_that_is_wanted_while_it_is_evicted_comes_anew() {
    let (folder, songs) = five_songs();
    let (seed, shared) = seed(&folder).await;
    let node = Node::start().await;
    for _ in 0..20 {
        let (evicted, opened) =
            tokio::join!(node.swarm.evict(track(&shared, 0)), node.swarm.open(source(&shared, &[&seed]), 0));
        assert!(matches!(evicted, Ok(_) | Err(SwarmError::InUse { .. })), "{evicted:?}");
        assert!(read_all(&opened.unwrap()).await.unwrap() == songs[0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torrent_that_nobody_plays_rests_when_there_are_too_many_peers_and_wakes_to_be_played() {
    // Slow enough that the download is under way when connections are looked at.
    let (folder, songs) = album(&[("long.flac", 6_000_000)]);
    let music = tempfile::tempdir().unwrap();
    let bounded = SwarmConfig { max_peers: 0, upload: Some(Rate(2 << 20)), ..config(music.path()) };
    let seed = Node { swarm: Swarm::start(bounded).await.unwrap(), music };
    let shared = seed.swarm.share(&folder.path().join("Album")).await.unwrap();
    let node = Node::start().await;
    let stream = node.swarm.open(source(&shared, &[&seed]), 0).await.unwrap();
    let torrent = seed.swarm.host.torrent(shared.infohash).unwrap();
    until("the rest", || torrent.rests_since().is_some()).await;
    until("the end of the connection", || torrent.life().traffic().1 == 0).await;

    // Played on the seed itself, it may not rest, and gives to others again.
    let own = seed.swarm.open(source(&shared, &[]), 0).await.unwrap();
    assert!(read_all(&own).await.unwrap() == songs[0]);
    assert!(torrent.rests_since().is_none());
    until("the seed", || torrent.life().handle.live().is_some()).await;
    node.swarm.host.torrent(shared.infohash).unwrap().refresh(&node.swarm.host).await.unwrap();
    assert!(read_all(&stream).await.unwrap() == songs[0]);
}
