//! Every screen as a picture, and what the knob does on it.

use std::time::Duration;

use super::*;
use crate::control::{
    DhtStatus, DialLetter, DialState, ErrorCode, IndexStatus, MemoryStatus, PlayState, PlayerStatus, QueueState,
    SearchHit, SearchResults, SeedingStatus, StorageStatus, TrackInfo, VolumeTo,
};
use crate::panel::Gesture::{Hold, Press, Turn};
use crate::types::{InfoHash, TrackId};

/// Set to a folder, the screens are also written there as PNG.
const PNG_VARIABLE: &str = "SILVERSTREAM_UI_PNG";

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
    let status = Status {
        version: "0.1.0".to_owned(),
        board: "pi-zero-2-w".to_owned(),
        uptime_s: 93_784,
        memory: MemoryStatus { rss_bytes: 47 << 20 },
        dht: DhtStatus { nodes: 8, contacts: 1_204, infohashes: 1_234_567, ..DhtStatus::default() },
        index: IndexStatus { tracks: 12_345, torrents: 987, queued: 4_021, bytes: 88 << 20, ..IndexStatus::default() },
        storage: StorageStatus { used_bytes: 5 << 30, budget_bytes: 8 << 30, evicted_bytes: 0 },
        seeding: SeedingStatus { torrents: 61, uploaded_bytes: 3 << 30, downloaded_bytes: 0, peers: 17 },
        ..Status::default()
    };
    let mut ui = ui(status);
    ui.gesture(at(10), Hold);
    ui.gesture(at(20), Turn(2));
    assert_eq!(ui.gesture(at(30), Press), []);
    ui.gesture(at(40), Turn(page));
    ui
}

fn picture(ui: &Ui, millis: u64) -> Frame {
    let mut frame = Frame::default();
    ui.draw(at(millis), &mut frame);
    frame
}

/// Compares with the picture in `snapshots/`.
#[track_caller]
fn check(name: &str, ui: &Ui, millis: u64) {
    let frame = picture(ui, millis);
    if let Some(folder) = std::env::var_os(PNG_VARIABLE) {
        let file = std::path::Path::new(&folder).join(format!("{name}.png"));
        std::fs::write(file, frame.to_png(4).unwrap()).unwrap();
    }
    insta::assert_snapshot!(name, frame.to_string());
}

#[test]
fn home_screens() {
    check("home-empty", &ui(Status::default()), 0);
    let mut status = playing(song());
    status.player = PlayerStatus { queued: 3, ..PlayerStatus::default() };
    check("home-queue", &ui(status), 0);
}

#[test]
fn now_playing_screens() {
    check("playing", &ui(playing(song())), 2_500);
    let mut status = playing(song());
    status.player.state = PlayState::Paused;
    check("paused", &ui(status.clone()), 60_000 - 1);
    status.player.state = PlayState::Buffering;
    (status.player.position_s, status.player.buffered_s) = (0.0, 1.4);
    check("buffering", &ui(status.clone()), 450);
    (status.player.duration_s, status.player.buffered_s, status.player.queued) = (0.0, 0.0, 0);
    check("loading", &ui(status), 0);
}

#[test]
fn titles_of_all_the_world() {
    for (name, title, artist, album) in [
        ("title-long", "The Unanswered Question of a Title that Scrolls", "Charles Ives", ""),
        ("title-cyrillic", "Группа крови", "Кино", "Группа крови на рукаве"),
        ("title-greek", "Το τραγούδι", "Μάνος Χατζιδάκις", "Ο Μεγάλος Ερωτικός"),
        ("title-japanese", "夜に駆ける", "宇多田ヒカル", "はじめてのおつかい"),
        ("title-chinese-long", "月亮代表我的心愛情故事精選集", "鄧麗君", "淡淡幽情"),
        ("title-korean", "강남스타일", "싸이", "싸이 육갑"),
        ("title-arabic", "نسم علينا الهوى", "فيروز", "بنت الشلبية"),
        ("title-hebrew", "ירושלים של זהב", "נעמי שמר", ""),
        ("title-thai", "เพลงชาติไทย", "คาราบาว", ""),
        ("title-missing", "Party 🎉 time", "ＤＪ 🐈", "x\u{30C}y"),
    ] {
        check(name, &ui(playing(track(9, title, artist, album))), 0);
    }
    let long = "The Unanswered Question of a Title that Scrolls";
    check("title-scrolled", &ui(playing(track(9, long, "", ""))), 6_000);
}

