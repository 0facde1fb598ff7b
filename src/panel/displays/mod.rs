//! Drivers of displays. Each sends only what has changed, keeps to the brightness that the screens ask for, and begins
//! anew after an error: the device is opened again, set up and told everything.

pub mod framebuffer;
mod lines;
#[cfg(test)]
mod model;
pub mod oled;
mod sh1106;
pub mod tft;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use embedded_hal::digital::OutputPin;
use linux_embedded_hal::SpidevDevice;
use linux_embedded_hal::spidev::{SpiModeFlags, SpidevOptions};

use super::{PanelError, advice};
use lines::Output;

/// A display on SPI and the lines beside the bus, by the numbers of the GPIO chip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpiWires {
    /// `/dev/spidev0.0`
    pub device: PathBuf,
    /// Whose lines these are.
    pub chip: PathBuf,
    /// Data or command; displays of this kind cannot do without.
    pub dc: u32,
    /// Reset, active low. None: the display resets itself at power-on.
    pub reset: Option<u32>,
    /// Backlight, active high. None: always on.
    pub light: Option<u32>,
    /// Clock, in Hz.
    pub speed: u32,
    /// Level of the clock at rest, and at which of its edges bits are read: 0 or 3, which chips of displays take both; modules
    /// without a line for chip select may work with 3 only.
    pub mode: SpiModeFlags,
}

impl SpiWires {
    fn bus(&self) -> io::Result<SpidevDevice> {
        let mut bus = SpidevDevice::open(&self.device).map_err(|error| io::Error::other(error.to_string()))?;
        bus.configure(&self.options())?;
        Ok(bus)
    }

    /// How the bus is driven.
    pub(super) fn options(&self) -> SpidevOptions {
        SpidevOptions::new().bits_per_word(8).max_speed_hz(self.speed).mode(self.mode).build()
    }

    fn line(&self, line: u32, high: bool) -> io::Result<Output> {
        let error = |error| io::Error::other(format!("line {line} of {}: {error}", self.chip.display()));
        Output::open(&self.chip, line, high).map_err(error)
    }

    fn optional(&self, line: Option<u32>) -> io::Result<Option<Output>> {
        line.map(|line| self.line(line, true)).transpose()
    }
}

/// How long a reset is held and then waited for; datasheets ask for 3 µs (SSD1306) to 10 µs and up to 5 ms (ILI9341).
const RESET: Duration = Duration::from_millis(1);

/// Resets the chip, if its line is connected.
fn reset<P: OutputPin>(line: Option<&mut P>) -> Result<(), P::Error> {
    let Some(line) = line else { return Ok(()) };
    line.set_low()?;
    std::thread::sleep(RESET);
    line.set_high()?;
    std::thread::sleep(RESET);
    Ok(())
}

/// For `map_err`: whatever a bus says.
fn silent(error: impl std::fmt::Debug) -> PanelError {
    PanelError::Display { reason: format!("{error:?}") }
}

/// The device cannot be opened.
fn closed(device: &std::path::Path, error: impl std::fmt::Display) -> PanelError {
    PanelError::Open { device: device.display().to_string(), reason: error.to_string(), advice: advice::buses() }
}
