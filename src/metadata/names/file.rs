//! Artist, title and number from the name of a file, in the light of its folder.

use super::folder::{Folder, is_various};
use super::{brackets, tidy};

/// What the name of a file tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileName {
    pub artist: Option<String>,
    pub album: Option<String>,
    pub title: String,
    pub number: Option<u16>,
    pub year: Option<u16>,
}

/// What the folder and the other songs in it say about how to read a name.
#[derive(Debug, Clone, Default)]
pub struct FolderHints {
    artist: Option<String>,
    album: Option<String>,
    various: bool,
    scene_group: Option<String>,
    /// Songs are numbered, so a number followed by no more than a space is one.
    numbered: bool,
    /// Most of several songs have no dash, or the same words before it: it separates no artist.
    dash_in_title: bool,
}

impl FolderHints {
    /// Looks at all songs of a folder.
    pub fn gather(folder: &Folder, stems: &[&str]) -> Self {
        let mut hints = Self {
            artist: folder.artist.as_deref().map(tidy::key),
            album: folder.album.as_deref().map(tidy::key),
            various: folder.various,
            scene_group: folder.scene_group.clone(),
            ..Self::default()
        };
        let texts: Vec<String> = stems.iter().map(|stem| tidy::separators(stem)).collect();
        let most = |count: usize| stems.len() > 1 && count * 5 >= stems.len() * 4;
        hints.numbered = most(texts.iter().filter(|text| leading_number(text, true).is_some()).count());
        let firsts: Vec<String> = texts.iter().filter_map(|text| hints.first_part(text)).collect();
        let alike = firsts.first().is_some_and(|first| most(firsts.iter().filter(|other| other == &first).count()));
        hints.dash_in_title = stems.len() > 1 && (alike || firsts.len() * 2 < stems.len());
        hints
    }

    /// What stands before the first dash, after the number, for comparing.
    fn first_part(&self, text: &str) -> Option<String> {
        let text = leading_number(text, self.numbered).map_or(text, |(_, rest)| rest);
        text.split_once(" - ").map(|(first, _)| tidy::key(first))
    }

    fn is_artist(&self, part: &str) -> bool {
        self.artist.as_ref().is_some_and(|artist| same(artist, &tidy::key(part)))
    }

    fn is_album(&self, part: &str) -> bool {
        self.album.as_ref().is_some_and(|album| same(album, &tidy::key(part)))
    }
}

/// Equal, but for a `the` in front.
fn same(a: &str, b: &str) -> bool {
    !a.is_empty() && a.strip_prefix("the").unwrap_or(a) == b.strip_prefix("the").unwrap_or(b)
}

impl FileName {
    /// Reads a file name without its extension.
    pub fn parse(stem: &str, hints: &FolderHints) -> Self {
        if let Some(name) = Self::parse_scene(stem, hints) {
            return name;
        }
        let mut name = Self::default();
        let text = brackets::without(&tidy::separators(stem), |open, inside| {
            tidy::is_technical(inside) || tidy::is_platform(inside) || open == '[' && tidy::year(inside).is_some()
        });
        let mut text = tidy::without_technical_end(&text);
        if let Some((number, rest)) = leading_number(&text, hints.numbered) {
            name.number = number;
            text = rest.to_owned();
        }
        let mut parts: Vec<String> = text.split(" - ").map(|part| part.trim().to_owned()).collect();
        parts.retain(|part| !part.is_empty() && !tidy::is_technical(part) && !tidy::is_platform(part));
        name.take_inner_number(&mut parts);
        name.assign(parts, hints);
        if name.title.is_empty() {
            name.title = fallback_title(stem);
        }
        if name.number.is_none() {
            let lower = name.title.to_lowercase();
            name.number = track_number(lower.strip_prefix("track").unwrap_or(&lower));
        }
        name
    }

    /// `Artist - Album - 03 - Title`: what precedes a number between dashes is no title.
    fn take_inner_number(&mut self, parts: &mut Vec<String>) {
        if self.number.is_some() || parts.len() < 3 {
            return;
        }
        let inner = (1..parts.len() - 1).find_map(|index| Some((index, track_number(&parts[index])?)));
        if let Some((index, number)) = inner {
            self.number = Some(number);
            let title = parts.split_off(index + 1).join(" - ");
            parts.truncate(index);
            if let Some((artist, album)) = parts.split_first() {
                self.artist = Some(artist.clone());
                self.album = (!album.is_empty()).then(|| album.join(" - "));
            }
            self.title = title;
            parts.clear();
        }
    }

