//! The two-bit Gray code of a rotary encoder.

use std::time::Duration;

/// Levels of the two contacts that alternate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    pub a: bool,
    pub b: bool,
}

impl Levels {
    /// At rest in a detent, for encoders of four steps: both contacts are open, that is high.
    pub const REST: Self = Self { a: true, b: true };

    /// Place in the Gray code when turned clockwise (a falls first), from the detent: 11, 01, 00, 10.
    fn phase(self) -> i32 {
        match (self.a, self.b) {
            (true, true) => 0,
            (false, true) => 1,
            (false, false) => 2,
            (true, false) => 3,
        }
    }
}

/// Steps of the Gray code from one detent to the next; it is a property of the encoder (its datasheet draws it).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Steps {
    /// Detents in every state: 24 detents, 6 pulses a revolution.
    One,
    /// Detents where both contacts are alike: 24 detents, 12 pulses a revolution.
    Two,
    /// Detents where both contacts are open: 24 detents, 24 pulses a revolution. The usual kind.
    #[default]
    Four,
}

impl Steps {
    /// The kind with so many steps.
    pub fn of(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::One),
            2 => Some(Self::Two),
            4 => Some(Self::Four),
            _ => None,
        }
    }

    fn count(self) -> i32 {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// How long a contact is not listened to after an edge. Bounces take 2 ms (EC11 datasheet); at five revolutions a
    /// second a contact of a four-step encoder changes every 4.2 ms, of the others every 8.3 or 16.7.
    pub fn deaf(self) -> Duration {
        Duration::from_micros(match self {
            Self::One => 5000,
            Self::Two => 4000,
            Self::Four => 2500,
        })
    }
}

/// Decoder of a rotary encoder that counts detents.
///
/// A missed edge shows as a jump over one state; its direction is taken from the other steps once the detent is
/// reached, or else from the detent before.
#[derive(Debug, Clone, Copy)]
pub struct Quadrature {
    kind: Steps,
    levels: Levels,
    /// Steps since the last detent, clockwise positive.
    steps: i32,
    /// Two steps came at once, in a direction that is not known yet.
    jumped: bool,
    /// Direction of the last detent, 1 clockwise.
    direction: i32,
    /// Steps are missing: the next levels lie ahead in the direction of the last detent.
    lost: bool,
}

impl Quadrature {
    /// A decoder for an encoder whose contacts are at these levels.
    pub fn new(kind: Steps, levels: Levels) -> Self {
        // Switched on between detents: no more than half a detent can be missing.
        let steps = match (kind, levels.phase()) {
            (Steps::One, _) | (Steps::Two, 0 | 2) => 0,
            (_, 3) => -1,
            (_, phase) => phase,
        };
        Self { kind, levels, steps, jumped: false, direction: 1, lost: false }
    }

    /// Edges are known to be missing before the next update. A hand fast enough to lose some goes on as it did.
    pub fn lost(&mut self) {
        self.lost = true;
    }

    /// The contacts have changed; returns the detents that were reached, clockwise positive: most often none.
    pub fn update(&mut self, levels: Levels) -> i32 {
        let turned = (levels.phase() - self.levels.phase()).rem_euclid(4);
        self.levels = levels;
        match turned {
            _ if std::mem::take(&mut self.lost) => {
                self.steps += self.direction * (turned * self.direction).rem_euclid(4);
            }
            1 => self.steps += 1,
            3 => self.steps -= 1,
            // Twice is there and back, or all around: nothing that could be told apart.
            2 => self.jumped = !self.jumped,
            _ => {}
        }
        let per_detent = self.kind.count();
        if levels.phase() % per_detent == 0 {
            let steps = std::mem::take(&mut self.steps);
            let towards = if steps == 0 { self.direction } else { steps.signum() };
            let jump = if std::mem::take(&mut self.jumped) { 2 * towards } else { 0 };
            // One step of four may be missing; fewer are a nudge that fell back.
            let detents = (steps + jump + jump_room(per_detent) * towards) / per_detent;
            if detents != 0 {
                self.direction = detents.signum();
            }
            return detents;
        }
        // Never at rest (a broken contact): bounded, still ready for the next detent.
        self.steps = self.steps.clamp(-per_detent, per_detent);
        0
    }
}

/// Steps that may be missing from a detent.
fn jump_room(per_detent: i32) -> i32 {
    if per_detent == 4 { 1 } else { 0 }
}
