//! Sightings and what is fetched next.

use std::net::SocketAddr;

use super::*;

const NOW: u64 = 1_800_000_000;

fn seen(number: u32, at: u64, announce: bool) -> SightingRow {
    let peer = SocketAddr::from(([80, 0, 0, number as u8], 6881));
    SightingRow { infohash: hash(number), peer: Some(peer), at: UnixTime(at), announce }
}

async fn due(catalogue: &Catalogue, max: usize, now: u64) -> Vec<InfoHash> {
    catalogue.due(max, UnixTime(now)).await.unwrap().into_iter().map(|row| row.infohash).collect()
}

#[tokio::test]
async fn often_and_lately_seen_come_first() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = open(folder.path());
    let day = 24 * 3600;
    // Once a minute ago; five times a minute ago; five times a day ago; one announce a minute ago.
    let mut sightings = vec![seen(1, NOW - 60, false), seen(4, NOW - 60, true)];
    sightings.extend((0..5).map(|_| seen(2, NOW - 60, false)));
    sightings.extend((0..5).map(|_| seen(3, NOW - day, false)));
    catalogue.record_sightings(sightings).await.unwrap();
    assert_eq!(due(&catalogue, 9, NOW).await, [hash(2), hash(4), hash(1), hash(3)]);
}

#[tokio::test]
async fn a_row_tells_what_was_seen() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = open(folder.path());
    catalogue.record_sightings(vec![seen(1, NOW, false), seen(1, NOW + 9, true)]).await.unwrap();
    catalogue.record_sightings(vec![SightingRow { peer: None, ..seen(1, NOW - 5, false) }]).await.unwrap();
    let row = catalogue.due(1, UnixTime(NOW)).await.unwrap().remove(0);
    assert_eq!(
        (row.sightings, row.first_seen, row.last_seen, row.attempts),
        (3, UnixTime(NOW - 5), UnixTime(NOW + 9), 0)
    );
    assert_eq!(row.peers, [SocketAddr::from(([80, 0, 0, 1], 6881))]);
    assert_eq!(catalogue.peers_of(hash(1), 9).await.unwrap(), row.peers);
}

#[tokio::test]
async fn handed_out_once_until_reported_back() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = open(folder.path());
    catalogue.record_sightings((1..=3).map(|number| seen(number, NOW, false)).collect()).await.unwrap();
    let first = due(&catalogue, 2, NOW).await;
    let rest = due(&catalogue, 2, NOW).await;
    assert_eq!((first.len(), rest.len()), (2, 1));
    assert!(!first.contains(&rest[0]));
    catalogue.release(first[0]).await.unwrap();
    assert_eq!(due(&catalogue, 9, NOW).await, [first[0]]);
    // Never reported back: handed out again after a while.
    assert_eq!(due(&catalogue, 9, NOW + 1801).await.len(), 3);
}

#[tokio::test]
async fn what_is_postponed_waits_without_a_mark_against_it() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = open(folder.path());
    catalogue.record_sightings(vec![seen(1, NOW, false)]).await.unwrap();
    assert_eq!(due(&catalogue, 1, NOW).await, [hash(1)]);
    catalogue.postpone(hash(1), UnixTime(NOW + 20)).await.unwrap();
    assert_eq!(due(&catalogue, 1, NOW + 19).await, []);
    let row = catalogue.due(1, UnixTime(NOW + 20)).await.unwrap().remove(0);
    assert_eq!((row.infohash, row.attempts), (hash(1), 0));
}

