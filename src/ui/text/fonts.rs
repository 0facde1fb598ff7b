//! Which font has the glyph, and how it is drawn.

use embedded_graphics::Pixel;
use embedded_graphics::geometry::Point;
use embedded_graphics::pixelcolor::BinaryColor;
use embedded_graphics::prelude::DrawTarget;
use u8g2_fonts::FontRenderer;
use u8g2_fonts::fonts::{
    u8g2_font_boutique_bitmap_9x9_t_all, u8g2_font_gulim11_t_korean2, u8g2_font_helvB10_te, u8g2_font_helvB18_tr,
    u8g2_font_helvR08_te,
};
use u8g2_fonts::types::{FontColor, HorizontalAlignment, VerticalPosition};

/// No glyph reaches further right from where it begins.
pub const MAX_WIDTH: i32 = 24;

static TITLE: FontRenderer = FontRenderer::new::<u8g2_font_helvB10_te>();
static BODY: FontRenderer = FontRenderer::new::<u8g2_font_helvR08_te>();
static BODY_CJK: FontRenderer = FontRenderer::new::<u8g2_font_boutique_bitmap_9x9_t_all>();
static BODY_HANGUL: FontRenderer = FontRenderer::new::<u8g2_font_gulim11_t_korean2>();
static LARGE: FontRenderer = FontRenderer::new::<u8g2_font_helvB18_tr>();

/// How large a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// 16 pixels high; has every script of Unicode's basic plane.
    Title,
    /// 11 pixels high; Latin, Greek, Cyrillic, kana, the usual Han and Hangul. The rest is transliterated.
    Body,
}

impl Face {
    /// Pixels from the top of a line to its end.
    pub fn height(self) -> u32 {
        match self {
            Self::Title => 17,
            Self::Body => 11,
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
    /// A character of a U8g2 font.
    U8g2(&'static FontRenderer, char),
    /// A glyph of 16 rows, 8 or 16 columns.
    Unifont(&'static unifont::Glyph),
    /// Not in any font.
    Missing,
}

fn in_font(font: &'static FontRenderer, ch: char) -> Option<Shape> {
    let known = font.get_rendered_dimensions(ch, Point::zero(), VerticalPosition::Baseline).is_ok();
    known.then_some(Shape::U8g2(font, ch))
}

fn find(ch: char, face: Face) -> Option<Shape> {
    match face {
        Face::Title => in_font(&TITLE, ch).or_else(|| unifont::get_glyph(ch).map(Shape::Unifont)),
        Face::Body => [&BODY, &BODY_CJK, &BODY_HANGUL].into_iter().find_map(|font| in_font(font, ch)),
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
            Self::U8g2(font, ch) => font
                .get_rendered_dimensions(ch, Point::zero(), VerticalPosition::Baseline)
                .map_or(0, |dimensions| dimensions.advance.x),
            Self::Unifont(glyph) => glyph.get_width() as i32,
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
        // Neither can fail but for the target, whose error is its own to tell, and for a glyph that was there before.
        match self {
            Self::U8g2(font, ch) => {
                let color = FontColor::Transparent(BinaryColor::On);
                let _ = font.render(ch, Point::new(at.x, foot), VerticalPosition::Baseline, color, target);
            }
            Self::Unifont(glyph) => {
                let lit = (0..16).flat_map(|y| (0..glyph.get_width()).map(move |x| (x, y)));
                let lit = lit.filter(|(x, y)| glyph.get_pixel(*x, *y));
                let _ = target.draw_iter(lit.map(|(x, y)| Pixel(at + Point::new(x as i32, y as i32), BinaryColor::On)));
            }
            Self::Missing => {
                let (width, height) = Self::box_size(face);
                let edge = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
                let edge = edge.filter(|(x, y)| *x == 0 || *x == width - 1 || *y == 0 || *y == height - 1);
                let _ = target
                    .draw_iter(edge.map(|(x, y)| Pixel(Point::new(at.x + 1 + x, foot - height + y), BinaryColor::On)));
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
