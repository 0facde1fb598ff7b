//! Knob and buttons on GPIO lines, through the kernel's character device.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gpiocdev::Request;
use gpiocdev::line::{Bias, EdgeDetection, EdgeKind, Value, Values};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::knob::{Edge, Knob, Lines, Losses};
use super::outlet::Outlet;
use super::{Gesture, PanelError};

/// How long the thread waits for an edge before it looks whether the jukebox ends.
const POLL: Duration = Duration::from_millis(500);
/// How long it waits while gestures find no room.
const RETRY: Duration = Duration::from_millis(20);
/// Between attempts to have the lines.
const REOPEN_EVERY: Duration = Duration::from_secs(2);
/// Edges that the kernel keeps while the thread is not running, the most it allows: 50 detents with bounces.
const KERNEL_EVENTS: u32 = 1024;

/// Starts the thread `panel-gpio` that watches the lines; if they cannot be had, it tries again and again.
///
/// # Errors
/// If the lines cannot be had now.
pub fn spawn(
    chip: &Path,
    lines: Lines,
    gestures: mpsc::Sender<Gesture>,
    cancel: CancellationToken,
) -> Result<(), PanelError> {
    let chip = chip.to_owned();
    let first = open(&chip, &lines);
    let problem = first.as_ref().err().map(|source| error(&chip, source.to_string()));
    let watcher = Watcher { lines, outlet: Outlet::new(gestures), cancel };
    let device = chip.clone();
    std::thread::Builder::new()
        .name("panel-gpio".to_owned())
        .spawn(move || watcher.run(&chip, first.ok()))
        .map_err(|source| error(&device, source.to_string()))?;
    problem.map_or(Ok(()), Err)
}

fn error(chip: &Path, reason: String) -> PanelError {
    PanelError::Open {
        device: chip.display().to_string(),
        reason,
        advice: "check [panel] knob and that no other program uses these lines (gpioinfo shows them), or set it to \"none\"",
    }
}

fn open(chip: &PathBuf, lines: &Lines) -> gpiocdev::Result<Request> {
    let numbers: Vec<u32> = lines.numbers().collect();
    Request::builder()
        .on_chip(chip)
        .with_consumer("silverstream")
        .with_lines(&numbers)
        .as_input()
        .with_bias(Bias::PullUp)
        .with_edge_detection(EdgeDetection::BothEdges)
        .with_kernel_event_buffer_size(KERNEL_EVENTS)
        .request()
}

/// The clock of the kernel's edges.
fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
}

struct Watcher {
    lines: Lines,
    outlet: Outlet,
    cancel: CancellationToken,
}

impl Watcher {
    fn run(mut self, chip: &PathBuf, mut request: Option<Request>) {
        while !self.ended() {
            if let Some(request) = request.take() {
                if let Err(error) = self.watch(&request) {
                    tracing::warn!(%error, "the knob stopped answering; its lines are asked for again");
                }
            } else if let Ok(again) = open(chip, &self.lines) {
                tracing::info!("the knob is there");
                request = Some(again);
                continue;
            }
            std::thread::sleep(if self.ended() { Duration::ZERO } else { REOPEN_EVERY });
        }
    }

    fn ended(&self) -> bool {
        self.cancel.is_cancelled() || self.outlet.is_closed()
    }

    /// Watches until the lines are gone or the jukebox ends.
    fn watch(&mut self, request: &Request) -> gpiocdev::Result<()> {
        let mut knob = Knob::new(self.lines.clone(), now(), levels(request, &self.lines)?);
        let mut gestures = Vec::new();
        let mut told = Losses::default();
        while !self.ended() {
            let due = knob.poll_timeout().map_or(POLL, |due| due.saturating_sub(now()).min(POLL));
            let wait = if self.outlet.flush() { due } else { due.min(RETRY) };
            if request.wait_edge_event(wait)? {
                let event = request.read_edge_event()?;
                let edge = Edge {
                    at: Duration::from_nanos(event.timestamp_ns),
                    line: event.offset,
                    high: event.kind == EdgeKind::Rising,
                    seqno: event.seqno,
                };
                knob.edge(edge, &mut gestures);
            } else if knob.wants_levels(now()) {
                let high = levels(request, &self.lines)?;
                knob.levels(now(), high, &mut gestures);
                tell(&mut told, knob.losses());
            } else {
                knob.timeout(now(), &mut gestures);
            }
            gestures.drain(..).for_each(|gesture| self.outlet.send(gesture));
        }
        Ok(())
    }
}

/// Whether a line is high, of all lines at one moment.
fn levels(request: &Request, lines: &Lines) -> gpiocdev::Result<impl Fn(u32) -> bool + use<>> {
    let mut values = Values::from_offsets(&lines.numbers().collect::<Vec<_>>());
    request.values(&mut values)?;
    Ok(move |line| values.get(line) == Some(Value::Active))
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
