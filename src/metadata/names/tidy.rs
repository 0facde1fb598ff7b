//! What files and folders have in common: separators, tags of formats and rips, years.

/// Words that describe the encoding or the source and are no part of a name when they stand in brackets or at the end.
/// These make a bracket technical by themselves.
const SURE: &[&str] = &[
    "flac",
    "mp3",
    "mp3s",
    "ogg",
    "vorbis",
    "opus",
    "aac",
    "alac",
    "m4a",
    "wav",
    "aiff",
    "ape",
    "wv",
    "lossless",
    "320",
    "v0",
    "v2",
    "vbr",
    "256kbps",
    "cbr",
    "kbps",
    "kbs",
    "kbit",
    "khz",
    "bit",
    "16bit",
    "24bit",
    "hires",
    "web",
    "webrip",
    "webflac",
    "itunes",
    "qobuz",
    "deezer",
    "tidal",
    "bandcamp",
    "cd",
    "cdr",
    "cdda",
    "cdrip",
    "cdm",
    "cds",
    "ep",
    "cdep",
    "2cd",
    "3cd",
    "4cd",
    "sacd",
    "vinyl",
    "vinylrip",
    "lp",
    "eac",
    "log",
    "cue",
    "scans",
    "hdtracks",
    "hd",
    "hq",
    "retail",
    "promo",
    "bootleg",
    "tntvillage",
    "rutracker",
    "pmedia",
    "vtwin88cube",
    "accuraterip",
];

/// Words that do so only beside one of [`SURE`].
const WITH_OTHERS: &[&str] = &[
    "wave", "lossy", "256", "192", "160", "128", "v1", "v8", "abr", "bits", "32bit", "hi", "res", "spotify", "amazon",
    "dvd", "dvda", "tape", "cassette", "logs", "cues", "image", "tracks", "covers", "cover", "artwork", "art",
    "stereo", "joint", "dts", "rip", "proper", "repack", "advance", "files", "torrent", "eacflac", "perfect",
    "complete", "scene", "44", "1", "48", "96", "192khz", "96khz", "441khz", "48khz", "16", "24", "88", "2", "176",
    "4", "64", "mb", "gb",
];

/// What video platforms and their listeners add to titles.
const PLATFORM: &[&str] = &[
    "official video",
    "official music video",
    "official audio",
    "official lyric video",
    "official lyrics video",
    "official visualizer",
    "official",
    "music video",
    "lyric video",
    "lyrics video",
    "lyrics",
    "with lyrics",
    "audio",
    "video",
    "official hd video",
    "hd video",
    "video clip",
    "videoclip",
    "clip officiel",
    "free download",
    "high quality",
];

/// Separators made equal: underscores, dots for spaces, dashes of any length, full-width forms; spaces collapsed.
pub fn separators(text: &str) -> String {
    let mut text: String = text.chars().map(plain_char).collect();
    text = text.replace("%20", " ").replace("&amp;", "&").replace("&#39;", "'").replace("&quot;", "\"");
    let has_spaces = text.trim().contains(' ');
    if !has_spaces && !text.contains('_') && text.matches('.').count() >= 2 {
        text = spaces_for_dots(&text);
    }
    let text = text.replace('_', " ");
    collapse(&text)
}

/// Full-width ASCII and other spaces and dashes as ASCII.
fn plain_char(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
        '\u{3000}' | '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\t' => ' ',
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        '【' | '〔' => '[',
        '】' | '〕' => ']',
        '\u{2018}' | '\u{2019}' | '\u{2bc}' => '\'',
        c => c,
    }
}

/// `Artist.-.The.Title` → `Artist - The Title`; a dot after a single letter stays (`R.E.M`).
fn spaces_for_dots(text: &str) -> String {
    let words: Vec<&str> = text.split('.').collect();
    let mut out = String::with_capacity(text.len());
    for (index, word) in words.iter().enumerate() {
        out.push_str(word);
        let initial = |word: &str| word.chars().count() == 1 && word.chars().all(char::is_uppercase);
        if index + 1 < words.len() {
            let initials = initial(word) && words.get(index + 1).is_some_and(|next| initial(next));
            out.push(if initials { '.' } else { ' ' });
        }
    }
    out
}

