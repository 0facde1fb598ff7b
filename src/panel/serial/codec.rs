//! Frames of the serial front panel: COBS (Cheshire and Baker, 1999) with a zero at the end, CRC-16/IBM-3740 inside.
//!
//! Uses no allocator and nothing but `core` and `heapless`, so that the firmware of a panel can take this file as it
//! is. What is on the wire is described in `board/serial-panel.md`.

use heapless::Vec;

/// Version of the protocol that is spoken here.
pub const VERSION: u8 = 1;
/// Most bytes of a region: one page from edge to edge.
pub const MAX_REGION: usize = 128;
/// Longest message: kind, page, column, bytes, CRC.
const MAX_MESSAGE: usize = 3 + MAX_REGION + 2;
/// Longest frame on the wire, with COBS's one code byte (messages are shorter than 254 bytes) and the zero.
pub const MAX_WIRE: usize = MAX_MESSAGE + 2;

/// Kinds of messages; those from the panel have the highest bit set.
mod kind {
    pub const ASK: u8 = 0x01;
    pub const REGION: u8 = 0x02;
    pub const LIGHT: u8 = 0x03;
    pub const HELLO: u8 = 0x81;
    pub const TURN: u8 = 0x82;
    pub const BUTTON: u8 = 0x83;
}

/// Who the panel is and how it fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// Of the protocol.
    pub version: u8,
    /// Pixels across.
    pub width: u8,
    /// Pixels down.
    pub height: u8,
    /// Random at power-on: another number means that the panel has forgotten what it showed.
    pub boot: u16,
    /// Frames received so far that were damaged; wraps. A change means that something is missing on the display.
    pub damaged: u16,
}

/// What is said over the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Host: who is there? Also a sign of life, every two seconds.
    Ask { version: u8 },
    /// Host: these bytes go to this page from this column, a byte a column, least significant bit on top.
    Region { page: u8, x: u8, bytes: Vec<u8, MAX_REGION> },
    /// Host: 0 off, 1 dim, 2 full.
    Light { level: u8 },
    /// Panel: at power-on and when asked.
    Hello(Hello),
    /// Panel: turned by so many detents, clockwise positive.
    Turn { detents: i8 },
    /// Panel: the button went down or up; debouncing and holding are the host's business.
    Button { down: bool },
}

/// Why a frame was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Longer than any message.
    #[error("frame is too long")]
    TooLong,
    /// Not COBS.
    #[error("frame is not COBS")]
    Stuffing,
    /// The checksum does not fit.
    #[error("checksum does not fit")]
    Checksum,
    /// The checksum fits, but not what is in it: another version of the protocol.
    #[error("unknown message")]
    Unknown,
}

/// CRC-16/IBM-3740 (also called CCITT-FALSE): polynomial 0x1021, start 0xFFFF, not reflected.
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
    })
}

impl Message {
    /// The frame for the wire, its zero included.
    pub fn encode(&self) -> Vec<u8, MAX_WIRE> {
        let mut message = Vec::<u8, MAX_MESSAGE>::new();
        let body: &[u8] = match self {
            Self::Ask { version } => &[kind::ASK, *version],
            Self::Region { page, x, .. } => &[kind::REGION, *page, *x],
            Self::Light { level } => &[kind::LIGHT, *level],
            Self::Hello(hello) => {
                let ([b0, b1], [d0, d1]) = (hello.boot.to_le_bytes(), hello.damaged.to_le_bytes());
                &[kind::HELLO, hello.version, hello.width, hello.height, b0, b1, d0, d1]
            }
            Self::Turn { detents } => &[kind::TURN, detents.to_le_bytes()[0]],
            Self::Button { down } => &[kind::BUTTON, u8::from(*down)],
        };
        // None of these can be full: MAX_MESSAGE is the longest message and MAX_WIRE its frame.
        let _ = message.extend_from_slice(body);
        if let Self::Region { bytes, .. } = self {
            let _ = message.extend_from_slice(bytes);
        }
        let crc = crc16(&message);
        let _ = message.extend_from_slice(&crc.to_le_bytes());
        stuff(&message)
    }

