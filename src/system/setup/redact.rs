//! Takes a value out of a TOML text and leaves all the rest as its author wrote it.

use super::file::Place;

/// A text without one assignment.
#[derive(Debug, PartialEq, Eq)]
pub struct Without {
    /// With blanks in its stead: everything else is at the same bytes.
    pub blank: String,
    /// With a comment in its stead.
    pub noted: String,
}

/// The text without the assignment whose key and value are at these places; `note` is the comment. `None` if what comes out
/// would not be the same settings without that one. `legible`: the text with blanks where it is no TOML.
pub fn without(text: &str, legible: &str, place: Place, note: &str) -> Option<Without> {
    let Without { blank, noted } = cut(legible, &place, note)?;
    let is_right = is_the_same_but_one(legible, &blank) && is_the_same_but_one(legible, &noted);
    is_right.then(|| cut(text, &place, note)).flatten()
}

fn cut(text: &str, (key, value): &Place, note: &str) -> Option<Without> {
    let line = text.get(..key.start)?.rfind('\n').map_or(0, |end| end + 1);
    let rest = text.get(value.end..)?;
    let rest_of_line = rest.split('\n').next().unwrap_or_default().trim();
    let before = text.get(line..key.start)?.trim();
    // Alone on its line, perhaps as `wifi.password` and with a comment behind.
    let dotted = before.is_empty() || before.ends_with('.') && !before.contains(['{', ',', '=']);
    let alone = dotted && (rest_of_line.is_empty() || rest_of_line.starts_with('#'));
    let (start, end) = if alone { (line, value.end) } else { with_comma(text, key.start, value.end) };
    let blank = format!("{}{}{}", &text[..start], " ".repeat(end - start), &text[end..]);
    let noted = if alone {
        format!("{}# {note}{rest}", &text[..line])
    } else {
        format!("{}# {note}\n{}{}", &text[..line], &text[line..start], &text[end..])
    };
    Some(Without { blank, noted })
}

/// The place of an entry of an inline table, with the comma that parts it from its neighbour.
fn with_comma(text: &str, start: usize, end: usize) -> (usize, usize) {
    let behind = &text[end..];
    let blank = behind.len() - behind.trim_start().len();
    if behind[blank..].starts_with(',') {
        let after = &behind[blank + 1..];
        return (start, end + blank + 1 + (after.len() - after.trim_start_matches(' ').len()));
    }
    let before = text[..start].trim_end();
    if before.ends_with(',') { (before.len() - 1, end) } else { (start, end) }
}

/// Whether both texts are the same settings but for `[wifi] password`, which the second has not.
fn is_the_same_but_one(text: &str, edited: &str) -> bool {
    let (Ok(mut old), Ok(mut new)) = (text.parse::<toml::Table>(), edited.parse::<toml::Table>()) else { return false };
    let Some(wifi) = old.get_mut("wifi").and_then(toml::Value::as_table_mut) else { return false };
    if wifi.remove("password").is_none() {
        return false;
    }
    // `wifi.password = "…"` alone makes a table that goes with it.
    for table in [&mut old, &mut new] {
        if table.get("wifi").and_then(toml::Value::as_table).is_some_and(toml::Table::is_empty) {
            table.remove("wifi");
        }
    }
    old == new
}

#[cfg(test)]
mod tests {
    use super::*;
    use toml::de::{DeTable, DeValue};

    const NOTE: &str = "gone";

    fn redact(text: &str) -> Option<String> {
        let root = DeTable::parse(text).unwrap().into_inner();
        let DeValue::Table(wifi) = root.get("wifi").unwrap().get_ref() else { panic!("no table") };
        let (key, value) = wifi.get_key_value("password").unwrap();
        let without = without(text, text, (key.span(), value.span()), NOTE)?;
        let is_as_before = |(new, old): (u8, u8)| new == old || new == b' ';
        assert_eq!(without.blank.len(), text.len());
        assert!(without.blank.bytes().zip(text.bytes()).all(is_as_before) && !without.blank.contains("password ="));
        Some(without.noted)
    }

    #[test]
    fn everything_else_stays_as_it_was_written() {
        for (text, expected) in [
            (
                "# mine\n[wifi]\nssid = \"a\"  # home\n# the secret:\npassword = \"hunter22\"\ncountry='DE'\n",
                "# mine\n[wifi]\nssid = \"a\"  # home\n# the secret:\n# gone\ncountry='DE'\n",
            ),
            ("[wifi]\r\npassword = 'x' # note\r\nssid = 'a'\r\n", "[wifi]\r\n# gone # note\r\nssid = 'a'\r\n"),
            ("wifi.ssid = 'a'\nwifi.password = 'x'", "wifi.ssid = 'a'\n# gone"),
            ("wifi.password = 'x'\n[audio]\n", "# gone\n[audio]\n"),
            (
                "wifi = { ssid = 'a', password = 'x', country = 'DE' }\n",
                "# gone\nwifi = { ssid = 'a', country = 'DE' }\n",
            ),
            ("wifi = { ssid = 'a', password = 'x' }\n", "# gone\nwifi = { ssid = 'a' }\n"),
            ("wifi = { password = 'x', ssid = 'a' }\n", "# gone\nwifi = { ssid = 'a' }\n"),
            ("[wifi]\npassword = \"\"\"\nmany\nlines\"\"\"\nssid = 'a'", "[wifi]\n# gone\nssid = 'a'"),
            ("[wifi]\n\"password\" = 'x'\n", "[wifi]\n# gone\n"),
        ] {
            assert_eq!(redact(text).as_deref(), Some(expected), "{text}");
        }
    }
}
