//! The handle to the audio threads.

use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use tokio::sync::mpsc;

use super::conductor::{Conductor, Order};
use super::output::Sink;
use super::shared::{Progress, Rounds, Shared};
use super::{AudioError, AudioEvent, EngineConfig, MediaInput};

/// Orders that wait for the conductor, which takes them many times a second. When it is full the caller is told that
/// the engine does not respond.
const ORDERS: usize = 64;

/// Events that wait for the owner. When it is full the conductor keeps more back, see there.
const EVENTS: usize = 256;

/// Plays tracks: a cheap handle, to be cloned. The sound stops when the last one is dropped.
#[derive(Debug, Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    orders: SyncSender<Order>,
    shared: Arc<Shared>,
    conductor: Thread,
    handle: Mutex<Option<JoinHandle<()>>>,
}

impl Engine {
    /// Starts the audio threads. A sound device is opened with the first track; if it is absent or busy that is told
    /// by [`AudioEvent::OutputLost`] and tried again. The events end only with the engine: while it is held, their end
    /// means that one of its threads has died.
    ///
    /// # Errors
    /// If the WAV file cannot be created or the system refuses threads.
    pub fn start(config: EngineConfig) -> Result<(Self, mpsc::Receiver<AudioEvent>), AudioError> {
        let sink = config.output.sink()?;
        Self::start_with(config, sink)
    }

    /// Starts it with an output that is made already.
    fn start_with(config: EngineConfig, sink: Box<dyn Sink>) -> Result<(Self, mpsc::Receiver<AudioEvent>), AudioError> {
        let shared = Arc::new(Shared::new(config.volume));
        let (orders, orders_out) = sync_channel(ORDERS);
        let (events_in, events) = mpsc::channel(EVENTS);
        let conductor_shared = Arc::clone(&shared);
        let (ready, is_ready) = sync_channel(1);
        let handle = thread::Builder::new()
            .name("audio-conductor".to_owned())
            .spawn(move || match Conductor::new(config.output, sink, conductor_shared, orders_out, events_in) {
                Ok(mut conductor) => {
                    // The receiver waits for exactly this message.
                    let _ = ready.send(Ok(()));
                    conductor.run();
                }
                Err(error) => {
                    let _ = ready.send(Err(error));
                }
            })
            .map_err(AudioError::Thread)?;
        is_ready.recv().map_err(|_| AudioError::Unresponsive)?.map_err(AudioError::Thread)?;
        let conductor = handle.thread().clone();
        let inner = Inner { orders, shared, conductor, handle: Mutex::new(Some(handle)) };
        Ok((Self { inner: Arc::new(inner) }, events))
    }

    fn order(&self, order: Order) -> Result<(), AudioError> {
        let sent = self.inner.orders.try_send(order).map_err(|error| match error {
            TrySendError::Full(_) | TrySendError::Disconnected(_) => AudioError::Unresponsive,
        });
        self.inner.conductor.unpark();
        sent
    }

    /// Plays `input` from `start` at once, in place of everything else. `hint` is the file's extension, only for
    /// messages: content decides. `token` names the track in events.
    ///
    /// # Errors
    /// If the engine does not respond.
    pub fn play(
        &self,
        token: u64,
        input: Box<dyn MediaInput>,
        hint: Option<&str>,
        start: Duration,
    ) -> Result<(), AudioError> {
        self.order(Order::Play { token, input, extension: hint.map(str::to_owned), start })
    }

    /// Plays `input` after what plays now, without a gap. There is at most one such track: another one that has not
    /// begun yet is replaced. A track begins up to three seconds before it is heard.
    ///
    /// # Errors
    /// If the engine does not respond.
    pub fn enqueue(&self, token: u64, input: Box<dyn MediaInput>, hint: Option<&str>) -> Result<(), AudioError> {
        self.order(Order::Enqueue { token, input, extension: hint.map(str::to_owned) })
    }

    /// Takes back a track that was enqueued and has not begun; otherwise nothing happens.
    ///
    /// # Errors
    /// If the engine does not respond.
    pub fn dequeue(&self) -> Result<(), AudioError> {
        self.order(Order::Dequeue)
    }

    /// Falls silent, and stays where it is.
    ///
    /// # Errors
    /// If the engine does not respond.
    pub fn pause(&self) -> Result<(), AudioError> {
        self.order(Order::Pause(true))
    }

    /// Plays on after [`Engine::pause`].
    ///
    /// # Errors
    /// If the engine does not respond.
    pub fn resume(&self) -> Result<(), AudioError> {
        self.order(Order::Pause(false))
    }

    /// Ends playback, forgets all tracks and gives the device back.
    ///
    /// # Errors
    /// If the engine does not respond.
    pub fn stop(&self) -> Result<(), AudioError> {
        self.order(Order::Stop)
    }

    /// Goes to another position of the track that is heard. What is paused stays so.
    ///
    /// # Errors
    /// If the engine does not respond.
    pub fn seek(&self, to: Duration) -> Result<(), AudioError> {
        self.order(Order::Seek(to))
    }

    /// Sets the volume in percent; more than 100 is 100. At 100 samples are not changed.
    pub fn set_volume(&self, percent: u8) {
        self.inner.shared.set_volume(percent);
    }

    /// The volume in percent.
    pub fn volume(&self) -> u8 {
        self.inner.shared.volume()
    }

    /// Signs of life of its threads. Does not keep them.
    pub fn rounds(&self) -> Rounds {
        Rounds(Arc::clone(&self.inner.shared))
    }

    /// What is heard right now. Never blocks.
    pub fn progress(&self) -> Progress {
        self.inner.shared.progress()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The conductor ends when no more orders can come, even if this one does not fit.
        let _ = self.orders.try_send(Order::Quit);
        self.conductor.unpark();
        let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(handle) = handle {
            // It waits for nothing but the device, and that for a bounded time. A panic in it has been reported.
            let _ = handle.join();
        }
    }
}

#[cfg(test)]
mod tests;
