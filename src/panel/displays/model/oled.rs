//! The chips of OLEDs, with 128×64 glass mounted as modules have it: upside down, so that both directions are reversed.

use super::Model;
use crate::panel::Frame;

/// What chips of both makers have.
#[derive(Default)]
struct Common {
    /// A command that waits for its arguments.
    command: Vec<u8>,
    on: bool,
    contrast: u8,
    columns_reversed: bool,
    rows_reversed: bool,
    start_line: u8,
    all_lit: bool,
    inverted: bool,
    multiplex: u8,
    offset: u8,
    alternating: bool,
    supply: bool,
}

impl Common {
    fn new() -> Self {
        // Values after reset, as both datasheets list them.
        Self { contrast: 0x7F, multiplex: 63, alternating: true, ..Self::default() }
    }

    /// Carries out what both chips understand.
    fn execute(&mut self, command: &[u8]) -> bool {
        match *command {
            [line @ 0x40..=0x7F] => self.start_line = line & 0x3F,
            [0x81, contrast] => self.contrast = contrast,
            [remap @ 0xA0..=0xA1] => self.columns_reversed = remap & 1 == 1,
            [all @ 0xA4..=0xA5] => self.all_lit = all & 1 == 1,
            [invert @ 0xA6..=0xA7] => self.inverted = invert & 1 == 1,
            [0xA8, multiplex] => self.multiplex = multiplex,
            [on @ 0xAE..=0xAF] => self.on = on & 1 == 1,
            [direction @ (0xC0 | 0xC8)] => self.rows_reversed = direction == 0xC8,
            [0xD3, offset] => self.offset = offset,
            [0xD5 | 0xD9 | 0xDB, _] | [0xE3] => {}
            [0xDA, pins] => self.alternating = pins & 0x10 != 0,
            _ => return false,
        }
        true
    }

    /// What is to be seen of a memory of 128 columns.
    fn picture(&self, memory: impl Fn(usize, usize) -> u8) -> Frame {
        let mut frame = Frame::default();
        if !self.on || !self.supply {
            return frame;
        }
        assert_eq!((self.multiplex, self.offset, self.alternating), (63, 0, true), "not set up for this glass");
        for y in 0..64 {
            for x in 0..128 {
                let column = if self.columns_reversed { x } else { 127 - x };
                let row = if self.rows_reversed { y } else { 63 - y };
                let row = (row + usize::from(self.start_line)) % 64;
                let lit = memory(row / 8, column) >> (row % 8) & 1 == 1;
                frame.set(x as i32, y as i32, self.all_lit || lit != self.inverted);
            }
        }
        frame
    }
}

/// SSD1306 (Solomon Systech, rev 1.1), and SSD1309 without a charge pump.
pub struct Ssd1306 {
    common: Common,
    memory: [[u8; 128]; 8],
    /// 0 horizontal, 1 vertical, 2 page.
    mode: u8,
    columns: [u8; 2],
    pages: [u8; 2],
    at: [u8; 2],
    pump: bool,
    has_pump: bool,
}

impl Ssd1306 {
    pub fn new(has_pump: bool) -> Self {
        let mut chip = Self {
            common: Common::new(),
            memory: [[0; 128]; 8],
            mode: 2,
            columns: [0, 127],
            pages: [0, 7],
            at: [0, 0],
            pump: false,
            has_pump,
        };
        chip.reset();
        chip
    }

    pub fn contrast(&self) -> u8 {
        self.common.contrast
    }

    pub fn on(&self) -> bool {
        self.common.on
    }

    pub fn picture(&self) -> Frame {
        self.common.picture(|page, column| self.memory[page][column])
    }

    fn execute(&mut self, command: &[u8]) {
        match *command {
            [0x20, mode] => self.mode = mode & 3,
            [0x21, start, end] => (self.columns, self.at[0]) = ([start & 0x7F, end & 0x7F], start & 0x7F),
            [0x22, start, end] => (self.pages, self.at[1]) = ([start & 7, end & 7], start & 7),
            [0x2E] => {}
            [0x8D, pump] => self.pump = pump & 4 != 0,
            [low @ 0x00..=0x0F] if self.mode == 2 => self.at[0] = self.at[0] & 0xF0 | low,
            [high @ 0x10..=0x1F] if self.mode == 2 => self.at[0] = self.at[0] & 0x0F | (high & 7) << 4,
            [page @ 0xB0..=0xB7] if self.mode == 2 => self.at[1] = page & 7,
            _ => assert!(self.common.execute(command), "no command of this chip: {command:02X?}"),
        }
        self.common.supply = self.pump || !self.has_pump;
    }
}

