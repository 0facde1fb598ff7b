//! Wear and errors of the card.

use std::path::{Path, PathBuf};

use super::Machine;
use crate::system::finding::Finding;

const REPLACE: &str = "copy what you need to a new card soon: this one wears out";

pub fn look(machine: &Machine) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        machine.folders("sys/block", "mmcblk").iter().filter_map(|c| wear(machine, c)).collect();
    if findings.is_empty() {
        findings.push(Finding::good("card", "there is no SD card or eMMC"));
    }
    findings.push(filesystems(machine));
    if machine.has(super::BOOT_UNREADABLE) {
        let remedy = "the settings of the last start hold; have a computer check the first partition of the card, or write \
                      the card anew";
        findings.push(Finding::bad("boot", "the boot partition with silverstream.toml cannot be read", remedy));
    }
    findings
}

/// None for the boot areas of an eMMC, which are part of it.
fn wear(machine: &Machine, block: &Path) -> Option<Finding> {
    let name = block.file_name()?.to_string_lossy().into_owned();
    if name.contains("boot") || name.contains("rpmb") {
        return None;
    }
    let device = block.join("device");
    let field = |field: &str| machine.read(device.join(field)).unwrap_or_default();
    let what = format!("{name} ({} {}, made {})", field("type"), field("name"), field("date"));
    // JESD84-B51, 7.4.57 and 7.4.59: steps of 10 % of the life, and of the spare blocks. SD cards have no such fields.
    let steps = field("life_time").split_whitespace().filter_map(hex).max().unwrap_or(0);
    let spare = hex(&field("pre_eol_info")).unwrap_or(0);
    Some(match (steps, spare) {
        (0, 0) => Finding::good("card", format!("{what} does not tell its wear, as SD cards do not")),
        (_, 3..) => Finding::bad("card", format!("{what} has hardly any spare blocks left"), REPLACE),
        (11.., _) => Finding::bad("card", format!("{what} has outlived what it was made for"), REPLACE),
        (_, 2) => Finding::warning("card", format!("{what} has used most of its spare blocks"), REPLACE),
        (9 | 10, _) => Finding::warning("card", format!("{what} has used {} % of its life", steps * 10), REPLACE),
        _ => Finding::good("card", format!("{what} has used at most {} % of its life", steps * 10)),
    })
}

fn hex(text: &str) -> Option<u32> {
    u32::from_str_radix(text.trim_start_matches("0x"), 16).ok()
}

/// Errors that ext4 has counted, and file systems that an error has made read-only.
fn filesystems(machine: &Machine) -> Finding {
    let number = |folder: &PathBuf, name: &str| machine.read(folder.join(name)).and_then(|n| n.parse::<u64>().ok());
    let mut faulty = Vec::new();
    for folder in machine.folders("sys/fs/ext4", "") {
        let errors = number(&folder, "errors_count").unwrap_or(0);
        if errors > 0 {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            faulty.push(format!("{errors} errors on {name}"));
        }
    }
    let mounts = machine.read("proc/self/mounts").unwrap_or_default();
    for mount in mounts.lines() {
        let mut words = mount.split(' ');
        let (device, folder, kind, options) =
            (words.next(), words.next(), words.next(), words.next().unwrap_or_default());
        // The image asks for this option; its root file system is squashfs.
        if kind == Some("ext4")
            && options.split(',').any(|option| option == "ro")
            && options.contains("errors=remount-ro")
        {
            faulty.push(format!("{} at {} is read-only", device.unwrap_or_default(), folder.unwrap_or_default()));
        }
    }
    if machine.has(super::DATA_IN_MEMORY) {
        let remedy =
            "copy what you need off the card in a computer, and replace it: until then all is lost at power-off";
        return Finding::bad(
            "disk",
            "the card cannot be used for data: memory is in its place, and nothing is kept",
            remedy,
        );
    }
    if faulty.is_empty() {
        return Finding::good("disk", "no errors in its file systems");
    }
    let remedy = "restart the jukebox, which repairs it; if it happens again, the card is worn or the power unsteady";
    Finding::bad("disk", faulty.join(", "), remedy)
}
