//! One file to attach to a bug report.

use std::io::{self, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::privacy::redact;
use super::program;

/// Largest part; of a longer one the end is taken, which is what happened last.
const MAX_PART: usize = 512 * 1024;

/// Folder in the archive.
const FOLDER: &str = "silverstream-report";

/// A text of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Name of its file.
    pub name: &'static str,
    pub text: String,
}

impl Part {
    /// A text, whose secrets are left out when it is written.
    pub fn new(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, text: text.into() }
    }

    /// A file of the system, or why it is not to be had.
    pub fn file(name: &'static str, path: &Path) -> Self {
        let text = std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Self::new(name, text.unwrap_or_else(|error| format!("{}: {error}\n", path.display())))
    }

    /// What a program prints, or why it does not.
    pub fn program(name: &'static str, program: &str, arguments: &[&str]) -> Self {
        let printed = program::run(program, arguments, program::PATIENCE).map(|printed| printed.out + &printed.err);
        Self::new(name, printed.unwrap_or_else(|error| format!("{program}: {error}\n")))
    }
}

/// Writes the parts as a compressed archive. `secrets` are left out wherever they stand, besides what looks like one.
///
/// # Errors
/// If it cannot be written.
pub fn write(parts: &[Part], secrets: &[String], to: impl Write) -> io::Result<()> {
    let mut archive = tar::Builder::new(GzEncoder::new(to, Compression::best()));
    for part in parts {
        let text = clean(&part.text, secrets);
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, format!("{FOLDER}/{}", part.name), text.as_bytes())?;
    }
    archive.into_inner()?.finish()?.flush()
}

fn clean(text: &str, secrets: &[String]) -> String {
    let start = text.ceil_char_boundary(text.len().saturating_sub(MAX_PART));
    let mut text = redact(&text[start..]);
    for secret in secrets {
        // A short one would cut words to pieces, so only as wpa_supplicant writes the name of a network.
        text = match secret.len() {
            0 => continue,
            8.. => text.replace(secret.as_str(), "<secret>"),
            _ => text.replace(&format!("\"{secret}\""), "\"<secret>\""),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn the_archive_holds_the_parts_without_secrets() {
        let key = "AAAAC3NzaC1lZDI1NTE5AAAAINsCkGb/nTSI+Af0o8OTvtVqkVz0rYZ3A/y7vb1IYS8J";
        let parts = [
            Part::new("config.toml", "[wifi]\npassword = \"correct horse\"\n"),
            Part::new("keys", format!("ssh-ed25519 {key} me\n")),
            Part::new("log", "no answer from 80.1.2.3:6881\nhunter2hunter2 was typed, ssid=\"home\" at home\n"),
            Part::new("long", format!("{}end", "é".repeat(MAX_PART))),
            Part::program("program", "/bin/sh", &["-c", "echo out; echo err >&2"]),
            Part::program("missing", "/nonexistent/program", &[]),
        ];
        let mut bytes = Vec::new();
        write(&parts, &["hunter2hunter2".to_owned(), "home".to_owned(), String::new()], &mut bytes).unwrap();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
        let mut all = String::new();
        let mut names = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            names.push(entry.path().unwrap().display().to_string());
            assert!(entry.size() <= MAX_PART as u64);
            entry.read_to_string(&mut all).unwrap();
        }
        assert_eq!(names.len(), parts.len());
        assert_eq!(names[0], "silverstream-report/config.toml");
        for secret in ["correct horse", key, "80.1.2.3", "hunter2"] {
            assert!(!all.contains(secret), "{secret} is in the report");
        }
        for kept in [
            "password = <secret>",
            "<ip>:6881",
            "éend",
            "ssid=\"<secret>\" at home",
            "out\nerr\n",
            "/nonexistent/program: ",
        ] {
            assert!(all.contains(kept), "{kept} is missing");
        }
    }
}