impl Model for Ssd1306 {
    fn command(&mut self, byte: u8) {
        self.common.command.push(byte);
        let length = match self.common.command[0] {
            0x21 | 0x22 => 3,
            0x20 | 0x81 | 0x8D | 0xA8 | 0xD3 | 0xD5 | 0xD9 | 0xDA | 0xDB => 2,
            _ => 1,
        };
        if self.common.command.len() == length {
            let command = std::mem::take(&mut self.common.command);
            self.execute(&command);
        }
    }

    fn data(&mut self, byte: u8) {
        let next = |at: u8, [start, end]: [u8; 2]| if at == end { (start, true) } else { (at.wrapping_add(1), false) };
        let [column, page] = self.at;
        self.memory[usize::from(page) % 8][usize::from(column) % 128] = byte;
        match self.mode {
            0 => {
                let (column, over) = next(column, self.columns);
                self.at = [column, if over { next(page, self.pages).0 } else { page }];
            }
            1 => {
                let (page, over) = next(page, self.pages);
                self.at = [if over { next(column, self.columns).0 } else { column }, page];
            }
            _ => self.at[0] = next(column, [0, 127]).0,
        }
    }

    fn reset(&mut self) {
        // The memory holds anything at power-on.
        let noise = |page: usize, column: usize| (page * 37 + column * 11) as u8 ^ 0xA5;
        for (page, row) in self.memory.iter_mut().enumerate() {
            row.iter_mut().enumerate().for_each(|(column, byte)| *byte = noise(page, column));
        }
        (self.common, self.mode, self.pump) = (Common::new(), 2, false);
        (self.columns, self.pages, self.at) = ([0, 127], [0, 7], [0, 0]);
    }
}

/// SH1106 (Sino Wealth, 2.3): 132 columns, of which the glass has the middle ones; pages only.
pub struct Sh1106 {
    common: Common,
    memory: [[u8; 132]; 8],
    column: u8,
    page: u8,
}

impl Sh1106 {
    pub fn new() -> Self {
        let mut chip = Self { common: Common::new(), memory: [[0; 132]; 8], column: 0, page: 0 };
        chip.reset();
        chip
    }

    pub fn contrast(&self) -> u8 {
        self.common.contrast
    }

    pub fn on(&self) -> bool {
        self.common.on
    }

    pub fn picture(&self) -> Frame {
        self.common.picture(|page, column| self.memory[page][column + 2])
    }

    fn execute(&mut self, command: &[u8]) {
        match *command {
            [low @ 0x00..=0x0F] => self.column = self.column & 0xF0 | low,
            [high @ 0x10..=0x1F] => self.column = self.column & 0x0F | (high & 0x0F) << 4,
            [0x30..=0x33] => {}
            [page @ 0xB0..=0xB7] => self.page = page & 7,
            [0xAD, supply] => {
                // Only while the display is off.
                assert!(!self.common.on);
                self.common.supply = supply & 1 == 1;
            }
            _ => assert!(self.common.execute(command), "no command of this chip: {command:02X?}"),
        }
    }
}

impl Model for Sh1106 {
    fn command(&mut self, byte: u8) {
        self.common.command.push(byte);
        let two = matches!(self.common.command[0], 0x81 | 0xA8 | 0xAD | 0xD3 | 0xD5 | 0xD9 | 0xDA | 0xDB);
        if self.common.command.len() == 1 + usize::from(two) {
            let command = std::mem::take(&mut self.common.command);
            self.execute(&command);
        }
    }

    fn data(&mut self, byte: u8) {
        // The address stops at the last column.
        if let Some(cell) = self.memory[usize::from(self.page)].get_mut(usize::from(self.column)) {
            *cell = byte;
            self.column += 1;
        }
    }

    fn reset(&mut self) {
        self.memory = [[0x5A; 132]; 8];
        (self.common, self.column, self.page) = (Common::new(), 0, 0);
        // The supply is on after reset (datasheet, "DC-DC on").
        self.common.supply = true;
    }
}
