//! What stays on disk.
