//! How often what the player does is written, and what is there after a loss of power.

use std::sync::{Arc, Mutex};

use tokio::task::JoinHandle;

use super::*;
use crate::catalogue::{CatalogueError, CatalogueOptions};
use crate::types::{Bytes, InfoHash, TrackId};

/// Documents with their keys that were put together.
type Write = Vec<(&'static str, String)>;

/// Remembers every write.
#[derive(Clone, Default)]
struct Writes {
    done: Arc<Mutex<Vec<Write>>>,
    full: Arc<Mutex<bool>>,
}

impl Documents for Writes {
    async fn put(&self, documents: Write) -> Result<()> {
        if *self.full.lock().unwrap() {
            return Err(CatalogueError::Database("the disk is full".to_owned()));
        }
        self.done.lock().unwrap().push(documents);
        Ok(())
    }
}

impl Writes {
    /// The keys of each write since the last call.
    fn take(&self) -> Vec<Vec<&'static str>> {
        let done = std::mem::take(&mut *self.done.lock().unwrap());
        done.iter().map(|write| write.iter().map(|(key, _)| *key).collect()).collect()
    }

    /// The place that was written last, if any was since the last [`Self::take`].
    fn find_place(&self) -> Option<Place> {
        let done = self.done.lock().unwrap();
        let json = done.iter().flatten().rfind(|(key, _)| *key == PLACE_KEY).map(|(_, json)| json)?;
        Some(serde_json::from_str(json).unwrap())
    }

    fn place(&self) -> Place {
        self.find_place().expect("a place was written")
    }
}

fn song(file: u32) -> TrackInfo {
    TrackInfo {
        track: TrackId { infohash: InfoHash([7; 20]), file },
        title: format!("Song {file}"),
        artist: String::new(),
        album: String::new(),
        format: "ogg".to_owned(),
        bytes: 4_000_000,
    }
}

struct World {
    snapshots: watch::Sender<Snapshot>,
    status: watch::Sender<PlayerStatus>,
    writes: Writes,
    cancel: CancellationToken,
    task: JoinHandle<std::result::Result<(), TaskError>>,
}

impl World {
    /// A player that plays, and whose first state is written.
    async fn start() -> Self {
        let snapshot = Snapshot {
            queue: (1..500).map(song).collect(),
            current: Some(song(0)),
            activity: Activity::Playing,
            ..Snapshot::default()
        };
        let (snapshots, receiver) = watch::channel(Snapshot::default());
        let (status, progress) = watch::channel(PlayerStatus { track: Some(song(0)), ..PlayerStatus::default() });
        let (writes, cancel) = (Writes::default(), CancellationToken::new());
        snapshots.send_replace(snapshot);
        let task = Self::run(receiver, progress, &writes, &cancel);
        let world = Self { snapshots, status, writes, cancel, task };
        world.pass(2).await;
        assert_eq!(world.writes.take(), [[SONGS_KEY, PLACE_KEY]]);
        world
    }

    fn run(
        snapshots: watch::Receiver<Snapshot>,
        status: watch::Receiver<PlayerStatus>,
        writes: &Writes,
        cancel: &CancellationToken,
    ) -> JoinHandle<std::result::Result<(), TaskError>> {
        let (writes, cancel) = (writes.clone(), cancel.clone());
        tokio::spawn(async move { keep(snapshots, status, &writes, Tick::default(), cancel).await })
    }

