//! Distributions of times.

use anyhow::Result;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Times in nanoseconds, each kept to three digits.
pub(crate) struct Times(Histogram<u64>);

const HIGHEST_NS: u64 = 600_000_000_000;

impl Times {
    pub(crate) fn new() -> Result<Times> {
        Ok(Times(Histogram::new_with_bounds(1_000, HIGHEST_NS, 3)?))
    }

    pub(crate) fn record(&mut self, nanos: u64) {
        self.0.saturating_record(nanos);
    }

    pub(crate) fn merge(&mut self, other: &Times) -> Result<()> {
        Ok(self.0.add(&other.0)?)
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// Microseconds at the usual percentiles.
    pub(crate) fn percentiles(&self) -> Value {
        let at = |quantile: f64| self.0.value_at_quantile(quantile) / 1_000;
        json!({
            "p50_us": at(0.5), "p90_us": at(0.9), "p99_us": at(0.99), "p999_us": at(0.999),
            "max_us": self.0.max() / 1_000,
        })
    }

    /// Every value and its count, so that the histograms of several processes can be added up.
    pub(crate) fn pairs(&self) -> Value {
        let all: Vec<(u64, u64)> = self
            .0
            .iter_recorded()
            .map(|step| (step.value_iterated_to(), step.count_at_value()))
            .collect();
        json!(all)
    }
}
