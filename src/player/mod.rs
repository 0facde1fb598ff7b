//! Queue and playback.
