//! GNU Unifont, packed to four tenths of its two megabytes by `pack.rs`, the build script: the program is small enough for
//! its image, and the blocks of glyphs that are drawn again and again stay unpacked.

mod format;

use std::sync::{Mutex, PoisonError};

use miniz_oxide::inflate::decompress_slice_iter_to_slice;

use format::{BLOCK_BYTES, BLOCKS, GLYPH_BYTES, GLYPHS, LEFT, ROWS, WIDTHS};

/// Blocks that stay unpacked, 4 kB each: more than a screen of Han titles needs.
const KEPT_BLOCKS: usize = 48;

static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/unifont.packed"));
static CACHE: Mutex<Cache> = Mutex::new(Cache { blocks: Vec::new() });

/// A glyph of 16 rows and 8 or 16 columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glyph {
    rows: [u16; ROWS],
    width: u8,
}

impl Glyph {
    /// Columns.
    pub fn width(&self) -> i32 {
        i32::from(self.width)
    }

    /// Whether the pixel is lit; none outside the glyph is.
    pub fn is_lit(&self, x: usize, y: usize) -> bool {
        x < 16 && self.rows.get(y).is_some_and(|row| row & (0x8000 >> x) != 0)
    }
}

/// The glyph of the character, if the font has it.
pub fn glyph(ch: char) -> Option<Glyph> {
    let (block, at) = (ch as usize / GLYPHS, ch as usize % GLYPHS);
    // A panic elsewhere cannot have left half a block: it is unpacked before it is kept.
    CACHE.lock().unwrap_or_else(PoisonError::into_inner).block(block).and_then(|block| read(block, at))
}

fn read(block: &[u8; BLOCK_BYTES], at: usize) -> Option<Glyph> {
    let bit = |bits: usize| block[bits + at / 8] & (1 << (at % 8)) != 0;
    let first = LEFT + at * GLYPH_BYTES;
    let rows = std::array::from_fn(|y| u16::from_be_bytes([block[first + y], block[first + ROWS + y]]));
    bit(0).then(|| Glyph { rows, width: if bit(WIDTHS) { 16 } else { 8 } })
}

/// The blocks used last, the very last one at the end.
struct Cache {
    blocks: Vec<(usize, Box<[u8; BLOCK_BYTES]>)>,
}

impl Cache {
    /// The block of that number, none if the font has nothing there.
    fn block(&mut self, number: usize) -> Option<&[u8; BLOCK_BYTES]> {
        let kept = self.blocks.iter().rposition(|(kept, _)| *kept == number);
        let newest = match kept {
            Some(at) => self.blocks.remove(at),
            None => {
                let unpacked = unpack(number)?;
                if self.blocks.len() >= KEPT_BLOCKS {
                    self.blocks.remove(0);
                }
                (number, unpacked)
            }
        };
        self.blocks.push(newest);
        self.blocks.last().map(|(_, block)| &**block)
    }
}

fn unpack(number: usize) -> Option<Box<[u8; BLOCK_BYTES]>> {
    let (ends, bodies) = PACKED.split_at_checked(4 * BLOCKS)?;
    let (ends, _) = ends.as_chunks::<4>();
    let end_of = |number: usize| ends.get(number).map(|end| u32::from_le_bytes(*end) as usize);
    let begin = number.checked_sub(1).and_then(end_of).unwrap_or(0);
    let packed = bodies.get(begin..end_of(number)?).filter(|packed| !packed.is_empty())?;
    let mut block = Box::new([0; BLOCK_BYTES]);
    let unpacked = decompress_slice_iter_to_slice(&mut block[..], std::iter::once(packed), false, true);
    debug_assert_eq!(unpacked, Ok(BLOCK_BYTES), "block {number} as the build packed it");
    unpacked.is_ok().then_some(block)
}

#[cfg(test)]
mod tests;
