//! The task with a source and an engine that do what the test says, in virtual time.

mod restarts;

use std::collections::HashMap;
use std::io::Cursor;
use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::audio::{AudioError, MediaInput};
use crate::control::{Command, ErrorCode, PlayState, PlayerStatus, Reply, SeekTo, VolumeTo};

/// Bytes of every file: the header of a WAV file of 44,100 frames a second in stereo, then silence.
const LEN: usize = 4_000_000;

/// Asking for the track with this number never ends.
const NOWHERE: u32 = 66;

/// There is no track with this number or above.
const UNKNOWN: u32 = 1000;

fn wav() -> Vec<u8> {
    let mut bytes = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x02\0\x44\xac\0\0\x10\xb1\x02\0\x04\0\x10\0data".to_vec();
    bytes.extend((LEN as u32 - 44).to_le_bytes());
    bytes.resize(LEN, 0);
    bytes
}

#[derive(Default)]
struct Source {
    feeds: Mutex<HashMap<u32, (watch::Sender<Fetch>, CancellationToken)>>,
    notes: Mutex<Vec<String>>,
    given_up: Arc<Mutex<u32>>,
}

impl Source {
    /// The first `have` bytes of the song are there.
    fn feed(&self, number: u32, have: u64, rate_bps: f64) {
        let len = LEN as u64;
        let fetch = Fetch { len, have, contiguous: have, rate_bps, lump: 0, complete: have == len, damaged: 0 };
        self.feeds.lock().unwrap()[&number].0.send_replace(fetch);
    }

    fn is_open(&self, number: u32) -> bool {
        self.feeds.lock().unwrap().get(&number).is_some_and(|(_, cancel)| !cancel.is_cancelled())
    }
}

/// Counts when it is dropped.
struct Counter(Arc<Mutex<u32>>);

impl Drop for Counter {
    fn drop(&mut self) {
        *self.0.lock().unwrap() += 1;
    }
}

impl TrackSource for Source {
    async fn info(&self, track: TrackId) -> Result<TrackInfo, CommandError> {
        if track.file >= UNKNOWN {
            return Err(CommandError { code: ErrorCode::NotFound, message: "no such song".to_owned() });
        }
        Ok(TrackInfo { format: "wav".to_owned(), bytes: LEN as u64, ..song(track.file) })
    }

    async fn open(&self, track: TrackId) -> Result<OpenTrack, CommandError> {
        if track.file == NOWHERE {
            let _guard = Counter(Arc::clone(&self.given_up));
            return std::future::pending().await;
        }
        let (feed, fetch) = watch::channel(Fetch { len: LEN as u64, ..Fetch::default() });
        let (cancel, there) = (CancellationToken::new(), fetch.clone());
        self.feeds.lock().unwrap().insert(track.file, (feed, cancel.clone()));
        Ok(OpenTrack {
            info: self.info(track).await?,
            input: Box::new(Cursor::new(wav())),
            available_from: Arc::new(move |offset| there.borrow().contiguous.saturating_sub(offset)),
            fetch,
            cancel,
        })
    }

    async fn prefetch(&self, track: TrackId) {
        self.notes.lock().unwrap().push(format!("prefetch {}", track.file));
    }

    async fn forget(&self, track: TrackId) {
        self.notes.lock().unwrap().push(format!("forget {}", track.file));
    }

    async fn played(&self, track: TrackId) {
        self.notes.lock().unwrap().push(format!("played {}", track.file));
    }
}

#[derive(Default)]
struct Heard {
    log: Vec<String>,
    progress: Progress,
    inputs: Vec<Box<dyn MediaInput>>,
    broken: bool,
}

#[derive(Clone, Default)]
struct FakeSound(Arc<Mutex<Heard>>);

impl FakeSound {
    fn note(&self, line: String) -> Result<(), AudioError> {
        self.0.lock().unwrap().log.push(line);
        Ok(())
    }

    fn keep(&self, input: Box<dyn MediaInput>) -> Result<(), AudioError> {
        let mut heard = self.0.lock().unwrap();
        heard.inputs.push(input);
        if heard.broken { Err(AudioError::Unresponsive) } else { Ok(()) }
    }

    fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().log)
    }

    fn at(&self, token: u64, seconds: u64) {
        self.0.lock().unwrap().progress = Progress { token, position: secs(seconds), ..Progress::default() };
    }
}

impl Sound for FakeSound {
    fn play(
        &self,
        token: u64,
        input: Box<dyn MediaInput>,
        hint: Option<&str>,
        start: Duration,
    ) -> Result<(), AudioError> {
        self.note(format!("play {token} {} {}", hint.unwrap_or("-"), start.as_secs()))?;
        self.keep(input)
    }

