//! What surrounds the program in packages and images: unit, settings, manual, Yocto layer, scripts. All without a build.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use silverstream::config::{BUILT_IN_BOARDS, BoardProfile, Config};
use silverstream::system::limits::Limits;
use silverstream::types::Bytes;

/// A service is hardened if `systemd-analyze security` gives it at most this, in tenths.
const MAX_EXPOSURE: u32 = 15;

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    std::fs::read_to_string(top().join(name)).expect("a file of the repository")
}

/// Runs a tool that `.ci/setup test` installs, and gives what it printed on both streams.
fn run(program: &str, arguments: &[&str]) -> (bool, String) {
    let output: Output = Command::new(program)
        .args(arguments)
        .current_dir(top())
        .output()
        .expect("`.ci/setup test` installs what is run here");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.success(), text.concat())
}

/// The unit, with the program where it is here instead of where a package has it.
fn unit(folder: &Path) -> PathBuf {
    let path = folder.join("silverstream.service");
    let text = read("image/service/silverstream.service");
    assert!(text.contains("ExecStart=/usr/bin/silverstream run\n"));
    std::fs::write(&path, text.replace("/usr/bin/silverstream", env!("CARGO_BIN_EXE_silverstream")))
        .expect("a folder of ours");
    path
}

#[test]
fn the_unit_is_understood_by_systemd() {
    let folder = tempfile::tempdir().unwrap();
    let (good, said) = run("systemd-analyze", &["verify", "--man=no", unit(folder.path()).to_str().unwrap()]);
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("silverstream.service")).collect();
    assert!(good && ours.is_empty(), "{said}");
}

/// What `setup apply` leaves for it is what systemd has properties for, under the name that the card's unit asks for.
#[test]
fn the_limits_of_every_board_are_understood_by_systemd() {
    let folder = tempfile::tempdir().unwrap();
    let plain = read("image/service/silverstream.service");
    for name in BUILT_IN_BOARDS {
        let limits = Limits::of(&BoardProfile::load(name).unwrap(), Bytes::mib(416), 4).environment();
        let properties = limits.strip_prefix("LIMITS=").unwrap().trim_end().replace(' ', "\n");
        assert_eq!(properties.lines().count(), 4, "{properties}");
        std::fs::write(unit(folder.path()), plain_with(&plain, &properties)).unwrap();
        let path = folder.path().join("silverstream.service");
        let (good, said) = run("systemd-analyze", &["verify", "--man=no", path.to_str().unwrap()]);
        let ours: Vec<&str> = said.lines().filter(|line| line.contains("silverstream.service")).collect();
        assert!(good && ours.is_empty(), "{properties}: {said}");
    }
    let unit = read("image/rootfs/usr/lib/systemd/system/silverstream-limits.service");
    assert!(
        unit.contains("\nEnvironmentFile=/data/system/limits\n") && unit.contains(" silverstream.service $LIMITS\n")
    );
    assert!(read("image/service/appliance.conf").contains(" silverstream-limits.service\n"), "nothing starts it");
}

/// The unit with more properties of the service.
fn plain_with(unit: &str, properties: &str) -> String {
    let unit = unit.replace("/usr/bin/silverstream", env!("CARGO_BIN_EXE_silverstream"));
    unit.replace("[Install]\n", &format!("{properties}\n[Install]\n"))
}

#[test]
fn the_unit_is_hardened() {
    let folder = tempfile::tempdir().unwrap();
    let path = unit(folder.path());
    let (_, said) = run("systemd-analyze", &["security", "--offline=true", "--no-pager", path.to_str().unwrap()]);
    let line = said.lines().find(|line| line.contains("Overall exposure level")).unwrap_or_else(|| panic!("{said}"));
    let level = line.split(": ").nth(1).unwrap().split(' ').next().unwrap();
    let tenths: u32 = level.replace('.', "").parse().unwrap();
    assert!(tenths <= MAX_EXPOSURE, "{said}");
}

/// Of type `notify` a service without sd_notify is never ready; of another type one with it has no watchdog.
#[test]
fn the_unit_is_of_the_type_that_the_program_speaks() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_silverstream")).unwrap();
    let speaks = program.windows(13).any(|window| window == b"NOTIFY_SOCKET");
    let unit = read("image/service/silverstream.service");
    let (of_type, watched) = (unit.contains("\nType=notify\n"), unit.contains("\nWatchdogSec="));
    assert_eq!((of_type, watched), (speaks, speaks), "the program speaks sd_notify: {speaks}; see image/service/");
}

/// Lines of the settings that a package installs which show a key that is not set: `#key = value`.
fn without_comments(text: &str) -> String {
    let shown = |line: &str| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).map(str::to_owned);
    text.lines().map(|line| shown(line).unwrap_or_else(|| line.to_owned()) + "\n").collect()
}

