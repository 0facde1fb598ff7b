//! What the other rooms hold of the search, and the thread behind it.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::broadcast::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

use super::engine::Engine;
use crate::catalogue::{Catalogue, CatalogueError, Result};
use crate::control::{DialState, SearchMode, SearchResults};
use crate::types::UnixTime;

/// Queries that wait at most; a face that sends one more waits. Those whose asker has gone meanwhile, as when somebody
/// types on, are not answered at all.
const CAPACITY: usize = 16;

enum Question {
    Search {
        query: String,
        mode: SearchMode,
        limit: usize,
        now: UnixTime,
        answer: oneshot::Sender<Result<SearchResults>>,
    },
    Dial {
        prefix: String,
        answer: oneshot::Sender<Result<DialState>>,
    },
    /// Nothing: that it is answered is a sign of life.
    Ping {
        answer: oneshot::Sender<Result<()>>,
    },
}

/// Searches a catalogue; clones share one thread and connection, which end with the last clone.
#[derive(Debug, Clone)]
pub struct Searcher {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// None only while the last handle is being dropped.
    questions: Option<mpsc::Sender<Question>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.questions = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the search thread panicked");
        }
    }
}

impl Searcher {
    /// Starts the search. The vocabulary is read in the background; the first answers wait for it. The catalogue may
    /// be closed before the searcher.
    ///
    /// # Errors
    /// If the catalogue cannot be read or there is no thread to be had.
    pub fn start(catalogue: &Catalogue) -> Result<Self> {
        // Subscribed before the vocabulary is read, so that no word is missed; some may come twice.
        let mut words = catalogue.new_words();
        let reader = catalogue.reader()?;
        let (questions, mut asked) = mpsc::channel(CAPACITY);
        let body = move || {
            let mut engine = match Engine::new(reader) {
                Ok(engine) => engine,
                Err(error) => {
                    tracing::error!(%error, "search cannot start");
                    return;
                }
            };
            while let Some(question) = asked.blocking_recv() {
                if let Err(error) = learn(&mut engine, &mut words) {
                    tracing::warn!(%error, "new words are not known to the search");
                }
                answer(&engine, question);
            }
        };
        let thread = std::thread::Builder::new()
            .name("search".to_owned())
            .spawn(body)
            .map_err(|error| CatalogueError::Database(format!("no thread for the search: {error}")))?;
        Ok(Self { shared: Arc::new(Shared { questions: Some(questions), thread: Some(thread) }) })
    }

    /// At most `limit` tracks for a query, best first, and how it was understood.
    ///
    /// # Errors
    /// If the catalogue cannot be read.
    pub async fn search(&self, query: &str, mode: SearchMode, limit: usize, now: UnixTime) -> Result<SearchResults> {
        let query = query.to_owned();
        self.ask(|answer| Question::Search { query, mode, limit, now, answer }).await
    }

    /// The tracks that begin, at some word of artist and title or of the album, with what is dialled, and the letters that
    /// lead on. A space ends a word.
    ///
    /// # Errors
    /// If the catalogue cannot be read.
    pub async fn dial(&self, prefix: &str) -> Result<DialState> {
        let prefix = prefix.to_owned();
        self.ask(|answer| Question::Dial { prefix, answer }).await
    }

    /// Waits until its thread has answered.
    ///
    /// # Errors
    /// If it has ended.
    pub async fn ping(&self) -> Result<()> {
        self.ask(|answer| Question::Ping { answer }).await
    }

    /// Waits until its thread has ended, which it does by itself only if it dies or cannot read the catalogue's words:
    /// nothing is found any more then.
    pub async fn stopped(&self) {
        if let Some(questions) = &self.shared.questions {
            questions.closed().await;
        }
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<Result<T>>) -> Question) -> Result<T> {
        let (sender, answer) = oneshot::channel();
        let questions = self.shared.questions.as_ref().ok_or(CatalogueError::Closed)?;
        questions.send(question(sender)).await.map_err(|_| CatalogueError::Closed)?;
        answer.await.map_err(|_| CatalogueError::Closed)?
    }
}

/// Takes up the words that came since the last question.
fn learn(engine: &mut Engine, words: &mut tokio::sync::broadcast::Receiver<crate::catalogue::NewWords>) -> Result<()> {
    loop {
        match words.try_recv() {
            Ok(new) => engine.learn(&new)?,
            // Too many came to be kept for us: all of them are in the catalogue.
            Err(TryRecvError::Lagged(_)) => engine.reload()?,
            Err(TryRecvError::Empty | TryRecvError::Closed) => return Ok(()),
        }
    }
}

fn answer(engine: &Engine, question: Question) {
    // A send fails only if whoever asked has gone.
    match question {
        Question::Search { query, mode, limit, now, answer } if !answer.is_closed() => {
            let begin = Instant::now();
            let result = engine.search(&query, mode, limit, now);
            let elapsed_ms = begin.elapsed().as_secs_f64() * 1000.0;
            let _ = answer.send(result.map(|results| SearchResults { elapsed_ms, ..results }));
        }
        Question::Dial { prefix, answer } if !answer.is_closed() => {
            let _ = answer.send(engine.dial(&prefix));
        }
        Question::Ping { answer } => drop(answer.send(Ok(()))),
        Question::Search { .. } | Question::Dial { .. } => {}
    }
}
