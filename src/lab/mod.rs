//! Experiments that measure the shipped code, and the private worlds that they and the demo run in.
//!
//! Figures that are claimed are experiments here: it has a name, a target and a quick form of a minute or two. Randomness comes from the seed that is printed. Those in simulated worlds need a computer's time and memory;
//! the cargo feature `simulations`, on by default, is off in builds for boards.

#[cfg(feature = "simulations")]
pub mod budget;
pub mod child;
pub mod demo;
#[cfg(feature = "simulations")]
pub mod flood;
#[cfg(feature = "simulations")]
pub mod histogram;
#[cfg(feature = "simulations")]
pub mod mainline;
pub mod memory;
#[cfg(feature = "simulations")]
pub mod montra;
#[cfg(feature = "simulations")]
pub mod nodes;
pub mod panel;
pub mod plot;
#[cfg(feature = "simulations")]
pub mod private;
pub mod report;
pub mod stage;
pub mod startup;
#[cfg(feature = "simulations")]
pub mod sweep;
#[cfg(feature = "simulations")]
pub mod truth;
#[cfg(feature = "simulations")]
pub mod udp;
mod visit;
pub mod world;

use std::path::PathBuf;

pub use report::{Report, Target};

/// How an experiment is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// A short form, with fewer repetitions.
    pub quick: bool,
    pub seed: u64,
    /// Where reports and plots go; nowhere if none.
    pub out: Option<PathBuf>,
}

/// Why an experiment could not be carried out (not: that it missed its target).
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// There is no such experiment.
    #[error("unknown experiment {0:?}; `silverstream lab list` names them")]
    Unknown(String),
    /// The world or the jukebox in it did not come to be.
    #[error("{what}: {source}")]
    Failed { what: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
}

impl LabError {
    /// For `map_err`: what was attempted, with the reason it failed.
    pub fn failed<E: Into<Box<dyn std::error::Error + Send + Sync>>>(what: &'static str) -> impl Fn(E) -> Self {
        move |source| Self::Failed { what, source: source.into() }
    }
}

/// One experiment.
pub struct Experiment {
    pub name: &'static str,
    /// What it shows, in one line.
    pub summary: &'static str,
    /// What its figures must reach, for people; "; " between them.
    pub targets: &'static str,
    run: fn(&Options) -> Result<Report, LabError>,
}

/// All experiments, in the order in which `lab all` runs them.
pub const EXPERIMENTS: &[Experiment] = &[
    startup::EXPERIMENT,
    panel::EXPERIMENT,
    memory::EXPERIMENT,
    #[cfg(feature = "simulations")]
    truth::EXPERIMENT,
    #[cfg(feature = "simulations")]
    sweep::EXPERIMENT,
    #[cfg(feature = "simulations")]
    nodes::EXPERIMENT,
    #[cfg(feature = "simulations")]
    flood::EXPERIMENT,
    #[cfg(feature = "simulations")]
    montra::EXPERIMENT,
    #[cfg(feature = "simulations")]
    budget::EXPERIMENT,
];

/// Said where this build has no simulated worlds.
pub const WITHOUT_SIMULATIONS: Option<&str> = if cfg!(feature = "simulations") {
    None
} else {
    Some("Experiments in simulated worlds are in builds for a computer (cargo feature \"simulations\").")
};

impl Experiment {
    /// Runs it, and saves the report where the options say so.
    ///
    /// # Errors
    /// If it cannot be carried out or the report not be saved.
    pub fn run(&self, options: &Options) -> Result<Report, LabError> {
        let report = (self.run)(options)?;
        if let Some(folder) = &options.out {
            report.save(folder).map_err(LabError::failed("the report cannot be saved"))?;
        }
        Ok(report)
    }
}

/// The experiment of that name.
///
/// # Errors
/// If there is none.
pub fn find(name: &str) -> Result<&'static Experiment, LabError> {
    EXPERIMENTS
        .iter()
        .find(|experiment| experiment.name == name)
        .ok_or_else(|| LabError::Unknown(name.chars().take(64).collect()))
}
