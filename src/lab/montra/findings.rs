//! What was measured inside, and the report on it outside.

use serde::{Deserialize, Serialize};

use super::{EXPERIMENT, MEMORY};
use crate::lab::report::Series;
use crate::lab::{Options, Report, Target};

const MIB: f64 = 1024.0 * 1024.0;

/// All figures.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Findings {
    /// Of the program.
    pub nodes: u64,
    pub nodes_wanted: u64,
    /// As many as the machine has files for.
    pub nodes_allowed: u64,
    /// What the program says of how many are at work.
    pub said: String,
    pub contacts: u64,
    pub world: u64,
    pub zone: String,
    /// Resident bytes: when it was known, at the end, and at most.
    pub settled: u64,
    pub resident: u64,
    pub peak: u64,
    /// Its nodes that the world knows, and places that they have in tables.
    pub outsiders: u64,
    pub entries: u64,
    pub steps: Vec<Step>,
    pub announces: Announces,
    /// Searches for anything, and inside the zone.
    pub bystanders: Pairs,
    pub inside: Pairs,
}

/// One rate of messages.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Step {
    /// A second.
    pub offered: f64,
    /// A second, read and written by the program.
    pub messages: f64,
    pub read: f64,
    /// Processor time of the program by time.
    pub cores: f64,
    /// The same of the world.
    pub world_cores: f64,
    /// From a question to the answer.
    pub median_ms: f64,
    pub high_ms: f64,
    pub unanswered: u64,
    pub dropped: u64,
}

/// Announces of clients inside the zone.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Announces {
    /// By clients that follow one node an address, and by the others.
    pub strict: u64,
    pub lax: u64,
    /// Of them taken by a node of the program.
    pub strict_heard: u64,
    pub lax_heard: u64,
}

/// The same searches without and with the program.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Pairs {
    pub count: u64,
    pub questions: Compared,
    pub steps: Compared,
}

/// Means without and with, and the standard error of their difference.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Compared {
    pub alone: f64,
    pub together: f64,
    pub error: f64,
}

/// What one search took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Effort {
    pub questions: u32,
    pub steps: u32,
}

impl Pairs {
    /// Of efforts without and with.
    pub fn of(pairs: &[(Effort, Effort)]) -> Self {
        let compare = |part: fn(&Effort) -> u32| {
            Compared::of(pairs.iter().map(|(alone, together)| (part(alone).into(), part(together).into())))
        };
        Self {
            count: pairs.len() as u64,
            questions: compare(|effort| effort.questions),
            steps: compare(|effort| effort.steps),
        }
    }
}

impl Compared {
    fn of(pairs: impl Iterator<Item = (f64, f64)> + Clone) -> Self {
        let count = pairs.clone().count() as f64;
        let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / count;
        let alone = mean(&mut pairs.clone().map(|pair| pair.0));
        let together = mean(&mut pairs.clone().map(|pair| pair.1));
        let variance = pairs.map(|pair| (pair.1 - pair.0 - together + alone).powi(2)).sum::<f64>() / (count - 1.0);
        Self { alone, together, error: (variance / count).sqrt() }
    }

    /// In percent, and its standard error.
    fn longer(self) -> (f64, f64) {
        (100.0 * (self.together / self.alone - 1.0), 100.0 * self.error / self.alone)
    }
}

impl Findings {
    pub fn report(&self, options: &Options) -> Report {
        let mut report = Report {
            experiment: EXPERIMENT.name.into(),
            seed: options.seed,
            quick: options.quick,
            ..Report::default()
        };
        report.figure("nodes", self.nodes as f64, "", Some(Target::AtLeast(self.nodes_wanted as f64)));
        if self.nodes_allowed < self.nodes_wanted {
            report.notes.push(format!(
                "this machine lets a process have too few files open for {} nodes, each of which has a socket; `ulimit -Hn` tells \
                 how many",
                self.nodes_wanted
            ));
        }
        report.notes.push(format!("the program says: {}", self.said));
        report.figure("resident, at most", self.peak as f64 / MIB, "MiB", Some(Target::AtMost(MEMORY as f64 / MIB)));
        report.figure("resident before the load", self.settled as f64 / MIB, "MiB", None);
        report.figure("resident at the end", self.resident as f64 / MIB, "MiB", None);
        self.add_speed(&mut report);
        self.add_hearing(&mut report);
        let Self { nodes, contacts, world, zone, outsiders, entries, .. } = self;
        report.notes.push(format!(
            "{nodes} nodes in {zone}, which know {contacts} contacts, and a world of {world} that knows {outsiders} of them, each in \
             {:.1} tables",
            *entries as f64 / (*outsiders).max(1) as f64
        ));
        report.notes.push(
            "messages are datagrams read and written by the program on one processor; replies are timed in the world's \
             own process"
                .into(),
        );
        report
    }

