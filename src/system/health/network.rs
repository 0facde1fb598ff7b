//! The way out: cable or Wi-Fi.

use super::Machine;
use crate::system::finding::Finding;

/// Below this a song that is fetched over Wi-Fi stutters, in dBm.
const WEAK: f64 = -75.0;

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
