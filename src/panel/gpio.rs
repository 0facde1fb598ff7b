//! Knob and buttons on GPIO lines, through the kernel's character device.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gpiocdev::Request;
use gpiocdev::line::{Bias, EdgeDetection, EdgeKind, Value, Values};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::knob::{Contacts, Edge, Lines, Watcher};
use super::{Gesture, PanelError};

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
    let watcher = Watcher::new(lines.clone(), gestures, cancel);
    let device = chip.clone();
    std::thread::Builder::new()
        .name("panel-gpio".to_owned())
        .spawn(move || run(watcher, &chip, &lines, first.ok()))
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

/// Watches whenever the lines are there.
fn run(mut watcher: Watcher, chip: &PathBuf, lines: &Lines, mut request: Option<Request>) {
    while !watcher.ended() {
        if let Some(request) = request.take() {
            if let Err(error) = watcher.watch(&mut Kernel::new(request, lines.clone())) {
                tracing::warn!(%error, "the knob stopped answering; its lines are asked for again");
            }
        } else if let Ok(again) = open(chip, lines) {
            tracing::info!("the knob is there");
            request = Some(again);
            continue;
        }
        std::thread::sleep(if watcher.ended() { Duration::ZERO } else { REOPEN_EVERY });
    }
}

/// The lines as the kernel gives them.
struct Kernel {
    request: Request,
    lines: Lines,
    /// Room for one event. `Request::read_edge_event` of gpiocdev 0.8.0 has room for eight, and passes on the first only.
    event: Vec<u64>,
}

impl Kernel {
    fn new(request: Request, lines: Lines) -> Self {
        let event = vec![0; request.edge_event_u64_size()];
        Self { request, lines, event }
    }
}

impl Contacts for Kernel {
    type Error = gpiocdev::Error;

    fn edge(&mut self, wait: Duration) -> gpiocdev::Result<Option<Edge>> {
        if !self.request.wait_edge_event(wait)? {
            return Ok(None);
        }
        let read = self.request.read_edge_events_into_slice(&mut self.event)?;
        let event = self.request.edge_event_from_slice(&self.event[..read])?;
        Ok(Some(Edge {
            at: Duration::from_nanos(event.timestamp_ns),
            line: event.offset,
            high: event.kind == EdgeKind::Rising,
            line_seqno: event.line_seqno,
        }))
    }

    fn levels(&mut self) -> gpiocdev::Result<impl Fn(u32) -> bool + use<>> {
        let mut values = Values::from_offsets(&self.lines.numbers().collect::<Vec<_>>());
        self.request.values(&mut values)?;
        Ok(move |line| values.get(line) == Some(Value::Active))
    }
}
