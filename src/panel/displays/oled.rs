//! OLEDs of 128×64 pixels whose memory is organised in pages: SSD1306, SSD1309 and SH1106, on I²C or SPI.

use std::io;
use std::path::PathBuf;

use display_interface::WriteOnlyDataCommand;
use display_interface_spi::SPIInterface;
use embedded_hal::digital::OutputPin;
use linux_embedded_hal::I2cdev;
use ssd1306::command::AddrMode;
use ssd1306::mode::BasicMode;
use ssd1306::prelude::{Brightness, DisplayRotation, DisplaySize128x64};
use ssd1306::{I2CDisplayInterface, Ssd1306};

use super::lines::Output;
use super::sh1106::Sh1106;
use super::{SpiWires, closed, reset, silent};
use crate::panel::{Display, Frame, Light, PAGE_ROWS, PanelError, Region};

/// Which chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chip {
    /// SSD1306, and SSD1309, which has the same commands for all that is used here (no charge pump, whose command it
    /// ignores).
    Ssd1306,
    Sh1106,
}

/// How it is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bus {
    I2c { device: PathBuf, address: u8 },
    Spi(SpiWires),
}

/// What the chips do, each in its own words.
trait Controller: Send {
    /// Puts bytes into the memory: a byte a column of a page.
    fn write(&mut self, region: Region, bytes: &[u8]) -> Result<(), PanelError>;
    /// Sets the brightness.
    fn light(&mut self, light: Light) -> Result<(), PanelError>;
}

/// Opens the bus, resets the chip and sets it up.
type Opener = Box<dyn FnMut() -> Result<Box<dyn Controller>, PanelError> + Send>;

/// The display and what is known to be shown on it.
pub struct Oled {
    opener: Opener,
    /// None: an error since.
    chip: Option<Box<dyn Controller>>,
    /// None: nothing that is known; everything must be sent.
    shown: Option<Frame>,
    light: Light,
}

impl Oled {
    /// The display on this bus, and why it cannot be had, if so; it is looked for again with every frame.
    pub fn open(chip: Chip, bus: Bus) -> (Self, Option<PanelError>) {
        Self::new(Box::new(move || match &bus {
            Bus::I2c { device, address } => {
                let i2c = I2cdev::new(device).map_err(|error| closed(device, error))?;
                controller(chip, I2CDisplayInterface::new_custom_address(i2c, *address), None::<Output>)
            }
            Bus::Spi(wires) => {
                let open = || -> io::Result<_> {
                    let interface = SPIInterface::new(wires.bus()?, wires.line(wires.dc, false)?);
                    Ok((interface, wires.optional(wires.reset)?))
                };
                let (interface, reset) = open().map_err(|error| closed(&wires.device, error))?;
                controller(chip, interface, reset)
            }
        }))
    }

    /// An SSD1306 on a bus that is there already; after an error it is set up anew on the same.
    pub fn on_bus<I>(i2c: I) -> Self
    where
        I: embedded_hal::i2c::I2c + Clone + Send + 'static,
    {
        let open = move || {
            let interface = I2CDisplayInterface::new_custom_address(i2c.clone(), ADDRESS);
            controller(Chip::Ssd1306, interface, None::<Output>)
        };
        Self::new(Box::new(open)).0
    }

    fn new(mut opener: Opener) -> (Self, Option<PanelError>) {
        let (chip, problem) = match opener() {
            Ok(chip) => (Some(chip), None),
            Err(problem) => (None, Some(problem)),
        };
        (Self { opener, chip, shown: None, light: Light::default() }, problem)
    }

    /// Sends what differs from what is shown.
    fn send(&mut self, chip: &mut dyn Controller, frame: &Frame) -> Result<(), PanelError> {
        let shown = self.shown.take();
        for region in frame.changes(shown.as_ref()) {
            chip.write(region, &frame.page_bytes(region).collect::<Vec<u8>>())?;
        }
        if shown.is_none() {
            chip.light(self.light)?;
        }
        self.shown = Some(frame.clone());
        Ok(())
    }
}

fn controller<DI, P>(chip: Chip, interface: DI, mut line: Option<P>) -> Result<Box<dyn Controller>, PanelError>
where
    DI: WriteOnlyDataCommand + Send + 'static,
    P: OutputPin + Send + 'static,
{
    reset(line.as_mut()).map_err(silent)?;
    // The line stays taken, or the kernel may let it go low.
    Ok(match chip {
        Chip::Ssd1306 => {
            let mut driver = Ssd1306::new(interface, DisplaySize128x64, DisplayRotation::Rotate0);
            driver.init_with_addr_mode(AddrMode::Horizontal).map_err(silent)?;
            Box::new(Ssd { driver, _reset: line })
        }
        Chip::Sh1106 => {
            let mut driver = Sh1106::new(interface);
            driver.init().map_err(silent)?;
            Box::new(Sh { driver, _reset: line })
        }
    })
}

