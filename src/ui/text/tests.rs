use super::*;
use proptest::prelude::*;

fn chars(text: &str, face: Face) -> String {
    prepare::prepare(text, face).0.into_iter().collect()
}

#[test]
fn every_script_of_the_list_is_in_both_faces() {
    for text in ["Für Elise", "Łódź", "Кино", "Ωδή", "東京事変", "さくら", "カタカナ", "서울", "鄧麗君", "Tiếng"]
    {
        let shown = chars(text, Face::Title);
        assert_eq!(shown, text);
        assert!(
            Line::new(text, Face::Title).glyphs.iter().all(|(_, shape)| !matches!(shape, Shape::Missing)),
            "{text}"
        );
    }
    for text in ["Für Elise", "Łódź", "Кино", "Ωδή", "東京事変", "さくら", "カタカナ", "서울", "鄧麗君"]
    {
        assert_eq!(chars(text, Face::Body), text);
    }
}

#[test]
fn what_a_face_lacks_becomes_latin_or_a_box() {
    assert_eq!(chars("สวัสดี", Face::Title), "สวัสดี");
    assert_eq!(chars("“Don’t – stop…”", Face::Body), "\"Don't - stop...\"");
    // Neither the mark nor the letter with it is in the font, but the letter is.
    assert_eq!(chars("ḥ", Face::Body), "h");
    let latin = chars("สวัสดี ไทย", Face::Body);
    assert!(latin.is_ascii() && latin.contains(' ') && latin.len() > 6, "{latin}");
    assert!(matches!(Line::new("🎵", Face::Body).glyphs[..], [(0, Shape::Missing)]));
    assert!(matches!(Line::new("🎵", Face::Title).glyphs[..], [(0, Shape::Missing)]));
}

#[test]
fn accents_are_composed_or_stand_over_their_letter() {
    assert_eq!(chars("Bjo\u{308}rk", Face::Body), "Björk");
    let line = Line::new("x\u{30C}y", Face::Title);
    let [(letter, _), (mark, _), (next, _)] = line.glyphs[..] else { unreachable!("{line:?}") };
    assert!(mark < next && letter < next, "{letter} {mark} {next}");
    assert_eq!(line.width, Line::new("xy", Face::Title).width);
}

#[test]
fn control_characters_and_overrides_are_dropped() {
    assert_eq!(chars("a\u{202E}b\u{0}c\u{200B}\t\n d\u{FEFF} ", Face::Body), "abc d");
}

#[test]
fn hebrew_and_arabic_stand_in_visual_order() {
    assert_eq!(prepare::prepare("שלום (ab)", Face::Title), ("(ab) םולש".chars().collect(), true));
    assert_eq!(prepare::prepare("ab שלום", Face::Title), ("ab םולש".chars().collect(), false));
    // Beh, alef: joined, from right to left.
    assert_eq!(prepare::prepare("با", Face::Title), (vec!['\u{FE8E}', '\u{FE91}'], true));
    // The vowel point does not part them.
    assert_eq!(prepare::prepare("ب\u{64E}ا", Face::Title), (vec!['\u{FE8E}', '\u{FE91}'], true));
}

#[test]
fn a_long_title_is_elided_to_the_width() {
    for text in
        ["A very long title that does not fit at all", "長い長い長い長い長い長い長い題名", "Ж".repeat(90).as_str()]
    {
        for width in [20, 60, 128] {
            let line = Line::elided(text, Face::Title, width);
            assert!(line.width <= width && line.width > width - 30, "{text} {width}: {}", line.width);
        }
    }
    assert_eq!(Line::elided("short", Face::Body, 128).width, Line::new("short", Face::Body).width);
}

#[test]
fn a_marquee_pauses_and_comes_round() {
    let line = Line::new("A title that is wider than what is there for it", Face::Title);
    let period = (line.width + MARQUEE_GAP) as u32;
    assert_eq!(line.scrolled(MARQUEE_PAUSE), 0);
    assert_eq!(line.scrolled(MARQUEE_PAUSE + MARQUEE_STEP * 7), 7);
    assert_eq!(line.scrolled(MARQUEE_PAUSE + MARQUEE_STEP * period), 0);
    let zero = Time::ZERO;
    assert_eq!(line.next_scroll(128, zero, zero), Some(zero + MARQUEE_PAUSE + MARQUEE_STEP));
    let moving = zero + MARQUEE_PAUSE + MARQUEE_STEP * 3;
    assert_eq!(line.next_scroll(128, zero, moving), Some(moving + MARQUEE_STEP));
    assert_eq!(Line::new("short", Face::Title).next_scroll(128, zero, zero), None);
}

#[test]
fn messages_are_broken_at_spaces() {
    let lines = wrapped("there is no song of that name any more", Face::Body, 100, 2);
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|line| line.width <= 100));
    assert_eq!(wrapped("", Face::Body, 100, 2).len(), 0);
    // Without spaces anywhere, and the last line tells that there is more.
    let lines = wrapped(&"月亮代表我的心".repeat(30), Face::Title, 100, 3);
    assert_eq!((lines.len(), lines[0].glyphs.len(), lines[1].glyphs.len()), (3, 6, 6));
    assert!(lines.iter().all(|line| line.width <= 100));
}

#[test]
fn numbers_as_people_read_them() {
    assert_eq!([0, 999, 1000, 1234567, 12_345_678].map(count), ["0", "999", "1 000", "1 234 567", "12.3 M"]);
    assert_eq!([0.4, 65.9, 3723.0, f64::NAN, -3.0].map(clock), ["0:00", "1:05", "1:02:03", "0:00", "0:00"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_drawn_within_its_bounds(text in "\\PC{0,40}|[\u{0}-\u{10FFFF}]{0,40}|[\u{590}-\u{6FF}a-c() ]{0,20}", width in 1i32..128, millis in 0u64..60_000) {
        for face in [Face::Title, Face::Body] {
            let line = Line::new(&text, face);
            prop_assert!(line.width >= 0 && line.glyphs.len() <= 2 * MAX_CHARS);
            let mut frame = Frame::default();
            line.draw_scrolling(&mut frame, Point::new(0, 20), width, Duration::from_millis(millis));
            for y in 0..64u32 {
                for x in 0..128 {
                    let inside = (20..20 + face.height()).contains(&y) && x < width as u32;
                    prop_assert!(inside || !frame.pixel(x, y), "{x} {y}");
                }
            }
            prop_assert!(Line::elided(&text, face, 128).width <= 128);
        }
    }
}