#[tokio::test]
async fn failures_wait_for_their_time_and_end() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = open(folder.path());
    catalogue.record_sightings(vec![seen(1, NOW, false)]).await.unwrap();
    assert_eq!(due(&catalogue, 1, NOW).await, [hash(1)]);
    catalogue.mark_failed(hash(1), Some(UnixTime(NOW + 100))).await.unwrap();
    assert_eq!(catalogue.counts().queued, 1);
    // A new sighting does not shorten the wait, nor does a restart.
    catalogue.record_sightings(vec![seen(1, NOW + 1, true)]).await.unwrap();
    drop(catalogue);
    let catalogue = open(folder.path());
    assert_eq!(due(&catalogue, 1, NOW + 99).await, []);
    let row = catalogue.due(1, UnixTime(NOW + 100)).await.unwrap().remove(0);
    assert_eq!((row.infohash, row.attempts), (hash(1), 1));
    catalogue.mark_failed(hash(1), None).await.unwrap();
    catalogue.record_sightings(vec![seen(1, NOW + 200, true)]).await.unwrap();
    assert_eq!(due(&catalogue, 1, NOW + 9999).await, []);
    assert_eq!((catalogue.counts().queued, catalogue.counts().infohashes), (0, 1));
}

#[tokio::test]
async fn first_peer_ends_the_wait_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = open(folder.path());
    let asked = |number| SightingRow { peer: None, ..seen(number, NOW, false) };
    let other_peer = SightingRow { peer: Some("80.0.9.9:6881".parse().unwrap()), ..seen(1, NOW + 2, true) };
    catalogue.record_sightings(vec![asked(1), asked(2)]).await.unwrap();
    assert_eq!(due(&catalogue, 9, NOW).await.len(), 2);
    // The first peer of 1 comes after the failure, that of 2 before it.
    catalogue.mark_failed(hash(1), Some(UnixTime(NOW + 100))).await.unwrap();
    catalogue.record_sightings(vec![asked(1)]).await.unwrap();
    assert_eq!(due(&catalogue, 9, NOW + 1).await, [], "still nobody to ask");
    catalogue.record_sightings(vec![seen(1, NOW + 1, true), seen(2, NOW + 1, true)]).await.unwrap();
    catalogue.mark_failed(hash(2), Some(UnixTime(NOW + 100))).await.unwrap();
    assert_eq!(due(&catalogue, 9, NOW + 1).await.len(), 2);
    // It was tried, so one more changes nothing.
    catalogue.mark_failed(hash(1), Some(UnixTime(NOW + 100))).await.unwrap();
    catalogue.mark_failed(hash(2), None).await.unwrap();
    catalogue.record_sightings(vec![other_peer]).await.unwrap();
    assert_eq!(due(&catalogue, 9, NOW + 99).await, []);
}

#[tokio::test]
async fn music_and_not_music_leave_the_queue() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = open(folder.path());
    catalogue.record_sightings((1..=2).map(|number| seen(number, NOW, false)).collect()).await.unwrap();
    catalogue.store_torrent(torrent(1), vec![track(0, "a", "b", "c")]).await.unwrap();
    catalogue.mark_not_music(hash(2), "A Film".into(), UnixTime(NOW)).await.unwrap();
    // Too late: it was learnt from elsewhere.
    catalogue.mark_failed(hash(1), None).await.unwrap();
    catalogue.record_sightings((1..=2).map(|number| seen(number, NOW + 1, true)).collect()).await.unwrap();
    assert_eq!(due(&catalogue, 9, NOW + 9999).await, []);
    let counts = catalogue.counts();
    assert_eq!((counts.infohashes, counts.queued, counts.torrents, counts.not_music), (2, 0, 1, 1));
}

#[tokio::test]
async fn seeders_are_the_distinct_peers_seen() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = open(folder.path());
    let from = |last: u8| SightingRow { peer: Some(([80, 0, 0, last], 1).into()), ..seen(1, NOW, true) };
    catalogue.record_sightings(vec![from(1), from(2), from(1)]).await.unwrap();
    catalogue.store_torrent(torrent(1), vec![track(0, "a", "b", "c")]).await.unwrap();
    let id = TrackId { infohash: hash(1), file: 0 };
    assert_eq!(catalogue.track(id).await.unwrap().unwrap().seeders, 2);
    catalogue.record_sightings((0..100).map(from).collect()).await.unwrap();
    assert_eq!(catalogue.track(id).await.unwrap().unwrap().seeders, MAX_PEERS as u32);
}
