//! A mistake in one part, and what becomes of the others.

use std::io::Read;

use super::*;
use crate::system::bundle::{self, Part};

/// A first start with this mistake, whose parts `lost` are not in force and all others are.
fn start_with(text: &str, lost: &[&str]) -> (Board, Vec<String>) {
    let board = Board::new();
    board.write(text);
    let told = board.mistakes();
    assert!(!told.is_empty(), "{text}");
    let state = board.state();
    for name in ["ssh/authorized_keys", "hostname", "localtime", SUPPLICANT] {
        assert_eq!(state.contains_key(name), !lost.contains(&name), "{name}: {text}\n{told:?}");
    }
    assert_eq!(state[FILE].1.contains("2 GiB"), !lost.contains(&"storage"), "{text}");
    assert_eq!(board.boot_file().contains(SECRET), lost.contains(&SUPPLICANT), "{text}");
    (board, told)
}

#[test]
fn a_mistake_on_the_first_start_costs_no_more_than_its_own_part() {
    let whole = whole();
    for mistake in [
        "[panel]\ndisplay = \"paper\n",
        "[panel\nknob = \"none\"\n",
        "[panel]\nknobs = 3\n",
        "[audio]\noutput = \"gramophone\"\n",
        "[lamp]\n",
    ] {
        start_with(&format!("{whole}\n{mistake}"), &[]);
        start_with(&format!("{mistake}{whole}"), &[]);
    }
    start_with(&whole.replace("kitchen", "my kitchen"), &["hostname"]);
    start_with(&whole.replace("\"kitchen\"", "3"), &["hostname"]);
    start_with(&whole.replace("hostname", "hostnam"), &["hostname"]);
    start_with(&whole.replace("Europe/Berlin", "Mars/Base"), &["localtime"]);
    start_with(&whole.replace("DE", "de"), &[SUPPLICANT]);
    start_with(&whole.replace("[storage]", "[wifi]"), &[SUPPLICANT, "storage"]);
    start_with(&whole.replace("2 GiB", "2 GoB"), &["storage"]);
    start_with(&whole.replace("\"kitchen\"", "\"kitchen"), &["hostname", "localtime", "ssh/authorized_keys"]);
    let (board, told) = start_with(&whole.replace("[\"ssh", "[\"ssh-ed25519 AAAA\", \"ssh"), &[]);
    assert!(told.len() == 1 && told[0].contains("line 5: "), "{told:?}");
    assert_eq!(board.state()["ssh/authorized_keys"].1, format!("{KEY}\n"));
}

#[test]
fn on_a_board_that_runs_a_part_with_a_mistake_stays_as_it_was() {
    let board = Board::new();
    board.write(whole());
    board.apply();
    let good = board.state();
    let file = board.boot_file();
    for (mistaken, storage) in [
        (file.replace("[wifi]", "[wfi]"), "2 GiB"),
        (file.replace("[system]", "[sytem]").replace("2 GiB", "3 GiB"), "3 GiB"),
        (file.replace("hostname", "hostnam").replace("2 GiB", "3 GiB"), "3 GiB"),
        (file.replace("[storage]", "[storage"), "2 GiB"),
        (file.replace("2 GiB", "much"), "2 GiB"),
        ("[audio]\noutput = 'gramophone'\n".to_owned() + &file.replace("2 GiB", "3 GiB"), "3 GiB"),
    ] {
        board.write(whole());
        board.apply();
        board.write(&mistaken);
        assert!(!board.mistakes().is_empty());
        let mut state = board.state();
        state.remove(PROBLEMS);
        let config = Config::load(&board.state.join(FILE)).unwrap();
        assert_eq!(config.storage.budget, Some(storage.parse().unwrap()), "{mistaken}");
        state.insert(FILE.to_owned(), good[FILE].clone());
        assert_eq!(state, good, "{mistaken}");
    }
}

#[test]
fn the_mistakes_lie_beside_the_settings_as_long_as_there_are_some() {
    let board = Board::new();
    let list = board.boot.join("silverstream-problems.txt");
    board.write(whole().replace("kitchen", "my kitchen"));
    let told = board.mistakes();
    let text = std::fs::read_to_string(&list).unwrap();
    assert!(text.lines().any(|line| line == told[0]) && text.ends_with("\r\n"), "{text}");
    assert!(!text.contains(SECRET), "{text}");
    let inode = || std::fs::metadata(&list).unwrap().ino();
    let before = inode();
    board.mistakes();
    assert_eq!(inode(), before, "it is not written again");
    board.write(whole());
    assert_eq!(board.apply(), Outcome::Taken(Vec::new()));
    assert!(!list.exists());
    // Where it cannot be written, the settings hold all the same.
    std::fs::create_dir_all(list.join("x")).unwrap();
    board.write(whole().replace("kitchen", "my kitchen"));
    assert_eq!(board.mistakes().len(), 1);
}

