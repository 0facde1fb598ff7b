//! `silverstream play`

use clap::Args;

use super::context::{Context, Failure, unexpected};
use super::search::search;
use crate::control::{Command, Reply, SearchHit, SearchMode};
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
    let found = find(context, &args.what)?;
    found.order(context, &Command::Play { track: Some(found.track) })
}

/// The track that was meant.
pub struct Found {
    pub track: TrackId,
    /// What the search says of it; nothing where it was named itself.
    hit: Option<SearchHit>,
}

impl Found {
    /// Sends the command and says which song it is about.
    pub fn order(&self, context: &Context, command: &Command) -> Result<(), Failure> {
        let called = match &self.hit {
            Some(hit) if hit.artist.is_empty() => hit.title.clone(),
            Some(hit) => format!("{} – {}", hit.artist, hit.title),
            None => String::new(),
        };
        if !context.json {
            return context.order(command, &called);
        }
        match context.ask(command)? {
            Reply::Done => {
                let hit = self.hit.as_ref();
                context.print_json(&serde_json::json!({
                    "ok": true,
                    "track": self.track,
                    "title": hit.map(|hit| &hit.title),
                    "artist": hit.map(|hit| &hit.artist),
                }))
            }
            other => Err(unexpected(&other)),
        }
    }
}

/// The track that these words name.
pub fn find(context: &Context, words: &[String]) -> Result<Found, Failure> {
    if let [word] = words
        && let Ok(track) = word.parse::<TrackId>()
    {
        return Ok(Found { track, hit: None });
    }
    let query = words.join(" ");
    let results = search(context, &query, 1, SearchMode::Fuzzy)?.results;
    let Some(hit) = results.into_iter().next() else {
        return Err(Failure::Other(format!(
            "no song found for {query:?}; try fewer words, or look with `silverstream search` and `silverstream status`"
        )));
    };
    Ok(Found { track: hit.track, hit: Some(hit) })
}
