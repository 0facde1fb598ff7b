//! When to begin playing a song that is still arriving.
//!
//! # The model
//!
//! From the place where sound begins, `ahead` bytes are there without a hole and `missing` bytes are not there yet. They
//! arrive in order at a steady rate `r`, of which only [`TRUSTED_SHARE`] is believed, and are played at a steady rate
//! `b`. Playing for `t` seconds is safe as long as `ahead + r·t ≥ b·t`, until the download is complete at `t = missing/r`.
//! Both sides are straight lines, so looking at the ends is enough:
//!
//! 1. at the beginning: `ahead ≥ b · cushion`, the cushion being what unsteadiness may cost;
//! 2. at the end: `ahead + missing ≥ b · missing/r`. This holds whenever `r ≥ b`.
//!
//! Where missing bytes lie further back than the model says, they are needed later, and what was shown to last lasts all
//! the more. Waiting `w` seconds moves `r·w` bytes from `missing` to `ahead`, which gives the shortest safe wait:
//! `max((b·cushion − ahead)/r, missing/r − (ahead + missing)/b)`.
//!
//! What arrives can be read only when the piece that it belongs to is whole, so what is there is a staircase of steps of
//! `lump` bytes below the line. It meets the demand if it does so at its two outermost corners:
//!
//! 3. before the first step: `ahead ≥ b · lump/r`;
//! 4. before the last one: `ahead + missing − lump ≥ b · missing/r`, which holds after 3. whenever `r ≥ b`.
//!
//! The cushion shrinks with the surplus `r/b`: peers that send eight times faster than the song plays may fail for a
//! while without being heard.

use std::time::Duration;

/// Share of the measured download rate that the decision counts on.
pub const TRUSTED_SHARE: f64 = 0.8;

/// Cushion in seconds of playing time where data arrives exactly as fast as it plays, before the first sound.
const CUSHION_S: f64 = 2.0;

/// Least cushion in seconds, however fast the peers are: about what the decoder takes before it hands on a sample.
const MIN_CUSHION_S: f64 = 0.25;

/// Factor on the cushion once the model has been wrong and the sound has broken off.
const CUSHION_AFTER_STARVING: f64 = 3.0;

/// What an average bit rate may be exceeded by over some seconds where the format varies it.
const VARIABLE_RATE_MARGIN: f64 = 1.15;

/// Longest wait that is told, in seconds.
const MAX_WAIT_S: f64 = 86_400.0;

/// What is known when the question is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Situation<'a> {
    /// Lower-case file extension.
    pub format: &'a str,
    /// Average of the audio data in bits a second, if known.
    pub bitrate_bps: Option<u64>,
    /// Measured download rate of this file in bytes a second; 0 if none was seen yet.
    pub download_rate: f64,
    /// Bytes that are there from where sound begins, without a hole.
    pub ahead: u64,
    /// Bytes behind that place that are not there yet.
    pub missing: u64,
    /// Bytes that become readable together at most, when the last of them has arrived; 0 if each does by itself.
    pub lump: u64,
    /// Whether this song has already run dry once.
    pub starved: bool,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Decision {
    /// It will last.
    Start,
    /// It will last after this time, if data goes on arriving as it does.
    Wait(Duration),
    /// Nothing arrives, so nothing can be said.
    WaitForData,
}

/// Whether playing may begin now.
pub fn decide(situation: &Situation<'_>) -> Decision {
    if situation.missing == 0 {
        return Decision::Start;
    }
    let rate = situation.download_rate * TRUSTED_SHARE;
    // Not `rate <= 0.0`: a rate that is no number must not start anything.
    if !(rate.is_finite() && rate > 0.0) {
        return Decision::WaitForData;
    }
    let demand = byte_rate(situation.format, situation.bitrate_bps);
    let (ahead, missing) = (situation.ahead as f64, situation.missing as f64);
    let lump = situation.lump.min(situation.missing) as f64;
    let cushion_s = cushion_s(demand, rate, situation.starved).max(lump / rate);
    let for_cushion = (demand * cushion_s - ahead) / rate;
    let for_the_end = missing / rate - (ahead + missing - lump) / demand;
    // Waiting longer than the download takes is never needed.
    let wait = for_cushion.max(for_the_end).min(missing / rate);
    if wait <= 0.0 { Decision::Start } else { Decision::Wait(Duration::from_secs_f64(wait.min(MAX_WAIT_S))) }
}

fn cushion_s(demand: f64, rate: f64, starved: bool) -> f64 {
    let cushion = (CUSHION_S * demand / rate).clamp(MIN_CUSHION_S, CUSHION_S);
    if starved { cushion * CUSHION_AFTER_STARVING } else { cushion }
}