/// What is in a report of these parts.
fn report(parts: &[Part]) -> String {
    let (mut report, mut text) = (Vec::new(), String::new());
    bundle::write(parts, &[], &mut report).unwrap();
    flate2::read::GzDecoder::new(report.as_slice()).read_to_string(&mut text).unwrap();
    text
}

/// Numbers, and what else a password is without quotes or with too few of them: it is told where it stands, never what it is.
#[test]
fn a_password_without_quotes_is_told_nowhere() {
    let digits = "12345678901234567890";
    let unquoted = "line 9: the password must stand in quotes: password = \"…\"";
    for (written, is_toml) in [
        (digits.to_owned(), true),
        (digits.repeat(3), true),
        ("1234567890".to_owned(), true),
        ("-1234567890".to_owned(), true),
        ("1234567890.5".to_owned(), true),
        ("1979-05-27T07:32:00Z".to_owned(), true),
        (format!("[\"{digits}\"]"), true),
        (format!("[\n  \"{digits}\",\n]"), true),
        (format!("{{ a = \"{digits}\" }}"), true),
        (format!("{{ x{digits} = 1 }}"), true),
        ("true".to_owned(), true),
        (format!("\"\"\"\n{digits}{digits}{digits}{digits}\n\"\"\""), false),
        (format!("0{digits}"), false),
        (format!("0x{digits}g"), false),
        (format!("{digits}abc"), false),
        (format!("x{digits}"), false),
        (format!("\"{digits}"), false),
        (format!("{digits}\""), false),
        (format!("\"\"\"{digits}"), false),
        (format!("\"a\" {digits}"), false),
        (format!("[{digits}"), false),
    ] {
        let board = Board::new();
        board.write(whole().replace(&format!("\"{SECRET}\""), &written));
        let told = board.mistakes();
        assert!(!told.is_empty(), "{written}");
        if is_toml {
            assert_eq!(told, [format!("silverstream.toml, {unquoted}")], "{written}");
        }
        let list = std::fs::read_to_string(board.boot.join(LIST)).unwrap();
        let kept: String = board.state().into_values().map(|(_, text)| text).collect();
        let reported = report(&[Part::file("setup-problems.json", &board.state.join(PROBLEMS))]);
        assert!(reported.contains("silverstream.toml"), "{reported}");
        if is_toml {
            let file = report(&[Part::file("config.toml", &board.boot.join(FILE))]);
            assert!(file.contains("password = <secret>\ncountry") && !file.contains("1234567890"), "{written}: {file}");
        }
        for text in [told.join("\n"), list, kept, reported] {
            assert!(!text.contains("1234567890"), "{written}: {text}");
        }
    }
}

#[test]
fn a_network_without_quotes_is_told_by_its_key() {
    let board = Board::new();
    board.write(whole().replace("\"home\"", "1984").replace("\"DE\"", "49"));
    assert_eq!(
        board.mistakes(),
        [
            "silverstream.toml, line 8: the ssid must stand in quotes: ssid = \"…\"",
            "silverstream.toml, line 10: the country must stand in quotes: country = \"…\"",
        ]
    );
}

/// For who makes a report as root.
#[test]
fn key_and_name_of_the_wi_fi_are_known_to_be_secret() {
    let board = Board::new();
    assert_eq!(secrets(&board.state), Vec::<String>::new());
    board.write(whole());
    board.apply();
    let found = secrets(&board.state);
    assert!(found.len() == 2 && found[0].len() == 64 && found[1] == "home", "{found:?}");
}

#[test]
fn a_key_in_the_wrong_section_is_told_where_it_belongs() {
    let board = Board::new();
    for (text, expected) in [
        ("#[wifi]\nssid = 'a'\n", "line 2: ssid belongs below [wifi]; take the # away from that line"),
        (
            "[wifi]\nssid = 'a'\ncountry = 'DE'\nopen = true\nhostname = 'b'\n",
            "line 5: hostname stands below [wifi] and belongs below [system]",
        ),
        ("[audio]\nknob = 'none'\n", "line 2: knob stands below [audio] and belongs below [panel]"),
    ] {
        board.write(text);
        assert_eq!(board.mistakes(), [format!("silverstream.toml, {expected}")]);
    }
}

#[test]
fn headers_alone_are_no_settings() {
    let board = Board::new();
    board.write("[wifi]\n# nothing\n[system]\n[audio]\n");
    assert_eq!(board.apply(), Outcome::Taken(Vec::new()));
    assert_eq!(board.state().keys().collect::<Vec<_>>(), [FILE]);
}
