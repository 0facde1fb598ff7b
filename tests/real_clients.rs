//! The whole way on real input: libtorrent and Transmission on one side, the shipped program on the other.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic, in its helpers too")]

mod common;

use std::path::Path;
use std::time::Duration;

use common::{Jukebox, OWN_IP, PATIENCE, World, disk_usage, in_private_network, reference_decode, wait_for};
use serde_json::{Value, json};
use silverstream::control::{Command, PlayState, Reply, SearchHit, Status};
use silverstream::types::{InfoHash, TrackId};

/// From the start of the jukebox to five torrents sighted and four indexed.
const DISCOVERY: Duration = Duration::from_secs(180);

fn infohash(release: &Value) -> InfoHash {
    release["infohash"].as_str().unwrap().parse().unwrap()
}

/// Index of the file whose path ends so, its size and its offset in the torrent.
fn file(release: &Value, end: &str) -> (u32, u64, u64) {
    let files = release["files"].as_array().unwrap();
    let index = files.iter().position(|file| file["path"].as_str().unwrap().ends_with(end)).unwrap();
    (index as u32, files[index]["size"].as_u64().unwrap(), files[index]["offset"].as_u64().unwrap())
}

/// Bytes of the whole pieces that hold the file.
fn piece_span(release: &Value, end: &str) -> u64 {
    let (_, size, offset) = file(release, end);
    let piece = release["piece_length"].as_u64().unwrap();
    let last = (offset + size).div_ceil(piece) * piece;
    last.min(release["size"].as_u64().unwrap()) - offset / piece * piece
}

/// Plays the track to its end and ends the jukebox; what the WAV output got, and the state at the end.
fn play_to_end(jukebox: &mut Jukebox, track: TrackId, wav: &Path) -> (Vec<i16>, Status) {
    assert_eq!(jukebox.send(Command::Play { track: Some(track) }), Reply::Done);
    // Faster than real time: a short song may have ended before anybody looks whether it plays.
    jukebox.wait_status("the song starts", PATIENCE, |status| {
        assert_eq!(status.player.problem, None);
        status.player.startup_ms.is_some()
    });
    let ended = jukebox.wait_status("the song ends", Duration::from_secs(120), |status| {
        assert_eq!(status.player.problem, None);
        status.player.state == PlayState::Stopped
    });
    println!("{track}: startup_ms {:?}", ended.player.startup_ms);
    assert!(jukebox.shutdown().success());
    (reference_decode(wav), ended)
}

/// `tolerance` in steps of 16-bit samples.
fn assert_same_sound(heard: &[i16], expected: &[i16], tolerance: i32, what: &str) {
    assert_eq!(heard.len(), expected.len(), "{what}: samples");
    assert!(heard.iter().any(|sample| sample.unsigned_abs() > 1000), "{what}: silence");
    let differences = heard.iter().zip(expected).map(|(a, b)| (i32::from(*a) - i32::from(*b)).abs());
    let (worst, count) = differences.fold((0, 0), |(worst, count), d| (worst.max(d), count + usize::from(d != 0)));
    println!("{what}: {count} of {} samples differ, at most by {worst}", heard.len());
    assert!(worst <= tolerance, "{what}: a sample differs by {worst}");
}

#[test]
fn a_song_is_found_played_and_given_back_among_real_clients() {
    if !in_private_network("a_song_is_found_played_and_given_back_among_real_clients") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::start(&folder.path().join("world"));
    world.ready();
    let home = folder.path().join("jukebox");
    let wav = home.join("out.wav");
    let sections = Jukebox::sections(&home, "64 MiB", &format!("wav-fast:{}", wav.display()));
    let mut jukebox = Jukebox::prepare(&home, &[world.bootstrap()], &format!("{OWN_IP}:6881"), &sections);
    jukebox.start_and_wait();

    let status = jukebox.wait_status("five torrents are sighted, four indexed", DISCOVERY, |status| {
        status.dht.infohashes >= 5 && status.index.torrents >= 4 && status.index.not_music >= 1
    });
    assert_eq!((status.index.torrents, status.index.not_music), (4, 1));
    println!("indexed after {} s: {:?} {:?}", status.uptime_s, status.dht, status.index);

    the_song_with_a_wrong_letter_is_first(&jukebox);
    let flac = world.release("flac").clone();
    only_the_file_is_fetched_and_it_sounds_right(&mut jukebox, &flac, &wav);
    other_formats_sound_as_the_reference(&mut jukebox, &world, &wav);
    another_client_gets_the_song_from_the_jukebox_alone(&mut jukebox, &mut world, &flac, folder.path());
}

