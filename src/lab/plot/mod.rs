//! Plots of what experiments found: curves with the spread of their seeds, as SVG and PNG.
//!
//! A [`Plot`] is laid out once into a [`scene::Scene`] of lines, areas and words, and that is written as SVG or painted
//! as PNG; so both show the same. Curves are named at their ends.

mod axis;
#[cfg(feature = "simulations")]
mod paint;
mod scene;

pub use axis::{Axis, Scale};
#[cfg(feature = "simulations")]
pub use paint::PaintError;
pub use scene::Color;
use scene::{Anchor, Scene, Words};

/// Size of a plot; one unit is a pixel of the SVG and two of the PNG.
const SIZE: (f32, f32) = (800.0, 480.0);
const LEFT: f32 = 72.0;
const RIGHT: f32 = 640.0;
const TOP: f32 = 84.0;
const BOTTOM: f32 = 424.0;
/// Between the names of two curves at least.
const NAMES_APART: f32 = 15.0;
/// From the end of a curve to its name.
const TO_NAME: f32 = 14.0;
const GRID: Color = [228, 228, 228];
const FRAME: Color = [120, 120, 120];
const INK: Color = [30, 30, 30];
const PALE_INK: Color = [90, 90, 90];
/// How much of a band of seeds one sees.
const BAND_OPACITY: f32 = 0.18;

/// Colours that are told apart, also by most of the colour-blind (Okabe and Ito).
pub const COLORS: [Color; 6] =
    [[0, 114, 178], [213, 94, 0], [0, 158, 115], [204, 121, 167], [86, 180, 233], [230, 159, 0]];

/// The colour of step `at` of `count` on a scale from dark blue over green to yellow, for what has an order.
pub fn ordered(at: usize, count: usize) -> Color {
    const STOPS: [[f32; 3]; 5] =
        [[68.0, 1.0, 84.0], [59.0, 82.0, 139.0], [33.0, 145.0, 140.0], [94.0, 190.0, 80.0], [225.0, 175.0, 20.0]];
    let along = at as f32 / count.saturating_sub(1).max(1) as f32 * (STOPS.len() - 1) as f32;
    let from = (along as usize).min(STOPS.len() - 2);
    let part = along - from as f32;
    std::array::from_fn(|at| (STOPS[from][at] + (STOPS[from + 1][at] - STOPS[from][at]) * part) as u8)
}

/// Curves over common axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    /// Of the files.
    pub name: String,
    pub title: String,
    /// Of what world, how many seeds; below the title.
    pub note: String,
    pub x: Axis,
    pub y: Axis,
    pub curves: Vec<Curve>,
}

/// One curve.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Curve {
    pub name: String,
    pub color: Color,
    pub dashed: bool,
    /// Marked by dots, where few points are far apart.
    pub dotted: bool,
    pub points: Vec<Spread>,
}

/// A value and the spread of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    pub x: f64,
    pub mean: f64,
    pub low: f64,
    pub high: f64,
}

impl Spread {
    /// The mean, least and most of some values; none without values.
    pub fn of(x: f64, values: &[f64]) -> Option<Self> {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (!values.is_empty()).then_some(Self { x, mean, low, high })
    }

    /// A value without spread.
    pub fn exact(x: f64, y: f64) -> Self {
        Self { x, mean: y, low: y, high: y }
    }
}

impl Plot {
    /// The plot as an SVG document.
    pub fn to_svg(&self) -> String {
        self.scene().to_svg()
    }

    /// The plot as a PNG file.
    ///
    /// # Errors
    /// If it cannot be encoded.
    #[cfg(feature = "simulations")]
    pub fn to_png(&self) -> Result<Vec<u8>, PaintError> {
        paint::to_png(&self.scene())
    }

    fn scene(&self) -> Scene {
        let mut scene = Scene::new(SIZE);
        scene.words(Words { bold: true, color: INK, ..Words::new((20.0, 28.0), &self.title) });
        scene.words(Words { color: PALE_INK, ..Words::new((20.0, 46.0), &self.note) });
        let seen = || self.curves.iter().flat_map(|curve| &curve.points);
        let x = self.x.fit(seen().map(|point| point.x), (LEFT, RIGHT));
        let y = self.y.fit(seen().flat_map(|point| [point.low, point.mean, point.high]), (BOTTOM, TOP));
        self.frame(&mut scene, &x, &y);
        for curve in &self.curves {
            draw(&mut scene, curve, &x, &y);
        }
        self.name_curves(&mut scene, &x, &y);
        scene
    }

