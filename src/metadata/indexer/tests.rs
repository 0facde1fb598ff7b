use std::collections::{HashSet, VecDeque};
use std::sync::Mutex;

use super::*;
use crate::metadata::samples::peer::{Manner, Swarm, nobody};
use crate::metadata::samples::{InfoBuilder, album, infohash_of};
use crate::types::Scope;

/// Hands out a list of jobs and keeps what becomes of them.
struct Jobs {
    waiting: Mutex<VecDeque<Job>>,
    /// Largest number ever asked for.
    most: Mutex<usize>,
    results: mpsc::Sender<(InfoHash, Outcome)>,
}

impl JobSource for Jobs {
    async fn next(&self, max: usize) -> Vec<Job> {
        let mut most = self.most.lock().unwrap();
        *most = (*most).max(max);
        let mut waiting = self.waiting.lock().unwrap();
        let count = max.min(waiting.len());
        waiting.drain(..count).collect()
    }

    async fn finished(&self, infohash: InfoHash, outcome: Outcome) {
        self.results.send((infohash, outcome)).await.unwrap();
    }
}

/// Knows peers of some torrents.
#[derive(Default)]
struct Dht {
    peers: HashMap<InfoHash, Vec<SocketAddr>>,
    /// Searches for torrents without peers never end.
    endless: bool,
    open: Mutex<Vec<mpsc::Sender<SocketAddr>>>,
    proved: Arc<Mutex<Vec<InfoHash>>>,
}

impl PeerSource for Dht {
    async fn find(&self, infohash: InfoHash) -> mpsc::Receiver<SocketAddr> {
        let (sender, receiver) = mpsc::channel(8);
        match self.peers.get(&infohash) {
            Some(peers) => peers.iter().for_each(|peer| sender.try_send(*peer).unwrap()),
            None if self.endless => self.open.lock().unwrap().push(sender),
            None => {}
        }
        receiver
    }

    async fn proved(&self, infohash: InfoHash) {
        self.proved.lock().unwrap().push(infohash);
    }
}

/// A pool that works.
struct Running {
    stats: watch::Receiver<IndexerStats>,
    cancel: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn stats(&self) -> watch::Receiver<IndexerStats> {
        self.stats.clone()
    }

    async fn join(self) {
        self.cancel.cancel();
        self.task.await.unwrap();
    }
}

struct World {
    indexer: Running,
    jobs: Arc<Jobs>,
    results: mpsc::Receiver<(InfoHash, Outcome)>,
}

fn world(jobs: Vec<Job>, dht: Dht, workers: usize) -> World {
    let (sender, results) = mpsc::channel(100);
    let jobs = Arc::new(Jobs { waiting: Mutex::new(jobs.into()), most: Mutex::new(0), results: sender });
    let limits = FetchLimits { scope: Scope::Private, ..FetchLimits::default() };
    let config = IndexerConfig { workers, lookup_after: Duration::ZERO, limits, ..IndexerConfig::default() };
    let indexer = Arc::new(Indexer::new(config, jobs.clone(), Arc::new(dht)));
    let (stats, cancel) = (indexer.stats(), CancellationToken::new());
    let token = cancel.clone();
    let task = tokio::spawn(async move { indexer.run(token).await });
    World { indexer: Running { stats, cancel, task }, jobs, results }
}

fn job(info: &[u8], peers: Vec<SocketAddr>) -> Job {
    Job { infohash: infohash_of(info), attempts: 0, peers }
}

