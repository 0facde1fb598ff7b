//! Folding of names to the letters that people type and dial, and the cutting into words and phrases.
//!
//! Every text that is indexed or asked for goes through [`fold`], so both sides agree by construction. What comes
//! out depends on the transliteration tables of `deunicode`; [`TEXT_REVISION`] is stored with the index, and an
//! index of another revision is built again when the catalogue is opened.

use std::collections::BTreeSet;

use super::rows::TrackRow;

/// Counts changes of anything in this file, or of `deunicode`, that make another index of the same names.
pub(super) const TEXT_REVISION: i64 = 1;

/// Longest word that is indexed, in letters; longer ones are cut.
pub const MAX_WORD: usize = 32;

/// Words a track at most; real ones have about ten.
pub(super) const MAX_WORDS: usize = 64;

/// Letters that can be dialled in a row: as far as the counts of the dial reach.
pub const MAX_DIALLED: usize = 24;

/// Longest text that is folded, in bytes: a name is cut to this before it is stored.
pub(super) const MAX_TEXT: usize = 1024;

/// Letters, digits and single spaces between words: `Für Élise (live)` becomes `fur elise live`, `Кино` becomes
/// `kino`. Apostrophes vanish, so that `don't` is one word.
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut gap = false;
    for letter in text.chars() {
        let ascii = match letter {
            '\'' | '’' | '‘' | 'ʼ' | '`' | '´' => continue,
            _ => deunicode::deunicode_char(letter).unwrap_or(" "),
        };
        for byte in ascii.bytes() {
            if byte == b'\'' || byte == b'`' {
                continue;
            }
            if !byte.is_ascii_alphanumeric() {
                gap = true;
                continue;
            }
            if gap && !folded.is_empty() {
                folded.push(' ');
            }
            gap = false;
            folded.push(char::from(byte.to_ascii_lowercase()));
        }
    }
    folded
}

/// The words of a folded text, each cut to [`MAX_WORD`].
pub fn words(folded: &str) -> impl Iterator<Item = &str> {
    folded.split_ascii_whitespace().map(|word| word.get(..MAX_WORD).unwrap_or(word))
}

/// The distinct words under which a track is found, sorted: of its path, title, artist and album.
pub(super) fn track_words(track: &TrackRow) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for text in [&track.title, &track.artist, &track.album, &track.path] {
        for word in words(&fold(text)) {
            if found.len() == MAX_WORDS {
                return found;
            }
            found.insert(word.to_owned());
        }
    }
    found
}

/// The distinct phrases under which a track can be dialled, sorted: from each word of `artist title` and of the
/// album to the end, each with a space behind it that ends the last word, cut to [`MAX_DIALLED`] letters.
pub(super) fn phrases(track: &TrackRow) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in [format!("{} {}", track.artist, track.title), track.album.clone()] {
        let mut folded = fold(&line);
        if folded.is_empty() {
            continue;
        }
        folded.push(' ');
        let starts = std::iter::once(0).chain(folded.match_indices(' ').map(|(at, _)| at + 1));
        for start in starts.filter(|start| *start < folded.len()).take(MAX_WORDS) {
            found.insert(folded[start..folded.len().min(start + MAX_DIALLED)].to_owned());
        }
    }
    found
}

/// What is dialled, folded to the wheel: no space at the beginning, at most one between words, a last one kept
/// because it ends the word, cut to [`MAX_DIALLED`].
pub fn fold_dialled(prefix: &str) -> String {
    let mut folded = fold(prefix);
    if !folded.is_empty() && prefix.ends_with(|last: char| last.is_whitespace()) {
        folded.push(' ');
    }
    folded.truncate(MAX_DIALLED);
    folded
}

/// `text` cut to at most [`MAX_TEXT`] bytes at the border of a character.
pub(super) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_fold_to_what_people_type() {
        for (name, folded) in [
            ("Für Élise (live)", "fur elise live"),
            ("Don't Stop Me Now", "dont stop me now"),
            ("AC/DC – Back_In_Black", "ac dc back in black"),
            ("Кино", "kino"),
            ("東京", "dong jing"),
            ("Sigur Rós", "sigur ros"),
            ("Straße", "strasse"),
            ("…", ""),
            ("", ""),
        ] {
            assert_eq!(fold(name), folded, "{name}");
        }
    }

    #[test]
    fn phrases_begin_at_every_word_and_end_it() {
        let track =
            TrackRow { artist: "Abba".into(), title: "Love".into(), album: "Abba".into(), ..TrackRow::default() };
        let found: Vec<String> = phrases(&track).into_iter().collect();
        assert_eq!(found, ["abba ", "abba love ", "love "]);
    }

    #[test]
    fn a_dialled_space_ends_the_word() {
        assert_eq!(fold_dialled("The "), "the ");
        assert_eq!(fold_dialled(" "), "");
        assert_eq!(fold_dialled("é  b"), "e b");
    }

    proptest! {
        #[test]
        fn folding_gives_the_wheel_only_and_is_stable(text: String) {
            let folded = fold(&text);
            prop_assert!(folded.bytes().all(|b| b == b' ' || b.is_ascii_lowercase() || b.is_ascii_digit()));
            prop_assert!(!folded.contains("  ") && !folded.starts_with(' ') && !folded.ends_with(' '));
            prop_assert_eq!(fold(&folded), folded);
        }

        #[test]
        fn every_dialled_word_is_searchable(artist in ".{0,40}", title in ".{0,40}") {
            let track = TrackRow { artist, title, ..TrackRow::default() };
            let searchable = track_words(&track);
            for phrase in phrases(&track) {
                if phrase.ends_with(' ') {
                    for word in phrase.split_ascii_whitespace() {
                        prop_assert!(searchable.contains(word), "{}", word);
                    }
                }
            }
        }
    }
}
