//! Somebody in the world who wants a song from the jukebox and from nobody else.

use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::dht::Member;
use super::start_swarm;
use crate::lab::LabError;
use crate::swarm::{Source, Swarm};
use crate::types::TrackId;

/// How often the DHT is asked who has the song, and how long apart: an announce takes a moment to get around.
const LOOKUPS: u32 = 4;
const LOOKUP_PAUSE: Duration = Duration::from_secs(2);

/// How long a download may take: the song may be evicted meanwhile.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes read at a time.
const READ_SIZE: usize = 64 << 10;

/// A downloader at the address of a member of the DHT.
#[derive(Debug, Clone)]
pub struct Leech {
    member: Member,
    swarm: Swarm,
    /// Whom it takes from.
    from: IpAddr,
}

impl Leech {
    /// Working files go to `scratch`.
    ///
    /// # Errors
    /// If the session cannot be started.
    pub async fn start(member: &Member, scratch: &Path, from: IpAddr) -> Result<Self, LabError> {
        Ok(Self { member: member.clone(), swarm: start_swarm(member, scratch, None).await?, from })
    }

    /// Finds the jukebox through the DHT, downloads the song from it alone, forgets it again, and tells how many bytes
    /// came.
    pub async fn take(&self, torrent: Bytes, track: TrackId) -> u64 {
        let peers = self.find(track).await;
        if peers.is_empty() {
            return 0;
        }
        let source = Source { infohash: track.infohash, torrent: Some(torrent), peers };
        let got = match self.swarm.open(source, track.file).await {
            Ok(stream) => {
                let cancel = CancellationToken::new();
                let mut reader = stream.reader(cancel.clone());
                let reading = tokio::task::spawn_blocking(move || {
                    let (mut buffer, mut got) = (vec![0; READ_SIZE], 0);
                    while let Ok(read @ 1..) = reader.read(&mut buffer) {
                        got += read as u64;
                    }
                    got
                });
                tokio::spawn(async move {
                    tokio::time::sleep(PATIENCE).await;
                    cancel.cancel();
                });
                reading.await.unwrap_or(0)
            }
            Err(error) => {
                tracing::debug!(%track, %error, "a leech cannot begin");
                0
            }
        };
        if let Err(error) = self.swarm.remove(track.infohash).await {
            tracing::debug!(%track, %error, "a leech cannot forget");
        }
        got
    }

    async fn find(&self, track: TrackId) -> Vec<SocketAddr> {
        for _ in 0..LOOKUPS {
            let mut peers = self.member.find(track.infohash).await;
            peers.retain(|peer| peer.ip() == self.from);
            if !peers.is_empty() {
                return peers;
            }
            tokio::time::sleep(LOOKUP_PAUSE).await;
        }
        Vec::new()
    }
}