#[test]
fn dial_screens() {
    let mut start = ui(Status::default());
    start.gesture(at(10), Press);
    check("dial-waiting", &start, 460);
    start.reply(at(20), &dial_command(""), Reply::Dial(DialState::default()));
    check("dial-no-songs", &start, 30);
    let mut start = ui(Status::default());
    start.gesture(at(10), Press);
    let letters: Vec<(char, u64)> = ('a'..='z').map(|letter| (letter, 10 + u64::from(letter == 's') * 90)).collect();
    start.reply(at(20), &dial_command(""), Reply::Dial(dial_state("", 12_345, &letters)));
    check("dial-start", &start, 30);
    let mut ui = dialling();
    check("dial-letter", &ui, 70);
    ui.gesture(at(70), Turn(1));
    check("dial-erase", &ui, 80);
    ui.gesture(at(80), Turn(1));
    check("dial-results", &ui, 90);
    ui.gesture(at(90), Turn(1));
    check("dial-space", &ui, 100);
    assert_eq!(ui.gesture(at(100), Press), [dial_command("bl ")]);
    ui.reply(at(110), &dial_command("bl "), Reply::Dial(dial_state("bl ", 1, &[('w', 1)])));
    check("dial-one-hit", &ui, 120);
}

#[test]
fn result_screens() {
    let mut ui = found(hits());
    check("results-first", &ui, 110);
    ui.gesture(at(200), Turn(3));
    check("results-middle", &ui, 210);
    ui.gesture(at(300), Turn(1));
    check("results-korean", &ui, 310);
    ui.gesture(at(400), Turn(99));
    check("results-last", &ui, 410);
    ui.gesture(at(500), Press);
    check("results-sheet", &ui, 510);
    check("results-none", &found(Vec::new()), 110);
}

#[test]
fn queue_screens() {
    let state = QueueState { current: Some(song()), upcoming: waiting() };
    let mut ui = queue(state);
    check("queue", &ui, 50);
    ui.gesture(at(60), Turn(2));
    check("queue-chosen", &ui, 70);
    ui.gesture(at(80), Press);
    ui.gesture(at(90), Turn(1));
    check("queue-sheet", &ui, 100);
    check("queue-empty", &queue(QueueState::default()), 50);
}

#[test]
fn menu_and_status_screens() {
    let mut ui = ui(playing(song()));
    ui.gesture(at(10), Hold);
    check("menu", &ui, 20);
    ui.gesture(at(20), Turn(5));
    check("menu-lower", &ui, 30);
    check("status-network", &status_page(0), 50);
    check("status-music", &status_page(1), 50);
    check("status-device", &status_page(2), 50);
}

#[test]
fn overlay_screens() {
    let mut ui = ui(playing(song()));
    let [Command::Volume { to: VolumeTo::Absolute(70) }] = ui.gesture(at(10), Turn(3))[..] else { unreachable!() };
    check("volume", &ui, 20);
    ui.gesture(at(30), Turn(-99));
    check("volume-muted", &ui, 40);
    let error = CommandError {
        code: ErrorCode::Full,
        message: "The storage is full; remove what is shared or raise the budget".to_owned(),
    };
    ui.reply(at(5_000), &Command::Next, Reply::Error(error));
    ui.tick(at(5_000));
    check("message", &ui, 5_000);
}

#[test]
fn turning_on_adds_up_and_turns_back() {
    let mut ui = ui(playing(song()));
    let volume = |percent| [Command::Volume { to: VolumeTo::Absolute(percent) }];
    assert_eq!(ui.gesture(at(10), Turn(1)), volume(66));
    assert_eq!(ui.gesture(at(20), Turn(1)), volume(68));
    assert_eq!(ui.gesture(at(30), Turn(-2)), volume(64));
    assert_eq!(ui.gesture(at(40), Turn(i32::MAX)), volume(100));
    assert_eq!(ui.gesture(at(50), Turn(i32::MIN)), volume(0));
    // Once the overlay is gone, what the jukebox says counts again.
    assert_eq!(ui.gesture(at(10_000), Turn(1)), volume(66));
}

#[test]
fn pressing_on_the_song_pauses_and_the_menu_reaches_the_rest() {
    let mut ui = ui(playing(song()));
    assert_eq!(ui.gesture(at(10), Press), [Command::Toggle]);
    for (entry, command) in [(2, Command::Next), (3, Command::Pause), (4, Command::Previous), (5, Command::Stop)] {
        ui.gesture(at(20), Hold);
        ui.gesture(at(30), Turn(entry));
        assert_eq!(ui.gesture(at(40), Press), [command]);
        assert_eq!(ui.screen, Screen::NowPlaying);
    }
    ui.gesture(at(50), Hold);
    ui.gesture(at(60), Hold);
    assert_eq!(ui.screen, Screen::NowPlaying);
}

