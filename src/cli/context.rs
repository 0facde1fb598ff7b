//! What all subcommands share: where the jukebox is, how output is wanted, how failures end.

use std::io::{self, Write};
use std::path::PathBuf;

use serde::Serialize;

use crate::config::{ConfigError, ControlConfig};
use crate::control::client::{Client, ClientError};
use crate::control::{Command, CommandError, ErrorCode, Reply};
use crate::system::setup::Mistake;

/// Why a subcommand did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The jukebox said no.
    #[error("{}", .0.message)]
    Refused(CommandError),
    /// It answered something that does not fit the question.
    #[error("the jukebox gave an answer of another kind ({0}); are command and jukebox of one version?")]
    Unexpected(String),
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A configuration with mistakes.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Mistakes(Vec<Mistake>),
    /// What was typed cannot be meant.
    #[error("{0}")]
    Usage(String),
    /// Anything else, as a sentence for people.
    #[error("{0}")]
    Other(String),
    /// What has to be written lies on a file system that cannot be written as it is mounted.
    #[error("{} is read-only, and something is to be written there; make it writable and do this again", .0.display())]
    ReadOnly(PathBuf),
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
    /// It was told already what is wrong.
    #[error("see above")]
    Reported,
}

impl Failure {
    /// 1 could not, 2 wrong usage, 3 could not as long as a file system is read-only.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Config(_) | Self::Mistakes(_) => 2,
            Self::Refused(error) if error.code == ErrorCode::Usage => 2,
            Self::ReadOnly(_) => 3,
            _ => 1,
        }
    }

    /// For programs.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Refused(error) => error.code,
            Self::Usage(_) | Self::Config(_) | Self::Mistakes(_) => ErrorCode::Usage,
            _ => ErrorCode::Failed,
        }
    }
}

/// How a subcommand reaches the jukebox and the person.
#[derive(Debug)]
pub struct Context {
    pub json: bool,
    socket: Option<PathBuf>,
}

impl Context {
    pub fn new(json: bool, socket: Option<PathBuf>) -> Self {
        Self { json, socket }
    }

    /// As told, or where the jukebox of the machine listens.
    pub fn socket(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(|| ControlConfig::default().socket)
    }

    /// As told with `--socket` or the environment.
    pub fn chosen_socket(&self) -> Option<&PathBuf> {
        self.socket.as_ref()
    }

    /// Sends the command and gives the answer, unless it is a refusal.
    pub fn ask(&self, command: &Command) -> Result<Reply, Failure> {
        match Client::connect(&self.socket())?.send(command)? {
            Reply::Error(error) => Err(Failure::Refused(error)),
            reply => Ok(reply),
        }
    }

    /// Sends a command that has nothing to tell; says `done` to people and `{"ok":true}` to programs.
    pub fn order(&self, command: &Command, done: &str) -> Result<(), Failure> {
        match self.ask(command)? {
            Reply::Done if self.json => self.print_json(&serde_json::json!({ "ok": true })),
            Reply::Done if done.is_empty() => Ok(()),
            Reply::Done => self.print(done),
            other => Err(unexpected(&other)),
        }
    }

    /// Prints a line.
    pub fn print(&self, line: &str) -> Result<(), Failure> {
        Ok(writeln!(io::stdout().lock(), "{line}")?)
    }

    /// Prints one JSON document on a line.
    pub fn print_json<T: Serialize>(&self, value: &T) -> Result<(), Failure> {
        let text = serde_json::to_string(value).map_err(io::Error::other)?;
        self.print(&text)
    }
}

/// For a reply of the wrong kind.
pub fn unexpected(reply: &Reply) -> Failure {
    let text = format!("{reply:?}");
    Failure::Unexpected(text.split([' ', '(', '{']).next().unwrap_or_default().to_owned())
}
