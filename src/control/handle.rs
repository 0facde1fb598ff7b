//! The in-process end of the control: a bounded channel to the jukebox and a view of its state.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::{Command, CommandError, ErrorCode, Reply, Status};

/// Commands that wait at most; a face that sends one more waits until there is room.
const COMMAND_CAPACITY: usize = 64;

/// A command on its way to the jukebox.
#[derive(Debug)]
pub struct Request {
    pub command: Command,
    /// Dropped without an answer only when the jukebox shuts down.
    pub reply: oneshot::Sender<Reply>,
}

/// What a face holds of the jukebox.
#[derive(Debug, Clone)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
    status: watch::Receiver<Arc<Status>>,
}

/// A handle for faces and the receiving end for the jukebox; `status` is where the jukebox publishes its state.
pub fn channel(status: watch::Receiver<Arc<Status>>) -> (Handle, mpsc::Receiver<Request>) {
    let (requests, receiver) = mpsc::channel(COMMAND_CAPACITY);
    (Handle { requests, status }, receiver)
}

impl Handle {
    /// Sends a command and waits for its answer.
    pub async fn send(&self, command: Command) -> Reply {
        let (reply, answer) = oneshot::channel();
        let gone = || {
            Reply::Error(CommandError {
                code: ErrorCode::NotNow,
                message: "the jukebox is shutting down; start it again with `silverstream run`".to_owned(),
            })
        };
        if self.requests.send(Request { command, reply }).await.is_err() {
            return gone();
        }
        answer.await.unwrap_or_else(|_| gone())
    }

    /// The state, as it was last published; changes can be awaited.
    pub fn status(&self) -> watch::Receiver<Arc<Status>> {
        self.status.clone()
    }
}
