//! No tracker is asked (peers come out of the DHT), but librqbit opens a UDP socket for them on a port of its own, without
//! an option against it. Nobody out there is to find an open port, so it is connected to nobody: the kernel then refuses
//! what comes from elsewhere, as it does on a port that is closed.

use std::collections::HashSet;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;

use rustix::net::{SocketType, connect, getpeername, getsockname, sockopt};

/// RFC 863; nothing sends to it, and no other user can listen on it.
const NOBODY: SocketAddrV6 = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 9, 0, 0);

/// The open sockets of this process by their inodes, to tell which came later.
#[derive(Debug)]
pub struct Before(HashSet<PathBuf>);

impl Before {
    pub fn note() -> Self {
        Self(sockets().map(|(_, inode)| inode).collect())
    }

    /// Closes what listens for trackers since then to everybody; how many sockets that were.
    pub fn close_to_strangers(self) -> usize {
        sockets()
            .filter(|(_, inode)| !self.0.contains(inode))
            .filter_map(|(descriptor, _)| duplicate(descriptor))
            .filter(listens_for_trackers)
            .filter(|socket| connect(socket, &NOBODY).is_ok())
            .count()
    }
}

/// File descriptors, each with the inode: `socket:[4711]`.
fn sockets() -> impl Iterator<Item = (RawFd, PathBuf)> {
    let list = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    list.filter_map(|entry| {
        let inode = std::fs::read_link(entry.path())
            .ok()
            .filter(|inode| inode.as_os_str().as_encoded_bytes().starts_with(b"socket:"))?;
        Some((entry.file_name().to_str()?.parse().ok()?, inode))
    })
}

/// Another descriptor of the same socket; of one that was closed meanwhile there is none.
#[expect(
    unsafe_code,
    reason = "the socket is within librqbit; what finds it without (pidfd_getfd) no service may call"
)]
fn duplicate(descriptor: RawFd) -> Option<OwnedFd> {
    // SAFETY: it is borrowed for `dup` alone, which has no effect on whom it belongs to and refuses what is not open.
    rustix::io::dup(unsafe { BorrowedFd::borrow_raw(descriptor) }).ok()
}

/// Whether it is a UDP socket for IPv6 and IPv4 that takes datagrams from everybody. Those of DHT nodes are for one of the two.
fn listens_for_trackers(socket: &OwnedFd) -> bool {
    sockopt::socket_type(socket) == Ok(SocketType::DGRAM)
        && sockopt::ipv6_v6only(socket) == Ok(false)
        && matches!(getpeername(socket), Ok(None) | Err(rustix::io::Errno::NOTCONN))
        && getsockname(socket)
            .ok()
            .and_then(|address| SocketAddrV6::try_from(address).ok())
            .is_some_and(|address| address.ip().is_unspecified())
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    // Other tests of this process open sessions meanwhile, which may be quicker with these sockets.
    #[test]
    fn a_socket_for_everybody_is_closed_to_strangers() {
        let before = Before::note();
        let (trackers, node) = (UdpSocket::bind("[::]:0").unwrap(), UdpSocket::bind("0.0.0.0:0").unwrap());
        before.close_to_strangers();
        assert_eq!(trackers.peer_addr().unwrap(), NOBODY.into());
        assert!(node.peer_addr().is_err());
        let stranger = UdpSocket::bind("[::1]:0").unwrap();
        let port = trackers.local_addr().unwrap().port();
        stranger.connect((Ipv6Addr::LOCALHOST, port)).unwrap();
        stranger.send(b"hello").unwrap();
        let refused = stranger.recv(&mut [0; 8]).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    }
}
