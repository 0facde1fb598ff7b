//! What the values of a first boot may be. Each check gives the sentence for people.

use std::io::Read;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use toml::de::DeValue;

/// Kinds of SSH public keys that are taken: those that OpenSSH 9 accepts by itself.
const KEY_KINDS: [&str; 7] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
];

/// A shorter modulus of an RSA key has been factored, or could be.
const MIN_RSA_BITS: usize = 2048;

/// Longest line of a public key; one of RSA with 16,384 bits has 2,800 characters.
const MAX_KEY_BYTES: usize = 8192;

/// ISO 3166-1 alpha-2.
const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT \
    BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM \
    FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO \
    JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT \
    MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA \
    SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US \
    UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

/// A key that a template of these settings once had for an example: whoever has its other half must get in nowhere.
const EXAMPLE_KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIB/2+tCaRnmcDPr9U0Kcteg4CHcut+SK2hLazd2lAhT2";

type Check = Result<(), String>;

/// A label of RFC 1123 (2.1): one word, since it is found as `NAME.local`.
pub fn hostname(name: &str) -> Check {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if name.is_empty() || name.len() > 63 {
        return Err("a host name has 1 to 63 letters".to_owned());
    }
    if let Some(wrong) = name.chars().find(|c| !legal(*c)) {
        return Err(format!("a host name has only letters a to z, digits and hyphens; {wrong:?} is none of them"));
    }
    if name.starts_with('-') || name.ends_with('-') {
        return Err("a host name neither begins nor ends with a hyphen".to_owned());
    }
    Ok(())
}

/// A zone of the tz database below `root`; where there is none, only its form is checked.
pub fn timezone(zone: &str, root: &Path) -> Check {
    let legal = |c: char| c.is_ascii_alphanumeric() || "_+-".contains(c);
    let example = "write it as Area/City, for example \"Europe/Berlin\"";
    let parts: Vec<&str> = zone.split('/').collect();
    if parts.len() > 3 || parts.iter().any(|part| part.is_empty() || !part.chars().all(legal)) {
        return Err(format!("{zone:?} is no time zone; {example}"));
    }
    let zones = root.join("usr/share/zoneinfo");
    if !zones.is_dir() {
        return Ok(());
    }
    let mut magic = [0; 4];
    let read = std::fs::File::open(zones.join(zone)).and_then(|mut file| file.read_exact(&mut magic));
    // RFC 8536, 3.1.
    if read.is_err() || &magic != b"TZif" {
        return Err(format!("there is no time zone {zone:?}; {example}"));
    }
    Ok(())
}

/// Where the radio is.
pub fn country(code: &str) -> Check {
    if COUNTRIES.split(' ').any(|known| known == code) {
        return Ok(());
    }
    let upper = code.to_ascii_uppercase();
    if COUNTRIES.split(' ').any(|known| known == upper) {
        return Err(format!("a country is written in capitals: \"{upper}\""));
    }
    Err(format!("{code:?} is no country; write its two letters of ISO 3166, for example \"DE\" or \"US\""))
}

/// Name of a network (IEEE 802.11, 9.4.2.2).
pub fn ssid(name: &str) -> Check {
    if name.is_empty() || name.len() > 32 {
        return Err(format!("the name of a Wi-Fi network has 1 to 32 bytes; this one has {}", name.len()));
    }
    Ok(())
}

/// Keys of `[wifi]` whose values are texts.
const WIFI_TEXTS: [&str; 3] = ["ssid", "password", "country"];

/// Those of them whose values are none. The parser must not see them, for it tells what it finds: a password of digits is a
/// number to it.
pub fn unquoted(wifi: &DeValue<'_>) -> Vec<&'static str> {
    let DeValue::Table(wifi) = wifi else { return Vec::new() };
    let is_text = |name: &str| wifi.get(name).is_none_or(|value| matches!(value.get_ref(), DeValue::String(_)));
    WIFI_TEXTS.into_iter().filter(|name| !is_text(name)).collect()
}

/// Passphrase or key of a network (IEEE 802.11, J.4).
pub fn passphrase(text: &str) -> Check {
    if text.len() == 64 {
        let hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        return if hex { Ok(()) } else { Err("a Wi-Fi key of 64 characters has only digits and a to f".to_owned()) };
    }
    if text.len() < 8 || text.len() > 63 {
        return Err(format!("a Wi-Fi password has 8 to 63 characters; this one has {}", text.chars().count()));
    }
    if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err("a Wi-Fi password has only letters without accents, digits, punctuation and spaces".to_owned());
    }
    Ok(())
}

