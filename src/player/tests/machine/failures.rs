//! Songs, sources and cards that fail.

use super::*;

#[test]
fn broken_song_does_not_break_what_follows_without_a_gap() {
    let mut rig = Rig::with_queue(1);
    let first = rig.sounding(9);
    rig.at(first, 195);
    rig.wait(secs(1));
    let next = opened_ticket(&rig.acts());
    rig.opened(next, 1);
    rig.complete(next);
    rig.acts();
    rig.heard(AudioEvent::Failed { token: first, error: "it is cut off".to_owned() });
    rig.heard(AudioEvent::Started { token: next });
    let acts = rig.acts();
    assert!(!acts.iter().any(|act| matches!(act, Action::Silence | Action::Open { .. })), "{acts:?}");
    assert_eq!(rig.player.status().track, Some(song(1)));
}

#[test]
fn broken_song_is_skipped_with_a_notice() {
    let mut rig = Rig::with_queue(2);
    rig.order(Order::Play(None)).unwrap();
    let broken = opened_ticket(&rig.acts());
    rig.broken(broken);
    let acts = rig.acts();
    assert!(matches!(&acts[1], Action::Notice(text) if text == "“Song 1” was skipped: it is broken"), "{acts:?}");
    let next = opened_ticket(&acts);
    rig.opened(next, 2);
    rig.complete(next);
    rig.heard(AudioEvent::Started { token: next });
    assert!(rig.player.status().problem.is_some(), "it can be read while the next song plays");
    rig.heard(AudioEvent::Failed { token: next, error: "it is no music".to_owned() });
    let status = rig.player.status();
    assert_eq!((status.state, status.track), (PlayState::Stopped, Some(song(2))));
    assert_eq!(status.problem.as_deref(), Some("“Song 2” cannot be played: it is no music"));
    rig.acts();
    rig.order(Order::Play(None)).unwrap();
    assert_eq!(rig.player.status().problem, None);
    opened_ticket(&rig.acts());
}

#[test]
fn many_failures_in_a_row_do_not_burn_the_queue() {
    let mut rig = Rig::with_queue(50);
    rig.order(Order::Play(None)).unwrap();
    for _ in 0..MAX_FAILURES {
        let ticket = opened_ticket(&rig.acts());
        rig.broken(ticket);
    }
    assert!(rig.acts().iter().all(|act| !matches!(act, Action::Open { .. })));
    let status = rig.player.status();
    assert_eq!((status.state, status.queued), (PlayState::Stopped, 50 - MAX_FAILURES));
    assert!(status.problem.unwrap().contains("5 songs in a row"));
}

#[test]
fn song_whose_seeds_vanish_is_given_up() {
    let mut rig = Rig::with_queue(1);
    rig.order(Order::Play(Some(song(9)))).unwrap();
    rig.opened(1, 9);
    for _ in 0..59 {
        rig.wait(secs(1));
        rig.supply(1, 5_000, 0.0);
    }
    assert_eq!(rig.player.status().track, Some(song(9)));
    rig.wait(secs(3));
    let status = rig.player.status();
    assert_eq!(status.track, Some(song(1)));
    assert!(status.problem.unwrap().contains("send nothing"));
}

#[test]
fn song_that_comes_damaged_is_given_up_and_the_sentence_says_so() {
    let mut rig = Rig::with_queue(1);
    rig.order(Order::Play(Some(song(9)))).unwrap();
    rig.opened(1, 9);
    for second in 0..62 {
        rig.wait(secs(1));
        let fetch = Fetch { len: 4_000_000, damaged: second / 9, ..Fetch::default() };
        rig.player.supplied(rig.now, 1, Supply { fetch, from: 0, ahead: 0 });
    }
    let status = rig.player.status();
    assert_eq!(status.track, Some(song(1)));
    let problem = status.problem.unwrap();
    assert!(problem.contains("(6 pieces came damaged); choose another copy"), "{problem}");
}

#[test]
fn song_that_nobody_has_is_given_up() {
    let mut rig = Rig::with_queue(0);
    rig.order(Order::Play(Some(song(9)))).unwrap();
    rig.wait(secs(89));
    assert_eq!(rig.player.status().state, PlayState::Buffering);
    rig.wait(secs(1));
    assert_eq!(rig.player.status().state, PlayState::Stopped);
    assert!(rig.player.status().problem.unwrap().contains("nobody"));
}

#[test]
fn lost_sound_card_is_told_and_forgotten_when_it_is_back() {
    let mut rig = Rig::with_queue(0);
    rig.sounding(1);
    rig.heard(AudioEvent::OutputLost("plug it in".to_owned()));
    assert_eq!(rig.player.status().problem.as_deref(), Some("plug it in"));
    rig.heard(AudioEvent::OutputBack);
    assert_eq!(rig.player.status().problem, None);
}
