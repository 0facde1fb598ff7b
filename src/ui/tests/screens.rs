//! Every screen as a picture.

use super::*;

/// Compares with the pictures in `png/` (all sizes) and `snapshots/` (128×64, as text for reviews).
#[track_caller]
fn check(name: &str, ui: &Ui, millis: u64) {
    png::check(name, |frame| ui.draw(at(millis), frame));
    insta::assert_snapshot!(name, picture(ui, millis).to_string());
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
    check("status-dht", &status_page(1), 50);
    let mut busy = full_status();
    (busy.dht.nodes, busy.budget.short) = (32_768, "CPU share".to_owned());
    check("status-dht-busy", &status_page_of(busy, 1), 50);
    check("status-music", &status_page(2), 50);
    check("status-sharing", &status_page(3), 50);
    check("status-device", &status_page(-1), 50);
}

#[test]
fn networks_that_are_there_and_not() {
    let with = |name: &str, state, address: Option<&str>| {
        let mut status = full_status();
        let wifi = WifiStatus { name: name.to_owned(), state };
        status.network.address = address.map(str::to_owned);
        (status.network.cable, status.network.wifi) = (false, Some(wifi));
        status_page_of(status, 0)
    };
    check("status-wifi", &with("FRITZ!Box 7590", WifiState::Joined, Some("192.168.178.120")), 50);
    check("status-wifi-password", &with("Nachbarn & Söhne, 3. Stock links", WifiState::WrongPassword, None), 50);
    check("status-wifi-away", &with("Ω 5G", WifiState::Searching, None), 50);
    let mut status = full_status();
    status.network = NetworkStatus::default();
    check("status-no-network", &status_page_of(status, 0), 50);
}

#[test]
fn an_update_that_was_left_is_told() {
    let status = Status { left_slot: Some("B".to_owned()), ..full_status() };
    check("status-rolled-back", &status_page_of(status, -1), 50);
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
fn problem_screens() {
    let mut status = playing(song());
    status.problems = vec![
        "silverstream.toml, line 7: a Wi-Fi password has 8 to 63 characters; this one has 5".to_owned(),
        "silverstream.toml, line 9: \"Germany\" is no country".to_owned(),
    ];
    let mut ui = ui(status.clone());
    check("problem-first", &ui, 20);
    assert_eq!(ui.gesture(at(30), Turn(1)), [], "what is not seen must not be changed");
    check("problem-second", &ui, 40);
    ui.gesture(at(50), Press);
    assert_eq!(picture(&ui, 60).to_string(), picture(&super::ui(playing(song())), 60).to_string());
    ui.status(at(70), Arc::new(status));
    assert_eq!(ui.gesture(at(80), Press), [Command::Toggle], "read once is enough");
    // The longest of those that are the jukebox's own (src/jukebox/status.rs).
    let rolled_back =
        "The update in slot B was not up for a whole minute, so the system before it runs. Install it once more.";
    let status = Status { problems: vec![rolled_back.to_owned()], ..playing(song()) };
    check("problem-rolled-back", &super::ui(status), 90);
}

#[test]
fn switching_off_takes_two_holds_in_the_status() {
    let mut ui = status_page(2);
    assert_eq!(ui.gesture(at(100), Hold), []);
    check("status-off", &ui, 110);
    ui.gesture(at(120), Turn(1));
    assert_eq!(ui.gesture(at(130), Hold), [], "turning on takes it back");
    assert_eq!(ui.gesture(at(140), Hold), [Command::PowerOff]);
    png::check("switching-off", |frame| *frame = farewell::ending(frame.size()));
    png::check("safe-to-unplug", |frame| *frame = farewell::safe(frame.size()));
}