struct Ssd<DI, P> {
    driver: Ssd1306<DI, DisplaySize128x64, BasicMode>,
    _reset: Option<P>,
}

impl<DI: WriteOnlyDataCommand + Send, P: OutputPin + Send> Controller for Ssd<DI, P> {
    fn write(&mut self, region: Region, bytes: &[u8]) -> Result<(), PanelError> {
        let (x, page, width) = (region.x as u8, (region.page * PAGE_ROWS) as u8, region.width as u8);
        self.driver.set_draw_area((x, page), (x + width, page + PAGE_ROWS as u8)).map_err(silent)?;
        self.driver.draw(bytes).map_err(silent)
    }

    fn light(&mut self, light: Light) -> Result<(), PanelError> {
        match light {
            Light::Off => return self.driver.set_display_on(false).map_err(silent),
            Light::Dim => self.driver.set_brightness(Brightness::DIMMEST).map_err(silent)?,
            Light::Full => self.driver.set_brightness(Brightness::BRIGHT).map_err(silent)?,
        }
        self.driver.set_display_on(true).map_err(silent)
    }
}

struct Sh<DI, P> {
    driver: Sh1106<DI>,
    _reset: Option<P>,
}

impl<DI: WriteOnlyDataCommand + Send, P: OutputPin + Send> Controller for Sh<DI, P> {
    fn write(&mut self, region: Region, bytes: &[u8]) -> Result<(), PanelError> {
        self.driver.write(region.page as u8, region.x as u8, bytes).map_err(silent)
    }

    fn light(&mut self, light: Light) -> Result<(), PanelError> {
        match light {
            Light::Off => return self.driver.power(false).map_err(silent),
            Light::Dim => self.driver.contrast(0x01).map_err(silent)?,
            Light::Full => self.driver.contrast(0xFF).map_err(silent)?,
        }
        self.driver.power(true).map_err(silent)
    }
}

impl Display for Oled {
    fn show(&mut self, frame: &Frame) -> Result<(), PanelError> {
        // Taken: after an error the next frame begins anew, for the display may have lost power.
        let mut chip = match self.chip.take() {
            Some(chip) => chip,
            None => {
                self.shown = None;
                (self.opener)()?
            }
        };
        self.send(&mut *chip, frame)?;
        self.chip = Some(chip);
        Ok(())
    }

    fn light(&mut self, light: Light) -> Result<(), PanelError> {
        let touched = light == Light::Full && self.light != Light::Full;
        self.light = light;
        if let Some(frame) = self.shown.take_if(|_| touched) {
            // Nothing tells that a display has lost its power for a moment (SPI has no answer, I²C is seldom used), and
            // then it stays dark. Somebody is there now: it is set up anew, which takes less than they notice.
            self.chip = None; // The lines are given back first.
            return self.show(&frame);
        }
        // Nothing shown: set with the first frame.
        let Some((mut chip, shown)) = self.chip.take_if(|_| self.shown.is_some()).zip(self.shown.take()) else {
            return Ok(());
        };
        chip.light(light)?;
        (self.chip, self.shown) = (Some(chip), Some(shown));
        Ok(())
    }
}

