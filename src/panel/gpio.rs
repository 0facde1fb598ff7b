//! The knob on three GPIO lines, through the kernel's character device.

use std::path::Path;
use std::time::Duration;

use gpiocdev::Request;
use gpiocdev::line::{Bias, EdgeDetection, EdgeKind, Value};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::knob::{Button, Levels, Quadrature};
use super::{Gesture, PanelError};
use crate::types::{Clock, Time};

/// How long the thread waits for an edge before it looks whether the jukebox ends.
const POLL: Duration = Duration::from_millis(500);
/// Edges that the kernel keeps while the thread is not running: 16 detents with bounces.
const KERNEL_EVENTS: u32 = 256;

/// Line numbers of the knob's contacts; each closes to ground.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lines {
    pub a: u32,
    pub b: u32,
    pub press: u32,
}

/// The knob's decoders behind one interface, without the kernel.
#[derive(Debug)]
struct Knob {
    lines: Lines,
    levels: Levels,
    quadrature: Quadrature,
    button: Button,
}

impl Knob {
    fn new(lines: Lines, levels: Levels, now: Time, pressed: bool) -> Self {
        let mut button = Button::default();
        // A button that is down from the start must stay so for the debounce time to count, as any other.
        button.update(now, pressed);
        Self { lines, levels, quadrature: Quadrature::new(levels), button }
    }

    /// A line has gone high or low.
    fn edge(&mut self, now: Time, line: u32, high: bool) -> Option<Gesture> {
        if line == self.lines.press {
            return self.button.update(now, !high);
        }
        match line {
            line if line == self.lines.a => self.levels.a = high,
            line if line == self.lines.b => self.levels.b = high,
            _ => return None,
        }
        let detents = self.quadrature.update(self.levels);
        (detents != 0).then_some(Gesture::Turn(detents))
    }
}

/// Starts the thread `panel-gpio` that watches the lines.
///
/// # Errors
/// If the lines cannot be had.
pub fn spawn(
    chip: &Path,
    lines: Lines,
    gestures: mpsc::Sender<Gesture>,
    cancel: CancellationToken,
) -> Result<(), PanelError> {
    let error = |reason: String| PanelError::Open {
        device: chip.display().to_string(),
        reason,
        advice: "check [panel] knob and that no other program uses these lines (gpioinfo shows them), or set it to \"none\"",
    };
    let request = Request::builder()
        .on_chip(chip)
        .with_consumer("silverstream")
        .with_lines(&[lines.a, lines.b, lines.press])
        .as_input()
        .with_bias(Bias::PullUp)
        .with_edge_detection(EdgeDetection::BothEdges)
        .with_kernel_event_buffer_size(KERNEL_EVENTS)
        .request()
        .map_err(|source| error(source.to_string()))?;
    std::thread::Builder::new()
        .name("panel-gpio".to_owned())
        .spawn(move || {
            if let Err(error) = watch(&request, lines, &gestures, &cancel) {
                tracing::warn!(%error, "the knob stopped answering; restart the jukebox after checking its wires");
            }
        })
        .map(drop)
        .map_err(|source| error(source.to_string()))
}

fn watch(
    request: &Request,
    lines: Lines,
    gestures: &mpsc::Sender<Gesture>,
    cancel: &CancellationToken,
) -> gpiocdev::Result<()> {
    let clock = Clock::start();
    let high = |line| request.value(line).map(|value| value == Value::Active);
    let levels = Levels { a: high(lines.a)?, b: high(lines.b)? };
    let mut knob = Knob::new(lines, levels, clock.now(), !high(lines.press)?);
    while !cancel.is_cancelled() && !gestures.is_closed() {
        let now = clock.now();
        let wait = knob.button.poll_timeout().map_or(POLL, |due| due.since(now).min(POLL));
        let gesture = if request.wait_edge_event(wait)? {
            let event = request.read_edge_event()?;
            knob.edge(clock.now(), event.offset, event.kind == EdgeKind::Rising)
        } else {
            knob.button.timeout(clock.now())
        };
        if let Some(gesture) = gesture {
            // When full, the detent is lost: see GESTURE_CAPACITY.
            let _ = gestures.try_send(gesture);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: Lines = Lines { a: 17, b: 27, press: 22 };

    #[test]
    fn edges_become_gestures() {
        let at = Time::from_millis;
        let mut knob = Knob::new(LINES, Levels::REST, at(0), false);
        let clockwise = [(17, false), (27, false), (17, true), (27, true)];
        let seen: Vec<_> = clockwise.iter().filter_map(|(line, high)| knob.edge(at(1), *line, *high)).collect();
        assert_eq!(seen, [Gesture::Turn(1)]);
        let back = [(27, false), (17, false), (27, true), (17, true)];
        let seen: Vec<_> = back.iter().filter_map(|(line, high)| knob.edge(at(2), *line, *high)).collect();
        assert_eq!(seen, [Gesture::Turn(-1)]);
        assert_eq!(knob.edge(at(3), 22, false), None);
        assert_eq!(knob.button.timeout(at(13)), None);
        assert_eq!(knob.button.timeout(at(603)), Some(Gesture::Hold));
    }

    #[test]
    fn a_button_held_at_power_on_is_debounced_too() {
        let at = Time::from_millis;
        let mut knob = Knob::new(LINES, Levels::REST, at(0), true);
        assert_eq!(knob.edge(at(5), 22, true), None);
        assert_eq!(knob.button.poll_timeout(), None);
        assert_eq!(knob.edge(at(6), 99, true), None);
    }
}
