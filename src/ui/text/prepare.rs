//! From a text as somebody wrote it to characters in the order in which they stand on the display.

use unicode_bidi::{BidiClass, BidiInfo, bidi_class};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{canonical_combining_class, is_combining_mark};

use super::{Face, MAX_CHARS, fonts};

/// The characters from left to right, and whether the text as a whole reads from right to left.
///
/// Marks are composed with their letters where Unicode has the pair; control and formatting characters are dropped
/// (a bidi override in a file name must not turn the line around); what the face lacks is transliterated.
pub fn prepare(text: &str, face: Face) -> (Vec<char>, bool) {
    let mut chars: Vec<char> = Vec::new();
    for ch in text.chars().take(MAX_CHARS).nfc() {
        match ch {
            ch if ch.is_whitespace() => push_space(&mut chars),
            ch if is_invisible(ch) => {}
            '…' => chars.extend(['.'; 3]),
            ch => push(plain(ch), face, &mut chars),
        }
    }
    while chars.last() == Some(&' ') {
        chars.pop();
    }
    // Transliteration makes several characters of one.
    chars.truncate(2 * MAX_CHARS);
    if chars.iter().any(|ch| is_rtl(*ch)) { reorder(&chars.into_iter().collect::<String>()) } else { (chars, false) }
}

/// Quotation marks and dashes as the Latin fonts have them, instead of another script's that are twice as wide.
fn plain(ch: char) -> char {
    match ch {
        '‘' | '’' | '‚' | '‛' | 'ʼ' => '\'',
        '“' | '”' | '„' | '‟' => '"',
        '‐'..='―' => '-',
        ch => ch,
    }
}

/// Takes the character itself, else its letter without marks, else what it sounds like.
fn push(ch: char, face: Face, chars: &mut Vec<char>) {
    if fonts::has(ch, face) {
        return chars.push(ch);
    }
    if is_combining_mark(ch) {
        return;
    }
    match [ch].into_iter().nfd().next() {
        Some(letter) if letter != ch && fonts::has(letter, face) => chars.push(letter),
        _ => transliterate(ch, face, chars),
    }
}

/// Whether the character stands over or under the one before it.
pub fn is_mark(ch: char) -> bool {
    // Vowels and tone marks of Thai and Lao have combining class 0, though they take no room.
    let thai_or_lao = matches!(ch, '\u{0E31}' | '\u{0E34}'..='\u{0E3A}' | '\u{0E47}'..='\u{0E4E}' | '\u{0EB1}'
        | '\u{0EB4}'..='\u{0EBC}' | '\u{0EC8}'..='\u{0ECE}');
    thai_or_lao || canonical_combining_class(ch) != 0
}

fn push_space(chars: &mut Vec<char>) {
    if chars.last().is_some_and(|last| *last != ' ') {
        chars.push(' ');
    }
}

/// Control, formatting (Unicode category Cf) and variation selectors.
fn is_invisible(ch: char) -> bool {
    ch.is_control()
        || matches!(ch, '\u{AD}' | '\u{61C}' | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}'
            | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}'
            | '\u{FFF9}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Letters and digits become Latin; a sign is kept and shows as a box.
fn transliterate(ch: char, face: Face, chars: &mut Vec<char>) {
    let latin = if ch.is_alphanumeric() { deunicode::deunicode_char(ch) } else { None };
    match latin.filter(|latin| !latin.is_empty()) {
        Some(latin) => {
            for ch in latin.chars() {
                if ch.is_whitespace() {
                    push_space(chars);
                } else if fonts::has(ch, face) {
                    chars.push(ch);
                }
            }
        }
        None => chars.push(ch),
    }
}

fn is_rtl(ch: char) -> bool {
    matches!(bidi_class(ch), BidiClass::R | BidiClass::AL)
}

/// Joins Arabic letters and puts all in visual order (Unicode Annex 9). Vowel points are left out, as in most print:
/// they are optional in both Hebrew and Arabic, and would part the letters that join.
fn reorder(text: &str) -> (Vec<char>, bool) {
    let bare: String = text.chars().filter(|ch| !is_mark(*ch)).collect();
    // Letters that its table lacks come out as NUL.
    let joined = ::unifont::i18n::preprocess_text(&bare).replace('\0', "\u{FFFD}");
    let info = BidiInfo::new(&joined, None);
    let mut visual = Vec::with_capacity(joined.len());
    for paragraph in &info.paragraphs {
        let (levels, runs) = info.visual_runs(paragraph, paragraph.range.clone());
        for run in runs {
            if levels[run.start].is_rtl() {
                visual.extend(joined[run].chars().rev().map(mirrored));
            } else {
                visual.extend(joined[run].chars());
            }
        }
    }
    (visual, info.paragraphs.first().is_some_and(|paragraph| paragraph.level.is_rtl()))
}

/// Brackets face the other way when read from right to left (rule L4); these are the pairs that titles have.
fn mirrored(ch: char) -> char {
    const PAIRS: [(char, char); 6] = [('(', ')'), ('[', ']'), ('{', '}'), ('<', '>'), ('«', '»'), ('‹', '›')];
    let swap = |(open, close): &(char, char)| match ch {
        ch if ch == *open => Some(*close),
        ch if ch == *close => Some(*open),
        _ => None,
    };
    PAIRS.iter().find_map(swap).unwrap_or(ch)
}
