//! Whole starts on folders of the test.

use std::collections::BTreeMap;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

mod parts;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINsCkGb/nTSI+Af0o8OTvtVqkVz0rYZ3A/y7vb1IYS8J me@here";
const SECRET: &str = "correct horse";

struct Board {
    _folder: tempfile::TempDir,
    boot: PathBuf,
    state: PathBuf,
    root: PathBuf,
}

impl Board {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [boot, state, root] = ["boot", "data/system", "root"].map(|name| folder.path().join(name));
        std::fs::create_dir_all(&boot).unwrap();
        std::fs::create_dir_all(root.join("usr/share/zoneinfo/Europe")).unwrap();
        std::fs::write(root.join("usr/share/zoneinfo/Europe/Berlin"), "TZif2").unwrap();
        Self { _folder: folder, boot, state, root }
    }

    fn write(&self, text: impl AsRef<[u8]>) {
        std::fs::write(self.boot.join(FILE), text).unwrap();
    }

    fn apply(&self) -> Outcome {
        let places = Places { boot: &self.boot, state: &self.state, root: &self.root };
        apply(&places, &|config| match config.audio.output.as_deref() {
            Some("gramophone") => vec![(&["audio", "output"], "gramophone is no output".to_owned())],
            _ => Vec::new(),
        })
        .unwrap()
    }

    /// Mistakes as they are told to people, here and after a restart.
    fn mistakes(&self) -> Vec<String> {
        match self.apply() {
            Outcome::Taken(mistakes) => {
                assert_eq!(problems(&self.state), mistakes);
                mistakes.iter().map(ToString::to_string).collect()
            }
            Outcome::NoFile | Outcome::Unwritten(_) => panic!("there is a file, and it can be written"),
        }
    }

    /// Names, modes and contents below the state.
    fn state(&self) -> BTreeMap<String, (u32, String)> {
        let mut files = BTreeMap::new();
        for folder in [self.state.clone(), self.state.join(KEYS_FOLDER)] {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                let meta = std::fs::symlink_metadata(&path).unwrap();
                let text = match std::fs::read_link(&path) {
                    Ok(target) => target.display().to_string(),
                    Err(_) if meta.is_dir() => continue,
                    Err(_) => std::fs::read_to_string(&path).unwrap(),
                };
                let name = path.strip_prefix(&self.state).unwrap().display().to_string();
                files.insert(name, (meta.permissions().mode() & 0o777, text));
            }
        }
        files
    }

    fn boot_file(&self) -> String {
        std::fs::read_to_string(self.boot.join(FILE)).unwrap()
    }
}

fn whole() -> String {
    format!(
        "# my jukebox\n[system]\nhostname = \"kitchen\"\ntimezone = \"Europe/Berlin\"\nssh_keys = [\"{KEY}\"]\n\n[wifi]\n\
         ssid = \"home\" # upstairs\npassword = \"{SECRET}\"\ncountry = \"DE\"\n\n[storage]\nbudget = \"2 GiB\"\n"
    )
}

#[test]
fn a_whole_file_is_taken_over_and_its_secret_is_gone_from_the_boot_partition() {
    let board = Board::new();
    board.write(whole());
    // Another name for the blocks of the old file.
    let blocks = board.state.parent().unwrap();
    std::fs::create_dir_all(blocks).unwrap();
    std::fs::hard_link(board.boot.join(FILE), blocks.join("blocks")).unwrap();
    assert_eq!(board.apply(), Outcome::Taken(Vec::new()));
    let state = board.state();
    assert_eq!(state["hostname"], (0o644, "kitchen\n".to_owned()));
    assert_eq!(state["ssh/authorized_keys"], (0o644, format!("{KEY}\n")));
    assert_eq!(state["localtime"].1, "/usr/share/zoneinfo/Europe/Berlin");
    let (mode, supplicant) = &state["wpa_supplicant.conf"];
    assert!(*mode == 0o600 && supplicant.contains("country=DE") && supplicant.contains("ssid=686f6d65"));
    assert_eq!(state[WIFI_NAME], (0o644, "home".to_owned()));
    assert_eq!(state.len(), 6, "{state:?}");
    let config = Config::load(&board.state.join(FILE)).unwrap();
    assert_eq!(config.storage.budget, Some(crate::types::Bytes::gib(2)));
    assert!(state.values().all(|(_, text)| !text.contains(SECRET)), "{state:?}");
    let left = board.boot_file();
    assert_eq!(left, whole().replace(&format!("password = \"{SECRET}\""), &format!("# {NOTE}")));
    assert_eq!(std::fs::read_dir(&board.boot).unwrap().count(), 1);
    let old = std::fs::read_to_string(blocks.join("blocks")).unwrap();
    assert!(old.len() == whole().len() && !old.contains(SECRET), "the secret is still on the card: {old}");
}

