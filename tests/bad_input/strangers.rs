//! What strangers send: noise on every door, metadata that lies, names that would leave their folder.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rand::RngCore;

use super::*;
use crate::common::in_private_network;
use crate::hostile::{self, Manner, Peer, Torrent};

#[test]
fn noise_on_every_door_changes_nothing() {
    if !in_private_network("strangers::noise_on_every_door_changes_nothing") {
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
    // In portions that the system's buffer holds: what it drops is seen by nobody.
    let mut sent = before.dht.datagrams_in;
    for portion in datagrams.chunks(32) {
        for datagram in portion {
            udp.send_to(datagram, "127.0.0.1:6881").unwrap();
        }
        sent += portion.len() as u64;
        jukebox.wait_status("the noise is read", PATIENCE, |status| status.dht.datagrams_in >= sent);
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
        jukebox.wait_status("the noise is counted", PATIENCE, |status| status.dht.dropped >= before.dht.dropped + 500);
    assert_eq!(after.index.tracks, 0);
    assert!(after.memory.rss_bytes < before.memory.rss_bytes + (32 << 20), "{:?}", after.memory);
}

/// Brings a torrent whose peers the link names; the sentence that tells why it cannot be used, if that is known at once.
fn add(jukebox: &Jukebox, torrent: &Torrent, peers: &[&Peer]) -> Option<String> {
    let peers: Vec<_> = peers.iter().map(|peer| peer.addr).collect();
    match jukebox.send(Command::Add { source: torrent.magnet(&peers) }) {
        Reply::Torrent(_) => None,
        Reply::Error(error) => Some(error.message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn metadata_that_lies_is_never_indexed_and_the_honest_peer_is_found_among_liars() {
    if !in_private_network("strangers::metadata_that_lies_is_never_indexed_and_the_honest_peer_is_found_among_liars") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut jukebox = jukebox(folder.path(), "127.0.0.1:0", "null");
    jukebox.start_and_wait();
    let manners = [
        Manner::Noise,
        Manner::Oversized,
        Manner::Absurd(i64::MAX),
        Manner::Absurd(-1),
        Manner::Absurd(1 << 32),
        Manner::ForgesMetadata,
    ];
    // Nobody honest has this one.
    let lied_about = Torrent::new("Lied About.wav", &wav(3));
    let liars: Vec<Peer> = manners.iter().map(|manner| Peer::start(&lied_about, manner.clone())).collect();
    add(&jukebox, &lied_about, &liars.iter().collect::<Vec<_>>());
    let status = jukebox.wait_status("it fails", 2 * PATIENCE, |status| status.index.failed > 0);
    assert_eq!(status.index.tracks, 0);
    assert!(liars.iter().all(|liar| liar.connections() > 0), "every liar was heard");

    let wanted = Torrent::new("Wanted Song.wav", &wav(4));
    let mut peers: Vec<Peer> = manners.iter().map(|manner| Peer::start(&wanted, manner.clone())).collect();
    peers.push(Peer::start(&wanted, Manner::Honest));
    add(&jukebox, &wanted, &peers.iter().collect::<Vec<_>>());
    jukebox.wait_status("the honest one is found", PATIENCE, |status| status.index.tracks == 1);
    let results = jukebox.search("wanted song").results;
    assert_eq!(results[0].track, TrackId { infohash: wanted.infohash(), file: 0 });
    // Among the same liars it can be heard.
    plays(&jukebox, results[0].track);
    assert_eq!(jukebox.search("lied").results, []);
}

#[test]
fn absurd_sizes_and_paths_that_leave_their_folder_are_not_offered() {
    if !in_private_network("strangers::absurd_sizes_and_paths_that_leave_their_folder_are_not_offered") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut jukebox = jukebox(folder.path(), "127.0.0.1:0", "null");
    jukebox.start_and_wait();
    let data = wav(3);
    let with = |info: Vec<u8>| Torrent { info, data: data.clone() };
    let sized = |size: &str, piece: i64| with(hostile::info(b"Absurd.wav", size, piece, &data));
    let bad = [
        sized("6:lengthi9223372036854775807e", 32768),
        sized("6:lengthi-5e", 32768),
        sized("6:lengthi48044e", 0),
        sized("6:lengthi48044e", i64::MAX),
        sized("6:lengthi99999999999999999999999e", 32768),
        sized("5:filesle", 32768),
        with(b"d4:name10:Absurd.wave".to_vec()),
        with([b"d".as_slice(), &[b'l'; 30_000]].concat()),
        Torrent::folder(b"Absurd", &[b"..", b"..", b"..", b"..", b"tmp", b"stray.wav"], &data),
        Torrent::folder(b"Absurd", &[b"/etc/cron.d/stray.wav"], &data),
        Torrent::folder(b"Absurd", &[], &data),
    ];
    let peers: Vec<Peer> = bad.iter().map(|torrent| Peer::start(torrent, Manner::Honest)).collect();
    for (torrent, peer) in bad.iter().zip(&peers) {
        let told = add(&jukebox, torrent, &[peer]).expect("it cannot be used");
        println!("{told}");
        assert!(!told.is_empty() && told.lines().count() == 1, "{told}");
    }
    // Those with impossible paths are fetched, and then refused.
    let settled = |status: &silverstream::control::Status| {
        status.index.failed + status.index.fetched >= bad.len() as u64 && status.index.queued == 0
    };
    let status = jukebox.wait_status("all are refused", 2 * PATIENCE, settled);
    assert_eq!((status.index.tracks, status.index.queued), (0, 0), "given up: no attempt could change it");
    for (torrent, peer) in bad.iter().zip(&peers) {
        assert!(peer.connections() > 0, "{}", String::from_utf8_lossy(&torrent.info));
    }
    // By hand: the person is told why.
    let file = folder.path().join("absurd.torrent");
    for torrent in &bad {
        std::fs::write(&file, [b"d4:info", &torrent.info[..], b"e"].concat()).unwrap();
        let (status, _, error) = jukebox.cli(&["add", file.to_str().unwrap()]);
        assert!(status != 0 && error.lines().count() == 1, "{status} {error}");
        println!("{}", error.trim_end().replace(folder.path().to_str().unwrap(), ""));
    }
    good_song(&jukebox, folder.path());
}

#[test]
fn names_are_shown_without_what_would_forge_the_screen_and_stay_in_their_folder() {
    if !in_private_network("strangers::names_are_shown_without_what_would_forge_the_screen_and_stay_in_their_folder") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let mut jukebox = jukebox(&home, "127.0.0.1:0", "null");
    jukebox.start_and_wait();
    let data = wav(3);
    let long = format!("Long {}.wav", "x".repeat(1500));
    let torrents = [
        Torrent::new("..\u{1b}]0;owned\u{7}\u{1b}[2J Escape\r\nSong.wav", &data),
        Torrent::new("Escape \u{202e}3pm.exe\u{202c}.wav", &data),
        Torrent::folder(b"Escape\0\n", &[b".", b"\x07Nul \0 Bell.wav"], &data),
        Torrent::new(format!("Escape {long}"), &data),
        Torrent::new(b"Escape \xff\xfe\xc3.wav", &data),
    ];
    let peers: Vec<Peer> = torrents.iter().map(|torrent| Peer::start(torrent, Manner::Honest)).collect();
    for (torrent, peer) in torrents.iter().zip(&peers) {
        assert_eq!(add(&jukebox, torrent, &[peer]), None);
    }
    jukebox.wait_status("all are indexed", PATIENCE, |status| status.index.tracks == torrents.len() as u64);
    let (status, table, _) = jukebox.cli(&["search", "escape"]);
    assert_eq!(status, 0);
    assert!(!table.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{table:?}");
    for found in &jukebox.search("escape").results {
        let shown = [&found.title, &found.artist, &found.album, &found.path];
        assert!(shown.iter().all(|text| !text.chars().any(|c| c.is_control() || c == '\u{202e}')), "{found:?}");
    }
    for torrent in &torrents {
        plays(&jukebox, TrackId { infohash: torrent.infohash(), file: 0 });
    }
    // Nothing came to lie beside the jukebox's own folders.
    let mut own: Vec<_> = std::fs::read_dir(&home).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    own.sort();
    assert_eq!(own, ["control.sock", "control.sock.lock", "index", "log", "music", "silverstream.toml"]);
    let outside: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(outside, ["home"]);
}
