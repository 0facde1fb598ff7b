//! Takes out of a text what a stranger who reads a bug report must not learn: passwords and keys, addresses of people on the
//! internet, hardware addresses.
//!
//! By what things look like, wherever they are: a report has texts of many programs. Addresses of private networks stay,
//! they tell nothing about a person and much about a fault.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Words after which a secret follows.
const SECRET_WORDS: [&str; 7] = ["password", "passphrase", "passwd", "psk", "secret", "token", "wep_key0"];

/// Shortest run of base64 that is taken for a key: an Ed25519 public key has 68 digits.
const KEY_DIGITS: usize = 60;

/// Longest value over several lines; who opens a quote and never closes it hides no more than this.
const MAX_VALUE: usize = 1024;

/// Longest text of an address that is looked for behind something else: IPv6 with IPv4 in it.
const MAX_ADDRESS: usize = 45;

/// What stands in place of what is assigned to a word for a secret.
const SECRET: &str = "<secret>";

/// The text without secrets; `<…>` says what stood there. What has been cut once stays as it is.
pub fn redact(text: &str) -> String {
    let mut text = without_assigned_secrets(&without_private_keys(text));
    loop {
        // What stood before and behind an address may be others.
        let next = redact_words(&text);
        if next == text {
            return text;
        }
        text = next;
    }
}

fn redact_words(mut rest: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || ".:+/=_-%".contains(c);
    let mut out = String::with_capacity(rest.len());
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

/// The body of a private key is many lines.
fn without_private_keys(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_key = false;
    for line in text.split_inclusive('\n') {
        if line.contains("-----BEGIN") {
            in_key = true;
            out.push_str("<key>\n");
        }
        if !in_key {
            out.push_str(line);
        }
        if line.contains("-----END") {
            in_key = false;
        }
    }
    out
}

/// Cuts what is assigned to a word for a secret, to the end of the value: `psk=…`, `password = "…"`, `"password":"…"`.
fn without_assigned_secrets(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(behind) = behind_secret_word(rest) {
        let assigned = rest[behind..].trim_start_matches(['\\', '"', '\'', ' ', '\t']);
        let value = assigned.strip_prefix(['=', ':']).map(|value| value.trim_start_matches([' ', '\t']));
        out.push_str(&rest[..value.map_or(behind, |value| rest.len() - value.len())]);
        rest = match value {
            Some(value) => {
                out.push_str(SECRET);
                &value[value_length(value)..]
            }
            None => &rest[behind..],
        };
    }
    out.push_str(rest);
    out
}

/// Where the first word for a secret ends.
fn behind_secret_word(text: &str) -> Option<usize> {
    let is_at = |at: usize, word: &str| {
        text.as_bytes().get(at..at + word.len()).is_some_and(|bytes| bytes.eq_ignore_ascii_case(word.as_bytes()))
    };
    (0..text.len()).find_map(|at| SECRET_WORDS.iter().find(|word| is_at(at, word)).map(|word| at + word.len()))
}

/// Length of a value in quotes or brackets, or up to the next white space or comma.
fn value_length(text: &str) -> usize {
    if text.starts_with(SECRET) {
        return SECRET.len();
    }
    for quotes in ["\"\"\"", "'''"] {
        if let Some(rest) = text.strip_prefix(quotes) {
            let within = &rest[..rest.floor_char_boundary(MAX_VALUE)];
            // Before the quotes that end it there may be one or two that belong to it.
            let end = within
                .find(quotes)
                .map(|end| end + (rest[end..].len() - rest[end..].trim_start_matches(&quotes[..1]).len()));
            return quotes.len() + end.unwrap_or(within.len());
        }
    }
    // JSON within JSON, however deep: a string ends at the quote that has as many backslashes before it as the one it began with.
    let slashes = text.len() - text.trim_start_matches('\\').len();
    if let Some(within) = text[slashes..].strip_prefix('"').filter(|_| slashes > 0) {
        let line = within.split('\n').next().unwrap_or_default();
        let before = |end: usize| line[..end].len() - line[..end].trim_end_matches('\\').len();
        if let Some((end, _)) = line.match_indices('"').find(|(end, _)| before(*end) == slashes) {
            return slashes + end + 2;
        }
    }
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
        Some('[' | '{') => bracketed(text),
        _ => text.find(|c: char| c.is_whitespace() || c == ',').unwrap_or(text.len()),
    }
}

