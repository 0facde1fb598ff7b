//! What can be wrong with a board, its card and what is plugged into it, as the person before it meets it.

use std::io::{Read, Write};
use std::path::Path;
use std::process::Command as Process;
use std::sync::Arc;

use rand::RngCore;

use super::*;
use crate::common::{in_private_network, wait_for};
use silverstream::control::Status;
use silverstream::panel::serial::line::Pty;
use silverstream::panel::{Frame, OLED};
use silverstream::types::Time;
use silverstream::ui::Ui;

/// What the display shows.
fn picture(jukebox: &Jukebox) -> Frame {
    match jukebox.send(Command::PanelPicture) {
        Reply::Picture(picture) => Frame::from_picture(&picture).unwrap(),
        other => panic!("no picture but {other:?}"),
    }
}

/// What the display is to show: screens of their own, told the same.
fn screens(prepare: impl Fn(&mut Ui)) -> Frame {
    let mut ui = Ui::new(Time::ZERO);
    prepare(&mut ui);
    let mut frame = Frame::new(OLED);
    ui.draw(Time::ZERO, &mut frame);
    frame
}

/// Waits until the display shows what screens of their own do.
pub fn shows(jukebox: &Jukebox, what: &str, prepare: impl Fn(&mut Ui)) {
    let wanted = screens(prepare);
    wait_for(what, PATIENCE, || (picture(jukebox) == wanted).then_some(()));
}

/// Screens that are told these problems.
pub fn with_problems(problems: &[String]) -> impl Fn(&mut Ui) + use<> {
    let status = Arc::new(Status { problems: problems.to_vec(), ..Status::default() });
    move |ui: &mut Ui| drop(ui.status(Time::ZERO, Arc::clone(&status)))
}

/// Lines for a panel and a sound card.
fn panel(folder: &Path, display: &str, knob: &str, output: &str) -> Jukebox {
    let sections = Jukebox::sections(folder, "16 MiB", output);
    let jukebox = Jukebox::prepare(folder, &[], "127.0.0.1:0", &sections);
    let config = std::fs::read_to_string(&jukebox.config).unwrap();
    let config = config
        .replace("display = \"none\"", &format!("display = {display:?}"))
        .replace("knob = \"none\"", &format!("knob = {knob:?}"));
    std::fs::write(&jukebox.config, config).unwrap();
    jukebox
}

#[test]
fn without_display_knob_and_sound_card_it_says_so_and_plays_on() {
    if !in_private_network("board::without_display_knob_and_sound_card_it_says_so_and_plays_on") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut jukebox = panel(
        folder.path(),
        "ssd1306-i2c:/dev/no-such-i2c",
        "gpio:/dev/no-such-chip:17,27,22",
        "alsa:hw:CARD=NoSuchCard",
    );
    jukebox.start_and_wait();
    for (device, advice) in [("/dev/no-such-i2c", "dtparam=i2c_arm=on"), ("/dev/no-such-chip", "gpioinfo")] {
        let log = jukebox.log();
        let line = log.lines().find(|line| line.contains(device)).unwrap_or_else(|| panic!("{device}:\n{log}"));
        assert!(line.contains("WARN") && line.contains(advice), "{line}");
    }
    // Whoever plugs in a display meanwhile reads why the knob does nothing.
    let problem = "cannot open /dev/no-such-chip: ";
    let song = good_song(&jukebox, folder.path());
    play(&jukebox, song);
    let told = super::problem(&jukebox);
    assert!(told.contains("no sound device") && told.contains("plug it in"), "{told}");
    let (code, told, _) = jukebox.cli(&["doctor", "--config", jukebox.config.to_str().unwrap()]);
    assert_eq!(code, 1);
    for word in ["/dev/no-such-i2c and /dev/no-such-chip", "raspi-config", "NoSuchCard"] {
        assert!(told.contains(word), "{word}:\n{told}");
    }
    assert!(jukebox.log().contains(problem));
    // The command line does what the knob would, and the jukebox is well otherwise.
    assert_eq!(jukebox.send(Command::PanelTurn { detents: 2 }), Reply::Done);
    assert!(jukebox.status().tasks.iter().all(|task| task.restarts == 0), "{:?}", jukebox.status().tasks);
}

#[test]
fn a_display_tells_that_the_knob_is_not_there() {
    if !in_private_network("board::a_display_tells_that_the_knob_is_not_there") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let pty = Pty::open().unwrap();
    let mut jukebox = panel(folder.path(), &format!("serial:{}", pty.path), "gpio:/dev/no-such-chip:1,2,3", "null");
    jukebox.start_and_wait();
    let log = jukebox.log();
    let start = log.find("cannot open /dev/no-such-chip").expect("it is logged");
    let end = start + log[start..].find("or set it to \"none\"").unwrap() + "or set it to \"none\"".len();
    shows(&jukebox, "why there is no knob", |ui| ui.notice(Time::ZERO, &log[start..end]));
}

