//! What a service tells its manager: sd_notify(3), as systemd and others that set `NOTIFY_SOCKET` understand it.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

/// Longest line of state that is sent; the manager's log wants a line, not a page.
const MAX_STATUS_BYTES: usize = 240;

/// Why the service manager cannot be told anything.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The variable names no socket that can be reached from here.
    #[error("NOTIFY_SOCKET is {0:?}, which is neither a path nor an abstract name (@NAME); nothing is told to it")]
    Address(String),
    /// There is no socket to be had.
    #[error("cannot tell the service manager anything: {0}")]
    Socket(#[from] io::Error),
}

/// Something to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    /// The start is over.
    Ready,
    /// The end has begun.
    Stopping,
    /// All is well; to be repeated within the time of [`watchdog`].
    Watchdog,
    /// The state in one line, for people.
    Status(&'a str),
    /// Start or end take longer, and another message follows within this time.
    Extend(Duration),
}

impl std::fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ready => f.write_str("READY=1"),
            Self::Stopping => f.write_str("STOPPING=1"),
            Self::Watchdog => f.write_str("WATCHDOG=1"),
            Self::Status(text) => write!(f, "STATUS={}", one_line(text)),
            Self::Extend(time) => write!(f, "EXTEND_TIMEOUT_USEC={}", time.as_micros()),
        }
    }
}

/// A line break would begin another message: titles come from strangers.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    for c in text.chars() {
        let c = if c.is_control() { ' ' } else { c };
        if line.len() + c.len_utf8() > MAX_STATUS_BYTES {
            break;
        }
        line.push(c);
    }
    line
}

/// A way to the service manager, or to nobody where there is none; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Notifier(Option<Arc<Socket>>);

#[derive(Debug)]
struct Socket {
    socket: UnixDatagram,
    manager: SocketAddr,
}

impl Notifier {
    /// To the socket that `NOTIFY_SOCKET` names; to nobody without it.
    ///
    /// # Errors
    /// If it is set to something that cannot be used.
    pub fn from_env() -> Result<Self, NotifyError> {
        std::env::var("NOTIFY_SOCKET").map_or(Ok(Self::default()), |address| Self::to(&address))
    }

    /// To the socket at a path, or with `@` in front of its abstract name.
    ///
    /// # Errors
    /// If there can be no such socket.
    pub fn to(address: &str) -> Result<Self, NotifyError> {
        let manager = match address.as_bytes() {
            [b'/', ..] => SocketAddr::from_pathname(address)?,
            [b'@', name @ ..] if !name.is_empty() => SocketAddr::from_abstract_name(name)?,
            _ => return Err(NotifyError::Address(address.to_owned())),
        };
        let socket = UnixDatagram::unbound()?;
        // A manager that does not read must not hold up the music: what it misses is sent again or of no use.
        socket.set_nonblocking(true)?;
        Ok(Self(Some(Arc::new(Socket { socket, manager }))))
    }

    /// Whether somebody is told.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Tells all of it in one datagram.
    ///
    /// # Errors
    /// If the manager does not take it now.
    pub fn tell(&self, messages: &[Message<'_>]) -> io::Result<()> {
        let Some(Socket { socket, manager }) = self.0.as_deref() else { return Ok(()) };
        let text: Vec<String> = messages.iter().map(ToString::to_string).collect();
        socket.send_to_addr(text.join("\n").as_bytes(), manager).map(drop)
    }
}

/// Within which time [`Message::Watchdog`] must be repeated, if the manager wants it of this process. `variable` reads the
/// environment, `process` is this process's number.
pub fn watchdog(variable: impl Fn(&str) -> Option<String>, process: u32) -> Option<Duration> {
    let number = |name: &str| variable(name).and_then(|value| value.parse::<u64>().ok());
    if variable("WATCHDOG_PID").is_some() && number("WATCHDOG_PID") != Some(u64::from(process)) {
        return None;
    }
    number("WATCHDOG_USEC").filter(|micros| *micros > 0).map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 1024];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_socket_at_a_path_and_an_abstract_one_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let at_path = UnixDatagram::bind(&path).unwrap();
        Notifier::to(path.to_str().unwrap()).unwrap().tell(&[Message::Ready]).unwrap();
        assert_eq!(received(&at_path), "READY=1");
        let name = format!("silverstream-test-{}", std::process::id());
        let abstract_one = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let notifier = Notifier::to(&format!("@{name}")).unwrap();
        notifier.tell(&[Message::Stopping, Message::Extend(Duration::from_secs(12))]).unwrap();
        assert_eq!(received(&abstract_one), "STOPPING=1\nEXTEND_TIMEOUT_USEC=12000000");
    }

    #[test]
    fn a_manager_that_is_gone_or_does_not_read_holds_up_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let notifier = Notifier::to(path.to_str().unwrap()).unwrap();
        assert!(notifier.tell(&[Message::Watchdog]).is_err());
        let _deaf = UnixDatagram::bind(&path).unwrap();
        let failures = (0..10_000).filter(|_| notifier.tell(&[Message::Watchdog]).is_err()).count();
        assert!(failures > 0, "it came back each time, also when its queue was full");
        assert!(Notifier::default().tell(&[Message::Ready]).is_ok());
    }

    #[test]
    fn other_addresses_are_refused() {
        for address in ["", "@", "vsock:2:1234", "relative"] {
            assert!(matches!(Notifier::to(address), Err(NotifyError::Address(_))), "{address}");
        }
    }

    #[test]
    fn a_title_cannot_speak_for_the_service() {
        let text = Message::Status("Playing x\nWATCHDOG=1\u{85}ü").to_string();
        assert_eq!(text, "STATUS=Playing x WATCHDOG=1 ü");
        assert!(Message::Status(&"ü".repeat(500)).to_string().len() <= 7 + MAX_STATUS_BYTES);
    }

    #[test]
    fn the_watchdog_is_fed_by_the_process_that_is_asked_to() {
        let read = |pairs: &'static [(&str, &str)]| {
            let find = move |name: &str| pairs.iter().find(|pair| pair.0 == name).map(|pair| pair.1.to_owned());
            watchdog(find, 42)
        };
        let minute = Some(Duration::from_secs(60));
        assert_eq!(read(&[("WATCHDOG_USEC", "60000000")]), minute);
        assert_eq!(read(&[("WATCHDOG_USEC", "60000000"), ("WATCHDOG_PID", "42")]), minute);
        assert_eq!(read(&[("WATCHDOG_USEC", "60000000"), ("WATCHDOG_PID", "43")]), None);
        assert_eq!(read(&[("WATCHDOG_USEC", "0")]), None);
        assert_eq!(read(&[("WATCHDOG_USEC", "soon")]), None);
        assert_eq!(read(&[]), None);
    }
}
