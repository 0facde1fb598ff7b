//! `silverstream play`

use clap::Args;

use super::context::{Context, Failure};
use super::search::search;
use crate::control::{Command, SearchMode};
use crate::types::TrackId;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  silverstream play penguin parade             the best song for these words
  silverstream play 4d84…a8d5/1                a track as `search` names it
  silverstream play                            go on with what was paused or is queued")]
pub struct PlayArgs {
    /// A track, or words to search for
    #[arg(value_name = "TRACK|WORDS")]
    what: Vec<String>,
}

pub fn run(context: &Context, args: PlayArgs) -> Result<(), Failure> {
    if args.what.is_empty() {
        return context.order(&Command::Play { track: None }, "");
    }
    let (track, title) = find(context, &args.what)?;
    context.order(&Command::Play { track: Some(track) }, &title)
}

/// The track that these words name, and how to call it.
pub fn find(context: &Context, words: &[String]) -> Result<(TrackId, String), Failure> {
    if let [word] = words
        && let Ok(track) = word.parse::<TrackId>()
    {
        return Ok((track, String::new()));
    }
    let query = words.join(" ");
    let results = search(context, &query, 1, SearchMode::Fuzzy)?.results;
    let Some(hit) = results.into_iter().next() else {
        return Err(Failure::Other(format!(
            "no song found for {query:?}; try fewer words, or look with `silverstream search` and `silverstream status`"
        )));
    };
    let title = if hit.artist.is_empty() { hit.title } else { format!("{} – {}", hit.artist, hit.title) };
    Ok((hit.track, title))
}
