//! A synthetic catalogue and the times of its queries, for the lab.

use std::path::Path;
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::Searcher;
use crate::catalogue::{Catalogue, CatalogueOptions, Result, TorrentRow, TrackRow};
use crate::control::SearchMode;
use crate::types::{Bytes, InfoHash, UnixTime};

/// Tracks of an album.
const ALBUM: u32 = 12;
/// Different words of the names; their frequency falls with their rank, as in any language (Zipf).
const WORDS: f64 = 200_000.0;
/// When the synthetic torrents were added, and now.
const NOW: u64 = 1_800_000_000;

/// Median, 99th percentile and worst of some times, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Percentiles {
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

impl Percentiles {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |part: f64| {
            let index = ((times.len() as f64 * part) as usize).min(times.len().saturating_sub(1));
            times.get(index).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
        };
        Self { p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1.0) }
    }
}

/// What [`bench`] measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct BenchReport {
    pub tracks: u64,
    /// Of the database on disk, without cached `.torrent` files.
    pub bytes_per_track: f64,
    pub stored_per_second: f64,
    /// Two words of a track as they are.
    pub exact: Percentiles,
    /// Two words, the last one unfinished.
    pub prefix: Percentiles,
    /// Two words, one of them with a typing error.
    pub misspelt: Percentiles,
    /// Part of the misspelt queries whose track is among the first ten results.
    pub misspelt_found: f64,
    /// One step of dialling a title.
    pub dial: Percentiles,
}

/// The word of a rank: every rank has another, frequent ones are short.
fn word(rank: u32) -> String {
    const ONSETS: [&str; 16] = ["b", "d", "f", "g", "h", "j", "k", "l", "m", "n", "p", "r", "s", "t", "v", "st"];
    const VOWELS: [&str; 6] = ["a", "e", "i", "o", "u", "ea"];
    let mut word = String::new();
    let mut rest = rank + 100;
    while rest > 0 {
        word.push_str(ONSETS[(rest % 16) as usize]);
        word.push_str(VOWELS[(rest / 16 % 6) as usize]);
        rest /= 96;
    }
    word
}

/// A rank whose probability falls in proportion to it.
fn rank(random: &mut ChaCha8Rng) -> u32 {
    WORDS.powf(random.random::<f64>()) as u32
}

fn name(random: &mut ChaCha8Rng, words: u32) -> String {
    (0..words).map(|_| word(rank(random))).collect::<Vec<_>>().join(" ")
}

fn album(random: &mut ChaCha8Rng) -> (TorrentRow, Vec<TrackRow>) {
    let (artist, title) = (name(random, 2), name(random, 2));
    let folder = format!("{artist} - {title} ({}) [FLAC]", 1960 + random.random_range(0..65));
    let torrent = TorrentRow {
        infohash: InfoHash(random.random()),
        name: folder.clone(),
        torrent: None,
        bytes: u64::from(ALBUM) * 30_000_000,
        piece_length: 1 << 18,
        files: ALBUM,
        private: false,
        added: UnixTime(NOW - random.random_range(0..10_000_000)),
    };
    let tracks = (0..ALBUM).map(|file| {
        let words = random.random_range(2..5);
        let song = name(random, words);
        TrackRow {
            file,
            path: format!("{folder}/{:02} - {song}.flac", file + 1),
            title: song,
            artist: artist.clone(),
            album: title.clone(),
            number: u16::try_from(file + 1).ok(),
            format: "flac".to_owned(),
            bytes: random.random_range(10_000_000..60_000_000),
        }
    });
    (torrent, tracks.collect())
}

/// One typing error: two neighbours swapped, a letter left out, replaced or put in.
fn mistype(word: &str, random: &mut ChaCha8Rng) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    let at = random.random_range(1..letters.len().max(2)).min(letters.len().saturating_sub(1));
    match random.random_range(0..4) {
        0 if at > 0 => letters.swap(at, at - 1),
        1 if letters.len() > 3 => drop(letters.remove(at)),
        2 => letters[at] = 'x',
        _ => letters.insert(at, 'x'),
    }
    letters.into_iter().collect()
}

