//! The words of a configuration that name a display or a knob.

use std::path::PathBuf;
use std::str::FromStr;

use super::Key;
use super::knob::{Lines, Steps};

/// A text names no display or knob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} {text:?}; use {choices}")]
pub struct ParseSpecError {
    what: &'static str,
    text: String,
    choices: &'static str,
}

/// Which display: `[panel] display`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DisplaySpec {
    /// `none`
    None,
    /// `simulated`: drawn in the terminal.
    Simulated,
    /// `ssd1306-i2c:DEVICE`
    Ssd1306 { device: PathBuf },
    /// `serial:DEVICE`: a front panel of its own, see `board/serial-panel.md`.
    Serial { device: String },
}

/// Which knob: `[panel] knob`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KnobSpec {
    /// `none`
    None,
    /// `simulated`: keys of the terminal.
    Simulated,
    /// `gpio:CHIP:A,B,PRESS` with the line numbers of the chip; then `steps=1`, `2` or `4` (Gray code steps a detent)
    /// and buttons of their own: `play=LINE`, `next=`, `previous=`, `stop=`, `louder=`, `softer=`.
    Gpio { chip: PathBuf, lines: Lines },
    /// `input`, or `input:DEVICE,…`: what the kernel has a driver for; all devices, or those named.
    Input { devices: Vec<PathBuf> },
    /// `serial:DEVICE`; may be the same device as the display's.
    Serial { device: String },
}

impl FromStr for DisplaySpec {
    type Err = ParseSpecError;

    fn from_str(text: &str) -> Result<Self, ParseSpecError> {
        match text.split_once(':') {
            None if text == "none" => Ok(Self::None),
            None if text == "simulated" => Ok(Self::Simulated),
            Some(("ssd1306-i2c", device)) if !device.is_empty() => Ok(Self::Ssd1306 { device: device.into() }),
            Some(("serial", device)) if !device.is_empty() => Ok(Self::Serial { device: device.to_owned() }),
            _ => Err(ParseSpecError {
                what: "display",
                text: text.chars().take(64).collect(),
                choices: "\"simulated\", \"none\", \"ssd1306-i2c:/dev/i2c-1\" or \"serial:/dev/ttyACM0\"",
            }),
        }
    }
}

impl FromStr for KnobSpec {
    type Err = ParseSpecError;

    fn from_str(text: &str) -> Result<Self, ParseSpecError> {
        let error = || ParseSpecError {
            what: "knob",
            text: text.chars().take(64).collect(),
            choices: "\"simulated\", \"none\", \"gpio:/dev/gpiochip0:17,27,22\" (A, B, press; then steps=1, 2 or 4 and \
                      buttons as next=5), \"input\" or \"serial:/dev/ttyACM0\"",
        };
        match text.split_once(':') {
            None if text == "none" => Ok(Self::None),
            None if text == "simulated" => Ok(Self::Simulated),
            None if text == "input" => Ok(Self::Input { devices: Vec::new() }),
            Some(("input", devices)) if devices.split(',').all(|device| !device.trim().is_empty()) => {
                Ok(Self::Input { devices: devices.split(',').map(|device| device.trim().into()).collect() })
            }
            Some(("serial", device)) if !device.is_empty() => Ok(Self::Serial { device: device.to_owned() }),
            Some(("gpio", rest)) => {
                let (chip, lines) = rest.rsplit_once(':').filter(|(chip, _)| !chip.is_empty()).ok_or_else(error)?;
                let lines = lines_of(lines).ok_or_else(error)?;
                Ok(Self::Gpio { chip: chip.into(), lines })
            }
            _ => Err(error()),
        }
    }
}

/// `17,27,22,steps=2,next=5`
fn lines_of(text: &str) -> Option<Lines> {
    let mut words = text.split(',').map(str::trim);
    let mut contact = || words.next()?.parse().ok();
    let mut lines =
        Lines { a: contact()?, b: contact()?, press: contact()?, steps: Steps::default(), keys: Vec::new() };
    for word in words {
        let (name, number) = word.split_once('=')?;
        let number = number.trim().parse().ok()?;
        match name.trim() {
            "steps" => lines.steps = Steps::of(number)?,
            name => lines.keys.push((key_of(name)?, number)),
        }
    }
    let mut numbers: Vec<u32> = lines.numbers().collect();
    let count = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    (numbers.len() == count).then_some(lines)
}

fn key_of(name: &str) -> Option<Key> {
    Some(match name {
        "play" => Key::Play,
        "next" => Key::Next,
        "previous" => Key::Previous,
        "stop" => Key::Stop,
        "louder" => Key::Louder,
        "softer" => Key::Softer,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn displays_are_named_as_in_the_board_files() {
        assert_eq!("none".parse(), Ok(DisplaySpec::None));
        assert_eq!("simulated".parse(), Ok(DisplaySpec::Simulated));
        assert_eq!("ssd1306-i2c:/dev/i2c-1".parse(), Ok(DisplaySpec::Ssd1306 { device: "/dev/i2c-1".into() }));
        assert_eq!("serial:/dev/ttyS1".parse(), Ok(DisplaySpec::Serial { device: "/dev/ttyS1".into() }));
        for text in ["", "none:", "ssd1306-i2c", "ssd1306-i2c:", "oled", "serial:"] {
            let error = text.parse::<DisplaySpec>().unwrap_err().to_string();
            assert!(error.contains("ssd1306-i2c:/dev/i2c-1"), "{error}");
        }
    }

    #[test]
    fn knobs_are_named_as_in_the_board_files() {
        let mut lines = Lines { a: 17, b: 27, press: 22, steps: Steps::Four, keys: Vec::new() };
        let gpio = |lines: &Lines| Ok(KnobSpec::Gpio { chip: "/dev/gpiochip0".into(), lines: lines.clone() });
        assert_eq!("gpio:/dev/gpiochip0:17,27,22".parse(), gpio(&lines));
        lines.steps = Steps::Two;
        lines.keys = vec![(Key::Next, 5), (Key::Play, 6)];
        assert_eq!("gpio:/dev/gpiochip0:17, 27, 22, steps=2, next=5, play=6".parse(), gpio(&lines));
        assert_eq!("input".parse(), Ok(KnobSpec::Input { devices: Vec::new() }));
        let devices = vec!["/dev/input/event0".into(), "/dev/input/event3".into()];
        assert_eq!("input:/dev/input/event0,/dev/input/event3".parse(), Ok(KnobSpec::Input { devices }));
        for text in [
            "",
            "input:",
            "input:/dev/a,,/dev/b",
            "gpio:/dev/gpiochip0",
            "gpio::1,2,3",
            "gpio:x:1,2",
            "gpio:x:1,2,3,4",
            "gpio:x:1,1,3",
            "gpio:x:-1,2,3",
            "gpio:x:1,2,3,steps=3",
            "gpio:x:1,2,3,next=3",
            "gpio:x:1,2,3,fire=4",
        ] {
            assert!(text.parse::<KnobSpec>().is_err(), "{text}");
        }
    }
}
