//! The thread that decodes one track.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use super::decoder::{DecodeError, Decoder};
use super::source::Control;
use super::{MediaInput, StreamInfo};

/// Frames of a block at most; longer ones of the codec are cut.
const MAX_BLOCK: usize = 4096;

/// Blocks that are decoded ahead of the ring. When it is full the decoder waits.
const BLOCKS: usize = 4;

/// What a decoder thread says. `generation` counts the seeks, so that what was decoded before one is recognised.
#[derive(Debug)]
pub(super) enum TrackMessage {
    Opened { info: StreamInfo, speakers: Option<u64> },
    Duration(Duration),
    Block { generation: u32, frame: u64, samples: Vec<i32> },
    End { generation: u32 },
    Failed { error: String },
}

#[derive(Debug, Clone, Copy)]
struct Seek {
    generation: u32,
    to: Duration,
}

/// The latest wish of where to go; an older one that is not fulfilled yet is forgotten.
#[derive(Debug, Default)]
struct Wish(Mutex<Option<Seek>>);

impl Wish {
    fn set(&self, seek: Seek) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(seek);
    }

    fn take(&self) -> Option<Seek> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A track that is being decoded, as its owner holds it. Dropping it ends the thread as soon as its read returns.
#[derive(Debug)]
pub(super) struct DecoderThread {
    control: Arc<Control>,
    thread: Thread,
    wish: Arc<Wish>,
    pub messages: Receiver<TrackMessage>,
    pub generation: u32,
}

impl DecoderThread {
    /// Starts to decode `input` from `start`; `owner` is woken when there is a message.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn spawn(
        input: Box<dyn MediaInput>,
        extension: Option<String>,
        start: Duration,
        owner: Thread,
    ) -> std::io::Result<Self> {
        let control = Arc::new(Control::default());
        let wish = Arc::new(Wish::default());
        let (messages_in, messages) = sync_channel(BLOCKS);
        let worker = Worker { control: Arc::clone(&control), wish: Arc::clone(&wish), messages: messages_in, owner };
        let handle = thread::Builder::new()
            .name("audio-decode".to_owned())
            .spawn(move || worker.run(input, extension.as_deref(), start))?;
        Ok(Self { control, thread: handle.thread().clone(), wish, messages, generation: 0 })
    }

    /// Goes to another position; blocks of older generations are void from now on.
    pub fn seek(&mut self, to: Duration) {
        self.generation = self.generation.wrapping_add(1);
        // In this order: the thread forgets the interruption only after it has taken the wish.
        self.control.interrupt();
        self.wish.set(Seek { generation: self.generation, to });
        self.thread.unpark();
    }
}

impl Drop for DecoderThread {
    fn drop(&mut self) {
        self.control.cancel();
        self.thread.unpark();
    }
}

/// The owner does not listen any more, or the thread failed and has said so.
struct Done;

struct Worker {
    control: Arc<Control>,
    wish: Arc<Wish>,
    messages: SyncSender<TrackMessage>,
    owner: Thread,
}

impl Worker {
    fn run(self, input: Box<dyn MediaInput>, extension: Option<&str>, start: Duration) {
        // Either way there is nothing left to do: messages are sent, the owner is gone.
        let _ = self.decode(input, extension, start);
    }

    fn send(&self, message: TrackMessage) -> Result<(), Done> {
        self.messages.send(message).map_err(|_| Done)?;
        self.owner.unpark();
        Ok(())
    }

    fn fail(&self, error: &DecodeError) -> Result<(), Done> {
        self.send(TrackMessage::Failed { error: error.to_string() })?;
        Err(Done)
    }

    fn decode(&self, input: Box<dyn MediaInput>, extension: Option<&str>, start: Duration) -> Result<(), Done> {
        let mut decoder = match Decoder::open(input, extension, Arc::clone(&self.control)) {
            Ok(decoder) => decoder,
            Err(error) => return self.fail(&error),
        };
        self.send(TrackMessage::Opened { info: decoder.info().clone(), speakers: decoder.speakers() })?;
        self.control.allow_interrupts();
        let mut generation = 0;
        if start > Duration::ZERO {
            self.go(&mut decoder, start)?;
        }
        loop {
            if let Some(seek) = self.wish.take() {
                generation = seek.generation;
                self.go(&mut decoder, seek.to)?;
                continue;
            }
            if let Some(duration) = decoder.refresh_duration() {
                self.send(TrackMessage::Duration(duration))?;
            }
            if self.step(&mut decoder, generation)? {
                continue;
            }
            // The end. It may still be sought back from there.
            self.send(TrackMessage::End { generation })?;
            let seek = self.wait_for_wish()?;
            generation = seek.generation;
            self.go(&mut decoder, seek.to)?;
        }
    }

    fn wait_for_wish(&self) -> Result<Seek, Done> {
        loop {
            if let Some(seek) = self.wish.take() {
                return Ok(seek);
            }
            if self.control.is_cancelled() {
                return Err(Done);
            }
            thread::park();
        }
    }

    /// Seeks. An interruption on the way means that there is a newer wish already.
    fn go(&self, decoder: &mut Decoder, to: Duration) -> Result<(), Done> {
        self.control.clear_interrupt();
        match decoder.seek(to) {
            Ok(_) => Ok(()),
            Err(DecodeError::CalledOff) if !self.control.is_cancelled() => Ok(()),
            Err(error) => self.fail(&error),
        }
    }

    /// Decodes and sends one block; tells whether there was one.
    fn step(&self, decoder: &mut Decoder, generation: u32) -> Result<bool, Done> {
        let channels = usize::from(decoder.info().channels);
        let block = match decoder.next_block() {
            Ok(Some(block)) => block,
            Ok(None) => return Ok(false),
            // There is a seek to be done.
            Err(DecodeError::CalledOff) if !self.control.is_cancelled() => return Ok(true),
            Err(error) => return self.fail(&error).map(|()| false),
        };
        for (index, samples) in block.samples.chunks(MAX_BLOCK * channels).enumerate() {
            let frame = block.frame + (index * MAX_BLOCK) as u64;
            self.send(TrackMessage::Block { generation, frame, samples: samples.to_vec() })?;
        }
        Ok(true)
    }
}
