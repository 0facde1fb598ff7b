//! The jukebox and the system around it: a service manager, settings on a boot partition, the power switch.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic, in its helpers too")]

mod common;

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command as Process, Output};
use std::time::{Duration, Instant};

use common::{Jukebox, PATIENCE, in_private_network, wait_for};
use silverstream::audio::encode::{self, Pcm, Tags};
use silverstream::control::{Command, PlayState, Reply};
use silverstream::panel::serial::emulator::Emulator;
use silverstream::panel::serial::line::Pty;
use silverstream::panel::{Display, Frame, Light, OLED, PanelError};
use silverstream::types::TrackId;

/// The watchdog's time in these tests: long enough for a machine with much to do.
const WATCHDOG: Duration = Duration::from_secs(8);

fn silverstream(arguments: &[&str]) -> Output {
    Process::new(env!("CARGO_BIN_EXE_silverstream")).args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A jukebox that has no network but loopback and nobody to ask, with a service manager.
fn service(folder: &Path, more: &str) -> (Jukebox, UnixDatagram) {
    let state = folder.join("state");
    let lines = format!("{}[system]\nstate = {state:?}\n{more}", Jukebox::sections(folder, "1 GiB", "null"));
    let mut jukebox = Jukebox::prepare(folder, &[], "0.0.0.0:6881", &lines);
    let path = folder.join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let micros = WATCHDOG.as_micros().to_string();
    jukebox.environment.push(("NOTIFY_SOCKET".into(), path.into()));
    jukebox.environment.push(("WATCHDOG_USEC".into(), micros.into()));
    (jukebox, manager)
}

/// What the service manager is told until one of it has `word`.
fn told_until(manager: &UnixDatagram, word: &str) -> Vec<String> {
    let mut told = Vec::new();
    wait_for(word, PATIENCE, || {
        let mut buffer = [0; 1024];
        let length = manager.recv(&mut buffer).ok()?;
        told.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        told.last().filter(|message| message.contains(word)).map(drop)
    });
    told
}

#[test]
fn without_a_network_it_is_ready_feeds_the_watchdog_and_ends_in_order() {
    if !in_private_network("without_a_network_it_is_ready_feeds_the_watchdog_and_ends_in_order") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut jukebox, manager) = service(folder.path(), "");
    jukebox.start();
    let begin = Instant::now();
    let told = told_until(&manager, "READY=1");
    assert_eq!(told[0], "STATUS=Starting");
    eprintln!("ready after {:?}", begin.elapsed());
    let mut last = Instant::now();
    for _ in 0..3 {
        told_until(&manager, "WATCHDOG=1");
        assert!(last.elapsed() < WATCHDOG, "fed after {:?}", last.elapsed());
        last = Instant::now();
    }
    let tasks = jukebox.status().tasks;
    for name in ["player", "sound", "catalogue", "search", "swarm", "crawler", "ui", "control", "storage"] {
        assert!(tasks.iter().any(|task| task.name == name && task.rounds > 0), "{name} shows no life: {tasks:?}");
    }
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(jukebox.pid().cast_signed()).unwrap(),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    told_until(&manager, "STOPPING=1");
    let (succeeded, log) = jukebox.wait_end();
    assert!(succeeded, "{log}");
}

#[test]
fn settings_of_the_boot_partition_reach_the_jukebox_and_their_mistakes_its_status() {
    if !in_private_network("settings_of_the_boot_partition_reach_the_jukebox_and_their_mistakes_its_status") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [boot, state] = ["boot", "state"].map(|name| folder.path().join(name));
    std::fs::create_dir(&boot).unwrap();
    let apply = || {
        let [boot, state] = [&boot, &state].map(|path| path.to_str().unwrap());
        silverstream(&["setup", "apply", "--boot", boot, "--state", state, "--root", boot])
    };
    let settings =
        "[wifi]\nssid = \"home\"\npassword = \"correct horse\"\ncountry = \"DE\"\n[storage]\nbudget = \"3 GiB\"\n";
    std::fs::write(boot.join("silverstream.toml"), settings).unwrap();
    let done = apply();
    assert!(done.status.success(), "{}", text(&done));
    let config = silverstream(&["board", "--json", "--config", state.join("silverstream.toml").to_str().unwrap()]);
    assert!(
        text(&config).contains(r#"{"key":"storage","value":"\"3 GiB\"","origin":"configuration, [storage] budget"}"#)
    );
    let limits = std::fs::read_to_string(state.join("limits")).unwrap();
    assert!(limits.starts_with("LIMITS=MemoryHigh="), "{limits}");
    let left = std::fs::read_to_string(boot.join("silverstream.toml")).unwrap();
    assert!(!left.contains("correct horse") && left.contains("ssid = \"home\""), "{left}");
    std::fs::write(boot.join("silverstream.toml"), format!("{settings}\n[audio]\noutput = \"gramophone\"\n")).unwrap();
    let refused = apply();
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("silverstream.toml, line 9:"), "{}", text(&refused));
    let (mut jukebox, manager) = service(folder.path(), "");
    jukebox.start();
    told_until(&manager, "READY=1");
    let problems = jukebox.status().problems;
    assert!(problems.len() == 1 && problems[0].starts_with("silverstream.toml, line 9: "), "{problems:?}");
}