    fn add_speed(&self, report: &mut Report) {
        for step in &self.steps {
            let name = |what: &str| format!("{what}, {:.0} offered", step.offered);
            let last = self.steps.last().is_some_and(|last| last.offered == step.offered);
            let target = |target| last.then_some(target);
            report.figure(&name("messages"), step.messages, "/s", target(Target::AtLeast(50_000.0)));
            report.figure(&name("processor"), step.cores, "cores", target(Target::AtMost(1.0)));
            report.figure(&name("processor of the world"), step.world_cores, "cores", None);
            report.figure(&name("messages a processor second"), step.messages / step.cores, "", None);
            report.figure(&name("reply, median"), step.median_ms, "ms", None);
            report.figure(&name("reply, 99th percentile"), step.high_ms, "ms", target(Target::AtMost(5.0)));
            report.figure(&name("unanswered"), step.unanswered as f64, "", None);
            report.figure(&name("dropped by full sockets"), step.dropped as f64, "", None);
        }
        let curve = |name: &str, y_label, value: fn(&Step) -> f64| Series {
            name: name.into(),
            x_label: "messages a second",
            y_label,
            points: self.steps.iter().map(|step| (step.messages, value(step))).collect(),
        };
        report.series.push(curve("replies", "99th percentile, ms", |step| step.high_ms));
        report.series.push(curve("processor", "cores", |step| step.cores));
    }

    fn add_hearing(&self, report: &mut Report) {
        let Announces { strict, lax, strict_heard, lax_heard } = self.announces;
        let share = |part: u64, whole: u64| 100.0 * part as f64 / whole.max(1) as f64;
        let (all, heard) = (strict + lax, strict_heard + lax_heard);
        report.figure("announces in the zone heard", share(heard, all), "%", Some(Target::AtLeast(90.0)));
        report.figure("by those that follow one node an address", share(strict_heard, strict), "%", None);
        report.figure("by the others", share(lax_heard, lax), "%", None);
        report.figure("announces in the zone", all as f64, "", None);
        for (whose, pairs, target) in
            [("of bystanders", self.bystanders, Some(Target::AtMost(1.0))), ("inside the zone", self.inside, None)]
        {
            for (what, compared) in [("questions", pairs.questions), ("steps", pairs.steps)] {
                let (longer, error) = compared.longer();
                report.figure(&format!("lookups {whose}, more {what}"), longer, "%", target);
                report.notes.push(format!(
                    "lookups {whose}: {:.2} {what} without, {:.2} with; the difference is {longer:.2} % with a standard error \
                     of {error:.2} %, from {} pairs",
                    compared.alone, compared.together, pairs.count
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_compared() {
        let effort = |questions| Effort { questions, steps: 5 };
        let pairs = Pairs::of(&[(effort(10), effort(11)), (effort(20), effort(21)), (effort(30), effort(34))]);
        assert_eq!((pairs.questions.alone, pairs.questions.together), (20.0, 22.0));
        // The differences 1, 1 and 4 have a variance of 3.
        assert!((pairs.questions.error - 1.0).abs() < 1e-12);
        assert!((pairs.questions.longer().0 - 10.0).abs() < 1e-9);
        assert_eq!(pairs.steps.longer(), (0.0, 0.0));
    }

    #[test]
    fn a_report_of_good_findings_is_met_and_of_bad_ones_is_not() {
        let compared = Compared { alone: 20.0, together: 20.1, error: 0.05 };
        let pairs = Pairs { count: 1_000, questions: compared, steps: compared };
        let step = Step { offered: 55_000.0, messages: 54_000.0, cores: 0.9, high_ms: 2.0, ..Step::default() };
        let findings = Findings {
            nodes: 32_768,
            nodes_wanted: 32_768,
            peak: 100 << 20,
            steps: vec![step],
            announces: Announces { strict: 100, lax: 100, strict_heard: 85, lax_heard: 99 },
            bystanders: pairs,
            inside: pairs,
            ..Findings::default()
        };
        let options = Options { quick: true, seed: 1, out: None };
        let met = |findings: &Findings| findings.report(&options).met();
        assert!(met(&findings), "{}", findings.report(&options).to_text());
        assert!(!met(&Findings { peak: 129 << 20, ..findings.clone() }));
        assert!(!met(&Findings { nodes: 20_000, ..findings.clone() }));
        assert!(!met(&Findings {
            announces: Announces { strict_heard: 70, ..findings.announces },
            ..findings.clone()
        }));
        let slow = Step { high_ms: 5.1, ..findings.steps[0].clone() };
        assert!(!met(&Findings { steps: vec![slow], ..findings.clone() }));
        let longer = Pairs { questions: Compared { together: 20.3, ..compared }, ..pairs };
        assert!(!met(&Findings { bystanders: longer, ..findings }));
    }
}
