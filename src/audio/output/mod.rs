//! Where the sound goes: ALSA, a WAV file, or nowhere.

use std::path::PathBuf;
use std::str::FromStr;

use super::AudioError;

/// An output as `[audio] output` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputSpec {
    /// `alsa:DEVICE`: an ALSA PCM by name, such as `default` or `plughw:1,0`.
    Alsa(String),
    /// `wav:FILE`, in real time, or `wav-fast:FILE`, as fast as it decodes.
    Wav { path: PathBuf, paced: bool },
    /// `null`, in real time, or `null-fast`.
    Null { paced: bool },
}

impl FromStr for OutputSpec {
    type Err = AudioError;

    fn from_str(text: &str) -> Result<Self, AudioError> {
        match text.split_once(':') {
            Some(("alsa", device)) if !device.is_empty() && !device.contains('\0') => Ok(Self::Alsa(device.to_owned())),
            Some(("wav", file)) if !file.is_empty() => Ok(Self::Wav { path: file.into(), paced: true }),
            Some(("wav-fast", file)) if !file.is_empty() => Ok(Self::Wav { path: file.into(), paced: false }),
            None if text == "null" => Ok(Self::Null { paced: true }),
            None if text == "null-fast" => Ok(Self::Null { paced: false }),
            _ => Err(AudioError::UnknownOutput(text.chars().take(128).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_named_as_in_the_configuration() {
        assert_eq!("alsa:plughw:1,0".parse::<OutputSpec>().unwrap(), OutputSpec::Alsa("plughw:1,0".to_owned()));
        assert_eq!(
            "wav-fast:/tmp/a:b.wav".parse::<OutputSpec>().unwrap(),
            OutputSpec::Wav { path: "/tmp/a:b.wav".into(), paced: false }
        );
        assert_eq!("null".parse::<OutputSpec>().unwrap(), OutputSpec::Null { paced: true });
        for text in ["", "alsa", "alsa:", "wav:", "speaker", "null:", "null:x"] {
            let error = text.parse::<OutputSpec>().unwrap_err().to_string();
            assert!(error.contains("alsa:default"), "{error}");
        }
    }
}
