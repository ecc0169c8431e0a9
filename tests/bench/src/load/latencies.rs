//! How long requests took.

use std::time::Duration;

/// Every request's time, in microseconds; nothing is rounded into buckets.
#[derive(Debug, Default)]
pub struct Latencies {
    micros: Vec<u32>,
}

impl Latencies {
    pub fn record(&mut self, took: Duration) {
        self.micros.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
    }

    pub fn merge(&mut self, mut other: Latencies) {
        self.micros.append(&mut other.micros);
    }

    pub fn count(&self) -> usize {
        self.micros.len()
    }

    /// The time, in milliseconds, within which `share` (0 to 1) of the requests were done.
    pub fn millis(&mut self, share: f64) -> f64 {
        if self.micros.is_empty() {
            return 0.0;
        }
        self.micros.sort_unstable();
        let rank = (self.micros.len() as f64 * share).ceil() as usize;
        f64::from(self.micros[rank.clamp(1, self.micros.len()) - 1]) / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let mut latencies = Latencies::default();
        for millis in (1..=100).rev() {
            latencies.record(Duration::from_millis(millis));
        }
        let cases = [(0.0, 1.0), (0.01, 1.0), (0.5, 50.0), (0.99, 99.0), (0.991, 100.0), (1.0, 100.0)];
        for (share, expected) in cases {
            assert_eq!(latencies.millis(share), expected, "{share}");
        }
        assert_eq!(Latencies::default().millis(0.5), 0.0);
    }
}
