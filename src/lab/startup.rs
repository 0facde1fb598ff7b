//! How long it takes from the command to the first sample, for songs that are not on the disk.

use std::time::Duration;

use super::report::{Series, percentile};
use super::stage::Stage;
use super::world::music::Lengths;
use super::{Experiment, LabError, Options, Report, Target};
use crate::control::{Command, PlayState};
use crate::types::TrackId;

/// Plays of the quick form, at least 20 for a 95th percentile.
const QUICK_PLAYS: usize = 20;

/// How long one song may take to start before the experiment gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// First sound on a healthy local swarm.
pub const EXPERIMENT: Experiment = Experiment {
    name: "startup",
    summary: "from the command to the first sample, in a healthy swarm on this machine",
    targets: "median at most 500 ms, 95th percentile at most 1000 ms",
    run,
};

fn run(options: &Options) -> Result<Report, LabError> {
    let mut stage = Stage::set(options, Lengths { track_s: 10.0 })?;
    let mut tracks: Vec<TrackId> = stage.tracks(None)?.into_iter().map(|hit| hit.track).collect();
    tracks.sort_unstable();
    tracks.dedup();
    if options.quick {
        // Every so many-th, so that all formats take part.
        let step = (tracks.len() / QUICK_PLAYS).max(1);
        tracks = tracks.into_iter().step_by(step).take(QUICK_PLAYS).collect();
    }
    let mut times = Vec::new();
    for track in &tracks {
        times.push(play(&mut stage, *track)?);
    }
    let mut report =
        Report { experiment: "startup".into(), seed: options.seed, quick: options.quick, ..Report::default() };
    report.figure("plays", times.len() as f64, "", Some(Target::AtLeast(20.0)));
    report.figure("median", percentile(&times, 0.5), "ms", Some(Target::AtMost(500.0)));
    report.figure("95th percentile", percentile(&times, 0.95), "ms", Some(Target::AtMost(1000.0)));
    report.figure("slowest", percentile(&times, 1.0), "ms", None);
    report.series.push(Series {
        name: "plays".into(),
        x_label: "play",
        y_label: "startup_ms",
        points: times.iter().enumerate().map(|(index, time)| (index as f64, *time)).collect(),
    });
    report.notes.push("one seeder a torrent, on loopback; every song is fetched for the first time".into());
    Ok(report)
}

/// Milliseconds from the command to the first sample, by the jukebox's own clock.
fn play(stage: &mut Stage, track: TrackId) -> Result<f64, LabError> {
    stage.jukebox.ask(&Command::Play { track: Some(track) })?;
    let time = stage.jukebox.wait_until(PATIENCE, |jukebox| {
        let player = jukebox.status().ok()?.player;
        let is_this = player.track.as_ref().is_some_and(|info| info.track == track);
        player.startup_ms.filter(|_| is_this && player.state == PlayState::Playing)
    })?;
    stage.jukebox.ask(&Command::Stop)?;
    stage.jukebox.wait_until(PATIENCE, |jukebox| {
        jukebox.status().ok().filter(|status| status.player.state == PlayState::Stopped)
    })?;
    Ok(time)
}