/// A line of `authorized_keys` without options.
pub fn ssh_key(line: &str) -> Check {
    if line.contains("PRIVATE KEY") {
        return Err(
            "this is a private key, which must not leave your computer; take the line in the file that ends with \
                    .pub, and make a new key"
                .to_owned(),
        );
    }
    if line.len() > MAX_KEY_BYTES || line.chars().any(char::is_control) {
        return Err("an SSH key is one line, as in the file that ends with .pub".to_owned());
    }
    if line.contains('…') || line.contains(EXAMPLE_KEY) {
        return Err("this is the example; write the line of your own .pub file in its place".to_owned());
    }
    let mut words = line.split(' ');
    let kind = words.next().unwrap_or_default();
    if !KEY_KINDS.contains(&kind) {
        return Err(format!("an SSH key begins with its kind ({}, …); {kind:?} is none", KEY_KINDS[..2].join(", ")));
    }
    let cut = || "this SSH key is damaged; copy the whole line of the file that ends with .pub".to_owned();
    let blob = words.next().and_then(|word| BASE64_STANDARD.decode(word).ok()).ok_or_else(cut)?;
    let fields = fields(&blob).ok_or_else(cut)?;
    if fields.first() != Some(&kind.as_bytes()) {
        return Err(cut());
    }
    match (kind, &fields[1..]) {
        // RFC 8709, 4; RFC 4253, 6.6: exponent and modulus, whose first byte may be a zero for the sign.
        ("ssh-ed25519", [key]) if key.len() == 32 => Ok(()),
        ("ssh-rsa", [_, modulus]) => {
            let bits = modulus.len().saturating_sub(usize::from(modulus.first() == Some(&0))) * 8;
            if bits >= MIN_RSA_BITS {
                return Ok(());
            }
            Err(format!("this RSA key has {bits} bits, which is too short; make one with `ssh-keygen -t ed25519`"))
        }
        ("ssh-ed25519" | "ssh-rsa", _) => Err(cut()),
        (_, [_, _, ..]) => Ok(()),
        _ => Err(cut()),
    }
}

/// The strings of RFC 4251 (5) that a key consists of; none if it ends within one.
fn fields(mut blob: &[u8]) -> Option<Vec<&[u8]>> {
    let mut fields = Vec::new();
    while !blob.is_empty() {
        let (length, rest) = blob.split_first_chunk::<4>()?;
        let (field, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        fields.push(field);
        blob = rest;
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Of 32 bytes that nobody has the other half of.
    const ED25519: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINsCkGb/nTSI+Af0o8OTvtVqkVz0rYZ3A/y7vb1IYS8J someone@somewhere";

    #[test]
    fn host_names_are_labels() {
        for good in ["jukebox", "a", "My-Box-2", &"a".repeat(63)] {
            assert_eq!(hostname(good), Ok(()), "{good}");
        }
        for bad in ["", "-a", "a-", "a.b", "küche", "a b", "a_b", "a\n", &"a".repeat(64)] {
            assert!(hostname(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn time_zones_exist_and_do_not_leave_their_folder() {
        let root = tempfile::tempdir().unwrap();
        let zones = root.path().join("usr/share/zoneinfo");
        assert_eq!(timezone("Mars/Olympus", root.path()), Ok(()), "without a database only the form counts");
        std::fs::create_dir_all(zones.join("Europe")).unwrap();
        std::fs::write(zones.join("Europe/Berlin"), b"TZif2...").unwrap();
        std::fs::write(zones.join("tzdata.zi"), b"# version").unwrap();
        std::fs::write(root.path().join("secret"), b"TZif").unwrap();
        assert_eq!(timezone("Europe/Berlin", root.path()), Ok(()));
        for bad in
            ["Mars/Olympus", "Europe", "tzdata.zi", "", "/etc/passwd", "../../../secret", "Europe//Berlin", "Eu\0"]
        {
            assert!(timezone(bad, root.path()).unwrap_err().contains("Europe/Berlin"), "{bad}");
        }
    }

    #[test]
    fn countries_and_networks() {
        assert_eq!(COUNTRIES.split(' ').count(), 249);
        assert_eq!(country("DE"), Ok(()));
        assert!(country("de").unwrap_err().contains("\"DE\""));
        assert!(country("ZZ").is_err() && country("").is_err() && country("Germany").is_err());
        assert!(ssid("My network 🎵").is_ok() && ssid("").is_err() && ssid(&"ü".repeat(17)).is_err());
    }

    #[test]
    fn wi_fi_passwords() {
        assert_eq!(passphrase("12345678"), Ok(()));
        assert_eq!(passphrase(&"a".repeat(64)), Ok(()));
        for bad in ["1234567", &"x".repeat(64), &"a".repeat(65), "pässword", "tab\tinside"] {
            assert!(passphrase(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ssh_keys() {
        assert_eq!(ssh_key(ED25519), Ok(()));
        let cut = &ED25519[..60];
        let other_kind = ED25519.replacen("ed25519", "rsa", 1);
        let private = "-----BEGIN OPENSSH PRIVATE KEY-----";
        for (bad, word) in [
            (cut, "damaged"),
            (&other_kind, "damaged"),
            (private, "private"),
            ("", "kind"),
            ("ssh-dss AAAA", "kind"),
            ("command=\"x\" ssh-ed25519 AAAA", "kind"),
            ("ssh-ed25519", "damaged"),
            ("ssh-ed25519 AAAA… you@your-computer", "your own"),
            (&format!("ssh-ed25519 {EXAMPLE_KEY} me@here"), "your own"),
            ("ssh-ed25519 AAAA\nssh-ed25519 AAAA", "one line"),
        ] {
            let error = ssh_key(bad).unwrap_err();
            assert!(error.contains(word), "{bad}: {error}");
        }
        let rsa = |bytes: usize| {
            let mut blob = Vec::new();
            for field in [b"ssh-rsa".to_vec(), vec![1, 0, 1], [vec![0], vec![0xc5; bytes]].concat()] {
                blob.extend(u32::try_from(field.len()).unwrap().to_be_bytes());
                blob.extend(field);
            }
            format!("ssh-rsa {}", BASE64_STANDARD.encode(blob))
        };
        assert_eq!(ssh_key(&rsa(256)), Ok(()));
        assert!(ssh_key(&rsa(128)).unwrap_err().contains("1024 bits"));
    }
}
