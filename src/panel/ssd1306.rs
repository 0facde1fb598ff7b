//! The SSD1306 OLED of 128×64 pixels on the I²C bus.

use std::path::Path;

use linux_embedded_hal::I2cdev;
use ssd1306::command::AddrMode;
use ssd1306::mode::BasicMode;
use ssd1306::prelude::{Brightness, DisplayRotation, DisplaySize128x64, I2CInterface, WriteOnlyDataCommand};
use ssd1306::{I2CDisplayInterface, Ssd1306};

use super::{Display, Frame, Light, PanelError, Region, WIDTH};

/// Rows of a page (datasheet 8.7).
const PAGE_ROWS: u8 = 8;

/// The display and what is known to be shown on it.
pub struct Oled<DI> {
    driver: Ssd1306<DI, DisplaySize128x64, BasicMode>,
    /// None: not set up, or an error since; everything must be sent.
    shown: Option<Frame>,
    light: Light,
}

/// Opens the display at address 0x3C on the bus; it is set up with the first frame.
///
/// # Errors
/// If the bus cannot be opened.
pub fn open(device: &Path) -> Result<Oled<I2CInterface<I2cdev>>, PanelError> {
    let bus = I2cdev::new(device).map_err(|source| PanelError::Open {
        device: device.display().to_string(),
        reason: source.to_string(),
        advice: "switch I2C on (raspi-config, or dtparam=i2c_arm=on in config.txt), or set [panel] display to \"none\"",
    })?;
    Ok(Oled::new(I2CDisplayInterface::new(bus)))
}

impl<DI: WriteOnlyDataCommand> Oled<DI> {
    fn new(interface: DI) -> Self {
        let driver = Ssd1306::new(interface, DisplaySize128x64, DisplayRotation::Rotate0);
        Self { driver, shown: None, light: Light::default() }
    }

    fn apply_light(&mut self) -> Result<(), PanelError> {
        match self.light {
            Light::Off => return self.driver.set_display_on(false).map_err(silent),
            Light::Dim => self.driver.set_brightness(Brightness::DIMMEST).map_err(silent)?,
            Light::Full => self.driver.set_brightness(Brightness::BRIGHT).map_err(silent)?,
        }
        self.driver.set_display_on(true).map_err(silent)
    }

    /// Sends what differs from `shown`; everything, after setting the display up, if nothing is known to be shown.
    fn send(&mut self, frame: &Frame, shown: Option<&Frame>) -> Result<(), PanelError> {
        if shown.is_none() {
            self.driver.init_with_addr_mode(AddrMode::Horizontal).map_err(silent)?;
        }
        let mut bytes = [0; WIDTH as usize];
        for region in frame.changes(shown) {
            for (to, byte) in bytes.iter_mut().zip(frame.page_bytes(region)) {
                *to = byte;
            }
            let Region { page, x, width } = region;
            self.driver.set_draw_area((x, page * PAGE_ROWS), (x + width, (page + 1) * PAGE_ROWS)).map_err(silent)?;
            self.driver.draw(&bytes[..usize::from(width)]).map_err(silent)?;
        }
        if shown.is_none() {
            self.apply_light()?;
        }
        Ok(())
    }
}

fn silent(error: impl std::fmt::Debug) -> PanelError {
    PanelError::Display { reason: format!("{error:?}") }
}

impl<DI: WriteOnlyDataCommand + Send> Display for Oled<DI> {
    fn show(&mut self, frame: &Frame) -> Result<(), PanelError> {
        // Taken: after an error the next call begins anew, for the display may have lost power.
        let shown = self.shown.take();
        self.send(frame, shown.as_ref())?;
        self.shown = Some(frame.clone());
        Ok(())
    }

