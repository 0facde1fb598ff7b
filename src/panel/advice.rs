//! Where a person switches on what is attached to the pins: the jukebox's own card has other files than Raspberry Pi OS.

use std::io::{self, ErrorKind};

/// Only the jukebox's card has it; that of the Yocto layer does without, and says what is attached in `config.txt`.
const HARDWARE: &str = "/boot/firmware/hardware.txt";

/// The buses of displays.
pub fn buses() -> &'static str {
    of_buses(is_own_card(std::fs::metadata(HARDWARE)))
}

/// The drivers of knobs.
pub fn drivers() -> &'static str {
    of_drivers(is_own_card(std::fs::metadata(HARDWARE)))
}

fn of_buses(own_card: bool) -> &'static str {
    if own_card {
        "switch the bus on (on the boot partition: overlays= in hardware.txt, i2c or spi; without that file dtparam= in config.txt), \
         check the wiring and [panel] display in silverstream.toml there, or set it to \"none\""
    } else {
        "switch the bus on (raspi-config, or dtparam=i2c_arm=on or dtparam=spi=on in config.txt), check [panel] display and that \
         this user is in the groups i2c, spi, gpio or video, or set it to \"none\""
    }
}

fn of_drivers(own_card: bool) -> &'static str {
    if own_card {
        "plug in a keyboard or remote control, or set [panel] knob in silverstream.toml on the boot partition to the GPIO lines of a knob"
    } else {
        "check [panel] knob, the dtoverlay lines of config.txt, and that this user is in the group input"
    }
}

/// On the card, only root may look into the boot partition, for it may hold a password; on Raspberry Pi OS everybody may.
fn is_own_card<T>(found: io::Result<T>) -> bool {
    found.map_or_else(|error| error.kind() == ErrorKind::PermissionDenied, |_| true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_is_for_the_system_that_is_there() {
        let denied = is_own_card::<()>(Err(ErrorKind::PermissionDenied.into()));
        assert!(denied && is_own_card(Ok(())) && !is_own_card::<()>(Err(ErrorKind::NotFound.into())));
        for text in [of_buses(true), of_drivers(true)] {
            assert!(!text.contains("raspi-config") && text.contains("boot partition"), "{text}");
        }
        assert!(of_buses(false).contains("raspi-config") && of_drivers(false).contains("config.txt"));
    }
}
