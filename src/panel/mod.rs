//! Display, knob and buttons.
