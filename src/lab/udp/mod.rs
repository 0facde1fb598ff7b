//! The simulated DHT for real programs: all of its addresses, served over one UDP socket by one thread.
//!
//! In a network of its own (see [`super::private`]) every address is local, so a socket that is bound to none of them gets
//! the datagrams to all; the kernel tells to which, and takes from which an answer is to come.

mod serve;

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::mainline::live::LiveWorld;
use super::mainline::{Mix, PORT, Torrents, World};
use super::{LabError, private};

pub use serve::serve;

/// Largest datagram that is read whole.
const MAX_DATAGRAM: usize = 2_048;
/// Buffer of the socket that is asked for, in bytes: what comes while the world is busy with something else. The kernel
/// may give less.
const SOCKET_BUFFER: usize = 4 * 1024 * 1024;
/// Batches read one after the other, at most: what comes faster is dropped by the kernel in the end, as by a full link.
const MAX_BATCHES: usize = 8;
/// Datagrams that were read and not yet looked at, at most.
const MAX_INBOX: usize = 4_096;
/// Datagrams looked at between two readings. An answer may set off much work, and what arrives meanwhile is to be read, and
/// its time noted, soon.
const FEW: usize = 8;
/// Longest wait for a datagram.
const WAIT: Duration = Duration::from_millis(1);

/// What a world is made of.
#[derive(Debug, Clone, Copy)]
pub struct UdpConfig {
    pub nodes: usize,
    pub torrents: usize,
    pub seed: u64,
}

/// A datagram that was read.
#[derive(Debug)]
struct Arrived {
    at: Duration,
    from: SocketAddr,
    to: Ipv4Addr,
    payload: Box<[u8]>,
}

/// A world and its socket.
#[derive(Debug)]
pub struct UdpWorld {
    pub live: LiveWorld,
    socket: UdpSocket,
    state: UdpSocketState,
    buffer: Box<[u8]>,
    inbox: VecDeque<Arrived>,
    started: Instant,
    /// Datagrams that the kernel did not take.
    pub unsent: u64,
}

impl UdpWorld {
    /// Makes the world and binds its port on all addresses.
    ///
    /// # Errors
    /// If packets could leave the machine from here, or the socket cannot be had.
    pub fn open(config: UdpConfig) -> Result<Self, LabError> {
        private::check()?;
        let failed = LabError::failed::<io::Error>("the socket of the world cannot be had");
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).map_err(&failed)?;
        let state = UdpSocketState::new((&socket).into()).map_err(&failed)?;
        state.set_recv_buffer_size((&socket).into(), SOCKET_BUFFER).map_err(&failed)?;
        state.set_send_buffer_size((&socket).into(), SOCKET_BUFFER).map_err(&failed)?;
        let world = World::new(config.nodes, Mix::MAINLINE, (private::HOST, &[]), config.seed);
        let torrents = Torrents::new(&world, config.torrents, config.seed ^ 1);
        Ok(Self {
            live: LiveWorld::new(world, torrents),
            socket,
            state,
            buffer: vec![0; BATCH_SIZE * MAX_DATAGRAM].into(),
            inbox: VecDeque::new(),
            started: Instant::now(),
            unsent: 0,
        })
    }

    /// Time since the world began.
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Reads what came, does what is due and sends; waits a little if there was nothing to do. To be called for ever.
    ///
    /// # Errors
    /// If the socket fails for good.
    pub fn turn(&mut self) -> Result<(), LabError> {
        let failed = LabError::failed::<io::Error>("the socket of the world failed");
        self.receive().map_err(&failed)?;
        let few: Vec<Arrived> = self.inbox.drain(..self.inbox.len().min(FEW)).collect();
        for Arrived { at, from, to, payload } in &few {
            self.live.handle_datagram(*at, *to, *from, payload);
        }
        self.live.handle_timeout(self.now());
        let sent = self.flush();
        if few.len() + sent == 0 {
            let mut ready = [PollFd::new(&self.socket, PollFlags::IN)];
            let wait = Timespec { tv_sec: 0, tv_nsec: WAIT.subsec_nanos().into() };
            match poll(&mut ready, Some(&wait)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(failed(error.into())),
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> io::Result<()> {
        for _ in 0..MAX_BATCHES {
            if self.inbox.len() >= MAX_INBOX {
                break;
            }
            let mut metas = [RecvMeta::default(); BATCH_SIZE];
            let mut slots: Vec<IoSliceMut<'_>> =
                self.buffer.chunks_exact_mut(MAX_DATAGRAM).map(IoSliceMut::new).collect();
            let count = match self.state.recv((&self.socket).into(), &mut slots, &mut metas) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if is_passing(&error) => continue,
                Err(error) => return Err(error),
            };
            // One time for all: they were there when the call returned.
            let at = self.started.elapsed();
            for (meta, slot) in metas.iter().zip(self.buffer.chunks_exact(MAX_DATAGRAM)).take(count) {
                let Some(IpAddr::V4(to)) = meta.dst_ip else { continue };
                // The kernel may hand over several datagrams of one sender at once.
                for datagram in slot[..meta.len.min(MAX_DATAGRAM)].chunks(meta.stride.max(1)) {
                    self.inbox.push_back(Arrived { at, from: meta.addr, to, payload: datagram.into() });
                }
            }
            if count < BATCH_SIZE {
                break;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> usize {
        let mut sent = 0;
        while let Some(datagram) = self.live.poll_transmit(self.started.elapsed()) {
            let transmit = Transmit {
                destination: datagram.to.into(),
                ecn: None,
                contents: &datagram.payload,
                segment_size: None,
                src_ip: Some(self.live.world.addr(datagram.member).ip()),
            };
            match self.state.try_send((&self.socket).into(), &transmit) {
                Ok(()) => sent += 1,
                // As a full queue of the network: who asked has no answer.
                Err(_) => self.unsent += 1,
            }
        }
        sent
    }

    /// Where others begin.
    pub fn routers(&self, count: usize) -> Vec<SocketAddr> {
        self.live.routers(count).collect()
    }
}

/// What a port that nobody listens to leaves behind: it concerns a datagram that was sent, not the socket.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted, NetworkUnreachable};
    matches!(error.kind(), ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable | Interrupted)
}
