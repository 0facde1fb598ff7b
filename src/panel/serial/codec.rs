//! Frames of the serial front panel: COBS (Cheshire and Baker, 1999) with a zero at the end, CRC-16/IBM-3740 inside.
//!
//! Uses no allocator and nothing but `core` and `heapless`, so that the firmware of a panel can take this file as it
//! is (`tests/panel_codec.rs` compiles it so). What is on the wire is described in `board/serial-panel.md`.

use core::fmt;

use heapless::Vec;

/// Version of the protocol that is spoken here.
pub const VERSION: u8 = 2;
/// Most bytes of a region.
pub const MAX_REGION: usize = 128;
/// Longest message: kind, page, column, bytes, CRC.
const MAX_MESSAGE: usize = 4 + MAX_REGION + 2;
/// Longest frame on the wire, with COBS's one code byte (messages are shorter than 254 bytes) and the zero.
pub const MAX_WIRE: usize = MAX_MESSAGE + 2;

/// Kinds of messages; those from the panel have the highest bit set.
mod kind {
    pub const ASK: u8 = 0x01;
    pub const REGION: u8 = 0x02;
    pub const LIGHT: u8 = 0x03;
    pub const HELLO: u8 = 0x81;
    pub const INPUT: u8 = 0x82;
}

/// Where the knob stands. It is a state and no change, so that a lost message is made good by the next one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Input {
    /// Detents since power-on, clockwise positive; wraps.
    pub position: i16,
    /// Whether the button is down.
    pub down: bool,
    /// How often it went down since power-on; wraps.
    pub presses: u8,
}

/// Who the panel is and how it fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// Of the protocol.
    pub version: u8,
    /// Pixels across.
    pub width: u16,
    /// Pixels down.
    pub height: u16,
    /// Random at power-on: another number means that the panel has forgotten what it showed.
    pub boot: u16,
    /// Frames received so far that were damaged; wraps. A change means that something is missing on the display.
    pub damaged: u16,
    /// Of the last [`Message::Ask`].
    pub token: u8,
    /// [`crc16`] of what is shown: page by page from the top, a byte a column.
    pub picture: u16,
    pub input: Input,
}

/// What is said over the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Host: who is there? Also a sign of life, every two seconds.
    Ask { version: u8, token: u8 },
    /// Host: these bytes go to this page from this column, a byte a column, least significant bit on top.
    Region { page: u8, x: u16, bytes: Vec<u8, MAX_REGION> },
    /// Host: 0 off, 1 dim, 2 full.
    Light { level: u8 },
    /// Panel: at power-on, when asked, and when a frame was damaged.
    Hello(Hello),
    /// Panel: the knob was turned or its button went down or up; debouncing and holding are the host's business.
    Input(Input),
}

/// Why a frame was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// Longer than any message.
    TooLong,
    /// Not COBS.
    Stuffing,
    /// The checksum does not fit.
    Checksum,
    /// The checksum fits, but not what is in it: another version of the protocol.
    Unknown,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "frame is too long",
            Self::Stuffing => "frame is not COBS",
            Self::Checksum => "checksum does not fit",
            Self::Unknown => "unknown message",
        })
    }
}

/// CRC-16/IBM-3740 (also called CCITT-FALSE): polynomial 0x1021, start 0xFFFF, not reflected.
pub fn crc16(bytes: impl IntoIterator<Item = u8>) -> u16 {
    bytes.into_iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
    })
}

impl Message {
    /// The frame for the wire, its zero included.
    pub fn encode(&self) -> Vec<u8, MAX_WIRE> {
        let mut message = Vec::<u8, MAX_MESSAGE>::new();
        // Nothing here can be full: MAX_MESSAGE is the longest message and MAX_WIRE its frame.
        let _ = match self {
            Self::Ask { version, token } => message.extend_from_slice(&[kind::ASK, *version, *token]),
            Self::Region { page, x, bytes } => {
                let [low, high] = x.to_le_bytes();
                let _ = message.extend_from_slice(&[kind::REGION, *page, low, high]);
                message.extend_from_slice(bytes)
            }
            Self::Light { level } => message.extend_from_slice(&[kind::LIGHT, *level]),
            Self::Hello(hello) => {
                let _ = message.extend_from_slice(&[kind::HELLO, hello.version]);
                for number in [hello.width, hello.height, hello.boot, hello.damaged] {
                    let _ = message.extend_from_slice(&number.to_le_bytes());
                }
                let [low, high] = hello.picture.to_le_bytes();
                let _ = message.extend_from_slice(&[hello.token, low, high]);
                message.extend_from_slice(&hello.input.bytes())
            }
            Self::Input(input) => {
                let _ = message.push(kind::INPUT);
                message.extend_from_slice(&input.bytes())
            }
        };
        let crc = crc16(message.iter().copied());
        let _ = message.extend_from_slice(&crc.to_le_bytes());
        stuff(&message)
    }

