//! A borrowing bencode reader (BEP 3) for bytes that strangers sent.
//!
//! Nothing is allocated and nothing recurses: a list or dictionary is handed out as the slice that holds it, and is
//! walked with an iterator when somebody cares. `librqbit-bencode` is not used here because its integers are parsed
//! unchecked: `i99999999999999999999e` panics in a debug build and wraps in a release build.

/// Deepest nesting that is followed. An info dictionary has 4 levels, a v2 file tree one more for every folder.
const MAX_DEPTH: usize = 64;

/// The bytes are not bencode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BencodeError {
    /// The value goes on behind the end of the bytes.
    #[error("ends in the middle of a value")]
    Truncated,
    /// A byte that cannot stand there.
    #[error("has an unexpected byte at {0} bytes before the end")]
    Unexpected(usize),
    /// An integer or length that does not fit 64 bits.
    #[error("has a number that is too large")]
    Overflow,
    /// Lists and dictionaries are nested more than 64 deep.
    #[error("is nested more than {MAX_DEPTH} deep")]
    TooDeep,
}

/// One value, borrowed from the bytes it was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    Integer(i64),
    Bytes(&'a [u8]),
    List(List<'a>),
    Dict(Dict<'a>),
}

impl<'a> Value<'a> {
    pub fn integer(self) -> Option<i64> {
        if let Self::Integer(value) = self { Some(value) } else { None }
    }

    pub fn bytes(self) -> Option<&'a [u8]> {
        if let Self::Bytes(value) = self { Some(value) } else { None }
    }

    pub fn list(self) -> Option<List<'a>> {
        if let Self::List(value) = self { Some(value) } else { None }
    }

    pub fn dict(self) -> Option<Dict<'a>> {
        if let Self::Dict(value) = self { Some(value) } else { None }
    }
}

/// Reads the value at the start of `input`; the second part is what follows it.
pub fn read(input: &[u8]) -> Result<(Value<'_>, &[u8]), BencodeError> {
    match input.first() {
        None => Err(BencodeError::Truncated),
        Some(b'i') => {
            let (value, rest) = integer(&input[1..], b'e')?;
            Ok((Value::Integer(value), rest))
        }
        Some(open @ (b'l' | b'd')) => {
            let rest = skip(input)?;
            let raw = &input[..input.len() - rest.len()];
            let items = &raw[1..raw.len() - 1];
            let value = if *open == b'l' { Value::List(List { items }) } else { Value::Dict(Dict { raw }) };
            Ok((value, rest))
        }
        Some(_) => {
            let (bytes, rest) = string(input)?;
            Ok((Value::Bytes(bytes), rest))
        }
    }
}

/// Decimal number up to `end`; the second part follows `end`.
fn integer(input: &[u8], end: u8) -> Result<(i64, &[u8]), BencodeError> {
    let (negative, digits) = match input.first() {
        Some(b'-') if end == b'e' => (true, &input[1..]),
        _ => (false, input),
    };
    let mut value = 0_i64;
    for (index, byte) in digits.iter().enumerate() {
        if *byte == end && index > 0 {
            return Ok((value, &digits[index + 1..]));
        }
        if !byte.is_ascii_digit() {
            return Err(BencodeError::Unexpected(digits.len() - index));
        }
        let digit = i64::from(byte - b'0');
        let next = value.checked_mul(10).and_then(|value| value.checked_add(if negative { -digit } else { digit }));
        value = next.ok_or(BencodeError::Overflow)?;
    }
    Err(BencodeError::Truncated)
}

fn string(input: &[u8]) -> Result<(&[u8], &[u8]), BencodeError> {
    let (length, rest) = integer(input, b':')?;
    let length = usize::try_from(length).map_err(|_| BencodeError::Overflow)?;
    rest.split_at_checked(length).ok_or(BencodeError::Truncated)
}

/// What follows the value at the start of `input`.
fn skip(mut input: &[u8]) -> Result<&[u8], BencodeError> {
    let mut depth = 0_usize;
    loop {
        input = match input.first() {
            None => return Err(BencodeError::Truncated),
            Some(b'i') => integer(&input[1..], b'e')?.1,
            Some(b'l' | b'd') => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(BencodeError::TooDeep);
                }
                &input[1..]
            }
            Some(b'e') => {
                depth = depth.checked_sub(1).ok_or(BencodeError::Unexpected(input.len()))?;
                &input[1..]
            }
            Some(_) => string(input)?.1,
        };
        if depth == 0 {
            return Ok(input);
        }
    }
}

/// A list whose extent is known and whose items are read on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct List<'a> {
    items: &'a [u8],
}

