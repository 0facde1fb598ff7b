//! One UDP socket for each node, all watched by one set of the kernel's (epoll(7)) and read by one thread.
//!
//! The set is level-triggered: the kernel names a socket for as long as something waits in it, and those that it named last
//! come last the next time. So one datagram is read of each socket that is named, in one call, and no call is made that finds
//! nothing: a socket with more of them takes turns with the others, and nothing is lost if the reader stops in between.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::CrawlerError;

/// Largest datagram that is read whole. KRPC messages fit a packet of 1,500 bytes; what fills this is not one, and the
/// node refuses it.
pub(super) const MAX_DATAGRAM: usize = 2_048;
/// Sockets named at once, before timers and commands have their turn; 12 bytes each.
const MAX_READY: usize = 64;
/// Files that the rest of the jukebox may have open: the catalogue, music, connections to peers.
const OTHER_FILES: u64 = 2_048;
/// Stands for the bell among the numbers of the sockets.
const BELL: u64 = u64::MAX;

/// Ends the wait for datagrams, from whichever thread.
#[derive(Debug)]
struct Bell(OwnedFd);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // It fails if the counter is full only: then it rings already.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }
}

/// What a wait ended with.
pub(super) struct Ready {
    events: Vec<Event>,
    is_rung: bool,
}

impl Ready {
    /// As at the beginning, when nothing is known: the bell counts as rung.
    pub fn new() -> Self {
        Self { events: Vec::with_capacity(MAX_READY), is_rung: true }
    }

    /// Whether somebody rang the bell.
    pub fn is_rung(&self) -> bool {
        self.is_rung
    }

    /// Sockets in which a datagram or an error waits, each once.
    pub fn sockets(&self) -> impl ExactSizeIterator<Item = u32> {
        // Numbers that were given as such.
        self.events.iter().map(|event| event.data.u64() as u32)
    }
}

/// The sockets of all nodes.
#[derive(Debug)]
pub(super) struct Sockets {
    watched: OwnedFd,
    sockets: Vec<UdpSocket>,
    bell: Arc<Bell>,
}

impl Sockets {
    /// Binds `count` sockets: the first to `listen`, the others to the following ports; with port 0 the system chooses
    /// each.
    pub fn bind(listen: SocketAddr, count: u32) -> Result<Self, CrawlerError> {
        let mut all = Self::none().map_err(|source| CrawlerError::bind(listen, source, count))?;
        all.add(listen, count)?;
        Ok(all)
    }

    /// Binds so many more, in the same way. If one cannot be bound, those before it are there.
    pub fn add(&mut self, listen: SocketAddr, more: u32) -> Result<(), CrawlerError> {
        let (first, count) = (listen.port(), self.len().saturating_add(more));
        Self::check_ports(first, count)?;
        allow_files(u64::from(count) + OTHER_FILES);
        for number in self.len()..count {
            let mut addr = listen;
            if first != 0 {
                // Fits: the last one does.
                addr.set_port(first.wrapping_add(number as u16));
            }
            self.add_one(addr).map_err(|source| CrawlerError::bind(addr, source, count))?;
        }
        Ok(())
    }

    /// Whether there are so many ports from the first on; 0 stands for any.
    pub fn check_ports(first: u16, count: u32) -> Result<(), CrawlerError> {
        let last = u32::from(first).saturating_add(count.saturating_sub(1));
        if first != 0 && last > u32::from(u16::MAX) {
            return Err(CrawlerError::TooManyPorts { first, count });
        }
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> u32 {
        self.sockets.len() as u32
    }

    fn none() -> io::Result<Self> {
        let watched = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&watched, &bell, EventData::new_u64(BELL), EventFlags::IN)?;
        Ok(Self { watched, sockets: Vec::new(), bell: Arc::new(Bell(bell)) })
    }

    fn add_one(&mut self, addr: SocketAddr) -> io::Result<()> {
        let socket = UdpSocket::bind(addr)?;
        socket.set_nonblocking(true)?;
        epoll::add(&self.watched, &socket, EventData::new_u64(self.sockets.len() as u64), EventFlags::IN)?;
        self.sockets.push(socket);
        Ok(())
    }