    fn enqueue(&self, token: u64, input: Box<dyn MediaInput>, _hint: Option<&str>) -> Result<(), AudioError> {
        self.note(format!("enqueue {token}"))?;
        self.keep(input)
    }

    fn dequeue(&self) -> Result<(), AudioError> {
        self.note("dequeue".to_owned())
    }

    fn pause(&self) -> Result<(), AudioError> {
        self.note("pause".to_owned())
    }

    fn resume(&self) -> Result<(), AudioError> {
        self.note("resume".to_owned())
    }

    fn stop(&self) -> Result<(), AudioError> {
        self.note("stop".to_owned())
    }

    fn seek(&self, to: Duration) -> Result<(), AudioError> {
        self.note(format!("seek {}", to.as_secs()))
    }

    fn set_volume(&self, percent: u8) {
        self.note(format!("volume {percent}")).unwrap();
    }

    fn progress(&self) -> Progress {
        self.0.lock().unwrap().progress
    }
}

struct Fixture {
    source: Arc<Source>,
    sound: FakeSound,
    events: mpsc::Sender<AudioEvent>,
    handle: PlayerHandle<Source>,
    cancel: CancellationToken,
    task: JoinHandle<Result<(), AudioError>>,
}

impl Fixture {
    fn start(snapshot: Snapshot) -> Self {
        let (source, sound) = (Arc::new(Source::default()), FakeSound::default());
        let (events, receiver) = mpsc::channel(8);
        let cancel = CancellationToken::new();
        let (handle, task) = start(Arc::clone(&source), sound.clone(), receiver, snapshot, cancel.clone());
        Self { source, sound, events, handle, cancel, task }
    }

    async fn done(&self, command: Command) {
        let reply = self.handle.command(command.clone()).await;
        assert_eq!(reply, Some(Reply::Done), "{command:?}");
    }

    async fn play(&self, number: u32) {
        self.done(Command::Play { track: Some(song(number).track) }).await;
    }

    async fn until(&self, what: &str, holds: impl FnMut(&PlayerStatus) -> bool) -> PlayerStatus {
        let mut status = self.handle.status();
        let reached = timeout(secs(60), status.wait_for(holds)).await;
        reached.unwrap_or_else(|_| unreachable!("never: {what}")).unwrap().clone()
    }

