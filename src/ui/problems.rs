//! What is not right with settings or card, over everything else until somebody has read it.

use embedded_graphics::geometry::{OriginDimensions, Point};

use super::icons;
use super::list::draw_header;
use super::text::{Face, Line, wrapped};
use crate::panel::Frame;

const TOP: i32 = 14;
const LINE_HEIGHT: i32 = 12;

/// Sentences, and which of them have been read.
#[derive(Debug, Default)]
pub struct Problems {
    sentences: Vec<String>,
    read: usize,
}

impl Problems {
    /// Takes up what the jukebox tells; what has been read stays so as long as it is the same.
    pub fn update(&mut self, sentences: &[String]) {
        if self.sentences != sentences {
            *self = Self { sentences: sentences.to_vec(), read: 0 };
        }
    }

    /// Whether one is shown.
    pub fn is_shown(&self) -> bool {
        self.read < self.sentences.len()
    }

    /// Somebody has touched the knob: the next one.
    pub fn next(&mut self) {
        self.read += 1;
    }

    /// Draws over all of the picture.
    pub fn draw(&self, frame: &mut Frame) {
        let Some(sentence) = self.sentences.get(self.read) else { return };
        *frame = Frame::new(frame.size());
        draw_header(frame, icons::STATUS, "Please note", &format!("{}/{}", self.read + 1, self.sentences.len()));
        let lines = ((frame.height() - TOP) / LINE_HEIGHT).max(1) as usize;
        for (line, index) in wrapped(sentence, Face::Body, frame.width() - 2, lines).iter().zip(0..) {
            Line::draw(line, frame, Point::new(1, TOP + index * LINE_HEIGHT));
        }
    }
}
