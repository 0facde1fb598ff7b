//! The stories that fuzzing found worth keeping, told again, and others made of a seed. `make fuzz` looks for more.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic, in its helpers too")]

mod stories;

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Stories drawn from the seed, for each kind.
const DRAWN: u32 = 300;

/// Longest of them, in bytes.
const MAX_DRAWN: usize = 1500;

/// Tells all that are kept of a kind; the first of which the last words of the output are is the one that fails.
fn tell_kept(kind: &str, tell: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(kind);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 50, "{} stories of {kind} are left", files.len());
    for file in files {
        eprintln!("{}", file.display());
        tell(&fs::read(&file).unwrap());
    }
}

/// Tells stories that are always the same.
fn tell_drawn(tell: fn(&[u8])) {
    let config = Config { cases: DRAWN, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]));
    let story = prop::collection::vec(any::<u8>(), 0..MAX_DRAWN);
    let outcome = runner.run(&story, |story| {
        tell(&story);
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn kept_datagrams_are_read_or_refused() {
    tell_kept("krpc", stories::krpc::tell);
}

#[test]
fn drawn_datagrams_are_read_or_refused() {
    tell_drawn(stories::krpc::tell_letters);
}

#[test]
fn a_node_survives_kept_stories() {
    tell_kept("node", stories::node::tell);
}

#[test]
fn a_node_survives_drawn_stories() {
    tell_drawn(stories::node::tell);
}

#[test]
fn a_crawler_survives_kept_stories() {
    tell_kept("core", stories::core::tell);
}

#[test]
fn a_crawler_survives_drawn_stories() {
    tell_drawn(stories::core::tell);
}
