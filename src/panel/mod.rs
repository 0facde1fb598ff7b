//! Display, knob and buttons: traits, Linux drivers and simulated ones.
//!
//! A driver only moves bits: what is on the [`Frame`] and what a [`Gesture`] means is decided in the room `ui`.
//! Decoders and codecs are pure; threads own the devices.

pub mod advice;
mod canvas;
mod displays;
mod frame;
mod gpio;
mod image;
mod input;
pub mod knob;
mod open;
mod outlet;
pub mod serial;
mod spec;
mod terminal;

pub use canvas::{Canvas, SMALLEST};
pub use displays::oled::Oled;
use embedded_graphics::geometry::Size;
pub use frame::{Frame, OLED, PAGE_ROWS, Region};
pub use open::{Panel, open};
pub use spec::{DisplaySpec, KnobSpec, ParseSpecError, parse_size};
use tokio::sync::watch;

pub use terminal::give_back as give_back_terminal;

/// Gestures that wait at most for the screens; each takes them well under a millisecond, so that many are a stuck or
/// hostile source. When full, turns are added up and presses wait in the driver (`outlet.rs`).
pub const GESTURE_CAPACITY: usize = 32;

/// What a person did with knob and buttons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gesture {
    /// Turned by so many detents, clockwise positive.
    Turn(i32),
    /// Turned by so many detents, and so fast that in a long list it is meant to go further.
    Spin { detents: i32, reach: i32 },
    /// Pushed and let go.
    Press,
    /// Pushed and let go a second time within [`knob::DOUBLE`]; the first time was a [`Gesture::Press`].
    Double,
    /// Pushed and held for [`knob::HOLD`]; sent while still held.
    Hold,
    /// A button that has one meaning everywhere.
    Key(Key),
}

/// Buttons beside the knob: on GPIO lines, a keyboard or a remote control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// Pauses or goes on.
    Play,
    Next,
    Previous,
    Stop,
    Louder,
    Softer,
    /// Leaves where one is: as a [`Gesture::Hold`], but never on the way to switching off.
    Back,
}

impl Gesture {
    /// A turn by `detents` that reaches as far as `reach` in a long list.
    pub fn spin(detents: i32, reach: i32) -> Self {
        if detents == reach { Self::Turn(detents) } else { Self::Spin { detents, reach } }
    }

    /// Detents turned.
    pub fn detents(self) -> i32 {
        match self {
            Self::Turn(detents) | Self::Spin { detents, .. } => detents,
            _ => 0,
        }
    }

    /// Both as one, if both are turns.
    fn joined(self, later: Self) -> Option<Self> {
        let parts = |gesture| match gesture {
            Self::Turn(detents) => Some((detents, detents)),
            Self::Spin { detents, reach } => Some((detents, reach)),
            _ => None,
        };
        let ((detents, reach), (more, further)) = (parts(self)?, parts(later)?);
        Some(Self::spin(detents.saturating_add(more), reach.saturating_add(further)))
    }
}

/// How bright the display shines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Light {
    /// Somebody is there.
    #[default]
    Full,
    /// Nobody has touched the knob for a while.
    Dim,
    /// Dark: nothing to see and nobody to see it.
    Off,
}

/// Something that shows frames.
pub trait Display: Send {
    /// The size that frames should have. It may change when another device is plugged in.
    fn canvas(&self) -> watch::Receiver<Size> {
        watch::channel(OLED).1
    }

    /// Shows the frame; only what differs from the last one is sent where the device allows.
    ///
    /// # Errors
    /// If the device does not answer. The next call begins anew and sends everything.
    fn show(&mut self, frame: &Frame) -> Result<(), PanelError>;

    /// Sets the brightness; devices that cannot dim stay bright.
    ///
    /// # Errors
    /// If the device does not answer.
    fn light(&mut self, light: Light) -> Result<(), PanelError>;
}

/// A display that is not there: frames go nowhere (a headless jukebox, tests).
#[derive(Debug, Clone, Copy, Default)]
pub struct NoDisplay;

impl Display for NoDisplay {
    fn show(&mut self, _frame: &Frame) -> Result<(), PanelError> {
        Ok(())
    }

    fn light(&mut self, _light: Light) -> Result<(), PanelError> {
        Ok(())
    }
}

/// Why the panel does not work and what to do.
#[derive(Debug, thiserror::Error)]
pub enum PanelError {
    /// A device file cannot be opened.
    #[error("cannot open {device}: {reason}; {advice}")]
    Open { device: String, reason: String, advice: &'static str },
    /// The display stopped answering.
    #[error("the display does not answer ({reason}); check its wires and address")]
    Display { reason: String },
    /// A front panel answers, and not as it should.
    #[error("the front panel {reason}; update its firmware")]
    Firmware { reason: String },
    /// The terminal cannot be used as a panel.
    #[error("the simulated panel needs a terminal: {reason}; run in one, or set `display = \"none\"` in [panel]")]
    Terminal { reason: String },
}
