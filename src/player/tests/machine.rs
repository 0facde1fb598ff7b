//! What source and engine tell, one rule at a time.

mod failures;

use super::*;
use crate::control::{ErrorCode, PlayState};

#[test]
fn complete_song_plays_at_once_and_the_start_is_measured() {
    let mut rig = Rig::with_queue(0);
    rig.now = Time::from_millis(1000);
    rig.order(Order::Play(Some(song(1)))).unwrap();
    let acts = rig.acts();
    assert_eq!(acts, [Action::Open { ticket: 1, track: song(1).track }]);
    assert_eq!(rig.player.status().state, PlayState::Buffering);
    rig.now = Time::from_millis(1100);
    rig.opened(1, 1);
    rig.complete(1);
    assert_eq!(rig.acts(), [Action::Play { ticket: 1, start: Duration::ZERO }]);
    rig.now = Time::from_millis(1180);
    rig.engine_starts(1);
    assert_eq!(rig.acts(), [Action::Played(song(1).track)]);
    let status = rig.player.status();
    assert_eq!((status.state, status.startup_ms, status.duration_s), (PlayState::Playing, Some(180.0), 200.0));
    assert_eq!((status.buffered_s, status.track), (200.0, Some(song(1))));
}

#[test]
fn the_status_tells_what_the_way_to_the_first_sound_was_spent_on() {
    let mut rig = Rig::with_queue(0);
    rig.order(Order::Play(Some(song(1)))).unwrap();
    let asked = rig.now;
    rig.now = asked + Duration::from_millis(30);
    rig.opened(1, 1);
    rig.supply(1, 0, 0.0);
    rig.now = asked + Duration::from_millis(2030);
    // Slower than it plays.
    rig.supply(1, 20_000, 0.0);
    rig.probed(1);
    rig.supply(1, 20_000, 0.0);
    rig.now = asked + Duration::from_millis(2530);
    rig.complete(1);
    rig.now = asked + Duration::from_millis(2540);
    rig.engine_starts(1);
    let startup = rig.player.status().startup.unwrap();
    let parts = (startup.opening_ms, startup.first_bytes_ms, startup.enough_ms, startup.sound_ms);
    assert_eq!(parts, (30.0, 2000.0, 500.0, 10.0));
    assert_eq!(rig.player.status().startup_ms, Some(2540.0));
}

#[test]
fn partial_song_waits_until_it_lasts() {
    let mut rig = Rig::with_queue(0);
    rig.order(Order::Play(Some(song(1)))).unwrap();
    rig.opened(1, 1);
    rig.acts();
    rig.supply(1, 8_000, 10_000.0);
    assert_eq!(rig.acts(), []);
    rig.wait(secs(1));
    rig.supply(1, 20_000, 10_000.0);
    assert_eq!(rig.acts(), [Action::Probe { ticket: 1, at: 0, start: Duration::ZERO }]);
    rig.supply(1, 20_000, 1_000_000.0);
    assert_eq!(rig.acts(), [], "not before the beginning was read");
    rig.probed(1);
    rig.supply(1, 20_000, 10_000.0);
    assert_eq!(rig.acts(), [], "23 kB/s are needed, 10 kB/s are counted on");
    assert!(rig.player.poll_timeout().is_some());
    rig.wait(secs(1));
    rig.supply(1, 200_000, 0.0);
    assert_eq!(rig.acts(), [Action::Play { ticket: 1, start: Duration::ZERO }], "96 kB/s were seen");
}

#[test]
fn picture_before_the_sound_is_not_counted_as_sound() {
    let mut rig = Rig::with_queue(0);
    rig.order(Order::Play(Some(song(1)))).unwrap();
    rig.opened(1, 1);
    rig.supply(1, 100_000, 200_000.0);
    rig.acts();
    let behind_picture = Facts { audio_start: 2_000_000, ..Facts::default() };
    rig.player.probed(rig.now, 1, behind_picture, Some(2_000_000));
    rig.supply(1, 1_900_000, 200_000.0);
    assert_eq!(rig.acts(), [], "all that is there is picture");
    rig.supply(1, 2_020_000, 200_000.0);
    assert_eq!(rig.acts(), [Action::Probe { ticket: 1, at: 2_000_000, start: Duration::ZERO }]);
    let facts = Facts { audio_start: 2_000_000, bitrate_bps: Some(128_000), ..Facts::default() };
    rig.player.probed(rig.now, 1, facts, None);
    rig.supply(1, 2_020_000, 200_000.0);
    assert_eq!(rig.acts(), [Action::Play { ticket: 1, start: Duration::ZERO }]);
}

#[test]
fn index_at_the_end_is_left_to_the_engine() {
    let mut rig = Rig::with_queue(0);
    rig.order(Order::Play(Some(song(1)))).unwrap();
    rig.opened(1, 1);
    rig.supply(1, 20_000, 0.0);
    rig.player.probed(rig.now, 1, Facts { needs_end: true, ..Facts::default() }, None);
    rig.supply(1, 20_000, 0.0);
    assert!(rig.acts().contains(&Action::Play { ticket: 1, start: Duration::ZERO }));
}