/// Pictures that a front panel shows, in their order.
struct Pictures(std::sync::mpsc::Sender<Frame>);

impl Display for Pictures {
    fn show(&mut self, frame: &Frame) -> Result<(), PanelError> {
        let _ = self.0.send(frame.clone());
        Ok(())
    }

    fn light(&mut self, _light: Light) -> Result<(), PanelError> {
        Ok(())
    }
}

/// A front panel on a line, for as long as the test runs.
fn front_panel(pty: &Pty) -> std::sync::mpsc::Receiver<Frame> {
    let (sender, pictures) = std::sync::mpsc::channel();
    let line = pty.split().unwrap();
    std::thread::spawn(move || {
        let (_hand, mut gestures) = tokio::sync::mpsc::channel(1);
        let cancel = tokio_util::sync::CancellationToken::new();
        let _ = Emulator::new(OLED, 1).run(line, &mut gestures, &mut Pictures(sender), &cancel);
    });
    pictures
}

#[test]
fn switched_off_it_ends_in_order_asks_the_system_and_waits_for_it() {
    if !in_private_network("switched_off_it_ends_in_order_asks_the_system_and_waits_for_it") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut jukebox, manager) = service(folder.path(), "");
    let pty = Pty::open().unwrap();
    let settings = std::fs::read_to_string(&jukebox.config).unwrap();
    let display = format!("display = \"serial:{}\"", pty.path);
    std::fs::write(&jukebox.config, settings.replace("display = \"none\"", &display)).unwrap();
    let pictures = front_panel(&pty);
    // Left by one that was killed: it must not switch off the machine.
    let wish = folder.path().join("poweroff");
    std::fs::write(&wish, "").unwrap();
    jukebox.start();
    told_until(&manager, "READY=1");
    assert!(!wish.exists());
    let socket = jukebox.socket.to_str().unwrap();
    let trace = silverstream(&["--socket", socket, "trace", "--json"]);
    assert!(text(&trace).contains(r#""room":"player""#), "{}", text(&trace));
    let report = folder.path().join("report.tar.gz");
    let written = silverstream(&["--socket", socket, "report", report.to_str().unwrap()]);
    assert!(written.status.success() && report.metadata().unwrap().len() > 500, "{}", text(&written));
    let asked = silverstream(&["--socket", socket, "power-off"]);
    assert!(asked.status.success(), "{}", text(&asked));
    told_until(&manager, "STATUS=Switching off");
    wait_for("the wish", PATIENCE, || wish.exists().then_some(()));
    let pid = rustix::process::Pid::from_raw(jukebox.pid().cast_signed()).unwrap();
    assert!(rustix::process::test_kill_process(pid).is_ok(), "it waits for the system's word");
    let mut shown: Vec<Frame> = pictures.try_iter().collect();
    assert!(!shown.is_empty(), "the panel shows nothing");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let (succeeded, log) = jukebox.wait_end();
    assert!(succeeded && !log.contains("ERROR"), "{log}");
    // Only now may it say that it is safe to unplug.
    let last = wait_for("the last picture", PATIENCE, || pictures.try_recv().ok());
    shown.retain(|frame| *frame == last);
    assert!(shown.is_empty(), "before the system's word it showed\n{last}");
}

/// How soon music is heard again after power-on, once the process runs; a board is slower than this machine by far more.
const SOON: Duration = Duration::from_secs(10);

/// What a power cut may cost of a song, in seconds.
const COST: f64 = 5.0;

#[test]
fn killed_while_it_plays_it_goes_on_there_by_itself_and_without_a_network() {
    if !in_private_network("killed_while_it_plays_it_goes_on_there_by_itself_and_without_a_network") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut jukebox, _manager) = service(folder.path(), "");
    jukebox.start_and_wait();
    let songs = folder.path().join("Two Songs");
    std::fs::create_dir(&songs).unwrap();
    let samples = (0..8000 * 60).map(|frame| (f64::from(frame) * 0.3).sin() * 9000.0).map(|sample| sample as i32);
    let pcm = Pcm { rate: 8000, channels: 1, bits: 16, samples: samples.collect() };
    for name in ["01 - First.wav", "02 - Second.wav"] {
        std::fs::write(songs.join(name), encode::wav(&pcm, &Tags::default()).unwrap()).unwrap();
    }
    let Reply::Torrent(shared) = jukebox.send(Command::Share { path: songs }) else { panic!("{}", jukebox.log()) };
    // Others are shared as well: at a start it takes a while until all are, and the song is wanted before.
    for number in 0..30 {
        let path = folder.path().join(format!("Other {number}.wav"));
        let samples = (0..4000).map(|frame| frame * number % 1000).collect();
        let pcm = Pcm { rate: 8000, channels: 1, bits: 16, samples };
        std::fs::write(&path, encode::wav(&pcm, &Tags::default()).unwrap()).unwrap();
        assert!(matches!(jukebox.send(Command::Share { path }), Reply::Torrent(_)), "{}", jukebox.log());
    }
    let track = |file| TrackId { infohash: shared.infohash, file };
    assert_eq!(jukebox.send(Command::QueueAdd { tracks: vec![track(0)] }), Reply::Done);
    assert_eq!(jukebox.send(Command::Play { track: Some(track(1)) }), Reply::Done);
    let network = |up: &str| {
        let done = Process::new("ip").args(["link", "set", "lo", up]).status().unwrap();
        assert!(done.success());
    };
    let mut place = 0.0;
    for (round, seconds) in [7.0, 4.0, 9.0].into_iter().enumerate() {
        let heard = jukebox.wait_status("it plays on", PATIENCE, |status| {
            status.player.state == PlayState::Playing && status.player.position_s > place + seconds
        });
        // As a power cut: nobody is told, and nothing is written any more.
        jukebox.kill();
        network("down");
        let begin = Instant::now();
        jukebox.start_and_wait();
        let back =
            jukebox.wait_status("it plays by itself", PATIENCE, |status| status.player.state == PlayState::Playing);
        let (after, was, is) = (begin.elapsed(), heard.player.position_s, back.player.position_s);
        eprintln!("cut {round}: at {was:.1} s, plays at {is:.1} s after {after:.1?}");
        assert_eq!(back.player.track.as_ref().map(|song| song.track), Some(track(1)));
        assert!(after < SOON, "after {after:?}");
        // Some of the time since then has been played already.
        assert!(was - is < COST && is - was < after.as_secs_f64() + 1.0, "{was} and {is}");
        assert_eq!(back.player.queued, heard.player.queued);
        network("up");
        place = is;
    }
    // Paused, it stays silent.
    assert_eq!(jukebox.send(Command::Pause), Reply::Done);
    let paused = jukebox.wait_status("it pauses", PATIENCE, |status| status.player.state == PlayState::Paused);
    std::thread::sleep(2 * SETTLES);
    jukebox.kill();
    jukebox.start_and_wait();
    std::thread::sleep(SETTLES);
    let still = jukebox.status().player;
    assert_eq!(still.state, PlayState::Paused);
    assert!((still.position_s - paused.player.position_s).abs() < COST, "{still:?}");
}

