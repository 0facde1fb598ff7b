//! Which font has the glyph, and how it is drawn.

use embedded_graphics::Pixel;
use embedded_graphics::geometry::Point;
use embedded_graphics::pixelcolor::BinaryColor;
use embedded_graphics::prelude::DrawTarget;
use u8g2_fonts::FontRenderer;
use u8g2_fonts::fonts::{
    u8g2_font_6x12_t_cyrillic, u8g2_font_boutique_bitmap_9x9_t_all, u8g2_font_gulim11_t_korean2, u8g2_font_helvB10_te,
    u8g2_font_helvB18_tr, u8g2_font_helvR08_te,
};
use u8g2_fonts::types::{FontColor, HorizontalAlignment, VerticalPosition};

use super::unifont::{self, Glyph};

/// No glyph reaches further right from where it begins.
pub const MAX_WIDTH: i32 = 24;

static TITLE: FontRenderer = FontRenderer::new::<u8g2_font_helvB10_te>();
static BODY: FontRenderer = FontRenderer::new::<u8g2_font_helvR08_te>();
static BODY_CYRILLIC: FontRenderer = FontRenderer::new::<u8g2_font_6x12_t_cyrillic>();
static BODY_CJK: FontRenderer = FontRenderer::new::<u8g2_font_boutique_bitmap_9x9_t_all>();
static BODY_HANGUL: FontRenderer = FontRenderer::new::<u8g2_font_gulim11_t_korean2>();
static LARGE: FontRenderer = FontRenderer::new::<u8g2_font_helvB18_tr>();

/// How large a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// 16 pixels high; has every script of Unicode's basic plane.
    Title,
    /// 12 pixels high; Latin, Greek, Cyrillic, Hebrew, Arabic, kana, the usual Han and Hangul. The rest is
    /// transliterated.
    Body,
}

impl Face {
    /// Pixels from the top of a line to its end.
    pub fn height(self) -> u32 {
        match self {
            Self::Title => 17,
            Self::Body => 12,
        }
    }

    /// Pixels from the top of a line to below the foot of its letters.
    fn baseline(self) -> i32 {
        match self {
            Self::Title => 14,
            Self::Body => 9,
        }
    }
}

/// Where a glyph comes from.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// A character of a U8g2 font, raised by so many pixels.
    U8g2(&'static FontRenderer, char, i32),
    /// A glyph of 16 rows, 8 or 16 columns.
    Unifont { glyph: Glyph, bold: bool },
    /// Not in any font.
    Missing,
}

/// Rows of a Unifont glyph, from the first up to before the second, that make one row in [`Face::Body`]: accents and
/// dots above the letters of [`fits_body`] and the ends of what hangs below them are pressed together.
const PRESSED_ROWS: [(usize, usize); 12] =
    [(0, 4), (4, 5), (5, 6), (6, 7), (7, 8), (8, 9), (9, 10), (10, 11), (11, 12), (12, 13), (13, 14), (14, 16)];
/// In [`Face::Body`] Han and Hangul reach lower than Latin does and are raised, or rows of a list would touch.
const CJK_RAISED: i32 = 1;

fn in_font(font: &'static FontRenderer, ch: char, raised: i32) -> Option<Shape> {
    let known = font.get_rendered_dimensions(ch, Point::zero(), VerticalPosition::Baseline).is_ok();
    known.then_some(Shape::U8g2(font, ch, raised))
}

/// Letters beside which thin Latin ones would look odd: drawn twice, one pixel apart.
fn is_bold(ch: char) -> bool {
    matches!(ch, '\u{100}'..='\u{52F}' | '\u{531}'..='\u{58F}' | '\u{10A0}'..='\u{10FF}' | '\u{1E00}'..='\u{1FFF}')
}

/// Greek, Armenian, Hebrew, Arabic (also joined): their Unifont glyphs are low enough for small text.
fn fits_body(ch: char) -> bool {
    matches!(ch, '\u{370}'..='\u{3FF}' | '\u{531}'..='\u{6FF}' | '\u{FB1D}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFC}')
}

