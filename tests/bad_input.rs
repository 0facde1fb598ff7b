//! What people and strangers get wrong: each gets a sentence that says what to do, and the jukebox goes on.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic, in its helpers too")]

mod common;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use common::{Jukebox, PATIENCE, in_private_network, wait_for};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use silverstream::audio::encode::{self, Pcm, Tags};
use silverstream::control::{Command, PlayState, Reply};
use silverstream::types::{InfoHash, TrackId};

fn jukebox(folder: &std::path::Path, listen: &str, output: &str) -> Jukebox {
    Jukebox::prepare(folder, &[], listen, &Jukebox::sections(folder, "16 MiB", output))
}

fn tone(seconds: u32) -> Pcm {
    let samples = (0..seconds * 8000).map(|frame| ((f64::from(frame) * 0.3).sin() * 9000.0) as i32).collect();
    Pcm { rate: 8000, channels: 1, bits: 16, samples }
}

fn plays(jukebox: &Jukebox, track: TrackId) {
    assert_eq!(jukebox.send(Command::Play { track: Some(track) }), Reply::Done);
    jukebox.wait_status("it plays", PATIENCE, |status| status.player.state == PlayState::Playing);
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let mut jukebox = Jukebox::prepare(folder.path(), &[], "127.0.0.1:0", "[audio]\nloudness = 11\n");
    jukebox.start();
    let (success, log) = jukebox.wait_end();
    assert!(!success && log.contains("loudness") && log.contains("line "), "{log}");
}

#[test]
fn a_port_in_use_is_named() {
    if !in_private_network("a_port_in_use_is_named") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut jukebox = jukebox(folder.path(), &address, "null");
    jukebox.start();
    let (success, log) = jukebox.wait_end();
    assert!(!success && log.contains("in use") && log.contains("[dht] listen"), "{log}");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let mut jukebox = self::jukebox(folder.path(), &address, "null");
    jukebox.start();
    let (success, log) = jukebox.wait_end();
    assert!(!success && log.contains("port"), "{log}");
}

#[test]
fn a_second_jukebox_on_the_same_data_is_refused_and_the_first_goes_on() {
    if !in_private_network("a_second_jukebox_on_the_same_data_is_refused_and_the_first_goes_on") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut first = jukebox(folder.path(), "127.0.0.1:0", "null");
    first.start_and_wait();
    let mut second = jukebox(folder.path(), "127.0.0.1:0", "null");
    second.start();
    let (success, log) = second.wait_end();
    assert!(!success && log.contains("already"), "{log}");
    // On another socket the data themselves are guarded.
    let config = std::fs::read_to_string(&first.config).unwrap().replace("control.sock", "other.sock");
    std::fs::write(&second.config, config).unwrap();
    second.start();
    let (success, log) = second.wait_end();
    assert!(!success && log.contains("another jukebox"), "{log}");
    first.status();
}

#[test]
fn without_a_sound_card_it_says_so_and_goes_on() {
    if !in_private_network("without_a_sound_card_it_says_so_and_goes_on") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut jukebox = jukebox(folder.path(), "127.0.0.1:0", "alsa:hw:CARD=Nonexistent");
    jukebox.start_and_wait();
    let song = folder.path().join("tone.wav");
    std::fs::write(&song, encode::wav(&tone(2), &Tags::default()).unwrap()).unwrap();
    let Reply::Torrent(shared) = jukebox.send(Command::Share { path: song }) else { panic!("{}", jukebox.log()) };
    jukebox.send(Command::Play { track: Some(TrackId { infohash: shared.infohash, file: 0 }) });
    let status = jukebox.wait_status("the problem is told", PATIENCE, |status| status.player.problem.is_some());
    let problem = status.player.problem.unwrap();
    assert!(problem.contains("Nonexistent") || problem.contains("sound"), "{problem}");
    let (code, text, _) = jukebox.cli(&["doctor", "--config", jukebox.config.to_str().unwrap()]);
    assert!(code == 1 || text.contains("note"), "{text}");
}

#[test]
fn noise_on_every_door_changes_nothing() {
    if !in_private_network("noise_on_every_door_changes_nothing") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // Fixed ports, which nobody else has in this namespace: the noise must know where to go.
    let mut jukebox = jukebox(folder.path(), "127.0.0.1:6881", "null");
    jukebox.start_and_wait();
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let before = jukebox.status();

    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut datagrams: Vec<Vec<u8>> = [
        &b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q9:get_peers1:t2:aa1:y1:qe"[..],
        b"d1:ad2:id20:short1:q4:ping1:t2:aa1:y1:qe",
        b"d1:ad2:id99999999999999999999:",
        b"l",
        b"i-0e",
        b"",
        &[b'd'; 1400],
        &[b'l'; 60_000],
    ]
    .iter()
    .map(|bytes| bytes.to_vec())
    .collect();
    for _ in 0..500 {
        let mut noise = vec![0; 1 + (rng.next_u32() % 1400) as usize];
        rng.fill_bytes(&mut noise);
        datagrams.push(noise);
    }
    for datagram in &datagrams {
        udp.send_to(datagram, "127.0.0.1:6881").unwrap();
    }
    for _ in 0..8 {
        if let Ok(mut peer) = TcpStream::connect("127.0.0.1:6881") {
            let mut noise = vec![0; 100_000];
            rng.fill_bytes(&mut noise);
            // It may well hang up at once.
            let _ = peer.write_all(&noise);
        }
    }
    for line in [
        &b"{}\n"[..],
        b"\xff\xfe\n",
        b"[[[[[[[[",
        &[b'x'; 200_000],
        b"{\"command\":\"seek\",\"to\":{\"absolute\":1e999}}\n",
    ] {
        let mut face = UnixStream::connect(&jukebox.socket).unwrap();
        let _ = face.write_all(line);
        let _ = face.shutdown(std::net::Shutdown::Write);
        face.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut answer = Vec::new();
        let _ = face.read_to_end(&mut answer);
    }
    let after =
        jukebox.wait_status("the noise is counted", PATIENCE, |status| status.dht.dropped >= before.dht.dropped + 400);
    assert_eq!(after.index.tracks, 0);
    assert!(after.memory.rss_bytes < before.memory.rss_bytes + (32 << 20), "{:?}", after.memory);
}

