use super::*;

fn original(ch: char) -> Option<Glyph> {
    ::unifont::get_glyph(ch).map(|glyph| match glyph {
        ::unifont::Glyph::Halfwidth(rows) => Glyph { rows: rows.map(|row| u16::from(row) << 8), width: 8 },
        ::unifont::Glyph::Fullwidth(rows) => Glyph { rows: *rows, width: 16 },
    })
}

#[test]
fn every_glyph_comes_out_as_the_font_has_it() {
    let mut found = 0;
    for ch in '\0'..=char::MAX {
        let glyph = glyph(ch);
        assert_eq!(glyph, original(ch), "U+{:04X}", ch as u32);
        found += usize::from(glyph.is_some());
    }
    assert_eq!(found, ::unifont::enumerate_glyphs().count());
}

#[test]
fn a_pixel_outside_the_glyph_is_not_lit() {
    let full = Glyph { rows: [u16::MAX; ROWS], width: 16 };
    assert!(full.is_lit(15, 15));
    assert!(!full.is_lit(16, 0) && !full.is_lit(0, 16) && !full.is_lit(usize::MAX, usize::MAX));
}

#[test]
fn the_cache_keeps_what_was_used_last_and_no_more() {
    let mut cache = Cache { blocks: Vec::new() };
    for number in 0..2 * KEPT_BLOCKS {
        assert!(cache.block(number).is_some());
        assert!(cache.block(0).is_some());
    }
    assert_eq!(cache.blocks.len(), KEPT_BLOCKS);
    let kept: Vec<usize> = cache.blocks.iter().map(|(number, _)| *number).collect();
    assert!(kept[..KEPT_BLOCKS - 1].iter().copied().eq(KEPT_BLOCKS + 1..2 * KEPT_BLOCKS), "{kept:?}");
    assert_eq!(kept.last(), Some(&0));
    // Surrogates: no character, no glyphs.
    assert!(cache.block(0xD800 / GLYPHS).is_none() && cache.block(BLOCKS).is_none());
    assert_eq!(cache.blocks.len(), KEPT_BLOCKS);
}
