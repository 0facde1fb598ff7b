//! Takes out of a text what a stranger who reads a bug report must not learn: passwords and keys, addresses of people on the
//! internet, hardware addresses.
//!
//! By what things look like, wherever they are: a report has texts of many programs. Addresses of private networks stay,
//! they tell nothing about a person and much about a fault.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4};

/// Words after which a secret follows.
const SECRET_WORDS: [&str; 7] = ["password", "passphrase", "passwd", "psk", "secret", "token", "wep_key0"];

/// Shortest run of base64 that is taken for a key: an Ed25519 public key has 68 digits.
const KEY_DIGITS: usize = 60;

/// The text without secrets; `<…>` says what stood there.
pub fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_key = false;
    for line in text.split_inclusive('\n') {
        // The body of a private key is many lines.
        if line.contains("-----BEGIN") {
            in_key = true;
            out.push_str("<key>\n");
        }
        if !in_key {
            out.push_str(&redact_line(line));
        }
        if line.contains("-----END") {
            in_key = false;
        }
    }
    out
}

fn redact_line(line: &str) -> String {
    let line = without_assigned_secret(line);
    let is_part = |c: char| c.is_ascii_alphanumeric() || ".:+/=_-%".contains(c);
    let mut out = String::with_capacity(line.len());
    let mut rest = line.as_str();
    while let Some(start) = rest.find(is_part) {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        out.push_str(&redact_word(&rest[..end]));
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

/// Cuts what is assigned to a word for a secret, to the end of the value: `psk=…`, `password = "…"`, `"password":"…"`.
fn without_assigned_secret(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    let mut out = String::new();
    let mut at = 0;
    while let Some((word, found)) = SECRET_WORDS
        .iter()
        .filter_map(|word| lower[at..].find(word).map(|found| (word, at + found)))
        .min_by_key(|(_, found)| *found)
    {
        let behind = found + word.len();
        out.push_str(&line[at..behind]);
        at = behind;
        let gap = lower[behind..].len() - lower[behind..].trim_start_matches(['"', '\'', ' ', '\t']).len();
        let Some(sign) = lower[behind + gap..].chars().next().filter(|c| "=:".contains(*c)) else { continue };
        let value = behind + gap + sign.len_utf8();
        let blank = line[value..].len() - line[value..].trim_start_matches([' ', '\t']).len();
        let value = value + blank;
        out.push_str(&line[behind..value]);
        out.push_str("<secret>");
        at = value + value_length(&line[value..]);
    }
    out.push_str(&line[at..]);
    out
}

/// Length of a value in quotes, or up to the next white space or comma.
fn value_length(text: &str) -> usize {
    match text.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let mut escaped = false;
            let end = text[1..].char_indices().find(|(_, c)| {
                let ends = *c == quote && !escaped;
                escaped = *c == '\\' && !escaped;
                ends || *c == '\n'
            });
            end.map_or(text.len(), |(at, c)| if c == '\n' { 1 + at } else { 2 + at })
        }
        _ => text.find(|c: char| c.is_whitespace() || c == ',').unwrap_or(text.len()),
    }
}

fn redact_word(word: &str) -> String {
    if let Some(replaced) = as_address(word) {
        return replaced;
    }
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    // Paths are long, too; a key's digits are of many kinds and have no dots.
    let digits = word.chars().filter(|c| is_base64(*c)).count();
    let kinds = [
        word.contains(|c: char| c.is_ascii_uppercase()),
        word.contains(|c: char| c.is_ascii_lowercase()),
        word.contains(|c: char| c.is_ascii_digit()),
    ];
    if digits == word.len() && digits >= KEY_DIGITS && kinds == [true; 3] {
        return "<key>".to_owned();
    }
    word.to_owned()
}