    /// Where the sockets are bound.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.sockets.iter().map(UdpSocket::local_addr).collect()
    }

    /// Ends a wait, also the next one if there is none now.
    pub fn bell(&self) -> Waker {
        Arc::clone(&self.bell).into()
    }

    /// Waits until something can be read or the bell rings, at most so long; to the next millisecond.
    ///
    /// # Errors
    /// If the kernel refuses, which no datagram and no network can bring about.
    pub fn wait(&self, ready: &mut Ready, longest: Duration) -> io::Result<()> {
        ready.events.clear();
        ready.is_rung = false;
        let timeout = Timespec::try_from(longest).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
        match epoll::wait(&self.watched, spare_capacity(&mut ready.events), Some(&timeout)) {
            // A signal of the system: as a wait that was over at once.
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        ready.events.retain(|event| {
            event.data.u64() != BELL || {
                ready.is_rung = true;
                false
            }
        });
        if ready.is_rung {
            // Before what it rang for is looked at, so that who rings from now on is heard.
            let _ = rustix::io::read(&self.bell.0, &mut [0; 8]);
        }
        Ok(())
    }

    /// The next datagram of a socket: its length and sender.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if there is none, say since its checksum was wrong; others are what the network said of
    /// a datagram sent earlier, such as an unreachable host.
    pub fn receive(&self, socket: u32, buffer: &mut [u8; MAX_DATAGRAM]) -> io::Result<(usize, SocketAddr)> {
        let socket = self.sockets.get(socket as usize).ok_or(io::ErrorKind::NotFound)?;
        socket.recv_from(buffer)
    }

    /// Sends now or not at all: a full queue of the system is as a full queue of the network.
    pub fn try_send(&self, socket: u32, to: SocketAddr, payload: &[u8]) -> io::Result<()> {
        let socket = self.sockets.get(socket as usize).ok_or(io::ErrorKind::NotFound)?;
        socket.send_to(payload, to).map(drop)
    }
}

/// Lets this process have so many files open, or as many as it may be allowed: what is still too few shows when a socket is
/// bound.
fn allow_files(files: u64) {
    let limits = raised(&getrlimit(Resource::Nofile), files);
    let _ = limits.into_iter().flatten().find(|limit| setrlimit(Resource::Nofile, *limit).is_ok());
}

