//! Sound cards by their ids, as the kernel lists them: numbers change with the order of plugging, ids do not.

use std::path::Path;

/// Where the kernel lists the cards. Seen by a service that is shown nothing but processes in `/proc`, too.
const SYSFS: &str = "/sys/class/sound";

/// The device that is looked for: `alsa:auto`.
pub(super) const AUTO: &str = "auto";

/// Cards are looked for up to this number; the kernel has 32 places at most.
const MAX_CARDS: u32 = 32;

/// Where a card's sound comes out, first choice first. A converter on I2S is there since somebody has wired and
/// configured it; one on USB since somebody has plugged it in; the others are on the board whether they are used or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Converter,
    Usb,
    Headphones,
    Hdmi,
}

/// A card that plays.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Card {
    kind: Kind,
    number: u32,
    id: String,
    /// Number of its first device that plays.
    device: u32,
}

impl Card {
    fn read(folder: &Path, number: u32) -> Option<Self> {
        let card = folder.join(format!("card{number}"));
        let id = std::fs::read_to_string(card.join("id")).ok()?.trim().to_owned();
        let prefix = format!("pcmC{number}D");
        let plays = |name: String| name.strip_prefix(&prefix)?.strip_suffix('p')?.parse().ok();
        let entries = std::fs::read_dir(&card).ok()?.flatten();
        let device = entries.filter_map(|entry| plays(entry.file_name().into_string().ok()?)).min()?;
        let driver = std::fs::read_link(card.join("device/driver")).unwrap_or_default();
        let driver = driver.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let lower = id.to_ascii_lowercase();
        let kind = match (driver.as_str(), lower.as_str()) {
            // What is played on these comes out nowhere.
            ("snd_aloop" | "snd_dummy", _) | (_, "loopback" | "dummy") => return None,
            ("snd-usb-audio", _) => Kind::Usb,
            ("bcm2835_audio", _) | (_, "headphones") if !lower.contains("hdmi") => Kind::Headphones,
            (driver, id) if driver.contains("hdmi") || id.contains("hdmi") => Kind::Hdmi,
            _ => Kind::Converter,
        };
        Some(Self { kind, number, id, device })
    }

    /// What ALSA calls it.
    fn pcm(&self) -> String {
        match self.kind {
            // Takes no samples as they are: ALSA's configuration of the card packs them.
            Kind::Hdmi => format!("default:CARD={}", self.id),
            _ => format!("plughw:CARD={},DEV={}", self.id, self.device),
        }
    }
}

/// What ALSA calls the device that is named in the configuration, as the cards are now: [`AUTO`] is the first choice of
/// those that are there, the id of a card is that card, and everything else is ALSA's own name already.
///
/// # Errors
/// If there is no card to choose; a sentence that says what to do.
pub(super) fn resolve(name: &str) -> Result<String, String> {
    resolve_in(Path::new(SYSFS), name)
}

fn resolve_in(folder: &Path, name: &str) -> Result<String, String> {
    let cards = (0..MAX_CARDS).filter_map(|number| Card::read(folder, number));
    if name != AUTO {
        let card = cards.into_iter().find(|card| card.id == name);
        return Ok(card.map_or_else(|| name.to_owned(), |card| card.pcm()));
    }
    let chosen = cards.min_by_key(|card| (card.kind, card.number));
    chosen.map(|card| card.pcm()).ok_or_else(|| {
        "there is no sound card; plug one in, or switch on the board's own (on the boot partition: hardware.txt)"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cards of these ids with these drivers, in the order of their numbers; `p` and `c` are devices that play and record.
    fn cards(cards: &[(&str, &str, &[&str])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (number, (id, driver, devices)) in cards.iter().enumerate() {
            let card = folder.path().join(format!("card{number}"));
            std::fs::create_dir_all(card.join("device")).unwrap();
            std::fs::write(card.join("id"), format!("{id}\n")).unwrap();
            std::os::unix::fs::symlink(format!("../../../bus/x/drivers/{driver}"), card.join("device/driver")).unwrap();
            for device in *devices {
                std::fs::create_dir(card.join(format!("pcmC{number}D{device}"))).unwrap();
            }
        }
        folder
    }

    #[test]
    fn the_card_that_somebody_has_put_there_is_chosen() {
        let hdmi = ("vc4hdmi", "vc4_hdmi", &["0p"][..]);
        let headphones = ("Headphones", "bcm2835_audio", &["0p"][..]);
        let usb = ("Device", "snd-usb-audio", &["0c", "0p"][..]);
        let microphone = ("Webcam", "snd-usb-audio", &["0c"][..]);
        let dac = ("DAC", "asoc-simple-card", &["0p"][..]);
        let loopback = ("Loopback", "snd_aloop", &["0p"][..]);
        let intel = ("Intel", "snd_hda_intel", &["3p", "0p", "0c"][..]);
        for (there, expected) in [
            (&[hdmi][..], "default:CARD=vc4hdmi"),
            (&[hdmi, headphones], "plughw:CARD=Headphones,DEV=0"),
            (&[hdmi, headphones, usb], "plughw:CARD=Device,DEV=0"),
            (&[usb, hdmi, dac], "plughw:CARD=DAC,DEV=0"),
            (&[loopback, microphone, intel], "plughw:CARD=Intel,DEV=0"),
        ] {
            assert_eq!(resolve_in(cards(there).path(), AUTO).as_deref(), Ok(expected), "{there:?}");
        }
        for there in [&[][..], &[microphone, loopback]] {
            assert!(resolve_in(cards(there).path(), AUTO).unwrap_err().contains("plug one in"));
        }
    }

    #[test]
    fn a_card_is_named_by_its_id_and_other_names_are_those_of_alsa() {
        let folder = cards(&[("vc4hdmi", "vc4_hdmi", &["0p"]), ("Device", "snd-usb-audio", &["1p"])]);
        let resolve = |name| resolve_in(folder.path(), name).unwrap();
        assert_eq!(resolve("Device"), "plughw:CARD=Device,DEV=1");
        for name in ["default", "plughw:1,0", "hw:CARD=Device", "Device_1"] {
            assert_eq!(resolve(name), name);
        }
    }
}
