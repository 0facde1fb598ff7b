//! From an infohash to named tracks.
