//! `silverstream search`

use clap::Args;

use super::context::{Context, Failure, unexpected};
use super::output::{Style, count, styled, table, terminal_columns, width};
use crate::control::{Command, Reply, SearchHit, SearchMode, SearchResults};
use crate::types::Bytes;

/// Widest title, artist, album, format, size and peers; the track comes last, since it is long and only copied.
const COLUMN_BOUNDS: [usize; 6] = [36, 26, 30, 6, 10, 12];

/// The first three give way on a narrow terminal, but not below this.
const NARROWEST: usize = 8;

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
    let query = args.words.join(" ");
    if query.trim().is_empty() {
        return Err(Failure::Usage("name at least one word to search for".to_owned()));
    }
    let results = search(context, &query, args.limit, mode)?;
    if context.json {
        return context.print_json(&results);
    }
    if let Some(corrected) = &results.corrected {
        context.print(&styled(&format!("showing results for: {corrected}"), Style::Yellow))?;
    }
    if results.results.is_empty() {
        return context.print("nothing found; `silverstream status` shows how much is known so far");
    }
    let mut rows: Vec<Vec<String>> = results.results.iter().map(row).collect();
    let mut bounds = COLUMN_BOUNDS.to_vec();
    drop_empty_columns(&mut rows, &mut bounds);
    if let Some(columns) = terminal_columns() {
        narrow(&rows, &mut bounds, columns);
    }
    for line in table(&rows, &bounds) {
        context.print(&line)?;
    }
    let found = count(results.results.len() as u64, "song");
    context.print(&styled(
        &format!("{found} in {:.1} ms; `silverstream play TRACK` plays one", results.elapsed_ms),
        Style::Dim,
    ))
}

/// Leaves out what no result has.
fn drop_empty_columns(rows: &mut [Vec<String>], bounds: &mut Vec<usize>) {
    for column in (0..bounds.len()).rev() {
        if rows.iter().all(|row| row[column].is_empty()) {
            rows.iter_mut().for_each(|row| drop(row.remove(column)));
            bounds.remove(column);
        }
    }
}

/// Makes the widest columns narrower until a line, the track left out, fits into so many columns.
fn narrow(rows: &[Vec<String>], bounds: &mut [usize], columns: usize) {
    let widest = |column: usize| rows.iter().map(|row| width(&row[column])).max().unwrap_or(0);
    for (column, bound) in bounds.iter_mut().enumerate() {
        *bound = (*bound).min(widest(column));
    }
    while bounds.iter().map(|bound| bound + 2).sum::<usize>() > columns {
        let Some(bound) = bounds.iter_mut().filter(|bound| **bound > NARROWEST).max() else { return };
        *bound -= 1;
    }
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
        hit.title.clone(),
        hit.artist.clone(),
        hit.album.clone(),
        hit.format.clone(),
        Bytes(hit.bytes).to_string(),
        count(u64::from(hit.seeders), "peer"),
        hit.track.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_terminal_gets_narrow_columns_and_what_nobody_has_is_left_out() {
        let row = |title: &str, artist: &str| {
            [title, artist, "", "flac", "3 MiB", "2 peers", "aaaa/1"].map(str::to_owned).to_vec()
        };
        let mut rows = vec![row("A title that goes on for quite a while", "Somebody"), row("Short", "")];
        let mut bounds = COLUMN_BOUNDS.to_vec();
        drop_empty_columns(&mut rows, &mut bounds);
        assert_eq!((rows[0].len(), bounds.len()), (6, 5));
        narrow(&rows, &mut bounds, 50);
        let lines = table(&rows, &bounds);
        assert!(lines.iter().all(|line| width(line.trim_end_matches("aaaa/1")) <= 50), "{lines:#?}");
        assert!(lines[0].starts_with("A title that") && lines[1].ends_with("aaaa/1"), "{lines:#?}");
        narrow(&rows, &mut bounds, 10);
        assert!(bounds.iter().all(|bound| *bound <= NARROWEST));
    }
}