fn find(ch: char, face: Face) -> Option<Shape> {
    let unifont = |bold| unifont::glyph(ch).map(|glyph| Shape::Unifont { glyph, bold });
    match face {
        Face::Title => in_font(&TITLE, ch, 0).or_else(|| unifont(is_bold(ch))),
        Face::Body if fits_body(ch) => unifont(false),
        Face::Body => in_font(&BODY, ch, 0)
            .or_else(|| in_font(&BODY_CYRILLIC, ch, 0))
            .or_else(|| in_font(&BODY_CJK, ch, CJK_RAISED))
            .or_else(|| in_font(&BODY_HANGUL, ch, CJK_RAISED)),
    }
}

/// The glyph of the character, or the box that stands for a missing one.
pub fn shape(ch: char, face: Face) -> Shape {
    find(ch, face).unwrap_or(Shape::Missing)
}

/// Whether any font of the face has the character.
pub fn has(ch: char, face: Face) -> bool {
    find(ch, face).is_some()
}

impl Shape {
    /// Pixels to the next glyph.
    pub fn advance(self, face: Face) -> i32 {
        match self {
            Self::U8g2(font, ch, _) => font
                .get_rendered_dimensions(ch, Point::zero(), VerticalPosition::Baseline)
                .map_or(0, |dimensions| dimensions.advance.x),
            Self::Unifont { glyph, bold } => glyph.width() + i32::from(bold),
            Self::Missing => Self::box_size(face).0 + 2,
        }
    }

    /// Width and height of the box for a missing glyph.
    fn box_size(face: Face) -> (i32, i32) {
        match face {
            Face::Title => (7, 11),
            Face::Body => (5, 7),
        }
    }

    /// Draws the glyph in a line whose upper left corner is at the point.
    pub fn draw<D: DrawTarget<Color = BinaryColor>>(self, target: &mut D, at: Point, face: Face) {
        let foot = at.y + face.baseline();
        // Nothing here can fail but for the target, whose error is its own to tell: the glyph was found before.
        match self {
            Self::U8g2(font, ch, raised) => {
                let color = FontColor::Transparent(BinaryColor::On);
                let _ = font.render(ch, Point::new(at.x, foot - raised), VerticalPosition::Baseline, color, target);
            }
            Self::Unifont { glyph, bold } => {
                let rows = (0..).map(|y| match face {
                    Face::Title => (y, y + 1),
                    Face::Body => PRESSED_ROWS[y],
                });
                let lit = |x: i32, rows: (usize, usize)| {
                    let column = |x: usize| (rows.0..rows.1).any(|y| glyph.is_lit(x, y));
                    usize::try_from(x).is_ok_and(column) || bold && usize::try_from(x - 1).is_ok_and(column)
                };
                let height = if face == Face::Title { 16 } else { PRESSED_ROWS.len() };
                let cells = rows.take(height).zip(0..).flat_map(|(rows, y)| (0..17).map(move |x| (x, y, rows)));
                let pixels = cells
                    .filter(|(x, _, rows)| lit(*x, *rows))
                    .map(|(x, y, _)| Pixel(at + Point::new(x, y), BinaryColor::On));
                let _ = target.draw_iter(pixels);
            }
            Self::Missing => {
                let (width, height) = Self::box_size(face);
                let edge = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
                let edge = edge.filter(|(x, y)| *x == 0 || *x == width - 1 || *y == 0 || *y == height - 1);
                let corner = Point::new(at.x + 1, foot - height);
                let _ = target.draw_iter(edge.map(|(x, y)| Pixel(corner + Point::new(x, y), BinaryColor::On)));
            }
        }
    }
}

/// Draws one character of the dialling wheel, 18 pixels high, with its middle at `x` and its foot at `foot`; false if
/// the large font does not have it.
pub fn draw_large<D: DrawTarget<Color = BinaryColor>>(target: &mut D, ch: char, x: i32, foot: i32) -> bool {
    let color = FontColor::Transparent(BinaryColor::On);
    let (at, middle) = (Point::new(x, foot), HorizontalAlignment::Center);
    LARGE.render_aligned(ch, at, VerticalPosition::Baseline, middle, color, target).is_ok()
}
