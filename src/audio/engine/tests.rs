use std::io::Cursor;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::*;
use crate::audio::encode::{self, Pcm, Tags};
use crate::audio::output::{PcmFormat, SinkError};
use crate::audio::testing::{Partial, WHOLE, fixture, pcm, tone};
use crate::audio::{OutputSpec, StreamInfo};

/// Longer than any step of these tests takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(20);

struct Player {
    engine: Engine,
    events: mpsc::Receiver<AudioEvent>,
}

impl Player {
    fn start(output: &str) -> Self {
        let output: OutputSpec = output.parse().unwrap();
        let (engine, events) = Engine::start(EngineConfig { output, volume: 100 }).unwrap();
        Self { engine, events }
    }

    /// Everything told up to and with the first event that `wanted` accepts.
    fn until(&mut self, wanted: impl Fn(&AudioEvent) -> bool) -> Vec<AudioEvent> {
        let mut seen = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        loop {
            let next = runtime.block_on(async { tokio::time::timeout(PATIENCE, self.events.recv()).await });
            let event = next.unwrap_or_else(|_| panic!("nothing more after {seen:?}")).expect("the engine is alive");
            let done = wanted(&event);
            seen.push(event);
            if done {
                return seen;
            }
        }
    }

    fn until_over(&mut self, token: u64) -> Vec<AudioEvent> {
        self.until(|event| {
            matches!(event, AudioEvent::Finished { token: over } | AudioEvent::Failed { token: over, .. } if *over == token)
        })
    }

    fn play(&self, token: u64, file: Vec<u8>) {
        self.engine.play(token, Box::new(Cursor::new(file)), None, Duration::ZERO).unwrap();
    }

    fn enqueue(&self, token: u64, file: Vec<u8>) {
        self.engine.enqueue(token, Box::new(Cursor::new(file)), None).unwrap();
    }
}

fn flac(sound: &Pcm) -> Vec<u8> {
    encode::flac(sound, &Tags::default()).unwrap()
}

/// A minute of silence but for the first frames: cheap to encode and to decode.
fn minute() -> Vec<u8> {
    encode::wav(&Pcm { rate: 8_000, channels: 1, bits: 16, samples: vec![9; 8_000 * 60] }, &Tags::default()).unwrap()
}

fn sound_of(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()[44..].to_vec()
}

fn bytes_of(samples: &[i32], bits: usize) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()[..bits / 8].to_vec()).collect()
}

fn is_begin(event: &AudioEvent, token: u64) -> bool {
    *event == AudioEvent::Started { token }
}

#[test]
fn two_halves_become_one_whole_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    for bits in [16, 24] {
        let path = folder.path().join(format!("{bits}.wav"));
        let mut player = Player::start(&format!("wav-fast:{}", path.display()));
        player.play(1, flac(&pcm(0..30_000, bits)));
        player.enqueue(
            2,
            encode::aiff(
                &Pcm { samples: pcm(0..WHOLE, bits).samples.split_off(60_000), ..pcm(0..1, bits) },
                &Tags::default(),
            )
            .unwrap(),
        );
        let events = player.until_over(2);
        let place = |wanted: AudioEvent| events.iter().position(|event| *event == wanted).unwrap();
        assert!(place(AudioEvent::Started { token: 1 }) < place(AudioEvent::Finished { token: 1 }));
        assert!(place(AudioEvent::Started { token: 2 }) < place(AudioEvent::Finished { token: 2 }));
        assert!(place(AudioEvent::Finished { token: 1 }) < place(AudioEvent::Finished { token: 2 }));
        drop(player);
        assert!(sound_of(&path) == bytes_of(&pcm(0..WHOLE, bits).samples, bits.into()), "{bits} bits");
    }
}

#[test]
fn lossy_halves_become_one_whole_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wav");
    let mut player = Player::start(&format!("wav-fast:{}", path.display()));
    player.play(1, fixture("a.mp3"));
    player.enqueue(2, fixture("b.mp3"));
    player.until_over(2);
    drop(player);
    let sound = sound_of(&path);
    assert_eq!(sound.len(), WHOLE * 4);
    let signal = tone(0..WHOLE);
    let worst = (0..WHOLE * 2)
        .map(|n| (i32::from(i16::from_le_bytes([sound[n * 2], sound[n * 2 + 1]])) - signal[n]).abs())
        .max();
    assert!(worst.unwrap() < 4_000, "off by {worst:?}");
}

