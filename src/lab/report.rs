//! What an experiment found: figures with their targets, samples for plots, and how both are written out.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::plot::{Axis, COLORS, Curve, Plot, Scale, Spread};

/// What a figure must reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    AtMost(f64),
    AtLeast(f64),
}

impl Target {
    fn is_met_by(self, value: f64) -> bool {
        match self {
            Self::AtMost(bound) => value <= bound,
            Self::AtLeast(bound) => value >= bound,
        }
    }

    fn describe(self) -> String {
        match self {
            Self::AtMost(bound) => format!("at most {bound}"),
            Self::AtLeast(bound) => format!("at least {bound}"),
        }
    }
}

/// One measured number.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    pub name: String,
    pub value: f64,
    /// As it is printed behind the value: `ms`, `MiB`; empty for counts and ratios.
    pub unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Whether the target is reached; true without one.
    pub met: bool,
}

/// Measured points of one curve.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Series {
    pub name: String,
    pub x_label: &'static str,
    pub y_label: &'static str,
    pub points: Vec<(f64, f64)>,
}

/// The outcome of one run of an experiment.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    pub experiment: String,
    /// Where all randomness of the run came from.
    pub seed: u64,
    pub quick: bool,
    pub figures: Vec<Figure>,
    #[serde(skip)]
    pub series: Vec<Series>,
    /// Plots of several curves, and tables: the name of the file, and its lines of values with commas between.
    #[serde(skip)]
    pub plots: Vec<Plot>,
    #[serde(skip)]
    pub tables: Vec<(&'static str, String)>,
    /// What a reader must know to read the figures rightly.
    pub notes: Vec<String>,
}

impl Report {
    /// Adds a figure; `target` as it is documented for the experiment.
    pub fn figure(&mut self, name: &str, value: f64, unit: &'static str, target: Option<Target>) {
        let met = target.is_none_or(|target| target.is_met_by(value));
        self.figures.push(Figure { name: name.to_owned(), value, unit, target, met });
    }

    /// Whether every target is reached.
    pub fn met(&self) -> bool {
        self.figures.iter().all(|figure| figure.met)
    }

    /// The report for people, one figure a line.
    pub fn to_text(&self) -> String {
        let width = self.figures.iter().map(|figure| figure.name.chars().count()).max().unwrap_or(0);
        let kind = if self.quick { "quick" } else { "full" };
        let mut text = format!("{} ({kind}, seed {})\n", self.experiment, self.seed);
        for Figure { name, value, unit, target, met } in &self.figures {
            let value = format!("{} {unit}", round(*value));
            let verdict = match target {
                Some(target) => format!("  {} ({})", if *met { "met" } else { "MISSED" }, target.describe()),
                None => String::new(),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {name:width$}  {value:>14}{verdict}");
        }
        for note in &self.notes {
            let _ = writeln!(text, "  {note}");
        }
        text
    }

    /// Writes `NAME.json`, for each series and table a `.csv`, and for each series and plot an `.svg`, in builds for
    /// computers a `.png` too, into the folder.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn save(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join(format!("{}.json", self.experiment)), serde_json::to_vec_pretty(self)?)?;
        for series in &self.series {
            fs::write(self.stem(folder, &series.name).with_extension("csv"), series.to_csv())?;
            self.save_plot(folder, &series.plot(&self.experiment))?;
        }
        for (name, text) in &self.tables {
            fs::write(self.stem(folder, name).with_extension("csv"), text)?;
        }
        self.plots.iter().try_for_each(|plot| self.save_plot(folder, plot))
    }

    fn stem(&self, folder: &Path, name: &str) -> PathBuf {
        folder.join(format!("{}-{}", self.experiment, name.replace(' ', "-")))
    }

    fn save_plot(&self, folder: &Path, plot: &Plot) -> io::Result<()> {
        let stem = self.stem(folder, &plot.name);
        #[cfg(feature = "simulations")]
        fs::write(stem.with_extension("png"), plot.to_png().map_err(io::Error::other)?)?;
        fs::write(stem.with_extension("svg"), plot.to_svg())
    }
}

impl Series {
    fn to_csv(&self) -> String {
        let mut text = format!("{},{}\n", self.x_label, self.y_label);
        for (x, y) in &self.points {
            let _ = writeln!(text, "{x},{y}");
        }
        text
    }

    fn plot(&self, title: &str) -> Plot {
        let points = self.points.iter().map(|(x, y)| Spread::exact(*x, *y)).collect();
        Plot {
            name: self.name.clone(),
            title: title.to_owned(),
            note: String::new(),
            x: Axis::new(self.x_label, Scale::Linear),
            y: Axis::new(self.y_label, Scale::Linear),
            curves: vec![Curve { name: self.name.clone(), color: COLORS[0], points, ..Curve::default() }],
        }
    }
}

/// Three decimals below ten, one above, none where they say nothing.
fn round(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        format!("{value:.0}")
    } else if value.abs() < 10.0 {
        format!("{value:.3}")
    } else {
        format!("{value:.1}")
    }
}

/// The value below which a share `quantile` (0 to 1) of the values lies (nearest rank); NaN without values.
pub fn percentile(values: &[f64], quantile: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (quantile * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1).min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// Slope of the least-squares line through the points; 0 for fewer than two distinct x.
pub fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = |axis: fn(&(f64, f64)) -> f64| points.iter().map(axis).sum::<f64>() / count;
    let (mean_x, mean_y) = (mean(|point| point.0), mean(|point| point.1));
    let (mut above, mut below) = (0.0, 0.0);
    for (x, y) in points {
        above += (x - mean_x) * (y - mean_y);
        below += (x - mean_x).powi(2);
    }
    if below > 0.0 { above / below } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_right_on_known_values() {
        let values: Vec<f64> = (1..=20).rev().map(f64::from).collect();
        assert_eq!(percentile(&values, 0.5), 10.0);
        assert_eq!(percentile(&values, 0.95), 19.0);
        assert_eq!(percentile(&values, 1.0), 20.0);
        assert!(percentile(&[], 0.5).is_nan());
        assert!((slope(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]) - 2.0).abs() < 1e-12);
        assert_eq!(slope(&[(1.0, 5.0)]), 0.0);
    }

    #[test]
    fn a_missed_target_is_said_and_fails_the_report() {
        let mut report = Report { experiment: "example".into(), ..Report::default() };
        report.figure("median", 400.0, "ms", Some(Target::AtMost(500.0)));
        assert!(report.met());
        report.figure("worst", f64::NAN, "ms", Some(Target::AtMost(1000.0)));
        assert!(!report.met());
        assert!(report.to_text().contains("MISSED (at most 1000)"), "{}", report.to_text());
    }

    #[test]
    fn a_saved_report_has_figures_points_and_a_plot() {
        let folder = tempfile::tempdir().unwrap();
        let points = vec![(0.0, 1.0), (1.0, 2.0)];
        let series = Series { name: "a b".into(), x_label: "s", y_label: "MiB", points };
        let report = Report { experiment: "example".into(), series: vec![series], ..Report::default() };
        report.save(folder.path()).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("example-a-b.csv")).unwrap(), "s,MiB\n0,1\n1,2\n");
        assert!(fs::read_to_string(folder.path().join("example-a-b.svg")).unwrap().contains("<svg"));
        assert!(folder.path().join("example.json").exists());
    }
}
