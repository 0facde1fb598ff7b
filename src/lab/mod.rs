//! Experiments and private worlds.