#[test]
fn the_next_starts_change_nothing_and_touch_nothing() {
    let board = Board::new();
    board.write(whole());
    board.apply();
    let inodes = || -> Vec<u64> {
        let names = ["hostname", "localtime", "wpa_supplicant.conf", FILE, "ssh/authorized_keys"];
        let paths = names.iter().map(|name| board.state.join(name)).chain([board.boot.join(FILE)]);
        paths.map(|path| std::fs::symlink_metadata(path).unwrap().ino()).collect()
    };
    let (state, boot, before) = (board.state(), board.boot_file(), inodes());
    assert_eq!(board.apply(), Outcome::Taken(Vec::new()));
    assert_eq!((board.state(), board.boot_file(), inodes()), (state, boot, before));
}

#[test]
fn what_is_taken_out_of_the_file_is_no_longer_in_force() {
    let board = Board::new();
    board.write(whole());
    board.apply();
    board.write("# nothing\n");
    assert_eq!(board.apply(), Outcome::Taken(Vec::new()));
    assert_eq!(board.state().keys().collect::<Vec<_>>(), [FILE]);
    // Without the file, or with a boot partition that cannot be read, nothing changes.
    board.write(whole());
    board.apply();
    let state = board.state();
    for cut_short in [&b""[..], &[0; 700]] {
        board.write(cut_short);
        assert!(board.mistakes()[0].contains("is empty"));
        let mut after = board.state();
        after.remove(PROBLEMS);
        assert_eq!(after, state);
    }
    std::fs::remove_file(board.boot.join(FILE)).unwrap();
    let state = board.state();
    assert_eq!((board.apply(), board.state()), (Outcome::NoFile, state));
}

#[test]
fn mistakes_in_every_part_are_told_with_their_lines_and_the_last_good_state_stays() {
    let board = Board::new();
    board.write(whole());
    board.apply();
    let good = board.state();
    board.write(
        "[system]\nhostname = \"my box\"\ntimezone = \"Mars/Base\"\nssh_keys = [\n  \"ssh-ed25519 AAAA\",\n]\n\
         [wifi]\nssid = \"home\"\npassword = \"short\"\ncountry = \"Germany\"\n\
         [dht]\nnodes = 0\n[network]\nscope = \"all\"\n[index]\nbudget = 7\n[storage]\nbudge = \"1 GiB\"\n\
         [audio]\noutput = true\n[control]\nsocket = []\n[panel]\nknobs = 2\n[wfi]\n",
    );
    let told = board.mistakes();
    for (line, word) in [
        (2, "host name"),
        (3, "Mars/Base"),
        (5, "SSH key"),
        (9, "8 to 63"),
        (10, "Germany"),
        (12, "32768"),
        (14, "private"),
        (16, "[index]"),
        (18, "budge"),
        (20, "[audio]"),
        (22, "[control]"),
        (24, "knobs"),
        (25, "[wfi]"),
    ] {
        let start = format!("silverstream.toml, line {line}: ");
        assert!(told.iter().any(|text| text.starts_with(&start) && text.contains(word)), "{line} {word}: {told:#?}");
    }
    assert_eq!(told.len(), 13, "{told:#?}");
    let mut state = board.state();
    state.remove(PROBLEMS);
    assert_eq!(state, good);
    assert!(board.boot_file().contains("short"), "what is not taken over is not removed either");
    board.write(whole());
    assert_eq!((board.apply(), board.state()), (Outcome::Taken(Vec::new()), good));
}