#[test]
fn a_track_of_another_format_is_converted_to_that_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wav");
    let mut player = Player::start(&format!("wav-fast:{}", path.display()));
    player.play(1, flac(&pcm(0..44_100, 16)));
    player.enqueue(
        2,
        encode::wav(&Pcm { rate: 22_050, channels: 1, bits: 16, samples: vec![500; 11_025] }, &Tags::default())
            .unwrap(),
    );
    player.until_over(2);
    drop(player);
    let sound = sound_of(&path);
    assert_eq!(sound.len(), (44_100 + 22_050) * 4);
    let middle = (44_100 + 11_000) * 4;
    assert_eq!(sound[middle..middle + 4], [244, 1, 244, 1]);
}

#[test]
fn what_cannot_be_played_is_told_and_the_next_one_plays() {
    let mut player = Player::start("null-fast");
    player.play(1, b"This is not music.".repeat(100));
    player.enqueue(2, flac(&pcm(0..5_000, 16)));
    let events = player.until_over(2);
    let is_told = |event: &AudioEvent| matches!(event, AudioEvent::Failed { token: 1, error } if error.contains("not a music file"));
    assert!(events.iter().any(is_told), "{events:?}");
    assert_eq!(events.last(), Some(&AudioEvent::Finished { token: 2 }));
}

#[test]
fn a_file_that_is_cut_off_is_heard_and_then_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wav");
    let mut player = Player::start(&format!("wav-fast:{}", path.display()));
    let whole = encode::wav(&pcm(0..WHOLE, 16), &Tags::default()).unwrap();
    player.play(1, whole[..whole.len() / 2].to_vec());
    let events = player.until_over(1);
    assert!(
        matches!(events.last(), Some(AudioEvent::Failed { token: 1, error }) if error.contains("0:00 of 0:01")),
        "{events:?}"
    );
    drop(player);
    assert!(sound_of(&path).len() > WHOLE * 2 - 8_192);
}

#[test]
fn information_about_a_track_comes_before_its_sound() {
    let mut player = Player::start("null-fast");
    player.play(7, flac(&pcm(0..5_000, 24)));
    let events = player.until_over(7);
    let AudioEvent::Opened { token: 7, info: StreamInfo { codec, bits, .. } } = &events[0] else {
        panic!("{events:?}")
    };
    assert_eq!((*codec, *bits), ("flac", Some(24)));
}

#[test]
fn seeking_and_starting_in_the_middle_are_heard_there() {
    let mut player = Player::start("null");
    player.engine.play(3, Box::new(Cursor::new(minute())), None, Duration::from_secs(20)).unwrap();
    player.until(|event| is_begin(event, 3));
    let progress = player.engine.progress();
    assert!(progress.token == 3 && (20..25).contains(&progress.position.as_secs()), "{progress:?}");
    player.engine.seek(Duration::from_secs(40)).unwrap();
    player.until(|event| is_begin(event, 3));
    let progress = player.engine.progress();
    assert!((40..45).contains(&progress.position.as_secs()), "{progress:?}");
    player.engine.seek(Duration::from_secs(59)).unwrap();
    player.enqueue(4, flac(&pcm(0..2_000, 16)));
    player.until_over(3);
    player.until_over(4);
    assert_eq!(player.engine.progress().underruns, 0);
}

#[test]
fn a_starved_track_falls_silent_and_plays_on_when_data_comes() {
    let file = minute();
    let len = file.len() as u64;
    // Half a second has arrived, besides what is needed to recognise it.
    let (input, arrived) = Partial::new(file, 44 + 8_000, true);
    let mut player = Player::start("null");
    player.engine.play(5, Box::new(input), None, Duration::ZERO).unwrap();
    let events = player.until(|event| *event == AudioEvent::Starved { token: 5 });
    assert!(events.contains(&AudioEvent::Started { token: 5 }), "{events:?}");
    assert_eq!(player.engine.progress().underruns, 1);
    arrived.store(len, Ordering::Release);
    player.until(|event| *event == AudioEvent::Recovered { token: 5 });
    let progress = player.engine.progress();
    assert!(progress.position < Duration::from_secs(5), "{progress:?}");
    assert_eq!(progress.underruns, 1);
}

