//! Peers on loopback that keep to a script.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::Script;

/// How a peer behaves once somebody has connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Honest,
    /// Closes at once.
    HangsUp,
    /// Takes everything and never says a word.
    Silent,
    /// Is a web server.
    Garbage,
    /// Offers metadata of a terabyte.
    Absurd,
    /// Offers, and refuses every block.
    Rejects,
    /// Sends all blocks, with one bit wrong.
    Forges,
    /// Sends the first block and nothing more.
    Stalls,
    /// Closes in the middle of the first block.
    Breaks,
}

/// Peers that live as long as this.
#[derive(Default)]
pub struct Swarm {
    tasks: JoinSet<()>,
    /// Connections accepted so far, open now, and most at once.
    pub accepted: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    pub most_open: Arc<AtomicUsize>,
}

impl Swarm {
    /// Starts a peer with this info dictionary.
    pub async fn peer(&mut self, info: &[u8], manner: Manner) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let script = Arc::new(Script::of(info));
        let (accepted, open, most_open) = (self.accepted.clone(), self.open.clone(), self.most_open.clone());
        self.tasks.spawn(async move {
            let mut conversations = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::SeqCst);
                most_open.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let (script, open) = (script.clone(), open.clone());
                conversations.spawn(async move {
                    // A broken connection ends the conversation, as it should.
                    let _ = converse(stream, &script, manner).await;
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        addr
    }
}

/// An address where nobody listens.
pub async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

async fn converse(mut stream: TcpStream, script: &Script, manner: Manner) -> std::io::Result<()> {
    match manner {
        Manner::HangsUp => return Ok(()),
        Manner::Silent => return hold(&mut stream).await,
        Manner::Garbage => stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await?,
        Manner::Absurd => {
            stream.write_all(&[script.handshake(), script.offer_of_size(1 << 40)].concat()).await?;
        }
        _ => stream.write_all(&[script.handshake(), script.noise(), script.offer()].concat()).await?,
    }
    let mut handshake = [0; 68];
    stream.read_exact(&mut handshake).await?;
    let mut served = 0;
    loop {
        let length = stream.read_u32().await? as usize;
        let mut message = vec![0; length];
        stream.read_exact(&mut message).await?;
        for index in Script::requested(&message) {
            match manner {
                Manner::Honest => stream.write_all(&script.block(index)).await?,
                Manner::Forges => stream.write_all(&script.forged_block(index)).await?,
                Manner::Rejects => stream.write_all(&Script::reject(index)).await?,
                Manner::Stalls if served == 0 => stream.write_all(&script.block(index)).await?,
                Manner::Breaks => return stream.write_all(&script.block(index)[..1000]).await,
                _ => {}
            }
            served += 1;
        }
    }
}

/// Keeps the connection until the other side closes it.
async fn hold(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut sink = [0; 1024];
    while stream.read(&mut sink).await? > 0 {}
    Ok(())
}