    /// Reads a message without its checksum. Bodies may grow at their end in later versions.
    fn parse(message: &[u8]) -> Option<Self> {
        let (kind, body) = message.split_first()?;
        Some(match (*kind, body) {
            (kind::ASK, [version, token, ..]) => Self::Ask { version: *version, token: *token },
            (kind::REGION, [page, low, high, bytes @ ..]) => {
                Self::Region { page: *page, x: u16::from_le_bytes([*low, *high]), bytes: Vec::from_slice(bytes).ok()? }
            }
            (kind::LIGHT, [level, ..]) => Self::Light { level: *level },
            (kind::HELLO, [version, w0, w1, h0, h1, b0, b1, d0, d1, token, p0, p1, input @ ..]) => Self::Hello(Hello {
                version: *version,
                width: u16::from_le_bytes([*w0, *w1]),
                height: u16::from_le_bytes([*h0, *h1]),
                boot: u16::from_le_bytes([*b0, *b1]),
                damaged: u16::from_le_bytes([*d0, *d1]),
                token: *token,
                picture: u16::from_le_bytes([*p0, *p1]),
                input: Input::parse(input)?,
            }),
            (kind::INPUT, input) => Self::Input(Input::parse(input)?),
            _ => return None,
        })
    }
}

impl Input {
    fn bytes(self) -> [u8; 4] {
        let [low, high] = self.position.to_le_bytes();
        [low, high, u8::from(self.down), self.presses]
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let [low, high, buttons, presses, ..] = bytes else { return None };
        let position = i16::from_le_bytes([*low, *high]);
        // Other bits are for buttons of later versions.
        Some(Self { position, down: buttons & 1 == 1, presses: *presses })
    }
}

/// COBS: each zero is replaced by the distance to the next one, the first distance stands in front.
fn stuff(message: &[u8]) -> Vec<u8, MAX_WIRE> {
    let mut wire = Vec::new();
    for block in message.split(|byte| *byte == 0) {
        // Blocks are shorter than 254 bytes, as messages are.
        let _ = wire.push(block.len() as u8 + 1);
        let _ = wire.extend_from_slice(block);
    }
    let _ = wire.push(0);
    wire
}

/// Takes the stuffing out of a frame without its zero.
fn unstuff(mut wire: &[u8]) -> Result<Vec<u8, MAX_WIRE>, Damage> {
    let mut message = Vec::new();
    while let [code, rest @ ..] = wire {
        let block = rest.get(..usize::from(*code).saturating_sub(1)).ok_or(Damage::Stuffing)?;
        message.extend_from_slice(block).map_err(|_| Damage::TooLong)?;
        wire = &rest[block.len()..];
        if !wire.is_empty() {
            message.push(0).map_err(|_| Damage::TooLong)?;
        }
    }
    Ok(message)
}

/// Finds messages in a stream of bytes that may begin anywhere and be damaged.
#[derive(Debug, Default)]
pub struct Decoder {
    wire: Vec<u8, MAX_WIRE>,
    /// The frame is longer than any; what comes up to the next zero belongs to it.
    overflown: bool,
}

impl Decoder {
    /// Takes one byte; at the end of a frame, what was in it.
    pub fn push(&mut self, byte: u8) -> Option<Result<Message, Damage>> {
        if byte != 0 {
            self.overflown |= self.wire.push(byte).is_err();
            return None;
        }
        let overflown = core::mem::take(&mut self.overflown);
        let result = match (overflown, self.wire.is_empty()) {
            (true, _) => Some(Err(Damage::TooLong)),
            // Zeros between frames are allowed: senders use them to cut off noise.
            (false, true) => None,
            (false, false) => Some(Self::decode(&self.wire)),
        };
        self.wire.clear();
        result
    }

    fn decode(wire: &[u8]) -> Result<Message, Damage> {
        let message = unstuff(wire)?;
        let (body, crc) = message.split_last_chunk::<2>().ok_or(Damage::Checksum)?;
        if crc16(body.iter().copied()) != u16::from_le_bytes(*crc) {
            return Err(Damage::Checksum);
        }
        Message::parse(body).ok_or(Damage::Unknown)
    }
}