/// The usual address of these displays.
pub const ADDRESS: u8 = 0x3C;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::panel::displays::model::{Line, Model, Sh1106 as ShModel, Ssd1306 as SsdModel, Wires, sequences};
    use proptest::prelude::*;

    /// The display on this bench, opened as often as need be.
    fn oled<M: Model>(chip: Chip, wires: &Wires<M>, spi: bool) -> Oled {
        let wires = wires.clone();
        let (oled, problem) = Oled::new(Box::new(move || {
            if spi {
                let interface = SPIInterface::new(wires.clone(), wires.line(Line::Dc));
                controller(chip, interface, Some(wires.line(Line::Reset)))
            } else {
                controller(chip, I2CDisplayInterface::new_custom_address(wires.clone(), ADDRESS), None::<Output>)
            }
        }));
        assert!(problem.is_none());
        oled
    }

    /// Shows the frames one by one, then breaks the bus at any moment, and shows them again.
    fn check<M: Model>(
        chip: Chip,
        wires: &Wires<M>,
        spi: bool,
        frames: &[Frame],
        broken_after: usize,
        picture: fn(&M) -> Frame,
    ) {
        let mut display = oled(chip, wires, spi);
        for frame in frames {
            display.show(frame).unwrap();
            assert_eq!(picture(&wires.bench().chip), *frame);
        }
        wires.break_after(broken_after);
        let mut failed = false;
        for frame in frames.iter().rev() {
            failed |= display.show(frame).is_err();
        }
        wires.mend();
        for frame in frames {
            display.show(frame).unwrap();
            // What the driver knows to have failed is begun anew; a chip that loses its power unseen is with the next touch.
            assert!(!failed || picture(&wires.bench().chip) == *frame);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        #[test]
        fn ssd1306_shows_what_is_wanted(frames in sequences(crate::panel::OLED), spi: bool, broken_after in 0usize..60) {
            check(Chip::Ssd1306, &Wires::new(SsdModel::new(true)), spi, &frames, broken_after, SsdModel::picture);
        }

        #[test]
        fn ssd1309_shows_what_is_wanted(frames in sequences(crate::panel::OLED), broken_after in 0usize..60) {
            check(Chip::Ssd1306, &Wires::new(SsdModel::new(false)), true, &frames, broken_after, SsdModel::picture);
        }

        #[test]
        fn sh1106_shows_what_is_wanted(frames in sequences(crate::panel::OLED), spi: bool, broken_after in 0usize..60) {
            check(Chip::Sh1106, &Wires::new(ShModel::new()), spi, &frames, broken_after, ShModel::picture);
        }
    }

    fn dotted(x: i32, y: i32) -> Frame {
        let mut frame = Frame::default();
        frame.set(x, y, true);
        frame
    }

    #[test]
    fn only_changes_travel() {
        let wires = Wires::new(SsdModel::new(true));
        let mut display = oled(Chip::Ssd1306, &wires, false);
        for (frame, bytes) in [(dotted(3, 9), 1024), (dotted(5, 9), 1024 + 3), (dotted(5, 9), 1024 + 3)] {
            display.show(&frame).unwrap();
            let bench = wires.bench();
            assert_eq!((bench.chip.picture(), bench.data_bytes), (frame, bytes));
        }
        let wires = Wires::new(ShModel::new());
        let mut display = oled(Chip::Sh1106, &wires, true);
        display.show(&dotted(127, 63)).unwrap();
        display.show(&dotted(127, 62)).unwrap();
        assert_eq!(wires.bench().data_bytes, 1024 + 1);
    }

    #[test]
    fn light_is_contrast_and_power_and_survives_the_loss_of_power() {
        let wires = Wires::new(SsdModel::new(true));
        let mut display = oled(Chip::Ssd1306, &wires, false);
        display.light(Light::Dim).unwrap();
        display.show(&dotted(0, 0)).unwrap();
        let dim = wires.bench().chip.contrast();
        display.light(Light::Full).unwrap();
        assert!(wires.bench().chip.contrast() > dim);
        display.light(Light::Off).unwrap();
        assert!(!wires.bench().chip.on());
        wires.break_after(0);
        assert!(display.light(Light::Dim).unwrap_err().to_string().contains("wires"));
        wires.mend();
        display.show(&dotted(1, 0)).unwrap();
        let bench = wires.bench();
        assert_eq!((bench.chip.picture(), bench.chip.contrast(), bench.chip.on()), (dotted(1, 0), dim, true));
    }

    #[test]
    fn a_display_that_has_lost_its_power_unseen_is_back_with_a_touch() {
        let wires = Wires::new(SsdModel::new(true));
        let mut display = oled(Chip::Ssd1306, &wires, false);
        for (number, light) in [Light::Dim, Light::Off].into_iter().enumerate() {
            let frame = dotted(number as i32, 5);
            display.show(&frame).unwrap();
            display.light(light).unwrap();
            wires.bench().chip.reset();
            display.light(Light::Full).unwrap();
            let bench = wires.bench();
            assert_eq!((bench.chip.picture(), bench.chip.on()), (frame, true), "{light:?}");
            let sent = bench.data_bytes;
            drop(bench);
            // Bright already: nothing is to be healed.
            display.light(Light::Full).unwrap();
            assert_eq!(wires.bench().data_bytes, sent);
        }
    }

    #[test]
    fn an_sh1106_is_dimmed_and_darkened_too() {
        let wires = Wires::new(ShModel::new());
        let mut display = oled(Chip::Sh1106, &wires, true);
        let state = |wires: &Wires<ShModel>| {
            let bench = wires.bench();
            (bench.chip.contrast(), bench.chip.on())
        };
        display.show(&dotted(0, 0)).unwrap();
        assert_eq!(state(&wires), (0xFF, true));
        display.light(Light::Dim).unwrap();
        assert_eq!(state(&wires), (0x01, true));
        display.light(Light::Off).unwrap();
        assert!(!state(&wires).1);
    }

    #[test]
    fn a_display_that_is_not_there_is_waited_for() {
        let wires = Wires::new(SsdModel::new(true));
        wires.break_after(3);
        let bus = wires.clone();
        let (mut display, problem) = Oled::new(Box::new(move || {
            controller(Chip::Ssd1306, I2CDisplayInterface::new_custom_address(bus.clone(), ADDRESS), None::<Output>)
        }));
        assert!(problem.is_some() && display.show(&dotted(7, 7)).is_err());
        wires.mend();
        display.show(&dotted(7, 7)).unwrap();
        assert_eq!(wires.bench().chip.picture(), dotted(7, 7));
    }
}
