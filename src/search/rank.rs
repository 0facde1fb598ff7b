//! How well a track answers a query. Pure.

use crate::catalogue::{Term, TrackFound, fold, words};
use crate::types::UnixTime;

/// What a word is worth where it is found. Title and artist are what people ask for; every track has the words of its
/// path.
const IN_TITLE: f64 = 1.0;
const IN_ARTIST: f64 = 0.9;
const IN_ALBUM: f64 = 0.7;
const IN_PATH: f64 = 0.5;
/// The query is the title, or the artist and title: what is asked for, not something that contains it.
const WHOLE: f64 = 0.4;
/// The words stand together and in the order of the query.
const TOGETHER: f64 = 0.15;
/// All words of title and artist are in the query; less in proportion.
const COVERED: f64 = 0.25;
/// A swarm of [`MANY`] peers; less by the logarithm, because the first seeders matter most.
const SEEDED: f64 = 0.3;
const MANY: f64 = 32.0;
/// Added just now; half after [`HALF_AGE_S`].
const YOUNG: f64 = 0.1;
const HALF_AGE_S: f64 = 90.0 * 24.0 * 3600.0;

/// A word that may stand for a word of the query.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Alternative {
    pub(super) term: Term,
    /// How likely it is what was meant: 1 for the word itself.
    pub(super) likely: f64,
}

/// A word of the query with all that may stand for it.
pub(super) type Meant = Vec<Alternative>;

/// The worth of a match.
#[derive(Debug)]
pub(super) struct Score {
    pub(super) value: f64,
    /// For each word of the query the alternative that the track has.
    pub(super) chosen: Vec<usize>,
}

/// What the torrent adds to the rank of its tracks.
pub(super) fn popularity(seeders: u32, added: UnixTime, now: UnixTime) -> f64 {
    let seeded = (f64::from(seeders) + 1.0).log2() / (MANY + 1.0).log2();
    SEEDED * seeded.min(1.0) + YOUNG * (-(now.since(added).as_secs_f64() / HALF_AGE_S)).exp2()
}

/// How much of `alternative` the word of a track is: 0 if it is not it.
fn likeness(alternative: &Alternative, word: &str) -> f64 {
    let Alternative { term, likely } = alternative;
    if word == term.word {
        *likely
    } else if term.prefix && word.starts_with(&term.word) {
        likely * (0.6 + 0.3 * term.word.len() as f64 / word.len() as f64)
    } else {
        0.0
    }
}

/// Scores a track; none if it lacks a word of the query. `query` is folded.
pub(super) fn score(query: &str, meant: &[Meant], track: &TrackFound, now: UnixTime) -> Option<Score> {
    let [title, artist, album, path] =
        [&track.row.title, &track.row.artist, &track.row.album, &track.row.path].map(|text| fold(text));
    let fields = [(&title, IN_TITLE), (&artist, IN_ARTIST), (&album, IN_ALBUM), (&path, IN_PATH)];
    let mut matched = 0.0;
    let mut chosen = Vec::with_capacity(meant.len());
    for alternatives in meant {
        let mut best = (0.0, 0);
        for (field, worth) in fields {
            for word in words(field) {
                for (index, alternative) in alternatives.iter().enumerate() {
                    let value = worth * likeness(alternative, word);
                    if value > best.0 {
                        best = (value, index);
                    }
                }
            }
        }
        if best.0 == 0.0 {
            return None;
        }
        matched += best.0;
        chosen.push(best.1);
    }
    let whole = format!("{artist} {title}");
    let (asked, title_asked) = (query == whole || query == format!("{title} {artist}"), query == title);
    let mut value = matched / meant.len().max(1) as f64 + popularity(track.seeders, track.added, now);
    value += if asked || title_asked { WHOLE } else { 0.0 };
    value += if format!(" {whole} ").contains(&format!(" {query}")) { TOGETHER } else { 0.0 };
    let wanted = |word: &&str| meant.iter().flatten().any(|alternative| likeness(alternative, word) > 0.0);
    let count = words(&whole).count().max(1);
    value += COVERED * words(&whole).filter(wanted).count() as f64 / count as f64;
    Some(Score { value, chosen })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::TrackRow;
    use crate::types::{InfoHash, TrackId};

    fn track(artist: &str, title: &str, seeders: u32, added: u64) -> TrackFound {
        let row = TrackRow {
            path: format!("{artist} - {title}.mp3"),
            title: title.into(),
            artist: artist.into(),
            ..TrackRow::default()
        };
        TrackFound { id: TrackId { infohash: InfoHash([0; 20]), file: 0 }, row, added: UnixTime(added), seeders }
    }

    fn value(query: &str, track: &TrackFound) -> f64 {
        let meant: Vec<Meant> = words(query)
            .map(|word| vec![Alternative { term: Term { word: word.into(), prefix: false }, likely: 1.0 }])
            .collect();
        score(query, &meant, track, UnixTime(1_000_000_000)).map_or(0.0, |score| score.value)
    }

    #[test]
    fn the_title_itself_comes_before_what_contains_it() {
        let query = "yesterday";
        let title = value(query, &track("The Beatles", "Yesterday", 3, 0));
        assert!(title > value(query, &track("The Beatles", "Yesterday Once More", 3, 0)));
        assert!(title > value(query, &track("Yesterday", "Something", 3, 0)));
        assert_eq!(value(query, &track("The Beatles", "Help", 3, 0)), 0.0);
    }

    #[test]
    fn among_equals_seeders_and_then_youth_decide() {
        let of = |seeders, added| value("help", &track("Abba", "Help", seeders, added));
        assert!(of(5, 0) > of(1, 0));
        assert!(of(2, 999_000_000) > of(2, 0));
        assert!(of(32, 0) >= of(9, 0) && of(1000, 0) <= of(32, 0));
    }

    #[test]
    fn a_full_swarm_does_not_outweigh_the_title() {
        assert!(
            value("help", &track("Abba", "Help", 0, 0)) > value("help", &track("Abba", "The Help of Others", 32, 0))
        );
    }
}
