//! Firmware that is not as it should be.

use super::*;

const HELLO: Hello = Hello {
    version: VERSION,
    width: 128,
    height: 64,
    boot: 3,
    damaged: 0,
    token: 0,
    picture: 0,
    input: Input { position: 0, down: false, presses: 0 },
};

/// What showing a picture says once such a panel has introduced itself; it must not be sent any.
fn refusal(hello: Hello) -> String {
    let (mut host, _pty, mut reader, mut writer) = Host::wired();
    let mut decoder = Decoder::default();
    let (mut asked, end) = (0, Instant::now() + PATIENCE);
    assert!(host.panel.show(&striped(OLED, 3)).unwrap_err().to_string().contains("wires"));
    // The second question comes when the first answer has been read.
    while asked < 2 {
        assert!(Instant::now() < end);
        let mut bytes = [0; 64];
        let count = reader.read(&mut bytes).unwrap_or(0);
        for byte in &bytes[..count] {
            match decoder.push(*byte).transpose().unwrap() {
                Some(Message::Ask { .. }) => {
                    asked += 1;
                    writer.write_all(&Message::Hello(hello).encode()).unwrap();
                }
                Some(other) => panic!("{other:?} is for panels that can show it"),
                None => {}
            }
        }
    }
    host.panel.show(&striped(OLED, 3)).unwrap_err().to_string()
}

#[test]
fn a_panel_of_another_version_is_left_alone() {
    let told = refusal(Hello { version: VERSION + 1, ..HELLO });
    assert!(told.contains("version 3") && told.contains("firmware") && !told.contains("wires"), "{told}");
}

#[test]
fn a_panel_too_small_for_a_screen_is_told_so() {
    for (width, height) in [(119, 64), (128, 63)] {
        let told = refusal(Hello { width, height, ..HELLO });
        assert!(told.contains(&format!("{width} x {height}")) && told.contains("120 x 64"), "{told}");
    }
}

#[test]
fn a_knob_that_begins_anew_is_not_turned_back() {
    let (mut host, _pty, _reader, mut writer) = Host::wired();
    let at = |position| Input { position, ..Input::default() };
    let hello = |boot, position| Message::Hello(Hello { boot, input: at(position), ..HELLO });
    let messages = [
        hello(3, 300),
        Message::Input(at(301)),
        // Reset, and the hello that tells so is lost at first.
        Message::Input(at(0)),
        Message::Input(at(1)),
        hello(4, 1),
        Message::Input(at(2)),
        // A panel that says it is still the same has turned so far.
        Message::Input(at(60)),
        hello(4, 60),
        Message::Input(at(61)),
    ];
    messages.iter().for_each(|message| writer.write_all(&message.encode()).unwrap());
    let detents: Vec<i32> = host.hears(1 + 1 + 58 + 1, 0).into_iter().map(Gesture::detents).collect();
    assert_eq!(detents, [1, 1, 58, 1]);
}
