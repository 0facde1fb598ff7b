//! What becomes of the jukebox when a part of it dies.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::catalogue::CatalogueOptions;
use crate::metadata::{IndexerConfig, Job, JobSource, Outcome, PeerSource};
use crate::types::Bytes;

/// Longer than any step of these tests takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn catalogue(folder: &std::path::Path) -> Catalogue {
    Catalogue::open(folder, CatalogueOptions { budget: Bytes::mib(8), keep_torrents: false }).unwrap()
}

async fn why_it_ends(supervisor: &mut Supervisor) -> String {
    let reason = tokio::time::timeout(PATIENCE, supervisor.wait()).await.expect("the jukebox goes on as a zombie");
    reason.expect("nobody asked it to end")
}

#[tokio::test]
async fn a_dead_writer_of_the_catalogue_ends_the_jukebox_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let (cancel, catalogue) = (CancellationToken::new(), catalogue(folder.path()));
    let mut supervisor = Supervisor::new(cancel.clone());
    mind_catalogue(&mut supervisor, catalogue.clone(), &cancel);
    catalogue.kill_writer().await;
    let reason = why_it_ends(&mut supervisor).await;
    assert!(reason.starts_with("catalogue: one of its threads has died"), "{reason}");
}

#[tokio::test]
async fn a_search_that_cannot_read_its_words_ends_the_jukebox_and_has_the_file_checked() {
    let folder = tempfile::tempdir().unwrap();
    let (cancel, first) = (CancellationToken::new(), catalogue(folder.path()));
    first.lose_words().await;
    let searcher = Searcher::start(&first).unwrap();
    let mut supervisor = Supervisor::new(cancel.clone());
    mind_search(&mut supervisor, searcher, first.clone(), &cancel);
    let reason = why_it_ends(&mut supervisor).await;
    assert!(reason.starts_with("search: its thread has died"), "{reason}");
    assert!(supervisor.shutdown(PATIENCE).await);
    drop(first);
    assert!(!Catalogue::is_closed_in_order(folder.path()), "the next start would not look for the damage");
}

#[tokio::test]
async fn a_dead_sound_engine_ends_the_jukebox_with_a_sentence() {
    let mut supervisor = Supervisor::new(CancellationToken::new());
    let died = tokio::spawn(async { Err(AudioError::Died) });
    mind_player(&mut supervisor, died, || std::future::ready(Ok::<(), AudioError>(())));
    let reason = why_it_ends(&mut supervisor).await;
    assert!(reason.starts_with("player: the audio engine has ended unexpectedly"), "{reason}");
}

/// Panics the first time, and then has nothing to do.
#[derive(Default)]
struct Broken {
    asked: AtomicUsize,
}

impl JobSource for Broken {
    async fn next(&self, _max: usize) -> Vec<Job> {
        assert!(self.asked.fetch_add(1, Ordering::SeqCst) > 0, "broken once");
        Vec::new()
    }

    async fn finished(&self, _infohash: InfoHash, _outcome: Outcome) {}
}

impl PeerSource for Broken {
    async fn find(&self, _infohash: InfoHash) -> mpsc::Receiver<SocketAddr> {
        mpsc::channel(1).1
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_indexer_is_started_again() {
    let cancel = CancellationToken::new();
    let mut supervisor = Supervisor::new(cancel.clone());
    let source = Arc::new(Broken::default());
    let indexer = Arc::new(Indexer::new(IndexerConfig::default(), Arc::clone(&source), source));
    mind_indexer(&mut supervisor, Arc::clone(&indexer), &cancel);
    let mut stats = indexer.stats();
    tokio::time::timeout(PATIENCE, stats.wait_for(|stats| stats.ticks >= 3)).await.expect("it works again").unwrap();
    let task = supervisor.board().tasks().remove(0);
    assert_eq!((task.name.as_str(), task.restarts), ("indexer", 1));
    assert!(task.rounds > 0, "its turns are not counted");
    assert!(supervisor.shutdown(PATIENCE).await);
}

#[tokio::test(start_paused = true)]
async fn a_player_that_does_not_answer_and_sound_threads_that_stand_still_show_no_life() {
    let cancel = CancellationToken::new();
    let mut supervisor = Supervisor::new(cancel.clone());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    mind_player(&mut supervisor, tokio::spawn(std::future::pending()), move || {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if first {
                return Ok::<(), AudioError>(());
            }
            std::future::pending().await
        }
    });
    // The conductor goes on, the output hangs in its driver from the third look on.
    let looks = Arc::new(AtomicUsize::new(0));
    let count = move || {
        let look = looks.fetch_add(1, Ordering::SeqCst) as u64 + 1;
        [look, look.min(3)]
    };
    mind_rounds(&mut supervisor, "sound", PROMPT, count, &cancel);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let rounds: Vec<(&str, u64)> = supervisor.board().pulses().iter().map(|pulse| (pulse.name, pulse.rounds)).collect();
    assert_eq!(rounds, [("player", 1), ("sound", 3)]);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn catalogue_and_search_show_life_while_they_answer() {
    let folder = tempfile::tempdir().unwrap();
    let (cancel, catalogue) = (CancellationToken::new(), catalogue(folder.path()));
    let searcher = Searcher::start(&catalogue).unwrap();
    let mut supervisor = Supervisor::new(cancel.clone());
    mind_catalogue(&mut supervisor, catalogue.clone(), &cancel);
    mind_search(&mut supervisor, searcher, catalogue, &cancel);
    let alive = async {
        while !supervisor.board().pulses().iter().all(|pulse| pulse.rounds > 0) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, alive).await.expect("they do not answer");
    assert!(supervisor.shutdown(PATIENCE).await);
}
