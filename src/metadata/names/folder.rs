//! Artist, album and year from the folders around a file.

use super::brackets::{self, Piece};
use super::tidy;

/// The artist of a compilation whose files do not name theirs.
pub const VARIOUS: &str = "Various Artists";

/// What the folders tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folder {
    pub artist: Option<String>,
    pub album: Option<String>,
    pub year: Option<u16>,
    /// A compilation of several artists.
    pub various: bool,
    /// Named by the rules of the scene: no spaces, the group at the end.
    pub scene_group: Option<String>,
}

impl Folder {
    /// Reads the folders from the outermost, the torrent's name, to the one that holds the file.
    pub fn of_chain(chain: &[&str]) -> Self {
        let meaningful: Vec<&str> = chain.iter().copied().filter(|name| !is_container(name)).collect();
        // If nothing but "CD1" or "MP3" is there, the outermost still says more than nothing.
        let Some((innermost, outer)) = meaningful.split_last() else {
            return Self::default();
        };
        let mut folder = Self::parse(innermost);
        for name in outer.iter().rev() {
            if folder.artist.is_some() && folder.year.is_some() || folder.various {
                break;
            }
            folder.take_from_parent(&Self::parse(name));
        }
        folder
    }

    fn take_from_parent(&mut self, parent: &Self) {
        if self.artist.is_none() && parent.various {
            self.various = true;
        } else if self.artist.is_none() {
            // `Artist/Album`, `Artist - Discography/Album`.
            self.artist = parent.artist.clone().or_else(|| parent.album.clone());
        }
        if self.scene_group.is_none() {
            self.scene_group.clone_from(&parent.scene_group);
        }
    }

    fn parse(name: &str) -> Self {
        if let Some(folder) = Self::parse_scene(name) {
            return folder;
        }
        let text = tidy::separators(name);
        let mut folder = Self::default();
        let text = folder.take_brackets(&text);
        let text = tidy::without_technical_end(&text);
        let mut parts: Vec<String> =
            text.split(" - ").map(tidy::trim_separators).filter(|part| !part.is_empty()).collect();
        parts.retain(|part| tidy::year(part).is_some() || !tidy::is_technical(part) && !is_collection_word(part));
        folder.take_year_part(&mut parts);
        // `2003. Album`, `2003 Album`, `Album 2003`, but not `1999` or `Summer of 69`.
        if let Some(last) = parts.last_mut() {
            folder.take_loose_year(last);
        }
        if parts.len() > 1
            && let Some(first) = parts.first_mut()
        {
            folder.take_loose_year(first);
        }
        folder.assign(parts);
        folder
    }

    /// Takes years out of brackets and drops what else brackets say about the edition; what may be part of the name
    /// (`(Deluxe Edition)`, `(Live)`) stays.
    fn take_brackets(&mut self, text: &str) -> String {
        brackets::without(text, |open, inside| {
            let inside = inside.trim();
            let found = tidy::year(inside)
                .or_else(|| inside.split([' ', ',', '-', ';', '.', '/']).find_map(tidy::year).filter(|_| open != '('));
            if self.year.is_none() {
                self.year = found.or_else(|| leading_year(inside));
            }
            open != '(' || tidy::year(inside).is_some() || tidy::is_technical(inside) || is_edition(inside)
        })
    }

    /// `Artist - 1973 - Album`, `2015 - Album`; but in `Artist - 1984` the year is the album.
    fn take_year_part(&mut self, parts: &mut Vec<String>) {
        let Some((index, year)) = parts.iter().enumerate().find_map(|(index, part)| Some((index, tidy::year(part)?)))
        else {
            return;
        };
        if self.year.is_none() && parts.len() > 1 {
            self.year = Some(year);
            if parts.len() > 2 || index == 0 {
                parts.remove(index);
            }
        }
    }

    fn take_loose_year(&mut self, part: &mut String) {
        let words: Vec<&str> = part.split(' ').collect();
        let (Some(first), Some(last)) = (words.first(), words.last()) else { return };
        let bare = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_owned();
        if words.len() < 2 {
            return;
        }
        if let Some(year) = tidy::year(&bare(first)) {
            self.year = self.year.or(Some(year));
            *part = tidy::trim_separators(words[1..].join(" ").trim_start_matches(['.', '-']));
        } else if let Some(year) = tidy::year(&bare(last)) {
            self.year = self.year.or(Some(year));
            *part = tidy::trim_separators(&words[..words.len() - 1].join(" "));
        }
    }

    fn assign(&mut self, parts: Vec<String>) {
        let mut parts = parts.into_iter();
        let (Some(first), second) = (parts.next(), parts.next()) else { return };
        match second {
            Some(album) if is_various(&first) => {
                self.various = true;
                self.album = Some(join(album, parts));
            }
            Some(album) => {
                self.artist = Some(artist_name(&first));
                self.album = Some(join(album, parts));
            }
            None if is_various(&first) => self.various = true,
            None => match without_collection_words(&first) {
                // `Artist Discography`: the folder is named after the artist.
                Some(artist) => self.artist = Some(artist_name(&artist)),
                None => self.album = Some(first),
            },
        }
    }

