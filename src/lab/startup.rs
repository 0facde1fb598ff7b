//! How long it takes from the command to the first sample, for songs that are not on the disk.

use std::time::Duration;

use super::report::{Series, percentile};
use super::stage::Stage;
use super::world::music::Lengths;
use super::{Experiment, LabError, Options, Report, Target};
use crate::control::{Command, PlayState, StartupStatus};
use crate::types::TrackId;

/// Plays of the quick form, at least 20 for a 95th percentile.
const QUICK_PLAYS: usize = 20;

/// How long one song may take to start before the experiment gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// First sound on a healthy local swarm.
pub const EXPERIMENT: Experiment = Experiment {
    name: "startup",
    summary: "from the command to the first sample, in a healthy swarm on this machine",
    targets: "median at most 500 ms; 95th percentile at most 1000 ms",
    run,
};

/// One play, in milliseconds by the jukebox's own clock.
struct Play {
    track: TrackId,
    /// From the command to the first sample.
    total: f64,
    parts: StartupStatus,
}

/// What a play waits for, in this order.
type Part = (&'static str, fn(&StartupStatus) -> f64);
const PARTS: [Part; 4] = [
    ("room and session", |parts| parts.opening_ms),
    ("first bytes", |parts| parts.first_bytes_ms),
    ("enough to last", |parts| parts.enough_ms),
    ("decoder and output", |parts| parts.sound_ms),
];

/// Plays that are told of one by one, the slowest.
const TOLD: usize = 3;

fn run(options: &Options) -> Result<Report, LabError> {
    let mut stage = Stage::set("startup", options, Lengths { track_s: 10.0 })?;
    let mut tracks: Vec<TrackId> = stage.tracks(None)?.into_iter().map(|hit| hit.track).collect();
    tracks.sort_unstable();
    tracks.dedup();
    if options.quick {
        // Every so many-th, so that all formats take part.
        let step = (tracks.len() / QUICK_PLAYS).max(1);
        tracks = tracks.into_iter().step_by(step).take(QUICK_PLAYS).collect();
    }
    let mut plays = Vec::new();
    for track in &tracks {
        plays.push(play(&mut stage, *track)?);
    }
    Ok(report(options, plays))
}

fn report(options: &Options, mut plays: Vec<Play>) -> Report {
    let mut report =
        Report { experiment: "startup".into(), seed: options.seed, quick: options.quick, ..Report::default() };
    let times: Vec<f64> = plays.iter().map(|play| play.total).collect();
    report.figure("plays", times.len() as f64, "", Some(Target::AtLeast(20.0)));
    report.figure("median", percentile(&times, 0.5), "ms", Some(Target::AtMost(500.0)));
    report.figure("95th percentile", percentile(&times, 0.95), "ms", Some(Target::AtMost(1000.0)));
    report.figure("slowest", percentile(&times, 1.0), "ms", None);
    for (name, part) in PARTS {
        let spent: Vec<f64> = plays.iter().map(|play| part(&play.parts)).collect();
        report.figure(&format!("{name}, median"), percentile(&spent, 0.5), "ms", None);
        report.figure(&format!("{name}, most"), percentile(&spent, 1.0), "ms", None);
    }
    report.series.push(Series {
        name: "plays".into(),
        x_label: "play",
        y_label: "startup_ms",
        points: times.iter().enumerate().map(|(index, time)| (index as f64, *time)).collect(),
    });
    plays.sort_by(|one, other| other.total.total_cmp(&one.total));
    for Play { track, total, parts } in plays.iter().take(TOLD) {
        let spent: Vec<String> = PARTS.iter().map(|(name, part)| format!("{name} {:.0}", part(parts))).collect();
        report.notes.push(format!("slow: {track} {total:.0} ms: {}", spent.join(", ")));
    }
    report.notes.push("one seeder a torrent, on loopback; every song is fetched for the first time".into());
    report
}

fn play(stage: &mut Stage, track: TrackId) -> Result<Play, LabError> {
    stage.jukebox.ask(&Command::Play { track: Some(track) })?;
    let play = stage.jukebox.wait_until(PATIENCE, |jukebox| {
        let player = jukebox.status().ok()?.player;
        let is_this = player.track.as_ref().is_some_and(|info| info.track == track);
        let (total, parts) = (player.startup_ms?, player.startup?);
        (is_this && player.state == PlayState::Playing).then_some(Play { track, total, parts })
    })?;
    stage.jukebox.ask(&Command::Stop)?;
    stage.jukebox.wait_until(PATIENCE, |jukebox| {
        jukebox.status().ok().filter(|status| status.player.state == PlayState::Stopped)
    })?;
    Ok(play)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::InfoHash;

    #[test]
    fn the_slowest_plays_are_told_with_what_they_waited_for() {
        let track = |file| TrackId { infohash: InfoHash([7; 20]), file };
        let play = |file: u32, first_bytes_ms: f64| {
            let parts = StartupStatus { opening_ms: 10.0, first_bytes_ms, enough_ms: 5.0, sound_ms: 1.0 };
            Play { track: track(file), total: 16.0 + first_bytes_ms, parts }
        };
        let plays = (0..20).map(|file| play(file, if file == 7 { 4900.0 } else { f64::from(file) })).collect();
        let report = report(&Options { quick: true, seed: 1, out: None }, plays);
        assert!(report.met());
        assert_eq!(
            report.notes[0],
            format!(
                "slow: {} 4916 ms: room and session 10, first bytes 4900, \
            enough to last 5, decoder and output 1",
                track(7)
            )
        );
        let most = report.figures.iter().find(|figure| figure.name == "first bytes, most").unwrap();
        assert_eq!(most.value, 4900.0);
    }
}
