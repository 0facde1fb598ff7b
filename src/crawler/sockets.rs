//! One UDP socket for each node, all read by one task.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

use super::CrawlerError;

/// Largest datagram that is read whole. KRPC messages fit a packet of 1,500 bytes; what fills this is not one, and the
/// node refuses it.
const MAX_DATAGRAM: usize = 2_048;
/// Datagrams read at once, before the core and the commands have their turn.
const BATCH: usize = 32;
/// Files that the rest of the jukebox may have open: the catalogue, music, connections to peers.
const OTHER_FILES: u64 = 2_048;

/// Sockets with something to read. Each socket has a waker of its own that puts its number here, so reading costs
/// nothing for the thousands that are silent.
#[derive(Debug, Default)]
struct Ready {
    state: Mutex<ReadyState>,
}

#[derive(Debug, Default)]
struct ReadyState {
    /// Numbers of sockets, each at most once.
    queue: VecDeque<u32>,
    queued: Vec<bool>,
    /// The reading task, while it waits.
    task: Option<Waker>,
}

impl Ready {
    fn lock(&self) -> MutexGuard<'_, ReadyState> {
        // The state is whole between any two statements that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, number: u32) {
        let mut state = self.lock();
        if let Some(queued) = state.queued.get_mut(number as usize).filter(|queued| !**queued) {
            *queued = true;
            state.queue.push_back(number);
        }
        let task = state.task.take();
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
    }

    /// The next ready socket; if there is none, `task` is woken when there is.
    fn pop(&self, task: &Waker) -> Option<u32> {
        let mut state = self.lock();
        let next = state.queue.pop_front();
        match next {
            Some(number) => state.queued[number as usize] = false,
            None => state.task = Some(task.clone()),
        }
        next
    }
}

struct SocketWaker {
    number: u32,
    ready: Arc<Ready>,
}

impl Wake for SocketWaker {
    fn wake(self: Arc<Self>) {
        self.ready.push(self.number);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ready.push(self.number);
    }
}

/// Datagrams of one reading.
#[derive(Debug)]
pub(super) struct Batch {
    buffer: Box<[u8]>,
    received: Vec<Received>,
    /// Errors that the system reported in place of a datagram, such as an unreachable host.
    pub errors: u64,
}

#[derive(Debug, Clone, Copy)]
struct Received {
    socket: u32,
    from: SocketAddr,
    length: usize,
}

impl Batch {
    pub fn new() -> Self {
        Self { buffer: vec![0; BATCH * MAX_DATAGRAM].into(), received: Vec::with_capacity(BATCH), errors: 0 }
    }

    /// Socket number, sender and content of each datagram.
    pub fn datagrams(&self) -> impl Iterator<Item = (u32, SocketAddr, &[u8])> {
        self.received
            .iter()
            .zip(self.buffer.chunks_exact(MAX_DATAGRAM))
            .map(|(received, slot)| (received.socket, received.from, &slot[..received.length]))
    }
}

/// The sockets of all nodes.
pub(super) struct Sockets {
    sockets: Vec<UdpSocket>,
    wakers: Vec<Waker>,
    ready: Arc<Ready>,
}

impl Sockets {
    /// Binds `count` sockets: the first to `listen`, the others to the following ports; with port 0 the system chooses
    /// each.
    pub async fn bind(listen: SocketAddr, count: u32) -> Result<Self, CrawlerError> {
        let first = listen.port();
        let last = u32::from(first) + count.saturating_sub(1);
        if first != 0 && last > u32::from(u16::MAX) {
            return Err(CrawlerError::TooManyPorts { first, count });
        }
        allow_files(u64::from(count) + OTHER_FILES);
        let ready = Arc::new(Ready::default());
        let mut sockets = Vec::new();
        for number in 0..count {
            let mut addr = listen;
            if first != 0 {
                // Fits: the last one does.
                addr.set_port(first.wrapping_add(number as u16));
            }
            let bound = async {
                let socket = UdpSocket::bind(addr).await?;
                // Until the runtime has seen the socket writable once, nothing can be sent without waiting.
                socket.writable().await?;
                Ok(socket)
            };
            sockets.push(bound.await.map_err(|source| CrawlerError::bind(addr, source, count))?);
        }
        let wakers = (0..count).map(|number| Waker::from(Arc::new(SocketWaker { number, ready: Arc::clone(&ready) })));
        let wakers = wakers.collect();
        {
            let mut state = ready.lock();
            state.queued = vec![true; sockets.len()];
            state.queue = (0..count).collect();
        }
        Ok(Self { sockets, wakers, ready })
    }

    /// Where the sockets are bound.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.sockets.iter().map(UdpSocket::local_addr).collect()
    }

    /// Sends now or not at all: a full queue of the system is as a full queue of the network.
    pub fn try_send(&self, socket: u32, to: SocketAddr, payload: &[u8]) -> io::Result<()> {
        let socket = self.sockets.get(socket as usize).ok_or(io::ErrorKind::NotFound)?;
        socket.try_send_to(payload, to).map(drop)
    }

    /// Waits for datagrams and reads those that are there, up to a batch. Loses nothing if dropped while waiting.
    pub async fn receive(&self, batch: &mut Batch) {
        batch.received.clear();
        batch.errors = 0;
        std::future::poll_fn(|context| self.poll_receive(context, batch)).await;
    }

    fn poll_receive(&self, context: &Context<'_>, batch: &mut Batch) -> Poll<()> {
        while batch.received.len() < BATCH && batch.errors < BATCH as u64 {
            let Some(number) = self.ready.pop(context.waker()) else { break };
            let slot = batch.received.len() * MAX_DATAGRAM;
            let mut buffer = ReadBuf::new(&mut batch.buffer[slot..slot + MAX_DATAGRAM]);
            let (socket, waker) = (&self.sockets[number as usize], &self.wakers[number as usize]);
            // Pending leaves the socket's own waker behind, which puts the socket back into the queue.
            match socket.poll_recv_from(&mut Context::from_waker(waker), &mut buffer) {
                Poll::Pending => continue,
                Poll::Ready(Ok(from)) => {
                    batch.received.push(Received { socket: number, from, length: buffer.filled().len() });
                }
                Poll::Ready(Err(_)) => batch.errors += 1,
            }
            // To the end of the queue: a busy socket takes turns with the others.
            self.ready.push(number);
        }
        if batch.received.is_empty() && batch.errors == 0 { Poll::Pending } else { Poll::Ready(()) }
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
