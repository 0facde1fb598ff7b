//! The thread behind a knob whose edges the kernel tells.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Edge, Knob, Lines, Losses};
use crate::panel::Gesture;
use crate::panel::outlet::Outlet;

/// How long the thread waits for an edge before it looks whether the jukebox ends.
const POLL: Duration = Duration::from_millis(500);
/// How long it waits while gestures find no room.
const RETRY: Duration = Duration::from_millis(20);

/// Where edges come from: the kernel's character device, or an experiment.
pub trait Contacts {
    /// Why there are none any more.
    type Error;

    /// The clock of the edges; it never runs ahead of one that is still to be told.
    fn now(&self) -> Duration {
        now()
    }

    /// The next edge, after waiting for it at most so long.
    ///
    /// # Errors
    /// If the lines are gone.
    fn edge(&mut self, wait: Duration) -> Result<Option<Edge>, Self::Error>;

    /// Whether a line is high, of all lines at one moment.
    ///
    /// # Errors
    /// If the lines are gone.
    fn levels(&mut self) -> Result<impl Fn(u32) -> bool + use<Self>, Self::Error>;
}

/// The clock of the kernel's edges.
fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
}

/// Makes gestures of edges until the contacts are gone or nobody wants them.
#[derive(Debug)]
pub struct Watcher {
    lines: Lines,
    outlet: Outlet,
    cancel: CancellationToken,
}

impl Watcher {
    /// For a knob on these lines; gestures are sent until `cancel` is cancelled.
    pub fn new(lines: Lines, gestures: mpsc::Sender<Gesture>, cancel: CancellationToken) -> Self {
        Self { lines, outlet: Outlet::new(gestures), cancel }
    }

    /// Whether nobody wants gestures any more.
    pub fn ended(&self) -> bool {
        self.cancel.is_cancelled() || self.outlet.is_closed()
    }

    /// Watches until the lines are gone or the jukebox ends.
    ///
    /// # Errors
    /// If the lines are gone.
    pub fn watch<C: Contacts>(&mut self, contacts: &mut C) -> Result<(), C::Error> {
        let high = contacts.levels()?;
        let mut knob = Knob::new(self.lines.clone(), contacts.now(), high);
        let mut gestures = Vec::new();
        let mut told = Losses::default();
        while !self.ended() {
            let due = knob.poll_timeout().map_or(POLL, |due| due.saturating_sub(contacts.now()).min(POLL));
            let wait = if self.outlet.flush() { due } else { due.min(RETRY) };
            let edge = contacts.edge(wait)?;
            let now = contacts.now();
            if let Some(edge) = edge {
                knob.edge(edge, &mut gestures);
            } else if knob.wants_levels(now) {
                let high = contacts.levels()?;
                knob.levels(now, high, &mut gestures);
                tell(&mut told, knob.losses());
            } else {
                knob.timeout(now, &mut gestures);
            }
            gestures.drain(..).for_each(|gesture| self.outlet.send(gesture));
        }
        Ok(())
    }
}

/// Logs what got lost, now and then: each time as much again is lost as was told.
fn tell(told: &mut Losses, lost: Losses) {
    let sum = |losses: &Losses| losses.dropped + losses.swallowed;
    if sum(&lost) > 2 * sum(told) {
        let Losses { dropped, swallowed } = lost;
        tracing::debug!(dropped, swallowed, "edges of the knob were lost; the levels were read instead");
        *told = lost;
    }
}
