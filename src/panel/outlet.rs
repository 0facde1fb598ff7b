//! The way of the gestures to the screens.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use super::Gesture;

/// Gestures of one source that wait for room in the channel. Turns are added up, so these are presses: more than that
/// are a stuck or hostile source. When full, the newest is dropped.
const CAPACITY: usize = 16;

/// Sends gestures without ever waiting and without losing a turn: what finds no room is kept and sent with the next.
#[derive(Debug)]
pub struct Outlet {
    gestures: mpsc::Sender<Gesture>,
    waiting: VecDeque<Gesture>,
}

impl Outlet {
    pub fn new(gestures: mpsc::Sender<Gesture>) -> Self {
        Self { gestures, waiting: VecDeque::with_capacity(CAPACITY) }
    }

    /// Whether nobody takes gestures any more.
    pub fn is_closed(&self) -> bool {
        self.gestures.is_closed()
    }

    /// Sends a gesture, after those that wait.
    pub fn send(&mut self, gesture: Gesture) {
        match self.waiting.back_mut().and_then(|last| last.joined(gesture)) {
            Some(joined) => {
                self.waiting.pop_back();
                self.waiting.push_back(joined);
            }
            None if self.waiting.len() < CAPACITY => self.waiting.push_back(gesture),
            None => tracing::debug!(?gesture, "the screens do not follow; dropped"),
        }
        self.flush();
    }

    /// Sends what waits; tells whether nothing is left.
    pub fn flush(&mut self) -> bool {
        while let Some(first) = self.waiting.front() {
            if self.gestures.try_send(*first).is_err() {
                return false;
            }
            self.waiting.pop_front();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_turn_is_lost_when_the_screens_are_slow() {
        let (sender, mut receiver) = mpsc::channel(2);
        let mut outlet = Outlet::new(sender);
        for _ in 0..100 {
            outlet.send(Gesture::Turn(1));
        }
        outlet.send(Gesture::Press);
        outlet.send(Gesture::Turn(-3));
        let mut seen = Vec::new();
        loop {
            while let Ok(gesture) = receiver.try_recv() {
                seen.push(gesture);
            }
            if outlet.flush() && receiver.is_empty() {
                break;
            }
        }
        let turns: Vec<i32> = seen[..seen.len() - 2].iter().map(|gesture| gesture.detents()).collect();
        assert!(turns.iter().all(|detents| *detents > 0) && turns.iter().sum::<i32>() == 100, "{turns:?}");
        assert_eq!(seen[seen.len() - 2..], [Gesture::Press, Gesture::Turn(-3)]);
    }

    #[test]
    fn a_stuck_button_takes_no_memory() {
        let (sender, _receiver) = mpsc::channel(1);
        let mut outlet = Outlet::new(sender);
        (0..1000).for_each(|_| outlet.send(Gesture::Hold));
        assert!(outlet.waiting.len() <= CAPACITY);
    }
}
