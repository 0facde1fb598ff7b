//! Other programs, which are not waited for without end.

use std::ffi::OsStr;
use std::io::{self, ErrorKind, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// A program that takes longer is ended: some ask services that may hang.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked whether a program has ended that closed its output before.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What a program has printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    /// To standard output.
    pub out: String,
    /// To standard error.
    pub err: String,
}

/// Runs a program to its end, or for so long.
///
/// # Errors
/// If it cannot be started; [`ErrorKind::TimedOut`] if it was ended.
pub fn run(program: impl AsRef<OsStr>, arguments: &[&str], patience: Duration) -> io::Result<Printed> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let end = Instant::now() + patience;
    // Read beside waiting: what it prints may not fit into the pipe. Not waited for either: a child of its own may have it.
    let (out, err) = (child.stdout.take().map(read_all), child.stderr.take().map(read_all));
    let printed = received(out, end).zip(received(err, end));
    while child.try_wait()?.is_none() {
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            return Err(ErrorKind::TimedOut.into());
        }
        std::thread::sleep(LOOK_EVERY);
    }
    printed.map(|(out, err)| Printed { out, err }).ok_or_else(|| ErrorKind::TimedOut.into())
}

fn read_all(mut from: impl Read + Send + 'static) -> Receiver<String> {
    // One text.
    let (sender, receiver) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error is of use; nobody waits for it any more if it comes too late.
        let _ = from.read_to_end(&mut bytes);
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

fn received(text: Option<Receiver<String>>, end: Instant) -> Option<String> {
    text?.recv_timeout(end.saturating_duration_since(Instant::now())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, patience: Duration) -> io::Result<Printed> {
        run("/bin/sh", &["-c", script], patience)
    }

    #[test]
    fn what_it_prints_and_why_it_does_not() {
        let printed = shell("echo out; echo err >&2; exit 3", PATIENCE).unwrap();
        assert_eq!((printed.out.as_str(), printed.err.as_str()), ("out\n", "err\n"));
        let more_than_a_pipe_holds = shell("head -c 300000 /dev/zero", PATIENCE).unwrap();
        assert_eq!(more_than_a_pipe_holds.out.len(), 300_000);
        assert_eq!(run("/nonexistent/program", &[], PATIENCE).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn one_that_hangs_is_ended_whatever_it_hangs_on() {
        for script in ["exec sleep 60", "exec sleep 60 >&- 2>&-", "sleep 5 & echo out"] {
            let begin = Instant::now();
            assert_eq!(shell(script, Duration::from_millis(50)).unwrap_err().kind(), ErrorKind::TimedOut, "{script}");
            assert!(begin.elapsed() < PATIENCE, "{script}");
        }
    }
}
