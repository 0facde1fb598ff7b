//! What the crawler's thread is told by the tasks of the runtime.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::announces::Announced;
use super::handle::Pace;
use super::searches::Waits;
use crate::types::InfoHash;

/// What the handles ask for.
#[derive(Debug)]
pub(super) enum Command {
    Find { infohash: InfoHash, waits: Waits, peers: mpsc::Sender<SocketAddr> },
    Announce { infohash: InfoHash, what: Announced },
    Withdraw { infohash: InfoHash },
    Proved { infohash: InfoHash },
    Pace(Pace),
}

/// Something that the thread was told.
#[derive(Debug)]
pub(super) enum News {
    Command(Command),
    /// The bootstrap hosts' addresses, as far as they were found.
    Resolved(Vec<SocketAddr>),
    Cancelled,
}

/// All that may be told; see [`Inbox::poll`].
#[derive(Debug)]
pub(super) struct Inbox {
    /// None once all handles are gone; the crawler goes on.
    commands: Option<mpsc::Receiver<Command>>,
    cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
    resolving: Option<JoinHandle<Vec<SocketAddr>>>,
}

impl Inbox {
    pub fn new(commands: mpsc::Receiver<Command>, cancel: CancellationToken) -> Self {
        Self { commands: Some(commands), cancelled: Box::pin(cancel.cancelled_owned()), resolving: None }
    }

    /// Waits for these addresses, too. [`Self::poll`] is to be called soon, or nobody is woken by them.
    pub fn await_resolved(&mut self, resolving: JoinHandle<Vec<SocketAddr>>) {
        if let Some(before) = self.resolving.replace(resolving) {
            before.abort();
        }
    }

    /// The next of it. None if there is nothing: then `bell` is woken when there is. Not to be called again after
    /// [`News::Cancelled`].
    pub fn poll(&mut self, bell: &Waker) -> Option<News> {
        let mut context = Context::from_waker(bell);
        if self.cancelled.as_mut().poll(&mut context).is_ready() {
            return Some(News::Cancelled);
        }
        if let Some(commands) = &mut self.commands {
            match commands.poll_recv(&mut context) {
                Poll::Ready(Some(command)) => return Some(News::Command(command)),
                Poll::Ready(None) => self.commands = None,
                Poll::Pending => {}
            }
        }
        if let Some(resolving) = &mut self.resolving
            && let Poll::Ready(resolved) = Pin::new(resolving).poll(&mut context)
        {
            self.resolving = None;
            return Some(News::Resolved(resolved.unwrap_or_default()));
        }
        None
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        if let Some(resolving) = &self.resolving {
            resolving.abort();
        }
    }
}
