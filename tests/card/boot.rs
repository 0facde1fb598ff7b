//! The boot partition: FAT, on which an owner edits `silverstream.toml` in a computer and from which the system takes it over.
//! Runs the image's script with the real program and the real check on a file in place of the partition. Of mounting only
//! FAT is played, with a folder that holds its files; whether that can be written is the kernel's, in a namespace of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::script;

const SETTINGS: &str = "silverstream.toml";
const PROBLEMS: &str = "silverstream-problems.txt";
const SECRET: &str = "correct horse";

/// In place of `mount`: notes with what options, and shows the files of the FAT file system.
const MOUNT: &str = r#"#!/bin/sh
set -eu
PATH=${PATH#*:}
case "$2" in
    vfat)
        echo "${4%%,*}" >>"$WORK/mounts"
        [ ! -e "$WORK/no-mount" ] || exit 32
        rm -rf "$WORK/content"
        mkdir "$WORK/content"
        mcopy -s -n -i "$5" '::*' "$WORK/content/" || exit 32
        mount --bind "$WORK/content" "$6"
        case "$4" in
            ro,*) mount -o remount,bind,ro "$6" ;;
            *) : >"$WORK/writable" ;;
        esac
        ;;
    remount,rw)
        echo "$2" >>"$WORK/mounts"
        mount -o remount,bind,rw "$3" && : >"$WORK/writable"
        ;;
    remount,ro)
        echo "$2" >>"$WORK/mounts"
        mount -o remount,bind,ro "$3" && "$WORK/bin/keep"
        ;;
    *) exit 1 ;;
esac
"#;

const UMOUNT: &str = "#!/bin/sh\nset -eu\nPATH=${PATH#*:} umount \"$1\"\nkeep\n";

/// What was written into the folder, into the FAT file system.
const KEEP: &str = r#"#!/bin/sh
set -eu
[ -e "$WORK/writable" ] || exit 0
rm "$WORK/writable"
cd "$WORK/content"
mdir -b -i "$WORK/boot.img" :: | while read -r name; do
    [ -e "${name#::/}" ] || mdel -i "$WORK/boot.img" "$name"
done
mcopy -o -i "$WORK/boot.img" ./* ::
"#;

/// In place of `shred`: does it, and notes what has only zeros then.
const SHRED: &str = r#"#!/bin/sh
set -eu
PATH=${PATH#*:} shred "$@"
for file; do :; done
[ -n "$(tr -d '\0' <"$file")" ] || echo "${file##*/}" >>"$WORK/wiped"
"#;

struct Boot {
    folder: PathBuf,
}

