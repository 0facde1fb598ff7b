//! The way of the sound through the conductor: from the decoders, in the order of the tracks, to the ring.

use std::sync::mpsc::TryRecvError;
use std::time::Duration;

use super::{Conductor, Device, Stage};
use crate::audio::convert::Shape;
use crate::audio::output::OutputCommand;
use crate::audio::track::TrackMessage;
use crate::audio::{AudioEvent, StreamInfo};

impl Conductor {
    /// Moves sound from the decoders to the ring as far as there is room.
    pub(super) fn pump(&mut self) {
        let before = self.feed.pushed();
        self.open_waiting();
        while !self.flushing && self.feed.push_held() {
            let Some(index) = self.voices.iter().position(|voice| voice.stage != Stage::Ended) else {
                self.end_stream();
                break;
            };
            if !self.advance(index) {
                break;
            }
        }
        if self.feed.pushed() != before {
            self.output.thread().unpark();
        }
    }

    /// Reads what the tracks that have not begun say about themselves.
    fn open_waiting(&mut self) {
        let mut index = 0;
        while let Some(voice) = self.voices.get(index) {
            let count = self.voices.len();
            if voice.opened.is_none() {
                match voice.decoder.messages.try_recv() {
                    Ok(message) => self.hear(index, message),
                    Err(TryRecvError::Disconnected) => self.hear_nothing(index),
                    Err(TryRecvError::Empty) => {}
                }
            }
            // A track that failed is gone, and another one has its place.
            index += usize::from(self.voices.len() == count);
        }
    }

    /// The decoder thread has ended without a word, or after its error was heard.
    fn hear_nothing(&mut self, index: usize) {
        let error = self.voices[index].error.take();
        let error = error.unwrap_or_else(|| "the decoder stopped; please report it".to_owned());
        self.hear(index, TrackMessage::Failed { error });
    }

    /// Takes one message of the track that is to be decoded; tells whether there may be more.
    fn advance(&mut self, index: usize) -> bool {
        let Some((info, speakers)) = self.voices[index].opened.clone() else {
            // The one before is over and this one has not arrived.
            self.end_stream();
            return false;
        };
        if !self.is_device_ready(index, &info, speakers) {
            return false;
        }
        match self.voices[index].decoder.messages.try_recv() {
            Ok(message) => self.hear(index, message),
            Err(TryRecvError::Empty) => {
                if self.voices[index].stage == Stage::Waiting {
                    self.end_stream();
                }
                return false;
            }
            Err(TryRecvError::Disconnected) => self.hear_nothing(index),
        }
        true
    }

    /// Whether the output is set for the track; if not, asks for that as soon as what came before has been heard.
    fn is_device_ready(&mut self, index: usize, info: &StreamInfo, speakers: Option<u64>) -> bool {
        let wanted = self.spec.wanted(info);
        match self.device {
            Device::Open(asked, format) if asked == wanted => {
                let shape = Shape { rate: info.sample_rate, channels: info.channels, speakers };
                self.feed.set_shape(shape, format).unwrap_or_else(|error| {
                    self.hear(index, TrackMessage::Failed { error });
                    false
                })
            }
            Device::Opening(asked) if asked == wanted => false,
            _ if index > 0 => {
                self.end_stream();
                false
            }
            _ => {
                // Nothing of another format is in the ring any more.
                self.flush();
                self.commands.push_back(OutputCommand::Open(wanted));
                self.device = Device::Opening(wanted);
                false
            }
        }
    }

    fn hear(&mut self, index: usize, message: TrackMessage) {
        let voice = &mut self.voices[index];
        let token = voice.token;
        match message {
            TrackMessage::Opened { info, speakers } => {
                voice.opened = Some((info.clone(), speakers));
                self.tell(AudioEvent::Opened { token, info });
            }
            TrackMessage::Duration(duration) => self.tell(AudioEvent::Duration { token, duration }),
            TrackMessage::Block { generation, .. } | TrackMessage::End { generation }
                if generation != voice.decoder.generation => {}
            TrackMessage::Block { frame, samples, .. } => self.push_block(index, frame, &samples),
            TrackMessage::End { .. } => self.end_voice(index),
            TrackMessage::Failed { error } if voice.stage == Stage::Waiting => {
                // Nothing of it is heard, so it is told at once.
                self.voices.remove(index);
                self.tell(AudioEvent::Failed { token, error });
            }
            TrackMessage::Failed { error } => {
                voice.error = Some(error);
                self.end_voice(index);
            }
        }
    }

    fn push_block(&mut self, index: usize, frame: u64, samples: &[i32]) {
        self.feed.go_on();
        let voice = &mut self.voices[index];
        if voice.stage == Stage::Waiting {
            voice.stage = Stage::Begun;
            let rate = voice.opened.as_ref().map_or(1, |(info, _)| info.sample_rate.max(1));
            self.feed.begin(voice.token, Duration::from_secs_f64(frame as f64 / f64::from(rate)));
        }
        self.feed.push(samples);
    }

    /// All of a track is decoded.
    fn end_voice(&mut self, index: usize) {
        let voice = &mut self.voices[index];
        if voice.stage == Stage::Waiting {
            // Not a single sample, for example after a seek to the end.
            let position = voice.opened.as_ref().and_then(|(info, _)| info.duration).unwrap_or_default();
            self.feed.begin(voice.token, position);
        }
        voice.stage = Stage::Ended;
        self.feed.end(voice.token);
    }

    /// Nothing follows for now.
    fn end_stream(&mut self) {
        if let Device::Open(_, format) = self.device {
            self.feed.end_stream(format);
        }
    }
}
