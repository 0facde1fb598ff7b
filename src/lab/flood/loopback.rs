//! The flood through the sockets of a jukebox that plays.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::hostile::Hostile;
use super::{LabError, Options, PER_MS, Report, Target};
use crate::control::{Command, PlayState};
use crate::lab::stage::Stage;
use crate::lab::world::music::Lengths;
use crate::types::{NodeId, TrackId};

/// Senders, each at an address of the loopback network of its own, as far as there are ports and addresses to bind.
const SENDERS: u8 = 64;
/// The first two bytes of their addresses: nobody of the world lives there.
const SENDER_NET: [u8; 2] = [127, 77];
/// Datagrams made in advance, sent again and again.
const LETTERS: usize = 50_000;
/// A song may take so long to begin.
const PATIENCE: Duration = Duration::from_secs(30);
/// Length of the songs, in seconds.
const SONG_S: f32 = 30.0;
/// How often the jukebox is looked at.
const GLANCE: Duration = Duration::from_millis(500);
/// The flooder takes a processor of its own; less than this is no flood.
const MIN_RATE: f64 = 50_000.0;

/// Plays and floods for `time`, and reports.
pub fn run(options: &Options, time: Duration, report: &mut Report) -> Result<(), LabError> {
    let mut stage = Stage::set("flood", options, Lengths { track_s: SONG_S })?;
    let mut tracks: Vec<TrackId> = stage.tracks(None)?.into_iter().map(|hit| hit.track).collect();
    tracks.sort_unstable();
    tracks.dedup();
    let jukebox = &mut stage.jukebox;
    jukebox.ask(&Command::QueueAdd { tracks })?;
    jukebox.ask(&Command::Play { track: None })?;
    jukebox.wait_until(PATIENCE, |jukebox| {
        jukebox.status().ok().filter(|status| status.player.state == PlayState::Playing)
    })?;
    let before = jukebox.status()?;
    let (cpu, memory) = (jukebox.cpu_time(), jukebox.memory().resident);
    let ports = dht_ports(jukebox.pid()).map_err(LabError::failed("the jukebox's sockets cannot be found"))?;
    let flood = Flood::start(options.seed, ports)?;
    let begun = Instant::now();
    let (mut glances, mut sounding) = (0_u32, 0_u32);
    while begun.elapsed() < time {
        thread::sleep(GLANCE);
        glances += 1;
        sounding += u32::from(jukebox.status()?.player.state == PlayState::Playing);
    }
    let sent = flood.end();
    let seconds = begun.elapsed().as_secs_f64();
    let after = jukebox.status()?;
    let grown = jukebox.memory().resident.saturating_sub(memory) as f64 / super::MIB;
    let taken = after.dht.datagrams_in.saturating_sub(before.dht.datagrams_in) as f64;
    let answered = after.dht.datagrams_out.saturating_sub(before.dht.datagrams_out) as f64;
    let underruns = after.player.underruns.saturating_sub(before.player.underruns) as f64;
    report.figure("sent to sockets", sent as f64 / seconds, "/s", Some(Target::AtLeast(MIN_RATE)));
    report.figure("taken from sockets", taken / seconds, "/s", None);
    report.figure("sent by the jukebox", answered / seconds, "/s", None);
    report.figure("underruns", underruns, "", Some(Target::AtMost(0.0)));
    report.figure(
        "looks at which it played",
        100.0 * f64::from(sounding) / f64::from(glances),
        "%",
        Some(Target::AtLeast(95.0)),
    );
    let cpu = jukebox.cpu_time().saturating_sub(cpu).as_secs_f64() / seconds;
    report.figure("processor of the jukebox", 100.0 * cpu, "%", None);
    report.figure("resident growth of the jukebox", grown, "MiB", Some(Target::AtMost(super::MAX_GROWTH_MIB)));
    report.notes.push(format!(
        "through sockets: {SENDERS} senders on loopback, in scope private, where every port is a host of its own; the \
         system drops what the jukebox does not take in time"
    ));
    Ok(())
}

/// Ports of the UDP sockets of a process (proc(5)).
fn dht_ports(pid: u32) -> io::Result<Vec<u16>> {
    let mut inodes = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd"))? {
        let target = std::fs::read_link(entry?.path()).unwrap_or_default();
        let target = target.to_string_lossy();
        inodes.extend(target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')).map(str::to_owned));
    }
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/udp"))?;
    let port = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let is_its = inodes.iter().any(|inode| fields.get(9) == Some(&inode.as_str()));
        let port = fields.get(1)?.rsplit_once(':')?.1;
        u16::from_str_radix(port, 16).ok().filter(|_| is_its)
    };
    let ports: Vec<_> = table.lines().skip(1).filter_map(port).collect();
    if ports.is_empty() { Err(io::Error::other("no UDP socket")) } else { Ok(ports) }
}

/// A thread that floods.
struct Flood {
    ends: Arc<AtomicBool>,
    thread: thread::JoinHandle<u64>,
}

impl Flood {
    fn start(seed: u64, ports: Vec<u16>) -> Result<Self, LabError> {
        let failed = LabError::failed::<io::Error>("no socket to flood from");
        let [a, b] = SENDER_NET;
        let bind = |number: u8| UdpSocket::bind(SocketAddr::from(([a, b, number, 1], 0)));
        let sockets: Vec<_> = (0..SENDERS).map(bind).collect::<Result<_, _>>().map_err(failed)?;
        let nodes = ports.len() as u32;
        // Its nodes' ids are not known: near a random one.
        let mut hostile = Hostile::new(seed ^ 3, nodes, vec![NodeId([0x42; NodeId::LEN])]);
        let letters: Vec<_> = (0..LETTERS).map(|_| hostile.next()).collect();
        let ends = Arc::new(AtomicBool::new(false));
        let ended = ends.clone();
        let thread = thread::spawn(move || {
            let begun = Instant::now();
            let mut sent = 0;
            for (number, letter) in letters.iter().enumerate().cycle() {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                let to = SocketAddr::from(([127, 0, 0, 1], ports[letter.node as usize]));
                // A full buffer loses datagrams as a network does; these were sent for all that.
                let _ = sockets[number % sockets.len()].send_to(&letter.datagram, to);
                sent += 1;
                // In groups of a millisecond's worth.
                let due = Duration::from_millis(sent / PER_MS as u64);
                if sent.is_multiple_of(PER_MS as u64)
                    && let Some(early) = due.checked_sub(begun.elapsed())
                {
                    thread::sleep(early);
                }
            }
            sent
        });
        Ok(Self { ends, thread })
    }

    /// Datagrams that were sent.
    fn end(self) -> u64 {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}
