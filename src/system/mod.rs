//! What the jukebox says to the operating system and asks of it: the service manager, the board's health, the settings of
//! a first boot. Files and sockets of the system are read below a root that tests choose.

pub mod bundle;
pub mod finding;
pub mod health;
pub mod heap;
pub mod limits;
pub mod liveness;
pub mod load;
pub mod notify;
pub mod power;
pub mod privacy;
mod program;
pub mod setup;
pub mod trace;
