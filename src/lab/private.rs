//! A network of one's own: a namespace in which every address leads back to this machine.
//!
//! The lab's world has the addresses of the whole Internet, so it must never be served where a packet could leave the
//! machine: [`check`] says whether this process is where that is sure, and [`command`] takes a program there.

use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::process::Command;

use super::LabError;

/// Addresses that programs beside the world may be given: that of the program under test, and where the others begin.
pub const HOST: Ipv4Addr = super::mainline::stage::CRAWLER;

/// What it is to say that a program could not be started there.
pub const NOT_HAD: &str = "a network of its own cannot be had; it needs unshare (util-linux), ip (iproute2), and root or user \
                           namespaces (`make setup-test` looks)";

/// What is done inside before the program is started.
const SET_UP: &str = "ip link set lo up && ip address add \"$0\"/32 dev lo && \
                      ip route add local default dev lo src \"$0\" && exec \"$@\"";

/// A command that runs `program` with a network of its own: nothing but loopback, on which all addresses are local, and
/// [`HOST`] is what sockets send from that are not told otherwise. All processes inside end with it. It needs util-linux
/// and iproute2, and either root or user namespaces.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let root = rustix::process::getuid().is_root();
    let mut command = Command::new("unshare");
    command
        .args(if root { &["-n"][..] } else { &["-Urn"][..] })
        .args(["--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"])
        .args(["sh", "-c", SET_UP])
        .arg(HOST.to_string())
        .arg(program);
    command
}

/// Whether no packet can leave: there is no interface but loopback.
///
/// # Errors
/// If there is another, or nobody can say.
pub fn check() -> Result<(), LabError> {
    let failed = LabError::failed::<std::io::Error>("the interfaces of the network cannot be listed");
    let table = std::fs::read_to_string("/proc/self/net/dev").map_err(failed)?;
    match interfaces(&table).find(|name| *name != "lo") {
        None => Ok(()),
        Some(other) => Err(LabError::failed("the world is not served here")(format!(
            "it has the addresses of strangers, and the interface {other} leads to them; it is to run in a network \
             namespace with nothing but loopback"
        ))),
    }
}

/// Names in the table of `/proc/net/dev`.
fn interfaces(table: &str) -> impl Iterator<Item = &str> {
    table.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim()))
}

/// UDP datagrams of the whole namespace, as the kernel counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Datagrams {
    /// Given to programs.
    pub received: u64,
    pub sent: u64,
    /// Dropped since the buffer of a socket was full.
    pub dropped: u64,
}

impl Datagrams {
    /// The counters now; zero where the kernel does not say.
    pub fn now() -> Self {
        Self::of(&std::fs::read_to_string("/proc/self/net/snmp").unwrap_or_default())
    }

    /// From the text of `/proc/net/snmp`: a line of names and a line of values.
    fn of(snmp: &str) -> Self {
        let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Udp: "));
        let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        let value = |name: &str| {
            let at = names.split(' ').position(|other| other == name)?;
            values.split(' ').nth(at)?.parse().ok()
        };
        let value = |name| value(name).unwrap_or(0);
        Self { received: value("InDatagrams"), sent: value("OutDatagrams"), dropped: value("RcvbufErrors") }
    }

    /// What came after `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            received: self.received.saturating_sub(before.received),
            sent: self.sent.saturating_sub(before.sent),
            dropped: self.dropped.saturating_sub(before.dropped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_and_counters_are_read_as_the_kernel_tells_them() {
        let table = "Inter-|   Receive\n face |bytes    packets\n    lo:      29       1\n  eth0: 5 1\n";
        assert_eq!(interfaces(table).collect::<Vec<_>>(), ["lo", "eth0"]);
        let snmp = "Ip: Forwarding\nIp: 1\nUdp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors\n\
                    Udp: 7 1 2 9 2 0\n";
        let counted = Datagrams { received: 7, sent: 9, dropped: 2 };
        assert_eq!(Datagrams::of(snmp), counted);
        assert_eq!(Datagrams::of(""), Datagrams::default());
        assert_eq!(
            counted.since(Datagrams { received: 3, sent: 3, dropped: 3 }),
            Datagrams { received: 4, sent: 6, dropped: 0 }
        );
    }
}
