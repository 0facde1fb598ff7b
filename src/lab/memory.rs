//! Resident memory and processor time while crawling with 8 nodes, indexing and playing FLAC.

use std::time::{Duration, Instant};

use super::report::{Series, percentile, slope};
use super::stage::Stage;
use super::world::music::Lengths;
use super::{Experiment, LabError, Options, Report, Target};
use crate::control::{Command, PlayState};
use crate::types::TrackId;

/// Bytes of a mebibyte.
const MIB: f64 = (1 << 20) as f64;

/// How long memory is watched, in the quick form and in the full one.
const WATCH: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(30 * 60)];

/// Between two samples.
const SAMPLE_EVERY: Duration = Duration::from_millis(500);

/// Songs are queued again when so few are left.
const REFILL_AT: u32 = 2;

/// Resident memory.
pub const EXPERIMENT: Experiment = Experiment {
    name: "memory",
    summary: "resident memory and processor time while crawling with 8 nodes, indexing and playing FLAC",
    targets: "at most 64 MiB resident; over 30 minutes at most 4 MiB an hour more",
    run,
};

fn run(options: &Options) -> Result<Report, LabError> {
    let mut stage = Stage::set(options, Lengths { track_s: 20.0 })?;
    let tracks: Vec<TrackId> = stage.tracks(Some("flac"))?.into_iter().map(|hit| hit.track).collect();
    stage.jukebox.ask(&Command::QueueAdd { tracks: tracks.clone() })?;
    stage.jukebox.ask(&Command::Play { track: None })?;
    stage.jukebox.wait_until(Duration::from_secs(20), |jukebox| {
        jukebox.status().ok().filter(|status| status.player.state == PlayState::Playing)
    })?;

    let start = Instant::now();
    let cpu = stage.jukebox.cpu_time();
    let (mut memory, mut playing) = (Vec::new(), 0usize);
    while start.elapsed() < WATCH[usize::from(!options.quick)] {
        let status = stage.jukebox.status()?;
        memory.push((start.elapsed().as_secs_f64(), status.memory.rss_bytes as f64 / MIB));
        playing += usize::from(status.player.state == PlayState::Playing);
        if status.player.queued <= REFILL_AT {
            stage.jukebox.ask(&Command::QueueAdd { tracks: tracks.clone() })?;
        }
        std::thread::sleep(SAMPLE_EVERY);
    }
    let watched = start.elapsed().as_secs_f64();
    let cpu = (stage.jukebox.cpu_time() - cpu).as_secs_f64() / watched;
    let status = stage.jukebox.status()?;

    let mut report =
        Report { experiment: "memory".into(), seed: options.seed, quick: options.quick, ..Report::default() };
    let sizes: Vec<f64> = memory.iter().map(|sample| sample.1).collect();
    report.figure("watched", watched, "s", None);
    report.figure("share of samples with sound", playing as f64 / memory.len() as f64, "", Some(Target::AtLeast(0.95)));
    report.figure("median resident", percentile(&sizes, 0.5), "MiB", None);
    report.figure("largest resident", percentile(&sizes, 1.0), "MiB", Some(Target::AtMost(64.0)));
    // Over half a minute the slope says nothing: caches are still filling.
    let target = (!options.quick).then_some(Target::AtMost(4.0));
    report.figure("slope", slope(&memory) * 3600.0, "MiB/h", target);
    report.figure("processor", cpu * 100.0, "% of a core", None);
    report.figure("underruns", status.player.underruns as f64, "", Some(Target::AtMost(0.0)));
    report.series.push(Series { name: "resident".into(), x_label: "s", y_label: "MiB", points: memory });
    report.notes.push(format!("{} nodes, {} tracks indexed", status.dht.nodes, status.index.tracks));
    Ok(report)
}