#[test]
fn nothing_waits_for_data_that_never_comes() {
    let (input, _) = Partial::new(minute(), 20_000, true);
    let (nothing, _) = Partial::new(minute(), 0, true);
    let mut player = Player::start("null");
    player.engine.play(1, Box::new(input), None, Duration::ZERO).unwrap();
    player.until(|event| is_begin(event, 1));
    // To where there is no data, and back.
    player.engine.seek(Duration::from_secs(50)).unwrap();
    player.engine.seek(Duration::from_millis(100)).unwrap();
    player.until(|event| is_begin(event, 1));
    player.engine.play(2, Box::new(nothing), None, Duration::ZERO).unwrap();
    player.play(3, flac(&pcm(0..2_000, 16)));
    player.until_over(3);
    let (nothing, _) = Partial::new(minute(), 0, true);
    player.engine.play(4, Box::new(nothing), None, Duration::ZERO).unwrap();
    let begin = Instant::now();
    drop(player);
    assert!(begin.elapsed() < PATIENCE / 4);
}

#[test]
fn pause_holds_the_position_and_stop_forgets_it() {
    let mut player = Player::start("null");
    player.play(1, minute());
    player.until(|event| is_begin(event, 1));
    player.engine.pause().unwrap();
    player.engine.seek(Duration::from_secs(30)).unwrap();
    let begin = Instant::now();
    while player.engine.progress().position != Duration::from_secs(30) {
        assert!(begin.elapsed() < PATIENCE, "{:?}", player.engine.progress());
        std::thread::yield_now();
    }
    player.engine.resume().unwrap();
    player.until(|event| is_begin(event, 1));
    player.engine.stop().unwrap();
    let begin = Instant::now();
    while player.engine.progress().token != 0 {
        assert!(begin.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
}

#[test]
fn an_enqueued_track_is_replaced_or_taken_back() {
    let mut player = Player::start("null");
    player.play(1, minute());
    player.enqueue(2, minute());
    player.enqueue(3, flac(&pcm(0..2_000, 16)));
    player.until(|event| is_begin(event, 1));
    player.engine.seek(Duration::from_secs(59)).unwrap();
    let events = player.until_over(3);
    assert!(!events.contains(&AudioEvent::Started { token: 2 }), "{events:?}");
}

/// A device whose driver has a bug.
struct BrokenSink;

impl Sink for BrokenSink {
    fn open(&mut self, wanted: PcmFormat) -> Result<PcmFormat, String> {
        Ok(wanted)
    }

    fn writable(&mut self, _: Duration) -> Result<usize, SinkError> {
        Ok(64)
    }

    fn write(&mut self, _: &[i32]) -> Result<usize, SinkError> {
        panic!("a bug in the output")
    }

    fn delay(&mut self) -> u64 {
        0
    }

    fn finish(&mut self) {}

    fn discard(&mut self) {}

    fn close(&mut self) {}

    fn is_paced(&self) -> bool {
        false
    }
}

#[test]
fn the_events_end_when_the_output_dies_and_the_engine_can_still_be_dropped() {
    let config = EngineConfig { output: OutputSpec::Null { paced: false }, volume: 100 };
    let (engine, mut events) = Engine::start_with(config, Box::new(BrokenSink)).unwrap();
    engine.play(1, Box::new(Cursor::new(minute())), None, Duration::ZERO).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let all = async { while events.recv().await.is_some() {} };
        tokio::time::timeout(PATIENCE, all).await.expect("nobody is told that the output is dead");
    });
    assert!(matches!(engine.pause(), Err(AudioError::Unresponsive)));
    let begin = Instant::now();
    drop(engine);
    assert!(begin.elapsed() < PATIENCE / 4);
}
