//! What the runs of an experiment say together.

use std::fmt::Write as _;

use super::listener::{Point, Way};
use super::{Run, Size, plots};
use crate::config::IdStrategy::{self, Random, Spread as Evenly};
use crate::lab::plot::Spread;
use crate::lab::{Options, Report, Target};

/// A doubling of the nodes that brings less than half as much again is where returns diminish.
const WORTH_IT: f64 = 1.5;
/// The slow processor gives the crawler a tenth of its time.
const SLOW_SHARE: f64 = 0.1;
/// Up to here, three doublings, more nodes are to be worth it.
const FEW: u16 = 8;

/// Of the table of points; the last are [`Point::values`].
const COLUMNS: &str = "world,strict_of_ten,seed,ids,nodes,way,live,minutes,heard,heard_of_strict,heard_of_lenient,\
    sampled,believed,believed_wrongly,contacts,in_tables,datagrams_in,datagrams_out,bytes_in,bytes_out,dropped,\
    processor_ms\n";

/// All runs; see the module.
pub(super) struct Findings<'a> {
    pub size: &'a Size,
    pub runs: Vec<Run>,
    /// Of other, smaller worlds.
    pub others: Vec<Findings<'a>>,
}

/// A value of a point.
pub(super) type Value = fn(&Point) -> f64;

pub(super) fn heard(point: &Point) -> f64 {
    point.heard as f64
}

pub(super) fn believed(point: &Point) -> f64 {
    point.believed as f64
}

pub(super) fn contacts(point: &Point) -> f64 {
    point.contacts as f64
}

/// Whether two ways are of a kind, whatever the capacity.
pub(super) fn is_way(a: Way, b: Way) -> bool {
    std::mem::discriminant(&a) == std::mem::discriminant(&b)
}

/// Any choked way.
pub(super) const CHOKED: Way = Way::Choked { datagrams_per_second: 0.0 };

impl<'a> Findings<'a> {
    pub fn new(size: &'a Size, runs: Vec<Run>, others: Vec<Self>) -> Self {
        Self { size, runs, others }
    }

    /// The runs of all seeds with crawlers of a kind.
    pub fn of(&self, strategy: IdStrategy, way: Way, nodes: u16) -> impl Iterator<Item = &Run> {
        let fits = move |run: &&Run| run.strategy == strategy && is_way(run.way, way) && run.nodes == nodes;
        self.runs.iter().filter(fits)
    }

    /// A value at the end, of each seed.
    fn ends(&self, (strategy, way, nodes): (IdStrategy, Way, u16), value: Value) -> Vec<f64> {
        self.of(strategy, way, nodes).filter_map(|run| run.points.last()).map(value).collect()
    }

    /// A value at the end by number of nodes.
    pub fn by_nodes(&self, strategy: IdStrategy, way: Way, value: Value) -> Vec<Spread> {
        let of = |nodes: &u16| Spread::of(f64::from(*nodes), &self.ends((strategy, way, *nodes), value));
        self.size.counts.iter().filter_map(of).collect()
    }

    /// A value over time, in hours.
    pub fn over_time(&self, strategy: IdStrategy, (way, nodes): (Way, u16), value: Value) -> Vec<Spread> {
        let runs: Vec<_> = self.of(strategy, way, nodes).map(|run| &run.points).collect();
        let steps = runs.iter().map(|points| points.len()).min().unwrap_or(0);
        (0..steps)
            .filter_map(|step| {
                let hours = runs[0][step].at.as_millis() as f64 / 3_600_000.0;
                Spread::of(hours, &runs.iter().map(|points| value(&points[step])).collect::<Vec<_>>())
            })
            .collect()
    }

    /// How a value of each seed relates to another of the same seed.
    fn ratio(&self, of: (IdStrategy, Way, u16), to: (IdStrategy, Way, u16), value: Value) -> Option<Spread> {
        let pairs = self.ends(of, value).into_iter().zip(self.ends(to, value));
        Spread::of(0.0, &pairs.map(|(of, to)| of / to.max(1.0)).collect::<Vec<_>>())
    }

    pub fn report(&self, options: &Options) -> Report {
        let mut report =
            Report { experiment: "nodes".into(), seed: options.seed, quick: options.quick, ..Report::default() };
        self.tell_counts(&mut report);
        self.tell_returns(&mut report, "");
        for other in &self.others {
            other.tell_returns(&mut report, &other.who());
        }
        self.tell_placement(&mut report);
        self.tell_choked(&mut report);
        self.tell_samples(&mut report);
        let mut table = String::from(COLUMNS);
        self.others.iter().chain([self]).for_each(|findings| findings.write_points(&mut table));
        report.tables = vec![("points", table)];
        report.plots = plots::all(self);
        let Size { nodes, torrents, seeds, time, .. } = self.size;
        let live = self.runs.iter().map(|run| run.live).min().unwrap_or(0);
        report.notes.push(format!(
            "{nodes} nodes, {torrents} torrents, of which at least {live} had peers, {} hours, seeds {} to {}; figures \
             are means, and in brackets the least and the most of the seeds",
            time.as_secs_f64() / 3600.0,
            options.seed,
            options.seed + seeds - 1
        ));
        report
    }