    fn assign(&mut self, mut parts: Vec<String>, hints: &FolderHints) {
        if !self.title.is_empty() {
            // `Album - 03 - Title` in the folder of the album.
            if self.album.is_none()
                && self.artist.as_deref().is_some_and(|artist| hints.is_album(artist) && !hints.is_artist(artist))
            {
                self.album = self.artist.take();
            }
            self.drop_various();
            return;
        }
        if parts.len() > 1
            && let Some((Some(number), rest)) = parts.get(1).and_then(|part| leading_number(part, false))
            && self.number.is_none()
        {
            // `Artist - 03. Title`
            self.number = Some(number);
            parts[1] = rest.to_owned();
        }
        if parts.len() > 1 && (hints.is_album(&parts[0]) && !hints.is_artist(&parts[0])) {
            // `Album - Title`
            parts.remove(0);
        }
        let known_artist = parts.len() > 1 && hints.is_artist(&parts[0]);
        if parts.len() > 2 && hints.is_album(&parts[1]) {
            parts.remove(1);
        }
        match parts.len() {
            0 => {}
            1 => self.title = parts.remove(0),
            // The folder's way to write the artist is the same for all songs.
            _ if known_artist => self.title = parts.split_off(1).join(" - "),
            _ if hints.artist.is_some() && !hints.various && (hints.dash_in_title || is_version(&parts[1])) => {
                self.title = parts.join(" - ");
            }
            // Without a folder that says otherwise, the album stands between artist and title.
            3.. if hints.album.is_none() && !is_version(&parts[2]) => {
                self.artist = Some(parts.remove(0));
                self.album = Some(parts.remove(0));
                self.title = parts.join(" - ");
            }
            _ => {
                self.artist = Some(parts.remove(0));
                self.title = parts.join(" - ");
            }
        }
        self.drop_various();
        self.artist = self.artist.take().map(|artist| tidy::article_first(&artist));
    }

    fn drop_various(&mut self) {
        self.artist = self.artist.take().filter(|artist| !is_various(artist));
    }

    /// `01-artist_name-track_title-group`, `101-…` for the first of the first disc.
    fn parse_scene(stem: &str, hints: &FolderHints) -> Option<Self> {
        if stem.contains(' ') {
            return None;
        }
        let mut fields: Vec<&str> = stem.split('-').filter(|field| !matches!(*field, "" | "_")).collect();
        let number: u16 =
            fields.first().filter(|first| matches!(first.len(), 2 | 3)).and_then(|first| first.parse().ok())?;
        if fields.len() > 2 && fields.last().copied().is_some_and(|last| is_group(last, hints)) {
            fields.pop();
        }
        // Dashes may be part of the title; without an underscore anywhere it is some other custom.
        if fields.len() < 2 || !(stem.contains('_') || hints.scene_group.is_some() || stem.contains("-_")) {
            return None;
        }
        let clean = |field: &str| tidy::title_case(&tidy::separators(field));
        let number = if number > 100 { number % 100 } else { number };
        let (artist, title) = match &fields[1..] {
            [title] => (None, clean(title)),
            [artist, title @ ..] => {
                (Some(clean(artist)).filter(|artist| !hints.is_artist(artist)), clean(&title.join("-")))
            }
            [] => return None,
        };
        let mut name = Self { artist, title, number: Some(number).filter(|number| *number > 0), ..Self::default() };
        name.drop_various();
        (!name.title.is_empty()).then_some(name)
    }
}

/// The release group signs the last field of a scene file.
fn is_group(field: &str, hints: &FolderHints) -> bool {
    let known = hints.scene_group.as_ref().is_some_and(|group| group.eq_ignore_ascii_case(field));
    known
        || matches!(
            field.to_ascii_lowercase().as_str(),
            "fnt" | "ysp" | "c4" | "ube" | "oma" | "esg" | "wre" | "eos" | "sns" | "h3x"
        )
}