#[test]
fn noise_on_the_serial_line_turns_nothing_and_the_panel_works_after_it() {
    if !in_private_network("board::noise_on_the_serial_line_turns_nothing_and_the_panel_works_after_it") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let pty = Pty::open().unwrap();
    let device = format!("serial:{}", pty.path);
    let mut jukebox = panel(folder.path(), &device, &device, "null");
    jukebox.start_and_wait();
    let song = good_song(&jukebox, folder.path());
    plays(&jukebox, song);
    let before = jukebox.status();
    let (mut reader, mut writer) = pty.split().unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let (mut noise, mut sent) = ([0; 512], 0);
    while sent < 200_000 {
        random.fill_bytes(&mut noise);
        sent += writer.write(&noise).unwrap_or(0);
        // What it says is not left in the line.
        let _ = reader.read(&mut [0; 4096]);
    }
    let after = jukebox.status();
    let doing = |status: &Status| (status.player.state, status.player.volume, status.player.queued);
    assert_eq!(doing(&after), doing(&before), "{}", jukebox.log());
    assert!(after.tasks.iter().all(|task| task.restarts == 0), "{:?}", after.tasks);
    drop((reader, writer));
    // A panel at the same end is understood, and shows what it should.
    let mut panel = silverstream::panel::serial::emulator::Emulator::new(OLED, 7);
    let (gestures, mut hands) = tokio::sync::mpsc::channel(4);
    let cancel = tokio_util::sync::CancellationToken::new();
    let (shown, frames) = std::sync::mpsc::channel();
    let line = pty.split().unwrap();
    let stop = cancel.clone();
    let running = std::thread::spawn(move || panel.run(line, &mut hands, &mut Shown(shown), &stop));
    wait_for("the panel shows the picture", PATIENCE, || {
        frames.try_iter().last().filter(|frame| *frame == picture(&jukebox)).map(drop)
    });
    gestures.blocking_send(silverstream::panel::Gesture::Turn(-3)).unwrap();
    // Two percent a detent.
    let softer = before.player.volume - 6;
    jukebox.wait_status("the knob turns the volume", PATIENCE, |status| status.player.volume == softer);
    cancel.cancel();
    running.join().unwrap().unwrap();
}

/// Hands frames on.
struct Shown(std::sync::mpsc::Sender<Frame>);

impl silverstream::panel::Display for Shown {
    fn show(&mut self, frame: &Frame) -> Result<(), silverstream::panel::PanelError> {
        let _ = self.0.send(frame.clone());
        Ok(())
    }

    fn light(&mut self, _: silverstream::panel::Light) -> Result<(), silverstream::panel::PanelError> {
        Ok(())
    }
}

#[test]
fn a_damaged_catalogue_is_told_on_the_display_and_music_stays() {
    if !in_private_network("board::a_damaged_catalogue_is_told_on_the_display_and_music_stays") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut jukebox = jukebox(folder.path(), "127.0.0.1:0", "null");
    jukebox.start_and_wait();
    let song = good_song(&jukebox, folder.path());
    plays(&jukebox, song);
    jukebox.kill();
    // What a worn card does to it.
    let file = folder.path().join("index/catalogue.sqlite3");
    let length = file.metadata().unwrap().len() as usize;
    std::fs::write(&file, vec![0x5a; length]).unwrap();
    for log in ["catalogue.sqlite3-wal", "catalogue.sqlite3-shm"] {
        let _ = std::fs::remove_file(folder.path().join("index").join(log));
    }
    jukebox.start_and_wait();
    let problems = jukebox.status().problems;
    assert!(problems.len() == 1 && problems[0].contains("damaged") && problems[0].contains("new one"), "{problems:?}");
    assert!(jukebox.log().contains(&problems[0]));
    shows(&jukebox, "that it was damaged", with_problems(&problems));
    let song = good_song(&jukebox, folder.path());
    plays(&jukebox, song);
}

