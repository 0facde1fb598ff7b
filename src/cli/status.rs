//! `silverstream status`

use std::io::{IsTerminal, Write};
use std::time::Duration;

use clap::Args;

use super::context::{Context, Failure, unexpected};
use super::output::{Style, clock, count, span, styled};
use crate::control::client::ClientError;
use crate::control::{BudgetStatus, Command, PlayState, Reply, Status};
use crate::system::finding::{Finding, Verdict};
use crate::system::health::Machine;
use crate::system::limits;
use crate::types::{Bytes, Clock};

/// Between two looks with `--watch`.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// Lines of the short form, which leaves room for the rest of a login on the smallest terminal.
const BRIEF_LINES: usize = 12;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  silverstream status --watch                  every second until Ctrl-C
  silverstream status --brief                  one screen, as at a login; exit status 0 also without a jukebox")]
pub struct StatusArgs {
    /// Show it again every second until Ctrl-C; with --json a line a second
    #[arg(short, long)]
    watch: bool,
    /// What a person wants to know at a login
    #[arg(short, long, conflicts_with = "watch")]
    brief: bool,
}

pub fn run(context: &Context, args: StatusArgs) -> Result<(), Failure> {
    if args.brief && !context.json {
        return brief(context);
    }
    let mut seen = false;
    loop {
        let status = match context.ask(&Command::Status) {
            Ok(Reply::Status(status)) => Some(status),
            Ok(other) => return Err(unexpected(&other)),
            // It is started again just now, which is what is watched for.
            Err(Failure::Client(ClientError::NotRunning { .. })) if seen => None,
            Err(failure) => return Err(failure),
        };
        if args.watch && !context.json {
            separate(seen)?;
        }
        match &status {
            Some(status) if context.json => context.print_json(status)?,
            Some(status) => lines(status).iter().try_for_each(|line| context.print(line))?,
            None if context.json => {}
            None => context.print("the jukebox is not running; waits for it")?,
        }
        if !args.watch {
            return Ok(());
        }
        seen = true;
        std::thread::sleep(WATCH_EVERY);
    }
}

/// Before the next look: a terminal shows one at a time, a file keeps all.
fn separate(seen: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    if out.is_terminal() {
        // Cursor to the upper left corner, and erase from there (ECMA-48 CUP, ED).
        write!(out, "\x1b[H\x1b[J")
    } else if seen {
        writeln!(out)
    } else {
        Ok(())
    }
}

/// A login must go on whatever the jukebox does.
fn brief(context: &Context) -> Result<(), Failure> {
    let answer = context.ask(&Command::Status);
    let lines = match &answer {
        Ok(Reply::Status(status)) => brief_lines(status, &Machine::default().examine(Clock::start().unix())),
        Ok(other) => vec![unexpected(other).to_string()],
        Err(failure) => vec![
            styled(&format!("The jukebox does not answer: {failure}"), Style::Red),
            "`systemctl status silverstream` and `journalctl -u silverstream` say more.".to_owned(),
        ],
    };
    lines.iter().try_for_each(|line| context.print(line))
}

fn brief_lines(status: &Status, health: &[Finding]) -> Vec<String> {
    let Status { player, dht, index, storage, .. } = status;
    let mut lines = vec![format!(
        "{} {} on {}, up {}",
        styled("Silverstream", Style::Bold),
        status.version,
        status.board,
        span(status.uptime_s)
    )];
    lines.push(match (&player.track, player.state) {
        (Some(track), state) if state != PlayState::Stopped => {
            let (position, duration) = (clock(player.position_s), clock(player.duration_s));
            format!("{} {} – {}, {position} of {duration}", word(state), track.artist, track.title)
        }
        _ => "nothing plays".to_owned(),
    });
    lines.push(format!(
        "{} known, {}, {} of {} of music on the card",
        count(index.tracks, "song"),
        count(dht.contacts, "contact"),
        Bytes(storage.used_bytes),
        Bytes(storage.budget_bytes)
    ));
    lines.extend(status.problems.iter().map(|problem| styled(problem, Style::Red)));
    lines.extend(player.problem.iter().map(|problem| styled(problem, Style::Red)));
    let unwell = health.iter().filter(|finding| finding.verdict != Verdict::Good);
    lines.extend(unwell.map(|finding| styled(&format!("{}: {}", finding.what, finding.found), Style::Yellow)));
    lines.truncate(BRIEF_LINES - 1);
    lines.push(styled("silverstream status --watch, doctor, report, trace; silverstream --help", Style::Dim));
    lines
}

fn word(state: PlayState) -> String {
    match state {
        PlayState::Playing => styled("playing", Style::Green),
        PlayState::Buffering => styled("buffering", Style::Yellow),
        PlayState::Paused => "paused".to_owned(),
        PlayState::Stopped => "stopped".to_owned(),
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
    let state = word(player.state);
    lines.extend(limits::sentence(&status.limits).map(|limits| label("", format!("may take {limits}"))));
    lines.extend(status.problems.iter().map(|problem| label("problem", styled(problem, Style::Red))));
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
    if !status.budget.sentence.is_empty() {
        let BudgetStatus { sentence, samples_per_s, workers, .. } = &status.budget;
        lines.push(label(
            "",
            format!(
                "{sentence}; {} a second, at most {workers} fetched at once",
                count(u64::from(*samples_per_s), "sample")
            ),
        ));
    }
    let heard = count(dht.sightings, "sighting");
    lines.push(label(
        "",
        format!("{heard} of {}, {} dropped", count(dht.infohashes, "infohash").replace("hashs", "hashes"), dht.dropped),
    ));
    lines.push(label(
        "",
        format!(
            "{}, withheld: {} and {}",
            count(dht.flows, "flow"),
            count(dht.questions_withheld, "question"),
            count(dht.answers_withheld, "answer")
        ),
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

    #[test]
    fn a_login_shows_what_is_wrong_on_one_screen() {
        let health: Vec<Finding> = (0..40).map(|_| Finding::warning("heat", "82 °C", "air")).collect();
        let status = Status { problems: vec!["silverstream.toml, line 3: no".to_owned()], ..Status::default() };
        let lines = brief_lines(&status, &health);
        assert_eq!(lines.len(), BRIEF_LINES);
        let text = lines.join("\n");
        assert!(text.contains("nothing plays") && text.contains("line 3") && text.contains("heat: 82 °C"), "{text}");
        assert!(brief_lines(&Status::default(), &[]).len() < 6);
    }
}
