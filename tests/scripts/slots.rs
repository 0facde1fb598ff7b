//! Which slot is started, and which is left: the boot script with U-Boot's commands as functions of a shell, whose language
//! is nearly U-Boot's, and the system's `slot` with made-up programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::script;

/// U-Boot's commands. The state is two files in place of the copies on the card; what is loaded is there if its file is.
const UBOOT: &str = r#"
say() { echo "$*" >>"$WORK/said"; }
hex() { printf '%x' "$1"; }
number() { printf '%d' "0x${1#0x}"; }
setenv() { name=$1; shift; eval "$name=\$*"; }
run() { for variable; do eval "eval \"\$$variable\"" || return; done; }
setexpr() {
    [ $# = 4 ] || return 0
    case "$3" in
        +) setenv "$1" "$(hex $(($(number "$2") + $(number "$4"))))" ;;
        -) setenv "$1" "$(hex $(($(number "$2") - $(number "$4"))))" ;;
        *) setenv "$1" "$(hex $(($(number "$2") & $(number "$4"))))" ;;
    esac
}
setexpr_b() { setenv "$1" 0; }
itest() {
    case "$2" in
        GREATER) [ "$(number "$1")" -gt "$(number "$3")" ] ;;
        *) [ "$(number "$1")" -eq "$(number "$3")" ] ;;
    esac
}
itest_l() { true; }
part() { setenv "$5" 2000; }
virtio() { :; }
cp_b() { :; }
mw_b() { :; }
crc32() { :; }
env() {
    case "$*" in
        "import -c "*) [ "$at" = "$copy1_at" ] && . "$WORK/state" ;;
        export*) printf "BOOT_ORDER='%s'\nBOOT_A_LEFT='%s'\nBOOT_B_LEFT='%s'\n" "$BOOT_ORDER" "$BOOT_A_LEFT" "$BOOT_B_LEFT" >"$WORK/state" ;;
        *" overlays console arguments") . "$WORK/hardware.txt" ;;
        *) true ;;
    esac
}
load() { filesize=1000; [ -e "$WORK/$2/$4" ] && say "load $2 $4"; }
unzip() { true; }
fdt() {
    say "fdt $1"
    [ "$1" != apply ] || [ ! -e "$WORK/unfit" ]
}
booti() { say "starts $slot"; exit 0; }
sleep() { :; }
reset() { say resets; exit 0; }
ram=0 kernel_addr_r=40400000 fdtcontroladdr=40000000 fdtfile=board.dtb devtype=virtio devnum=0 distro_bootpart=1
"#;

/// A board with a card in it.
struct Board {
    folder: tempfile::TempDir,
}

impl Board {
    /// With a kernel in each of `slots`.
    fn new(slots: &str, order: &str, left: [&str; 2]) -> Self {
        let board = Self { folder: tempfile::tempdir().unwrap() };
        for (slot, part) in [("A", "0:6"), ("B", "0:7")] {
            let names: &[&str] = if slots.contains(slot) { &["Image.gz", "initrd.img", "dtb/board.dtb"] } else { &[] };
            names.iter().for_each(|name| board.file(&format!("{part}/{name}"), ""));
        }
        board.set(order, left);
        board
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    fn set(&self, order: &str, [a, b]: [&str; 2]) {
        self.file("state", &format!("BOOT_ORDER='{order}'\nBOOT_A_LEFT='{a}'\nBOOT_B_LEFT='{b}'\n"));
    }

    fn state(&self) -> String {
        let text = fs::read_to_string(self.path("state")).unwrap();
        text.lines().map(|line| line.split('\'').nth(1).unwrap()).collect::<Vec<_>>().join(", ")
    }

    /// Starts it until a kernel runs or it resets: which it was, and all that U-Boot did.
    fn start(&self) -> (String, Vec<String>) {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("image/boot/boot.cmd")).unwrap();
        // What a shell reads otherwise: redirection, names with dots.
        let text = text.replace("} > ", "} GREATER ").replace("setexpr.b", "setexpr_b").replace("cp.b", "cp_b");
        let text = text.replace("mw.b", "mw_b").replace("itest.l", "itest_l").replace("@KERNEL_ARGS@", "");
        self.file("boot.sh", &(UBOOT.to_owned() + &text));
        let output = Command::new("sh").arg(self.path("boot.sh")).env("WORK", self.folder.path()).output().unwrap();
        println!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = fs::read_to_string(self.path("said")).unwrap();
        fs::remove_file(self.path("said")).unwrap();
        let said: Vec<String> = said.lines().map(str::to_owned).collect();
        (said.last().unwrap().clone(), said)
    }

