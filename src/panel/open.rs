//! From a configuration to an open panel.

use std::fmt;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::displays::framebuffer::Framebuffer;
use super::displays::oled::Oled;
use super::spec::{DisplaySpec, KnobSpec};
use super::{Display, Gesture, NoDisplay, PanelError, gpio, input, serial, terminal};

/// An open panel. The gestures go to the channel that was handed to [`open`]; dropping the display gives the
/// terminal back.
pub struct Panel {
    pub display: Box<dyn Display>,
    /// What is not there. It is waited for, and neither display nor knob keeps the other from working.
    pub problems: Vec<PanelError>,
}

impl fmt::Debug for Panel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Panel").field("problems", &self.problems).finish_non_exhaustive()
    }
}

/// Opens display and knob. Gestures are sent to `gestures` until `cancel` is cancelled, by threads of their own;
/// the simulated panel cancels `cancel` itself when its person quits. The knob of a serial front panel that is the display
/// counts beside another knob.
pub fn open(
    display: &DisplaySpec,
    knob: &KnobSpec,
    gestures: mpsc::Sender<Gesture>,
    cancel: &CancellationToken,
) -> Panel {
    let mut serial_display = None;
    let beside = (*knob != KnobSpec::None).then(|| gestures.clone());
    let opened = match knob {
        KnobSpec::None => Ok(()),
        KnobSpec::Simulated => terminal::spawn_keys(gestures, cancel.clone()),
        KnobSpec::Gpio { chip, lines } => gpio::spawn(chip, lines.clone(), gestures, cancel.clone()),
        KnobSpec::Input { devices } => input::spawn(devices.clone(), gestures, cancel.clone()),
        KnobSpec::Serial { device } => {
            // One line, also where only one of them tells its speed.
            let both = match display {
                DisplaySpec::Serial { device } if display.devices() == knob.devices() => Some(device),
                _ => None,
            };
            let (link, problem) = serial::open(both.unwrap_or(device), Some(gestures), cancel.clone());
            if both.is_some() {
                serial_display = Some(link);
            }
            problem.map_or(Ok(()), Err)
        }
    };
    let mut problems = Vec::from_iter(opened.err());
    let (display, problem): (Box<dyn Display>, Option<PanelError>) = match (display, serial_display) {
        (_, Some(link)) => (Box::new(link), None),
        (DisplaySpec::None, _) => (Box::new(NoDisplay), None),
        (DisplaySpec::Simulated { size }, _) => match terminal::Terminal::start(*size) {
            Ok(terminal) => (Box::new(terminal), None),
            Err(problem) => (Box::new(NoDisplay), Some(problem)),
        },
        (DisplaySpec::Oled { chip, bus }, _) => boxed(Oled::open(*chip, bus.clone())),
        (DisplaySpec::Tft(tft), _) => boxed(tft.clone().open()),
        (DisplaySpec::Framebuffer { device }, _) => boxed(Framebuffer::open(device)),
        (DisplaySpec::Serial { device }, _) => boxed(serial::open(device, beside, cancel.clone())),
    };
    problems.extend(problem);
    Panel { display, problems }
}

fn boxed<D: Display + 'static>((display, problem): (D, Option<PanelError>)) -> (Box<dyn Display>, Option<PanelError>) {
    (Box::new(display), problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_board_has_a_panel() {
        for name in crate::config::BUILT_IN_BOARDS {
            let board = crate::config::BoardProfile::load(name).unwrap();
            board.display.parse::<DisplaySpec>().unwrap();
            board.knob.parse::<KnobSpec>().unwrap();
        }
    }

    #[test]
    fn no_panel_needs_no_device() {
        let (gestures, mut receiver) = mpsc::channel(1);
        let mut panel = open(&DisplaySpec::None, &KnobSpec::None, gestures, &CancellationToken::new());
        assert!(panel.display.show(&super::super::Frame::default()).is_ok() && panel.problems.is_empty());
        assert!(receiver.try_recv().is_err());
    }

    #[test]
    fn a_missing_device_says_what_to_do_and_keeps_nothing_else() {
        let cancel = CancellationToken::new();
        for (display, knob, advice) in [
            ("ssd1306-i2c:/dev/no-such-i2c", "none", "raspi-config"),
            ("sh1106-spi:/dev/no-such-spi:dc=25", "none", "dtparam=spi=on"),
            ("st7789-spi:/dev/no-such-spi:dc=25,light=18", "none", "dtparam=spi=on"),
            ("framebuffer:/dev/no-such-fb", "none", "video"),
            ("none", "gpio:/dev/no-such-chip:1,2,3", "knob"),
            ("none", "input:/dev/no-such-event", "dtoverlay"),
            ("serial:/dev/no-such-tty", "none", "plugged in"),
        ] {
            let (gestures, _receiver) = mpsc::channel(1);
            let mut panel = open(&display.parse().unwrap(), &knob.parse().unwrap(), gestures, &cancel);
            let [problem] = &panel.problems[..] else { panic!("{:?}", panel.problems) };
            let text = problem.to_string();
            assert!(text.contains("/dev/no-such") && text.contains(advice), "{text}");
            let frame = super::super::Frame::new(*panel.display.canvas().borrow());
            assert!(panel.display.show(&frame).is_ok() == (display == "none"), "{display}");
        }
        cancel.cancel();
    }
}
