//! Supply and heat of the board, as a Raspberry Pi's firmware tells them.

use super::Machine;
use crate::system::finding::Finding;

/// Flags of the firmware, in hexadecimal digits (kernel of Raspberry Pi).
const THROTTLED: &str = "sys/devices/platform/soc/soc:firmware/get_throttled";

/// What bits 0 to 3 mean now, and bits 16 to 19 since power-on (firmware property 0x00030046).
const MEANINGS: [&str; 4] = [
    "the supply voltage is too low",
    "the processor's clock is bounded",
    "the processor is slowed down",
    "it is too hot",
];

/// From here on a Raspberry Pi slows down (80 °C), in thousandths of a degree.
const HOT: i64 = 80_000;

const SUPPLY_REMEDY: &str = "use a supply of 5.1 V and 2.5 A or more with a short, thick cable; unplug what takes much";

pub fn supply(machine: &Machine) -> Finding {
    if let Some(flags) = machine.read(THROTTLED) {
        return match u32::from_str_radix(flags.trim_start_matches("0x"), 16) {
            Ok(flags) => judge(flags),
            Err(_) => Finding::warning("power", format!("the firmware answers {flags:?}"), "please report it"),
        };
    }
    // Kernels without that file have a sensor (raspberrypi-hwmon).
    for sensor in machine.folders("sys/class/hwmon", "hwmon") {
        if machine.read(sensor.join("name")).as_deref() == Some("rpi_volt") {
            return match machine.read(sensor.join("in0_lcrit_alarm")).as_deref() {
                Some("1") => Finding::bad("power", MEANINGS[0], SUPPLY_REMEDY),
                // It knows neither what was before nor whether the processor is slowed down.
                Some("0") => {
                    Finding::good("power", "enough voltage now; this kernel does not tell of throttling or of before")
                }
                _ => Finding::good("power", "the kernel's sensor does not tell of the supply"),
            };
        }
    }
    Finding::good("power", "neither firmware nor kernel of this board tell of the supply")
}

fn judge(flags: u32) -> Finding {
    let named = |shift: u32| -> Vec<&str> {
        (0..).zip(MEANINGS).filter(|(bit, _)| flags >> (shift + bit) & 1 == 1).map(|(_, meaning)| meaning).collect()
    };
    let (now, before) = (named(0), named(16));
    let remedy = if flags & 0x1_0001 == 0 { "let air reach the board, or give it a heat sink" } else { SUPPLY_REMEDY };
    if !now.is_empty() {
        return Finding::bad("power", format!("{} (flags {flags:#x})", now.join(", ")), remedy);
    }
    if !before.is_empty() {
        let found = format!("since power-on it happened that {} (flags {flags:#x})", before.join(", "));
        return Finding::warning("power", found, remedy);
    }
    Finding::good("power", "enough voltage, and never slowed down")
}

pub fn heat(machine: &Machine) -> Finding {
    let read = machine.read("sys/class/thermal/thermal_zone0/temp");
    match read.and_then(|text| text.parse::<i64>().ok()) {
        None => Finding::good("heat", "the board does not tell its temperature"),
        Some(millis) if millis >= HOT => Finding::warning(
            "heat",
            format!("{} °C, at which it slows down", millis / 1000),
            "let air reach the board, or give it a heat sink",
        ),
        Some(millis) => Finding::good("heat", format!("{} °C", millis / 1000)),
    }
}
