//! The clock that all processes of a measurement share, and waiting for a moment of it.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How long before a moment a sleep ends: what is left is spun, because a sleep is late by as much.
const SPIN_NS: u64 = 120_000;

/// `CLOCK_MONOTONIC`, in nanoseconds.
pub(crate) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or_default()
}

/// Returns at that moment; at once when it has passed.
pub(crate) fn wait_until(moment_ns: u64) {
    let left = moment_ns.saturating_sub(now_ns());
    if left > SPIN_NS {
        std::thread::sleep(Duration::from_nanos(left - SPIN_NS));
    }
    while now_ns() < moment_ns {
        std::hint::spin_loop();
    }
}

/// Nanoseconds between events at a rate.
pub(crate) fn interval_ns(rate: f64) -> f64 {
    1e9 / rate
}

/// When event `number` (from 1) is due.
#[expect(
    clippy::as_conversions,
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    reason = "a schedule of minutes in nanoseconds is far below 2^53"
)]
pub(crate) fn due_ns(start_ns: u64, number: u64, interval_ns: f64) -> u64 {
    start_ns + (number.saturating_sub(1) as f64 * interval_ns) as u64
}
