//! Text for people: aligned columns, colour only on a terminal, numbers as one says them.

use std::io::IsTerminal;

use unicode_width::UnicodeWidthChar;

/// How a piece of text stands out on a terminal (ECMA-48 select graphic rendition).
#[derive(Debug, Clone, Copy)]
pub enum Style {
    Bold,
    Dim,
    Green,
    Yellow,
    Red,
}

/// Whether standard output takes colour: a terminal, and nobody said no (no-color.org).
pub fn colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The text in that style, where colour is wanted.
pub fn styled(text: &str, style: Style) -> String {
    if !colour() {
        return text.to_owned();
    }
    let code = match style {
        Style::Bold => 1,
        Style::Dim => 2,
        Style::Green => 32,
        Style::Yellow => 33,
        Style::Red => 31,
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// Columns of the terminal that standard output goes to, if it is one.
pub fn terminal_columns() -> Option<usize> {
    let terminal = std::io::stdout().is_terminal();
    crossterm::terminal::size().ok().filter(|_| terminal).map(|(columns, _)| usize::from(columns))
}

fn char_width(c: char) -> usize {
    UnicodeWidthChar::width(c).unwrap_or(0)
}

/// Columns that the text takes.
pub fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// The text in exactly `columns` columns, cut with an ellipsis or padded.
pub fn fit(text: &str, columns: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    let whole = width(text);
    let room = if whole > columns { columns.saturating_sub(1) } else { columns };
    for c in text.chars().filter(|c| !c.is_control()) {
        if used + char_width(c) > room {
            break;
        }
        used += char_width(c);
        out.push(c);
    }
    if whole > columns && columns > 0 {
        out.push('…');
        used += 1;
    }
    out.extend(std::iter::repeat_n(' ', columns.saturating_sub(used)));
    out
}

/// Lines of cells in aligned columns, none wider than its bound; the last is neither padded nor cut.
pub fn table(rows: &[Vec<String>], bounds: &[usize]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let widest = rows.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max().unwrap_or(0);
            widest.min(bounds.get(column).copied().unwrap_or(usize::MAX))
        })
        .collect();
    rows.iter()
        .map(|row| {
            let mut line = String::new();
            for (index, cell) in row.iter().enumerate() {
                if index + 1 == row.len() {
                    line.extend(cell.chars().filter(|c| !c.is_control()));
                } else {
                    line.push_str(&fit(cell, widths[index]));
                    line.push_str("  ");
                }
            }
            line.trim_end().to_owned()
        })
        .collect()
}

/// `3:07`, `1:02:33`.
pub fn clock(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// `52 s`, `3 min`, `2 h 5 min`, `3 d 4 h`.
pub fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// `1 track`, `2 tracks`.
pub fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn columns_line_up_with_wide_and_long_text() {
        let rows = vec![
            vec!["夜の海".to_owned(), "灯台".to_owned(), "end".to_owned()],
            vec!["a".to_owned(), "much too long".to_owned(), "end".to_owned()],
        ];
        assert_eq!(table(&rows, &[20, 6]), ["夜の海  灯台    end", "a       much …  end"]);
    }

    #[test]
    fn times_read_as_people_say_them() {
        assert_eq!([clock(7.9), clock(187.0), clock(3753.2)], ["0:07", "3:07", "1:02:33"]);
        assert_eq!([span(52), span(200), span(7500)], ["52 s", "3 min", "2 h 5 min"]);
    }

    proptest! {
        #[test]
        fn fitted_text_has_the_wanted_width_and_no_control_characters(text: String, columns in 0usize..60) {
            let fitted = fit(&text, columns);
            prop_assert_eq!(width(&fitted), columns);
            prop_assert!(!fitted.contains(char::is_control));
        }
    }
}
