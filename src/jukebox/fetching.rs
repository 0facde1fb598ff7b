//! Metadata that somebody waits for, past the queue of the indexer.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::control::{CommandError, ErrorCode};
use crate::crawler::{Crawler, Waits};
use crate::metadata::info::MAX_INFO_BYTES;
use crate::metadata::{self, FetchLimits, FetchedInfo, Flows};
use crate::types::{InfoHash, Scope};

/// How long it may take, from asking the DHT to the last piece.
const PATIENCE: Duration = Duration::from_secs(45);

/// Peers that are asked at once, for everybody who waits together.
const CONNECTIONS: usize = 32;

/// Peers that wait to be asked for one torrent; when full, whoever finds more waits.
const PEER_CAPACITY: usize = 32;

/// Fetches metadata at once.
#[derive(Clone)]
pub struct Fetching {
    crawler: Crawler,
    limits: FetchLimits,
    flows: Flows,
    cancel: CancellationToken,
}

impl std::fmt::Debug for Fetching {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetching").finish_non_exhaustive()
    }
}

impl Fetching {
    /// Uses the crawler's nodes to find peers within the scope.
    pub fn new(crawler: Crawler, scope: Scope, cancel: CancellationToken) -> Self {
        let limits = FetchLimits { scope, ..FetchLimits::default() };
        // As much memory as two of the largest info dictionaries.
        let flows = Flows::new(CONNECTIONS, 2 * MAX_INFO_BYTES);
        Self { crawler, limits, flows, cancel }
    }

    /// The info dictionary of a torrent, from the peers known and those that the DHT knows.
    ///
    /// # Errors
    /// If nobody gives it in time; a sentence for people.
    pub async fn fetch(&self, infohash: InfoHash, known: Vec<SocketAddr>) -> Result<FetchedInfo, CommandError> {
        let (peers, inbox) = mpsc::channel(PEER_CAPACITY);
        let crawler = self.crawler.clone();
        tokio::spawn(async move {
            for peer in known {
                if peers.send(peer).await.is_err() {
                    return;
                }
            }
            let mut found = crawler.find_peers(infohash, Waits::Person).await;
            while let Some(peer) = found.recv().await {
                if peers.send(peer).await.is_err() {
                    return;
                }
            }
        });
        let fetch = metadata::fetch(infohash, inbox, &self.limits, &self.flows, &self.cancel);
        let failed = |message: String| CommandError { code: ErrorCode::Failed, message };
        match tokio::time::timeout(PATIENCE, fetch).await {
            Ok(Ok(fetched)) => Ok(fetched),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed("nobody who has this torrent can be reached now; try again later".to_owned())),
        }
    }
}
