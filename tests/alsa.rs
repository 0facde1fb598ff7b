//! Real sound in real time: ALSA into a PulseAudio null sink, and what came out of its monitor.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic, in its helpers too")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::time::Duration;

use common::{Jukebox, PATIENCE, in_private_network, reference_decode, wait_for};
use silverstream::audio::encode::{self, Pcm, Tags};
use silverstream::control::{Command, PlayState, Reply};
use silverstream::types::TrackId;

const RATE: u32 = 48_000;

/// A sound server of the test's own, with one sink that plays into nothing in real time.
struct SoundServer {
    home: PathBuf,
    server: Child,
}

impl SoundServer {
    fn start(home: &Path) -> Self {
        std::fs::create_dir_all(home.join("run")).unwrap();
        std::fs::write(home.join(".asoundrc"), "pcm.!default { type pulse }\nctl.!default { type pulse }\n").unwrap();
        let server = Self::process("pulseaudio", home)
            .args(["-n", "--daemonize=no", "--exit-idle-time=-1", "-L", "module-native-protocol-unix"])
            // A sink that rewinds takes back silence that its monitor has given to the recorder already when a stream
            // begins, so the recording would lack some of the beginning.
            .args([
                "-L",
                &format!("module-null-sink sink_name=jukebox rate={RATE} channels=2 format=s16le norewinds=1"),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pulseaudio is installed; run `.ci/setup test`");
        wait_for("the sound server answers", PATIENCE, || {
            let info = Self::process("pactl", home).arg("info").output().ok()?;
            info.status.success().then_some(())
        });
        Self { home: home.to_owned(), server }
    }

    /// A program that uses this server and no other.
    fn process(program: &str, home: &Path) -> Process {
        let mut process = Process::new(program);
        process.env("HOME", home).env("XDG_RUNTIME_DIR", home.join("run")).env_remove("PULSE_SERVER");
        process
    }

    /// Records what the sink plays until the recorder is ended.
    fn record(&self, to: &Path) -> Child {
        Self::process("parec", &self.home)
            .args(["-d", "jukebox.monitor", "--file-format=wav", "--format=s16le", "--channels=2", "--latency-msec=50"])
            .arg(format!("--rate={RATE}"))
            .arg(to)
            .spawn()
            .expect("pulseaudio-utils is installed; run `.ci/setup test`")
    }
}

impl Drop for SoundServer {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// One continuous tone sweep of `seconds`, cut into FLAC files at whole blocks: a gapless album.
fn write_gapless_album(folder: &Path, pieces: u32, seconds: u32) -> Vec<i32> {
    std::fs::create_dir_all(folder).unwrap();
    let frames = seconds * RATE;
    let mut whole = Vec::new();
    for piece in 0..pieces {
        let samples: Vec<i32> = (piece * frames..(piece + 1) * frames)
            .flat_map(|frame| {
                let time = f64::from(frame) / f64::from(RATE);
                // The pitch rises, so that a stretch of sound is found at one place only.
                let phase = std::f64::consts::TAU * (200.0 * time + 3.0 * time * time);
                [(phase.sin() * 16_000.0) as i32, ((phase * 1.5).sin() * 12_000.0) as i32]
            })
            .collect();
        whole.extend_from_slice(&samples);
        let pcm = Pcm { rate: RATE, channels: 2, bits: 16, samples };
        let bytes = encode::flac(&pcm, &Tags { title: format!("Part {piece}"), ..Tags::default() }).unwrap();
        std::fs::write(folder.join(format!("{:02} Sweep.flac", piece + 1)), bytes).unwrap();
    }
    whole
}

/// Plays an album of its own through ALSA and compares what was recorded with what was encoded.
fn album_is_heard_without_gap(pieces: u32, seconds: u32) {
    let folder = tempfile::tempdir().unwrap();
    let sound = SoundServer::start(&folder.path().join("sound"));
    let home = folder.path().join("jukebox");
    let expected = write_gapless_album(&folder.path().join("The Sweeps - Gapless"), pieces, seconds);
    let sections = Jukebox::sections(&home, "64 MiB", "alsa:default");
    let mut jukebox = Jukebox::prepare(&home, &[], "127.0.0.1:0", &sections);
    jukebox.environment =
        vec![("HOME".into(), sound.home.clone().into()), ("XDG_RUNTIME_DIR".into(), sound.home.join("run").into())];
    jukebox.start_and_wait();
    let Reply::Torrent(shared) = jukebox.send(Command::Share { path: folder.path().join("The Sweeps - Gapless") })
    else {
        panic!("the album cannot be shared\n{}", jukebox.log());
    };
    assert_eq!(shared.tracks, pieces);

    let recording = folder.path().join("recording.wav");
    let mut recorder = sound.record(&recording);
    wait_for("the recorder records", PATIENCE, || std::fs::metadata(&recording).ok().filter(|file| file.len() > 44));
    let track = |file| TrackId { infohash: shared.infohash, file };
    assert_eq!(jukebox.send(Command::QueueAdd { tracks: (1..pieces).map(track).collect() }), Reply::Done);
    assert_eq!(jukebox.send(Command::Play { track: Some(track(0)) }), Reply::Done);
    jukebox.wait_status("the first song plays", PATIENCE, |status| status.player.state == PlayState::Playing);
    let length = Duration::from_secs(u64::from(pieces * seconds));
    let status = jukebox.wait_status("all songs end", length + PATIENCE, |status| {
        status.player.state == PlayState::Stopped && status.player.queued == 0
    });
    // SIGTERM makes the recorder write what it holds.
    rustix::process::kill_process(rustix::process::Pid::from_child(&recorder), rustix::process::Signal::TERM).unwrap();
    recorder.wait().unwrap();

    let heard = reference_decode(&recording);
    let (start, differing) = compare(&heard, &expected);
    println!(
        "{pieces} songs of {seconds} s: underruns {}, found at {:.3} s of the recording, {differing} of {} samples differ",
        status.player.underruns,
        start as f64 / f64::from(2 * RATE),
        expected.len(),
    );
    assert_eq!(status.player.underruns, 0);
    assert_eq!(differing, 0, "what is heard is not what was encoded");
}

/// Where the expected sound begins in the heard one, and how many samples differ by more than rounding from there on.
fn compare(heard: &[i16], expected: &[i32]) -> (usize, usize) {
    // The first tenth of a second of the sweep is enough to find it.
    let probe = &expected[..(RATE / 5) as usize];
    let differs = |a: i16, b: i32| (i32::from(a) - b).abs() > 1;
    let start = (0..heard.len().saturating_sub(probe.len()))
        .step_by(2)
        .find(|&start| probe.iter().zip(&heard[start..]).all(|(b, a)| !differs(*a, *b)))
        .expect("the song is in the recording");
    let differing = expected
        .iter()
        .enumerate()
        .filter(|(index, sample)| heard.get(start + index).is_none_or(|heard| differs(*heard, **sample)))
        .count();
    (start, differing)
}

#[test]
fn a_gapless_album_is_heard_sample_for_sample() {
    if in_private_network("a_gapless_album_is_heard_sample_for_sample") {
        album_is_heard_without_gap(2, 8);
    }
}

#[cfg(feature = "soak")]
#[test]
fn ten_minutes_have_no_underrun() {
    if in_private_network("ten_minutes_have_no_underrun") {
        album_is_heard_without_gap(3, 200);
    }
}