#[test]
fn broken_songs_are_skipped_with_a_sentence() {
    if !in_private_network("broken_songs_are_skipped_with_a_sentence") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let album = folder.path().join("Broken Album");
    std::fs::create_dir_all(&album).unwrap();
    let flac = encode::flac(&tone(3), &Tags::default()).unwrap();
    let mut noise = vec![0; 50_000];
    ChaCha8Rng::seed_from_u64(3).fill_bytes(&mut noise);
    std::fs::write(album.join("01 Noise.mp3"), &noise).unwrap();
    std::fs::write(album.join("02 Cut Short.flac"), &flac[..flac.len() / 8]).unwrap();
    std::fs::write(album.join("03 Mislabelled.mp3"), &flac).unwrap();
    std::fs::write(album.join("04 Good.flac"), &flac).unwrap();
    let mut jukebox = jukebox(folder.path(), "127.0.0.1:0", "null");
    jukebox.start_and_wait();
    let Reply::Torrent(shared) = jukebox.send(Command::Share { path: album }) else { panic!("{}", jukebox.log()) };
    let track = |file| TrackId { infohash: shared.infohash, file };
    // Noise: a problem is told.
    jukebox.send(Command::Play { track: Some(track(0)) });
    let status = jukebox.wait_status("the problem is told", PATIENCE, |status| status.player.problem.is_some());
    println!("noise: {:?}", status.player.problem);
    // What is right plays, whatever it is called.
    plays(&jukebox, track(2));
    plays(&jukebox, track(3));
    // With a broken song in front, the queue goes on to the good one.
    assert_eq!(jukebox.send(Command::Stop), Reply::Done);
    assert_eq!(jukebox.send(Command::QueueAdd { tracks: vec![track(1), track(3)] }), Reply::Done);
    assert_eq!(jukebox.send(Command::Play { track: Some(track(0)) }), Reply::Done);
    jukebox.wait_status("the good song plays", PATIENCE, |status| {
        status.player.state == PlayState::Playing
            && status.player.track.as_ref().is_some_and(|info| info.track == track(3))
    });
}

#[test]
fn what_is_not_there_is_said() {
    if !in_private_network("what_is_not_there_is_said") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut jukebox = jukebox(folder.path(), "127.0.0.1:0", "null");
    jukebox.start_and_wait();
    let nowhere = TrackId { infohash: InfoHash([9; 20]), file: 4 }.to_string();
    for (arguments, code, word) in [
        (&["play", &nowhere][..], 1, "catalogue"),
        (&["play", "no", "such", "song"], 1, "no song found"),
        (&["add", "/nonexistent.torrent"], 1, "check the path"),
        (&["add", "magnet:?xt=urn:btih:zzz"], 2, "magnet"),
        (&["share", "/nonexistent"], 1, "check the path"),
        (&["unshare", &"0".repeat(40)], 1, "not"),
        (&["queue", "remove", "7"], 1, "queue"),
        (&["seek", "10"], 1, ""),
    ] {
        let (status, out, error) = jukebox.cli(arguments);
        assert!(status == code && error.contains(word), "{arguments:?}: {status} {out} {error}");
    }
    // A file that is no torrent.
    let fake = folder.path().join("fake.torrent");
    std::fs::write(&fake, b"d4:infod6:lengthi-5eee").unwrap();
    let (status, _, error) = jukebox.cli(&["add", fake.to_str().unwrap()]);
    assert!(status == 2 && error.contains("fake.torrent"), "{error}");
    jukebox.shutdown();
    let (status, _, error) = jukebox.cli(&["status"]);
    assert!(status == 1 && error.contains("silverstream run"), "{error}");
}

#[test]
fn a_full_disk_is_said_and_survived() {
    if !in_private_network("a_full_disk_is_said_and_survived") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    std::fs::create_dir_all(&home).unwrap();
    // Private mounts: the namespace is the test's own.
    let mounted =
        std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(&home).status();
    if !mounted.is_ok_and(|status| status.success()) {
        println!("no right to mount a small filesystem here: nothing was tested");
        return;
    }
    let mut jukebox = jukebox(&home, "127.0.0.1:0", "null");
    jukebox.start_and_wait();
    // Nothing more fits.
    let _ = std::fs::write(home.join("ballast"), vec![1; 2 << 20]);
    let song = folder.path().join("tone.wav");
    std::fs::write(&song, encode::wav(&tone(5), &Tags::default()).unwrap()).unwrap();
    let reply = jukebox.send(Command::Share { path: song.clone() });
    println!("with a full disk: {reply:?}");
    assert!(matches!(reply, Reply::Error(_) | Reply::Torrent(_)));
    std::fs::remove_file(home.join("ballast")).unwrap();
    let shared =
        wait_for("sharing works again", PATIENCE, || match jukebox.send(Command::Share { path: song.clone() }) {
            Reply::Torrent(shared) => Some(shared),
            _ => None,
        });
    plays(&jukebox, TrackId { infohash: shared.infohash, file: 0 });
    jukebox.kill();
    let _ = std::process::Command::new("umount").arg("-l").arg(&home).status();
}
