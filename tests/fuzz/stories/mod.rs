//! Stories of what happens to the DHT when strangers send whatever they like.
//!
//! A story is a string of bytes: each step takes what it needs, and where bytes lack there are zeros, so any string is a
//! story and a fuzzer can write them. Telling one panics where the code does, or breaks what its documentation promises.

pub mod core;
mod input;
pub mod krpc;
mod letters;
pub mod node;
mod wire;
