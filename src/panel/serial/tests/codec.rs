//! The codec against itself.

use proptest::prelude::*;

use crate::panel::serial::codec::*;

fn inputs() -> impl Strategy<Value = Input> {
    any::<(i16, bool, u8)>().prop_map(|(position, down, presses)| Input { position, down, presses })
}

fn messages() -> impl Strategy<Value = Message> {
    let region = (any::<u8>(), any::<u16>(), prop::collection::vec(any::<u8>(), 0..=MAX_REGION));
    let hello = (any::<u8>(), any::<[u16; 5]>(), any::<u8>(), inputs());
    prop_oneof![
        any::<(u8, u8)>().prop_map(|(version, token)| Message::Ask { version, token }),
        region.prop_map(|(page, x, bytes)| {
            Message::Region { page, x, bytes: heapless::Vec::from_slice(&bytes).unwrap() }
        }),
        any::<u8>().prop_map(|level| Message::Light { level }),
        hello.prop_map(|(version, [width, height, boot, damaged, picture], token, input)| {
            Message::Hello(Hello { version, width, height, boot, damaged, token, picture, input })
        }),
        inputs().prop_map(Message::Input),
    ]
}

fn decode_all(bytes: impl IntoIterator<Item = u8>) -> Vec<Result<Message, Damage>> {
    let mut decoder = Decoder::default();
    bytes.into_iter().filter_map(|byte| decoder.push(byte)).collect()
}

#[test]
fn checksum_is_the_catalogued_one() {
    assert_eq!(crc16(*b"123456789"), 0x29B1);
}

#[test]
fn overlong_frames_are_dropped_and_the_next_is_read() {
    let message = Message::Light { level: 2 };
    let mut bytes = vec![1; 100_000];
    bytes.push(0);
    bytes.extend_from_slice(&message.encode());
    assert_eq!(decode_all(bytes), [Err(Damage::TooLong), Ok(message)]);
}

proptest! {
    #[test]
    fn messages_round_trip(message in messages()) {
        let wire = message.encode();
        prop_assert!(wire.len() <= MAX_WIRE);
        prop_assert_eq!(decode_all(wire), [Ok(message)]);
    }

    #[test]
    fn a_frame_has_one_zero_at_its_end(message in messages()) {
        let wire = message.encode();
        prop_assert_eq!(wire.iter().position(|byte| *byte == 0), Some(wire.len() - 1));
    }

    #[test]
    fn noise_never_panics_and_does_not_hide_the_next_frame(noise: Vec<u8>, message in messages()) {
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
