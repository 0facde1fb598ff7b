//! Bencode (BEP 3) as KRPC uses it: a reader that borrows from the datagram and a writer into a buffer.
//!
//! [`parse`] walks the whole input once without recursion or allocation and refuses what is malformed, too deep or
//! too long; the accessors of [`Value`] then cannot fail but for the type. Integers and lengths must be canonical.
//! The order of dictionary keys is not enforced, since some clients in the wild do not sort them.

/// Deepest nesting that is read; KRPC itself needs three levels, a BEP 44 value may bring a few more.
pub const MAX_DEPTH: usize = 10;

/// Most strings, integers and containers in one input. A reply full of peers has about 250.
pub const MAX_ITEMS: usize = 512;

/// Why an input is not bencode that is read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BencodeError {
    /// The input ends inside a value.
    #[error("ends inside a value")]
    Truncated,
    /// A byte that cannot stand there, or a number that is not canonical or does not fit.
    #[error("malformed")]
    Malformed,
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested too deeply")]
    TooDeep,
    /// More than [`MAX_ITEMS`] values.
    #[error("too many values")]
    TooMany,
    /// Bytes follow the value.
    #[error("bytes after the end")]
    Trailing,
}

/// One complete value, checked by [`parse`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a>(&'a [u8]);

/// Reads `input`, which must be exactly one value.
///
/// # Errors
/// If it is not, or exceeds a bound.
pub fn parse(input: &[u8]) -> Result<Value<'_>, BencodeError> {
    let mut cursor = Cursor(input);
    cursor.skip()?;
    if cursor.0.is_empty() { Ok(Value(input)) } else { Err(BencodeError::Trailing) }
}

impl<'a> Value<'a> {
    /// The bytes of a string.
    pub fn bytes(self) -> Option<&'a [u8]> {
        Cursor(self.0).string().ok()
    }

    /// The value of an integer.
    pub fn int(self) -> Option<i64> {
        Cursor(self.0).int().ok()
    }

    /// The values of a list.
    pub fn list(self) -> Option<impl Iterator<Item = Value<'a>>> {
        let mut items = Cursor(self.0.strip_prefix(b"l")?);
        Some(std::iter::from_fn(move || items.value()))
    }

    /// The keys and values of a dictionary, in the order written.
    pub fn dict(self) -> Option<impl Iterator<Item = (&'a [u8], Value<'a>)>> {
        let mut entries = Cursor(self.0.strip_prefix(b"d")?);
        Some(std::iter::from_fn(move || {
            let key = entries.string().ok()?;
            Some((key, entries.value()?))
        }))
    }

    /// As written.
    pub fn raw(self) -> &'a [u8] {
        self.0
    }
}

/// What is still to be read.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn first(&self) -> Result<u8, BencodeError> {
        self.0.first().copied().ok_or(BencodeError::Truncated)
    }

    /// The next value of a checked container, none at its end.
    fn value(&mut self) -> Option<Value<'a>> {
        if self.first().ok()? == b'e' {
            return None;
        }
        let start = self.0;
        self.skip().ok()?;
        Some(Value(&start[..start.len() - self.0.len()]))
    }

    /// Digits up to `end`: canonical, that is without sign, leading zeros or emptiness.
    fn digits(&mut self, end: u8) -> Result<u64, BencodeError> {
        let length = self.0.iter().position(|byte| !byte.is_ascii_digit()).ok_or(BencodeError::Truncated)?;
        let (digits, rest) = self.0.split_at(length);
        if rest[0] != end || digits.is_empty() || (digits[0] == b'0' && length > 1) {
            return Err(BencodeError::Malformed);
        }
        let mut number = 0_u64;
        for digit in digits {
            number = number
                .checked_mul(10)
                .and_then(|number| number.checked_add(u64::from(digit - b'0')))
                .ok_or(BencodeError::Malformed)?;
        }
        self.0 = &rest[1..];
        Ok(number)
    }

    fn string(&mut self) -> Result<&'a [u8], BencodeError> {
        let length = usize::try_from(self.digits(b':')?).map_err(|_| BencodeError::Truncated)?;
        let (string, rest) = self.0.split_at_checked(length).ok_or(BencodeError::Truncated)?;
        self.0 = rest;
        Ok(string)
    }

    fn int(&mut self) -> Result<i64, BencodeError> {
        self.0 = self.0.strip_prefix(b"i").ok_or(BencodeError::Malformed)?;
        let Some(rest) = self.0.strip_prefix(b"-") else {
            return i64::try_from(self.digits(b'e')?).map_err(|_| BencodeError::Malformed);
        };
        self.0 = rest;
        match self.digits(b'e')? {
            0 => Err(BencodeError::Malformed),
            number => 0_i64.checked_sub_unsigned(number).ok_or(BencodeError::Malformed),
        }
    }

    /// Moves past one value of any kind, checking it.
    fn skip(&mut self) -> Result<(), BencodeError> {
        // For each open container: whether it is a dictionary.
        let mut open = [false; MAX_DEPTH];
        let mut depth = 0;
        for _ in 0..MAX_ITEMS {
            match self.first()? {
                b'i' => {
                    self.int()?;
                }
                kind @ (b'l' | b'd') => {
                    *open.get_mut(depth).ok_or(BencodeError::TooDeep)? = kind == b'd';
                    depth += 1;
                    self.0 = &self.0[1..];
                }
                _ => {
                    self.string()?;
                }
            }
            while depth > 0 && self.first()? == b'e' {
                self.0 = &self.0[1..];
                depth -= 1;
            }
            if depth == 0 {
                return Ok(());
            }
            if open[depth - 1] {
                self.string()?;
            }
        }
        Err(BencodeError::TooMany)
    }
}

