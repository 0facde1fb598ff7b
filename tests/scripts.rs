//! Scripts of the image that tell the jukebox what it may not ask for itself. Run as they are, beside made-up programs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic, in its helpers too")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[path = "scripts/slots.rs"]
mod slots;

const PATIENCE: Duration = Duration::from_secs(60);

/// The script with `programs` before all others.
fn script(name: &str, folder: &Path, programs: &[(&str, &str)]) -> Command {
    for (name, text) in programs {
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("image/rootfs/usr/lib/silverstream").join(name);
    let mut command = Command::new("sh");
    command.arg(path).env("RUN", folder).env("PROC", folder);
    command.env("PATH", format!("{}:{}", folder.display(), std::env::var("PATH").unwrap()));
    command
}

fn note(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap_or_default().trim().to_owned()
}

/// Lines as wpa_supplicant 2.10 prints them, and what the display shows after each.
#[test]
fn what_the_wi_fi_says_becomes_one_word() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let conversation = [
        ("Successfully initialized wpa_supplicant", "searching"),
        ("wlan0: Trying to associate with 02:00:00:00:00:00 (SSID='home' freq=2412 MHz)", "searching"),
        ("wlan0: CTRL-EVENT-ASSOC-REJECT bssid=02:00:00:00:00:00 status_code=17", "refused"),
        ("wlan0: WPA: 4-Way Handshake failed - pre-shared key may be incorrect", "wrong-password"),
        ("wlan0: CTRL-EVENT-DISCONNECTED bssid=02:00:00:00:00:00 reason=2", "wrong-password"),
        ("wlan0: CTRL-EVENT-ASSOC-REJECT bssid=02:00:00:00:00:00 status_code=1", "wrong-password"),
        ("wlan0: CTRL-EVENT-CONNECTED - Connection to 02:00:00:00:00:00 completed [id=0 id_str=]", "joined"),
        ("wlan0: CTRL-EVENT-DISCONNECTED bssid=02:00:00:00:00:00 reason=3 locally_generated=1", "searching"),
        ("wlan0: CTRL-EVENT-DISCONNECTED bssid=02:00:00:00:00:00 reason=15", "wrong-password"),
        ("wlan0: CTRL-EVENT-CONNECTED - Connection to 02:00:00:00:00:00 completed [id=0 id_str=]", "joined"),
        (
            "wlan0: CTRL-EVENT-SSID-TEMP-DISABLED id=0 ssid=\"home\" auth_failures=1 duration=10 reason=WRONG_KEY",
            "wrong-password",
        ),
    ];
    // Says the next line when there is a file of its number.
    let talk = r#"[ "$*" = "-c /data/system/wpa_supplicant.conf -i wlan0" ] || exit 9
# The folder goes with a test that fails.
wait_for() { until [ -e "$1" ]; do [ -d "$RUN" ] || exit 1; sleep 0.01; done; }
number=0
while read -r line; do
    wait_for "$RUN/say.$number"
    echo "$line"
    number=$((number + 1))
done <"$RUN/conversation"
wait_for "$RUN/end""#;
    let lines: String = conversation.iter().map(|(line, _)| format!("{line}\n")).collect();
    fs::write(folder.join("conversation"), &lines).unwrap();
    let mut command = script("join-wifi", folder, &[("wpa_supplicant", talk)]);
    let child = command.arg("wlan0").stdout(Stdio::piped()).spawn().unwrap();
    for (number, (line, word)) in conversation.iter().enumerate() {
        fs::write(folder.join(format!("say.{number}")), "").unwrap();
        // What changes nothing must be heard before the next line: that one's word would hide a wrong one.
        std::thread::sleep(Duration::from_millis(50));
        let end = Instant::now() + PATIENCE;
        while note(folder, "silverstream-wifi") != *word {
            assert!(Instant::now() < end, "{:?} after {line:?}", note(folder, "silverstream-wifi"));
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    // The word goes with the program.
    fs::write(folder.join("end"), "").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), lines, "the log has what it said");
    assert!(!output.status.success(), "systemd starts it again");
    assert!(!folder.join("silverstream-wifi").exists(), "nothing is known any more");
}

#[test]
fn a_slot_that_was_passed_over_is_noted() {
    for (booted, order, noted) in
        [("A", "A B", ""), ("A", "B A", "B"), ("B", "B A", ""), ("B", "A B", "A"), ("", "B A", "")]
    {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let slot = if booted.is_empty() { String::new() } else { format!("rauc.slot={booted} ") };
        fs::write(folder.join("cmdline"), format!("root=PARTUUID=53764a42-08 {slot}ro quiet\n")).unwrap();
        let print = format!("[ \"$*\" = '-n BOOT_ORDER' ] && echo '{order}'");
        let status = script("note-rollback", folder, &[("fw_printenv", &print)]).status().unwrap();
        assert!(status.success());
        assert_eq!(note(folder, "silverstream-rolled-back"), noted, "{booted} runs, the order is {order}");
    }
}
