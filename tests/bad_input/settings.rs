//! Settings that are mistaken, as the person who wrote them meets it.

use std::path::Path;
use std::process::{Command as Process, Output, Stdio};

use super::board::{shows, with_problems};
use super::*;
use crate::common::in_private_network;
use silverstream::types::Time;

fn silverstream(arguments: &[&str]) -> Output {
    Process::new(env!("CARGO_BIN_EXE_silverstream")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A mistake in each section, and the line that it is in.
const MISTAKES: &[(&str, &[(usize, &str)])] = &[
    ("[wifi]\nssid = \"home\"\npassword = \"short\"\ncountry = \"de\"\n", &[(3, "8 to 63"), (4, "capitals")]),
    ("[wifi]\nssid = \"home\"\n", &[(1, "country")]),
    (
        "[system]\nhostname = \"my box\"\ntimezone = \"Mars Base\"\nssh_keys = [\n  \"ssh-dss AAAA\",\n]\n",
        &[(2, "hyphens"), (3, "Europe/Berlin"), (5, "ssh-ed25519")],
    ),
    ("[system]\nhostnam = \"box\"\n", &[(2, "hostnam")]),
    ("[audio]\noutput = \"gramophone\"\n", &[(2, "alsa:auto")]),
    ("[panel]\ndisplay = \"paper\"\nknob = \"gpio:/dev/gpiochip0:1\"\n", &[(2, "ssd1306"), (3, "gpiochip0:17")]),
    ("[storage]\nbudget = \"8\"\n", &[(2, "GiB")]),
    ("[index]\nbudget = \"many\"\n", &[(2, "GiB")]),
    ("[network]\nupload = \"fast\"\n", &[(2, "KiB/s")]),
    ("[dht]\nlisten = \"6881\"\n", &[(2, "0.0.0.0:6881")]),
    ("[control]\nsocket = 3\n", &[(2, "path string")]),
    ("[board]\nmemory = \"64\"\n", &[(2, "MiB")]),
    ("board = \"pi-9\"\n", &[(1, "pi-zero-2-w")]),
    ("[lights]\ncolour = \"red\"\n", &[(1, "no [lights]")]),
    ("[audio\noutput = \"null\"\n", &[(1, "]")]),
];

#[test]
fn mistakes_in_the_settings_are_shown_with_their_lines_and_what_was_before_stays() {
    if !in_private_network("settings::mistakes_in_the_settings_are_shown_with_their_lines_and_what_was_before_stays") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [boot, state, root] = ["boot", "state", "root"].map(|name| folder.path().join(name));
    std::fs::create_dir(&boot).unwrap();
    let settings = boot.join("silverstream.toml");
    let apply = |text_of_file: &str| {
        std::fs::write(&settings, text_of_file).unwrap();
        let [boot, state, root] = [&boot, &state, &root].map(|path| path.to_str().unwrap());
        silverstream(&["setup", "apply", "--boot", boot, "--state", state, "--root", root])
    };
    let taken = state.join("silverstream.toml");
    assert!(apply("[storage]\nbudget = \"3 GiB\"\n").status.success());
    let before = std::fs::read_to_string(&taken).unwrap();
    assert!(before.contains("3 GiB"), "{before}");
    for (mistaken, expected) in MISTAKES {
        // What is without a mistake is taken over beside it.
        let is_storage = mistaken.starts_with("[storage]");
        let refused = apply(&if is_storage {
            (*mistaken).to_owned()
        } else {
            format!("{mistaken}[storage]\nbudget = \"3 GiB\"\n")
        });
        let told = text(&refused);
        assert_eq!(refused.status.code(), Some(1), "{mistaken}\n{told}");
        for (line, word) in *expected {
            let start = format!("silverstream.toml, line {line}: ");
            let found = told.lines().any(|told| told.starts_with(&start) && told.contains(word));
            assert!(found, "{word:?} in line {line} of\n{mistaken}\n{told}");
        }
        assert_eq!(std::fs::read_to_string(&taken).unwrap(), before, "{mistaken}");
    }
    // The jukebox runs as it did, and its display tells one mistake after the other.
    apply(MISTAKES[0].0);
    let more = format!("{}[system]\nstate = {state:?}\n", Jukebox::sections(folder.path(), "1 GiB", "null"));
    let mut jukebox = Jukebox::prepare(folder.path(), &[], "127.0.0.1:0", &more);
    jukebox.start_and_wait();
    let problems = jukebox.status().problems;
    assert_eq!(problems.len(), 2, "{problems:?}");
    for problem in &problems {
        assert!(jukebox.log().contains(problem), "{}", jukebox.log());
    }
    shows(&jukebox, "the first mistake", with_problems(&problems));
    assert_eq!(jukebox.send(Command::PanelTurn { detents: 1 }), Reply::Done);
    shows(&jukebox, "the second mistake", |ui| {
        with_problems(&problems)(ui);
        ui.gesture(Time::ZERO, silverstream::panel::Gesture::Turn(1));
    });
    let song = good_song(&jukebox, folder.path());
    plays(&jukebox, song);
    // Mended, it is quiet.
    assert!(apply("[storage]\nbudget = \"2 GiB\"\n").status.success());
    jukebox.shutdown();
    jukebox.start_and_wait();
    assert_eq!(jukebox.status().problems, Vec::<String>::new());
}

#[test]
fn a_service_goes_on_without_what_is_mistaken_in_its_configuration() {
    if !in_private_network("settings::a_service_goes_on_without_what_is_mistaken_in_its_configuration") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // The usual place of the configuration, in a file system of this test's own.
    let mounted = Process::new("mount").args(["-t", "tmpfs", "tmpfs", "/etc"]).status();
    assert!(mounted.unwrap().success());
    let path = Path::new("/etc/silverstream.toml");
    let mistaken = "[audio]\noutput = \"gramophone\"\n[dht]\nlisten = \"127.0.0.1:0\"\nbootstrap = []\n\
                    [network]\nscope = \"privat\"\n[panel]\ndisplay = \"none\"\nknob = \"none\"\n";
    std::fs::write(path, mistaken).unwrap();
    let mut jukebox = Jukebox::prepare(folder.path(), &[], "127.0.0.1:0", "");
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let child = Process::new(env!("CARGO_BIN_EXE_silverstream"))
        .args(["run", "--board", "sim", "--data"])
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    jukebox.adopt(child);
    let problems = jukebox.status().problems;
    assert_eq!(problems.len(), 2, "{problems:?}");
    for (problem, start, word) in [(&problems[0], "line 2: ", "gramophone"), (&problems[1], "line 7: ", "private")] {
        assert!(problem.starts_with("/etc/silverstream.toml, ") && problem.contains(start), "{problem}");
        assert!(problem.contains(word) && jukebox.log().contains(problem), "{problem}\n{}", jukebox.log());
    }
    shows(&jukebox, "the first mistake", with_problems(&problems));
    let (code, told, _) = jukebox.cli(&["doctor", "--data", folder.path().to_str().unwrap(), "--board", "sim"]);
    assert!(code == 1 && told.contains("BAD   config    /etc/silverstream.toml, line 2: "), "{told}");
    // Whoever names a file wants just that file.
    let refused = silverstream(&["run", "--config", "/etc/silverstream.toml", "--data", "/nonexistent"]);
    assert!(refused.status.code() == Some(2) && text(&refused).contains("line 7"), "{}", text(&refused));
    std::fs::write(path, mistaken.replace("privat\"", "private\"")).unwrap();
    let refused = silverstream(&["run", "--config", "/etc/silverstream.toml", "--data", "/nonexistent"]);
    let told = text(&refused);
    assert!(refused.status.code() == Some(2) && told.contains("/etc/silverstream.toml, line 2: "), "{told}");
}
