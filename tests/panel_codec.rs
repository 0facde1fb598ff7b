//! The front panel's side of the protocol, compiled as firmware would: there is no `std` and no `alloc` for the files
//! under test, and what they put on the wire is what `board/serial-panel.md` says.

#![no_std]

// Under another name, so that only this file can use it; the harness needs it.
extern crate std as host;

#[path = "../src/panel/serial/codec.rs"]
mod codec;
#[path = "../src/panel/serial/device.rs"]
mod device;

use codec::{Damage, Decoder, Hello, Input, Message, crc16};
use device::{Device, Outcome};
use host::prelude::v1::{String, Vec};
use host::{format, vec};

const DOCUMENT: &str = include_str!("../board/serial-panel.md");

fn on_the_wire(message: &Message) -> String {
    message.encode().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(" ")
}

fn region(page: u8, x: u16, bytes: &[u8]) -> Message {
    Message::Region { page, x, bytes: heapless::Vec::from_slice(bytes).expect("no longer than a region") }
}

#[test]
fn the_examples_of_the_document_are_what_is_sent() {
    let hello = Hello {
        version: 2,
        width: 128,
        height: 64,
        boot: 0x1234,
        damaged: 3,
        token: 5,
        picture: 0xABCD,
        input: Input { position: -2, down: false, presses: 9 },
    };
    let examples = [
        ("ask, version 2, token 5", Message::Ask { version: 2, token: 5 }),
        ("region, page 0, column 127, one lit column", region(0, 127, &[0xFF])),
        ("region, page 1, column 300, bytes 00 18", region(1, 300, &[0x00, 0x18])),
        ("light, dim", Message::Light { level: 1 }),
        (
            "hello, 128×64, boot 0x1234, damaged 3, token 5, picture 0xABCD, position -2, button up, presses 9",
            Message::Hello(hello),
        ),
        ("input, position -1, button down, presses 9", Message::Input(Input { position: -1, down: true, presses: 9 })),
    ];
    for (words, message) in examples {
        let row = format!("| {words} | `{}` |", on_the_wire(&message));
        assert!(DOCUMENT.contains(&row), "not in the document: {row}");
    }
    assert!(DOCUMENT.contains(&format!("0x{:04X}", crc16([0; 1024]))));
    assert_eq!(DOCUMENT.matches("` |\n").count(), 6, "an example is not tested");
}

#[test]
fn a_device_does_its_duties() {
    let mut device = Device::<1024>::new(128, 64, 77);
    let send = |device: &mut Device<1024>, bytes: &[u8]| -> Vec<Outcome> {
        bytes.iter().map(|byte| device.receive(*byte)).filter(|outcome| *outcome != Outcome::Nothing).collect()
    };
    assert_eq!(send(&mut device, &region(7, 126, &[1, 2, 3, 4]).encode()), [Outcome::Changed]);
    assert_eq!(send(&mut device, &region(8, 0, &[9]).encode()), [Outcome::Changed]);
    assert_eq!(send(&mut device, &Message::Light { level: 1 }.encode()), [Outcome::Changed]);
    let mut picture = vec![0; 1024];
    picture[1022..].copy_from_slice(&[1, 2]);
    assert_eq!(device.pages().flatten().copied().collect::<Vec<u8>>(), picture);
    assert_eq!((device.level(), device.damaged()), (1, 0));
    assert_eq!(device.turned(-3), Message::Input(Input { position: -3, down: false, presses: 0 }));
    device.button(true);
    assert_eq!(device.button(true), Message::Input(Input { position: -3, down: true, presses: 1 }));
    let answer = send(&mut device, &Message::Ask { version: 2, token: 9 }.encode());
    let [Outcome::Answer(Message::Hello(hello))] = &answer[..] else { panic!("{answer:?}") };
    assert_eq!((hello.token, hello.boot, hello.width, hello.height), (9, 77, 128, 64));
    assert_eq!((hello.picture, hello.input), (crc16(picture), device.input()));
    let answer = send(&mut device, b"noise\0");
    assert!(matches!(&answer[..], [Outcome::Answer(Message::Hello(Hello { damaged: 1, .. }))]));
}

#[test]
fn damage_has_a_name() {
    let mut decoder = Decoder::default();
    let outcomes: Vec<_> = [3, 1, 0].into_iter().filter_map(|byte| decoder.push(byte)).collect();
    assert_eq!(outcomes, [Err(Damage::Stuffing)]);
    assert_eq!(format!("{}", Damage::Stuffing), "frame is not COBS");
}
