//! What stands in brackets and what does not.

use super::tidy;

/// A piece of a name: text outside of brackets, or the inside of a pair of brackets.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    Text(&'a str),
    /// The opening bracket and what is inside the outermost pair.
    Bracket(char, &'a str),
}

/// Cuts a name at its outermost brackets; an unclosed one is text.
pub fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(['(', '[', '{']) {
        let open = rest[start..].chars().next().unwrap_or('(');
        let Some(length) = closing(&rest[start..], open) else { break };
        if start > 0 {
            out.push(Piece::Text(&rest[..start]));
        }
        out.push(Piece::Bracket(open, &rest[start + 1..start + length]));
        rest = &rest[start + length + 1..];
    }
    if !rest.is_empty() {
        out.push(Piece::Text(rest));
    }
    out
}

/// Offset of the bracket that closes the one at the start of `text`.
fn closing(text: &str, open: char) -> Option<usize> {
    let close = match open {
        '(' => ')',
        '[' => ']',
        _ => '}',
    };
    let mut depth = 0_usize;
    for (index, c) in text.char_indices() {
        if c == open {
            depth += 1;
        } else if c == close {
            depth -= 1;
            if depth == 0 {
                return Some(index);
            }
        }
    }
    None
}

/// Name without the brackets for which `drop` says so. Brackets that stay keep their form.
pub fn without(text: &str, mut drop: impl FnMut(char, &str) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            Piece::Text(part) => out.push_str(part),
            // A space, because the bracket was what separated the words around it.
            Piece::Bracket(open, inside) if drop(open, inside) => out.push(' '),
            Piece::Bracket(open, inside) => {
                let close = if open == '(' {
                    ')'
                } else if open == '[' {
                    ']'
                } else {
                    '}'
                };
                out.push(open);
                out.push_str(inside);
                out.push(close);
            }
        }
    }
    tidy::trim_separators(&tidy::collapse(&out))
}