    fn light(&mut self, light: Light) -> Result<(), PanelError> {
        self.light = light;
        if self.shown.is_none() {
            return Ok(()); // Set with the first frame.
        }
        self.apply_light().inspect_err(|_| self.shown = None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, Operation};
    use std::sync::{Arc, Mutex};

    /// The display's end of the bus: keeps its memory as the datasheet says (8.1.5, 10.1.3 to 10.1.5).
    #[derive(Default)]
    struct Chip {
        memory: Frame,
        area: [[u8; 2]; 2],
        at: [u8; 2],
        data_bytes: usize,
        contrast: u8,
        on: bool,
        unplugged: bool,
    }

    impl Chip {
        fn command(&mut self, bytes: &[u8]) {
            match *bytes {
                [0x21, start, end] => {
                    self.area[0] = [start, end];
                    self.at[0] = start;
                }
                [0x22, start, end] => {
                    self.area[1] = [start, end];
                    self.at[1] = start;
                }
                [0x81, contrast] => self.contrast = contrast,
                [0xAE] => self.on = false,
                [0xAF] => self.on = true,
                _ => {}
            }
        }

        fn data(&mut self, bytes: &[u8]) {
            self.data_bytes += bytes.len();
            for byte in bytes {
                self.memory.set_page_bytes(Region { page: self.at[1], x: self.at[0], width: 1 }, &[*byte]);
                self.at[0] += 1;
                if self.at[0] > self.area[0][1] {
                    self.at[0] = self.area[0][0];
                    self.at[1] += 1;
                }
            }
        }
    }

    #[derive(Clone, Default)]
    struct Bus(Arc<Mutex<Chip>>);

    impl ErrorType for Bus {
        type Error = ErrorKind;
    }

    impl I2c for Bus {
        fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
            let mut chip = self.0.lock().unwrap();
            if chip.unplugged || address != 0x3C {
                return Err(ErrorKind::Bus);
            }
            for operation in operations {
                match operation {
                    Operation::Write([0x00, command @ ..]) => chip.command(command),
                    Operation::Write([0x40, data @ ..]) => chip.data(data),
                    _ => return Err(ErrorKind::Other),
                }
            }
            Ok(())
        }
    }

    fn dotted(x: i32, y: i32) -> Frame {
        let mut frame = Frame::default();
        frame.set(x, y, true);
        frame
    }

    #[test]
    fn only_changes_travel() {
        let bus = Bus::default();
        let mut oled = Oled::new(I2CDisplayInterface::new(bus.clone()));
        oled.show(&dotted(3, 9)).unwrap();
        assert_eq!(bus.0.lock().unwrap().memory, dotted(3, 9));
        assert_eq!(bus.0.lock().unwrap().data_bytes, 1024);
        oled.show(&dotted(5, 9)).unwrap();
        assert_eq!(bus.0.lock().unwrap().memory, dotted(5, 9));
        assert_eq!(bus.0.lock().unwrap().data_bytes, 1024 + 3);
        oled.show(&dotted(5, 9)).unwrap();
        assert_eq!(bus.0.lock().unwrap().data_bytes, 1024 + 3);
    }

    #[test]
    fn a_display_that_was_unplugged_is_set_up_anew() {
        let bus = Bus::default();
        let mut oled = Oled::new(I2CDisplayInterface::new(bus.clone()));
        oled.light(Light::Dim).unwrap();
        oled.show(&dotted(0, 0)).unwrap();
        let dim = bus.0.lock().unwrap().contrast;
        bus.0.lock().unwrap().unplugged = true;
        assert!(oled.show(&dotted(1, 0)).unwrap_err().to_string().contains("wires"));
        *bus.0.lock().unwrap() = Chip::default();
        oled.show(&dotted(1, 0)).unwrap();
        let chip = bus.0.lock().unwrap();
        assert_eq!((&chip.memory, chip.contrast, chip.on), (&dotted(1, 0), dim, true));
    }

    #[test]
    fn light_is_contrast_and_power() {
        let bus = Bus::default();
        let mut oled = Oled::new(I2CDisplayInterface::new(bus.clone()));
        oled.show(&Frame::default()).unwrap();
        let full = bus.0.lock().unwrap().contrast;
        oled.light(Light::Off).unwrap();
        assert!(!bus.0.lock().unwrap().on);
        oled.light(Light::Dim).unwrap();
        assert!(bus.0.lock().unwrap().on && bus.0.lock().unwrap().contrast < full);
    }
}