    /// Plays on for some seconds.
    async fn pass(&self, seconds: u32) {
        for _ in 0..seconds * 4 {
            self.status.send_modify(|status| status.position_s += 0.25);
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    fn turn_to(&self, volume: u8) {
        self.snapshots.send_modify(|snapshot| snapshot.volume = volume);
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_of_the_volume_is_one_small_write_within_a_second() {
    let world = World::start().await;
    for detent in 1..=40 {
        world.turn_to(100 - detent);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(GATHER).await;
    assert_eq!(world.writes.place().volume, 60);
    assert_eq!(world.writes.take(), [[PLACE_KEY]]);
}

#[tokio::test(start_paused = true)]
async fn a_minute_of_playing_is_at_most_one_write_in_four_seconds_and_none_is_older() {
    let world = World::start().await;
    for _ in 0..60 {
        world.pass(1).await;
        let heard = world.status.borrow().position_s;
        if let Some(kept) = world.writes.find_place() {
            assert!(heard - kept.position_s <= 4.5, "{kept:?} of {heard}");
        }
    }
    let writes = world.writes.take();
    assert!((13..=15).contains(&writes.len()), "{} writes", writes.len());
    assert!(writes.iter().all(|write| write == &[PLACE_KEY]), "{writes:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_while_nothing_changes() {
    let world = World::start().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.writes.take();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(world.writes.take(), Vec::<Vec<&str>>::new());
}

#[tokio::test(start_paused = true)]
async fn another_song_is_written_with_its_own_place() {
    let world = World::start().await;
    world.pass(60).await;
    world.writes.take();
    world.snapshots.send_modify(|snapshot| snapshot.current = Some(song(1)));
    // The status still tells of the song before.
    tokio::time::sleep(GATHER * 2).await;
    assert_eq!(world.writes.place().position_s, 0.0);
    assert_eq!(world.writes.take(), [[SONGS_KEY, PLACE_KEY]]);
}

#[tokio::test(start_paused = true)]
async fn the_last_word_of_the_player_is_written_at_an_orderly_end() {
    let World { snapshots, status, writes, cancel, task } = World::start().await;
    cancel.cancel();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!task.is_finished(), "it did not wait for the player");
    status.send_modify(|status| status.position_s = 42.5);
    snapshots.send_modify(|snapshot| snapshot.volume = 33);
    drop((snapshots, status));
    task.await.unwrap().unwrap();
    let place = writes.place();
    assert_eq!((place.position_s, place.volume), (42.5, 33));
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_written_is_written_when_it_runs_again() {
    let World { snapshots, status, writes, cancel, task } = World::start().await;
    *writes.full.lock().unwrap() = true;
    snapshots.send_modify(|snapshot| snapshot.queue.clear());
    assert!(task.await.unwrap().is_err());
    *writes.full.lock().unwrap() = false;
    // As the supervisor does it: with a receiver that has seen nothing yet.
    let mut receiver = snapshots.subscribe();
    receiver.mark_changed();
    let _task = World::run(receiver, status.subscribe(), &writes, &cancel);
    tokio::time::sleep(GATHER * 2).await;
    assert_eq!(writes.take(), [[SONGS_KEY, PLACE_KEY]]);
}

#[tokio::test]
async fn what_is_kept_comes_back_also_from_one_document_of_an_older_version() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue =
        Catalogue::open(folder.path(), CatalogueOptions { budget: Bytes::mib(8), keep_torrents: false }).unwrap();
    assert_eq!(load(&catalogue).await.unwrap(), Snapshot::default());
    let snapshot = Snapshot {
        queue: vec![song(1)],
        history: vec![song(2)],
        current: Some(song(0)),
        position_s: 12.5,
        volume: 30,
        activity: Activity::Paused,
    };
    catalogue.settings_put(vec![(SONGS_KEY, serde_json::to_string(&snapshot).unwrap())]).await.unwrap();
    assert_eq!(load(&catalogue).await.unwrap(), snapshot);
    let (sender, receiver) = watch::channel(snapshot.clone());
    let (_, status) = watch::channel(PlayerStatus::default());
    drop(sender);
    keep(receiver, status, &catalogue, Tick::default(), CancellationToken::new()).await.unwrap();
    let songs = catalogue.setting_get(SONGS_KEY).await.unwrap().unwrap();
    assert!(!songs.contains("volume"), "{songs}");
    assert_eq!(load(&catalogue).await.unwrap(), snapshot);
}
