//! Why a file cannot be played, in words for people.

use std::time::Duration;

use symphonia::core::errors::Error;

/// Why a file cannot be played, or not on.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("this is not a music file that can be played (MP3, FLAC, Ogg, WAV, AIFF, AAC, ALAC or Opus){}", expected(.0))]
    Unrecognised(Option<String>),
    #[error("this file cannot be played: {0}")]
    Unsupported(String),
    #[error("this file is damaged: {0}")]
    Damaged(String),
    #[error("this file is cut off: it ends after {} of {}", clock(.at), clock(.of))]
    CutOff { at: Duration, of: Duration },
    #[error("this file is cut off: it ends after {}", clock(.at))]
    CutOffAt { at: Duration },
    #[error("this file cannot be read: {0}")]
    Io(std::io::Error),
    #[error("this file makes the decoder fail; please report it")]
    Panicked,
    /// Reading was called off by the owner: not a failure.
    #[error("reading was called off")]
    CalledOff,
}

/// Minutes and seconds.
fn clock(time: &Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

fn expected(extension: &Option<String>) -> String {
    extension.as_ref().map(|extension| format!(", whatever its name says (.{extension})")).unwrap_or_default()
}

impl DecodeError {
    pub(super) fn from_io(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::ConnectionAborted => Self::CalledOff,
            std::io::ErrorKind::UnexpectedEof => Self::Damaged("it ends too early".to_owned()),
            std::io::ErrorKind::InvalidData => Self::Unsupported(error.to_string()),
            _ => Self::Io(error),
        }
    }

    pub(super) fn from_symphonia(error: Error) -> Self {
        match error {
            Error::IoError(error) => Self::from_io(error),
            Error::Unsupported(what) | Error::LimitError(what) => Self::Unsupported(what.to_owned()),
            Error::DecodeError(what) => Self::Damaged(what.to_owned()),
            other => Self::Damaged(other.to_string()),
        }
    }
}
