//! A bus to the display that is made of software.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use embedded_hal::i2c;

/// Clocks of a byte on I²C, with its acknowledgement.
const CLOCKS: u64 = 9;

/// Times of less than this are added up before they are slept: the system cannot sleep shorter anyway.
const SHORTEST_SLEEP: Duration = Duration::from_millis(1);

/// The wires to the display: takes everything, at the pace of a bus.
#[derive(Clone)]
pub struct Bus(Arc<Mutex<Wires>>);

struct Wires {
    /// Of a byte.
    time: Duration,
    /// What the bytes so far take and has not been waited for.
    owed: Duration,
    bytes: u64,
}

impl Bus {
    /// Takes no time.
    pub fn instant() -> Self {
        Self(Arc::new(Mutex::new(Wires { time: Duration::ZERO, owed: Duration::ZERO, bytes: 0 })))
    }

    /// As fast as I²C at so many bits a second.
    pub fn i2c(speed: u32) -> Self {
        let bus = Self::instant();
        bus.wires().time = Duration::from_nanos(CLOCKS * 1_000_000_000 / u64::from(speed.max(1)));
        bus
    }

    fn wires(&self) -> std::sync::MutexGuard<'_, Wires> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until everything is sent; tells how many bytes it was so far.
    pub(super) fn settle(&self) -> u64 {
        let owed = std::mem::take(&mut self.wires().owed);
        std::thread::sleep(owed);
        self.wires().bytes
    }
}

impl i2c::ErrorType for Bus {
    type Error = i2c::ErrorKind;
}

impl i2c::I2c for Bus {
    fn transaction(&mut self, _address: u8, operations: &mut [i2c::Operation<'_>]) -> Result<(), i2c::ErrorKind> {
        let length = |operation: &i2c::Operation<'_>| match operation {
            i2c::Operation::Write(bytes) => bytes.len() as u64,
            i2c::Operation::Read(bytes) => bytes.len() as u64,
        };
        // And the address.
        let bytes = 1 + operations.iter().map(length).sum::<u64>();
        let owed = {
            let mut wires = self.wires();
            wires.bytes += bytes;
            let time = wires.time * u32::try_from(bytes).unwrap_or(u32::MAX);
            wires.owed += time;
            if wires.owed < SHORTEST_SLEEP { Duration::ZERO } else { std::mem::take(&mut wires.owed) }
        };
        std::thread::sleep(owed);
        Ok(())
    }
}
