//! The search as other rooms see it.

use std::path::Path;

use super::*;
use crate::catalogue::{Catalogue, CatalogueOptions, SightingRow, TorrentRow, TrackRow};
use crate::control::{SearchHit, SearchMode};
use crate::types::{Bytes, InfoHash, UnixTime};

const NOW: UnixTime = UnixTime(1_800_000_000);

/// Artist, album, titles.
const MUSIC: &[(&str, &str, &[&str])] = &[
    ("The Beatles", "Abbey Road", &["Come Together", "Something", "Here Comes the Sun", "Octopus's Garden"]),
    ("The Beatles", "Help!", &["Yesterday", "Ticket to Ride", "Help!"]),
    ("Queen", "A Night at the Opera", &["Bohemian Rhapsody", "Love of My Life", "You're My Best Friend"]),
    ("Led Zeppelin", "IV", &["Stairway to Heaven", "Black Dog", "Going to California"]),
    ("Metallica", "Master of Puppets", &["Battery", "Master of Puppets", "Welcome Home (Sanitarium)"]),
    ("Sigur Rós", "Ágætis byrjun", &["Svefn-g-englar", "Starálfur"]),
    ("Кино", "Группа крови", &["Группа крови", "Спокойная ночь"]),
    ("坂本龍一", "音楽図鑑", &["チベタン・ダンス"]),
    ("Antonín Dvořák", "Symphony No. 9", &["Largo", "Allegro con fuoco"]),
    ("AC/DC", "Back in Black", &["Hells Bells", "Back in Black", "Shoot to Thrill"]),
    ("Depeche Mode", "Violator", &["Personal Jesus", "Enjoy the Silence", "Policy of Truth"]),
];

fn hash(number: usize) -> InfoHash {
    let mut hash = [3; 20];
    hash[..8].copy_from_slice(&(number as u64).to_be_bytes());
    InfoHash(hash)
}

async fn store(catalogue: &Catalogue, number: usize, artist: &str, album: &str, titles: &[&str]) {
    let folder = format!("{artist} - {album} [MP3 320]");
    let tracks = titles.iter().zip(0..).map(|(title, file): (&&str, u32)| TrackRow {
        file,
        path: format!("{folder}/{:02} {title}.mp3", file + 1),
        title: (*title).to_owned(),
        artist: artist.to_owned(),
        album: album.to_owned(),
        number: None,
        format: "mp3".to_owned(),
        bytes: 5_000_000,
    });
    let torrent = TorrentRow {
        infohash: hash(number),
        name: folder.clone(),
        torrent: None,
        bytes: 1,
        piece_length: 1,
        files: 1,
        private: false,
        added: UnixTime(1_700_000_000),
    };
    catalogue.store_torrent(torrent, tracks.collect()).await.unwrap();
}

async fn filled(folder: &Path) -> (Catalogue, Searcher) {
    let options = CatalogueOptions { budget: Bytes::mib(32), keep_torrents: true };
    let catalogue = Catalogue::open(folder, options).unwrap();
    for (number, (artist, album, titles)) in MUSIC.iter().enumerate() {
        store(&catalogue, number, artist, album, titles).await;
    }
    let searcher = Searcher::start(&catalogue).unwrap();
    (catalogue, searcher)
}

async fn find(searcher: &Searcher, query: &str, mode: SearchMode) -> Vec<SearchHit> {
    searcher.search(query, mode, 20, NOW).await.unwrap().results
}

#[tokio::test]
async fn misspelt_words_find_what_was_meant_first() {
    let folder = tempfile::tempdir().unwrap();
    let (_catalogue, searcher) = filled(folder.path()).await;
    let cases = [
        ("yesterdey", "Yesterday"),
        ("bohemain rapsody", "Bohemian Rhapsody"),
        ("bohemian rhapsodi", "Bohemian Rhapsody"),
        ("starway to heaven", "Stairway to Heaven"),
        ("led zepelin black dog", "Black Dog"),
        ("zeppilin stairway", "Stairway to Heaven"),
        ("beetles yesterday", "Yesterday"),
        ("beatels help", "Help!"),
        ("octopuss garden", "Octopus's Garden"),
        ("octopus garden", "Octopus's Garden"),
        ("metalica batery", "Battery"),
        ("mettalica battery", "Battery"),
        ("master of pupets", "Master of Puppets"),
        ("enjoy the silense", "Enjoy the Silence"),
        ("depech mode personel jesus", "Personal Jesus"),
        ("stairwaytoheaven", ""),
        ("blackdog", "Black Dog"),
        ("beat les yesterday", "Yesterday"),
        ("dvorjak largo", "Largo"),
        ("dvorak largo", "Largo"),
        ("sigur ros staralfur", "Starálfur"),
        ("gruppa krovy", "Группа крови"),
        ("спокойная ноч", "Спокойная ночь"),
        ("acdc hells bels", ""),
        ("ac dc hells bels", "Hells Bells"),
        ("califronia", "Going to California"),
    ];
    let mut missed = Vec::new();
    for (query, title) in cases {
        let results = find(&searcher, query, SearchMode::Fuzzy).await;
        if results.first().map_or("", |hit| hit.title.as_str()) != title && !title.is_empty() {
            missed.push((query, title, results.first().map(|hit| hit.title.clone())));
        }
    }
    assert!(missed.is_empty(), "{missed:?}");
}

