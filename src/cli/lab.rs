//! `silverstream lab`

use std::path::PathBuf;

use clap::Args;

use super::context::{Context, Failure};
use super::output::table;
use crate::lab::{self, EXPERIMENTS, Experiment, LabError, Options, WITHOUT_SIMULATIONS};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  silverstream lab list                        the experiments with their targets
  silverstream lab startup
  silverstream lab all --quick --out bench-out

Exit status 1 if a target is missed.")]
pub struct LabArgs {
    /// An experiment, `list`, or `all`
    #[arg(value_name = "NAME")]
    name: String,
    /// End within a minute each
    #[arg(long)]
    quick: bool,
    /// Save reports, samples and plots here
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Where all randomness comes from
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub fn run(context: &Context, args: LabArgs) -> Result<(), Failure> {
    if args.name == "list" {
        return list(context);
    }
    let options = Options { quick: args.quick, seed: args.seed, out: args.out };
    let chosen: Vec<&Experiment> = if args.name == "all" {
        EXPERIMENTS.iter().collect()
    } else {
        vec![lab::find(&args.name).map_err(|error: LabError| Failure::Usage(error.to_string()))?]
    };
    let mut met = true;
    let mut reports = Vec::new();
    for experiment in chosen {
        let report =
            experiment.run(&options).map_err(|error| Failure::Other(format!("{}: {error}", experiment.name)))?;
        met &= report.met();
        if !context.json {
            context.print(&report.to_text())?;
        }
        reports.push(report);
    }
    if context.json {
        match reports.as_slice() {
            [report] => context.print_json(report)?,
            reports => context.print_json(&reports)?,
        }
    }
    if met { Ok(()) } else { Err(Failure::Reported) }
}

fn list(context: &Context) -> Result<(), Failure> {
    if context.json {
        let rows: Vec<_> = EXPERIMENTS
            .iter()
            .map(|e| serde_json::json!({ "name": e.name, "summary": e.summary, "targets": e.targets }))
            .collect();
        return context.print_json(&rows);
    }
    let rows: Vec<Vec<String>> =
        EXPERIMENTS.iter().map(|e| vec![e.name.to_owned(), e.summary.to_owned(), e.targets.to_owned()]).collect();
    for line in table(&rows, &[usize::MAX; 3]) {
        context.print(&line)?;
    }
    if let Some(sentence) = WITHOUT_SIMULATIONS {
        context.print(sentence)?;
    }
    Ok(())
}
