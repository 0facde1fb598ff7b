//! The reader.

/// Deepest nesting that can be allowed: the open containers are the bits of a word.
pub const MAX_DEPTH: u32 = u64::BITS;

/// How much an input may ask of its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Deepest nesting of lists and dictionaries; beyond [`MAX_DEPTH`] nothing is read.
    pub depth: u32,
    /// Most strings, integers and containers; keys do not count.
    pub items: usize,
}

/// Why an input is not bencode that is read here. The texts go on from "it".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BencodeError {
    /// The input ends inside a value.
    #[error("ends in the middle of a value")]
    Truncated,
    /// A byte that cannot stand there, or a number that is not canonical or does not fit 64 bits.
    #[error("is malformed")]
    Malformed,
    /// Nested deeper than [`Limits::depth`].
    #[error("is nested too deeply")]
    TooDeep,
    /// More values than [`Limits::items`].
    #[error("has too many values")]
    TooMany,
    /// Bytes follow the value.
    #[error("goes on behind its end")]
    Trailing,
}

/// One complete value, as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a>(&'a [u8]);

/// Reads `input`, which must be exactly one value.
///
/// # Errors
/// If it is not, or is beyond a limit.
pub fn parse(input: &[u8], limits: Limits) -> Result<Value<'_>, BencodeError> {
    let (value, rest) = parse_prefix(input, limits)?;
    if rest.is_empty() { Ok(value) } else { Err(BencodeError::Trailing) }
}

/// Reads the value at the start of `input`; the second part is what follows it.
///
/// # Errors
/// If there is none, or it is beyond a limit.
pub fn parse_prefix(input: &[u8], limits: Limits) -> Result<(Value<'_>, &[u8]), BencodeError> {
    let mut cursor = Cursor(input);
    cursor.skip(limits)?;
    Ok((Value(&input[..input.len() - cursor.0.len()]), cursor.0))
}

/// The values that stand one behind the other in `inside`, as in a list without its letters. Ends at the first that
/// is malformed.
pub fn items(inside: &[u8]) -> List<'_> {
    List(Cursor(inside))
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
    pub fn list(self) -> Option<List<'a>> {
        self.0.strip_prefix(b"l").map(|inside| List(Cursor(inside)))
    }

    /// The keys and values of a dictionary, in the order written.
    pub fn dict(self) -> Option<Dict<'a>> {
        self.0.strip_prefix(b"d").map(|inside| Dict(Cursor(inside)))
    }

    /// The first value with this key, if this is a dictionary that has one. Walks the dictionary: for several keys
    /// use [`Value::dict`].
    pub fn get(self, key: &[u8]) -> Option<Value<'a>> {
        self.dict()?.find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// As written.
    pub fn raw(self) -> &'a [u8] {
        self.0
    }
}

/// The values of a list, read on the way.
#[derive(Debug, Clone, Copy)]
pub struct List<'a>(Cursor<'a>);

impl<'a> Iterator for List<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.value()
    }
}

/// The keys and values of a dictionary, read on the way.
#[derive(Debug, Clone, Copy)]
pub struct Dict<'a>(Cursor<'a>);

impl<'a> Iterator for Dict<'a> {
    type Item = (&'a [u8], Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.0.string().ok()?;
        Some((key, self.0.value()?))
    }
}

/// What is still to be read.
#[derive(Debug, Clone, Copy)]
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    /// A part of an input that was within its limits is so too.
    const CHECKED: Limits = Limits { depth: MAX_DEPTH, items: usize::MAX };

    fn first(&self) -> Result<u8, BencodeError> {
        self.0.first().copied().ok_or(BencodeError::Truncated)
    }

    /// The next value of a checked container, none at its end.
    fn value(&mut self) -> Option<Value<'a>> {
        if self.first().ok()? == b'e' {
            return None;
        }
        let start = self.0;
        self.skip(Self::CHECKED).ok()?;
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
    fn skip(&mut self, limits: Limits) -> Result<(), BencodeError> {
        let max_depth = limits.depth.min(MAX_DEPTH);
        // A bit for each open container, the innermost lowest: whether it is a dictionary.
        let mut dicts = 0_u64;
        let mut depth = 0;
        for _ in 0..limits.items {
            match self.first()? {
                b'i' => {
                    self.int()?;
                }
                kind @ (b'l' | b'd') => {
                    if depth == max_depth {
                        return Err(BencodeError::TooDeep);
                    }
                    dicts = dicts << 1 | u64::from(kind == b'd');
                    depth += 1;
                    self.0 = &self.0[1..];
                }
                _ => {
                    self.string()?;
                }
            }
            while depth > 0 && self.first()? == b'e' {
                self.0 = &self.0[1..];
                dicts >>= 1;
                depth -= 1;
            }
            if depth == 0 {
                return Ok(());
            }
            if dicts & 1 == 1 {
                self.string()?;
            }
        }
        Err(BencodeError::TooMany)
    }
}
