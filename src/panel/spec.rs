//! The words of a configuration that name a display or a knob: `KIND:DEVICE:OPTION=VALUE,…`.

use std::path::PathBuf;
use std::str::FromStr;

use embedded_graphics::geometry::Size;
use linux_embedded_hal::spidev::SpiModeFlags;

use super::displays::SpiWires;
use super::displays::oled::{self, Bus};
use super::displays::tft::{self, Tft};
use super::frame::MAX_SIDE;
use super::knob::{Lines, Steps};
use super::{Key, OLED};

/// The GPIO chip of all boards that have one.
const GPIO_CHIP: &str = "/dev/gpiochip0";
/// SPI clocks in Hz: what OLEDs are specified for, and what all TFTs take that are sold.
const OLED_SPEED: u32 = 8_000_000;
const TFT_SPEED: u32 = 32_000_000;

/// What is said to whoever mistypes a display.
const DISPLAYS: &str = "\"simulated\", \"none\", \"ssd1306-i2c:/dev/i2c-1\", \"ssd1306-spi:/dev/spidev0.0:dc=25,reset=24\" \
                        (also ssd1309- and sh1106-), \"st7789-spi:/dev/spidev0.0:dc=25,reset=24,light=23\" (also \
                        ili9341-), \"framebuffer:/dev/fb0\" or \"serial:/dev/ttyACM0\"";
const WITHIN: &str = "a size of the glass (and its offset) within the chip's memory, 240x320; rotate=90 turns it";
const ONCE: &str = "each GPIO line for one thing only";
const OFFSET: &str = "offset=XxY, the column and row of the chip's memory at which the glass begins, unless it is an ILI9341 of \
                      240x320 or an ST7789 of 240x240, 240x320, 240x280, 172x320, 170x320 or 135x240";

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
    /// `simulated` or `simulated:160x120`: drawn in the terminal.
    Simulated { size: Size },
    /// `ssd1306-i2c:DEVICE`, also `ssd1309-` and `sh1106-`, then `address=3d`; or `ssd1306-spi:DEVICE:dc=LINE` and so
    /// on, then `reset=LINE`, `chip=GPIO-CHIP`, `speed=HZ`, `mode=3`.
    Oled { chip: oled::Chip, bus: Bus },
    /// `st7789-spi:DEVICE:dc=LINE` or `ili9341-spi:…`, then also `light=LINE`, `size=240x240` (of the glass, not turned),
    /// `offset=0x0` (where it begins in the memory), `rotate=90`, `invert=no`.
    Tft(Tft),
    /// `framebuffer:DEVICE`
    Framebuffer { device: PathBuf },
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

impl DisplaySpec {
    /// Device files that must be there.
    pub fn devices(&self) -> Vec<PathBuf> {
        match self {
            Self::None | Self::Simulated { .. } => Vec::new(),
            Self::Oled { bus: Bus::I2c { device, .. }, .. } | Self::Framebuffer { device } => vec![device.clone()],
            Self::Oled { bus: Bus::Spi(wires), .. } | Self::Tft(Tft { wires, .. }) => {
                vec![wires.device.clone(), wires.chip.clone()]
            }
            Self::Serial { device } => vec![serial_path(device)],
        }
    }
}

impl DisplaySpec {
    /// Lines of which GPIO chip it takes, if it does.
    pub fn gpio(&self) -> Option<(PathBuf, Vec<u32>)> {
        let (Self::Oled { bus: Bus::Spi(wires), .. } | Self::Tft(Tft { wires, .. })) = self else { return None };
        let lines = [Some(wires.dc), wires.reset, wires.light].into_iter().flatten();
        Some((wires.chip.clone(), lines.collect()))
    }
}

impl KnobSpec {
    /// Lines of which GPIO chip it takes, if it does.
    pub fn gpio(&self) -> Option<(PathBuf, Vec<u32>)> {
        let Self::Gpio { chip, lines } = self else { return None };
        Some((chip.clone(), lines.numbers().collect()))
    }

    /// Device files that must be there.
    pub fn devices(&self) -> Vec<PathBuf> {
        match self {
            Self::None | Self::Simulated => Vec::new(),
            Self::Gpio { chip, .. } => vec![chip.clone()],
            Self::Input { devices } => devices.clone(),
            Self::Serial { device } => vec![serial_path(device)],
        }
    }
}

fn serial_path(device: &str) -> PathBuf {
    device.rsplit_once('@').map_or(device, |(path, _)| path).into()
}

impl FromStr for DisplaySpec {
    type Err = ParseSpecError;

    fn from_str(text: &str) -> Result<Self, ParseSpecError> {
        display_of(text).map_err(|choices| ParseSpecError {
            what: "display",
            text: text.chars().take(64).collect(),
            choices,
        })
    }
}

