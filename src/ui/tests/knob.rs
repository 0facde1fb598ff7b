//! What the knob does, and what happens by itself.

use std::time::Duration;

use super::*;

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
fn pressing_twice_skips_the_song_and_is_two_presses_elsewhere() {
    let mut ui = ui(playing(song()));
    assert_eq!(ui.gesture(at(10), Press), [Command::Toggle]);
    assert_eq!(ui.gesture(at(200), Double), [Command::Next]);
    // The same letter twice, quickly.
    let mut ui = dialling();
    assert_eq!(ui.gesture(at(100), Press), [dial_command("blu")]);
    ui.reply(at(110), &dial_command("blu"), Reply::Dial(dial_state("blu", 224, &[('u', 224)])));
    assert_eq!(ui.gesture(at(200), Double), [dial_command("bluu")]);
}

#[test]
fn keys_mean_the_same_on_every_screen() {
    for mut ui in [ui(playing(song())), found(hits()), dialling()] {
        assert_eq!(ui.gesture(at(200), Key(panel::Key::Next)), [Command::Next]);
        assert_eq!(ui.gesture(at(210), Key(panel::Key::Previous)), [Command::Previous]);
        assert_eq!(ui.gesture(at(220), Key(panel::Key::Stop)), [Command::Stop]);
        assert!(matches!(ui.gesture(at(230), Key(panel::Key::Louder))[..], [Command::Volume { .. }]));
    }
    assert_eq!(ui(playing(song())).gesture(at(10), Key(panel::Key::Play)), [Command::Toggle]);
    assert_eq!(ui(Status::default()).gesture(at(10), Key(panel::Key::Play)), [Command::Play { track: None }]);
}

#[test]
fn back_leads_out_and_never_off() {
    let back = Key(panel::Key::Back);
    let mut ui = status_page(1);
    assert_eq!((ui.gesture(at(100), back), ui.screen), (vec![], Screen::NowPlaying));
    // The question, asked by the knob, is answered with no: the knob must ask again.
    let mut ui = status_page(1);
    assert_eq!(ui.gesture(at(110), Hold), []);
    assert_eq!((ui.gesture(at(120), back), ui.screen), (vec![], Screen::Status));
    assert_eq!(ui.gesture(at(130), Hold), []);
    assert_eq!(ui.gesture(at(140), Hold), [Command::PowerOff]);
    // Elsewhere it is a hold.
    ui.go(Screen::NowPlaying);
    assert_eq!((ui.gesture(at(150), back), ui.screen), (vec![], Screen::Menu));
    assert_eq!((ui.gesture(at(160), back), ui.screen), (vec![], Screen::NowPlaying));
}

#[test]
fn a_fast_turn_crosses_a_long_list_and_no_wheel() {
    let spin = |reach| Spin { detents: reach / 8, reach };
    let mut ui = found(hits().into_iter().cycle().take(60).collect());
    for _ in 0..12 {
        ui.gesture(at(200), spin(8));
    }
    assert_eq!(ui.results.chosen().map(|hit| hit.track), Some(hits()[5].track));
    ui.gesture(at(210), spin(-8));
    assert_eq!(ui.results.chosen().map(|hit| hit.track), Some(hits()[0].track));
    // A short list goes by detents, and so does the wheel.
    let mut short = found(hits());
    short.gesture(at(200), spin(8));
    assert_eq!(short.results.chosen().map(|hit| hit.track), Some(hits()[1].track));
    let mut wheel = dialling();
    wheel.gesture(at(100), spin(-8));
    assert_eq!(wheel.gesture(at(110), Press), [dial_command("blo")]);
    // Quickly softer, louder one by one.
    let mut volume = self::ui(playing(song()));
    let to = |percent| [Command::Volume { to: VolumeTo::Absolute(percent) }];
    assert_eq!(volume.gesture(at(10), spin(8)), to(66));
    assert_eq!(volume.gesture(at(20), spin(-16)), to(34));
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
    assert_eq!(ui.gesture(at(130), Press), std::slice::from_ref(&remove));
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
