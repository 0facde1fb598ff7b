//! All words of the catalogue, in memory, to find those near to a misspelt or unfinished one.
//!
//! The words known at the start are a finite-state map (5.5 bytes a word); words that come later are kept in a small
//! tree beside it, and both are merged when the tree has grown to a part of the map: a new word costs a moment, and
//! the map is built again only as often as the vocabulary grows by an eighth. Words that leave the catalogue stay until
//! the next start; the database is asked before one of them is offered.

use std::collections::BTreeMap;

use fst::{Automaton, IntoStreamer, Map, MapBuilder, Streamer};
use levenshtein_automata::{DFA, Distance, LevenshteinAutomatonBuilder, SINK_STATE};

use crate::catalogue::{CatalogueError, Reader, Result};

/// Words beside the map before they are merged into it, at least.
const RECENT: usize = 4096;
/// Words near to one that are looked at, at most.
const MAX_NEAR: usize = 2048;
/// Typing errors that are corrected, at most.
pub(super) const MAX_EDITS: u8 = 2;

/// A word near to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Near {
    pub(super) word: String,
    /// Letters inserted, left out, replaced or swapped with their neighbour.
    pub(super) edits: u8,
    /// Tracks with it, as of when it was learnt.
    pub(super) tracks: u64,
}

/// What is known of the words that begin with some letters.
#[derive(Debug, Default)]
pub(super) struct Beginning {
    /// Tracks of all of them together, each counted as often as it has such words.
    pub(super) tracks: u64,
    /// Those with the most tracks, first the one with the most.
    pub(super) words: Vec<(String, u64)>,
    /// How many there are.
    pub(super) count: usize,
}

/// Words and how many tracks have them.
pub(super) struct Vocabulary {
    known: Map<Vec<u8>>,
    recent: BTreeMap<String, u64>,
    /// By the number of edits, less one. Building one takes milliseconds.
    automata: [LevenshteinAutomatonBuilder; MAX_EDITS as usize],
}

/// A Levenshtein automaton as the map wants it.
struct Within<'a>(&'a DFA);

impl Automaton for Within<'_> {
    type State = u32;

    fn start(&self) -> u32 {
        self.0.initial_state()
    }

    fn is_match(&self, state: &u32) -> bool {
        matches!(self.0.distance(*state), Distance::Exact(_))
    }

    fn can_match(&self, state: &u32) -> bool {
        *state != SINK_STATE
    }

    fn accept(&self, state: &u32, byte: u8) -> u32 {
        self.0.transition(*state, byte)
    }
}

fn broken(error: impl std::fmt::Display) -> CatalogueError {
    CatalogueError::Database(format!("the vocabulary cannot be built: {error}"))
}

impl Vocabulary {
    /// All words of the catalogue.
    pub(super) fn load(reader: &Reader) -> Result<Self> {
        let mut builder = MapBuilder::memory();
        let mut failed = None;
        reader.each_word(|word, tracks| {
            failed = builder.insert(word, tracks).err();
            failed.is_none()
        })?;
        if let Some(error) = failed {
            return Err(broken(error));
        }
        let known = builder.into_inner().and_then(Map::new).map_err(broken)?;
        let automata = [1, MAX_EDITS].map(|edits| LevenshteinAutomatonBuilder::new(edits, true));
        Ok(Self { known, recent: BTreeMap::new(), automata })
    }

    /// Learns words that came into the catalogue.
    pub(super) fn learn(&mut self, words: &[String]) -> Result<()> {
        for word in words {
            if !self.known.contains_key(word) {
                self.recent.entry(word.clone()).or_insert(1);
            }
        }
        if self.recent.len() >= RECENT.max(self.known.len() / 8) {
            self.merge()?;
        }
        Ok(())
    }

    fn merge(&mut self) -> Result<()> {
        let mut builder = MapBuilder::memory();
        let mut recent = std::mem::take(&mut self.recent).into_iter().peekable();
        let mut known = self.known.stream();
        while let Some((word, tracks)) = known.next() {
            while let Some((earlier, tracks)) = recent.next_if(|(recent, _)| recent.as_bytes() < word) {
                builder.insert(earlier, tracks).map_err(broken)?;
            }
            builder.insert(word, tracks).map_err(broken)?;
        }
        for (word, tracks) in recent {
            builder.insert(word, tracks).map_err(broken)?;
        }
        self.known = builder.into_inner().and_then(Map::new).map_err(broken)?;
        Ok(())
    }

