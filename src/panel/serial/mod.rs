//! A front panel of its own on a serial line: a microcontroller with display and knob.
//!
//! The protocol is described in `board/serial-panel.md`; its codec is in [`codec`], what firmware does with it in
//! [`device`], and [`emulator`] is a panel made of both for people and tests.

pub mod codec;
pub mod device;
pub mod emulator;
pub mod line;
mod link;
#[cfg(test)]
mod tests;

pub use link::{SerialPanel, open};
