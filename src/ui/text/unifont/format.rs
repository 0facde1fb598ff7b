// How the font is packed: shared by pack.rs, which packs it, and the module, which unpacks it.
//
// First where each block ends, counted from the end of this table (u32, little-endian); then the blocks, each for itself
// in DEFLATE. Nothing at all is the block of which the font has no glyph.

/// Code points in a block. More of them compress better, but take longer to unpack when one is wanted.
pub const GLYPHS: usize = 128;
/// Blocks in Unicode's basic plane. The font has nothing beyond it.
pub const BLOCKS: usize = 0x1_0000 / GLYPHS;
/// Rows of a glyph.
pub const ROWS: usize = 16;

// An unpacked block: a bit for each code point that the font has it (lowest bits first), a bit that its glyph is 16
// columns wide and not 8, and the glyphs: the left bytes of all rows, then the right ones. So parted they compress better.

/// Where the bits for the width begin.
pub const WIDTHS: usize = GLYPHS / 8;
/// Where the rows begin.
pub const LEFT: usize = 2 * WIDTHS;
/// Bytes of a glyph.
pub const GLYPH_BYTES: usize = 2 * ROWS;
/// Bytes of an unpacked block.
pub const BLOCK_BYTES: usize = LEFT + GLYPHS * GLYPH_BYTES;
