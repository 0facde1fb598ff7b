//! The figures of the paper anew, and those that it lacked.

use super::findings::{CHOKED, Findings, Value, believed, contacts, heard, is_way};
use super::listener::Way;
use crate::config::IdStrategy::{self, Random, Spread as Evenly};
use crate::lab::plot::{Axis, COLORS, Color, Curve, Plot, Scale, Spread, ordered};

/// All plots of the experiment.
pub(super) fn all(findings: &Findings<'_>) -> Vec<Plot> {
    vec![
        over_time(
            findings,
            "infohashes over time",
            "Infohashes heard over time, by number of nodes",
            ("infohashes", heard),
        ),
        over_time(findings, "contacts over time", "Contacts over time, by number of nodes", ("contacts", contacts)),
        placement(findings, "infohashes by placement", "Infohashes heard, spread or random", ("infohashes", heard)),
        placement(findings, "contacts by placement", "Contacts, spread or random", ("contacts", contacts)),
        returns(findings),
        addresses(findings),
        choked(findings),
        samples(findings),
    ]
}

/// What the world was like.
fn note(findings: &Findings<'_>, more: &str) -> String {
    let size = findings.size;
    format!("{} nodes in the network, {} seeds: mean, least and most{more}", thousands(size.nodes), size.seeds)
}

fn thousands(count: usize) -> String {
    if count >= 1000 { format!("{},{:03}", count / 1000, count % 1000) } else { count.to_string() }
}

fn over_time(findings: &Findings<'_>, name: &str, title: &str, (label, value): (&str, Value)) -> Plot {
    let counts = findings.size.counts;
    let curves = counts.iter().zip(0..).map(|(nodes, at)| Curve {
        name: if *nodes == 1 { "1 node".into() } else { format!("{nodes} nodes") },
        color: ordered(at, counts.len()),
        // From the first look on.
        points: findings.over_time(Evenly, (Way::Listening, *nodes), value).split_off(1),
        ..Curve::default()
    });
    Plot {
        name: name.into(),
        title: title.into(),
        note: note(findings, "; ids spread"),
        x: Axis::new("hours", Scale::Linear),
        y: Axis::new(label, Scale::Decades),
        curves: curves.collect(),
    }
}

fn at_end(findings: &Findings<'_>, (name, color): (&str, Color), (ids, way): (IdStrategy, Way), value: Value) -> Curve {
    Curve { name: name.into(), color, dotted: true, points: findings.by_nodes(ids, way, value), ..Curve::default() }
}

fn by_nodes(findings: &Findings<'_>, (name, title): (&str, &str), label: &str, curves: Vec<Curve>) -> Plot {
    Plot {
        name: name.into(),
        title: title.into(),
        note: note(findings, &format!("; after {} h", findings.size.time.as_secs_f64() / 3600.0)),
        x: Axis::new("our nodes", Scale::Doublings),
        y: Axis::new(label, Scale::Decades),
        curves,
    }
}

fn placement(findings: &Findings<'_>, name: &str, title: &str, (label, value): (&str, Value)) -> Plot {
    let curve = |name, color, ids| at_end(findings, (name, color), (ids, Way::Listening), value);
    let curves = vec![curve("spread", COLORS[0], Evenly), curve("random", COLORS[1], Random)];
    by_nodes(findings, (name, title), label, curves)
}

fn returns(findings: &Findings<'_>) -> Plot {
    let curve = |name, color, value| at_end(findings, (name, color), (Evenly, Way::Listening), value);
    let all = curve("all clients", COLORS[0], heard);
    let even = all.points.first().map(|first| {
        findings
            .size
            .counts
            .iter()
            .map(|nodes| Spread::exact(f64::from(*nodes), first.mean * f64::from(*nodes)))
            .collect()
    });
    let even = Curve {
        name: "in proportion".into(),
        color: [150; 3],
        dashed: true,
        points: even.unwrap_or_default(),
        ..Curve::default()
    };
    let curves = vec![
        all,
        curve("strict clients", COLORS[1], |point| point.heard_of_strict as f64),
        curve("other clients", COLORS[2], |point| point.heard_of_lenient as f64),
        curve("believed", COLORS[3], believed),
        Curve { points: within(even.points.clone(), findings), ..even },
    ];
    let title = "What each further node brings; strict clients keep one node an address";
    by_nodes(findings, ("returns", title), "infohashes", curves)
}

/// What nodes bring that share an address, by how many clients mind that.
fn addresses(findings: &Findings<'_>) -> Plot {
    let curves = findings
        .others
        .iter()
        .zip(COLORS)
        .map(|(world, color)| at_end(world, (world.who().as_str(), color), (Evenly, Way::Listening), heard));
    let (curves, world) = (curves.collect(), findings.others.first().unwrap_or(findings));
    let title = "What each further node brings in a small network, by how many clients are strict";
    by_nodes(world, ("addresses", title), "infohashes", curves)
}

/// Only as far as there are infohashes.
fn within(points: Vec<Spread>, findings: &Findings<'_>) -> Vec<Spread> {
    points.into_iter().filter(|point| point.mean <= findings.size.torrents as f64).collect()
}

fn choked(findings: &Findings<'_>) -> Plot {
    let curve = |name, color, way, value| Curve {
        dashed: is_way(way, CHOKED),
        ..at_end(findings, (name, color), (Evenly, way), value)
    };
    let curves = vec![
        curve("heard, fast", COLORS[0], Way::Listening, heard),
        curve("heard, slow", COLORS[0], CHOKED, heard),
        curve("believed, fast", COLORS[1], Way::Listening, believed),
        curve("believed, slow", COLORS[1], CHOKED, believed),
    ];
    let capacity = findings.size.capacity;
    let title = format!("A processor with time for all datagrams, and a slow one with time for {capacity} a second");
    by_nodes(findings, ("slow processor", &title), "infohashes", curves)
}

fn samples(findings: &Findings<'_>) -> Plot {
    let sampling = findings.size.sampling;
    let curves = sampling.iter().zip(0..).flat_map(|(nodes, at)| {
        let curve = |way, name: String, dashed| Curve {
            name,
            color: COLORS[at % COLORS.len()],
            dashed,
            points: findings.over_time(Evenly, (way, *nodes), believed).split_off(1),
            ..Curve::default()
        };
        [
            curve(Way::Sampling, format!("{nodes}, with samples"), false),
            curve(Way::Listening, format!("{nodes}, listening"), true),
        ]
    });
    Plot {
        name: "samples".into(),
        title: "Infohashes believed over time, with samples (BEP 51) and without".into(),
        note: note(findings, "; 10 samples a second; by number of nodes"),
        x: Axis::new("hours", Scale::Linear),
        y: Axis::new("infohashes", Scale::Decades),
        curves: curves.collect(),
    }
}
