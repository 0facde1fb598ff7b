//! The one command set and state of a running jukebox.
//!
//! Every face (panel, command line, later a web page and MPD) sends a [`Command`] and gets a [`Reply`]; none of them
//! reaches into another room. Over the Unix socket both travel as one JSON document a line.

mod handle;
mod message;

pub use handle::{Handle, Request, channel};
pub use message::*;
