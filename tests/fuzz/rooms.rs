//! The rooms of the jukebox that are fuzzed, and nothing else of it: so this is built in a minute, and all that the fuzzer
//! counts as reached is of these rooms.

extern crate self as silverstream;

#[path = "../../src/bencode/mod.rs"]
pub mod bencode;
#[path = "../../src/config/mod.rs"]
pub mod config;
#[path = "../../src/crawler/mod.rs"]
pub mod crawler;
#[path = "../../src/dht/mod.rs"]
pub mod dht;
#[path = "../../src/types/mod.rs"]
pub mod types;

pub mod stories;
