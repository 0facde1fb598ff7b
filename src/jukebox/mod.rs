//! Builds the rooms and joins them.
