//! The gateway's own time: the machine's or a record's, but never back.
//!
//! Contract: what is on its way, limits of a second and clients that wait need a time that passes. When the
//! machine's clock was put back, or an earlier run's was ahead, this one goes on from where it was, at half the
//! speed, until the machine's is there again. (How old stored events are goes by the machine's alone.)

use std::cell::Cell;
use std::time::Instant;

use veloz_core::input::{MarketBody, MarketData};
use veloz_core::types::TsNs;

use super::wall_ns;

/// How much slower than the machine's it goes while it is ahead of that.
const SLOWER: u32 = 2;

/// A clock that never goes back and never stands.
#[derive(Debug)]
pub(crate) struct SteadyClock {
    told: Cell<(TsNs, Instant)>,
}

impl SteadyClock {
    /// One that tells `since` at least.
    pub(crate) fn new(since: TsNs) -> SteadyClock {
        SteadyClock { told: Cell::new((since, Instant::now())) }
    }

    /// The time now, in nanoseconds since the Unix epoch, and how far that is ahead of the machine's.
    pub(crate) fn now(&self) -> (TsNs, TsNs) {
        let wall = wall_ns();
        let now = self.tell(wall, Instant::now());
        (now, now.saturating_sub(wall))
    }

    fn tell(&self, wall: TsNs, at: Instant) -> TsNs {
        let (told, since) = self.told.get();
        let passed = at.saturating_duration_since(since) / SLOWER;
        let passed = TsNs::try_from(passed.as_nanos()).unwrap_or_default();
        let now = wall.max(told.saturating_add(passed));
        self.told.set((now, at));
        now
    }
}

/// What time it is for events that are not a market's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The machine's.
    Wall,
    /// A replay's: from this one on it goes by the times of its trades.
    Replay(TsNs),
}

/// The time of a record, for a log that may be of a later one: another market's before, or the same record's that is
/// played again. Then only its pace counts, and the clock goes on from the newest that the log has.
#[derive(Debug, Default)]
pub(super) struct RecordTime {
    /// How far it is behind the clock, by the first of its trades that is new.
    behind_ns: Option<TsNs>,
}

impl RecordTime {
    /// Sets a replay's clock by what its source says. `told` is how far an earlier run has come.
    pub(super) fn hear(&mut self, clock: &mut Clock, data: &MarketData, told: Option<u64>) {
        let (Clock::Replay(now), &MarketBody::Trade { ts_ns, .. }) = (clock, &data.body) else {
            return;
        };
        let is_old = data.position.zip(told).is_some_and(|(at, told)| at <= told);
        if self.behind_ns.is_none() && !is_old {
            self.behind_ns = Some(now.saturating_sub(ts_ns).max(0));
        }
        *now = (*now).max(ts_ns.saturating_add(self.behind_ns.unwrap_or_default()));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_that_is_put_back_goes_on_slowly_until_it_is_right() {
        const SECOND_NS: TsNs = 1_000_000_000;
        let clock = SteadyClock::new(0);
        let begun = Instant::now();
        let tell = |wall: TsNs, passed: u64| {
            clock.tell(wall * SECOND_NS, begun + Duration::from_secs(passed)) / SECOND_NS
        };
        // The machine's clock, the seconds that have passed, and what is told.
        for (wall, passed, told) in [
            (100, 0, 100),
            (101, 1, 101),
            (4_101, 2, 4_101),
            (103, 3, 4_101),
            (105, 5, 4_102),
            (4_105, 4_005, 6_102),
            (8_099, 7_999, 8_099),
            (8_100, 8_000, 8_100),
        ] {
            assert_eq!(tell(wall, passed), told, "{wall} after {passed} s");
        }
    }

    #[test]
    fn a_run_goes_on_from_the_time_of_the_one_before() {
        let ahead = wall_ns() + 86_400_000_000_000;
        let clock = SteadyClock::new(ahead);
        let (first, by) = clock.now();
        assert!(first >= ahead && by > 0);
        while clock.now().0 == first {}
    }
}