    /// Lets everything happen that can happen now.
    async fn calm(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    async fn tell(&self, event: AudioEvent) {
        self.events.send(event).await.unwrap();
        self.calm().await;
    }
}

#[tokio::test(start_paused = true)]
async fn song_is_fetched_played_and_measured() {
    let fixture = Fixture::start(Snapshot::default());
    fixture.play(1).await;
    fixture.calm().await;
    assert_eq!(fixture.handle.status().borrow().state, PlayState::Buffering);
    tokio::time::sleep(Duration::from_millis(119)).await;
    fixture.source.feed(1, LEN as u64, 0.0);
    fixture.calm().await;
    assert_eq!(fixture.sound.take_log(), ["volume 100", "play 1 wav 0"]);
    tokio::time::sleep(Duration::from_millis(79)).await;
    fixture.events.send(AudioEvent::Started { token: 1 }).await.unwrap();
    let status = fixture.until("plays", |status| status.state == PlayState::Playing).await;
    assert_eq!(status.startup_ms, Some(200.0));
    fixture.calm().await;
    assert_eq!(*fixture.source.notes.lock().unwrap(), ["played 1"]);
}

#[tokio::test(start_paused = true)]
async fn beginning_is_read_before_the_engine_gets_the_file() {
    let fixture = Fixture::start(Snapshot::default());
    fixture.play(1).await;
    fixture.calm().await;
    tokio::time::sleep(secs(1)).await;
    // 176,400 bytes a second are what the header asks for; 150,000 arrive and four fifths of that are believed.
    fixture.source.feed(1, 20_000, 0.0);
    tokio::time::sleep(secs(1)).await;
    fixture.source.feed(1, 300_000, 0.0);
    fixture.calm().await;
    assert_eq!(fixture.sound.take_log(), ["volume 100"]);
    fixture.source.feed(1, 1_000_000, 0.0);
    fixture.calm().await;
    assert_eq!(fixture.sound.take_log(), ["play 1 wav 0"]);
    assert_eq!(fixture.sound.0.lock().unwrap().inputs[0].byte_len(), LEN as u64);
    let status = fixture.handle.status().borrow().clone();
    assert!((status.duration_s - 22.67).abs() < 0.01, "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn unknown_song_changes_nothing() {
    let fixture = Fixture::start(Snapshot::default());
    for command in [
        Command::Play { track: Some(song(UNKNOWN).track) },
        Command::QueueAdd { tracks: vec![song(1).track, song(UNKNOWN).track] },
    ] {
        let reply = fixture.handle.command(command).await;
        assert!(matches!(reply, Some(Reply::Error(error)) if error.code == ErrorCode::NotFound));
    }
    assert_eq!(fixture.handle.queue().borrow().upcoming.len(), 0);
    assert_eq!(fixture.handle.command(Command::Status).await, None);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_needed_any_longer_is_let_go() {
    let fixture = Fixture::start(Snapshot::default());
    fixture.play(NOWHERE).await;
    fixture.calm().await;
    fixture.play(1).await;
    fixture.calm().await;
    assert_eq!(*fixture.source.given_up.lock().unwrap(), 1);
    assert!(fixture.source.is_open(1));
    fixture.done(Command::Stop).await;
    assert!(!fixture.source.is_open(1));
}

#[tokio::test(start_paused = true)]
async fn source_that_falls_silent_does_not_spin_and_is_given_up() {
    let fixture = Fixture::start(Snapshot::default());
    fixture.play(1).await;
    fixture.calm().await;
    fixture.source.feeds.lock().unwrap().clear();
    let begun = tokio::time::Instant::now();
    let mut status = fixture.handle.status();
    let problem = status.wait_for(|status| status.problem.is_some()).await.unwrap().problem.clone();
    assert!(problem.unwrap().contains("send nothing"));
    assert_eq!(begun.elapsed().as_secs_f64().round(), 60.0);
}

#[tokio::test(start_paused = true)]
async fn next_song_is_prefetched_and_follows() {
    let fixture = Fixture::start(Snapshot::default());
    fixture.done(Command::QueueAdd { tracks: vec![song(2).track] }).await;
    fixture.play(1).await;
    fixture.calm().await;
    fixture.source.feed(1, LEN as u64, 0.0);
    fixture.calm().await;
    fixture.tell(AudioEvent::Started { token: 1 }).await;
    fixture.tell(AudioEvent::Duration { token: 1, duration: secs(100) }).await;
    assert!(fixture.source.notes.lock().unwrap().contains(&"prefetch 2".to_owned()));
    fixture.sound.at(1, 80);
    fixture.calm().await;
    tokio::time::sleep(TICK).await;
    fixture.source.feed(2, LEN as u64, 0.0);
    fixture.calm().await;
    assert_eq!(fixture.sound.take_log().last().unwrap(), "enqueue 2");
    fixture.tell(AudioEvent::Started { token: 2 }).await;
    let queue = fixture.handle.queue().borrow().clone();
    assert_eq!((queue.current.unwrap().track, queue.upcoming.len()), (song(2).track, 0));
    assert!(!fixture.source.is_open(1) && fixture.source.is_open(2));
}

#[tokio::test(start_paused = true)]
async fn engine_that_does_not_respond_is_a_problem_for_people() {
    let fixture = Fixture::start(Snapshot::default());
    fixture.sound.0.lock().unwrap().broken = true;
    fixture.play(1).await;
    fixture.calm().await;
    fixture.source.feed(1, LEN as u64, 0.0);
    let status = fixture.until("gives up", |status| status.problem.is_some()).await;
    assert_eq!(status.state, PlayState::Stopped);
    assert!(status.problem.unwrap().contains("does not respond"));
}

#[tokio::test(start_paused = true)]
async fn orders_reach_the_engine() {
    let fixture = Fixture::start(Snapshot::default());
    fixture.play(1).await;
    fixture.calm().await;
    fixture.source.feed(1, LEN as u64, 0.0);
    fixture.calm().await;
    fixture.tell(AudioEvent::Started { token: 1 }).await;
    fixture.sound.take_log();
    for command in [
        Command::Pause,
        Command::Toggle,
        Command::Seek { to: SeekTo::Absolute(5.0) },
        Command::QueueAdd { tracks: vec![song(2).track] },
        Command::QueueRemove { position: 0 },
        Command::QueueClear,
        Command::Resume,
        Command::Previous,
        Command::Stop,
    ] {
        fixture.done(command).await;
    }
    assert_eq!(fixture.sound.take_log(), ["pause", "resume", "seek 5", "seek 0", "stop"]);
    let reply = fixture.handle.command(Command::Next).await;
    assert!(matches!(reply, Some(Reply::Error(error)) if error.code == ErrorCode::NotNow));
}