/// Writes bencode into a buffer. The caller opens and closes containers in pairs and gives dictionary keys in order.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// An empty buffer with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// Opens a dictionary.
    pub fn dict(&mut self) -> &mut Self {
        self.0.push(b'd');
        self
    }

    /// Opens a list.
    pub fn list(&mut self) -> &mut Self {
        self.0.push(b'l');
        self
    }

    /// Closes the last dictionary or list.
    pub fn end(&mut self) -> &mut Self {
        self.0.push(b'e');
        self
    }

    /// Writes a string: a key or a value.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes.len().to_string().as_bytes());
        self.0.push(b':');
        self.0.extend_from_slice(bytes);
        self
    }

    /// Writes an integer.
    pub fn int(&mut self, number: i64) -> &mut Self {
        self.0.push(b'i');
        self.0.extend_from_slice(number.to_string().as_bytes());
        self.0.push(b'e');
        self
    }

    /// Writes values that are bencoded already.
    pub fn raw(&mut self, bencoded: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bencoded);
        self
    }

    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn malformed_input_is_refused() {
        for input in [
            "",
            "i",
            "ie",
            "i-0e",
            "i01e",
            "i-e",
            "i1",
            "i9223372036854775808e",
            "01:a",
            "2:a",
            "1",
            "-1:a",
            "l",
            "le!",
            "d1:ae",
            "d1:a",
            "di1ei2ee",
            "e",
            "x",
            "99999999999999999999:",
            "d1:a1:be1:c",
            "dlei1ee",
        ] {
            assert!(parse(input.as_bytes()).is_err(), "{input}");
        }
    }

    #[test]
    fn nested_dictionaries_need_string_keys() {
        assert_eq!(parse(b"ld1:ai1eei2ee").unwrap().list().unwrap().count(), 2);
        assert!(parse(b"d1:adi1ei2eee").is_err());
    }

    #[test]
    fn extremes_of_integers_are_read() {
        for number in [0, 1, -1, i64::MAX, i64::MIN] {
            assert_eq!(parse(format!("i{number}e").as_bytes()).unwrap().int(), Some(number));
        }
    }

    #[test]
    fn depth_and_count_are_bounded() {
        let nested = |depth| [vec![b'l'; depth], vec![b'e'; depth]].concat();
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(parse(&nested(MAX_DEPTH + 1)), Err(BencodeError::TooDeep));
        let list = |items: usize| ["l", &"0:".repeat(items), "e"].concat().into_bytes();
        assert!(parse(&list(MAX_ITEMS - 1)).is_ok());
        assert_eq!(parse(&list(MAX_ITEMS)), Err(BencodeError::TooMany));
        assert_eq!(parse(&vec![b'd'; 100_000]).unwrap_err(), BencodeError::Malformed);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(input in prop::collection::vec(prop::sample::select(b"dlei:-0123456789a\xff".to_vec()), 0..200)) {
            if let Ok(value) = parse(&input) {
                prop_assert_eq!(value.raw(), &input[..]);
                if let Some(items) = value.list() {
                    let inner: Vec<u8> = items.flat_map(|item| item.raw().to_vec()).collect();
                    prop_assert_eq!([b"l".as_slice(), &inner, b"e"].concat(), value.raw());
                }
            }
        }

        #[test]
        fn written_values_are_read(bytes: Vec<u8>, number: i64) {
            let mut writer = Writer::default();
            writer.dict().bytes(b"b").bytes(&bytes).bytes(b"i").int(number).bytes(b"l").list().bytes(&bytes).end().end();
            let written = writer.into_bytes();
            let entries: Vec<_> = parse(&written).unwrap().dict().unwrap().collect();
            prop_assert_eq!(entries.len(), 3);
            prop_assert_eq!(entries[0].1.bytes(), Some(&bytes[..]));
            prop_assert_eq!(entries[1].1.int(), Some(number));
            prop_assert_eq!(entries[2].1.list().unwrap().next().unwrap().bytes(), Some(&bytes[..]));
        }
    }
}
