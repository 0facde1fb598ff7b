//! ST7789 (Sitronix, 1.4) and ILI9341 (Ilitek, 1.11): a memory of 240×320 pixels behind the MIPI command set.

use super::Model;

const WIDTH: usize = 240;
const HEIGHT: usize = 320;

/// A chip with its glass on a part of its memory.
pub struct Mipi {
    memory: Vec<u16>,
    /// Whether the glass has the columns from right to left, as that of the ILI9341.
    right_to_left: bool,
    /// Column and row at which the glass begins.
    offset: (usize, usize),
    command: u8,
    arguments: Vec<u8>,
    columns: [u16; 2],
    rows: [u16; 2],
    at: [u16; 2],
    /// The first byte of a pixel.
    half: Option<u8>,
    madctl: u8,
    colmod: u8,
    inverted: bool,
    awake: bool,
    on: bool,
}

impl Mipi {
    pub fn new(right_to_left: bool, offset: (usize, usize)) -> Self {
        let mut chip = Self {
            memory: Vec::new(),
            right_to_left,
            offset,
            command: 0,
            arguments: Vec::new(),
            columns: [0, 0],
            rows: [0, 0],
            at: [0, 0],
            half: None,
            madctl: 0,
            colmod: 0,
            inverted: false,
            awake: false,
            on: false,
        };
        chip.reset();
        chip
    }

    /// How the memory is addressed, as was sent (MADCTL).
    pub fn addressing(&self) -> u8 {
        self.madctl
    }

    pub fn inverted(&self) -> bool {
        self.inverted
    }

    /// The colour of a pixel of the glass, which is not turned; none while the display is off.
    pub fn glass(&self, x: usize, y: usize) -> Option<u16> {
        let (x, y) = (self.offset.0 + x, self.offset.1 + y);
        let x = if self.right_to_left { WIDTH - 1 - x } else { x };
        (self.awake && self.on).then(|| self.memory[y * WIDTH + x])
    }

    fn argument(&mut self) {
        let pair = |at: usize| u16::from_be_bytes([self.arguments[at], self.arguments[at + 1]]);
        match (self.command, self.arguments.len()) {
            (0x2A, 4) => (self.columns, self.at[0]) = ([pair(0), pair(2)], pair(0)),
            (0x2B, 4) => (self.rows, self.at[1]) = ([pair(0), pair(2)], pair(0)),
            (0x36, 1) => self.madctl = self.arguments[0],
            (0x3A, 1) => self.colmod = self.arguments[0],
            (0x2A | 0x2B, 1..=3) | (0xB4, 1) => {}
            (command, _) => panic!("an argument that command {command:02X} does not have"),
        }
    }

    fn pixel(&mut self, color: u16) {
        assert_eq!(self.colmod & 0x07, 0x05, "16 bits a pixel");
        let [column, row] = self.at;
        // MADCTL: exchange, then mirror (datasheet, "memory data access control").
        let exchanged = self.madctl & 0x20 != 0;
        let (x, y) = if exchanged { (row, column) } else { (column, row) };
        let x = if self.madctl & 0x40 != 0 { WIDTH - 1 - usize::from(x) } else { usize::from(x) };
        let y = if self.madctl & 0x80 != 0 { HEIGHT - 1 - usize::from(y) } else { usize::from(y) };
        self.memory[y * WIDTH + x] = color;
        self.at[0] += 1;
        if self.at[0] > self.columns[1] {
            self.at = [self.columns[0], if row == self.rows[1] { self.rows[0] } else { row + 1 }];
        }
    }
}

impl Model for Mipi {
    fn command(&mut self, byte: u8) {
        assert!(self.half.take().is_none(), "half a pixel");
        (self.command, self.arguments) = (byte, Vec::new());
        match byte {
            0x01 => self.reset(),
            0x10 => self.awake = false,
            0x11 => self.awake = true,
            0x13 | 0x2A | 0x2B | 0x36 | 0x3A | 0xB4 => {}
            0x20 | 0x21 => self.inverted = byte == 0x21,
            0x28 | 0x29 => self.on = byte == 0x29,
            0x2C => self.at = [self.columns[0], self.rows[0]],
            _ => panic!("no command that is used: {byte:02X}"),
        }
    }

    fn data(&mut self, byte: u8) {
        if self.command != 0x2C {
            self.arguments.push(byte);
            return self.argument();
        }
        match self.half.take() {
            Some(high) => self.pixel(u16::from_be_bytes([high, byte])),
            None => self.half = Some(byte),
        }
    }

    fn reset(&mut self) {
        self.memory = (0..WIDTH * HEIGHT).map(|at| (at * 31) as u16 ^ 0x5AA5).collect();
        (self.columns, self.rows, self.at) = ([0, 239], [0, 319], [0, 0]);
        (self.half, self.arguments) = (None, Vec::new());
        (self.madctl, self.colmod, self.inverted, self.awake, self.on) = (0, 0x66, false, false, false);
    }
}
