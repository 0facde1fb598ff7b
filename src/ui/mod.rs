//! Screens and gestures.
