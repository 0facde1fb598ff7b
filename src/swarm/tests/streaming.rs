//! Reading a song while it comes.

use std::io::{Read, Seek, SeekFrom};
use std::time::{Duration, Instant};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_file_is_streamed_and_no_other_fetched_beyond_shared_pieces() {
    let (folder, songs) = five_songs();
    let (seed, shared) = seed(&folder).await;
    let node = Node::start().await;
    let begun = Instant::now();
    let stream = node.swarm.open(source(&shared, &[&seed]), 2).await.unwrap();
    let first = with_reader(&stream, |reader| {
        let mut byte = [0];
        reader.read_exact(&mut byte).unwrap();
        byte[0]
    })
    .await;
    assert_eq!(first, songs[2][0]);
    assert!(begun.elapsed() < Duration::from_secs(2), "the first byte took {:?}", begun.elapsed());

    assert!(read_all(&stream).await.unwrap() == songs[2]);
    let mut progress = stream.progress();
    let done = progress.wait_for(FetchProgress::is_complete).await.unwrap();
    assert_eq!(done.contiguous_from_start, done.len);
    assert_eq!(stream.contiguous_from(1000), done.len - 1000);

    let pieces = shared.meta.pieces_of(2);
    let wanted: u64 = pieces.clone().map(|piece| u64::from(shared.meta.piece_len(piece))).sum();
    assert_eq!(node.swarm.stats().downloaded_bytes, wanted);
    let disk = on_disk(&node, 5).await;
    assert_eq!((disk[0], disk[4]), (0, 0), "files that share nothing do not exist");
    assert!(disk[1] <= PIECE + 8192 && disk[3] <= PIECE + 8192, "{disk:?}");
    assert!(disk.iter().sum::<u64>() <= shared.meta.footprint(2), "{disk:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seeking_reads_from_there_at_once() {
    let (folder, songs) = album(&[("long.flac", 12_000_000), ("x.ogg", 1000)]);
    let (seed, shared) = seed(&folder).await;
    let node = Node::start().await;
    let stream = node.swarm.open(source(&shared, &[&seed]), 0).await.unwrap();
    let wanted = songs[0][9_000_000..9_100_000].to_vec();
    with_reader(&stream, move |reader| {
        assert_eq!(reader.seek(SeekFrom::End(-3_000_000)).unwrap(), 9_000_000);
        let mut bytes = vec![0; 100_000];
        reader.read_exact(&mut bytes).unwrap();
        assert!(bytes == wanted);
        assert_eq!(reader.seek(SeekFrom::Start(u64::MAX)).unwrap(), reader.byte_len());
        assert_eq!(reader.read(&mut bytes).unwrap(), 0);
        assert!(reader.seek(SeekFrom::Current(-20_000_000)).is_err());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_song_of_a_finished_torrent_starts_without_delay() {
    let (folder, songs) = five_songs();
    let (seed, shared) = seed(&folder).await;
    // A peer that has only two songs stays connected when the first is complete, and sleeps in librqbit.
    let partial = Node::start().await;
    for file in [0, 1] {
        let stream = partial.swarm.open(source(&shared, &[&seed]), file).await.unwrap();
        assert!(read_all(&stream).await.unwrap() == songs[file as usize]);
    }
    let node = Node::start().await;
    let stream = node.swarm.open(source(&shared, &[&partial]), 0).await.unwrap();
    assert!(read_all(&stream).await.unwrap() == songs[0]);
    until("the end of fetching", || node.swarm.host.torrent(shared.infohash).unwrap().life().handle.stats().finished)
        .await;
    let begun = Instant::now();
    let stream = node.swarm.open(source(&shared, &[]), 1).await.unwrap();
    assert!(read_all(&stream).await.unwrap() == songs[1]);
    assert!(begun.elapsed() < Duration::from_secs(3), "took {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prefetched_songs_arrive_unread_and_fetching_can_be_stopped() {
    let (folder, songs) = five_songs();
    let (seed, shared) = seed(&folder).await;
    let node = Node::start().await;
    node.swarm.prefetch(source(&shared, &[&seed]), 3).await.unwrap();
    let torrent = node.swarm.host.torrent(shared.infohash).unwrap();
    until("the prefetch", || torrent.is_complete(3)).await;
    seed.stop().await;
    let stream = node.swarm.open(source(&shared, &[]), 3).await.unwrap();
    assert!(read_all(&stream).await.unwrap() == songs[3]);

    node.swarm.prefetch(source(&shared, &[]), 0).await.unwrap();
    assert!(!torrent.life().handle.stats().finished);
    node.swarm.stop_fetching(track(&shared, 0)).await.unwrap();
    assert!(torrent.life().handle.stats().finished);
    assert!(matches!(node.swarm.stop_fetching(track(&shared, 3)).await, Err(SwarmError::InUse { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_that_sleep_over_the_end_of_a_song_are_woken_for_one_that_is_waited_for() {
    // Slow enough that every piece of the first song is asked for long before the last one is there.
    let (folder, songs) = album(&[("1.ogg", 700_000), ("2.ogg", 400_000), ("3.ogg", 300_000)]);
    let music = tempfile::tempdir().unwrap();
    let slow = SwarmConfig { upload: Some(Rate(400 << 10)), ..config(music.path()) };
    let seed = Node { swarm: Swarm::start(slow).await.unwrap(), music };
    let shared = seed.swarm.share(&folder.path().join("Album")).await.unwrap();
    let node = Node::start().await;
    let first = node.swarm.open(source(&shared, &[&seed]), 0).await.unwrap();
    until("the first piece", || first.contiguous_from(0) > 0).await;
    let torrent = node.swarm.host.torrent(shared.infohash).unwrap();
    let connections = || torrent.life().handle.live().unwrap();
    let before = connections();
    node.swarm.prefetch(source(&shared, &[&seed]), 2).await.unwrap();
    assert!(!torrent.is_complete(0));
    assert!(std::sync::Arc::ptr_eq(&before, &connections()), "what is only fetched ahead can wait");
    let second = node.swarm.open(source(&shared, &[&seed]), 1).await.unwrap();
    assert!(!std::sync::Arc::ptr_eq(&before, &connections()), "woken by way of the paused state");
    drop(first);
    assert!(read_all(&second).await.unwrap() == songs[1]);
}

/// Polls a future so many times and drops it when it would go on; whether it came to its end.
async fn given_up_after(polls: usize, future: impl Future) -> bool {
    let mut future = std::pin::pin!(future);
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 {
            return std::task::Poll::Ready(false);
        }
        left -= 1;
        future.as_mut().poll(context).map(|_| true)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_song_that_was_left_while_it_was_opened_can_be_opened() {
    let (folder, _) = five_songs();
    let (seed, shared) = seed(&folder).await;
    let node = Node::start().await;
    for polls in 1.. {
        let opened = given_up_after(polls, node.swarm.open(source(&shared, &[&seed]), 1)).await;
        let stream = node.swarm.open(source(&shared, &[&seed]), 1).await;
        drop(stream.unwrap_or_else(|error| panic!("left after {polls} polls: {error}")));
        node.swarm.remove(shared.infohash).await.unwrap();
        if opened {
            assert!(polls > 2, "it waits for something before it is open");
            break;
        }
    }
}
