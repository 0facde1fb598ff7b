//! What people ask, and what survives a restart, one rule at a time.

use super::*;
use crate::control::{ErrorCode, PlayState, SeekTo, VolumeTo};

#[test]
fn previous_is_the_start_of_the_song_or_the_one_before() {
    let mut rig = Rig::with_queue(0);
    rig.sounding(1);
    let second = rig.sounding(2);
    rig.at(second, 10);
    rig.order(Order::Previous).unwrap();
    assert_eq!(rig.acts(), [Action::Seek(Duration::ZERO)]);
    rig.at(second, 1);
    rig.order(Order::Previous).unwrap();
    assert_eq!(rig.player.queue().current, Some(song(1)));
    assert_eq!(rig.player.queue().upcoming, [song(2)]);
}

#[test]
fn seeking_stays_within_the_song_or_goes_on_to_the_next() {
    let mut rig = Rig::with_queue(1);
    let ticket = rig.sounding(9);
    rig.at(ticket, 20);
    rig.order(Order::Seek(SeekTo::Relative(-30.0))).unwrap();
    assert_eq!(rig.acts(), [Action::Seek(Duration::ZERO)]);
    rig.order(Order::Seek(SeekTo::Absolute(90.5))).unwrap();
    assert_eq!(rig.acts(), [Action::Seek(Duration::from_millis(90_500))]);
    assert_eq!(rig.player.status().position_s, 90.5);
    for nonsense in [f64::NAN, f64::INFINITY] {
        assert_eq!(rig.order(Order::Seek(SeekTo::Absolute(nonsense))).unwrap_err().code, ErrorCode::Usage);
    }
    rig.order(Order::Seek(SeekTo::Absolute(1e300))).unwrap();
    assert_eq!(rig.player.queue().current, Some(song(1)));
    rig.order(Order::Stop).unwrap();
    assert_eq!(rig.order(Order::Seek(SeekTo::Absolute(1.0))).unwrap_err().code, ErrorCode::NotNow);
}

#[test]
fn position_is_where_the_listener_was_sent_until_the_engine_is_there() {
    let mut rig = Rig::with_queue(0);
    let ticket = rig.sounding(1);
    rig.at(ticket, 20);
    rig.order(Order::Seek(SeekTo::Absolute(100.0))).unwrap();
    rig.at(ticket, 20);
    assert_eq!(rig.player.position(), secs(100));
    rig.order(Order::Seek(SeekTo::Relative(10.0))).unwrap();
    rig.at(ticket, 20);
    assert_eq!(rig.player.position(), secs(110));
    rig.at(ticket, 110);
    rig.at(ticket, 112);
    assert_eq!(rig.player.position(), secs(112));
    rig.order(Order::Seek(SeekTo::Absolute(199.0))).unwrap();
    rig.now = rig.now + secs(2);
    rig.at(ticket, 190);
    assert_eq!(rig.player.position(), secs(190), "the engine could not go that far");
}

#[test]
fn seeking_before_the_sound_aims_the_download() {
    let mut rig = Rig::with_queue(0);
    rig.order(Order::Play(Some(song(1)))).unwrap();
    rig.opened(1, 1);
    rig.supply(1, 20_000, 1_000.0);
    rig.probed(1);
    rig.supply(1, 20_000, 1_000.0);
    rig.acts();
    rig.order(Order::Seek(SeekTo::Absolute(100.0))).unwrap();
    assert_eq!(rig.player.read_offset(1), 2_000_000);
    rig.supply(1, 20_000, 1_000.0);
    assert_eq!(rig.acts(), [Action::Probe { ticket: 1, at: 0, start: secs(100) }]);
}

#[test]
fn stop_forgets_the_position_and_keeps_the_queue() {
    let mut rig = Rig::with_queue(2);
    let ticket = rig.sounding(9);
    rig.at(ticket, 50);
    rig.order(Order::Pause).unwrap();
    rig.acts();
    rig.order(Order::Stop).unwrap();
    assert_eq!(rig.acts(), [Action::Close { ticket }, Action::Silence, Action::Forget(song(1).track)]);
    let status = rig.player.status();
    assert_eq!((status.state, status.position_s, status.queued), (PlayState::Stopped, 0.0, 2));
    rig.order(Order::Play(None)).unwrap();
    let again = opened_ticket(&rig.acts());
    rig.opened(again, 9);
    rig.complete(again);
    assert_eq!(rig.acts(), [Action::Resume, Action::Play { ticket: again, start: Duration::ZERO }]);
}

#[test]
fn volume_is_bounded() {
    let mut rig = Rig::with_queue(0);
    for (to, percent) in [
        (VolumeTo::Absolute(40), 40),
        (VolumeTo::Relative(-50), 0),
        (VolumeTo::Relative(127), 100),
        (VolumeTo::Absolute(255), 100),
        (VolumeTo::Relative(-5), 95),
    ] {
        rig.order(Order::Volume(to)).unwrap();
        assert_eq!(rig.acts(), [Action::Volume(percent)]);
    }
    assert_eq!(rig.player.snapshot().volume, 95);
}

#[test]
fn restart_goes_on_where_it_was() {
    let mut rig = Rig::with_queue(3);
    let ticket = rig.sounding(9);
    rig.at(ticket, 77);
    rig.order(Order::Volume(VolumeTo::Absolute(30))).unwrap();
    let text = serde_json::to_string(&rig.player.snapshot()).unwrap();
    let mut rig = Rig::new(serde_json::from_str(&text).unwrap());
    let acts = rig.acts();
    assert_eq!(acts[0], Action::Volume(30));
    let ticket = opened_ticket(&acts);
    rig.opened(ticket, 9);
    rig.complete(ticket);
    assert_eq!(rig.acts(), [Action::Play { ticket, start: secs(77) }]);
    assert_eq!(rig.player.status().queued, 3);
}

#[test]
fn restart_while_paused_stays_silent_at_the_same_place() {
    let snapshot =
        Snapshot { current: Some(song(1)), position_s: 12.0, activity: Activity::Paused, ..Snapshot::default() };
    let mut rig = Rig::new(snapshot);
    let status = rig.player.status();
    assert_eq!((status.state, status.position_s), (PlayState::Paused, 12.0));
    rig.order(Order::Resume).unwrap();
    let ticket = opened_ticket(&rig.acts());
    rig.opened(ticket, 1);
    rig.complete(ticket);
    assert_eq!(rig.acts(), [Action::Play { ticket, start: secs(12) }]);
}

#[test]
fn nonsense_in_a_snapshot_is_not_believed() {
    for position_s in [f64::NAN, -1.0, f64::INFINITY, 1e300] {
        let snapshot = Snapshot {
            current: Some(song(1)),
            position_s,
            volume: 255,
            activity: Activity::Playing,
            ..Snapshot::default()
        };
        let rig = Rig::new(snapshot);
        assert_eq!((rig.player.status().position_s, rig.player.status().volume), (0.0, 100));
    }
}