/// Runs of spaces as one, none at the ends.
pub fn collapse(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Letters and digits only, lower case, for comparing.
pub fn key(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// A year of recorded music.
pub fn year(text: &str) -> Option<u16> {
    if text.len() != 4 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|year| (1900..=2099).contains(year))
}

/// Words of a description: split at everything that is not a letter or digit.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

fn is_rate(word: &str) -> bool {
    ["kbps", "kbit", "khz", "kbs", "bit", "k"].iter().any(|unit| {
        word.strip_suffix(unit).is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
    })
}

fn is_technical_word(word: &str) -> bool {
    SURE.contains(&word) || WITH_OTHERS.contains(&word) || is_rate(word) || year(word).is_some()
}

/// Describes encoding, source or site, not music.
pub fn is_technical(text: &str) -> bool {
    let lower = text.to_lowercase();
    if is_site(&lower) {
        return true;
    }
    let all: Vec<String> = words(text).collect();
    !all.is_empty()
        && all.iter().all(|word| is_technical_word(word))
        && all.iter().any(|word| SURE.contains(&word.as_str()) || is_rate(word))
}

/// A web site signs what it spreads.
fn is_site(lower: &str) -> bool {
    let bare = lower.trim_start_matches("http://").trim_start_matches("https://");
    bare.starts_with("www.")
        || (!bare.contains(' ')
            && [".com", ".net", ".org", ".ru", ".info", ".to", ".me", ".cc", ".in", ".pk"]
                .iter()
                .any(|end| bare.strip_suffix(end).is_some_and(|host| host.len() > 2)))
}

/// What a platform adds, or the id of a video in brackets.
pub fn is_platform(text: &str) -> bool {
    let lower = collapse(&text.to_lowercase());
    PLATFORM.contains(&lower.as_str()) || is_video_id(text)
}

/// Eleven characters of base64url that are not a word.
fn is_video_id(text: &str) -> bool {
    text.len() == 11
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        && text.bytes().any(|b| b.is_ascii_uppercase())
        && text.bytes().any(|b| b.is_ascii_lowercase())
        && text.bytes().any(|b| b.is_ascii_digit() || b == b'-' || b == b'_')
}

/// Without dashes, commas and dots that separate nothing any more. A final dot or more belongs to the name.
pub fn trim_separators(text: &str) -> String {
    text.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '-' | ',' | ';' | '~' | '|'))
        .trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '-' | ',' | ';' | '~' | '|'))
        .to_owned()
}

/// Drops technical words from the end as long as there is another word left: `Album 320kbps MP3` → `Album`.
pub fn without_technical_end(text: &str) -> String {
    let all: Vec<&str> = text.split(' ').collect();
    let mut keep = all.len();
    while keep > 1 {
        let word = key(all[keep - 1]);
        if !(word.is_empty() || is_technical_word(&word) && year(&word).is_none()) {
            break;
        }
        keep -= 1;
    }
    let sure = all[keep..].iter().any(|word| {
        let word = key(word);
        (SURE.contains(&word.as_str())
            && !matches!(word.as_str(), "cd" | "web" | "lp" | "ep" | "tidal" | "opus" | "bit" | "log" | "hd" | "320"))
            || is_rate(&word)
    });
    if sure { trim_separators(&all[..keep].join(" ")) } else { text.to_owned() }
}

/// `Beatles, The` → `The Beatles`.
pub fn article_first(name: &str) -> String {
    for article in ["The", "A", "Die", "Los", "Les"] {
        if let Some(rest) = name.strip_suffix(article).and_then(|rest| rest.strip_suffix(", ")) {
            return format!("{article} {rest}");
        }
    }
    name.to_owned()
}

/// Capitals at the beginnings of words, for names that have none at all.
pub fn title_case(text: &str) -> String {
    if text.chars().any(char::is_uppercase) {
        return text.to_owned();
    }
    let mut start = true;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if start {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
        start = matches!(c, ' ' | '(' | '-' | '.');
    }
    out
}
