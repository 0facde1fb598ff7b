//! `silverstream search`

use clap::Args;

use super::context::{Context, Failure, unexpected};
use super::output::{Style, count, styled, table};
use crate::control::{Command, Reply, SearchHit, SearchMode, SearchResults};
use crate::types::Bytes;

/// Widest title, artist and album columns.
const COLUMN_BOUNDS: [usize; 7] = [46, 36, 26, 30, 6, 10, 12];

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  silverstream search pengiun parade           finds \"Penguin Parade\"
  silverstream search --exact \"live at\"
  silverstream search --json lanterns | jq -r '.results[0].track'")]
pub struct SearchArgs {
    /// Words of title, artist, album or file name
    #[arg(required = true, value_name = "WORD")]
    words: Vec<String>,
    /// Take the words as they are written
    #[arg(long, conflicts_with = "prefix")]
    exact: bool,
    /// Take every word as the beginning of a longer one
    #[arg(long)]
    prefix: bool,
    /// Most results
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
}

pub fn run(context: &Context, args: SearchArgs) -> Result<(), Failure> {
    let mode = match (args.exact, args.prefix) {
        (true, _) => SearchMode::Exact,
        (_, true) => SearchMode::Prefix,
        _ => SearchMode::Fuzzy,
    };
    let results = search(context, &args.words.join(" "), args.limit, mode)?;
    if context.json {
        return context.print_json(&results);
    }
    if let Some(corrected) = &results.corrected {
        context.print(&styled(&format!("showing results for: {corrected}"), Style::Yellow))?;
    }
    if results.results.is_empty() {
        return context.print("nothing found; `silverstream status` shows how much is known so far");
    }
    let rows: Vec<Vec<String>> = results.results.iter().map(row).collect();
    for line in table(&rows, &COLUMN_BOUNDS) {
        context.print(&line)?;
    }
    let found = count(results.results.len() as u64, "song");
    context.print(&styled(
        &format!("{found} in {:.1} ms; `silverstream play TRACK` plays one", results.elapsed_ms),
        Style::Dim,
    ))
}

/// Asks for results of any face of the command line.
pub fn search(context: &Context, query: &str, limit: u32, mode: SearchMode) -> Result<SearchResults, Failure> {
    match context.ask(&Command::Search { query: query.to_owned(), limit, mode })? {
        Reply::Search(results) => Ok(results),
        other => Err(unexpected(&other)),
    }
}

fn row(hit: &SearchHit) -> Vec<String> {
    vec![
        hit.track.to_string(),
        hit.title.clone(),
        hit.artist.clone(),
        hit.album.clone(),
        hit.format.clone(),
        Bytes(hit.bytes).to_string(),
        count(u64::from(hit.seeders), "peer"),
    ]
}