#[test]
fn a_hit_is_played_or_queued() {
    let mut ui = found(hits());
    ui.gesture(at(200), Turn(1));
    let second = hits()[1].track;
    ui.gesture(at(210), Press);
    ui.gesture(at(220), Turn(1));
    assert_eq!(ui.gesture(at(230), Press), [Command::QueueAdd { tracks: vec![second] }]);
    assert_eq!(ui.screen, Screen::Results);
    ui.gesture(at(240), Press);
    assert_eq!(ui.gesture(at(250), Press), [Command::Play { track: Some(second) }]);
    assert_eq!(ui.screen, Screen::NowPlaying);
}

#[test]
fn a_queued_track_plays_once() {
    let mut ui = queue(QueueState { current: Some(song()), upcoming: waiting() });
    ui.gesture(at(100), Turn(2));
    ui.gesture(at(110), Press);
    let track = waiting()[1].track;
    assert_eq!(
        ui.gesture(at(120), Press),
        [Command::QueueRemove { position: 1 }, Command::Play { track: Some(track) }]
    );
}

#[test]
fn a_removed_track_leaves_the_list() {
    let mut ui = queue(QueueState { current: None, upcoming: waiting() });
    ui.gesture(at(100), Turn(2));
    ui.gesture(at(110), Press);
    ui.gesture(at(120), Turn(1));
    let remove = Command::QueueRemove { position: 2 };
    assert_eq!(ui.gesture(at(130), Press), [remove.clone()]);
    assert_eq!(ui.reply(at(140), &remove, Reply::Done), [Command::QueueList]);
    let rest = QueueState { current: None, upcoming: waiting()[..1].to_vec() };
    ui.reply(at(150), &Command::QueueList, Reply::Queue(rest));
    assert_eq!(ui.gesture(at(160), Press), []);
    assert_eq!(ui.gesture(at(170), Press)[0], Command::QueueRemove { position: 0 });
}

#[test]
fn answers_to_old_questions_are_ignored() {
    let mut ui = dialling();
    assert_eq!(ui.gesture(at(100), Press), [dial_command("blu")]);
    ui.reply(at(110), &dial_command("b"), Reply::Dial(dial_state("b", 900, &[('x', 1)])));
    // Still waiting: pressing takes nothing.
    assert_eq!(ui.gesture(at(120), Press), []);
    ui.reply(at(130), &dial_command("blu"), Reply::Dial(dial_state("blu", 224, &[('e', 224)])));
    assert_eq!(ui.gesture(at(140), Press), [dial_command("blue")]);
}

#[test]
fn a_failed_question_can_be_asked_again() {
    let mut ui = ui(Status::default());
    ui.gesture(at(10), Press);
    let error = CommandError { code: ErrorCode::Failed, message: "the catalogue is busy; try again".to_owned() };
    ui.reply(at(20), &dial_command(""), Reply::Error(error));
    assert!(ui.toast.is_some());
    assert_eq!(ui.gesture(at(30), Press), [dial_command("")]);
}

#[test]
fn a_problem_of_the_player_is_shown_once() {
    let mut ui = ui(playing(song()));
    let mut status = playing(song());
    status.player.problem = Some("nobody has this song any more".to_owned());
    ui.status(at(100), Arc::new(status.clone()));
    let until = ui.toast.as_ref().unwrap().until();
    ui.status(at(200), Arc::new(status.clone()));
    assert_eq!(ui.toast.as_ref().unwrap().until(), until);
    ui.tick(until);
    ui.status(until, Arc::new(status));
    assert!(ui.toast.is_none());
}

#[test]
fn the_queue_is_asked_for_when_it_changes_under_the_eyes() {
    let mut ui = queue(QueueState { current: Some(song()), upcoming: waiting() });
    assert_eq!(ui.status(at(100), Arc::new(playing(song()))), []);
    let mut status = playing(waiting().remove(0));
    status.player.queued = 2;
    assert_eq!(ui.status(at(200), Arc::new(status)), [Command::QueueList]);
}

#[test]
fn the_face_returns_to_the_music_and_goes_dark() {
    let mut ui = ui(Status::default());
    ui.gesture(at(0), Hold);
    let back = at(0) + idle::RETURN_AFTER;
    assert_eq!(ui.returns_at(), Some(back));
    ui.tick(back);
    assert_eq!(ui.screen, Screen::NowPlaying);
    let dark = at(3_600_000);
    assert_eq!((ui.light(dark), ui.next_tick(dark)), (Light::Off, None));
    // The first touch only lights the display.
    assert_eq!(ui.gesture(dark, Press), []);
    assert_eq!(ui.light(dark), Light::Full);
    assert_eq!(ui.gesture(dark, Press), [dial_command("")]);
}