#[tokio::test]
async fn each_torrent_becomes_what_it_is() {
    let music = album(2000);
    let video = InfoBuilder::new("Film.2020.1080p").file("film.mkv", 3 << 30).piece_length(1 << 22).build();
    let v2 = b"d9:file treede12:meta versioni2e4:name5:a.mp312:piece lengthi16384ee".to_vec();
    let unknown = album(11);
    let mut swarm = Swarm::default();
    let mut jobs = Vec::new();
    for info in [&music, &video, &v2] {
        jobs.push(job(info, vec![swarm.peer(info, Manner::Honest).await]));
    }
    jobs.push(job(&unknown, Vec::new()));
    let dht = Dht::default();
    let proved = Arc::clone(&dht.proved);
    let exist = HashSet::from([&music, &video, &v2].map(|info| infohash_of(info)));
    let mut world = world(jobs, dht, 2);
    let mut outcomes = HashMap::new();
    for _ in 0..4 {
        let (infohash, outcome) = world.results.recv().await.unwrap();
        assert!(outcomes.insert(infohash, outcome).is_none());
    }
    let Some(Outcome::Music { info, tracks, info_bytes }) = outcomes.remove(&infohash_of(&music)) else {
        unreachable!("not music: {outcomes:?}")
    };
    assert_eq!((info.infohash, &info_bytes[..]), (infohash_of(&music), &music[..]));
    let names: Vec<_> = tracks.iter().map(|track| (track.file, track.artist.as_str(), track.title.as_str())).collect();
    assert_eq!(names, [(0, "Artist", "First")], "the second is too small to be a song");
    assert_eq!(tracks[0].path, "Artist - Album (2003) [FLAC]/01 - First.flac");
    let not_music = Outcome::NotMusic { name: "Film.2020.1080p".to_owned() };
    assert_eq!(outcomes.remove(&infohash_of(&video)), Some(not_music));
    let v2 = outcomes.remove(&infohash_of(&v2));
    assert!(
        matches!(&v2, Some(Outcome::Failed { retry: None, counts: true, reason }) if reason.contains("v2")),
        "{v2:?}"
    );
    let unknown = outcomes.remove(&infohash_of(&unknown));
    assert!(matches!(&unknown, Some(Outcome::Failed { retry: Some(_), counts: true, .. })), "{unknown:?}");
    let stats = *world.indexer.stats().borrow();
    assert_eq!((stats.fetched, stats.not_music, stats.failed), (2, 1, 2));
    assert!(*world.jobs.most.lock().unwrap() <= 2);
    let proved: HashSet<_> = proved.lock().unwrap().iter().copied().collect();
    assert_eq!(proved, exist, "whatever they are");
    world.indexer.join().await;
}

#[tokio::test]
async fn more_peers_are_looked_up_when_the_known_ones_fail() {
    let info = album(100);
    let mut swarm = Swarm::default();
    let found = swarm.peer(&info, Manner::Honest).await;
    let dht = Dht { peers: HashMap::from([(infohash_of(&info), vec![found])]), ..Dht::default() };
    let dead = vec![nobody().await, swarm.peer(&info, Manner::HangsUp).await];
    let mut world = world(vec![job(&info, dead)], dht, 1);
    let (_, outcome) = world.results.recv().await.unwrap();
    assert!(matches!(outcome, Outcome::Music { .. }), "{outcome:?}");
    world.indexer.join().await;
}

#[tokio::test]
async fn the_last_attempt_gives_up() {
    let mut last = job(&album(5), Vec::new());
    last.attempts = schedule::MAX_ATTEMPTS - 1;
    let mut world = world(vec![last], Dht::default(), 1);
    let (_, outcome) = world.results.recv().await.unwrap();
    assert!(matches!(outcome, Outcome::Failed { retry: None, .. }), "{outcome:?}");
    world.indexer.join().await;
}

#[tokio::test]
async fn a_job_that_takes_long_does_not_hold_up_those_that_come_later() {
    let late = album(7);
    let mut swarm = Swarm::default();
    let peer = swarm.peer(&late, Manner::Honest).await;
    let endless = job(&album(3), Vec::new());
    let mut world = world(vec![endless], Dht { endless: true, ..Dht::default() }, 2);
    world.indexer.stats().wait_for(|stats| stats.active == 1).await.unwrap();
    world.jobs.waiting.lock().unwrap().push_back(job(&late, vec![peer]));
    let (infohash, outcome) = world.results.recv().await.unwrap();
    assert_eq!(infohash, infohash_of(&late));
    assert!(matches!(outcome, Outcome::Music { .. }), "{outcome:?}");
    world.indexer.join().await;
}

#[tokio::test]
async fn at_the_end_every_job_is_handed_back() {
    let jobs = (1..=10).map(|pieces| job(&album(pieces), Vec::new())).collect();
    let mut world = world(jobs, Dht { endless: true, ..Dht::default() }, 3);
    world.indexer.stats().wait_for(|stats| stats.active == 3).await.unwrap();
    world.indexer.join().await;
    assert_eq!(world.jobs.waiting.lock().unwrap().len(), 7, "no more than the workers can take is taken");
    for _ in 0..3 {
        let (_, outcome) = world.results.try_recv().unwrap();
        assert!(matches!(outcome, Outcome::Failed { retry: Some(_), counts: false, .. }), "{outcome:?}");
    }
    assert!(world.results.try_recv().is_err());
}