#[test]
fn song_paused_before_it_sounds_waits_for_the_listener() {
    let mut rig = Rig::with_queue(0);
    rig.order(Order::Play(Some(song(1)))).unwrap();
    rig.order(Order::Pause).unwrap();
    rig.acts();
    rig.opened(1, 1);
    rig.complete(1);
    assert_eq!((rig.acts(), rig.player.status().state), (vec![], PlayState::Paused));
    rig.order(Order::Toggle).unwrap();
    assert_eq!(rig.acts(), [Action::Play { ticket: 1, start: Duration::ZERO }]);
}

#[test]
fn pause_and_resume_reach_the_engine_once() {
    let mut rig = Rig::with_queue(0);
    rig.sounding(1);
    for order in [Order::Pause, Order::Pause] {
        rig.order(order).unwrap();
    }
    assert_eq!(rig.acts(), [Action::Pause]);
    for order in [Order::Resume, Order::Resume, Order::Play(None)] {
        rig.order(order).unwrap();
    }
    assert_eq!(rig.acts(), [Action::Resume]);
}

#[test]
fn next_song_follows_without_a_gap() {
    let mut rig = Rig::with_queue(2);
    let first = rig.sounding(9);
    rig.wait(secs(1));
    rig.at(first, 100);
    rig.wait(secs(1));
    assert_eq!(rig.acts(), [], "it was prefetched when the current one began, and is opened later");
    rig.at(first, 171);
    rig.wait(secs(1));
    let next = opened_ticket(&rig.acts());
    rig.opened(next, 1);
    rig.complete(next);
    assert_eq!(rig.acts(), [Action::Enqueue { ticket: next }]);
    assert_eq!(rig.player.queue().upcoming.len(), 2, "it is still to come");
    rig.heard(AudioEvent::Started { token: next });
    assert_eq!(rig.acts()[..2], [Action::Close { ticket: first }, Action::Played(song(1).track)]);
    rig.heard(AudioEvent::Finished { token: first });
    let status = rig.player.status();
    assert_eq!((status.track, status.queued, status.state), (Some(song(1)), 1, PlayState::Playing));
    assert_eq!(rig.player.snapshot().history, [song(9)]);
}

#[test]
fn end_of_a_song_may_be_told_before_the_start_of_the_next() {
    let mut rig = Rig::with_queue(1);
    let first = rig.sounding(9);
    rig.at(first, 195);
    rig.wait(secs(1));
    let next = opened_ticket(&rig.acts());
    rig.opened(next, 1);
    rig.complete(next);
    rig.heard(AudioEvent::Finished { token: first });
    rig.heard(AudioEvent::Started { token: next });
    let acts = rig.acts();
    assert!(!acts.iter().any(|act| matches!(act, Action::Play { .. } | Action::Silence)), "{acts:?}");
    assert_eq!(rig.player.status().track, Some(song(1)));
}

#[test]
fn what_was_enqueued_is_taken_back_when_the_queue_changes() {
    let mut rig = Rig::with_queue(2);
    let first = rig.sounding(9);
    rig.at(first, 195);
    rig.wait(secs(1));
    let wrong = opened_ticket(&rig.acts());
    rig.opened(wrong, 1);
    rig.complete(wrong);
    rig.acts();
    rig.order(Order::QueueRemove(0)).unwrap();
    let acts = rig.acts();
    assert_eq!(acts[..2], [Action::Dequeue, Action::Close { ticket: wrong }]);
    assert!(acts.contains(&Action::Open { ticket: wrong + 1, track: song(2).track }), "{acts:?}");
}

#[test]
fn what_was_fetched_ahead_is_let_go_when_nobody_is_on_the_way_to_it() {
    let mut rig = Rig::with_queue(2);
    rig.sounding(9);
    rig.order(Order::QueueRemove(0)).unwrap();
    let acts = rig.acts();
    assert_eq!(acts, [Action::Forget(song(1).track), Action::Prefetch(song(2).track)], "another is the next");
    rig.order(Order::Stop).unwrap();
    assert!(rig.acts().contains(&Action::Forget(song(2).track)));

    let mut rig = Rig::with_queue(1);
    let first = rig.sounding(9);
    rig.at(first, 195);
    rig.wait(secs(1));
    let next = opened_ticket(&rig.acts());
    rig.order(Order::QueueClear).unwrap();
    assert_eq!(rig.acts(), [Action::Close { ticket: next }], "what was opened is closed and no more");
}

