//! The one command set and state of a running jukebox.
//!
//! Every face (panel, command line, later a web page and MPD) sends a [`Command`] and gets a [`Reply`]; none of them
//! reaches into another room. Over the Unix socket both travel as one JSON document a line: see [`wire`].

pub mod client;
mod handle;
mod message;
pub mod server;
#[cfg(test)]
mod tests;
pub mod wire;

pub use handle::{Handle, Request, channel};
pub use message::*;
