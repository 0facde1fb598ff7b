//! The way out: cable or Wi-Fi.

use std::path::PathBuf;

use super::Machine;
use crate::system::finding::Finding;

/// Below this a song that is fetched over Wi-Fi stutters, in dBm.
const WEAK: f64 = -75.0;

/// The network that silverstream.toml names. The jukebox may not read it, but see that it is there.
const WIFI_SETTINGS: &str = "data/system/wpa_supplicant.conf";

/// Why a Wi-Fi that was set up is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WifiTrouble {
    /// The kernel has no driver for it, or no firmware.
    NoInterface,
    /// There is one without a network. Whether it is out of reach or refuses the password, the kernel does not tell.
    NotJoined,
}

impl WifiTrouble {
    /// For the display.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::NoInterface => "No Wi-Fi: the card has no firmware for this board's chip. See board/card.md.",
            Self::NotJoined => "Wi-Fi is not joined. Check name, password and country; it needs WPA2, mostly 2.4 GHz.",
        }
    }

    fn finding(self) -> Finding {
        let (found, remedy) = match self {
            Self::NoInterface => (
                "Wi-Fi is set up, and the board shows none",
                "its chip needs firmware that this image lacks: build it with IMAGE_FIRMWARE (image/README.md), or plug in a \
                 cable; `dmesg` names the files",
            ),
            Self::NotJoined => (
                "Wi-Fi is set up and not joined",
                "the network is out of reach, has another password, or lets in with WPA3 or at 5 GHz only: check [wifi] in \
                 silverstream.toml; `journalctl -u wpa_supplicant@wlan0` says which (WRONG_KEY: the password)",
            ),
        };
        Finding::warning("network", found, remedy)
    }
}

/// What keeps the Wi-Fi away that was set up; nothing where another network is up.
pub fn wifi_trouble(machine: &Machine) -> Option<WifiTrouble> {
    let interfaces = machine.folders("sys/class/net", "");
    let is_up = |folder: &PathBuf| machine.read(folder.join("operstate")).as_deref() == Some("up");
    if !machine.has(WIFI_SETTINGS) || interfaces.iter().any(is_up) {
        return None;
    }
    // cfg80211 makes this link in the folder of each of its interfaces.
    let is_wireless = |folder: &PathBuf| machine.has(folder.join("phy80211"));
    Some(if interfaces.iter().any(is_wireless) { WifiTrouble::NotJoined } else { WifiTrouble::NoInterface })
}

pub fn link(machine: &Machine) -> Finding {
    let interfaces = machine.folders("sys/class/net", "");
    let up: Vec<String> = interfaces
        .iter()
        .filter(|folder| machine.read(folder.join("operstate")).as_deref() == Some("up"))
        .filter_map(|folder| folder.file_name()?.to_str().map(str::to_owned))
        .filter(|name| name != "lo")
        .collect();
    let wireless = machine.read("proc/net/wireless").unwrap_or_default();
    if let Some((name, quality, level)) = wireless.lines().find_map(read) {
        if up.iter().any(|other| *other != name) {
            return Finding::good("network", format!("{} is up", up.join(" and ")));
        }
        let found = format!("Wi-Fi {name}: {level:.0} dBm, quality {quality:.0} of 70");
        if level < WEAK {
            return Finding::warning("network", found, "move jukebox or access point, or use a cable; metal shields");
        }
        return Finding::good("network", found);
    }
    if let Some(trouble) = wifi_trouble(machine) {
        return trouble.finding();
    }
    if up.is_empty() {
        let remedy = "plug in a cable, or write [wifi] into silverstream.toml; `networkctl` and `journalctl -u \
                      wpa_supplicant@wlan0` say more. What is on the card plays without";
        return Finding::warning("network", "no interface is up", remedy);
    }
    Finding::good("network", format!("{} is up", up.join(" and ")))
}

/// ` wlan0: 0000   54.  -56.  -256        0 …`
fn read(line: &str) -> Option<(String, f64, f64)> {
    let (name, rest) = line.split_once(':')?;
    let mut words = rest.split_whitespace().skip(1).map(|word| word.trim_end_matches('.').parse::<f64>());
    Some((name.trim().to_owned(), words.next()?.ok()?, words.next()?.ok()?))
}