/// Length of a list or table, whose strings may have brackets of their own.
fn bracketed(text: &str) -> usize {
    let text = &text[..text.floor_char_boundary(MAX_VALUE)];
    let (mut depth, mut quote) = (0, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + c.len_utf8();
        }
    }
    text.len()
}

fn redact_word(word: &str) -> String {
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    // Paths are long, too; a key's digits are of many kinds and have no dots.
    let kinds = [
        word.contains(|c: char| c.is_ascii_uppercase()),
        word.contains(|c: char| c.is_ascii_lowercase()),
        word.contains(|c: char| c.is_ascii_digit()),
    ];
    if word.len() >= KEY_DIGITS && word.chars().all(is_base64) && kinds == [true; 3] {
        return "<key>".to_owned();
    }
    // `addr=80.1.2.3:6881`, `http://80.1.2.3/announce`
    word.split_inclusive(['=', '/', '%', '+', '_']).map(redact_piece).collect()
}

/// What to write for a piece of a word: perhaps an address, with something before it and punctuation behind it.
fn redact_piece(piece: &str) -> String {
    let mut core = piece.trim_end_matches(['.', '-', '/', '=', '%', '+', '_']);
    if !core.ends_with("::") {
        core = core.trim_end_matches(':');
    }
    let starts = std::iter::once(0).chain(core.match_indices([':', '-']).map(|(at, _)| at + 1));
    for start in starts.filter(|start| core.len() - start <= MAX_ADDRESS) {
        let instead = match core[start..].parse::<Ipv6Addr>() {
            // Behind something else, `a::b` is a path of a program rather than an address nobody has (RFC 4291, 2.4).
            Ok(address) if start > 0 && address.segments()[0] & 0xe000 != 0x2000 => continue,
            Ok(address) if is_public(address) => "<ip>",
            // A part of it may look like another one.
            Ok(_) => return piece.to_owned(),
            Err(_) if is_hardware_address(&core[start..]) => "<mac>",
            Err(_) => continue,
        };
        return without_ipv4(&core[..start]) + instead + &piece[core.len()..];
    }
    without_ipv4(piece)
}

/// Cuts public addresses wherever they stand: in `80.1.2.3:6881` and `80.1.2.3.example.net`, but not in `1.2.3.4.5`.
fn without_ipv4(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_digit() || c == '.';
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let end = start + rest[start..].find(|c| !is_part(c)).unwrap_or(rest.len() - start);
        let run = rest[start..end].trim_end_matches('.');
        out.push_str(&rest[..start]);
        out.push_str(if run.parse().is_ok_and(is_public_v4) { "<ip>" } else { run });
        rest = &rest[start + run.len()..];
    }
    out.push_str(rest);
    out
}

