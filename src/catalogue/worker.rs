//! The two threads of the catalogue: the writer, and a reader for single rows.

use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::error::{CatalogueError, Result};
use super::open::Lock;
use super::reader::Reader;
use super::rows::CatalogueCounts;
use super::store::{Durability, Store};

/// Writes that wait at most; a room that sends one more waits until there is room, so a slow card slows the crawl.
pub(super) const WRITE_CAPACITY: usize = 64;
/// Reads that wait at most; a room that sends one more waits.
pub(super) const READ_CAPACITY: usize = 64;
/// Writes in one transaction at most: enough that the wait for the card is shared, few enough that nobody waits long.
const BATCH: usize = 16;
/// Transactions whose new words a searcher may lag behind; a searcher further behind reads all words again.
pub(super) const WORDS_CAPACITY: usize = 64;

/// Words that came into the catalogue with one transaction.
pub(crate) type NewWords = Arc<[String]>;

type Finish = Box<dyn FnOnce(Result<()>) + Send>;

/// A request to the writer: runs within a transaction, and gives what to do after its end.
pub(super) struct Write {
    durability: Durability,
    run: Box<dyn FnOnce(&mut Store) -> Finish + Send>,
}

impl Write {
    /// `request` as a message, and where its result arrives once it is committed.
    pub(super) fn new<T: Send + 'static>(
        durability: Durability,
        request: impl FnOnce(&mut Store) -> Result<T> + Send + 'static,
    ) -> (Self, oneshot::Receiver<Result<T>>) {
        let (sender, receiver) = oneshot::channel();
        let run = Box::new(move |store: &mut Store| -> Finish {
            let result = store.attempt(request);
            // Whoever asked may have gone; the change stands all the same.
            Box::new(move |committed: Result<()>| drop(sender.send(committed.and(result))))
        });
        (Self { durability, run }, receiver)
    }
}

/// A request to the reader.
pub(super) type Read = Box<dyn FnOnce(&Reader) + Send>;

/// What the writer publishes.
pub(super) struct Published {
    pub(super) counts: watch::Sender<CatalogueCounts>,
    pub(super) words: broadcast::Sender<NewWords>,
}

fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(|error| CatalogueError::Database(format!("no thread for the catalogue: {error}")))
}

/// Starts the thread that owns `store`; it ends when all senders are gone and everything sent is written.
pub(super) fn start_writer(
    store: Store,
    lock: Lock,
    requests: mpsc::Receiver<Write>,
    published: Published,
) -> Result<JoinHandle<()>> {
    thread("catalogue-write", move || {
        write_all(store, requests, &published);
        drop(lock);
    })
}

fn write_all(mut store: Store, mut requests: mpsc::Receiver<Write>, published: &Published) {
    while let Some(first) = requests.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH
            && let Ok(next) = requests.try_recv()
        {
            batch.push(next);
        }
        let durability = batch.iter().map(|write| write.durability).max().unwrap_or(Durability::Power);
        let mut finish = Vec::with_capacity(batch.len());
        let committed = store.transact(durability, |store| finish.extend(batch.into_iter().map(|w| (w.run)(store))));
        if committed.is_ok() && !store.new_words.is_empty() {
            // Fails only if nobody listens.
            let _ = published.words.send(std::mem::take(&mut store.new_words).into());
        }
        publish(&store, published);
        for finish in finish {
            finish(committed.clone());
        }
        if let Err(error) = store.fit_budget() {
            tracing::warn!(%error, "could not make room in the catalogue");
        }
        publish(&store, published);
    }
    store.close();
}

fn publish(store: &Store, published: &Published) {
    let counts = store.counts();
    published.counts.send_if_modified(|old| std::mem::replace(old, counts) != counts);
}

/// Starts the thread that owns `reader`; it ends when all senders are gone.
pub(super) fn start_reader(reader: Reader, mut requests: mpsc::Receiver<Read>) -> Result<JoinHandle<()>> {
    thread("catalogue-read", move || {
        while let Some(request) = requests.blocking_recv() {
            request(&reader);
        }
    })
}
