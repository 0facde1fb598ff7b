//! GPIO lines that are set: reset, data or command, backlight.

use std::fmt;
use std::path::Path;

use embedded_hal::digital::{ErrorKind, ErrorType, OutputPin};
use gpiocdev::Request;
use gpiocdev::line::Value;

/// A line that is driven.
#[derive(Debug)]
pub struct Output {
    request: Request,
    line: u32,
}

impl Output {
    /// Takes the line and drives it to the level.
    ///
    /// # Errors
    /// If there is no such line or somebody else has it.
    pub fn open(chip: &Path, line: u32, high: bool) -> gpiocdev::Result<Self> {
        let request = Request::builder()
            .on_chip(chip)
            .with_consumer("silverstream")
            .with_line(line)
            .as_output(if high { Value::Active } else { Value::Inactive })
            .request()?;
        Ok(Self { request, line })
    }

    fn drive(&mut self, value: Value) -> Result<(), LineError> {
        self.request.set_value(self.line, value).map(drop).map_err(LineError)
    }
}

/// The line is gone.
pub struct LineError(gpiocdev::Error);

impl fmt::Debug for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl embedded_hal::digital::Error for LineError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

impl ErrorType for Output {
    type Error = LineError;
}

impl OutputPin for Output {
    fn set_low(&mut self) -> Result<(), LineError> {
        self.drive(Value::Inactive)
    }

    fn set_high(&mut self) -> Result<(), LineError> {
        self.drive(Value::Active)
    }
}
