//! The card at the start of the system: what is on its data partition is its owner's. Runs the image's own scripts with the
//! real file system tools on files in place of a card; only what the kernel does is played (mounting, telling it of sizes).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic, in its helpers too")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "card/boot.rs"]
mod boot;

const SECTOR: u64 = 512;
const MIB: u64 = 1 << 20;
/// Where the partition begins on the card, and its length before it grows.
const START_MIB: u64 = 368;
const DATA_MIB: u64 = 160;
const CARD_MIB: u64 = 640;

/// What an owner has recorded and nobody else has.
const RECORDING: &str = "recorded once, and by nobody else";
const KEY: &str = "ssh-ed25519 of the owner";

/// Type of the data partition in the image, and once there is a file system on it.
const NEW: u8 = 0xda;
const MADE: u8 = 0x83;

/// In place of `mount`: notes what it is asked for, and mounts ext4 as far as the kernel would. Where it is read-only, so
/// that nothing is mended by the kernel, the content is really there.
const MOUNT: &str = r#"#!/bin/sh
set -eu
echo "$2 $4" >>"$LOG"
[ "$2" = ext4 ] || exit 0
blocks=$(dumpe2fs -h "$5" 2>/dev/null | sed -n 's/^Block count: *//p')
[ -n "$blocks" ] && [ "$((blocks * 4096))" -le "$(stat -c %s "$5")" ] || exit 32
case ",$4," in
    *,ro,*) debugfs -R "rdump / $6" "$5" 2>/dev/null ;;
    *) [ ! -e "$READ_ONLY" ] || exit 32 ;;
esac
"#;

/// In place of `install -d -m MODE -o OWNER -g GROUP FOLDER`: the users are the image's.
const INSTALL: &str = "#!/bin/sh\nfor folder; do :; done\nexec mkdir -p \"$folder\"\n";

/// What a card has before the image is written over it, which leaves the data partition as it is.
#[derive(PartialEq)]
enum Before {
    Blank,
    Noise,
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("image/rootfs/usr/lib/silverstream").join(name)
}

/// A card out of its board: the disk, and its data partition as a file of its own.
struct Card {
    folder: PathBuf,
}

