use super::*;

/// A small form of the experiment, so that what it measures stays measured.
const SMALL: Size = Size {
    nodes: 1_500,
    torrents: 300,
    counts: &[1, 4, 16],
    sampling: &[1],
    seeds: 2,
    time: Duration::from_secs(30 * 60),
    capacity: 2.0,
    strict_of_ten: STRICT_OF_TEN,
    listening_only: false,
};

#[test]
fn a_small_network_is_heard_and_told_of() {
    let findings = Findings::new(&SMALL, measure(&SMALL, 7), Vec::new());
    let end = |nodes, way| {
        let ends = findings.of(IdStrategy::Spread, way, nodes).filter_map(|run| run.points.last().copied());
        ends.collect::<Vec<_>>()
    };
    let (one, many) = (end(1, Way::Listening), end(16, Way::Listening));
    assert_eq!((one.len(), many.len()), (2, 2));
    for (one, many) in one.iter().zip(&many) {
        assert!(many.heard > 10 && many.heard > 2 * one.heard, "{one:?} {many:?}");
        assert!(many.contacts > one.contacts && many.processor > one.processor);
        assert!(many.heard_of_strict <= many.heard && many.heard_of_strict + many.heard_of_lenient >= many.heard);
        assert_eq!(many.sampled, 0);
    }
    assert!(end(1, Way::Sampling).iter().all(|end| end.sampled > 0));
    let choked = end(16, Way::Choked { datagrams_per_second: 0.0 });
    assert!(choked.iter().zip(&many).all(|(choked, free)| choked.dropped > 0 && choked.heard < free.heard));
    let report = findings.report(&Options { quick: true, seed: 7, out: None });
    assert_eq!(report.tables[0].1.lines().count(), 1 + findings.runs.len() * 7);
    assert!(report.plots.iter().all(|plot| plot.to_svg().contains("polyline")));
}

#[test]
fn the_same_seed_gives_the_same_figures() {
    let size = Size { seeds: 1, time: Duration::from_secs(600), ..SMALL };
    let points = || {
        let runs = measure(&size, 3).into_iter().flat_map(|run| run.points);
        // All but the time that it took.
        runs.map(|point| Point { processor: Duration::ZERO, ..point }).collect::<Vec<_>>()
    };
    assert_eq!(points(), points());
}
