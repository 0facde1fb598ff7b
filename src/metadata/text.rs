//! Names that strangers chose, made safe to show and to store.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use unicode_normalization::UnicodeNormalization;

/// Longest name of a file or folder that is kept, in bytes of UTF-8; what ext4 and every other common filesystem allow.
pub const MAX_NAME_BYTES: usize = 255;

/// As much of a raw name as is looked at.
const MAX_RAW_BYTES: usize = MAX_NAME_BYTES * 8;

/// What stands for a name of which nothing is left.
const NAMELESS: &str = "_";

/// A path component as text: decoded, composed (NFC), without anything that could leave its folder, hide or forge
/// other text on a screen, at most [`MAX_NAME_BYTES`] long (its extension is kept). Never empty.
pub fn file_name(raw: &[u8]) -> String {
    let text = clean(&decode(raw), |c| if matches!(c, '/' | '\\') { '_' } else { c });
    let trimmed = text.trim();
    if trimmed.is_empty() || trimmed == "." || trimmed == ".." {
        return NAMELESS.to_owned();
    }
    shorten(trimmed)
}

/// Text for people from raw bytes, at most `max_bytes` of UTF-8.
pub fn label(raw: &[u8], max_bytes: usize) -> String {
    let text = clean(&decode(raw), |c| c);
    let trimmed = text.trim();
    trimmed[..floor_char_boundary(trimmed, max_bytes)].trim_end().to_owned()
}

/// UTF-8 if it is; else the legacy encoding that it looks like (old torrents: windows-1251, GBK, Shift_JIS, …).
fn decode(raw: &[u8]) -> Cow<'_, str> {
    // Only as much as can survive: a name of a megabyte costs no more than a long one.
    let cut = &raw[..raw.len().min(MAX_RAW_BYTES)];
    match std::str::from_utf8(cut) {
        Ok(text) => return Cow::Borrowed(text),
        // Only the cut went through a character.
        Err(error) if error.error_len().is_none() && cut.len() < raw.len() => {
            return String::from_utf8_lossy(&cut[..error.valid_up_to()]);
        }
        Err(_) => {}
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(cut, true);
    detector.guess(None, Utf8Detection::Allow).decode_without_bom_handling(cut).0
}

fn clean(text: &str, replace: impl Fn(char) -> char) -> String {
    text.chars().filter(|c| !is_forbidden(*c)).map(replace).nfc().collect()
}

/// Control characters, and invisible ones that reorder or forge what is shown (bidirectional overrides and isolates,
/// zero-width characters, tags, private use). ZWJ and ZWNJ stay: Indic scripts, Persian and emoji need them.
fn is_forbidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{e000}'..='\u{f8ff}'
            | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}')
}

/// Cuts the stem so that the whole fits; the extension says what the file is.
fn shorten(name: &str) -> String {
    /// Longer "extensions" are just text behind a dot.
    const MAX_EXTENSION: usize = 8;
    if name.len() <= MAX_NAME_BYTES {
        return name.to_owned();
    }
    let extension = name.rfind('.').map(|dot| &name[dot..]).filter(|ext| ext.len() <= MAX_EXTENSION).unwrap_or("");
    let stem = &name[..floor_char_boundary(name, MAX_NAME_BYTES - extension.len())];
    format!("{}{extension}", stem.trim_end())
}

/// The last character boundary at or before `index`.
fn floor_char_boundary(text: &str, index: usize) -> usize {
    let mut index = index.min(text.len());
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hostile_names_become_harmless() {
        for (raw, name) in [
            (&b".."[..], "_"),
            (b".", "_"),
            (b"", "_"),
            (b" \t\r\n ", "_"),
            (b"../../etc/passwd", ".._.._etc_passwd"),
            (b"C:\\Windows\\system32", "C:_Windows_system32"),
            (b"a\0b\x1b[31mred\x07.mp3", "ab[31mred.mp3"),
            ("song\u{202e}3pm.exe".as_bytes(), "song3pm.exe"),
            ("zero\u{200b}width\u{feff}.mp3".as_bytes(), "zerowidth.mp3"),
            ("Cafe\u{301}.ogg".as_bytes(), "Café.ogg"),
            ("می\u{200c}خواهم.mp3".as_bytes(), "می\u{200c}خواهم.mp3"),
            (b"\xff\xfe\x00\x00", "ÿş"),
        ] {
            assert_eq!(file_name(raw), name, "{raw:?}");
        }
    }

    #[test]
    fn legacy_encodings_are_recognised() {
        for (encoding, text) in [
            (encoding_rs::WINDOWS_1251, "Кино - Группа крови.mp3"),
            (encoding_rs::SHIFT_JIS, "中島みゆき - 地上の星.mp3"),
            (encoding_rs::GBK, "邓丽君 - 月亮代表我的心.mp3"),
            (encoding_rs::WINDOWS_1252, "Edith Piaf - Non, je ne regrette rien à Paris, été.mp3"),
        ] {
            let (raw, _, unmappable) = encoding.encode(text);
            assert!(!unmappable && std::str::from_utf8(&raw).is_err());
            assert_eq!(file_name(&raw), text, "{}", encoding.name());
        }
    }

    #[test]
    fn long_names_keep_their_extension() {
        let name = file_name(format!("{}.flac", "é".repeat(1000)).as_bytes());
        assert!(name.len() <= MAX_NAME_BYTES && name.ends_with("é.flac"), "{name}");
        assert_eq!(label("ééé".as_bytes(), 3), "é");
    }

    proptest! {
        #[test]
        fn no_name_can_leave_its_folder(raw: Vec<u8>) {
            let name = file_name(&raw);
            prop_assert!(!name.is_empty() && name != "." && name != ".." && name.len() <= MAX_NAME_BYTES);
            let escape = name.contains(['/', '\\', '\0', '\n', '\u{202e}']);
            prop_assert!(!escape, "{:?}", name);
            prop_assert_eq!(file_name(name.as_bytes()), name, "cleaning twice changes nothing");
        }
    }
}
