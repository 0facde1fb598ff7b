//! `silverstream demo`

use std::path::PathBuf;

use clap::Args;

use super::context::{Context, Failure};
use crate::lab::demo;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  silverstream demo                            composed music; the panel in this terminal
  silverstream demo --music ~/Music            your own albums, one torrent for each folder or file
  silverstream demo </dev/null                 a scripted visit that leaves a WAV and pictures

Nothing leaves this machine: all addresses are loopback ones.")]
pub struct DemoArgs {
    /// Share the music below this folder instead of composed pieces
    #[arg(long, value_name = "DIR")]
    music: Option<PathBuf>,
    /// Where sound, pictures and summary go
    #[arg(long, value_name = "DIR", default_value = "demo-out")]
    out: PathBuf,
    /// Make the scripted visit even on a terminal
    #[arg(long)]
    script: bool,
    /// DHT nodes of the world
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(16..=1024))]
    nodes: u16,
    /// What the composed music and the world are made from
    #[arg(long, default_value_t = 2018)]
    seed: u64,
}

pub fn run(context: &Context, args: DemoArgs) -> Result<(), Failure> {
    let options = demo::DemoOptions {
        music: args.music,
        out: args.out,
        script: args.script,
        nodes: usize::from(args.nodes),
        seed: args.seed,
    };
    let summary = demo::run(&options).map_err(|error| Failure::Other(error.to_string()))?;
    match summary {
        Some(summary) if context.json => context.print_json(&summary),
        Some(summary) => context.print(&summary.to_text()),
        None => Ok(()),
    }
}
