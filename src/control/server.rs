//! Serves a [`Handle`] over a Unix socket; the protocol is described in [`wire`].

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::wire;
use super::{CommandError, ErrorCode, Handle, Reply};
use crate::types::Tick;

/// Owner and group may read and write, that is connect; nobody else.
const SOCKET_MODE: u32 = 0o660;

/// Pause after a failed `accept`, for example while the process has no file descriptors left.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Longest path of a Unix socket on Linux in bytes (`sun_path` of unix(7), without the closing zero).
const MAX_PATH_BYTES: usize = 107;

/// What one server grants.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Clients connected at once; one more is told so and sent away.
    pub connections: usize,
    /// A client that sends no whole line, or takes none of its answer, for this long is disconnected.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 32, idle: Duration::from_secs(300) }
    }
}

/// Why the control socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Another jukebox answers there.
    #[error(
        "a jukebox is already running at {path}; stop it first, or give this one another socket with [control] socket"
    )]
    AlreadyRunning { path: PathBuf },
    /// Something that is not a socket lies there.
    #[error("{path} exists and is not a socket; move it away, or choose another path with [control] socket")]
    NotASocket { path: PathBuf },
    /// The system's bound on socket paths.
    #[error("the socket path {path} is longer than {MAX_PATH_BYTES} bytes; choose a shorter one with [control] socket")]
    PathTooLong { path: PathBuf },
    /// The system refused.
    #[error(
        "cannot open the control socket {path}: {source}; check that its folder exists and is writable, or choose another path with [control] socket"
    )]
    Io { path: PathBuf, source: io::Error },
}

/// A bound control socket. Dropping it removes the socket, unless another process has put its own there.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
    tick: Tick,
    /// Held while this jukebox lives: two that start at the same moment cannot both think the socket is stale.
    _lock: File,
}

impl Server {
    /// Binds the socket at `path` with mode 0660. A socket that a dead process left is replaced.
    ///
    /// # Errors
    /// If a jukebox lives there, or the system refuses.
    pub fn bind(path: &Path) -> Result<Self, ServerError> {
        let path = path.to_owned();
        if path.as_os_str().len() > MAX_PATH_BYTES {
            return Err(ServerError::PathTooLong { path });
        }
        let lock = lock(&path)?;
        refuse_if_occupied(&path)?;
        let io_error = |source| ServerError::Io { path: path.clone(), source };
        // Bound under another name first: the socket is never reachable with a wider mode, nor missing while replaced.
        let unborn = path.with_file_name(format!(".s{}", std::process::id() % 100_000));
        if unborn.as_os_str().len() > MAX_PATH_BYTES {
            return Err(ServerError::PathTooLong { path });
        }
        remove_if_there(&unborn).map_err(io_error)?;
        let listener = UnixListener::bind(&unborn).map_err(io_error)?;
        let placed = fs::set_permissions(&unborn, fs::Permissions::from_mode(SOCKET_MODE))
            .and_then(|()| fs::rename(&unborn, &path))
            .and_then(|()| fs::symlink_metadata(&path));
        match placed {
            Ok(metadata) => Ok(Self { listener, path, inode: metadata.ino(), tick: Tick::default(), _lock: lock }),
            Err(source) => {
                let _ = fs::remove_file(&unborn);
                Err(ServerError::Io { path, source })
            }
        }
    }

    /// Has it tick as often as it looks for clients.
    pub fn ticking(mut self, tick: Tick) -> Self {
        self.tick = tick;
        self
    }

    /// Answers clients until `cancel`; then lets commands that are being carried out send their answer.
    pub async fn serve(self, handle: Handle, limits: Limits, cancel: CancellationToken) {
        let permits = Arc::new(Semaphore::new(limits.connections));
        let tasks = TaskTracker::new();
        loop {
            self.tick.tick();
            let accepted = tokio::select! {
                () = cancel.cancelled() => break,
                () = tokio::time::sleep(Tick::IDLE) => continue,
                accepted = self.listener.accept() => accepted,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    warn!(%error, "cannot accept a control connection");
                    tokio::select! {
                        () = cancel.cancelled() => break,
                        () = tokio::time::sleep(ACCEPT_RETRY) => continue,
                    }
                }
            };
            let Ok(permit) = permits.clone().try_acquire_owned() else {
                refuse(&stream, limits.connections);
                continue;
            };
            let (handle, cancel) = (handle.clone(), cancel.clone());
            tasks.spawn(async move {
                Connection::new(stream, handle, limits.idle).run(cancel).await;
                drop(permit);
            });
        }
        tasks.close();
        tasks.wait().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|metadata| metadata.ino() == self.inode);
        if ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Takes the lock that a live jukebox holds. The file stays: removing it would let two processes lock two files.
