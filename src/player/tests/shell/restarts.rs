//! What is remembered over the end of the player.

use super::*;

#[tokio::test(start_paused = true)]
async fn snapshot_follows_and_restores() {
    let fixture = Fixture::start(Snapshot::default());
    fixture.done(Command::QueueAdd { tracks: vec![song(2).track, song(3).track] }).await;
    assert_eq!(fixture.handle.snapshot().borrow().queue.len(), 2);
    let volume = fixture.handle.command(Command::Volume { to: VolumeTo::Absolute(55) }).await;
    assert_eq!(volume, Some(Reply::Volume { percent: 55 }));
    fixture.play(1).await;
    fixture.calm().await;
    fixture.source.feed(1, LEN as u64, 0.0);
    fixture.calm().await;
    fixture.tell(AudioEvent::Started { token: 1 }).await;
    fixture.sound.at(1, 9);
    tokio::time::sleep(secs(1)).await;
    assert_eq!(fixture.handle.status().borrow().position_s, 9.0);
    fixture.sound.at(1, 13);
    fixture.cancel.cancel();
    fixture.task.await.unwrap().unwrap();
    assert_eq!(fixture.sound.take_log().last().unwrap(), "stop");
    let snapshot = fixture.handle.snapshot().borrow().clone();
    assert_eq!(snapshot.position_s, 13.0);
    assert!(
        matches!(fixture.handle.command(Command::Next).await, Some(Reply::Error(error)) if error.code == ErrorCode::NotNow)
    );

    let again = Fixture::start(snapshot);
    again.calm().await;
    again.source.feed(1, LEN as u64, 0.0);
    again.calm().await;
    assert_eq!(again.sound.take_log(), ["volume 55", "play 1 wav 13"]);
    let Some(Reply::Queue(queue)) = again.handle.command(Command::QueueList).await else { unreachable!() };
    assert_eq!(queue.upcoming.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_player_ends_when_the_engine_has_died_and_remembers_what_it_did() {
    let fixture = Fixture::start(Snapshot::default());
    fixture.play(1).await;
    let handle = fixture.handle.clone();
    drop(fixture.events);
    let ended = timeout(secs(60), fixture.task).await.expect("it goes on without a sound").unwrap();
    assert!(matches!(ended, Err(AudioError::Died)), "{ended:?}");
    assert_eq!(handle.snapshot().borrow().current.as_ref().map(|song| song.track), Some(song(1).track));
}
