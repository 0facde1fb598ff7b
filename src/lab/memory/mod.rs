//! Resident memory and processor time while crawling with 8 nodes, indexing, fetching, uploading and playing FLAC.
//!
//! All of it goes on from the first moment to the last: new torrents appear in the world the whole time, the listener
//! plays only songs that the jukebox has never had, the storage is so small that each of them puts another one out, and
//! leeches download from the jukebox what it has just played. The seeders send only some times faster than FLAC plays, so
//! a download is under way much of the time.

mod scene;

use std::time::{Duration, Instant};

use super::report::{Series, percentile, slope};
use super::{Experiment, LabError, Options, Report, Target};
use scene::{Scene, Tally};

/// Bytes of a mebibyte.
const MIB: f64 = (1 << 20) as f64;

/// Resident memory at every moment, from the start of the process (the product's own aim).
const MAX_PEAK_MIB: f64 = 64.0;

/// Growth once everything has been in use for a while.
///
/// What it would find, by the paces of the full form: within an hour there are about 180 songs, 360 torrents, 180
/// evictions and 200,000 datagrams. So it is missed by whoever forgets to give back 24 KiB a song (a task, a decoder, an
/// open stream), 12 KiB a torrent (its entry in the session, the peers of one connection), or 21 bytes a datagram (a
/// transaction). Nothing of a jukebox grows for ever: every table is bounded, and the catalogue is on the disk.
const MAX_SLOPE_MIB_H: f64 = 4.0;

/// Samples before this share of the time are left out of the slope: caches fill, the heap finds its size.
const WARM_UP: f64 = 0.5;

/// Between two samples.
const SAMPLE_EVERY: Duration = Duration::from_millis(250);

/// Resident memory.
pub const EXPERIMENT: Experiment = Experiment {
    name: "memory",
    summary: "resident memory and processor time while crawling with 8 nodes, indexing, fetching, uploading and playing \
              FLAC",
    targets: "at most 64 MiB resident from the start on; in the second half of 30 minutes at most 4 MiB an hour more",
    run,
};

/// How long and how fast.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// How long memory is watched.
    watch: Duration,
    /// Between two new torrents.
    publish_every: Duration,
    /// Seconds of a song.
    song_s: f32,
    /// How long the jukebox is watched at rest afterwards.
    rest: Duration,
    /// Songs that are begun at least.
    songs: f64,
    /// `[storage] budget`, room for a few songs.
    budget: &'static str,
}

const QUICK: Pace = Pace {
    watch: Duration::from_secs(38),
    publish_every: Duration::from_secs(2),
    song_s: 8.0,
    rest: Duration::from_secs(5),
    songs: 3.0,
    budget: "3 MiB",
};

const FULL: Pace = Pace {
    watch: Duration::from_secs(30 * 60),
    publish_every: Duration::from_secs(10),
    song_s: 20.0,
    rest: Duration::from_secs(60),
    songs: 60.0,
    budget: "12 MiB",
};

/// What was measured.
struct Watched {
    /// Seconds and MiB.
    resident: Vec<(f64, f64)>,
    /// The same for heap and stacks alone.
    anonymous: Vec<(f64, f64)>,
    /// Samples with sound, since the first sound.
    sounding: Vec<bool>,
    peak: f64,
    /// Share of a core since the first sound, and at rest.
    playing_cpu: f64,
    resting_cpu: f64,
}

fn run(options: &Options) -> Result<Report, LabError> {
    let pace = if options.quick { QUICK } else { FULL };
    let mut scene = Scene::set(options, &pace)?;
    let watched = watch(&mut scene, &pace)?;
    report(options, &pace, &watched, &scene.tally()?)
}

