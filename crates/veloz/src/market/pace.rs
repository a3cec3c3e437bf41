//! The pace of a replay: pure, it is told the time.
//!
//! Contract: lines are due by the recorder's receive times, divided by the factor. A time that goes back
//! is due at once; a pause of more than [`MAX_REPLAY_PAUSE_NS`], either way, counts as that much, so that
//! a jump of the recorder's clock stalls nothing, and a jump and back leaves the pace as it was.

use veloz_core::limits::MAX_REPLAY_PAUSE_NS;
use veloz_core::types::{Qty, TsNs};

/// Says when lines are due.
#[derive(Debug)]
pub(super) struct Pacer {
    factor: Qty,
    origin_ns: Option<i64>,
    played_ns: i64,
    last_ns: TsNs,
}

impl Pacer {
    pub(super) fn new(factor: Qty) -> Pacer {
        Pacer { factor, origin_ns: None, played_ns: 0, last_ns: 0 }
    }

    /// When the next line, received at `local_ns`, is due. The first is due now.
    pub(super) fn due(&mut self, local_ns: TsNs, now_ns: i64) -> i64 {
        let origin = *self.origin_ns.get_or_insert_with(|| {
            self.last_ns = local_ns;
            self.played_ns = 0;
            now_ns
        });
        // Both ways: a time that jumps ahead and back again costs nothing in the end.
        let pause = local_ns.saturating_sub(self.last_ns);
        self.played_ns =
            self.played_ns.saturating_add(pause.clamp(-MAX_REPLAY_PAUSE_NS, MAX_REPLAY_PAUSE_NS));
        self.last_ns = local_ns;
        let unit = 10_i128.pow(Qty::SCALE);
        let wait = i128::from(self.played_ns) * unit / i128::from(self.factor.raw().max(1));
        origin.saturating_add(i64::try_from(wait).unwrap_or(i64::MAX))
    }

    /// Starts anew at the next line.
    pub(super) fn reset(&mut self) {
        self.origin_ns = None;
    }
}
