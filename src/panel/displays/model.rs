//! Models of the chips: they take what is on the bus byte by byte, as their datasheets say, and show a picture. What a
//! datasheet does not know fails the test.

mod mipi;
mod oled;

use std::sync::{Arc, Mutex, MutexGuard};

use embedded_hal::digital::{ErrorType as PinErrorType, OutputPin};
use embedded_hal::i2c::{self, I2c};
use embedded_hal::spi::{self, SpiDevice};
use proptest::prelude::*;

use crate::panel::Frame;
pub use mipi::Mipi;
pub use oled::{Sh1106, Ssd1306};

/// What a chip does with its wires.
pub trait Model: Send + 'static {
    /// A byte with the data-or-command line low.
    fn command(&mut self, byte: u8);
    /// A byte with that line high.
    fn data(&mut self, byte: u8);
    /// The reset line was pulled, or the power has come.
    fn reset(&mut self);
}

/// A line beside the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    Dc,
    Reset,
    Light,
}

/// A chip with what is around it.
pub struct Bench<M> {
    pub chip: M,
    dc: bool,
    pub light: bool,
    /// Bytes of data (not of commands) so far.
    pub data_bytes: usize,
    /// The transfers that still work: then the bus fails half-way through one.
    fail_after: Option<usize>,
}

/// The wires to a chip; clones are the same wires.
pub struct Wires<M>(Arc<Mutex<Bench<M>>>);

impl<M> Clone for Wires<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// One of the lines.
pub struct Driven<M>(Wires<M>, Line);

/// The bus does not answer.
#[derive(Debug, Clone, Copy)]
pub struct Dead;

impl<M: Model> Wires<M> {
    pub fn new(chip: M) -> Self {
        Self(Arc::new(Mutex::new(Bench { chip, dc: false, light: false, data_bytes: 0, fail_after: None })))
    }

    pub fn bench(&self) -> MutexGuard<'_, Bench<M>> {
        self.0.lock().unwrap()
    }

    pub fn line(&self, line: Line) -> Driven<M> {
        Driven(self.clone(), line)
    }

    /// Lets the bus fail after so many more transfers, until [`Wires::mend`].
    pub fn break_after(&self, transfers: usize) {
        self.bench().fail_after = Some(transfers);
    }

    /// The plug is in again, and the chip has lost its power in between.
    pub fn mend(&self) {
        let mut bench = self.bench();
        bench.fail_after = None;
        bench.chip.reset();
    }

    fn pass(&self, bytes: &[(bool, u8)]) -> Result<(), Dead> {
        let mut bench = self.bench();
        let works = match &mut bench.fail_after {
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
            None => true,
        };
        // A bus that breaks does so in the middle.
        let arrived = if works { bytes.len() } else { bytes.len() / 2 };
        for (data, byte) in &bytes[..arrived] {
            if *data {
                bench.data_bytes += 1;
                bench.chip.data(*byte);
            } else {
                bench.chip.command(*byte);
            }
        }
        if works { Ok(()) } else { Err(Dead) }
    }
}

impl i2c::Error for Dead {
    fn kind(&self) -> i2c::ErrorKind {
        i2c::ErrorKind::Bus
    }
}

impl<M> i2c::ErrorType for Wires<M> {
    type Error = Dead;
}

impl<M: Model> I2c for Wires<M> {
    fn transaction(&mut self, address: u8, operations: &mut [i2c::Operation<'_>]) -> Result<(), Dead> {
        assert_eq!(address, super::oled::ADDRESS);
        for operation in operations {
            // The control byte: only commands or only data follow (SSD1306 datasheet, 8.1.5.2).
            let (data, bytes) = match operation {
                i2c::Operation::Write([0x00, bytes @ ..]) => (false, bytes),
                i2c::Operation::Write([0x40, bytes @ ..]) => (true, bytes),
                other => panic!("not a write with a control byte: {other:?}"),
            };
            self.pass(&bytes.iter().map(|byte| (data, *byte)).collect::<Vec<_>>())?;
        }
        Ok(())
    }
}

impl spi::Error for Dead {
    fn kind(&self) -> spi::ErrorKind {
        spi::ErrorKind::Other
    }
}

impl<M> spi::ErrorType for Wires<M> {
    type Error = Dead;
}

impl<M: Model> SpiDevice for Wires<M> {
    fn transaction(&mut self, operations: &mut [spi::Operation<'_, u8>]) -> Result<(), Dead> {
        for operation in operations {
            let spi::Operation::Write(bytes) = operation else { panic!("only written to: {operation:?}") };
            let data = self.bench().dc;
            self.pass(&bytes.iter().map(|byte| (data, *byte)).collect::<Vec<_>>())?;
        }
        Ok(())
    }
}

impl embedded_hal::digital::Error for Dead {
    fn kind(&self) -> embedded_hal::digital::ErrorKind {
        embedded_hal::digital::ErrorKind::Other
    }
}

impl<M> PinErrorType for Driven<M> {
    type Error = Dead;
}

impl<M: Model> OutputPin for Driven<M> {
    fn set_low(&mut self) -> Result<(), Dead> {
        let mut bench = self.0.bench();
        match self.1 {
            Line::Dc => bench.dc = false,
            Line::Reset => bench.chip.reset(),
            Line::Light => bench.light = false,
        }
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Dead> {
        let mut bench = self.0.bench();
        match self.1 {
            Line::Dc => bench.dc = true,
            Line::Reset => {}
            Line::Light => bench.light = true,
        }
        Ok(())
    }
}

/// Frames of a size, each a few changes away from the one before, as those of a screen are.
pub fn sequences(size: embedded_graphics::geometry::Size) -> impl Strategy<Value = Vec<Frame>> {
    let pixels = prop::collection::vec((0..size.width as i32, 0..size.height as i32, any::<bool>()), 0..12);
    (any::<[u8; 32]>(), prop::collection::vec(pixels, 1..5)).prop_map(move |(pattern, changes)| {
        let mut frame = Frame::new(size);
        for page in 0..size.height.div_ceil(8) {
            let columns: Vec<u8> = (0..size.width).map(|x| pattern[(x + page) as usize % 32]).collect();
            frame.set_page_bytes(page, 0, &columns);
        }
        let mut frames = vec![frame.clone()];
        for pixels in changes {
            pixels.into_iter().for_each(|(x, y, lit)| frame.set(x, y, lit));
            frames.push(frame.clone());
        }
        frames
    })
}