fn the_song_with_a_wrong_letter_is_first(jukebox: &Jukebox) {
    for (query, title) in [("pengiun parade", "Penguin Parade"), ("snowdrivt", "Snowdrift"), ("icicel", "Icicle")] {
        let hits: Vec<SearchHit> = jukebox.search(query).results;
        assert_eq!(hits.first().map(|hit| hit.title.as_str()), Some(title), "{query}: {hits:?}");
    }
    let (code, text, _) = jukebox.cli(&["search", "--json", "introzik"]);
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, answer["results"][0]["format"].as_str()), (0, Some("mp3")), "{text}");
    assert!(jukebox.search("documentary").results.is_empty());
}

fn only_the_file_is_fetched_and_it_sounds_right(jukebox: &mut Jukebox, release: &Value, wav: &Path) {
    let end = "02 - Penguin Parade.flac";
    let track = TrackId { infohash: infohash(release), file: file(release, end).0 };
    let (heard, status) = play_to_end(jukebox, track, wav);
    let source = Path::new(release["path"].as_str().unwrap()).join(end);
    assert_same_sound(&heard, &reference_decode(&source), 0, end);

    let (span, fetched) = (piece_span(release, end), status.seeding.downloaded_bytes);
    println!("the file's pieces have {span} bytes, {fetched} were downloaded");
    assert!(fetched >= file(release, end).1 && fetched <= span, "{status:?}");

    jukebox.start_and_wait();
    let status = jukebox.wait_status("the storage is counted", PATIENCE, |status| status.storage.used_bytes > 0);
    // The account also has folders, records and room to write them anew.
    let on_disk = disk_usage(&jukebox.folder.join("music").join(track.infohash.to_string()));
    println!("on disk are {on_disk}, the account says {}", status.storage.used_bytes);
    // Whole blocks of the filesystem: one more for each file that a piece touches, and one for the folder.
    assert!(on_disk >= fetched && on_disk <= span + 8 * 4096, "{on_disk}: {:?}", status.storage);
    assert!(status.storage.used_bytes >= on_disk, "{on_disk}: {:?}", status.storage);
    // What is known stays known and is not fetched again.
    assert_eq!((status.index.torrents, status.index.not_music, status.index.fetched), (4, 1, 0));
}

fn other_formats_sound_as_the_reference(jukebox: &mut Jukebox, world: &World, wav: &Path) {
    // Two decoders of a lossy format agree but for the rounding of the last bit.
    for (name, end, tolerance) in [("flac", "04 - Encore.wav", 0), ("ogg", "01 Marble Run.ogg", 1)] {
        let release = world.release(name);
        let track = TrackId { infohash: infohash(release), file: file(release, end).0 };
        let (heard, _) = play_to_end(jukebox, track, wav);
        let source = Path::new(release["path"].as_str().unwrap()).join(end);
        assert_same_sound(&heard, &reference_decode(&source), tolerance, end);
        jukebox.start_and_wait();
    }
}

fn another_client_gets_the_song_from_the_jukebox_alone(
    jukebox: &mut Jukebox,
    world: &mut World,
    release: &Value,
    folder: &Path,
) {
    let end = "02 - Penguin Parade.flac";
    world.order(json!({"do": "stop_seed", "name": "flac"}));
    wait_for("the jukebox seeds", PATIENCE, || (jukebox.status().seeding.torrents >= 1).then_some(()));
    let to = folder.join("elsewhere");
    let answer = world.order(json!({
        "do": "download", "magnet": release["magnet"], "to": to, "file": file(release, end).0,
    }));
    println!("downloaded: {answer}");
    let peers = answer["peers"].as_object().unwrap();
    assert!(peers.keys().all(|peer| peer.starts_with(&format!("{OWN_IP}:"))) && !peers.is_empty(), "{answer}");
    let fetched = to.join(answer["name"].as_str().unwrap()).join(end);
    let source = Path::new(release["path"].as_str().unwrap()).join(end);
    assert_eq!(std::fs::read(fetched).unwrap(), std::fs::read(source).unwrap());
    assert!(jukebox.status().seeding.uploaded_bytes > 0);
}