#[test]
fn what_only_the_jukebox_understands_is_checked_too() {
    let board = Board::new();
    board.write("\n[audio]\n# loud\noutput = \"gramophone\"\n");
    assert_eq!(board.mistakes(), ["silverstream.toml, line 4: gramophone is no output"]);
}

#[test]
fn files_that_are_no_settings_are_told_as_what_they_are() {
    let board = Board::new();
    for (bytes, word) in [
        (&b"[wifi\nssid = 'a'\n[x]]\n"[..], "line 1"),
        (b"\xff\xfe[\0w\0", "UTF-16"),
        (b"[wifi]\nssid = \"caf\xe9\"\n", "line 2"),
        (b"wifi = 3", "[wifi]"),
        (b"system = []", "[system]"),
        (&[b'#'; 70_000], "64 KiB"),
    ] {
        board.write(bytes);
        let told = board.mistakes();
        assert!(told.iter().any(|text| text.contains(word)), "{word}: {told:?}");
    }
}

#[test]
fn a_password_is_asked_for_again_when_it_cannot_be_known() {
    let board = Board::new();
    board.write(whole());
    board.apply();
    let other = board.boot_file().replace("\"home\"", "\"garden\"");
    board.write(&other);
    let told = board.mistakes();
    assert!(told.len() == 1 && told[0].contains("line 8: ") && told[0].contains("is missing"), "{told:?}");
    // The data partition is a new one, and the file was relieved of its password before: everything else holds, above all
    // the way in.
    let after = Board::new();
    after.write(board.boot_file().replace("\"garden\"", "\"home\""));
    let told = after.mistakes();
    assert!(told.len() == 1 && told[0].contains("is missing"), "{told:?}");
    let state = after.state();
    assert_eq!(state["ssh/authorized_keys"].1, format!("{KEY}\n"));
    assert_eq!((state["hostname"].1.as_str(), state.contains_key("localtime")), ("kitchen\n", true));
    assert!(state[FILE].1.contains("2 GiB") && !state.contains_key(SUPPLICANT), "{state:?}");
    after.write("[wifi]\nssid = 'cafe'\ncountry = 'FR'\nopen = true");
    assert_eq!(after.apply(), Outcome::Taken(Vec::new()));
    assert!(after.state()[SUPPLICANT].1.contains("key_mgmt=NONE"));
}

#[test]
fn a_boot_partition_that_cannot_be_written_is_told_and_the_settings_hold() {
    let board = Board::new();
    // A file that nobody can write to, not even root.
    let sealed = rustix::fs::memfd_create("sealed", rustix::fs::MemfdFlags::ALLOW_SEALING).unwrap();
    rustix::io::write(&sealed, whole().as_bytes()).unwrap();
    rustix::fs::fcntl_add_seals(&sealed, rustix::fs::SealFlags::WRITE).unwrap();
    let path = format!("/proc/self/fd/{}", sealed.as_raw_fd());
    std::os::unix::fs::symlink(path, board.boot.join(FILE)).unwrap();
    let told = board.mistakes();
    assert!(told.len() == 1 && told[0].contains("line 9: ") && told[0].contains("by hand"), "{told:?}");
    assert!(board.state().contains_key(SUPPLICANT));
}

#[test]
fn cut_short_after_the_secret_was_blanked_nothing_of_it_is_left() {
    let board = Board::new();
    board.write(whole());
    // A folder where the new file would be written: it goes no further than a start that is cut short.
    let new = board.boot.join("silverstream.toml.new");
    std::fs::create_dir_all(new.join("x")).unwrap();
    assert_eq!(board.apply(), Outcome::Taken(Vec::new()));
    let (left, state) = (board.boot_file(), board.state());
    assert!(left.len() == whole().len() && !left.contains(SECRET), "{left}");
    assert!(state[SUPPLICANT].1.contains("psk="));
    std::fs::remove_dir_all(new).unwrap();
    assert_eq!((board.apply(), board.state(), board.boot_file()), (Outcome::Taken(Vec::new()), state, left));
}