fn is_hardware_address(text: &str) -> bool {
    let parts: Vec<&str> = text.split([':', '-']).collect();
    parts.len() == 6 && parts.iter().all(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_public(address: Ipv6Addr) -> bool {
    address.to_ipv4_mapped().map_or_else(|| is_public_v6(address), is_public_v4)
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
            (r#"{"text":"{\"password\":\"a b\"}"}"#, r#"{"text":"{\"password\":<secret>}"}"#),
            (r#"{"text":"{\"password\":\"a\\\"b c\"}"}"#, r#"{"text":"{\"password\":<secret>}"}"#),
            (
                r#"{"text":"{\"text\":\"{\\\"password\\\":\\\"a b\\\"}\"}"}"#,
                r#"{"text":"{\"text\":\"{\\\"password\\\":<secret>}\"}"}"#,
            ),
            ("\tpsk=f42c6fc52df0ebef9ebb4b90b38a5f90\n\tssid=6869\n", "\tpsk=<secret>\n\tssid=6869\n"),
            ("wifi = { ssid = 'a', password = 'x' }", "wifi = { ssid = 'a', password = <secret> }"),
            ("the password is wrong", "the password is wrong"),
            ("peer 80.1.2.3:6881 has it", "peer <ip>:6881 has it"),
            ("addr=80.1.2.3, [2a02:810d::1]:6881 and 2a02:810d::2.", "addr=<ip>, [<ip>]:6881 and <ip>."),
            ("inet6 2a02:810d::1/64 scope fe80::ba27:ebff:fe01:203%wlan0", "inet6 <ip>/64 scope <ip>%wlan0"),
            ("::ffff:80.1.2.3 2a02:810d::/48 x::fade::ad", "<ip> <ip>/48 x::fade::ad"),
            ("http://80.1.2.3:6881/announce", "http://<ip>:6881/announce"),
            ("udp://[2a02:810d::1]:6881/x peer:80.1.2.3:6881", "udp://[<ip>]:6881/x peer:<ip>:6881"),
            (
                "peer:2a02:810d::1 from-80.1.2.3.example.net a=80.1.2.3=1.2.3.4",
                "peer:<ip> from-<ip>.example.net a=<ip>=<ip>",
            ),
            ("mac:b8:27:eb:01:02:03 fd00:2a02:810d::1", "mac:<mac> fd00:2a02:810d::1"),
            ("password = \"\"\"x\"\"\"\ncountry", "password = <secret>\ncountry"),
            ("password = '''\nmany\nlines''''\ncountry", "password = <secret>\ncountry"),
            ("password = [\n  \"a]\", # x\n]\ncountry", "password = <secret>\ncountry"),
            ("password = 12345678901234567890\ncountry", "password = <secret>\ncountry"),
            ("password: \"\"\"x", "password: <secret>"),
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

    /// What mistakes of the parts above would be made of.
    fn fragments() -> impl Strategy<Value = String> {
        let fragment = prop_oneof![
            ".{0,8}",
            prop::sample::select(vec![
                "password",
                "token",
                "=",
                " = ",
                ":",
                "\"",
                "\"\"\"",
                "'",
                "\\",
                "[",
                "]",
                "{",
                "\n",
                ",",
                "<secret>",
                "80.1.2.3",
                "2a02:810d::1",
                "::",
                ".",
                "/",
                "%",
                "-----BEGIN",
                "-----END",
                "b8:27:eb:01:02:03",
                "é",
            ])
            .prop_map(str::to_owned),
        ];
        prop::collection::vec(fragment, 0..12).prop_map(|fragments| fragments.concat())
    }

    proptest! {
        #[test]
        fn any_text_can_be_read_and_no_public_address_survives(text in ".{0,80}", a in 1u8..9, b: u8, c: u8, d: u8) {
            redact(&text);
            let address = Ipv4Addr::new(a, b, c, d);
            for text in [
                format!("{text} {address}:6881 x"),
                format!("x={address} {text}"),
                format!("({address}) {text}"),
                format!("udp://{address}:6881/announce {text}"),
                format!("peer:{address}.example.net {text}"),
            ] {
                prop_assert!(!redact(&text).contains(&address.to_string()), "{}", redact(&text));
            }
        }

        #[test]
        fn what_is_cut_is_cut_once(text in fragments()) {
            let once = redact(&text);
            prop_assert_eq!(redact(&once), once);
        }

        #[test]
        fn no_value_survives_however_it_is_written(
            value in "[a-z]{8}",
            quotes in prop::sample::select(vec![("", ""), ("\"", "\""), ("'", "'"), ("\"\"\"\n", "\"\"\""), ("[\n'", "']")]),
            after in fragments(),
        ) {
            let text = format!("password = {}{value}{}\n{after}", quotes.0, quotes.1);
            let found = redact(&text);
            prop_assert!(found.starts_with("password = <secret>\n"), "{}", found);
        }
    }
}
