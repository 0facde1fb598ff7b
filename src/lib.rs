//! Silverstream: a music jukebox for single-board computers that lives in the BitTorrent network.
//!
//! # The way of the data
//!
//! ```text
//! Mainline DHT ─▶ crawler ─▶ metadata ─▶ catalogue ─▶ search ─▶ player ─▶ swarm ─▶ audio ─▶ ALSA
//!  (UDP)          sightings   BEP 9        SQLite       words     queue     pieces    PCM      sound
//!                                                                 ▲         │
//!                    panel (knob, screen) ─▶ ui ──────────────────┤         ▼
//!                    control (CLI, later web, MPD) ───────────────┘         library: budget, eviction
//! ```
//!
//! # The rooms
//!
//! | room | what lives there | may know |
//! |---|---|---|
//! | [`types`] | identifiers, sizes, time as a value | nothing |
//! | [`budget`] | how much the work in the background may take of the machine, as pure functions | types |
//! | [`bencode`] | the format of all messages and files of BitTorrent, read from strangers and written | nothing |
//! | [`config`] | `silverstream.toml` and the board profile, read once into checked types | types |
//! | [`dht`] | one Mainline DHT node without sockets or clocks | bencode, types |
//! | [`crawler`] | many nodes, their sockets, what they hear | dht, config (how ids are placed), types |
//! | [`metadata`] | infohash and peers → info dictionary → is it music? → clean names | bencode, types |
//! | [`catalogue`] | the SQLite store: sightings, torrents, tracks, full text, what is on disk | types |
//! | [`search`] | a typed or dialled query → ranked tracks; the letters that still have hits | catalogue (read), control types, types |
//! | [`swarm`] | the only room that names librqbit's session: stream a file, seed, publish a folder | bencode, types |
//! | [`library`] | what stays on disk: budget and eviction, as pure functions | types |
//! | [`audio`] | decode, convert, ring buffer, output (ALSA, WAV, null) | nothing |
//! | [`control`] | the one command set and state of a running jukebox, served over a Unix socket | types |
//! | [`player`] | queue and playback as a pure state machine, start-up heuristic, prefetch; songs come through a trait | audio, control types, types |
//! | [`panel`] | display, knob, buttons, serial front panel: traits, drivers, simulated ones | control types (the picture), types |
//! | [`ui`] | screens as pure functions of a state; gestures → commands | panel traits, control types, types |
//! | [`system`] | what is told to the operating system and asked of it: service manager, liveness of the tasks, settings of the first boot, health of the board, trace rings, reports | config, control types, types |
//! | [`lab`] | experiments and the private worlds that they and the demo run in | all |
//! | [`jukebox`] | builds the rooms and joins them; the only place where everything meets | all |
//! | [`cli`] | one file a subcommand | control, jukebox, lab, panel (to draw), system, config, types |
//!
//! Never: a core that reads the clock, the network or the disk; SQL outside [`catalogue`]; librqbit's session outside
//! [`swarm`]; a pixel position outside [`ui`]; a policy that owns I/O; an import that runs against the arrow.

pub mod audio;
pub mod bencode;
pub mod budget;
pub mod catalogue;
pub mod cli;
pub mod config;
pub mod control;
pub mod crawler;
pub mod dht;
pub mod jukebox;
pub mod lab;
pub mod library;
pub mod metadata;
pub mod panel;
pub mod player;
pub mod search;
pub mod swarm;
pub mod system;
pub mod types;
pub mod ui;
