//! Machines as folders of files.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::control::WifiState;
use crate::system::finding::Verdict;

const NOW: UnixTime = UnixTime(1_800_000_000);

struct Fake(tempfile::TempDir);

impl Fake {
    fn new(files: &[(&str, &str)]) -> Self {
        let fake = Self(tempfile::tempdir().unwrap());
        files.iter().for_each(|(path, text)| fake.write(path, text));
        fake
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn machine(&self) -> Machine {
        Machine::at(self.0.path(), &self.0.path().join("bin/rauc"))
    }

    /// What is found of one thing; all that warns or is bad must say how to mend it.
    fn find(&self, what: &str) -> (Verdict, String) {
        let findings = self.machine().examine(NOW);
        assert!(findings.iter().all(|finding| (finding.verdict == Verdict::Good) == finding.remedy.is_none()));
        let finding = findings.into_iter().rfind(|finding| finding.what == what).unwrap();
        (finding.verdict, finding.found)
    }

    fn rauc(&self, says: &str) {
        self.write("etc/rauc/system.conf", "");
        self.write(
            "bin/rauc",
            &format!("#!/bin/sh\n[ \"$*\" = 'status --output-format=json' ] || exit 1\ncat <<'END'\n{says}\nEND\n"),
        );
        std::fs::set_permissions(self.0.path().join("bin/rauc"), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[track_caller]
fn check(fake: &Fake, what: &str, verdict: Verdict, word: &str) {
    let (found, sentence) = fake.find(what);
    assert!(found == verdict && sentence.contains(word), "{what} is {found:?}: {sentence}");
}

#[test]
fn a_machine_that_tells_nothing_is_said_to_tell_nothing() {
    let fake = Fake::new(&[]);
    for (what, word) in [("power", "neither"), ("heat", "not tell"), ("memory", "not say"), ("card", "no SD card")] {
        check(&fake, what, Verdict::Good, word);
    }
    check(&fake, "cards", Verdict::Warning, "no sound");
    check(&fake, "network", Verdict::Warning, "no interface");
    assert!(fake.machine().examine(NOW).iter().all(|finding| finding.what != "slots"), "not every system has slots");
}

#[test]
fn low_voltage_and_throttling() {
    let path = "sys/devices/platform/soc/soc:firmware/get_throttled";
    for (flags, verdict, word) in [
        ("0\n", Verdict::Good, "enough"),
        (
            "0x50000\n",
            Verdict::Warning,
            "since power-on it happened that the supply voltage is too low, the processor is slowed",
        ),
        ("50005\n", Verdict::Bad, "the supply voltage is too low, the processor is slowed down (flags 0x50005)"),
        ("80008", Verdict::Bad, "too hot"),
        ("?", Verdict::Warning, "answers"),
    ] {
        check(&Fake::new(&[(path, flags)]), "power", verdict, word);
    }
    let sensor = |alarm| {
        Fake::new(&[
            ("sys/class/hwmon/hwmon0/name", "cpu_thermal"),
            ("sys/class/hwmon/hwmon1/name", "rpi_volt\n"),
            ("sys/class/hwmon/hwmon1/in0_lcrit_alarm", alarm),
        ])
    };
    check(&sensor("1\n"), "power", Verdict::Bad, "too low");
    let (verdict, found) = sensor("0\n").find("power");
    assert!(verdict == Verdict::Good && found.contains("enough voltage now") && !found.contains("never"), "{found}");
    check(&sensor("?"), "power", Verdict::Good, "does not tell");
    check(&Fake::new(&[("sys/class/thermal/thermal_zone0/temp", "47234\n")]), "heat", Verdict::Good, "47 °C");
    check(&Fake::new(&[("sys/class/thermal/thermal_zone0/temp", "82000\n")]), "heat", Verdict::Warning, "82 °C");
}

#[test]
fn wear_of_cards_and_errors_of_file_systems() {
    let card = |life: &str, spare: &str| {
        Fake::new(&[
            ("sys/block/mmcblk0/device/name", "BJTD4R\n"),
            ("sys/block/mmcblk0/device/type", "MMC"),
            ("sys/block/mmcblk0/device/life_time", life),
            ("sys/block/mmcblk0/device/pre_eol_info", spare),
            ("sys/block/mmcblk0boot0/device/life_time", "0x0b 0x0b"),
        ])
    };
    for (life, spare, verdict, word) in [
        ("0x01 0x02\n", "0x01\n", Verdict::Good, "at most 20 %"),
        ("0x09 0x02", "0x01", Verdict::Warning, "90 %"),
        ("0x0b 0x02", "0x01", Verdict::Bad, "outlived"),
        ("0x01 0x01", "0x02", Verdict::Warning, "spare"),
        ("0x01 0x01", "0x03", Verdict::Bad, "spare"),
    ] {
        check(&card(life, spare), "card", verdict, word);
    }
    let sd = Fake::new(&[("sys/block/mmcblk1/device/type", "SD"), ("sys/fs/ext4/mmcblk1p3/errors_count", "0")]);
    check(&sd, "card", Verdict::Good, "does not tell");
    check(&sd, "disk", Verdict::Good, "no errors");
    sd.write("sys/fs/ext4/mmcblk1p3/errors_count", "3\n");
    check(&sd, "disk", Verdict::Bad, "3 errors on mmcblk1p3");
    let mounts = "/dev/root / squashfs ro 0 0\n/dev/mmcblk0p3 /data ext4 ro,noatime,errors=remount-ro 0 0\n";
    check(&Fake::new(&[("proc/self/mounts", mounts)]), "disk", Verdict::Bad, "/data is read-only");
    let in_memory = Fake::new(&[("run/silverstream-data-in-memory", "")]);
    check(&in_memory, "disk", Verdict::Bad, "nothing is kept");
    assert!(in_memory.machine().card_troubles()[0].contains("nothing is kept"));
    let unreadable = Fake::new(&[("run/silverstream-boot-unreadable", "")]);
    check(&unreadable, "boot", Verdict::Bad, "cannot be read");
    assert!(unreadable.machine().card_troubles()[0].contains("boot partition"));
    assert_eq!(sd.machine().card_troubles(), Vec::<&str>::new());
}

/// As RAUC 1.13 prints it, with two slots.
fn rauc(booted: &str, primary: &str, a: &str, b: &str) -> String {
    format!(
        r#"{{"compatible":"silverstream","variant":"","booted":"{booted}","boot_primary":"{primary}","slots":[
        {{"kernel.0":{{"class":"kernel","device":"/dev/x","type":"raw","bootname":null,"state":"active","parent":"rootfs.0","mountpoint":null,"boot_status":null}}}},
        {{"rootfs.0":{{"class":"rootfs","device":"/dev/x","type":"raw","bootname":"A","state":"{}","parent":null,"mountpoint":null,"boot_status":"{a}"}}}},
        {{"rootfs.1":{{"class":"rootfs","device":"/dev/y","type":"raw","bootname":"B","state":"{}","parent":null,"mountpoint":null,"boot_status":"{b}"}}}}]}}"#,
        if booted == "A" { "booted" } else { "inactive" },
        if booted == "B" { "booted" } else { "inactive" },
    )
}

#[test]
fn slots_and_rollbacks() {
    let fake = Fake::new(&[]);
    for (says, verdict, word) in [
        (rauc("A", "rootfs.0", "good", "good"), Verdict::Good, "A runs"),
        (rauc("A", "rootfs.1", "good", "good"), Verdict::Good, "B is ready"),
        (rauc("A", "rootfs.0", "good", "bad"), Verdict::Warning, "B was not up for a whole minute"),
        (rauc("B", "rootfs.0", "good", "bad"), Verdict::Bad, "B runs and is given up"),
        ("Error: no".to_owned(), Verdict::Warning, "does not say"),
    ] {
        fake.rauc(&says);
        check(&fake, "slots", verdict, word);
    }
    // As the image is written: no try left for what is not there yet.
    fake.rauc(&rauc("A", "rootfs.0", "good", "bad"));
    fake.write("dev/y", &"\0".repeat(8192));
    check(&fake, "slots", Verdict::Good, "B is empty");
    fake.write("dev/y", &format!("hsqs{}", "\0".repeat(8192)));
    check(&fake, "slots", Verdict::Warning, "B was not up for a whole minute");
    fake.rauc(&rauc("A", "rootfs.0", "bad", "good"));
    fake.write("dev/x", &"\0".repeat(8192));
    check(&fake, "slots", Verdict::Bad, "A runs and is given up");
}

/// As when D-Bus does not start it.
#[test]
fn rauc_that_hangs_keeps_nobody_waiting() {
    let fake = Fake::new(&[]);
    fake.rauc("");
    fake.write("bin/rauc", "#!/bin/sh\nexec sleep 60\n");
    let machine = Machine { patience: Duration::from_millis(50), ..fake.machine() };
    let found = slots::look(&machine).unwrap();
    assert!(found.verdict == Verdict::Warning && found.found.contains("does not answer"), "{found:?}");
}

#[test]
fn sound_cards_and_links() {
    let cards = " 0 [vc4hdmi        ]: vc4-hdmi - vc4-hdmi\n                      vc4-hdmi\n \
                 1 [sndrpihifiberry]: RPi-simple - snd_rpi_hifiberry_dac\n                      snd_rpi_hifiberry_dac\n";
    check(&Fake::new(&[("proc/asound/cards", cards)]), "cards", Verdict::Good, "alsa:vc4hdmi, alsa:sndrpihifiberry");
    check(&Fake::new(&[("proc/asound/cards", "--- no soundcards ---\n")]), "cards", Verdict::Warning, "no sound card");
    let head = "Inter-| sta-|   Quality        |   Discarded packets               | Missed | WE\n face | tus | link level noise |  \
                nwid  crypt   frag  retry   misc | beacon | 22\n";
    let wifi = |level: &str| {
        let line = format!(" wlan0: 0000   54.  {level}  -256        0      0      0      0      0        0\n");
        Fake::new(&[("proc/self/net/wireless", &format!("{head}{line}")), ("sys/class/net/wlan0/operstate", "up")])
    };
    check(&wifi("-56."), "network", Verdict::Good, "-56 dBm");
    check(&wifi("-82."), "network", Verdict::Warning, "-82 dBm");
    let both = wifi("-82.");
    both.write("sys/class/net/eth0/operstate", "up\n");
    check(&both, "network", Verdict::Good, "eth0 and wlan0");
    both.write("proc/self/net/wireless", head);
    check(&both, "network", Verdict::Good, "up");
}

/// The device's flags do not tell, as with virtual machines and some USB adapters.
#[test]
fn a_link_of_unknown_state_is_up_if_there_is_a_signal() {
    let fake = Fake::new(&[
        ("sys/class/net/lo/operstate", "unknown\n"),
        ("sys/class/net/lo/carrier", "1\n"),
        ("sys/class/net/usb0/operstate", "unknown\n"),
        ("sys/class/net/usb0/carrier", "0\n"),
    ]);
    check(&fake, "network", Verdict::Warning, "no interface");
    fake.write("sys/class/net/usb0/carrier", "1\n");
    check(&fake, "network", Verdict::Good, "usb0 is up");
}

/// Tables as Linux 6.12 prints them on a little-endian machine.
#[test]
fn the_network_as_the_display_shows_it() {
    let bare = Fake::new(&[("etc/hostname", "laptop\n")]);
    assert_eq!(
        bare.machine().network(),
        NetworkStatus { name: Some("laptop".to_owned()), ..NetworkStatus::default() },
        "nobody answers to laptop.local"
    );
    let route = |interface: &str, network: &str, metric: u32, mask: &str| {
        format!("{interface}\t{network}\t00000000\t0001\t0\t0\t{metric}\t{mask}\t0\t0\t0\n")
    };
    let routes = [
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n".to_owned(),
        route("wlan0", "00000000", 20, "00000000"),
        route("eth0", "00000000", 10, "00000000"),
        route("wlan0", "0001A8C0", 20, "00FFFFFF"),
        route("eth0", "0002A8C0", 10, "00FFFFFF"),
    ];
    let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n\
                Local:\n  +-- 0.0.0.0/0 2 0 2\n     +-- 127.0.0.0/8 2 0 2\n           |-- 127.0.0.1\n              /32 host LOCAL\n\
                     |-- 192.168.1.20\n        /32 host LOCAL\n     |-- 192.168.1.255\n        /32 link BROADCAST\n\
                     |-- 192.168.2.30\n        /32 host LOCAL\n";
    let fake = Fake::new(&[
        ("etc/hostname", "silverstream\n"),
        ("data/system/hostname", "kitchen\n"),
        ("data/system/wpa_supplicant.conf", ""),
        ("data/system/wifi-name", "my network"),
        ("sys/class/net/wlan0/phy80211/index", "0"),
        ("sys/class/net/wlan0/operstate", "up\n"),
        ("sys/class/net/eth0/operstate", "up\n"),
        ("sys/class/net/eth0/device/uevent", ""),
        ("proc/self/net/fib_trie", trie),
        ("proc/self/net/route", &routes.concat()),
    ]);
    let network = fake.machine().network();
    assert_eq!(network.name.as_deref(), Some("kitchen.local"));
    let wifi = network.wifi.unwrap();
    assert_eq!((wifi.name.as_str(), wifi.state, network.cable), ("my network", WifiState::Joined, true));
    #[cfg(target_endian = "little")]
    assert_eq!(network.address.as_deref(), Some("192.168.2.30"), "the cable's, which has the lower metric");
    fake.write("proc/self/net/route", "");
    assert_eq!(fake.machine().network().address.as_deref(), Some("192.168.1.20"));
    fake.write("proc/self/net/fib_trie", "");
    let inet6 = "fe800000000000000000000000000001 02 40 20 80     eth0\n20010db8000000000000000000000020 02 40 00 00     eth0\n";
    fake.write("proc/self/net/if_inet6", inet6);
    assert_eq!(fake.machine().network().address.as_deref(), Some("2001:db8::20"));
}

#[test]
fn wi_fi_that_was_set_up_and_is_not_there() {
    let set_up = ("data/system/wpa_supplicant.conf", "network");
    let no_chip = Fake::new(&[set_up, ("sys/class/net/lo/operstate", "unknown\n")]);
    check(&no_chip, "network", Verdict::Warning, "shows none");
    assert!(no_chip.machine().wifi_trouble().unwrap().contains("firmware"));
    let apart =
        Fake::new(&[set_up, ("sys/class/net/wlan0/operstate", "down\n"), ("sys/class/net/wlan0/phy80211/index", "0")]);
    check(&apart, "network", Verdict::Warning, "not joined");
    assert!(apart.machine().wifi_trouble().unwrap().contains("not found"));
    for (word, found, shown) in [
        ("wrong-password\n", "does not take the password", "password"),
        ("refused\n", "turns the jukebox away", "turns"),
        ("searching\n", "not joined", "not found"),
    ] {
        apart.write("run/silverstream-wifi", word);
        check(&apart, "network", Verdict::Warning, found);
        assert!(apart.machine().wifi_trouble().unwrap().contains(shown), "{word}");
    }
    apart.write("sys/class/net/eth0/operstate", "up\n");
    check(&apart, "network", Verdict::Good, "eth0");
    assert_eq!(apart.machine().wifi_trouble(), None, "a cable does as well");
    let none = Fake::new(&[("sys/class/net/wlan0/operstate", "down\n"), ("sys/class/net/wlan0/phy80211/index", "0")]);
    assert_eq!(none.machine().wifi_trouble(), None, "nobody asked for it");
}

#[test]
fn the_clock_and_memory() {
    let fake = Fake::new(&[
        ("run/systemd/timesync/x", ""),
        ("proc/meminfo", "MemTotal: 440000 kB\nMemAvailable: 200000 kB\n"),
    ]);
    check(&fake, "clock", Verdict::Warning, "not been set");
    check(&fake, "memory", Verdict::Good, "to spare");
    fake.write("run/systemd/timesync/synchronized", "");
    fake.write("proc/meminfo", "MemTotal: 440000 kB\nMemAvailable: 20000 kB\n");
    check(&fake, "clock", Verdict::Good, "by the network");
    check(&fake, "memory", Verdict::Warning, "19.5 MiB");
    let early = fake.machine().examine(UnixTime(40)).into_iter().find(|finding| finding.what == "clock").unwrap();
    assert!(early.verdict == Verdict::Warning && early.found.contains("past"), "{early:?}");
}