/// The display, or what to write instead.
fn display_of(text: &str) -> Result<DisplaySpec, &'static str> {
    let (kind, rest) = match text.split_once(':') {
        None if text == "none" => return Ok(DisplaySpec::None),
        None if text == "simulated" => return Ok(DisplaySpec::Simulated { size: OLED }),
        None => return Err(DISPLAYS),
        Some(("simulated", size)) => return Ok(DisplaySpec::Simulated { size: parse_size(size).ok_or(DISPLAYS)? }),
        Some((_, "")) => return Err(DISPLAYS),
        // Names of serial lines may have colons.
        Some(("serial", device)) => return Ok(DisplaySpec::Serial { device: device.to_owned() }),
        Some(("framebuffer", device)) => return Ok(DisplaySpec::Framebuffer { device: device.into() }),
        Some(parts) => parts,
    };
    let (device, options) = rest.split_once(':').unwrap_or((rest, ""));
    if device.is_empty() {
        return Err(DISPLAYS);
    }
    let mut options = Options::parse(options).ok_or(DISPLAYS)?;
    let spec = match kind {
        "ssd1306-i2c" | "ssd1309-i2c" | "sh1106-i2c" => {
            let address = options.take("address").map_or(Some(oled::ADDRESS), |text| {
                u8::from_str_radix(text.trim_start_matches("0x"), 16).ok().filter(|address| *address < 0x78)
            });
            let bus = Bus::I2c { device: device.into(), address: address.ok_or(DISPLAYS)? };
            DisplaySpec::Oled { chip: oled_of(kind), bus }
        }
        "ssd1306-spi" | "ssd1309-spi" | "sh1106-spi" => {
            let wires = options.wires(device, OLED_SPEED).ok_or(DISPLAYS)?;
            DisplaySpec::Oled { chip: oled_of(kind), bus: Bus::Spi(wires) }
        }
        "st7789-spi" => DisplaySpec::Tft(options.tft(tft::Chip::St7789, device)?),
        "ili9341-spi" => DisplaySpec::Tft(options.tft(tft::Chip::Ili9341, device)?),
        _ => return Err(DISPLAYS),
    };
    if !options.is_empty() {
        return Err(DISPLAYS);
    }
    let lines = spec.gpio().map(|(_, lines)| lines).unwrap_or_default();
    if differ(lines) { Ok(spec) } else { Err(ONCE) }
}

fn oled_of(kind: &str) -> oled::Chip {
    if kind.starts_with("sh1106") { oled::Chip::Sh1106 } else { oled::Chip::Ssd1306 }
}

/// `NAME=VALUE,…`
struct Options<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Options<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let pairs: Option<Vec<_>> = words.map(|word| word.split_once('=')).collect();
        pairs.map(Self)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, name: &str) -> Option<&'a str> {
        let index = self.0.iter().position(|(other, _)| *other == name)?;
        Some(self.0.remove(index).1)
    }

    /// The number of that name; none inside if there is none, none outside if it is no number.
    fn number(&mut self, name: &str) -> Option<Option<u32>> {
        self.take(name).map_or(Some(None), |text| text.parse().ok().map(Some))
    }

    fn wires(&mut self, device: &str, speed: u32) -> Option<SpiWires> {
        Some(SpiWires {
            device: device.into(),
            chip: self.take("chip").unwrap_or(GPIO_CHIP).into(),
            dc: self.number("dc")??,
            reset: self.number("reset")?,
            light: self.number("light")?,
            speed: self.number("speed")?.unwrap_or(speed),
            mode: match self.number("mode")? {
                None | Some(0) => SpiModeFlags::SPI_MODE_0,
                Some(3) => SpiModeFlags::SPI_MODE_3,
                Some(_) => return None,
            },
        })
    }

    fn tft(&mut self, chip: tft::Chip, device: &str) -> Result<Tft, &'static str> {
        let wires = self.wires(device, TFT_SPEED).ok_or(DISPLAYS)?;
        // The usual modules: a square one, and a wide one.
        let (glass, turned, inverted) = match chip {
            tft::Chip::St7789 => (Size::new(240, 240), 0, true),
            tft::Chip::Ili9341 => (tft::MEMORY, 90, false),
        };
        let glass = self.take("size").map_or(Some(glass), parse_size).ok_or(DISPLAYS)?;
        let offset = self.take("offset").map(|text| pair(text).ok_or(DISPLAYS)).transpose()?;
        let degrees = self.number("rotate").ok_or(DISPLAYS)?.unwrap_or(turned);
        let inverted = match self.take("invert") {
            None => inverted,
            Some("yes") => true,
            Some("no") => false,
            Some(_) => return Err(DISPLAYS),
        };
        if !degrees.is_multiple_of(90) || degrees >= 360 {
            return Err(DISPLAYS);
        }
        let begins = offset.unwrap_or_default();
        let fits = |begin: u32, side: u32, all: u32| begin.checked_add(side).is_some_and(|end| end <= all);
        if !fits(begins.width, glass.width, tft::MEMORY.width) || !fits(begins.height, glass.height, tft::MEMORY.height)
        {
            return Err(WITHIN);
        }
        let offset = offset.or_else(|| chip.offset(glass)).ok_or(OFFSET)?;
        Ok(Tft { chip, wires, glass, offset, quarters: (degrees / 90) as u8, inverted })
    }
}

/// `128x64`; sides are at least 1 and at most [`MAX_SIDE`].
pub fn parse_size(text: &str) -> Option<Size> {
    let sides = 1..=MAX_SIDE;
    pair(text).filter(|size| sides.contains(&size.width) && sides.contains(&size.height))
}

/// `34x0`
fn pair(text: &str) -> Option<Size> {
    let (width, height) = text.split_once('x')?;
    Some(Size::new(width.parse().ok()?, height.parse().ok()?))
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
    differ(lines.numbers().collect()).then_some(lines)
}

/// Whether no line is named twice.
fn differ(mut lines: Vec<u32>) -> bool {
    let count = lines.len();
    lines.sort_unstable();
    lines.dedup();
    lines.len() == count
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
mod tests;
