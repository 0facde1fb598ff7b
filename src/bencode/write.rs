//! The writer.

/// Most digits of a 64-bit number.
const MAX_DIGITS: usize = 20;

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
    pub fn bytes(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let bytes = bytes.as_ref();
        self.digits(bytes.len() as u64);
        self.0.push(b':');
        self.0.extend_from_slice(bytes);
        self
    }

    /// Writes an integer.
    pub fn int(&mut self, number: i64) -> &mut Self {
        self.0.push(b'i');
        if number < 0 {
            self.0.push(b'-');
        }
        self.digits(number.unsigned_abs());
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

    fn digits(&mut self, mut number: u64) {
        let mut digits = [0; MAX_DIGITS];
        let mut start = MAX_DIGITS;
        loop {
            start -= 1;
            digits[start] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.0.extend_from_slice(&digits[start..]);
    }
}
