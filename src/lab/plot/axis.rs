//! Axes: from values to places, and which values are marked.

/// How values lie along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// From zero.
    Linear,
    /// Each doubling is as long; marked at powers of two.
    Doublings,
    /// Marked at powers of ten, and between them where there is room.
    Decades,
}

/// One axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// What is measured, with the unit.
    pub label: String,
    pub scale: Scale,
}

/// An axis that fits its values into the plot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fitted {
    scale: Scale,
    /// Least and most value, on the scale.
    range: (f64, f64),
    /// Where they are.
    places: (f32, f32),
}

/// Marks of a linear axis, about.
const LINEAR_TICKS: f64 = 6.0;

impl Axis {
    pub fn new(label: &str, scale: Scale) -> Self {
        Self { label: label.to_owned(), scale }
    }

    /// Fits all values between two places.
    pub(super) fn fit(&self, values: impl Iterator<Item = f64>, places: (f32, f32)) -> Fitted {
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter_map(|value| on(self.scale, value)) {
            (least, most) = (least.min(value), most.max(value));
        }
        if !least.is_finite() {
            (least, most) = (0.0, 1.0);
        }
        if self.scale == Scale::Linear {
            least = least.min(0.0);
        }
        if most <= least {
            most = least + 1.0;
        }
        // A little air above the highest value.
        let air = if self.scale == Scale::Doublings { 0.0 } else { (most - least) * 0.03 };
        Fitted { scale: self.scale, range: (least, most + air), places }
    }
}

/// A value on the scale; none if it has no place there.
fn on(scale: Scale, value: f64) -> Option<f64> {
    match scale {
        Scale::Linear => value.is_finite().then_some(value),
        Scale::Doublings => (value > 0.0 && value.is_finite()).then(|| value.log2()),
        Scale::Decades => (value > 0.0 && value.is_finite()).then(|| value.log10()),
    }
}

impl Fitted {
    /// Where a value is; none if the scale has no place for it.
    pub(super) fn place(&self, value: f64) -> Option<f32> {
        let (least, most) = self.range;
        let part = (on(self.scale, value)? - least) / (most - least);
        Some(self.places.0 + (self.places.1 - self.places.0) * part as f32)
    }

    /// The marks: places and labels.
    pub(super) fn ticks(&self) -> Vec<(f32, String)> {
        let (least, most) = self.range;
        let values: Vec<f64> = match self.scale {
            Scale::Linear => {
                let step = round_step((most - least) / LINEAR_TICKS);
                let first = (least / step).ceil() as i64;
                (first..).map(|at| at as f64 * step).take_while(|value| *value <= most * (1.0 + 1e-9)).collect()
            }
            Scale::Doublings => (least.ceil() as i32..=most.floor() as i32).map(|power| 2_f64.powi(power)).collect(),
            Scale::Decades => {
                let between: &[f64] = if most - least < 2.5 { &[1.0, 2.0, 5.0] } else { &[1.0] };
                let powers = least.floor() as i32..=most.ceil() as i32;
                let all = powers.flat_map(|power| between.iter().map(move |part| part * 10_f64.powi(power)));
                all.filter(|value| (least - 1e-9..=most + 1e-9).contains(&value.log10())).collect()
            }
        };
        values.into_iter().filter_map(|value| Some((self.place(value)?, label(value)))).collect()
    }
}

/// The next of 1, 2, 5, 10, 20 ... from below.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|part| part * power).find(|step| *step >= least).unwrap_or(least)
}

/// A number with its thousands apart: 12,000.
fn label(value: f64) -> String {
    if value.fract().abs() > 1e-9 {
        return format!("{}", (value * 1e6).round() / 1e6);
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = String::from(if value < 0.0 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(scale: Scale, least: f64, most: f64) -> Vec<String> {
        let fitted = Axis::new("x", scale).fit([least, most].into_iter(), (0.0, 100.0));
        fitted.ticks().into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn marks_are_round() {
        assert_eq!(ticks(Scale::Linear, 3.0, 5.9), ["0", "2", "4", "6"]);
        assert_eq!(ticks(Scale::Linear, 0.0, 0.5), ["0", "0.1", "0.2", "0.3", "0.4", "0.5"]);
        assert_eq!(ticks(Scale::Doublings, 1.0, 8.0), ["1", "2", "4", "8"]);
        assert_eq!(ticks(Scale::Decades, 90.0, 12_000.0), ["100", "200", "500", "1,000", "2,000", "5,000", "10,000"]);
        assert_eq!(ticks(Scale::Decades, 9.0, 1_200_000.0).len(), 6);
    }

    #[test]
    fn values_lie_where_the_scale_has_them() {
        let fitted = Axis::new("x", Scale::Doublings).fit([1.0, 16.0].into_iter(), (100.0, 0.0));
        assert_eq!(fitted.place(4.0), Some(50.0));
        assert_eq!(fitted.place(0.0), None);
        let nothing = Axis::new("x", Scale::Decades).fit(std::iter::empty(), (0.0, 100.0));
        assert_eq!(nothing.place(1.0), Some(0.0));
    }
}
