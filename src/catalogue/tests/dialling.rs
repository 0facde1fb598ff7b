//! The counts of the wheel against counting everything.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Few letters and short words, so that prefixes are shared and buckets overflow.
fn name() -> impl Strategy<Value = String> {
    prop::collection::vec("[ab]{1,3}|the|é", 0..4).prop_map(|words| words.join(" "))
}

/// Every track that has a word from which on its line reads `prefix`, by looking at all.
fn brute_force(tracks: &[TrackRow], prefix: &str) -> Dialled {
    let mut letters: BTreeMap<char, u64> = BTreeMap::new();
    let mut hits = 0;
    for track in tracks {
        let mut next = std::collections::BTreeSet::new();
        let mut hit = false;
        for line in [format!("{} {}", track.artist, track.title), track.album.clone()] {
            let line = format!(" {} ", fold(&line));
            for (at, _) in line.match_indices(' ') {
                let rest = &line[at + 1..];
                if !rest.is_empty() && rest.trim() != "" && rest.starts_with(prefix) {
                    hit = true;
                    next.extend(rest[prefix.len()..].chars().next().filter(|_| prefix.len() < MAX_DIALLED));
                }
            }
        }
        hits += u64::from(hit);
        next.into_iter().for_each(|letter| *letters.entry(letter).or_default() += 1);
    }
    Dialled { hits, letters: letters.into_iter().collect() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn counts_are_those_of_brute_force_while_torrents_come_and_go(
        torrents in prop::collection::vec(prop::collection::vec((name(), name(), name()), 1..60), 1..12),
        gone in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let catalogue = open(folder.path());
        let mut all: Vec<Vec<TrackRow>> = Vec::new();
        for (number, names) in torrents.iter().enumerate() {
            let rows: Vec<TrackRow> =
                names.iter().zip(0..).map(|((artist, album, title), file)| track(file, artist, album, title)).collect();
            runtime.block_on(catalogue.store_torrent(torrent(number as u32), rows.clone())).unwrap();
            all.push(rows);
        }
        for index in gone {
            let number = index.index(all.len());
            runtime.block_on(catalogue.mark_not_music(hash(number as u32), String::new(), UnixTime(0))).unwrap();
            all[number].clear();
        }
        let all: Vec<TrackRow> = all.concat();
        let reader = catalogue.reader().unwrap();
        for prefix in ["", "a", "b", "e", "t", "th", "the", "the ", "the a", "a ", "a a", "ab", "aba ", "a a a", "z", "the the the the the the "] {
            let mut expected = brute_force(&all, prefix);
            if prefix.is_empty() {
                // Tracks without any name have no phrase.
                expected.hits = all.iter().filter(|t| !fold(&format!("{}{}{}", t.artist, t.title, t.album)).is_empty()).count() as u64;
            }
            prop_assert_eq!(reader.dialled(prefix).unwrap(), expected, "{:?}", prefix);
        }
    }
}

#[tokio::test]
async fn every_letter_leads_on_to_as_many_as_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = open(folder.path());
    let titles =
        ["Hey Jude", "Help", "Here Comes the Sun", "Кино", "Élan 99", "Hey Jude (Live) [Remastered 2009] Extra Long"];
    for number in 0..200 {
        let rows = titles.iter().zip(0..).map(|(title, file)| track(file, "The Band", "Hello", title)).collect();
        catalogue.store_torrent(torrent(number), rows).await.unwrap();
    }
    let reader = catalogue.reader().unwrap();
    let mut waiting = vec![String::new()];
    let mut looked_at = 0;
    while let Some(prefix) = waiting.pop() {
        looked_at += 1;
        let dialled = reader.dialled(&prefix).unwrap();
        assert!(dialled.letters.is_sorted());
        for (letter, hits) in dialled.letters {
            let longer = format!("{prefix}{letter}");
            assert_eq!(reader.dialled(&longer).unwrap().hits, hits, "{longer:?}");
            assert!(hits > 0 && hits <= dialled.hits);
            waiting.push(longer);
        }
    }
    assert!(looked_at > 100);
    assert_eq!(reader.dialled("kino ").unwrap().hits, 200);
    assert_eq!(reader.dialled("").unwrap().hits, 1200);
}
