//! `silverstream trace`

use clap::Args;

use super::context::{Context, Failure, unexpected};
use crate::control::{Command, Reply, TraceRing};
use crate::system::trace::story;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  silverstream trace           the last events, in seconds since the start of the jukebox
  silverstream trace --json | jq '.[].counters'")]
pub struct TraceArgs {
    /// Show so many events at most
    #[arg(short, long, default_value_t = 100, value_name = "NUMBER")]
    limit: usize,
}

pub fn run(context: &Context, args: TraceArgs) -> Result<(), Failure> {
    let rings = match context.ask(&Command::Trace)? {
        Reply::Trace { rings } => rings,
        other => return Err(unexpected(&other)),
    };
    if context.json {
        return context.print_json(&rings);
    }
    context
        .print("seconds since the start of the jukebox, room, event; the last lines count what each room has seen")?;
    lines(&rings, args.limit).iter().try_for_each(|line| context.print(line))
}

/// The events, then the counters of each room.
pub fn lines(rings: &[TraceRing], limit: usize) -> Vec<String> {
    let mut lines = story(rings, limit);
    for ring in rings {
        let counted: Vec<String> = ring
            .counters
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(kind, count)| format!("{kind} {count}"))
            .collect();
        if !counted.is_empty() {
            lines.push(format!("{:>10}  {:<8} {}", "in all", ring.room, counted.join(", ")));
        }
    }
    lines
}