/// Fills a new catalogue in `folder` with about `tracks` synthetic tracks and asks `queries` of each kind.
///
/// # Errors
/// If the catalogue fails.
pub async fn bench(folder: &Path, tracks: u64, queries: usize, seed: u64) -> Result<BenchReport> {
    let begin = Instant::now();
    let (catalogue, asked, mut random) = fill(folder, tracks, queries, seed).await?;
    let stored_per_second = catalogue.counts().tracks as f64 / begin.elapsed().as_secs_f64();
    // Opened again, so that the size is without the log.
    drop(catalogue);
    let catalogue = Catalogue::open(folder, options(tracks))?;
    let counts = catalogue.counts();
    let mut report = BenchReport {
        tracks: counts.tracks,
        bytes_per_track: counts.bytes as f64 / counts.tracks.max(1) as f64,
        stored_per_second,
        ..BenchReport::default()
    };
    ask(&Searcher::start(&catalogue)?, &asked, &mut random, &mut report).await?;
    Ok(report)
}

/// Titles to ask for, and the torrents that they are in.
type Asked = Vec<(String, InfoHash)>;

fn options(tracks: u64) -> CatalogueOptions {
    let budget = Bytes(Bytes::mib(64).0.saturating_add(tracks.saturating_mul(400)));
    CatalogueOptions { budget, keep_torrents: false }
}

async fn fill(folder: &Path, tracks: u64, queries: usize, seed: u64) -> Result<(Catalogue, Asked, ChaCha8Rng)> {
    let catalogue = Catalogue::open(folder, options(tracks))?;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut asked = Vec::with_capacity(queries);
    let torrents = tracks.div_ceil(u64::from(ALBUM)).max(1);
    let every = (torrents as usize / queries.max(1)).max(1);
    for number in 0..torrents {
        let (torrent, tracks) = album(&mut random);
        if (number as usize).is_multiple_of(every) {
            asked.push((tracks[5].title.clone(), torrent.infohash));
        }
        catalogue.store_torrent(torrent, tracks).await?;
    }
    Ok((catalogue, asked, random))
}

async fn ask(
    searcher: &Searcher,
    asked: &[(String, InfoHash)],
    random: &mut ChaCha8Rng,
    report: &mut BenchReport,
) -> Result<()> {
    let now = UnixTime(NOW);
    // The first answer waits for the vocabulary.
    searcher.search("a", SearchMode::Exact, 1, now).await?;
    let [mut exact, mut prefix, mut misspelt, mut dial] = [const { Vec::new() }; 4];
    let mut found = 0;
    for (title, infohash) in asked {
        let mut words: Vec<String> = title.split(' ').take(2).map(str::to_owned).collect();
        exact.push(timed(searcher.search(&words.join(" "), SearchMode::Exact, 10, now)).await?.0);
        let whole = words.join(" ");
        let unfinished = &whole[..whole.len().saturating_sub(2)];
        prefix.push(timed(searcher.search(unfinished, SearchMode::Fuzzy, 10, now)).await?.0);
        for length in 0..title.len().min(8) {
            dial.push(timed(searcher.dial(&title[..length])).await?.0);
        }
        let longest = words.iter_mut().max_by_key(|word| word.len());
        if let Some(longest) = longest {
            *longest = mistype(longest, random);
        }
        let whole = format!("{} {}", words.join(" "), title.split(' ').skip(2).collect::<Vec<_>>().join(" "));
        let (time, results) = timed(searcher.search(&whole, SearchMode::Fuzzy, 10, now)).await?;
        misspelt.push(time);
        found += usize::from(results.results.iter().any(|hit| hit.track.infohash == *infohash));
    }
    report.misspelt_found = found as f64 / asked.len().max(1) as f64;
    report.exact = Percentiles::of(exact);
    report.prefix = Percentiles::of(prefix);
    report.misspelt = Percentiles::of(misspelt);
    report.dial = Percentiles::of(dial);
    Ok(())
}

async fn timed<T>(work: impl Future<Output = Result<T>>) -> Result<(Duration, T)> {
    let begin = Instant::now();
    let value = work.await?;
    Ok((begin.elapsed(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_small_bench_finds_what_it_asks_for() {
        let folder = tempfile::tempdir().unwrap();
        let report = bench(folder.path(), 2400, 60, 7).await.unwrap();
        assert_eq!(report.tracks, 2400);
        assert!(report.misspelt_found > 0.8, "{report:?}");
        // Where a reader was slow, the log has not been folded in, which is done from 2 MiB on.
        let log = 2.0 * f64::from(1 << 20) / 2400.0;
        assert!(report.bytes_per_track > 20.0 && report.bytes_per_track < 400.0 + log, "{report:?}");
    }

    #[test]
    fn every_rank_has_a_word_of_its_own() {
        let words: std::collections::HashSet<String> = (0..20_000).map(word).collect();
        assert_eq!(words.len(), 20_000);
    }
}