    /// `Artist_Name-Album_Title-(CAT001)-WEB-2019-GROUP`.
    fn parse_scene(name: &str) -> Option<Self> {
        if name.contains(' ') {
            return None;
        }
        let fields: Vec<&str> = name.split('-').filter(|field| !field.is_empty()).collect();
        let position = fields.iter().rposition(|field| tidy::year(field).is_some())?;
        let (group, year) = match fields.get(position + 1..)? {
            [group] => (*group, tidy::year(fields[position])),
            // `-2019-WEB-GROUP` and the like.
            [tags @ .., group] if tags.iter().all(|tag| tidy::is_technical(tag)) => {
                (*group, tidy::year(fields[position]))
            }
            _ => return None,
        };
        let names: Vec<String> = fields[..position]
            .iter()
            .filter(|field| !is_scene_tag(field))
            .map(|field| tidy::title_case(&tidy::separators(field)))
            .collect();
        let (artist, album) = names.split_first()?;
        if album.is_empty() {
            return None;
        }
        let various = is_various(artist);
        Some(Self {
            artist: (!various).then(|| artist_name(artist)),
            album: Some(album.join(" - ")),
            year,
            various,
            scene_group: Some(group.to_owned()),
        })
    }
}

fn join(first: String, rest: impl Iterator<Item = String>) -> String {
    rest.fold(first, |all, part| format!("{all} - {part}"))
}

fn artist_name(name: &str) -> String {
    tidy::article_first(name)
}

fn leading_year(text: &str) -> Option<u16> {
    text.split([' ', ',']).next().and_then(tidy::year)
}

/// Stands for several artists.
pub fn is_various(name: &str) -> bool {
    matches!(
        tidy::key(name).as_str(),
        "va" | "various"
            | "variousartists"
            | "variousartist"
            | "variosartistas"
            | "verschiedene"
            | "artistasvarios"
            | "сборник"
            | "разныеисполнители"
            | "群星"
            | "オムニバス"
            | "vv aa"
            | "vvaa"
            | "variousinterpreters"
    )
}

/// Sorts files inside an album or on a disk and names neither artist nor album.
fn is_container(name: &str) -> bool {
    let text = tidy::separators(name);
    let outside: String = brackets::pieces(&text)
        .into_iter()
        .map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Bracket(_, inside) => inside,
        })
        .collect::<Vec<_>>()
        .join(" ");
    let outside = outside.split(" - ").next().unwrap_or_default().split(": ").next().unwrap_or_default();
    let key = tidy::key(outside);
    if matches!(
        key.as_str(),
        "music"
            | "songs"
            | "audio"
            | "tracks"
            | "albums"
            | "album"
            | "studioalbums"
            | "singles"
            | "eps"
            | "live"
            | "compilations"
            | "studio"
            | "bonus"
            | "bonustracks"
            | "downloads"
            | "музыка"
            | "альбомы"
            | "студийныеальбомы"
            | "bonusdisc"
            | "bonuscd"
    ) {
        return true;
    }
    const DISCS: [&str; 10] = ["cd", "disc", "disk", "disque", "lp", "side", "vinyl", "диск", "dvd", "volumecd"];
    let disc = DISCS.iter().any(|disc| {
        key.strip_prefix(disc).is_some_and(|rest| {
            let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            rest.len() <= 3
                && (digits.is_empty() && !rest.is_empty() || matches!(rest, "a" | "b" | "c" | "d" | "one" | "two"))
        })
    });
    disc || (tidy::is_technical(&text) && tidy::year(text.trim()).is_none())
}

const COLLECTION: [&str; 12] = [
    "discography",
    "complete discography",
    "full discography",
    "collection",
    "discografia",
    "discographie",
    "дискография",
    "complete",
    "albums collection",
    "studio albums",
    "the complete discography",
    "anthology collection",
];

fn is_collection_word(part: &str) -> bool {
    let lower = part.to_lowercase();
    let bare = lower.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, ' ' | '-' | '.'));
    COLLECTION.contains(&bare)
}

/// `Artist Discography 1969-1994` without the last words; none if there are no such words.
fn without_collection_words(name: &str) -> Option<String> {
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, ' ' | '-' | ',' | '.'));
    let words: Vec<&str> = bare.split(' ').collect();
    (1..words.len())
        .find(|split| COLLECTION.contains(&words[*split..].join(" ").to_lowercase().as_str()))
        .filter(|_| !tidy::key(name).ends_with("thecollection"))
        .map(|split| words[..split].join(" "))
}

/// A bracket of a folder that tells of the pressing and not of the music.
fn is_edition(inside: &str) -> bool {
    let lower = inside.to_lowercase();
    let mut words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    tidy::year(inside.get(..4).unwrap_or_default()).is_some()
        && words.all(|word| {
            tidy::year(word).is_some()
                || matches!(word, "remaster" | "remastered" | "reissue" | "rerelease" | "edition")
                || tidy::is_technical(word)
        })
        || is_collection_word(&lower)
}

fn is_scene_tag(field: &str) -> bool {
    let bare = field.trim_matches(['(', ')', '[', ']']);
    // Catalogue numbers stand in brackets.
    bare.len() != field.len()
        || tidy::is_technical(bare)
        || matches!(
            bare.to_ascii_uppercase().as_str(),
            "CD" | "2CD"
                | "3CD"
                | "CDS"
                | "CDM"
                | "CDR"
                | "CDEP"
                | "EP"
                | "LP"
                | "VLS"
                | "WEB"
                | "VINYL"
                | "PROMO"
                | "RETAIL"
                | "ADVANCE"
                | "BOOTLEG"
                | "REMASTERED"
                | "REISSUE"
                | "REPACK"
                | "PROPER"
                | "READNFO"
                | "SAT"
                | "CABLE"
                | "DAB"
                | "LINE"
                | "DE"
                | "FR"
                | "ES"
                | "IT"
                | "JP"
                | "RU"
                | "SE"
                | "NL"
                | "PL"
                | "BONUS"
                | "OST"
                | "LIMITED"
                | "24BIT"
                | "16BIT"
        )
}