#[test]
fn nothing_moves_between_two_ticks() {
    let long = track(1, "A title that is too long for the display and scrolls", "", "");
    let mut buffering = playing(song());
    buffering.player.state = PlayState::Buffering;
    let mut paused = playing(song());
    paused.player.state = PlayState::Paused;
    let mut muted = ui(playing(song()));
    muted.gesture(at(0), Turn(-1));
    for mut ui in [ui(playing(song())), ui(playing(long)), ui(buffering), ui(paused), muted, found(hits()), dialling()]
    {
        let mut now = at(1_000);
        for _ in 0..200 {
            ui.tick(now);
            let Some(next) = ui.next_tick(now) else { break };
            assert!(next > now, "{next:?} is not after {now:?}");
            let shown = picture(&ui, now.as_millis());
            // Spinner and marquee may say a step too early, never too late.
            let before = next - Duration::from_millis(1);
            assert_eq!(picture(&ui, before.as_millis()), shown, "moved between {now:?} and {next:?}");
            now = next;
        }
    }
}

#[test]
fn an_idle_face_wakes_rarely() {
    let mut ui = ui(Status::default());
    let (mut now, mut wakes) = (at(0), 0);
    while let Some(next) = ui.next_tick(now) {
        ui.tick(next);
        (now, wakes) = (next, wakes + 1);
    }
    assert!(wakes <= 12, "{wakes}");
}

mod any {
    use super::*;
    use proptest::prelude::*;

    fn gestures() -> impl Strategy<Value = Gesture> {
        prop_oneof![(-5i32..6).prop_map(Turn), Just(Press), Just(Press), Just(Hold), any::<i32>().prop_map(Turn)]
    }

    /// What a jukebox might answer, right or wrong.
    fn answer(command: &Command, number: u64) -> Reply {
        let error = CommandError { code: ErrorCode::Failed, message: "x".repeat(number as usize % 300) };
        match (command, number % 4) {
            (_, 0) => Reply::Error(error),
            (Command::Dial { prefix }, _) => {
                let letters: Vec<_> = ('a'..='z').take(number as usize % 27).map(|letter| (letter, number)).collect();
                Reply::Dial(dial_state(prefix, number, &letters))
            }
            (Command::Search { query, .. }, _) => {
                let results = hits().into_iter().cycle().take(number as usize % 100).collect();
                Reply::Search(SearchResults { query: query.clone(), results, ..SearchResults::default() })
            }
            (Command::QueueList, _) => {
                let upcoming = waiting().into_iter().cycle().take(number as usize % 50).collect();
                Reply::Queue(QueueState { current: number.is_multiple_of(2).then(song), upcoming })
            }
            _ => Reply::Done,
        }
    }

    fn odd_status(number: u64) -> Status {
        let mut status = playing(song());
        status.player.duration_s = [0.0, f64::NAN, f64::INFINITY, -1.0, 245.0][number as usize % 5];
        status.player.position_s = [f64::NAN, -5.0, 1e300, 3.0][number as usize % 4];
        status.player.buffered_s = [f64::INFINITY, f64::NAN, -1.0][number as usize % 3];
        status.player.volume = number as u8;
        status.player.state = [PlayState::Playing, PlayState::Stopped, PlayState::Buffering][number as usize % 3];
        status.index.tracks = number;
        status
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn no_gesture_and_no_answer_breaks_the_face(steps in prop::collection::vec((gestures(), any::<u64>(), 0u64..90_000), 0..40)) {
            let mut ui = Ui::new(at(0));
            let mut now = at(0);
            for (gesture, number, later) in steps {
                now = now + Duration::from_millis(later);
                let mut commands = ui.gesture(now, gesture);
                for round in 0..3 {
                    let asked: Vec<_> = commands.drain(..).collect();
                    for command in asked {
                        let reply = answer(&command, number.wrapping_add(round));
                        commands.extend(ui.reply(now, &command, reply));
                    }
                }
                commands.extend(ui.status(now, Arc::new(odd_status(number))));
                prop_assert!(commands.len() <= 4);
                let mut frame = Frame::default();
                ui.draw(now, &mut frame);
                prop_assert!(ui.next_tick(now).is_none_or(|next| next > now));
            }
        }
    }
}
