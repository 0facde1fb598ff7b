//! From the words of a configuration to an open panel.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Display, Gesture, NoDisplay, PanelError, gpio, serial, ssd1306, terminal};

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
    /// `gpio:CHIP:A,B,PRESS` with the line numbers of the chip.
    Gpio { chip: PathBuf, lines: gpio::Lines },
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
            choices: "\"simulated\", \"none\", \"gpio:/dev/gpiochip0:17,27,22\" (A, B, press) or \"serial:/dev/ttyACM0\"",
        };
        match text.split_once(':') {
            None if text == "none" => Ok(Self::None),
            None if text == "simulated" => Ok(Self::Simulated),
            Some(("serial", device)) if !device.is_empty() => Ok(Self::Serial { device: device.to_owned() }),
            Some(("gpio", rest)) => {
                let (chip, lines) = rest.rsplit_once(':').filter(|(chip, _)| !chip.is_empty()).ok_or_else(error)?;
                let numbers: Vec<u32> =
                    lines.split(',').map(|line| line.trim().parse()).collect::<Result<_, _>>().map_err(|_| error())?;
                let [a, b, press] = numbers[..] else { return Err(error()) };
                if a == b || b == press || a == press {
                    return Err(error());
                }
                Ok(Self::Gpio { chip: chip.into(), lines: gpio::Lines { a, b, press } })
            }
            _ => Err(error()),
        }
    }
}

/// An open panel. The gestures go to the channel that was handed to [`open`]; dropping the display gives the
/// terminal back.
pub struct Panel {
    pub display: Box<dyn Display>,
}

impl fmt::Debug for Panel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Panel")
    }
}

/// Opens display and knob. Gestures are sent to `gestures` until `cancel` is cancelled, by threads of their own;
/// the simulated panel cancels `cancel` itself when its person quits.
///
/// # Errors
/// If a device cannot be opened; the text says what to check.
pub fn open(
    display: &DisplaySpec,
    knob: &KnobSpec,
    gestures: mpsc::Sender<Gesture>,
    cancel: &CancellationToken,
) -> Result<Panel, PanelError> {
    let mut serial_display = None;
    match knob {
        KnobSpec::None => {}
        KnobSpec::Simulated => terminal::spawn_keys(gestures, cancel.clone())?,
        KnobSpec::Gpio { chip, lines } => gpio::spawn(chip, *lines, gestures, cancel.clone())?,
        KnobSpec::Serial { device } => {
            let link = serial::open(device, Some(gestures), cancel.clone())?;
            if matches!(display, DisplaySpec::Serial { device: other } if other == device) {
                serial_display = Some(link);
            }
        }
    }
    let display: Box<dyn Display> = match (display, serial_display) {
        (_, Some(link)) => Box::new(link),
        (DisplaySpec::None, _) => Box::new(NoDisplay),
        (DisplaySpec::Simulated, _) => Box::new(terminal::Terminal::start()?),
        (DisplaySpec::Ssd1306 { device }, _) => Box::new(ssd1306::open(device)?),
        (DisplaySpec::Serial { device }, _) => Box::new(serial::open(device, None, cancel.clone())?),
    };
    Ok(Panel { display })
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
        let lines = gpio::Lines { a: 17, b: 27, press: 22 };
        assert_eq!("gpio:/dev/gpiochip0:17,27,22".parse(), Ok(KnobSpec::Gpio { chip: "/dev/gpiochip0".into(), lines }));
        for text in
            ["", "gpio:/dev/gpiochip0", "gpio::1,2,3", "gpio:x:1,2", "gpio:x:1,2,3,4", "gpio:x:1,1,3", "gpio:x:-1,2,3"]
        {
            assert!(text.parse::<KnobSpec>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_built_in_board_has_a_panel() {
        for name in crate::config::BUILT_IN_BOARDS {
            let board = crate::config::BoardProfile::load(name).unwrap();
            board.display.parse::<DisplaySpec>().unwrap();
            board.knob.parse::<KnobSpec>().unwrap();
        }
    }

    #[test]
    fn no_panel_needs_no_device() {
        let (gestures, mut receiver) = mpsc::channel(1);
        let panel = open(&DisplaySpec::None, &KnobSpec::None, gestures, &CancellationToken::new());
        assert!(panel.unwrap().display.show(&super::super::Frame::default()).is_ok());
        assert!(receiver.try_recv().is_err());
    }

    #[test]
    fn a_missing_device_says_what_to_do() {
        let cancel = CancellationToken::new();
        for (display, knob, advice) in [
            ("ssd1306-i2c:/dev/no-such-i2c", "none", "raspi-config"),
            ("none", "gpio:/dev/no-such-chip:1,2,3", "knob"),
            ("serial:/dev/no-such-tty", "none", "plugged in"),
        ] {
            let (gestures, _receiver) = mpsc::channel(1);
            let error = open(&display.parse().unwrap(), &knob.parse().unwrap(), gestures, &cancel).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("/dev/no-such") && text.contains(advice), "{text}");
        }
    }
}
