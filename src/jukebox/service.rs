//! What the service manager is told: when the start is over, how things are, that all tasks are alive, and the end.
//!
//! Ready means that the control socket answers and that player, sound, catalogue and storage have shown a sign of life: a
//! song from the cache plays. No network is needed for that.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::supervise::TaskBoard;
use super::traces::{TaskEvent, Traces};
use super::{SHUTDOWN_BOUND, SWITCH_OFF_PATIENCE};
use crate::control::client::Client;
use crate::control::{Command, PlayState, Reply, Status};
use crate::system::liveness::{Liveness, Stuck};
use crate::system::notify::{self, Message, Notifier};
use crate::types::Time;
use crate::ui::Farewell;

/// Tasks without which no song from the cache is heard and nobody can ask for one.
const NEEDED: [&str; 6] = ["control", "commands", "player", "sound", "catalogue", "storage"];

/// Between two looks at the tasks. Half of the watchdog's time if that is less.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Between two looks at whether the start is over.
const READY_EVERY: Duration = Duration::from_millis(50);

/// The start may take so long, as when the catalogue is checked page by page after a crash, and the manager is asked for
/// patience from time to time. A start that hangs must not go on for ever.
const START_BOUND: Duration = Duration::from_secs(15 * 60);

/// Every step of the end is bounded; together they take at most so long.
const STOP_BOUND: Duration = Duration::from_secs(4 * SHUTDOWN_BOUND.as_secs());

/// How long the manager is asked to wait for the next message while start or end go on, and between two of those.
const PATIENCE: Duration = Duration::from_secs(15);
const PATIENCE_EVERY: Duration = Duration::from_secs(5);

/// By what the jukebox is judged.
pub struct Vitals {
    pub status: watch::Receiver<Arc<Status>>,
    pub tasks: TaskBoard,
    pub socket: PathBuf,
    pub traces: Arc<Traces>,
    pub farewell: Farewell,
    pub cancel: CancellationToken,
}

/// The jukebox as a service that is being started.
pub struct Service {
    notifier: Notifier,
    watchdog: Option<Duration>,
    /// Asks for patience until it is dropped.
    starting: AbortOnDropHandle<()>,
}

impl Service {
    /// Tells the manager, if there is one, that the start has begun. Within a runtime.
    pub fn begin() -> Self {
        let notifier = Notifier::from_env().unwrap_or_else(|error| {
            tracing::warn!("{error}");
            Notifier::default()
        });
        let watchdog = notify::watchdog(|name| std::env::var(name).ok(), std::process::id());
        Self::with(notifier, watchdog)
    }

    fn with(notifier: Notifier, watchdog: Option<Duration>) -> Self {
        tell(&notifier, &[Message::Status("Starting")]);
        let manager = notifier.clone();
        let asking = async move { repeat(&manager, Message::Extend(PATIENCE), START_BOUND).await };
        Self { starting: AbortOnDropHandle::new(tokio::spawn(asking)), notifier, watchdog }
    }

    /// Tells the manager the rest, until what is returned is dropped. Without a manager hanging tasks are still told in the
    /// log.
    pub fn attend(self, vitals: Vitals) -> AbortOnDropHandle<()> {
        AbortOnDropHandle::new(tokio::spawn(self.run(vitals)))
    }

    async fn run(self, vitals: Vitals) {
        let (cancel, farewell) = (vitals.cancel.clone(), vitals.farewell.clone());
        tokio::select! {
            () = cancel.cancelled() => {}
            () = self.watch(vitals) => {}
        }
        drop(self.starting);
        if farewell.is_asked() {
            // systemd sends no SIGTERM to a service that says it is stopping, and that is the word waited for. No task ticks
            // any more, but until then it must not be taken for one that hangs.
            tell(&self.notifier, &[Message::Status("Switching off")]);
            return repeat(&self.notifier, Message::Watchdog, STOP_BOUND + SWITCH_OFF_PATIENCE).await;
        }
        tell(&self.notifier, &[Message::Stopping, Message::Status("Ending"), Message::Extend(PATIENCE)]);
        repeat(&self.notifier, Message::Extend(PATIENCE), STOP_BOUND).await;
    }