/// Bytes a second that a song of this format takes. Where the bit rate is not known, the high end of what is common for
/// the format is assumed: believing in too much only delays the start.
pub fn byte_rate(format: &str, bitrate_bps: Option<u64>) -> f64 {
    let (usual_max_bps, varies) = match format {
        "wav" | "aif" | "aiff" | "aifc" => (1_411_200.0, false),
        "flac" => (1_100_000.0, true),
        "m4a" | "mp4" | "alac" => (900_000.0, true),
        "opus" => (256_000.0, true),
        _ => (320_000.0, true),
    };
    let average = bitrate_bps.filter(|bps| *bps > 0).map_or(usual_max_bps, |bps| bps as f64);
    average * if varies { VARIABLE_RATE_MARGIN } else { 1.0 } / 8.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn situation() -> impl Strategy<Value = Situation<'static>> {
        let format = prop::sample::select(vec!["mp3", "flac", "ogg", "wav", "m4a", "opus", "xyz", ""]);
        let bitrate = prop::option::of(prop_oneof![0u64..2, 8_000u64..10_000_000]);
        let bytes = || prop_oneof![0u64..1000, 0u64..2_000_000, 0u64..4_000_000_000];
        let rate = prop_oneof![0.0..10.0, 0.0..1e5, 0.0..1e8];
        let lump = prop_oneof![Just(0), 1u64..100_000, 100_000u64..16_000_000];
        (format, bitrate, rate, (bytes(), bytes()), lump, any::<bool>()).prop_map(
            |(format, bitrate_bps, download_rate, (ahead, missing), lump, starved)| Situation {
                format,
                bitrate_bps,
                download_rate,
                ahead,
                missing,
                lump,
                starved,
            },
        )
    }

    /// Plays through the model in small steps, independently of the formulas; true if the data never runs out. Whole
    /// lumps count, from the moment on in which their last byte has arrived.
    fn lasts(situation: &Situation<'_>) -> bool {
        let demand = byte_rate(situation.format, situation.bitrate_bps);
        let rate = situation.download_rate * TRUSTED_SHARE;
        let whole = (situation.ahead + situation.missing) as f64;
        let step = whole / demand / 500.0;
        (0..=500).all(|index| {
            let time = f64::from(index) * step;
            let (missing, lump) = (situation.missing as f64, situation.lump as f64);
            let sent = rate * time * (1.0 + 1e-9) + 1e-3;
            let arrived = match sent {
                sent if sent >= missing => missing,
                sent if situation.lump == 0 => sent,
                sent => (sent / lump).floor() * lump,
            };
            situation.ahead as f64 + arrived >= (demand * time).min(whole) * (1.0 - 1e-9) - 1.0
        })
    }

    proptest! {
        #[test]
        fn never_starts_what_cannot_last(situation in situation()) {
            if decide(&situation) == Decision::Start {
                prop_assert!(lasts(&situation));
            }
        }

        #[test]
        fn complete_song_starts_at_once(situation in situation()) {
            prop_assert_eq!(decide(&Situation { missing: 0, ..situation }), Decision::Start);
        }

        #[test]
        fn the_wait_it_asks_for_is_enough(situation in situation()) {
            if let Decision::Wait(wait) = decide(&situation) {
                prop_assume!(wait.as_secs_f64() < MAX_WAIT_S);
                let rate = situation.download_rate * TRUSTED_SHARE;
                let arrived = ((wait.as_secs_f64() * rate) as u64 + 2 + rate as u64 / 1000).min(situation.missing);
                let later = Situation {
                    ahead: situation.ahead + arrived,
                    missing: situation.missing - arrived,
                    ..situation
                };
                prop_assert_eq!(decide(&later), Decision::Start);
            }
        }

        #[test]
        fn data_that_arrives_never_takes_a_start_back(situation in situation(), share in 0.0..1.0f64) {
            if decide(&situation) == Decision::Start {
                let arrived = (situation.missing as f64 * share) as u64;
                let later = Situation {
                    ahead: situation.ahead + arrived,
                    missing: situation.missing - arrived,
                    ..situation
                };
                prop_assert_eq!(decide(&later), Decision::Start);
            }
        }
    }

    const MP3: Situation<'_> = Situation {
        format: "mp3",
        bitrate_bps: Some(320_000),
        download_rate: 600_000.0,
        ahead: 0,
        missing: 9_600_000,
        lump: 256 * 1024,
        starved: false,
    };

    #[test]
    fn first_piece_from_fast_peers_is_enough() {
        let after_one_piece = Situation { ahead: 256 * 1024, missing: MP3.missing - 256 * 1024, ..MP3 };
        assert_eq!(decide(&after_one_piece), Decision::Start);
        assert!(matches!(decide(&MP3), Decision::Wait(wait) if wait < Duration::from_millis(100)));
    }

    #[test]
    fn slow_peers_need_most_of_the_song() {
        // 240 s of song at 46 kB/s that arrive at 16 kB/s (trusted): 600 s, so sound may begin about 390 s from now.
        let slow = Situation { download_rate: 20_000.0, ahead: 256 * 1024, ..MP3 };
        let Decision::Wait(wait) = decide(&slow) else { unreachable!("{:?}", decide(&slow)) };
        assert!((380..400).contains(&wait.as_secs()), "{wait:?}");
    }

    #[test]
    fn after_starving_more_is_wanted() {
        let tight = Situation { download_rate: 60_000.0, ahead: 100_000, lump: 16 * 1024, ..MP3 };
        assert_eq!(decide(&tight), Decision::Start);
        assert!(matches!(decide(&Situation { starved: true, ..tight }), Decision::Wait(_)));
    }

    #[test]
    fn the_rest_of_a_piece_does_not_carry_over_to_the_end_of_the_next() {
        // A song that begins late in a piece, from peers that send little more than it takes.
        let rest = Situation { download_rate: 80_000.0, ahead: 120_000, ..MP3 };
        assert!(matches!(decide(&rest), Decision::Wait(_)));
        assert_eq!(decide(&Situation { ahead: rest.ahead + rest.lump, ..rest }), Decision::Start);
        assert_eq!(decide(&Situation { download_rate: 600_000.0, ..rest }), Decision::Start);
    }

    #[test]
    fn without_a_rate_nothing_is_promised() {
        for download_rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(decide(&Situation { download_rate, ..MP3 }), Decision::WaitForData);
        }
    }
}
