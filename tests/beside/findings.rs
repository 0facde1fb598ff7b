//! What came of it, and how it is told.

use serde::{Deserialize, Serialize};
use silverstream::lab::report::{Report, Target};

use super::contenders::Contender;
use super::scene::Size;

const MIB: f64 = 1024.0 * 1024.0;

/// Of one contender.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Findings {
    /// Distinct infohashes that exist, and that do not.
    pub right: u64,
    pub wrong: u64,
    /// Infohashes in all, as often as they were heard.
    pub messages: u64,
    pub cpu_seconds: f64,
    /// Of its process, in bytes.
    pub peak: u64,
    pub resident: u64,
    /// Datagrams of the world to it, and from it.
    pub sent: u64,
    pub received: u64,
}

impl Findings {
    /// Distinct true infohashes; each false one that was taken for true takes one away.
    fn score(&self) -> f64 {
        (self.right as f64 - self.wrong as f64).max(0.0)
    }

    fn per_cpu_second(&self) -> f64 {
        self.score() / self.cpu_seconds
    }

    fn per_mib(&self) -> f64 {
        self.score() / (self.peak as f64 / MIB)
    }
}

/// Adds all of it; the first of `all` is ours.
pub fn describe(all: &[(Contender, Findings)], size: &Size, report: &mut Report) {
    for (Contender { name, .. }, found) in all {
        for (what, value, unit) in [
            ("true infohashes", found.right as f64, ""),
            ("false infohashes", found.wrong as f64, ""),
            ("processor time", found.cpu_seconds, "s"),
            ("largest resident size", found.peak as f64 / MIB, "MiB"),
            ("datagrams, in and out", (found.sent + found.received) as f64, ""),
            ("heard per CPU second", found.per_cpu_second(), ""),
            ("heard per MiB", found.per_mib(), ""),
        ] {
            report.figure(&format!("{name}: {what}"), value, unit, None);
        }
    }
    // Who hears nothing is taken to have heard one, or the factors would say nothing.
    let Some(((_, ours), others)) = all.split_first() else { return };
    for (Contender { name, .. }, found) in others {
        let ahead = Some(Target::AtLeast(1.0));
        report.figure(
            &format!("ahead of {name} per CPU second"),
            ours.score() / found.score().max(1.0) * found.cpu_seconds / ours.cpu_seconds,
            "times",
            ahead,
        );
        let memory = found.peak as f64 / ours.peak as f64;
        report.figure(
            &format!("ahead of {name} per MiB"),
            ours.score() / found.score().max(1.0) * memory,
            "times",
            ahead,
        );
    }
    report.notes.push(format!(
        "each had one processor for {} s, in a world of {} nodes and {} torrents; heard is true less false, per CPU second \
         from the start of its process, per MiB of its largest resident size",
        size.time.as_secs(),
        size.nodes,
        size.torrents
    ));
    report.notes.extend(all.iter().map(|(contender, _)| format!("{} by {}", contender.name, contender.hears_by)));
}