fn watch(scene: &mut Scene, pace: &Pace) -> Result<Watched, LabError> {
    let begin = Instant::now();
    let (mut resident, mut anonymous, mut sounding) = (Vec::new(), Vec::new(), Vec::new());
    let mut first_sound = None;
    while begin.elapsed() < pace.watch {
        let sounds = scene.go_on()?;
        let (at, memory) = (begin.elapsed().as_secs_f64(), scene.jukebox().memory());
        resident.push((at, memory.resident as f64 / MIB));
        anonymous.push((at, memory.anonymous as f64 / MIB));
        if sounds && first_sound.is_none() {
            first_sound = Some((Instant::now(), scene.jukebox().cpu_time()));
        }
        if first_sound.is_some() {
            sounding.push(sounds);
        }
        std::thread::sleep(SAMPLE_EVERY);
    }
    let used = scene.jukebox().cpu_time();
    let playing_cpu =
        first_sound.map_or(f64::NAN, |(since, before)| (used - before).as_secs_f64() / since.elapsed().as_secs_f64());
    let peak = scene.jukebox().memory().peak as f64 / MIB;
    scene.rest()?;
    let (since, before) = (Instant::now(), scene.jukebox().cpu_time());
    std::thread::sleep(pace.rest);
    let resting_cpu = (scene.jukebox().cpu_time() - before).as_secs_f64() / since.elapsed().as_secs_f64();
    Ok(Watched { resident, anonymous, sounding, peak, playing_cpu, resting_cpu })
}

fn report(options: &Options, pace: &Pace, watched: &Watched, tally: &Tally) -> Result<Report, LabError> {
    let mut report =
        Report { experiment: "memory".into(), seed: options.seed, quick: options.quick, ..Report::default() };
    let minutes = pace.watch.as_secs_f64() / 60.0;
    let sizes = |points: &[(f64, f64)]| points.iter().map(|point| point.1).collect::<Vec<f64>>();
    let warm = |points: &[(f64, f64)]| {
        let from = (points.len() as f64 * WARM_UP) as usize;
        slope(&points[from..]) * 3600.0
    };
    let sounding = watched.sounding.iter().filter(|sounds| **sounds).count() as f64 / watched.sounding.len() as f64;
    report.figure("watched", minutes, "min", None);
    report.figure("peak resident", watched.peak, "MiB", Some(Target::AtMost(MAX_PEAK_MIB)));
    report.figure("median resident", percentile(&sizes(&watched.resident), 0.5), "MiB", None);
    report.figure("median of its heap and stacks", percentile(&sizes(&watched.anonymous), 0.5), "MiB", None);
    // Over half a minute it says nothing.
    let target = (!options.quick).then_some(Target::AtMost(MAX_SLOPE_MIB_H));
    report.figure("slope in the second half", warm(&watched.resident), "MiB/h", target);
    report.figure("slope of heap and stacks", warm(&watched.anonymous), "MiB/h", None);
    report.figure("processor while playing", watched.playing_cpu * 100.0, "% of a core", None);
    report.figure("processor while only crawling", watched.resting_cpu * 100.0, "% of a core", None);
    // What follows shows that the jukebox was at work.
    report.figure("share of the time with sound", sounding, "", Some(Target::AtLeast(0.9)));
    // Without a target: on a busy machine the process is not always let in time. The tests with ALSA demand none.
    report.figure("underruns", tally.underruns as f64, "", None);
    report.figure("songs begun, all new", tally.songs as f64, "", Some(Target::AtLeast(pace.songs)));
    report.figure("downloaded", tally.downloaded as f64 / MIB / minutes, "MiB/min", Some(Target::AtLeast(1.0)));
    report.figure("uploaded", tally.uploaded as f64 / MIB / minutes, "MiB/min", Some(Target::AtLeast(0.5)));
    report.figure("evicted", tally.evicted as f64 / MIB / minutes, "MiB/min", Some(Target::AtLeast(0.2)));
    report.figure("torrents published", tally.published as f64, "", None);
    let share = tally.indexed as f64 / tally.published.max(1) as f64;
    report.figure("share of them indexed", share, "", Some(Target::AtLeast(0.8)));
    report.figure("datagrams in and out", tally.datagrams as f64 / minutes / 60.0, "1/s", None);
    for (name, points) in [("resident", &watched.resident), ("heap and stacks", &watched.anonymous)] {
        report.series.push(Series { name: name.into(), x_label: "s", y_label: "MiB", points: points.clone() });
    }
    report
        .notes
        .push(format!("{} nodes; the peak is the kernel's high-water mark since the program was started", tally.nodes));
    Ok(report)
}
