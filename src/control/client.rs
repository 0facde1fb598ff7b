//! The blocking client that the command line uses; the protocol is described in [`wire`].

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::wire::{self, MAX_REPLY_BYTES};
use super::{Command, Reply};

/// How long the jukebox may take for a command.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long it may take where files have to be hashed or metadata fetched.
const LONG_PATIENCE: Duration = Duration::from_secs(1800);

/// Why a command did not reach the jukebox, or its answer did not come back.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no socket, or nobody listens on it.
    #[error(
        "no jukebox is running at {path}; start one with `silverstream run`, or name its socket with --socket PATH or SILVERSTREAM_SOCKET"
    )]
    NotRunning { path: PathBuf },
    /// The socket is not ours to use.
    #[error(
        "you may not use the jukebox at {path}; run the command with sudo, or add yourself to the group that owns the socket (`ls -l {path}` shows it)"
    )]
    NotAllowed { path: PathBuf },
    /// The jukebox did not answer.
    #[error("the jukebox at {path} gave no answer for {seconds} s; look at its log, and restart it if it hangs")]
    NoAnswer { path: PathBuf, seconds: u64 },
    /// The jukebox ended, or sent the client away.
    #[error(
        "the jukebox at {path} closed the connection; it may be shutting down: try again, or start it with `silverstream run`"
    )]
    Closed { path: PathBuf },
    /// What came back is not a reply.
    #[error(
        "what answers at {path} does not speak this program's protocol ({reason}); check the path, and that jukebox and command are of one version"
    )]
    NotUnderstood { path: PathBuf, reason: String },
    /// Anything else.
    #[error("cannot talk to the jukebox at {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

/// A connection to a running jukebox.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
    path: PathBuf,
}

impl Client {
    /// Connects to the socket at `path`.
    ///
    /// # Errors
    /// If no jukebox runs there, or it may not be used.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let path = path.to_owned();
        match UnixStream::connect(&path) {
            Ok(stream) => Ok(Self { stream: BufReader::new(stream), path }),
            Err(source) => Err(match source.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NotRunning { path },
                io::ErrorKind::PermissionDenied => ClientError::NotAllowed { path },
                _ => ClientError::Io { path, source },
            }),
        }
    }

    /// Sends a command and waits for its answer, which may be [`Reply::Error`].
    ///
    /// # Errors
    /// If the jukebox is gone, silent, or not a jukebox. The connection is of no use afterwards.
    pub fn send(&mut self, command: &Command) -> Result<Reply, ClientError> {
        let patience = match command {
            Command::Add { .. } | Command::Share { .. } => LONG_PATIENCE,
            _ => PATIENCE,
        };
        self.exchange(command, patience)
    }

    fn exchange(&mut self, command: &Command, patience: Duration) -> Result<Reply, ClientError> {
        let stream = self.stream.get_mut();
        let prepared = stream.set_read_timeout(Some(patience)).and_then(|()| stream.set_write_timeout(Some(patience)));
        // A jukebox that sends the client away has closed its side before the command arrives, yet its reason can be read.
        let written = prepared.and_then(|()| stream.write_all(&wire::encode_command(command)));
        let mut line = Vec::new();
        let read = (&mut self.stream).take(MAX_REPLY_BYTES as u64).read_until(b'\n', &mut line);
        match read {
            Ok(_) if line.ends_with(b"\n") => {}
            Ok(_) if line.len() >= MAX_REPLY_BYTES => return Err(self.not_understood("its answer has no end")),
            Ok(_) => return Err(ClientError::Closed { path: self.path.clone() }),
            Err(error) => return Err(self.failed(written.err().unwrap_or(error), patience)),
        }
        wire::decode_reply(&line).map_err(|error| self.not_understood(&error.to_string()))
    }

    fn not_understood(&self, reason: &str) -> ClientError {
        ClientError::NotUnderstood { path: self.path.clone(), reason: reason.to_owned() }
    }

    fn failed(&self, source: io::Error, patience: Duration) -> ClientError {
        let path = self.path.clone();
        match source.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                ClientError::NoAnswer { path, seconds: patience.as_secs() }
            }
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => ClientError::Closed { path },
            _ => ClientError::Io { path, source },
        }
    }
}
