//! How a live torrent of librqbit gets more peers.
//!
//! librqbit 9.1 has no call for it. Of the ways in, `initial_peers` acts only when a torrent is added, and a tracker in
//! our own process would be asked through whatever HTTP proxy the environment names, or over UDP at most every 5 s, for
//! every seeded torrent, for ever. So we do what any other peer may do: connect to the session's own port over loopback
//! and tell it about peers with peer exchange (BEP 11). It dials them at once, and a torrent that needs none costs nothing.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use librqbit_core::hash_id::Id20;
use librqbit_peer_protocol::extended::handshake::ExtendedHandshake;
use librqbit_peer_protocol::extended::ut_pex::UtPex;
use librqbit_peer_protocol::extended::{ExtendedMessage, PeerExtendedMessageIds};
use librqbit_peer_protocol::{Handshake, MAX_MSG_LEN, Message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::scope::FEEDER_IP;
use crate::bencode::{self, Limits};
use crate::types::InfoHash;

/// Peers in one message (BEP 11: at most 50).
const MAX_PEERS_A_MESSAGE: usize = 50;
/// Batches that wait; when full, further ones are dropped, since the caller looks peers up again while they are needed.
const FEED_CAPACITY: usize = 8;
/// A connection that brought no peers for so long is closed; the next ones open another.
const IDLE: Duration = Duration::from_secs(20);
/// Connecting and shaking hands within our own process.
const HANDSHAKE_TIME: Duration = Duration::from_secs(5);
/// Largest message of the session that is taken: a bitfield of the largest torrent.
const MAX_MESSAGE: usize = 8 << 20;

/// The session's extension handshake has 2 levels and a handful of items.
const HELLO_LIMITS: Limits = Limits { depth: 4, items: 64 };

/// The way into a torrent, open for as long as it is used.
#[derive(Debug, Clone)]
pub(super) struct Feeder {
    batches: mpsc::Sender<Vec<SocketAddr>>,
}

impl Feeder {
    /// Opens a connection to the session that listens on `session`, for one torrent.
    pub fn open(session: SocketAddr, infohash: InfoHash) -> Self {
        let (batches, receiver) = mpsc::channel(FEED_CAPACITY);
        tokio::spawn(async move {
            if let Err(error) = run(session, infohash, receiver).await {
                tracing::debug!(%infohash, %error, "feeding peers ended");
            }
        });
        Self { batches }
    }

    /// Hands peers over; false if the connection has ended.
    pub fn feed(&self, peers: Vec<SocketAddr>) -> bool {
        !matches!(self.batches.try_send(peers), Err(mpsc::error::TrySendError::Closed(_)))
    }

    /// Whether the connection is there, and counts as a peer in librqbit's statistics.
    pub fn is_open(&self) -> bool {
        !self.batches.is_closed()
    }
}

/// The address at which to reach a listener, and the one from which to do so.
pub(super) fn loopback_of(listen: SocketAddr) -> (SocketAddr, IpAddr) {
    match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() || ip.is_loopback() => {
            let to = if ip.is_unspecified() { std::net::Ipv4Addr::LOCALHOST } else { ip };
            (SocketAddr::from((to, listen.port())), FEEDER_IP.into())
        }
        IpAddr::V6(ip) if ip.is_unspecified() => {
            // A dual-stack listener takes IPv4 too, and sees the plain address.
            (SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, listen.port())), FEEDER_IP.into())
        }
        ip => (listen, ip),
    }
}

async fn run(
    session: SocketAddr,
    infohash: InfoHash,
    mut batches: mpsc::Receiver<Vec<SocketAddr>>,
) -> std::io::Result<()> {
    let mut buffer = Box::new([0; MAX_MSG_LEN]);
    let (mut stream, ids) = timeout(HANDSHAKE_TIME, connect(session, infohash, &mut buffer)).await??;
    let mut sink = BytesMut::with_capacity(1024);
    loop {
        tokio::select! {
            batch = timeout(IDLE, batches.recv()) => {
                let Ok(Some(batch)) = batch else { return Ok(()) };
                for peers in batch.chunks(MAX_PEERS_A_MESSAGE) {
                    let pex = UtPex::from_addrs(peers.iter().copied(), std::iter::empty());
                    let message = Message::Extended(ExtendedMessage::UtPex(pex.as_borrowed()));
                    let len = message.serialize(&mut *buffer, &|| ids).map_err(std::io::Error::other)?;
                    stream.write_all(&buffer[..len]).await?;
                }
            }
            // What the session says to us is of no interest, but it must not fill the socket.
            read = stream.read_buf(&mut sink) => {
                if read? == 0 {
                    return Ok(());
                }
                sink.clear();
            }
        }
    }
}

/// Connects and learns by which number the session knows peer exchange (BEP 10).
async fn connect(
    session: SocketAddr,
    infohash: InfoHash,
    buffer: &mut [u8; MAX_MSG_LEN],
) -> std::io::Result<(TcpStream, PeerExtendedMessageIds)> {
    let (to, from) = loopback_of(session);
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(SocketAddr::new(from, 0))?;
    let mut stream = socket.connect(to).await?;
    let mut peer_id = *b"-SSfeed-000000000000";
    peer_id[8..].copy_from_slice(&infohash.0[..12]);
    let len = Handshake::new(Id20::new(infohash.0), Id20::new(peer_id)).serialize_unchecked_len(buffer);
    stream.write_all(&buffer[..len]).await?;
    let hello = Message::Extended(ExtendedMessage::Handshake(ExtendedHandshake::new()));
    let len = hello.serialize(buffer, &PeerExtendedMessageIds::my).map_err(std::io::Error::other)?;
    stream.write_all(&buffer[..len]).await?;

    let mut received = BytesMut::with_capacity(4096);
    while received.len() < 68 {
        read_some(&mut stream, &mut received).await?;
    }
    let (_, used) = Handshake::deserialize(&received).map_err(|error| std::io::Error::other(format!("{error:?}")))?;
    received.advance(used);
    loop {
        while received.len() < 4 {
            read_some(&mut stream, &mut received).await?;
        }
        let len = received.get_u32() as usize;
        if len > MAX_MESSAGE {
            return Err(std::io::Error::other("oversized message"));
        }
        while received.len() < len {
            read_some(&mut stream, &mut received).await?;
        }
        let message = received.split_to(len);
        // 20: extended (BEP 10), 0: its handshake.
        if let Some(dictionary) = message.strip_prefix(&[20, 0]) {
            let hello = bencode::parse(dictionary, HELLO_LIMITS).map_err(std::io::Error::other)?;
            let names = hello.get(b"m");
            let id = |name| u8::try_from(names?.get(name)?.int()?).ok();
            return Ok((stream, PeerExtendedMessageIds { ut_metadata: id(b"ut_metadata"), ut_pex: id(b"ut_pex") }));
        }
    }
}

async fn read_some(stream: &mut TcpStream, into: &mut BytesMut) -> std::io::Result<()> {
    if stream.read_buf(into).await? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}
