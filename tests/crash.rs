//! kill -9 at random moments: nothing that was acknowledged is lost, and the jukebox starts again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic, in its helpers too")]

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use common::{Jukebox, disk_usage, in_private_network};
use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use silverstream::control::client::Client;
use silverstream::control::{Command, PlayState, Reply};
use silverstream::lab::world::music::{Lengths, write_releases};
use silverstream::lab::world::{Seeding, World, WorldConfig};
use silverstream::types::Clock;
use tokio_util::sync::CancellationToken;

const SEED: u64 = 1973;

/// Room for two or three of the largest songs, so that every second one makes others go.
const BUDGET: u64 = 4 << 20;

/// Kills that a jukebox lives through before another begins with nothing.
const KILLS_A_LIFE: u32 = 20;

/// Tracks of a torrent that is brought by `add`.
const ADDED_TRACKS: u64 = 5;

/// When to kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// While it starts, not waiting for it to answer.
    Starting,
    /// While torrents come in, out of the DHT and by `add`.
    Indexing,
    /// While a song is fetched or played.
    Playing,
    /// While songs are evicted for another.
    Evicting,
}

impl Moment {
    /// The first start and the first songs of a life first, then everything once, then all sorts.
    fn of(round: u32, rng: &mut ChaCha8Rng) -> Self {
        match round {
            0 => Self::Starting,
            1 | 2 => Self::Indexing,
            3 => Self::Playing,
            4..8 => Self::Evicting,
            _ => *[Self::Starting, Self::Indexing, Self::Playing, Self::Evicting, Self::Evicting, Self::Evicting]
                .choose(rng)
                .expect("there are moments"),
        }
    }
}

/// Looks at what the music takes all the time, and remembers the most.
struct Watch {
    most: Arc<AtomicU64>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    fn start(folder: PathBuf) -> Self {
        let (most, end) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (seen, stop) = (most.clone(), end.clone());
        let thread = std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                seen.fetch_max(disk_usage(&folder), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(3));
            }
        });
        Self { most, end, thread: Some(thread) }
    }

    /// The most that was seen.
    fn stop(mut self) -> u64 {
        self.end.store(true, Ordering::Relaxed);
        self.thread.take().expect("it is stopped once").join().unwrap();
        self.most.load(Ordering::Relaxed)
    }
}

/// What SQLite itself says of the files that the killed process left. It is asked about a copy, so that the jukebox and
/// not this test mends what there is to mend.
fn check_database(index: &Path) {
    let copy = tempfile::tempdir().unwrap();
    let Ok(entries) = std::fs::read_dir(index) else { return };
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()) {
        std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    for entry in std::fs::read_dir(copy.path()).unwrap().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "db" || extension == "sqlite") {
            let connection = rusqlite::Connection::open(&path).unwrap();
            let verdict: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
            assert_eq!(verdict, "ok", "{}", path.display());
        }
    }
}

/// A torrent of [`ADDED_TRACKS`] songs that nobody has.
fn write_torrent(folder: &Path, number: u64) -> PathBuf {
    let files: String =
        (1..=ADDED_TRACKS).map(|track| format!("d6:lengthi1000000e4:pathl8:{track:03}.flacee")).collect();
    let name = format!("Endless Series - Volume {number:08}");
    let pieces = format!("{number:020}");
    let torrent =
        format!("d4:infod5:filesl{files}e4:name{}:{name}12:piece lengthi8388608e6:pieces20:{pieces}ee", name.len());
    let path = folder.join(format!("{number}.torrent"));
    std::fs::write(&path, torrent).unwrap();
    path
}

/// Brings torrents one after the other until the jukebox is gone; how many tracks it acknowledged.
fn keep_adding(socket: PathBuf, folder: PathBuf, first: u64) -> JoinHandle<u64> {
    std::thread::spawn(move || {
        let Ok(mut client) = Client::connect(&socket) else { return 0 };
        let mut acknowledged = 0;
        for number in first.. {
            let source = write_torrent(&folder, number).to_string_lossy().into_owned();
            match client.send(&Command::Add { source }) {
                Ok(Reply::Torrent(added)) => acknowledged += u64::from(added.tracks),
                Ok(other) => panic!("no torrent but {other:?}"),
                Err(_) => break,
            }
        }
        acknowledged
    })
}

