//! The state of a running jukebox, part by part.

use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};

use super::TrackInfo;
use crate::types::TrackId;

/// The state of a running jukebox.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    pub version: String,
    /// Name of the board profile.
    pub board: String,
    pub uptime_s: u64,
    pub memory: MemoryStatus,
    /// What the process may take of the machine.
    pub limits: LimitsStatus,
    pub dht: DhtStatus,
    /// How much the work in the background is let do, and why.
    pub budget: BudgetStatus,
    pub index: IndexStatus,
    pub player: PlayerStatus,
    pub storage: StorageStatus,
    pub seeding: SeedingStatus,
    pub network: NetworkStatus,
    /// The slot that was to run and was left since it was never up for a whole minute, where there are slots.
    pub left_slot: Option<String>,
    pub panel: PanelStatus,
    /// The tasks of the process, for those who look for a fault.
    pub tasks: Vec<TaskStatus>,
    /// What is not right with the settings of the machine, as sentences with file and line.
    pub problems: Vec<String>,
}

/// How the machine is connected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkStatus {
    /// Address in the local network; none where there is no network.
    pub address: Option<String>,
    /// Name that the machine is found under in it.
    pub name: Option<String>,
    /// Whether a cable is connected.
    pub cable: bool,
    /// The Wi-Fi that was set up.
    pub wifi: Option<WifiStatus>,
}

/// A Wi-Fi that was set up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WifiStatus {
    pub name: String,
    pub state: WifiState,
}

/// How far it has come with a Wi-Fi.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WifiState {
    Joined,
    /// It is not in range, or of a kind that is not joined.
    #[default]
    Searching,
    WrongPassword,
    /// For another reason than the password, or without one.
    Refused,
    /// The kernel has no driver for the board's Wi-Fi, or no firmware.
    NoDriver,
}

/// A task of the process. Rounds that stand still while there is work, or restarts, are a fault.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStatus {
    pub name: String,
    /// Rounds of its loop.
    pub rounds: u64,
    pub restarts: u64,
}

/// Memory of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemoryStatus {
    /// Resident set.
    pub rss_bytes: u64,
}

/// What the system holds the process to; none where it does not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LimitsStatus {
    /// Beyond it the process is slowed down and pages are taken from it.
    pub memory_high_bytes: Option<u64>,
    /// Beyond it the process is ended.
    pub memory_bytes: Option<u64>,
    /// Processor time in a while, in cores.
    pub cores: Option<f64>,
}

/// What the crawler does and hears. Counters are since the start of the process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DhtStatus {
    /// Nodes at work.
    pub nodes: u32,
    /// Contacts in all routing tables together.
    pub contacts: u64,
    pub datagrams_in: u64,
    pub datagrams_out: u64,
    pub sightings: u64,
    /// Infohashes that were not known to be credible, by what made them so: others asked us for peers, announced themselves to
    /// us, or showed samples of what they store.
    pub found_by_get_peers: u64,
    pub found_by_announces: u64,
    pub found_by_samples: u64,
    /// Distinct infohashes in the catalogue.
    pub infohashes: u64,
    /// Datagrams and sightings that were malformed, out of scope or beyond a bound.
    pub dropped: u64,
    /// Questions that were put off, and answers that were not given, since the remote, the router or the line had enough of
    /// us.
    pub questions_withheld: u64,
    pub answers_withheld: u64,
    /// Flows that a router has to translate now.
    pub flows: u64,
    /// Datagrams to nodes that are not at work.
    pub shed: u64,
}

/// How much of the machine the work in the background takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BudgetStatus {
    /// DHT nodes at work, and those that would be if nothing pressed.
    pub nodes: u32,
    pub nodes_wanted: u32,
    /// Nodes of others that are asked for samples, a second.
    pub samples_per_s: u32,
    /// Torrents whose metadata is fetched at once.
    pub workers: u32,
    /// Why not more or less: settled, trying, returning, playback, sound, busy, share, memory, uplink.
    pub reason: String,
    /// The same for a small screen; empty if there is nothing to say.
    pub short: String,
    /// The same as a sentence.
    pub sentence: String,
    /// Decisions that changed something, since the start of the process.
    pub changes: u64,
}

/// What is indexed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IndexStatus {
    /// Infohashes whose metadata is still to be fetched.
    pub queued: u64,
    /// Metadata fetched since the start of the process.
    pub fetched: u64,
    /// Attempts that failed since the start of the process.
    pub failed: u64,
    /// Torrents with music in the catalogue.
    pub torrents: u64,
    pub tracks: u64,
    /// Torrents remembered as having no music.
    pub not_music: u64,
    /// Size of the catalogue on disk.
    pub bytes: u64,
}

