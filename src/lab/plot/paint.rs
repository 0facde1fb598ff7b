//! A scene as pixels, with smooth edges; and as PNG.

use std::ops::Range;

use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::Rectangle;
use u8g2_fonts::FontRenderer;
use u8g2_fonts::fonts::{u8g2_font_helvB24_tr, u8g2_font_helvR24_tr};
use u8g2_fonts::types::{FontColor, HorizontalAlignment, VerticalPosition};

use super::scene::{Anchor, At, Color, DASH, Scene, Shape, Words};

/// Pixels for a unit of the scene.
const SCALE: f32 = 2.0;
/// Rows that a row of pixels is cut into, to tell how much of it an area covers.
const CUTS: usize = 4;

static PLAIN: FontRenderer = FontRenderer::new::<u8g2_font_helvR24_tr>();
static BOLD: FontRenderer = FontRenderer::new::<u8g2_font_helvB24_tr>();

/// Why there is no PNG.
#[derive(Debug, thiserror::Error)]
pub enum PaintError {
    #[error("the plot cannot be encoded: {0}")]
    Encoding(#[from] png::EncodingError),
    #[error("the plot cannot be written on: {0}")]
    Words(String),
}

/// The scene as a PNG file.
pub(super) fn to_png(scene: &Scene) -> Result<Vec<u8>, PaintError> {
    let mut canvas = Canvas::new((scene.size.0 * SCALE) as usize, (scene.size.1 * SCALE) as usize);
    for shape in &scene.shapes {
        match shape {
            Shape::Line { points, color, width, dashed } => {
                let points = scaled(points);
                let pieces = if *dashed { dashes(&points) } else { vec![points] };
                pieces.iter().for_each(|piece| canvas.stroke(piece, width * SCALE / 2.0, *color));
            }
            Shape::Area { points, color, opacity } => canvas.fill(&scaled(points), *color, *opacity),
            Shape::Dot { at, radius, color } => canvas.stroke(&scaled(&[*at]), radius * SCALE, *color),
            Shape::Words(words) => canvas.write(words)?,
        }
    }
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, canvas.width as u32, canvas.height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::High);
    encoder.write_header()?.write_image_data(canvas.pixels.as_flattened())?;
    Ok(file)
}

fn scaled(points: &[At]) -> Vec<At> {
    points.iter().map(|(x, y)| (x * SCALE, y * SCALE)).collect()
}

/// A line cut into dashes.
fn dashes(points: &[At]) -> Vec<Vec<At>> {
    let (dash, gap) = (DASH.0 * SCALE, DASH.1 * SCALE);
    let (mut pieces, mut walked) = (vec![Vec::new()], 0.0_f32);
    for pair in points.windows(2) {
        let [(ax, ay), (bx, by)] = [pair[0], pair[1]];
        let length = (bx - ax).hypot(by - ay);
        // A pixel at a time: plots are small.
        let steps = length.ceil().max(1.0) as usize;
        for step in 0..steps {
            let part = step as f32 / steps as f32;
            let on = (walked + length * part) % (dash + gap) < dash;
            match pieces.last_mut() {
                Some(piece) if on => piece.push((ax + (bx - ax) * part, ay + (by - ay) * part)),
                Some(piece) if !piece.is_empty() => pieces.push(Vec::new()),
                _ => {}
            }
        }
        walked += length;
    }
    pieces
}

struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<Color>,
    /// How much of each pixel the shape at hand covers, 0 to 1.
    covered: Vec<f32>,
    /// Rows of the shape at hand.
    touched: Range<usize>,
}

