//! Sound cards that the kernel knows. Whether the one that is wanted can be used is another question.

use super::Machine;
use crate::system::finding::Finding;

pub fn look(machine: &Machine) -> Finding {
    let remedy =
        "plug in a USB sound card, or name the DAC's overlay in hardware.txt (or config.txt) on the boot partition";
    let Some(cards) = machine.read("proc/asound/cards") else {
        return Finding::warning("cards", "the kernel has no sound", remedy);
    };
    // ` 0 [Headphones     ]: bcm2835_headpho - bcm2835 Headphones`, and a second line that is longer.
    let names: Vec<&str> = cards
        .lines()
        .filter_map(|line| line.split_once('[').filter(|(number, _)| number.trim().parse::<u32>().is_ok()))
        .filter_map(|(_, rest)| rest.split_once(']').map(|(name, _)| name.trim()))
        .collect();
    if names.is_empty() {
        return Finding::warning("cards", "there is no sound card", remedy);
    }
    Finding::good("cards", names.iter().map(|name| format!("alsa:{name}")).collect::<Vec<_>>().join(", "))
}
