//! From a query to an answer, on one connection.

use std::collections::{HashMap, HashSet};

use super::rank::{Alternative, Meant, popularity, score};
use super::vocabulary::{MAX_EDITS, Vocabulary};
use crate::catalogue::{Reader, Result, Term, TrackFound, TrackKey, fold, fold_dialled, words};
use crate::control::{DialLetter, DialState, SearchHit, SearchMode, SearchResults};
use crate::types::{TrackId, UnixTime};

/// Words of a query that count; more are ignored.
const MAX_WORDS: usize = 12;
/// Results of a query at most.
const MAX_RESULTS: usize = 500;
/// Bytes of a query that are looked at.
const MAX_QUERY: usize = 512;
/// Matches that are looked at, the youngest: a query with more is a single, common word, for which none is better.
const CANDIDATES: usize = 2000;
/// Matches that are read and ranked: those of the best torrents.
const RANKED: usize = 400;
/// A word with more tracks is not asked of the index while two rarer ones are, but looked for in what they find.
const COMMON: u64 = 200_000;
/// The index walks through all tracks of all words with a beginning; with more than this many, only the
/// [`BEGINNINGS`] most frequent words are asked for.
const BEGINNING_TRACKS: u64 = 100_000;
const BEGINNINGS: usize = 64;
/// Words that a misspelt one is taken for, at most.
const ALTERNATIVES: usize = 8;
/// With fewer hits than this, and a word that hardly occurs, the query is taken for misspelt as well.
const FEW: usize = 3;
/// A word in so few tracks may be somebody's misspelling.
const RARE: u64 = 2;
/// How likely a word is meant that is this many edits away; of an unfinished one, less by the last factor.
const LIKELY: [f64; MAX_EDITS as usize + 1] = [1.0, 0.7, 0.5];
const UNFINISHED: f64 = 0.8;

/// Answers queries.
pub(super) struct Engine {
    reader: Reader,
    vocabulary: Vocabulary,
}

/// A ranked track and the words of the query as it has them.
struct Ranked {
    found: TrackFound,
    score: f64,
    understood: String,
}

impl Engine {
    pub(super) fn new(reader: Reader) -> Result<Self> {
        let vocabulary = Vocabulary::load(&reader)?;
        tracing::debug!(words = vocabulary.len(), "vocabulary loaded");
        Ok(Self { reader, vocabulary })
    }

    pub(super) fn learn(&mut self, words: &[String]) -> Result<()> {
        self.vocabulary.learn(words)
    }

    pub(super) fn reload(&mut self) -> Result<()> {
        self.vocabulary = Vocabulary::load(&self.reader)?;
        Ok(())
    }

    pub(super) fn dial(&self, prefix: &str) -> Result<DialState> {
        let prefix = fold_dialled(cut(prefix));
        let dialled = self.reader.dialled(&prefix)?;
        let letters = dialled.letters.into_iter().map(|(letter, hits)| DialLetter { letter, hits }).collect();
        Ok(DialState { prefix, hits: dialled.hits, letters })
    }

    /// Answers a query; the time it took is for the caller to fill in.
    pub(super) fn search(&self, query: &str, mode: SearchMode, limit: usize, now: UnixTime) -> Result<SearchResults> {
        let folded = fold(cut(query));
        let asked: Vec<&str> = words(&folded).take(MAX_WORDS).collect();
        let asked_for = asked.join(" ");
        let mut ranked = self.reader.snapshot(|_| match mode {
            SearchMode::Fuzzy => self.fuzzy(&asked, now),
            SearchMode::Exact => self.find(&asked, &literal(&asked, |_| false), now),
            SearchMode::Prefix => self.find(&asked, &literal(&asked, |_| true), now),
        })?;
        ranked.truncate(limit.min(MAX_RESULTS));
        let corrected =
            ranked.first().map(|best| best.understood.clone()).filter(|understood| *understood != asked_for);
        Ok(SearchResults {
            query: query.to_owned(),
            corrected,
            elapsed_ms: 0.0,
            results: ranked.into_iter().map(hit).collect(),
        })
    }