impl<'a> List<'a> {
    /// The items in their order.
    pub fn iter(self) -> impl Iterator<Item = Value<'a>> {
        let mut rest = self.items;
        std::iter::from_fn(move || {
            let (value, behind) = read(rest).ok()?;
            rest = behind;
            Some(value)
        })
    }
}

/// A dictionary whose extent is known and whose entries are read on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dict<'a> {
    raw: &'a [u8],
}

impl<'a> Dict<'a> {
    /// The dictionary as it was written, with its `d` and `e`.
    pub fn raw(self) -> &'a [u8] {
        self.raw
    }

    /// Keys and values as written; ends early at a key that is not a string or has no value.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], Value<'a>)> {
        let mut rest = &self.raw[1..self.raw.len() - 1];
        std::iter::from_fn(move || {
            let (key, behind) = string(rest).ok()?;
            let (value, behind) = read(behind).ok()?;
            rest = behind;
            Some((key, value))
        })
    }

    /// Value of the first entry with this key. Walks the dictionary: for several keys use [`Dict::iter`].
    pub fn get(self, key: &[u8]) -> Option<Value<'a>> {
        self.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }
}

/// Appends `bytes` as a bencoded string.
pub fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes.len().to_string().as_bytes());
    out.push(b':');
    out.extend_from_slice(bytes);
}

/// Appends a bencoded integer.
pub fn write_integer(out: &mut Vec<u8>, value: i64) {
    out.push(b'i');
    out.extend_from_slice(value.to_string().as_bytes());
    out.push(b'e');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_read() {
        let (value, rest) = read(b"d1:ai-42e1:bl3:xyzi0ee1:cdeetail").unwrap();
        let dict = value.dict().unwrap();
        assert_eq!(rest, b"tail");
        assert_eq!(dict.raw(), b"d1:ai-42e1:bl3:xyzi0ee1:cdee");
        assert_eq!(dict.get(b"a").and_then(Value::integer), Some(-42));
        let list: Vec<_> = dict.get(b"b").and_then(Value::list).unwrap().iter().collect();
        assert_eq!(list, [Value::Bytes(b"xyz"), Value::Integer(0)]);
        assert_eq!(dict.get(b"c").and_then(Value::dict).unwrap().iter().count(), 0);
        assert_eq!(dict.get(b"d"), None);
    }

    #[test]
    fn hostile_bytes_are_refused() {
        let deep = [vec![b'l'; MAX_DEPTH + 1], vec![b'e'; MAX_DEPTH + 1]].concat();
        for (bytes, error) in [
            (&b""[..], BencodeError::Truncated),
            (b"i99999999999999999999e", BencodeError::Overflow),
            (b"99999999999999999999:x", BencodeError::Overflow),
            (b"9223372036854775807:x", BencodeError::Truncated),
            (b"i12", BencodeError::Truncated),
            (b"ie", BencodeError::Unexpected(1)),
            (b"i-e", BencodeError::Unexpected(1)),
            (b"-1:x", BencodeError::Unexpected(4)),
            (b"d1:a", BencodeError::Truncated),
            (b"e", BencodeError::Unexpected(1)),
            (b"x", BencodeError::Unexpected(1)),
            (&deep, BencodeError::TooDeep),
        ] {
            assert_eq!(read(bytes).unwrap_err(), error, "{:?}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(read(b"i-9223372036854775808e").unwrap().0, Value::Integer(i64::MIN));
    }

    #[test]
    fn a_key_that_is_no_string_ends_the_dictionary() {
        let dict = read(b"d1:ai1ei2ei3ee").unwrap().0.dict().unwrap();
        assert_eq!(dict.iter().count(), 1);
    }

    fn walk(value: Value<'_>) -> usize {
        match value {
            Value::Integer(_) | Value::Bytes(_) => 1,
            Value::List(list) => list.iter().map(walk).sum(),
            Value::Dict(dict) => dict.iter().map(|(_, value)| walk(value)).sum(),
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(prop_oneof![Just(b'd'), Just(b'l'), Just(b'e'), Just(b'i'), Just(b'1'), Just(b':'), any::<u8>()], 0..200)) {
            if let Ok((value, rest)) = read(&bytes) {
                prop_assert!(rest.len() < bytes.len());
                walk(value);
            }
        }

        #[test]
        fn what_is_written_is_read(bytes: Vec<u8>, number: i64) {
            let mut out = b"d1:a".to_vec();
            write_bytes(&mut out, &bytes);
            out.extend_from_slice(b"1:b");
            write_integer(&mut out, number);
            out.push(b'e');
            let dict = read(&out).unwrap().0.dict().unwrap();
            prop_assert_eq!(dict.get(b"a"), Some(Value::Bytes(&bytes)));
            prop_assert_eq!(dict.get(b"b"), Some(Value::Integer(number)));
        }
    }
}