#[test]
fn song_that_stopped_arriving_is_played_as_far_as_it_goes() {
    let mut rig = Rig::with_queue(0);
    rig.order(Order::Play(Some(song(1)))).unwrap();
    rig.opened(1, 1);
    // 20 kB/s are needed: 35 s are there, of 200.
    rig.supply(1, 800_000, 0.0);
    rig.probed(1);
    rig.acts();
    for _ in 0..4 {
        rig.wait(secs(1));
        rig.supply(1, 800_000, 0.0);
        assert_eq!(rig.acts(), []);
    }
    rig.wait(secs(2));
    rig.supply(1, 800_000, 0.0);
    assert_eq!(rig.acts(), [Action::Play { ticket: 1, start: Duration::ZERO }]);

    let mut rig = Rig::with_queue(0);
    rig.order(Order::Play(Some(song(1)))).unwrap();
    rig.opened(1, 1);
    rig.supply(1, 200_000, 0.0);
    rig.probed(1);
    rig.acts();
    for _ in 0..20 {
        rig.wait(secs(1));
        rig.supply(1, 200_000, 0.0);
        assert_eq!(rig.acts(), [], "8 s are not worth it");
    }
}

#[test]
fn song_that_begins_although_it_was_taken_back_is_not_heard() {
    let mut rig = Rig::with_queue(2);
    let first = rig.sounding(9);
    rig.at(first, 199);
    rig.wait(secs(1));
    let wrong = opened_ticket(&rig.acts());
    rig.opened(wrong, 1);
    rig.complete(wrong);
    rig.order(Order::QueueRemove(0)).unwrap();
    rig.acts();
    rig.heard(AudioEvent::Started { token: wrong });
    assert!(rig.acts().contains(&Action::Silence));
    assert_eq!(rig.player.queue().current, Some(song(2)));
    rig.heard(AudioEvent::Started { token: wrong });
    assert_eq!(rig.player.queue().current, Some(song(2)));
}

#[test]
fn queue_runs_out_into_silence() {
    let mut rig = Rig::with_queue(0);
    let only = rig.sounding(1);
    rig.heard(AudioEvent::Finished { token: only });
    let status = rig.player.status();
    assert_eq!((status.state, status.track), (PlayState::Stopped, None));
    assert_eq!(rig.order(Order::Play(None)).unwrap_err().code, ErrorCode::NotNow);
    rig.order(Order::Previous).unwrap();
    assert_eq!(rig.player.status().track, Some(song(1)));
}

#[test]
fn dry_song_is_held_until_enough_is_there() {
    let mut rig = Rig::with_queue(0);
    rig.order(Order::Play(Some(song(1)))).unwrap();
    rig.opened(1, 1);
    rig.supply(1, 100_000, 60_000.0);
    rig.probed(1);
    rig.supply(1, 100_000, 60_000.0);
    rig.engine_starts(1);
    rig.acts();
    rig.now = Time::from_millis(20_000);
    rig.at(1, 5);
    rig.supply(1, 101_000, 0.0);
    rig.heard(AudioEvent::Starved { token: 1 });
    assert_eq!(rig.acts(), [Action::Pause]);
    assert_eq!(rig.player.status().state, PlayState::Buffering);
    rig.supply(1, 110_000, 30_000.0);
    assert_eq!(rig.acts(), []);
    rig.supply(1, 1_500_000, 30_000.0);
    assert_eq!(rig.acts(), [Action::Resume]);
    assert_eq!(rig.player.status().state, PlayState::Playing);
}

#[test]
fn listener_may_pause_a_song_that_is_held() {
    let mut rig = Rig::with_queue(1);
    rig.order(Order::Play(Some(song(9)))).unwrap();
    rig.opened(1, 9);
    rig.supply(1, 100_000, 60_000.0);
    rig.probed(1);
    rig.supply(1, 100_000, 60_000.0);
    rig.engine_starts(1);
    rig.at(1, 5);
    rig.now = Time::from_millis(20_000);
    rig.supply(1, 101_000, 0.0);
    rig.heard(AudioEvent::Starved { token: 1 });
    rig.acts();
    rig.order(Order::Pause).unwrap();
    rig.order(Order::Resume).unwrap();
    assert_eq!(rig.acts(), [], "still nothing to play");
    assert_eq!(rig.player.status().state, PlayState::Buffering);
    rig.order(Order::Next).unwrap();
    let ticket = opened_ticket(&rig.acts());
    rig.opened(ticket, 1);
    rig.complete(ticket);
    assert_eq!(rig.acts(), [Action::Resume, Action::Play { ticket, start: Duration::ZERO }]);
}

#[test]
fn what_comes_too_late_is_closed_and_ignored() {
    let mut rig = Rig::with_queue(0);
    let ticket = rig.sounding(1);
    rig.opened(77, 5);
    assert_eq!(rig.acts(), [Action::Close { ticket: 77 }]);
    rig.heard(AudioEvent::Failed { token: 77, error: "late".to_owned() });
    rig.heard(AudioEvent::Finished { token: 77 });
    rig.heard(AudioEvent::Starved { token: 77 });
    assert_eq!((rig.acts(), rig.player.position()), (vec![], Duration::ZERO));
    assert_eq!(rig.player.status().track, Some(song(1)));
    rig.order(Order::Stop).unwrap();
    rig.acts();
    rig.heard(AudioEvent::Finished { token: ticket });
    assert_eq!(rig.player.status().track, Some(song(1)));
}
