//! One file a screen.

pub mod dial;
pub mod menu;
pub mod now_playing;
pub mod queue;
pub mod results;
pub mod status;
