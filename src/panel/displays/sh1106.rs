//! The commands of the SH1106 (Sino Wealth, datasheet 2.3). The crate of that name is for an older `embedded-hal`.

use display_interface::DataFormat::U8;
use display_interface::{DisplayError, WriteOnlyDataCommand};

/// The memory has 132 columns; glass of 128 is connected to the middle ones.
const FIRST_COLUMN: u8 = 2;

/// Settings for 128×64 glass with the chip's own supply, in the order of the datasheet's example.
const SETUP: [&[u8]; 14] = [
    &[0xAE],       // display off
    &[0xD5, 0x80], // oscillator: 15 % above the usual, undivided
    &[0xA8, 0x3F], // 64 lines
    &[0xD3, 0x00], // not shifted
    &[0x40],       // first line of the memory on top
    &[0xAD, 0x8B], // the chip's own supply
    &[0xA1],       // columns from right to left, as the glass is mounted
    &[0xC8],       // lines from the bottom up
    &[0xDA, 0x12], // lines alternate
    &[0xD9, 0x22], // pre-charge 2, discharge 2 clocks
    &[0xDB, 0x35], // VCOM deselect level 0.77
    &[0x32],       // pump at 8.0 V
    &[0xA4],       // shows its memory
    &[0xA6],       // 1 is lit
];

/// The chip behind a bus.
pub struct Sh1106<DI> {
    interface: DI,
}

impl<DI: WriteOnlyDataCommand> Sh1106<DI> {
    pub fn new(interface: DI) -> Self {
        Self { interface }
    }

    /// Sets the chip up; it stays dark.
    pub fn init(&mut self) -> Result<(), DisplayError> {
        SETUP.iter().try_for_each(|command| self.interface.send_commands(U8(command)))
    }

    /// Puts bytes into a page, from a column: the chip has no other addressing.
    pub fn write(&mut self, page: u8, x: u8, bytes: &[u8]) -> Result<(), DisplayError> {
        let column = x + FIRST_COLUMN;
        self.interface.send_commands(U8(&[0xB0 | page & 0x07, column & 0x0F, 0x10 | column >> 4]))?;
        self.interface.send_data(U8(bytes))
    }

    pub fn contrast(&mut self, contrast: u8) -> Result<(), DisplayError> {
        self.interface.send_commands(U8(&[0x81, contrast]))
    }

    pub fn power(&mut self, on: bool) -> Result<(), DisplayError> {
        self.interface.send_commands(U8(&[0xAE | u8::from(on)]))
    }
}
