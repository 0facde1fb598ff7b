//! What the rooms have against settings that are well-formed.

use crate::audio::OutputSpec;
use crate::config::{BoardProfile, Config};
use crate::panel::{DisplaySpec, KnobSpec, ParseSpecError};
use crate::system::setup::Objection;

/// What the rooms have against a configuration that is well-formed: names of devices and boards that none of them knows.
pub fn objections(config: &Config) -> Vec<Objection> {
    let mut found: Vec<Objection> = Vec::new();
    let board = BoardProfile::load(config.board.profile.as_deref().unwrap_or("auto"));
    let board = board.map_err(|error| error.to_string()).and_then(|board| match faults(&board) {
        None => Ok(board),
        Some(fault) => Err(fault),
    });
    found.extend(board.as_ref().err().map(|error| (&["board", "profile"][..], error.clone())));
    let mut note = |path, error: Option<String>| found.extend(error.map(|error| (path, error)));
    let audio = config.audio.output.as_ref().and_then(|text| text.parse::<OutputSpec>().err());
    note(&["audio", "output"], audio.map(|error| error.to_string()));
    let display = config.panel.display.as_ref().map(|text| text.parse::<DisplaySpec>());
    let knob = config.panel.knob.as_ref().map(|text| text.parse::<KnobSpec>());
    let sentence = |error: &ParseSpecError| error.to_string();
    note(&["panel", "display"], display.as_ref().and_then(|spec| spec.as_ref().err()).map(sentence));
    note(&["panel", "knob"], knob.as_ref().and_then(|spec| spec.as_ref().err()).map(sentence));
    // Wires of one that the board's profile has for the other count, too.
    let theirs = board.ok().and_then(|board| Some((board.display.parse().ok()?, board.knob.parse().ok()?)));
    let (their_display, their_knob) = theirs.unwrap_or((DisplaySpec::None, KnobSpec::None));
    let key: &[&str] = if knob.is_some() { &["panel", "knob"] } else { &["panel", "display"] };
    let display = display.and_then(Result::ok).unwrap_or(their_display);
    let knob = knob.and_then(Result::ok).unwrap_or(their_knob);
    note(key, shared_line(&display, &knob));
    found
}

/// What is wrong with a board profile that is well-formed.
pub fn faults(board: &BoardProfile) -> Option<String> {
    let of = |key: &str, error: String| Some(format!("board {:?}, {key}: {error}", board.name));
    if let Err(error) = board.audio.parse::<OutputSpec>() {
        return of("audio", error.to_string());
    }
    match (board.display.parse(), board.knob.parse()) {
        (Err(error), _) => of("display", ParseSpecError::to_string(&error)),
        (_, Err(error)) => of("knob", ParseSpecError::to_string(&error)),
        (Ok(display), Ok(knob)) => shared_line(&display, &knob).and_then(|error| of("knob", error)),
    }
}

/// A wire cannot go to two places, and a serial line has one speed.
fn shared_line(display: &DisplaySpec, knob: &KnobSpec) -> Option<String> {
    if let (DisplaySpec::Serial { device }, KnobSpec::Serial { device: other }) = (display, knob) {
        let alike = device == other || display.devices() != knob.devices();
        let told =
            || format!("display and knob are on one serial line; name it alike in both, {device:?} or {other:?}");
        return (!alike).then(told);
    }
    let ((chip, lines), (other_chip, others)) = (display.gpio()?, knob.gpio()?);
    let line = lines.into_iter().find(|line| chip == other_chip && others.contains(line))?;
    Some(format!("display and knob are both on line {line} of {}; connect one of them elsewhere", chip.display()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_the_rooms_do_not_know_is_told_with_its_key() {
        let text = "board = \"pi-9\"\n[audio]\noutput = \"gramophone\"\n[panel]\ndisplay = \"paper\"\nknob = \"x\"";
        let config = Config::from_text(Path::new("x"), text).unwrap();
        let keys: Vec<&[&str]> = objections(&config).into_iter().map(|(path, _)| path).collect();
        assert_eq!(keys, [&["board", "profile"][..], &["audio", "output"], &["panel", "display"], &["panel", "knob"]]);
        assert_eq!(objections(&Config::default()), []);
        let text = "[panel]\ndisplay = \"ssd1306-spi:/dev/spidev0.0:dc=25,reset=27\"\n";
        let told = |text: &str| objections(&Config::from_text(Path::new("x"), text).unwrap());
        let both = told(&format!("board = \"pi-3\"\n{text}"));
        let [(["panel", "display"], sentence)] = both.as_slice() else { panic!("{both:?}") };
        assert!(sentence.contains("line 27"), "{sentence}");
        assert_eq!(told(&format!("board = \"pi-3\"\n{text}knob = \"gpio:/dev/gpiochip0:5,6,13\"")), []);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        std::fs::write(&path, "extends = \"pi-3\"\nname = \"mine\"\nknob = \"door\"").unwrap();
        let [(["board", "profile"], sentence)] = &told(&format!("board = {path:?}"))[..] else { panic!() };
        assert!(sentence.contains("\"mine\", knob") && sentence.contains("door"), "{sentence}");
    }

    #[test]
    fn a_serial_line_is_named_alike() {
        let told = |display: &str, knob: &str| {
            let text = format!("[panel]\ndisplay = \"serial:{display}\"\nknob = \"serial:{knob}\"\n");
            objections(&Config::from_text(Path::new("x"), &text).unwrap())
        };
        let [(["panel", "knob"], sentence)] = &told("/dev/ttyS1@9600", "/dev/ttyS1")[..] else { panic!() };
        assert!(sentence.contains("/dev/ttyS1@9600"), "{sentence}");
        assert_eq!(told("/dev/ttyS1@9600", "/dev/ttyS1@9600"), []);
        assert_eq!(told("/dev/ttyS1", "/dev/ttyACM0"), []);
    }
}
