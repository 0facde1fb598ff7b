//! What people and strangers get wrong: each gets a sentence that says what to do, and the jukebox goes on.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic, in its helpers too")]

mod board;
#[path = "../common/mod.rs"]
mod common;
mod hostile;
mod people;
mod settings;
mod songs;
mod strangers;

use common::{Jukebox, PATIENCE};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use silverstream::audio::encode::{self, Pcm, Tags};
use silverstream::control::{Command, PlayState, Reply, TorrentAdded};
use silverstream::types::TrackId;

fn jukebox(folder: &std::path::Path, listen: &str, output: &str) -> Jukebox {
    Jukebox::prepare(folder, &[], listen, &Jukebox::sections(folder, "16 MiB", output))
}

/// A hum with some noise in it, which no encoder makes much smaller: 16 kB a second as WAV.
fn tone(seconds: u32) -> Pcm {
    let mut rng = ChaCha8Rng::seed_from_u64(u64::from(seconds));
    let samples = (0..seconds * 8000)
        .map(|frame| ((f64::from(frame) * 0.3).sin() * 9000.0) as i32 + rng.random_range(-2000..2000))
        .collect();
    Pcm { rate: 8000, channels: 1, bits: 16, samples }
}

fn wav(seconds: u32) -> Vec<u8> {
    encode::wav(&tone(seconds), &Tags::default()).unwrap()
}

fn share(jukebox: &Jukebox, path: &std::path::Path) -> TorrentAdded {
    match jukebox.send(Command::Share { path: path.to_owned() }) {
        Reply::Torrent(shared) => shared,
        other => panic!("not shared but {other:?}\n{}", jukebox.log()),
    }
}

/// Shares a song that is as it should be.
fn good_song(jukebox: &Jukebox, folder: &std::path::Path) -> TrackId {
    let path = folder.join("Good Song.wav");
    std::fs::write(&path, wav(10)).unwrap();
    TrackId { infohash: share(jukebox, &path).infohash, file: 0 }
}

fn play(jukebox: &Jukebox, track: TrackId) {
    assert_eq!(jukebox.send(Command::Play { track: Some(track) }), Reply::Done);
}

fn plays(jukebox: &Jukebox, track: TrackId) {
    play(jukebox, track);
    wait_playing(jukebox, track);
}

fn wait_playing(jukebox: &Jukebox, track: TrackId) {
    jukebox.wait_status("it plays", 2 * PATIENCE, |status| {
        status.player.state == PlayState::Playing
            && status.player.track.as_ref().is_some_and(|info| info.track == track)
    });
}

/// Waits until a problem is told; the sentence.
fn problem(jukebox: &Jukebox) -> String {
    let status = jukebox.wait_status("a problem is told", 2 * PATIENCE, |status| status.player.problem.is_some());
    status.player.problem.unwrap()
}