    fn starts(&self) -> String {
        self.start().0
    }

    /// Runs the system's judge of the slot `booted`, where root file systems are in `roots`: what it asked RAUC and systemd for.
    fn slot(&self, booted: &str, roots: &str, confirmed: &str, command: &str) -> String {
        let here = self.folder.path();
        self.file("cmdline", &format!("root=PARTUUID=53764a42-08 rauc.slot={booted} ro quiet\n"));
        self.file("os-release", "ID=debian\nIMAGE_VERSION=2\n");
        self.file("confirmed-slot", confirmed);
        for (slot, number) in [("A", "08"), ("B", "09")] {
            let root = if roots.contains(slot) { "hsqs and more" } else { "\0\0\0\0\0\0" };
            self.file(&format!("disk/by-partuuid/@DISK_ID@-{number}"), root);
        }
        let print = r#". "$WORK/state"; eval "echo \"\$$2\"""#;
        let set = r#"echo "fw_setenv $*" >>"$WORK/asked"; sed -i "s/^$1=.*/$1='$2'/" "$WORK/state""#;
        let rauc = r#"[ ! -e "$WORK/no-rauc" ] || exit 1; echo "rauc $*" >>"$WORK/asked""#;
        let systemctl = r#"for unit; do :; done; echo "start $unit" >>"$WORK/asked""#;
        let programs =
            [("fw_printenv", print), ("fw_setenv", set), ("rauc", rauc), ("systemctl", systemctl), ("sleep", ":")];
        let mut run = script("slot", here, &programs);
        let output = run.arg(command).env("WORK", here).env("ETC", here).env("STATE", here).env("DEV", here).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let asked = fs::read_to_string(self.path("asked")).unwrap_or_default();
        let _ = fs::remove_file(self.path("asked"));
        asked.trim().replace('\n', ", ")
    }
}

#[test]
fn an_update_that_is_never_confirmed_is_left_after_three_starts() {
    let board = Board::new("AB", "B A", ["3", "3"]);
    for left in ["2", "1", "00"] {
        assert_eq!(board.starts(), "starts B");
        assert_eq!(board.state(), format!("B A, 3, {left}"));
    }
    assert_eq!(board.starts(), "starts A");
    assert_eq!(board.state(), "B A, 2, 00");
}

#[test]
fn a_slot_whose_kernel_is_missing_is_passed_over_in_the_same_start() {
    let board = Board::new("A", "B A", ["3", "3"]);
    assert_eq!(board.starts(), "starts A");
    assert_eq!(board.state(), "B A, 2, 00");
}

/// The card's contact was bad for a moment while an update was being left that does not work.
#[test]
fn a_good_slot_that_could_not_be_read_once_is_tried_again() {
    let board = Board::new("AB", "B A", ["2", "00"]);
    let kernel = board.path("0:6/Image.gz");
    fs::remove_file(&kernel).unwrap();
    assert_eq!(board.starts(), "starts B", "nothing else loads");
    fs::write(&kernel, "").unwrap();
    let starts: Vec<String> = (0..3).map(|_| board.starts()).collect();
    assert!(starts.contains(&"starts A".to_owned()), "{starts:?}");
}

/// Power that never stays on while an update is being written, as RAUC before 1.10 leaves it (the slot stays in the order) and
/// as later ones do.
#[test]
fn tries_are_given_back_to_what_was_started_and_not_to_what_is_half_written() {
    for order in ["B A", "A B", "A"] {
        let board = Board::new("AB", order, ["1", "0"]);
        for left in ["00", "2", "1", "00", "2"] {
            assert_eq!(board.starts(), "starts A", "order {order}");
            assert_eq!(board.state(), format!("{order}, {left}, 0"));
        }
    }
    let board = Board::new("AB", "B A", ["00", "00"]);
    assert_eq!((board.starts(), board.state()), ("starts B".to_owned(), "B A, 3, 2".to_owned()), "both were started");
}

