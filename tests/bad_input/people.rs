//! What people get wrong: configuration, ports, devices, paths.

use std::net::{TcpListener, UdpSocket};

use super::*;
use crate::common::in_private_network;
use silverstream::types::InfoHash;

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
    if !in_private_network("people::a_port_in_use_is_named") {
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
    let mut jukebox = super::jukebox(folder.path(), &address, "null");
    jukebox.start();
    let (success, log) = jukebox.wait_end();
    assert!(!success && log.contains("port"), "{log}");
}

#[test]
fn a_second_jukebox_on_the_same_data_is_refused_and_the_first_goes_on() {
    if !in_private_network("people::a_second_jukebox_on_the_same_data_is_refused_and_the_first_goes_on") {
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
    if !in_private_network("people::without_a_sound_card_it_says_so_and_goes_on") {
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
fn what_is_not_there_is_said() {
    if !in_private_network("people::what_is_not_there_is_said") {
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