    /// Reads a message without its checksum.
    fn parse(message: &[u8]) -> Option<Self> {
        Some(match *message {
            // Bodies may grow at their end in later versions.
            [kind::ASK, version, ..] => Self::Ask { version },
            [kind::REGION, page, x, ref bytes @ ..] => Self::Region { page, x, bytes: Vec::from_slice(bytes).ok()? },
            [kind::LIGHT, level, ..] => Self::Light { level },
            [kind::HELLO, version, width, height, b0, b1, d0, d1, ..] => Self::Hello(Hello {
                version,
                width,
                height,
                boot: u16::from_le_bytes([b0, b1]),
                damaged: u16::from_le_bytes([d0, d1]),
            }),
            [kind::TURN, detents, ..] => Self::Turn { detents: i8::from_le_bytes([detents]) },
            [kind::BUTTON, down, ..] => Self::Button { down: down != 0 },
            _ => return None,
        })
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
        if crc16(body) != u16::from_le_bytes(*crc) {
            return Err(Damage::Checksum);
        }
        Message::parse(body).ok_or(Damage::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn messages() -> impl Strategy<Value = Message> {
        let region = (any::<u8>(), any::<u8>(), prop::collection::vec(any::<u8>(), 0..=MAX_REGION))
            .prop_map(|(page, x, bytes)| Message::Region { page, x, bytes: Vec::from_slice(&bytes).unwrap() });
        let hello = any::<(u8, u8, u8, u16, u16)>().prop_map(|(version, width, height, boot, damaged)| {
            Message::Hello(Hello { version, width, height, boot, damaged })
        });
        prop_oneof![
            any::<u8>().prop_map(|version| Message::Ask { version }),
            region,
            any::<u8>().prop_map(|level| Message::Light { level }),
            hello,
            any::<i8>().prop_map(|detents| Message::Turn { detents }),
            any::<bool>().prop_map(|down| Message::Button { down }),
        ]
    }

    fn decode_all(bytes: impl IntoIterator<Item = u8>) -> std::vec::Vec<Result<Message, Damage>> {
        let mut decoder = Decoder::default();
        bytes.into_iter().filter_map(|byte| decoder.push(byte)).collect()
    }

    #[test]
    fn checksum_is_the_catalogued_one() {
        assert_eq!(crc16(b"123456789"), 0x29B1);
    }

    #[test]
    fn the_wire_is_as_documented() {
        // The examples of board/serial-panel.md.
        assert_eq!(Message::Ask { version: 1 }.encode()[..], [0x05, 0x01, 0x01, 0x1F, 0x3E, 0x00][..]);
        assert_eq!(Message::Turn { detents: -1 }.encode()[..], [0x05, 0x82, 0xFF, 0x05, 0x7E, 0x00][..]);
        assert_eq!(Message::Button { down: false }.encode()[..], [0x02, 0x83, 0x03, 0xC4, 0x53, 0x00][..]);
        let corner = Message::Region { page: 0, x: 127, bytes: Vec::from_slice(&[0xFF]).unwrap() };
        assert_eq!(corner.encode()[..], [0x02, 0x02, 0x05, 0x7F, 0xFF, 0x3F, 0x6F, 0x00][..]);
    }

    #[test]
    fn overlong_frames_are_dropped_and_the_next_is_read() {
        let mut bytes = std::vec![7u8; 10 * MAX_WIRE];
        bytes.push(0);
        bytes.extend_from_slice(&Message::Turn { detents: 3 }.encode());
        assert_eq!(decode_all(bytes), [Err(Damage::TooLong), Ok(Message::Turn { detents: 3 })]);
    }

    proptest! {
        #[test]
        fn messages_round_trip(messages in prop::collection::vec(messages(), 1..20)) {
            let wire: std::vec::Vec<u8> = messages.iter().flat_map(|message| message.encode()).collect();
            let decoded: std::vec::Vec<Message> = decode_all(wire).into_iter().map(Result::unwrap).collect();
            prop_assert_eq!(decoded, messages);
        }

        #[test]
        fn a_frame_has_one_zero_at_its_end(message in messages()) {
            let wire = message.encode();
            prop_assert_eq!(wire.iter().position(|byte| *byte == 0), Some(wire.len() - 1));
        }

        #[test]
        fn noise_never_panics_and_does_not_hide_the_next_frame(noise: std::vec::Vec<u8>, message in messages()) {
            let mut bytes = noise;
            bytes.push(0);
            bytes.extend_from_slice(&message.encode());
            prop_assert_eq!(decode_all(bytes).pop(), Some(Ok(message)));
        }

        #[test]
        fn one_wrong_bit_is_noticed(message in messages(), at: prop::sample::Index, bit in 0u8..8) {
            let mut wire = message.encode();
            let last = wire.len() - 1;
            wire[at.index(last)] ^= 1 << bit;
            prop_assert!(decode_all(wire).iter().all(Result::is_err));
        }
    }
}
