use std::sync::atomic::Ordering;

use super::*;
use crate::metadata::samples::peer::{Manner, Swarm, nobody};
use crate::metadata::samples::{InfoBuilder, album, infohash_of};

const MILLIS: fn(u64) -> Duration = Duration::from_millis;

/// Long enough never to matter on a busy machine.
fn patient() -> FetchLimits {
    let long = Duration::from_secs(60);
    let patience = Patience { handshake: long, block: long, total: long };
    FetchLimits { connect: long, total: long, patience, scope: Scope::Private, ..FetchLimits::default() }
}

fn flows() -> Flows {
    Flows::new(100, 1 << 20)
}

fn known(peers: &[SocketAddr]) -> mpsc::Receiver<SocketAddr> {
    let (sender, receiver) = mpsc::channel(peers.len().max(1));
    peers.iter().for_each(|peer| sender.try_send(*peer).unwrap());
    receiver
}

async fn run(
    info: &[u8],
    peers: &[SocketAddr],
    limits: &FetchLimits,
    flows: &Flows,
) -> Result<FetchedInfo, FetchError> {
    fetch(infohash_of(info), known(peers), limits, flows, &CancellationToken::new()).await
}

#[tokio::test]
async fn an_honest_peer_among_hostile_ones_is_enough() {
    let info = album(10_000);
    let mut swarm = Swarm::default();
    let mut peers = vec![nobody().await];
    for manner in [
        Manner::Silent,
        Manner::HangsUp,
        Manner::Garbage,
        Manner::Absurd,
        Manner::Stalls,
        Manner::Rejects,
        Manner::Forges,
        Manner::Breaks,
        Manner::Honest,
    ] {
        peers.push(swarm.peer(&info, manner).await);
    }
    let flows = flows();
    let fetched = run(&info, &peers, &patient(), &flows).await.unwrap();
    assert_eq!((fetched.info_bytes, fetched.peer), (Bytes::from(info), peers[9]));
    assert_eq!(flows.memory.available_permits(), 1024, "memory is given back");
}

#[tokio::test]
async fn failures_are_counted_by_kind() {
    let info = album(2000);
    let mut swarm = Swarm::default();
    let mut peers = vec![nobody().await];
    for manner in [
        Manner::HangsUp,
        Manner::Garbage,
        Manner::Absurd,
        Manner::Rejects,
        Manner::Forges,
        Manner::Forges,
        Manner::Breaks,
    ] {
        peers.push(swarm.peer(&info, manner).await);
    }
    let failed = run(&info, &peers, &patient(), &flows()).await.unwrap_err();
    let failures = PeerFailures { dead: 3, without: 1, hostile: 4, dropped: 0 };
    assert_eq!(failed, FetchError::PeersFailed(failures));
    assert_eq!(
        failed.to_string(),
        "none of 8 peers gave the metadata (3 dead, 1 without it, 4 hostile); try again later"
    );
}

#[tokio::test]
async fn a_silent_peer_is_given_up() {
    let info = album(10);
    let mut swarm = Swarm::default();
    let silent = swarm.peer(&info, Manner::Silent).await;
    let mut limits = patient();
    limits.patience.handshake = MILLIS(20);
    let dead = PeerFailures { dead: 1, ..PeerFailures::default() };
    assert_eq!(run(&info, &[silent], &limits, &flows()).await, Err(FetchError::PeersFailed(dead)));
    limits = FetchLimits { total: MILLIS(20), ..patient() };
    let ended = run(&info, &[silent], &limits, &flows()).await;
    assert_eq!(ended, Err(FetchError::TimedOut(PeerFailures::default())));
}

#[tokio::test]
async fn peers_that_stall_do_not_keep_an_honest_one_from_its_turn() {
    let info = album(2000);
    let mut swarm = Swarm::default();
    let mut peers = Vec::new();
    for manner in [Manner::Stalls, Manner::Stalls, Manner::Stalls, Manner::Honest] {
        peers.push(swarm.peer(&info, manner).await);
    }
    let mut limits = patient();
    limits.patience.block = MILLIS(300);
    limits.downloads_at_once = 1;
    assert_eq!(run(&info, &peers, &limits, &flows()).await.unwrap().peer, peers[3]);
}

