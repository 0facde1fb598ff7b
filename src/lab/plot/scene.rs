//! What is to be seen, as shapes and words; and how it is written as SVG.

use std::fmt::Write as _;

/// Red, green, blue.
pub type Color = [u8; 3];
/// From the upper left corner.
pub(super) type At = (f32, f32);

/// A picture, in the order in which it is painted.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    pub size: (f32, f32),
    pub shapes: Vec<Shape>,
}

#[derive(Debug, Clone)]
pub(super) enum Shape {
    Line { points: Vec<At>, color: Color, width: f32, dashed: bool },
    Area { points: Vec<At>, color: Color, opacity: f32 },
    Dot { at: At, radius: f32, color: Color },
    Words(Words),
}

/// Which part of words is at their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

#[derive(Debug, Clone)]
pub(super) struct Words {
    /// On the base line.
    pub at: At,
    pub text: String,
    pub anchor: Anchor,
    pub bold: bool,
    pub color: Color,
}

/// Length of a dash, and of the gap after it.
pub(super) const DASH: (f32, f32) = (6.0, 4.0);
const FONT_SIZE: u32 = 12;

impl Words {
    pub fn new(at: At, text: &str) -> Self {
        Self { at, text: text.to_owned(), anchor: Anchor::Start, bold: false, color: [30, 30, 30] }
    }
}

impl Scene {
    pub fn new(size: (f32, f32)) -> Self {
        Self { size, shapes: Vec::new() }
    }

    pub fn line(&mut self, points: Vec<At>, color: Color, width: f32, dashed: bool) {
        self.shapes.push(Shape::Line { points, color, width, dashed });
    }

    pub fn area(&mut self, points: Vec<At>, color: Color, opacity: f32) {
        self.shapes.push(Shape::Area { points, color, opacity });
    }

    pub fn dot(&mut self, at: At, radius: f32, color: Color) {
        self.shapes.push(Shape::Dot { at, radius, color });
    }

    pub fn words(&mut self, words: Words) {
        self.shapes.push(Shape::Words(words));
    }

    /// The picture as an SVG document.
    pub fn to_svg(&self) -> String {
        let (width, height) = self.size;
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" font-family=\"Helvetica, Arial, sans-serif\" font-size=\"{FONT_SIZE}\">\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
        );
        for shape in &self.shapes {
            // Writing to a string cannot fail.
            let _ = match shape {
                Shape::Line { points, color, width, dashed } => writeln!(
                    text,
                    "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{width}\" \
                     stroke-linejoin=\"round\"{}/>",
                    path(points),
                    hex(*color),
                    if *dashed { format!(" stroke-dasharray=\"{} {}\"", DASH.0, DASH.1) } else { String::new() }
                ),
                Shape::Area { points, color, opacity } => writeln!(
                    text,
                    "<polygon points=\"{}\" fill=\"{}\" fill-opacity=\"{opacity}\"/>",
                    path(points),
                    hex(*color)
                ),
                Shape::Dot { at: (x, y), radius, color } => {
                    writeln!(text, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{}\"/>", hex(*color))
                }
                Shape::Words(words) => writeln!(text, "{}", words.to_svg()),
            };
        }
        text.push_str("</svg>\n");
        text
    }
}

impl Words {
    fn to_svg(&self) -> String {
        let anchor = match self.anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let bold = if self.bold { " font-weight=\"bold\"" } else { "" };
        let escaped = self.text.replace('&', "&amp;").replace('<', "&lt;");
        let (x, y) = self.at;
        format!("<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{}\"{anchor}{bold}>{escaped}</text>", hex(self.color))
    }
}

fn path(points: &[At]) -> String {
    points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ")
}

fn hex([red, green, blue]: Color) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}
