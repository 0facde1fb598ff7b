//! The string of bytes that a story is made of.

/// What is left of a story; zeros when nothing is.
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or_default()
    }

    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub fn pick<T: Copy>(&mut self, choice: &[T]) -> T {
        choice[usize::from(self.byte()) % choice.len()]
    }

    /// At most so many bytes, as they are.
    pub fn bytes(&mut self, most: usize) -> &'a [u8] {
        self.0.split_off(..most.min(self.0.len())).unwrap_or_default()
    }

    /// Bytes of which the first says how many they are.
    pub fn string(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte());
        self.bytes(length)
    }
}
