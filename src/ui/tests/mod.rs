//! What the tests of the face share: made-up songs, and faces that have been led to a screen.

mod any;
mod knob;
mod png;
mod screens;
mod wire;

use super::*;
use crate::control::{
    CommandError, DhtStatus, DialLetter, DialState, ErrorCode, IndexStatus, MemoryStatus, NetworkStatus, PlayState,
    PlayerStatus, QueueState, SearchHit, SearchMode, SearchResults, SeedingStatus, StorageStatus, TrackInfo, VolumeTo,
    WifiState, WifiStatus,
};
use crate::panel;
use crate::panel::Gesture::{Double, Hold, Key, Press, Spin, Turn};

use crate::types::{InfoHash, TrackId};

fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}

fn track(file: u32, title: &str, artist: &str, album: &str) -> TrackInfo {
    TrackInfo {
        track: TrackId { infohash: InfoHash([7; 20]), file },
        title: title.to_owned(),
        artist: artist.to_owned(),
        album: album.to_owned(),
        format: "flac".to_owned(),
        bytes: 25_480_000,
    }
}

fn playing(track: TrackInfo) -> Status {
    let player = PlayerStatus {
        state: PlayState::Playing,
        track: Some(track),
        position_s: 83.0,
        duration_s: 245.0,
        buffered_s: 95.0,
        volume: 64,
        queued: 3,
        ..PlayerStatus::default()
    };
    Status { player, index: IndexStatus { tracks: 12_345, ..IndexStatus::default() }, ..Status::default() }
}

fn song() -> TrackInfo {
    track(1, "Blue in Green", "Miles Davis", "Kind of Blue")
}

fn hit(file: u32, title: &str, artist: &str, format: &str, seeders: u32) -> SearchHit {
    SearchHit {
        track: TrackId { infohash: InfoHash([7; 20]), file },
        title: title.to_owned(),
        artist: artist.to_owned(),
        album: String::new(),
        path: String::new(),
        format: format.to_owned(),
        bytes: 9_000_000,
        seeders,
        score: 1.0,
    }
}

fn hits() -> Vec<SearchHit> {
    vec![
        hit(1, "Blue in Green", "Miles Davis", "flac", 41),
        hit(2, "Blue Train", "John Coltrane", "mp3", 12),
        hit(3, "Синий троллейбус", "Булат Окуджава", "ogg", 5),
        hit(4, "青い影 — 歌は世につれ世は歌につれ", "プロコル・ハルム", "m4a", 9),
        hit(5, "푸른 하늘 은하수", "윤극영", "mp3", 2),
        hit(
            6,
            "Blue Monday (a title too long for one line of this display)",
            "New Order and a very long list of guests",
            "flac",
            12_345,
        ),
    ]
}

fn dial_state(prefix: &str, hits: u64, letters: &[(char, u64)]) -> DialState {
    let letters = letters.iter().map(|(letter, hits)| DialLetter { letter: *letter, hits: *hits }).collect();
    DialState { prefix: prefix.to_owned(), hits, letters }
}

/// A face to which `status` was published at zero.
fn ui(status: Status) -> Ui {
    let mut ui = Ui::new(at(0));
    assert_eq!(ui.status(at(0), Arc::new(status)), []);
    ui
}

fn dial_command(prefix: &str) -> Command {
    Command::Dial { prefix: prefix.to_owned() }
}

/// A face on the wheel with "bl" dialled.
fn dialling() -> Ui {
    let mut ui = ui(Status::default());
    assert_eq!(ui.gesture(at(10), Press), [dial_command("")]);
    ui.reply(at(20), &dial_command(""), Reply::Dial(dial_state("", 12_345, &[('a', 10), ('b', 900), ('z', 3)])));
    assert_eq!(ui.gesture(at(30), Press), [dial_command("b")]);
    ui.reply(at(40), &dial_command("b"), Reply::Dial(dial_state("b", 900, &[('a', 100), ('l', 412), ('r', 80)])));
    assert_eq!(ui.gesture(at(50), Press), [dial_command("bl")]);
    let letters = [(' ', 4), ('a', 80), ('e', 57), ('i', 20), ('o', 31), ('u', 224)];
    ui.reply(at(60), &dial_command("bl"), Reply::Dial(dial_state("bl", 412, &letters)));
    ui
}

/// A face that shows the hits for "bl".
fn found(results: Vec<SearchHit>) -> Ui {
    let mut ui = dialling();
    // The wheel: take back, the list, six letters, of which the last is chosen.
    assert_eq!(ui.gesture(at(70), Turn(2)), []);
    let commands = ui.gesture(at(80), Press);
    let [command @ Command::Search { query, mode: SearchMode::Prefix, .. }] = &commands[..] else {
        unreachable!("{commands:?}")
    };
    assert_eq!(query, "bl");
    let answer = SearchResults { query: query.clone(), results, ..SearchResults::default() };
    assert_eq!(ui.reply(at(100), command, Reply::Search(answer)), []);
    ui
}

/// A face that shows the queue.
fn queue(state: QueueState) -> Ui {
    let mut ui = ui(playing(song()));
    ui.gesture(at(10), Hold);
    ui.gesture(at(20), Turn(1));
    assert_eq!(ui.gesture(at(30), Press), [Command::QueueList]);
    ui.reply(at(40), &Command::QueueList, Reply::Queue(state));
    ui
}

fn waiting() -> Vec<TrackInfo> {
    vec![
        track(2, "Freddie Freeloader", "Miles Davis", "Kind of Blue"),
        track(3, "夜に駆ける", "YOASOBI", ""),
        track(4, "Группа крови", "Кино", "Группа крови"),
    ]
}

/// A face that shows the status page with this number.
fn status_page(page: i32) -> Ui {
    status_page_of(full_status(), page)
}

fn status_page_of(status: Status, page: i32) -> Ui {
    let mut ui = ui(status);
    ui.gesture(at(10), Hold);
    ui.gesture(at(20), Turn(2));
    assert_eq!(ui.gesture(at(30), Press), []);
    ui.gesture(at(40), Turn(page));
    ui
}

fn full_status() -> Status {
    Status {
        version: "0.1.0".to_owned(),
        board: "pi-zero-2-w".to_owned(),
        uptime_s: 93_784,
        memory: MemoryStatus { rss_bytes: 47 << 20 },
        dht: DhtStatus { nodes: 8, contacts: 1_204, infohashes: 1_234_567, ..DhtStatus::default() },
        index: IndexStatus { tracks: 12_345, torrents: 987, queued: 4_021, bytes: 88 << 20, ..IndexStatus::default() },
        storage: StorageStatus { used_bytes: 5 << 30, budget_bytes: 8 << 30, evicted_bytes: 0 },
        seeding: SeedingStatus { torrents: 61, uploaded_bytes: 3 << 30, downloaded_bytes: 700 << 20, peers: 17 },
        network: NetworkStatus {
            address: Some("192.168.178.120".to_owned()),
            name: Some("silverstream.local".to_owned()),
            cable: true,
            wifi: None,
        },
        ..Status::default()
    }
}

fn picture(ui: &Ui, millis: u64) -> Frame {
    let mut frame = Frame::default();
    ui.draw(at(millis), &mut frame);
    frame
}
