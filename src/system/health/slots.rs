//! Which slot runs, and whether an update had to be rolled back.

use std::io::ErrorKind;
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::Machine;
use crate::system::finding::Finding;

/// Where the slots are described.
const CONFIGURATION: &str = "etc/rauc/system.conf";

/// What `rauc status --output-format=json` says, as far as it is of interest (RAUC 1.8 and later).
#[derive(Debug, Deserialize)]
struct Status {
    /// Boot name of the slot that runs.
    booted: Option<String>,
    /// Name of the slot that runs next.
    boot_primary: Option<String>,
    slots: Vec<std::collections::BTreeMap<String, Slot>>,
}

#[derive(Debug, Deserialize)]
struct Slot {
    bootname: Option<String>,
    state: String,
    boot_status: Option<String>,
}

/// None on a system without slots.
pub fn look(machine: &Machine) -> Option<Finding> {
    if !machine.root.join(CONFIGURATION).exists() {
        return None;
    }
    let output = Command::new(&machine.rauc)
        .args(["status", "--output-format=json"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let remedy = "run `rauc status` as root; `journalctl -u rauc` has more";
    match output {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => Some(Finding::warning("slots", format!("rauc does not run: {error}"), remedy)),
        Ok(output) => Some(match serde_json::from_slice(&output.stdout) {
            Ok(status) => judge(&status),
            Err(_) => Finding::warning("slots", "rauc does not say how they are", remedy),
        }),
    }
}

fn judge(status: &Status) -> Finding {
    let bootable: Vec<(&String, &Slot, &str)> = (status.slots.iter().flatten())
        .filter_map(|(name, slot)| slot.bootname.as_deref().map(|bootname| (name, slot, bootname)))
        .collect();
    let Some(booted) = status.booted.as_deref() else {
        return Finding::warning("slots", "none of them runs", "was this system started from another medium?");
    };
    let bad: Vec<&str> =
        bootable.iter().filter(|slot| slot.1.boot_status.as_deref() == Some("bad")).map(|slot| slot.2).collect();
    if bad.contains(&booted) {
        let remedy = "if the jukebox plays, `rauc status mark-good booted` keeps it; or install an update";
        return Finding::bad("slots", format!("{booted} runs and is given up at the next start"), remedy);
    }
    let next = bootable.iter().find(|slot| Some(slot.0) == status.boot_primary.as_ref());
    let runs = bootable.iter().find(|slot| slot.2 == booted || slot.1.state == "booted");
    match (next, runs) {
        (Some(next), Some(runs)) if next.0 != runs.0 => {
            Finding::good("slots", format!("{booted} runs; {} is ready and runs from the next start on", next.2))
        }
        _ if bad.is_empty() => Finding::good("slots", format!("{booted} runs")),
        _ => {
            let found = format!("{booted} runs; {} did not come up, or is empty, and was left", bad.join(", "));
            Finding::warning("slots", found, "install an update, which goes to the other slot")
        }
    }
}