impl Boot {
    fn new(name: &str, settings: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("boot-{name}"));
        let _ = fs::remove_dir_all(&folder);
        for part in ["bin", "run", "boot", "state"] {
            fs::create_dir_all(folder.join(part)).unwrap();
        }
        let boot = Self { folder };
        let count = "#!/bin/sh\necho x >>\"$WORK/checks\"\nPATH=${PATH#*:}:/usr/sbin:/sbin fsck.vfat \"$@\"\n";
        for (name, text) in
            [("mount", MOUNT), ("umount", UMOUNT), ("keep", KEEP), ("fsck.vfat", count), ("shred", SHRED)]
        {
            fs::write(boot.path("bin").join(name), text).unwrap();
            fs::set_permissions(boot.path("bin").join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_silverstream"), boot.path("bin/silverstream")).unwrap();
        // As image/lib/kernel.sh makes it.
        boot.tool("mkfs.fat", &["-F", "32", "-s", "1", "-C", "boot.img", "65536"]);
        boot.write("u-boot.bin", "a loader");
        boot.write(SETTINGS, settings);
        boot
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn tool(&self, program: &str, arguments: &[&str]) -> String {
        let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        let output = Command::new(program).args(arguments).current_dir(&self.folder).env("PATH", path).output();
        let output = output.unwrap_or_else(|error| panic!("{program}: {error}; `.ci/setup test` installs it"));
        assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// As a person writes it in a computer.
    fn write(&self, name: &str, text: &str) {
        fs::write(self.path("file"), text).unwrap();
        self.tool("mcopy", &["-o", "-i", "boot.img", "file", &format!("::{name}")]);
    }

    fn read(&self, name: &str) -> String {
        self.tool("mtype", &["-i", "boot.img", &format!("::{name}")])
    }

    fn files(&self) -> Vec<String> {
        let listed = self.tool("mdir", &["-b", "-i", "boot.img", "::"]);
        listed.lines().map(|line| line.trim_start_matches("::/").to_owned()).collect()
    }

    /// Starts the system: exit status, and how the partition was mounted.
    fn start(&self) -> (Option<i32>, String) {
        let root = rustix::process::getuid().is_root();
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap_or_default());
        let output = Command::new("unshare")
            .args([if root { "-m" } else { "-Urm" }, "--propagation", "private", "sh"])
            .arg(script("apply-settings"))
            .args([self.path("boot.img"), self.path("boot")])
            .env("PATH", path)
            .env("RUN", self.path("run"))
            .env("STATE", self.path("state"))
            .env("WORK", &self.folder)
            .output()
            .unwrap();
        // Shown if a test fails.
        println!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let mounts = fs::read_to_string(self.path("mounts")).unwrap();
        fs::remove_file(self.path("mounts")).unwrap();
        (output.status.code(), mounts.lines().collect::<Vec<_>>().join(" "))
    }

    fn checked(&self) -> bool {
        fs::remove_file(self.path("checks")).is_ok()
    }

    fn change(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut content = fs::read(self.path("boot.img")).unwrap();
        change(&mut content);
        fs::write(self.path("boot.img"), content).unwrap();
    }

    fn assert_sound(&self) {
        self.tool("fsck.fat", &["-n", "boot.img"]);
    }
}

impl Drop for Boot {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// More than one cluster.
fn settings(hostname: &str) -> String {
    let comment: String = (0..60).map(|line| format!("# line {line} of what an owner notes here\n")).collect();
    format!("[system]\nhostname = \"{hostname}\"\n{comment}")
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().rev().fold(0, |number, byte| (number << 8) | usize::from(*byte))
}

/// Where the first FAT, the second and the root folder of a FAT32 file system begin.
fn layout(image: &[u8]) -> [usize; 3] {
    let (reserved, fat) = (number(&image[14..16]) * 512, number(&image[36..40]) * 512);
    [reserved, reserved + fat, reserved + 2 * fat]
}

/// As Linux does while it is mounted to be written (struct fat_boot_sector of the kernel).
fn being_written(image: &mut [u8]) {
    image[65] |= 1;
}

#[test]
fn a_boot_partition_that_cannot_be_mounted_is_told() {
    let boot = Boot::new("unreadable", &settings("kitchen"));
    let flag = boot.path("run/silverstream-boot-unreadable");
    fs::write(boot.path("no-mount"), "").unwrap();
    assert_eq!(boot.start(), (Some(0), "ro".to_owned()), "it goes on");
    assert!(flag.exists() && !boot.path("state/hostname").exists());
    fs::remove_file(boot.path("no-mount")).unwrap();
    assert_eq!(boot.start(), (Some(0), "ro".to_owned()));
    assert!(!flag.exists() && boot.path("state/hostname").exists());
}

#[test]
fn it_is_writable_only_while_there_is_something_to_write() {
    let boot = Boot::new("writable", &settings("kitchen"));
    let (only_read, written) = ("ro".to_owned(), "ro remount,rw remount,ro".to_owned());
    assert_eq!(boot.start(), (Some(0), only_read.clone()));
    // Mistakes, and as long as they stay the same.
    boot.write(SETTINGS, &settings("my kitchen"));
    assert_eq!(boot.start(), (Some(1), written.clone()));
    assert!(boot.read(PROBLEMS).contains("line 2: "));
    assert_eq!(boot.start(), (Some(1), only_read.clone()));
    boot.write(SETTINGS, &format!("\n{}", settings("my kitchen")));
    assert_eq!(boot.start(), (Some(1), written.clone()));
    assert!(boot.read(PROBLEMS).contains("line 3: "));
    boot.write(SETTINGS, &settings("cellar"));
    assert_eq!(boot.start(), (Some(0), written.clone()));
    assert_eq!(boot.files(), ["u-boot.bin", SETTINGS]);
    assert_eq!(boot.start(), (Some(0), only_read.clone()));
    // A password.
    let wifi = format!("[wifi]\nssid = \"home\"\ncountry = \"DE\"\npassword = \"{SECRET}\"\n");
    boot.write(SETTINGS, &(settings("cellar") + &wifi));
    assert_eq!(boot.start(), (Some(0), written));
    assert!(boot.read(SETTINGS).contains("ssid") && !boot.read(SETTINGS).contains(SECRET));
    assert!(boot.path("state/wpa_supplicant.conf").exists());
    assert_eq!(boot.start(), (Some(0), only_read));
    assert!(!boot.checked(), "nothing was cut short");
}

/// Where the name of a new file and that of the old one share clusters, the check cuts the one that it comes to later.
#[test]
fn a_check_after_a_pulled_plug_costs_no_settings() {
    let boot = Boot::new("check", "");
    boot.write("silverstream.toml.new", &settings("kitchen"));
    boot.tool("mdel", &["-i", "boot.img", "::silverstream.toml"]);
    boot.write(SETTINGS, &settings("kitchen"));
    boot.change(|image| {
        let [first, second, root] = layout(image);
        let entry = |name: &[u8]| root + image[root..].windows(11).position(|found| found == name).unwrap();
        let (new, old) = (entry(b"SILVER~1NEW") + 26, entry(b"SILVER~1TOM") + 26);
        image.copy_within(old..old + 2, new);
        // A chain of clusters without a name, as of a file that was just taken away, with a password in it.
        for fat in [first, second] {
            image[fat + 4 * 1000..][..8].copy_from_slice(&[0xe9, 3, 0, 0, 0xff, 0xff, 0xff, 0x0f]);
        }
        image[root + (1000 - 2) * 512..][..SECRET.len()].copy_from_slice(SECRET.as_bytes());
        being_written(image);
    });
    assert_eq!(boot.start(), (Some(0), "ro rw ro".to_owned()));
    assert!(boot.checked());
    boot.assert_sound();
    assert_eq!(boot.read(SETTINGS), settings("kitchen"));
    assert_eq!(fs::read_to_string(boot.path("state/hostname")).unwrap(), "kitchen\n");
    assert!(boot.files().iter().all(|name| !name.starts_with("FSCK")), "{:?}", boot.files());
    let wiped = fs::read_to_string(boot.path("wiped")).unwrap_or_default();
    assert_eq!(
        wiped, "silverstream.toml.new\nFSCK0000.REC\nFSCK0001.REC\n",
        "a password would be left in free clusters"
    );
    assert!(!boot.path("run/silverstream-setup.toml").exists(), "it may have a password");
    assert_eq!(boot.start(), (Some(0), "ro".to_owned()));
    assert!(!boot.checked(), "it is in order now");
}

/// As other tools make it: with another place for the mark.
#[test]
fn fat16_is_checked_as_well() {
    let boot = Boot::new("fat16", "");
    fs::remove_file(boot.path("boot.img")).unwrap();
    boot.tool("mkfs.fat", &["-F", "16", "-C", "boot.img", "65536"]);
    boot.write(SETTINGS, &settings("kitchen"));
    assert_eq!(boot.start(), (Some(0), "ro".to_owned()));
    assert!(!boot.checked());
    boot.change(|image| image[37] |= 1);
    assert_eq!(boot.start(), (Some(0), "ro rw ro".to_owned()));
    assert!(boot.checked());
    boot.assert_sound();
    assert_eq!(boot.read(SETTINGS), settings("kitchen"));
}
