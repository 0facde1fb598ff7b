//! The flood through the sockets of a jukebox that plays.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::hostile::Hostile;
use super::{LabError, Options, Report, Target};
use crate::control::{Command, PlayState};
use crate::dht::MAX_REPLY;
use crate::dht::krpc::{Body, Message, Query};
use crate::lab::mainline::stage::Reply;
use crate::lab::stage::Stage;
use crate::lab::world::music::Lengths;
use crate::types::{NodeId, TrackId};

/// Senders at one time, each at an address of the loopback network of its own.
const SENDERS: u8 = 64;
/// The first two bytes of their addresses: nobody of the world lives there.
const SENDER_NET: [u8; 2] = [127, 77];
/// Datagrams that are sent from an address before another takes its place: a node of ours bans for 50 in ten seconds.
const LETTERS_PER_ADDRESS: usize = 20;
/// How often a node is asked for its id.
const PINGS: u32 = 10;
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
    let nodes: Vec<_> = ports
        .into_iter()
        .map(|port| Ok((port, id_at(port)?)))
        .collect::<io::Result<_>>()
        .map_err(LabError::failed("the jukebox's nodes cannot be found"))?;
    let flood = Flood::start(options.seed, &nodes, super::PER_MS as u64)?;
    let begun = Instant::now();
    let (mut glances, mut sounding) = (0_u32, 0_u32);
    while begun.elapsed() < time {
        thread::sleep(GLANCE);
        glances += 1;
        sounding += u32::from(jukebox.status()?.player.state == PlayState::Playing);
    }
    let sent = flood.end()?;
    let seconds = begun.elapsed().as_secs_f64();
    let after = jukebox.status()?;
    let grown = jukebox.memory().resident.saturating_sub(memory) as f64 / super::MIB;
    let taken = after.dht.datagrams_in.saturating_sub(before.dht.datagrams_in) as f64;
    let answered = after.dht.datagrams_out.saturating_sub(before.dht.datagrams_out) as f64;
    let underruns = after.player.underruns.saturating_sub(before.player.underruns) as f64;
    report.figure("sent to sockets", sent as f64 / seconds, "/s", Some(Target::AtLeast(MIN_RATE)));
    report.figure("taken from sockets", taken / seconds, "/s", Some(Target::AtLeast(MIN_RATE)));
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
        "through sockets: {SENDERS} senders on loopback, each at another port after {LETTERS_PER_ADDRESS} datagrams: in \
         scope private that is another host; the system drops what the jukebox does not take in time"
    ));
    Ok(())
}

/// Ports of the UDP sockets of a process (proc(5)).
pub fn dht_ports(pid: u32) -> io::Result<Vec<u16>> {
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
pub struct Flood {
    ends: Arc<AtomicBool>,
    thread: thread::JoinHandle<io::Result<u64>>,
}

impl Flood {
    /// Sends so many datagrams in a millisecond to nodes at these ports with these ids.
    ///
    /// # Errors
    /// If it cannot bind its sockets.
    pub fn start(seed: u64, nodes: &[(u16, NodeId)], per_ms: u64) -> Result<Self, LabError> {
        let (ports, ids): (Vec<_>, Vec<_>) = nodes.iter().copied().unzip();
        let mut senders = Senders::new(Hostile::new(seed ^ 3, ports.len() as u32, ids), ports)
            .map_err(LabError::failed("no socket to flood from"))?;
        let ends = Arc::new(AtomicBool::new(false));
        let ended = ends.clone();
        let thread = thread::spawn(move || {
            let begun = Instant::now();
            let mut sent = 0;
            while !ended.load(Ordering::Relaxed) {
                for _ in 0..per_ms {
                    senders.send()?;
                }
                sent += per_ms;
                if let Some(early) = Duration::from_millis(sent / per_ms).checked_sub(begun.elapsed()) {
                    thread::sleep(early);
                }
            }
            Ok(sent)
        });
        Ok(Self { ends, thread })
    }

    /// Datagrams that were sent.
    ///
    /// # Errors
    /// If it could not go on.
    pub fn end(self) -> Result<u64, LabError> {
        self.ends.store(true, Ordering::Relaxed);
        let sent = self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        sent.map_err(LabError::failed("the flood ended early"))
    }
}

/// The id of the node at a port, as it says itself.
fn id_at(port: u16) -> io::Result<NodeId> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(GLANCE))?;
    let body = Body::Query { id: NodeId([0x42; NodeId::LEN]), query: Query::Ping };
    let ping = Message { transaction: b"ping", body, version: None, read_only: true, external: None }.encode();
    let mut buffer = [0; MAX_REPLY];
    for _ in 0..PINGS {
        socket.send_to(&ping, (Ipv4Addr::LOCALHOST, port))?;
        if let Ok(length) = socket.recv(&mut buffer)
            && let Ok(Message { body: Body::Response(response), .. }) = Message::parse(&buffer[..length])
        {
            return Ok(response.id);
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, format!("nobody answers at port {port}")))
}

/// Sockets to flood from. Each is replaced by one at another port, in scope private another host, before anybody would
/// ban it.
struct Senders {
    hostile: Hostile,
    ports: Vec<u16>,
    sockets: Vec<(UdpSocket, SocketAddr)>,
    sent: usize,
}

impl Senders {
    fn new(hostile: Hostile, ports: Vec<u16>) -> io::Result<Self> {
        let sockets = (0..SENDERS).map(sender).collect::<io::Result<_>>()?;
        Ok(Self { hostile, ports, sockets, sent: 0 })
    }

    /// Sends the next letter, from the address that was given the token in it, else from the next in turn.
    fn send(&mut self) -> io::Result<()> {
        let letter = self.hostile.next();
        // Tokens are given to an IP address, whatever the port.
        let owner = self.sockets.iter().position(|(_, addr)| addr.ip() == letter.from.ip());
        let turn = self.sent % self.sockets.len();
        let to = SocketAddr::from(([127, 0, 0, 1], self.ports[letter.node as usize]));
        // A full buffer loses datagrams as a network does; these were sent for all that.
        let _ = self.sockets[owner.unwrap_or(turn)].0.send_to(&letter.datagram, to);
        self.sent += 1;
        if self.sent.is_multiple_of(LETTERS_PER_ADDRESS) {
            self.replace(self.sent / LETTERS_PER_ADDRESS % self.sockets.len())?;
        }
        Ok(())
    }

    /// Reads what a socket was answered, for tokens, and gives its place to one at another port.
    fn replace(&mut self, number: usize) -> io::Result<()> {
        let mut buffer = [0; MAX_REPLY];
        let (socket, owner) = &self.sockets[number];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            if let Some(node) = self.ports.iter().position(|port| *port == from.port()) {
                let (from, payload) = (node as u32, buffer[..length].to_vec());
                self.hostile.hears(&Reply { from, to: *owner, payload });
            }
        }
        self.sockets[number] = sender(number as u8)?;
        Ok(())
    }
}

fn sender(number: u8) -> io::Result<(UdpSocket, SocketAddr)> {
    let [a, b] = SENDER_NET;
    let socket = UdpSocket::bind((Ipv4Addr::new(a, b, number, 1), 0))?;
    socket.set_nonblocking(true)?;
    let addr = socket.local_addr()?;
    Ok((socket, addr))
}