fn lock(path: &Path) -> Result<File, ServerError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let io_error = |source| ServerError::Io { path: path.to_owned(), source };
    let file = File::options().create(true).append(true).open(PathBuf::from(name)).map_err(io_error)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(ServerError::AlreadyRunning { path: path.to_owned() }),
        Err(fs::TryLockError::Error(source)) => Err(io_error(source)),
    }
}

/// An error unless nothing, or a socket that nobody listens on, is at `path`.
fn refuse_if_occupied(path: &Path) -> Result<(), ServerError> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(ServerError::Io { path: path.to_owned(), source }),
        Ok(metadata) => metadata,
    };
    if !metadata.file_type().is_socket() {
        return Err(ServerError::NotASocket { path: path.to_owned() });
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(ServerError::AlreadyRunning { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(source) => Err(ServerError::Io { path: path.to_owned(), source }),
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Tells a client beyond the bound why it is sent away; the line fits the socket's empty buffer or is lost.
fn refuse(stream: &UnixStream, connections: usize) {
    let reply = Reply::Error(CommandError {
        code: ErrorCode::Full,
        message: format!("{connections} programs already talk to the jukebox, which is its bound; try again soon"),
    });
    let _ = stream.try_write(&wire::encode_reply(&reply));
}

/// One client.
struct Connection {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    handle: Handle,
    idle: Duration,
}

/// What came from a client.
enum Line {
    Whole(Vec<u8>),
    TooLong,
    End,
}

impl Connection {
    fn new(stream: UnixStream, handle: Handle, idle: Duration) -> Self {
        let (reader, writer) = stream.into_split();
        Self { reader: BufReader::new(reader), writer, handle, idle }
    }

    async fn run(mut self, cancel: CancellationToken) {
        loop {
            let line = tokio::select! {
                () = cancel.cancelled() => return,
                line = timeout(self.idle, read_line(&mut self.reader)) => line,
            };
            let reply = match line {
                Err(_) => return debug!("control client was silent for too long"),
                Ok(Err(error)) => return debug!(%error, "control client went away"),
                Ok(Ok(Line::End)) => return,
                Ok(Ok(Line::TooLong)) => {
                    let message =
                        format!("a command has at most {} bytes; send less at a time", wire::MAX_COMMAND_BYTES);
                    let _ = self.answer(&Reply::Error(CommandError { code: ErrorCode::Usage, message })).await;
                    return;
                }
                Ok(Ok(Line::Whole(line))) if line.trim_ascii().is_empty() => continue,
                Ok(Ok(Line::Whole(line))) => match wire::decode_command(&line) {
                    Ok(command) => self.handle.send(command).await,
                    Err(error) => Reply::Error(error),
                },
            };
            if let Err(error) = self.answer(&reply).await {
                return debug!(%error, "control client did not take its answer");
            }
        }
    }

    async fn answer(&mut self, reply: &Reply) -> io::Result<()> {
        let line = wire::encode_reply(reply);
        timeout(self.idle, self.writer.write_all(&line)).await.map_err(io::Error::other)?
    }
}

/// Reads up to the end of a line, holding at most [`wire::MAX_COMMAND_BYTES`]. A last line without end is not whole.
async fn read_line(reader: &mut BufReader<OwnedReadHalf>) -> io::Result<Line> {
    let mut line = Vec::new();
    loop {
        let chunk = reader.fill_buf().await?;
        if chunk.is_empty() {
            return Ok(Line::End);
        }
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(chunk.len(), |end| end + 1);
        if line.len() + taken > wire::MAX_COMMAND_BYTES {
            return Ok(Line::TooLong);
        }
        line.extend_from_slice(&chunk[..taken]);
        reader.consume(taken);
        if end.is_some() {
            return Ok(Line::Whole(line));
        }
    }
}
