//! What a flood of hostile datagrams does to the crawler, and to the music.
//!
//! First the crawler's core, under virtual time, in a network that is well: hostile datagrams of all kinds come in, and
//! after each millisecond all tables are looked at. Then a whole jukebox on this machine that plays, and is sent the same
//! through its sockets.

use std::collections::BTreeMap;
use std::time::Duration;

use super::mainline::stage::{self, Happening, Stage};
use super::mainline::{Mix, Torrents, World, processor_time};
use super::{Experiment, LabError, Options, Report, Target};
use crate::config::IdStrategy;
use crate::crawler::CoreEvent;
use crate::dht::Fill;
use crate::dht::krpc::{Body, Message};
use crate::jukebox::resident_bytes;
use hostile::{Hostile, Letter};

mod hostile;
pub mod loopback;

/// What a flood does.
pub const EXPERIMENT: Experiment = Experiment {
    name: "flood",
    summary: "100,000 hostile datagrams a second: how full the tables get, what is sent, what it costs, and whether the \
              music plays on",
    targets: "no table beyond its bound; nothing made up believed; replies within their budget; at most 1 s of a processor \
              for 100,000 datagrams; the jukebox takes in at least 50,000 a second and grows by at most 24 MiB; 0 underruns",
    run,
};

/// Hostile datagrams in a millisecond.
const PER_MS: usize = 100;
/// Nodes of the crawler, as a jukebox has by default.
const CRAWLERS: u16 = 8;
/// To fill the tables with good contacts before the flood.
const SETTLING: Duration = Duration::from_secs(120);
/// Bytes a second that the crawler may spend on replies, and seconds that it may save up (`crawler::Core`).
const REPLY_BUDGET: f64 = 128.0 * 1024.0;
const SAVED_UP_S: f64 = 4.0;
/// Questions in a second that a flood may lure us into, few beside what a home's line bears; and those that all nodes
/// have room for at once.
const MAX_LURED: f64 = 100.0;
const LURED_AT_ONCE: f64 = 128.0;
/// More than this and one core of this machine could not keep up.
const MAX_CPU_S: f64 = 1.0;
/// All tables, when they are as full as they get, and what the allocator keeps: less than what a playing jukebox leaves
/// of its 64 MiB (`lab memory`).
const MAX_GROWTH_MIB: f64 = 24.0;
/// Nothing grows on once the tables are full.
const MAX_LATE_GROWTH_MIB: f64 = 2.0;
const MIB: f64 = 1024.0 * 1024.0;

struct Size {
    /// Of the network.
    nodes: usize,
    torrents: usize,
    flood: Duration,
    /// With sockets and music.
    playing: Duration,
}

const QUICK: Size =
    Size { nodes: 5_000, torrents: 2_000, flood: Duration::from_secs(10), playing: Duration::from_secs(15) };
const FULL: Size =
    Size { nodes: 50_000, torrents: 20_000, flood: Duration::from_secs(120), playing: Duration::from_secs(60) };

/// What was seen of the core.
#[derive(Debug, Default)]
struct Seen {
    datagrams: u64,
    /// The fullest that each table was.
    fills: BTreeMap<&'static str, Fill>,
    replies: u64,
    reply_bytes: u64,
    /// Questions of the crawler to the flooders, and to the others.
    lured: u64,
    asked: u64,
    /// Made-up infohashes that it believed.
    invented: u64,
    cpu: Duration,
    /// Of resident memory, in MiB, and of that in the second half, when all tables have long been full.
    growth: f64,
    late_growth: f64,
}

fn run(options: &Options) -> Result<Report, LabError> {
    let size = if options.quick { QUICK } else { FULL };
    let seen = flood(&size, options.seed);
    let mut report =
        Report { experiment: "flood".into(), seed: options.seed, quick: options.quick, ..Report::default() };
    tell(&mut report, &seen, size.flood);
    loopback::run(options, size.playing, &mut report)?;
    Ok(report)
}

