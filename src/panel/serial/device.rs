//! The panel's side of the protocol, without its display and knob: what firmware does with messages.
//!
//! As the codec it needs nothing but `core` and `heapless`.

use super::codec::{Decoder, Hello, Input, Message, VERSION, crc16};

/// Rows of a page.
const PAGE_ROWS: u16 = 8;

/// A panel of some size, whose picture takes `BYTES` bytes: columns times pages.
#[derive(Debug)]
pub struct Device<const BYTES: usize> {
    width: u16,
    height: u16,
    boot: u16,
    damaged: u16,
    token: u8,
    input: Input,
    level: u8,
    picture: [u8; BYTES],
    decoder: Decoder,
}

/// What has come of a byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing yet, or nothing to do.
    Nothing,
    /// The picture or its brightness is another one.
    Changed,
    /// This is to be sent.
    Answer(Message),
}

impl<const BYTES: usize> Device<BYTES> {
    /// A panel that has just been switched on. `boot` must be another number each time; a picture larger than `BYTES`
    /// is cut off.
    pub fn new(width: u16, height: u16, boot: u16) -> Self {
        Self {
            width,
            height,
            boot,
            damaged: 0,
            token: 0,
            input: Input::default(),
            level: 0,
            picture: [0; BYTES],
            decoder: Decoder::default(),
        }
    }

    /// A byte has come over the line.
    pub fn receive(&mut self, byte: u8) -> Outcome {
        match self.decoder.push(byte) {
            None => Outcome::Nothing,
            Some(Ok(Message::Ask { token, .. })) => {
                self.token = token;
                Outcome::Answer(self.hello())
            }
            Some(Ok(Message::Region { page, x, bytes })) => {
                self.region(page, x, &bytes);
                Outcome::Changed
            }
            Some(Ok(Message::Light { level })) => {
                self.level = level;
                Outcome::Changed
            }
            // Our own kinds come back where the line echoes.
            Some(Ok(Message::Hello(_) | Message::Input(_))) => Outcome::Nothing,
            Some(Err(_)) => {
                self.damaged = self.damaged.wrapping_add(1);
                Outcome::Answer(self.hello())
            }
        }
    }

    fn region(&mut self, page: u8, x: u16, bytes: &[u8]) {
        let row = usize::from(page) * usize::from(self.width);
        let columns = usize::from(x)..usize::from(self.width);
        if u16::from(page) >= self.height.div_ceil(PAGE_ROWS) {
            return;
        }
        for (column, byte) in columns.zip(bytes) {
            if let Some(cell) = self.picture.get_mut(row + column) {
                *cell = *byte;
            }
        }
    }

    /// To be sent at power-on.
    pub fn hello(&self) -> Message {
        let bytes = usize::from(self.width) * usize::from(self.height.div_ceil(PAGE_ROWS));
        Message::Hello(Hello {
            version: VERSION,
            width: self.width,
            height: self.height,
            boot: self.boot,
            damaged: self.damaged,
            token: self.token,
            picture: crc16(self.picture.iter().take(bytes).copied()),
            input: self.input,
        })
    }

    /// The knob was turned; what is to be sent, now and once more a tenth of a second later.
    pub fn turned(&mut self, detents: i16) -> Message {
        self.input.position = self.input.position.wrapping_add(detents);
        Message::Input(self.input)
    }

    /// The button went down or up; what is to be sent, now and once more a tenth of a second later.
    pub fn button(&mut self, down: bool) -> Message {
        if down && !self.input.down {
            self.input.presses = self.input.presses.wrapping_add(1);
        }
        self.input.down = down;
        Message::Input(self.input)
    }

    /// Where the knob stands.
    pub fn input(&self) -> Input {
        self.input
    }

    /// Frames that were damaged.
    pub fn damaged(&self) -> u16 {
        self.damaged
    }

    /// 0 off, 1 dim, 2 full.
    pub fn level(&self) -> u8 {
        self.level
    }

    /// Pages from the top, a byte a column, least significant bit on top.
    pub fn pages(&self) -> impl Iterator<Item = &[u8]> {
        self.picture.chunks_exact(usize::from(self.width).max(1))
    }
}
