//! How commands and replies travel over the Unix socket.
//!
//! # The protocol
//!
//! A client connects, writes one [`Command`] as a JSON document on one line, and reads one [`Reply`] on one line; then
//! it may write the next. Lines end with `\n` (a `\r` before it is ignored) and are UTF-8. Replies come in the order of
//! the commands. Empty lines are ignored.
//!
//! ```text
//! → {"command":"seek","to":{"relative":-10.0}}
//! ← {"reply":"done"}
//! → {"command":"queue-remove","position":7}
//! ← {"reply":"error","code":"not-found","message":"the queue has 3 songs; there is no position 7"}
//! ```
//!
//! | bound | value | beyond it |
//! |---|---|---|
//! | a command's line | [`MAX_COMMAND_BYTES`] | error reply (`usage`), connection closed |
//! | a reply's line | [`MAX_REPLY_BYTES`] | error reply (`full`) in its place |
//! | connections | [`Limits::connections`](super::server::Limits) | error reply (`full`), connection closed |
//! | silence of a client | [`Limits::idle`](super::server::Limits) | connection closed |
//!
//! A line that is not a command gets an error reply (`usage`) and the connection goes on. Clients must ignore fields
//! that they do not know: fields are added, never renamed.

use super::{Command, CommandError, ErrorCode, Reply};

/// Longest command line in bytes, its end included. Queueing a thousand tracks takes about 45 KiB.
pub const MAX_COMMAND_BYTES: usize = 64 * 1024;

/// Longest reply line in bytes, its end included. A full queue with long titles takes about 1 MiB.
pub const MAX_REPLY_BYTES: usize = 4 * 1024 * 1024;

/// Longest part of a parser's complaint that is repeated to the client, in characters.
const MAX_COMPLAINT_CHARS: usize = 200;

/// Reads one line of a client.
///
/// # Errors
/// The reply to give if the line is not a command.
pub fn decode_command(line: &[u8]) -> Result<Command, CommandError> {
    serde_json::from_slice(line).map_err(|error| CommandError {
        code: ErrorCode::Usage,
        message: format!(
            "this line is not a command of the jukebox ({}); send one JSON document a line, such as {{\"command\":\"status\"}}",
            error.to_string().chars().take(MAX_COMPLAINT_CHARS).collect::<String>()
        ),
    })
}

/// The line for a command, its end included.
pub fn encode_command(command: &Command) -> Vec<u8> {
    let mut line = serde_json::to_vec(command).unwrap_or_default();
    line.push(b'\n');
    line
}

/// The line for a reply, its end included; one that would be longer than [`MAX_REPLY_BYTES`] becomes an error reply.
pub fn encode_reply(reply: &Reply) -> Vec<u8> {
    let error = |code, message: &str| {
        serde_json::to_vec(&Reply::Error(CommandError { code, message: message.to_owned() })).unwrap_or_default()
    };
    let mut line = match serde_json::to_vec(reply) {
        Ok(line) if line.len() < MAX_REPLY_BYTES => line,
        Ok(_) => error(ErrorCode::Full, "the answer is too large for one line; ask for less at a time"),
        Err(_) => error(ErrorCode::Failed, "the answer could not be written as JSON; see the log of the jukebox"),
    };
    line.push(b'\n');
    line
}

/// Reads one line of the jukebox.
///
/// # Errors
/// If it is not a reply.
pub fn decode_reply(line: &[u8]) -> Result<Reply, serde_json::Error> {
    serde_json::from_slice(line)
}
