//! Compact forms of addresses, contacts and infohashes (BEP 5, BEP 32, BEP 51).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::bencode::{self, Value, Writer};
use crate::dht::Contact;
use crate::types::{InfoHash, NodeId};

const V4_LEN: usize = 6;
const V6_LEN: usize = 18;

/// Lengths of a peer in a list of values: `6:` or `18:` and the address.
pub const PEER_V4_LEN: usize = 2 + V4_LEN;
pub const PEER_V6_LEN: usize = 3 + V6_LEN;

/// Contacts in compact form: 20 bytes of id, then the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nodes<'a> {
    bytes: &'a [u8],
    addr_len: usize,
}

impl<'a> Nodes<'a> {
    /// No IPv4 contacts.
    pub const fn empty_v4() -> Self {
        Self { bytes: &[], addr_len: V4_LEN }
    }

    /// No IPv6 contacts.
    pub const fn empty_v6() -> Self {
        Self { bytes: &[], addr_len: V6_LEN }
    }

    /// IPv4 contacts; a partial one at the end is ignored.
    pub fn v4(bytes: &'a [u8]) -> Self {
        Self { bytes, ..Self::empty_v4() }
    }

    /// IPv6 contacts; a partial one at the end is ignored.
    pub fn v6(bytes: &'a [u8]) -> Self {
        Self { bytes, ..Self::empty_v6() }
    }

    /// The contacts.
    pub fn iter(self) -> impl Iterator<Item = Contact> + 'a {
        self.bytes.chunks_exact(NodeId::LEN + self.addr_len).filter_map(|chunk| {
            let (id, addr) = chunk.split_at_checked(NodeId::LEN)?;
            Some(Contact { id: NodeId::from_slice(id)?, addr: read_addr(addr)? })
        })
    }

    /// As written.
    pub fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }
}

/// Appends a contact in compact form.
pub fn push_contact(buffer: &mut Vec<u8>, contact: &Contact) {
    buffer.extend_from_slice(&contact.id.0);
    push_addr(buffer, contact.addr);
}

/// Infohashes one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Samples<'a>(pub &'a [u8]);

impl<'a> Samples<'a> {
    /// The infohashes; a partial one at the end is ignored.
    pub fn iter(self) -> impl Iterator<Item = InfoHash> + 'a {
        self.0.chunks_exact(InfoHash::LEN).filter_map(InfoHash::from_slice)
    }
}

/// Peers: the inside of a bencoded list of compact addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Values<'a>(&'a [u8]);

impl<'a> Values<'a> {
    /// Takes the list out of a message.
    pub fn read(list: Value<'a>) -> Option<Self> {
        list.raw().strip_prefix(b"l")?.strip_suffix(b"e").map(Self)
    }

    /// The list that [`push_peer`] made.
    pub fn pushed(buffer: &'a [u8]) -> Self {
        Self(buffer)
    }

    /// The addresses; what is not one is ignored.
    pub fn iter(self) -> impl Iterator<Item = SocketAddr> + 'a {
        bencode::items(self.0).filter_map(Value::bytes).filter_map(read_addr)
    }

    /// As written, without the list's own letters.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

/// Appends a peer to the inside of a list of values.
pub fn push_peer(buffer: &mut Vec<u8>, peer: SocketAddr) {
    let mut writer = Writer::with_capacity(V6_LEN + 3);
    let mut addr = Vec::with_capacity(V6_LEN);
    push_addr(&mut addr, peer);
    writer.bytes(&addr);
    buffer.extend_from_slice(&writer.into_bytes());
}

/// Appends an address: 4 or 16 bytes of IP, 2 of port, in network order.
pub fn push_addr(buffer: &mut Vec<u8>, addr: SocketAddr) {
    match addr.ip().to_canonical() {
        IpAddr::V4(ip) => buffer.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => buffer.extend_from_slice(&ip.octets()),
    }
    buffer.extend_from_slice(&addr.port().to_be_bytes());
}

/// Reads an address with port. An IPv4 address inside IPv6 is the IPv4 address.
pub fn read_addr(bytes: &[u8]) -> Option<SocketAddr> {
    let (ip, port) = bytes.split_last_chunk::<2>()?;
    Some(SocketAddr::new(read_ip(ip)?.to_canonical(), u16::from_be_bytes(*port)))
}

/// Reads an IP address of 4 or 16 bytes.
pub fn read_ip(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(octets).into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|octets| Ipv6Addr::from(octets).into())
}
