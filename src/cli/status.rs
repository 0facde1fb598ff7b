//! `silverstream status`

use std::io::{IsTerminal, Write};
use std::iter;
use std::time::Duration;

use clap::Args;

use super::context::{Context, Failure, unexpected};
use super::output::{Style, clock, count, span, styled};
use crate::control::client::ClientError;
use crate::control::{BudgetStatus, Command, DhtStatus, PlayState, Reply, Status};
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
  silverstream status --watch   every second until Ctrl-C
  silverstream status --brief   one screen, as at a login; exit status 0 also without a jukebox

What it says of the DHT: how many nodes of its own are at work and why not more, and the nodes of others \
that it knows (contacts); what it asks; infohashes that it found credible since the start, by what told of \
them, and those in the catalogue; the addresses it talks to just now (flows, which a router has to keep), \
and what it did not ask or answer so as not to burden others, the router or the line.")]
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
    for (name, text) in iter::once("dht").chain(iter::repeat("")).zip(dht_lines(dht, &status.budget)) {
        lines.push(label(name, text));
    }
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

/// What the crawler does and why, what it hears, and what it holds back.
fn dht_lines(dht: &DhtStatus, budget: &BudgetStatus) -> Vec<String> {
    let nodes = count(dht.nodes.into(), "node");
    let at_work = if budget.sentence.is_empty() { &nodes } else { &budget.sentence };
    let mut lines = vec![format!("{at_work}; {}", count(dht.contacts, "contact"))];
    if !budget.sentence.is_empty() {
        let asked = count(budget.samples_per_s.into(), "node");
        let fetched = count(budget.workers.into(), "torrent");
        lines.push(format!("asks up to {asked} a second for samples, and for metadata of up to {fetched} at once"));
    }
    let DhtStatus { found_by_get_peers: asked_for, found_by_announces: announced, found_by_samples: shown, .. } = dht;
    lines.push(format!(
        "heard of since the start: {shown} by samples, {asked_for} by questions, {announced} by announces; {} in the catalogue",
        dht.infohashes
    ));
    let (flows, questions) = (count(dht.flows, "flow"), count(dht.questions_withheld, "question"));
    let answers = count(dht.answers_withheld, "answer");
    lines.push(format!(
        "{flows}, withheld: {questions} and {answers}; {} not understood or beyond a bound",
        dht.dropped
    ));
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
    fn what_is_known_of_the_dht_tells_counts_since_the_start_from_the_catalogue() {
        let dht =
            DhtStatus { found_by_samples: 7_120, found_by_announces: 3, infohashes: 400_312, ..Default::default() };
        let sentence = "8 nodes at work: more is not worth its cost".to_owned();
        let budget = BudgetStatus { sentence, samples_per_s: 10, workers: 1, ..Default::default() };
        let lines = dht_lines(&dht, &budget);
        assert_eq!(lines[0], "8 nodes at work: more is not worth its cost; 0 contacts");
        assert_eq!(lines[1], "asks up to 10 nodes a second for samples, and for metadata of up to 1 torrent at once");
        let heard =
            "heard of since the start: 7120 by samples, 0 by questions, 3 by announces; 400312 in the catalogue";
        assert_eq!(lines[2], heard);
        assert_eq!(dht_lines(&dht, &BudgetStatus::default())[0], "0 nodes; 0 contacts");
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
