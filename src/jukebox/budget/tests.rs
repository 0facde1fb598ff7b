use super::*;
use crate::budget::{Enough, Reason};

/// Bounds on some board, as a configuration has them.
fn of(text: &str) -> Bounds {
    let config = Config::from_text(Path::new("silverstream.toml"), text).unwrap();
    bounds(&config, &BoardProfile::load("pi-zero-2-w").unwrap())
}

#[test]
fn who_answers_nobody_tries_no_more_nodes() {
    let (auto, read_only) = (of(""), of("[dht]\nread_only = true"));
    assert_eq!((auto.nodes, auto.is_forced), (MAX_AUTO_NODES, false));
    assert_eq!(read_only, Bounds { nodes: FIRST.nodes, ..auto });
    let asked = of("[dht]\nread_only = true\nnodes = 100");
    assert_eq!((asked.nodes, asked.is_forced), (100, true), "who asks for a number gets it");
}

#[test]
fn auto_begins_with_what_the_controller_begins_with() {
    let begun = Controller::new(Time::ZERO, of("")).step(Time::ZERO, &Measured::default());
    assert_eq!(first_nodes(NodeCount::Auto), (begun.work.nodes, begun.work.nodes));
    assert_eq!(first_nodes(NodeCount::Fixed(512)), (512, FIRST.nodes), "many are put to work step by step");
}

#[test]
fn no_more_nodes_are_told_of_than_there_are() {
    let work = Work { nodes: 32, samples: 10, workers: 8 };
    let decision = Decision { work, wanted: work, reason: Reason::Trying, enough: Enough::NotWorth };
    let status = told(&decision, &of(""), 12, 3);
    assert_eq!((status.nodes, status.nodes_wanted, status.changes), (12, 32, 3));
    assert_eq!(status.sentence, "12 of 32 nodes at work: finding out what a change brings");
    let status = told(&decision, &of(""), 512, 3);
    assert_eq!((status.nodes, &status.sentence[..16]), (32, "32 nodes at work"), "those beyond rest in a moment");
}
