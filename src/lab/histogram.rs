//! Percentiles of millions of measured times in a few kilobytes.

/// Parts of each doubling: values are told within 3 %.
const PARTS: usize = 32;
/// Doublings, from 1 to 2^32: in microseconds more than an hour.
const DOUBLINGS: usize = 32;

/// Counts of values by size, in steps of 3 %.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; DOUBLINGS * PARTS], total: 0 }
    }
}

impl Histogram {
    /// Counts a value; what is too large counts as the largest.
    pub fn add(&mut self, value: u64) {
        let value = value.max(1) as f64;
        let at = (value.log2() * PARTS as f64) as usize;
        let at = at.min(self.counts.len() - 1);
        self.counts[at] += 1;
        self.total += 1;
    }

    /// How many values were counted.
    pub fn len(&self) -> u64 {
        self.total
    }

    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// A value that a share `quantile` (0 to 1) of the values does not exceed; NaN without values.
    pub fn percentile(&self, quantile: f64) -> f64 {
        let rank = (quantile * self.total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let at = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        at.map_or(f64::NAN, |at| ((at + 1) as f64 / PARTS as f64).exp2())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_their_step() {
        let mut histogram = Histogram::default();
        assert!(histogram.percentile(0.5).is_nan());
        (1..=10_000).for_each(|value| histogram.add(value));
        for quantile in [0.1, 0.5, 0.99, 1.0] {
            let ratio = histogram.percentile(quantile) / (quantile * 10_000.0);
            assert!((1.0..1.04).contains(&ratio), "{quantile}: {ratio}");
        }
        histogram.add(u64::MAX);
        histogram.add(0);
        assert_eq!(histogram.len(), 10_002);
    }
}
