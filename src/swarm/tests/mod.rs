//! Real sessions on loopback: one that shares, one or two that fetch.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::types::{InfoHash, Rate, TrackId};

mod faults;
mod keeping;
mod streaming;

/// Nothing here takes so long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);
/// Smallest piece that `share` makes.
const PIECE: u64 = 256 << 10;

struct Node {
    swarm: Swarm,
    music: TempDir,
}

impl Node {
    async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    async fn start_in(music: TempDir) -> Self {
        let swarm = Swarm::start(config(music.path())).await.unwrap();
        Self { swarm, music }
    }

    fn addr(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.swarm.port()))
    }

    async fn stop(self) -> TempDir {
        self.swarm.stop().await;
        self.music
    }
}

fn config(music: &Path) -> SwarmConfig {
    SwarmConfig {
        music: music.to_owned(),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        upload: None,
        max_peers: 100,
        private_scope: true,
        // Longer than a busy machine takes to connect two of its own.
        stall_time: Some(Duration::from_secs(5)),
    }
}

/// Files of random bytes; the same names and lengths are the same bytes.
fn album(files: &[(&str, usize)]) -> (TempDir, Vec<Vec<u8>>) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("Album");
    std::fs::create_dir(&root).unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let contents = files.iter().map(|(name, len)| {
        let mut bytes = vec![0; *len];
        random.fill_bytes(&mut bytes);
        std::fs::write(root.join(name), &bytes).unwrap();
        bytes
    });
    let contents = contents.collect();
    (folder, contents)
}

/// Five songs whose borders lie within pieces.
fn five_songs() -> (TempDir, Vec<Vec<u8>>) {
    album(&[("1.ogg", 900_000), ("2.ogg", 1_500_000), ("3.ogg", 2_000_001), ("4.ogg", 1_200_000), ("5.ogg", 700_000)])
}

async fn seed(folder: &TempDir) -> (Node, Shared) {
    let node = Node::start().await;
    let shared = node.swarm.share(&folder.path().join("Album")).await.unwrap();
    (node, shared)
}

fn source(shared: &Shared, peers: &[&Node]) -> Source {
    Source {
        infohash: shared.infohash,
        torrent: Some(shared.torrent.clone()),
        peers: peers.iter().map(|node| node.addr()).collect(),
    }
}

fn track(shared: &Shared, file: u32) -> TrackId {
    TrackId { infohash: shared.infohash, file }
}

/// Does what blocks where it may.
async fn with_reader<R: Send + 'static>(
    stream: &TrackStream,
    act: impl FnOnce(&mut TrackReader) -> R + Send + 'static,
) -> R {
    let mut reader = stream.reader(CancellationToken::new());
    tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(move || act(&mut reader))).await.unwrap().unwrap()
}

async fn read_all(stream: &TrackStream) -> std::io::Result<Vec<u8>> {
    with_reader(stream, |reader| {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).map(|_| bytes)
    })
    .await
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Allocated bytes of each file.
async fn on_disk(node: &Node, files: u32) -> Vec<u64> {
    let usage = node.swarm.usage().await.unwrap();
    (0..files).map(|file| usage.iter().filter(|on| on.track.file == file).map(|on| on.bytes).sum()).collect()
}

async fn recorded(node: &Node, shared: &Shared) {
    let path = node.music.path().join(".swarm").join(format!("{}.json", shared.infohash));
    until("the record", || path.exists()).await;
}
