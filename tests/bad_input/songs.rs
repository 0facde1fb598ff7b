//! Songs that are broken, stop coming, come damaged, or have no room.

use rand::RngCore;

use super::*;
use crate::common::{in_private_network, wait_for};
use crate::hostile::{Manner, Peer, Torrent};

#[test]
fn broken_songs_are_skipped_with_a_sentence() {
    if !in_private_network("songs::broken_songs_are_skipped_with_a_sentence") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let album = folder.path().join("Broken Album");
    std::fs::create_dir_all(&album).unwrap();
    let flac = encode::flac(&tone(12), &Tags::default()).unwrap();
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
fn a_full_disk_is_said_and_survived() {
    if !in_private_network("songs::a_full_disk_is_said_and_survived") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    std::fs::create_dir_all(&home).unwrap();
    // Private mounts: the namespace is the test's own.
    let mounted =
        std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(&home).status();
    assert!(mounted.unwrap().success());
    let mut jukebox = jukebox(&home, "127.0.0.1:0", "null");
    jukebox.start_and_wait();
    let torrent = Torrent::new("Homeless Song.wav", &wav(20));
    let peer = Peer::start(&torrent, Manner::Honest);
    let homeless = brought(&jukebox, &torrent, &[&peer]);
    // Nothing more fits.
    std::fs::write(home.join("ballast"), vec![1; 4 << 20]).unwrap_err();
    let song = folder.path().join("tone.wav");
    std::fs::write(&song, wav(5)).unwrap();
    let Reply::Error(error) = jukebox.send(Command::Share { path: song.clone() }) else { panic!("nothing fits") };
    println!("shared on a full disk: {}", error.message);
    assert!(error.message.contains("full") && error.message.contains("free"), "{}", error.message);
    let told = match jukebox.send(Command::Play { track: Some(homeless) }) {
        Reply::Error(error) => error.message,
        _ => problem(&jukebox),
    };
    println!("played on a full disk: {told}");
    // The song's place and the catalogue's are on that disk.
    assert!((told.contains("full") || told.contains("no room")) && told.contains("free"), "{told}");
    let (_, text, _) = jukebox.cli(&["doctor", "--config", jukebox.config.to_str().unwrap()]);
    assert!(text.contains("free some space"), "{text}");
    // Room was made: everything works again, without a restart.
    std::fs::remove_file(home.join("ballast")).unwrap();
    let shared = TrackId { infohash: share(&jukebox, &song).infohash, file: 0 };
    plays(&jukebox, shared);
    plays(&jukebox, homeless);
    jukebox.kill();
    let _ = std::process::Command::new("umount").arg("-l").arg(&home).status();
}

/// Brings a torrent whose peers the link names, and waits until it is in the catalogue; its song.
fn brought(jukebox: &Jukebox, torrent: &Torrent, peers: &[&Peer]) -> TrackId {
    let peers: Vec<_> = peers.iter().map(|peer| peer.addr).collect();
    let track = TrackId { infohash: torrent.infohash(), file: 0 };
    let reply = jukebox.send(Command::Add { source: torrent.magnet(&peers) });
    assert!(matches!(reply, Reply::Torrent(_)), "{reply:?}");
    wait_for("it is indexed", PATIENCE, || {
        jukebox.search("song").results.iter().any(|found| found.track == track).then_some(())
    });
    track
}

#[test]
fn a_song_whose_seed_disappears_is_skipped_with_a_sentence() {
    if !in_private_network("songs::a_song_whose_seed_disappears_is_skipped_with_a_sentence") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut jukebox = jukebox(folder.path(), "127.0.0.1:0", "null");
    jukebox.start_and_wait();
    let good = good_song(&jukebox, folder.path());
    let torrent = Torrent::new("Deserted Song.wav", &wav(30));
    // Six seconds of it.
    let seed = Peer::start(&torrent, Manner::LeavesAt(3));
    let deserted = brought(&jukebox, &torrent, &[&seed]);
    plays(&jukebox, deserted);
    assert_eq!(jukebox.send(Command::QueueAdd { tracks: vec![good] }), Reply::Done);
    wait_playing(&jukebox, good);
    assert!(seed.is_gone());
    let problem = problem(&jukebox);
    println!("deserted: {problem}");
    assert!(problem.contains("Deserted Song") && problem.contains("try again later"), "{problem}");

    // Somebody else turns up: it can be heard to its end.
    let another = Peer::start(&torrent, Manner::Honest);
    brought(&jukebox, &torrent, &[&another]);
    plays(&jukebox, deserted);
    jukebox.wait_status("all of it is there", PATIENCE, |status| status.player.buffered_s > 20.0);
}

#[test]
fn a_song_that_comes_damaged_is_never_heard_and_said() {
    if !in_private_network("songs::a_song_that_comes_damaged_is_never_heard_and_said") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut jukebox = jukebox(folder.path(), "127.0.0.1:0", "null");
    jukebox.start_and_wait();
    let good = good_song(&jukebox, folder.path());
    let torrent = Torrent::new("Damaged Song.wav", &wav(20));
    let corrupt = Peer::start(&torrent, Manner::Corrupt);
    let damaged = brought(&jukebox, &torrent, &[&corrupt]);
    play(&jukebox, damaged);
    assert_eq!(jukebox.send(Command::QueueAdd { tracks: vec![good] }), Reply::Done);
    wait_playing(&jukebox, good);
    let problem = problem(&jukebox);
    println!("damaged: {problem}");
    assert!(problem.contains("Damaged Song") && problem.contains("came damaged"), "{problem}");
    assert!(problem.contains("choose another copy"), "{problem}");
    // With an honest one beside it, it is heard.
    let torrent = Torrent::new("Mixed Song.wav", &wav(21));
    let (corrupt, honest) = (Peer::start(&torrent, Manner::Corrupt), Peer::start(&torrent, Manner::Honest));
    let mixed = brought(&jukebox, &torrent, &[&corrupt, &honest]);
    plays(&jukebox, mixed);
    jukebox.wait_status("all of it is there", PATIENCE, |status| status.player.buffered_s > 15.0);
}