    fn fuzzy(&self, asked: &[&str], now: UnixTime) -> Result<Vec<Ranked>> {
        let last = asked.len().saturating_sub(1);
        let mut ranked = self.find(asked, &literal(asked, |at| at == last), now)?;
        if ranked.len() >= FEW || !self.may_be_misspelt(asked, ranked.is_empty())? {
            return Ok(ranked);
        }
        let corrected = asked.iter().enumerate().map(|(at, word)| self.corrections(word, at == last));
        let meant = corrected.collect::<Result<Vec<Meant>>>()?;
        let more = self.find(asked, &meant, now)?;
        let known: HashSet<TrackId> = ranked.iter().map(|ranked| ranked.found.id).collect();
        ranked.extend(more.into_iter().filter(|more| !known.contains(&more.found.id)));
        if ranked.is_empty() {
            for words in self.spaced_otherwise(asked)? {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                ranked = self.find(&words, &literal(&words, |at| at + 1 == words.len()), now)?;
                if !ranked.is_empty() {
                    break;
                }
            }
        }
        Ok(ranked)
    }

    fn may_be_misspelt(&self, asked: &[&str], nothing: bool) -> Result<bool> {
        for word in asked {
            if nothing || self.reader.word_tracks(word)? <= RARE {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The words that may be meant by `word`, the likeliest first, itself included.
    fn corrections(&self, word: &str, last: bool) -> Result<Meant> {
        let mut meant = vec![alternative(word, last, 1.0)];
        let edits = match word.len() {
            0..=2 => return Ok(meant),
            3..=4 => 1,
            _ => MAX_EDITS,
        };
        let mut near: Vec<(f64, Alternative)> = Vec::new();
        for near_word in self.vocabulary.near(word, edits, false) {
            let likely = LIKELY[usize::from(near_word.edits.min(MAX_EDITS))];
            near.push((
                likelihood(word, &near_word.word, near_word.edits, near_word.tracks),
                alternative(&near_word.word, false, likely),
            ));
        }
        if last && word.len() > 3 {
            for near_word in self.vocabulary.near(word, 1, true) {
                let likely = LIKELY[usize::from(near_word.edits.min(MAX_EDITS))] * UNFINISHED;
                let order = likelihood(word, &near_word.word, near_word.edits, near_word.tracks) - 1.0;
                near.push((order, alternative(&near_word.word, false, likely)));
            }
        }
        near.sort_by(|(a, x), (b, y)| b.total_cmp(a).then_with(|| x.term.word.cmp(&y.term.word)));
        for (_, near) in near {
            if meant.len() > ALTERNATIVES {
                break;
            }
            let new = meant.iter().all(|known| known.term.word != near.term.word);
            // The vocabulary may know words that have left the catalogue.
            if new && self.reader.word_tracks(&near.term.word)? > 0 {
                meant.push(near);
            }
        }
        Ok(meant)
    }

    /// The query with two words joined, or one split, where that gives known words; the likeliest first.
    fn spaced_otherwise(&self, asked: &[&str]) -> Result<Vec<Vec<String>>> {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let mut queries = Vec::new();
        for at in 1..asked.len() {
            let joined = format!("{}{}", asked[at - 1], asked[at]);
            if self.reader.word_tracks(&joined)? > 0 {
                queries.push([owned(&asked[..at - 1]), vec![joined], owned(&asked[at + 1..])].concat());
            }
        }
        for (at, word) in asked.iter().enumerate() {
            let mut best: Option<(u64, usize)> = None;
            for split in 2..word.len().saturating_sub(1) {
                let (left, right) = word.split_at(split);
                let tracks = self.reader.word_tracks(left)?.min(self.reader.word_tracks(right)?);
                if tracks > best.map_or(0, |(most, _)| most) {
                    best = Some((tracks, split));
                }
            }
            if let Some((_, split)) = best {
                let (left, right) = word.split_at(split);
                queries.push([owned(&asked[..at]), owned(&[left, right]), owned(&asked[at + 1..])].concat());
            }
        }
        Ok(queries)
    }

    /// Tracks that have, of each word of the query, something that may stand for it, best first.
    fn find(&self, asked: &[&str], meant: &[Meant], now: UnixTime) -> Result<Vec<Ranked>> {
        let groups = self.groups(meant)?;
        let mut keys = self.reader.matches(&groups, CANDIDATES)?;
        if keys.len() > RANKED {
            keys = self.of_best_torrents(keys, now)?;
        }
        let query = asked.join(" ");
        let mut ranked = Vec::with_capacity(keys.len());
        for found in self.reader.tracks(&keys)? {
            if let Some(score) = score(&query, meant, &found, now) {
                let understood = understood(asked, meant, &score.chosen);
                ranked.push(Ranked { found, score: score.value, understood });
            }
        }
        ranked.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.found.id.cmp(&b.found.id)));
        Ok(ranked)
    }

    /// What to ask of the index: common words left out where rarer ones remain, short beginnings written out.
    fn groups(&self, meant: &[Meant]) -> Result<Vec<Vec<Term>>> {
        let mut groups: Vec<(u64, Vec<Term>)> = Vec::with_capacity(meant.len());
        for alternatives in meant {
            let mut tracks = 0u64;
            let mut terms = Vec::new();
            for Alternative { term, .. } in alternatives {
                if !term.prefix {
                    tracks = tracks.saturating_add(self.reader.word_tracks(&term.word)?);
                    terms.push(term.clone());
                    continue;
                }
                let beginning = self.vocabulary.beginning(&term.word, BEGINNINGS);
                tracks = tracks.saturating_add(beginning.tracks);
                if beginning.tracks <= BEGINNING_TRACKS || beginning.count <= BEGINNINGS {
                    terms.push(term.clone());
                } else {
                    terms.extend(beginning.words.into_iter().map(|(word, _)| Term { word, prefix: false }));
                }
            }
            groups.push((tracks, terms));
        }
        groups.sort_by_key(|(tracks, _)| *tracks);
        let rare = |(at, (tracks, _)): &(usize, (u64, Vec<Term>))| *at < 2 || *tracks <= COMMON;
        Ok(groups.into_iter().enumerate().filter(rare).map(|(_, (_, terms))| terms).collect())
    }

    fn of_best_torrents(&self, keys: Vec<TrackKey>, now: UnixTime) -> Result<Vec<TrackKey>> {
        let mut worth: HashMap<i64, f64> = HashMap::new();
        for key in &keys {
            if let std::collections::hash_map::Entry::Vacant(new) = worth.entry(key.torrent()) {
                let facts = self.reader.torrent_facts(key.torrent())?;
                new.insert(facts.map_or(0.0, |facts| popularity(facts.seeders, facts.added, now)));
            }
        }
        let mut keys = keys;
        let of = |key: &TrackKey| worth.get(&key.torrent()).copied().unwrap_or(0.0);
        keys.sort_by(|a, b| of(b).total_cmp(&of(a)).then_with(|| b.cmp(a)));
        keys.truncate(RANKED);
        Ok(keys)
    }
}

fn cut(query: &str) -> &str {
    &query[..query.floor_char_boundary(MAX_QUERY)]
}

fn alternative(word: &str, prefix: bool, likely: f64) -> Alternative {
    Alternative { term: Term { word: word.to_owned(), prefix }, likely }
}

/// The words as they are written, those for which `prefix` holds also as beginnings of longer ones.
fn literal(asked: &[&str], prefix: impl Fn(usize) -> bool) -> Vec<Meant> {
    asked.iter().enumerate().map(|(at, word)| vec![alternative(word, prefix(at), 1.0)]).collect()
}

/// An order of corrections: few edits, the same first letter (the one least often mistyped), the same length, and
/// frequent words.
fn likelihood(word: &str, near: &str, edits: u8, tracks: u64) -> f64 {
    let first = if word.as_bytes().first() == near.as_bytes().first() { 0.0 } else { 0.5 };
    let length = 0.1 * word.len().abs_diff(near.len()).min(3) as f64;
    0.1 * ((tracks + 1) as f64).log2() - f64::from(edits) - first - length
}

/// The query in the words that the best track has; beginnings stay as they were written.
fn understood(asked: &[&str], meant: &[Meant], chosen: &[usize]) -> String {
    let words = meant.iter().zip(chosen).zip(asked).map(|((alternatives, chosen), asked)| {
        alternatives.get(*chosen).map_or(*asked, |alternative| alternative.term.word.as_str())
    });
    words.collect::<Vec<_>>().join(" ")
}

fn hit(ranked: Ranked) -> SearchHit {
    let TrackFound { id, row, seeders, .. } = ranked.found;
    SearchHit {
        track: id,
        title: row.title,
        artist: row.artist,
        album: row.album,
        path: row.path,
        format: row.format,
        bytes: row.bytes,
        seeders,
        score: ranked.score,
    }
}