#[tokio::test]
async fn a_correction_is_told_and_a_right_word_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (_catalogue, searcher) = filled(folder.path()).await;
    let ask = |query: &'static str| {
        let searcher = searcher.clone();
        async move { searcher.search(query, SearchMode::Fuzzy, 5, NOW).await.unwrap() }
    };
    assert_eq!(ask("yesterdey").await.corrected.as_deref(), Some("yesterday"));
    for query in ["yesterday", "Yester", "queen bohem", "YESTERDAY!"] {
        assert_eq!(ask(query).await.corrected, None, "{query}");
    }
    assert_eq!(ask("blackdog").await.corrected.as_deref(), Some("black dog"));
}

#[tokio::test]
async fn modes_differ() {
    let folder = tempfile::tempdir().unwrap();
    let (_catalogue, searcher) = filled(folder.path()).await;
    assert_eq!(find(&searcher, "quee", SearchMode::Exact).await.len(), 0);
    assert_eq!(find(&searcher, "queen", SearchMode::Exact).await.len(), 3);
    assert_eq!(find(&searcher, "que rhap", SearchMode::Prefix).await.len(), 1);
    assert_eq!(find(&searcher, "quein", SearchMode::Prefix).await.len(), 0);
    // All words are wanted, wherever they are: in the path, album or torrent name.
    assert_eq!(find(&searcher, "320 opera", SearchMode::Exact).await.len(), 3);
    assert_eq!(find(&searcher, "opera yesterday", SearchMode::Exact).await.len(), 0);
    for query in ["", "   ", "\"", "AND", "* OR NEAR(", "'; DROP TABLE word; --", &"x ".repeat(9999), "\u{0}", "🎵"] {
        for mode in [SearchMode::Exact, SearchMode::Prefix, SearchMode::Fuzzy] {
            searcher.search(query, mode, 5, NOW).await.unwrap();
        }
    }
}

#[tokio::test]
async fn more_seeders_come_first_among_equals() {
    let folder = tempfile::tempdir().unwrap();
    let (catalogue, searcher) = filled(folder.path()).await;
    store(&catalogue, 100, "The Beatles", "Help!", &["Yesterday"]).await;
    let seen = |peer: u8| SightingRow {
        infohash: hash(100),
        peer: Some(([80, 0, 0, peer], 6881).into()),
        at: NOW,
        announce: true,
    };
    catalogue.record_sightings((1..6).map(seen).collect()).await.unwrap();
    let results = find(&searcher, "beatles yesterday", SearchMode::Fuzzy).await;
    assert_eq!(results.len(), 2);
    assert_eq!((results[0].track.infohash, results[0].seeders), (hash(100), 5));
    assert!(results[0].score > results[1].score);
}

#[tokio::test]
async fn words_that_come_later_are_corrected_to_and_words_that_went_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let (catalogue, searcher) = filled(folder.path()).await;
    assert_eq!(find(&searcher, "radiohed", SearchMode::Fuzzy).await.len(), 0);
    store(&catalogue, 100, "Radiohead", "OK Computer", &["Airbag", "Lucky"]).await;
    assert_eq!(find(&searcher, "radiohed", SearchMode::Fuzzy).await.len(), 2);
    catalogue.mark_not_music(hash(100), String::new(), UnixTime(0)).await.unwrap();
    assert_eq!(find(&searcher, "radiohed", SearchMode::Fuzzy).await.len(), 0);
}

#[tokio::test]
async fn a_searcher_that_lags_behind_reads_the_words_again() {
    let folder = tempfile::tempdir().unwrap();
    let (catalogue, searcher) = filled(folder.path()).await;
    for number in 0..100 {
        store(&catalogue, 1000 + number, &format!("Artist{number}xyz"), "Album", &["Song"]).await;
    }
    assert_eq!(find(&searcher, "artst0xyz", SearchMode::Fuzzy).await[0].artist, "Artist0xyz");
    assert_eq!(find(&searcher, "artst99xyz", SearchMode::Fuzzy).await[0].artist, "Artist99xyz");
}

#[tokio::test]
async fn dialling_leads_to_a_song() {
    let folder = tempfile::tempdir().unwrap();
    let (_catalogue, searcher) = filled(folder.path()).await;
    let all = searcher.dial("").await.unwrap();
    let tracks: usize = MUSIC.iter().map(|(_, _, titles)| titles.len()).sum();
    assert_eq!(all.hits, tracks as u64);
    assert!(all.letters.iter().all(|letter| letter.letter != ' '));
    let some = searcher.dial("YEST").await.unwrap();
    assert_eq!((some.prefix.as_str(), some.hits), ("yest", 1));
    assert_eq!(some.letters.iter().map(|letter| (letter.letter, letter.hits)).collect::<Vec<_>>(), [('e', 1)]);
    assert_eq!(searcher.dial("the b").await.unwrap().hits, 7);
    assert_eq!(searcher.dial("kino ").await.unwrap().hits, 2);
    assert_eq!(searcher.dial("zz").await.unwrap().hits, 0);
    // What was dialled is found first; more has the words in another order.
    let found = find(&searcher, "the b", SearchMode::Prefix).await;
    assert!(found.len() > 7 && found[..7].iter().all(|hit| hit.artist == "The Beatles"));
}
