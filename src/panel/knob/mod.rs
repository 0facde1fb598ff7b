//! From levels on wires to gestures, without wires and clocks.
//!
//! [`Contact`] rids a switch of its bounces, [`Quadrature`] follows the two contacts of a rotary encoder (EC11 and
//! kin), [`Button`] tells presses apart, [`Acceleration`] knows how fast a hand turns, and [`Knob`] joins them for the
//! edges that the kernel reports. Times are those of the edges, so that a thread that comes late decides the same.

pub mod bench;
mod button;
mod contact;
mod decoder;
pub mod kernel;
mod quadrature;
mod speed;
#[cfg(test)]
mod tests;
mod watch;

pub use button::{Button, DEBOUNCE, DOUBLE, HOLD};
pub use contact::Contact;
pub use decoder::{Edge, Knob, Lines, Losses};
pub use quadrature::{Levels, Quadrature, Steps};
pub use speed::Acceleration;
pub use watch::{Contacts, Watcher};