/// Limits to try one after the other, the first of which only root may set; none if so many files are allowed already.
fn raised(before: &Rlimit, files: u64) -> [Option<Rlimit>; 2] {
    if before.current.is_none_or(|current| current >= files) {
        return [None, None];
    }
    let whole = Rlimit { current: Some(files), maximum: before.maximum.map(|maximum| maximum.max(files)) };
    let rest = Rlimit { current: before.maximum.map_or(Some(files), |maximum| Some(maximum.min(files))), ..*before };
    [Some(whole), Some(rest)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What takes longer has failed.
    const LIMIT: Duration = Duration::from_secs(10);

    fn some(count: u32) -> (Sockets, Vec<SocketAddr>) {
        let sockets = Sockets::bind(([127, 0, 0, 1], 0).into(), count).unwrap();
        let addresses = sockets.addresses().unwrap();
        (sockets, addresses)
    }

    /// The sockets that are ready now, sorted. On loopback a datagram has arrived when it was sent.
    fn named(sockets: &Sockets) -> Vec<u32> {
        let mut ready = Ready::new();
        sockets.wait(&mut ready, Duration::ZERO).unwrap();
        let mut numbers: Vec<u32> = ready.sockets().collect();
        numbers.sort_unstable();
        numbers
    }

    fn read(sockets: &Sockets, number: u32) -> Vec<u8> {
        let mut buffer = [0; MAX_DATAGRAM];
        let (length, _) = sockets.receive(number, &mut buffer).unwrap();
        buffer[..length].to_vec()
    }

    #[test]
    fn what_comes_at_once_is_read_one_after_the_other_and_a_drained_socket_is_not_named() {
        let (sockets, addresses) = some(3);
        assert!(named(&sockets).is_empty());
        for payload in [b"first", b"later"] {
            sockets.try_send(2, addresses[0], payload).unwrap();
        }
        assert_eq!(named(&sockets), [0]);
        let mut buffer = [0; MAX_DATAGRAM];
        assert_eq!(sockets.receive(0, &mut buffer).unwrap(), (5, addresses[2]));
        assert_eq!(&buffer[..5], b"first");
        assert_eq!(named(&sockets), [0], "the other one waits");
        assert_eq!(read(&sockets, 0), b"later");
        assert!(named(&sockets).is_empty(), "nothing is read that is not there");
        assert_eq!(sockets.receive(0, &mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        sockets.try_send(2, addresses[0], b"again").unwrap();
        assert_eq!(named(&sockets), [0]);
    }

    #[test]
    fn more_are_bound_later_behind_those_that_are_there() {
        let (mut sockets, before) = some(2);
        sockets.add(([127, 0, 0, 1], 0).into(), 3).unwrap();
        let addresses = sockets.addresses().unwrap();
        assert_eq!((sockets.len(), &addresses[..2]), (5, &before[..]));
        sockets.try_send(0, addresses[4], b"to a new one").unwrap();
        assert_eq!(named(&sockets), [4]);
        assert_eq!(read(&sockets, 4), b"to a new one");
        // The first of the next ones, by number, is there already.
        let taken = SocketAddr::new(addresses[4].ip(), addresses[4].port().saturating_sub(5));
        assert!(matches!(sockets.add(taken, 1), Err(CrawlerError::PortInUse { addr }) if addr == addresses[4]));
        assert_eq!(sockets.len(), 5);
    }

    #[test]
    fn busy_sockets_take_turns_with_all_others_and_nothing_is_lost() {
        const EACH: usize = 3;
        let count = 2 * MAX_READY as u32 + 7;
        let (sockets, addresses) = some(count + 1);
        for addr in &addresses[..count as usize] {
            (0..EACH).for_each(|number| sockets.try_send(count, *addr, &[number as u8]).unwrap());
        }
        let mut read_of = vec![0; count as usize];
        let mut ready = Ready::new();
        for _ in 0..count as usize * EACH {
            sockets.wait(&mut ready, Duration::ZERO).unwrap();
            assert!(ready.sockets().len() <= MAX_READY);
            for number in ready.sockets() {
                let place = &mut read_of[number as usize];
                assert_eq!(read(&sockets, number), [*place as u8]);
                *place += 1;
                let (least, most) = (read_of.iter().min().unwrap(), read_of.iter().max().unwrap());
                assert!(most - least <= 1, "none is served twice while another waits");
            }
        }
        assert!(read_of.iter().all(|read| *read == EACH), "{read_of:?}");
    }

    #[test]
    fn the_bell_ends_a_wait_from_another_thread_and_is_heard_once() {
        let (sockets, addresses) = some(1);
        let mut ready = Ready::new();
        let bell = sockets.bell();
        std::thread::scope(|scope| {
            scope.spawn(|| bell.wake_by_ref());
            let began = std::time::Instant::now();
            sockets.wait(&mut ready, LIMIT).unwrap();
            assert!(began.elapsed() < LIMIT);
        });
        assert!(ready.is_rung() && ready.sockets().len() == 0);
        bell.wake_by_ref();
        bell.wake_by_ref();
        sockets.try_send(0, addresses[0], b"beside it").unwrap();
        sockets.wait(&mut ready, LIMIT).unwrap();
        assert!(ready.is_rung());
        assert_eq!(ready.sockets().collect::<Vec<_>>(), [0]);
        read(&sockets, 0);
        sockets.wait(&mut ready, Duration::ZERO).unwrap();
        assert!(!ready.is_rung() && ready.sockets().len() == 0);
    }

    #[test]
    fn what_the_network_says_of_an_earlier_datagram_is_an_error_and_passes() {
        let (sockets, addresses) = some(2);
        // Its port is taken, so that nobody else can have it meanwhile, but it takes datagrams of its own only.
        let deaf = UdpSocket::bind("127.0.0.1:0").unwrap();
        let nobody = deaf.local_addr().unwrap();
        deaf.connect(nobody).unwrap();
        sockets.sockets[0].connect(nobody).unwrap();
        sockets.sockets[0].send(b"is there anybody").unwrap();
        assert_eq!(named(&sockets), [0]);
        let refused = sockets.receive(0, &mut [0; MAX_DATAGRAM]).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert!(named(&sockets).is_empty());
        sockets.try_send(0, addresses[1], b"to another").unwrap();
        assert_eq!(read(&sockets, 1), b"to another");
    }

    #[test]
    fn the_limit_of_files_is_raised_as_far_as_it_goes() {
        let limit = |current, maximum| Rlimit { current, maximum };
        assert_eq!(raised(&limit(Some(1_024), Some(4_096)), 1_000), [None, None]);
        assert_eq!(raised(&limit(None, None), 40_000), [None, None]);
        let both = |whole, rest| [Some(whole), Some(rest)];
        assert_eq!(
            raised(&limit(Some(1_024), Some(4_096)), 40_000),
            both(limit(Some(40_000), Some(40_000)), limit(Some(4_096), Some(4_096)))
        );
        let enough = limit(Some(40_000), Some(500_000));
        assert_eq!(raised(&limit(Some(1_024), Some(500_000)), 40_000), both(enough, enough));
        let unbounded = limit(Some(40_000), None);
        assert_eq!(raised(&limit(Some(1_024), None), 40_000), both(unbounded, unbounded));
    }
}
