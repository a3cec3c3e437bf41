//! Histograms of durations, for `/metrics`: feeding one is two additions, without a lock.
//!
//! Contract: buckets double from 1 µs to 8 s, and one takes what is longer; a reader may see a duration
//! counted whose sum is not there yet.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// Buckets with a bound: 1 µs, 2 µs, 4 µs, ... 8.4 s.
const BOUNDED: usize = 24;

/// How often which durations were seen. A clone counts into the same.
#[derive(Debug, Clone, Default)]
pub struct Histogram(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    buckets: [AtomicU64; BOUNDED + 1],
    sum_ns: AtomicU64,
}

impl Histogram {
    /// Counts a duration.
    pub fn observe(&self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        // The number of binary digits of what is over: 0 up to 1 µs, 1 up to 2 µs, 2 up to 4 µs.
        let digits = u64::BITS - (ns.saturating_sub(1) / 1_000).leading_zeros();
        let index = usize::try_from(digits).unwrap_or(BOUNDED).min(BOUNDED);
        if let Some(bucket) = self.0.buckets.get(index) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.0.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// How many there were, and their sum in seconds.
    fn totals(&self) -> (u64, f64) {
        let count = self.0.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum();
        (count, Duration::from_nanos(self.0.sum_ns.load(Ordering::Relaxed)).as_secs_f64())
    }
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let bounds = (0..BOUNDED)
            .map(|index| Duration::from_micros(1 << index).as_secs_f64())
            .chain(std::iter::once(f64::INFINITY));
        let counts = self.0.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let (count, sum) = self.totals();
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text;
    use prometheus_client::registry::Registry;

    #[test]
    fn durations_fall_into_the_bucket_that_bounds_them() {
        let histogram = Histogram::default();
        let mut registry = Registry::default();
        registry.register("h", "A test", histogram.clone());
        let page = || {
            let mut page = String::new();
            text::encode(&mut page, &registry).expect("encodes");
            page
        };
        let check = |duration: Duration, bound: &str| {
            let line = |page: &str| {
                let start = format!("h_bucket{{le=\"{bound}\"}} ");
                let found = page.lines().find_map(|line| line.strip_prefix(&start));
                found.expect(bound).parse::<u64>().expect("a count")
            };
            let before = line(&page());
            histogram.observe(duration);
            assert_eq!(line(&page()), before + 1, "{duration:?}");
        };
        check(Duration::ZERO, "0.000001");
        check(Duration::from_nanos(1_000), "0.000001");
        check(Duration::from_nanos(1_001), "0.000002");
        check(Duration::from_nanos(2_000), "0.000002");
        check(Duration::from_nanos(2_001), "0.000004");
        check(Duration::from_micros(100), "0.000128");
        check(Duration::from_secs(8), "8.388608");
        check(Duration::from_secs(9), "+Inf");
        assert!(page().lines().any(|line| line == "h_count 8"), "{}", page());
    }

    #[test]
    fn the_lines_add_up() {
        let histogram = Histogram::default();
        histogram.observe(Duration::from_millis(1));
        histogram.observe(Duration::from_millis(2));
        assert_eq!(histogram.totals(), (2, 0.003));
    }
}
