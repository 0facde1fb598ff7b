//! `silverstream status`

use std::io::Write;
use std::time::Duration;

use clap::Args;

use super::context::{Context, Failure, unexpected};
use super::output::{Style, clock, colour, count, span, styled};
use crate::control::{Command, PlayState, Reply, Status};
use crate::types::Bytes;

/// Between two looks with `--watch`.
const WATCH_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Show it again every second until Ctrl-C; with --json a line a second
    #[arg(short, long)]
    watch: bool,
}

pub fn run(context: &Context, args: StatusArgs) -> Result<(), Failure> {
    loop {
        let status = match context.ask(&Command::Status)? {
            Reply::Status(status) => status,
            other => return Err(unexpected(&other)),
        };
        if context.json {
            context.print_json(&status)?;
        } else {
            if args.watch && colour() {
                // Cursor to the upper left corner, and erase from there (ECMA-48 CUP, ED).
                write!(std::io::stdout(), "\x1b[H\x1b[J")?;
            }
            for line in lines(&status) {
                context.print(&line)?;
            }
        }
        if !args.watch {
            return Ok(());
        }
        std::thread::sleep(WATCH_EVERY);
    }
}

fn lines(status: &Status) -> Vec<String> {
    let Status { player, dht, index, storage, seeding, .. } = status;
    let label = |name: &str, text: String| format!("{} {text}", styled(&format!("{name:<10}"), Style::Dim));
    let mut lines = vec![label(
        "jukebox",
        format!(
            "{} on {}, up {}, {} in memory",
            status.version,
            status.board,
            span(status.uptime_s),
            Bytes(status.memory.rss_bytes)
        ),
    )];
    let state = match player.state {
        PlayState::Playing => styled("playing", Style::Green),
        PlayState::Buffering => styled("buffering", Style::Yellow),
        PlayState::Paused => "paused".to_owned(),
        PlayState::Stopped => "stopped".to_owned(),
    };
    lines.push(label("player", format!("{state}, volume {} %, {} queued", player.volume, player.queued)));
    if let Some(track) = &player.track {
        let artist = if track.artist.is_empty() { String::new() } else { format!("{} – ", track.artist) };
        lines.push(label("", styled(&format!("{artist}{}", track.title), Style::Bold)));
        let startup = player.startup_ms.map(|ms| format!(", first sound after {ms:.0} ms")).unwrap_or_default();
        let (position, duration) = (clock(player.position_s), clock(player.duration_s));
        lines.push(label("", format!("{position} of {duration}, {:.0} s ahead{startup}", player.buffered_s)));
    }
    if let Some(problem) = &player.problem {
        lines.push(label("", styled(problem, Style::Red)));
    }
    if player.underruns > 0 {
        lines.push(label("", styled(&count(player.underruns, "underrun"), Style::Yellow)));
    }
    lines.push(label("dht", format!("{}, {}", count(dht.nodes.into(), "node"), count(dht.contacts, "contact"))));
    let heard = count(dht.sightings, "sighting");
    lines.push(label(
        "",
        format!("{heard} of {}, {} dropped", count(dht.infohashes, "infohash").replace("hashs", "hashes"), dht.dropped),
    ));
    lines.push(label("index", format!("{} in {}", count(index.tracks, "track"), count(index.torrents, "torrent"))));
    let (queued, fetched, failed) = (index.queued, index.fetched, index.failed);
    lines.push(label(
        "",
        format!("{queued} waiting, {fetched} fetched, {failed} attempts failed, {}", Bytes(index.bytes)),
    ));
    lines.push(label(
        "storage",
        format!(
            "{} of {}, {} evicted",
            Bytes(storage.used_bytes),
            Bytes(storage.budget_bytes),
            Bytes(storage.evicted_bytes)
        ),
    ));
    let (torrents, peers) = (count(seeding.torrents, "torrent"), count(seeding.peers, "peer"));
    lines.push(label("seeding", format!("{torrents} to {peers}, {} given", Bytes(seeding.uploaded_bytes))));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_status_reads_well() {
        let text = lines(&Status::default()).join("\n");
        assert!(text.contains("stopped") && text.contains("0 tracks in 0 torrents"), "{text}");
    }
}
