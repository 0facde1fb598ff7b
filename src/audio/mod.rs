//! Decode, convert, buffer and put out sound.
