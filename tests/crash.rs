//! kill -9 at random moments: nothing that was acknowledged is lost, and the jukebox starts again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic, in its helpers too")]

mod common;

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use common::{Jukebox, in_private_network};
use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use silverstream::control::{Command, Reply};
use silverstream::lab::world::music::{Lengths, write_releases};
use silverstream::lab::world::{World, WorldConfig};
use silverstream::types::{Clock, TrackId};
use tokio_util::sync::CancellationToken;

const SEED: u64 = 1973;

/// Small enough that every few songs one must go.
const BUDGET_MIB: u64 = 6;

/// Bytes that the files below a folder take on disk.
fn disk_usage(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => disk_usage(&entry.path()),
            Ok(meta) => meta.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

/// What SQLite itself says of the file that the killed process left.
fn check_database(index: &Path) {
    for entry in std::fs::read_dir(index).unwrap().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "db" || extension == "sqlite") {
            let connection = rusqlite::Connection::open(&path).unwrap();
            let verdict: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
            assert_eq!(verdict, "ok", "{}", path.display());
        }
    }
}

/// Lets it do something for a random while, and returns the number of tracks that it last acknowledged.
fn live_a_little(jukebox: &Jukebox, rng: &mut ChaCha8Rng) -> u64 {
    let mut acknowledged = jukebox.status().index.tracks;
    for _ in 0..rng.random_range(0..4) {
        let hits = jukebox.search(["gate", "mira", "night", "radio", "a"].choose(rng).unwrap()).results;
        if let Some(hit) = hits.choose(rng) {
            let track: TrackId = hit.track;
            // Some songs do not fit beside what plays and is queued: that is an answer too.
            let reply = jukebox.send(Command::Play { track: Some(track) });
            assert!(matches!(reply, Reply::Done | Reply::Error(_)), "{reply:?}");
        }
        std::thread::sleep(Duration::from_millis(rng.random_range(0..400)));
        acknowledged = acknowledged.max(jukebox.status().index.tracks);
    }
    std::thread::sleep(Duration::from_millis(rng.random_range(0..300)));
    acknowledged
}

fn kills(rounds: u32) {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cancel = CancellationToken::new();
    let releases = write_releases(&folder.path().join("releases"), SEED, Lengths { track_s: 6.0 }).unwrap();
    let config = WorldConfig { nodes: 24, seed: SEED, releases, scratch: folder.path().join("world") };
    let world = runtime.block_on(World::start(config, Clock::start(), cancel.clone())).unwrap();

    let home = folder.path().join("jukebox");
    let sections = Jukebox::sections(&home, &format!("{BUDGET_MIB} MiB"), "null");
    let mut jukebox = Jukebox::prepare(&home, &[&world.bootstrap().to_string()], "127.0.0.1:0", &sections);
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let (mut acknowledged, mut evicted, mut started) = (0, 0, 0);
    for round in 0..rounds {
        jukebox.start_and_wait();
        let status = jukebox.status();
        assert!(status.index.tracks >= acknowledged, "round {round}: {} of {acknowledged} tracks", status.index.tracks);
        acknowledged = live_a_little(&jukebox, &mut rng);
        let status = jukebox.status();
        evicted += status.storage.evicted_bytes;
        started += u32::from(status.player.startup_ms.is_some());
        jukebox.kill();
        check_database(&home.join("index"));
        let used = disk_usage(&home.join("music"));
        assert!(used <= BUDGET_MIB << 20, "round {round}: {used} bytes on disk");
    }
    println!("{rounds} kills: {acknowledged} tracks, {started} rounds with sound, {evicted} bytes evicted in all");
    assert!(acknowledged > 0);
    cancel.cancel();
}

#[test]
fn a_killed_jukebox_starts_again_with_all_it_had() {
    if in_private_network("a_killed_jukebox_starts_again_with_all_it_had") {
        kills(8);
    }
}

#[cfg(feature = "soak")]
#[test]
fn a_hundred_kills_lose_nothing() {
    if in_private_network("a_hundred_kills_lose_nothing") {
        kills(100);
    }
}