/// Whether there is sound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlayState {
    #[default]
    Stopped,
    /// A track is chosen and its beginning is being fetched, or the data ran out.
    Buffering,
    Playing,
    Paused,
}

/// The way of the last started track from the command to the first sample, in milliseconds; their sum is `startup_ms`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StartupStatus {
    /// Until its torrent was known and in the session and room was made for it.
    pub opening_ms: f64,
    /// Until the first bytes of the sound were there: peers and the first piece.
    pub first_bytes_ms: f64,
    /// Until enough was there that it would last.
    pub enough_ms: f64,
    /// Until the decoder had read and the output taken the first sample.
    pub sound_ms: f64,
}

/// What plays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlayerStatus {
    pub state: PlayState,
    /// In JSON its fields stand beside the others, `track` being the identifier, `null` without one.
    #[serde(flatten, serialize_with = "track_or_null")]
    pub track: Option<TrackInfo>,
    /// What has been heard.
    pub position_s: f64,
    /// 0 if not known yet.
    pub duration_s: f64,
    /// Downloaded and not yet heard, in playing time.
    pub buffered_s: f64,
    /// From the command to the first sample handed to the output, for the last started track.
    pub startup_ms: Option<f64>,
    /// What that time was spent on.
    pub startup: Option<StartupStatus>,
    /// Times the output ran dry since the start of the process.
    pub underruns: u64,
    /// Percent.
    pub volume: u8,
    /// Tracks behind this one.
    pub queued: u32,
    /// What went wrong last with playback, for people. Why a song was skipped stays while the next one plays.
    pub problem: Option<String>,
}

fn track_or_null<S: Serializer>(track: &Option<TrackInfo>, serializer: S) -> Result<S::Ok, S::Error> {
    match track {
        Some(info) => info.serialize(serializer),
        None => {
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_entry("track", &None::<TrackId>)?;
            map.end()
        }
    }
}

/// What lies on the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StorageStatus {
    /// Blocks that the music takes.
    pub used_bytes: u64,
    pub budget_bytes: u64,
    /// Since the start of the process.
    pub evicted_bytes: u64,
}

/// What is given back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SeedingStatus {
    pub torrents: u64,
    /// Since the start of the process.
    pub uploaded_bytes: u64,
    /// Since the start of the process.
    pub downloaded_bytes: u64,
    /// Peers connected now.
    pub peers: u64,
}

/// What has come from the knobs of the panel since the start of the process, whichever they are: to see whether each detent
/// counts, and on the right side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PanelStatus {
    /// Detents turned clockwise.
    pub clockwise: u64,
    /// Detents turned the other way.
    pub counterclockwise: u64,
}

impl PanelStatus {
    /// Counts a turn, clockwise positive.
    pub fn turned(&mut self, detents: i32) {
        let side = if detents > 0 { &mut self.clockwise } else { &mut self.counterclockwise };
        *side += u64::from(detents.unsigned_abs());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::InfoHash;

    #[test]
    fn the_status_has_the_documented_shape_with_and_without_a_track() {
        let mut status = Status::default();
        let json = serde_json::to_value(&status).unwrap();
        assert_eq!(json["player"].get("track"), Some(&serde_json::Value::Null));
        for (section, fields) in [
            ("memory", &["rss_bytes"][..]),
            ("dht", &["nodes", "contacts", "datagrams_in", "datagrams_out", "sightings", "infohashes"]),
            ("index", &["queued", "fetched", "failed", "torrents", "tracks", "bytes"]),
            ("budget", &["nodes", "nodes_wanted", "samples_per_s", "workers", "reason", "sentence", "changes"]),
            ("player", &["state", "position_s", "duration_s", "buffered_s", "startup_ms", "underruns"]),
            ("storage", &["used_bytes", "budget_bytes", "evicted_bytes"]),
            ("seeding", &["torrents", "uploaded_bytes"]),
            ("network", &["address", "name", "cable", "wifi"]),
            ("limits", &["memory_high_bytes", "memory_bytes", "cores"]),
            ("panel", &["clockwise", "counterclockwise"]),
        ] {
            for field in fields {
                assert!(json[section].get(field).is_some(), "{section}.{field}");
            }
        }
        let track = TrackId { infohash: InfoHash([7; 20]), file: 3 };
        let text = || "x".to_owned();
        status.player.track =
            Some(TrackInfo { track, title: text(), artist: text(), album: text(), format: text(), bytes: 1 });
        let json = serde_json::to_value(&status).unwrap();
        assert_eq!(json["player"]["track"], track.to_string());
        for status in [Status::default(), status] {
            let json = serde_json::to_string(&status).unwrap();
            assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), status);
        }
    }
}