impl Canvas {
    fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            pixels: vec![[255; 3]; width * height],
            covered: vec![0.0; width * height],
            touched: 0..0,
        }
    }

    /// The pixels around a rectangle, within the canvas; their rows are touched.
    fn around(&mut self, (left, top): At, (right, bottom): At) -> impl Iterator<Item = (usize, usize)> + use<> {
        let within = |value: f32, most: usize| (value.max(0.0) as usize).min(most);
        let (from_x, to_x) = (within(left - 1.0, self.width), within(right + 2.0, self.width));
        let (from_y, to_y) = (within(top - 1.0, self.height), within(bottom + 2.0, self.height));
        self.touch(from_y..to_y);
        (from_y..to_y).flat_map(move |y| (from_x..to_x).map(move |x| (x, y)))
    }

    fn touch(&mut self, rows: Range<usize>) {
        let Range { start, end } = self.touched.clone();
        self.touched = if start == end { rows } else { start.min(rows.start)..end.max(rows.end) };
    }

    /// All that is within `radius` of a line, or of its only point.
    fn stroke(&mut self, points: &[At], radius: f32, color: Color) {
        let ends = points.windows(2).map(|pair| (pair[0], pair[1]));
        let only = points.first().filter(|_| points.len() == 1).map(|point| (*point, *point));
        for (a, b) in ends.chain(only) {
            let upper = (a.0.min(b.0) - radius, a.1.min(b.1) - radius);
            let lower = (a.0.max(b.0) + radius, a.1.max(b.1) + radius);
            for (x, y) in self.around(upper, lower) {
                let cover = (radius + 0.5 - distance((x as f32 + 0.5, y as f32 + 0.5), a, b)).clamp(0.0, 1.0);
                let covered = &mut self.covered[y * self.width + x];
                *covered = covered.max(cover);
            }
        }
        self.blend(color, 1.0);
    }

    /// All that is inside of an outline.
    fn fill(&mut self, outline: &[At], color: Color, opacity: f32) {
        let mut crossings = Vec::new();
        let ys = || outline.iter().map(|(_, y)| y.clamp(0.0, self.height as f32) as usize);
        let rows = ys().min().unwrap_or(0)..(ys().max().unwrap_or(0) + 1).min(self.height);
        self.touch(rows.clone());
        for row in rows.start * CUTS..rows.end * CUTS {
            let y = (row as f32 + 0.5) / CUTS as f32;
            crossings.clear();
            let edges = outline.iter().zip(outline.iter().cycle().skip(1));
            for ((ax, ay), (bx, by)) in edges.filter(|((_, a), (_, b))| (*a <= y) != (*b <= y)) {
                crossings.push(ax + (bx - ax) * (y - ay) / (by - ay));
            }
            crossings.sort_by(f32::total_cmp);
            for pair in crossings.chunks_exact(2) {
                let (from, to) = (pair[0].max(0.0), pair[1].min(self.width as f32));
                for x in from as usize..(to.ceil().max(0.0) as usize).min(self.width) {
                    let part = (to.min(x as f32 + 1.0) - from.max(x as f32)).clamp(0.0, 1.0);
                    self.covered[row / CUTS * self.width + x] += part / CUTS as f32;
                }
            }
        }
        self.blend(color, opacity);
    }

    /// Paints what is covered, and forgets it.
    fn blend(&mut self, color: Color, opacity: f32) {
        let Range { start, end } = std::mem::replace(&mut self.touched, 0..0);
        let rows = start * self.width..end * self.width;
        let touched = self.pixels[rows.clone()].iter_mut().zip(&mut self.covered[rows]);
        for (pixel, covered) in touched.filter(|(_, covered)| **covered > 0.0) {
            let part = covered.min(1.0) * opacity;
            for (channel, wanted) in pixel.iter_mut().zip(color) {
                *channel = (f32::from(*channel) * (1.0 - part) + f32::from(wanted) * part).round() as u8;
            }
            *covered = 0.0;
        }
    }

    fn write(&mut self, words: &Words) -> Result<(), PaintError> {
        let font = if words.bold { &BOLD } else { &PLAIN };
        let anchor = match words.anchor {
            Anchor::Start => HorizontalAlignment::Left,
            Anchor::Middle => HorizontalAlignment::Center,
            Anchor::End => HorizontalAlignment::Right,
        };
        let at = Point::new((words.at.0 * SCALE) as i32, (words.at.1 * SCALE) as i32);
        let [red, green, blue] = words.color;
        let color = FontColor::Transparent(Rgb888::new(red, green, blue));
        let drawn = font.render_aligned(words.text.as_str(), at, VerticalPosition::Baseline, anchor, color, self);
        drawn.map(drop).map_err(|error| PaintError::Words(format!("{error:?}")))
    }
}

/// From a point to the line between two others.
fn distance((x, y): At, (ax, ay): At, (bx, by): At) -> f32 {
    let (dx, dy) = (bx - ax, by - ay);
    let length = dx * dx + dy * dy;
    let part = if length > 0.0 { (((x - ax) * dx + (y - ay) * dy) / length).clamp(0.0, 1.0) } else { 0.0 };
    (x - ax - dx * part).hypot(y - ay - dy * part)
}

impl Dimensions for Canvas {
    fn bounding_box(&self) -> Rectangle {
        Rectangle::new(Point::zero(), Size::new(self.width as u32, self.height as u32))
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = std::convert::Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Self::Error> {
        for Pixel(Point { x, y }, color) in pixels {
            let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { continue };
            if x < self.width && y < self.height {
                self.pixels[y * self.width + x] = [color.r(), color.g(), color.b()];
            }
        }
        Ok(())
    }
}
