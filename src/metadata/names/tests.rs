use proptest::prelude::*;

use super::*;

/// Names of one file by itself. `path` is below the torrent's name; for a single-file torrent it is that name.
fn of_file(torrent: &str, path: &[String]) -> TrackNames {
    let single_file = matches!(path, [only] if only == torrent);
    of_torrent(torrent, single_file, &[path]).pop().unwrap_or_default()
}

/// Torrent, path below it (empty: the torrent is the file), artist, album, title, number, year (0: none).
type Case = (&'static str, &'static str, &'static str, &'static str, &'static str, u16, u16);

/// One song in one folder, as the names are found in the wild.
#[rustfmt::skip]
const CASES: &[Case] = &[
    // Artist - Album in the folder, number and title in the file.
    ("Artist - Album (2003) [FLAC]", "03. Title.flac", "Artist", "Album", "Title", 3, 2003),
    ("Artist - Album (2003) [FLAC]", "CD1/03. Title.flac", "Artist", "Album", "Title", 3, 2003),
    ("Radiohead - OK Computer (1997) [FLAC] {24-96}", "02 - Paranoid Android.flac", "Radiohead", "OK Computer", "Paranoid Android", 2, 1997),
    ("Pink Floyd - 1973 - The Dark Side of the Moon", "05 Money.mp3", "Pink Floyd", "The Dark Side of the Moon", "Money", 5, 1973),
    ("Boards of Canada - Music Has the Right to Children (1998) (320)", "06. Telephasic Workshop.mp3", "Boards of Canada", "Music Has the Right to Children", "Telephasic Workshop", 6, 1998),
    ("Daft Punk - Discovery [2001] [EAC - FLAC] (oan)", "01. One More Time.flac", "Daft Punk", "Discovery (oan)", "One More Time", 1, 2001),
    ("Nirvana – Nevermind (1991)", "01 – Smells Like Teen Spirit.mp3", "Nirvana", "Nevermind", "Smells Like Teen Spirit", 1, 1991),
    ("Portishead_-_Dummy_(1994)_[MP3_320]", "04_-_It_Could_Be_Sweet.mp3", "Portishead", "Dummy", "It Could Be Sweet", 4, 1994),
    ("Miles Davis - Kind Of Blue {CK 64935} [1997 Remaster]", "Miles Davis - Kind Of Blue - 01 - So What.flac", "Miles Davis", "Kind Of Blue", "So What", 1, 1997),
    ("Adele - 21 (2011)", "01 - Rolling in the Deep.m4a", "Adele", "21", "Rolling in the Deep", 1, 2011),
    ("Prince - 1999 (1982) [FLAC]", "01 - 1999.flac", "Prince", "1999", "1999", 1, 1982),
    ("The Cure - Disintegration (Deluxe Edition) (2010) [FLAC]", "Disc 2/07 - Lovesong.flac", "The Cure", "Disintegration (Deluxe Edition)", "Lovesong", 7, 2010),
    ("Van Halen - 1984", "02 - Jump.mp3", "Van Halen", "1984", "Jump", 2, 1984),
    ("Tool - Lateralus 2001 320kbps MP3", "05 - Schism.mp3", "Tool", "Lateralus", "Schism", 5, 2001),
    ("Burial - Untrue [V0]", "02 Archangel.mp3", "Burial", "Untrue", "Archangel", 2, 0),
    ("Björk - Homogenic (1997) [24bit Hi-Res] [Qobuz]", "03 Jóga.flac", "Björk", "Homogenic", "Jóga", 3, 1997),
    ("AC-DC - Back In Black (1980)", "06 - Back In Black.mp3", "AC-DC", "Back In Black", "Back In Black", 6, 1980),
    ("Beatles, The - Abbey Road (1969)", "01 - Come Together.mp3", "The Beatles", "Abbey Road", "Come Together", 1, 1969),
    ("Massive Attack - Mezzanine (1998) [www.music-site.org]", "Massive Attack - 03 - Teardrop.mp3", "Massive Attack", "Mezzanine", "Teardrop", 3, 1998),
    ("Amon Tobin - Permutation", "Amon Tobin - Permutation - Like Regular Chickens.mp3", "Amon Tobin", "Permutation", "Like Regular Chickens", 0, 0),
    ("Aphex Twin - Drukqs (2001) [FLAC]", "CD 02/2-03 Taking Control.flac", "Aphex Twin", "Drukqs", "Taking Control", 3, 2001),
    ("Johnny Cash - The Legend (Box Set)", "Disc 1 - Win, Place And Show/01 - I Walk the Line.mp3", "Johnny Cash", "The Legend (Box Set)", "I Walk the Line", 1, 0),
    ("Kraftwerk - Autobahn (1974) [Vinyl Rip 24-96]", "A1. Autobahn.flac", "Kraftwerk", "Autobahn", "Autobahn", 0, 1974),
    ("Kraftwerk - Autobahn (1974) [LP]", "Side B/B2 - Mitternacht.flac", "Kraftwerk", "Autobahn", "Mitternacht", 0, 1974),
    ("Queen - Greatest Hits", "(05) Bicycle Race.mp3", "Queen", "Greatest Hits", "Bicycle Race", 5, 0),
    ("Queen - Greatest Hits", "[05] Bicycle Race [128k].mp3", "Queen", "Greatest Hits", "Bicycle Race", 5, 0),
    ("Moby - Play", "#11 - Porcelain.mp3", "Moby", "Play", "Porcelain", 11, 0),
    ("Moby - Play", "Track 11 - Porcelain.mp3", "Moby", "Play", "Porcelain", 11, 0),
    ("Moby - Play", "Track 11.mp3", "Moby", "Play", "Track 11", 11, 0),
    // A folder with the album only.
    ("Greatest Hits", "01 - Queen - Bohemian Rhapsody.mp3", "Queen", "Greatest Hits", "Bohemian Rhapsody", 1, 0),
    ("[2003] Album Title", "Some Artist - Some Title.mp3", "Some Artist", "Album Title", "Some Title", 0, 2003),
    ("2015 - In Colour [FLAC]", "Jamie xx - In Colour - 03 - Sleep Sound.flac", "Jamie xx", "In Colour", "Sleep Sound", 3, 2015),
    // Discographies.
    ("Led Zeppelin - Discography (1969-1982) [FLAC]", "1971 - Led Zeppelin IV/04 - Stairway to Heaven.flac", "Led Zeppelin", "Led Zeppelin IV", "Stairway to Heaven", 4, 1971),
    ("Led Zeppelin Discography 1969-1982", "Studio Albums/(1971) Led Zeppelin IV/04. Stairway to Heaven.flac", "Led Zeppelin", "Led Zeppelin IV", "Stairway to Heaven", 4, 1971),
    ("David Bowie", "1977 - Low [FLAC]/CD1/05 - Sound and Vision.flac", "David Bowie", "Low", "Sound and Vision", 5, 1977),
    ("Кино - Дискография (1982-1990) MP3", "1988 - Группа крови/01. Группа крови.mp3", "Кино", "Группа крови", "Группа крови", 1, 1988),
    ("Metallica - Complete Discography [MP3 320]", "Metallica - Master of Puppets (1986)/02 - Master of Puppets.mp3", "Metallica", "Master of Puppets", "Master of Puppets", 2, 1986),
    // Compilations.
    ("VA - Now That's What I Call Music 42 (1999)", "05 - Blur - Coffee & TV.mp3", "Blur", "Now That's What I Call Music 42", "Coffee & TV", 5, 1999),
    ("Various Artists - Pulp Fiction OST (1994) [FLAC]", "02. Dick Dale - Misirlou.flac", "Dick Dale", "Pulp Fiction OST", "Misirlou", 2, 1994),
    ("V.A. - Ambient Sampler", "01 Untitled.ogg", "Various Artists", "Ambient Sampler", "Untitled", 1, 0),
    ("Various", "Summer Hits 2010/07. Shakira - Waka Waka.mp3", "Shakira", "Summer Hits", "Waka Waka", 7, 2010),
    ("Сборник - Русский рок (2005)", "12 - ДДТ - Осень.mp3", "ДДТ", "Русский рок", "Осень", 12, 2005),
    // Scene.
    ("Artist_Name-Album_Title-(CAT001)-WEB-2019-GROUP", "01-artist_name-first_track.mp3", "Artist Name", "Album Title", "First Track", 1, 2019),
    ("Artist_Name-Album_Title-CD-FLAC-2003-GROUP", "03-artist_name-third_track-group.flac", "Artist Name", "Album Title", "Third Track", 3, 2003),
    ("VA-Club_Anthems-2CD-2008-FNT", "105-some_dj_feat._singer-hot_night_(radio_edit).mp3", "Some Dj Feat. Singer", "Club Anthems", "Hot Night (Radio Edit)", 5, 2008),
    ("Burial-Rival_Dealer-(HDB080)-EP-2013-DGN", "01-burial-rival_dealer.mp3", "Burial", "Rival Dealer", "Rival Dealer", 1, 2013),
    ("Orbital-In_Sides-1996-MP3-OMA", "02_orbital_-_petrol.mp3", "Orbital", "In Sides", "petrol", 2, 1996),
    ("Kaada_Patton-Bacteria_Cult-WEB-2016-ENTiTLED", "04-kaada_patton-a_burnt_out_case.mp3", "Kaada Patton", "Bacteria Cult", "A Burnt Out Case", 4, 2016),
    ("The.Prodigy.-.The.Fat.Of.The.Land.(1997).FLAC", "01.Smack.My.Bitch.Up.flac", "The Prodigy", "The Fat Of The Land", "Smack My Bitch Up", 1, 1997),
    // Single files.
    ("Artist - Title.mp3", "", "Artist", "", "Title", 0, 0),
    ("01 - Artist - Title.mp3", "", "Artist", "", "Title", 1, 0),
    ("Pink Floyd - The Wall - 03 - Another Brick in the Wall.mp3", "", "Pink Floyd", "The Wall", "Another Brick in the Wall", 3, 0),
    ("Pink Floyd - The Wall - Hey You.mp3", "", "Pink Floyd", "The Wall", "Hey You", 0, 0),
    ("Oasis - Wonderwall - Live.mp3", "", "Oasis", "", "Wonderwall - Live", 0, 0),
    ("Rick Astley - Never Gonna Give You Up (Official Music Video) [dQw4w9WgXcQ].m4a", "", "Rick Astley", "", "Never Gonna Give You Up", 0, 0),
    ("Luis Fonsi - Despacito ft. Daddy Yankee (320 kbps).mp3", "", "Luis Fonsi", "", "Despacito ft. Daddy Yankee", 0, 0),
    ("99 Luftballons.mp3", "", "", "", "99 Luftballons", 0, 0),
    ("1999.mp3", "", "", "", "1999", 0, 0),
    ("10,000 Days.ogg", "", "", "", "10,000 Days", 0, 0),
    ("artist_-_title_(remix).ogg", "", "artist", "", "title (remix)", 0, 0),
    ("www.freemp3.com - Artist - Song.mp3", "", "Artist", "", "Song", 0, 0),
    ("Artist%20-%20Some%20Song.mp3", "", "Artist", "", "Some Song", 0, 0),
    // Non-Latin names.
    ("久石譲 - 千と千尋の神隠し (2001) [FLAC]", "01. あの夏へ.flac", "久石譲", "千と千尋の神隠し", "あの夏へ", 1, 2001),
    ("邓丽君 - 月亮代表我的心", "０１．月亮代表我的心.mp3", "邓丽君", "月亮代表我的心", "月亮代表我的心", 1, 0),
    ("방탄소년단 - Love Yourself (2018) 【FLAC】", "02 - Fake Love.flac", "방탄소년단", "Love Yourself", "Fake Love", 2, 2018),
    ("Земфира - Прости меня моя любовь (2000) FLAC", "05 - Искала.flac", "Земфира", "Прости меня моя любовь", "Искала", 5, 2000),
    ("فيروز - أجمل أغاني", "03 - نسم علينا الهوى.mp3", "فيروز", "أجمل أغاني", "نسم علينا الهوى", 3, 0),
    ("Μίκης Θεοδωράκης - Ζορμπάς", "01 Ο χορός του Ζορμπά.mp3", "Μίκης Θεοδωράκης", "Ζορμπάς", "Ο χορός του Ζορμπά", 1, 0),
    ("नुसरत फ़तेह अली ख़ान - संगम", "04. आफ़रीन.mp3", "नुसरत फ़तेह अली ख़ान", "संगम", "आफ़रीन", 4, 0),
    // Folders that say nothing, and names that say little.
    ("CD1", "01 - Title.mp3", "", "", "Title", 1, 0),
    ("Music", "Artist/Some Album/01 Title.mp3", "Artist", "Some Album", "Title", 1, 0),
    ("MP3", "Artist - Title.mp3", "Artist", "", "Title", 0, 0),
    ("Some Album", "01.mp3", "", "Some Album", "01", 1, 0),
    ("Some Album", "---.mp3", "", "Some Album", "---", 0, 0),
    ("Sigur Rós - ( ) (2002)", "01 - Untitled #1.flac", "Sigur Rós", "( )", "Untitled #1", 1, 2002),
    ("R.E.M. - Out of Time (1991)", "02 - Losing My Religion.mp3", "R.E.M.", "Out of Time", "Losing My Religion", 2, 1991),
    ("Artist - Album (2003)", "01 - Title (Live).mp3", "Artist", "Album", "Title (Live)", 1, 2003),
    ("Artist - Album (2003)", "01 - Title - Radio Edit.mp3", "Artist", "Album", "Title - Radio Edit", 1, 2003),
    ("Artist - Album (2003)", "01 - Artist - Title - Live.mp3", "Artist", "Album", "Title - Live", 1, 2003),
    ("Artist - Album (2003)", "1. Title, Part 2.mp3", "Artist", "Album", "Title, Part 2", 1, 2003),
    ("Artist - Album (2003)", "50 Ways to Leave.mp3", "Artist", "Album", "50 Ways to Leave", 0, 2003),
    ("Artist - Album (2003)", "7-inch Love.mp3", "Artist", "Album", "7-inch Love", 0, 2003),
];

fn path(torrent: &str, below: &str) -> Vec<String> {
    if below.is_empty() { vec![torrent.to_owned()] } else { below.split('/').map(str::to_owned).collect() }
}

#[test]
fn names_as_found_in_the_wild() {
    assert!(CASES.len() >= 60);
    let mut wrong = Vec::new();
    for (torrent, below, artist, album, title, number, year) in CASES {
        let some = |number: &u16| Some(*number).filter(|number| *number > 0);
        let expected = TrackNames {
            artist: (*artist).to_owned(),
            album: (*album).to_owned(),
            title: (*title).to_owned(),
            number: some(number),
            year: some(year),
        };
        let names = of_file(torrent, &path(torrent, below));
        if names != expected {
            wrong.push(format!("{torrent} / {below}\n     got {names:?}\n  wanted {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} wrong:\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
}

fn titles(torrent: &str, files: &[&str]) -> Vec<(Option<u16>, String, String)> {
    let paths: Vec<Vec<String>> = files.iter().map(|file| path(torrent, file)).collect();
    let paths: Vec<&[String]> = paths.iter().map(Vec::as_slice).collect();
    of_torrent(torrent, false, &paths).into_iter().map(|names| (names.number, names.artist, names.title)).collect()
}

fn expect(rows: &[(u16, &str, &str)]) -> Vec<(Option<u16>, String, String)> {
    let some = |number: u16| Some(number).filter(|number| *number > 0);
    rows.iter().map(|(number, artist, title)| (some(*number), (*artist).to_owned(), (*title).to_owned())).collect()
}

#[test]
fn songs_of_a_folder_explain_each_other() {
    // Numbers without zeros are numbers when all songs have one.
    assert_eq!(
        titles("Nena - Hits", &["9 Leuchtturm.mp3", "10 Nur geträumt.mp3", "11 99 Luftballons.mp3"]),
        expect(&[(9, "Nena", "Leuchtturm"), (10, "Nena", "Nur geträumt"), (11, "Nena", "99 Luftballons")])
    );
    // And not when only one has.
    assert_eq!(
        titles("Nena - Hits", &["Leuchtturm.mp3", "Nur geträumt.mp3", "99 Luftballons.mp3"]),
        expect(&[(0, "Nena", "Leuchtturm"), (0, "Nena", "Nur geträumt"), (0, "Nena", "99 Luftballons")])
    );
}

#[test]
fn a_dash_in_one_title_is_not_an_artist() {
    assert_eq!(
        titles("Bach - Suites (1983)", &["01 - Prelude.mp3", "02 - Suite No. 1 - Allemande.mp3", "03 - Gigue.mp3"]),
        expect(&[(1, "Bach", "Prelude"), (2, "Bach", "Suite No. 1 - Allemande"), (3, "Bach", "Gigue")])
    );
}

#[test]
fn a_work_of_several_movements_is_not_an_artist() {
    assert_eq!(
        titles("Bach - Suites (1983)", &["01 - Suite No. 1 - Prelude.mp3", "02 - Suite No. 1 - Allemande.mp3"]),
        expect(&[(1, "Bach", "Suite No. 1 - Prelude"), (2, "Bach", "Suite No. 1 - Allemande")])
    );
}

#[test]
fn a_compilation_without_the_word_is_recognised_by_its_files() {
    assert_eq!(
        titles("Label - Sampler (2010)", &["01 - Alpha - One.mp3", "02 - Beta - Two.mp3", "03 - Gamma - Three.mp3"]),
        expect(&[(1, "Alpha", "One"), (2, "Beta", "Two"), (3, "Gamma", "Three")])
    );
}

#[test]
fn folders_of_one_torrent_are_read_apart() {
    let files = ["1971 - First/01 - A.mp3", "1971 - First/02 - B.mp3", "1973 - Second/01 - C.mp3"];
    let paths: Vec<Vec<String>> = files.iter().map(|file| path("", file)).collect();
    let paths: Vec<&[String]> = paths.iter().map(Vec::as_slice).collect();
    let albums: Vec<_> = of_torrent("Band - Discography", false, &paths)
        .into_iter()
        .map(|names| (names.artist, names.album, names.year))
        .collect();
    let row = |album: &str, year| ("Band".to_owned(), album.to_owned(), Some(year));
    assert_eq!(albums, [row("First", 1971), row("First", 1971), row("Second", 1973)]);
}

proptest! {
    #[test]
    fn any_names_give_a_title(torrent in ".{0,60}", parts in proptest::collection::vec("[ -_a-cA-C0-9.(){}\\[\\]é漢]{1,30}", 1..4)) {
        let names = of_file(&torrent, &parts);
        prop_assert!(!names.title.is_empty());
        prop_assert!(names.year.is_none_or(|year| (1900..=2099).contains(&year)));
    }
}
