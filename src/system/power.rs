//! Has the system switch the machine off.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::process::{Command, Stdio};

use crate::config::PowerOff;

/// Asks for it. The end of the program is waited for, which is to do no more than ask, too.
///
/// # Errors
/// If it cannot be asked for; the text says what was tried.
pub fn ask(how: &PowerOff) -> io::Result<()> {
    match how {
        PowerOff::File(path) => {
            let made = OpenOptions::new().write(true).create(true).truncate(true).open(path);
            made.map(drop).map_err(|error| said(&path.display(), &error))
        }
        PowerOff::Command(words) => {
            let Some((program, arguments)) = words.split_first() else {
                return Err(io::Error::other("[system] power_off is an empty list; write a program and its arguments"));
            };
            // It must not speak to the service manager in our name.
            let status = Command::new(program)
                .args(arguments)
                .env_remove("NOTIFY_SOCKET")
                .stdin(Stdio::null())
                .status()
                .map_err(|error| said(program, &error))?;
            if status.success() { Ok(()) } else { Err(said(program, &io::Error::other(status.to_string()))) }
        }
    }
}

/// Takes back what was asked for and not done.
///
/// # Errors
/// If it cannot be taken back.
pub fn forget(how: &PowerOff) -> io::Result<()> {
    let PowerOff::File(path) = how else { return Ok(()) };
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(said(&path.display(), &error)),
        _ => Ok(()),
    }
}

fn said(what: &dyn std::fmt::Display, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot switch off the machine with {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_a_file_and_can_be_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let wish = PowerOff::File(folder.path().join("poweroff"));
        ask(&wish).unwrap();
        assert!(folder.path().join("poweroff").exists());
        forget(&wish).unwrap();
        assert!(!folder.path().join("poweroff").exists());
        forget(&wish).unwrap();
        let nowhere = PowerOff::File(folder.path().join("none/poweroff"));
        assert!(ask(&nowhere).unwrap_err().to_string().contains("none/poweroff"));
    }

    #[test]
    fn a_command_is_run_and_its_failure_told() {
        let command = |words: &[&str]| PowerOff::Command(words.iter().map(|word| (*word).to_owned()).collect());
        let folder = tempfile::tempdir().unwrap();
        let made = folder.path().join("made");
        ask(&command(&["touch", made.to_str().unwrap()])).unwrap();
        assert!(made.exists());
        for bad in [&["false"][..], &["/nonexistent/poweroff"], &[]] {
            assert!(ask(&command(bad)).is_err(), "{bad:?}");
        }
        forget(&command(&["false"])).unwrap();
    }
}