/// What happened in all rounds.
#[derive(Debug, Default)]
struct Tally {
    before_first_index: u32,
    while_starting: u32,
    while_adding: u32,
    while_indexing_from_the_dht: u32,
    while_fetching: u32,
    while_playing: u32,
    amid_eviction: u32,
    evictions: usize,
    evicted_bytes: u64,
    added_tracks: u64,
    most_on_disk: u64,
    next_torrent: u64,
}

/// One jukebox from its first start on.
struct Life<'a> {
    jukebox: Jukebox,
    scratch: &'a Path,
    rng: &'a mut ChaCha8Rng,
    tally: &'a mut Tally,
    /// Tracks that it has acknowledged.
    acknowledged: u64,
}

impl Life<'_> {
    fn pause(&mut self, most_ms: u64) {
        std::thread::sleep(Duration::from_millis(self.rng.random_range(0..=most_ms)));
    }

    /// Asks for a song, large ones more often than small ones. Whether there was one.
    fn play_something(&mut self) -> bool {
        let words = ["夜の海", "Fenyő", "Fenyő", "夜の海", "holt", "okapi", "orchard"];
        let hits = self.jukebox.search(words.choose(self.rng).expect("there are words")).results;
        let Some(hit) = hits.choose(self.rng) else { return false };
        assert_eq!(self.jukebox.send(Command::Play { track: Some(hit.track) }), Reply::Done);
        true
    }

    /// Lets it be heard, but does not insist: its torrent may be one that nobody has announced yet.
    fn wait_for_sound(&self) {
        let end = Instant::now() + Duration::from_secs(4);
        while Instant::now() < end && self.jukebox.status().player.state != PlayState::Playing {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Its part of the log that was written after `from`.
    fn log_since(&self, from: usize) -> String {
        self.jukebox.log().get(from..).unwrap_or_default().to_owned()
    }

    /// Starts it, lets it work until the moment has come, and kills it.
    fn round(&mut self, moment: Moment) {
        let log = self.jukebox.log().len();
        let index = self.jukebox.folder.join("index");
        let watch = Watch::start(self.jukebox.folder.join("music"));
        if moment == Moment::Starting {
            self.jukebox.start();
            self.pause(1500);
            self.tally.while_starting += 1;
            self.tally.before_first_index += u32::from(self.acknowledged == 0);
            self.jukebox.kill();
        } else {
            self.jukebox.start_and_wait();
            let tracks = self.jukebox.status().index.tracks;
            assert!(tracks >= self.acknowledged, "{tracks} of {} tracks\n{}", self.acknowledged, self.jukebox.log());
            match moment {
                Moment::Indexing => self.index(),
                Moment::Playing => self.play(),
                _ => self.evict(log),
            }
        }
        let log = self.log_since(log);
        let (began, ended) = (log.matches("evicting").count(), log.matches("evicted").count());
        self.tally.evictions += began;
        self.tally.amid_eviction += u32::from(began > ended);
        check_database(&index);
        let most = watch.stop();
        self.tally.most_on_disk = self.tally.most_on_disk.max(most);
        assert!(most <= BUDGET, "{moment:?}: {most} bytes on disk\n{}", self.jukebox.log());
    }

    fn index(&mut self) {
        let before = self.jukebox.status().index;
        let adding = keep_adding(self.jukebox.socket.clone(), self.scratch.to_owned(), self.tally.next_torrent);
        self.pause(3000);
        let after = self.jukebox.status().index;
        self.tally.while_indexing_from_the_dht += u32::from(after.fetched > before.fetched || after.queued > 0);
        self.jukebox.kill();
        let added = adding.join().unwrap();
        self.tally.while_adding += u32::from(added > 0);
        self.tally.added_tracks += added;
        // The one that was under way may be there or not.
        self.tally.next_torrent += added / ADDED_TRACKS + 1;
        self.acknowledged = after.tracks.max(before.tracks + added);
    }

    fn play(&mut self) {
        if self.play_something() && self.rng.random_bool(0.5) {
            self.wait_for_sound();
        }
        self.pause(600);
        self.note();
        self.jukebox.kill();
    }

    /// Plays until something has to go, and kills it then.
    fn evict(&mut self, log: usize) {
        let end = Instant::now() + Duration::from_secs(20);
        // Some evictions are seen to their end before the one that is not.
        let mut whole = self.rng.random_range(0..3);
        while Instant::now() < end {
            let before = self.log_since(log).matches("evicting").count();
            if self.play_something() {
                let soon = Instant::now() + Duration::from_millis(700);
                while Instant::now() < soon && self.log_since(log).matches("evicting").count() == before {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            if self.log_since(log).matches("evicting").count() > before {
                if whole == 0 {
                    break;
                }
                whole -= 1;
            }
            self.wait_for_sound();
        }
        self.pause(40);
        self.jukebox.kill();
        self.tally.evicted_bytes += evicted_bytes(&self.log_since(log));
    }

    fn note(&mut self) {
        let status = self.jukebox.status();
        self.acknowledged = self.acknowledged.max(status.index.tracks);
        self.tally.while_fetching += u32::from(status.player.state == PlayState::Buffering);
        self.tally.while_playing += u32::from(status.player.state == PlayState::Playing);
    }
}

/// Sum of what the log says was evicted.
fn evicted_bytes(log: &str) -> u64 {
    let number = |line: &str| {
        let digits: String = line.rsplit_once("bytes=")?.1.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u64>().ok()
    };
    log.lines().filter(|line| line.contains("evicted")).filter_map(number).sum::<u64>()
}

fn kills(rounds: u32) -> Tally {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cancel = CancellationToken::new();
    let releases = write_releases(&folder.path().join("releases"), SEED, Lengths { track_s: 6.0 }).unwrap();
    let scratch = folder.path().join("world");
    let config = WorldConfig { nodes: 24, seed: SEED, releases, scratch, seeding: Seeding::default() };
    let world = runtime.block_on(World::start(config, Clock::start(), cancel.clone())).unwrap();

    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut tally = Tally::default();
    let mut done = 0;
    while done < rounds {
        let home = folder.path().join(format!("jukebox-{done}"));
        let sections = Jukebox::sections(&home, &format!("{BUDGET} B"), "null");
        let mut jukebox = Jukebox::prepare(&home, &[&world.bootstrap().to_string()], "127.0.0.1:0", &sections);
        let no_colours = ("NO_COLOR".into(), "1".into());
        jukebox.environment = vec![("RUST_LOG".into(), "info,silverstream::jukebox::storage=debug".into()), no_colours];
        let mut life = Life { jukebox, scratch: folder.path(), rng: &mut rng, tally: &mut tally, acknowledged: 0 };
        let kills = KILLS_A_LIFE.min(rounds - done);
        for round in 0..kills {
            let moment = Moment::of(round, life.rng);
            life.round(moment);
        }
        // The last kill too must have left something that starts.
        life.jukebox.start_and_wait();
        let tracks = life.jukebox.status().index.tracks;
        assert!(tracks >= life.acknowledged, "{tracks} of {} tracks", life.acknowledged);
        life.jukebox.kill();
        println!("after {kills} kills: {tracks} tracks, {} acknowledged", life.acknowledged);
        done += kills;
    }
    cancel.cancel();
    println!("{rounds} kills with a budget of {BUDGET} bytes: {tally:#?}");
    assert!(tally.before_first_index > 0, "no kill before the first song was indexed");
    assert!(tally.while_adding > 0, "no kill while indexing");
    assert!(tally.evictions > 0, "nothing was evicted");
    tally
}

#[test]
fn a_killed_jukebox_starts_again_with_all_it_had() {
    if in_private_network("a_killed_jukebox_starts_again_with_all_it_had") {
        kills(8);
    }
}

#[cfg(feature = "soak")]
#[test]
fn a_hundred_kills_lose_nothing() {
    if in_private_network("a_hundred_kills_lose_nothing") {
        let tally = kills(100);
        assert!(tally.while_indexing_from_the_dht > 0, "no kill while songs came out of the DHT");
        assert!(tally.amid_eviction >= 5 && tally.while_playing > 0, "too few kills in the midst of things");
    }
}