#[test]
fn a_check_on_a_computer_names_the_file_and_changes_nothing() {
    let board = Board::new();
    let path = board.boot.join("mine.toml");
    std::fs::write(&path, whole().replace("DE", "de")).unwrap();
    let mistakes = check(&path, &board.root, &|_| Vec::new()).unwrap_err();
    assert_eq!(mistakes[0].to_string(), "mine.toml, line 10: a country is written in capitals: \"DE\"");
    std::fs::write(&path, whole()).unwrap();
    assert_eq!(check(&path, &board.root, &|_| Vec::new()), Ok(()));
    assert!(std::fs::read_to_string(&path).unwrap().contains(SECRET) && board.state().is_empty());
    assert!(
        check(&board.boot.join("none"), &board.root, &|_| Vec::new()).unwrap_err()[0].text.contains("no such file")
    );
}

#[test]
fn the_template_is_valid_as_it_is_and_with_every_line_in_use() {
    let board = Board::new();
    let template = include_str!("../../../board/silverstream.toml");
    board.write(template);
    assert_eq!(board.apply(), Outcome::Taken(Vec::new()));
    let is_setting = |line: &str| line.starts_with('#') && line[1..].contains(" = ") && !line.starts_with("# ");
    let used: Vec<&str> = template.lines().map(|line| if is_setting(line) { &line[1..] } else { line }).collect();
    let used = used.join("\n").replace("open = false\n", "");
    board.write(&used);
    let told = board.mistakes();
    assert!(told.len() == 1 && told[0].contains("your own"), "the example of a key is none: {told:?}");
    let used = used.replace("ssh-ed25519 AAAA…", KEY);
    board.write(&used);
    assert_eq!(board.apply(), Outcome::Taken(Vec::new()), "{used}");
    assert_eq!(board.state().len(), 6);
    let config = Config::load(&board.state.join(FILE)).unwrap();
    assert!(config.panel.knob.is_some() && config.network.upload.is_some());
}

/// What a start that was cut short may have left of a file: nothing of it, the old one, the new one.
fn remains() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0u8..3, 6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn cut_short_anywhere_the_next_start_makes_it_whole(remains in remains(), unfinished: bool) {
        let old = whole().replace("kitchen", "cellar").replace("home", "house");
        let board = Board::new();
        board.write(&old);
        board.apply();
        let before = board.state();
        board.write(whole());
        board.apply();
        let (after, boot) = (board.state(), board.boot_file());
        // The password is still on the boot partition, for it goes last.
        board.write(whole());
        for (name, remains) in ["hostname", SUPPLICANT, FILE, "ssh/authorized_keys", "localtime"].iter().zip(remains) {
            let path = board.state.join(name);
            std::fs::remove_file(&path).unwrap();
            let text = match remains {
                0 => continue,
                1 => &before[*name].1,
                _ => &after[*name].1,
            };
            if *name == "localtime" {
                std::os::unix::fs::symlink(text, &path).unwrap();
            } else {
                std::fs::write(&path, text).unwrap();
            }
            if unfinished {
                std::fs::write(board.state.join(format!("{name}.new")), "half a").unwrap();
            }
        }
        if unfinished {
            std::fs::write(board.boot.join("silverstream.toml.new"), "half a").unwrap();
        }
        prop_assert_eq!(board.apply(), Outcome::Taken(Vec::new()));
        prop_assert_eq!(board.boot_file(), boot);
        let mut state = board.state();
        // What lies beside files that were whole already is found when they change next.
        state.retain(|name, _| !name.ends_with(".new"));
        prop_assert_eq!(state, after);
    }

    #[test]
    fn no_file_is_more_than_mistakes(lines in prop::collection::vec(
        prop_oneof![
            Just("[wifi]".to_owned()), Just("[system]".to_owned()), Just("[dht]".to_owned()), Just("}".to_owned()),
            "(ssid|password|country|open|hostname|timezone|ssh_keys|nodes|board)\\.?[a-z]? = (\"[ -~]{0,12}\"|true|[0-9]{1,20}|\\[.{0,6}\\]|\\{ ?password = 'x'.?\\})",
            ".{0,20}",
        ],
        0..8,
    )) {
        let board = Board::new();
        board.write(lines.join("\n"));
        board.apply();
    }
}
