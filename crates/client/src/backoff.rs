//! How long to wait before the next attempt: doubled each time, jittered, bounded.

use std::time::Duration;

use veloz_core::limits::BACKOFF_DOUBLINGS_COUNT;

#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration) -> Backoff {
        Backoff { min, max: max.max(min), failures: 0 }
    }

    /// The next wait: half to all of what the doubling gives, and never before `not_before`, after
    /// which it is spread over a quarter more, so that clients do not come back all at once.
    pub(crate) fn next(&mut self, not_before: Option<Duration>) -> Duration {
        let doubled = self.min.saturating_mul(1 << self.failures.min(BACKOFF_DOUBLINGS_COUNT));
        self.failures = self.failures.saturating_add(1);
        let half = doubled.min(self.max) / 2;
        let wait = half + up_to(half);
        not_before.map_or(wait, |least| wait.max(least + up_to(least / 4)))
    }

    /// It went well: the next failure waits for the least again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Sets the least wait (the server's `retry:`).
    pub(crate) fn set_min(&mut self, min: Duration) {
        self.min = min.min(self.max);
    }

    pub(crate) fn max(&self) -> Duration {
        self.max
    }
}

fn up_to(limit: Duration) -> Duration {
    let nanos = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(fastrand::u64(0..=nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_within_their_bounds() {
        let millis = Duration::from_millis;
        let mut backoff = Backoff::new(millis(100), millis(1_000));
        for (least, most) in [(50, 100), (100, 200), (200, 400), (400, 800), (500, 1_000)] {
            let wait = backoff.next(None);
            assert!((millis(least)..=millis(most)).contains(&wait), "{wait:?}");
        }
        for _ in 0..100 {
            assert!(backoff.next(None) <= millis(1_000));
        }
        let told = backoff.next(Some(millis(4_000)));
        assert!((millis(4_000)..=millis(5_000)).contains(&told), "{told:?}");
        backoff.reset();
        backoff.set_min(millis(10));
        assert!(backoff.next(None) <= millis(10));
    }
}
