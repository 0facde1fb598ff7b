//! The task with the real audio engine and files in memory.

use std::io::Cursor;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::audio::encode::{self, Pcm, Tags};
use crate::audio::{AudioError, Engine, EngineConfig};
use crate::control::{Command, ErrorCode, PlayState, PlayerStatus, Reply};

/// Frames a second.
const RATE: u32 = 44_100;

/// Frames of a song: 1.2 s in whole blocks of the FLAC encoder.
const FRAMES: u32 = 13 * 4096;

/// There is no audio in the track with this number.
const NOISE: u32 = 13;

/// Songs, each with samples of its own.
struct Shelf;

fn pcm(number: u32) -> Pcm {
    let samples = (0..FRAMES).flat_map(|frame| {
        let left = (frame * (number + 3)) % 20_000;
        [left as i32 - 10_000, (frame % 3_000) as i32 - number as i32]
    });
    Pcm { rate: RATE, channels: 2, bits: 16, samples: samples.collect() }
}

fn file(number: u32) -> Vec<u8> {
    match number {
        NOISE => vec![0x5a; 50_000],
        even if even % 2 == 0 => encode::flac(&pcm(number), &Tags::default()).unwrap(),
        _ => encode::wav(&pcm(number), &Tags::default()).unwrap(),
    }
}

impl TrackSource for Shelf {
    async fn info(&self, track: TrackId) -> Result<TrackInfo, CommandError> {
        let format = if track.file.is_multiple_of(2) { "flac" } else { "wav" };
        Ok(TrackInfo { format: format.to_owned(), ..song(track.file) })
    }

    async fn open(&self, track: TrackId) -> Result<OpenTrack, CommandError> {
        let bytes = file(track.file);
        let len = bytes.len() as u64;
        let (_, fetch) = watch::channel(Fetch {
            len,
            have: len,
            contiguous: len,
            rate_bps: 0.0,
            lump: 0,
            complete: true,
            damaged: 0,
        });
        Ok(OpenTrack {
            info: self.info(track).await?,
            input: Box::new(Cursor::new(bytes)),
            available_from: Arc::new(move |offset| len.saturating_sub(offset)),
            fetch,
            cancel: CancellationToken::new(),
        })
    }

    async fn prefetch(&self, _track: TrackId) {}

    async fn forget(&self, _track: TrackId) {}

    async fn played(&self, _track: TrackId) {}
}

struct Jukebox {
    handle: PlayerHandle<Shelf>,
    cancel: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), AudioError>>,
}

impl Jukebox {
    fn start(output: &str) -> Self {
        let (engine, events) = Engine::start(EngineConfig { output: output.parse().unwrap(), volume: 100 }).unwrap();
        let cancel = CancellationToken::new();
        let (handle, task) = start(Arc::new(Shelf), engine, events, Snapshot::default(), cancel.clone());
        Self { handle, cancel, task }
    }

    async fn done(&self, command: Command) {
        assert_eq!(self.handle.command(command.clone()).await, Some(Reply::Done), "{command:?}");
    }

    async fn until(&self, what: &str, holds: impl FnMut(&PlayerStatus) -> bool) -> PlayerStatus {
        let mut status = self.handle.status();
        let reached = timeout(secs(30), status.wait_for(holds)).await;
        match reached {
            Ok(status) => status.unwrap().clone(),
            Err(_) => unreachable!("never: {what}, but {:?}", self.handle.status().borrow()),
        }
    }

    async fn end(self) {
        self.cancel.cancel();
        self.task.await.unwrap().unwrap();
    }
}

fn tracks(numbers: &[u32]) -> Vec<TrackId> {
    numbers.iter().map(|number| song(*number).track).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn songs_of_a_queue_come_out_bit_for_bit_without_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.wav");
    let jukebox = Jukebox::start(&format!("wav:{}", path.display()));
    jukebox.done(Command::QueueAdd { tracks: tracks(&[1, 2, 3]) }).await;
    jukebox.done(Command::Play { track: None }).await;
    let status = jukebox.until("plays", |status| status.state == PlayState::Playing).await;
    assert!(status.startup_ms.is_some_and(|millis| millis > 0.0), "{status:?}");
    jukebox.until("ends", |status| status.state == PlayState::Stopped && status.track.is_none()).await;
    assert_eq!(jukebox.handle.snapshot().borrow().history.len(), 3);
    jukebox.end().await;
    let written = std::fs::read(&path).unwrap();
    let heard: Vec<i32> =
        written[44..].chunks_exact(2).map(|pair| i32::from(i16::from_le_bytes([pair[0], pair[1]]))).collect();
    let wanted: Vec<i32> = [1, 2, 3].iter().flat_map(|number| pcm(*number).samples).collect();
    assert_eq!(heard.len(), wanted.len());
    assert_eq!(heard.iter().zip(&wanted).position(|(a, b)| a != b), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pause_seek_next_and_stop_reach_the_sound() {
    let jukebox = Jukebox::start("null");
    jukebox.done(Command::Play { track: Some(song(2).track) }).await;
    jukebox.until("plays", |status| status.position_s > 0.2).await;
    jukebox.done(Command::Pause).await;
    jukebox.done(Command::Seek { to: crate::control::SeekTo::Absolute(1.0) }).await;
    let status = jukebox.until("is elsewhere", |status| status.position_s >= 1.0).await;
    assert_eq!(status.state, PlayState::Paused);
    let next = jukebox.handle.command(Command::Next).await;
    assert!(matches!(next, Some(Reply::Error(error)) if error.code == ErrorCode::NotNow));
    jukebox.done(Command::QueueAdd { tracks: tracks(&[5]) }).await;
    jukebox.done(Command::Next).await;
    let playing = |status: &PlayerStatus| status.state == PlayState::Playing && status.position_s > 0.1;
    let status = jukebox.until("plays the next", playing).await;
    assert_eq!(status.track.unwrap().track, song(5).track);
    jukebox.done(Command::Stop).await;
    assert_eq!(jukebox.handle.status().borrow().state, PlayState::Stopped);
    jukebox.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_music_is_skipped() {
    let jukebox = Jukebox::start("null-fast");
    jukebox.done(Command::QueueAdd { tracks: tracks(&[NOISE, 2]) }).await;
    jukebox.done(Command::Play { track: None }).await;
    jukebox.until("says why", |status| status.problem.is_some()).await;
    jukebox.until("ends", |status| status.state == PlayState::Stopped && status.track.is_none()).await;
    let history = jukebox.handle.snapshot().borrow().history.clone();
    assert_eq!(history.iter().map(|track| track.track).collect::<Vec<_>>(), tracks(&[2]));
    jukebox.end().await;
}