/// Floods the core of a crawler.
fn flood(size: &Size, seed: u64) -> Seen {
    let mut stage = Stage::new(CRAWLERS, seed, IdStrategy::Spread, |ids| {
        let world = World::new(size.nodes, Mix::MAINLINE, (stage::CRAWLER, ids), seed);
        let torrents = Torrents::new(&world, size.torrents, seed ^ 1);
        (world, torrents)
    });
    stage.run_until(stage.now + SETTLING, |_, _| {});
    let mut hostile = Hostile::new(seed ^ 2, u32::from(CRAWLERS), stage.core.ids().collect());
    let mut seen = Seen::default();
    let (begun, end) = (stage.now, stage.now + size.flood);
    let (before, mut halfway) = (resident_bytes(), None);
    let mut letters = Vec::with_capacity(PER_MS);
    while stage.now < end {
        if stage.now.since(begun) >= size.flood / 2 {
            halfway.get_or_insert_with(resident_bytes);
        }
        letters.clear();
        letters.extend((0..PER_MS).map(|_| hostile.next()));
        let started = processor_time();
        for Letter { node, from, datagram } in &letters {
            stage.core.handle_datagram(stage.now, *node, *from, datagram);
        }
        seen.cpu += processor_time().saturating_sub(started);
        seen.datagrams += letters.len() as u64;
        for fill in stage.core.fills() {
            seen.fills.entry(fill.of).and_modify(|fullest| *fullest = fullest.fuller(fill)).or_insert(fill);
        }
        stage.run_until(stage.now + Duration::from_millis(1), |stage, happening| match happening {
            Happening::Asked(_) => seen.asked += 1,
            Happening::Replied(reply) => match Message::parse(&reply.payload) {
                Ok(Message { body: Body::Query { .. }, .. }) => seen.lured += 1,
                _ => {
                    seen.replies += 1;
                    seen.reply_bytes += reply.payload.len() as u64;
                    hostile.hears(reply);
                }
            },
            Happening::Told(CoreEvent::Sighting(heard)) => {
                seen.invented += u64::from(stage.torrents.find(&heard.infohash).is_none());
            }
            Happening::Told(_) => {}
        });
    }
    let after = resident_bytes();
    seen.growth = after.saturating_sub(before) as f64 / MIB;
    seen.late_growth = after.saturating_sub(halfway.unwrap_or(before)) as f64 / MIB;
    seen
}

fn tell(report: &mut Report, seen: &Seen, time: Duration) {
    let seconds = time.as_secs_f64();
    for Fill { of, entries, bound } in seen.fills.values() {
        report.figure(of, *entries as f64, "", Some(Target::AtMost(*bound as f64)));
    }
    let allowed = REPLY_BUDGET * (seconds + SAVED_UP_S) / seconds;
    let share = |count: u64| 100.0 * count as f64 / seen.datagrams as f64;
    report.figure("hostile datagrams", seen.datagrams as f64 / seconds, "/s", None);
    report.figure("answered", share(seen.replies), "%", None);
    let bytes = seen.reply_bytes as f64 / seconds;
    report.figure("replies", bytes.round(), "B/s", Some(Target::AtMost(allowed.round())));
    let lured = Target::AtMost((MAX_LURED + LURED_AT_ONCE / seconds).round());
    report.figure("questions to flooders", seen.lured as f64 / seconds, "/s", Some(lured));
    report.figure("questions to others", seen.asked as f64 / seconds, "/s", None);
    report.figure("made-up infohashes believed", seen.invented as f64, "", Some(Target::AtMost(0.0)));
    let cpu = seen.cpu.as_secs_f64() * 100_000.0 / seen.datagrams as f64;
    report.figure("processor for 100,000", cpu, "s", Some(Target::AtMost(MAX_CPU_S)));
    report.figure("resident growth", seen.growth, "MiB", Some(Target::AtMost(MAX_GROWTH_MIB)));
    report.figure("of it in the second half", seen.late_growth, "MiB", Some(Target::AtMost(MAX_LATE_GROWTH_MIB)));
    report.notes.push(format!(
        "under virtual time: garbage, queries from ever new addresses, announces with false, stolen and true tokens, \
         replies to nothing, samples and scrapes, oversized and damaged ones, one address and one /24, for {seconds} s"
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small form of the experiment, so that what it measures stays measured; time is not, in a debug build.
    #[test]
    fn a_short_flood_fills_nothing_beyond_its_bound() {
        let time = Duration::from_millis(300);
        let seen = flood(&Size { nodes: 1_000, torrents: 200, flood: time, playing: Duration::ZERO }, 3);
        let mut report = Report::default();
        tell(&mut report, &Seen { cpu: Duration::ZERO, growth: 0.0, late_growth: 0.0, ..seen }, time);
        assert!(report.met(), "{}", report.to_text());
        assert!(report.figures.iter().any(|figure| figure.name == "answered" && figure.value > 0.0));
    }
}