#[tokio::test]
async fn nobody_to_ask_is_said_so() {
    let info = album(10);
    assert_eq!(run(&info, &[], &patient(), &flows()).await, Err(FetchError::NoPeers));
    let mut swarm = Swarm::default();
    let loopback = swarm.peer(&info, Manner::Honest).await;
    let limits = FetchLimits { scope: Scope::Public, ..patient() };
    assert_eq!(run(&info, &[loopback], &limits, &flows()).await, Err(FetchError::NoPeers));
    assert_eq!(swarm.accepted.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn cancelling_ends_it_and_closes_the_connections() {
    let info = album(10);
    let mut swarm = Swarm::default();
    let silent = swarm.peer(&info, Manner::Silent).await;
    let (flows, cancel) = (flows(), CancellationToken::new());
    // The sender stays open: more peers might come at any time.
    let (sender, peers) = mpsc::channel(1);
    sender.send(silent).await.unwrap();
    let limits = patient();
    let fetching = fetch(infohash_of(&info), peers, &limits, &flows, &cancel);
    let cancelling = async {
        while swarm.accepted.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
    };
    assert_eq!(tokio::join!(fetching, cancelling).0, Err(FetchError::Cancelled));
    assert_eq!(flows.free(), 100);
}

#[tokio::test]
async fn connections_are_bounded_over_all() {
    let info = album(10);
    let mut swarm = Swarm::default();
    let mut peers = Vec::new();
    for _ in 0..8 {
        peers.push(swarm.peer(&info, Manner::Silent).await);
    }
    let mut limits = patient();
    limits.patience.handshake = MILLIS(100);
    let flows = Flows::new(2, 1 << 20);
    assert!(run(&info, &peers, &limits, &flows).await.is_err());
    assert_eq!((swarm.accepted.load(Ordering::SeqCst), flows.free()), (8, 2));
    // A peer may learn of a closed connection after the next one is open.
    assert!(swarm.most_open.load(Ordering::SeqCst) <= 4);
}

#[tokio::test]
async fn peers_tried_are_bounded_and_each_is_tried_once() {
    let info = album(10);
    let mut swarm = Swarm::default();
    let mut peers = Vec::new();
    for _ in 0..6 {
        let peer = swarm.peer(&info, Manner::HangsUp).await;
        peers.extend([peer, peer]);
    }
    let limits = FetchLimits { max_peers: 4, ..patient() };
    assert!(run(&info, &peers, &limits, &flows()).await.is_err());
    assert_eq!(swarm.accepted.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn memory_is_bounded_over_all() {
    let info = album(2000);
    let mut swarm = Swarm::default();
    let honest = swarm.peer(&info, Manner::Honest).await;
    let dropped = PeerFailures { dropped: 1, ..PeerFailures::default() };
    let small = Flows::new(10, 20 << 10);
    assert_eq!(run(&info, &[honest], &patient(), &small).await, Err(FetchError::PeersFailed(dropped)));
    assert_eq!(small.memory.available_permits(), 20);
}

#[tokio::test]
async fn a_real_client_gives_it() {
    let folder = tempfile::tempdir().unwrap();
    let info = InfoBuilder::new("song.mp3").file("", 50_000).build();
    let options = librqbit::SessionOptions {
        dht: None,
        persistence: None,
        disable_trackers: true,
        disable_local_service_discovery: true,
        listen: Some(librqbit::ListenerOptions {
            listen_addr: "127.0.0.1:0".parse().unwrap(),
            ..librqbit::ListenerOptions::default()
        }),
        ..librqbit::SessionOptions::default()
    };
    let session = librqbit::Session::new_with_opts(folder.path().to_owned(), options).await.unwrap();
    let torrent = crate::metadata::torrent::build(&info);
    let added = session.add_torrent(librqbit::AddTorrent::from_bytes(torrent), None).await.unwrap();
    added.into_handle().unwrap().wait_until_initialized().await.unwrap();
    let peer = SocketAddr::from(([127, 0, 0, 1], session.listen_addr().unwrap().port()));
    let fetched = run(&info, &[peer], &patient(), &flows()).await.unwrap();
    session.stop().await;
    assert_eq!((fetched.info_bytes, fetched.peer), (Bytes::from(info), peer));
}