/// A card that is full to the last block.
#[test]
fn with_a_full_card_it_starts_says_so_and_goes_on_when_there_is_room() {
    if !in_private_network("board::with_a_full_card_it_starts_says_so_and_goes_on_when_there_is_room") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mounted = Process::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"]).arg(folder.path()).status();
    assert!(mounted.unwrap().success());
    let mut jukebox = jukebox(folder.path(), "127.0.0.1:0", "null");
    jukebox.start_and_wait();
    let song = good_song(&jukebox, folder.path());
    plays(&jukebox, song);
    jukebox.shutdown();
    let ballast = folder.path().join("ballast");
    let filled = std::fs::File::create(&ballast)
        .and_then(|mut file| std::io::copy(&mut std::io::repeat(1), &mut file))
        .unwrap_err();
    assert_eq!(filled.kind(), std::io::ErrorKind::StorageFull);
    jukebox.start_and_wait();
    plays(&jukebox, song);
    assert!(jukebox.log().contains("the disk is full"), "{}", jukebox.log());
    let (_, told, _) = jukebox.cli(&["doctor", "--config", jukebox.config.to_str().unwrap()]);
    assert!(told.contains("free some space"), "{told}");
    // To the last block once more, while it runs.
    let filled = std::fs::File::options().append(true).open(&ballast);
    let filled = filled.and_then(|mut file| std::io::copy(&mut std::io::repeat(1), &mut file)).unwrap_err();
    assert_eq!(filled.kind(), std::io::ErrorKind::StorageFull);
    let refused = jukebox.send(Command::Share { path: folder.path().join("Good Song.wav") });
    println!("shared on a full card: {refused:?}");
    jukebox.send(Command::Stop);
    plays(&jukebox, song);
    std::fs::remove_file(&ballast).unwrap();
    let another = folder.path().join("Another Song.wav");
    std::fs::write(&another, wav(7)).unwrap();
    let another = TrackId { infohash: share(&jukebox, &another).infohash, file: 0 };
    plays(&jukebox, another);
    // With room kept again: it is given up as soon as the place in the song could not be written.
    jukebox.shutdown();
    jukebox.start_and_wait();
    plays(&jukebox, another);
    let given_up = |jukebox: &Jukebox| jukebox.log().matches("the disk is full").count();
    let before = given_up(&jukebox);
    let filled = std::fs::File::create(&ballast).and_then(|mut file| std::io::copy(&mut std::io::repeat(1), &mut file));
    assert_eq!(filled.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    jukebox.wait_status("room is found", PATIENCE, |_| given_up(&jukebox) > before);
    jukebox.kill();
    jukebox.start_and_wait();
    plays(&jukebox, another);
}

#[test]
fn a_clock_that_jumps_from_1970_to_today_costs_nothing() {
    if !in_private_network("board::a_clock_that_jumps_from_1970_to_today_costs_nothing") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut jukebox = jukebox(folder.path(), "127.0.0.1:0", "null");
    let clock = folder.path().join("clock");
    std::fs::write(&clock, "@1970-01-01 00:00:20\n").unwrap();
    for (name, value) in [
        ("LD_PRELOAD", crate::common::faketime().as_os_str()),
        ("FAKETIME_TIMESTAMP_FILE", clock.as_os_str()),
        ("FAKETIME_NO_CACHE", "1".as_ref()),
        ("DONT_FAKE_MONOTONIC", "1".as_ref()),
    ] {
        jukebox.environment.push((name.into(), value.into()));
    }
    jukebox.start_and_wait();
    assert!(jukebox.log().starts_with("1970-01-01T"), "{}", jukebox.log());
    let song = good_song(&jukebox, folder.path());
    plays(&jukebox, song);
    let before = jukebox.wait_status("it plays", PATIENCE, |status| status.player.position_s > 1.0);
    // The network tells the time.
    std::fs::write(&clock, "+0d\n").unwrap();
    let after = jukebox
        .wait_status("it plays on", PATIENCE, |status| status.player.position_s > before.player.position_s + 2.0);
    assert!(!jukebox.log().contains("WARN") && !jukebox.log().contains("ERROR"), "{}", jukebox.log());
    assert!(after.player.position_s < before.player.position_s + 30.0, "{:?}", after.player);
    assert_eq!((after.storage.evicted_bytes, after.player.underruns), (0, before.player.underruns));
    assert_eq!((after.index.tracks, after.index.torrents), (before.index.tracks, before.index.torrents));
    assert!(after.uptime_s < before.uptime_s + 120, "{} after {}", after.uptime_s, before.uptime_s);
    assert!(after.tasks.iter().all(|task| task.restarts == 0), "{:?}", after.tasks);
    // And backwards, at the next start without a network.
    jukebox.shutdown();
    std::fs::write(&clock, "@1970-01-01 00:00:20\n").unwrap();
    jukebox.start_and_wait();
    plays(&jukebox, song);
    assert_eq!(jukebox.status().storage.evicted_bytes, 0);
}
