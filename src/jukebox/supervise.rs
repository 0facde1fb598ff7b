//! Named tasks that are started again when they fail, counted while they work, and ended in bounded time.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::traces::{TaskEvent, Traces};
use crate::control::TaskStatus;
use crate::system::liveness::Pulse;
pub use crate::types::Tick;

/// Pause before a failed task is started again the first time; it doubles with every failure in a row.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Longest pause before a failed task is started again.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A task that worked this long before it failed has its pauses begin anew.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);

/// What a task says when it cannot go on.
pub type TaskError = Box<dyn std::error::Error + Send + Sync>;

/// What happens when a task fails or panics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// It is started again after a pause.
    Always,
    /// The jukebox ends, so that the service manager starts all of it again.
    Never,
}

/// What is known of a task.
#[derive(Debug, Clone)]
struct Entry {
    name: &'static str,
    /// How long a round may take at most.
    bound: Duration,
    rounds: Tick,
    restarts: Tick,
    /// Between a failure and the next start.
    resting: Arc<AtomicBool>,
}

/// A view of all tasks, for the state of the jukebox.
#[derive(Debug, Clone, Default)]
pub struct TaskBoard(Arc<Mutex<Vec<Entry>>>);

impl TaskBoard {
    /// The tasks, in the order in which they were started.
    pub fn tasks(&self) -> Vec<TaskStatus> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let status = |entry: &Entry| TaskStatus {
            name: entry.name.to_owned(),
            rounds: entry.rounds.count(),
            restarts: entry.restarts.count(),
        };
        entries.iter().map(status).collect()
    }

    /// Their signs of life.
    pub fn pulses(&self) -> Vec<Pulse> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pulse = |entry: &Entry| Pulse {
            name: entry.name,
            rounds: entry.rounds.count(),
            bound: entry.bound,
            resting: entry.resting.load(Ordering::Relaxed),
        };
        entries.iter().map(pulse).collect()
    }
}

/// Owner of all tasks of the jukebox.
#[derive(Debug)]
pub struct Supervisor {
    cancel: CancellationToken,
    tasks: JoinSet<Option<String>>,
    board: TaskBoard,
    traces: Option<Arc<Traces>>,
}

impl Supervisor {
    /// A supervisor without tasks; its tasks are asked to end with `cancel`.
    pub fn new(cancel: CancellationToken) -> Self {
        Self { cancel, tasks: JoinSet::new(), board: TaskBoard::default(), traces: None }
    }

    /// Has it note failures.
    pub fn tracing(self, traces: Arc<Traces>) -> Self {
        Self { traces: Some(traces), ..self }
    }