    /// Words within `edits` of `word`, or with `unfinished`, words that begin with something within `edits` of it.
    pub(super) fn near(&self, word: &str, edits: u8, unfinished: bool) -> Vec<Near> {
        let Some(builder) = self.automata.get(usize::from(edits).wrapping_sub(1)) else { return Vec::new() };
        let dfa = if unfinished { builder.build_prefix_dfa(word) } else { builder.build_dfa(word) };
        let mut found = Vec::new();
        let mut take = |candidate: &[u8], tracks| {
            if let (Distance::Exact(edits), Ok(word)) = (dfa.eval(candidate), std::str::from_utf8(candidate)) {
                found.push(Near { word: word.to_owned(), edits, tracks });
            }
            found.len() < MAX_NEAR
        };
        let mut known = self.known.search(Within(&dfa)).into_stream();
        while let Some((candidate, tracks)) = known.next() {
            if !take(candidate, tracks) {
                break;
            }
        }
        for (candidate, tracks) in &self.recent {
            if !take(candidate.as_bytes(), *tracks) {
                break;
            }
        }
        found
    }

    /// The words that begin with `letters`, the `most` most frequent of them by name.
    pub(super) fn beginning(&self, letters: &str, most: usize) -> Beginning {
        let mut beginning = Beginning::default();
        let mut take = |word: &[u8], tracks: u64| {
            let Ok(word) = std::str::from_utf8(word) else { return };
            beginning.tracks += tracks;
            beginning.count += 1;
            let at = beginning.words.partition_point(|(_, more)| *more >= tracks);
            if at < most {
                beginning.words.insert(at, (word.to_owned(), tracks));
                beginning.words.truncate(most);
            }
        };
        let mut known = self.known.range().ge(letters).into_stream();
        while let Some((word, tracks)) = known.next() {
            if !word.starts_with(letters.as_bytes()) {
                break;
            }
            take(word, tracks);
        }
        for (word, tracks) in self.recent.range(letters.to_owned()..).take_while(|(word, _)| word.starts_with(letters))
        {
            take(word.as_bytes(), *tracks);
        }
        beginning
    }

    /// Number of words.
    pub(super) fn len(&self) -> usize {
        self.known.len() + self.recent.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn empty() -> Vocabulary {
        let automata = [1, MAX_EDITS].map(|edits| LevenshteinAutomatonBuilder::new(edits, true));
        Vocabulary { known: Map::default(), recent: BTreeMap::new(), automata }
    }

    /// Optimal string alignment distance by the textbook's table.
    fn distance(a: &[u8], b: &[u8]) -> usize {
        let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
        for i in 0..=a.len() {
            for j in 0..=b.len() {
                table[i][j] = if i == 0 || j == 0 {
                    i + j
                } else {
                    let replaced = table[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let mut least = replaced.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1);
                    if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                        least = least.min(table[i - 2][j - 2] + 1);
                    }
                    least
                };
            }
        }
        table[a.len()][b.len()]
    }

    proptest! {
        #[test]
        fn near_words_are_those_within_the_distance(
            words in prop::collection::btree_set("[abc]{1,6}", 0..40), word in "[abc]{1,6}", merged: bool, edits in 1u8..=2,
        ) {
            let mut vocabulary = empty();
            vocabulary.learn(&words.iter().cloned().collect::<Vec<_>>()).unwrap();
            if merged {
                vocabulary.merge().unwrap();
            }
            prop_assert_eq!(vocabulary.len(), words.len());
            let mut found: Vec<(String, usize)> =
                vocabulary.near(&word, edits, false).into_iter().map(|n| (n.word, n.edits.into())).collect();
            found.sort();
            let expected: Vec<(String, usize)> = words
                .into_iter()
                .map(|other| { let far = distance(word.as_bytes(), other.as_bytes()); (other, far) })
                .filter(|(_, far)| *far <= edits.into())
                .collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn merging_forgets_nothing(first in prop::collection::btree_set("[a-d]{1,4}", 0..60), later in prop::collection::btree_set("[a-d]{1,4}", 0..60)) {
            let mut vocabulary = empty();
            for words in [&first, &later] {
                vocabulary.learn(&words.iter().cloned().collect::<Vec<_>>()).unwrap();
                vocabulary.merge().unwrap();
            }
            let all: std::collections::BTreeSet<&String> = first.union(&later).collect();
            prop_assert_eq!(vocabulary.len(), all.len());
            let begins = vocabulary.beginning("a", 3);
            prop_assert_eq!(begins.count, all.iter().filter(|word| word.starts_with('a')).count());
            prop_assert!(begins.words.len() <= 3);
        }
    }
}
