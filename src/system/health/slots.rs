//! Which slot runs, and whether an update had to be rolled back.

use std::fs::File;
use std::io::{ErrorKind, Read};

use serde::Deserialize;

use super::Machine;
use crate::system::finding::Finding;
use crate::system::program;

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
    device: String,
    bootname: Option<String>,
    state: String,
    boot_status: Option<String>,
}

/// Bytes at the beginning of a slot that are zero as long as nothing was installed into it: a file system begins there.
const BEGINNING: usize = 4096;

/// Why a slot was left: it hung, or was unplugged again and again before it had been up for so long (`slot` of the image), or
/// the update that was being written to it was cut short.
const NOT_HELD: &str = "was not up for a whole minute, or was not written whole,";

/// None on a system without slots.
pub fn look(machine: &Machine) -> Option<Finding> {
    if !machine.root.join(CONFIGURATION).exists() {
        return None;
    }
    let remedy = "run `rauc status` as root; `journalctl -u rauc` has more";
    // Asked at each login, so RAUC or D-Bus that hangs must not keep anybody out.
    match program::run(&machine.rauc, &["status", "--output-format=json"], machine.patience) {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) if error.kind() == ErrorKind::TimedOut => {
            let found = format!("rauc does not answer within {} s", machine.patience.as_secs());
            Some(Finding::warning("slots", found, remedy))
        }
        Err(error) => Some(Finding::warning("slots", format!("rauc does not run: {error}"), remedy)),
        Ok(printed) => Some(match serde_json::from_str(&printed.out) {
            Ok(status) => judge(machine, &status),
            Err(_) => Finding::warning("slots", "rauc does not say how they are", remedy),
        }),
    }
}

/// Whether nothing was ever installed into it; none for who may not read its device.
fn is_empty(machine: &Machine, slot: &Slot) -> Option<bool> {
    let mut beginning = [0; BEGINNING];
    let mut device = File::open(machine.root.join(slot.device.trim_start_matches('/'))).ok()?;
    device.read_exact(&mut beginning).ok()?;
    Some(beginning.iter().all(|byte| *byte == 0))
}

fn judge(machine: &Machine, status: &Status) -> Finding {
    let bootable: Vec<(&String, &Slot, &str)> = (status.slots.iter().flatten())
        .filter_map(|(name, slot)| slot.bootname.as_deref().map(|bootname| (name, slot, bootname)))
        .collect();
    let Some(booted) = status.booted.as_deref() else {
        return Finding::warning("slots", "none of them runs", "was this system started from another medium?");
    };
    // A slot without a system has no try left from the beginning on, like one that failed.
    let (mut empty, mut bad, mut why) = (Vec::new(), Vec::new(), NOT_HELD);
    for (_, slot, name) in bootable.iter().filter(|slot| slot.1.boot_status.as_deref() == Some("bad")) {
        match is_empty(machine, slot) {
            Some(true) if *name != booted => empty.push(*name),
            Some(_) => bad.push(*name),
            None => {
                why = "was not up for a whole minute, was not written whole, or is empty,";
                bad.push(*name);
            }
        }
    }
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
        _ if bad.is_empty() && !empty.is_empty() => {
            Finding::good("slots", format!("{booted} runs; {} is empty until the first update", empty.join(", ")))
        }
        _ if bad.is_empty() => Finding::good("slots", format!("{booted} runs")),
        _ => {
            let found = format!("{booted} runs; {} {why} and was left", bad.join(", "));
            Finding::warning("slots", found, "install an update, which goes to the other slot")
        }
    }
}
