//! `silverstream add | share | unshare`

use std::path::PathBuf;

use clap::Args;

use super::context::{Context, Failure, unexpected};
use super::output::{Style, count, styled};
use crate::control::{Command, Reply};
use crate::types::InfoHash;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  silverstream add 'magnet:?xt=urn:btih:…'
  silverstream add album.torrent")]
pub struct AddArgs {
    /// A magnet link or the path of a .torrent file
    source: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  silverstream share ~/Music/my-album          prints the magnet link that friends can use

The files stay where they are and are never changed, moved or deleted.")]
pub struct ShareArgs {
    /// A file or folder; it must stay where it is
    path: PathBuf,
}

#[derive(Debug, Args)]
pub struct UnshareArgs {
    /// The magnet link that `share` printed, or its infohash
    #[arg(value_parser = parse_infohash)]
    infohash: InfoHash,
}

/// The infohash itself, or that of a magnet link.
fn parse_infohash(text: &str) -> Result<InfoHash, String> {
    let hash = text.split_once("btih:").map_or(text, |(_, rest)| rest.split('&').next().unwrap_or(rest));
    hash.parse().map_err(|error| format!("{error}"))
}

pub fn add(context: &Context, args: AddArgs) -> Result<(), Failure> {
    let source = if args.source.starts_with("magnet:") {
        args.source
    } else {
        // The jukebox runs in another folder.
        absolute(PathBuf::from(&args.source))?.to_string_lossy().into_owned()
    };
    torrent(context, &Command::Add { source })
}

pub fn share(context: &Context, args: ShareArgs) -> Result<(), Failure> {
    torrent(context, &Command::Share { path: absolute(args.path)? })
}

pub fn unshare(context: &Context, args: UnshareArgs) -> Result<(), Failure> {
    context.order(&Command::Unshare { infohash: args.infohash }, "")
}

fn absolute(path: PathBuf) -> Result<PathBuf, Failure> {
    path.canonicalize().map_err(|error| Failure::Other(format!("{}: {error}; check the path", path.display())))
}

fn torrent(context: &Context, command: &Command) -> Result<(), Failure> {
    let added = match context.ask(command)? {
        Reply::Torrent(added) => added,
        other => return Err(unexpected(&other)),
    };
    if context.json {
        return context.print_json(&added);
    }
    if added.name.is_empty() {
        let line = format!("{}: its metadata is being fetched; `silverstream search` finds it then", added.infohash);
        return context.print(&line);
    }
    let tracks = match added.tracks {
        0 => "no music in it, so `search` does not find it".to_owned(),
        tracks => count(u64::from(tracks), "track"),
    };
    context.print(&format!("{} ({tracks})", styled(&added.name, Style::Bold)))?;
    context.print(&added.magnet)
}
