//! A value over time in a bounded number of buckets: what a picture needs of a curve, however long.
//!
//! Contract: a bucket keeps the first, lowest, highest and last value of its time, so that no extreme is
//! lost. Times that go back count as the latest before. The same values give the same buckets.

use veloz_core::limits::REPLAY_CURVE_BUCKETS;
use veloz_core::types::TsNs;

/// What a curve did in one piece of time; the values are in the unit of whoever adds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bucket {
    /// When its first value came.
    pub(super) ts_ns: TsNs,
    /// Its first value.
    pub(super) first: i128,
    /// The lowest.
    pub(super) low: i128,
    /// The highest.
    pub(super) high: i128,
    /// The last.
    pub(super) last: i128,
}

/// A curve that grows at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Curve {
    start: TsNs,
    width: TsNs,
    buckets: Vec<Bucket>,
}

impl Default for Curve {
    fn default() -> Curve {
        Curve { start: 0, width: 1, buckets: Vec::new() }
    }
}

impl Curve {
    /// Adds a value.
    pub(super) fn add(&mut self, ts_ns: TsNs, value: i128) {
        let Some(last) = self.buckets.last().copied() else {
            self.start = ts_ns;
            return self.open(ts_ns, value);
        };
        let ts_ns = ts_ns.max(last.ts_ns);
        if self.place(ts_ns) > self.place(last.ts_ns) {
            self.open(ts_ns, value);
            while self.buckets.len() > REPLAY_CURVE_BUCKETS {
                self.widen();
            }
        } else if let Some(bucket) = self.buckets.last_mut() {
            bucket.low = bucket.low.min(value);
            bucket.high = bucket.high.max(value);
            bucket.last = value;
        }
    }

    /// Moves all that there is by `by`.
    pub(super) fn shift(&mut self, by: i128) {
        for bucket in &mut self.buckets {
            for value in [&mut bucket.first, &mut bucket.low, &mut bucket.high, &mut bucket.last] {
                *value = value.saturating_add(by);
            }
        }
    }

    /// The buckets, by time.
    pub(super) fn buckets(&self) -> &[Bucket] {
        &self.buckets
    }

    fn place(&self, ts_ns: TsNs) -> TsNs {
        ts_ns.saturating_sub(self.start) / self.width
    }

    fn open(&mut self, ts_ns: TsNs, value: i128) {
        let (first, low, high, last) = (value, value, value, value);
        self.buckets.push(Bucket { ts_ns, first, low, high, last });
    }

    /// Makes buckets twice as wide.
    fn widen(&mut self) {
        self.width = self.width.saturating_mul(2);
        let mut merged: Vec<Bucket> = Vec::with_capacity(self.buckets.len());
        for bucket in std::mem::take(&mut self.buckets) {
            match merged.last_mut() {
                Some(last) if self.place(last.ts_ns) == self.place(bucket.ts_ns) => {
                    last.low = last.low.min(bucket.low);
                    last.high = last.high.max(bucket.high);
                    last.last = bucket.last;
                }
                _ => merged.push(bucket),
            }
        }
        self.buckets = merged;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_extreme_is_lost() {
        let mut random = fastrand::Rng::with_seed(5);
        for count in [1, 2, REPLAY_CURVE_BUCKETS, 50_000] {
            let (mut curve, mut ts, mut value) = (Curve::default(), 1_000, 0);
            let (mut low, mut high) = (i128::MAX, i128::MIN);
            for _ in 0..count {
                ts += random.i64(-5..1_000_000);
                value += random.i128(-100..=100);
                (low, high) = (low.min(value + 7), high.max(value + 7));
                curve.add(ts, value);
            }
            curve.shift(7);
            let buckets = curve.buckets();
            assert!(buckets.len() <= REPLAY_CURVE_BUCKETS, "{count}");
            assert!(count < 1_000 || buckets.len() >= REPLAY_CURVE_BUCKETS / 4, "{count}");
            assert!(buckets.is_sorted_by_key(|bucket| bucket.ts_ns), "{count}");
            assert_eq!(buckets.iter().map(|bucket| bucket.low).min(), Some(low));
            assert_eq!(buckets.iter().map(|bucket| bucket.high).max(), Some(high));
            assert_eq!(buckets.last().map(|bucket| bucket.last), Some(value + 7));
        }
    }
}