    fn frame(&self, scene: &mut Scene, x: &axis::Fitted, y: &axis::Fitted) {
        for (at, label) in y.ticks() {
            scene.line(vec![(LEFT, at), (RIGHT, at)], GRID, 1.0, false);
            let words = Words::new((LEFT - 8.0, at + 4.0), &label);
            scene.words(Words { anchor: Anchor::End, color: PALE_INK, ..words });
        }
        for (at, label) in x.ticks() {
            scene.line(vec![(at, BOTTOM), (at, BOTTOM + 4.0)], FRAME, 1.0, false);
            let words = Words::new((at, BOTTOM + 18.0), &label);
            scene.words(Words { anchor: Anchor::Middle, color: PALE_INK, ..words });
        }
        scene.line(vec![(LEFT, BOTTOM), (RIGHT, BOTTOM)], FRAME, 1.0, false);
        scene.words(Words::new((20.0, TOP - 12.0), &self.y.label));
        let below = Words::new(((LEFT + RIGHT) / 2.0, BOTTOM + 40.0), &self.x.label);
        scene.words(Words { anchor: Anchor::Middle, ..below });
    }

    /// Names at the ends of the curves, moved apart where these are close together.
    fn name_curves(&self, scene: &mut Scene, x: &axis::Fitted, y: &axis::Fitted) {
        let end = |curve: &Curve| {
            let point = curve.points.iter().rev().find_map(|point| Some((x.place(point.x)?, y.place(point.mean)?)));
            point.unwrap_or((RIGHT, BOTTOM))
        };
        let mut ends: Vec<_> = self.curves.iter().map(|curve| (end(curve), curve)).collect();
        ends.sort_by(|((_, a), _), ((_, b), _)| a.total_cmp(b));
        let wanted: Vec<f32> = ends.iter().map(|((_, y), _)| *y).collect();
        for (((end_x, end_y), curve), at) in ends.into_iter().zip(apart(&wanted)) {
            scene.line(vec![(end_x + 3.0, end_y), (RIGHT + TO_NAME - 3.0, at)], curve.color, 0.6, false);
            let words = Words::new((RIGHT + TO_NAME, at + 4.0), &curve.name);
            scene.words(Words { color: curve.color, ..words });
        }
    }
}

fn draw(scene: &mut Scene, curve: &Curve, x: &axis::Fitted, y: &axis::Fitted) {
    let along = |value: fn(&Spread) -> f64| {
        let at = |point: &Spread| Some((x.place(point.x)?, y.place(value(point))?));
        curve.points.iter().filter_map(at).collect::<Vec<_>>()
    };
    if curve.points.iter().any(|point| point.high > point.low) {
        let mut band = along(|point| point.high);
        // What a logarithm has no place for is below.
        let lows = curve.points.iter().rev().filter(|point| y.place(point.high).is_some());
        band.extend(lows.filter_map(|point| Some((x.place(point.x)?, y.place(point.low).unwrap_or(BOTTOM)))));
        scene.area(band, curve.color, BAND_OPACITY);
    }
    let line = along(|point| point.mean);
    if curve.dotted {
        line.iter().for_each(|at| scene.dot(*at, 3.0, curve.color));
    }
    scene.line(line, curve.color, 1.8, curve.dashed);
}

/// Places at least [`NAMES_APART`] from each other, near those that are wanted, which ascend.
fn apart(wanted: &[f32]) -> Vec<f32> {
    let mut places = wanted.to_vec();
    // Groups that overlap are spread around their middle until none do: so nobody is pushed farther than needed.
    let mut groups: Vec<(f32, usize)> = Vec::new();
    for place in wanted {
        groups.push((*place, 1));
        while let [.., (a, a_count), (b, b_count)] = groups[..] {
            let need = (a_count + b_count) as f32 / 2.0 * NAMES_APART;
            if b - a >= need {
                break;
            }
            let count = a_count + b_count;
            let middle = (a * a_count as f32 + b * b_count as f32) / count as f32;
            groups.truncate(groups.len() - 2);
            groups.push((middle, count));
        }
    }
    let spread = groups.into_iter().flat_map(|(middle, count)| {
        let first = middle - (count - 1) as f32 / 2.0 * NAMES_APART;
        (0..count).map(move |at| first + at as f32 * NAMES_APART)
    });
    places.iter_mut().zip(spread).for_each(|(place, at)| *place = at);
    places
}

#[cfg(test)]
mod tests;