/// What to write for a word that is an address, perhaps with a port, a zone or punctuation around it.
fn as_address(word: &str) -> Option<String> {
    // `addr=80.1.2.3:6881`, `80.1.2.3.`
    let start = word.rfind('=').map_or(0, |at| at + 1);
    let core = word[start..].trim_end_matches(['.', ':', '-', '/', '=']);
    if core.is_empty() {
        return None;
    }
    let (bare, prefix) = core.split_once('/').map_or((core, ""), |(bare, _)| (bare, "/…"));
    let bare = bare.split('%').next().unwrap_or(bare);
    let tail = &word[start + core.len()..];
    let instead = if is_hardware_address(bare) {
        "<mac>".to_owned()
    } else if let Ok(address) = bare.parse::<SocketAddrV4>() {
        is_public(IpAddr::V4(*address.ip())).then(|| format!("<ip>:{}", address.port()))?
    } else {
        is_public(bare.parse().ok()?).then(|| format!("<ip>{prefix}"))?
    };
    Some(format!("{}{instead}{tail}", &word[..start]))
}

fn is_hardware_address(text: &str) -> bool {
    let parts: Vec<&str> = text.split([':', '-']).collect();
    parts.len() == 6 && parts.iter().all(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or_else(|| is_public_v6(v6), is_public_v4),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_unspecified()
        || address.is_broadcast()
        || address.is_multicast())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    !(address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_unique_local()
        // The lower half of a link-local address often is the hardware's.
        || address.is_unicast_link_local() && address.segments()[4..] == [0, 0, 0, 1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn secrets_of_every_form_are_gone() {
        for (text, expected) in [
            ("password = \"correct horse\" # home\n", "password = <secret> # home\n"),
            ("password = 'a \"b'\n", "password = <secret>\n"),
            (r#"{"password":"x\"y","country":"DE"}"#, r#"{"password":<secret>,"country":"DE"}"#),
            ("\tpsk=f42c6fc52df0ebef9ebb4b90b38a5f90\n\tssid=6869\n", "\tpsk=<secret>\n\tssid=6869\n"),
            ("wifi = { ssid = 'a', password = 'x' }", "wifi = { ssid = 'a', password = <secret> }"),
            ("the password is wrong", "the password is wrong"),
            ("peer 80.1.2.3:6881 has it", "peer <ip>:6881 has it"),
            ("addr=80.1.2.3, [2a02:810d::1]:6881 and 2a02:810d::2.", "addr=<ip>, [<ip>]:6881 and <ip>."),
            ("inet6 2a02:810d::1/64 scope fe80::ba27:ebff:fe01:203%wlan0", "inet6 <ip>/… scope <ip>"),
            ("::ffff:80.1.2.3", "<ip>"),
            (
                "on 192.168.1.7:22, 127.0.0.1, 0.0.0.0:6881, fd00::1, ::1",
                "on 192.168.1.7:22, 127.0.0.1, 0.0.0.0:6881, fd00::1, ::1",
            ),
            ("wlan0 b8:27:eb:01:02:03 up", "wlan0 <mac> up"),
            (
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINsCkGb/nTSI+Af0o8OTvtVqkVz0rYZ3A/y7vb1IYS8J me@here",
                "ssh-ed25519 <key> me@here",
            ),
            (
                "a\n-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNza\n-----END OPENSSH PRIVATE KEY-----\nb\n",
                "a\n<key>\nb\n",
            ),
        ] {
            assert_eq!(redact(text), expected);
        }
    }

    #[test]
    fn what_a_fault_is_found_by_stays() {
        for text in [
            "2026-11-21T23:47:41Z 12:34:56 0.1.0 6.12.48+deb13-arm64 silverstream[421]: up 3 d 4 h",
            "/usr/lib/aarch64-linux-gnu/libasound.so.2.0.0 /data/music/0707070707070707070707070707070707070707/3",
            "0707070707070707070707070707070707070707/3 Buffering",
            "PARTUUID=53764a42-03 /data ext4 rw,noatime,errors=remount-ro 0 0",
        ] {
            assert_eq!(redact(text), text);
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_read_and_no_public_address_survives(text in ".{0,80}", a in 1u8..9, b: u8, c: u8, d: u8) {
            redact(&text);
            let address = Ipv4Addr::new(a, b, c, d);
            for text in [format!("{text} {address}:6881 x"), format!("x={address} {text}"), format!("({address}) {text}")] {
                prop_assert!(!redact(&text).contains(&address.to_string()), "{}", redact(&text));
            }
        }
    }
}