/// What people did is on the card after this time (`GATHER` in the jukebox's snapshots).
const SETTLES: Duration = Duration::from_secs(1);

#[cfg(feature = "simulations")]
mod udp_world {
    use std::net::{SocketAddr, UdpSocket};
    use std::process::Command as Process;
    use std::sync::atomic::{AtomicBool, Ordering};

    use silverstream::dht::krpc::{Body, Message, Query};
    use silverstream::lab::mainline::answers::question;
    use silverstream::lab::udp::{UdpConfig, UdpWorld};
    use silverstream::types::NodeId;

    use super::common::{OWN_IP, PATIENCE, in_private_network};

    /// A world of the lab has many addresses and one socket: every one of them answers for itself.
    #[test]
    fn a_world_of_real_addresses_answers_for_each() {
        if !in_private_network("udp_world::a_world_of_real_addresses_answers_for_each") {
            return;
        }
        let route = ["route", "add", "local", "default", "dev", "lo", "src", OWN_IP];
        assert!(Process::new("ip").args(route).status().unwrap().success());
        let mut world = UdpWorld::open(UdpConfig { nodes: 500, torrents: 50, seed: 1 }).unwrap();
        let routers = world.routers(5);
        let id = |number: u32| NodeId([number as u8 + 1; 20]);
        let sockets: Vec<_> = (0..5).map(|_| UdpSocket::bind((OWN_IP, 0)).unwrap()).collect();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    world.turn().unwrap();
                }
            });
            for ((socket, router), number) in sockets.iter().zip(&routers).zip(0..) {
                socket.set_read_timeout(Some(PATIENCE)).unwrap();
                let query = Query::FindNode { target: id(number), want: None };
                socket.send_to(&question(id(number), number, query), router).unwrap();
                let mut buffer = [0; 2048];
                let (length, from) = socket.recv_from(&mut buffer).unwrap();
                let Message { transaction, body: Body::Response(response), .. } =
                    Message::parse(&buffer[..length]).unwrap()
                else {
                    panic!("{router} did not answer")
                };
                let nodes: Vec<SocketAddr> = response.nodes.iter().map(|contact| contact.addr).collect();
                assert_eq!((from, transaction), (*router, number.to_be_bytes().as_slice()));
                assert!((1..=8).contains(&nodes.len()) && !nodes.contains(router), "{nodes:?}");
            }
            done.store(true, Ordering::Relaxed);
        });
        // Who asked is known from then on.
        assert_eq!(world.live.knowledge.outsiders.len(), 5);
        assert_eq!((world.live.counts.questions, world.unsent), (5, 0));
    }
}