/// There is nothing to lose any more.
#[test]
fn where_nothing_else_starts_all_is_tried() {
    for (order, then) in [("A", "A B"), ("B", "B A"), ("", "A B"), ("B A", "B A")] {
        let board = Board::new("", order, ["0", "0"]);
        assert_eq!((board.starts(), board.state()), ("resets".to_owned(), format!("{then}, 3, 3")));
    }
    let board = Board::new("B", "A", ["00", "0"]);
    assert_eq!(board.starts(), "resets");
    assert_eq!(board.starts(), "starts B");
}

#[test]
fn an_overlay_that_does_not_fit_costs_the_overlays_only() {
    let board = Board::new("A", "A B", ["3", "0"]);
    board.file("0:1/hardware.txt", "");
    board.file("hardware.txt", "overlays='i2c spi'");
    ["i2c", "spi"].iter().for_each(|name| board.file(&format!("0:6/overlays/{name}.dtbo"), ""));
    let tree = |said: Vec<String>| -> Vec<String> {
        said.into_iter().filter(|line| line.contains("dtb") || line.starts_with("fdt ")).collect()
    };
    let owned = |parts: &[&[&str]]| -> Vec<String> { parts.concat().into_iter().map(str::to_owned).collect() };
    let plain = ["load 0:6 dtb/board.dtb", "fdt addr", "fdt resize"];
    let (last, said) = board.start();
    let i2c = ["load 0:6 overlays/i2c.dtbo", "fdt apply"];
    let spi = ["load 0:6 overlays/spi.dtbo", "fdt apply"];
    assert_eq!((last.as_str(), tree(said)), ("starts A", owned(&[&plain, &i2c, &spi])));
    board.file("unfit", "");
    let (last, said) = board.start();
    assert_eq!((last.as_str(), tree(said)), ("starts A", owned(&[&plain, &i2c, &plain])));
}

#[test]
fn a_slot_is_left_only_for_one_that_will_be_started() {
    let gone = "rauc status mark-bad booted, start reboot.target";
    let again = "start silverstream.service, start silverstream.service";
    // Order and tries, root file systems, what has worked before; what is done about a jukebox that does not start.
    for (order, left, roots, confirmed, done) in [
        ("B A", ["3", "2"], "AB", "A 1\n", gone),
        ("B A", ["3", "2"], "AB", "A 1\nB 2\n", again),
        ("B A", ["0", "2"], "AB", "A 1\n", again),
        ("B A", ["00", "2"], "AB", "A 1\n", again),
        // Being written, whatever tries it has: U-Boot follows the order.
        ("B", ["3", "2"], "AB", "A 1\n", again),
        ("B A", ["3", "2"], "B", "A 1\n", again),
    ] {
        let board = Board::new("AB", order, left);
        assert_eq!(board.slot("B", roots, confirmed, "failed"), done, "{order} {left:?} {roots} {confirmed}");
    }
    let board = Board::new("AB", "B A", ["3", "2"]);
    board.file("no-rauc", "");
    assert_eq!(board.slot("B", "AB", "", "failed"), "fw_setenv BOOT_B_LEFT 0, start reboot.target");
    assert_eq!(board.starts(), "starts A");
}

#[test]
fn tries_come_back_when_it_has_worked_before_or_was_switched_off() {
    let board = Board::new("AB", "B A", ["3", "00"]);
    assert_eq!(board.slot("B", "AB", "A 1\nB 1\n", "started"), "", "another version has worked");
    assert_eq!(board.slot("B", "AB", "A 1\nB 2\n", "started"), "fw_setenv BOOT_B_LEFT 3");
    board.set("B A", ["3", "1"]);
    assert_eq!(board.slot("B", "AB", "A 1\n", "switched-off"), "fw_setenv BOOT_B_LEFT 3");
    assert_eq!(fs::read_to_string(board.path("confirmed-slot")).unwrap(), "A 1\n", "it is no proof");
    assert_eq!(board.slot("B", "AB", "A 1\nB 1\n", "confirm"), "", "it has its tries");
    assert_eq!(fs::read_to_string(board.path("confirmed-slot")).unwrap(), "A 1\nB 2\n");
}
