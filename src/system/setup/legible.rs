//! What can be read of a text that is no TOML throughout: a quote that is missing in one section must not cost the others,
//! above all not those without which nobody gets into the board to mend it.

use std::ops::Range;

use toml::de::DeTable;

use super::file::Slip;

/// A text without its unreadable sections.
#[derive(Debug, Default)]
pub struct Legible {
    /// TOML, with blanks where the rest was: what is left is at the same bytes.
    pub text: String,
    /// Sections that are blanks now, at least in part. What stood before the first one has an empty name.
    pub lost: Vec<String>,
    pub slips: Vec<Slip>,
}

/// Reads as much as there is.
pub fn legible(text: &str) -> Legible {
    let mut found = Legible { text: text.to_owned(), ..Legible::default() };
    if errors(text).is_empty() {
        return found;
    }
    let sections = sections(text);
    for (name, range) in &sections {
        let slips = errors(&text[range.clone()]);
        if !slips.is_empty() {
            let moved = |slip: Slip| Slip { at: Some(range.start + slip.at.unwrap_or(0)), ..slip };
            found.slips.extend(slips.into_iter().map(moved));
            found.lose(name, range.clone());
        }
    }
    // Each is well-formed by itself now; not so together is a section that is there twice.
    for slip in errors(&found.text) {
        let at = slip.at.unwrap_or(0);
        for (name, range) in sections.iter().filter(|(_, range)| range.contains(&at)) {
            found.lose(name, range.clone());
        }
        found.slips.push(slip);
    }
    if !errors(&found.text).is_empty() {
        sections.iter().for_each(|(name, range)| found.lose(name, range.clone()));
    }
    found
}

impl Legible {
    fn lose(&mut self, name: &str, range: Range<usize>) {
        let blank = |byte| if byte == b'\n' { '\n' } else { ' ' };
        let blanks: String = self.text[range.clone()].bytes().map(blank).collect();
        self.text.replace_range(range, &blanks);
        self.lost.push(name.to_owned());
    }
}

/// What the parser has against a text.
fn errors(text: &str) -> Vec<Slip> {
    DeTable::parse_recoverable(text).1.iter().map(Slip::of).collect()
}

/// The sections by the lines that look like headers, mistaken or not, with the name of the table.
fn sections(text: &str) -> Vec<(String, Range<usize>)> {
    let mut sections = vec![(String::new(), 0..text.len())];
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if let Some(rest) = line.trim_start().strip_prefix('[') {
            let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            let rest = rest.trim_start_matches(['[', ' ']);
            let name = &rest[..rest.find(|c| !is_of_name(c)).unwrap_or(rest.len())];
            if !name.is_empty() {
                sections.last_mut().expect("there is the first one").1.end = at;
                sections.push((name.to_owned(), at..text.len()));
            }
        }
        at += line.len();
    }
    sections
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_that_cannot_be_read_leaves_the_others_in_their_places() {
        let text =
            "board = 'x'\n[wifi]\nssid = \"ü\n[system]\r\nhostname = 'a'\n[audio\noutput = 'y'\n[dht]\nnodes = 3\n";
        let found = legible(text);
        assert_eq!(found.lost, ["wifi", "audio"]);
        let table: toml::Table = found.text.parse().unwrap();
        assert_eq!(table.keys().collect::<Vec<_>>(), ["board", "dht", "system"]);
        assert!(found.text.len() == text.len() && found.text.find("[dht]") == text.find("[dht]"));
        let lines: Vec<usize> =
            found.slips.iter().map(|slip| text[..slip.at.unwrap()].matches('\n').count() + 1).collect();
        assert!(
            lines.contains(&3) && lines.contains(&6) && lines.iter().all(|line| [3, 4, 6].contains(line)),
            "{lines:?}"
        );
    }

    #[test]
    fn a_section_that_is_there_twice_is_not_believed() {
        let found = legible("[wifi]\nssid = 'a'\n[dht]\nnodes = 3\n[wifi]\nssid = 'b'\n");
        assert!(found.lost.contains(&"wifi".to_owned()) && !found.lost.contains(&"dht".to_owned()), "{:?}", found.lost);
        assert!(!found.slips.is_empty());
        assert!(found.text.parse::<toml::Table>().unwrap().contains_key("dht"));
    }
}