    /// Waits until a song could be played, then watches the tasks for ever.
    async fn watch(&self, vitals: Vitals) {
        while !is_ready(&vitals).await {
            tokio::time::sleep(READY_EVERY).await;
        }
        let mut shown = describe(&vitals.status.borrow());
        tell(&self.notifier, &[Message::Ready, Message::Status(&shown)]);
        tracing::info!("ready");
        let zero = Instant::now();
        let every = self.watchdog.map_or(LOOK_EVERY, |time| LOOK_EVERY.min(time / 2));
        let (mut liveness, mut reported) = (Liveness::default(), Vec::new());
        loop {
            let stuck = liveness.observe(Time::ZERO + zero.elapsed(), &vitals.tasks.pulses());
            report(&stuck, &mut reported, &vitals.traces);
            let line = match stuck.first() {
                Some(stuck) => stuck.to_string(),
                None => describe(&vitals.status.borrow()),
            };
            if stuck.is_empty() && self.watchdog.is_some() {
                tell(&self.notifier, &[Message::Watchdog]);
            }
            if line != shown {
                tell(&self.notifier, &[Message::Status(&line)]);
                shown = line;
            }
            tokio::time::sleep(every).await;
        }
    }
}

/// Logs tasks that hang, each once as long as it hangs.
fn report(stuck: &[Stuck], reported: &mut Vec<&'static str>, traces: &Traces) {
    reported.retain(|name| stuck.iter().any(|stuck| stuck.name == *name));
    for stuck in stuck {
        if !reported.contains(&stuck.name) {
            reported.push(stuck.name);
            traces.task(TaskEvent::Stuck { task: stuck.name });
            tracing::error!(
                "{stuck}; a service manager with a watchdog will start the jukebox anew; {}",
                traces.last_words()
            );
        }
    }
}

async fn repeat(notifier: &Notifier, message: Message<'_>, bound: Duration) {
    let begin = Instant::now();
    while notifier.is_on() && begin.elapsed() < bound {
        tokio::time::sleep(PATIENCE_EVERY).await;
        tell(notifier, std::slice::from_ref(&message));
    }
}

fn tell(notifier: &Notifier, messages: &[Message<'_>]) {
    if let Err(error) = notifier.tell(messages) {
        tracing::debug!(%error, ?messages, "the service manager does not listen");
    }
}

async fn is_ready(vitals: &Vitals) -> bool {
    let pulses = vitals.tasks.pulses();
    let alive = |name: &&str| pulses.iter().any(|pulse| pulse.name == *name && pulse.rounds > 0);
    if !NEEDED.iter().all(alive) {
        return false;
    }
    // As any other program would: through the socket, to the desk that carries out commands.
    let socket = vitals.socket.clone();
    let answer = tokio::task::spawn_blocking(move || Client::connect(&socket)?.send(&Command::QueueList)).await;
    matches!(answer, Ok(Ok(Reply::Queue(_))))
}

/// The state in a line.
fn describe(status: &Status) -> String {
    let Status { player, dht, index, .. } = status;
    let title = player.track.as_ref().map(|track| match track.artist.as_str() {
        "" => track.title.clone(),
        artist => format!("{artist} – {}", track.title),
    });
    match (player.state, title) {
        (PlayState::Playing, Some(title)) => format!("Playing {title}"),
        (PlayState::Buffering, Some(title)) => format!("Fetching {title}"),
        (PlayState::Paused, Some(title)) => format!("Paused in {title}"),
        _ => format!("{} songs known, {} contacts in the DHT", index.tracks, dht.contacts),
    }
}

#[cfg(test)]
mod tests;
