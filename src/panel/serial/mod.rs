//! A front panel of its own on a serial line: a microcontroller with display and knob.
//!
//! The protocol is described in `board/serial-panel.md`; its codec is in [`codec`].

pub mod codec;
mod link;

pub use link::{SerialPanel, open};
