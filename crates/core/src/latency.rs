//! How long the way to a venue and back takes.

use crate::types::TsNs;

/// The time that an order takes to its venue, and a report back: a fixed part each way, and up to `jitter_ns` of
/// chance. All zero: the venue is here, and answers within the step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Latency {
    /// To the venue, in nanoseconds.
    pub to_ns: u64,
    /// Back from it, in nanoseconds.
    pub from_ns: u64,
    /// What chance adds at most, each way, in nanoseconds.
    pub jitter_ns: u64,
    /// Decides the chance: the same seed, the same ways.
    pub seed: u64,
}

impl Latency {
    /// Whether there is no way to go.
    pub const fn is_zero(&self) -> bool {
        self.to_ns == 0 && self.from_ns == 0 && self.jitter_ns == 0
    }

    /// When what leaves at `now`, as the `nth` thing on its way, is at the venue.
    pub(crate) fn arrives(&self, now: TsNs, nth: u64) -> TsNs {
        self.after(now, self.to_ns, nth)
    }

    /// When what the venue says at `now`, as the `nth` thing on its way, is here.
    pub(crate) fn returns(&self, now: TsNs, nth: u64) -> TsNs {
        self.after(now, self.from_ns, nth)
    }

    fn after(&self, now: TsNs, way_ns: u64, nth: u64) -> TsNs {
        let chance = match self.jitter_ns.checked_add(1) {
            Some(ways) => mixed(self.seed, nth).checked_rem(ways).unwrap_or_default(),
            None => mixed(self.seed, nth),
        };
        let way = way_ns.saturating_add(chance);
        now.saturating_add(TsNs::try_from(way).unwrap_or(TsNs::MAX))
    }
}

/// A number that looks like chance and follows from both (SplitMix64), so that no generator is part of the state.
const fn mixed(seed: u64, nth: u64) -> u64 {
    let mut z = seed.wrapping_add(nth.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_is_as_long_as_set_and_chance_stays_within_its_bound() {
        let exact = Latency { to_ns: 7, from_ns: 3, ..Latency::default() };
        assert_eq!((exact.arrives(100, 1), exact.returns(100, 2)), (107, 103));
        let chance = Latency { jitter_ns: 9, seed: 5, ..exact };
        let ways: Vec<_> = (0..1_000).map(|nth| chance.arrives(100, nth)).collect();
        for way in 107..=116 {
            assert!(ways.contains(&way), "{way} never comes");
        }
        assert!(ways.iter().all(|way| (107..=116).contains(way)));
        assert_eq!(ways, (0..1_000).map(|nth| chance.arrives(100, nth)).collect::<Vec<_>>());
        let other = Latency { seed: 6, ..chance };
        assert_ne!(ways, (0..1_000).map(|nth| other.arrives(100, nth)).collect::<Vec<_>>());
        assert_eq!(Latency { to_ns: u64::MAX, ..exact }.arrives(1, 1), TsNs::MAX);
    }
}
