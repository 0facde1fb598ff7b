//! The names of the bootstrap hosts.

use std::net::SocketAddr;
use std::time::Duration;

/// Longest wait for a name server.
const RESOLVE_LIMIT: Duration = Duration::from_secs(10);
/// Bootstrap hosts that are resolved, and addresses that each may have.
const MAX_HOSTS: usize = 16;
const MAX_ADDRESSES: usize = 8;

/// Addresses of the bootstrap hosts, one after the other's so that a host with many does not displace the others.
pub(super) async fn resolve(hosts: Vec<String>) -> Vec<SocketAddr> {
    let mut lookups = tokio::task::JoinSet::new();
    for host in hosts.into_iter().take(MAX_HOSTS) {
        lookups.spawn(async move {
            match tokio::time::timeout(RESOLVE_LIMIT, tokio::net::lookup_host(&host)).await {
                Ok(Ok(addresses)) => addresses.take(MAX_ADDRESSES).collect(),
                Ok(Err(error)) => {
                    tracing::debug!(host, %error, "bootstrap host not resolved");
                    Vec::new()
                }
                Err(_) => {
                    tracing::debug!(host, "name server does not answer");
                    Vec::new()
                }
            }
        });
    }
    lookups.join_all().await.into_iter().flatten().collect()
}
