//! The way out: cable or Wi-Fi.

use std::path::{Path, PathBuf};

use super::{Machine, NET};
use crate::control::{NetworkStatus, WifiState, WifiStatus};
use crate::system::finding::Finding;
use crate::system::setup::WIFI_NAME;

/// Below this a song that is fetched over Wi-Fi stutters, in dBm.
const WEAK: f64 = -75.0;

/// Where what was taken over of silverstream.toml is, on a card of its own.
const TAKEN_OVER: &str = "data/system";

/// The network that silverstream.toml names. The jukebox may not read it, but see that it is there.
const WIFI_SETTINGS: &str = "data/system/wpa_supplicant.conf";

/// One word of the image's `join-wifi`: how far wpa_supplicant has come.
const WIFI_WORD: &str = "run/silverstream-wifi";

/// Host names: of the settings, and of other systems. A service whose name is protected does not see a change of it.
const HOSTNAMES: [&str; 2] = ["data/system/hostname", "etc/hostname"];

/// Where one of these is, somebody answers to the host name with `.local` behind it (mDNS).
const RESPONDERS: [&str; 2] = [TAKEN_OVER, "run/avahi-daemon"];

/// What there is to know of it.
pub fn status(machine: &Machine) -> NetworkStatus {
    let name = HOSTNAMES.iter().find_map(|path| machine.read(path)).filter(|name| !name.is_empty());
    let suffix = if RESPONDERS.iter().any(|path| machine.has(path)) { ".local" } else { "" };
    let is_cable = |folder: &PathBuf| !is_wireless(machine, folder) && machine.has(folder.join("device"));
    NetworkStatus {
        address: super::address::of(machine).map(|address| address.to_string()),
        name: name.map(|name| name + suffix),
        cable: up(machine).iter().any(is_cable),
        wifi: wifi_state(machine).map(|state| {
            let name = machine.read(Path::new(TAKEN_OVER).join(WIFI_NAME)).unwrap_or_default();
            WifiStatus { name, state }
        }),
    }
}

/// For the display.
pub fn sentence(trouble: WifiState) -> &'static str {
    match trouble {
        WifiState::NoDriver => "No Wi-Fi: the card has no firmware for this board's chip. See board/card.md.",
        WifiState::WrongPassword => "The Wi-Fi does not take the password. Write it into silverstream.toml once more.",
        WifiState::Refused => "The Wi-Fi turns the jukebox away. Check the password, and that it allows WPA2.",
        WifiState::Searching | WifiState::Joined => {
            "Wi-Fi is not found. Check its name and country; it needs WPA2, mostly 2.4 GHz."
        }
    }
}

fn finding(trouble: WifiState) -> Finding {
    let (found, remedy) = match trouble {
        WifiState::NoDriver => (
            "Wi-Fi is set up, and the board shows none",
            "its chip needs firmware that this image lacks: build it with IMAGE_FIRMWARE (image/README.md), or plug in a \
             cable; `dmesg` names the files",
        ),
        WifiState::WrongPassword => (
            "Wi-Fi is not joined: it does not take the password",
            "write `password` into [wifi] of silverstream.toml once more; `journalctl -u wpa_supplicant@wlan0` has each try",
        ),
        WifiState::Refused => (
            "Wi-Fi is not joined: it turns the jukebox away",
            "check the password, and that the router allows WPA2 and this device; `journalctl -u wpa_supplicant@wlan0` has \
             the status code",
        ),
        WifiState::Searching | WifiState::Joined => (
            "Wi-Fi is set up and not joined",
            "the network is out of reach, has another name, or lets in with WPA3 or at 5 GHz only: check [wifi] in \
             silverstream.toml; `journalctl -u wpa_supplicant@wlan0` has each try",
        ),
    };
    Finding::warning("network", found, remedy)
}

/// How the Wi-Fi is that was set up, if one was.
fn wifi_state(machine: &Machine) -> Option<WifiState> {
    if !machine.has(WIFI_SETTINGS) {
        return None;
    }
    let interfaces = machine.folders("sys/class/net", "");
    if !interfaces.iter().any(|folder| is_wireless(machine, folder)) {
        return Some(WifiState::NoDriver);
    }
    if up(machine).iter().any(|folder| is_wireless(machine, folder)) {
        return Some(WifiState::Joined);
    }
    Some(match machine.read(WIFI_WORD).as_deref() {
        Some("wrong-password") => WifiState::WrongPassword,
        Some("refused") => WifiState::Refused,
        _ => WifiState::Searching,
    })
}

/// What keeps the Wi-Fi away that was set up; nothing where another network is up.
pub fn wifi_trouble(machine: &Machine) -> Option<WifiState> {
    wifi_state(machine).filter(|state| *state != WifiState::Joined && up(machine).is_empty())
}

/// cfg80211 makes this link in the folder of each of its interfaces.
fn is_wireless(machine: &Machine, folder: &Path) -> bool {
    machine.has(folder.join("phy80211"))
}

/// Folders of the interfaces that have a network.
fn up(machine: &Machine) -> Vec<PathBuf> {
    let is_up = |folder: &PathBuf| match machine.read(folder.join("operstate")).as_deref() {
        Some("up") => true,
        // Drivers that do not tell (RFC 2863), of virtual machines and some USB adapters, still know of a signal.
        Some("unknown") => machine.read(folder.join("carrier")).as_deref() == Some("1"),
        _ => false,
    };
    let mut interfaces = machine.folders("sys/class/net", "");
    interfaces.retain(|folder| !folder.ends_with("lo") && is_up(folder));
    interfaces
}

pub fn link(machine: &Machine) -> Finding {
    let up: Vec<String> =
        up(machine).iter().filter_map(|folder| folder.file_name()?.to_str().map(str::to_owned)).collect();
    let wireless = machine.read(format!("{NET}/wireless")).unwrap_or_default();
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
        return finding(trouble);
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
