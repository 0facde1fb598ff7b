//! `silverstream queue`

use clap::{Args, Subcommand};

use super::context::{Context, Failure, unexpected};
use super::output::{Style, styled, table};
use super::play::find;
use crate::control::{Command, QueueState, Reply, TrackInfo};
use crate::types::Bytes;

/// Widest number, title, artist, format and size columns.
const COLUMN_BOUNDS: [usize; 5] = [5, 40, 30, 6, 10];

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  silverstream queue                           what plays and what comes
  silverstream queue add penguin parade
  silverstream queue remove 2
  silverstream queue clear")]
pub struct QueueArgs {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the queue
    List,
    /// Append a track, or the best song for some words
    Add {
        /// A track, or words to search for
        #[arg(required = true, value_name = "TRACK|WORDS")]
        what: Vec<String>,
    },
    /// Take out the entry with this number
    Remove {
        /// As `queue` numbers them
        #[arg(value_parser = clap::value_parser!(u32).range(1..))]
        number: u32,
    },
    /// Take everything out; what plays goes on
    Clear,
}

pub fn run(context: &Context, args: QueueArgs) -> Result<(), Failure> {
    match args.action.unwrap_or(Action::List) {
        Action::List => list(context),
        Action::Add { what } => {
            // Several tracks, or one song by its words.
            let tracks: Vec<_> = what.iter().filter_map(|word| word.parse().ok()).collect();
            if tracks.len() == what.len() {
                return context.order(&Command::QueueAdd { tracks }, "");
            }
            let found = find(context, &what)?;
            found.order(context, &Command::QueueAdd { tracks: vec![found.track] })
        }
        Action::Remove { number } => context.order(&Command::QueueRemove { position: number - 1 }, ""),
        Action::Clear => context.order(&Command::QueueClear, ""),
    }
}

fn list(context: &Context) -> Result<(), Failure> {
    let queue = match context.ask(&Command::QueueList)? {
        Reply::Queue(queue) => queue,
        other => return Err(unexpected(&other)),
    };
    if context.json {
        return context.print_json(&queue);
    }
    for line in lines(&queue) {
        context.print(&line)?;
    }
    Ok(())
}

fn lines(queue: &QueueState) -> Vec<String> {
    let row = |number: String, track: &TrackInfo| {
        vec![number, track.title.clone(), track.artist.clone(), track.format.clone(), Bytes(track.bytes).to_string()]
    };
    let mut rows: Vec<_> = queue.current.iter().map(|track| row("now".to_owned(), track)).collect();
    rows.extend(queue.upcoming.iter().enumerate().map(|(index, track)| row((index + 1).to_string(), track)));
    if rows.is_empty() {
        return vec![styled("nothing is queued; `silverstream queue add WORDS` adds a song", Style::Dim)];
    }
    table(&rows, &COLUMN_BOUNDS)
}
