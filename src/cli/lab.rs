//! `silverstream lab`

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::context::{Context, Failure};
use super::output::table;
#[cfg(feature = "simulations")]
use crate::lab::udp::{self, UdpConfig};
use crate::lab::{self, EXPERIMENTS, Experiment, LabError, Options, WITHOUT_SIMULATIONS};

/// Name in place of an experiment's.
const UDP_WORLD: &str = "udp-world";

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  silverstream lab list                        the experiments with their targets
  silverstream lab startup
  silverstream lab all --quick --out bench-out
  silverstream lab udp-world                   a simulated DHT for other programs, until it is stopped
  silverstream lab udp-world --nodes 50000 -- transmission-daemon -f

The world of udp-world has addresses of the whole Internet, in a network of its own that nothing leaves.
A program that is named runs in it, with addresses of nodes to begin with in SILVERSTREAM_BOOTSTRAP.

Exit status 1 if a target is missed.")]
pub struct LabArgs {
    /// An experiment, `list`, `all`, or `udp-world`
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
    /// Nodes of the world of `udp-world`
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(64..=1_000_000))]
    nodes: u32,
    /// With `udp-world`: a program that is run in it, and its arguments
    #[arg(last = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

pub fn run(context: &Context, args: LabArgs) -> Result<(), Failure> {
    if args.name == UDP_WORLD {
        return udp_world(context, &args);
    }
    if !args.program.is_empty() {
        return Err(Failure::Usage(format!("only `lab {UDP_WORLD}` runs another program")));
    }
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

#[cfg(not(feature = "simulations"))]
fn udp_world(_: &Context, _: &LabArgs) -> Result<(), Failure> {
    Err(Failure::Usage(WITHOUT_SIMULATIONS.unwrap_or_default().to_owned()))
}

/// Serves a simulated DHT, in a network of its own if this is not one.
#[cfg(feature = "simulations")]
fn udp_world(context: &Context, args: &LabArgs) -> Result<(), Failure> {
    let failed = |error: LabError| Failure::Other(error.to_string());
    let config = UdpConfig { nodes: args.nodes as usize, torrents: args.nodes as usize, seed: args.seed };
    let status = udp::serve(config, &args.program, |routers| {
        if context.json {
            return context.print_json(&serde_json::json!({ "bootstrap": routers }));
        }
        let routers: Vec<String> = routers.iter().map(ToString::to_string).collect();
        context.print(&format!("{} nodes; begin with {}", args.nodes, routers.join(" ")))
    });
    match status.map_err(failed)? {
        0 => Ok(()),
        status => Err(Failure::Other(format!("the program in the world ended with status {status}"))),
    }
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