impl Card {
    /// As it is after writing the image over whatever was there before.
    fn written_over(name: &str, before: Before) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("card-{name}"));
        let _ = fs::remove_dir_all(&folder);
        for part in ["bin", "dev", "run", "data", "sys/class/block", "sys/devices/card/card3"] {
            fs::create_dir_all(folder.join(part)).unwrap();
        }
        let card = Self { folder };
        for (program, text) in [("mount", MOUNT), ("install", INSTALL), ("partx", "#!/bin/sh\n")] {
            card.program(program, text);
        }
        // The kernel's folders of the devices.
        for (link, to) in [("card", "card"), ("card3", "card/card3")] {
            std::os::unix::fs::symlink(format!("../../devices/{to}"), card.path("sys/class/block").join(link)).unwrap();
        }
        card.sysfs("card/card3/partition", 3);
        card.sysfs("card/card3/start", START_MIB * MIB / SECTOR);
        card.sysfs("card/card3/size", DATA_MIB * MIB / SECTOR);
        card.sysfs("card/size", CARD_MIB * MIB / SECTOR);
        let disk = fs::File::create(card.path("dev/card")).unwrap();
        disk.set_len(CARD_MIB * MIB).unwrap();
        card.table(NEW);
        let data = fs::File::create(card.path("dev/card3")).unwrap();
        data.set_len(DATA_MIB * MIB).unwrap();
        if before == Before::Noise {
            card.change(|content| noise(content));
        }
        card
    }

    /// In use for a while: with an owner's recording and key on it.
    fn in_use(name: &str) -> Self {
        let card = Self::written_over(name, Before::Blank);
        card.start();
        fs::write(card.path("song"), RECORDING).unwrap();
        fs::write(card.path("key"), KEY).unwrap();
        let commands = [
            "mkdir music",
            "mkdir music/own",
            "write song music/own/song.ogg",
            "mkdir system",
            "mkdir system/ssh",
            "write key system/ssh/authorized_keys",
        ];
        fs::write(card.path("commands"), commands.join("\n")).unwrap();
        card.tool("debugfs", &["-w", "-f", "commands", "dev/card3"]);
        assert_eq!(card.recording(), RECORDING);
        card.switch_off();
        card
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn sysfs(&self, name: &str, value: u64) {
        fs::write(self.path("sys/devices").join(name), format!("{value}\n")).unwrap();
    }

    /// A program before all others of that name.
    fn program(&self, name: &str, text: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn table(&self, kind: u8) {
        let text = format!("label: dos\n3 : start={START_MIB}MiB, size={DATA_MIB}MiB, type={kind:x}\n");
        fs::write(self.path("table"), text).unwrap();
        self.tool("sh", &["-c", "sfdisk --quiet dev/card <table"]);
    }

    fn kind(&self) -> u8 {
        use std::os::unix::fs::FileExt;
        let mut kind = [0];
        fs::File::open(self.path("dev/card")).unwrap().read_exact_at(&mut kind, 446 + 2 * 16 + 4).unwrap();
        kind[0]
    }

    fn search_path(&self) -> String {
        let usual = std::env::var("PATH").unwrap_or_default();
        format!("{}:{usual}:/usr/sbin:/sbin", self.path("bin").display())
    }

    fn tool(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(program);
        let output = command.args(arguments).current_dir(&self.folder).env("PATH", self.search_path()).output();
        let output = output.unwrap_or_else(|error| panic!("{program}: {error}; `.ci/setup test` installs it"));
        assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts the system on it: what was mounted, each as file system and options.
    fn start(&self) -> Vec<String> {
        let script = script("prepare-data");
        let output = Command::new("sh")
            .arg("-eu")
            .arg(script)
            .args([self.path("dev/card3"), self.path("data")])
            .env("PATH", self.search_path())
            .env("SYS", self.path("sys"))
            .env("RUN", self.path("run"))
            .env("LOG", self.path("mounts"))
            .env("READ_ONLY", self.path("read-only"))
            .output()
            .unwrap();
        // Shown if a test fails.
        println!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success());
        let mounts = fs::read_to_string(self.path("mounts")).unwrap();
        fs::remove_file(self.path("mounts")).unwrap();
        mounts.lines().map(str::to_owned).collect()
    }

    /// What was mounted and in memory is gone.
    fn switch_off(&self) {
        for gone in ["data", "run"] {
            fs::remove_dir_all(self.path(gone)).unwrap();
            fs::create_dir(self.path(gone)).unwrap();
        }
    }

    fn content(&self) -> Vec<u8> {
        fs::read(self.path("dev/card3")).unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut content = self.content();
        change(&mut content);
        fs::write(self.path("dev/card3"), content).unwrap();
    }

    fn recording(&self) -> String {
        self.tool("debugfs", &["-R", "cat music/own/song.ogg", "dev/card3"])
    }

    fn in_memory(&self) -> bool {
        self.path("run/silverstream-data-in-memory").exists()
    }

    /// A sound file system of ours, without anything in it, mounted to be written.
    fn assert_new(&self, mounts: &[String]) {
        assert!(mounts.len() == 1 && mounts[0].starts_with("ext4 noatime,"), "{mounts:?}");
        assert!(!self.in_memory());
        assert_eq!(self.kind(), MADE);
        self.tool("e2fsck", &["-f", "-n", "dev/card3"]);
        let listed = self.tool("debugfs", &["-R", "ls -p /", "dev/card3"]);
        let names: Vec<&str> = listed.lines().filter_map(|line| line.split('/').nth(5)).collect();
        assert_eq!(names, [".", "..", "lost+found"]);
    }

    /// Plays out of memory, and has not written a byte to what it cannot read; but a superblock (the KiB after the first)
    /// may have got e2fsck's note that there are errors.
    fn assert_untouched(&self, before: &[u8], mounts: &[String]) {
        assert!(mounts.iter().any(|mount| mount.starts_with("tmpfs ")), "{mounts:?}");
        assert!(self.in_memory());
        assert_eq!(self.kind(), MADE);
        let after = self.content();
        assert_eq!(after.len(), before.len());
        let same = |from: usize, to: usize| after[from..to] == before[from..to];
        assert!(same(0, 1024) && same(2048, after.len()), "the data partition has changed");
        assert!(self.path("data/music").is_dir(), "the jukebox has its folders");
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// Bytes without any sense, the same each time.
fn noise(content: &mut [u8]) {
    let mut state = 1_u64;
    for bytes in content.chunks_exact_mut(8) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        bytes.copy_from_slice(&state.to_le_bytes());
    }
}

#[test]
fn a_new_card_gets_a_file_system_and_grows() {
    let card = Card::written_over("new", Before::Blank);
    let mounts = card.start();
    card.assert_new(&mounts);
    let table = card.tool("sfdisk", &["--dump", "dev/card"]);
    let entry = table.lines().find(|line| line.contains("type=83")).unwrap();
    let sectors = (CARD_MIB - START_MIB) * MIB / SECTOR;
    assert!(entry.contains(&format!("size={sectors:>12},")), "{entry}");
}

#[test]
fn a_card_without_room_to_grow_gets_a_small_file_system() {
    // As large as the image.
    const MIB_LEFT: u64 = 64;
    let card = Card::written_over("small", Before::Blank);
    card.sysfs("card/size", (START_MIB + MIB_LEFT) * MIB / SECTOR);
    card.sysfs("card/card3/size", MIB_LEFT * MIB / SECTOR);
    card.change(|content| content.truncate((MIB_LEFT * MIB) as usize));
    let mounts = card.start();
    card.assert_new(&mounts);
}

#[test]
fn writing_the_image_makes_a_new_card_whatever_was_on_it() {
    let card = Card::written_over("noise", Before::Noise);
    let mounts = card.start();
    card.assert_new(&mounts);

    let card = Card::in_use("used");
    card.table(NEW);
    let mounts = card.start();
    card.assert_new(&mounts);
}

#[test]
fn a_first_boot_cut_short_is_done_again() {
    // While the file system was made: everything but its superblock is there.
    let card = Card::written_over("cut", Before::Blank);
    card.program(
        "mke2fs",
        "#!/bin/sh\nPATH=${PATH#*:} mke2fs \"$@\"\nfor device; do :; done\n\
        dd if=/dev/zero of=\"$device\" bs=1024 seek=1 count=1 conv=notrunc status=none\nexit 137\n",
    );
    card.start();
    assert_eq!(card.kind(), NEW);
    assert!(card.content()[..MIB as usize].iter().any(|byte| *byte != 0), "it is not blank any more");
    fs::remove_file(card.path("bin/mke2fs")).unwrap();
    card.switch_off();
    let mounts = card.start();
    card.assert_new(&mounts);
}

#[test]
fn what_is_no_file_system_any_more_is_left_alone() {
    let card = Card::in_use("garbage");
    card.change(|content| noise(content));
    let before = card.content();
    let mounts = card.start();
    card.assert_untouched(&before, &mounts);
}

#[test]
fn a_copy_on_a_smaller_card_is_left_alone() {
    let card = Card::in_use("smaller");
    card.change(|content| content.truncate((DATA_MIB - 4) as usize * MIB as usize));
    let before = card.content();
    let mounts = card.start();
    card.assert_untouched(&before, &mounts);
    assert_eq!(card.recording(), RECORDING);
}

#[test]
fn damage_is_repaired_and_the_recording_stays() {
    let card = Card::in_use("damaged");
    // The superblock, of which there are copies.
    card.change(|content| content[1024..2048].fill(0xff));
    let mounts = card.start();
    assert!(mounts.len() == 1 && mounts[0].starts_with("ext4 noatime,"), "{mounts:?}");
    assert!(!card.in_memory());
    card.tool("e2fsck", &["-f", "-n", "dev/card3"]);
    assert_eq!(card.recording(), RECORDING);
}

/// A worn card refuses to be written; a board without memory ends the check.
#[test]
fn a_check_that_fails_costs_nothing_and_lets_the_owner_in() {
    let card = Card::in_use("code");
    fs::write(card.path("read-only"), "").unwrap();
    let before = card.content();
    for code in [4, 8, 12, 16, 32, 127, 137] {
        card.program("e2fsck", &format!("#!/bin/sh\nexit {code}\n"));
        let mounts = card.start();
        card.assert_untouched(&before, &mounts);
        assert_eq!(fs::read_to_string(card.path("data/system/ssh/authorized_keys")).unwrap(), KEY);
        assert_eq!(fs::read_to_string(card.path("run/silverstream-card/music/own/song.ogg")).unwrap(), RECORDING);
        card.switch_off();
    }
}

/// The check is content, and the kernel is not.
#[test]
fn a_mount_that_fails_costs_nothing() {
    let card = Card::in_use("mount");
    fs::write(card.path("read-only"), "").unwrap();
    let before = card.content();
    let mounts = card.start();
    assert!(mounts[0].starts_with("ext4 noatime,"), "{mounts:?}");
    card.assert_untouched(&before, &mounts);
}