    fn tell_counts(&self, report: &mut Report) {
        let hours = self.size.time.as_secs_f64() / 3600.0;
        for &nodes in self.size.counts {
            let crawler = (Evenly, Way::Listening, nodes);
            let mut tell = |name: &str, value: Value, per: f64, unit: &'static str| {
                if let Some(spread) = Spread::of(0.0, &self.ends(crawler, value)) {
                    figure(report, &format!("{nodes} nodes: {name}"), scaled(spread, per), unit);
                }
            };
            tell("infohashes heard", heard, 1.0, "");
            tell("of them believed", believed, 1.0, "");
            tell("contacts", contacts, 1.0, "");
            tell(
                "datagrams in and out",
                |point| (point.datagrams_in + point.datagrams_out) as f64,
                hours * 3600.0,
                "/s",
            );
            tell("bytes in and out", |point| (point.bytes_in + point.bytes_out) as f64, hours * 3.6e6, "kB/s");
            tell("processor", |point| point.processor.as_secs_f64() * 1e3, hours * 3600.0, "ms/s");
        }
    }

    /// What sort of clients a world has.
    pub fn who(&self) -> String {
        match self.size.strict_of_ten {
            0 => "nobody strict".into(),
            10 => "all strict".into(),
            part => format!("{part} of 10 strict"),
        }
    }

    /// Where a doubling stops bringing much. `who` names a world that is not the main one.
    fn tell_returns(&self, report: &mut Report, who: &str) {
        let of = if who.is_empty() { String::new() } else { format!("of {}, {who}: ", self.size.nodes) };
        let gain = |from, to| self.ratio_of_means((Evenly, Way::Listening, to), (Evenly, Way::Listening, from), heard);
        for pair in self.size.counts.windows(2) {
            let [from, to] = [pair[0], pair[1]];
            report.figure(
                &format!("{of}{to} nodes to {from}: heard"),
                gain(from, to).unwrap_or(f64::NAN),
                "times",
                None,
            );
        }
        if who.is_empty() {
            // Three doublings together, for the same reason as below.
            let (gained, wanted) = (gain(1, FEW).unwrap_or(f64::NAN), Target::AtLeast(WORTH_IT.powi(3)));
            report.figure(&format!("{FEW} nodes to 1: heard"), gained, "times", Some(wanted));
        }
        // Two doublings at a time: one alone is as much chance as gain where little is heard.
        let worth = |triple: &&[u16]| gain(triple[0], triple[2]).is_some_and(|gain| gain >= WORTH_IT * WORTH_IT);
        let last = self.size.counts.windows(3).take_while(worth).last().map_or(1, |triple| triple[2]);
        report.figure(&format!("{of}a doubling is worth it up to"), f64::from(last), "nodes", None);
    }

    fn ratio_of_means(&self, of: (IdStrategy, Way, u16), to: (IdStrategy, Way, u16), value: Value) -> Option<f64> {
        let mean = |crawler| Spread::of(0.0, &self.ends(crawler, value)).map(|spread| spread.mean);
        Some(mean(of)? / mean(to)?.max(f64::MIN_POSITIVE))
    }

    fn tell_placement(&self, report: &mut Report) {
        for &nodes in self.size.sampling {
            let (spread, random) = ((Evenly, Way::Listening, nodes), (Random, Way::Listening, nodes));
            for (name, value) in [("heard", heard as Value), ("contacts", contacts)] {
                if let Some(ratio) = self.ratio(spread, random, value) {
                    figure(report, &format!("{nodes} nodes, spread to random: {name}"), ratio, "times");
                }
            }
        }
    }

    /// What is left on a slow processor, and how slow one would have to be for it.
    fn tell_choked(&self, report: &mut Report) {
        let most = self.size.counts.last().copied().unwrap_or(1);
        let cost = self.microseconds();
        report.figure("slow processor: datagrams", self.size.capacity, "/s", None);
        report.figure("a datagram takes the core", cost, "us", None);
        let factor = SLOW_SHARE * 1e6 / (self.size.capacity * cost);
        report.figure("slow processor: a tenth of one that is slower", factor, "times", None);
        let many = || self.size.counts.iter().copied().filter(|nodes| nodes * 8 >= most);
        for nodes in many() {
            if let Some(lost) = Spread::of(0.0, &self.ends((Evenly, CHOKED, nodes), lost)) {
                figure(report, &format!("slow processor, {nodes} nodes: loses at most"), scaled(lost, 0.01), "%");
            }
        }
        for (name, value) in [("hears", heard as Value), ("believes", believed)] {
            for nodes in many() {
                if let Some(left) = self.ratio((Evenly, CHOKED, nodes), (Evenly, Way::Listening, nodes), value) {
                    figure(
                        report,
                        &format!("slow processor, {nodes} nodes: {name} of a fast one's"),
                        scaled(left, 0.01),
                        "%",
                    );
                }
            }
        }
    }

    /// What one who samples knows, and how many nodes would have to listen for it.
    fn tell_samples(&self, report: &mut Report) {
        let most = *self.size.counts.last().unwrap_or(&1);
        for &nodes in self.size.sampling {
            let crawler = (Evenly, Way::Sampling, nodes);
            let Some(knows) = Spread::of(0.0, &self.ends(crawler, believed)) else { continue };
            figure(report, &format!("{nodes} nodes with samples: believed"), knows, "");
            if let Some(ratio) = self.ratio(crawler, (Evenly, Way::Listening, nodes), believed) {
                figure(report, &format!("{nodes} nodes with samples, to listening: believed"), ratio, "times");
            }
            let when = self.hours_until_better(nodes, most);
            report.figure(&format!("{nodes} nodes with samples: ahead of {most} listening after"), when, "h", None);
            let listening = self.by_nodes(Evenly, Way::Listening, believed);
            report.figure(
                &format!("{nodes} nodes with samples: as much as listening"),
                equal(&listening, knows),
                "nodes",
                None,
            );
        }
        let few = self.size.sampling.first().copied().unwrap_or(1);
        if let Some(ratio) = self.ratio((Evenly, Way::Sampling, few), (Evenly, Way::Listening, most), believed) {
            let name = format!("{few} nodes with samples, to {most} listening: believed");
            report.figure(&name, ratio.mean, "times", Some(Target::AtLeast(1.0)));
        }
    }

    /// Hours until some nodes that sample know more than others that listen, for good.
    fn hours_until_better(&self, sampling: u16, listening: u16) -> f64 {
        let ours = self.over_time(Evenly, (Way::Sampling, sampling), believed);
        let theirs = self.over_time(Evenly, (Way::Listening, listening), believed);
        let behind = ours.iter().zip(&theirs).rposition(|(ours, theirs)| ours.mean <= theirs.mean);
        let at = behind.map_or(0, |at| at + 1);
        ours.get(at).map_or(f64::INFINITY, |point| point.x)
    }

    /// What a datagram, in or out, takes the core in the crawlers with the most nodes.
    fn microseconds(&self) -> f64 {
        let most = self.size.counts.last().copied().unwrap_or(1);
        let cost = |point: &Point| {
            point.processor.as_secs_f64() * 1e6 / (point.datagrams_in + point.datagrams_out).max(1) as f64
        };
        Spread::of(0.0, &self.ends((Evenly, Way::Listening, most), cost)).map_or(f64::NAN, |spread| spread.mean)
    }

    /// Every point of every run.
    fn write_points(&self, text: &mut String) {
        for run in &self.runs {
            let ids = if run.strategy == Evenly { "spread" } else { "random" };
            let way = match run.way {
                Way::Listening => "listening",
                Way::Sampling => "sampling",
                Way::Choked { .. } => "choked",
            };
            let Size { nodes, strict_of_ten, .. } = self.size;
            let run_columns = format!("{nodes},{strict_of_ten},{},{ids},{},{way},{}", run.seed, run.nodes, run.live);
            for point in &run.points {
                // Writing to a string cannot fail.
                let _ = write!(text, "{run_columns},{}", point.at.as_millis() / 60_000);
                for value in point.values() {
                    let _ = write!(text, ",{value}");
                }
                text.push('\n');
            }
        }
    }
}

/// The number of nodes at which a curve reaches a value. Beyond its end it goes on as if each further node brought as
/// much as those before: at best.
fn equal(curve: &[Spread], value: Spread) -> f64 {
    let reached = curve.iter().find(|point| point.mean >= value.mean).map(|point| point.x);
    let beyond = || curve.last().map(|last| last.x * value.mean / last.mean.max(1.0));
    reached.or_else(beyond).unwrap_or(f64::NAN)
}

fn scaled(spread: Spread, per: f64) -> Spread {
    Spread { mean: spread.mean / per, low: spread.low / per, high: spread.high / per, ..spread }
}

/// Part of its datagrams that a crawler loses at most: those that came and were lost are not among those that it counts.
fn lost(point: &Point) -> f64 {
    point.dropped as f64 / (point.datagrams_in + point.datagrams_out).max(1) as f64
}

/// A mean, with the least and the most of the seeds in the name.
fn figure(report: &mut Report, name: &str, spread: Spread, unit: &'static str) {
    let digits = if spread.high < 20.0 { 2 } else { 0 };
    let range = format!("({:.digits$} to {:.digits$})", spread.low, spread.high);
    report.figure(&format!("{name} {range}"), spread.mean, unit, None);
}