#[test]
fn the_settings_are_valid_and_so_is_what_they_show() {
    let path = Path::new("image/service/silverstream.toml");
    let text = read("image/service/silverstream.toml");
    let set = Config::from_text(path, &text).unwrap();
    assert_eq!(set.index.path, Path::new("/var/lib/silverstream/index"), "inside the unit's StateDirectory");
    assert_eq!(set.storage.path, Path::new("/var/lib/silverstream/music"));
    let elsewhere = Config { index: Default::default(), storage: Default::default(), ..set.clone() };
    assert_eq!(elsewhere, Config::default(), "everything else is shown and not set");

    let all = without_comments(&text);
    assert!(all.lines().count() == text.lines().count() && all != text);
    let shown = Config::from_text(path, &all).unwrap();
    assert_eq!(
        (shown.dht, shown.network.scope),
        (set.dht, set.network.scope),
        "what is shown is what holds without it"
    );
}

#[test]
fn the_manual_has_every_key_of_the_settings() {
    let manual = read("image/deb/silverstream.toml.5").replace("\\-", "-");
    let shown: toml::Table = without_comments(&read("image/service/silverstream.toml")).parse().unwrap();
    for (name, value) in &shown {
        let keys: Vec<&String> = value.as_table().map_or_else(|| vec![name], |section| section.keys().collect());
        assert!(value.is_str() || manual.contains(&format!(".SS [{name}]\n")), "no section {name}");
        for key in keys {
            assert!(manual.contains(&format!("\n.B {key}\n")), "nothing about {name} {key}");
        }
    }
}

#[test]
fn the_package_has_the_version_of_the_program() {
    let changelog = read("image/deb/debian/changelog");
    let expected = format!("silverstream ({}) ", env!("CARGO_PKG_VERSION"));
    assert!(changelog.starts_with(&expected), "{}", changelog.lines().next().unwrap_or_default());
}

#[test]
fn the_yocto_layer_follows_the_rules() {
    for arguments in [&["yocto-layer/scripts/check"][..], &["yocto-layer/scripts/update-crates", "--check"]] {
        let (good, said) = run("python3", arguments);
        assert!(good, "{said}");
    }
}

/// Files in another order, and made at another time.
#[test]
fn the_same_files_make_the_same_fat_file_system() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["overlays/i2c.dtbo", "dtb/broadcom/a-board-of-long-name.dtb", "dtb/broadcom/b.dtb", "Image.gz"];
    let make = |name: &str, names: &mut dyn Iterator<Item = &&str>, date: &str| {
        let from = folder.path().join(name);
        for name in names {
            std::fs::create_dir_all(from.join(name).parent().unwrap()).unwrap();
            std::fs::write(from.join(name), *name).unwrap();
        }
        let image = folder.path().join(format!("{name}.img"));
        let script =
            "set -eu; export SOURCE_DATE_EPOCH=1763000000 LC_ALL=C TZ=UTC PATH=$PATH:/usr/sbin:/sbin disk_id=53764a42
            . image/lib/kernel.sh; make_fat \"$1\" 40 KERNEL \"$2\"";
        let (image, from) = (image.to_str().unwrap(), from.to_str().unwrap());
        // faketime would change the times of files, too.
        let arguments = ["NO_FAKE_STAT=1", "faketime", date, "bash", "-c", script, "make", image, from];
        let (good, said) = run("env", &arguments);
        assert!(good, "{said}");
        assert!(run("mdir", &["-b", "-/", "-i", image, "::"]).1.contains("::/dtb/broadcom/a-board-of-long-name.dtb"));
        std::fs::read(image).unwrap()
    };
    let (one, other) = (
        make("one", &mut names.iter(), "2026-11-22 10:00:00"),
        make("other", &mut names.iter().rev(), "2031-02-03 04:05:06"),
    );
    assert!(one == other, "the file systems differ");
}

/// Jukeboxes take updates of no other key.
#[test]
fn a_signing_key_is_never_replaced() {
    for name in ["release.key.pem", "release.cert.pem"] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), "the only one").unwrap();
        let script = "set -eu; keys=$1; say() { :; }; . image/lib/bundle.sh; make_keys";
        let (good, said) = run("bash", &["-c", script, "make", folder.path().to_str().unwrap()]);
        assert!(!good && said.contains("put the other back"), "{said}");
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(left, [name]);
        assert_eq!(std::fs::read_to_string(folder.path().join(name)).unwrap(), "the only one");
    }
}

#[test]
fn scripts_are_clean() {
    let (_, scripts) = run("git", &["grep", "-lE", "^#!(/bin/sh|/usr/bin/env bash|/bin/bash)"]);
    // Those are read by image/build and have no first line of their own.
    let (_, parts) = run("git", &["ls-files", "image/lib/*.sh"]);
    let scripts: Vec<&str> = scripts.lines().chain(parts.lines()).collect();
    assert!(scripts.contains(&".ci/setup") && scripts.contains(&"image/lib/kernel.sh"), "{scripts:?}");
    let (good, said) = run("shellcheck", &scripts);
    assert!(good, "{said}");
}