    /// Starts a task. `make` gives its future, each time anew; the task ends by itself when the token is cancelled. It ticks
    /// at every round, none of which takes longer than `bound`; a task that does not is taken for dead.
    pub fn spawn<M, F>(&mut self, name: &'static str, restart: Restart, bound: Duration, mut make: M)
    where
        M: FnMut(Tick) -> F + Send + 'static,
        F: Future<Output = Result<(), TaskError>> + Send + 'static,
    {
        let (tick, restarts) = (Tick::default(), Tick::default());
        let resting = Arc::new(AtomicBool::new(false));
        let entry =
            Entry { name, bound, rounds: tick.clone(), restarts: restarts.clone(), resting: Arc::clone(&resting) };
        self.board.0.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
        let (cancel, traces) = (self.cancel.clone(), self.traces.clone());
        self.tasks.spawn(async move {
            let mut pause = FIRST_PAUSE;
            loop {
                let started = tokio::time::Instant::now();
                let outcome = tokio::spawn(make(tick.clone())).await;
                if cancel.is_cancelled() {
                    return None;
                }
                let reason = match outcome {
                    Ok(Ok(())) => "it ended by itself".to_owned(),
                    Ok(Err(error)) => error.to_string(),
                    Err(error) => error.to_string(),
                };
                if let Some(traces) = &traces {
                    traces.task(TaskEvent::Failed { task: name, reason: reason.as_str().into() });
                }
                if restart == Restart::Never {
                    return Some(format!("{name}: {reason}"));
                }
                if started.elapsed() >= HEALTHY_AFTER {
                    pause = FIRST_PAUSE;
                }
                restarts.tick();
                resting.store(true, Ordering::Relaxed);
                tracing::warn!(task = name, reason, ?pause, "a task failed and is started again");
                tokio::select! {
                    () = cancel.cancelled() => return None,
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                }
                resting.store(false, Ordering::Relaxed);
            }
        });
    }

    /// The view of its tasks; those that are started later show up in it.
    pub fn board(&self) -> TaskBoard {
        self.board.clone()
    }

    /// Waits until the token is cancelled (`None`) or a task fails that is not started again (why).
    pub async fn wait(&mut self) -> Option<String> {
        loop {
            tokio::select! {
                () = self.cancel.cancelled() => return None,
                ended = self.tasks.join_next() => match ended {
                    Some(Ok(Some(reason))) => return Some(reason),
                    Some(Ok(None)) => {}
                    Some(Err(error)) => return Some(error.to_string()),
                    None => {
                        self.cancel.cancelled().await;
                        return None;
                    }
                },
            }
        }
    }

    /// Asks all tasks to end and waits for them, but no longer than `bound`; whether all did.
    pub async fn shutdown(mut self, bound: Duration) -> bool {
        self.cancel.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        tokio::time::timeout(bound, all).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::liveness::Liveness;
    use crate::types::Time;

    #[tokio::test(start_paused = true)]
    async fn a_failing_task_is_started_again_and_its_ticks_go_on() {
        let cancel = CancellationToken::new();
        let mut supervisor = Supervisor::new(cancel.clone());
        let end = cancel.clone();
        supervisor.spawn("moody", Restart::Always, HEALTHY_AFTER, move |tick| {
            let end = end.clone();
            async move {
                tick.tick();
                match tick.count() {
                    1 => Err("out of sorts".into()),
                    2 => panic!("worse"),
                    _ => {
                        end.cancel();
                        Ok(())
                    }
                }
            }
        });
        assert_eq!(supervisor.wait().await, None);
        let tasks = supervisor.board().tasks();
        assert_eq!((tasks[0].name.as_str(), tasks[0].rounds, tasks[0].restarts), ("moody", 3, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_hangs_shows_and_one_that_pauses_after_a_failure_does_not() {
        let mut supervisor = Supervisor::new(CancellationToken::new());
        let bound = Duration::from_secs(20);
        supervisor.spawn("hangs", Restart::Always, bound, |tick| async move {
            tick.tick();
            std::future::pending().await
        });
        supervisor.spawn("fails", Restart::Always, bound, |tick| async move {
            tick.tick();
            Err("always".into())
        });
        let (mut liveness, clock, mut stuck) = (Liveness::default(), tokio::time::Instant::now(), Vec::new());
        while clock.elapsed() < Duration::from_secs(200) {
            tokio::time::sleep(Duration::from_secs(5)).await;
            stuck = liveness.observe(Time::ZERO + clock.elapsed(), &supervisor.board().pulses());
        }
        assert_eq!(stuck.iter().map(|stuck| stuck.name).collect::<Vec<_>>(), ["hangs"]);
    }

    #[tokio::test]
    async fn a_task_that_may_not_fail_ends_everything() {
        let mut supervisor = Supervisor::new(CancellationToken::new());
        supervisor.spawn("essential", Restart::Never, HEALTHY_AFTER, |_| async { Err("broken".into()) });
        assert_eq!(supervisor.wait().await, Some("essential: broken".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_is_bounded() {
        let mut supervisor = Supervisor::new(CancellationToken::new());
        supervisor.spawn("deaf", Restart::Always, HEALTHY_AFTER, |_| std::future::pending());
        assert!(!supervisor.shutdown(Duration::from_secs(5)).await);
    }
}
