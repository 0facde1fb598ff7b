//! The build script: packs the glyphs of GNU Unifont: as the crate has them they are an eighth of the whole program.

mod format;

use std::path::Path;

use format::{BLOCK_BYTES, BLOCKS, GLYPH_BYTES, GLYPHS, LEFT, ROWS, WIDTHS};

/// The best that DEFLATE does; the font takes seconds once a build.
const LEVEL: u8 = 10;

fn main() {
    println!("cargo::rerun-if-changed=src/ui/text/unifont/pack.rs");
    println!("cargo::rerun-if-changed=src/ui/text/unifont/format.rs");
    let out = std::env::var_os("OUT_DIR").expect("cargo says where to");
    std::fs::write(Path::new(&out).join("unifont.packed"), packed()).expect("the folder of the build can be written");
}

fn packed() -> Vec<u8> {
    let mut blocks: Vec<Option<[u8; BLOCK_BYTES]>> = vec![None; BLOCKS];
    for (ch, glyph) in unifont::enumerate_glyphs() {
        let (block, at) = (ch as usize / GLYPHS, ch as usize % GLYPHS);
        put(blocks[block].get_or_insert([0; BLOCK_BYTES]), at, glyph);
    }
    let (mut ends, mut bodies) = (Vec::new(), Vec::new());
    for block in blocks {
        bodies.extend(block.map(|block| miniz_oxide::deflate::compress_to_vec(&block, LEVEL)).unwrap_or_default());
        ends.extend(u32::try_from(bodies.len()).expect("the font has two megabytes").to_le_bytes());
    }
    ends.extend(bodies);
    ends
}

fn put(block: &mut [u8; BLOCK_BYTES], at: usize, glyph: &unifont::Glyph) {
    block[at / 8] |= 1 << (at % 8);
    let rows = LEFT + at * GLYPH_BYTES;
    match glyph {
        unifont::Glyph::Halfwidth(halves) => block[rows..rows + ROWS].copy_from_slice(halves),
        unifont::Glyph::Fullwidth(wholes) => {
            block[WIDTHS + at / 8] |= 1 << (at % 8);
            for (y, [left, right]) in wholes.map(u16::to_be_bytes).into_iter().enumerate() {
                block[rows + y] = left;
                block[rows + ROWS + y] = right;
            }
        }
    }
}