/// Describes which take of a song it is.
fn is_version(part: &str) -> bool {
    const WORDS: [&str; 22] = [
        "remix",
        "mix",
        "live",
        "edit",
        "version",
        "acoustic",
        "instrumental",
        "demo",
        "remaster",
        "remastered",
        "bonus",
        "feat",
        "ft",
        "cover",
        "karaoke",
        "reprise",
        "interlude",
        "outtake",
        "mono",
        "stereo",
        "unplugged",
        "extended",
    ];
    let lower = part.to_lowercase();
    lower
        .split(|c: char| !c.is_alphanumeric())
        .next_back()
        .into_iter()
        .chain(lower.split(|c: char| !c.is_alphanumeric()).next())
        .any(|word| WORDS.contains(&word))
}

/// `1` to `999`, or disc and number as in `1-03`.
fn track_number(part: &str) -> Option<u16> {
    let part = part.trim().trim_start_matches('#').trim_end_matches('.');
    if part.is_empty() || part.len() > 3 || !part.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    part.parse().ok().filter(|number| *number > 0)
}

/// The number in front of a name and what follows it. The number is none where something was numbered in another way
/// (`B2`, the second on the back of a record). With `numbered` a space alone separates too.
fn leading_number(text: &str, numbered: bool) -> Option<(Option<u16>, &str)> {
    let text = text.trim_start();
    if let Some((inside, rest)) = bracketed_number(text) {
        return Some((Some(inside), rest));
    }
    let lower_start = text.get(..6).unwrap_or_default().to_ascii_lowercase();
    let body = if lower_start.starts_with("track ") { text[6..].trim_start() } else { text.trim_start_matches('#') };
    let said_track = body.len() != text.len();
    if let Some(found) = vinyl_number(body) {
        return Some(found);
    }
    let digits = body.bytes().take_while(u8::is_ascii_digit).count();
    let rest = &body[digits..];
    if digits == 0 || digits > 3 || rest.is_empty() {
        return None;
    }
    // `1-03 Title`, `1.03 Title`, `CD`-less disc numbers.
    if digits == 1
        && let Some(after) = rest.strip_prefix(['-', '.'])
        && after.bytes().take_while(u8::is_ascii_digit).count() == 2
        && let Some((number, title)) = split_number(after, 2, true)
    {
        return Some((number, title));
    }
    let lone_space_counts = numbered || said_track || body.starts_with('0') && digits > 1;
    split_number(body, digits, lone_space_counts)
}

fn split_number(text: &str, digits: usize, lone_space_counts: bool) -> Option<(Option<u16>, &str)> {
    let number = text[..digits].parse::<u16>().ok()?;
    let rest = &text[digits..];
    let title = rest
        .trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '-' | '.' | ')' | ']' | ',' | ':' | '~' | '、'));
    let separator = &rest[..rest.len() - title.len()];
    let marked = separator.chars().any(|c| !c.is_whitespace());
    // `7-inch`, `2.0`, `10,000`: a mark without a space that is followed by a digit or an ordinary word.
    let tight = marked && !separator.contains(' ');
    let attached = tight
        && (digits < 2 && separator != ")" && separator != "." || title.starts_with(|c: char| c.is_ascii_digit()));
    if title.is_empty() || attached || !(marked || !separator.is_empty() && lone_space_counts) {
        return None;
    }
    Some((Some(number).filter(|number| *number > 0), title))
}

/// `(03) Title`, `[03] Title`.
fn bracketed_number(text: &str) -> Option<(u16, &str)> {
    let close = match text.chars().next()? {
        '(' => ')',
        '[' => ']',
        _ => return None,
    };
    let (inside, rest) = text[1..].split_once(close)?;
    let rest = rest.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '-' | '.'));
    Some((track_number(inside)?, rest)).filter(|_| !rest.is_empty())
}

/// `A1. Title`, `B2 - Title`: side and position on a record. The side's other songs are not known, so no number.
fn vinyl_number(text: &str) -> Option<(Option<u16>, &str)> {
    let mut chars = text.chars();
    let (side, position) = (chars.next()?, chars.next()?);
    let rest = chars.as_str();
    let title = rest.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '-' | '.' | ')'));
    let separator = &rest[..rest.len() - title.len()];
    let fits = matches!(side, 'A'..='H') && matches!(position, '1'..='9') && !title.is_empty();
    (fits && separator.contains(['-', '.', ')']) && separator.ends_with([' ', '.', ')'])).then_some((None, title))
}

/// For a name of which nothing was left.
fn fallback_title(stem: &str) -> String {
    let text = tidy::collapse(&tidy::separators(stem));
    if text.is_empty() { "_".to_owned() } else { text }
}
