//! Serial lines and pseudo-terminals, as bytes that are read with a timeout and written.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

/// Speed where the configuration does not say (`serial:DEVICE@BAUD`); a whole frame of 128×64 pixels takes 100 ms.
const BAUD: u32 = 115_200;
/// Longest wait for a byte; also the precision of holding the button.
pub const READ_TIMEOUT: Duration = Duration::from_millis(20);
/// Longest wait for room in the line's buffer, which may be full of the frame before.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// One end of an open line.
pub type Reader = Box<dyn Read + Send>;
pub type Writer = Box<dyn Write + Send>;

/// Opens a serial line: `DEVICE` or `DEVICE@BAUD`.
///
/// # Errors
/// If it is not there or cannot be set up.
pub fn open(device: &str) -> io::Result<(Reader, Writer)> {
    let (path, baud) = match device.rsplit_once('@') {
        Some((path, baud)) => (path, baud.parse().map_err(|_| io::Error::other(format!("{baud:?} is no speed")))?),
        None => (device, BAUD),
    };
    let port = serialport::new(path, baud).timeout(READ_TIMEOUT).open()?;
    let mut writer = port.try_clone()?;
    writer.set_timeout(WRITE_TIMEOUT)?;
    Ok((Box::new(port), Box::new(writer)))
}

/// The near end of a pseudo-terminal, whose far end is a device file as that of a serial line.
#[derive(Debug)]
pub struct Pty {
    near: File,
    /// The device file of the far end.
    pub path: String,
}

impl Pty {
    /// Makes a pseudo-terminal that passes all bytes on as they are.
    ///
    /// # Errors
    /// If the system has none left.
    pub fn open() -> io::Result<Self> {
        let near: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&near)?;
        unlockpt(&near)?;
        let path = ptsname(&near, Vec::new())?.to_string_lossy().into_owned();
        let mut settings = tcgetattr(&near)?;
        settings.make_raw();
        tcsetattr(&near, OptionalActions::Now, &settings)?;
        // Nobody may read the far end: a panel must not hang in that.
        fcntl_setfl(&near, fcntl_getfl(&near)? | OFlags::NONBLOCK)?;
        Ok(Self { near: near.into(), path })
    }

    /// Both directions of the near end.
    ///
    /// # Errors
    /// If the system has no file descriptor left.
    pub fn split(&self) -> io::Result<(Reader, Writer)> {
        Ok((Box::new(End(self.near.try_clone()?)), Box::new(End(self.near.try_clone()?))))
    }
}

/// The near end, with the manners of a serial line: reads time out, and nobody at the far end is silence.
struct End(File);

impl Read for End {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        wait(&self.0, PollFlags::IN, READ_TIMEOUT)?;
        match self.0.read(buffer) {
            // EIO: the far end is not open.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
                std::thread::sleep(READ_TIMEOUT);
                Err(io::ErrorKind::TimedOut.into())
            }
            result => result,
        }
    }
}

impl Write for End {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        wait(&self.0, PollFlags::OUT, WRITE_TIMEOUT)?;
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn wait(file: &File, what: PollFlags, timeout: Duration) -> io::Result<()> {
    let timeout = Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: i64::from(timeout.subsec_nanos()) };
    match poll(&mut [PollFd::new(file, what)], Some(&timeout))? {
        0 => Err(io::ErrorKind::TimedOut.into()),
        _ => Ok(()),
    }
}
