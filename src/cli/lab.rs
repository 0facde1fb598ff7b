//! `silverstream lab`

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::context::{Context, Failure};
#[cfg(feature = "simulations")]
use crate::lab::udp::{self, UdpConfig};
use crate::lab::{self, EXPERIMENTS, Experiment, LabError, Options, WITHOUT_SIMULATIONS};

/// Name in place of an experiment's.
const UDP_WORLD: &str = "udp-world";
/// Nodes of its world if nothing is said.
const UDP_WORLD_NODES: u32 = 20_000;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  silverstream lab list        the experiments with their targets
  silverstream lab startup
  silverstream lab all --quick --out bench-out
  silverstream lab udp-world   a simulated DHT for other programs, until it is stopped
  silverstream lab udp-world --nodes 50000 -- transmission-daemon -f

The world of udp-world has addresses of the whole Internet, in a network of its own that nothing \
leaves. A program that is named runs in it, with addresses of nodes to begin with in SILVERSTREAM_BOOTSTRAP.

Exit status 1 if a target is missed.")]
pub struct LabArgs {
    /// An experiment, `list`, `all`, or `udp-world`
    #[arg(value_name = "NAME")]
    name: String,
    /// In a short form, of a minute or two each
    #[arg(long)]
    quick: bool,
    /// Save reports, samples and plots here
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Where all randomness comes from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// With `udp-world`: nodes of the world [default: 20000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(64..=1_000_000))]
    nodes: Option<u32>,
    /// With `udp-world`: a program that is run in it, and its arguments
    #[arg(last = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

pub fn run(context: &Context, args: LabArgs) -> Result<(), Failure> {
    if args.name == UDP_WORLD {
        if args.quick || args.out.is_some() {
            return Err(Failure::Usage(format!("`lab {UDP_WORLD}` is no experiment: it has no --quick and no --out")));
        }
        return udp_world(context, &args);
    }
    if !args.program.is_empty() {
        return Err(Failure::Usage(format!("only `lab {UDP_WORLD}` runs another program")));
    }
    if args.nodes.is_some() {
        let sentence = "has --nodes; experiments have sizes of their own, and smaller ones with --quick";
        return Err(Failure::Usage(format!("only `lab {UDP_WORLD}` {sentence}")));
    }
    if args.name == "list" {
        if args.quick || args.out.is_some() {
            return Err(Failure::Usage("`lab list` runs nothing: it has no --quick and no --out".to_owned()));
        }
        return list(context);
    }
    let options = Options { quick: args.quick, seed: args.seed, out: args.out };
    let chosen: Vec<&Experiment> = if args.name == "all" {
        EXPERIMENTS.iter().collect()
    } else {
        vec![lab::find(&args.name).map_err(|error: LabError| Failure::Usage(error.to_string()))?]
    };
    let mut met = true;
    let (mut reports, mut errors) = (Vec::new(), Vec::new());
    for experiment in chosen {
        match experiment.run(&options) {
            Ok(report) => {
                met &= report.met();
                if !context.json {
                    context.print(&report.to_text())?;
                }
                reports.push(report);
            }
            Err(error) => errors.push(format!("{}: {error}", experiment.name)),
        }
    }
    if context.json {
        match reports.as_slice() {
            [] => {}
            [report] if args.name != "all" => context.print_json(report)?,
            reports => context.print_json(&reports)?,
        }
    }
    // What one experiment lacks on this machine is not to take away what the others found.
    if !errors.is_empty() {
        return Err(Failure::Other(errors.join("\n")));
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
    let nodes = args.nodes.unwrap_or(UDP_WORLD_NODES);
    let config = UdpConfig { nodes: nodes as usize, torrents: nodes as usize, seed: args.seed };
    let status = udp::serve(config, &args.program, |routers| {
        if context.json {
            return context.print_json(&serde_json::json!({ "bootstrap": routers }));
        }
        let routers: Vec<String> = routers.iter().map(ToString::to_string).collect();
        context.print(&format!("{nodes} nodes; begin with {}", routers.join(" ")))
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
    for experiment in EXPERIMENTS {
        context.print(&format!("{}: {}", experiment.name, experiment.summary))?;
        for target in experiment.targets.split("; ") {
            context.print(&format!("    {target}"))?;
        }
    }
    context.print(&format!("\n`lab {UDP_WORLD}` serves a simulated DHT to other programs."))?;
    if let Some(sentence) = WITHOUT_SIMULATIONS {
        context.print(sentence)?;
    }
    Ok(())
}
